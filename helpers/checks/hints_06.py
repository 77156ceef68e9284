"""Which mistake gives a wrong result in the exercises to lesson 06? Each function returns the hint that fits best."""

from collections.abc import Callable, Iterable
from itertools import product

import pandas as pd
import torch

# Wrong ways from one side to the next, and where to look. The last forgets that a map can vanish.
LAYERS = [
    (lambda n, k, p: n + 2 * p - k + 1, "does a pooling follow each convolution of your walk, however many there are?"),
    (lambda n, k, p: (n + 2 * p - k + 1) / 2, "15 rows pooled by 2 are a whole number of rows: how many?"),
    (lambda n, k, p: -(-(n + 2 * p - k + 1) // 2), "does pooling make a new row of a single row that is left over?"),
    (lambda n, k, p: (n + 2 * p - k) // 2, "at how many places does a kernel of 5 fit into a row of 5 pixels?"),
    (lambda n, k, p: (n + p - k + 1) // 2, "at how many ends of a row does the padding add pixels?"),
    (lambda n, k, p: n // 2 + 2 * p - k + 1, "which comes first, the convolution or its pooling?"),
    (lambda n, k, p: (n + 2 * p - k + 1) // 2, "a map without a pixel is gone; can a later padding bring it back?"),
]

HIGH = "learning rate too high"
FAULTS = {  # what it is, what was said
    ("under-fitting", "no fault"): "the losses lie close together; but how high do they still lie?",
    ("under-fitting", "over-fitting"): "does the validation loss end above its lowest value here?",
    ("under-fitting", HIGH): "this loss starts near ln 10 and falls slowly; is that a loss that jumps?",
    ("over-fitting", "no fault"): "compare the last validation loss with the lowest one, not with the first",
    ("over-fitting", "under-fitting"): "does this network fail on the images that it was trained on?",
    ("over-fitting", HIGH): "which of the two losses rises here?",
    (
        "no fault",
        "over-fitting",
    ): "a gap or a small step up is no fault yet; how far above its lowest value does it end?",
    ("no fault", "under-fitting"): "are both losses still high?",
    ("no fault", HIGH): "is there an epoch with a training loss above ln 10?",
    (HIGH, "no fault"): "an untrained network has a loss near ln 10; what of a loss above it?",
    (HIGH, "under-fitting"): "under-fitting starts near ln 10; was this loss ever far above it?",
    (HIGH, "over-fitting"): "the validation loss is bad; but what does the training loss do?",
}


def first_fit(mistakes: Iterable[tuple[bool, str]], otherwise: str) -> str:
    """Return the hint of the first mistake that explains what was seen."""
    return next((hint for explains, hint in mistakes if explains), otherwise)


def search(side: int, kernels: list[int], target: int, layer: Callable) -> set[tuple[int, ...]]:
    """Return the paddings from 0 to 2 that lead to a target; layer takes side, kernel and padding to the next side."""
    found = set()
    for paddings in product(range(3), repeat=len(kernels)):
        n = side
        for kernel, padding in zip(kernels, paddings, strict=True):
            n = layer(n, kernel, padding)
        if n == target:
            found.add(paddings)
    return found


def paddings_hint(seen: set, expected: set, side: int, kernels: list[int], target: int) -> str:
    """Return the hint to a wrong set of paddings."""
    mistakes = [(seen == search(side, kernels, target, layer), hint) for layer, hint in LAYERS]
    mistakes += [
        (
            seen == {choice for choice in expected if len(set(choice)) == 1},
            "may each convolution have its own padding?",
        ),
        (len(seen) == 1, "does the search end at the first hit?"),
        (seen == search(side, kernels[::-1], target, LAYERS[-1][0]), "in which order do the kernels come?"),
        (seen == {choice[::-1] for choice in expected}, "which padding of a tuple belongs to the first convolution?"),
    ]
    return first_fit(mistakes, "take the choice named above through the layers on paper, side by side")


def sgd_hint(seen: tuple, before: tuple, after: tuple, lr: float, momentum: float, decay: float) -> str:
    """Return the hint to a wrong step; before is (weight, gradient, velocity), after the right (weight, velocity)."""
    (w, g, v), (new_w, new_v) = before, after
    pulled = g + decay * w

    def gives(weight: torch.Tensor | None, velocity: torch.Tensor) -> bool:
        same_weight = weight is None or torch.allclose(seen[0], weight, atol=1e-6)
        return same_weight and torch.allclose(seen[1], velocity, atol=1e-6)

    mistakes = [
        (gives(new_v, new_w), "which of the two comes first?"),
        (gives(w - lr * v, new_v), "the velocity is right; do you step along the old one?"),
        (gives(w - lr * (pulled + momentum * new_v), new_v), "this is Nesterov's step, which looks one step ahead"),
        (gives(w + lr * new_v, new_v), "the velocity is right; does such a step go downhill?"),
        (gives(new_w, momentum * v + g), "the weight is right; does your velocity remember the pull of the decay?"),
        (gives(None, momentum * v + (1 - momentum) * pulled), "if g stays the same, to what does v grow in section 3?"),
        (
            gives(None, momentum * v + lr * pulled),
            "the learning rate scales the step; is it part of v in section 3, too?",
        ),
        (gives(None, momentum * v + g - decay * w), "with a gradient of 0, does your weight move towards zero?"),
        (gives(None, momentum * v + g), "does a weight without a gradient stay where it is?"),
        (gives(None, pulled), "the velocity that came in has left no trace in yours"),
    ]
    return first_fit(mistakes, "compare your lines with the loop by hand in section 4, and their order")


def steps_hint(steps: list[int], names: list[str], batches: int, epochs: int) -> str:
    """Return the hint to wrong steps of train_loss in a log; names are all that the log holds."""
    numbers = list(range(1, batches * epochs + 1))
    mistakes = [
        (not names, "nothing has reached the folder log_dir; which writer writes, and where to?"),
        (not steps, "which name does the docstring give to the quantity?"),
        (len(steps) != len(numbers), "one point for each batch; how often does add_scalar run?"),
        (steps == [number - 1 for number in numbers], "the very first batch is number 1"),
        (steps == sorted(numbers[:batches] * epochs), "where does your count begin again, and where should it?"),
        (len(set(steps)) <= epochs, "all batches of an epoch stand at one step; count batches, not epochs"),
        (len(set(steps)) < len(steps), "two batches share a step; follow your number from one epoch into the next"),
    ]
    return first_fit(
        mistakes, "your count leaves gaps; by how much does it grow from batch to batch, and where does it begin?"
    )


def scores_hint(seen: torch.Tensor, expected: torch.Tensor, scores: Callable, num_classes: int) -> str:
    """Return the hint to wrong macro figures; scores gives those of another average or other classes."""
    precision, recall, _ = expected.T
    f1_of_means = 2 * precision * recall / (precision + recall)
    wrong = [
        (scores("micro", range(num_classes)), "count for each class on its own; yours weigh by the image"),
        (scores("weighted", range(num_classes)), "does a frequent class weigh more in your mean than a rare one?"),
        (scores("macro", None), "a class that never occurs is one of num_classes, too; what does it add?"),
        (expected[:, [1, 0, 2]], "of all that were called Shirt, or of all that are one: which is precision?"),
        (torch.stack([precision, recall, f1_of_means], dim=1), "which comes first for F1: the class or the mean?"),
    ]
    mistakes = [(bool(seen.isnan().any()), "0 divided by 0: which value does the task give it?")]
    mistakes += [(torch.allclose(seen, values, atol=1e-5), hint) for values, hint in wrong]
    return first_fit(mistakes, "work out one class alone, as section 8 does, and compare it with per_class_table")


def fault_hint(fault: str, seen: str, history: pd.DataFrame) -> str:
    """Return the hint to a wrong name of a fault."""
    if seen == "no fault" and history["train_loss"].isna().any():
        return "a comparison with NaN is always False; how do you ask for NaN?"
    return FAULTS[fault, seen]
