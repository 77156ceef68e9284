"""Checks of the exercises to lesson 02, an MLP baseline."""

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.utils.data import TensorDataset

from helpers.checks.tools import as_number, as_tensor, call, cross, short, tick
from helpers.data import make_loader, normalize


def _equal(seen: torch.Tensor | float, expected: torch.Tensor | float) -> bool:
    """Compare numbers or tensors up to rounding; NaN equals NaN."""
    seen, expected = torch.as_tensor(seen).double(), torch.as_tensor(expected).double()
    return seen.shape == expected.shape and torch.allclose(seen, expected, atol=1e-5, equal_nan=True)


def _hint(seen: torch.Tensor | float, mistakes: list, otherwise: str) -> str:
    """Return the hint of the first mistake, (its result, its hint), that gives what was seen."""
    return next((hint for result, hint in mistakes if _equal(seen, result)), otherwise)


def softmax(answer: Callable) -> None:
    """Check a softmax of logits, float32 (N, C), written without PyTorch's own."""
    generator = torch.Generator().manual_seed(7)
    for shape, scale in [((10, 10), 3.0), ((4, 10), 1.0), ((1, 6), 1.0), ((5, 3), 300.0)]:
        logits = scale * torch.randn(shape, generator=generator)
        expected = logits.softmax(dim=1)
        hint = "one probability for each logit; keepdim=True keeps a sum beside its row"
        seen = as_tensor("softmax(logits)", call(answer, logits), expected, hint)
        if seen.isnan().any():
            hint = "exp of a large number is infinite, and 0/0 is NaN; what may each row take away before exp?"
            raise cross(f"logits from {logits.min():.0f} to {logits.max():.0f}", "NaN", "numbers from 0 to 1", hint)
        if not _equal(seen, expected):
            e = logits.exp()
            mistakes = [
                (logits.softmax(dim=0), "your columns sum to 1; over which dimension do the classes of one image run?"),
                (e / e.sum(), "all rows together sum to 1; each image needs a sum of its own"),
                (
                    e / e.sum(dim=1),
                    "rows are not divided by their own sums; what does keepdim=True do to a sum's shape?",
                ),
            ]
            hint = "each probability is exp(logit) over the sum of exp over the classes of the same image"
            row = (seen - expected).abs().sum(dim=1).argmax()
            raise cross(f"row {row} of the result", short(seen[row]), short(expected[row]), _hint(seen, mistakes, hint))
    tick("softmax: every row sums to 1, and large logits do no harm.")


_STEP_HINTS = {
    "eval mode": "the model came in eval mode, as after a measurement; which line switches it back, and when?",
    "no zero_grad": "backward() adds to the gradients that are there; what becomes of those of the batch before?",
    "softmax": "does F.cross_entropy take logits or probabilities? Section 2 of the lesson says it",
    "sum": "the loss of a batch is the mean over its images, not their sum",
    "late": "the weights moved by the gradients of the batch before; which line must come before step()?",
}


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, images, labels, mistake: str = "") -> float:
    """Do one training step, rightly or with one of the mistakes of `_STEP_HINTS`."""
    if mistake == "late":
        optimizer.step()
    model.train(mistake != "eval mode")
    outputs = model(images)
    if mistake == "softmax":
        outputs = outputs.softmax(dim=1)
    loss = F.cross_entropy(outputs, labels, reduction="sum" if mistake == "sum" else "mean")
    if mistake != "no zero_grad":
        optimizer.zero_grad()
    loss.backward()
    if mistake != "late":
        optimizer.step()
    return loss.item()


def _train(step: Callable, model: nn.Module, batches: list) -> tuple[torch.Tensor, list, bool]:
    """Train a copy of a model, with momentum; return its weights, the losses, and whether it holds gradients."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    # Each step meets the model in eval mode, as it is after a measurement.
    losses = [step(model.eval(), optimizer, images, labels) for images, labels in batches]
    has_gradients = any(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    return parameters_to_vector(model.parameters()).detach(), losses, has_gradients


def training_step(answer: Callable) -> None:
    """Check one step of training by the weights and the losses over three batches, for two small models."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
        normalised = nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))
        for model, size, classes, lengths in [(plain, (3, 4), 4, (7, 4, 1)), (normalised, (5, 6), 10, (9, 9, 5))]:
            batches = [(2 * torch.randn(n, 1, *size), torch.randint(classes, (n,))) for n in lengths]
            expected, expected_losses, _ = _train(_step, model, batches)
            seen, losses, has_gradients = _train(lambda *arguments: call(answer, *arguments), model, batches)
            numbers = [as_number("the loss", loss) for loss in losses]
            if not _equal(seen, expected):
                mistakes = [(_train(partial(_step, mistake=m), model, batches)[0], h) for m, h in _STEP_HINTS.items()]
                still = "step() found no gradients: which line makes them, and which clears them?"
                still = "which line moves them, and does it come after backward()?" if has_gradients else still
                mistakes.append((parameters_to_vector(model.parameters()).detach(), f"no weight has moved; {still}"))
                hint = "go through the lines in section 4 of the lesson, and use the optimizer that is passed in"
                worst = (seen - expected).abs().argmax()
                hint = _hint(seen, mistakes, hint)
                raise cross("a weight after three batches", f"{seen[worst]:.4f}", f"{expected[worst]:.4f}", hint)
            for loss, number, right, n in zip(losses, numbers, expected_losses, lengths, strict=True):
                if not _equal(number, right):
                    mistakes = [(n * right, "the weights are right; the loss is to be the mean over the batch")]
                    hint = _hint(number, mistakes, "the weights are right; which loss did backward() start from?")
                    raise cross(f"the loss of a batch of {n}", f"{number:.4f}", f"{right:.4f}", hint)
                if getattr(loss, "requires_grad", False):
                    hint = "such a tensor keeps all that led to it; how does a tensor of one number become a float?"
                    raise cross("what training_step gives back", "a tensor with its gradient history", "a float", hint)
    tick("training_step: three steps with each of two models gave the right weights and losses.")


def _loss_and_accuracy(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    return F.cross_entropy(logits, labels).item(), (logits.max(dim=1).indices == labels).double().mean().item()


def _mistakes_of_evaluate(logits: torch.Tensor, labels: torch.Tensor, length: int) -> tuple[list, list]:
    """Return the wrong losses and the wrong accuracies of common mistakes, with their hints."""
    loss, accuracy = _loss_and_accuracy(logits, labels)
    parts = list(zip(logits.split(length), labels.split(length), strict=True))
    of_batches = torch.tensor([_loss_and_accuracy(*part) for part in parts], dtype=torch.float64)
    probabilities = logits.softmax(dim=1)
    twice = "a sure and right answer is 1, 0, 0 in probabilities; what does F.cross_entropy make of them?"
    unequal = "an image of the short last batch counts more than the others; add up over images, and divide once"
    losses = [
        (F.cross_entropy(probabilities, labels), twice),
        (F.nll_loss(probabilities, labels), "a loss below 0? Where is the logarithm?"),
        (of_batches[:, 0].mean(), unequal),
        (of_batches[:, 0].sum() / len(labels), "F.cross_entropy gives the mean of a batch; what must you add up?"),
        (loss * len(labels), "the loss is a sum over all images; divide it once by their number"),
    ]
    accuracies = [
        (of_batches[:, 1].mean(), unequal),
        (accuracy * 100, "the accuracy is to be a share from 0 to 1, not percent"),
    ]
    if len(labels) == 2 * length == 2 * logits.shape[1]:  # only then do both dimensions have one length
        of_classes = torch.cat([part.argmax(dim=0) for part, _ in parts])
        hint = "this asks for the best image of each class, not for the best class of each image"
        accuracies.append(((of_classes == labels).double().mean(), hint))
    return losses, accuracies


def evaluate(answer: Callable) -> None:
    """Check an evaluation: mean loss and accuracy over all images of the batches, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(13)
        for size, classes, n, length in [((4, 5), 6, 12, 6), ((5, 4), 6, 20, 9), ((3, 3), 10, 7, 6), ((2, 8), 3, 1, 4)]:
            # In training mode this dropout clears every input, so that a forgotten eval() always shows.
            model = nn.Sequential(nn.Flatten(), nn.Dropout(1.0), nn.Linear(size[0] * size[1], classes))
            images, labels = torch.randint(256, (n, 1, *size)).byte(), torch.randint(classes, (n,))
            labels[: n // 2] = model.eval()(normalize(images)).argmax(dim=1)[: n // 2]
            with torch.inference_mode():
                in_training = F.cross_entropy(model.train()(normalize(images)), labels)
                logits = model.eval()(normalize(images))
            right_loss, right_accuracy = _loss_and_accuracy(logits, labels)
            result = call(answer, model.train(), make_loader(TensorDataset(images, labels), length))
            try:
                loss, accuracy = result
            except (TypeError, ValueError):
                raise cross(
                    "what evaluate gives back", short(result), "a loss and an accuracy", "return both"
                ) from None
            loss, accuracy = as_number("the loss", loss), as_number("the accuracy", accuracy)
            losses, accuracies = _mistakes_of_evaluate(logits, labels, length)
            losses = [(in_training, "dropout was on: the model came in training mode"), *losses]
            what = f"of {n} images in batches of {length}"
            if not _equal(loss, right_loss):
                hint = _hint(loss, losses, "the cross-entropy of every image, added up, over the number of images")
                raise cross(f"the loss {what}", f"{loss:.4f}", f"{right_loss:.4f}", hint)
            if not _equal(accuracy, right_accuracy):
                hint = _hint(accuracy, accuracies, "the share of images whose largest logit is that of their label")
                raise cross(f"the accuracy {what}", f"{accuracy:.4f}", f"{right_accuracy:.4f}", hint)
    tick("evaluate: the right loss and accuracy over all images, whatever the sizes of the batches.")


def sure_and_wrong(answer: Callable) -> None:
    """Check the places of the most confident mistakes, where there are many, few or none."""
    generator = torch.Generator().manual_seed(17)
    for n, classes, k, mistaken in [(40, 10, 6, 20), (60, 4, 1, 18), (15, 3, 20, 6), (9, 5, 3, 1), (5, 10, 3, 0)]:
        probabilities = (2 * torch.randn(n, classes, generator=generator)).softmax(dim=1)
        confidence, said = probabilities.max(dim=1)
        other = (said + torch.randint(1, classes, (n,), generator=generator)) % classes
        labels = torch.where(torch.randperm(n, generator=generator) < mistaken, other, said)
        wrong = [i for i in range(n) if labels[i] != said[i]]
        ordered = torch.tensor(sorted(wrong, key=lambda i: -confidence[i]), dtype=torch.int64)
        expected = ordered[:k]
        hint = f"one number a mistake, in one row; with {mistaken} mistakes and k = {k}, how many are there?"
        seen = as_tensor("sure_and_wrong(...)", call(answer, labels, probabilities, k), expected, hint)
        if not _equal(seen, expected):
            of_truth = probabilities[torch.arange(n), labels]
            mistakes = [
                (confidence[wrong].argsort(descending=True)[:k], "places among mistakes; where are they in labels?"),
                (confidence.argsort(descending=True)[:k], "right answers are among them; look at the labels first"),
                (ordered.flip(0)[:k], "the least confident mistakes; in which direction does your sort run?"),
                (of_truth.argsort()[:k], "sorted by the probability of the true class; whose is the confidence?"),
                (torch.tensor(wrong)[:k], "the mistakes in their own order; by what should they be sorted?"),
                (expected.flip(0), "these are the right images; put the most confident one first"),
            ]
            hint = "keep the images whose most probable class is not their label, then sort them by confidence"
            raise cross(f"the places for k = {k}", short(seen), short(expected), _hint(seen, mistakes, hint))
    tick("sure_and_wrong: the most confident mistakes in order, also where there are fewer than k or none.")


def recall_by_class(answer: Callable) -> None:
    """Check the recall of each class over batches of several sizes, in which classes are missing."""
    generator = torch.Generator().manual_seed(19)
    for classes, present, lengths in [(5, 5, (20, 20, 7)), (10, 9, (12, 30, 1)), (4, 2, (6,))]:
        labels = torch.randint(present, (sum(lengths),), generator=generator)
        said = torch.randint(classes, labels.shape, generator=generator)
        said = torch.where(torch.rand(labels.shape, generator=generator) < 0.5, labels, said)
        # Rows are true classes, columns are answers; the last table is that of all batches.
        batches = list(zip(labels.split(lengths), said.split(lengths), strict=True))
        tables = [torch.zeros(classes, classes) for _ in range(len(lengths) + 1)]
        for table, pair in zip(tables, [*batches, (labels, said)], strict=True):
            table.index_put_(pair, torch.tensor(1.0), accumulate=True)
        *of_batches, expected = (table.diagonal() / table.sum(dim=1) for table in tables)
        hits, images, answers = tables[-1].diagonal(), tables[-1].sum(dim=1), tables[-1].sum(dim=0)
        hint = "one recall for each class from 0 to num_classes - 1, also for one that never occurs"
        result = call(answer, [(a.clone(), b.clone()) for a, b in batches], classes)
        seen = as_tensor("recall_by_class(...)", result, expected, hint)
        if not _equal(seen, expected):
            averaged = "in an average of batches one image may count like ten; count first, then divide"
            by_batch = torch.stack(of_batches)
            mistakes = [
                (hits / answers, "you divide by how often the class was said; that is precision"),
                (hits / images.sum(), "you divide by all images; recall looks at those of one class"),
                *((by_batch.nan_to_num(fill).mean(dim=0), averaged) for fill in (0.0, 1.0, torch.nan)),
                (by_batch.nanmean(dim=0), averaged),
                (by_batch[-1], "these are the recalls of the last batch alone"),
                (expected.nan_to_num(0), "recall 0 says that all were missed; were there any images of this class?"),
            ]
            hint = _hint(seen, mistakes, "for each class: right answers among its images, over how many it has")
            worst = (seen.nan_to_num(-1) - expected.nan_to_num(-1)).abs().argmax()
            raise cross(f"the recall of class {worst}", f"{seen[worst]:.4f}", f"{expected[worst]:.4f}", hint)
    tick("recall_by_class: each class over all batches, NaN where a class has no images.")
