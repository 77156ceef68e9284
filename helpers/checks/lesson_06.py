"""Checks of the exercises to lesson 06, training diagnostics."""

import contextlib
import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from helpers.checks.tools import UNREADABLE, as_tensor, call, cross, first_hint, is_pair, short, tick
from helpers.data import normalize

# Six short trainings of SimpleCNN, 120 batches of 36, as exercise 5 draws them: a name, then the mean over each ten
# steps of the loss, of the gradient norms of the first and of the last layer, and of the ratio of update to weight
# (median of the layers). The faults were planted: see FAULT_OF.
INSTRUMENTS = """
A
2.31 2.31 2.31 2.31 2.30 2.31 2.31 2.30 2.30 2.31 2.31 2.31
0.0302 0.0296 0.0283 0.0276 0.0288 0.0252 0.0249 0.0261 0.0250 0.0276 0.0248 0.0238
0.222 0.201 0.183 0.175 0.150 0.152 0.134 0.132 0.135 0.148 0.135 0.120
0.000627 0.000681 0.000663 0.000661 0.000605 0.000565 0.000587 0.000519 0.000486 0.000562 0.000527 0.000651

B
2.27 2.27 2.62 2.27 2.85 2.33 2.76 2.51 3.05 2.33 2.33 2.32
0.0607 0.723 0.610 0.214 1.30 1.12 2.64 0.225 0.771 0.00359 0.0216 0
0.258 1.97 0.942 0.255 2.17 1.58 0.987 1.04 0.947 0.200 0.211 0.192
0.00871 0.0695 0.0987 0.0344 0.0662 0.0443 0.0383 0.0307 0.0417 0.0136 0.00567 0.00294

C
2.30 2.28 2.23 2.07 1.64 1.27 1.21 1.04 0.951 0.931 0.817 0.852
0.0378 0.0478 0.0871 0.238 0.264 0.356 0.365 0.293 0.352 0.266 0.326 0.359
0.244 0.244 0.347 0.720 2.53 3.91 3.14 1.72 2.57 1.98 1.12 1.80
0.000990 0.00164 0.00240 0.00470 0.00787 0.00579 0.00546 0.00377 0.00352 0.00318 0.00334 0.00371

D
2.38 2.33 2.36 2.38 2.40 2.41 2.39 2.37 2.35 2.34 2.36 2.36
0.000395 0.000427 0.000334 0.000366 0.000362 0.000336 0.000354 0.000341 0.000312 0.000327 0.000346 0.000297
2.20 1.88 1.96 2.07 2.23 2.37 2.10 2.02 1.89 1.93 1.81 1.80
0.000144 0.000142 0.000155 0.000162 0.000176 0.000187 0.000185 0.000199 0.000156 0.000145 0.000143 0.000154

E
2.31 2.28 2.17 1.80 2.80 2.61 4.63 4.01 3.67 4.10 2.61 2.88
0.150 0.323 0.791 2.46 12.5 14.7 12.0 16.8 21.5 27.5 34.3 33.9
0.831 1.60 3.36 8.59 19.6 20.3 25.7 45.6 44.6 44.9 45.4 45.3
0.00130 0.00464 0.00977 0.0195 0.0491 0.0877 0.0661 0.0615 0.0535 0.0432 0.0355 0.0271

F
2.31 2.31 2.30 2.30 2.30 2.30 2.30 2.30 2.30 2.31 2.30 2.30
0.0399 0.0375 0.0360 0.0350 0.0362 0.0332 0.0338 0.0355 0.0356 0.0373 0.0348 0.0344
0.249 0.238 0.227 0.247 0.224 0.248 0.223 0.237 0.243 0.258 0.234 0.218
0.0000105 0.0000177 0.0000201 0.0000203 0.0000195 0.0000195 0.0000192 0.0000178 0.0000196 0.0000205 0.0000195 0.0000181
"""
SOUND, LOW, HIGH = "sound", "learning rate too low", "learning rate too high"
VANISHING, LABELS, PILING = "vanishing gradient", "labels shuffled", "zero_grad missing"
NAMES = [SOUND, LOW, HIGH, VANISHING, LABELS, PILING]
FAULT_OF = {"A": LABELS, "B": HIGH, "C": SOUND, "D": VANISHING, "E": PILING, "F": LOW}


# Wrong ways from one side to the next, and where to look. The last forgets that a map can vanish.
LAYERS = [
    (lambda n, k, p: (n + 2 * p - k + 1) / 2, "15 rows pooled by 2 are a whole number of rows: how many?"),
    (lambda n, k, p: -(-(n + 2 * p - k + 1) // 2), "does pooling make a new row of a single row that is left over?"),
    (lambda n, k, p: (n + 2 * p - k) // 2, "at how many places does a kernel of 5 fit into a row of 5 pixels?"),
    (lambda n, k, p: (n + p - k + 1) // 2, "at how many ends of a row does the padding add pixels?"),
    (lambda n, k, p: n // 2 + 2 * p - k + 1, "which comes first, the convolution or its pooling?"),
    (lambda n, k, p: (n + 2 * p - k + 1) // 2, "a map without a pixel is gone; can a later padding bring it back?"),
]

READINGS = {  # the fault of a run, what was said, and where to look
    (
        LABELS,
        LOW,
    ): "its weights move about as fast as the sound run's at first; what, then, is there not to learn?",
    (LABELS, VANISHING): "compare its two gradient norms: is the first layer further behind than in the sound run?",
    (HIGH, PILING): "does its gradient norm keep growing? Now look at the very first point of its ratio",
    (
        PILING,
        HIGH,
    ): "its ratio begins like that of a sound run; which quantity then grows from step to step?",
    (VANISHING, LOW): "its weights move slowly; but compare its first layer with its last before you blame the rate",
    (VANISHING, LABELS): "how far apart are its two gradient norms, and how far in the other runs?",
    (
        LOW,
        VANISHING,
    ): "its first layer is as far behind the last as in the sound run; how far do its weights move?",
    (LOW, LABELS): "what does the ratio of update to weight say, beside the rule of thumb of one thousandth?",
}
OF_RUN = {  # where no hint fits what was said
    SOUND: "in which run does the loss fall, and stay down?",
    LOW: "which instrument says how far a layer moves in one step, relative to its size?",
    HIGH: "look at the first point of the ratio, and at where the gradient of the first layer ends",
    VANISHING: "compare the gradient of the first layer with that of the last",
    LABELS: "all its instruments look healthy but the loss; what could make a batch impossible to learn?",
    PILING: "one of its quantities grows from step to step; what is added up that should not be?",
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
    empty = "no choice fits: does each begin with the image's side, and does a pooling follow each convolution?"
    mistakes = [
        (not seen, empty),
        (any(len(choice) != len(kernels) for choice in seen), "one padding for each convolution; how many are there?"),
    ]
    mistakes += [(seen == _search(side, kernels, target, layer), hint) for layer, hint in LAYERS]
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
        (gives(None, momentum * v + (1 - momentum) * pulled), "if g stays the same, to what does v grow in section 2?"),
        (
            gives(None, momentum * v + lr * pulled),
            "the learning rate scales the step; is it part of v in section 3, too?",
        ),
        (gives(None, momentum * v + g - decay * w), "with a gradient of 0, does your weight move towards zero?"),
        (gives(None, momentum * v + g), "does a weight without a gradient stay where it is?"),
        (gives(None, pulled), "the velocity that came in has left no trace in yours"),
    ]
    return first_hint(mistakes, "compare your lines with the loop by hand in section 3, and their order")


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
    by_zero = "0 divided by 0: which value does the task give it, and does the class still count in the mean?"
    wrong += [(scores("macro", range(num_classes), value), by_zero) for value in (1, np.nan)]
    first_is_right = len(seen) > 1 and torch.allclose(seen[0], expected[0], atol=1e-5)
    mistakes = [(bool(seen.isnan().any()), by_zero)]
    mistakes += [(torch.allclose(seen, values, atol=1e-5), hint) for values, hint in wrong]
    mistakes.append((first_is_right, "the first epoch is right; does something of it remain in the next?"))
    return first_hint(mistakes, "work out one class alone, as lesson 05 does, and compare it with per_class_table")


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
        except UNREADABLE:
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
            if not is_pair(result):
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

        def scores(average: str, classes, by_zero=0, labels=labels, predictions=predictions) -> torch.Tensor:
            options = {"labels": classes, "average": average, "zero_division": by_zero}
            return torch.tensor([precision_recall_fscore_support(labels, row, **options)[:3] for row in predictions])

        expected = scores("macro", range(num_classes))
        seen = call(answer, labels.copy(), predictions.copy(), num_classes)
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            seen = np.asarray(seen, dtype=float)  # a table or a list of arrays is right as well
        seen = as_tensor("macro_curves(...)", seen, expected, "one row for each epoch: precision, recall, F1")
        if not torch.allclose(seen, expected, atol=1e-5):
            row = int((~torch.isclose(seen, expected, atol=1e-5)).any(dim=1).int().argmax())
            raise cross(
                f"precision, recall, F1 after epoch {row + 1} ({len(labels)} images, {num_classes} classes)",
                short(seen[row]),
                short(expected[row]),
                _scores_hint(seen, expected, scores, num_classes),
            )
    tick("macro_curves: right after every epoch, with classes that are rare, missing or never predicted.")


def read_instruments(answer: Callable) -> None:
    """Check the faults that were read from the figure of six runs."""
    said = call(answer)
    if not isinstance(said, dict) or set(said) != set(FAULT_OF):
        seen = f"{type(said).__name__} {short(said)}"
        raise cross("what read_instruments returns", seen, "a dictionary", "one entry for each run, 'A' to 'F'")
    for run, name in said.items():
        if name not in NAMES:
            raise cross(f"run {run}", short(name), "a name of the table", "take a name letter by letter")
    if len(set(said.values())) < len(said):
        twice = max(said.values(), key=list(said.values()).count)
        both = " and ".join(sorted(run for run in said if said[run] == twice))
        raise cross(f"runs {both}", f"{twice}, for both", "each name once", "which of them fits the name better?")
    # The sound run first: the others are read beside it; then the runs with a hint that fits what was said.
    for run, fault in sorted(
        FAULT_OF.items(), key=lambda item: (item[1] != SOUND, (item[1], said[item[0]]) not in READINGS)
    ):
        if said[run] != fault:
            hint = READINGS.get((fault, said[run]), OF_RUN[fault])
            raise cross(f"run {run}", said[run], "another name", hint)
    tick("read_instruments: six runs, each with its fault.")
