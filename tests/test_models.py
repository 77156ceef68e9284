"""The networks: shapes and parameter counts, worked out by hand from their sources."""

import pytest
import torch
from torch import nn

from helpers import models

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


def test_residual_adds_what_its_layers_make_to_their_input():
    layers = models.Residual(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU())
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(layers(images), images + layers[0](images).relu())
