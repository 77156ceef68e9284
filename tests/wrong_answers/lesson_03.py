"""Wrong answers to the exercises of lesson 03, each with a part of the hint that fits it."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def named(name, function):
    """Give a function the name of its mistake."""
    function.__name__ = name
    return function


def unchanged(values):
    return values


def through(size, layers):
    view, step = 1, 1
    for k, p, s in layers:
        size = (size + 2 * p - k) // s + 1
        view += (k - 1) * step
        step *= s
    return size, view


def size_by(rule):
    """Answer with a wrong rule for the size of one layer."""

    def size_and_view(size, layers):
        view = through(size, layers)[1]
        for k, p, s in layers:
            size = rule(size, k, p, s)
        return size, view

    return size_and_view


def view_by(rule):
    """Answer with a wrong rule for the view of all layers."""
    return lambda size, layers: (through(size, layers)[0], rule(layers))


def stride_too_early(layers):
    view, step = 1, 1
    for k, _, s in layers:
        step *= s
        view += (k - 1) * step
    return view


STACKS = {
    "first_place_not_counted": (size_by(lambda n, k, p, s: (n + 2 * p - k) // s), "how many has yours"),
    "padding_on_one_side": (size_by(lambda n, k, p, s: (n + p - k) // s + 1), "on how many sides"),
    "padding_ignored": (size_by(lambda n, k, p, s: (n - k) // s + 1), "nothing changes with the padding"),
    "stride_ignored": (size_by(lambda n, k, p, s: n + 2 * p - k + 1), "moves by its stride"),
    "true_division": (size_by(lambda n, k, p, s: (n + 2 * p - k) / s + 1), "no part of a place counts"),
    "strides_do_not_widen": (view_by(lambda layers: 1 + sum(k - 1 for k, _, _ in layers)), "several pixels apart"),
    "stride_too_early": (view_by(stride_too_early), "when does it begin to count"),
    "kernels_multiplied": (view_by(lambda layers: math.prod(k for k, _, _ in layers)), "neighbours overlap"),
    "kernels_added": (view_by(lambda layers: sum(k for k, _, _ in layers)), "neighbours overlap"),
    "last_layer_only": (view_by(lambda layers: layers[-1][0]), "look through all layers"),
    "a_pixel_sees_nothing": (view_by(lambda layers: through(0, layers)[1] - 1), "how many pixels does a pixel see"),
    "padding_widens": (
        view_by(lambda layers: through(0, layers)[1] + 2 * sum(p for _, p, _ in layers)),
        "sees no more through it",
    ),
    "size_twice": (lambda size, layers: (through(size, layers)[0],) * 2, "this is the size of the output"),
    "size_alone": (lambda size, layers: through(size, layers)[0], "the size first, then the view"),
    "kernel_ignored": (size_by(lambda n, k, p, s: (n + 2 * p) // s), "one layer after the other"),
}


def block(layer, image, channel, weight=None, bias=None, padding=None, activation=F.relu, pool=F.max_pool2d):
    """One channel of a block in which any step can be replaced by a wrong one."""
    weight = layer.weight if weight is None else weight
    bias = layer.bias if bias is None else bias
    convolved = F.conv2d(image[None], weight, bias, padding=layer.padding if padding is None else padding)
    return pool(activation(convolved), 2)[0, channel]


def first_input_channel_only(layer, image, channel):
    return block(layer, image[:1], channel, weight=layer.weight[:, :1])


def square_images_only(layer, image, channel):
    result = block(layer, image, channel)
    return result[:, : len(result)]


MAPS = {
    "flipped_kernel": (lambda m, x, c: block(m, x, c, weight=m.weight.flip(2, 3)), "turned by 180 degrees"),
    "transposed_kernel": (lambda m, x, c: block(m, x, c, weight=m.weight.mT), "rows and columns of the kernel"),
    "padding_forgotten": (lambda m, x, c: block(m, x, c, padding=0), "this layer pads"),
    "bias_forgotten": (lambda m, x, c: block(m, x, c, bias=0 * m.bias), "one more number than those of its kernel"),
    "bias_for_each_input": (lambda m, x, c: block(m, x, c, bias=len(x) * m.bias), "not once for each input channel"),
    "first_input_channel_only": (first_input_channel_only, "only the first counts"),
    "square_images_only": (square_images_only, "has each direction its own loop bound"),
    "relu_forgotten": (lambda m, x, c: block(m, x, c, activation=unchanged), "numbers below zero are left"),
    "mean_pooling": (lambda m, x, c: block(m, x, c, pool=F.avg_pool2d), "not their mean"),
    "pooling_in_steps_of_one": (
        lambda m, x, c: block(m, x, c, pool=lambda maps, k: F.max_pool2d(maps, k, stride=1)),
        "do not overlap",
    ),
    "pooling_forgotten": (lambda m, x, c: block(m, x, c, pool=lambda maps, k: maps), "one step is missing"),
    "pooling_that_rounds_up": (
        lambda m, x, c: block(m, x, c, pool=lambda maps, k: F.max_pool2d(maps, k, ceil_mode=True)),
        "gives no block of its own",
    ),
    "every_channel": (lambda m, x, c: block(m, x, slice(None)), "one channel is wanted"),
    "always_channel_0": (lambda m, x, c: block(m, x, 0), "the map of another channel"),
    "absolute_value": (lambda m, x, c: block(m, x, c, activation=torch.abs), "take this number and the windows"),
}


MAPS["overlapping_blocks_as_many_as_asked_for"] = (
    lambda m, x, c: block(
        m, x, c, pool=lambda maps, k: F.max_pool2d(maps, k, stride=1)[..., : maps.shape[-2] // 2, : maps.shape[-1] // 2]
    ),
    "do not overlap",
)


class Network(nn.Module):
    """The network of the exercise, in which a step can be replaced by a wrong one."""

    def __init__(self, size, channels, hidden, end=None, drop=None, relu=F.relu, side=None, kernel=5, pixels=0.0):
        super().__init__()
        side = (size - 4) // 2 // 2 if side is None else side
        self.conv1 = nn.Conv2d(1, channels, kernel, padding=(kernel - 5) // 2)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.fc1 = nn.Linear(2 * channels * side * side, hidden)
        self.fc2 = nn.Linear(hidden, 10)
        self.end = end or (lambda logits: logits.log_softmax(dim=1))
        self.drop = drop or (lambda values: F.dropout(values, 0.5, self.training))
        self.relu, self.pixels = relu, pixels

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(F.dropout(x, self.pixels, self.training))), 2)
        x = F.max_pool2d(self.relu(self.conv2(x)), 2)
        x = self.relu(self.fc1(x.flatten(1)))
        return self.end(self.fc2(self.drop(x)))


class Listed(nn.Module):
    """Keeps its layers where PyTorch does not look."""

    def __init__(self, *widths):
        super().__init__()
        self.layers = [Network(*widths).eval()]

    def forward(self, x):
        return self.layers[0](x)


class Misspelt(Network):
    forward = nn.Module.forward


def counted(network):
    return network, sum(parameter.numel() for parameter in network.parameters())


def with_steps(**steps):
    return lambda *widths: counted(Network(*widths, **steps))


def one_layer_more(size, channels, hidden):
    more = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5))
    return counted(Network(size, channels, hidden, drop=more))


def tensors_counted(*widths):
    return Network(*widths), len(list(Network(*widths).parameters()))


def biases_not_counted(*widths):
    return Network(*widths), sum(value.numel() for value in Network(*widths).parameters() if value.dim() > 1)


NETWORKS = {
    "logits": (with_steps(end=unchanged), "of which numbers do the exponentials sum to 1"),
    "probabilities": (with_steps(end=lambda x: x.softmax(dim=1)), "nll_loss of them is negative"),
    "log_softmax_over_the_batch": (with_steps(end=lambda x: x.log_softmax(dim=0)), "yours sum to 1 over the batch"),
    "logarithm_of_softmax": (with_steps(end=lambda x: x.softmax(dim=1).log()), "which function never forms that 0"),
    "dropout_in_evaluation_too": (with_steps(drop=lambda x: F.dropout(x, 0.5)), "how does it learn of the mode"),
    "dropout_forgotten": (with_steps(drop=unchanged), "some hidden units are to be zero"),
    "pixels_dropped_too": (with_steps(pixels=0.25), "and nowhere else"),
    "relus_forgotten": (with_steps(relu=unchanged), "how many ReLUs"),
    "tanh_for_relu": (with_steps(relu=torch.tanh), "compare the steps"),
    "made_for_28_pixels_only": (with_steps(side=6), "follow the shape of an image"),
    "kernel_of_seven": (with_steps(kernel=7), "look at the first convolution"),
    "one_layer_more": (one_layer_more, "a layer too many"),
    "layers_in_a_list": (lambda *widths: counted(Listed(*widths)), "a plain list is not found"),
    "forward_misspelt": (lambda *widths: counted(Misspelt(*widths)), "is it spelt so"),
    "tensors_counted": (tensors_counted, "8 tensors hold them"),
    "biases_not_counted": (biases_not_counted, "and the biases too"),
    "network_alone": (lambda *widths: Network(*widths), "give both"),
    "class_not_called": (lambda *widths: (Network, 100), "a class is only a plan"),
}


def masked(x, p, mask, factor=None):
    return x * mask / (1 - p if factor is None else factor)


def same_mask_every_time(x, p, training):
    generator = torch.Generator().manual_seed(0)
    return masked(x, p, torch.rand(x.shape, generator=generator) >= p) if training else x


def always_as_many(x, p, training):
    ranks = torch.randperm(x.numel()).view(x.shape)
    return masked(x, p, ranks >= p * x.numel()) if training else x


def scaled_in_evaluation(x, p, training):
    return x * (torch.rand(x.shape) >= p) if training else x * (1 - p)


DROPOUTS = {
    "survivors_not_scaled": (lambda x, p, t: x * (torch.rand(x.shape) >= p) if t else x, "nothing makes up for"),
    "survivors_divided_by_p": (
        lambda x, p, t: masked(x, p, torch.rand(x.shape) >= p, factor=p) if t and p else x,
        "the wrong factor makes up for",
    ),
    "scaled_in_evaluation": (scaled_in_evaluation, "survivors grow in training already"),
    "on_in_evaluation": (lambda x, p, t: masked(x, p, torch.rand(x.shape) >= p), "is anything to be dropped here"),
    "p_is_the_share_kept": (
        lambda x, p, t: masked(x, p, torch.rand(x.shape) < p) if t else x,
        "not the one that is left",
    ),
    "normal_draws": (lambda x, p, t: masked(x, p, torch.randn(x.shape) >= p) if t else x, "which random numbers"),
    "same_mask_every_time": (same_mask_every_time, "each call is to draw anew"),
    "one_mask_for_the_batch": (
        lambda x, p, t: masked(x, p, torch.rand(x.shape[1:] or x.shape) >= p) if t else x,
        "share one draw",
    ),
    "whole_maps": (lambda x, p, t: F.dropout2d(x, p, t) if x.dim() == 4 else F.dropout(x, p, t), "share one draw"),
    "always_as_many": (always_as_many, "your number of zeros never varies"),
    "never_on": (lambda x, p, t: x, "nothing is dropped"),
}


@torch.inference_mode()
def right(model, part):
    return (model(part[0]).argmax(dim=1) == part[1]).float().mean().item()


def as_in_the_cell(model, train_part, validation_part):
    return right(model.train(), train_part) - right(model.eval(), validation_part)


def validation_in_training_mode(model, train_part, validation_part):
    return right(model.eval(), train_part) - right(model.train(), validation_part)


def one_length_for_both(model, train_part, validation_part):
    model.eval()
    numbers = [right(model, part) * len(part[1]) for part in (train_part, validation_part)]
    return (numbers[0] - numbers[1]) / len(train_part[1])


GAPS = {
    "as_in_the_cell": (as_in_the_cell, "answered in training mode; what does dropout"),
    "mode_left_as_it_was": (lambda m, a, b: right(m, a) - right(m, b), "in which mode is the model"),
    "validation_in_training_mode": (validation_in_training_mode, "the validation images were answered in training"),
    "validation_minus_training": (lambda m, a, b: right(m.eval(), b) - right(m, a), "the sign"),
    "per_cent": (lambda m, a, b: 100 * (right(m.eval(), a) - right(m, b)), "not per cent"),
    "one_length_for_both": (one_length_for_both, "of its own part"),
}
TABLES = {"size_and_view": STACKS, "feature_map": MAPS, "small_cnn": NETWORKS, "dropout": DROPOUTS, "gap": GAPS}
WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in table.items()]
    for check, table in TABLES.items()
}
