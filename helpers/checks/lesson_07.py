"""Checks of the exercises to lesson 07, train faster."""

import math
import random
import time
from collections.abc import Callable, Sequence
from statistics import fmean, median, median_high, median_low

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers.checks.tools import as_number, best_hint, call, cross, short, tick


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
        *[
            (
                total(lambda *call, side=side: call[0].weight.numel() * call[2][side] ** 2),
                "a map need not be square: rows times columns",
            )
            for side in (2, 3)
        ],
        (total(right, lambda layer, came, went: layer.in_features), outputs),
        (total(right, lambda layer, came, went: layer.in_features + layer.out_features), outputs),
    ]
    otherwise = "take a Conv2d or Linear alone: how many weights has it, and at how many places is each used?"
    return best_hint(seen, mistakes, otherwise, 0)


WORDS = ["constant", "per epoch", "no warm-up", "cut off", "right"]


def _one_cycle(steps: int, warmup: float, begin: float = 1 / 25) -> list[float]:
    """Return the rates of a one-cycle schedule whose highest is 1, as PyTorch's OneCycleLR has them."""
    peak, last, end = warmup * steps - 1, steps - 1, begin / 10_000
    rates = []
    for step in range(steps):
        start, stop, share = (begin, 1.0, step / peak) if step <= peak else (1.0, end, (step - peak) / (last - peak))
        rates.append(stop + (start - stop) * (1 + math.cos(math.pi * share)) / 2)
    return rates


def _logs() -> list[tuple[str, str, list[float]]]:
    """Return logs of learning rates: what each is, the right word, and the rates."""
    decay = [(1 + math.cos(math.pi * step / 199)) / 2 for step in range(200)]
    rise, cycle = _one_cycle(200, 0.25)[:50], _one_cycle(120, 0.25)
    logs = [
        ("a whole cycle of 300 steps", "right", _one_cycle(300, 0.25)),
        ("a whole cycle of only 16 steps", "right", _one_cycle(16, 0.25)),
        ("a whole cycle with a long warm-up", "right", _one_cycle(200, 0.6)),
        ("one rate for 50 steps", "constant", [1.0] * 50),
        ("10 epochs of 20 steps, one rate in each", "per epoch", [v for v in _one_cycle(10, 0.3) for _ in range(20)]),
        ("6 epochs of 5 steps, rates that only fall", "per epoch", [0.5**n for n in range(6) for _ in range(5)]),
        ("rates that only fall, over 200 steps", "no warm-up", decay),
        ("rates that only fall, to a half", "no warm-up", [1 - step / 200 for step in range(101)]),
        ("half of a cycle of 400 steps", "cut off", _one_cycle(400, 0.25)[:200]),
        ("188 steps of a cycle of 200", "cut off", _one_cycle(200, 0.25)[:188]),
        ("a warm-up and nothing after it", "cut off", _one_cycle(200, 0.5)[:99]),
        ("a warm-up, and the way back to where it began", "cut off", rise + rise[::-1]),
        ("a cycle that ends at 0.5 % of its highest", "right", [0.005 + 0.995 * rate for rate in cycle]),
        ("rates that dip, and then rise above the first", "right", [0.6 - 0.05 * n for n in range(9)] + cycle),
        (
            "a cycle with each third rate twice",
            "right",
            [v for n, v in enumerate(cycle) for _ in range(1 + (n % 3 == 0))],
        ),
        ("rates that fall again from the top, four times", "no warm-up", decay[::5] * 4),
    ]
    sizes = [0.3, 0.001, 0.005, 2.0, 0.05, 1e-5, 0.1, 4.0, 0.0005, 2.0, 0.6, 0.2, 3.0, 0.02, 1e-6, 0.5]
    return [
        (f"{what}, the highest {size:g}", word, [size * rate for rate in rates])
        for (what, word, rates), size in zip(logs, sizes, strict=True)
    ]


def _word_hint(seen: object, word: str, what: str) -> str:
    """Return the hint to a wrong word for a log."""
    if seen not in WORDS:
        return f"return one of {', '.join(WORDS)}, spelled so"
    if word == "constant":
        return "a constant rate also begins high and ends high; ask for it first"
    if word == "per epoch":
        return "here most steps have the rate of the step before; ask for that before you look at the ends"
    if seen == "per epoch":
        return "rates may come again, and some twice in a row; compare each step with the step before, and count"
    if seen == "constant":
        return "the first and the last rate are equal here; are all of them?"
    if seen == "no warm-up":
        return "its first rate is not its highest, though it may be above others; compare it with all of them"
    if word == "no warm-up":
        return "its first rate is its highest; what does a warm-up begin with?"
    if word == "cut off" and "188" in what:
        return "the last rate is lower than the first, and yet not small: compare it with the highest"
    if word == "cut off":
        return "rates have no size of their own: compare the last one with a hundredth of the highest"
    if "0.5 %" in what:
        return "half a hundredth of the highest is small enough: compare the last one with a hundredth of the highest"
    return "this one went as it should; rates may be large or tiny, so compare them with the highest"


class _Recipe:
    """A made-up training: its accuracy depends on the seed, and it notes the seeds."""

    def __init__(self, mean: float, scatter: float, luck: int):
        self.mean, self.scatter, self.luck, self.seeds = mean, scatter, luck, []

    def train(self, seed: int) -> float:
        self.seeds.append(seed)
        return self.mean + self.scatter * random.Random(f"{self.luck} {seed}").gauss(0, 1)


def _is_beaten(name: str, recipes: dict) -> bool:
    """Tell whether another recipe is as good in both respects and better in one."""
    seconds, accuracy = recipes[name]
    return any(s <= seconds and a >= accuracy and (s < seconds or a > accuracy) for s, a in recipes.values())


def _edge_hint(seen: list, expected: list, recipes: dict) -> str:
    """Return the hint to a wrong edge."""
    if sorted(seen) == sorted(expected):
        return "the right names; from the fastest to the slowest, equal ones in the order of the dictionary"
    top = max(accuracy for _, accuracy in recipes.values())
    twins = [name for name in expected if list(recipes.values()).count(recipes[name]) > 1]
    missing, more = set(expected) - set(seen), set(seen) - set(expected)
    if not more <= set(recipes):
        return "these are not all names of the dictionary that your function was given; does it look at another one?"
    if missing and missing <= set(twins):
        return "two equal recipes do not beat each other: neither is better in anything"
    if not more and all(recipes[name][1] < top for name in missing):
        return "a recipe need not be the most accurate: it is beaten only by one that is as fast, too"
    if any(recipes[name][0] == recipes[other][0] for name in more for other in expected):
        return "one of two equally fast recipes is less accurate, and so it is beaten"
    if any(recipes[name][1] == recipes[other][1] for name in more for other in expected):
        return "one of two equally accurate recipes is slower, and so it is beaten"
    return "for each recipe look for another one that is as fast, as accurate, and better in one of the two"


def compare_in_turn(answer: Callable) -> None:
    """Check a comparison of two functions in turn, on a made-up machine that is sometimes slow."""
    for slowness, ratios in [
        ([1, 1, 4, 2, 3, 5], [8, 1.5, 9, 2.1, 1.3, 1.6]),
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


def what_went_wrong(answer: Callable) -> None:
    """Check the words for logs of learning rates, of many lengths and sizes."""
    for what, word, rates in _logs():
        seen = call(answer, list(rates))
        if not isinstance(seen, str) or seen != word:
            raise cross(f"the log of {what}", short(seen, 60), f'"{word}"', _word_hint(seen, word, what))
    tick("what_went_wrong: every log gets its word, whatever its length and the size of its rates.")


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


def compare_recipes(answer: Callable) -> None:
    """Check the design of an experiment on made-up trainings: its budget, its seeds, and what luck makes of it."""
    for budget, better in ((6, "b"), (20, "b"), (13, "a")):
        a, b = _Recipe(95 if better == "a" else 92, 0.2, 1), _Recipe(92 if better == "a" else 95, 0.2, 2)
        decision = call(answer, a.train, b.train, budget)
        what = f"the trainings for a budget of {budget}"
        seen = f"{len(a.seeds)} of a, {len(b.seeds)} of b"
        expected = f"{budget // 2} of each"
        if len(a.seeds) + len(b.seeds) > budget:
            raise cross(what, seen, expected, "the budget counts the trainings of both recipes together")
        if len(a.seeds) != len(b.seeds):
            raise cross(what, seen, expected, "give both recipes equally many trainings")
        if len(a.seeds) < budget // 2:
            raise cross(what, seen, expected, "more seeds decide smaller gains: use the budget that you have")
        for recipe in (a, b):
            if len(set(recipe.seeds)) < len(recipe.seeds):
                hint = "the same seed trains the same network again; each run needs another one"
                raise cross(f"the seeds for a budget of {budget}", short(recipe.seeds), "all different", hint)
        if decision not in ("a", "b", "not decided"):
            hint = 'return "a", "b" or "not decided"'
            raise cross("the decision", short(decision), "one of the three", hint)
        if decision != better:
            hint = f"here {better} is better by 15 standard deviations"
            hint += f"; is luck with {budget // 2} seeds each that large?" if decision == "not decided" else ""
            raise cross("the decision for a clear case", short(decision), f'"{better}"', hint)
    cases = 300
    for scatter in (0.05, 0.2, 2.0):
        alarms = sum(
            call(answer, _Recipe(92, scatter, 2 * case).train, _Recipe(92, scatter, 2 * case + 1).train, 10)
            != "not decided"
            for case in range(cases)
        )
        if alarms >= 0.15 * cases:
            hint = "two equal recipes; how far apart do two means come by luck? Ask the scatter of these very runs"
            what = f"decisions between equal recipes, standard deviation {scatter}"
            raise cross(what, f"{alarms / cases:.0%} decided", "fewer than 15 %", hint)
        found = sum(
            call(
                answer, _Recipe(92 + 2 * scatter, scatter, 2 * case).train, _Recipe(92, scatter, 2 * case + 1).train, 20
            )
            == "a"
            for case in range(cases)
        )
        if found <= 0.8 * cases:
            hint = "a mean of n runs scatters less than one run, by the square root of n"
            what = f"a is better by two standard deviations of {scatter}, ten seeds each"
            raise cross(what, f'"a" in {found / cases:.0%}', "more than 80 %", hint)
    tick("compare_recipes: within the budget, seldom fooled by luck, and seldom blind to a real difference.")


def edge(answer: Callable) -> None:
    """Check which recipes no other beats."""
    cases = [
        {"A": (20, 89.0), "B": (45, 93.1), "C": (60, 92.0), "D": (110, 93.1), "E": (150, 93.6), "F": (150, 92.8)},
        {"slow": (400, 94.2), "quick": (40, 93.0), "slower": (500, 94.1), "quickest": (10, 80.0)},
        {"one": (30, 90.0), "twin": (30, 90.0), "behind": (31, 90.0)},
        {"poor": (50, 90.0), "second": (50, 92.0), "first": (50, 92.0), "last": (90, 95.0), "late": (90, 94.0)},
        {"alone": (5, 50.0)},
        {"x": (10, 90.0), "y": (20, 90.5), "z": (30, 94.0)},
    ]
    for recipes in cases:
        expected = sorted(
            (name for name in recipes if not _is_beaten(name, recipes)), key=lambda name: recipes[name][0]
        )
        seen = call(answer, dict(recipes))
        if not isinstance(seen, list | tuple) or not all(isinstance(name, str) for name in seen):
            raise cross(f"the edge of {recipes}", short(seen), expected, "return a list of names")
        if list(seen) != expected:
            what = f"the edge of {short(recipes, 100)}"
            raise cross(what, short(list(seen)), short(expected), _edge_hint(list(seen), expected, recipes))
    tick("edge: exactly the recipes that no other beats, from the fastest to the slowest.")
