"""Deep networks: what they compute, cost and pass back, worked out by hand, and their figures through the Axes."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import to_hex
from scipy.stats import binomtest
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers import deep, models
from helpers.data import normalize
from helpers.device import set_seed

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def batch():
    """Make a batch of uint8 noise with labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (20, 1, 28, 28), dtype=torch.uint8, generator=generator), torch.arange(20) % 10


@pytest.mark.parametrize("block", [deep.plain_block, deep.residual_block])
@pytest.mark.parametrize("depth", [0, 2, 20])
def test_a_deep_network_has_the_size_of_its_depth(depth, block):
    model = deep.deep_cnn(depth, block, channels=4)
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == depth + 1
    by_hand = (9 * 4 + 4) + depth * (9 * 4 * 4 + 4) + (4 * 49 * 10 + 10)
    assert models.count_parameters(model) == by_hand


@pytest.mark.parametrize("depth", [-2, 3])
def test_a_depth_that_is_no_number_of_whole_blocks_is_refused(depth):
    with pytest.raises(ValueError, match="even"):
        deep.deep_cnn(depth)


def test_the_blocks_compute_what_the_drawing_shows():
    x = torch.randn(2, 5, 7, 7)
    plain, residual = deep.plain_block(5), deep.residual_block(5)
    assert torch.equal(plain(x), F.relu(plain[2](F.relu(plain[0](x)))))
    first, second = residual[0][0], residual[0][2]
    assert torch.equal(residual(x), F.relu(x + second(F.relu(first(x)))))


def test_the_same_seed_gives_plain_and_residual_networks_the_same_weights():
    pair = []
    for block in (deep.plain_block, deep.residual_block):
        set_seed()
        pair.append(deep.deep_cnn(6, block))
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in pair), strict=True))


def test_he_start_has_two_over_the_number_of_inputs_as_variance():
    set_seed()
    layer = he = nn.Conv2d(30, 200, kernel_size=3)
    assert deep.he_start(he) is layer
    assert layer.weight.var().item() == pytest.approx(2 / (30 * 9), rel=0.03)
    assert not layer.bias.any()


def test_he_start_keeps_the_mean_square_and_pytorchs_start_leaves_a_sixth():
    x = F.relu(torch.randn(50, 32, 12, 12))
    for start, factor in ((deep.he_start, 1.0), (lambda layer: layer, 1 / 6)):
        set_seed()
        layers = [
            start(nn.Conv2d(32, 32, 3, bias=False)) if factor < 1 else start(nn.Conv2d(32, 32, 3)) for _ in "1" * 60
        ]
        kept = np.mean([(F.relu(layer(x)).square().mean() / x.square().mean()).item() for layer in layers])
        assert kept == pytest.approx(factor, rel=0.1)


def test_gradient_norms_are_those_of_the_weights_in_order_and_leave_no_gradient(batch):
    model = deep.deep_cnn(2, deep.residual_block, channels=3)
    model(normalize(batch[0])).sum().backward()  # what is left over from before does not count
    norms = deep.gradient_norms(model, *batch)
    assert list(norms.index) == [1, 2, 3]
    assert all(parameter.grad is None for parameter in model.parameters())
    loss = F.cross_entropy(model(normalize(batch[0])), batch[1])
    weights = [model[0].weight, model[3][0][0].weight, model[3][0][2].weight]
    expected = [gradient.norm().item() for gradient in torch.autograd.grad(loss, weights)]
    assert norms.tolist() == pytest.approx(expected, rel=1e-5)
    assert deep.gradient_norms(model, *batch).tolist() == pytest.approx(norms.tolist(), rel=1e-5)  # nothing adds up


def test_image_spreads_are_the_standard_deviations_behind_each_convolution(batch):
    model = deep.deep_cnn(2, channels=3)
    spreads = deep.image_spreads(model, batch[0])
    first = model[0](normalize(batch[0])).double().std(dim=0).mean().item()
    assert spreads[1] == pytest.approx(first, rel=1e-6) and len(spreads) == 3
    alike = batch[0][:1].expand(5, -1, -1, -1)
    assert deep.image_spreads(model, alike).max() < 1e-6
    assert not any(layer._forward_hooks for layer in model.modules())


def test_gradients_and_differences_vanish_in_a_deep_plain_network_only(batch):
    ratios = {}
    for block in (deep.plain_block, deep.residual_block):
        set_seed()
        model = deep.deep_cnn(20, block)
        norms, spreads = deep.gradient_norms(model, *batch), deep.image_spreads(model, batch[0])
        ratios[block.__name__] = norms.iloc[-1] / norms.iloc[0], spreads.iloc[0] / spreads.iloc[-1]
    assert min(ratios["plain_block"]) > 1e4 and max(ratios["residual_block"]) < 30


def test_multiply_adds_of_single_layers_are_those_of_the_formula():
    assert deep.multiply_adds(nn.Conv2d(16, 16, 3, padding=1), (16, 7, 7)) == 3 * 3 * 16 * 16 * 7 * 7
    assert deep.multiply_adds(nn.Conv2d(2, 5, 3, stride=2), (2, 9, 9)) == 9 * 2 * 5 * 4 * 4
    assert deep.multiply_adds(nn.Linear(30, 4), (30,)) == 120
    shared = nn.Linear(6, 6)
    assert deep.multiply_adds(nn.Sequential(shared, shared), (6,)) == 72


@pytest.mark.parametrize("name", ["LogisticRegression", "MLP", "FashionNet", "SimpleCNN", "LeanCNN", "ResidualCNN"])
def test_multiply_adds_are_half_of_what_pytorchs_counter_finds(name):
    model = getattr(models, name)()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, 28, 28)) if name != "LeanCNN" else model.eval()(torch.zeros(1, 1, 28, 28))
    model.train()
    assert deep.multiply_adds(model) == counter.get_total_flops() / 2
    assert model.training and not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(
    ("kernels", "width"), [([7], 7), ([3, 3, 3], 7), ([5, 5], 9), ([3, "pool", 3], 8), ([3, "pool", 3, "pool"], 10)]
)
def test_a_gradient_map_is_as_wide_as_the_receptive_field_by_the_rule(kernels, width):
    set_seed()
    layers, channels = [], 1
    for size in kernels:
        if size == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, 8, size, padding=size // 2), nn.ReLU()]
            channels = 8
    strength = deep.gradient_map(nn.Sequential(*layers), size=31)
    assert strength.shape == (31, 31) and strength.sum() == pytest.approx(1) and strength.min() == 0
    assert deep.width_of(strength) == width


def test_a_gradient_map_of_equal_weights_counts_the_ways_through_the_layers():
    layers = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(2)])
    for layer in layers:
        nn.init.ones_(layer.weight)
    strength = deep.gradient_map(layers, size=9, images=2)
    ways = np.array([1, 2, 3, 2, 1])
    assert strength[2:7, 2:7] == pytest.approx(np.outer(ways, ways) / 81)


def test_the_width_that_holds_a_share():
    strength = np.zeros((9, 9))
    strength[2:7, 2:7] = 1
    strength[4, 4] = 76  # of 100
    assert [deep.width_of(strength, share) for share in (0.5, 0.76, 0.77, 0.84, 0.85, 1.0)] == [1, 1, 3, 3, 5, 5]


def test_the_drawing_has_a_shortcut_in_the_residual_block_alone():
    axes = deep.draw_residual_block(16, 7)
    words = [[text.get_text() for text in ax.texts] for ax in axes]
    assert [part.count("3 × 3 conv") for part in words] == [2, 2] and [part.count("ReLU") for part in words] == [2, 2]
    assert "+" not in words[0] and "+" in words[1] and "x + F(x)" in words[1]
    assert not axes[0].lines and len(axes[1].lines) == 1
    assert all("16 × 7 × 7" in part for part in words)
    assert "shortcut" not in axes[0].get_label() and "added to F(x)" in axes[1].get_label()


def test_lines_by_layer_are_told_apart_without_colour(ax):
    values = {"plain": pd.Series([1e-3, 1e-2], index=[1, 2]), "residual": pd.Series([0.2, 0.3], index=[1, 2])}
    deep.plot_by_layer(values, "gradient norm", ax=ax)
    assert [line.get_label() for line in ax.lines] == list(values)
    assert ax.lines[0].get_ydata().tolist() == [1e-3, 1e-2] and ax.get_yscale() == "log"
    looks = [(line.get_linestyle(), line.get_marker(), to_hex(line.get_color())) for line in ax.lines]
    assert all(a != b for a, b in zip(*looks, strict=True))
    assert ax.get_ylabel() == "gradient norm (log scale)" and ax.get_xlabel()


def test_depths_show_each_seed_and_the_mean(ax):
    rows = [("plain", 2, 0.8), ("plain", 2, 0.9), ("plain", 20, 0.1), ("residual", 2, 0.7), ("residual", 20, 0.8)]
    reached = pd.DataFrame(rows, columns=["kind", "depth", "accuracy"])
    deep.plot_depths(reached, "accuracy", "validation accuracy (%)", ax=ax)
    marks, means, other_marks, _ = ax.lines
    assert marks.get_ydata().tolist() == pytest.approx([80, 90, 10])
    assert means.get_ydata().tolist() == pytest.approx([85, 10])
    assert other_marks.get_ydata().tolist() == pytest.approx([70, 80])
    assert ax.get_xticks().tolist() == [2, 20]
    other = ax.figure.add_subplot()
    deep.plot_depths(reached, "accuracy", "loss (nats)", ax=other)
    assert other.lines[0].get_ydata().tolist() == pytest.approx([0.8, 0.9, 0.1])


def test_gradient_maps_say_both_widths():
    strength = np.zeros((9, 9))
    strength[2:7, 2:7] = 1
    strength[4, 4] = 600
    [ax] = np.atleast_1d(deep.plot_gradient_maps({"some layers": strength}, axes=[deep.plt.subplots()[1]]))
    assert ax.get_title() == "some layers\nsees 5 × 5\n50% of it in 1 × 1"
    frames = [(patch.get_x(), patch.get_width(), patch.get_linestyle()) for patch in ax.patches]
    assert frames == [(1.5, 5, "-"), (3.5, 1, "--")]


ENTRIES = [
    ["small", 0.85, 10_000, "recorded"],
    ["beaten", 0.84, 10_000, "recorded"],
    ["large", 0.93, 10_000, "trained here"],
]


@pytest.fixture
def chart():
    """Make a chart's table of three networks, one of them beaten."""
    return deep.with_intervals(ENTRIES).assign(parameters=[1e3, 2e3, 1e5])


def test_intervals_are_wilsons(chart):
    by_scipy = binomtest(8500, 10_000).proportion_ci(method="wilson")
    assert chart.loc["small", ["low", "high"]].tolist() == pytest.approx([by_scipy.low, by_scipy.high])


def test_the_networks_that_no_other_beats(chart):
    assert deep.unbeaten(chart, "parameters") == ["small", "large"]
    assert deep.unbeaten(chart.assign(parameters=[5e3, 2e3, 1e5]), "parameters") == ["beaten", "small", "large"]


def test_the_chart_of_costs_names_every_network_and_tells_groups_apart(ax, chart):
    deep.plot_costs(chart, "parameters", "parameters", ax=ax)
    assert {text.get_text() for text in ax.texts} == set(chart.index)
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "parameters (log scale)"
    edge = ax.lines[0]
    assert edge.get_xdata().tolist() == [1e3, 1e5] and edge.get_ydata().tolist() == pytest.approx([85, 93])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(legend) == {"not beaten", "recorded", "trained here"}
    assert "large 93.0 % at 100,000" in ax.get_label() and "Not beaten in both: small, large" in ax.get_label()
    places = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for number, a in enumerate(places) for b in places[:number])
    points = [container.lines[0] for container in ax.containers]
    assert len({(point.get_marker(), to_hex(point.get_color())) for point in points}) == 2


def test_no_name_in_the_chart_of_costs_lies_on_the_line_of_the_unbeaten(ax, chart):
    deep.plot_costs(chart.drop("beaten"), "parameters", "parameters", ax=ax)
    level = ax.transData.transform([(across, 85) for across in np.geomspace(1e3, 1e5, 500)])
    rise = ax.transData.transform([(1e5, up) for up in np.linspace(85, 93, 500)])
    places = [deep.plt.Text.get_window_extent(text) for text in ax.texts]
    assert len(places) == 2 and not any(place.contains(*step) for place in places for step in [*level, *rise])


def test_norms_at_start_hold_both_networks_and_both_starts(batch):
    for start in deep.STARTS:
        norms = deep.norms_at_start(4, start, *batch)
        assert list(norms) == ["plain", "residual"] and all(len(values) == 5 for values in norms.values())
    assert not np.allclose(*(deep.norms_at_start(4, start, *batch)["plain"] for start in deep.STARTS))


def test_the_widget_draws_what_its_controls_say(batch, monkeypatch):
    from helpers import widgets

    given = {}
    monkeypatch.setattr(widgets, "interact", lambda draw, **controls: given.update(controls, draw=draw))
    deep.explore_gradients(*batch)
    assert given["depth"].step == 2 and given["depth"].value == 20 and list(given["start"].options) == deep.STARTS
    given["draw"](4, deep.STARTS[1])
    drawn = deep.plt.gca()
    assert drawn.get_title() == "4 convolutions behind the first, He's start"
    assert [line.get_label() for line in drawn.lines] == ["plain", "residual"]


def test_names_of_close_points_do_not_overlap(ax):
    names = ["first of four", "second of four", "third of four", "fourth of four"]
    x = pd.Series([1.0, 1.02, 1.04, 1.06], index=names)
    y = pd.Series([5.0, 5.05, 5.0, 5.05], index=names)
    ax.set(xlim=(0, 2), ylim=(4, 6))
    deep.name_points(x, y, pd.DataFrame({"low": y - 0.01, "high": y + 0.01}), ax)
    assert [text.get_text() for text in ax.texts] == names
    # Of an annotation the extent has the line too, so the words alone are compared.
    places = [deep.plt.Text.get_window_extent(text) for text in ax.texts]
    assert not any(a.overlaps(b) for number, a in enumerate(places) for b in places[:number])
    assert all(ax.bbox.contains(*corner) for place in places for corner in (place.min, place.max))
