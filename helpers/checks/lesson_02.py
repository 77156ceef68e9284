"""Checks of the exercises to lesson 02, an MLP baseline."""

import copy
import weakref
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.utils.data import TensorDataset

from helpers.checks.tools import UNREADABLE, as_number, as_tensor, call, cross, short, tick
from helpers.data import make_loader, normalize


def _equal(seen: torch.Tensor | float, expected: torch.Tensor | float) -> bool:
    """Compare numbers or tensors up to rounding; NaN equals NaN."""
    seen, expected = torch.as_tensor(seen).double(), torch.as_tensor(expected).double()
    return seen.shape == expected.shape and torch.allclose(seen, expected, atol=1e-5, equal_nan=True)


def _hint(seen: torch.Tensor | float, mistakes: list, otherwise: str) -> str:
    """Return the hint of the first mistake, (its result, its hint), that gives what was seen."""
    return next((hint for result, hint in mistakes if _equal(seen, result)), otherwise)


def loss_of_each(answer: Callable) -> None:
    """Check the cross-entropy of each image, from logits, float32 (N, C), as far apart as some hundreds."""
    generator = torch.Generator().manual_seed(7)
    for shape, scale in [((10, 10), 2.0), ((4, 10), 1.0), ((1, 6), 1.0), ((12, 3), 300.0)]:
        logits = scale * torch.randn(shape, generator=generator)
        labels = torch.randint(shape[1], shape[:1], generator=generator)
        labels[0] = logits[0].argmin()  # one image of which the model is sure and wrong
        expected = F.cross_entropy(logits, labels, reduction="none")
        hint = "one loss for each image, not their mean and not one for each class"
        seen = as_tensor("loss_of_each(logits, labels)", call(answer, logits, labels), expected, hint)
        what = f"the losses for logits from {logits.min():.0f} to {logits.max():.0f}"
        if not seen.isfinite().all():
            hint = "exp overflows, or p is rounded to 0 and ln 0 is taken; write ln p out before you compute p"
            raise cross(what, short(seen), short(expected), hint)
        if not _equal(seen / scale, expected / scale):
            if scale > 100 and torch.allclose(seen, expected.clamp(max=seen.max()), atol=1.0):
                hint = "no loss passes this number: p is 0, and something replaced it; write ln p out before p"
                raise cross(what, short(seen), short(expected), hint)
            p = logits.softmax(dim=1)
            largest, one_part = logits.max(dim=1).values, "the largest logit was taken away in one part of ln p only"
            of_truth = p[torch.arange(len(labels)), labels]
            mistakes = [
                (-expected, "the logarithm of a probability is below 0; a loss is not"),
                (of_truth, "these are the probabilities of the true classes; where is the logarithm?"),
                (1 - of_truth, "1 - p can never pass 1; the loss is to grow without limit as p goes to 0"),
                (expected / torch.tensor(10.0).log(), "this is the logarithm to base 10; ln is torch.log"),
                (expected / torch.tensor(2.0).log(), "this is the logarithm to base 2; ln is torch.log"),
                (-p.max(dim=1).values.log(), "of which class is the probability: the answer, or the truth?"),
                (F.cross_entropy(p, labels, reduction="none"), "softmax twice: logits go in, not probabilities"),
                (expected - largest, one_part),
                (expected + largest, one_part),
            ]
            if shape[0] == shape[1]:  # only then do both dimensions have one length
                over_batch = -logits.log_softmax(dim=0)[torch.arange(len(labels)), labels]
                mistakes.append((over_batch, "over which dimension do the classes of one image run?"))
            otherwise = "minus ln of the probability that softmax gives to the true class of each image"
            mistakes = [(result / scale, hint) for result, hint in mistakes]
            raise cross(what, short(seen), short(expected), _hint(seen / scale, mistakes, otherwise))
    tick("loss_of_each: the loss of every image, also where the model is very sure and wrong.")


def gradient_of_first_layer(answer: Callable) -> None:
    """Check the gradient of the first of two layers with ReLU between them, found without autograd."""
    generator = torch.Generator().manual_seed(11)
    for n, inputs, hidden, classes in [(6, 5, 4, 3), (1, 3, 7, 4), (20, 4, 8, 10)]:
        x = torch.randn(n, inputs, generator=generator, dtype=torch.float64)
        W1 = torch.randn(hidden, inputs, generator=generator, dtype=torch.float64)
        W2 = torch.randn(classes, hidden, generator=generator, dtype=torch.float64)
        labels = torch.randint(classes - 1, (n,), generator=generator)  # a batch need not hold the last class
        before = x @ W1.T
        logits = before.relu() @ W2.T
        of_logits = (logits.softmax(dim=1) - F.one_hot(labels, classes)) / n
        expected = ((of_logits @ W2) * (before > 0)).T @ x
        hint = f"a gradient has the shape of its weights: {hidden} hidden units, {inputs} inputs"
        with torch.inference_mode():  # where backward() has nothing to follow
            seen = as_tensor("gradient_of_first_layer(...)", call(answer, x, W1, W2, labels), expected, hint)
        if not _equal(seen, expected):
            without_truth = ((logits.softmax(dim=1) / n @ W2) * (before > 0)).T @ x
            linear = ((x @ W1.T @ W2.T).softmax(dim=1) - F.one_hot(labels, classes)) / n
            mistakes = [
                (((of_logits @ W2).T @ x), "where ReLU gave 0, a weight moved a little still gives 0; what passes it?"),
                ((linear @ W2).T @ x, "there is no ReLU in your network, neither forwards nor backwards"),
                (expected * n, "the loss is the mean over the images; what became of 1/N?"),
                (-expected, "the sign is turned round: the gradient points uphill, the step goes against it"),
                (without_truth, "which logit must grow? Nothing in your gradient knows the labels"),
                (
                    ((of_logits @ W2) * before.relu()).T @ x,
                    "times 1 where the unit is on and 0 where off, not its value",
                ),
            ]
            otherwise = "go backwards: gradient of the logits, of the hidden units, of what went into ReLU, of W1"
            worst = (seen - expected).abs().argmax()
            what = f"a weight's gradient, for {n} images"
            numbers = f"{seen.flatten()[worst]:.4f}", f"{expected.flatten()[worst]:.4f}"
            raise cross(what, *numbers, _hint(seen, mistakes, otherwise))
    tick("gradient_of_first_layer: the same gradients as backward(), through ReLU and all.")


class _Keep(torch.autograd.Function):
    """Pass its input on, and keep something in the graph until `backward()` has come by."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, kept: object) -> torch.Tensor:
        ctx.kept = kept
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.kept = None
        return gradient, None


class _Watch(nn.Module):
    """Pass its input on in training mode, nothing in evaluation mode, and note the most images held at once."""

    def __init__(self):
        super().__init__()
        self.most, self.held = 0, weakref.WeakSet()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.most = max(self.most, len(x), sum(piece.number for piece in self.held))
        images = nn.Module()  # anything that a weak reference can follow
        images.number = len(x)
        self.held.add(images)
        return _Keep.apply(x if self.training else 0 * x, images)


_PIECES_HINTS = {
    "eval mode": "the model came in eval mode, as after a measurement; which line switches it back, and when?",
    "no zero_grad": "backward() adds to the gradients that are there; what becomes of those of the batch before?",
    "cleared in each": "the gradients of all pieces must add up; when may they be cleared?",
    "step in each": "the weights moved after every piece; there is to be one step for the whole batch",
    "sum of means": "each piece gives its mean, and they were added up; what share of the batch is a piece?",
    "unweighted": "a short last piece counts as much as the others; what share of the batch is a piece?",
    "sums": "the loss of a batch is the mean over its images, not their sum",
    "softmax": "does F.cross_entropy take logits or probabilities? Section 2 of the lesson says it",
    "late": "the weights moved by the gradients of the batch before; which line must come before step()?",
}


def _in_pieces(
    model: nn.Module, optimizer: torch.optim.Optimizer, images, labels, size: int, mistake: str = ""
) -> float:
    """Do one step with the gradients of all pieces, rightly or with one of the mistakes of `_PIECES_HINTS`."""
    if mistake == "late":
        optimizer.step()
    model.train(mistake != "eval mode")
    if mistake != "no zero_grad":
        optimizer.zero_grad()
    pieces = list(zip(images.split(size), labels.split(size), strict=True))
    loss_of_batch = 0.0
    for x, y in pieces:
        if mistake == "cleared in each":
            optimizer.zero_grad()
        outputs = model(x).softmax(dim=1) if mistake == "softmax" else model(x)
        shares = {"sum of means": 1.0, "unweighted": 1 / len(pieces), "sums": len(y)}
        loss = F.cross_entropy(outputs, y) * shares.get(mistake, len(y) / len(labels))
        loss.backward()
        loss_of_batch += loss.item()
        if mistake == "step in each":
            optimizer.step()
    if mistake not in ("step in each", "late"):
        optimizer.step()
    return loss_of_batch


def _train(step: Callable, model: nn.Module, batches: list) -> tuple[torch.Tensor, list, nn.Module]:
    """Train a copy of a model, with momentum; return its weights, the losses, and the copy."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    # Each step meets the model in eval mode, as it is after a measurement.
    losses = [step(model.eval(), optimizer, images, labels) for images, labels in batches]
    return parameters_to_vector(model.parameters()).detach(), losses, model


def step_in_pieces(answer: Callable) -> None:
    """Check a step whose batch goes through the model in pieces, by the weights and losses over three batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for size, classes, shape, lengths in [(3, 4, (3, 4), (11, 5, 3)), (4, 10, (5, 6), (9, 4, 10))]:
            pixels = shape[0] * shape[1]
            model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 9), _Watch(), nn.ReLU(), nn.Linear(9, classes))
            batches = [(2 * torch.randn(n, 1, *shape), torch.randint(classes, (n,))) for n in lengths]
            expected, expected_losses, _ = _train(partial(_in_pieces, size=size), model, batches)
            seen, losses, trained = _train(lambda *inputs, size=size: call(answer, *inputs, size), model, batches)
            numbers = [as_number("the loss", loss) for loss in losses]
            if not _equal(seen, expected):
                mistakes = [
                    (_train(partial(_in_pieces, size=size, mistake=mistake), model, batches)[0], hint)
                    for mistake, hint in _PIECES_HINTS.items()
                ]
                still = "no weight has moved; which line moves them, and what does it need to find?"
                mistakes.append((parameters_to_vector(model.parameters()).detach(), still))
                otherwise = "clear once, add up the gradients of all pieces by their share of the batch, step once"
                worst = (seen - expected).abs().argmax()
                hint = _hint(seen, mistakes, otherwise)
                raise cross("a weight after three batches", f"{seen[worst]:.4f}", f"{expected[worst]:.4f}", hint)
            if trained[2].most > size:
                hint = "the weights are right; but there is room for one piece, and it stays in memory until backward()"
                raise cross("the most images held at once", trained[2].most, f"at most {size}", hint)
            for loss, number, right, n in zip(losses, numbers, expected_losses, lengths, strict=True):
                if not _equal(number, right):
                    hint = "the weights are right; the loss is to be the mean over all images of the batch"
                    raise cross(f"the loss of a batch of {n}", f"{number:.4f}", f"{right:.4f}", hint)
                if getattr(loss, "requires_grad", False):
                    hint = "such a tensor keeps all that led to it; how does a tensor of one number become a float?"
                    raise cross("what step_in_pieces gives back", "a tensor with its gradient history", "a float", hint)
    tick("step_in_pieces: the same weights and losses as with whole batches, and never too many images at once.")


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
            except UNREADABLE:
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
                *((expected.nan_to_num(number), "no image of this class: what is 0 / 0?") for number in (-1.0, 1.0)),
                (expected.nan_to_num(0), "recall 0 says that all were missed; were there any images of this class?"),
            ]
            hint = _hint(seen, mistakes, "for each class: right answers among its images, over how many it has")
            worst = (seen.nan_to_num(-9) - expected.nan_to_num(-9)).abs().argmax()
            raise cross(f"the recall of class {worst}", f"{seen[worst]:.4f}", f"{expected[worst]:.4f}", hint)
    tick("recall_by_class: each class over all batches, NaN where a class has no images.")
