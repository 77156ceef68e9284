"""Checks of the exercises to lesson 01, data exploration."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import Dataset

from helpers.checks.tools import as_number, as_tensor, call, cross, short, tick
from helpers.data import normalize


def _random_images(shape: tuple[int, ...], lowest: int, highest: int, seed: int) -> torch.Tensor:
    """Return uint8 images with grey levels from lowest to highest, both included."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(lowest, highest + 1, shape, dtype=torch.uint8, generator=generator)


def _pair(seen: Any, parts: str) -> tuple[Any, Any]:
    """Return a result that must have two parts."""
    if not isinstance(seen, (tuple, list)) or len(seen) != 2:
        found, hint = f"{type(seen).__name__} {short(seen)}", "write both after return, with a comma between them"
        raise cross("what is returned", found, f"two values: {parts}", hint)
    return seen[0], seen[1]


def _hint_for(seen: torch.Tensor, mistakes: list[tuple[torch.Tensor, str]], otherwise: str) -> str:
    """Return the hint of the first mistake that gives what was seen."""
    return next((hint for wrong, hint in mistakes if torch.allclose(seen, wrong, atol=1e-2)), otherwise)


def describe(answer: Callable) -> None:
    """Check a description of images: a dict of shape, dtype, lowest and highest."""
    grey = _random_images((8, 1, 28, 28), 3, 240, seed=0)
    grey[0] = 100
    colour = _random_images((3, 3, 20, 32), 10, 250, seed=1).double() / 255
    for images in (grey, colour, normalize(_random_images((1, 1, 28, 28), 20, 250, seed=2))):
        seen = call(answer, images)
        if not isinstance(seen, dict) or {"shape", "dtype", "lowest", "highest"} - set(seen):
            found = f"{type(seen).__name__} {short(seen)}"
            raise cross("what describe returns", found, "a dict with four keys", "compare the keys with the example")
        shape = tuple(seen["shape"]) if isinstance(seen["shape"], (tuple, list)) else short(seen["shape"])
        if shape != tuple(images.shape):
            hint = "the first dimension of a batch counts its images, then come channels, rows and columns"
            raise cross("the shape", shape, tuple(images.shape), hint)
        if str(seen["dtype"]).removeprefix("torch.") != str(images.dtype).removeprefix("torch."):
            hint = "not the kind of object, but the type of its numbers, as they came; a tensor has an attribute for it"
            raise cross("the dtype", short(seen["dtype"]), images.dtype, hint)
        for key, function in (("lowest", torch.min), ("highest", torch.max)):
            right, of_first = function(images).item(), function(images[0]).item()
            number = as_number(f"the {key} value", seen[key])
            if not math.isclose(number, right, rel_tol=1e-5):
                hint = "look at all pixels of these images; not all images reach from 0 to 255"
                if number == of_first:
                    hint = "this belongs to the first image; what do the other images hold?"
                elif images.is_floating_point() and number in (math.trunc(right), round(right)):
                    hint = "a whole number has lost what stood after the point; .item() keeps it"
                raise cross(f"the {key} value of {images.dtype} images", f"{number:.4g}", f"{right:.4g}", hint)
    tick("describe: right for bytes, for colour images from 0 to 1, and for one normalised image.")


def class_means(answer: Callable) -> None:
    """Check mean images by class, float32 (10, H, W), zeros for a class without images."""
    generator = torch.Generator().manual_seed(3)
    for size, counts in [((28, 28), [2] * 6 + [17, 2, 2, 7]), ((20, 28), [1, 2, 0, 2, 3, 0, 4]), ((9, 9), [0, 1])]:
        labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        labels = labels[torch.randperm(len(labels), generator=generator)]
        images = _random_images((len(labels), 1, *size), 100, 255, seed=len(labels))
        counts = torch.bincount(labels, minlength=10).view(10, 1, 1)
        sums = torch.zeros(10, *size, dtype=torch.float64).index_add(0, labels, images[:, 0].double())
        expected = sums / counts.clamp(min=1)
        result = call(answer, images, labels)
        hint = "one picture, in rows and columns, for each of the ten classes, also for one that is missing here"
        if tuple(getattr(result, "shape", ())) == (10, 1, *size):
            hint = "ten pictures in rows and columns are asked for, without the dimension of the channel"
        seen = as_tensor("class_means(images, labels)", result, expected, hint)
        if seen[counts.flatten() == 0].isnan().any():
            hint = "the mean of no numbers is 0 / 0; ask first whether there are any"
            raise cross("the mean image of a class without images", "NaN", "zeros", hint)
        if not torch.allclose(seen, expected, atol=1e-2):
            in_blocks = images.double().view(10, -1, *size).mean(dim=1) if len(labels) % 10 == 0 else sums
            divide = "classes differ in size; which number turns the sum of each into its mean?"
            mistakes = [
                *((sums / n, divide) for n in (1, len(labels), len(labels) / 10)),
                (expected.floor(), "a mean need not be whole; which dtype holds what stands after the point?"),
                (expected / 255, "grey levels from 0 to 255 are asked for; where did you scale them?"),
                (in_blocks, "you took the images in blocks; they are not sorted by class, only the labels tell"),
                (sums % 256 / counts.clamp(min=1), "a byte starts again from 0 after 255; which dtype can hold a sum?"),
            ]
            hint = _hint_for(seen, mistakes, "take the images of one class, then the mean over them at each pixel")
            worst = int((seen - expected).abs().amax(dim=(1, 2)).argmax())
            raise cross(f"the first row of mean image {worst}", short(seen[worst, 0]), short(expected[worst, 0]), hint)
    tick("class_means: right for mixed and unequal classes; a class without images gives zeros, not NaN.")


def normalize_parts(answer: Callable) -> None:
    """Check that both parts are normalised by the mean and standard deviation of the first."""
    darker = (_random_images((40, 1, 28, 28), 0, 255, 4), _random_images((25, 1, 28, 28), 0, 127, 5))
    brighter = (_random_images((30, 1, 20, 28), 20, 120, 6), _random_images((9, 1, 20, 28), 150, 255, 7))
    one_black = (_random_images((20, 1, 28, 28), 200, 255, 8), torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    for train, validation in (darker, brighter, one_black):
        results = _pair(call(answer, train, validation), "the training and the validation images")
        both = torch.cat([train.flatten(), validation.flatten()]).double() / 255
        parts = [part.double() / 255 for part in (train, validation)]
        mean, std = parts[0].mean(), parts[0].std()
        for name, result, part in zip(("training", "validation"), results, parts, strict=True):
            expected = (part - mean) / std
            seen = as_tensor(f"the {name} images", result, expected, "images keep their shape; training comes first")
            if torch.allclose(seen, expected, atol=2e-3, rtol=1e-3):
                continue
            of_fashion = normalize((255 * part).round().to(torch.uint8)).double()
            of_place = (part - parts[0].mean(0)) / parts[0].std(0)
            of_image = (part - part.mean((1, 2, 3), True)) / part.std((1, 2, 3), keepdim=True)
            mistakes = [
                ((part - part.mean()) / part.std(), "whose constants are these? tomorrow's images are not here yet"),
                ((part - both.mean()) / both.std(), "your constants have seen the validation images"),
                ((255 * part - mean) / std, "your constants are for pixels from 0 to 1; where do your pixels end?"),
                (part - mean, "the mean is taken away; what about the spread?"),
                ((part - mean) / std**2, "this is divided by the variance; how is the deviation made from it?"),
                (of_fashion, "these are Fashion-MNIST's constants; compute those of your images"),
                (of_place, "one mean for all pixels is asked for, not one for each position"),
                (of_image, "every image has constants of its own here; one pair for all is asked for"),
            ]
            hint = "subtract the mean of all training pixels, then divide by their standard deviation"
            if not seen.isfinite().all():
                hint = "something was divided by 0; whose deviation is 0, and should it be used?"
            found, right = (f"{x.mean():z.3f} and {x.std():z.3f}" for x in (seen, expected))
            raise cross(f"mean and deviation of the {name} images", found, right, _hint_for(seen, mistakes, hint))
    tick("normalize_parts: the training part alone sets the constants; dark images stay dark, bright ones bright.")


def _indices(seen: Any, number: int) -> set[int]:
    """Return sample numbers below `number` as a set."""
    try:
        found = [int(index) for index in torch.as_tensor(seen).flatten().tolist()]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = [-1]
    if not set(found) <= set(range(number)):
        raise cross("one part of the split", short(seen), f"indices below {number}", "return positions, nothing else")
    if len(set(found)) < len(found):
        hint = "some indices stand there more than once; are they positions in the class or in the data set?"
        raise cross("the different indices in a part", len(set(found)), len(found), hint)
    return set(found)


def split(answer: Callable) -> None:
    """Check a split of sample numbers: nothing shared, nothing lost, each class in its share, seeded."""
    generator = torch.Generator().manual_seed(9)
    sizes = [[40] * 10, [60, 0, 20, 8, 100, 12, 4, 0, 16, 80], [7, 13, 22]]
    for share, counts in zip((0.25, 0.25, 0.5), sizes, strict=True):
        labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        labels = labels[torch.randperm(len(labels), generator=generator)]
        pairs = [_pair(call(answer, labels, share, seed), "training and validation indices") for seed in (1, 1, 2)]
        train, validation = (_indices(part, len(labels)) for part in pairs[0])
        shared, lost = len(train & validation), len(labels) - len(train | validation)
        if shared:
            hint = "take one image that is in both parts; when was it drawn for each of them?"
            raise cross("the number of images in both parts", shared, 0, hint)
        if lost:
            raise cross("the number of images in neither part", lost, 0, "count both parts of one class: who is left?")
        for number, count in enumerate(counts):
            found = int((labels[list(validation)] == number).sum())
            if abs(found - share * count) >= 1:
                hint = "each class gives its share; what happens to it when images are drawn from all at once?"
                if abs(len(train) - share * len(labels)) < 5 and share != 0.5:
                    hint = "the parts are the other way round; which one comes first?"
                raise cross(f"class {number} in validation", found, f"about {share * count:g} of {count}", hint)
        again, other = (_indices(pair[1], len(labels)) for pair in pairs[1:])
        hint = "which random numbers are drawn, and who gives their generator the seed?"
        if validation != again:
            raise cross("the same seed twice", "two different splits", "the same split twice", hint)
        if validation == other:
            raise cross("two different seeds", "the same split twice", "two different splits", hint)
    tick("split: no image in both parts, none lost, each class in its share, the same for the same seed.")


class _Noting(Dataset):
    """A data set that takes two milliseconds each time it is asked, and notes how it is asked."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor):
        self.images, self.labels, self.seconds = images, labels, 0.0
        self.asked = {"one index": 0, "list of indices": 0}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
        started = time.perf_counter()
        time.sleep(0.002)
        image, label = self.images[index].clone(), self.labels[index].clone()
        self.asked["list of indices" if label.dim() else "one index"] += 1
        self.seconds += time.perf_counter() - started
        return image, label


def _order_of(batches: Any, images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> list[int]:
    """Check batches and return in which order they hold the samples; no two of these have the same label."""
    sizes = [len(part) for part in labels.split(batch_size)]
    found = f"{len(batches)} batches" if isinstance(batches, (list, tuple)) else type(batches).__name__
    if found != f"{len(sizes)} batches":
        hint = "a list is asked for, and what remains after the last full batch is a batch too"
        raise cross(f"{len(labels)} images in batches of {batch_size}", found, f"{len(sizes)} batches", hint)
    drawn, hint = [], "the first dimension counts the images of the batch; the last batch holds what remains"
    for size, batch in zip(sizes, batches, strict=True):
        seen_images, seen_labels = _pair(batch, "the images and the labels of a batch")
        seen_labels = as_tensor("the labels of a batch", seen_labels, labels[:size], hint)
        order = (seen_labels[:, None] == labels).int().argmax(dim=1)
        if not torch.equal(as_tensor("the images of a batch", seen_images, images[:size], hint), images[order]):
            both = "pick image and label by the same index, and leave the pixels as they are"
            raise cross("the images of a batch", "not those of its labels", "those of its labels", both)
        drawn += order.tolist()
    if len(set(drawn)) < len(drawn):
        raise cross("the different images drawn", len(set(drawn)), len(drawn), "each image is drawn exactly once")
    return drawn


def draw_batches(answer: Callable) -> None:
    """Check batches drawn in a seeded order, one image at a time or whole, and the speed that was measured."""
    for number, batch_size in [(23, 5), (3, 8)]:
        images, labels = _random_images((number, 1, 6, 5), 0, 255, number), torch.arange(number).flip(0)
        orders = []
        for whole, seed in ((False, 1), (True, 1), (True, 2)):
            dataset, started = _Noting(images, labels), time.perf_counter()
            batches, speed = _pair(call(answer, dataset, batch_size, seed, whole), "the batches and the speed")
            low, high = 0.98 * dataset.seconds, 1.02 * (time.perf_counter() - started)
            orders.append(_order_of(batches, images, labels, batch_size))
            expected = {"one index": 0 if whole else number, "list of indices": len(batches) if whole else 0}
            if dataset.asked != expected:
                hint = "one index gives one sample, a list of indices gives a batch; which belongs to which way?"
                raise cross(f"how often dataset[...] was used, whole={whole}", dataset.asked, expected, hint)
            seconds = number / speed if (speed := as_number("the speed", speed)) > 0 else 0.0
            if not low <= seconds <= high:
                hint = "the clock runs from before the first batch until after the last, waiting included"
                if low <= speed <= high or low <= number * speed <= high:
                    hint = "these are seconds; how many images come in one of them?"
                elif low <= seconds * len(batches) / number <= high:
                    hint = "these are batches a second; how many images is that?"
                elif low <= seconds * len(batches) * batch_size / number <= high:
                    hint = "how many images does the last batch hold?"
                right = f"{number / high:.0f} to {number / low:.0f} images a second"
                raise cross(f"the speed, whole={whole}", f"{speed:.3g}", right, hint)
        if orders[0] != orders[1]:
            hint = "the same seed means the same order; where is the generator seeded, and how often?"
            raise cross("both ways with the same seed", "two different orders", "the same order", hint)
        if number > 3 and orders[1] in (orders[2], sorted(orders[1])):
            hint = "is the order drawn at random, and does the seed have a say in it?"
            raise cross("seeds 1 and 2", "no two different random orders", "two different random orders", hint)
    tick("draw_batches: the same batches in both ways, in a seeded order, the last one short, and an honest clock.")
