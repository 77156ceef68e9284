"""Wrong answers to the exercises of lesson 07, each with a part of the hint that fits it."""

import math
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import mean, median, median_low, stdev

import torch
from scipy import stats
from torch import nn


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


def all_of_the_first_then_all_of_the_second(first, second, rounds, clock=time.perf_counter):
    first(), second()
    times = [[timed(function, clock) for _ in range(rounds)] for function in (first, second)]
    return median_of_ratios(*times)


def each_warms_up_before_its_own_turn(first, second, rounds, clock=time.perf_counter):
    times = [[timed(function, clock) for _ in range(rounds + 1)][1:] for function in (first, second)]
    return median_of_ratios(*times)


def own_clock(first, second, rounds, clock=None):
    return raced(first, second, rounds)


def clock_of_the_processor_by_default(first, second, rounds, clock=time.process_time):
    return raced(first, second, rounds, lambda: clock() + 1e-9 * next(ticks))


ticks = iter(range(10**9))


def one_of_the_two_in_each_round(first, second, rounds, clock=time.perf_counter):
    first(), second()
    times = [timed((first, second)[number % 2], clock) for number in range(rounds)]
    return mean(times[::2]) / mean(times[1::2] or times)


def one_start_for_both(first, second, rounds, clock=time.perf_counter):
    first(), second()
    ratios = []
    for _ in range(rounds):
        started, after_the_first = clock(), timed(first, clock)
        second()
        ratios.append(after_the_first / (clock() - started))
    return median(ratios)


def functions_not_called(first, second, rounds, clock=time.perf_counter):
    return 1.0


def per_weight(factor):
    return lambda layer, output, image: factor(layer, output, image) if output.dim() == 4 else layer.weight.numel()


def with_biases(layer, output, image):
    return layer.weight.numel() * places(output) + (layer.bias is not None) * output.numel()


def per_convolution(linear):
    return lambda layer, output, image: layer.weight.numel() * places(output) if output.dim() == 4 else linear(layer)


def parameters_counted(model, image_shape):
    return sum(parameter.numel() for parameter in model.parameters())


def judged(rates, *, small=None, same=None, first=None, whole=None, order=("constant", "per epoch", "no warm-up")):
    """Judge a log of learning rates; without changes as asked."""
    tests = {
        "constant": max(rates) == min(rates),
        "per epoch": (same or (lambda r: sum(a == b for a, b in pairwise(r)) > len(r) / 2))(rates),
        "no warm-up": (first or (lambda r: r[0] == max(r)))(rates),
        "cut off": (small or (lambda r: r[-1] > max(r) / 100))(rates),
    }
    for word in [*order, "cut off"]:
        if tests[word]:
            return word
    return whole or "right"


def first_and_last_equal(rates):
    return "constant" if rates[0] == rates[-1] else judged(rates)


def few_different_rates_for_its_length(rates):
    return judged(rates, same=lambda r: len(set(r)) < len(r) / 2)


def always_right(rates):
    return "right"


def in_other_words(rates):
    return judged(rates).upper()


def designed(train_a, train_b, budget, *, share=2, seeds=range, bound=None, other=None, judge=None):
    """Compare two recipes; without changes as asked."""
    n = budget // share
    a, b = ([train(seed) for seed in seeds(n)] for train in (train_a, train_b))
    if other:
        return other
    if judge:
        return "b" if judge(b) > judge(a) else "a"
    gap = mean(b) - mean(a)
    s = math.sqrt((stdev(a) ** 2 + stdev(b) ** 2) / 2)
    limit = bound(s, n) if bound else 2.2 * s * math.sqrt(2 / n)
    return "not decided" if abs(gap) <= limit else "b" if gap > 0 else "a"


def b_or_nothing(train_a, train_b, budget):
    return "b" if designed(train_a, train_b, budget) == "b" else "not decided"


def by_ranks(train_a, train_b, budget):
    a, b = ([train(seed) for seed in range(budget // 2)] for train in (train_a, train_b))
    decided = stats.mannwhitneyu(a, b).pvalue < 0.05
    return "not decided" if not decided else "b" if mean(b) > mean(a) else "a"


def one_seed_each(train_a, train_b, budget):
    return "b" if train_b(0) > train_a(0) else "a"


def a_gets_most(train_a, train_b, budget):
    a, b = mean(train_a(seed) for seed in range(budget - 2)), mean(train_b(seed) for seed in range(2))
    return "b" if b > a else "a"


def kept(recipes, *, beats, key=None):
    """Return the names that no other recipe beats by a rule of two places, in order of the seconds."""
    names = [name for name, place in recipes.items() if not any(beats(other, place) for other in recipes.values())]
    return sorted(names, key=key or (lambda name: recipes[name][0]))


def faster_and_more_accurate(other, place):
    return other[0] < place[0] and other[1] > place[1]


def a_name_of_its_own(recipes):
    return [*recipes, "the best"]


def twins_beat_each_other(recipes):
    names = []
    for name, (seconds, accuracy) in recipes.items():
        others = [place for other, place in recipes.items() if other != name]
        if not any(place[0] <= seconds and place[1] >= accuracy for place in others):
            names.append(name)
    return sorted(names, key=lambda name: recipes[name][0])


def rightly(other, place):
    return other[0] <= place[0] and other[1] >= place[1] and other != place


def the_most_accurate(recipes):
    top = max(accuracy for _, accuracy in recipes.values())
    return [name for name, (_, accuracy) in recipes.items() if accuracy == top]


def the_fastest(recipes):
    least = min(seconds for seconds, _ in recipes.values())
    return [name for name, (seconds, _) in recipes.items() if seconds == least]


def names_in_alphabetical_order(recipes):
    return sorted(kept(recipes, beats=rightly), key=lambda name: (recipes[name][0], name))


def better_than_all_before(recipes):
    names, best = [], (0, 0)
    for name in sorted(recipes, key=lambda name: recipes[name][0]):
        if recipes[name][1] > best[1] or recipes[name] == best:
            names, best = [*names, name], recipes[name]
    return names


def in_the_order_of_accuracy(recipes):
    return kept(recipes, beats=rightly, key=lambda name: -recipes[name][1])


RACE = {"ratio_of_medians": lambda a, b: median(a) / median(b), "ratio_of_sums": lambda a, b: sum(a) / sum(b)}
WRONG = {
    "compare_in_turn": [
        (all_of_the_first_then_all_of_the_second, "let them take turns"),
        (each_warms_up_before_its_own_turn, "let them take turns"),
        (one_of_the_two_in_each_round, "each round calls both"),
        (named("no_warm_up", raced, warm_up=0), "let each run once before you look"),
        (named("two_warm_ups", raced, warm_up=2), "one warm-up call of each, then one"),
        (named("warm_up_timed", raced, warm_up=0, skip=1), "the warm-up call is among your times"),
        (named("mean", raced, summary=lambda a, b: mean(x / y for x, y in zip(a, b, strict=True))), "this is the mean"),
        (
            named("ratio_of_medians", raced, summary=RACE["ratio_of_medians"]),
            "first the ratio of each round, then the median of",
        ),
        (named("ratio_of_sums", raced, summary=RACE["ratio_of_sums"]), "slow rounds weigh most"),
        (named("best_of_each", raced, summary=lambda a, b: min(a) / min(b)), "may come from different rounds"),
        (
            named("luckiest_round", raced, summary=lambda a, b: min(x / y for x, y in zip(a, b, strict=True))),
            "not the luckiest round",
        ),
        (
            named("unluckiest_round", raced, summary=lambda a, b: max(x / y for x, y in zip(a, b, strict=True))),
            "not the unluckiest round",
        ),
        (one_start_for_both, "read the clock before and after each call"),
        (named("inverted", raced, summary=lambda a, b: median_of_ratios(b, a)), "the other way round"),
        (named("unsorted", raced, summary=lambda a, b: a[len(a) // 2] / b[len(b) // 2]), "middle of the sorted ratios"),
        (
            named("seconds", raced, summary=lambda a, b: median(x - y for x, y in zip(a, b, strict=True))),
            "not how many seconds",
        ),
        (
            named("lower_median", raced, summary=lambda a, b: median_low(x / y for x, y in zip(a, b, strict=True))),
            "mean of the two in the middle",
        ),
        (own_clock, "read the clock that comes"),
        (clock_of_the_processor_by_default, "which also counts waiting"),
        (functions_not_called, "with brackets"),
    ],
    "what_went_wrong": [
        (always_right, "ask for it first"),
        (in_other_words, "spelled so"),
        (named("cut_off_first", judged, order=("cut off", "constant", "per epoch", "no warm-up")), "ask for it first"),
        (named("ends_before_steps", judged, order=("constant", "no warm-up")), "before you look at the ends"),
        (named("few_different_rates", judged, same=lambda r: len(set(r)) < 20), "compare each step with the step"),
        (named("a_size_of_its_own", judged, small=lambda r: r[-1] > 1e-3), "compare the last one with a hundredth"),
        (named("tiny_size_of_its_own", judged, small=lambda r: r[-1] > 1e-9), "compare them with the highest"),
        (named("last_against_first", judged, small=lambda r: r[-1] > r[0]), "and yet not small"),
        (named("a_fiftieth", judged, small=lambda r: r[-1] > max(r) / 50), "and yet not small"),
        (named("a_hundredth_of_the_first", judged, small=lambda r: r[-1] > r[0] / 100), "half a hundredth"),
        (few_different_rates_for_its_length, "compare each step with the step before, and count"),
        (named("any_two_equal", judged, same=lambda r: any(a == b for a, b in pairwise(r))), "and count"),
        (named("falls_at_first", judged, first=lambda r: r[0] > r[1]), "its first rate is not its highest"),
        (named("begins_high", judged, first=lambda r: r[0] > max(r) / 2), "its first rate is not its highest"),
        (first_and_last_equal, "are all of them"),
        (named("no_warm_up_unnoticed", judged, first=lambda r: False), "what does a warm-up begin with"),
    ],
    "count_multiplications": [
        (parameters_counted, "these are parameters"),
        (named("weights_alone", counted, each=lambda layer, output, image: layer.weight.numel()), "these are weights"),
        (named("biases_too", counted, each=with_biases), "a bias is added"),
        (named("additions_too", counted, images=2), "additions do not count"),
        (
            named("places_of_the_input", counted, each=per_weight(lambda a, o, i: a.weight.numel() * places(i))),
            "not of its input",
        ),
        (
            named("one_input_channel", counted, each=per_weight(lambda a, o, i: a.weight[:, 0].numel() * places(o))),
            "over all input channels",
        ),
        (
            named("one_filter", counted, each=per_weight(lambda a, o, i: a.weight[0].numel() * places(o))),
            "how many are there",
        ),
        (
            named("rows_alone", counted, each=per_weight(lambda a, o, i: a.weight[..., 0].numel() * places(o))),
            "rows and columns",
        ),
        (
            named(
                "square_filters",
                counted,
                each=per_weight(lambda a, o, i: a.weight[..., :1].numel() * a.kernel_size[0] * places(o)),
            ),
            "need not be square",
        ),
        (
            named("square_maps", counted, each=per_weight(lambda a, o, i: a.weight.numel() * o.shape[2] ** 2)),
            "a map need not be square",
        ),
        (named("outputs_alone", counted, each=per_weight(lambda a, o, i: o.numel())), "multiplies all of its weights"),
        (
            named("inputs_of_a_linear_layer", counted, each=per_convolution(lambda layer: layer.in_features)),
            "each output has a weight for every input",
        ),
        (
            named(
                "inputs_and_outputs_added",
                counted,
                each=per_convolution(lambda layer: layer.in_features + layer.out_features),
            ),
            "each output has a weight for every input",
        ),
        (named("convolutions_alone", counted, kinds=nn.Conv2d), "a linear layer multiplies, too"),
        (named("linear_layers_alone", counted, kinds=nn.Linear), "where are the convolutions"),
        (named("outer_layers_alone", counted, layers=nn.Module.children), "model.modules() finds"),
        (named("a_layer_once", counted, once=True), "called twice multiplies twice"),
        (named("hooks_left", counted, hooks_left=True), "call its remove()"),
        (named("statistics_moved", counted, mode_forgotten=True), "moves the running statistics"),
        (named("left_in_evaluation", counted, left_in_evaluation=True), "put it back"),
    ],
    "compare_recipes": [
        (one_seed_each, "use the budget that you have"),
        (named("budget_for_each", designed, share=1), "of both recipes together"),
        (a_gets_most, "equally many"),
        (named("the_same_seed", designed, seeds=lambda n: [0] * n), "trains the same network again"),
        (named("another_word", designed, other="maybe"), "not decided"),
        (named("never_decided", designed, other="not decided"), "better by 15 standard deviations"),
        (by_ranks, "is luck with 3 seeds"),
        (b_or_nothing, "a is better by 15 standard deviations"),
        (named("higher_mean", designed, judge=mean), "how far apart do two means come by luck"),
        (named("best_run", designed, judge=max), "how far apart do two means come by luck"),
        (named("bound_of_0_3", designed, bound=lambda s, n: 0.3), "by the square root of n"),
        (named("scatter_of_one_run", designed, bound=lambda s, n: 2.2 * s * math.sqrt(2)), "by the square root of n"),
    ],
    "edge": [
        (the_most_accurate, "need not be the most accurate"),
        (the_fastest, "look for another one that is as fast"),
        (in_the_order_of_accuracy, "from the fastest to the slowest"),
        (names_in_alphabetical_order, "equal ones in the order of the dictionary"),
        (better_than_all_before, "two equally fast recipes"),
        (named("both_strictly", kept, beats=faster_and_more_accurate), "equally"),
        (twins_beat_each_other, "do not beat each other"),
        (named("everything", kept, beats=lambda other, place: False), "and so it is beaten"),
        (a_name_of_its_own, "not all names of the dictionary"),
    ],
}
