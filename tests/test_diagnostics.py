"""What looks inside a network, and its figures: layers, dead ReLUs, a running mean; through numbers and Axes."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import diagnostics
from helpers.models import SimpleCNN

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def images():
    return torch.randint(256, (20, 1, 28, 28), generator=torch.Generator().manual_seed(6)).to(torch.uint8)


def test_the_layers_with_weights_are_named_in_order():
    model = SimpleCNN()
    layers = diagnostics.weight_layers(model)
    assert list(layers) == ["conv 1", "conv 2", "conv 3", "linear 1", "linear 2"]
    assert layers["conv 2"] is model[3] and layers["linear 2"] is model[12]


def test_dead_units_are_those_that_no_image_wakes(images):
    torch.manual_seed(0)
    model = SimpleCNN()
    with torch.no_grad():
        model[3].bias[:23] = -1e6  # half of the 46 maps
        model[10].bias[:128] = -1e6  # a quarter of the 512 units
        model[10].bias[128:] = 1e6
    model.train()
    dead = diagnostics.dead_relus(model, images)
    assert list(dead) == ["conv 1", "conv 2", "conv 3", "linear 1"]
    assert dead["conv 2"] == pytest.approx(0.5) and dead["linear 1"] == pytest.approx(0.25)
    assert model.training


def test_a_unit_that_one_image_wakes_is_alive():
    images = torch.zeros(3, 1, 1, 1, dtype=torch.uint8)
    images[1] = 255
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU())
    with torch.no_grad():
        model[1].weight[:] = torch.tensor([[1.0], [0.0]])
        model[1].bias[:] = torch.tensor([0.0, -1.0])
    assert diagnostics.dead_relus(model, images) == {"linear 1": 0.5}


def test_dead_units_of_a_network_without_numbers_are_unknown(images):
    model = SimpleCNN()
    with torch.no_grad():
        model[0].weight[:] = torch.nan
    assert all(np.isnan(share) for share in diagnostics.dead_relus(model, images).values())


def test_the_running_mean_is_not_pulled_to_zero_at_its_start():
    assert diagnostics.smooth([2.0] * 5).tolist() == pytest.approx([2.0] * 5)
    assert diagnostics.smooth([1.0, 3.0], memory=0.5).tolist() == pytest.approx([1.0, (0.5 * 0.5 * 1 + 0.5 * 3) / 0.75])
    assert diagnostics.smooth([1.0, 3.0], memory=0).tolist() == [1.0, 3.0]
