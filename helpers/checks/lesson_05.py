"""Checks of the exercises to lesson 05, error analysis."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from scipy.stats import binomtest, chi2_contingency

from helpers.checks.tools import as_number, as_tensor, call, cross, first_hint, short, tick


def _plain(value: Any) -> Any:
    """Return a list or a table as an array, and anything else as it is."""
    try:
        return np.array(value) if isinstance(value, np.ndarray | pd.DataFrame | pd.Series | list | tuple) else value
    except ValueError:
        return value


def _run(answer: Callable, *arguments: Any) -> Any:
    """Call an answer; lists and tables come back as arrays."""
    return _plain(call(answer, *arguments))


def _entries(what: str, seen: Any, names: list[str]) -> dict:
    """Return a result that is a dictionary with these keys, else raise."""
    if not isinstance(seen, dict):
        raise cross(f"what {what} is", f"{type(seen).__name__} {short(seen)}", "a dict", "the docstring names its keys")
    if missing := [name for name in names if name not in seen]:
        keys = short(sorted(map(str, seen)))
        raise cross(f"the keys of {what}", keys, f"{missing[0]!r} among them", "the docstring names the keys")
    return seen


def _near(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-9)


def find_faults(answer: Callable) -> None:
    """Check which fault was read from the confusion matrix of each of the four broken models."""
    hints = {
        ("A", 2): "one answer given too often fills one column; how many columns of A are full?",
        ("A", 3): "two exchanged names move two cells of the diagonal; how much of the diagonal of A is left?",
        ("B", 5): "rows are true classes, columns are answers; which of the two is empty in B?",
        ("B", 2): "an answer given too often takes images from all classes; from how many does B take them?",
        ("C", 4): "with answers in another order no class is found any more; how many classes does C still find?",
        ("C", 1): "an answer that is never given leaves a column empty; does C have one?",
        ("D", 1): "an answer that is never given leaves a column empty; does D have one?",
        ("D", 4): "with answers in another order no class is found any more; look at the diagonal of D",
    }
    true = {"A": 4, "B": 1, "C": 3, "D": 2}
    seen = _entries("find_faults()", call(answer), list(true))
    for letter, fault in true.items():
        number = as_number(f"the fault of model {letter}", seen[letter])
        if number != fault:
            hint = hints.get((letter, number), "say what the fault does to a row, a column and the diagonal, then look")
            raise cross(f"the fault of model {letter}", f"{number:g}", "another number from 1 to 5", hint)
    tick("find_faults: a column, a row and the diagonal each tell of another fault.")


def scores_in_shop(answer: Callable) -> None:
    """Check precision, recall and F1 of one class where the classes are mixed otherwise than in the matrix."""
    rng = np.random.default_rng(52)
    cases = [
        (np.array([[8, 2], [1, 9]]), np.array([0.5, 0.5])),
        (np.array([[80, 20], [1, 9]]), np.array([0.1, 0.9])),
        (rng.integers(1, 9, (3, 3)) + np.diag([20, 5, 40]), np.array([0.2, 0.7, 0.1])),
        (np.array([[6, 0, 2], [3, 0, 1], [0, 0, 4]]), np.array([0.5, 0.5, 0.0])),
        (rng.integers(0, 30, (10, 10)), np.array([0.55] + [0.05] * 9)),
    ]
    for matrix, mix in cases:
        for number in range(len(matrix)):
            in_shop = mix[:, None] * matrix / matrix.sum(axis=1, keepdims=True)
            expected = _scores(in_shop, number)
            seen = _entries("scores_in_shop(…)", _run(answer, matrix, mix, number), list(expected))
            seen = {name: as_number(f"the {name}", seen[name]) for name in expected}
            by_row = _scores(matrix / matrix.sum(axis=1, keepdims=True), number)
            if mix[number] == 0 and _near(seen["recall"], by_row["recall"]):
                seen["recall"] = expected["recall"]  # recall stays what it is, also where no article is of the class
            name = next((name for name in expected if not _near(seen[name], expected[name])), "")
            if not name:
                continue
            value, f1 = seen[name], name == "f1"
            other = expected["recall" if name == "precision" else "precision"]
            below = {"precision": in_shop[:, number].sum(), "recall": in_shop[number].sum(), "f1": 1}[name]
            columns, counts = _scores(matrix * mix, number), _scores(matrix * mix[:, None], number)
            no_mix = any(_near(value, table["precision"]) for table in (by_row, _scores(matrix, number)))
            hints = [
                (math.isnan(value) or below == 0, "0 divided by 0; the docstring says what comes out then"),
                (not f1 and _near(value, other), "which score asks about the articles, and which about the answers?"),
                (
                    all(_near(seen[key], columns[key]) for key in seen),
                    "the mix is of true classes; are these rows or columns?",
                ),
                (name == "precision" and no_mix, "this is the precision without the mix"),
                (
                    _near(value, counts[name]),
                    "the images of the matrix are mixed in some way too; that mix has to come out first",
                ),
                (
                    f1 and _near(value, (seen["precision"] + seen["recall"]) / 2),
                    "F1 is the harmonic mean, not the plain one",
                ),
            ]
            hint = first_hint(hints, f"write {name} as a fraction: which articles above the line, which below it?")
            rows = " | ".join(" ".join(map(str, row)) for row in matrix.tolist()) if len(matrix) < 4 else "10 × 10"
            what = f"{name} of class {number} in {rows}, mix {short(torch.from_numpy(mix), 30)}"
            raise cross(what, f"{value:.3f}", f"{expected[name]:.3f}", hint)
    tick("scores_in_shop: recall stays, and precision follows the mix.")


def _scores(matrix: np.ndarray, number: int) -> dict[str, float]:
    """Return precision, recall and F1 of one class, 0 for 0/0."""
    right, answers, articles = matrix[number, number], matrix[:, number].sum(), matrix[number].sum()
    precision = float(right / answers) if answers > 0 else 0.0
    recall = float(right / articles) if articles > 0 else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right > 0 else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _table(right: np.ndarray, confidence: np.ndarray, num_bins: int) -> torch.Tensor:
    """Return images, mean confidence and share of right answers of each bin that holds images."""
    answers = pd.DataFrame({"bin": np.ceil(confidence * num_bins), "confidence": confidence, "right": right})
    bins = answers.groupby("bin").agg({"right": ["size", "mean"], "confidence": "mean"}).to_numpy(float)
    return torch.from_numpy(bins[:, [0, 2, 1]])


def reliability(answer: Callable) -> None:
    """Check the table of a reliability diagram: images, mean confidence and share of right answers of each bin."""
    rng = np.random.default_rng(53)
    cases = [(400, 10, 10, 0), (300, 4, 5, 20), (40, 3, 15, 6), (1, 10, 10, 0), (80, 3, 4, 0)]
    for size, classes, num_bins, certain in cases:
        probabilities = softmax(rng.normal(0, 2, (size, classes)), axis=1)
        probabilities[:certain] = np.eye(classes)[rng.integers(classes, size=certain)]
        if num_bins == 4:  # some confidences on the edge of two bins
            probabilities[:20] = np.repeat([[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]], 10, axis=0)
        answers = probabilities.argmax(axis=1)
        labels = np.where(rng.random(size) < 0.6, answers, rng.integers(classes, size=size))
        expected = _table(answers == labels, probabilities.max(axis=1), num_bins)
        of_label = _table(answers == labels, probabilities[np.arange(size), labels], num_bins)
        what = f"the table of {size} images, {classes} classes and {num_bins} bins"
        seen = _run(answer, labels, probabilities, num_bins)
        rows = len(seen) if getattr(seen, "ndim", 0) == 2 else len(expected)
        hint = "each row holds three numbers: images, mean confidence, share of right answers"
        seen = as_tensor(what, seen, torch.zeros(rows, 3, dtype=torch.double), hint)
        same = [n < len(expected) and torch.allclose(seen[n], expected[n], atol=1e-5) for n in range(rows)]
        if all(same) and rows == len(expected):
            continue
        same_rows = rows == len(expected)
        lost = size - seen[:, 0].nansum().item()
        counted = same_rows and torch.equal(seen[:, 0], expected[:, 0])
        mean_fits = counted and torch.allclose(seen[:, 1], expected[:, 1], atol=1e-5)
        uses_label = seen.shape == of_label.shape and torch.allclose(seen, of_label, atol=1e-5)
        hints = [
            (uses_label, "who uses a model does not know the labels; what may your code need them for, and what not?"),
            (bool((~(seen[:, 0] > 0)).any()), "a bin without images has no mean confidence, and gets no row"),
            (bool((seen[:, 0] != seen[:, 0].round()).any()), hint),
            (same_rows and torch.allclose(seen.flip(0), expected, atol=1e-5), "the bins should come in rising order"),
            (lost == certain > 0, "some images are in no bin; where does a confidence of exactly 1 go?"),
            (counted and not mean_fits, "column 1 is the mean over the confidences of the images in the bin"),
            (num_bins == 4, "some confidences lie on the edge of two bins; which of them includes it?"),
            (mean_fits, "column 2 is a share of the images in the bin"),
        ]
        hint = first_hint(
            hints, "all bins are equally wide, and an image goes by the probability of the model's answer"
        )
        row = [*same, False].index(False)
        parts = [short(table[row]) if row < len(table) else "no such row" for table in (seen, expected)]
        raise cross(f"row {row} of {what}", *parts, hint)
    tick("reliability: the confidence is that of the answer, whether the answer is right or wrong.")


def _smallest(score: np.ndarray, value: np.ndarray, target: float) -> float:
    """Return the smallest score from which on the mean of the values reaches the target, inf if there is none."""
    return min((limit for limit in score if value[score >= limit].mean() >= target), default=math.inf)


def _stopped(confidence: np.ndarray, right: np.ndarray, target: float) -> float:
    """Return the threshold of someone who stops where the accuracy misses the target for the first time."""
    surest_first = np.argsort(-confidence)
    reached = np.cumsum(right[surest_first]) >= target * np.arange(1, len(right) + 1)
    return np.append(confidence[surest_first], math.inf)[np.cumprod(reached).sum() - 1]


def _answers(confidence: list[float], right: str) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities (N, 3) of answers with these confidences, R for right and W for wrong."""
    probabilities = np.outer(1 - np.array(confidence), [0.75, 0.25, 0.0])
    probabilities[:, 2] = confidence
    shift = np.arange(len(right)) % 3  # so that the answers are not all of one class
    probabilities = np.array([np.roll(row, by) for row, by in zip(probabilities, shift, strict=True)])
    return (shift + np.where(np.array(list(right)) == "R", 2, 0)) % 3, probabilities


def choose_threshold(answer: Callable) -> None:
    """Check the smallest threshold of confidence that reaches a target accuracy."""
    steps, tied = np.linspace(0.99, 0.75, 13).round(2).tolist(), [0.95, 0.9, 0.8, 0.8, 0.8, 0.7]
    small = [(steps, "RWRRRRRRRWWWW", 0.75), (steps[9::-1], "WRRWRRWRRR", 0.82), (steps[:5], "RRRWW", 0.75)]
    small += [(steps[:8], "RRRRWRRR", 0.5), (tied, "RRRWWR", 0.75), (tied[::-1], "RWWRRR", 0.75)]
    small += [(steps[:3], "WWR", 0.5), (steps[:1], "R", 1.0), (steps[:7], "RWWRRRR", 0.7)]
    rng, cases = np.random.default_rng(54), [(*_answers(*answers), target) for *answers, target in small]
    for size, classes, target in [(500, 10, 0.9), (200, 4, 0.8)]:
        values = softmax(rng.normal(0, 4, (size, classes)), axis=1)
        kept = rng.random(size) < values.max(axis=1) - 0.05
        cases.append((np.where(kept, values.argmax(axis=1), rng.integers(classes, size=size)), values, target))
    for labels, probabilities, target in cases:
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        by_label = _smallest(probabilities[np.arange(len(labels)), labels], right, target)
        expected, what = _smallest(confidence, right, target), f"the threshold for {target:.1%} on {len(labels)} images"
        seen = as_number(what, _run(answer, labels, probabilities, target))
        if seen == expected or abs(seen - expected) < 1e-6:
            continue
        given, wanted = right[confidence >= seen], right[confidence >= expected]
        enough = len(given) == 0 or given.mean() >= target
        stopped = seen == _stopped(confidence, right, target)
        believed = (target, _smallest(confidence, confidence, target))
        hints = [
            (math.isinf(expected), "no threshold reaches this target; the docstring says what to return then"),
            (len(given) == len(wanted), "return one of the confidences, the smallest that is still answered"),
            (seen == by_label, "is the confidence the probability of the answer, or that of the label?"),
            (seen in believed, "you believe the confidence; how many of the answers given are right?"),
            (len(set(confidence)) < len(labels), "images of equal confidence are all answered, or none of them"),
            (stopped, "the accuracy may miss the target and reach it again further down"),
            (enough, "a smaller threshold reaches the target too; is an accuracy of exactly the target enough?"),
        ]
        texts = [f"{t:.4g}: {len(r)} answers, {r.sum()} right" for t, r in [(seen, given), (expected, wanted)]]
        raise cross(what, *texts, first_hint(hints, "with this threshold too few of the answers given are right"))
    tick("choose_threshold: the target is reached, and no smaller threshold reaches it.")


def compare_models(answer: Callable) -> None:
    """Check what two models say of the same images: McNemar's exact test, and the images on which both fail."""
    rng = np.random.default_rng(55)
    cases = [(70, 12, 3, 15), (3, 5, 5, 8), (20, 0, 0, 5), (8, 0, 6, 0), (90, 760, 660, 40)]
    for both, only_a, only_b, neither in cases:
        kind, tosses = rng.permutation(np.repeat(range(4), [both, only_a, only_b, neither])), only_a + only_b
        size, fails = len(kind), {"a": only_b + neither, "b": only_a + neither}
        labels = rng.integers(10, size=size)
        a, b = ((labels + np.isin(kind, wrong) * rng.integers(1, 4, size)) % 10 for wrong in ([2, 3], [1, 3]))
        p_value = float(binomtest(only_a, tosses).pvalue) if tosses else 1.0
        apart = [[size - number, number] for number in fails.values()]
        unpaired = [chi2_contingency(apart, correction=correction).pvalue for correction in (True, False)]
        expected = {"only_a_right": only_a, "only_b_right": only_b, "p_value": p_value}
        expected["both_wrong_by_chance"] = fails["a"] * fails["b"] / size
        seen = _entries("compare_models(…)", _run(answer, labels, a, b), [*expected, "both_wrong"])
        for name, number in expected.items():
            value = as_number(name, seen[name])
            only = name.startswith("only_")
            hints = [
                (only and value in (both + only_a, both + only_b), "images on which both are right do not count"),
                (name == "only_a_right" and value == only_b, "a and b have changed places"),
                (only, "two different answers may both be wrong; in how many pairs is one right?"),
                (name != "p_value", "what share would fail together if independent, and how many images is that?"),
                (value > 1 or tosses == 0, "a probability is at most 1, and 1 where nothing speaks for a difference"),
                (_near(2 * value, number), "a coin may fall unevenly to either side"),
                (any(_near(value, p) for p in unpaired), "this treats each model as if it had images of its own"),
            ]
            if not _near(value, number):
                hint = first_hint(
                    hints, "one toss for each image on which only one model is right; add up exact chances"
                )
                raise cross(f"{name} of {size} images", f"{value:.6g}", f"{number:.6g}", hint)
        together = torch.from_numpy(np.flatnonzero(kind == 3))
        hint = "the places of all images on which neither is right, be their two answers the same or not"
        places = _plain(seen["both_wrong"])
        shape = {
            (size,): "this is a mask, with an entry for each image; at which places is it True?",
            (1, len(together)): "np.where returns a tuple; what is its first entry?",
        }.get(getattr(places, "shape", ()), hint)
        places = as_tensor(f"both_wrong of {size} images", places, together, shape)
        if not torch.equal(places.sort().values, together):
            raise cross(f"both_wrong of {size} images", short(places), short(together), hint)
    tick("compare_models: all four cells of the table, an exact p-value, and the images on which both fail.")
