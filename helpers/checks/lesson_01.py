"""Checks of the exercises to lesson 01, data exploration."""

import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch.utils.data import Dataset

from helpers.checks.tools import UNREADABLE, as_number, as_tensor, call, cross, is_pair, short, tick
from helpers.data import normalize


def _random_images(shape: tuple[int, ...], lowest: int, highest: int, seed: int) -> torch.Tensor:
    """Return uint8 images with grey levels from lowest to highest, both included."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(lowest, highest + 1, shape, dtype=torch.uint8, generator=generator)


def _pair(seen: Any, parts: str) -> tuple[Any, Any]:
    """Return a result that must have two parts."""
    if not is_pair(seen):
        found, hint = f"{type(seen).__name__} {short(seen)}", "write both after return, with a comma between them"
        raise cross("what is returned", found, f"two values: {parts}", hint)
    return seen[0], seen[1]


def _hint_for(seen: torch.Tensor, mistakes: list[tuple[torch.Tensor, str]], otherwise: str) -> str:
    """Return the hint of the first mistake that gives what was seen."""
    return next((hint for wrong, hint in mistakes if torch.allclose(seen, wrong, atol=1e-2)), otherwise)


def _nearest_reference(delivered: torch.Tensor, means: torch.Tensor) -> list[int]:
    """Return the classes whose delivered mean lies nearer to the reference of another class than to its own."""
    nearest = torch.cdist(delivered.flatten(1).double(), means.flatten(1).double()).argmin(dim=1)
    return [number for number, best in enumerate(nearest.tolist()) if best != number]


def exchanged(answer: Callable) -> None:
    """Check that two classes with exchanged labels are found by their mean images."""
    for seed, (height, width), pair in [(1, (28, 28), (3, 8)), (2, (20, 28), (0, 9)), (3, (28, 28), (2, 4))]:
        generator = torch.Generator().manual_seed(seed)
        # The references have nearly the same mean grey level; two that are not exchanged look alike.
        means = 40.0 * torch.rand(10, height * width, generator=generator)
        means[6] = means[5] + 35 * torch.rand(height * width, generator=generator)
        levels = 150 + 0.5 * torch.randperm(10, generator=generator)[:, None]
        means = (means - means.mean(dim=1, keepdim=True) + levels).reshape(10, height, width)
        truth = torch.arange(10).repeat_interleave(torch.randint(80, 240, (10,), generator=generator))
        truth = truth[torch.randperm(len(truth), generator=generator)]
        noise = 90 * (torch.rand(len(truth), height, width, generator=generator) - 0.5)
        # What one image has of other classes hides its own; in the mean of many it cancels out.
        more, less = torch.randint(0, 10, (2, len(truth)), generator=generator)
        images = means[truth] + 1.3 * (means[more] - means[less]) + noise
        images = images.clamp(0, 255).to(torch.uint8)[:, None]
        labels = truth.clone()
        labels[truth == pair[0]], labels[truth == pair[1]] = pair[1], pair[0]

        result = call(answer, images, labels, means)
        try:
            found = sorted({int(number) for number in torch.as_tensor(list(result)).flatten().tolist()})
        except UNREADABLE:
            hint = "return the two class numbers, as a list, a tuple or a set"
            raise cross("what exchanged returns", short(result), "two class numbers", hint) from None
        if found == list(pair):
            continue
        of_class = [images[labels == number, 0] for number in range(10)]
        levels = torch.stack([some.float().mean() for some in of_class])
        in_bytes = torch.stack([some.sum(dim=0, dtype=torch.uint8) / len(some) for some in of_class])
        apart = torch.cdist(means.flatten(1), means.flatten(1)).fill_diagonal_(torch.inf)
        brightness = "one grey level per class says little; compare the mean images pixel by pixel"
        of_equal_size = torch.stack([10 * some.float().sum(dim=0) / len(truth) for some in of_class])
        one_for_all = "all lie nearest to one reference: a byte starts again from 0 after 255, and signs may cancel out"
        alike = "these two look alike; that does not mean that somebody exchanged them"
        mistakes = [
            (_nearest_reference(levels[:, None], means.mean(dim=(1, 2))[:, None]), brightness),
            (_nearest_reference(torch.stack([some[0] for some in of_class]), means), "one image is not its class"),
            (_nearest_reference(in_bytes, means), one_for_all),
            (_nearest_reference(of_equal_size, means), "some classes have more images; divide by how many?"),
            (sorted(divmod(int(apart.argmin()), 10)), alike),
            ([], "each class matches itself; are your means those of the delivery, or the references once more?"),
        ]
        hint = next((words for wrong, words in mistakes if wrong == found), None)
        if hint is None and len(found) != 2:
            hint = "two classes do not match their own reference; which numbers do they have?"
        hint = hint or "which reference is the mean image of each delivered label nearest to?"
        raise cross("the exchanged classes", short(found), list(pair), hint)
    tick("exchanged: found in three deliveries, also where all classes are equally bright and two look alike.")


def _wilson_width(right: int, images: int) -> float:
    """Return how wide the 95 % Wilson interval is."""
    z2 = 1.959963984540054**2
    share = right / images
    return 2 * math.sqrt(z2 * share * (1 - share) / images + z2**2 / (4 * images**2)) / (1 + z2 / images)


def _images_needed(accuracy: float, width: float) -> int:
    """Return the smallest number of images with an interval that is at most so wide."""
    return next(n for n in range(1, 100_000) if _wilson_width(round(accuracy * n), n) <= width)


def images_needed(answer: Callable) -> None:
    """Check how many images make an interval of a given half width."""
    for accuracy, half in [(0.8, 0.05), (0.9, 0.04), (0.5, 0.1), (1.0, 0.02)]:
        number = as_number("images_needed", call(answer, accuracy, half))
        right = _images_needed(accuracy, 2 * half)
        if number == right:
            continue
        plain = 1.96**2 * accuracy * (1 - accuracy) / half**2
        worst = _images_needed(0.5, 2 * half)
        hint = "try numbers of images one after another; stop at the first whose interval is narrow enough"
        if number == _images_needed(accuracy, half):
            hint = "from the middle to one end it is half as wide as from end to end; which of the two did you compare?"
        elif accuracy != 0.5 and number == worst:
            hint = "the width depends on the accuracy too; where did your guess of it go?"
        elif abs(number - plain) <= 1:
            hint = "this is the textbook formula, not the Wilson interval; what does it say when all answers are right?"
        elif abs(number - right) == 1:
            hint = "one image beside it; is the interval of your number narrow enough, and that of one image less?"
        elif number <= 1:
            hint = "half_width is a fraction as 0.05, not 5; is low or high on the right side of the comparison?"
        raise cross(f"images_needed({accuracy}, {half})", short(number), right, hint)
    tick("images_needed: right for four plans, also for one in which every answer is expected to be right.")


def normalize_parts(answer: Callable) -> None:
    """Check that both parts are normalised by the mean and standard deviation of the first."""
    darker = (_random_images((40, 1, 28, 28), 0, 255, 4), _random_images((25, 1, 28, 28), 0, 127, 5))
    darker[0][::3] //= 8  # so that the images of one part differ in brightness
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
            of_deviations = (part - mean) / parts[0].std((1, 2, 3)).mean()
            of_image = (part - part.mean((1, 2, 3), True)) / part.std((1, 2, 3), keepdim=True)
            as_it_was = "nothing has changed; were these constants taken from images that were normalised before?"
            mistakes = [
                (part, as_it_was),
                (255 * part, as_it_was),
                (of_deviations, "the mean of the images' deviations is not the deviation of all pixels"),
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
    seen = list(seen) if isinstance(seen, (set, frozenset)) else seen
    try:
        found = [int(index) for index in torch.as_tensor(seen).flatten().tolist()]
    except UNREADABLE:
        found = [-1]
    if not set(found) <= set(range(number)):
        raise cross("one part of the split", short(seen), f"indices below {number}", "return positions, nothing else")
    if len(set(found)) < len(found):
        hint = "some indices stand there more than once; are they positions in the class or in the data set?"
        if len(found) == number and set(found) == {0, 1}:
            hint = "this is a mask; at which positions is it True?"
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
        # A random order has about one place where the next sample follows.
        in_sequence = sum(place - before == 1 for before, place in pairwise(orders[1])) > number / 2
        if number > 3 and (orders[1] == orders[2] or in_sequence):
            hint = "is the order drawn at random, and does the seed have a say in it?"
            if orders[1] != orders[2]:
                hint = "neighbours stay together; shuffle the images, not only the batches"
            raise cross("seeds 1 and 2", "no two different random orders", "two different random orders", hint)
    tick("draw_batches: the same batches in both ways, in a seeded order, the last one short, and an honest clock.")
