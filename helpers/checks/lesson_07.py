"""Checks of the exercises to lesson 07, train faster."""

import math
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.flop_counter import FlopCounterMode

from helpers.checks import hints_07 as hints
from helpers.checks.subjects_07 import Machine, Witness, networks, passes
from helpers.checks.tools import as_number, as_tensor, call, cross, short, tick
from helpers.data import normalize


def compare_in_turn(answer: Callable) -> None:
    """Check a comparison of two functions in turn, on a made-up machine that is sometimes slow."""
    for slowness, ratios in [
        ([1, 1, 4, 2, 3, 5], [8, 1.5, 9, 1.7, 1.3, 1.6]),
        ([1, 2, 1, 7, 3], [9, 3, 0.4, 0.75, 0.5]),
        ([1, 3, 2, 2], [0.1, 0.9, 0.8, 2.5]),
        ([1, 2], [6, 1.25]),
    ]:
        rounds = len(ratios) - 1
        first = [slow * ratio for slow, ratio in zip(slowness, ratios, strict=True)]
        machine = Machine(first, slowness)
        what = f"the ratio of {rounds} rounds" if rounds > 1 else "the ratio of a single round"
        seen = as_number(what, call(answer, machine.first, machine.second, rounds, machine.clock))
        pairs = [machine.calls[i : i + 2] for i in range(0, len(machine.calls), 2)]
        if len(pairs) != rounds + 1 or any(sorted(pair) != ["1", "2"] for pair in pairs):
            hint = hints.calls_hint(machine.calls, rounds)
            calls = short(machine.calls) or "none"
            raise cross(f"the calls for {rounds} rounds (1 first, 2 second)", calls, "12" * (rounds + 1), hint)
        if machine.reads == 0:
            raise cross("the clock", "never read", "clock() before and after", "read the clock that comes as argument")
        expected = median(ratios[1:])
        if not math.isclose(seen, expected, rel_tol=1e-6):
            hint = hints.ratio_hint(seen, first, slowness)
            raise cross(f"{what}, which were {ratios[1:]}", f"{seen:.4g}", f"{expected:.4g}", hint)
    # A pause takes time, but hardly any work of the processor; the sum takes little time, and all of it is work.
    ratio = as_number("the ratio", call(answer, lambda: time.sleep(0.03), lambda: sum(range(30_000)), 3))
    if not ratio > 1:
        hint = "without a fourth argument the clock is time.perf_counter, which also counts waiting"
        raise cross("a pause of 30 ms, compared with a short sum", f"{ratio:.4g}", "clearly more than 1", hint)
    tick("compare_in_turn: one warm-up, the two in turn, and a median that a disturbed round does not move.")


def one_cycle_lr(answer: Callable) -> None:
    """Check the learning rate of every step of a one-cycle schedule against PyTorch's scheduler."""
    for total, max_lr, warmup in [(40, 0.2, 0.25), (60, 1.0, 0.5), (30, 0.01, 0.15), (11, 0.3, 0.4), (50, 0.2, None)]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        share = 0.25 if warmup is None else warmup
        schedule = OneCycleLR(optimizer, max_lr, total_steps=total, pct_start=share, cycle_momentum=False)
        expected = [schedule.get_last_lr()[0]]
        for _ in range(total - 1):
            optimizer.step()
            schedule.step()
            expected.append(schedule.get_last_lr()[0])
        more = [] if warmup is None else [warmup]
        given = f"{total}, {max_lr}{'' if warmup is None else f', {warmup}'}"
        seen = []
        for step in range(total):
            seen.append(as_number(f"one_cycle_lr({step}, {given})", call(answer, step, total, max_lr, *more)))
        pairs = list(zip(seen, expected, strict=True))
        wrong = [math.isclose(*pair, rel_tol=1e-4, abs_tol=2e-7) for pair in pairs].count(False)
        if wrong:
            # Shown is the step that is furthest off; a NaN is further off than any number.
            gaps = [math.inf if math.isnan(a) else abs(a - b) for a, b in pairs]
            step = gaps.index(max(gaps))
            what = f"one_cycle_lr({step}, {given}); {wrong} of {total} steps differ"
            hint = hints.schedule_hint(seen, total, max_lr, share)
            raise cross(what, f"{seen[step]:.4g}", f"{expected[step]:.4g}", hint)
    tick("one_cycle_lr: every step has the learning rate of PyTorch's OneCycleLR, from the first to the last.")


def count_multiplications(answer: Callable) -> None:
    """Check the multiplications of a network's convolutions and linear layers against PyTorch's own counter."""
    for training in (False, True):
        for name, model, shape in networks():
            model.eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(torch.zeros(1, *shape))
            expected = counter.get_total_flops() // 2  # a multiplication and an addition each
            calls = passes(model, shape)
            model.train(training)
            before = {key: value.clone() for key, value in model.state_dict().items()}
            what = f"the multiplications of {name}, images {shape}"
            with torch.random.fork_rng(devices=[]):
                seen = as_number(what, call(answer, model, shape))
            if seen != expected:
                hint = hints.multiplications_hint(seen, expected, model, calls)
                raise cross(what, f"{seen:,.10g}", f"{expected:,}", hint)
            if any(module._forward_hooks for module in model.modules()):
                hint = "register_forward_hook gives back a handle; call its remove() at the end"
                raise cross(f"the hooks of {name}", "left behind", "none", hint)
            if any(not torch.equal(value, before[key]) for key, value in model.state_dict().items()):
                hint = "a pass in training mode moves the running statistics; in which mode should you count?"
                raise cross(f"batch norm in {name}", "its statistics have changed", "as before", hint)
            if {module.training for module in model.modules()} != {training}:
                modes = ("training mode", "evaluation mode")[:: 1 if training else -1]
                hint = "note how a network came before you change its mode, and put it back"
                raise cross(f"the mode of {name}", modes[1], modes[0], hint)
    tick("count_multiplications: as many as PyTorch counts, and the network is left as it came.")


def smooth_cross_entropy(answer: Callable) -> None:
    """Check cross-entropy with label smoothing, and its gradient, against PyTorch's."""
    generator = torch.Generator().manual_seed(7)
    cases = [(5, 10, 0.1, 2.0), (3, 4, 0.4, 1.0), (4, 4, 0.2, 3.0), (6, 3, 0.0, 2.0), (1, 5, 1.0, 1.0)]
    for number, classes, smoothing, size in [*cases, (3, 10, 0.1, 4000.0), (2, 4, 0.0, 4000.0)]:
        logits = size * torch.randn(number, classes, generator=generator, dtype=torch.float64)
        labels = torch.randint(classes, (number,), generator=generator)
        own = logits.clone().requires_grad_()
        expected = F.cross_entropy(own, labels, label_smoothing=smoothing)
        expected.backward()
        what = f"the loss of {number} images, {classes} classes, smoothing {smoothing}"
        logits.requires_grad_()
        loss = call(answer, logits, labels, smoothing)
        seen = as_number(what, loss)
        if not math.isclose(seen, expected.item(), rel_tol=1e-5, abs_tol=1e-7):
            hint = hints.smoothing_hint(seen, logits.detach(), labels, smoothing)
            raise cross(what, f"{seen:.5g}", f"{expected.item():.5g}", hint)
        hint = "an optimizer needs the gradient: stay with tensors, and return the loss itself"
        if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
            raise cross(f"the gradient of {what}", "none", "one for each logit", hint)
        loss.sum().backward()
        if logits.grad is None or not torch.allclose(logits.grad, own.grad, atol=1e-6):
            seen = "none" if logits.grad is None else short(logits.grad)
            raise cross(f"the gradient of {what}", seen, short(own.grad), hint)
    tick("smooth_cross_entropy: the loss and its gradient are those of F.cross_entropy, for large logits, too.")


def predict_mirrored(answer: Callable) -> None:
    """Check predictions that are averaged over each image and its mirror image."""
    generator = torch.Generator().manual_seed(70)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)  # for dropout, where it is left on
        for number, training in [(400, False), (400, True), (1, True)]:
            model = Witness(generator).eval()
            images = torch.randint(256, (3 * number, 1, 9, 12), generator=generator).byte()
            images[:, :, :, :6] //= 1 + torch.randint(8, (3 * number, 1, 1, 1), generator=generator).byte()
            with torch.no_grad():
                pairs = [model(normalize(way)).double().softmax(1) for way in (images, images.flip(3))]
            top = (pairs[0] + pairs[1]).topk(2, dim=1).values
            clear = (top[:, 0] - top[:, 1] > 1e-3).nonzero().flatten()[:number]  # no result hangs on rounding
            images, expected = images[clear], (pairs[0] + pairs[1])[clear].argmax(1)
            model.train(training)
            model.modes, model.gradients = set(), set()
            before = {key: value.clone() for key, value in model.state_dict().items()}
            came = "training mode" if training else "evaluation mode"
            what = f"the answers to {number} images, network in {came}"
            result = call(answer, model, images)
            seen = as_tensor(what, result, expected, "one class number for each image")
            right = (seen == expected).sum().item()
            if True in model.modes:
                hint = "dropout and batch norm are at work; which mode is for predictions?"
                raise cross(what, f"{right} as expected", f"all {number}, in evaluation mode", hint)
            if right < number:
                hint = hints.mirrored_hint(seen, model, images, normalize)
                raise cross(what, f"{right} as expected", f"all {number}", hint)
            if True in model.gradients:
                hint = "PyTorch keeps all maps for a backward pass that never comes; how do you switch that off?"
                raise cross("gradients during the pass", "switched on", "switched off", hint)
            if any(not torch.equal(value, before[key]) for key, value in model.state_dict().items()):
                raise cross("the network", "its weights or statistics have changed", "as before", "only predict")
            if {module.training for module in model.modules()} != {training}:
                hint = "note how a network came before you change its mode, and put it back"
                raise cross("the mode afterwards", "another than before", came, hint)
    tick("predict_mirrored: the mean of two probabilities decides, and the network is left as it came.")
