"""Wrong answers to the exercises of lesson 13, each with a part of the hint that fits it."""

from itertools import permutations

import numpy as np
import torch

QUARTERS = {1: 0, 3: 2, 6: 3, 8: 1}


def named(name, function):
    """Give a function the name of its mistake."""
    function.__name__ = name
    return function


def laid(lay=None, turn=None, finish=None):
    """Answer exercise 1 with one step replaced by a wrong one."""

    def on_white_upright(pixels, orientation):
        colours, alpha = pixels[..., :3].astype(float), pixels[..., 3:] / 255
        result = (lay or (lambda c, a: c * a + 255 * (1 - a)))(colours, alpha)
        result = (turn or (lambda p, o: np.rot90(p, QUARTERS[o])))(result, orientation)
        return (finish or (lambda p: p.round().astype(np.uint8)))(result)

    return on_white_upright


UPRIGHT = {
    "alpha_ignored": (laid(lay=lambda c, a: c), "alpha is not used"),
    "on_black": (laid(lay=lambda c, a: c * a), "became black"),
    "on_grey": (laid(lay=lambda c, a: c * a + 128 * (1 - a)), "take one pixel"),
    "alpha_reversed": (laid(lay=lambda c, a: c * (1 - a) + 255 * a), "the other way round"),
    "all_or_nothing": (laid(lay=lambda c, a: np.where(a > 0, c, 255)), "half white"),
    "half_or_nothing": (laid(lay=lambda c, a: np.where(a >= 0.5, c, 255)), "half white"),
    "never_turned": (laid(turn=lambda p, o: p), "it is not turned"),
    "wrong_side": (laid(turn=lambda p, o: np.rot90(p, -QUARTERS[o])), "to the wrong side"),
    "transposed": (laid(turn=lambda p, o: p.swapaxes(0, 1) if o in (6, 8) else np.rot90(p, QUARTERS[o])), "mirrored"),
    "three_is_a_flip": (laid(turn=lambda p, o: p[::-1] if o == 3 else np.rot90(p, QUARTERS[o])), "mirrored"),
    "alpha_kept": (lambda p, o: np.rot90(p, QUARTERS[o]), "three channels stay"),
    "floats": (laid(finish=lambda p: p), "round first"),
    "cut_off_not_rounded": (laid(finish=lambda p: p.astype(np.uint8)), "round before"),
}


def prepared(fill=0, middle=True, proportion=True, negate=True, late=False, whole=round):
    """Answer exercise 2 with one step replaced by a wrong one."""

    def prepare(pixels):
        height, width = pixels.shape
        longest = max(height, width)
        sizes = [max(1, whole(28 * side / longest)) for side in (height, width)] if proportion else [28, 28]
        rows, columns = (np.arange(new) * old // new for new, old in zip(sizes, (height, width), strict=True))
        square = np.full((28, 28), fill, dtype=np.uint8)
        top, left = ((28 - new + late) // 2 if middle else 0 for new in sizes)
        small = pixels[rows][:, columns]
        square[top : top + sizes[0], left : left + sizes[1]] = 255 - small if negate else small
        return square

    return prepare


def as_on_the_page(pixels):
    height, width = pixels.shape
    square = np.full((28, 28), 128, dtype=np.uint8)
    square[:, :20] = 255 - pixels[np.arange(28) * height // 28][:, np.arange(20) * width // 20]
    return square


def not_extended(pixels):
    return 255 - pixels[:28, :28]


PREPARED = {
    "stretched": (prepared(proportion=False), "its proportions are gone"),
    "grey_bars": (prepared(fill=128), "is grey"),
    "white_bars": (prepared(fill=255), "before or after negating"),
    "not_negated": (prepared(negate=False), "as dark as in the photo"),
    "not_negated_on_white": (prepared(negate=False, fill=255), "dark as in the photo"),
    "in_the_corner": (prepared(middle=False), "in a corner"),
    "edge_cut_off": (prepared(whole=int), "rounded to the nearest number"),
    "larger_part_first": (prepared(late=True), "the smaller part comes first"),
    "as_on_the_page": (as_on_the_page, "take it apart"),
    "not_extended": (not_extended, "take it apart"),
}


def fair(right, faults):
    orders = list(permutations(faults))
    shares = dict.fromkeys(faults, 0.0)
    for order in orders:
        for number, fault in enumerate(order):
            shares[fault] += (right[frozenset(order[:number])] - right[frozenset(order[: number + 1])]) / len(orders)
    return shares


def scaled(factor):
    return lambda right, faults: {fault: factor(faults) * share for fault, share in fair(right, faults).items()}


def alone(right, faults):
    return {fault: right[frozenset()] - right[frozenset([fault])] for fault in faults}


def as_the_last(right, faults):
    return {fault: right[frozenset(set(faults) - {fault})] - right[frozenset(faults)] for fault in faults}


def one_order(right, faults):
    return {fault: right[frozenset(faults[:i])] - right[frozenset(faults[: i + 1])] for i, fault in enumerate(faults)}


def alike(right, faults):
    return dict.fromkeys(faults, (right[frozenset()] - right[frozenset(faults)]) / len(faults))


def rotations_alone(right, faults):
    shares = dict.fromkeys(faults, 0.0)
    for first in range(len(faults)):
        for fault, share in one_order(right, faults[first:] + faults[:first]).items():
            shares[fault] += share / len(faults)
    return shares


def every_combination_once(right, faults):
    return {f: np.mean([right[some] - right[some | {f}] for some in right if f not in some]) for f in faults}


def blamed_on_the_one_before(right, faults):
    orders = list(permutations(faults))
    shares = dict.fromkeys(faults, 0.0)
    for order in orders:
        for number in range(len(order)):
            fall = right[frozenset(order[:number])] - right[frozenset(order[: number + 1])]
            shares[order[number - 1]] += fall / len(orders)
    return shares


BLAME = {
    "sign": (scaled(lambda faults: -1), "the sign"),
    "points": (scaled(lambda faults: 100), "not points"),
    "alone": (alone, "each fault alone"),
    "as_the_last": (as_the_last, "the last of all"),
    "one_order": (one_order, "one order"),
    "sum_of_orders": (scaled(lambda faults: len(list(permutations(faults)))), "not their sum"),
    "six_orders": (scaled(lambda faults: len(list(permutations(faults))) / 6), "six orders are those of three"),
    "rotations_alone": (rotations_alone, "these are not all orders"),
    "blamed_on_the_one_before": (blamed_on_the_one_before, "which fall belongs to which fault"),
    "alike": (alike, "divided alike"),
    "every_combination_once": (every_combination_once, "some begin more orders"),
    "a_list": (lambda right, faults: list(fair(right, faults).values()), "one number by each name"),
}


def there(make, back=None):
    """Answer exercise 4 with a wrong way there, or a wrong way back."""

    def to_bytes(x, low, high):
        scale = (high - low) / 255
        zero = round(-low / scale)
        q = make(x, scale, zero, low, high).to(torch.uint8)
        return q, back(x, q, scale, zero, low) if back else (q.float() - zero) * scale

    return to_bytes


def right_way(x, scale, zero, low, high):
    return ((x / scale).round() + zero).clamp(0, 255)


BYTES = {
    "starts_again": (there(lambda x, s, z, a, b: ((x / s).round() + z).int() % 256), "starts again at 0"),
    "floor": (there(lambda x, s, z, a, b: ((x / s).floor() + z).clamp(0, 255)), "not rounded"),
    "times_the_scale": (there(lambda x, s, z, a, b: ((x * s).round() + z).clamp(0, 255)), "which step differs"),
    "zero_missing": (there(lambda x, s, z, a, b: (x / s).round().clamp(0, 255)), "zero is missing"),
    "sign_of_zero": (there(lambda x, s, z, a, b: ((x / s).round() - z).clamp(0, 255)), "the sign of zero"),
    "up_to_127": (there(lambda x, s, z, a, b: ((x / s).round() + z).clamp(0, 127)), "not 127"),
    "steps_of_256": (there(lambda x, s, z, a, b: ((x - a) / ((b - a) / 256)).floor().clamp(0, 255)), "255 steps"),
    "values_before": (there(right_way, lambda x, q, s, z, a: x), "before they became bytes"),
    "zero_left_in": (there(right_way, lambda x, q, s, z, a: q * s), "take it off"),
    "zero_added": (there(right_way, lambda x, q, s, z, a: (q.float() + z) * s), "the formula for the way back"),
    "from_low": (there(right_way, lambda x, q, s, z, a: q * s + a), "need not come back as 0"),
    "scale_missing": (there(right_way, lambda x, q, s, z, a: q.float() - z), "the scale is missing"),
    "uint8_minus": (there(right_way, lambda x, q, s, z, a: (q - z) * s), "make it a float first"),
    "q_alone": (lambda x, low, high: right_way(x, (high - low) / 255, 0, low, high).to(torch.uint8), "q first"),
    "not_bytes": (lambda x, low, high: (x.round(), x), "one byte is the point"),
}


def compared(difference=None, count=None, centre=True, unchecked=False):
    """Answer exercise 5 with one step replaced by a wrong one."""

    def compare_logits(ours, theirs):
        differs = ours.argmax(dim=1) != theirs.argmax(dim=1)
        changed = (count or torch.sum)(differs)
        if not unchecked and not theirs.isfinite().all():
            return float("inf"), changed
        a, b = (x - x.mean(dim=1, keepdim=True) if centre else x for x in (ours, theirs))
        if difference:
            return difference(a, b), changed
        return (a - b).abs().max() / a.abs().max(), changed

    return compare_logits


def centred(logits):
    return logits - logits.mean(dim=1, keepdim=True)


def likeliest_images_compared(ours, theirs):
    return compared()(ours, theirs)[0], (ours.argmax(dim=0) != theirs.argmax(dim=0)).sum()


def nan_slips_through(ours, theirs):
    a, b = (x - x.mean(dim=1, keepdim=True) for x in (ours, theirs))
    largest = 0.0
    for value in ((a - b).abs() / a.abs().max()).flatten().tolist():
        if value > largest:
            largest = value
    return largest, (ours.argmax(dim=1) != theirs.argmax(dim=1)).sum()


def nan_alone(ours, theirs):
    if theirs.isnan().any():
        return compared()(ours, theirs)
    return compared(unchecked=True)(ours, theirs)


COMPARED = {
    "share_of_theirs": (compared(lambda a, b: (a - b).abs().max() / b.abs().max()), "not in theirs"),
    "one_mean_for_all": (
        compared(lambda a, b: (a - a.mean() - b + b.mean()).abs().max() / (a - a.mean()).abs().max(), centre=False),
        "each row has a mean of its own",
    ),
    "means_of_the_classes": (
        compared(lambda a, b: (a - a.mean(0) - b + b.mean(0)).abs().max() / (a - a.mean(0)).abs().max(), centre=False),
        "over which dimension",
    ),
    "largest_of_each_row": (
        compared(lambda a, b: ((a - b).abs().amax(1) / a.abs().amax(1)).max()),
        "one largest number for all images",
    ),
    "nan_alone": (nan_alone, "infinity is no NaN"),
    "sign_kept": (compared(lambda a, b: (a - b).min() / a.abs().max()), "means off, differences without sign"),
    "upwards_only": (compared(lambda a, b: (b - a).max() / a.abs().max()), "means off, differences without sign"),
    "downwards_only": (compared(lambda a, b: (a - b).max() / a.abs().max()), "a difference downwards counts"),
    "largest_with_its_sign": (compared(lambda a, b: (a - b).abs().max() / a.max()), "may be a negative one"),
    "absolute": (compared(lambda a, b: (a - b).abs().max()), "a share is asked for"),
    "share_with_means": (
        compared(lambda a, b: (centred(a) - centred(b)).abs().max() / a.abs().max(), centre=False),
        "before you look for the largest number too",
    ),
    "means_left_in": (compared(centre=False), "the mean of each row is still in it"),
    "mean_difference": (compared(lambda a, b: (a - b).abs().mean() / a.abs().mean()), "a mean hides"),
    "likeliest_images_compared": (likeliest_images_compared, "the class of the largest of the ten logits"),
    "agreeing_counted": (compared(count=lambda differs: (~differs).sum()), "how many agree"),
    "share_of_predictions": (compared(count=lambda differs: differs.double().mean()), "not a share"),
    "nan_slips_through": (nan_slips_through, "ask isfinite first"),
    "nan_returned": (compared(unchecked=True), "ask isfinite first"),
    "difference_alone": (lambda ours, theirs: (ours - theirs).abs().max(), "the difference first"),
}
TABLES = {
    "on_white_upright": UPRIGHT,
    "prepare": PREPARED,
    "blame": BLAME,
    "to_bytes": BYTES,
    "compare_logits": COMPARED,
}
WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in table.items()]
    for check, table in TABLES.items()
}
