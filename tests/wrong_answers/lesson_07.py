"""Wrong answers to the exercises of lesson 07, each with a part of the hint that fits it."""

import math
import time
from collections.abc import Callable
from statistics import mean, median, median_low

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


def functions_not_called(first, second, rounds, clock=time.perf_counter):
    return 1.0


def cycle_that_decays_from_the_first_step(step, total, max_lr, warmup=0.25):
    if step <= warmup * total - 1:
        return cycle(step, total, max_lr, warmup)
    return way("cos", max_lr, max_lr / 25e4, step / (total - 1))


def cycle_counted_from_one(step, total, max_lr, warmup=0.25):
    return cycle(step + 1, total, max_lr, warmup)


def per_weight(factor):
    return lambda layer, output, image: factor(layer, output, image) if output.dim() == 4 else layer.weight.numel()


def with_biases(layer, output, image):
    return layer.weight.numel() * places(output) + (layer.bias is not None) * output.numel()


def parameters_counted(model, image_shape):
    return sum(parameter.numel() for parameter in model.parameters())


def probabilities_smoothed(logits, labels, smoothing):
    p = (1 - smoothing) * logits.softmax(1) + smoothing / logits.shape[1]
    return -p[torch.arange(len(labels)), labels].log().mean()


def loss_as_a_plain_number(logits, labels, smoothing):
    return smoothed(logits, labels, smoothing).item()


def loss_without_gradient(logits, labels, smoothing):
    with torch.no_grad():
        return smoothed(logits, labels, smoothing)


def training_mode_forced_afterwards(model, images):
    answer = mirrored(model, images)
    model.train()
    return answer


def probabilities_not_classes(a, b):
    return (a.softmax(1) + b.softmax(1)) / 2


RACE = {"ratio_of_medians": lambda a, b: median(a) / median(b), "ratio_of_sums": lambda a, b: sum(a) / sum(b)}
WRONG = {
    "compare_in_turn": [
        (all_of_the_first_then_all_of_the_second, "let them take turns"),
        (each_warms_up_before_its_own_turn, "let them take turns"),
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
    "one_cycle_lr": [
        (named("begins_at_zero", cycle, begin=math.inf), "where does the warm-up begin"),
        (named("ends_at_zero", cycle, end=math.inf), "small, but not 0"),
        (named("ends_where_it_began", cycle, end=25), "far below the beginning"),
        (named("ends_at_a_10000th_of_the_highest", cycle, end=1e4), "the first one divided by 10,000"),
        (named("no_decay", cycle, down=None), "what happens after the warm-up"),
        (named("straight_up", cycle, up="line"), "a straight line in it"),
        (named("straight_down", cycle, down="line"), "a straight line in it"),
        (named("peak_one_late", cycle, off=0), "which number has the step of the peak"),
        (named("end_one_late", cycle, last=0), "which number has the last step"),
        (named("both_one_late", cycle, off=0, last=0), "steps count from 0"),
        (named("peak_rounded_down", cycle, whole=math.floor), "do not round"),
        (named("warm_up_hard_coded", cycle, share=0.25), "warmup is an argument"),
        (cycle_counted_from_one, "the very first step is number 0"),
        (cycle_that_decays_from_the_first_step, "counts its own steps"),
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
        (named("outputs_alone", counted, each=per_weight(lambda a, o, i: o.numel())), "multiplies all of its weights"),
        (named("convolutions_alone", counted, kinds=nn.Conv2d), "a linear layer multiplies, too"),
        (named("linear_layers_alone", counted, kinds=nn.Linear), "where are the convolutions"),
        (named("outer_layers_alone", counted, layers=nn.Module.children), "model.modules() finds"),
        (named("a_layer_once", counted, once=True), "called twice multiplies twice"),
        (named("hooks_left", counted, hooks_left=True), "call its remove()"),
        (named("statistics_moved", counted, mode_forgotten=True), "moves the running statistics"),
        (named("left_in_evaluation", counted, left_in_evaluation=True), "put it back"),
    ],
    "smooth_cross_entropy": [
        (
            named("shared_by_the_wrong_classes", smoothed, true=lambda s, k: 1 - s, wrong=lambda s, k: s / (k - 1)),
            "the true one among them",
        ),
        (named("true_class_keeps_all", smoothed, true=lambda s, k: 1 + s / k), "must sum to 1"),
        (named("true_class_without_its_share", smoothed, true=lambda s, k: 1 - s), "must sum to 1"),
        (
            named("shares_exchanged", smoothed, true=lambda s, k: s + (1 - s) / k, wrong=lambda s, k: (1 - s) / k),
            "which share keeps",
        ),
        (named("not_smoothed", smoothed, true=lambda s, k: 1.0, wrong=lambda s, k: 0.0), "left no trace"),
        (named("sum", smoothed, total=torch.sum), "not the sum"),
        (named("mean_over_classes", smoothed, total=lambda x: x.mean() / 10), "only over the images it is a mean"),
        (named("sign", smoothed, total=lambda x: -x.mean()), "which sign"),
        (named("softmax_over_images", smoothed, log_p=lambda x: F.log_softmax(x, 0)), "runs over the classes"),
        (named("overflow", smoothed, log_p=lambda x: (x.exp() / x.exp().sum(1, keepdim=True)).log()), "exp overflows"),
        (
            named("logarithm_of_softmax", smoothed, log_p=lambda x: x.softmax(1).log()),
            "softmax rounds to 0",
        ),
        (probabilities_smoothed, "you smooth what the model says"),
        (loss_as_a_plain_number, "an optimizer needs the gradient"),
        (loss_without_gradient, "an optimizer needs the gradient"),
    ],
    "predict_mirrored": [
        (named("logits_averaged", mirrored, combine=lambda a, b: (a + b).argmax(1)), "average before softmax"),
        (
            named("class_numbers_averaged", mirrored, combine=lambda a, b: (a.argmax(1) + b.argmax(1)) // 2),
            "class numbers are names",
        ),
        (named("upside_down", mirrored, dims=(2,)), "stand on their heads"),
        (named("turned_by_half_a_circle", mirrored, dims=(2, 3)), "by half a circle"),
        (named("order_of_the_images", mirrored, dims=(0,)), "the order of the images"),
        (named("the_mirror_image_alone", mirrored, combine=lambda a, b: b.argmax(1)), "mirror images alone"),
        (named("not_mirrored", mirrored, combine=lambda a, b: a.argmax(1)), "have left no trace"),
        (
            named("the_surer_one", mirrored, combine=lambda a, b: torch.max(a.softmax(1), b.softmax(1)).argmax(1)),
            "not the larger one",
        ),
        (named("softmax_over_images", mirrored, dim=0), "over the classes of one image"),
        (named("not_normalised", mirrored, prepare=torch.Tensor.float), "normalised images"),
        (named("probabilities", mirrored, combine=probabilities_not_classes), "one class number for each image"),
        (named("eval_forgotten", mirrored, ev=False), "which mode is for predictions"),
        (named("gradients_on", mirrored, grad=True), "how do you switch that off"),
        (named("left_in_evaluation_mode", mirrored, back=False), "put it back"),
        (training_mode_forced_afterwards, "put it back"),
    ],
}
