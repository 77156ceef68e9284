"""Which mistake gives a wrong result in the exercises to lesson 04? Each function returns the hint that fits best."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def best_hint(seen: Any, mistakes: Sequence[tuple[Any, str]], otherwise: str, tolerance: float = 1e-4) -> str:
    """Return the hint of the first mistake whose result is what was seen, tensors or numbers."""
    seen = torch.as_tensor(seen).double()
    for result, hint in mistakes:
        result = torch.as_tensor(result).double()
        if result.shape == seen.shape and torch.allclose(result, seen, tolerance, tolerance):
            return hint
    return otherwise


def shape_hint(seen: tuple, case: tuple, expected: tuple) -> str:
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


def parameters_hint(seen: float, case: tuple) -> str:
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


def buffers_hint(seen: float, case: tuple) -> str:
    """Return the hint to a wrong number of buffers of batch norm."""
    (channels, *_), out, *_ = case
    mistakes = [
        (2 * out, "two for each channel, and what else? See the last column of the table in section 6"),
        (0, "what does batch norm keep for evaluation mode?"),
        (2 * channels + 1, "batch norm stands behind the convolution; how many channels does it get?"),
        (3 * out, "one counter of batches does for the whole layer"),
    ]
    return best_hint(seen, mistakes, "see the last column of the table in section 6", 0)


def output_hint(seen, x, weight, bias, kept, new, training: bool, eps: float) -> str:
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
        (output(mean, variance, 0), "where is eps?"),
        (output(mean, variance, 1e-5), "eps is an argument; use what comes in"),
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


def running_hint(seen, old, batch, biased, momentum: float) -> str:
    """Return the hint to a wrong running statistic after training mode; biased is the batch's variance over n."""
    mistakes = [
        (old, "training mode moves what is kept towards this batch"),
        (batch, "the old value keeps a share; it is not replaced"),
        (
            momentum * old + (1 - momentum) * batch,
            "momentum: the share of the old value or of the new one? See section 4",
        ),
        (0.9 * old + 0.1 * batch, "momentum is an argument; use what comes in"),
        (old + momentum * batch, "the old value must lose the share that the new one gets"),
        (
            (1 - momentum) * old + momentum * biased,
            "the variance that is kept: divided by n or by n - 1? See section 4",
        ),
        ((1 - momentum) * old + momentum * batch.abs().sqrt(), "the variance is kept, not the standard deviation"),
    ]
    return best_hint(seen, mistakes, "(1 - momentum) * running + momentum * of this batch")


@torch.no_grad()
def fuse_hint(seen, x, bare, convolution: nn.Conv2d, batch_norm: nn.BatchNorm2d) -> str:
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


def accuracy_hint(seen: float, of_batches: float, forgetful: float, dropout: bool, same: bool, kept_mode: bool) -> str:
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


def mode_hint(came_in_training: bool, modes: set[bool]) -> str:
    """Return the hint to a network that is not left in the mode in which it came."""
    if len(modes) > 1:
        return "the flag of the whole network is right, but not those of its layers; which method tells them all?"
    if came_in_training:
        return "whoever trains on after this call has frozen statistics; how did the network come?"
    return "this one came in evaluation mode; note how a network came before you change it"


def difference_hint(seen: float, difference: float, first: Sequence, second: Sequence) -> str:
    """Return the hint to a wrong difference of means."""
    mistakes = [
        (-difference, "the first minus the second; the sign says which one is better"),
        (sum(first) - sum(second), "the groups need not be equally large; compare means"),
    ]
    return best_hint(seen, mistakes, "the mean of the first minus the mean of the second", 1e-6)


def share_hint(seen: float, distances: Sequence[int], first: Sequence, second: Sequence) -> str:
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


def verdict_hint(seen: Any, verdict: str, share: float) -> str:
    """Return the hint to a wrong verdict."""
    if seen == "undecided":
        return f"so few splits differ this much ({share:.3f}): that counts as decided"
    if seen not in ("first", "second"):
        return "one of the words first, second and undecided"
    if verdict == "undecided":
        return f"the share is {share:.2f}, more than 0.05, whichever mean is higher"
    return "the share has no direction; which mean is higher?"
