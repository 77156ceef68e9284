"""Wrong answers to the exercises of lesson 11, each with a part of the hint that fits it."""

import numpy as np
import torch


def named(name, function):
    """Give a function the name of its mistake."""
    function.__name__ = name
    return function


def foggy(mean, rounded=torch.round, way=lambda values, goal, share: values + share * (goal - values)):
    """Answer with another mean, another rounding or another way."""

    def fog(images, share):
        values = images.float()
        return rounded(way(values, mean(values), share)).to(torch.uint8)

    return fog


def own_mean(values):
    return values.mean(dim=(1, 2, 3), keepdim=True)


def in_uint8(images, share):
    means = images.float().mean(dim=(1, 2, 3), keepdim=True)
    return images + (share * (means - images.float())).to(torch.uint8)


FOGS = {
    "one_mean_for_all": (foggy(lambda values: values.mean()), "each has a mean of its own"),
    "mean_of_rows": (foggy(lambda values: values.mean(dim=3, keepdim=True)), "over which dimensions"),
    "towards_black": (foggy(lambda values: 0), "this makes images darker"),
    "towards_middle_grey": (foggy(lambda values: 127.5), "is the middle grey that mean"),
    "share_kept": (foggy(own_mean, way=lambda v, m, s: m + s * (v - m)), "the other way round"),
    "cut_off": (foggy(own_mean, rounded=torch.floor), "cuts the fraction off"),
    "in_uint8": (in_uint8, "wrap around"),
    "floats": (lambda images, share: foggy(own_mean)(images, share).float(), "back to grey levels"),
}


def shifted_by(level, inside=True, outside=True, sign=1):
    """Answer with another level, or one that is used in one place only."""

    def energy(logits):
        m = level(logits)
        total = (logits - (m if inside else 0)).exp().sum(dim=1, keepdim=True).log()
        return -(total + sign * (m if outside else 0))[:, 0]

    return energy


def row_maximum(logits):
    return logits.max(dim=1, keepdim=True).values


ENERGIES = {
    "float64": (lambda logits: -logits.double().exp().sum(dim=1).log(), "left the range of its floats"),
    "mean_as_m": (shifted_by(lambda logits: logits.mean(dim=1, keepdim=True)), "far above its mean"),
    "as_in_the_lesson": (lambda logits: -logits.exp().sum(dim=1).log(), "left the range of its floats"),
    "one_m_for_all": (shifted_by(lambda logits: logits.max()), "each row has its own"),
    "sign_forgotten": (lambda logits: logits.logsumexp(dim=1), "the sign: energy is low"),
    "largest_logit": (lambda logits: -logits.max(dim=1).values, "the others count a little"),
    "m_outside_only": (shifted_by(row_maximum, inside=False), "not taken away inside"),
    "m_inside_only": (shifted_by(row_maximum, outside=False), "added again outside"),
    "m_with_the_wrong_sign": (shifted_by(row_maximum, sign=-1), "the sign of m"),
    "m_added_inside": (shifted_by(lambda logits: -row_maximum(logits), sign=-1), "the sign of m"),
    "logarithm_of_base_2": (lambda logits: -logits.exp().sum(dim=1).log2(), "m plus the logarithm of the sum"),
    "cancelled": (lambda logits: -logits.sum(dim=1), "do not cancel"),
    "mean": (lambda logits: -logits.exp().mean(dim=1).log(), "their sum is wanted"),
    "log_softmax_first": (lambda logits: -logits.log_softmax(dim=1).logsumexp(dim=1), "takes the level away"),
    "over_the_batch": (lambda logits: -logits.logsumexp(dim=0), "one number for each row"),
    "logarithm_missing": (lambda logits: logits.exp().sum(dim=1), "the logarithm is missing"),
}


def shares(part, thresholds):
    return [0.0, *((part >= level).mean().item() for level in thresholds)]


def levels(*parts):
    return sorted(set(np.concatenate(parts).tolist()), reverse=True)


def curve_of(known, foreign, thresholds):
    return shares(foreign, thresholds), shares(known, thresholds)


def refused(known, foreign):
    return tuple([1 - value for value in part] for part in curve_of(known, foreign, levels(known, foreign)))


def above(known, foreign):
    return tuple(
        [0.0, *((part > level).mean().item() for level in levels(known, foreign))] for part in (foreign, known)
    )


def of_all(known, foreign):
    total = len(known) + len(foreign)
    found = curve_of(known, foreign, levels(known, foreign))
    return tuple(
        [len(part) * value / total for value in curve] for part, curve in zip((foreign, known), found, strict=True)
    )


def counted(known, foreign):
    curves = curve_of(known, foreign, levels(known, foreign))
    return tuple([len(part) * value for value in curve] for part, curve in zip((foreign, known), curves, strict=True))


def exactly_the_threshold(known, foreign):
    return tuple([0.0, *((part == level).mean() for level in levels(known, foreign))] for part in (foreign, known))


def last_point_twice(known, foreign):
    return tuple([*part, 1.0] for part in curve_of(known, foreign, levels(known, foreign)))


CURVES = {
    "last_point_twice": (last_point_twice, "is there once"),
    "exchanged": (lambda k, f: curve_of(k, f, levels(k, f))[::-1], "the two lists are exchanged"),
    "ties_one_by_one": (
        lambda k, f: curve_of(k, f, sorted(np.concatenate([k, f]).tolist(), reverse=True)),
        "they make one step together",
    ),
    "without_the_first_point": (
        lambda k, f: tuple(part[1:] for part in curve_of(k, f, levels(k, f))),
        "the first point is (0, 0)",
    ),
    "above_the_threshold": (above, "is answered too"),
    "from_the_lowest": (
        lambda k, f: tuple(part[::-1] for part in curve_of(k, f, levels(k, f))),
        "from the highest down",
    ),
    "thresholds_of_the_known": (lambda k, f: curve_of(k, f, levels(k)), "the scores of both kinds"),
    "share_of_all_images": (of_all, "of its own kind"),
    "counted": (counted, "over the number of its kind"),
    "exactly_the_threshold": (exactly_the_threshold, "has at least that score"),
    "thresholds_of_a_grid": (lambda k, f: curve_of(k, f, np.linspace(1, 0, 101)), "count the different scores"),
    "refused": (refused, "that are refused"),
    "area_alone": (lambda k, f: 0.9, "foreign first"),
}


def strips(total_only=False, sign=1, divide_by_height=False, first_row=False, overwrite=False, fresh=True):
    """Answer with one step of occlusion by strips done wrongly."""

    def occlude_rows(ask, image, height):
        rows, before, covered = len(image), ask(image), image.clone()
        total, times = torch.zeros(rows), torch.zeros(rows)
        for top in range(rows - height + 1):
            covered = image.clone() if fresh else covered
            covered[top : top + height] = 0
            fall = sign * (before - ask(covered))
            where = slice(top, top + 1) if first_row else slice(top, top + height)
            total[where] = fall if overwrite else total[where] + fall
            times[top : top + height] += 1
        if total_only or first_row or overwrite:
            return total
        return total / (height if divide_by_height else times)

    return occlude_rows


def until(last, cover=lambda image: 0):
    """Answer with other places for the strips, up to a last one, or with another cover."""

    def occlude_rows(ask, image, height):
        total, times = torch.zeros(len(image)), torch.zeros(len(image))
        for top in range(last(len(image), height)):
            covered = image.clone()
            covered[top : top + height] = cover(image)
            total[top : top + height] += ask(image) - ask(covered)
            times[top : top + height] += 1
        return total / times

    return occlude_rows


def image_left_black(ask, image, height):
    falls = strips()(ask, image, height)
    image[-height:] = 0
    return falls


STRIPS = {
    "last_strip_forgotten": (until(lambda rows, height: rows - height), "where does the last strip begin"),
    "strips_over_the_edge": (until(lambda rows, height: rows), "get shorter at the lower edge"),
    "covered_with_the_mean": (until(lambda rows, height: rows - height + 1, torch.mean), "a copy, rows to 0"),
    "image_left_black": (image_left_black, "cover a copy"),
    "sum": (strips(total_only=True), "covered more often"),
    "rise_for_fall": (strips(sign=-1), "the sign: a fall"),
    "divided_by_the_height": (strips(divide_by_height=True), "covered by fewer strips"),
    "first_row_only": (strips(first_row=True), "not only the first"),
    "overwritten": (strips(overwrite=True), "overwrites"),
    "stays_covered": (strips(fresh=False), "fresh copy"),
}


def back(order, follow=lambda probabilities, answer: probabilities[answer], delete=False, single=False, **way):
    """Answer with another order, another class, another background, or what is put back wrongly."""

    def put_back(ask, image, rating, answer, step):
        places, pixels = order(rating.flatten()), image.flatten()
        found = []
        for number in list(range(0, len(places) + 1, step))[way.get("count") :]:
            chosen = places[max(number - step, 0) if single else 0 : number]
            shown = pixels.clone() if delete else torch.full((len(pixels),), way.get("background", 0.0))
            shown[chosen] = 0 if delete else pixels[chosen]
            found.append(follow(ask(shown.reshape(1, *image.shape))[0], answer).item())
        return found

    return put_back


def highest_first(ratings):
    return ratings.argsort(descending=True)


BACK = {
    "lowest_first": (back(lambda ratings: ratings.argsort()), "not the lowest"),
    "largest_probability": (back(highest_first, lambda p, answer: p.max()), "stays the same"),
    "deletes": (back(highest_first, delete=True), "this deletes"),
    "last_pixels_alone": (back(highest_first, single=True), "stays; yours shows"),
    "without_signs": (back(lambda ratings: ratings.abs().argsort(descending=True)), "have signs"),
    "from_the_top_left": (back(lambda ratings: torch.arange(len(ratings))), "comes from the ratings"),
    "places_taken_for_ranks": (back(lambda ratings: highest_first(ratings).argsort()), "no pixel its rank"),
    "begins_with_grey": (back(highest_first, background=0.5), "highest rated pixels of the original"),
    "without_black": (back(highest_first, count=1), "no pixel put back"),
}
TABLES = {"fog": FOGS, "energy": ENERGIES, "roc_curve": CURVES, "occlude_rows": STRIPS, "put_back": BACK}
WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in table.items()]
    for check, table in TABLES.items()
}
