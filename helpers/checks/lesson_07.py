"""Checks of the exercises to lesson 07, train faster."""

import math
import time
from collections.abc import Callable, Sequence
from statistics import fmean, median, median_high, median_low

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.flop_counter import FlopCounterMode

from helpers.checks.tools import as_number, as_tensor, best_hint, call, cross, short, tick
from helpers.data import normalize


class _Machine:
    """A made-up machine with a clock of its own, which notes who was called. A round takes as long as it is told."""

    def __init__(self, first: list[float], second: list[float]):
        self.seconds = {"1": first, "2": second}
        self.now, self.calls, self.reads = 5.0, "", 0

    def work(self, name: str) -> None:
        done = self.calls.count(name)
        self.now += self.seconds[name][min(done, len(self.seconds[name]) - 1)]
        self.calls += name

    def first(self) -> None:
        self.work("1")

    def second(self) -> None:
        self.work("2")

    def clock(self) -> float:
        self.reads += 1
        return self.now


class _Twice(nn.Module):
    """Call the same convolution twice, one call after the other."""

    def __init__(self, channels: int):
        super().__init__()
        self.inside = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inside(x + self.inside(x))


def _networks() -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """Return a description, a network and the shape of its images."""
    pooled = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.Flatten(), nn.Linear(864, 10)]
    strided = [nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(2, 1), bias=False), nn.BatchNorm2d(5), nn.ReLU()]
    strided += [nn.Conv2d(5, 2, (1, 4), stride=3), nn.Flatten(), nn.Linear(36, 7, bias=False)]
    nested = [nn.Conv2d(2, 3, 3, padding=1), _Twice(3), nn.Flatten(), nn.Sequential(nn.Dropout(0.5), nn.Linear(90, 4))]
    linear = [nn.Flatten(), nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 5)]
    return [
        ("two convolutions and a linear layer", nn.Sequential(*pooled), (1, 28, 28)),
        ("convolutions with strides", nn.Sequential(*strided), (3, 11, 20)),
        ("layers inside of layers", nn.Sequential(*nested), (2, 6, 5)),
        ("two linear layers", nn.Sequential(*linear), (1, 5, 6)),
    ]


def _passes(model: nn.Module, shape: tuple[int, ...]) -> list[tuple[nn.Module, tuple, tuple]]:
    """Return each call of a convolution or a linear layer: the layer, and the shapes of its input and output."""
    calls, handles = [], []

    def note(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        calls.append((layer, tuple(inputs[0].shape), tuple(output.shape)))

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            handles.append(layer.register_forward_hook(note))
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    return calls


class _Witness(nn.Module):
    """A small network that tells in which way it was asked."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(24, 4)
        for tensor in [*self.parameters(), self.norm.running_mean]:
            tensor.data.normal_(generator=generator)
        self.norm.running_var.uniform_(0.2, 1.2, generator=generator)
        self.modes, self.gradients = set(), set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes |= {module.training for module in self.modules()}
        self.gradients.add(torch.is_grad_enabled())
        maps = F.adaptive_avg_pool2d(self.norm(self.convolution(x)).relu(), 2)
        return self.linear(self.dropout(maps.flatten(1)))


def _calls_hint(calls: str, rounds: int) -> str:
    """Return the hint to wrong calls; calls holds a 1 for each call of the first function, a 2 for the second."""
    pairs = [calls[i : i + 2] for i in range(0, len(calls), 2)]
    in_turn = all(sorted(pair) == ["1", "2"] for pair in pairs)
    if not calls:
        return "neither was called: write first() and second(), with brackets"
    if in_turn and len(pairs) == rounds:
        return "the very first call of each is often slow; let each run once before you look at the clock"
    if in_turn:
        return "one warm-up call of each, then one call of each in every round"
    if calls in ("1" * (rounds + 1) + "2" * (rounds + 1), "1" * rounds + "2" * rounds) or "11" in calls[2:]:
        return "a machine may slow down meanwhile, which then hits one of them alone; let them take turns"
    return "each round calls both, the one right after the other"


def _ratio_hint(seen: float, first: Sequence[float], second: Sequence[float]) -> str:
    """Return the hint to a wrong ratio; first and second are the seconds of all calls, the warm-up before the rest."""
    warm = [a / b for a, b in zip(first, second, strict=True)]
    first, second, ratios = first[1:], second[1:], warm[1:]
    mistakes = [
        (median(1 / ratio for ratio in ratios), "the other way round: time of the first over time of the second"),
        (1 / median(ratios), "the other way round: time of the first over time of the second"),
        (median(warm), "the warm-up call is among your times; its time does not count"),
        (fmean(ratios), "this is the mean, which one disturbed round can spoil; the median is asked for"),
        (fmean(warm), "the warm-up call is among your times; its time does not count"),
        (median(first) / median(second), "first the ratio of each round, then the median of these ratios"),
        (
            sum(first) / sum(second),
            "first the ratio of each round, then the median; in your sums slow rounds weigh most",
        ),
        (min(first) / min(second), "the two fastest calls may come from different rounds, when the machine differed"),
        (min(ratios), "not the luckiest round, but the one in the middle"),
        (max(ratios), "not the unluckiest round, but the one in the middle"),
        (median_low(ratios), "of an even number of ratios the median is the mean of the two in the middle"),
        (median_high(ratios), "of an even number of ratios the median is the mean of the two in the middle"),
        (median(a - b for a, b in zip(first, second, strict=True)), "how many times, not how many seconds"),
    ]
    # The rounds in the order in which they ran: what someone gets who forgot to sort them.
    mistakes.append((ratios[len(ratios) // 2], "the median is in the middle of the sorted ratios"))
    otherwise = "read the clock before and after each call; a round's ratio is one time over the other"
    return best_hint(seen, mistakes, otherwise, 1e-6)


def _cosine(start: float, end: float, part: float) -> float:
    """Go from start to end along half a wave of the cosine, as part goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _straight(start: float, end: float, part: float) -> float:
    """Go from start to end in a straight line, as part goes from 0 to 1."""
    return start + (end - start) * part


def _quarter(start: float, end: float, part: float) -> float:
    """Go from start to end along a quarter of a wave."""
    return end + (start - end) * math.cos(math.pi * part / 2)


def _curve(
    total: int, peak: float, last: float, begin: float, end: float, way=(_cosine, _cosine), shift: int = 0
) -> list:
    """Return the rates of all steps for a highest rate of 1; `way` is up and down, `shift` is added to each step."""
    rates = []
    for step in range(shift, total + shift):
        if step <= peak:
            rates.append(way[0](begin, 1.0, step / peak))
        else:
            rates.append(way[1](1.0, end, (step - peak) / max(last - peak, 1e-9)))
    return rates


def _schedule_hint(seen: list[float], total: int, max_lr: float, warmup: float) -> str:
    """Return the hint to a wrong schedule; seen holds the learning rates of all steps."""
    peak, last, begin, end = warmup * total - 1, total - 1, 1 / 25, 1 / 25 / 10_000
    whole = "the peak lies at warmup * total_steps - 1 even where this is no whole number; do not round it"
    straight_line = "both ways follow a cosine; yours has a straight line in it"
    mistakes = [
        (_curve(total, peak, last, 0, end), "where does the warm-up begin? Not at 0"),
        (_curve(total, peak, last, begin, 0), "the last learning rate is small, but not 0"),
        (_curve(total, peak, last, begin, begin), "the end lies far below the beginning: divide by 10,000 once more"),
        (
            _curve(total, peak, last, begin, 1e-4),
            "the last rate is the first one divided by 10,000, not the highest one",
        ),
        (_curve(total, peak, last, begin, 1), "what happens after the warm-up?"),
        (_curve(total, peak, last, begin, end, (_straight, _cosine)), straight_line),
        (_curve(total, peak, last, begin, end, (_cosine, _straight)), straight_line),
        (_curve(total, peak, last, begin, end, (_straight, _straight)), straight_line),
        (
            _curve(total, peak + 1, last + 1, begin, end),
            "steps count from 0: what are the numbers of peak and last step?",
        ),
        (_curve(total, peak + 1, last, begin, end), "the last step is right; which number has the step of the peak?"),
        (_curve(total, peak, last + 1, begin, end), "the peak is right; which number has the last step?"),
        (_curve(total, peak, last, begin, end, shift=1), "the very first step is number 0"),
        (_curve(total, total / 4 - 1, last, begin, end), "warmup is an argument; use what comes in"),
        (_curve(total, 0.3 * total - 1, last, begin, end), "warmup is an argument; use what comes in"),
        (_curve(total, last - peak, last, begin, end), "the warm-up takes the share warmup, and the decay the rest"),
        (_curve(total, peak, last, begin, end, (_quarter, _quarter)), "each way takes half a wave: cos from 0 to pi"),
        (_curve(total, math.floor(peak), last, begin, end), whole),
        (_curve(total, math.ceil(peak), last, begin, end), whole),
    ]
    late = [
        _cosine(1.0, end, step / last) if step > peak else _cosine(begin, 1.0, step / peak) for step in range(total)
    ]
    mistakes.append(
        (late, "the decay counts its own steps: it begins at the peak with 0 and ends at the last step with 1")
    )
    rates = torch.tensor(seen, dtype=torch.float64) / max_lr
    for expected, hint in mistakes:
        if torch.allclose(rates, torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=2e-7):
            return hint
    return "try step 0, the peak and the last step on paper; then one step between them"


def _multiplications_hint(seen: float, expected: int, model: nn.Module, calls: list) -> str:
    """Return the hint to a wrong count; calls holds (layer, shape of its input, shape of its output) of each call."""

    def total(convolution, linear=lambda layer, came, went: layer.weight.numel(), chosen=calls) -> int:
        return sum((convolution if isinstance(call[0], nn.Conv2d) else linear)(*call) for call in chosen)

    def right(layer, came, went):
        return layer.weight.numel() * math.prod(went[2:])

    def nothing(layer, came, went):
        return 0

    biases = sum(math.prod(went) for layer, _, went in calls if layer.bias is not None)
    once = list({id(call[0]): call for call in calls}.values())
    outside = [call for call in calls if any(call[0] is child for child in model.children())]
    outputs = "the convolutions are right; in a linear layer each output has a weight for every input"
    each = "each filter multiplies all of its weights, over all input channels, rows and columns"
    mistakes = [
        (2 * expected, "twice as many: additions do not count, and one image is enough"),
        (expected + biases, "a bias is added, so it multiplies nothing"),
        (
            total(lambda layer, came, went: layer.weight.numel()),
            "these are weights; at how many places is a filter used?",
        ),
        (
            sum(parameter.numel() for parameter in model.parameters()),
            "these are parameters; a filter is used many times",
        ),
        (
            total(lambda layer, came, went: layer.weight.numel() * math.prod(came[2:])),
            "a filter is used once for each place of its output, not of its input; think of stride and padding",
        ),
        (total(nothing), "linear layers are right; where are the convolutions?"),
        (total(right, nothing), "convolutions are right; a linear layer multiplies, too"),
        (total(right, chosen=once), "a layer that is called twice multiplies twice"),
        (total(right, chosen=outside), "some layers stand inside of others; model.modules() finds them all"),
        (total(lambda *call: right(*call) // call[0].in_channels), each),
        (total(lambda *call: right(*call) // call[0].out_channels), "a filter makes one channel; how many are there?"),
        *[(total(lambda *call, side=side: right(*call) // call[0].kernel_size[side]), each) for side in (0, 1)],
        (total(lambda layer, came, went: math.prod(went)), each),
        (
            total(lambda layer, came, went: right(layer, came, went) * layer.kernel_size[0] // layer.kernel_size[1]),
            "a filter need not be square: rows times columns",
        ),
        (total(right, lambda layer, came, went: layer.in_features), outputs),
        (total(right, lambda layer, came, went: layer.in_features + layer.out_features), outputs),
    ]
    otherwise = "take a Conv2d or Linear alone: how many weights has it, and at how many places is each used?"
    return best_hint(seen, mistakes, otherwise, 0)


def _smoothing_hint(seen: float, logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> str:
    """Return the hint to a wrong loss with label smoothing."""
    if logits.abs().max() > 500:
        return "large logits: exp overflows, and softmax rounds to 0; which function takes log and softmax at once?"
    classes, one_hot = logits.shape[1], nn.functional.one_hot(labels, logits.shape[1]).double()
    logs, even, others = logits.log_softmax(1), smoothing / classes, 1 - one_hot
    right = -(((1 - smoothing) * one_hot + even) * logs).sum(1)
    whole = "the targets of an image must sum to 1; do yours?"
    mistakes = [
        (right.sum(), "the mean over the images, not the sum"),
        (right.mean() / classes, "sum over the classes of an image; only over the images it is a mean"),
        (-right.mean(), "a logarithm of a probability is negative; which sign has the loss?"),
        (-(one_hot * logs).sum(1).mean(), "smoothing has left no trace in your loss"),
        (
            -(((1 - smoothing) * one_hot + smoothing / max(classes - 1, 1) * others) * logs).sum(1).mean(),
            "the share is spread over all classes, the true one among them",
        ),
        (-((one_hot + even) * logs).sum(1).mean(), whole),
        (-(((1 - smoothing) * one_hot + even * others) * logs).sum(1).mean(), whole),
        (-(((1 - smoothing) * one_hot) * logs).sum(1).mean(), whole),
        (-(((1 - smoothing) * one_hot + smoothing) * logs).sum(1).mean(), whole),
        (
            -((smoothing * one_hot + (1 - smoothing) / classes) * logs).sum(1).mean(),
            "which share keeps the true class?",
        ),
        (
            -(((1 - smoothing) * logits.softmax(1) + even) * one_hot).sum(1).log().mean(),
            "you smooth what the model says; smooth what it should say",
        ),
        (-(((1 - smoothing) * one_hot + even) * logits.log_softmax(0)).sum(1).mean(), "softmax runs over the classes"),
    ]
    return best_hint(
        seen, mistakes, "write the ten targets of one image down, then minus the sum of target times log p", 1e-6
    )


@torch.no_grad()
def _mirrored_hint(seen: torch.Tensor, model: nn.Module, images: torch.Tensor, normalize) -> str:
    """Return the hint to wrong class numbers; normalize is the function of helpers.data."""
    model.eval()

    def logits(*dims: int) -> torch.Tensor:
        return model(normalize(images.flip(dims) if dims else images)).double()

    def averaged(*dims: int) -> torch.Tensor:
        return (logits().softmax(1) + logits(*dims).softmax(1)).argmax(1)

    plain, mirrored = logits(), logits(3)
    classes = plain.argmax(1) + mirrored.argmax(1)
    surest = torch.maximum(plain.softmax(1), mirrored.softmax(1)).argmax(1)
    raw = (model(images.float()).softmax(1) + model(images.flip(3).float()).softmax(1)).argmax(1)
    numbers = "class numbers are names: T-shirt 0 and Pullover 2 do not make a Trouser 1; average probabilities"
    mistakes = [
        (plain.argmax(1), "the mirror images have left no trace; which dimension holds the columns?"),
        (mirrored.argmax(1), "these are the answers to the mirror images alone"),
        (averaged(2), "your images stand on their heads; which of the four dimensions holds the columns?"),
        (averaged(2, 3), "your images are turned by half a circle; which one dimension holds the columns?"),
        (averaged(0), "you turn the order of the images round; which dimension holds the columns?"),
        ((plain + mirrored).argmax(1), "probabilities are asked for; you average before softmax, or logarithms"),
        (classes // 2, numbers),
        (-(-classes // 2), numbers),
        ((classes / 2).round().long(), numbers),
        (surest, "the mean of the two probabilities, not the larger one"),
        ((plain.softmax(0) + mirrored.softmax(0)).argmax(1), "softmax runs over the classes of one image"),
    ]
    otherwise = "the mean of two tables (N, classes) first, then the largest number of each row"
    if (seen == raw).double().mean() > 0.9:  # probabilities of 0 and 1 make ties, so a few may differ
        otherwise = "the network was trained on normalised images"
    return best_hint(seen, mistakes, otherwise, 0)


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
        machine = _Machine(first, slowness)
        what = f"the ratio of {rounds} rounds" if rounds > 1 else "the ratio of a single round"
        seen = as_number(what, call(answer, machine.first, machine.second, rounds, machine.clock))
        pairs = [machine.calls[i : i + 2] for i in range(0, len(machine.calls), 2)]
        if len(pairs) != rounds + 1 or any(sorted(pair) != ["1", "2"] for pair in pairs):
            hint = _calls_hint(machine.calls, rounds)
            calls = short(machine.calls) or "none"
            raise cross(f"the calls for {rounds} rounds (1 first, 2 second)", calls, "12" * (rounds + 1), hint)
        if machine.reads == 0:
            raise cross("the clock", "never read", "clock() before and after", "read the clock that comes as argument")
        expected = median(ratios[1:])
        if not math.isclose(seen, expected, rel_tol=1e-6):
            hint = _ratio_hint(seen, first, slowness)
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
            hint = _schedule_hint(seen, total, max_lr, share)
            raise cross(what, f"{seen[step]:.4g}", f"{expected[step]:.4g}", hint)
    tick("one_cycle_lr: every step has the learning rate of PyTorch's OneCycleLR, from the first to the last.")


def count_multiplications(answer: Callable) -> None:
    """Check the multiplications of a network's convolutions and linear layers against PyTorch's own counter."""
    for training in (False, True):
        for name, model, shape in _networks():
            model.eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(torch.zeros(1, *shape))
            expected = counter.get_total_flops() // 2  # a multiplication and an addition each
            calls = _passes(model, shape)
            model.train(training)
            before = {key: value.clone() for key, value in model.state_dict().items()}
            what = f"the multiplications of {name}, images {shape}"
            with torch.random.fork_rng(devices=[]):
                seen = as_number(what, call(answer, model, shape))
            if seen != expected:
                hint = _multiplications_hint(seen, expected, model, calls)
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
            hint = _smoothing_hint(seen, logits.detach(), labels, smoothing)
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
            model = _Witness(generator).eval()
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
                hint = _mirrored_hint(seen, model, images, normalize)
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
