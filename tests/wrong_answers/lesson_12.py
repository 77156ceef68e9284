"""Wrong answers to the exercises of lesson 12, each with a part of the hint that fits it."""

import numpy as np
import torch


def named(name, function):
    """Give a function the name of its mistake."""
    function.__name__ = name
    return function


def draw(labels, matrix, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(torch.as_tensor(matrix)[labels], 1, generator=generator)[:, 0]


def in_place(labels, matrix, seed):
    labels[:] = draw(labels, matrix, seed)
    return labels


def one_draw_for_a_class(labels, matrix, seed):
    becomes = draw(torch.arange(10), matrix, seed)
    return becomes[labels]


def any_class_that_is_possible(labels, matrix, seed):
    return draw(labels, (np.asarray(matrix) > 0).astype(float), seed)


def without_seed(labels, matrix, seed):
    return torch.multinomial(torch.as_tensor(matrix)[labels], 1)[:, 0]


def exact_shares(labels, matrix, seed):
    generator, new = np.random.default_rng(seed), labels.numpy().copy()
    for true in range(10):
        places, start = generator.permutation(np.flatnonzero(labels.numpy() == true)), 0
        for becomes in np.flatnonzero(matrix[true] * (np.arange(10) != true)):
            number = round(matrix[true, becomes] * len(places))
            new[places[start : start + number]] = becomes
            start += number
    return new


def likeliest_mistake_alone(labels, matrix, seed):
    narrowed = np.diag(np.diag(matrix))
    mistakes = matrix - narrowed
    narrowed[np.arange(10), mistakes.argmax(axis=1)] += mistakes.sum(axis=1)
    return draw(labels, narrowed, seed)


def likeliest_mistake_or_none(labels, matrix, seed):
    mistakes = matrix * (1 - np.eye(10))
    narrowed = mistakes * (mistakes == mistakes.max(axis=1, keepdims=True))
    return draw(labels, narrowed + np.diag(1 - narrowed.sum(axis=1)), seed)


def random_numbers_themselves(labels, matrix, seed):
    return torch.rand(len(labels), generator=torch.Generator().manual_seed(seed))


NOISE = {
    "exact_shares": (exact_shares, "let each label draw for itself"),
    "likeliest_mistake_alone": (likeliest_mistake_alone, "compare this share with the matrix"),
    "likeliest_mistake_or_none": (likeliest_mistake_or_none, "may become more than one other"),
    "random_numbers_themselves": (random_numbers_themselves, "not probabilities"),
    "mean_of_each_row": (lambda labels, matrix, seed: (matrix @ np.arange(10))[labels], "labels are wanted"),
    "rows_and_columns_swapped": (
        lambda labels, matrix, seed: draw(labels, np.asarray(matrix).T, seed),
        "is the true class",
    ),
    "in_place": (in_place, "nobody knows the truth"),
    "one_draw_for_a_class": (one_draw_for_a_class, "each label needs its own"),
    "any_class_that_is_possible": (any_class_that_is_possible, "yours are equally probable"),
    "without_seed": (without_seed, "a generator with this seed"),
    "seed_ignored": (lambda labels, matrix, seed: draw(labels, matrix, 0), "a generator with this seed"),
    "rows_of_probabilities": (lambda labels, matrix, seed: torch.as_tensor(matrix)[labels], "one new label for each"),
    "most_probable_class": (
        lambda labels, matrix, seed: torch.as_tensor(matrix)[labels].argmax(dim=1),
        "a generator with this seed",
    ),
}


def leave(copies):
    """Answer by a rule for the images that have to go."""
    return lambda train, validation, pairs: [place for place in train if place not in copies(set(validation), pairs)]


def seconds(judged, pairs):
    return {b for a, b in pairs if a in judged}


def firsts(judged, pairs):
    return {a for a, b in pairs if b in judged}


def copies_of_copies(judged, pairs):
    gone = firsts(judged, pairs) | seconds(judged, pairs)
    return gone | {place for pair in pairs if gone & set(pair) for place in pair}


def removed_in_the_loop(train, validation, pairs):
    for place in train:
        if any((place, other) in pairs or (other, place) in pairs for other in validation):
            train.remove(place)
    return train


def chained(judged, pairs):
    gone = set()
    for a, b in pairs:
        gone |= {b} if a in judged | gone else set()
        gone |= {a} if b in judged | gone else set()
    return gone


SPLIT = {
    "removed_in_the_loop": (removed_in_the_loop, "build a new list"),
    "chained": (leave(chained), "a copy of a copy may stay"),
    "one_way_round": (leave(firsts), "either way round"),
    "the_other_way_round": (leave(seconds), "either way round"),
    "every_copy": (leave(lambda judged, pairs: {place for pair in pairs for place in pair}), "crosses nothing"),
    "copies_of_copies": (leave(copies_of_copies), "a copy of a copy may stay"),
    "nothing_taken_out": (leave(lambda judged, pairs: set()), "nothing was taken out"),
    "validation_shortened": (
        lambda train, validation, pairs: [place for place in validation if place not in firsts(set(train), pairs)],
        "the validation part stays",
    ),
    "sorted": (
        lambda train, validation, pairs: sorted(
            leave(lambda judged, some: firsts(judged, some) | seconds(judged, some))(train, validation, pairs)
        ),
        "keep the order",
    ),
}


def by_rules(heart, order):
    """Answer by two rules over the four counts."""

    def diagnose(suspects, hits, planted, images):
        if heart(suspects, hits, planted, images):
            return "by heart"
        return "out of order" if order(suspects, hits, planted, images) else "sound"

    return diagnose


def few_hits(suspects, hits, planted, images):
    return hits < planted / 20


def no_better(suspects, hits, planted, images):
    return hits / suspects <= 1.5 * planted / images


DIAGNOSES = {
    "one_in_twenty_is_too_few": (by_rules(lambda s, h, p, n: h <= p / 20, no_better), "at least one in twenty"),
    "half_again_is_enough": (by_rules(few_hits, lambda s, h, p, n: h / s < 1.5 * p / n), "with the share among all"),
    "no_better_at_all": (by_rules(few_hits, lambda s, h, p, n: h / s <= p / n), "with the share among all"),
    "twice_as_often": (by_rules(few_hits, lambda s, h, p, n: h / s <= 2 * p / n), "which is more than 1.5"),
    "hits_among_the_suspects": (by_rules(lambda s, h, p, n: h <= s / 20, no_better), "not how many of the suspects"),
    "no_suspect_at_all": (by_rules(lambda s, h, p, n: s == 0, no_better), "Compare the hits with the planted ones"),
    "short_list_is_bad": (by_rules(lambda s, h, p, n: s < p / 4, no_better), "a short list is not a bad list"),
    "long_list_is_bad": (by_rules(few_hits, lambda s, h, p, n: s > p), "far above the share"),
    "low_precision_is_bad": (by_rules(few_hits, lambda s, h, p, n: h / s < 0.3), "far above the share"),
    "recall_against_share": (by_rules(few_hits, lambda s, h, p, n: h / p <= 1.5 * p / n), "far above the share"),
    "always_sound": (lambda suspects, hits, planted, images: "sound", "among the suspects with the share"),
    "other_words": (lambda suspects, hits, planted, images: "fine", "one of the three words"),
    "order_first": (
        lambda suspects, hits, planted, images: (
            "out of order" if hits <= suspects * planted / images * 1.5 else "sound"
        ),
        "how many of the planted labels are found",
    ),
}


def chance(first, second):
    return float((np.asarray(first) * np.asarray(second)).sum())


def uniform(first, second, kappa):
    return 1 / len(first) + kappa * (1 - 1 / len(first))


AGREEMENTS = {
    "kappa_itself": (lambda first, second, kappa: kappa, "kappa is not the agreement"),
    "chance_alone": (lambda first, second, kappa: chance(first, second), "by chance alone"),
    "without_chance": (lambda first, second, kappa: kappa * (1 - chance(first, second)), "comes on top"),
    "kappa_added": (lambda first, second, kappa: kappa + chance(first, second), "a share of what chance leaves over"),
    "not_turned_round": (
        lambda first, second, kappa: (kappa - chance(first, second)) / (1 - chance(first, second)),
        "turned round",
    ),
    "uniform": (uniform, "not used equally often"),
    "first_person_alone": (
        lambda first, second, kappa: chance(first, first) + kappa * (1 - chance(first, first)),
        "has habits too",
    ),
    "per_cent": (
        lambda first, second, kappa: 100 * (chance(first, second) + kappa * (1 - chance(first, second))),
        "not per cent",
    ),
}


def control(labels, suspects, seed, among=None, shuffled=True):
    """Draw from each class as many as it has suspects."""
    generator, chosen = np.random.default_rng(seed), np.zeros(len(labels), dtype=bool)
    for number in np.unique(labels):
        possible = np.flatnonzero((~suspects if among is None else among) & (labels == number))
        possible = generator.permutation(possible) if shuffled else possible
        chosen[possible[: int((suspects & (labels == number)).sum())]] = True
    return chosen


def any_class(labels, suspects, seed):
    chosen = np.zeros(len(labels), dtype=bool)
    possible = np.random.default_rng(seed).permutation(np.flatnonzero(~suspects))
    chosen[possible[: suspects.sum()]] = True
    return chosen


def class_left_out(labels, suspects, seed):
    chosen = control(labels, suspects, seed)
    for number in np.unique(labels):
        of_class = labels == number
        if (suspects & of_class).sum() > (~suspects & of_class).sum():
            chosen[of_class] = False
    return chosen


CONTROLS = {
    "suspects_too": (
        lambda labels, suspects, seed: control(labels, suspects, seed, np.ones(len(labels), dtype=bool)),
        "cannot be a control as well",
    ),
    "class_left_out": (class_left_out, "all of them are wanted"),
    "any_class": (any_class, "is it in each of them"),
    "equally_many_of_each_class": (
        lambda labels, suspects, seed: control(labels, suspects, seed) & (labels % 2 == 0),
        "draw as many from the same class",
    ),
    "first_ones": (
        lambda labels, suspects, seed: control(labels, suspects, seed, shuffled=False),
        "no random choice",
    ),
    "without_seed": (lambda labels, suspects, seed: control(labels, suspects, None), "the same seed must give"),
    "positions": (
        lambda labels, suspects, seed: np.flatnonzero(control(labels, suspects, seed)),
        "one True or False for each image",
    ),
    "all_others": (lambda labels, suspects, seed: ~suspects, "is it in each of them"),
}

WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in answers.items()]
    for check, answers in {
        "noise_by_matrix": NOISE,
        "without_copies": SPLIT,
        "diagnose": DIAGNOSES,
        "agreement_needed": AGREEMENTS,
        "matched_control": CONTROLS,
    }.items()
}
