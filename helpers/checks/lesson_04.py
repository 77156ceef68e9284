"""Checks of the exercises to lesson 04, batch normalisation."""

import copy
from collections.abc import Callable, Sequence
from itertools import combinations, count, product
from math import comb, factorial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.tools import UNREADABLE, as_number, as_tensor, best_hint, call, cross, short, tick
from helpers.data import normalize


def _shape_hint(seen: tuple, case: tuple, expected: tuple) -> str:
    """Return the hint to a wrong shape after convolution and pooling; case is as block_sizes takes it."""
    (channels, *image), out, kernel, padding, _ = case
    inner = [size + 2 * padding - kernel + 1 for size in image]
    mistakes = [
        ((1, *expected), "one image without a batch: channels, height, width"),
        ((out, *reversed(expected[1:])), "the height comes before the width"),
        ((channels, *expected[1:]), "each filter makes one output channel, whatever the number of inputs"),
        ((out, *inner), "max-pooling comes last; what does it do to height and width?"),
        ((out, *(size / 2 for size in inner)), "max-pooling drops a row or column without a partner"),
        ((out, *(-(-size // 2) for size in inner)), "max-pooling drops a row or column without a partner"),
        ((out, *((size - padding) // 2 for size in inner)), "at how many sides of a row does padding add something?"),
        ((out, *((size - 1) // 2 for size in inner)), "a filter as wide as the image has one place, not none"),
        ((out, *(size // 2 for size in image)), "the convolution can change height and width, too"),
    ]
    return best_hint(seen, mistakes, "go layer by layer: in how many places does the filter fit?", 0)


def _parameters_hint(seen: float, case: tuple) -> str:
    """Return the hint to a wrong number of parameters of convolution and batch norm."""
    (channels, *_), out, kernel, _, bias = case
    filters, norm = channels * out * kernel**2, 2 * out
    right = filters + out * bias + norm
    mistakes = [
        (right + norm, "which numbers of batch norm are trained, and which are only kept?"),
        (right + norm + 1, "which numbers of batch norm are trained, and which are only kept?"),
        (right - norm, "batch norm has something to train, too"),
        (
            right - out,
            "here the convolution has a bias" if bias else "how many numbers does batch norm train a channel?",
        ),
        (right + out, "here the convolution has no bias"),
        (channels * out * kernel + out * bias + norm, "a filter has rows and columns"),
        (out * kernel**2 + out * bias + norm, "each filter looks at all input channels"),
    ]
    return best_hint(seen, mistakes, "filters, their bias, then the two numbers for each channel of batch norm", 0)


def _buffers_hint(seen: float, case: tuple) -> str:
    """Return the hint to a wrong number of buffers of batch norm."""
    (channels, *_), out, *_ = case
    mistakes = [
        (2 * out, "two for each channel, and what else? See the last column of the table in section 4"),
        (0, "what does batch norm keep for evaluation mode?"),
        (2 * channels + 1, "batch norm stands behind the convolution; how many channels does it get?"),
        (3 * out, "one counter of batches does for the whole layer"),
    ]
    return best_hint(seen, mistakes, "see the last column of the table in section 4", 0)


def _output_hint(seen, x, weight, bias, kept, new, training: bool, eps: float) -> str:
    """Return the hint to a wrong output of batch_norm; kept and new are the running statistics before and after."""
    weight, bias, *statistics = (part[:, None, None] for part in (weight, bias, *kept, *new))

    def of_batch(dims, correction=0):
        return x.mean(dims, keepdim=True), x.var(dims, correction=correction, keepdim=True)

    def output(mean, variance, eps=eps):
        return (x - mean) / (variance + eps).sqrt() * weight + bias

    old, updated = statistics[:2], statistics[2:]
    mean, variance = of_batch((0, 2, 3)) if training else old
    x_hat = (x - mean) / (variance + eps).sqrt()
    mistakes = [
        (output(mean, (variance.sqrt() + eps) ** 2, 0), "does eps stand inside the root or outside?"),
        (output(mean, variance, 1e-5), "eps is an argument; use what comes in"),  # no eps at all gives the same
        (output(mean, (variance + eps) ** 2, 0), "variance or standard deviation, which one divides?"),
        (x_hat, "weight and bias have not been used"),
    ]
    if x.shape[1] == x.shape[3]:
        stretched = x_hat * weight[:, 0, 0] + bias[:, 0, 0]
        mistakes.append((stretched, "weight and bias were stretched along the columns; one pair is for one channel"))
    if not training:
        depends = "evaluation mode must not depend on the batch; what has the layer kept for this?"
        mistakes += [(output(*of_batch((0, 2, 3), correction)), depends) for correction in (0, 1)]
        return best_hint(seen, mistakes, "the formula is that of training mode, with the running statistics")
    which = "one mean for each channel; over which of the four dimensions does it run?"
    mistakes += [
        (output(*of_batch((0, 2, 3), 1)), "the variance that normalises: divided by n or by n - 1? See section 2"),
        (output(*of_batch((0,))), f"your mean runs over the images only: {which}"),
        (output(*of_batch((0, 1, 2, 3))), f"your mean mixes the channels: {which}"),
        (output(*of_batch((2, 3))), f"your mean stays within one image: {which}"),
        (output(*of_batch((1, 2, 3))), f"your mean mixes the channels of one image: {which}"),
        (output(*old), "training mode normalises with the batch's own statistics"),
        (output(*updated), "the running statistics are for later, not for this batch"),
    ]
    return best_hint(seen, mistakes, "mean and variance of each channel, then x_hat, then weight and bias")


def _running_hint(seen, old, batch, biased, momentum: float) -> str:
    """Return the hint to a wrong running statistic after training mode; biased is the batch's variance over n."""
    mistakes = [
        (old, "training mode moves what is kept towards this batch"),
        (batch, "the old value keeps a share; it is not replaced"),
        (
            momentum * old + (1 - momentum) * batch,
            "momentum: the share of the old value or of the new one? See section 3",
        ),
        (0.9 * old + 0.1 * batch, "momentum is an argument; use what comes in"),
        (old + momentum * batch, "the old value must lose the share that the new one gets"),
        (
            (1 - momentum) * old + momentum * biased,
            "the variance that is kept: divided by n or by n - 1? See section 3",
        ),
        ((1 - momentum) * old + momentum * batch.abs().sqrt(), "the variance is kept, not the standard deviation"),
    ]
    return best_hint(seen, mistakes, "(1 - momentum) * running + momentum * of this batch")


@torch.no_grad()
def _fuse_hint(seen, x, bare, convolution: nn.Conv2d, batch_norm: nn.BatchNorm2d) -> str:
    """Return the hint to a wrong output of the fused layer; bare is the convolution's output without its bias."""
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, shift = (getattr(batch_norm, name)[:, None, None] for name in names)
    old, eps = 0 * mean if convolution.bias is None else convolution.bias[:, None, None], batch_norm.eps
    scale, centred = weight / (variance + eps).sqrt(), bare + old - mean
    mistakes = [
        (bare + old, "the batch-norm layer has left no trace"),
        (scale * bare, "your layer has no bias; what do the running mean and the bias of batch norm become?"),
        (scale * bare + old, "the filters are scaled; what do the running mean and the two biases become?"),
        (scale * (bare + old) + shift, "batch norm takes its running mean away before it scales"),
        (scale * centred, "the bias of batch norm comes on top"),
        (scale * (bare - mean) + shift, "the bias of the convolution has gone"),
        (scale * (bare - mean) + old + shift, "batch norm also scales the bias of the convolution"),
        (scale * (bare + old) - mean + shift, "batch norm also scales the running mean that it takes away"),
        (weight / variance.sqrt() * centred + shift, "batch norm has an eps of its own; read it from the layer"),
        (weight / (variance.sqrt() + eps) * centred + shift, "does eps stand inside the root or outside?"),
        (weight / (variance + eps) * centred + shift, "variance or standard deviation, which one divides?"),
        (centred / (variance + eps).sqrt() + shift, "the weight of batch norm has not been used"),
    ]
    if convolution.weight.shape[0] == convolution.weight.shape[1]:
        filters = convolution.weight * scale[:, 0, 0][None, :, None, None]
        across = F.conv2d(x, filters, None, convolution.stride, convolution.padding) + scale * (old - mean) + shift
        mistakes.append((across, "filters are (out, in, rows, columns); which dimension is batch norm's channel?"))
    return best_hint(seen, mistakes, "for one channel, batch norm is a * z + b, z the convolution; what are a and b?")


def _accuracy_hint(seen: float, of_batches: float, forgetful: float, dropout: bool, same: bool, kept_mode: bool) -> str:
    """Return the hint to a wrong accuracy.

    Parameters
    ----------
    seen, of_batches, forgetful : float
        What came back, the average of the batches' accuracies, and the accuracy without evaluation mode.
    dropout, same, kept_mode : bool
        Has the network dropout? Has it the statistics, and is it in the mode, with which it came?
    """
    if abs(seen - of_batches) < 1e-6:
        return "the last batch is shorter; an average of averages gives it too much weight"
    if dropout:
        return "batch norm is not the only layer that behaves in two ways; this network also has dropout"
    if abs(seen - forgetful) < 1e-6:
        if same:
            return "the running statistics are safe, but an answer still depends on its batch"
        if kept_mode:
            return "torch.no_grad() switches gradients off; what does it leave on?"
        return "the mode has changed, but too late; how did the first batch go through?"
    return "count the right answers of the network in evaluation mode, over all images"


def _mode_hint(came_in_training: bool, modes: set[bool]) -> str:
    """Return the hint to a network that is not left in the mode in which it came."""
    if len(modes) > 1:
        return "the flag of the whole network is right, but not those of its layers; which method tells them all?"
    if came_in_training:
        return "whoever trains on after this call has frozen statistics; how did the network come?"
    return "this one came in evaluation mode; note how a network came before you change it"


def _runs_hint(seen: float, level: float, settings: int) -> str:
    """Return the hint to a wrong number of runs of each kind."""

    def fewest(chance: Callable) -> int:
        return next(n for n in count(1) if chance(n) <= level)

    right = fewest(lambda n: settings * 2 / comb(2 * n, n))
    mistakes = [
        (2 * right, "runs of each kind, not of both together"),
        (fewest(lambda n: 2 / comb(2 * n, n)), "chance gets a try at every setting; add its chances up"),
        (fewest(lambda n: 2 / comb(2 * n, n) / settings), "chance gets a try at every setting; add its chances up"),
        (
            fewest(lambda n: settings / comb(2 * n, n)),
            "either kind could be the better one: how many of the splits are complete?",
        ),
        (
            fewest(lambda n: settings * 2 / factorial(2 * n)),
            "which run comes first within a kind does not matter; count groups",
        ),
        (
            fewest(lambda n: (2 / comb(2 * n, n)) ** settings),
            "it is enough for chance to win at one setting; do not multiply",
        ),
        (right - 1, "with so few runs chance exceeds the level"),
        (right + 1, "one run less is still within the level, which itself is allowed"),
    ]
    return best_hint(seen, mistakes, "try 1, 2, 3, … runs of each, and count the splits as in section 5", 0)


def _difference_hint(seen: float, difference: float, first: Sequence, second: Sequence) -> str:
    """Return the hint to a wrong difference of means."""
    mistakes = [
        (-difference, "the first minus the second; the sign says which one is better"),
        (sum(first) - sum(second), "the groups need not be equally large; compare means"),
    ]
    return best_hint(seen, mistakes, "the mean of the first minus the mean of the second", 1e-6)


def _share_hint(seen: float, distances: Sequence[int], first: Sequence, second: Sequence) -> str:
    """Return the hint to a wrong share of splits; distances are those of all splits, the real one first."""
    real, splits = distances[0], len(distances)
    count = sum(abs(distance) >= abs(real) for distance in distances)
    either = "equally good ways could just as well differ the other way round; splits of both directions count"
    real_one = "the real split is one of them, and a difference just as large counts"
    mistakes = [
        (count, "a share, not a number of splits"),
        (1 - count / splits, "count the splits that differ as much or more, not those that differ less"),
        (sum(distance >= real for distance in distances) / splits, either),
        (sum(distance <= real for distance in distances) / splits, either),
        (sum(abs(distance) > abs(real) for distance in distances) / splits, real_one),
        ((count - 1) / splits, real_one),
        ((count - 1) / max(splits - 1, 1), real_one),
    ]
    if len(first) == len(second):
        gaps = [a - b for a, b in zip(first, second, strict=True)]
        sums = [
            sum(sign * gap for sign, gap in zip(signs, gaps, strict=True))
            for signs in product((1, -1), repeat=len(gaps))
        ]
        pairs = sum(abs(value) >= abs(sums[0]) - 1e-6 for value in sums) / len(sums)
        mistakes.append((pairs, "you have kept the runs in pairs; every group of that size is a split"))
    otherwise = "all groups as large as the first, out of all runs together; then count"
    if len({*first, *second}) < len(first) + len(second):
        otherwise = "runs may be equal: choose them by position, not by value, and leave 1e-9 for rounding"
    return best_hint(seen, mistakes, otherwise, 1e-6)


def _verdict_hint(seen: Any, verdict: str, share: float) -> str:
    """Return the hint to a wrong verdict."""
    if seen == "undecided":
        return f"so few splits differ this much ({share:.3f}): that counts as decided"
    if seen not in ("first", "second"):
        return "one of the words first, second and undecided"
    if verdict == "undecided":
        return f"the share is {share:.2f}, more than 0.05, whichever mean is higher"
    return "the share has no direction; which mean is higher?"


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
        except UNREADABLE:
            raise cross(f"the shape in {what}", short(shape), expected, "channels, height, width") from None
        if seen != expected:
            raise cross(f"the shape in {what}", short(shape), expected, _shape_hint(seen, case, expected))
        expected = sum(part.numel() for part in [*convolution.parameters(), *batch_norm.parameters()])
        seen = as_number(f"the parameters in {what}", parameters)
        if seen != expected:
            hint = _parameters_hint(seen, case)
            raise cross(f"the parameters in {what}", short(parameters), expected, hint)
        expected = sum(buffer.numel() for buffer in batch_norm.buffers())
        seen = as_number(f"the buffers in {what}", buffers)
        if seen != expected:
            raise cross(f"the buffers in {what}", short(buffers), expected, _buffers_hint(seen, case))
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
            hint = _output_hint(seen, x, weight, bias, (running_mean, running_var), new, training, eps)
            what = f"the output in {mode}, x of shape {shape}, eps={eps}"
            raise cross(what, short(seen), short(expected), hint)
        biased = x.var((0, 2, 3), correction=0)
        for name, part, old, batch, expected in [
            ("running_mean", result[1], running_mean, x.mean((0, 2, 3)), new[0]),
            ("running_var", result[2], running_var, x.var((0, 2, 3), correction=1), new[1]),
        ]:
            seen = as_tensor(f"{name} after {mode}", part, expected, "one number for each channel")
            if not torch.allclose(seen, expected, 1e-4, 1e-4):
                hint = _running_hint(seen, old, batch, biased, momentum)
                hint = hint if training else "evaluation mode leaves what is kept as it was"
                if name == "running_mean" and torch.allclose(seen, new[1], 1e-4, 1e-4):
                    hint = "this is the running variance; in which order do the three results come?"
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
        for name, layer in given.items():
            if not layer.training:
                hint = "the layers that came in must stay as they were; which line changes their mode?"
                raise cross(f"the mode of {name}", "evaluation mode", "training mode, as before", hint)

        def fused_layer(x, fused=fused):
            return fused.double()(x)

        what = f"the output, nn.Conv2d({channels}, {out}, {', '.join(f'{key}={settings[key]}' for key in settings)})"
        seen = as_tensor(what, call(fused_layer, x), expected, "stride, padding, dilation and groups must be kept")
        if not torch.allclose(seen, expected, 1e-4, 1e-4):
            raise cross(what, short(seen), short(expected), _fuse_hint(seen, x, bare, *own))
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
                hint = _accuracy_hint(seen, of_batches, forgetful, dropout, same, modes == {training})
                raise cross(what, f"{seen:.4f}", f"{expected:.4f}", hint)
            if not same:
                raise cross(what, "its weights or statistics have changed", "as before", "measuring changes nothing")
            if modes != {training}:
                left = "parts of it in each mode" if len(modes) > 1 else other
                raise cross(f"the mode after {what}", left, came, _mode_hint(training, modes))
    tick("evaluate: one accuracy for every order and batch size, and the network is left as it came.")


def fewest_runs(answer: Callable) -> None:
    """Check a plan: how many runs of each kind a comparison needs, so that chance alone rarely decides it."""
    plans = [(0.001, 1), (0.05, 1), (0.05, 3), (0.084, 3), (0.1, 1), (0.01, 1), (0.01, 4), (0.001, 2), (0.2, 1)]
    for level, settings in plans:
        expected = next(n for n in count(1) if settings * 2 / comb(2 * n, n) <= level)
        what = f"fewest_runs({level}, {settings})"
        seen = as_number(what, call(answer, level, settings))
        if seen != expected:
            raise cross(what, f"{seen:g}", str(expected), _runs_hint(seen, level, settings))
    tick("fewest_runs: four of each for one comparison at 5 %, five of each for the three rates of the lesson.")


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
        ([91.25], [(8800 + 7 * number) / 100 for number in range(19)]),
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
            hint = _difference_hint(seen, difference, first, second)
            raise cross(f"the difference in {what}", f"{seen:.4f}", f"{difference:.4f}", hint)
        seen = as_number(f"the share in {what}", seen_share)
        if not abs(seen - share) < 1e-6:
            hint = _share_hint(seen, distances, first, second)
            raise cross(f"the share in {what}", f"{seen:.4f}", f"{share:.4f}", hint)
        if not isinstance(seen_verdict, str) or seen_verdict != verdict:
            hint = _verdict_hint(seen_verdict, verdict, share)
            raise cross(f"the verdict in {what}", short(seen_verdict), verdict, hint)
    tick("compare_seeds: three runs of each never decide (2 splits of 20 at best), four can (2 of 70).")
