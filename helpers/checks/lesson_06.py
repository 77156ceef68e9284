"""Checks of the exercises to lesson 06, training diagnostics."""

import contextlib
import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from helpers.checks import hints_06 as hints
from helpers.checks.histories_06 import NAMES, recorded_histories
from helpers.checks.tools import as_tensor, call, cross, short, tick
from helpers.data import normalize


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
        seen, expected = set(listed), hints.search(side, kernels, target, _torch_layer)
        if seen != expected:
            lacking, surplus = sorted(expected - seen), sorted(seen - expected)
            example = f"with {lacking[0]}" if lacking else f"without {surplus[0]}"
            hint = hints.paddings_hint(seen, expected, side, kernels, target)
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
                    hints.sgd_hint(seen, (weight, gradient, velocity), after, lr, momentum, decay),
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
            hint = hints.steps_hint(steps, names, len(sizes), epochs)
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
                hints.scores_hint(seen, expected, scores, num_classes),
            )
    tick("macro_curves: right after every epoch, with classes that are rare, missing or never predicted.")


def diagnose(answer: Callable) -> None:
    """Check the names that a function gives to recorded histories of real runs."""
    runs = recorded_histories()
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
                hints.fault_hint(fault, result, history),
            )
    tick(f"diagnose: the right name for {len(runs)} recorded runs that it had not seen.")
