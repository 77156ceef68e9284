"""What looks inside a network, and its figures: layers, dead ReLUs, a running mean; through numbers and Axes."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from helpers import diagnostics, drawings, plotting
from helpers.models import SimpleCNN

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def images():
    return torch.randint(256, (20, 1, 28, 28), generator=torch.Generator().manual_seed(6)).to(torch.uint8)


def lines_of(ax):
    """Give the lines of an Axes by their labels."""
    return {line.get_label(): line for line in ax.lines}


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


def test_the_valley_holds_each_path_with_its_own_line_and_mark(ax):
    paths = {name: np.array([[-4.0, 1.0], [number, 0.5]]) for number, name in enumerate("abc")}
    drawings.draw_valley(paths, ax=ax)
    lines = lines_of(ax)
    assert list(lines) == ["a", "b", "c", "lowest point"]
    assert lines["b"].get_xydata().tolist() == [[-4.0, 1.0], [1.0, 0.5]]
    assert lines["lowest point"].get_xydata().tolist() == [[0, 0]]
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines.values()}) == 4
    assert "flat" in ax.get_xlabel() and "steep" in ax.get_ylabel()


def test_the_instruments_stand_below_the_stations_of_a_step(ax):
    drawings.draw_instruments(ax=ax)
    places = {text.get_text(): text.get_position() for text in ax.texts}
    for station, instrument in [("forward pass", "dead ReLUs"), ("backward pass", "gradient norm")]:
        assert places[station][0] == places[instrument][0] and places[station][1] > places[instrument][1]
    stations = ["forward pass", "backward pass", "step"]
    assert sorted(stations, key=lambda name: places[name][0]) == stations
    arrows = [(text.xyann[0], text.xy[0]) for text in ax.texts if getattr(text, "arrow_patch", None)]
    between, back = arrows[:-1], arrows[-1]
    assert back == (7, 1)  # from the last station to the first of the next batch
    assert [round(start) for start, _ in between] == [2, 4, 6] and all(start < end for start, end in between)


def test_the_layers_of_a_training_are_told_apart_without_colour(ax):
    names = ["conv 1", "conv 2", "conv 3", "linear 1", "linear 2"]
    values = pd.DataFrame(np.arange(1.0, 51).reshape(10, 5), columns=names)
    plotting.plot_layer_lines(values, ax=ax)
    assert ax.get_yscale() == "log"
    lines = lines_of(ax)
    assert list(lines) == names
    assert lines["conv 2"].get_ydata().tolist() == values["conv 2"].tolist()
    assert len({line.get_marker() for line in lines.values()}) == 5


def test_runs_stand_side_by_side_at_each_layer(ax):
    values = pd.DataFrame({"one": [0.1, 0.2], "other": [0.3, np.nan]}, index=["conv 1", "linear 1"])
    plotting.plot_layer_dots(values, ax=ax)
    lines = lines_of(ax)
    assert lines["one"].get_ydata().tolist() == [0.1, 0.2]
    assert (lines["one"].get_xdata() < lines["other"].get_xdata()).all()
    assert np.round(lines["other"].get_xdata()).tolist() == [0, 1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["conv 1", "linear 1"]
    assert lines["one"].get_marker() != lines["other"].get_marker()
    ax.figure.canvas.draw()
    legend, frame = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.x0 >= frame.x1 and legend.y1 <= frame.y1 + 1 and legend.y0 >= frame.y0


def test_the_range_test_marks_its_rates_and_says_them(ax):
    rates, losses = np.array([0.001, 0.01, 0.1]), np.array([2.3, 1.0, 50.0])
    plotting.plot_range_test(rates, losses, np.array([2.0, 1.5, 9.0]), {"chosen": 0.01, "lowest": 0.1}, ax=ax)
    lines = lines_of(ax)
    assert lines["running mean"].get_ydata().tolist() == [2.0, 1.5, 9.0]
    assert lines["chosen: 0.01"].get_xdata() == [0.01, 0.01] and "lowest: 0.1" in lines
    assert ax.get_xscale() == "log" and ax.get_ylim() == (0, 2.6)
