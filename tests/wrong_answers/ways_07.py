"""Ways to do the exercises of lesson 07: each function is right as it stands, and wrong with a change."""

import math
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn

from helpers.data import normalize


def named(name: str, function: Callable, **changes) -> Callable:
    """Return a function that does one thing in another way, under a name that says which."""

    def wrong(*arguments):
        return function(*arguments, **changes)

    wrong.__name__ = name
    return wrong


def timed(function, clock):
    started = clock()
    function()
    return clock() - started


def median_of_ratios(first, second):
    return median(a / b for a, b in zip(first, second, strict=True))


def raced(first, second, rounds, clock=time.perf_counter, *, warm_up=1, summary=median_of_ratios, skip=0):
    for _ in range(warm_up):
        first(), second()
    times = [(timed(first, clock), timed(second, clock)) for _ in range(rounds + skip)]
    return summary(*zip(*times, strict=True))


def way(kind, start, end, part):
    return end + (start - end) * ((1 + math.cos(math.pi * part)) / 2 if kind == "cos" else 1 - part)


def cycle(
    step, total, max_lr, warmup=0.25, *, begin=25, end=25e4, off=1, last=1, up="cos", down="cos", share=None, whole=None
):
    """Return the learning rate of a step; without changes it is that of OneCycleLR."""
    peak, last = (share or warmup) * total - off, total - last
    peak = whole(peak) if whole else peak
    start, low = max_lr / begin, max_lr / end
    if step <= peak:
        return way(up, start, max_lr, step / peak)
    return way(down, max_lr, low, (step - peak) / (last - peak)) if down else max_lr


def counted(
    model,
    image_shape,
    *,
    each=None,
    kinds=(nn.Conv2d, nn.Linear),
    layers=nn.Module.modules,
    mode=False,
    images=1,
    **way,
):
    """Sum up over the calls of the layers; each(layer, output, input) is the count of one call, without an image."""
    found, handles = {}, []
    each = each or (lambda layer, output, image: layer.weight.numel() * output[0, 0].numel() ** (output.dim() == 4))

    def note(layer, inputs, output):
        before = 0 if way.get("once") else found.get(layer, 0)
        found[layer] = before + images * each(layer, output, inputs[0])

    for layer in layers(model):
        if isinstance(layer, kinds):
            handles.append(layer.register_forward_hook(note))
    was_training = model.training
    if not way.get("mode_forgotten"):
        model.eval()
    with torch.no_grad():
        model(torch.zeros(1, *image_shape))
    if not way.get("left_in_evaluation"):
        model.train(was_training)
    for handle in handles if not way.get("hooks_left") else []:
        handle.remove()
    return sum(found.values())


def places(output):
    return output.shape[2] * output.shape[3] if output.dim() == 4 else 1


def smoothed(logits, labels, smoothing, *, log_p=None, true=None, wrong=None, total=torch.mean):
    """Return the loss with targets `true` for the true class and `wrong` for each other one."""
    classes = logits.shape[1]
    log_p = F.log_softmax(logits, dim=1) if log_p is None else log_p(logits)
    share = (true or (lambda s, k: 1 - s + s / k))(smoothing, classes)
    other = (wrong or (lambda s, k: s / k))(smoothing, classes)
    targets = torch.full_like(log_p, other).scatter(1, labels[:, None], share)
    return total(-(targets * log_p).sum(dim=1))


def mirrored(model, images, *, dims=(3,), combine=None, dim=1, prepare=normalize, grad=False, ev=True, back=True):
    was_training = model.training
    if ev:
        model.eval()
    with torch.set_grad_enabled(grad):
        pair = [model(prepare(part)) for part in (images, images.flip(dims))]
        answer = combine(*pair) if combine else sum(logits.softmax(dim) for logits in pair).argmax(1)
    if back:
        model.train(was_training)
    return answer.detach()
