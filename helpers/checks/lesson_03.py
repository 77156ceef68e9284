"""Checks of the exercises to lesson 03, convolutions and dropout."""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.tools import CheckFailed, as_number, as_tensor, call, cross, is_pair, short, tick

STACKS = [  # image size, and of each layer the kernel size, the padding and the stride
    (31, [(3, 1, 1), (3, 0, 3), (3, 0, 1)]),
    (28, [(3, 1, 1), (5, 2, 1)]),
    (27, [(5, 1, 2), (2, 0, 2), (3, 0, 1)]),
    (30, [(7, 0, 1)]),
    (29, [(3, 1, 2), (3, 0, 2)]),
]


def size_and_view(answer: Callable) -> None:
    """Check the output size of a stack of layers and how many pixels one of its units sees."""
    for size, layers in STACKS:
        what = f"size_and_view({size}, {layers})"
        result = call(answer, size, list(layers))
        if not is_pair(result):
            raise cross(f"what {what} gives back", short(result), "a pair", "return the size first, then the view")
        for part, seen, expected, mistakes in zip(
            ("size", "view"), result, _through(size, layers), _wrong_ways(size, layers), strict=True
        ):
            seen = as_number(f"the {part}, {what},", seen)
            if seen != expected:
                hint = "send one layer after the other, and write down both numbers behind each"
                hint = next((reason for value, reason in mistakes if value == seen), hint)
                raise cross(f"the {part} of {what}", f"{seen:g}", expected, hint)
    tick(f"size_and_view: right for {len(STACKS)} stacks of layers, with padding, strides and pixels left over.")


def _through(size: int, layers: list) -> tuple[int, int]:
    """Return the size behind a stack of layers and the width of the receptive field."""
    view, step = 1, 1
    for k, p, s in layers:
        size = (size + 2 * p - k) // s + 1
        view += (k - 1) * step
        step *= s
    return size, view


def _wrong_ways(size: int, layers: list) -> tuple[list, list]:
    """Return what the usual mistakes give for the size and for the view, each with its hint."""
    rules = [
        (lambda n, k, p, s: (n + p - k) // s + 1, "padding puts pixels on how many sides of a row?"),
        (lambda n, k, p, s: (n - k) // s + 1, "nothing changes with the padding; how much longer does it make a row?"),
        (lambda n, k, p, s: (n + 2 * p - k) // s, "a row of 3 has one place for a window of 3; how many has yours?"),
        (lambda n, k, p, s: n + 2 * p - k + 1, "this window moves by its stride, not by one pixel at a time"),
        (lambda n, k, p, s: (n + 2 * p - k) / s + 1, "no part of a place counts: what becomes of pixels left over?"),
    ]
    sizes = []
    for rule, hint in rules:
        wrong = size
        for k, p, s in layers:
            wrong = rule(wrong, k, p, s)
        sizes.append((wrong, hint))
    kernels, (right, view) = [k for k, _, _ in layers], _through(size, layers)
    own, step, product = 1, 1, 1
    for k, _, s in layers:
        step *= s
        own += (k - 1) * step
        product *= k
    views = [
        (view - 1, "in front of all layers a unit is a pixel; how many pixels does a pixel see?"),
        (1 + sum(kernels) - len(kernels), "behind a stride, two neighbours in a map lie several pixels apart"),
        (own, "a layer's own stride moves its window and does not widen it; when does it begin to count?"),
        (kernels[-1], "that is the view on the map before it; look through all layers, down to the image"),
        (product, "the windows of neighbours overlap; how much does one place more add to the view?"),
        (sum(kernels), "the windows of neighbours overlap; how much does one place more add to the view?"),
        (view + 2 * sum(p for _, p, _ in layers), "padding adds zeros at the border; a unit sees no more through it"),
        (right, "this is the size of the output; how wide is the part of the image behind one of its numbers?"),
    ]
    return sizes, views


def feature_map(answer: Callable) -> None:
    """Check one channel of convolution, ReLU and max-pooling, from an nn.Conv2d, an image (C, H, W) and a channel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for inputs, k, p, height, width in [(1, 3, 0, 8, 8), (1, 3, 0, 8, 13), (1, 3, 1, 9, 6), (3, 5, 2, 7, 10)]:
            layer, image = nn.Conv2d(inputs, 3, k, padding=p), torch.randn(inputs, height, width)
            layer.bias.data = torch.tensor([-0.6, -0.8, -0.4])
            for channel in (2, 0):
                seen = call(answer, copy.deepcopy(layer), image, channel)
                _compare_maps(f"image {tuple(image.shape)}, kernel {k}, padding {p}", seen, layer, image, channel)
    tick("feature_map: as PyTorch's, with padding, several input channels and images that are not square.")


@torch.no_grad()
def _compare_maps(case: str, seen: object, layer: nn.Conv2d, image: torch.Tensor, channel: int) -> None:
    """Compare a student's feature map with PyTorch's, and with what the usual mistakes give."""
    weight, bias, first_only = layer.weight, layer.bias[:, None, None], torch.eye(len(image))[0, :, None, None]

    def block(kernels: torch.Tensor, bias: torch.Tensor, pool: Callable = F.max_pool2d) -> torch.Tensor:
        return pool(F.relu(F.conv2d(image[None], kernels, padding=layer.padding)[0] + bias), 2)

    maps, full = block(weight, bias), layer(image[None])[0, 0].shape
    expected, (rows, columns) = maps[channel], maps[channel].shape
    shapes = {
        tuple(full): "one step is missing: each block of 2 × 2 becomes one number",
        (full[0] - 1, full[1] - 1): "the blocks of 2 × 2 do not overlap: how far is it from one to the next?",
        tuple((n - layer.kernel_size[0] + 1) // 2 for n in image.shape[1:]): "this layer pads; look at layer.padding",
        (rows + full[0] % 2, columns + full[1] % 2): "a row or column left over at the end gives no block of its own",
        (rows, rows): "an image may be wider than high; has each direction its own loop bound?",
        (3, rows, columns): "one channel is wanted, the one whose number you get",
    }
    hint = shapes.get(tuple(getattr(seen, "shape", ())), "count the places of the window, then the blocks of 2 × 2")
    seen = as_tensor(f"feature_map ({case})", seen, expected, hint)
    stepwise = block(weight, bias, lambda maps, k: F.max_pool2d(maps, k, stride=1))[:, :rows, :columns]
    mistakes = [
        (block(weight.flip(2, 3), bias), "your kernel is turned by 180 degrees; deep learning does not turn it"),
        (block(weight.mT, bias), "rows and columns of the kernel are swapped"),
        (block(weight, 0 * bias), "a channel has one more number than those of its kernel"),
        (block(weight, bias * len(image)), "the bias is added once, not once for each input channel"),
        (block(weight * first_only, bias), "the image has several channels, and only the first counts in yours"),
        (block(weight, bias, F.avg_pool2d), "max-pooling keeps the largest of four numbers, not their mean"),
        (stepwise, "the blocks of 2 × 2 do not overlap: how far is it from one to the next?"),
        (F.max_pool2d(layer(image[None])[0], 2), "numbers below zero are left; which step, and where, removes them?"),
        *((maps.roll(shift, 0), "this is the map of another channel") for shift in (1, 2)),
    ]
    if not torch.allclose(seen, expected, atol=1e-4):
        hint = "take this number and the windows that it comes from: products, sum, bias, ReLU, largest of four"
        hint = next((reason for wrong, reason in mistakes if torch.allclose(seen, wrong[channel], atol=1e-4)), hint)
        row, column = divmod(int((seen - expected).abs().argmax()), columns)
        what = f"feature_map ({case}), channel {channel}, at [{row}, {column}]"
        raise cross(what, f"{seen[row, column]:.3f}", f"{expected[row, column]:.3f}", hint)


def small_cnn(answer: Callable) -> None:
    """Check a network that returns log-probabilities, and the number of its parameters."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        for size, channels, hidden in [(28, 4, 24), (27, 3, 32), (21, 2, 12)]:
            what = f"small_cnn({size}, {channels}, {hidden})"
            result = call(answer, size, channels, hidden)
            if not (isinstance(result, tuple | list) and len(result) == 2 and isinstance(result[0], nn.Module)):
                hint = "give both, the network first; a class is only a plan, and Plan() makes a network of it"
                raise cross("what small_cnn gives back", short(result), "a network and a number", hint)
            model, images = result[0].eval(), torch.randn(6, 1, size, size)
            _check_outputs(what, model, images)
            total = _check_layers(what, model, images, (channels, hidden))
            _check_dropout(model, images, hidden)
            count = as_number(f"the count of {what}", result[1])
            if count != total:
                hint = "8 tensors hold them" if count == 8 else "your network is right"
                hint += "; add up the numbers in every layer, and the biases too"
                raise cross(f"your count for {what}", f"{count:,.0f}", f"{total:,}", hint)
    tick("small_cnn: log-probabilities, dropout in training only, every parameter counted, for three image sizes.")


def _check_outputs(what: str, model: nn.Module, images: torch.Tensor) -> None:
    """Check shape and kind of the outputs in evaluation mode, for two batch sizes and for large logits."""
    if type(model).forward is nn.Module.forward:
        raise cross("your class", "no forward", "def forward(self, x)", "is it spelt so, and indented with the class?")
    for n, batch in ((6, images), (1, images[:1]), (6, 1e5 * images)):
        try:
            outputs = call(model, batch)
        except CheckFailed as failed:
            if "shapes cannot be multiplied" not in str(failed):
                raise
            hint = "follow the shape of an image through the layers; how many numbers reach the linear layer?"
            raise cross(f"{what} of a batch of {n}", "an error in a linear layer", f"({n}, 10)", hint) from None
        outputs = as_tensor(f"{what} of a batch of {n}", outputs, torch.zeros(n, 10), "10 numbers for each image")
        if not outputs.isfinite().all():
            hint = "a tiny probability is rounded to 0 before its logarithm; which function never forms that 0?"
            raise cross("outputs for logits that are far apart", "infinity or NaN", "finite numbers", hint)
        sums, hint = outputs.exp().sum(dim=1), "of which numbers do the exponentials sum to 1 for each image?"
        if torch.allclose(outputs.sum(dim=1), torch.ones(n), atol=1e-4):
            hint = "these are probabilities, so nll_loss of them is negative; what is missing?"
        elif torch.allclose(outputs.exp().sum(dim=0), torch.ones(10), atol=1e-4):
            hint = "yours sum to 1 over the batch; over which dimension do the classes of one image run?"
        if not torch.allclose(sums, torch.ones(n), atol=1e-4):
            raise cross(f"sum of exp(output), one image, {what}", f"{sums[0]:.3f}", "1.000", hint)


def _check_layers(what: str, model: nn.Module, images: torch.Tensor, widths: tuple[int, int]) -> int:
    """Check the parameters and what the network computes with them, and return their number."""
    (c, hidden), side = widths, (images.shape[-1] // 2 - 2) // 2
    names = ("first convolution", "second convolution", "first linear layer", "second linear layer")
    shapes = ((c, 1, 5, 5), (2 * c, c, 3, 3), (hidden, 2 * c * side * side), (10, hidden))
    total = sum(torch.Size(shape).numel() + shape[0] for shape in shapes)
    found = {tuple(parameter.shape): parameter for parameter in model.parameters()}
    number = sum(parameter.numel() for parameter in model.parameters())
    missing = [name for name, shape in zip(names, shapes, strict=True) if shape not in found or shape[:1] not in found]
    if missing or number != total:
        hint = f"look at the {missing[0]}: inputs, outputs, bias" if missing else "is there a layer too many?"
        hint = hint if found else "a layer in a plain list is not found; make each one an attribute of the network"
        raise cross(f"the number of parameters in {what}", f"{number:,}", f"{total:,}", hint)
    tensors = [found[key] for shape in shapes for key in (shape, shape[:1])]

    def compute(active: str) -> torch.Tensor:
        steps = [F.relu if number in active else torch.clone for number in "123"]
        x = F.max_pool2d(steps[0](F.conv2d(images, *tensors[:2])), 2)
        x = F.max_pool2d(steps[1](F.conv2d(x, *tensors[2:4], padding=1)), 2)
        return F.linear(steps[2](F.linear(x.flatten(1), *tensors[4:6])), *tensors[6:]).log_softmax(dim=1)

    seen = call(model, images)
    if not torch.equal(seen, call(model, images)):
        hint = "dropout is at work although the network is in evaluation mode; how does it learn of the mode?"
        raise cross("the same images, twice, in evaluation mode", "two answers", "one answer", hint)
    expected, *without = map(compute, ["123", "23", "13", "12", "1", "2", "3", ""])
    if not torch.allclose(seen, expected, atol=1e-4):
        forgot = any(torch.allclose(seen, wrong, atol=1e-4) for wrong in without)
        hint = "how many ReLUs are in the list, and after which layers?" if forgot else "compare the steps, one by one"
        raise cross(f"the first outputs of {what}", short(seen[0]), short(expected[0]), hint)
    return total


def _check_dropout(model: nn.Module, images: torch.Tensor, hidden: int) -> None:
    """Check in training mode that half of the hidden units are dropped. It overwrites the parameters."""
    images = torch.ones_like(images).repeat(60, 1, 1, 1)
    if torch.equal(call(model.train(), images), call(model, images)):
        hint = "some hidden units are to be zero in training mode, other ones each time"
        raise cross("the same images, twice, in training mode", "one answer", "two answers", hint)
    for parameter in model.parameters():  # each layer takes means, so that each hidden unit is 1
        parameter.fill_(1 / parameter[0].numel() if parameter.dim() > 1 else 0.0)
        if parameter.shape == (10, hidden):  # the first output is the sum of the hidden units, the others are 0
            parameter.copy_(torch.eye(10)[:, :1].expand(10, hidden))
    half = call(model, images)[:, :2] @ torch.tensor([0.5, -0.5])  # a whole number, if p = 0.5, for hidden units alone
    if (half - half.round()).abs().max() > 0.01 or not 0.4 < half.std() / hidden**0.5 < 0.6:
        hint = "dropout of 0.5 belongs between the ReLU of the hidden units and the last layer, and nowhere else"
        raise cross("dropout in training mode", "not half of the hidden units", "half of them, by chance", hint)


def dropout(answer: Callable) -> None:
    """Check dropout of a float tensor of any shape, in training and in evaluation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(23)
        for shape, p in [((300, 200), 0.25), ((2000,), 0.5), ((20, 6, 15, 15), 0.8)]:
            x, case = torch.randn(shape), f"dropout(x {shape}, {p}, training="
            seen = as_tensor(f"{case}False)", call(answer, x, p, False), x, "dropout keeps the shape")
            if not torch.allclose(seen, x):
                smaller = torch.allclose(seen, x * (1 - p))
                hint = "survivors grow in training already" if smaller else "is anything to be dropped here?"
                raise cross(f"{case}False)", short(seen), short(x), hint)
            seen, again = (as_tensor(f"{case}True)", call(answer, x, p, True), x, "it keeps the shape") for _ in "12")
            _check_mask(f"{case}True)", (seen == 0), (again == 0), p)
            kept = seen != 0
            if not torch.allclose(seen[kept], (x / (1 - p))[kept]):
                hint = "nothing" if torch.allclose(seen[kept], x[kept]) else "the wrong factor"
                hint += " makes up for the elements that became zero"
                raise cross(f"what {case}True) leaves", short(seen[kept]), short((x / (1 - p))[kept]), hint)
    tick("dropout: the right share, drawn anew for each element and each call; in evaluation the result is x.")


def _check_mask(what: str, zero: torch.Tensor, again: torch.Tensor, p: float) -> None:
    """Check which elements two calls of dropout have set to zero."""
    n, share = zero.numel(), zero.float().mean().item()
    mistakes = [
        (not zero.any(), "nothing is dropped"),
        (torch.equal(zero, again), "a second call drops the same elements; each call is to draw anew"),
        (any((zero == zero.narrow(d, 0, 1)).all() for d in range(zero.dim())), "many elements share one draw"),
        (zero.sum() == again.sum() == p * n, "your number of zeros never varies; let chance decide on each element"),
        (p != 0.5 and abs(share + p - 1) < 0.03, "p is the share that becomes zero, not the one that is left"),
        (abs(share - p) > 6 * (p * (1 - p) / n) ** 0.5, "which random numbers lie below p with probability p?"),
    ]
    for wrong, hint in mistakes:
        if wrong:
            raise cross(f"zeros in {what}", f"a share of {share:.3f}", f"about {p}, each by its own draw", hint)


class _Moody(nn.Module):
    """A model that is always wrong in training mode, so that an accuracy tells in which mode it was taken."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0, :10] * (-1 if self.training else 1)


def gap(answer: Callable) -> None:
    """Check the accuracy on training images minus that on validation images, from a model and two pairs."""
    generator = torch.Generator().manual_seed(31)
    for training, sizes, right in [(True, (40, 25), (36, 15)), (False, (40, 25), (36, 15)), (True, (60, 1), (45, 1))]:
        parts = []
        for size, number in zip(sizes, right, strict=True):
            images = torch.randn(size, 1, 28, 28, generator=generator)
            best, second = images[:, 0, 0, :10].topk(2).indices.T
            parts.append((images, torch.where(torch.arange(size) < number, best, second)))
        a, b = right[0] / sizes[0], right[1] / sizes[1]
        seen = as_number("gap(...)", call(answer, _Moody().train(training), *parts))
        mistakes = [
            (0, "in which mode is the model while it answers? gap gets it in either, and has to see to that"),
            (-b, "the training images were answered in training mode; what does dropout do to that accuracy?"),
            (a, "the validation images were answered in training mode"),
            (b - a, "the sign: the gap is positive when the training images go better"),
            (100 * (a - b), "a share, not per cent"),
        ]
        if not abs(seen - (a - b)) < 1e-5:
            hint = "each accuracy is the number of right answers over the number of images of its own part"
            hint = next((reason for value, reason in mistakes if abs(value - seen) < 1e-5 * max(1, abs(value))), hint)
            raise cross(f"the gap of accuracies of {a:.3f} and {b:.3f}", f"{seen:.3f}", f"{a - b:.3f}", hint)
    tick("gap: both accuracies in evaluation mode, in whichever mode the model came.")
