"""The networks: shapes, parameter counts and what they compute while they train, worked out from their sources."""

import ast
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from committed import read_committed
from torch import nn

from helpers import models

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

# A convolution gives floor((n + 2 * padding - kernel) / stride) + 1 pixels a side; pooling by 2 halves, rounded down.
SHAPES = {
    "FashionNet": [(32, 26, 26), (64, 24, 24), (128,), (10,)],
    "FashionCNN": [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (128,), (10,)],
    "BatchNormCNN": [
        *((32, 28, 28), (32, 28, 28), (32, 14, 14)),
        *((64, 14, 14), (64, 14, 14), (64, 7, 7), (512,), (10,)),
    ],
    "SimpleCNN": [
        *((20, 28, 28), (20, 14, 14), (46, 15, 15), (46, 7, 7)),
        *((70, 7, 7), (70, 3, 3), (512,), (10,)),
    ],
    "LeanCNN": [(16, 28, 28), (16, 14, 14), (48, 14, 14), (48, 7, 7), (96, 7, 7), (10, 1, 1)],
    "ResidualCNN": [
        *((32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7)),
        *((128, 7, 7), (128, 7, 7), (128, 3, 3), (10, 1, 1)),
    ],
    "MLP": [(512,), (256,), (10,)],
    "LogisticRegression": [(10,)],
}
# Weights and biases of each layer: inputs * outputs * kernel**2 + outputs.
PARAMETERS = {
    "LogisticRegression": 784 * 10 + 10,
    "MLP": (784 * 512 + 512) + (512 * 256 + 256) + (256 * 10 + 10),
    "FashionNet": (1 * 32 * 9 + 32) + (32 * 64 * 9 + 64) + (64 * 12 * 12 * 128 + 128) + (128 * 10 + 10),
    "FashionCNN": (1 * 32 * 9 + 32) + (32 * 64 * 9 + 64) + (64 * 7 * 7 * 128 + 128) + (128 * 10 + 10),
    "BatchNormCNN": (1 * 32 * 9 + 32)
    + (32 * 32 * 9 + 32)
    + (32 * 64 * 9 + 64)
    + (64 * 64 * 9 + 64)
    + 2 * (32 + 32 + 64 + 64)  # scale and shift of each batch-norm channel
    + (64 * 7 * 7 * 512 + 512)
    + (512 * 10 + 10),
    "SimpleCNN": (1 * 20 * 25 + 20)
    + (20 * 46 * 16 + 46)
    + (46 * 70 * 9 + 70)
    + (70 * 3 * 3 * 512 + 512)
    + (512 * 10 + 10),
    # A convolution before batch norm needs no bias: batch norm would take it away again.
    "LeanCNN": (1 * 16 * 9 + 16 * 48 * 9 + 48 * 96 * 9) + 2 * (16 + 48 + 96) + (96 * 7 * 7 * 10 + 10),
    "ResidualCNN": (1 * 32 * 9 + 32 * 64 * 9 + 64 * 128 * 9 + 128 * 128 * 9)
    + 2 * (32 + 64 + 128 + 128)
    + (128 * 3 * 3 * 10 + 10),
}


def layer_kinds(model):
    return [type(layer) for layer in model]


@pytest.mark.parametrize("name", SHAPES)
def test_each_layer_has_the_shape_worked_out_by_hand(name):
    model = getattr(models, name)().eval()
    shapes = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, output: shapes.append(tuple(output.shape[1:])))
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert shapes == SHAPES[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count_is_the_one_of_the_formula(name):
    assert models.count_parameters(getattr(models, name)()) == PARAMETERS[name]


def test_frozen_parameters_are_not_counted():
    model = models.LogisticRegression()
    model[1].bias.requires_grad_(False)
    assert models.count_parameters(model) == 7_840


def test_fashion_net_returns_log_probabilities_and_drops_a_quarter_and_a_half():
    model = models.FashionNet().eval()
    total = model(torch.randn(4, 1, 28, 28)).exp().sum(dim=1)
    assert total.tolist() == pytest.approx([1] * 4, abs=1e-5)
    assert (model.dropout1.p, model.dropout2.p) == (0.25, 0.5)


@pytest.mark.parametrize(("model", "shares"), [(models.MLP(), [0.2, 0.2]), (models.FashionCNN(), [0.5])])
def test_dropout_shares_are_those_of_the_sources(model, shares):
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == shares


def test_fashion_cnn_takes_another_dropout():
    assert models.FashionCNN(dropout=0.0)[9].p == 0.0


def test_batch_norm_stands_after_relu_unless_swapped_or_left_out():
    conv, relu, norm = nn.Conv2d, nn.ReLU, nn.BatchNorm2d
    assert layer_kinds(models.BatchNormCNN())[:7] == [conv, relu, norm, conv, relu, norm, nn.MaxPool2d]
    assert layer_kinds(models.BatchNormCNN(relu_first=False))[:3] == [conv, norm, relu]
    without = models.BatchNormCNN(batch_norm=False)
    assert norm not in layer_kinds(without)
    assert models.count_parameters(without) == PARAMETERS["BatchNormCNN"] - 384
    assert without(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_a_narrow_batch_norm_cnn_has_the_same_layers_with_a_share_of_the_filters():
    narrow = models.BatchNormCNN(width=8)
    assert layer_kinds(narrow) == layer_kinds(models.BatchNormCNN())
    assert [layer.out_channels for layer in narrow if isinstance(layer, nn.Conv2d)] == [8, 8, 16, 16]
    assert [layer.out_features for layer in narrow if isinstance(layer, nn.Linear)] == [128, 10]
    assert narrow(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_residual_adds_what_its_layers_make_to_their_input():
    layers = models.Residual(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU())
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(layers(images), images + layers[0](images).relu())


class Numbers:
    """A network's parameters and running statistics, handed out one layer after the other, in a copy of their own."""

    def __init__(self, model):
        self.state = {key: value.detach().clone() for key, value in model.state_dict().items()}
        self.parameters = [self.state[key].requires_grad_() for key, _ in model.named_parameters()]
        self.names = list(self.state)

    def take(self, number):
        taken, self.names = self.names[:number], self.names[number:]
        return [self.state[name] for name in taken]

    def linear(self, x):
        weight, bias = self.take(2)
        return x.flatten(1) @ weight.T + bias

    def conv(self, x, padding=0, bias=True):
        weight, *shift = self.take(1 + bias)
        return F.conv2d(x, weight, *shift, padding=padding)

    def norm(self, x):
        """Normalise by the batch, and let the running statistics follow by a tenth."""
        weight, bias, mean, variance, count = self.take(5)
        x, number = x.transpose(0, 1).flatten(1), x.numel() // x.shape[1]
        batch_mean, batch_variance = x.mean(1), x.var(1, correction=0)
        with torch.no_grad():
            mean += 0.1 * (batch_mean - mean)
            variance += 0.1 * (batch_variance * number / (number - 1) - variance)
            count += 1
        scaled = (x - batch_mean[:, None]) / (batch_variance[:, None] + 1e-5).sqrt()
        return self.shaped(weight[:, None] * scaled + bias[:, None])

    def shaped(self, x):
        """Give (channels, N * pixels) its place in (N, channels, side, side) back."""
        side = round((x.shape[1] / IMAGES) ** 0.5)
        return x.reshape(len(x), IMAGES, side, side).transpose(0, 1)


IMAGES = 8


def drop(x, share):
    """Set a share of the units to zero, at random, and make up for it in the others."""
    return x * torch.empty_like(x).bernoulli_(1 - share) / (1 - share)


def pool(x):
    return F.max_pool2d(x, 2)


def logistic_regression(x, numbers):
    return numbers.linear(x)


def mlp(x, numbers):
    x = drop(numbers.linear(x).relu(), 0.2)
    return numbers.linear(drop(numbers.linear(x).relu(), 0.2))


def fashion_net(x, numbers):
    x = numbers.conv(numbers.conv(x).relu()).relu()
    x = numbers.linear(drop(pool(x), 0.25)).relu()
    x = numbers.linear(drop(x, 0.5))
    return x - x.exp().sum(1, keepdim=True).log()


def fashion_cnn(x, numbers, dropout=0.5):
    x = pool(numbers.conv(x, 1).relu())
    x = pool(numbers.conv(x, 1).relu())
    return numbers.linear(drop(numbers.linear(x).relu(), dropout))


def batch_norm_cnn(x, numbers, batch_norm=True, relu_first=True):
    for _ in range(2):
        for _ in range(2):
            x = numbers.conv(x, 1)
            x = x.relu() if relu_first or not batch_norm else numbers.norm(x).relu()
            x = numbers.norm(x) if relu_first and batch_norm else x
        x = pool(x)
    return numbers.linear(numbers.linear(x).relu())


def simple_cnn(x, numbers):
    for padding in (2, 2, 1):
        x = pool(numbers.conv(x, padding).relu())
    return numbers.linear(numbers.linear(x).relu())


def lean_cnn(x, numbers):
    for _ in range(2):
        x = numbers.norm(pool(numbers.conv(x, 1, bias=False))).relu()
    x = numbers.norm(numbers.conv(x, 1, bias=False)).relu()
    return numbers.conv(x).flatten(1)


def residual_cnn(x, numbers):
    for _ in range(2):
        x = numbers.norm(pool(numbers.conv(x, 1, bias=False))).relu()
    x = numbers.norm(numbers.conv(x, 1, bias=False)).relu()
    x = x + numbers.norm(numbers.conv(x, 1, bias=False)).relu()
    return numbers.conv(pool(x)).flatten(1)


# Every network, in each of its variants, and the same thing in plain arithmetic.
IN_PLAIN = {
    "LogisticRegression": (models.LogisticRegression, logistic_regression),
    "MLP": (models.MLP, mlp),
    "FashionNet": (models.FashionNet, fashion_net),
    "FashionCNN": (models.FashionCNN, fashion_cnn),
    "FashionCNN, dropout 0.2": (partial(models.FashionCNN, 0.2), partial(fashion_cnn, dropout=0.2)),
    "BatchNormCNN": (models.BatchNormCNN, batch_norm_cnn),
    "BatchNormCNN, batch norm first": (
        partial(models.BatchNormCNN, relu_first=False),
        partial(batch_norm_cnn, relu_first=False),
    ),
    "BatchNormCNN without": (partial(models.BatchNormCNN, batch_norm=False), partial(batch_norm_cnn, batch_norm=False)),
    "SimpleCNN": (models.SimpleCNN, simple_cnn),
    "LeanCNN": (models.LeanCNN, lean_cnn),
    "LeanCNN of other widths": (partial(models.LeanCNN, (8, 16, 24)), lean_cnn),
    "ResidualCNN": (models.ResidualCNN, residual_cnn),
}


def a_batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, 1, 28, 28, dtype=torch.float64, generator=generator)
    return images, torch.arange(IMAGES)


def trained_for_a_step(model, seed=0):
    """Return what a network gives for a batch in training mode, its gradients, and its numbers afterwards."""
    images, labels = a_batch()
    torch.manual_seed(seed)
    outputs = model.double().train()(images)
    gradients = torch.autograd.grad(F.cross_entropy(outputs, labels), list(model.parameters()))
    return outputs, gradients, list(model.state_dict().values())


def test_every_network_is_restated_here():
    classes = {
        value for value in vars(models).values() if isinstance(value, type) and value.__module__ == models.__name__
    }
    made = {make.func if isinstance(make, partial) else make for make, _ in IN_PLAIN.values()}
    assert made == classes - {models.Residual}


@pytest.mark.parametrize("name", IN_PLAIN)
def test_in_training_mode_outputs_gradients_and_running_statistics_are_plain_arithmetic(name):
    make, restated = IN_PLAIN[name]
    torch.manual_seed(0)
    model = make().double()
    numbers = Numbers(model)
    found, gradients, state = trained_for_a_step(model)
    images, labels = a_batch()
    torch.manual_seed(0)
    outputs = restated(images, numbers)
    assert numbers.names == []  # nothing left out
    torch.testing.assert_close(found, outputs)
    expected = torch.autograd.grad(F.cross_entropy(outputs, labels), numbers.parameters)
    torch.testing.assert_close(list(gradients), list(expected))
    torch.testing.assert_close(state, [value.detach() for value in numbers.state.values()])


# Where a lesson writes a network itself: the notebook, the name there, and the helper's class.
IN_LESSONS = [
    ("02_mlp_baseline", "mlp", "MLP"),
    ("03_cnn_dropout", "FashionNet", "FashionNet"),
    ("04_batchnorm_cnn", "network", "BatchNormCNN"),
    ("06_training_diagnostics", "by_hand", "SimpleCNN"),
    ("07_train_faster", "by_hand", "LeanCNN"),
]


def written_in(lesson, name):
    """Make the network of that name out of the lines of the lesson that define it."""
    for cell in read_committed(NOTEBOOKS / f"{lesson}.ipynb").cells:
        if cell.cell_type != "code":
            continue
        for node in ast.parse(cell.source).body:
            is_class = isinstance(node, ast.ClassDef) and node.name == name
            is_network = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
            if is_class or (is_network and "nn.Sequential(" in ast.unparse(node)):
                names = {"torch": torch, "nn": nn, "F": F, "device": "cpu"}
                exec(compile(ast.Module([node], []), lesson, "exec"), names)
                return names[name]() if is_class else names[name]
    raise AssertionError(f"{lesson} defines no network {name}.")


@pytest.mark.parametrize(("lesson", "name", "helper"), IN_LESSONS)
def test_a_network_that_a_lesson_writes_is_the_helpers_in_training_mode_too(lesson, name, helper):
    torch.manual_seed(0)
    of_lesson = written_in(lesson, name)
    torch.manual_seed(0)
    of_helpers = getattr(models, helper)()
    for one, other in zip(of_lesson.parameters(), of_helpers.parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(trained_for_a_step(of_lesson), trained_for_a_step(of_helpers), strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_the_seed_decides_which_units_are_dropped():
    for make, _ in IN_PLAIN.values():
        model = make()
        outputs = [trained_for_a_step(model, seed)[0] for seed in (0, 0, 1)]
        assert torch.equal(outputs[0], outputs[1])
        has_dropout = any(isinstance(layer, nn.Dropout) for layer in model.modules())
        assert torch.equal(outputs[0], outputs[2]) != has_dropout


def test_the_work_of_a_network_is_what_one_counts_by_hand():
    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(338, 10)).train()
    assert models.count_work(small) == {
        "parameters": 20 + 3390,
        "multiplications": 9 * 2 * 26 * 26 + 3380,
        "numbers written": 2 * 26 * 26 + 2 * 26 * 26 + 338 + 10,
    }
    assert small.training
    work = models.count_work(models.FashionCNN())
    assert work["parameters"] == PARAMETERS["FashionCNN"]
    assert work["multiplications"] == 225_792 + 3_612_672 + 3136 * 128 + 1280
