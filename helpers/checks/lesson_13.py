"""Checks of the exercises to lesson 13, your own photo."""

from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np
import torch

from helpers.checks.tools import as_number, as_tensor, best_hint, call, cross, is_pair, short, tick

# To the left, as np.rot90 counts them.
QUARTERS = {1: 0, 3: 2, 6: 3, 8: 1}


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """Lay colours with alpha, uint8 (H, W, 4), on white; float64 (H, W, 3)."""
    alpha = pixels[..., 3:] / 255
    return pixels[..., :3] * alpha + 255 * (1 - alpha)


def on_white_upright(answer: Callable) -> None:
    """Check a picture with alpha, uint8 (H, W, 4), laid on white and turned upright by its orientation."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    pixels[0, :, 3], pixels[1, :, 3] = 0, 255
    for orientation in (1, 3, 6, 8):
        what = f"on_white_upright(pixels, {orientation})"
        seen = call(answer, pixels, orientation)
        expected = np.rot90(_on_white(pixels), QUARTERS[orientation])
        hint = "a quarter turn exchanges height and width, and no other does; alpha is used up, so three channels stay"
        if getattr(seen, "dtype", None) is not None and str(seen.dtype).split(".")[-1] != "uint8":
            raise cross(f"the kind of numbers of {what}", seen.dtype, "uint8", "round first, then astype(np.uint8)")
        seen = as_tensor(what, seen, torch.from_numpy(expected.copy()), hint)
        alpha = pixels[..., 3:] / 255
        colours = pixels[..., :3].astype(float)
        wrong_colours = [
            (colours, "alpha is not used: what is transparent shows a colour that nobody is meant to see"),
            (colours * alpha, "transparent parts became black: what lies behind the picture?"),
            (
                colours * (1 - alpha) + 255 * alpha,
                "alpha is how opaque a pixel is, and yours takes it the other way round",
            ),
            (np.where(alpha > 0, colours, 255), "a half transparent pixel is half white; yours is all or nothing"),
            (np.where(alpha >= 0.5, colours, 255), "a half transparent pixel is half white; yours is all or nothing"),
        ]
        mistakes = [(np.rot90(wrong, QUARTERS[orientation]), hint) for wrong, hint in wrong_colours]
        for turn, hint in (
            (-QUARTERS[orientation], "it is turned to the wrong side; np.rot90 turns to the left"),
            (0, "it is not turned"),
        ):
            mistakes.append((np.rot90(_on_white(pixels), turn), hint))
        for mirrored in (_on_white(pixels).swapaxes(0, 1), _on_white(pixels)[::-1], _on_white(pixels)[:, ::-1]):
            mistakes.append((mirrored, "it is mirrored: exchanging or reversing one axis is no turn"))
        away = (seen - torch.from_numpy(expected.copy())).abs()
        if away.max() > 0.51:
            if away.max() <= 1.01:
                hint = "numbers are cut off: round before they become uint8"
            else:
                rounded = [(wrong.round().copy(), hint) for wrong, hint in mistakes]
                hint = best_hint(seen, rounded, "take one pixel: is its colour right, then is its place?")
            row, column, _ = np.unravel_index(int(away.argmax()), expected.shape)
            place = f"the pixel [{row}, {column}] of {what}"
            raise cross(place, short(seen[row, column]), short(expected[row, column].round().tolist()), hint)
    tick("on_white_upright: transparent parts lie on white, and every orientation comes out upright.")


def _prepare(pixels, fill=0, middle=True, proportion=True, negate=True, late=False, whole=round):
    """Prepare a grey photo, with one step replaced by a wrong one."""
    height, width = pixels.shape
    longest = max(height, width)
    sizes = [max(1, whole(28 * side / longest)) for side in (height, width)] if proportion else [28, 28]
    rows, columns = (np.arange(new) * old // new for new, old in zip(sizes, (height, width), strict=True))
    small = pixels[rows][:, columns]
    square = np.full((28, 28), fill, dtype=np.uint8)
    top, left = ((28 - new + late) // 2 if middle else 0 for new in sizes)
    square[top : top + sizes[0], left : left + sizes[1]] = 255 - small if negate else small
    return square


def prepare(answer: Callable) -> None:
    """Check the way from a trimmed grey photo, uint8 (H, W), to 28 × 28 pixels, bright on black."""
    rng = np.random.default_rng(5)
    for height, width in [(56, 56), (100, 41), (37, 90), (12, 5), (300, 2)]:
        pixels = rng.integers(0, 200, (height, width), dtype=np.uint8)
        what = f"prepare of a photo of {height} × {width}"
        seen = as_tensor(what, call(answer, pixels), torch.zeros(28, 28), "the result is always 28 × 28")
        expected = torch.from_numpy(_prepare(pixels)).float()
        mistakes = [
            (_prepare(pixels, proportion=False), "the garment fills the square, so its proportions are gone"),
            (_prepare(pixels, fill=128), "what is filled in is grey; which number had the background in training?"),
            (_prepare(pixels, fill=255), "what is filled in is white; is it filled before or after negating?"),
            (
                _prepare(pixels, negate=False),
                "the garment is as dark as in the photo; training images are bright on black",
            ),
            (_prepare(pixels, middle=False), "the garment stands in a corner; the authors put it in the middle"),
            (_prepare(pixels, whole=int), "the shorter edge is rounded to the nearest number, not cut off"),
            (_prepare(pixels, late=True), "of an odd number of pixels to be filled the smaller part comes first"),
        ]
        if not torch.equal(seen, expected):
            hint = best_hint(seen, mistakes, "take it apart: the size, the rows and columns, the place, the fill", 0.01)
            row, column = divmod(int((seen - expected).abs().argmax()), 28)
            place = f"the pixel [{row}, {column}] of {what}"
            raise cross(place, f"{seen[row, column]:g}", f"{expected[row, column]:g}", hint)
    tick("prepare: proportions kept, in the middle, on black, for wide, high and very narrow photos.")


def _blame(right: dict, faults: tuple) -> dict:
    """Return the mean fall of each fault over all orders."""
    orders = list(permutations(faults))
    shares = dict.fromkeys(faults, 0.0)
    for order in orders:
        for number, fault in enumerate(order):
            shares[fault] += (right[frozenset(order[:number])] - right[frozenset(order[: number + 1])]) / len(orders)
    return shares


def blame(answer: Callable) -> None:
    """Check the price of each fault, averaged over all orders, from the accuracy of every combination."""
    rng = np.random.default_rng(7)
    for faults in [("dark", "blurred"), ("dark", "blurred", "far"), ("fog", "tilted", "dark", "far")]:
        sets = [frozenset(some) for size in range(len(faults) + 1) for some in combinations(faults, size)]
        right = {some: 0.95 - 0.18 * len(some) + 0.1 * rng.random() for some in sets}
        what = f"blame for {len(faults)} faults"
        seen = call(answer, dict(right), faults)
        if not isinstance(seen, dict) or set(seen) != set(faults):
            raise cross(
                f"what {what} gives back", short(seen), f"a dict with the keys {faults}", "one number by each name"
            )
        expected = _blame(right, faults)
        found = torch.tensor([as_number(f"the share of {fault!r}", seen[fault]) for fault in faults]).double()
        truth = torch.tensor([expected[fault] for fault in faults]).double()
        none, every = right[frozenset()], right[frozenset(faults)]
        alone = [none - right[frozenset([fault])] for fault in faults]
        last = [right[frozenset(set(faults) - {fault})] - every for fault in faults]
        turn = [
            right[frozenset(faults[:number])] - right[frozenset(faults[: number + 1])] for number in range(len(faults))
        ]
        turned = [faults[number:] + faults[:number] for number in range(len(faults))]
        cycle = [
            np.mean(
                [right[frozenset(one[: one.index(f)])] - right[frozenset(one[: one.index(f) + 1])] for one in turned]
            )
            for f in faults
        ]
        plain = [
            np.mean([right[some] - right[some | {fault}] for some in sets if fault not in some]) for fault in faults
        ]
        mistakes = [
            (-truth, "the sign: a fault that costs accuracy has a positive share"),
            (100 * truth, "a share of accuracy, not points"),
            (alone, "that is each fault alone; what does it cost after others?"),
            (last, "that is each fault as the last of all; what does it cost as the first?"),
            (turn, "that is one order; the names could stand in another"),
            (truth * len(list(permutations(faults))), "a mean over the orders, not their sum"),
            (
                truth * len(list(permutations(faults))) / 6,
                "six orders are those of three faults; how many has this tuple?",
            ),
            (cycle, "these are not all orders; how many are there for so many faults?"),
            ([(none - every) / len(faults)] * len(faults), "the whole fall was divided alike, whoever caused it"),
            (plain, "every combination counts once in yours; but some begin more orders than others"),
        ]
        if not torch.allclose(found, truth, atol=1e-6):
            hint = best_hint(found, mistakes, "write down one order by hand: which fall belongs to which fault?", 1e-6)
            raise cross(what, short(found), short(truth), hint)
    tick("blame: the mean over all orders, for two, three and four faults; the shares add up to the whole fall.")


def to_bytes(answer: Callable) -> None:
    """Check values as uint8 with a scale and a zero, and the values that come back."""
    generator = torch.Generator().manual_seed(2)
    for low, high in [(-0.8, 1.9), (0.0, 6.0), (-3.0, 1.0)]:
        x = low - 0.5 + (high - low + 1) * torch.rand(4, 30, generator=generator)
        x[0, 0] = 0.0
        what = f"to_bytes(x, {low}, {high})"
        result = call(answer, x, low, high)
        if not is_pair(result):
            raise cross(f"what {what} gives back", short(result), "a pair", "return q first, then what comes back")
        scale = (high - low) / 255
        zero = round(-low / scale)
        free = (x / scale).round() + zero
        q = free.clamp(0, 255)
        if str(getattr(result[0], "dtype", "uint8")).split(".")[-1] != "uint8":
            raise cross(
                f"the kind of numbers of q, {what}", result[0].dtype, "torch.uint8", "one byte is the point of it"
            )
        seen = as_tensor(f"q of {what}", result[0], q, "q has the shape of x")
        mistakes = [
            (free % 256, "what lies beyond 255 starts again at 0; what is the nearest end?"),
            (((x / scale).floor() + zero).clamp(0, 255), "that is cut off, not rounded"),
            (((x / scale).trunc() + zero).clamp(0, 255), "that is cut off, not rounded"),
            ((x / scale).round().clamp(0, 255), "zero is missing: which q belongs to the value 0?"),
            (((x / scale).round() - zero).clamp(0, 255), "the sign of zero: low becomes 0, so 0 becomes a larger q"),
            (free.clamp(0, 127), "uint8 goes up to 255, not 127"),
            (((x - low) / ((high - low) / 256)).floor().clamp(0, 255), "from 0 to 255 there are 255 steps, not 256"),
        ]
        if not torch.equal(seen, q):
            hint = best_hint(seen, mistakes, "scale, zero, round, then the nearest end: which step differs?", 1e-4)
            place = int((seen - q).abs().argmax())
            value = f"q of the value {x.flatten()[place]:.3f}, {what}"
            raise cross(value, f"{seen.flatten()[place]:g}", f"{q.flatten()[place]:g}", hint)
        back = (q - zero) * scale
        seen = as_tensor(f"the values back, {what}", result[1], back, "they have the shape of x")
        mistakes = [
            (x, "these are the values before they became bytes"),
            (q * scale, "zero is still in it: take it off before you multiply"),
            (q * scale + low, "by this way the value 0 need not come back as 0"),
            (q - zero, "the scale is missing"),
            (
                ((q.int() - zero) % 256).float() * scale,
                "uint8 minus a number starts again at 255; make it a float first",
            ),
        ]
        if not torch.allclose(seen, back.float(), atol=1e-5):
            hint = best_hint(seen, mistakes, "it is the formula for the way back, with q as a float", 1e-5)
            place = int((seen - back).abs().argmax())
            value = f"what comes back of q = {q.flatten()[place]:g}, {what}"
            raise cross(value, f"{seen.flatten()[place]:.4f}", f"{back.flatten()[place]:.4f}", hint)
    tick("to_bytes: there and back, 0 stays 0, and what lies outside of the range becomes the nearest end.")


def compare_logits(answer: Callable) -> None:
    """Check the largest relative difference of two tensors of logits, and the number of predictions that differ."""
    generator = torch.Generator().manual_seed(4)
    ours = 3 * torch.randn(40, 10, generator=generator) + 5 * torch.rand(40, 1, generator=generator)
    lower = ours.clone()
    lower[7, ours[7].argmax()] -= 9  # a single number, far below
    broken = ours.clone()
    broken[3, ours[3].argmin()] = float("nan")
    cases = {
        "the same logits": ours.clone(),
        "logits divided by two": ours / 2,
        "a number added to each row": ours + torch.randn(40, 1, generator=generator),
        "one logit far too low": lower,
        "one logit not a number": broken,
        "one logit minus infinity": torch.where(broken.isnan(), -torch.inf, broken),
    }
    for name, theirs in cases.items():
        what = f"compare_logits for {name}"
        result = call(answer, ours, theirs)
        if not is_pair(result):
            raise cross(f"what {what} gives back", short(result), "a pair", "the difference first, then the count")
        seen, changed = as_number(f"the difference, {what},", result[0]), as_number(f"the count, {what},", result[1])
        a, b = ours - ours.mean(dim=1, keepdim=True), theirs - theirs.mean(dim=1, keepdim=True)
        finite = bool(theirs.isfinite().all())
        expected = ((a - b).abs().max() / a.abs().max()).item() if finite else float("inf")
        differing = int((ours.argmax(dim=1) != theirs.argmax(dim=1)).sum())
        mistakes = [
            ((a - b).max() / a.abs().max(), "a difference downwards counts as much as one upwards"),
            ((a - b).abs().max(), "a share is asked for: of the largest number in ours"),
            (
                (ours - theirs).abs().max() / ours.abs().max(),
                "the mean of each row is still in it, and softmax cannot see it",
            ),
            ((a - b).abs().max() / ours.abs().max(), "take the means off before you look for the largest number too"),
            (
                (a - b).abs().mean() / a.abs().mean(),
                "a mean hides the one logit that is far off; the largest is asked for",
            ),
            (
                (a - b).abs().mean() / a.abs().max(),
                "a mean hides the one logit that is far off; the largest is asked for",
            ),
            ((a - b).abs().max() / a.max(), "the largest number without its sign may be a negative one"),
            ((a - b).abs().max() / b.abs().max(), "a share of the largest number in ours, not in theirs"),
            (
                (ours - ours.mean() - theirs + theirs.mean()).abs().max() / (ours - ours.mean()).abs().max(),
                "each row has a mean of its own",
            ),
            (
                (ours - ours.mean(0) - theirs + theirs.mean(0)).abs().max() / (ours - ours.mean(0)).abs().max(),
                "a row holds the ten logits of an image; over which dimension is its mean?",
            ),
            (
                ((a - b).abs().amax(1) / a.abs().amax(1)).max(),
                "one largest number for all images: ours has only one",
            ),
        ]
        if not finite and seen != expected:
            hint = "a comparison with NaN is never true, so it slips through: ask isfinite first"
            if not theirs.isnan().any():
                hint = "infinity is no NaN, and no finite number either: ask isfinite first"
            raise cross(what, f"{seen:g}", "inf", hint)
        if finite and not abs(seen - expected) < 1e-5:
            hint = best_hint(torch.tensor(seen), mistakes, "means off, differences without sign, largest, share", 1e-5)
            raise cross(what, f"{seen:.5f}", f"{expected:.5f}", hint)
        if changed != differing:
            hint = "a prediction is the class of the largest of the ten logits of an image; count where they differ"
            hint = "that is how many agree" if changed == len(ours) - differing else hint
            hint = "a number of predictions, not a share" if changed == differing / len(ours) != 0 else hint
            raise cross(f"the number of changed predictions, {what}", f"{changed:g}", differing, hint)
    tick("compare_logits: finds a wrong scale, a single wrong number and NaN, and lets a shift of whole rows pass.")
