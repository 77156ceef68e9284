"""Wrong answers to the exercises of lesson 04, each with a part of the hint that fits it."""

import copy
from collections.abc import Callable
from itertools import combinations, count, product
from math import comb, factorial

import torch
from torch import nn

from helpers.data import normalize


def named(name: str, function: Callable, **changes) -> Callable:
    """Return a function that does one thing in another way, under a name that says which."""

    def wrong(*arguments):
        return function(*arguments, **changes)

    wrong.__name__ = name
    return wrong


def sizes(shape, out, kernel, padding, bias, *, places=1, up=0, pool=2, sides=2, biased=None, each=2, kept=2, count=1):
    height, width = ((size + sides * padding - kernel + places + up) // pool for size in shape[1:])
    parameters = shape[0] * out * kernel**2 + out * (bias if biased is None else biased) + each * out
    return {"shape": (out, height, width), "parameters": parameters, "buffers": kept * out + count}


def height_and_width_swapped(shape, *others):
    return sizes((shape[0], shape[2], shape[1]), *others)


def filters_of_one_channel(shape, *others):
    return {**sizes(shape, *others), "parameters": sizes((1, *shape[1:]), *others)["parameters"]}


def with_shape(shape):
    """Return an answer whose shape is wrong; `shape` makes it of the right one, the image's and the right answer."""

    def answer(image, out, *others):
        right = sizes(image, out, *others)
        return {**right, "shape": shape(image, right["shape"])}

    return answer


def with_number(name, number):
    """Return an answer with one wrong number; `number` makes it of channels, filters, kernel and the right one."""

    def answer(image, out, kernel, padding, bias):
        right = sizes(image, out, kernel, padding, bias)
        return {**right, name: number(image[0], out, kernel, right[name])}

    return answer


def norm(x, weight, bias, kept_mean, kept_var, training, momentum, eps, **way):
    mean, variance, eps = kept_mean[:, None, None], kept_var[:, None, None], way.get("own_eps", eps)
    if way.get("of_batch", training):
        dims = way.get("dims", (0, 2, 3))
        mean, variance = x.mean(dims, keepdim=True), x.var(dims, correction=way.get("correction", 0), keepdim=True)
    old, new = way.get("shares", lambda momentum: (1 - momentum, momentum))(momentum)
    if training or way.get("always_update"):
        new_var = x.var((0, 2, 3), correction=way.get("kept_correction", 1)) ** way.get("kept_power", 1)
        kept_mean, kept_var = old * kept_mean + new * x.mean((0, 2, 3)), old * kept_var + new * new_var
    if way.get("kept_normalises"):
        mean, variance = kept_mean[:, None, None], kept_var[:, None, None]
    x_hat = (x - mean) / (variance.sqrt() + eps if way.get("eps_outside") else (variance + eps).sqrt())
    if way.get("columns"):
        return x_hat * weight + bias, kept_mean, kept_var
    return x_hat * weight[:, None, None] + bias[:, None, None], kept_mean, kept_var


def variance_before_mean(*arguments):
    output, mean, variance = norm(*arguments)
    return output, variance, mean


def output_alone(*arguments):
    return norm(*arguments)[0]


def x_hat_alone(x, weight, bias, *others):
    return norm(x, torch.ones_like(weight), torch.zeros_like(bias), *others)


def one_row_for_each_channel(*arguments):
    output, *kept = norm(*arguments)
    return output.transpose(0, 1).flatten(1), *kept


def statistics_with_the_dimensions_of_x(*arguments):
    output, *kept = norm(*arguments)
    return output, *(part[None, :, None, None] for part in kept)


@torch.no_grad()
def folded(convolution, batch_norm, **way):
    fused = convolution if way.get("in_place") else copy.deepcopy(convolution)
    variance, eps = batch_norm.running_var, way.get("eps", batch_norm.eps)
    scale = (1 if way.get("no_weight") else batch_norm.weight) / (variance + eps) ** way.get("power", 0.5)
    mean = 0 if way.get("no_mean") else batch_norm.running_mean
    old = 0 if convolution.bias is None or way.get("no_old_bias") else convolution.bias
    shift = 0 if way.get("no_shift") else batch_norm.bias
    of_old, of_mean = (1 if way.get(f"{part}_not_scaled") else scale for part in ("old_bias", "mean"))
    bias = of_old * old - of_mean * mean + shift
    had_bias = convolution.bias is not None
    along = scale[None, :, None, None] if way.get("inputs_scaled") else scale[:, None, None, None]
    fused.weight = nn.Parameter(convolution.weight * along)
    if not way.get("filters_only") and (had_bias or not way.get("bias_if_there_was_one")):
        fused.bias = nn.Parameter(bias)
    return fused


def stride_and_padding_dropped(convolution, batch_norm):
    fused, right = nn.Conv2d(1, 1, 1), folded(convolution, batch_norm)
    fused.weight, fused.bias = right.weight, right.bias
    if convolution.stride == (1, 1):
        fused.padding = convolution.padding
    return fused


def batch_norm_left_in_evaluation_mode(convolution, batch_norm):
    batch_norm.eval()
    return folded(convolution, batch_norm)


def both_in_a_row(convolution, batch_norm):
    return nn.Sequential(convolution, copy.deepcopy(batch_norm).eval())


@torch.no_grad()
def measured(model, images, labels, batch_size, of_batches=False):
    shares, right = [], 0
    for batch, truth in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        found = (model(normalize(batch)).argmax(1) == truth).float()
        shares.append(found.mean().item())
        right += found.sum().item()
    return sum(shares) / len(shares) if of_batches else right / len(images)


def eval_forgotten(*arguments):
    return measured(*arguments)


def left_in_evaluation_mode(model, *others):
    return measured(model.eval(), *others)


def always_back_to_training(model, *others):
    result = measured(model.eval(), *others)
    model.train()
    return result


def eval_after_the_loop(model, *others):
    result = measured(model, *others)
    model.eval()
    return result


def a_copy_in_training_mode(model, *others):
    return measured(copy.deepcopy(model), *others)


def only_batch_norm_to_eval(model, *others):
    layers = [layer for layer in model if isinstance(layer, nn.BatchNorm2d)]
    modes = [layer.training for layer in layers]
    for layer in layers:
        layer.eval()
    result = measured(model, *others)
    for layer, mode in zip(layers, modes, strict=True):
        layer.train(mode)
    return result


def only_the_flag_put_back(model, *others):
    came = model.training
    result = measured(model.eval(), *others)
    model.training = came
    return result


def measured_in_both_modes(model, *others):
    came = model.training
    shares = [measured(model.train(mode), *others) for mode in (False, True)]
    model.train(came)
    return shares[0]


def average_of_averages(model, *others):
    return measured(copy.deepcopy(model).eval(), *others, of_batches=True)


def planned(level, settings, *, chance, plus=0, times=1):
    return times * next(n for n in count(1) if chance(n, settings) <= level) + plus


def of_chance(runs, settings):
    return settings * 2 / comb(2 * runs, runs)


def splits_of(first, second, *, size=None, one_sided=False, strict=False, by_value=False, slack=1e-9, decide=None):
    both = [*first, *second]

    def difference(chosen):
        inside = [both[i] for i in chosen]
        outside = [both[i] for i in range(len(both)) if i not in chosen]
        if by_value:
            outside = [value for value in both if value not in inside] or [0]
        return sum(inside) / len(inside) - sum(outside) / max(len(outside), 1)

    real = sum(first) / len(first) - sum(second) / len(second)
    found = [difference(split) for split in combinations(range(len(both)), min(size or len(first), len(both)))]
    if one_sided:
        count = sum(value >= real - slack for value in found)
    else:
        count = sum(abs(value) > abs(real) + slack if strict else abs(value) >= abs(real) - slack for value in found)
    share = count / len(found)
    verdict = "undecided" if share > 0.05 else "first" if real > 0 else "second"
    return {"difference": real, "share": share, "verdict": decide(real, share) if decide else verdict}


def pairs_of_the_same_seed(first, second):
    gaps = [a - b for a, b in zip(first, second, strict=False)]
    signs = list(product((1, -1), repeat=len(gaps)))
    sums = [abs(sum(sign * gap for sign, gap in zip(each, gaps, strict=True))) for each in signs]
    share = sum(value >= sums[0] - 1e-9 for value in sums) / len(sums)
    return {**splits_of(first, second), "share": share}


def second_minus_first(first, second):
    return splits_of(second, first)


def with_share(share):
    """Return an answer with a wrong share; `share` makes it of the right one and the number of splits."""

    def answer(first, second):
        right = splits_of(first, second)
        return {**right, "share": share(right["share"], comb(len(first) + len(second), len(first)))}

    return answer


def sums_instead_of_means(first, second):
    return {**splits_of(first, second), "difference": sum(first) - sum(second)}


WRONG = {
    "block_sizes": [
        (named("pooling_rounds_up", sizes, up=1), "without a partner"),
        (named("pooling_forgotten", sizes, pool=1), "max-pooling comes last"),
        (named("padding_on_one_side", sizes, sides=1), "at how many sides"),
        (named("one_place_too_few", sizes, places=0), "has one place, not none"),
        (named("always_a_bias", sizes, biased=1), "here the convolution has no bias"),
        (named("never_a_bias", sizes, biased=0), "here the convolution has a bias"),
        (named("one_parameter_a_channel", sizes, each=1), "does batch norm train a channel"),
        (named("batch_norm_without_parameters", sizes, each=0), "something to train"),
        (named("running_statistics_as_parameters", sizes, each=4), "which are only kept"),
        (named("no_counter_of_batches", sizes, count=0), "and what else"),
        (height_and_width_swapped, "height comes before the width"),
        (filters_of_one_channel, "looks at all input channels"),
        (named("shape_of_a_batch", with_shape(lambda image, right: (1, *right))), "one image without a batch"),
        (named("channels_of_the_input", with_shape(lambda image, right: (image[0], *right[1:]))), "one output channel"),
        (
            named("pooling_alone", with_shape(lambda image, right: (right[0], image[1] // 2, image[2] // 2))),
            "can change height and width, too",
        ),
        (
            named("filters_of_one_row", with_number("parameters", lambda c, out, k, n: n - c * out * k * (k - 1))),
            "a filter has rows and columns",
        ),
        (named("no_buffers", with_number("buffers", lambda c, out, k, n: 0)), "keep for evaluation mode"),
        (named("buffers_of_the_input", with_number("buffers", lambda c, out, k, n: 2 * c + 1)), "how many channels"),
        (named("counter_of_each_channel", with_number("buffers", lambda c, out, k, n: 3 * out)), "one counter"),
    ],
    "batch_norm": [
        (named("mean_over_the_batch_only", norm, dims=(0,)), "runs over the images only"),
        (named("mean_over_all_channels", norm, dims=(0, 1, 2, 3)), "your mean mixes the channels:"),
        (named("mean_of_each_image", norm, dims=(2, 3)), "stays within one image"),
        (
            named("mean_over_the_channels_of_an_image", norm, dims=(1, 2, 3)),
            "mixes the channels of one image: one mean",
        ),
        (named("unbiased_variance_normalises", norm, correction=1), "the variance that normalises"),
        (named("eps_outside_the_root", norm, eps_outside=True), "inside the root"),
        (named("eps_forgotten", norm, own_eps=0), "eps is an argument"),
        (named("eps_hard_coded", norm, own_eps=1e-5), "eps is an argument"),
        (x_hat_alone, "weight and bias have not been used"),
        (named("weight_along_the_columns", norm, columns=True), "stretched along the columns"),
        (named("momentum_the_wrong_way_round", norm, shares=lambda m: (m, 1 - m)), "share of the old value or"),
        (named("momentum_hard_coded", norm, shares=lambda m: (0.9, 0.1)), "momentum is an argument"),
        (
            named("running_statistics_never_moved", norm, shares=lambda m: (1, 0)),
            "moves what is kept towards this batch",
        ),
        (named("running_statistics_replaced", norm, shares=lambda m: (0, 1)), "the old value keeps a share"),
        (named("old_value_kept_whole", norm, shares=lambda m: (1, m)), "must lose the share that the new one gets"),
        (named("biased_running_variance", norm, kept_correction=0), "the variance that is kept"),
        (named("running_standard_deviation", norm, kept_power=0.5), "not the standard deviation"),
        (named("running_statistics_in_training", norm, kept_normalises=True), "for later, not for this batch"),
        (named("old_statistics_in_training", norm, of_batch=False), "with the batch's own statistics"),
        (named("batch_statistics_in_evaluation", norm, of_batch=True), "must not depend on the batch"),
        (named("evaluation_updates", norm, always_update=True), "leaves what is kept"),
        (variance_before_mean, "in which order"),
        (output_alone, "return all three"),
        (one_row_for_each_channel, "the output is shaped like x"),
        (statistics_with_the_dimensions_of_x, "one number for each channel"),
    ],
    "fuse": [
        (named("bias_of_the_convolution_forgotten", folded, no_old_bias=True), "bias of the convolution has gone"),
        (named("bias_of_the_convolution_not_scaled", folded, old_bias_not_scaled=True), "also scales the bias"),
        (named("running_mean_not_scaled", folded, mean_not_scaled=True), "also scales the running mean"),
        (named("weight_of_batch_norm_ignored", folded, no_weight=True), "the weight of batch norm has not been used"),
        (named("running_mean_ignored", folded, no_mean=True), "takes its running mean away"),
        (named("bias_of_batch_norm_ignored", folded, no_shift=True), "comes on top"),
        (named("eps_ignored", folded, eps=0), "an eps of its own"),
        (named("divided_by_the_variance", folded, power=1), "which one divides"),
        (named("filters_only", folded, filters_only=True), "the filters are scaled"),
        (named("bias_only_where_there_was_one", folded, bias_if_there_was_one=True), "your layer has no bias"),
        (named("input_channels_scaled", folded, inputs_scaled=True), "(out, in, rows, columns)"),
        (named("original_changed", folded, in_place=True), "what do you work on"),
        (batch_norm_left_in_evaluation_mode, "which line changes their mode"),
        (stride_and_padding_dropped, "must be kept"),
        (both_in_a_row, "one new layer"),
    ],
    "evaluate": [
        (eval_forgotten, "what does it leave on"),
        (left_in_evaluation_mode, "frozen statistics"),
        (always_back_to_training, "came in evaluation mode"),
        (eval_after_the_loop, "too late"),
        (a_copy_in_training_mode, "still depends on its batch"),
        (only_batch_norm_to_eval, "this network also has dropout"),
        (only_the_flag_put_back, "which method tells them all"),
        (measured_in_both_modes, "measuring changes nothing"),
        (average_of_averages, "average of averages"),
    ],
    "fewest_runs": [
        (
            named("one_direction", planned, chance=lambda n, s: s / comb(2 * n, n)),
            "how many of the splits are complete",
        ),
        (named("settings_ignored", planned, chance=lambda n, s: 2 / comb(2 * n, n)), "a try at every setting"),
        (
            named("both_ignored", planned, chance=lambda n, s: 1 / comb(2 * n, n)),
            "either kind could be the better one: how many",
        ),
        (named("orders_counted", planned, chance=lambda n, s: 2 * s / factorial(2 * n)), "count groups"),
        (named("level_times_settings", planned, chance=lambda n, s: 2 / comb(2 * n, n) / s), "add its chances up"),
        (named("chances_multiplied", planned, chance=lambda n, s: (2 / comb(2 * n, n)) ** s), "do not multiply"),
        (
            named("chances_of_at_least_one", planned, chance=lambda n, s: 1 - (1 - 2 / comb(2 * n, n)) ** s),
            "add its chances up",
        ),
        (named("runs_of_both_kinds", planned, chance=of_chance, times=2), "not of both together"),
        (named("one_too_few", planned, chance=of_chance, plus=-1), "chance exceeds the level"),
        (named("one_too_many", planned, chance=of_chance, plus=1), "within the level"),
        (
            named("level_not_allowed", planned, chance=lambda n, s: of_chance(n, s) + 1e-12),
            "which itself is allowed",
        ),
    ],
    "compare_seeds": [
        (named("one_direction_only", splits_of, one_sided=True), "splits of both directions count"),
        (named("the_real_split_left_out", splits_of, strict=True), "the real split is one of them"),
        (named("always_three", splits_of, size=3), "as large as the first"),
        (named("chosen_by_value", splits_of, by_value=True), "by position, not by value"),
        (named("no_room_for_rounding", splits_of, slack=0), "leave 1e-9 for rounding"),
        (named("mean_decides", splits_of, decide=lambda d, s: "first" if d > 0 else "second"), "more than 0.05"),
        (
            named("always_the_first", splits_of, decide=lambda d, s: "first" if s <= 0.05 else "undecided"),
            "no direction",
        ),
        (
            named(
                "five_per_cent_undecided",
                splits_of,
                decide=lambda d, s: ("first" if d > 0 else "second") if s < 0.05 else "undecided",
            ),
            "counts as decided",
        ),
        (named("never_decided", splits_of, decide=lambda d, s: "undecided"), "counts as decided"),
        (pairs_of_the_same_seed, "kept the runs in pairs"),
        (
            named("names_of_its_own", splits_of, decide=lambda d, s: "a tie"),
            "one of the words first, second and undecided",
        ),
        (
            named("number_of_splits", with_share(lambda share, splits: share * splits)),
            "a share, not a number of splits",
        ),
        (named("splits_that_differ_less", with_share(lambda share, splits: 1 - share)), "not those that differ less"),
        (sums_instead_of_means, "compare means"),
        (second_minus_first, "the sign says which one is better"),
    ],
}
