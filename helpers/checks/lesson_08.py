"""Checks of the exercises to lesson 08, more from the same images."""

from collections.abc import Callable
from functools import wraps

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from helpers.checks.tools import as_number, as_tensor, best_hint, call, cross, first_hint, is_pair, short, tick


def shift(answer: Callable) -> None:
    """Check a shift by whole pixels: images (N, 1, H, W), pixels to the right and down, of either sign."""
    images = torch.arange(1, 2 * 5 * 7 + 1, dtype=torch.uint8).reshape(2, 1, 5, 7)
    for right, down in [(2, 1), (-1, -2), (2, 0), (0, 1), (-1, 3), (0, 0), (7, 0), (-9, 2)]:
        what = f"shift(images, {right}, {down})"
        hint = "the training images would stay shifted for ever; write into a new tensor"
        seen = _call_untouched(answer, hint, images, right, down)
        expected = _shifted(images, right, down)
        hint = "the result has as many rows and columns as the images; where do those come from that enter?"
        tensor = as_tensor(what, seen, expected, hint)
        if torch.equal(tensor, expected):
            continue
        mistakes = [
            (images.roll((down, right), dims=(2, 3)), "what leaves on one side comes in on the other; black shall"),
            (_shifted(images, -right, -down), "this moves the other way: where does the first column go?"),
            (_shifted(images, down, right), "rows and columns are swapped: the last dimension holds the columns"),
            (_shifted(images, right, -down), "this moves up what shall move down: row 0 is at the top"),
            (_shifted(images, -right, down), "this moves left what shall move right"),
            (_shifted(images, right, 0), "nothing moves up or down"),
            (_shifted(images, 0, down), "nothing moves to the side"),
            (_shifted(images, max(right, 0), max(down, 0)), "a negative number moves to the left, or up"),
            (images, "nothing has moved"),
            (_replicated(images, right, down), "the edge is repeated; what comes in shall be black, 0"),
        ]
        hint = "write down one row of the image before and after, number by number"
        hint = best_hint(tensor, mistakes, hint if right or down else "this changes an image that shall stay")
        image, _, row, column = np.argwhere((tensor != expected).numpy())[0]
        place = f"{what}, image {image}, row {row}, column {column}"
        raise cross(place, tensor[image, 0, row, column].item(), expected[image, 0, row, column].item(), hint)
    tick("shift: right in every direction, and black comes in, even where nothing is left of the image.")


def _call_untouched(answer: Callable, hint: str, images: torch.Tensor, *numbers: int):
    """Call an answer, and refuse one that writes into the images it was given."""
    still_the_same = []

    def watched(given, *others):
        result = answer(given, *others)
        still_the_same.append(torch.equal(given, images))
        return result

    watched.__name__ = getattr(answer, "__name__", "the answer")
    result = call(watched, images, *numbers)
    if not all(still_the_same):
        raise cross("the images after the call", "changed", "as they were", hint)
    return result


def _shifted(images: torch.Tensor, right: int, down: int) -> torch.Tensor:
    """Shift as the exercise asks: padded widely, then cut out."""
    height, width = images.shape[2:]
    padded = F.pad(images, (width + 9, width + 9, height + 9, height + 9))
    top, left = height + 9 - down, width + 9 - right
    return padded[:, :, top : top + height, left : left + width]


def _replicated(images: torch.Tensor, right: int, down: int) -> torch.Tensor:
    """Shift, with the edge repeated."""
    rows = (torch.arange(images.shape[2]) - down).clamp(0, images.shape[2] - 1)
    columns = (torch.arange(images.shape[3]) - right).clamp(0, images.shape[3] - 1)
    return images[:, :, rows][:, :, :, columns]


def darken_each(answer: Callable) -> None:
    """Check that each image is darkened by a factor of its own, drawn between two limits."""
    images = torch.full((4000, 1, 4, 4), 200, dtype=torch.uint8)
    images[:, :, :, 0] = 100
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for lowest in (0.5, 0.2):
            what = f"darken_each(images, {lowest})"
            hint = "the training images would grow darker in each epoch; write into a new tensor"
            first, again = (
                as_tensor(what, _call_untouched(answer, hint, images, lowest), images, "same shape") for _ in range(2)
            )
            factors, bright = first[:, 0].float() / images[:, 0], first[:, 0, :, 1:].float() / 200
            one_per_image = factors.amax(dim=(1, 2)) - factors.amin(dim=(1, 2)) < 0.02
            if not one_per_image.all():
                hint = "how many numbers do you draw for an image of 4 × 4? its pixels shall stay in proportion"
                raise cross(f"the factors within one image, {what}", "several", "one for each image", hint)
            per_image = bright.mean(dim=(1, 2))
            if per_image.unique().numel() == 1:
                hint = "this draws once for the whole batch, as transforms.v2 does; how many images are there?"
                if (per_image == 1).all():
                    hint = "nothing is darker; integers times a factor are floats, which are to be kept in a result"
                raise cross(f"the number of different factors, {what}", 1, "as many as images", hint)
            if torch.equal(first, again):
                hint = "each call is a new epoch: no seed is to be set inside"
                raise cross(f"a second call, {what}", "the same factors", "others", hint)
            low, high = per_image.min().item(), per_image.max().item()
            mistakes = [
                (high > 1.01, "a factor above 1 makes an image brighter"),
                (low > lowest + 0.03, "no image is as dark as is allowed"),
                (low < lowest - 0.03, "some images are darker than is allowed: stretch the draw, then move it"),
                (high < 0.97, "no image stays as bright as it was"),
            ]
            if any(found for found, _ in mistakes):
                seen, expected = f"{low:.2f} to {high:.2f}", f"about {lowest:.2f} to 1.00"
                raise cross(f"the range of the factors, {what}", seen, expected, first_hint(mistakes, ""))
            middle, wanted = per_image.mean().item(), (1 + lowest) / 2
            if abs(middle - wanted) > 0.03:
                hint = "all factors between the limits shall be as likely; how are yours distributed?"
                raise cross(f"the mean of the factors, {what}", f"{middle:.2f}", f"about {wanted:.2f}", hint)
            quarters = (per_image.histc(4, lowest, 1) / len(images)).tolist()
            if max(abs(share - 0.25) for share in quarters) > 0.05:
                hint = "the mean is right, and yet not all factors between the limits are as likely"
                shares = ", ".join(f"{share:.2f}" for share in quarters)
                raise cross(f"the factors in each quarter of the range, {what}", shares, "about 0.25 each", hint)
            kind = getattr(call(answer, images[:3], lowest), "dtype", "no dtype")
            if str(kind).split(".")[-1] != "uint8":
                hint = "the images came as uint8; `.to(torch.uint8)` turns floats back"
                raise cross(f"the dtype of {what}", kind, "torch.uint8", hint)
    tick("darken_each: one factor for each image, between the limits, anew in each call.")


def cut_and_share(answer: Callable) -> None:
    """Check CutMix with a given square: the mixed images, and which share of each is its own."""
    bright = torch.arange(4 * 6 * 8, dtype=torch.uint8).reshape(4, 1, 6, 8)
    black_ground = bright * (bright % 3 == 0)
    squares = [(1, 2, 3), (0, 0, 2), (4, 5, 4), (-1, -2, 4), (2, 6, 9), (0, 0, 9)]
    for images, (top, left, side) in [*((bright, square) for square in squares), (black_ground, (1, 2, 3))]:
        what = f"cut_and_share(images, {top}, {left}, {side})"
        hint = "the next image takes its part from one that is cut already; write into a copy"
        result = _call_untouched(answer, hint, images, top, left, side)
        if not is_pair(result):
            raise cross(f"what {what} gives back", short(result), "a pair", "give both, the mixed images first")
        expected, share = _cut(images, images.roll(1, 0), top, left, side)
        seen = as_tensor(f"the images of {what}", result[0], expected, "as many images, as large as before")
        if not torch.equal(seen, expected):
            mistakes = [
                (_cut(images, images.roll(-1, 0), top, left, side)[0], "the square comes from the image *before* it"),
                (_cut(images.roll(1, 0), images, top, left, side)[0], "inside and outside of the square are swapped"),
                (_cut(images, images.roll(1, 0), left, top, side)[0], "top counts rows, left counts columns"),
                (_cut(images, 0 * images, top, left, side)[0], "the square is black; it shall show the neighbour"),
                (_cut(images, images.roll(1, 0), top, left, side - 1)[0], "the square has one row too few"),
                (_cut(images, images.roll(1, 0), top, left, side + 1)[0], "the square has one row too many"),
                (_cut(images, images.roll(1, 0), max(top, 0), max(left, 0), side)[0], _MOVED),
                (images, "nothing is pasted; a slice from a negative row counts from the end: is it empty?"),
            ]
            hint = best_hint(seen, mistakes, "which rows and columns of an image does the square cover?")
            raise cross(f"the images of {what}", short(seen[0]), short(expected[0]), hint)
        seen = as_number(f"the share of {what}", result[1])
        if abs(seen - share) > 1e-4:
            height, width = images.shape[2:]
            alike = "a pasted pixel with the same grey is no longer the image's own: count by place"
            unchanged = (expected == images).float()
            mistakes = [
                (unchanged.mean(), alike),
                *[(value, alike) for value in unchanged.mean(dim=(1, 2, 3)).tolist()],
                (1 - share, "this is the share of the neighbour; the image's own is asked for"),
                (1 - side * side / (height * width), "a part of the square lies outside, where it covers nothing"),
                (1 - (1 - share) ** 0.5, "the label counts by area, not by the side of the square"),
                (1 - side / width, "the label counts by area, not by the side of the square"),
                (share * height * width, "this is a number of pixels; a share lies between 0 and 1"),
                (100 * share, "a share lies between 0 and 1"),
                (0.5, "the share depends on the square"),
            ]
            hint = best_hint(seen, mistakes, "count the pixels that are still the image's own, and all its pixels")
            raise cross(f"the share of {what}", f"{seen:.4f}", f"{share:.4f}", hint)
    tick("cut_and_share: the neighbour's square, also across an edge, and the share by what it really covers.")


_MOVED = "a square that begins outside has moved inside; only its part within the image is pasted"


def _cut(images: torch.Tensor, others: torch.Tensor, top: int, left: int, side: int) -> tuple[torch.Tensor, float]:
    """Paste a square of other images, and return the share of the pixels that lie outside of it."""
    height, width = images.shape[2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return torch.where(inside, others, images), 1 - inside.float().mean().item()


def what_was_taught(answer: Callable) -> None:
    """Check the reading of two invariance cards: which rows gained by a least number of points with every seed."""
    for before, after, least in _cards():
        rows = list(before.index)
        asked = wraps(answer)(lambda *cards: answer(*(card.copy() for card in cards[:2]), cards[2]))
        seen = call(asked, before, after, least)
        if isinstance(seen, str) or not isinstance(seen, list | tuple | pd.Index | np.ndarray | pd.Series):
            raise cross("what what_was_taught gives back", short(seen), "a list of names", "return the rows as a list")
        seen = [str(name) for name in seen]
        unknown = [name for name in seen if name not in rows]
        if unknown:
            raise cross("a name in your list", short(unknown[0]), "a name of a row", "`card.index` holds the names")

        expected, mistakes = _readings(before, after, least)
        if sorted(seen) == sorted(expected):
            continue
        hint = "for each row: three differences, their mean, and whether all are above 0"
        hint = first_hint([(sorted(wrong) == sorted(seen), words) for wrong, words in mistakes], hint)
        raise cross(f"the rows taught, at least {least} points", short(seen, 90), short(expected, 90), hint)
    tick("what_was_taught: large enough on average, and with every seed.")


def _readings(before: pd.DataFrame, after: pd.DataFrame, least: float) -> tuple[list[str], list]:
    """Return the rows that were taught, and what the usual mistakes name in their place, each with its hint."""
    gains = 100 * (after - before)
    mean, agree = gains.mean(axis=1), (gains > 0).all(axis=1)
    taught = (mean >= least) & agree
    rules = [
        ((mean > least) & agree, "at least so many points: the limit itself is enough"),
        ((mean >= least) & (gains >= 0).all(axis=1), "a pair that stayed where it was has not risen"),
        (mean >= least, "a mean can come from one lucky seed: do all pairs agree?"),
        (agree, "the pairs agree about all of yours; are the gains large enough?"),
        ((gains >= least).all(axis=1), "it is the mean that must reach the limit; each pair only 0"),
        (mean.abs() >= least, "a row that lost much has not been taught"),
        (gains.max(axis=1) >= least, "one seed is enough for you; all must agree"),
        (
            (mean >= least) & (after.min(axis=1) > before.max(axis=1)),
            "compare seed by seed: columns of the same name are a pair",
        ),
        (after.mean(axis=1) >= 0.8, "a high accuracy may have been there before: compare"),
        (~taught, "these are the rows that were not taught"),
        (mean / 100 >= least, "accuracies are fractions, and the limit is in points"),
        ((gains.median(axis=1) >= least) & agree, "on average: the mean of the pairs, not the one in the middle"),
        (
            ((gains / before).mean(axis=1) >= least) & agree,
            "points are the difference of two percentages; yours is a share of what was there before",
        ),
    ]
    return list(gains.index[taught]), [(list(gains.index[rule]), hint) for rule, hint in rules]


def _cards() -> list[tuple[pd.DataFrame, pd.DataFrame, float]]:
    """Make pairs of cards, a row for each change and a column for each seed, in which each usual mistake shows."""
    rows = ["as they are", "mirrored", "shifted", "turned", "darker", "erased", "upside down", "smaller"]
    before = [[84, 85, 83], [80, 70, 76], [50, 55, 60], [60, 62, 61]]
    before += [[70, 71, 69], [75, 74, 76], [30, 33, 31], [40, 45, 60]]
    gains = [[0.5, 0.4, 0.6], [4, 3, 2], [20, 25, 18], [-9, -8, -7]]
    gains += [[12, -1, 2], [0.2, -0.3, 0.1], [-2, -1, 5], [5, 6, 1]]
    before = pd.DataFrame(np.array(before) / 100, index=rows, columns=[0, 1, 2])
    after = before + pd.DataFrame(np.array(gains) / 100, index=rows, columns=[0, 1, 2])
    # Binary fractions, so that a gain of 0 and one of exactly the limit stay exact.
    level = pd.DataFrame(0.25, index=["mirrored", "turned", "darker", "erased", "smaller"], columns=[3, 4, 5, 6])
    level.loc["smaller"] = 0.75
    steps = np.array([[4, 4, 4, 4], [0, 8, 8, 8], [1, 5, 5, 4], [2, 2, 2, 2], [1, 1, 1, 1]]) / 64
    return [
        (before, after[[2, 0, 1]], 2.0),
        (after, before, 5.0),
        (before, after, 0.3),
        (level, level + steps, 6.25),
    ]


def worth_in_labels(answer: Callable) -> None:
    """Check how many labels of each class a rising curve needs to reach an accuracy, on a logarithmic axis."""
    cases = [
        ([5, 10, 20, 50, 100], [0.50, 0.58, 0.66, 0.72, 0.76], 0.62),
        ([5, 10, 20, 50, 100], [0.50, 0.58, 0.66, 0.72, 0.76], 0.70),
        ([4, 64], [0.4, 0.8], 0.5),
        ([5, 10, 20], [0.5, 0.6, 0.7], 0.6),
        ([5, 10, 20], [0.5, 0.6, 0.7], 0.7),
        ([5, 10, 20], [0.5, 0.6, 0.7], 0.4),
        ([5, 10, 20], [0.5, 0.6, 0.7], 0.75),
    ]
    for numbers, accuracies, wanted in cases:
        what = f"worth_in_labels({numbers}, {accuracies}, {wanted})"
        what = what if len(what) < 90 else f"worth_in_labels([5, …], …, {wanted})"
        seen = as_number(what, call(answer, list(numbers), list(accuracies), wanted))
        logs = np.log(numbers)
        if wanted > accuracies[-1]:
            if seen != float("inf"):
                hint = "the curve ends below what is wanted; nobody has measured where it would get there"
                raise cross(what, f"{seen:g}", "inf", hint)
            continue
        expected = float(np.exp(np.interp(wanted, accuracies, logs)))
        if abs(seen - expected) <= 1e-3 * expected:
            continue
        above = next(number for number, value in zip(numbers, accuracies, strict=True) if value >= wanted)
        nearest = numbers[int(np.abs(np.array(accuracies) - wanted).argmin())]
        mistakes = [
            (float(np.interp(wanted, accuracies, numbers)), "on this axis equal steps are equal factors"),
            (float(np.interp(wanted, accuracies, logs)), "this is the logarithm of a number; how do you get back?"),
            (float(above), "the curve passes the wanted accuracy before this point: go in between"),
            (float(nearest), "this is the nearest point; the curve passes the wanted accuracy in between"),
            (float(np.interp(wanted, numbers, accuracies)), "labels and accuracies are swapped"),
            (float(np.exp(np.interp(wanted, logs, accuracies))), "labels and accuracies are swapped"),
            (float("inf"), "the curve does get there, if only at its last point"),
        ]
        if wanted < accuracies[0]:
            hint = "the smallest number that was tried is enough; below it nothing was measured"
        else:
            hint = best_hint(seen, mistakes, "between which two points does the curve pass, and how far along?", 1e-3)
        raise cross(what, f"{seen:g}", f"{expected:g}", hint)
    tick("worth_in_labels: between the points by their logarithms, and no guess beyond the ends.")
