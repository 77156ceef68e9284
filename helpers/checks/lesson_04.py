"""Checks of the exercises to lesson 04, batch normalisation."""

import copy
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks import hints_04 as hints
from helpers.checks.tools import as_number, as_tensor, call, cross, short, tick
from helpers.data import normalize


def _entries(what: str, seen: Any, keys: Sequence[str]) -> list[Any]:
    """Return the entries of a dict that should have these keys."""
    if not isinstance(seen, dict) or not set(keys) <= set(seen):
        kind = type(seen).__name__
        raise cross(f"what {what} is", f"{kind} {short(seen)}", f"a dict with {', '.join(keys)}", "see the docstring")
    return [seen[key] for key in keys]


def _state(modules: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Return copies of all that modules hold, parameters and buffers."""
    return {f"{m}.{name}": value.clone() for m in modules for name, value in modules[m].state_dict().items()}


def block_sizes(answer: Callable) -> None:
    """Check the predicted shape, parameters and buffers of convolution, ReLU, batch norm and pooling."""
    for case in [
        ((1, 28, 28), 16, 5, 0, False),
        ((32, 14, 14), 64, 3, 1, True),
        ((3, 17, 30), 8, 3, 2, False),
        ((24, 9, 40), 5, 7, 3, True),
        ((2, 6, 5), 1, 2, 0, False),
    ]:
        shape, out, kernel, padding, bias = case
        # On PyTorch's meta device the layers know their shapes and compute nothing.
        convolution = nn.Conv2d(shape[0], out, kernel, padding=padding, bias=bias, device="meta")
        batch_norm = nn.BatchNorm2d(out, device="meta")
        maps = nn.MaxPool2d(2)(batch_norm(convolution(torch.empty(1, *shape, device="meta"))))
        expected = tuple(maps.shape[1:])
        what = f"block_sizes{case}"
        shape, parameters, buffers = _entries(what, call(answer, *case), ["shape", "parameters", "buffers"])
        try:
            seen = tuple(float(number) for number in shape)
        except (TypeError, ValueError, RuntimeError):
            raise cross(f"the shape in {what}", short(shape), expected, "channels, height, width") from None
        if seen != expected:
            raise cross(f"the shape in {what}", short(shape), expected, hints.shape_hint(seen, case, expected))
        expected = sum(part.numel() for part in [*convolution.parameters(), *batch_norm.parameters()])
        seen = as_number(f"the parameters in {what}", parameters)
        if seen != expected:
            hint = hints.parameters_hint(seen, case)
            raise cross(f"the parameters in {what}", short(parameters), expected, hint)
        expected = sum(buffer.numel() for buffer in batch_norm.buffers())
        seen = as_number(f"the buffers in {what}", buffers)
        if seen != expected:
            raise cross(f"the buffers in {what}", short(buffers), expected, hints.buffers_hint(seen, case))
    tick("block_sizes: shapes, parameters and buffers are right, also for images that are not square.")


def batch_norm(answer: Callable) -> None:
    """Check batch normalisation by hand: output and running statistics, in both modes."""
    generator = torch.Generator().manual_seed(4)
    cases = [((3, 3, 3, 3), 0.3, 0.5), ((2, 4, 1, 3), 0.1, 1e-5), ((5, 2, 6, 4), 0.8, 0.1), ((1, 3, 2, 1), 0.1, 1e-5)]
    for training, (shape, momentum, eps) in product((True, False), cases):
        x = 3 + 2 * torch.randn(shape, generator=generator)
        weight, bias, running_mean = torch.randn(3, shape[1], generator=generator)
        running_var = 0.5 + torch.rand(shape[1], generator=generator)
        new = [running_mean.clone(), running_var.clone()]  # F.batch_norm changes them in place
        expected = F.batch_norm(x, *new, weight, bias, training, momentum, eps)
        mode = "training mode" if training else "evaluation mode"
        result = call(answer, x, weight, bias, running_mean, running_var, training, momentum, eps)
        if not isinstance(result, tuple | list) or len(result) != 3:
            raise cross(
                "what batch_norm returns",
                f"{type(result).__name__} {short(result)}",
                "output, running_mean, running_var",
                "return all three, separated by commas, in both modes",
            )
        seen = as_tensor(f"the output in {mode}", result[0], expected, "the output is shaped like x")
        if not torch.allclose(seen, expected, 1e-4, 1e-4):
            hint = hints.output_hint(seen, x, weight, bias, (running_mean, running_var), new, training, eps)
            what = f"the output in {mode}, x of shape {shape}, eps={eps}"
            raise cross(what, short(seen), short(expected), hint)
        biased = x.var((0, 2, 3), correction=0)
        for name, part, old, batch, expected in [
            ("running_mean", result[1], running_mean, x.mean((0, 2, 3)), new[0]),
            ("running_var", result[2], running_var, x.var((0, 2, 3), correction=1), new[1]),
        ]:
            seen = as_tensor(f"{name} after {mode}", part, expected, "one number for each channel")
            if not torch.allclose(seen, expected, 1e-4, 1e-4):
                hint = hints.running_hint(seen, old, batch, biased, momentum)
                hint = hint if training else "evaluation mode leaves what is kept as it was"
                raise cross(f"{name} after {mode}, momentum={momentum}", short(seen), short(expected), hint)
    tick("batch_norm: as nn.BatchNorm2d in both modes; only training mode moves the running statistics.")


def fuse(answer: Callable) -> None:
    """Check one convolution that stands for a convolution and the batch norm behind it."""
    generator = torch.Generator().manual_seed(5)
    for channels, out, settings, size, eps in [
        (4, 4, {"kernel_size": 3, "padding": 1}, (2, 6, 6), 0.5),
        (4, 4, {"kernel_size": 3, "padding": 1, "bias": False}, (2, 6, 6), 0.5),
        (3, 5, {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 2)}, (1, 9, 5), 0.1),
        (4, 6, {"kernel_size": (1, 5), "dilation": 2, "groups": 2, "bias": False}, (3, 4, 11), 1e-3),
    ]:
        convolution = nn.utils.skip_init(nn.Conv2d, channels, out, **settings)
        batch_norm = nn.BatchNorm2d(out, eps=eps)
        for tensor in [*convolution.parameters(), *batch_norm.parameters(), batch_norm.running_mean]:
            tensor.data.normal_(generator=generator)
        batch_norm.running_var.uniform_(0.2, 1.2, generator=generator)
        x = torch.randn((size[0], channels, *size[1:]), generator=generator).double()
        own = copy.deepcopy(convolution).double(), copy.deepcopy(batch_norm).double().eval()
        with torch.no_grad():
            expected = own[1](own[0](x))
            bare = own[0]._conv_forward(x, own[0].weight, None)
        given = {"convolution": convolution, "batch_norm": batch_norm}
        before = _state(given)
        fused = call(answer, convolution, batch_norm)
        if not isinstance(fused, nn.Conv2d):
            raise cross("what fuse returns", type(fused).__name__, "Conv2d", "one new layer does all the work")
        after = _state(given)
        for name, value in before.items():
            if name not in after or not torch.equal(value, after[name]):
                hint = "the layers that came in must stay as they were; what do you work on?"
                raise cross(name, "changed by fuse", "the same as before", hint)

        def fused_layer(x, fused=fused):
            return fused.double()(x)

        what = f"the output, nn.Conv2d({channels}, {out}, {', '.join(f'{key}={settings[key]}' for key in settings)})"
        seen = as_tensor(what, call(fused_layer, x), expected, "stride, padding, dilation and groups must be kept")
        if not torch.allclose(seen, expected, 1e-4, 1e-4):
            raise cross(what, short(seen), short(expected), hints.fuse_hint(seen, x, bare, *own))
    tick("fuse: one convolution does the work of two layers, with and without bias, and both are as they were.")


def _network(dropout: bool, generator: torch.Generator) -> nn.Sequential:
    """Return a small network with random weights and running statistics, for images of any size."""
    layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    model = nn.Sequential(*layers, *[nn.Dropout(0.5)] * dropout, nn.Linear(24, 10))
    for tensor in [*model.parameters(), model[1].running_mean]:
        tensor.data.normal_(generator=generator)
    model[1].running_var.uniform_(0.2, 1.2, generator=generator)
    return model


@torch.no_grad()
def _by_batches(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> list[float]:
    """Return the accuracy over all images, and the mean of the batches' accuracies."""
    batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    right = [(model(normalize(batch)).argmax(1) == of_batch).float() for batch, of_batch in batches]
    return [torch.cat(right).mean().item(), torch.stack([part.mean() for part in right]).mean().item()]


def evaluate(answer: Callable) -> None:
    """Check an evaluation: in evaluation mode, over all images, and the network is left as it came."""
    generator = torch.Generator().manual_seed(6)
    cases = [(50, 16, True, False), (50, 1, True, False), (31, 10, False, False), (41, 10, True, True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)  # for dropout, where it is left on
        for number, batch_size, training, dropout in [*cases, (7, 100, False, True)]:
            brightness = 255 * torch.rand((number, 1, 1, 1), generator=generator)
            images = (brightness * torch.rand((number, 1, 9, 12), generator=generator)).to(torch.uint8)
            model = _network(dropout, generator)
            with torch.no_grad():
                labels = model.eval()(normalize(images)).argmax(1)
            labels[::3] = (labels[::3] + 1) % 10
            expected, of_batches = _by_batches(model, images, labels, batch_size)
            forgetful, _ = _by_batches(copy.deepcopy(model).train(), images, labels, batch_size)
            model.train(training)
            before = _state({"model": model})
            came, other = ("training mode", "evaluation mode")[:: 1 if training else -1]
            what = f"evaluate(a network in {came}, {number} images, batch_size={batch_size})"
            seen = as_number(what, call(answer, model, images, labels, batch_size))
            modes = {module.training for module in model.modules()}
            same = all(torch.equal(value, before[name]) for name, value in _state({"model": model}).items())
            if not abs(seen - expected) < 1e-6:
                hint = hints.accuracy_hint(seen, of_batches, forgetful, dropout, same, modes == {training})
                raise cross(what, f"{seen:.4f}", f"{expected:.4f}", hint)
            if not same:
                raise cross(what, "its weights or statistics have changed", "as before", "measuring changes nothing")
            if modes != {training}:
                left = "parts of it in each mode" if len(modes) > 1 else other
                raise cross(f"the mode after {what}", left, came, hints.mode_hint(training, modes))
    tick("evaluate: one accuracy for every order and batch size, and the network is left as it came.")


def compare_seeds(answer: Callable) -> None:
    """Check a comparison of two lists of accuracies over all splits of the runs."""
    generator = torch.Generator().manual_seed(8)
    hundredths = torch.randint(8800, 9000, (2, 4), generator=generator).tolist()
    for first, second in [
        ([90.12, 90.71, 90.4], [88.25, 88.93, 89.3]),
        [[number / 100 for number in group] for group in hundredths],
        ([88.1, 88.45, 87.9, 88.3], [89.2, 88.9, 89.75, 89.01]),
        ([89.9, 90.6, 90.2, 90.35, 89.7], [88.2, 88.6, 89.1]),
        ([88.8, 88.7, 88.6], [88.6, 89.9, 89.2, 88.8]),
        ([90.5, 89.5], [89.5, 90.5]),
        ([90.0], [91.5]),
    ]:
        # Whole numbers are not rounded: each distance is the difference of the means times n * (runs - n) * 100.
        both, n = [round(100 * value) for value in [*first, *second]], len(first)
        splits = combinations(range(len(both)), n)
        distances = [sum(both[i] for i in split) * len(both) - sum(both) * n for split in splits]
        share = sum(abs(distance) >= abs(distances[0]) for distance in distances) / len(distances)
        difference = distances[0] / (100 * n * (len(both) - n))
        verdict = "undecided" if share > 0.05 else "first" if difference > 0 else "second"
        runs = f"{first}, {second}"
        what = f"compare_seeds({runs})" if len(runs) < 70 else f"compare_seeds with {n} and {len(second)} runs"
        result = call(answer, list(first), list(second))
        seen, seen_share, seen_verdict = _entries(what, result, ["difference", "share", "verdict"])
        seen = as_number(f"the difference in {what}", seen)
        if not abs(seen - difference) < 1e-6:
            hint = hints.difference_hint(seen, difference, first, second)
            raise cross(f"the difference in {what}", f"{seen:.4f}", f"{difference:.4f}", hint)
        seen = as_number(f"the share in {what}", seen_share)
        if not abs(seen - share) < 1e-6:
            hint = hints.share_hint(seen, distances, first, second)
            raise cross(f"the share in {what}", f"{seen:.4f}", f"{share:.4f}", hint)
        if not isinstance(seen_verdict, str) or seen_verdict != verdict:
            hint = hints.verdict_hint(seen_verdict, verdict, share)
            raise cross(f"the verdict in {what}", short(seen_verdict), verdict, hint)
    tick("compare_seeds: three runs of each never decide (2 splits of 20 at best), four can (2 of 70).")
