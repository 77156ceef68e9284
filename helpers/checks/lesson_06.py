"""Checks of the exercises to lesson 06, training diagnostics."""

import contextlib
import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from helpers.checks.tools import as_tensor, call, cross, first_hint, short, tick
from helpers.data import normalize

NAMES = ["no fault", "under-fitting", "over-fitting", "learning rate too high"]
COLUMNS = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]

# SimpleCNN, and perceptrons with one hidden layer, on 100 to 45,000 images. One line a column, one number an epoch.
RECORDED = """
under-fitting
2.283 2.168 2.057 1.957 1.865 1.783 1.706 1.635
0.153 0.250 0.349 0.458 0.528 0.566 0.582 0.588
2.217 2.106 2.006 1.915 1.833 1.757 1.685 1.621
0.224 0.318 0.427 0.492 0.524 0.545 0.555 0.570

over-fitting
2.215 1.587 1.074 0.796 0.569 0.404 0.343 0.264 0.150 0.228 0.175 0.111 0.086 0.042 0.038
0.190 0.510 0.650 0.720 0.810 0.870 0.890 0.880 0.960 0.870 0.930 0.960 0.970 1.000 0.990
1.823 1.308 1.156 0.904 1.113 1.190 1.121 1.068 1.245 1.029 1.029 1.139 1.333 1.216 1.211
0.417 0.552 0.567 0.666 0.623 0.609 0.654 0.679 0.627 0.706 0.717 0.682 0.656 0.701 0.708

no fault
1.033 0.595 0.484 0.403 0.356 0.309
0.638 0.780 0.834 0.860 0.871 0.889
0.851 0.630 0.530 0.515 0.508 0.528
0.697 0.768 0.809 0.810 0.812 0.806

learning rate too high
1.739 2.520 3.342 2.962 3.078 2.059 3.719 4.083 3.147 2.703
0.524 0.538 0.444 0.463 0.393 0.447 0.369 0.345 0.292 0.265
2.276 7.865 3.852 3.966 2.744 2.659 2.611 14.214 3.416 2.244
0.497 0.471 0.430 0.350 0.411 0.403 0.434 0.229 0.338 0.262

learning rate too high
2.791 4.546 4.436 5.188 5.164 3.264 5.111 4.315 3.342 23.628
0.460 0.396 0.334 0.235 0.147 0.142 0.167 0.192 0.174 0.150
3.627 6.534 17.358 7.487 3.887 3.589 4.633 5.291 2.582 4.460
0.521 0.323 0.294 0.182 0.144 0.146 0.148 0.209 0.150 0.154

learning rate too high
684.45 3.523 2.332 2.327 2.317 2.317
0.129 0.095 0.083 0.099 0.089 0.099
3.693 2.314 2.312 2.319 2.315 2.314
0.096 0.106 0.099 0.095 0.096 0.094

learning rate too high
2.181 2.106 nan nan
0.210 0.264 0.105 0.100
1.506 3.070 nan nan
0.390 0.174 0.094 0.094

under-fitting
2.300 2.297 2.293 2.289 2.286 2.282 2.278 2.273
0.083 0.094 0.096 0.114 0.113 0.122 0.123 0.129
2.298 2.295 2.292 2.288 2.284 2.281 2.277 2.273
0.095 0.102 0.110 0.110 0.110 0.111 0.117 0.122

under-fitting
2.279 2.099 1.961 1.866 1.782 1.739 1.709 1.688 1.652 1.638
0.117 0.151 0.219 0.246 0.278 0.278 0.276 0.277 0.288 0.285
2.176 2.023 1.909 1.815 1.768 1.715 1.726 1.683 1.663 1.651
0.152 0.202 0.232 0.273 0.288 0.260 0.280 0.252 0.273 0.253

over-fitting
1.785 1.108 0.806 0.622 0.565 0.470 0.295 0.189 0.129 0.084 0.065 0.034 0.027 0.018
0.410 0.643 0.693 0.773 0.780 0.840 0.897 0.937 0.960 0.973 0.990 0.997 0.997 1.000
1.240 0.922 0.860 0.859 0.886 0.706 0.787 0.888 0.851 0.829 0.860 0.885 0.859 0.902
0.600 0.625 0.670 0.698 0.711 0.768 0.757 0.755 0.754 0.770 0.774 0.774 0.775 0.772

over-fitting
2.125 1.361 0.947 0.521 0.408 0.354 0.386 0.218 0.122 0.384 0.222 0.199 0.077 0.040 0.029
0.220 0.530 0.600 0.840 0.840 0.850 0.890 0.900 0.950 0.870 0.920 0.950 0.980 0.990 0.990
1.636 1.394 1.206 1.413 1.971 1.584 1.614 1.489 2.076 1.583 1.805 1.830 1.823 1.874 1.797
0.408 0.493 0.573 0.624 0.568 0.646 0.670 0.679 0.610 0.706 0.697 0.701 0.696 0.689 0.696

no fault
0.583 0.335 0.286 0.251 0.228
0.786 0.876 0.893 0.907 0.915
0.377 0.308 0.281 0.245 0.251
0.862 0.885 0.896 0.910 0.908

no fault
0.803 0.491 0.432 0.364 0.330
0.721 0.820 0.841 0.870 0.881
0.583 0.543 0.454 0.457 0.464
0.776 0.798 0.834 0.823 0.829
"""


def _recorded_histories() -> list[tuple[str, pd.DataFrame]]:
    """Return the fault and the history of every recorded run.

    Returns
    -------
    list of (str, pd.DataFrame)
        Columns epoch, train_loss, train_accuracy, validation_loss and validation_accuracy, as from `fit`.
    """
    runs = []
    for block in RECORDED.strip().split("\n\n"):
        fault, *lines = block.split("\n")
        columns = [[float(number) for number in line.split()] for line in lines]
        history = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
        history.insert(0, "epoch", range(1, len(history) + 1))
        runs.append((fault, history))
    return runs


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


def _search(side: int, kernels: list[int], target: int, layer: Callable) -> set[tuple[int, ...]]:
    """Return the paddings from 0 to 2 that lead to a target; layer takes side, kernel and padding to the next side."""
    found = set()
    for paddings in product(range(3), repeat=len(kernels)):
        n = side
        for kernel, padding in zip(kernels, paddings, strict=True):
            n = layer(n, kernel, padding)
        if n == target:
            found.add(paddings)
    return found


def _paddings_hint(seen: set, expected: set, side: int, kernels: list[int], target: int) -> str:
    """Return the hint to a wrong set of paddings."""
    mistakes = [(seen == _search(side, kernels, target, layer), hint) for layer, hint in LAYERS]
    mistakes += [
        (
            seen == {choice for choice in expected if len(set(choice)) == 1},
            "may each convolution have its own padding?",
        ),
        (len(seen) == 1, "does the search end at the first hit?"),
        (seen == _search(side, kernels[::-1], target, LAYERS[-1][0]), "in which order do the kernels come?"),
        (seen == {choice[::-1] for choice in expected}, "which padding of a tuple belongs to the first convolution?"),
    ]
    return first_hint(mistakes, "take the choice named above through the layers on paper, side by side")


def _sgd_hint(seen: tuple, before: tuple, after: tuple, lr: float, momentum: float, decay: float) -> str:
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
    return first_hint(mistakes, "compare your lines with the loop by hand in section 4, and their order")


def _steps_hint(steps: list[int], names: list[str], batches: int, epochs: int) -> str:
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
    return first_hint(
        mistakes, "your count leaves gaps; by how much does it grow from batch to batch, and where does it begin?"
    )


def _scores_hint(seen: torch.Tensor, expected: torch.Tensor, scores: Callable, num_classes: int) -> str:
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
    return first_hint(mistakes, "work out one class alone, as section 8 does, and compare it with per_class_table")


def _fault_hint(fault: str, seen: str, history: pd.DataFrame) -> str:
    """Return the hint to a wrong name of a fault."""
    if seen == "no fault" and history["train_loss"].isna().any():
        return "a comparison with NaN is always False; how do you ask for NaN?"
    return FAULTS[fault, seen]


def _torch_layer(side: int, kernel: int, padding: int) -> int:
    """Return the side behind a convolution and a pooling of PyTorch; 0 where PyTorch refuses."""
    try:
        x = F.conv2d(torch.zeros(1, 1, side, side), torch.zeros(1, 1, kernel, kernel), padding=padding)
        return F.max_pool2d(x, 2).shape[2]
    except RuntimeError:
        return 0


def find_paddings(answer: Callable) -> None:
    """Check the list of paddings that lead to a target side; PyTorch's own layers say what is right."""
    for side, kernels, target in [(40, [5, 4, 3], 4), (27, [2, 3, 3, 2], 2), (14, [5], 4), (8, [5, 4, 3], 1)]:
        what = f"find_paddings({side}, {kernels}, {target})"
        result = call(answer, side, list(kernels), target)
        try:
            listed = [tuple(int(padding) for padding in paddings) for paddings in result]
        except (TypeError, ValueError, RuntimeError):
            seen = f"{type(result).__name__} {short(result)}"
            raise cross(f"what {what} is", seen, "a list of tuples", "one tuple for each choice") from None
        seen, expected = set(listed), _search(side, kernels, target, _torch_layer)
        if seen != expected:
            lacking, surplus = sorted(expected - seen), sorted(seen - expected)
            example = f"with {lacking[0]}" if lacking else f"without {surplus[0]}"
            hint = _paddings_hint(seen, expected, side, kernels, target)
            raise cross(what, f"{len(seen)} in all, {short(sorted(seen))}", f"{len(expected)} in all, {example}", hint)
        if len(listed) > len(seen):
            raise cross(what, f"{len(listed)} tuples", f"{len(seen)} tuples", "does a choice stand in the list twice?")
    tick("find_paddings: every choice that PyTorch's layers lead to the target, and no other.")


def sgd_step(answer: Callable) -> None:
    """Check steps of SGD with momentum and weight decay against `torch.optim.SGD`."""
    generator = torch.Generator().manual_seed(6)
    settings = [((4,), 0.05, 0.9, 0.2), ((2, 3), 0.01, 0.5, 0.3), ((), 0.3, 0.9, 0.0), ((3,), 0.1, 0.0, 0.1)]
    for shape, lr, momentum, decay in settings:
        parameter = nn.Parameter(1 + torch.rand(shape, generator=generator, dtype=torch.float64))
        optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum, weight_decay=decay)
        velocity = torch.zeros_like(parameter.detach())
        for number in range(1, 5):
            weight = parameter.detach().clone()
            gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
            parameter.grad = gradient.clone()
            optimizer.step()
            after = parameter.detach(), momentum * velocity + gradient + decay * weight
            result = call(answer, weight, gradient, velocity, lr, momentum, decay)
            if not isinstance(result, tuple | list) or len(result) != 2:
                seen = f"{type(result).__name__} {short(result)}"
                raise cross("what sgd_step returns", seen, "a weight and a velocity", "return both, with a comma")
            parts = zip(("weight", "velocity"), result, after, strict=True)
            seen = [as_tensor(f"the new {name}", *part, f"the {name} keeps its shape") for name, *part in parts]
            if not all(torch.allclose(a, b, atol=1e-6) for a, b in zip(seen, after, strict=True)):
                raise cross(
                    f"step {number} with lr {lr}, momentum {momentum}, weight_decay {decay}: weight; velocity",
                    f"{short(seen[0])}; {short(seen[1])}",
                    f"{short(after[0])}; {short(after[1])}",
                    _sgd_hint(seen, (weight, gradient, velocity), after, lr, momentum, decay),
                )
            velocity = after[1]
    tick("sgd_step: weight and velocity are those of torch.optim.SGD, step after step.")


def _losses(model: nn.Module, batches: list) -> Iterator[float]:
    """Train with plain SGD at a learning rate of 0.1, and yield the loss of each batch."""
    for images, labels in batches:
        loss = F.cross_entropy(model(normalize(images)), labels)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
        yield loss.item()


def log_training(answer: Callable) -> None:
    """Check that the loss of each batch stands in the TensorBoard log once, at its number since the start."""
    # TensorBoard is imported here, because only this check needs it.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    generator = torch.Generator().manual_seed(6)
    for sizes, epochs in [((4, 4, 2), 3), ((5,), 4), ((3, 1), 1)]:
        loader = [
            (torch.randint(256, (n, 1, 2, 3), generator=generator).byte(), torch.randint(4, (n,), generator=generator))
            for n in sizes
        ]
        model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4))
        for parameter in model.parameters():
            nn.init.normal_(parameter, generator=generator)
        expected = torch.tensor(list(_losses(copy.deepcopy(model), loader * epochs)))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as log_dir:
            losses = call(answer, model, loader, optimizer, epochs, Path(log_dir))
            for _ in range(10):  # a writer that was not closed needs a moment
                log = EventAccumulator(log_dir).Reload()
                names = log.Tags()["scalars"]
                points = log.Scalars("train_loss") if "train_loss" in names else []
                if len(points) >= len(expected):
                    break
                time.sleep(0.02)
        run = f"{epochs} epochs of {len(sizes)} batches"
        seen = as_tensor(f"the losses of {run}", losses, expected, "return one loss for each batch, in order")
        if not torch.allclose(seen, expected, rtol=1e-3):
            raise cross(f"the losses of {run}", short(seen), short(expected), "train as the cell above does")
        points.sort(key=lambda point: point.step)  # a folder of several files is not read in a sure order
        steps, numbers = [point.step for point in points], list(range(1, len(expected) + 1))
        if steps != numbers:
            hint = _steps_hint(steps, names, len(sizes), epochs)
            raise cross(f"the steps of train_loss in the log of {run}", short(steps), short(numbers), hint)
        logged = torch.tensor([point.value for point in points])
        if not torch.allclose(logged, expected, rtol=1e-3):
            raise cross("the values in the log", short(logged), short(expected), "log what you return, batch by batch")
    tick("log_training: each batch has a step of its own in the log, counted from the start of the training.")


def macro_curves(answer: Callable) -> None:
    """Check macro precision, recall and F1 after each epoch; scikit-learn says what is right."""
    rng = np.random.default_rng(6)
    rare = rng.choice(4, p=[0.6, 0.2, 0.15, 0.05], size=80)
    for labels, num_classes, predicted, epochs in [
        (rare, 4, 4, 4),
        (rare, 4, 2, 2),
        (rare, 6, 4, 1),
        (rare[:1], 3, 3, 2),
    ]:
        guesses = rng.choice(predicted, size=(epochs, len(labels)))
        kept = (rng.random(guesses.shape) < 0.6) & (labels < predicted)
        predictions = np.where(kept, labels, guesses)

        def scores(average: str, classes, labels=labels, predictions=predictions) -> torch.Tensor:
            options = {"labels": classes, "average": average, "zero_division": 0}
            return torch.tensor([precision_recall_fscore_support(labels, row, **options)[:3] for row in predictions])

        expected = scores("macro", range(num_classes))
        seen = call(answer, labels.copy(), predictions.copy(), num_classes)
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            seen = np.asarray(seen, dtype=float)  # a table or a list of arrays is right as well
        seen = as_tensor("macro_curves(...)", seen, expected, "one row for each epoch: precision, recall, F1")
        if not torch.allclose(seen, expected, atol=1e-5):
            raise cross(
                f"precision, recall, F1 after epoch 1 ({len(labels)} images, {num_classes} classes)",
                short(seen[0]),
                short(expected[0]),
                _scores_hint(seen, expected, scores, num_classes),
            )
    tick("macro_curves: right after every epoch, with classes that are rare, missing or never predicted.")


def diagnose(answer: Callable) -> None:
    """Check the names that a function gives to recorded histories of real runs."""
    runs = _recorded_histories()
    for fault, history in runs:
        train, validation = history["train_loss"], history["validation_loss"]
        result = call(answer, history.copy())
        if not isinstance(result, str) or result not in NAMES:
            seen = f"{type(result).__name__} {short(result)}"
            raise cross("the name of a fault", seen, f"one of {NAMES}", "take one of the four names, letter by letter")
        if result != fault:
            raise cross(
                f"{len(train)} epochs, train_loss {train.iloc[0]:.4g} (max {train.max():.4g}) → {train.iloc[-1]:.4g}, "
                f"validation_loss {validation.iloc[0]:.4g} (min {validation.min():.4g}) → {validation.iloc[-1]:.4g}",
                result,
                fault,
                _fault_hint(fault, result, history),
            )
    tick(f"diagnose: the right name for {len(runs)} recorded runs that it had not seen.")
