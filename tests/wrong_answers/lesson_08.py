"""Wrong answers to the exercises of lesson 08, each with a part of the hint that fits it."""

import numpy as np
import torch
import torch.nn.functional as F


def named(name, function):
    """Return a function under another name."""

    def wrong(*arguments):
        return function(*arguments)

    wrong.__name__ = name
    return wrong


def moved(images, right, down):
    height, width = images.shape[2:]
    padded = F.pad(images, (width + 9, width + 9, height + 9, height + 9))
    return padded[:, :, height + 9 - down :, width + 9 - right :][:, :, :height, :width]


def in_place(images, right, down):
    images[:] = moved(images, right, down)
    return images


def edge_repeated(images, right, down):
    rows = (torch.arange(images.shape[2]) - down).clamp(0, images.shape[2] - 1)
    columns = (torch.arange(images.shape[3]) - right).clamp(0, images.shape[3] - 1)
    return images[:, :, rows][:, :, :, columns]


SHIFTS = {
    "rolled": (lambda x, r, d: x.roll((d, r), (2, 3)), "comes in on the other"),
    "other_way": (lambda x, r, d: moved(x, -r, -d), "the other way"),
    "rows_for_columns": (lambda x, r, d: moved(x, d, r), "rows and columns are swapped"),
    "up_for_down": (lambda x, r, d: moved(x, r, -d), "row 0 is at the top"),
    "left_for_right": (lambda x, r, d: moved(x, -r, d), "this moves left what shall move right"),
    "one_too_far": (lambda x, r, d: moved(x, r + 1, d), "write down one row"),
    "black_where_nothing_moves": (lambda x, r, d: moved(x, r, d) if r or d else 0 * x, "an image that shall stay"),
    "right_only": (lambda x, r, d: moved(x, r, 0), "nothing moves up or down"),
    "down_only": (lambda x, r, d: moved(x, 0, d), "nothing moves to the side"),
    "positive_only": (lambda x, r, d: moved(x, max(r, 0), max(d, 0)), "a negative number"),
    "not_moved": (lambda x, r, d: x, "nothing has moved"),
    "edge_repeated": (edge_repeated, "the edge is repeated"),
    "in_place": (in_place, "write into a new tensor"),
    "padded_only": (lambda x, r, d: F.pad(x, (abs(r) + 1, 0)), "as many rows and columns"),
}


def times(images, factors):
    return (images * factors).to(torch.uint8)


def numbers(images, *shape):
    return torch.rand(len(images), *shape)


def seeded(images, lowest):
    torch.manual_seed(0)
    return times(images, lowest + (1 - lowest) * numbers(images, 1, 1, 1))


def darker_in_place(images, lowest):
    for image in images:
        image[:] = times(image, lowest + (1 - lowest) * torch.rand(1))
    return images


def by_two_draws(images, lowest):
    draws = (numbers(images, 1, 1, 1) + numbers(images, 1, 1, 1)) / 2
    return times(images, lowest + (1 - lowest) * draws)


def either_end(images, lowest):
    return times(images, torch.where(numbers(images, 1, 1, 1) < 0.5, lowest, 1.0))


def floats(images, lowest):
    return images * (lowest + (1 - lowest) * numbers(images, 1, 1, 1))


DARKER = {
    "one_for_the_batch": (lambda x, low: times(x, low + (1 - low) * torch.rand(1)), "once for the whole batch"),
    "one_for_each_pixel": (lambda x, low: times(x, low + (1 - low) * torch.rand(x.shape)), "stay in proportion"),
    "one_for_each_column": (lambda x, low: times(x, low + (1 - low) * torch.rand(x.shape[-1])), "stay in proportion"),
    "from_zero": (lambda x, low: times(x, numbers(x, 1, 1, 1)), "darker than is allowed"),
    "brighter": (lambda x, low: times(x, 1.25 - (1 - low) * numbers(x, 1, 1, 1)), "above 1"),
    "never_dark_enough": (lambda x, low: times(x, 1 - (1 - low) / 2 * numbers(x, 1, 1, 1)), "as dark as is allowed"),
    "never_plain": (lambda x, low: times(x, low + (0.9 - low) * numbers(x, 1, 1, 1)), "stays as bright"),
    "seed_inside": (seeded, "no seed is to be set"),
    "two_factors_only": (
        lambda x, low: times(x, torch.where(numbers(x, 1, 1, 1) < 0.2, low, 1.0)),
        "how are yours distributed",
    ),
    "in_place": (darker_in_place, "darker in each epoch"),
    "by_two_draws": (by_two_draws, "not all factors between the limits"),
    "either_end": (either_end, "not all factors between the limits"),
    "still_floats": (floats, "came as uint8"),
    "unchanged": (lambda x, low: x, "nothing is darker"),
}


def cut(images, top, left, side, *, partner=1, share=None, other=None, swap=False):
    height, width = images.shape[2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    neighbours = images.roll(partner, 0) if other is None else other
    mixed = torch.where(inside ^ swap, neighbours, images)
    own = 1 - inside.float().mean().item()
    return mixed, own if share is None else share(own, side, height * width, width)


def cut_in_place(images, top, left, side):
    images[:], share = cut(images, top, left, side)
    return images, share


def sliced(images, top, left, side):
    mixed = images.clone()
    mixed[:, :, top : top + side, left : left + side] = images.roll(1, 0)[:, :, top : top + side, left : left + side]
    return mixed, cut(images, top, left, side)[1]


def unchanged_pixels(images, top, left, side):
    mixed, _ = cut(images, top, left, side)
    return mixed, (mixed == images).float().mean().item()


def with_share(rule):
    return lambda x, t, c, s: cut(x, t, c, s, share=rule)


CUTS = {
    "next_image": (lambda x, t, c, s: cut(x, t, c, s, partner=-1), "the image *before* it"),
    "outside_pasted": (lambda x, t, c, s: cut(x, t, c, s, swap=True), "swapped"),
    "rows_for_columns": (lambda x, t, c, s: cut(x, c, t, s), "top counts rows"),
    "black_square": (lambda x, t, c, s: cut(x, t, c, s, other=0 * x), "the square is black"),
    "one_row_too_few": (lambda x, t, c, s: cut(x, t, c, s - 1), "one row too few"),
    "one_row_too_many": (lambda x, t, c, s: cut(x, t, c, s + 1), "one row too many"),
    "negative_slice": (sliced, "a slice from a negative row"),
    "moved_inside": (lambda x, t, c, s: cut(x, max(t, 0), max(c, 0), s), "has moved inside"),
    "in_place": (cut_in_place, "write into a copy"),
    "middle_for_corner": (lambda x, t, c, s: cut(x, t - s // 2, c - s // 2, s), "does the square cover"),
    "one_image_alone": (lambda x, t, c, s: (cut(x, t, c, s)[0][:1], cut(x, t, c, s)[1]), "as large as before"),
    "over_all_images": (with_share(lambda own, *_: own / 4), "count the pixels that are still the image's own"),
    "share_of_the_neighbour": (with_share(lambda own, *_: 1 - own), "the share of the neighbour"),
    "whole_square": (with_share(lambda own, side, area, _: 1 - side * side / area), "lies outside"),
    "by_side": (with_share(lambda own, side, area, width: 1 - side / width), "by area"),
    "pixels": (with_share(lambda own, side, area, _: own * area), "a number of pixels"),
    "per_cent": (with_share(lambda own, *_: 100 * own), "between 0 and 1"),
    "halves": (with_share(lambda own, *_: 0.5), "depends on the square"),
    "unchanged_pixels": (unchanged_pixels, "count by place"),
    "images_only": (lambda x, t, c, s: cut(x, t, c, s)[0], "the mixed images first"),
}


def by(rule):
    """Return an answer that names the rows for which a rule holds, given three gains in points and the limit."""

    def answer(before, after, least):
        gains = 100 * (after - before)
        return [name for name in gains.index if rule(gains.loc[name], least)]

    return answer


def unpaired(before, after, least):
    gains = 100 * (after - before)
    return [n for n in gains.index if gains.loc[n].mean() >= least and after.loc[n].min() > before.loc[n].max()]


def by_place(before, after, least):
    gains = 100 * (after.to_numpy() - before.to_numpy())
    return [n for n, row in zip(before.index, gains, strict=True) if row.mean() >= least and (row > 0).all()]


def relative(before, after, least):
    gains = 100 * (after - before) / before
    return list(gains.index[(gains.mean(axis=1) >= least) & (gains > 0).all(axis=1)])


CARDS = {
    "mean_only": (by(lambda gains, least: gains.mean() >= least), "one lucky seed"),
    "any_gain": (by(lambda gains, least: (gains > 0).all()), "are the gains large enough"),
    "each_pair_at_the_limit": (by(lambda gains, least: (gains >= least).all()), "it is the mean"),
    "losses_too": (by(lambda gains, least: abs(gains.mean()) >= least), "lost much"),
    "best_seed": (by(lambda gains, least: gains.max() >= least), "one seed is enough"),
    "unpaired": (unpaired, "seed by seed"),
    "columns_by_place": (by_place, "for each row: three differences"),
    "high_afterwards": (
        lambda before, after, least: [n for n in after.index if after.loc[n].mean() >= 0.8],
        "may have been there before",
    ),
    "not_taught": (by(lambda gains, least: not (gains.mean() >= least and (gains > 0).all())), "were not taught"),
    "fractions": (by(lambda gains, least: gains.mean() / 100 >= least), "the limit is in points"),
    "more_than_the_limit": (
        by(lambda gains, least: gains.mean() > least and (gains > 0).all()),
        "the limit itself is enough",
    ),
    "none_lost": (by(lambda gains, least: gains.mean() >= least and (gains >= 0).all()), "has not risen"),
    "median": (by(lambda gains, least: gains.median() >= least and (gains > 0).all()), "the mean of the pairs"),
    "relative": (relative, "a share of what was there before"),
    "numbers_of_rows": (lambda before, after, least: [1, 2], "holds the names"),
}


def straight(numbers, accuracies, wanted):
    return float("inf") if wanted > accuracies[-1] else np.interp(wanted, accuracies, numbers)


def in_logarithms(numbers, accuracies, wanted):
    return float("inf") if wanted > accuracies[-1] else np.exp(np.interp(wanted, accuracies, np.log(numbers)))


def logarithm_kept(numbers, accuracies, wanted):
    return float("inf") if wanted > accuracies[-1] else np.interp(wanted, accuracies, np.log(numbers))


def next_point(numbers, accuracies, wanted):
    return next((n for n, value in zip(numbers, accuracies, strict=True) if value >= wanted), float("inf"))


def nearest_point(numbers, accuracies, wanted):
    return numbers[np.abs(np.array(accuracies) - wanted).argmin()] if wanted <= accuracies[-1] else float("inf")


def swapped(numbers, accuracies, wanted):
    return np.interp(wanted, numbers, accuracies)


def last_number(numbers, accuracies, wanted):
    return np.exp(np.interp(wanted, accuracies, np.log(numbers)))


def extended_below(numbers, accuracies, wanted):
    if wanted >= accuracies[0]:
        return in_logarithms(numbers, accuracies, wanted)
    slope = (np.log(numbers[1]) - np.log(numbers[0])) / (accuracies[1] - accuracies[0])
    return np.exp(np.log(numbers[0]) + slope * (wanted - accuracies[0]))


def end_not_reached(numbers, accuracies, wanted):
    return float("inf") if wanted >= accuracies[-1] else in_logarithms(numbers, accuracies, wanted)


WORTH = {
    "end_not_reached": (end_not_reached, "if only at its last point"),
    "straight": (straight, "equal factors"),
    "logarithm_kept": (logarithm_kept, "how do you get back"),
    "next_point": (next_point, "go in between"),
    "nearest_point": (nearest_point, "in between"),
    "swapped": (swapped, "labels and accuracies are swapped"),
    "last_number": (last_number, "nobody has measured"),
    "extended_below": (extended_below, "below it nothing was measured"),
}
TABLES = {
    "shift": SHIFTS,
    "darken_each": DARKER,
    "cut_and_share": CUTS,
    "what_was_taught": CARDS,
    "worth_in_labels": WORTH,
}
WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in table.items()]
    for check, table in TABLES.items()
}
