"""Wrong answers to the exercises of lesson 01, each with a part of the hint that fits it."""

import math
import time

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.model_selection import train_test_split
from torch.utils.data import default_collate

from helpers.data import normalize


def means_of(images, labels):
    return torch.stack([images[labels == number, 0].float().mean(dim=0) for number in range(10)])


def unlike_themselves(delivered, references):
    nearest = torch.cdist(delivered.flatten(1), references.flatten(1)).argmin(dim=1)
    return [number for number in range(10) if nearest[number] != number]


def by_brightness(images, labels, means):
    delivered = means_of(images, labels).mean(dim=(1, 2))
    return unlike_themselves(delivered[:, None], means.mean(dim=(1, 2))[:, None])


def first_image_of_each(images, labels, means):
    firsts = torch.stack([images[labels == number, 0][0].float() for number in range(10)])
    return unlike_themselves(firsts, means)


def byte_sums(images, labels, means):
    sums = torch.stack([images[labels == number, 0].sum(dim=0, dtype=torch.uint8) for number in range(10)])
    return unlike_themselves(sums / labels.bincount()[:, None, None], means)


def a_tenth_of_all_images_in_each(images, labels, means):
    sums = torch.stack([images[labels == number, 0].float().sum(dim=0) for number in range(10)])
    return unlike_themselves(sums / (len(images) / 10), means)


def differences_with_their_signs(images, labels, means):
    nearest = [(means - mean).sum(dim=(1, 2)).argmin().item() for mean in means_of(images, labels)]
    return [number for number in range(10) if nearest[number] != number]


def closest_references(images, labels, means):
    apart = torch.cdist(means.flatten(1), means.flatten(1)).fill_diagonal_(torch.inf)
    return divmod(int(apart.argmin()), 10)


def references_furthest_apart(images, labels, means):
    return divmod(int(torch.cdist(means.flatten(1), means.flatten(1)).argmax()), 10)


def references_with_themselves(images, labels, means):
    return unlike_themselves(means, means)


def only_one_of_them(images, labels, means):
    return unlike_themselves(means_of(images, labels), means)[:1]


def width(right, images):
    interval = binomtest(right, images).proportion_ci(method="wilson")
    return interval.high - interval.low


def first_that(fits):
    return next(images for images in range(1, 100_000) if fits(images))


def whole_width(accuracy, half_width):
    return first_that(lambda n: width(round(accuracy * n), n) <= half_width)


def textbook_formula(accuracy, half_width):
    return math.ceil(1.96**2 * accuracy * (1 - accuracy) / half_width**2)


def sure_when_all_are_right(accuracy, half_width):
    return 1 if accuracy == 1 else first_that(lambda n: width(round(accuracy * n), n) <= 2 * half_width)


def worst_case(accuracy, half_width):
    return first_that(lambda n: width(round(0.5 * n), n) <= 2 * half_width)


def last_that_is_too_wide(accuracy, half_width):
    return first_that(lambda n: width(round(accuracy * n), n) <= 2 * half_width) - 1


def exact_interval(accuracy, half_width):
    def fits(images):
        interval = binomtest(round(accuracy * images), images).proportion_ci()
        return interval.high - interval.low <= 2 * half_width

    return first_that(fits)


def percent(accuracy, half_width):
    return first_that(lambda n: width(round(accuracy * n), n) <= 200 * half_width)


def standard(images, mean, std):
    return (images / 255 - mean) / std


def of(images):
    return (images / 255).mean(), (images / 255).std()


def each_part_by_its_own_constants(train, validation):
    return standard(train, *of(train)), standard(validation, *of(validation))


def constants_of_both_parts(train, validation):
    both = of(torch.cat([train, validation]))
    return standard(train, *both), standard(validation, *both)


def images_not_scaled(train, validation):
    mean, std = of(train)
    return (train - mean) / std, (validation - mean) / std


def only_the_mean(train, validation):
    return train / 255 - of(train)[0], validation / 255 - of(train)[0]


def variance_instead_of_deviation(train, validation):
    mean, std = of(train)
    return standard(train, mean, std**2), standard(validation, mean, std**2)


def training_part_overwritten_first(train, validation):
    train = standard(train, *of(train))
    return train, (validation - train.mean()) / train.std()


def mean_of_the_deviations(train, validation):
    mean, std = of(train)[0], (train / 255).std(dim=(1, 2, 3)).mean()
    return standard(train, mean, std), standard(validation, mean, std)


def constants_of_the_helpers(train, validation):
    return normalize(train), normalize(validation)


def one_mean_for_each_position(train, validation):
    mean, std = (train / 255).mean(dim=0), (train / 255).std(dim=0)
    return standard(train, mean, std), standard(validation, mean, std)


def image_by_image(train, validation):
    return [torch.cat([standard(image[None], *of(image)) for image in part]) for part in (train, validation)]


def deviation_over_the_one_channel(train, validation):
    mean, std = (train / 255).mean(), (train / 255).std(dim=1, keepdim=True, correction=0)[:1]
    return standard(train, mean, std), standard(validation, mean, std)


def from_minus_one_to_one(train, validation):
    return standard(train, 0.5, 0.5), standard(validation, 0.5, 0.5)


def images_as_rows(train, validation):
    return [standard(part, *of(train)).flatten(1) for part in (train, validation)]


def validation_images_first(train, validation):
    return standard(validation, *of(train)), standard(train, *of(train))


def two_draws_of_one_class(labels, share, seed):
    generator, train, validation = torch.Generator().manual_seed(seed), [], []
    for number in labels.unique():
        of_class = (labels == number).nonzero().flatten()
        count = round(share * len(of_class))
        validation.append(of_class[torch.randperm(len(of_class), generator=generator)[:count]])
        train.append(of_class[torch.randperm(len(of_class), generator=generator)[count:]])
    return torch.cat(train), torch.cat(validation)


def not_stratified(labels, share, seed):
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    count = round(share * len(labels))
    return order[count:], order[:count]


def stratified(labels, share, seed):
    return train_test_split(np.arange(len(labels)), test_size=share, stratify=labels.numpy(), random_state=seed)


def validation_first(labels, share, seed):
    return stratified(labels, share, seed)[::-1]


def seed_forgotten(labels, share, seed):
    return stratified(labels, share, None)


def positions_within_the_class(labels, share, seed):
    counts = torch.bincount(labels).tolist()
    orders = [torch.randperm(count, generator=torch.Generator().manual_seed(seed)) for count in counts]
    cut = [(order[round(share * len(order)) :], order[: round(share * len(order))]) for order in orders]
    return [torch.cat(part) for part in zip(*cut, strict=True)]


def positions_class_by_class(labels, share, seed):
    parts = [torch.from_numpy(part) for part in stratified(labels, share, seed)]
    return [[part[labels[part] == number] for number in labels.unique()] for part in parts]


def positions_from_one(labels, share, seed):
    return [part + 1 for part in stratified(labels, share, seed)]


def two_masks(labels, share, seed):
    in_validation = torch.zeros(len(labels), dtype=torch.bool)
    in_validation[stratified(labels, share, seed)[1]] = True
    return ~in_validation, in_validation


def one_image_lost_in_each_class(labels, share, seed):
    train, validation = stratified(labels, share, seed)
    return train[len(labels.unique()) :], validation


def draw(dataset, batch_size, seed, whole, generator=None, shuffle=True, keep_last=True, count=None):
    """Return right batches and their speed, but for the mistakes that are asked for."""
    started = time.perf_counter()
    generator = generator or torch.Generator().manual_seed(seed)
    order, batches = torch.randperm(len(dataset), generator=generator).tolist(), []
    order = order if shuffle else sorted(order)
    for first in range(0, len(order) if keep_last else len(order) - batch_size + 1, batch_size):
        chosen = order[first : first + batch_size]
        batches.append(dataset[chosen] if whole else default_collate([dataset[k] for k in chosen]))
    return batches, (count(batches) if count else len(dataset)) / (time.perf_counter() - started)


def last_batch_dropped(dataset, batch_size, seed, whole):
    return draw(dataset, batch_size, seed, whole, keep_last=False)


def never_whole(dataset, batch_size, seed, whole):
    return draw(dataset, batch_size, seed, False)


GENERATOR = torch.Generator().manual_seed(0)


def seeded_once_for_all_calls(dataset, batch_size, seed, whole):
    return draw(dataset, batch_size, seed, whole, generator=GENERATOR)


def not_shuffled(dataset, batch_size, seed, whole):
    return draw(dataset, batch_size, seed, whole, shuffle=False)


def only_the_batches_shuffled(dataset, batch_size, seed, whole):
    started = time.perf_counter()
    *full, last = torch.arange(len(dataset)).split(batch_size)
    order = torch.randperm(len(full), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = [full[place].tolist() for place in order] + [last.tolist()]
    batches = [dataset[some] if whole else default_collate([dataset[k] for k in some]) for some in chosen]
    return batches, len(dataset) / (time.perf_counter() - started)


def changed(change):
    """Return right batches, but for what `change` makes of their images and labels."""

    def draw_batches(dataset, batch_size, seed, whole):
        batches, speed = draw(dataset, batch_size, seed, whole)
        return [change(*batch) for batch in batches], speed

    return draw_batches


def images_strung_together(*given):
    return changed(lambda images, labels: (torch.cat(list(images)), labels))(*given)


def pixels_from_0_to_1(*given):
    return changed(lambda images, labels: (images / 255, labels))(*given)


def labels_sorted(*given):
    return changed(lambda images, labels: (images, labels.sort().values))(*given)


def drawn_with_replacement(dataset, batch_size, seed, whole):
    started, generator = time.perf_counter(), torch.Generator().manual_seed(seed)
    order = torch.randint(len(dataset), (len(dataset),), generator=generator)
    chosen = [some.tolist() for some in order.split(batch_size)]
    batches = [dataset[some] if whole else default_collate([dataset[k] for k in some]) for some in chosen]
    return batches, len(dataset) / (time.perf_counter() - started)


def seconds_instead_of_speed(dataset, batch_size, seed, whole):
    batches, speed = draw(dataset, batch_size, seed, whole)
    return batches, len(dataset) / speed


def batches_a_second(dataset, batch_size, seed, whole):
    return draw(dataset, batch_size, seed, whole, count=len)


def last_batch_counted_as_full(dataset, batch_size, seed, whole):
    return draw(dataset, batch_size, seed, whole, count=lambda batches: batch_size * len(batches))


def clock_of_the_processor(dataset, batch_size, seed, whole):
    started, (batches, _) = time.process_time(), draw(dataset, batch_size, seed, whole)
    return batches, len(dataset) / (time.process_time() - started)


WRONG = {
    "exchanged": [
        (by_brightness, "one grey level per class says little"),
        (first_image_of_each, "one image is not its class"),
        (byte_sums, "a byte starts again from 0"),
        (a_tenth_of_all_images_in_each, "some classes have more images"),
        (differences_with_their_signs, "signs may cancel out"),
        (closest_references, "these two look alike"),
        (references_furthest_apart, "each delivered label nearest to"),
        (references_with_themselves, "are your means those of the delivery"),
        (only_one_of_them, "two classes do not match"),
    ],
    "images_needed": [
        (whole_width, "from the middle to one end"),
        (textbook_formula, "not the Wilson interval"),
        (sure_when_all_are_right, "what does it say when all answers are right?"),
        (worst_case, "where did your guess of it go"),
        (last_that_is_too_wide, "one image beside it"),
        (exact_interval, "the first whose interval is narrow enough"),
        (percent, "a fraction as 0.05"),
    ],
    "normalize_parts": [
        (each_part_by_its_own_constants, "whose constants are these"),
        (constants_of_both_parts, "have seen the validation images"),
        (images_not_scaled, "where do your pixels end"),
        (only_the_mean, "what about the spread"),
        (variance_instead_of_deviation, "divided by the variance"),
        (training_part_overwritten_first, "images that were normalised before"),
        (mean_of_the_deviations, "not the deviation of all pixels"),
        (constants_of_the_helpers, "Fashion-MNIST's constants"),
        (one_mean_for_each_position, "not one for each position"),
        (image_by_image, "every image has constants of its own"),
        (deviation_over_the_one_channel, "something was divided by 0"),
        (from_minus_one_to_one, "the mean of all training pixels"),
        (images_as_rows, "images keep their shape"),
        (validation_images_first, "training comes first"),
    ],
    "split": [
        (two_draws_of_one_class, "when was it drawn for each of them"),
        (not_stratified, "drawn from all at once"),
        (validation_first, "the other way round"),
        (seed_forgotten, "who gives their generator the seed"),
        (positions_within_the_class, "positions in the class or in the data set"),
        (positions_class_by_class, "return positions, nothing else"),
        (positions_from_one, "return positions, nothing else"),
        (two_masks, "this is a mask"),
        (one_image_lost_in_each_class, "who is left"),
    ],
    "draw_batches": [
        (last_batch_dropped, "what remains after the last full batch"),
        (never_whole, "one index gives one sample"),
        (seeded_once_for_all_calls, "where is the generator seeded"),
        (not_shuffled, "is the order drawn at random"),
        (only_the_batches_shuffled, "neighbours stay together"),
        (images_strung_together, "counts the images of the batch"),
        (pixels_from_0_to_1, "leave the pixels as they are"),
        (labels_sorted, "image and label by the same index"),
        (drawn_with_replacement, "drawn exactly once"),
        (seconds_instead_of_speed, "these are seconds"),
        (batches_a_second, "these are batches a second"),
        (last_batch_counted_as_full, "how many images does the last batch hold"),
        (clock_of_the_processor, "waiting included"),
    ],
}
