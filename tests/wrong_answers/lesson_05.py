"""Wrong answers to the exercises of lesson 05, each with a part of the hint that fits it."""

import math
from math import comb

import numpy as np
from scipy.stats import chi2, chi2_contingency


def faults_with_rows_for_columns():
    return {"A": 4, "B": 5, "C": 3, "D": 2}


def faults_with_any_disorder_shuffled():
    return {"A": 4, "B": 1, "C": 4, "D": 2}


def faults_with_the_shuffled_one_taken_for_a_favourite():
    return {"A": 2, "B": 1, "C": 3, "D": 4}


def faults_with_a_full_column_taken_for_a_missing_one():
    return {"A": 4, "B": 1, "C": 3, "D": 1}


def faults_with_the_shuffled_one_taken_for_two_exchanged_names():
    return {"A": 3, "B": 1, "C": 4, "D": 2}


def faults_with_a_missing_class_taken_for_a_favourite():
    return {"A": 4, "B": 2, "C": 3, "D": 1}


def faults_with_two_exchanged_names_taken_for_a_missing_class():
    return {"A": 4, "B": 1, "C": 1, "D": 2}


def faults_with_the_favourite_taken_for_shuffled():
    return {"A": 4, "B": 1, "C": 3, "D": 4}


def faults_with_a_missing_class_taken_for_two_exchanged_names():
    return {"A": 4, "B": 3, "C": 1, "D": 2}


def faults_of_three_models():
    return {"A": 4, "B": 1, "C": 3}


def scores(matrix, number):
    right, said, images = matrix[number, number], matrix[:, number].sum(), matrix[number].sum()
    precision, recall = right / said if said else 0.0, right / images if images else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def shop(matrix, mix):
    return matrix / matrix.sum(axis=1, keepdims=True) * mix[:, None]


def shop_without_the_mix(matrix, mix, number):
    return scores(matrix / matrix.sum(axis=1, keepdims=True), number)


def shop_with_the_mix_along_the_answers(matrix, mix, number):
    return scores(matrix * mix, number)


def shop_with_counts_as_they_are(matrix, mix, number):
    return scores(matrix * mix[:, None], number)


def shop_swapped(matrix, mix, number):
    right = scores(shop(matrix, mix), number)
    return right | {"precision": right["recall"], "recall": right["precision"]}


def shop_with_the_plain_mean(matrix, mix, number):
    right = scores(shop(matrix, mix), number)
    return right | {"f1": (right["precision"] + right["recall"]) / 2}


def shop_that_is_not_a_number(matrix, mix, number):
    in_shop = shop(matrix, mix)
    right = scores(in_shop, number)
    return right | {"precision": in_shop[number, number] / in_shop[:, number].sum()}


def shop_not_divided(matrix, mix, number):
    right = shop(matrix, mix)[number, number]
    return {"precision": right, "recall": right, "f1": right}


def given(labels, probabilities):
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def table_of_bins(confidence, right, num_bins, keep_empty=False):
    rows = []
    for number in range(num_bins):
        inside = np.ceil(confidence * num_bins) == number + 1
        if inside.any():
            rows.append([inside.sum(), confidence[inside].mean(), right[inside].mean()])
        elif keep_empty:
            rows.append([0, np.nan, np.nan])
    return np.array(rows)


def table_as_it_was(labels, probabilities, num_bins):
    _, right = given(labels, probabilities)
    return table_of_bins(probabilities[np.arange(len(labels)), labels], right, num_bins)


def table_with_empty_bins(labels, probabilities, num_bins):
    return table_of_bins(*given(labels, probabilities), num_bins, keep_empty=True)


def table_without_certain_answers(labels, probabilities, num_bins):
    confidence, right = given(labels, probabilities)
    return table_of_bins(confidence[confidence < 1], right[confidence < 1], num_bins)


def table_of_bins_equally_full(labels, probabilities, num_bins):
    confidence, right = given(labels, probabilities)
    parts = np.array_split(np.argsort(confidence), num_bins)
    return np.array([[len(part), confidence[part].mean(), right[part].mean()] for part in parts])


def smallest(score, right, target):
    return min((limit for limit in score if right[score >= limit].mean() >= target), default=math.inf)


def table_with_the_lower_edge(labels, probabilities, num_bins):
    confidence, right = given(labels, probabilities)
    number = np.minimum(np.floor(confidence * num_bins), num_bins - 1)
    parts = [np.flatnonzero(number == n) for n in range(num_bins)]
    return np.array([[len(part), confidence[part].mean(), right[part].mean()] for part in parts if len(part)])


def table_with_the_middle_of_each_bin(labels, probabilities, num_bins):
    table = table_of_bins(*given(labels, probabilities), num_bins)
    table[:, 1] = (np.ceil(table[:, 1] * num_bins) - 0.5) / num_bins
    return table


def table_with_the_number_of_right_answers(labels, probabilities, num_bins):
    table = table_of_bins(*given(labels, probabilities), num_bins)
    table[:, 2] *= table[:, 0]
    return table


def table_upside_down(labels, probabilities, num_bins):
    return table_of_bins(*given(labels, probabilities), num_bins)[::-1]


def threshold_by_halving(labels, probabilities, target):
    confidence, right = given(labels, probabilities)
    limits, low, high = np.sort(confidence), 0, len(labels) - 1
    if right[confidence >= limits[-1]].mean() < target:
        return math.inf
    while low < high:
        middle = (low + high) // 2
        if right[confidence >= limits[middle]].mean() >= target:
            high = middle
        else:
            low = middle + 1
    return limits[low]


def threshold_where_it_first_fails(labels, probabilities, target):
    confidence, right = given(labels, probabilities)
    threshold = math.inf
    for limit in np.unique(confidence)[::-1]:
        if right[confidence >= limit].mean() < target:
            break
        threshold = limit
    return threshold


def threshold_of_the_true_class(labels, probabilities, target):
    _, right = given(labels, probabilities)
    return smallest(probabilities[np.arange(len(labels)), labels], right, target)


def threshold_that_believes_the_confidence(labels, probabilities, target):
    confidence, _ = given(labels, probabilities)
    return smallest(confidence, confidence, target)


def threshold_that_tears_ties_apart(labels, probabilities, target):
    confidence, right = given(labels, probabilities)
    order = np.argsort(-confidence, kind="stable")
    enough = right[order].cumsum() / np.arange(1, len(labels) + 1) >= target
    return confidence[order[np.flatnonzero(enough)[-1]]] if enough.any() else math.inf


def threshold_above_the_target(labels, probabilities, target):
    return smallest(*given(labels, probabilities), target + 1e-9)


def threshold_one_where_none_will_do(labels, probabilities, target):
    return min(smallest(*given(labels, probabilities), target), 1.0)


def threshold_from_a_grid(labels, probabilities, target):
    confidence, right = given(labels, probabilities)
    grid = np.linspace(0, 1, 1001)
    return min((t for t in grid if t <= confidence.max() and right[confidence >= t].mean() >= target), default=math.inf)


def threshold_that_is_not_answered_itself(labels, probabilities, target):
    confidence, right = given(labels, probabilities)
    return min((limit for limit in confidence if right[confidence > limit].mean() >= target), default=math.inf)


def exact(a, b):
    return 2 * sum(comb(a + b, k) for k in range(max(a, b), a + b + 1)) / 2 ** (a + b)


def right_comparison(labels, a, b):
    a_right, b_right = a == labels, b == labels
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    return {
        "only_a_right": only_a,
        "only_b_right": only_b,
        "p_value": min(1.0, exact(only_a, only_b)),
        "both_wrong": np.flatnonzero(~a_right & ~b_right),
        "both_wrong_by_chance": (~a_right).mean() * (~b_right).mean() * len(labels),
    }


def comparison_swapped(labels, a, b):
    return right_comparison(labels, b, a)


def comparison_of_all_right_answers(labels, a, b):
    return right_comparison(labels, a, b) | {"only_a_right": (a == labels).sum(), "only_b_right": (b == labels).sum()}


def comparison_of_different_answers(labels, a, b):
    return right_comparison(labels, a, b) | {"only_a_right": (a != b).sum() - ((a != b) & (b == labels)).sum()}


def comparison_unpaired(labels, a, b):
    table = [[(answers == labels).sum(), (answers != labels).sum()] for answers in (a, b)]
    return right_comparison(labels, a, b) | {"p_value": chi2_contingency(table).pvalue}


def comparison_by_chi_square(labels, a, b):
    right = right_comparison(labels, a, b)
    gap, tosses = right["only_a_right"] - right["only_b_right"], (a != labels) ^ (b != labels)
    return right | {"p_value": chi2.sf(gap**2 / max(tosses.sum(), 1), 1)}


def comparison_on_one_side(labels, a, b):
    right = right_comparison(labels, a, b)
    return right | {"p_value": right["p_value"] / 2}


def comparison_not_capped(labels, a, b):
    right = right_comparison(labels, a, b)
    return right | {"p_value": exact(right["only_a_right"], right["only_b_right"])}


def comparison_with_chance_as_a_share(labels, a, b):
    return right_comparison(labels, a, b) | {"both_wrong_by_chance": (a != labels).mean() * (b != labels).mean()}


def comparison_with_a_mask(labels, a, b):
    return right_comparison(labels, a, b) | {"both_wrong": (a != labels) & (b != labels)}


def comparison_with_a_tuple(labels, a, b):
    return right_comparison(labels, a, b) | {"both_wrong": np.where((a != labels) & (b != labels))}


def comparison_of_the_same_wrong_answer(labels, a, b):
    return right_comparison(labels, a, b) | {"both_wrong": np.flatnonzero((a != labels) & (a == b))}


WRONG = {
    "find_faults": [
        (faults_with_rows_for_columns, "which of the two is empty"),
        (faults_with_any_disorder_shuffled, "no class is found any more"),
        (faults_with_the_shuffled_one_taken_for_a_favourite, "how many columns of A are full"),
        (faults_with_the_shuffled_one_taken_for_two_exchanged_names, "how much of the diagonal of A is left"),
        (faults_with_a_missing_class_taken_for_a_favourite, "from how many does B take them"),
        (faults_with_two_exchanged_names_taken_for_a_missing_class, "does C have one"),
        (faults_with_the_favourite_taken_for_shuffled, "look at the diagonal of D"),
        (faults_with_a_missing_class_taken_for_two_exchanged_names, "to a row, a column and the diagonal"),
        (faults_with_a_full_column_taken_for_a_missing_one, "leaves a column empty"),
        (faults_of_three_models, "the docstring names the keys"),
    ],
    "scores_in_shop": [
        (shop_without_the_mix, "the precision without the mix"),
        (shop_with_the_mix_along_the_answers, "are these rows or columns"),
        (shop_with_counts_as_they_are, "has to come out first"),
        (shop_swapped, "which score asks about the articles"),
        (shop_with_the_plain_mean, "F1 is the harmonic mean"),
        (shop_that_is_not_a_number, "0 divided by 0"),
        (shop_not_divided, "which below it"),
    ],
    "reliability": [
        (table_as_it_was, "does not know the labels"),
        (table_with_empty_bins, "a bin without images"),
        (table_without_certain_answers, "a confidence of exactly 1"),
        (table_with_the_lower_edge, "on the edge of two bins"),
        (table_upside_down, "in rising order"),
        (table_with_the_middle_of_each_bin, "the mean over the confidences"),
        (table_with_the_number_of_right_answers, "a share of the images in the bin"),
        (table_of_bins_equally_full, "equally wide"),
    ],
    "choose_threshold": [
        (threshold_where_it_first_fails, "reach it again further down"),
        (threshold_by_halving, "reach it again further down"),
        (threshold_of_the_true_class, "or that of the label"),
        (threshold_that_believes_the_confidence, "you believe the confidence"),
        (threshold_that_tears_ties_apart, "images of equal confidence"),
        (threshold_above_the_target, "exactly the target"),
        (threshold_from_a_grid, "return one of the confidences"),
        (threshold_one_where_none_will_do, "no threshold reaches"),
        (threshold_that_is_not_answered_itself, "too few of the answers"),
    ],
    "compare_models": [
        (comparison_swapped, "a and b have changed places"),
        (comparison_of_all_right_answers, "both are right"),
        (comparison_of_different_answers, "may both be wrong"),
        (comparison_unpaired, "images of its own"),
        (comparison_by_chi_square, "add up exact chances"),
        (comparison_on_one_side, "either side"),
        (comparison_not_capped, "at most 1"),
        (comparison_with_chance_as_a_share, "how many images is that"),
        (comparison_with_a_mask, "this is a mask"),
        (comparison_with_a_tuple, "returns a tuple"),
        (comparison_of_the_same_wrong_answer, "the places of all images"),
    ],
}
