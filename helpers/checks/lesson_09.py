"""Checks of the exercises to lesson 09, deeper networks."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.tools import as_number, as_tensor, best_hint, call, cross, is_pair, short, tick

LOSSES = [  # of the shallow and of the deep network: (training loss, validation loss); and the word
    ((0.40, 0.60), (0.20, 0.50), "better"),
    ((0.40, 0.60), (0.50, 0.55), "better"),
    ((0.40, 0.60), (0.05, 0.90), "overfits"),
    ((0.90, 1.10), (0.90, 1.20), "overfits"),
    ((0.40, 0.60), (2.30, 2.30), "not trained"),
    ((0.40, 0.60), (0.55, 1.40), "not trained"),
    ((0.40, 0.60), (0.45, 0.60), "not trained"),
]


def judge(answer: Callable) -> None:
    """Check the word for a deeper network, from its losses and those of the shallow one."""
    for shallow, deep, expected in LOSSES:
        seen = call(answer, shallow, deep)
        what = f"judge({shallow}, {deep})"
        if seen not in ("better", "overfits", "not trained"):
            raise cross(what, short(seen), f'"{expected}"', "one of the three words, spelt as in the list")
        if seen == expected:
            continue
        hint = "first compare the two validation losses; only if the deep one is no better, look at the training losses"
        if seen == "better" and deep[1] == shallow[1]:
            hint = "an equal validation loss is not a lower one"
        elif seen == "not trained" and deep[0] == shallow[0]:
            hint = "an equal training loss is not worse: it fits its training images at least as well"
        elif expected == "not trained":
            hint = "is the deep network better than the shallow one on the images that it was trained on?"
            if deep[1] - deep[0] > shallow[1] - shallow[0] and seen == "overfits":
                hint = "a wide gap alone is no overfitting: compare the two training losses"
        elif expected == "overfits":
            hint = "it fits its training images better and new ones worse; which of the words says that?"
        elif seen == "not trained":
            hint = "its validation loss is lower than the shallow one's, and that is what counts in the end"
        raise cross(what, f'"{seen}"', f'"{expected}"', hint)
    tick(f"judge: right for {len(LOSSES)} pairs of networks, one with a wide gap that is no overfitting.")


def output_gradients(answer: Callable) -> None:
    """Check the gradient norms of each part's output, from a list of modules, a batch and its labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for count, n in ((3, 4), (5, 6)):
            widths = [6, *(7 + number for number in range(count - 1)), 10]
            parts = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise(widths)]
            parts[-1] = parts[-1][0]
            x, labels = torch.randn(n, 6), torch.randint(10, (n,))
            expected, mistakes = _gradients(parts, x, labels)
            seen = call(answer, list(parts), x, labels)
            seen, what = _as_floats(seen), f"output_gradients of {count} parts"
            lengths = {count: "the output of the last part is the logits; leave it out", count - 2: "one is missing"}
            length = len(seen) if isinstance(seen, list | tuple) else None
            hint = lengths.get(length, "one number for each part but the last")
            seen = as_tensor(what, seen, expected, hint)
            if not torch.allclose(seen, expected, rtol=1e-3, atol=1e-6):
                hint = best_hint(seen, mistakes, "send the batch through the parts one by one, and keep each output")
                raise cross(what, short(seen), short(expected), hint)
    tick("output_gradients: as autograd's, for lists of three and of five parts.")


def _as_floats(seen: object) -> object:
    """Return a list of numbers or of tensors with one number each as floats; anything else as it is."""
    if isinstance(seen, list | tuple) and all(isinstance(value, torch.Tensor) and value.numel() == 1 for value in seen):
        return [value.item() for value in seen]
    return seen


def _gradients(parts: list[nn.Module], x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, list]:
    """Return the norms that are right, and those of the usual mistakes, each with its hint."""
    outputs = []
    for part in parts:
        x = part(x)
        outputs.append(x)
    losses = {way: F.cross_entropy(outputs[-1], labels, reduction=way) for way in ("mean", "sum")}
    right, summed = (torch.autograd.grad(loss, outputs[:-1], retain_graph=True) for loss in losses.values())
    norms = torch.stack([gradient.norm() for gradient in right])
    weights = [next(part.parameters()) for part in parts]
    of_weights = torch.stack([g.norm() for g in torch.autograd.grad(losses["mean"], weights, retain_graph=True)])
    of_logits = torch.autograd.grad(outputs[-1].sum(), outputs[:-1])
    mistakes = [
        (norms.flip(0), "the order is that of the parts: the one nearest to the image first"),
        (of_weights[:-1], "these are gradients of the weights; wanted are those of what the parts give out"),
        (norms**2, "the norm is the root of the sum of squares"),
        (torch.stack([g.norm() for g in summed]), "the loss is the mean over the batch, not the sum"),
        (torch.stack([output.norm() for output in outputs[:-1]]).detach(), "these are the outputs themselves"),
        (torch.stack([g.abs().sum() for g in right]), "the norm is the root of the sum of squares, not the sum"),
        (torch.stack([g.norm(dim=1).mean() for g in right]), "one norm for the whole tensor, not one for each image"),
        (torch.stack([g.square().mean().sqrt() for g in right]), "the root of the sum of squares, not of their mean"),
        (torch.stack([g.norm() for g in of_logits]), "gradient of what? Of the cross-entropy, not of the logits"),
    ]
    return norms, mistakes


def residual(answer: Callable) -> None:
    """Check a residual block as a function of its input and its layers, with and without a projection."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        for channels, stride in ((4, 1), (6, 2)):
            first = nn.Conv2d(4, channels, 3, stride=stride, padding=1)
            second = nn.Conv2d(channels, channels, 3, padding=1)
            projection = None if channels == 4 else nn.Conv2d(4, channels, 1, stride=stride, bias=False)
            x = torch.randn(2, 4, 8, 8)
            way = x if projection is None else projection(x)
            middle = first(x)
            change = second(torch.relu(middle))
            expected = torch.relu(way + change)
            case = "without a projection" if projection is None else "with a projection, stride 2"
            seen = as_tensor(f"residual {case}", call(answer, x, first, second, projection), expected, "keep the shape")
            mistakes = [
                (torch.relu(change), "nothing of x goes around the convolutions"),
                (way + change, "a ReLU stands behind the sum"),
                (way + torch.relu(change), "the ReLU comes after the sum, not before it"),
                (torch.relu(way) + torch.relu(change), "the ReLU comes after the sum, not before it"),
                (torch.relu(way + second(middle)), "a ReLU stands between the two convolutions"),
                (torch.relu(way + torch.relu(second(middle))), "a ReLU stands between the two convolutions"),
                (torch.relu(way + second(torch.relu(first(torch.relu(x))))), "x goes into the block as it is"),
                (torch.relu(way - change), "the block adds to its input"),
                (torch.relu(way + torch.relu(change)), "there is a ReLU too many, just before the sum"),
                (torch.relu(torch.relu(way) + change), "the shortcut has no ReLU of its own"),
                (torch.relu(way * change), "the two ways are added, not multiplied"),
                (torch.relu(way), "the convolutions add nothing in yours"),
            ]
            if not torch.allclose(seen, expected, atol=1e-5):
                hint = best_hint(seen, mistakes, "follow the drawing of the lesson, station by station")
                raise cross(f"residual {case}", short(seen), short(expected), hint)
    tick("residual: shortcut, sum and both ReLUs right, with a projection and without.")


PLANS = [  # size of the input, and its convolutions: channels in and out, kernel size, padding, stride
    (14, [(3, 8, 5, 2, 1)]),
    (28, [(1, 6, 3, 1, 2), (6, 4, 3, 0, 1)]),
    (9, [(2, 5, 3, 1, 1), (5, 7, 1, 0, 1), (7, 3, 3, 0, 2)]),
]


def cost(answer: Callable) -> None:
    """Check the parameters and the multiply-adds of a plan of convolutions."""
    for size, plan in PLANS:
        what = f"cost({size}, {plan})"
        result = call(answer, size, list(plan))
        if not is_pair(result):
            raise cross(
                f"what {what} gives back", short(result), "a pair", "return the parameters, then the multiply-adds"
            )
        parameters, adds, wrong_parameters, wrong_adds = _count(size, plan)
        for name, seen, expected, mistakes in (
            ("parameters", result[0], parameters, wrong_parameters),
            ("multiply-adds", result[1], adds, wrong_adds),
        ):
            seen = as_number(f"the {name}, {what},", seen)
            if seen != expected:
                hint = best_hint(seen, mistakes, "go through one layer on paper: weights, biases, places", 1e-9)
                raise cross(f"the {name} of {what}", f"{seen:,.0f}", f"{expected:,}", hint)
    tick(f"cost: right for {len(PLANS)} plans, with strides, without padding, and with 1 × 1 kernels.")


def _count(size: int, plan: list) -> tuple[int, int, list, list]:
    """Return parameters and multiply-adds, and what the usual mistakes give for each, with their hints."""
    weights, biases, before, after = [], [], [], []
    for channels_in, channels_out, k, padding, stride in plan:
        before.append(size)
        size = (size + 2 * padding - k) // stride + 1
        after.append(size)
        weights.append(k * k * channels_in * channels_out)
        biases.append(channels_out)
    weights, biases, before, after = (np.array(values) for values in (weights, biases, before, after))
    right = int(weights.sum() + biases.sum()), int((weights * after**2).sum())
    sizes = {
        "padding is added on both sides of a map": lambda s, k, p, stride: (s + p - k) // stride + 1,
        "a stride above 1 leaves places out": lambda s, k, p, stride: s + 2 * p - k + 1,
        "kernel and padding change the size too, not the stride alone": lambda s, k, p, stride: s // stride,
        "a kernel as large as the padded map has one place, not 0": lambda s, k, p, stride: (s + 2 * p - k) // stride,
        "a kernel that would reach over the edge has no place: round down": (
            lambda s, k, p, stride: -((k - 2 * p - s) // stride) + 1
        ),
    }
    one_side = np.array([k * i * o for i, o, k, _, _ in plan])
    one_input = np.array([k * k * o for _, o, k, _, _ in plan])
    parameters = [
        (weights.sum(), "each output channel has a bias too"),
        ((one_side + biases).sum(), "a kernel has rows and columns"),
        ((one_input + biases).sum(), "a kernel has a slice for each input channel"),
        (right[1], "these are the multiply-adds; the parameters come first"),
    ]
    adds = [
        ((weights * before**2).sum(), "a weight is used once at each place of the output, not of the input"),
        (((weights + biases) * after**2).sum(), "the biases do not count here: they multiply nothing"),
        ((weights * after).sum(), "a map has rows and columns"),
        (2 * right[1], "a multiplication with its addition counts once"),
        ((one_side * after**2).sum(), "a kernel has rows and columns"),
        (weights.sum(), "each weight is used at many places"),
        ((weights * before[0] ** 2).sum(), "the size of the maps changes on the way"),
        (right[0], "these are the parameters"),
        *[((weights * _sizes(before[0], plan, rule) ** 2).sum(), hint) for hint, rule in sizes.items()],
    ]
    return *right, parameters, adds


def _sizes(size: int, plan: list, rule: Callable) -> np.ndarray:
    """Return the size of the map behind each convolution, by a rule for size, kernel, padding and stride."""
    found = []
    for _, _, k, padding, stride in plan:
        size = rule(size, k, padding, stride)
        found.append(size)
    return np.array(found)


def fair_difference(answer: Callable) -> None:
    """Check the mean difference over pairs of runs with the same depth and seed, and their number."""
    rng = np.random.default_rng(4)
    for count in (12, 20):
        every = [(kind, depth, seed) for kind in ("plain", "residual") for depth in (2, 8, 20) for seed in range(6)]
        rows = [every[number] for number in rng.permutation(len(every))[:count]]
        runs = pd.DataFrame(rows, columns=["kind", "depth", "seed"])
        noise = rng.normal(0, 3, len(runs))
        runs["accuracy"] = (80 - runs["depth"] + 4 * (runs["kind"] == "residual") + noise).round(1)
        expected, mistakes = _differences(runs)
        result = call(answer, runs.copy())
        if not is_pair(result):
            raise cross(
                "what fair_difference gives back", short(result), "a pair", "the mean difference, then the pairs"
            )
        pairs = as_number("the number of pairs", result[1])
        if pairs != len(expected):
            both = {len(runs): "these are all runs", 2 * len(expected): "a pair of runs counts once"}
            matched = [runs[runs["kind"] == kind] for kind in ("residual", "plain")]
            both |= {len(matched[0].merge(matched[1], on=on)): text for on, text in _LOOSE.items()}
            hint = both.get(pairs, "how many depths and seeds occur with both kinds?")
            raise cross("the number of pairs", f"{pairs:g}", len(expected), hint)
        seen = as_number("the mean difference", result[0])
        if not abs(seen - expected.mean()) < 1e-6:
            hint = best_hint(seen, mistakes, "subtract within each pair, then take the mean of the differences", 1e-7)
            raise cross("the mean difference", f"{seen:.3f}", f"{expected.mean():.3f}", hint)
    tick("fair_difference: only runs that differ in nothing else, subtracted pair by pair.")


_LOOSE = {"depth": "pairs must agree in the seed too", "seed": "pairs must agree in the depth too"}


def _differences(runs: pd.DataFrame) -> tuple[np.ndarray, list]:
    """Return residual minus plain of each fair pair, and the means that unfair ways give, with their hints."""
    plain, other = (runs[runs["kind"] == kind] for kind in ("plain", "residual"))
    pairs = other.merge(plain, on=["depth", "seed"])
    differences = (pairs["accuracy_x"] - pairs["accuracy_y"]).to_numpy()
    same_depth = other.merge(plain, on="depth")
    same_seed = other.merge(plain, on="seed")
    mistakes = [
        (-differences.mean(), "the sign: residual minus plain"),
        (differences.mean() / 100, "in points, as the accuracies are given"),
        (np.median(differences), "the mean, not the median"),
        (differences.sum(), "the sum of the differences is not yet their mean"),
        (other["accuracy"].mean() - plain["accuracy"].mean(), "the means over all runs mix depths and seeds"),
        ((same_depth["accuracy_x"] - same_depth["accuracy_y"]).mean(), "pairs must agree in the seed too"),
        ((same_seed["accuracy_x"] - same_seed["accuracy_y"]).mean(), "pairs must agree in the depth too"),
        (np.abs(differences).mean(), "a pair in which plain wins counts as negative"),
    ]
    return differences, mistakes
