"""Which mistake gives a wrong result in the exercises to lesson 07? Each function returns the hint that fits best."""

import math
from collections.abc import Sequence
from statistics import fmean, median, median_high, median_low

import torch
from torch import nn

from helpers.checks.hints_04 import best_hint


def calls_hint(calls: str, rounds: int) -> str:
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


def ratio_hint(seen: float, first: Sequence[float], second: Sequence[float]) -> str:
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


def cosine(start: float, end: float, part: float) -> float:
    """Go from start to end along half a wave of the cosine, as part goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def straight(start: float, end: float, part: float) -> float:
    """Go from start to end in a straight line, as part goes from 0 to 1."""
    return start + (end - start) * part


def quarter(start: float, end: float, part: float) -> float:
    """Go from start to end along a quarter of a wave."""
    return end + (start - end) * math.cos(math.pi * part / 2)


def curve(total: int, peak: float, last: float, begin: float, end: float, way=(cosine, cosine), shift: int = 0) -> list:
    """Return the rates of all steps for a highest rate of 1; `way` is up and down, `shift` is added to each step."""
    rates = []
    for step in range(shift, total + shift):
        if step <= peak:
            rates.append(way[0](begin, 1.0, step / peak))
        else:
            rates.append(way[1](1.0, end, (step - peak) / max(last - peak, 1e-9)))
    return rates


def schedule_hint(seen: list[float], total: int, max_lr: float, warmup: float) -> str:
    """Return the hint to a wrong schedule; seen holds the learning rates of all steps."""
    peak, last, begin, end = warmup * total - 1, total - 1, 1 / 25, 1 / 25 / 10_000
    whole = "the peak lies at warmup * total_steps - 1 even where this is no whole number; do not round it"
    straight_line = "both ways follow a cosine; yours has a straight line in it"
    mistakes = [
        (curve(total, peak, last, 0, end), "where does the warm-up begin? Not at 0"),
        (curve(total, peak, last, begin, 0), "the last learning rate is small, but not 0"),
        (curve(total, peak, last, begin, begin), "the end lies far below the beginning: divide by 10,000 once more"),
        (
            curve(total, peak, last, begin, 1e-4),
            "the last rate is the first one divided by 10,000, not the highest one",
        ),
        (curve(total, peak, last, begin, 1), "what happens after the warm-up?"),
        (curve(total, peak, last, begin, end, (straight, cosine)), straight_line),
        (curve(total, peak, last, begin, end, (cosine, straight)), straight_line),
        (curve(total, peak, last, begin, end, (straight, straight)), straight_line),
        (
            curve(total, peak + 1, last + 1, begin, end),
            "steps count from 0: what are the numbers of peak and last step?",
        ),
        (curve(total, peak + 1, last, begin, end), "the last step is right; which number has the step of the peak?"),
        (curve(total, peak, last + 1, begin, end), "the peak is right; which number has the last step?"),
        (curve(total, peak, last, begin, end, shift=1), "the very first step is number 0"),
        (curve(total, total / 4 - 1, last, begin, end), "warmup is an argument; use what comes in"),
        (curve(total, 0.3 * total - 1, last, begin, end), "warmup is an argument; use what comes in"),
        (curve(total, last - peak, last, begin, end), "the warm-up takes the share warmup, and the decay the rest"),
        (curve(total, peak, last, begin, end, (quarter, quarter)), "each way takes half a wave: cos from 0 to pi"),
        (curve(total, math.floor(peak), last, begin, end), whole),
        (curve(total, math.ceil(peak), last, begin, end), whole),
    ]
    late = [cosine(1.0, end, step / last) if step > peak else cosine(begin, 1.0, step / peak) for step in range(total)]
    mistakes.append(
        (late, "the decay counts its own steps: it begins at the peak with 0 and ends at the last step with 1")
    )
    rates = torch.tensor(seen, dtype=torch.float64) / max_lr
    for expected, hint in mistakes:
        if torch.allclose(rates, torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=2e-7):
            return hint
    return "try step 0, the peak and the last step on paper; then one step between them"


def multiplications_hint(seen: float, expected: int, model: nn.Module, calls: list) -> str:
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


def smoothing_hint(seen: float, logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> str:
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
def mirrored_hint(seen: torch.Tensor, model: nn.Module, images: torch.Tensor, normalize) -> str:
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
