"""Drawings, checked through their Axes: curves, marks, words and the numbers in them."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_curve
from torch import nn

from helpers import config, deep, drawings
from helpers.explain import enlarge

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


def line(ax, label):
    """Give the one line whose label begins so."""
    [found] = [drawn for drawn in ax.lines if drawn.get_label().startswith(label)]
    return found


def test_softmax_divides_the_exponentials_by_their_sum():
    logits = torch.tensor([2.0, -1.0, 0.5])
    axes = drawings.draw_softmax(logits, ["a", "b", "c"])
    stages = logits, logits.exp(), logits.softmax(dim=0)
    for ax, values, digits in zip(axes, stages, (2, 2, 3), strict=True):
        assert [bar.get_height() for bar in ax.patches] == pytest.approx(values.tolist())
        numbers = [text.get_text().replace("−", "-") for text in ax.texts]
        assert numbers == [f"{value:.{digits}f}" for value in values]
        assert f"a {numbers[0]}, b {numbers[1].replace('-', '−')}, c {numbers[2]}." in ax.get_label()
    assert "add up to 9.41" in axes[1].get_title(loc="left")
    assert "exp(z) / 9.41; they add up to 1.000" in axes[2].get_title(loc="left")
    assert [label.get_text() for label in axes[2].get_xticklabels()] == ["a", "b", "c"]


def test_minus_log_is_marked_where_it_is_asked(ax):
    drawings.draw_minus_log([0.1, 0.5, 1], ax=ax)
    curve = line(ax, "−ln p")
    assert curve.get_ydata() == pytest.approx(-np.log(curve.get_xdata()))
    marks = [(float(drawn.get_xdata()[0]), float(drawn.get_ydata()[0])) for drawn in ax.lines[1:]]
    assert marks == [pytest.approx((0.1, 2.3026), abs=1e-4), pytest.approx((0.5, 0.6931), abs=1e-4), (1, 0)]
    assert [text.get_text() for text in ax.texts] == ["p = 0.1: 2.30", "p = 0.5: 0.69", "p = 1: 0.00"]


@pytest.mark.parametrize("here", [-1.0, 2.0])
def test_a_tangent_touches_the_curve_and_the_arrow_points_downhill(ax, here):
    values = np.linspace(-3, 3, 61)
    drawings.draw_tangent(values, values**2, here, here**2, 2 * here, ax=ax)
    x, y = line(ax, "tangent").get_data()
    assert np.interp(here, x, y) == pytest.approx(here**2)
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(2 * here)
    assert line(ax, "tangent").get_label() == f"tangent: {2 * here:+.3f}"
    arrow = next(text for text in ax.texts if getattr(text, "arrow_patch", None))
    tip, tail = arrow.xy[0], arrow.xyann[0]
    assert tail == here and abs(tip) < abs(here)  # towards the minimum at 0


def test_a_level_curve_has_no_way_downhill(ax):
    values = np.linspace(-1, 1, 11)
    drawings.draw_tangent(values, values**2, 0.0, 0.0, 0.0, ax=ax)
    assert not ax.texts


def test_steps_are_drawn_in_order_from_start_to_end(ax):
    values = np.linspace(-3, 3, 61)
    drawings.draw_steps(values, values**2, [2.0, -1.0, 0.5], [4.0, 1.0, 0.25], ax=ax)
    assert line(ax, "2 steps, numbered").get_xdata().tolist() == [2.0, -1.0, 0.5]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("0", (2, 4)), ("1", (-1, 1)), ("2", (0.5, 0.25))]
    assert line(ax, "start: loss 4.00").get_data() == ([2.0], [4.0])
    assert line(ax, "end: loss 0.25").get_data() == ([0.5], [0.25])
    assert ax.get_legend() is not None and (ax.get_xlabel(), ax.get_ylabel()) != ("", "")


def test_places_too_close_for_two_numbers_share_a_label_outside_the_valley(ax):
    values = np.linspace(-3, 3, 61)
    visited = [2.0, -2.0, 1.98, -1.0]
    drawings.draw_steps(values, values**2, visited, [value**2 for value in visited], ax=ax)
    labels = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert list(labels) == ["0, 2", "1", "3"]
    assert labels["0, 2"] > 0 and labels["1"] < 0 and labels["3"] < 0


@pytest.mark.parametrize("pixel", [2.0, -0.5])
def test_the_slopes_along_the_chain_multiply_to_the_gradient_that_autograd_finds(pixel):
    image = torch.tensor([[0.5, 1.0], [pixel, -0.25]])
    weights = torch.tensor([[0.1, 0.2, -0.3, 0.4], [0.0, 0.3, 0.2, -0.1], [0.2, -0.4, 0.1, 0.3]], requires_grad=True)
    logits = weights @ image.flatten()
    (F.cross_entropy(logits[None], torch.tensor([1])) / 8).backward()
    probabilities = logits.softmax(dim=0)
    ax = drawings.draw_chain_rule(image, (1, 0), probabilities, ["a", "b", "c"], 1, 8)
    wrong = max((0, 2), key=lambda number: probabilities[number])
    words = [text.get_text().replace("−", "-") for text in ax.texts if text.get_text()]
    classes = [word for word in words if word.endswith("logit z")]
    assert classes == ["b,\ntrue class: logit z", f"{'abc'[wrong]},\nother class: logit z"]
    products = [word for word in words if word.startswith("dloss/dw")]
    slopes = [word for word in words if word.startswith("dloss/dz")]
    for number, product, slope in zip((1, wrong), products, slopes, strict=True):
        gradient = weights.grad[number, 2].item()
        x, along, share = re.match(r"dloss/dw = (\S+) × \((\S+)\) = (\S+):", product).groups()
        assert (float(x), float(share)) == (pixel, pytest.approx(gradient, abs=6e-5))
        assert slope.endswith(f"= {along}") and ("- 1" in slope) == (number == 1)
        assert float(along) == pytest.approx(gradient / pixel, abs=6e-6)
        assert product.endswith("raises w" if gradient < 0 else "lowers w")
    assert sum(word.endswith(f"= {pixel:+.3f}") and word.startswith("dz/dw = x") for word in words) == 2
    arrows = [(text.xyann[0], text.xy[0]) for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 4 and all(start < end for start, end in arrows)


def test_relu_keeps_what_is_positive_and_nothing_else(ax):
    drawings.draw_relu(ax=ax)
    x, y = line(ax, "ReLU").get_data()
    assert y.tolist() == [max(0, value) for value in x]
    assert line(ax, "ReLU").get_linestyle() != line(ax, "no activation").get_linestyle()


def test_two_layers_are_straight_without_relu_and_bend_at_the_knees_with_it():
    without, with_relu = drawings.draw_bends([-2, -0.5, 1], [1, -2, 2.5])
    for ax in (without, with_relu):
        parts = [drawn.get_ydata() for drawn in ax.lines if "hidden unit" in drawn.get_label()]
        assert len(parts) == 3
        assert line(ax, "output").get_ydata() == pytest.approx(sum(parts))
        assert len(ax.get_legend().get_texts()) == 4
    assert np.diff(line(without, "output").get_ydata(), 2) == pytest.approx(0, abs=1e-9)
    x, y = line(with_relu, "output").get_data()
    bends = x[1:-1][np.abs(np.diff(y, 2)) > 1e-6]
    assert bends == pytest.approx([-2, -0.5, 1], abs=0.03)
    assert "without" in without.get_title() and "without" not in with_relu.get_title()


def test_layers_are_drawn_with_the_sizes_and_parameters_of_the_model(ax):
    model = nn.Sequential(nn.Flatten(), nn.Linear(30, 20), nn.ReLU(), nn.Dropout(0.3), nn.Linear(20, 4))
    drawings.draw_layers(model, ax=ax)
    texts = [text.get_text() for text in ax.texts]
    assert {"30 pixels", "20 units", "4 logits", "ReLU\nDropout 0.3"} <= set(texts)
    assert {"30 × 20 + 20\n= 620 parameters", "20 × 4 + 4\n= 84 parameters"} <= set(texts)
    assert ax.get_title() == "30 → 20 → 4: 704 parameters"
    assert texts.count("⋮") == 2
    assert [len(drawn.get_offsets()) for drawn in ax.collections] == [10, 10, 4]
    assert len(ax.lines) == 10 + 10  # into the topmost unit of each column


def boxes(ax):
    """Give the texts of the boxes in the order of the page, row by row: (text, whether it is chosen)."""
    numbers = [text for text in ax.texts if text.get_text().lstrip("-").replace(".", "").isdigit()]
    placed = sorted(numbers, key=lambda text: (text.get_position()[1], text.get_position()[0]))
    return [(text.get_text(), text.get_weight() == "bold") for text in placed]


def test_a_sum_is_drawn_with_what_it_adds_and_what_it_leaves():
    down, along = drawings.draw_sum([[1, 2, 3], [4, 5, 6]])
    assert boxes(down) == [
        *[("1", False), ("2", True), ("3", False)],
        *[("4", False), ("5", True), ("6", False)],
        *[("5", False), ("7", True), ("9", False)],
    ]
    assert boxes(along) == [
        *[("1", False), ("2", False), ("3", False), ("6", False)],
        *[("4", True), ("5", True), ("6", True), ("15", True)],
    ]
    assert down.get_title().startswith("table.sum(dim=0): shape (2, 3) → (3,)")
    assert along.get_title().startswith("table.sum(dim=1): shape (2, 3) → (2,)")
    assert "[5, 7, 9]" in down.get_label() and "[6, 15]" in along.get_label()


def test_broadcasting_repeats_the_size_of_one_and_marks_what_was_given(ax):
    drawings.draw_broadcasting([[10], [20]], [[1, 2, 3]], ax=ax)
    rows = boxes(ax)
    assert rows[:9] == [
        *[("10", True), ("10", False), ("10", False)],
        *[("1", True), ("2", True), ("3", True)],
        *[("11", False), ("12", False), ("13", False)],
    ]
    assert [number for number, _ in rows[9:]] == ["20", "20", "20", "1", "2", "3", "21", "22", "23"]
    assert [chosen for _, chosen in rows[9:]] == [True] + [False] * 8
    dotted = [patch for patch in ax.patches if patch.get_linestyle() == ":"]
    assert len(dotted) == 4 + 3  # not by colour alone
    shapes = [text.get_text() for text in ax.texts if text.get_text().startswith("shape")]
    assert shapes == ["shape (2, 1)", "shape (1, 3)", "shape (2, 3)"]


def test_reshape_keeps_the_order_of_the_numbers_and_shows_where_one_row_goes(ax):
    table = torch.arange(12).reshape(3, 4) * 3 + 1
    drawings.draw_reshape(table, 2, 6, ax=ax)
    order = [str(number) for number in table.flatten().tolist()]  # in each of the three
    numbers = boxes(ax)  # of the old table on the left and the new one on the right, then of the row below
    lines = [*order[:4], *order[4:8], *order[:6], *order[8:], *order[6:], *order]
    assert [number for number, _ in numbers] == lines
    assert [number for number, chosen in numbers if chosen] == [*order[4:8], *order[4:6], *order[6:8], *order[4:8]]
    places = {text.get_text(): text.get_position() for text in ax.texts if text.get_position()[1] > 4}
    [cut] = [drawn.get_xdata()[0] for drawn in ax.lines]
    assert places[order[5]][0] < cut < places[order[6]][0]  # after the sixth number
    down, up = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert down.xyann[1] < down.xy[1] and up.xyann[1] > up.xy[1] and down.xy[0] < up.xy[0]
    for arrow, said in ((down, "row after row"), (up, "cut into rows of 6")):
        [beside] = [text.get_position() for text in ax.texts if text.get_text() == said]
        assert beside == pytest.approx((arrow.xy[0] + 0.25, (arrow.xyann[1] + arrow.xy[1]) / 2))
    words = {text.get_text() for text in ax.texts}
    assert {"table: shape (3, 4)", "table.flatten(): shape (12,)", "table.reshape(2, 6): shape (2, 6)"} <= words
    assert str(table.reshape(2, 6).tolist()) in ax.get_label()


@pytest.mark.parametrize(("start", "step", "end"), [(250, 10, 4), (3, 20, 23), (255, 1, 0)])
def test_the_ring_of_a_byte_ends_where_uint8_ends(ax, start, step, end):
    drawings.draw_byte_ring(start, step, ax=ax)
    assert (torch.tensor(start, dtype=torch.uint8) + step).item() == end
    words = [text.get_text() for text in ax.texts]
    assert f"{start} + {step} = {end}\nin uint8" in words
    marks = [drawn.get_xydata()[0] for drawn in ax.lines if drawn.get_marker() == "o"]
    angles = [np.arctan2(x, -y) % (2 * np.pi) * 256 / (2 * np.pi) % 256 for x, y in marks]
    assert [round(angle) % 256 for angle in angles] == [start, end]


def test_the_zoom_shows_the_numbers_of_the_pixels_in_the_frame():
    image = torch.arange(30).reshape(5, 6) * 8
    whole, square = drawings.draw_zoom(image, top=1, left=2, size=3, title="A picture")
    [frame] = whole.patches
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (1.5, 0.5, 3, 3)
    places = {text.get_position(): text.get_text() for text in square.texts}
    assert places == {(column, row): str(8 * (6 * row + column)) for row in (1, 2, 3) for column in (2, 3, 4)}
    assert whole.images[0].get_clim() == square.images[0].get_clim() == (0, 255)
    assert whole.get_title() == "A picture" and square.images[0].get_extent() == [1.5, 4.5, 3.5, 0.5]


def test_profiles_are_the_sums_and_lie_in_line_with_the_pixels():
    image = torch.arange(6.0).reshape(2, 3)
    picture, below, beside = drawings.draw_profiles(image, "Ours")
    assert below.lines[0].get_xydata().tolist() == [[0, 3], [1, 5], [2, 7]]
    assert beside.lines[0].get_xydata().tolist() == [[3, 0], [12, 1]]
    assert below.get_xlim() == picture.get_xlim() and beside.get_ylim() == picture.get_ylim()
    assert picture.get_title() == "Ours"


def test_a_slope_is_drawn_as_a_line_through_the_point(ax):
    drawings.draw_slope(lambda w: (w - 2) ** 2, 1.0, -2.0, ax=ax)
    assert line(ax, "loss").get_ydata() == pytest.approx((line(ax, "loss").get_xdata() - 2) ** 2)
    (x0, y0), (x1, y1) = line(ax, "tangent at w = 1: slope -2.000").get_xydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(-2) and (y0 + y1) / 2 == pytest.approx(1)


def test_the_riddle_draws_the_means_of_the_classes_that_its_answer_names():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.arange(40) % 10
    for ax, letter in zip(drawings.draw_riddle(images, labels), "ABCD", strict=True):
        mean = images[labels == config.CLASS_NAMES.index(drawings.RIDDLE[letter]), 0].float().mean(dim=0)
        solid = drawings.RIDDLE["solid"]
        assert line(ax, "solid").get_ydata() == pytest.approx(mean.mean(dim=solid).numpy())
        assert line(ax, "dashed").get_ydata() == pytest.approx(mean.mean(dim=1 - solid).numpy())
        assert line(ax, "dashed").get_linestyle() == "--"
        assert drawings.RIDDLE[letter] not in f"{ax.get_title()}{ax.get_label()}"


def test_all_inputs_of_a_dead_unit_lie_where_the_slope_is_zero():
    inputs = {"living": np.array([-2.0, -1, 0.5, 3, 1]), "dead": np.array([-3.0, -0.5, -0.01, -1, -2])}
    axes = drawings.draw_dead_relu(inputs, {"living": 0.25, "dead": 0.0})
    for (above, below), (off, on), norm in zip(axes.T, [(2, 3), (5, 0)], ("0.25", "0"), strict=True):
        flat, steep = (drawn.get_xydata() for drawn in above.lines[:2])
        assert flat[:, 1].tolist() == [0, 0] and flat[1, 0] == 0
        assert steep[0].tolist() == [0, 0] and steep[1, 0] == steep[1, 1] > 3
        slopes = {text.get_text(): text.get_position()[0] for text in above.texts}
        assert -steep[1, 0] < slopes["slope 0"] < 0 < slopes["slope 1"] < steep[1, 0]
        left = [bar for bar in below.patches if bar.get_hatch()]  # not by colour alone
        right = [bar for bar in below.patches if not bar.get_hatch()]
        assert (sum(bar.get_height() for bar in left), sum(bar.get_height() for bar in right)) == (off, on)
        assert all(bar.get_x() + bar.get_width() < 1e-9 for bar in left if bar.get_height())
        assert all(bar.get_x() > -1e-9 for bar in right if bar.get_height())
        counts = {text.get_position()[0] > 0: text.get_text() for text in below.texts}
        assert counts == {False: f"{off} of 5\nimages", True: f"{on} of 5\nimages"}
        assert above.get_title().endswith(f"gradient of its weights: {norm}")
        assert above.get_xlim() == below.get_xlim()
        assert f"below 0 for {off} of 5 images, above 0 for {on}" in below.get_label()


@pytest.mark.parametrize(
    ("heads", "tosses", "p_value"), [(15, 20, 0.0414), (5, 20, 0.0414), (10, 20, 1.0), (6, 6, 0.03125)]
)
def test_the_hatched_bars_of_the_coin_add_up_to_the_p_value(heads, tosses, p_value):
    ax = drawings.draw_fair_coin(heads, tosses)
    less, uneven = ax.containers
    assert sum(bar.get_height() for bar in uneven) == pytest.approx(100 * p_value, abs=0.02)
    assert sum(bar.get_height() for bar in [*less, *uneven]) == pytest.approx(100, abs=0.02)
    assert all(bar.get_hatch() for bar in uneven) and not any(bar.get_hatch() for bar in less)
    assert ax.lines[0].get_xdata()[0] == heads and ax.get_xlabel() == f"heads in {tosses} tosses"


def test_the_coin_is_tossed_only_where_two_models_differ(ax):
    first, second = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool), np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0], bool)
    drawings.draw_tosses({"A": first, "B": second}, ax=ax)
    cells = {text.get_text(): text.get_position() for text in ax.texts}
    right, wrong, high, low = cells["A right"][0], cells["A wrong"][0], cells["B\nright"][1], cells["B\nwrong"][1]
    assert right < wrong and high < low  # y grows downwards
    for words, x, y in [("no toss: 2", right, high), ("tails: 1", wrong, high), ("heads: 3", right, low)]:
        assert cells[words][0] == x and abs(cells[words][1] - y) < 0.5
    assert "no toss: 4" in cells
    assert cells["only A right"][0] == right and cells["only B right"][0] == wrong
    assert "tossed for 4 of 10 images" in ax.get_title()
    assert "only A right: 3, heads" in ax.get_label() and "only B right: 1, tails" in ax.get_label()


def test_each_broken_model_shows_the_fault_that_the_exercise_asks_for():
    labels = np.repeat(np.arange(10), 100)
    axes = drawings.draw_broken_models(labels, labels)
    assert [ax.get_title()[:7] for ax in axes] == ["Model A", "Model B", "Model C", "Model D"]
    shuffled, never, exchanged, often = (np.asarray(ax.images[0].get_array()) for ax in axes)
    assert all(
        matrix.sum() == 1000 and (matrix.sum(axis=1) == 100).all() for matrix in (shuffled, never, exchanged, often)
    )
    assert shuffled.max() < 30
    assert never[:, 6].sum() == 0 and never[6, 0] == 100
    assert exchanged[7, 9] == exchanged[9, 7] == 100 and exchanged.trace() == 800
    assert (often[:, 4] > 20).all() and often.trace() > 500


def test_the_order_in_memory_puts_the_channels_of_a_pixel_side_by_side_or_apart():
    usual, last = drawings.draw_memory_order(3)
    orders = [[text.get_text() for text in ax.texts if text.get_text()] for ax in (usual, last)]
    assert orders[0] == ["a0", "b0", "c0", "d0", "a1", "b1", "c1", "d1", "a2", "b2", "c2", "d2"]
    assert orders[1] == ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2", "d0", "d1", "d2"]
    memory = torch.arange(12).reshape(1, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    in_memory = torch.as_strided(memory, (12,), (1,)).tolist()  # numbers 0 to 3 are the pixels of channel 0
    assert [f"{'abcd'[number % 4]}{number // 4}" for number in in_memory] == orders[1]
    assert "pixel a lie 4 apart" in usual.get_title(loc="left") and "lie 1 apart" in last.get_title(loc="left")


def test_a_sliding_kernel_shows_the_window_the_products_and_the_map_as_far_as_it_is_filled(ax):
    image, kernel = np.arange(20).reshape(4, 5), np.array([[0, 1], [-2, 3]])
    drawings.draw_sliding_kernel(image, kernel, [(0, 0), (1, 2)], ax=ax)
    expected = [[(image[r : r + 2, c : c + 2] * kernel).sum() for c in range(4)] for r in range(3)]
    words = [text.get_text() for text in ax.texts]
    assert [word for word in words if word.startswith("sum")] == [f"sum {expected[0][0]}", f"sum {expected[1][2]}"]
    edge = max(text.get_position()[0] for text in ax.texts if text.get_text() == "feature map") - 2
    right = [text for text in ax.texts if text.get_position()[0] > edge and text.get_text() != "feature map"]
    filled = [int(text.get_text()) for text in right]
    # Of the first stage the first cell, of the second all up to row 1, column 2.
    assert filled == [expected[0][0], *expected[0], *expected[1][:2], expected[1][2]]
    chosen = [text.get_text() for text in right if text.get_weight() == "bold"]
    assert chosen == [str(expected[0][0]), str(expected[1][2])]
    dotted = [patch for patch in ax.patches if patch.get_linestyle() == ":"]
    assert len(dotted) == 11 + 5
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert [(arrow.xyann[1], arrow.xy[1]) for arrow in arrows] == [(2, 2), (7, 7)]  # half-way down each image
    assert "row 1, column 2 the sum is " + str(expected[1][2]) in ax.get_label()


def test_channels_are_added_up_to_what_conv2d_makes_of_them(ax):
    generator = torch.Generator().manual_seed(1)
    maps, kernel = (torch.randint(-3, 4, size, generator=generator) for size in ((3, 4, 5), (3, 2, 3)))
    drawings.draw_channels(maps, kernel, 2, ax=ax)
    results = [F.conv2d(maps[k, None].float(), kernel[k, None, None].float())[0] for k in range(3)]
    output = (sum(results) + 2).flatten().int().tolist()
    assert output == F.conv2d(maps[None].float(), kernel[None].float(), torch.tensor([2.0])).flatten().tolist()
    numbers = [(text, int(text.get_text())) for text in ax.texts if text.get_text().lstrip("-").isdigit()]
    edge = max(text.get_position()[0] for text, _ in numbers) - 3
    right = [number for text, number in numbers if text.get_position()[0] > edge]
    assert sorted(right) == sorted(output)
    drawn = sorted(number for _, number in numbers)
    tables = [maps.flatten(), kernel.flatten(), *map(torch.Tensor.flatten, results), torch.tensor(output)]
    assert drawn == sorted(int(number) for table in tables for number in table)
    chosen = [number for text, number in numbers if text.get_weight() == "bold"]
    firsts = [int(result[0, 0]) for result in results]
    assert sorted(chosen) == sorted([*maps[:, :2, :3].flatten().tolist(), *firsts, output[0]])
    assert f"{' + '.join(map(str, firsts))} + 2 = {output[0]}" in ax.get_label()
    assert "their sum,\nplus bias 2" in [text.get_text() for text in ax.texts]


def test_pooling_frames_the_largest_of_each_block_and_shows_it_again():
    values = np.array([[1.0, 3, 0, 0], [4, 2, 0, 0], [0, 1, 5, 2], [2, 2.5, 3, 8]])
    whole, pooled = drawings.draw_pooling(values, "a map")
    frames = [patch for patch in whole.patches if patch.get_width() < 1]
    corners = [tuple(round(part + 0.44) for part in frame.get_xy()) for frame in frames]
    assert corners == [(0, 1), (1, 3), (3, 3)]  # column, row; a block of zeros has no frame
    assert len(whole.patches) - len(frames) == 4
    assert [text.get_text() for text in pooled.texts] == ["4.0", "0.0", "2.5", "8.0"]
    bold = [text.get_text() for text in whole.texts if text.get_weight() == "bold"]
    assert bold == ["4.0", "2.5", "8.0"]
    assert (whole.get_title(), pooled.get_title()) == ("a map: 4 × 4", "after max-pooling: 2 × 2")
    assert "[[4.0, 0.0], [2.5, 8.0]]" in pooled.get_label()


def test_pooling_frames_no_number_that_reads_zero():
    whole, _ = drawings.draw_pooling(np.array([[0.0, 0.03], [0.01, 0.02]]))
    assert [patch.get_width() for patch in whole.patches] == [2]
    assert {text.get_text() for text in whole.texts} == {"0.0"}
    assert {text.get_weight() for text in whole.texts} == {"normal"}


def test_a_receptive_field_is_framed_and_measured():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:8] = True
    first, second = drawings.draw_receptive_field(np.zeros((10, 12)), {"one": mask, "two": ~np.zeros_like(mask)})
    [frame] = first.patches
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (2.5, 1.5, 5, 3)
    assert (first.get_title(), second.get_title()) == ("one\n3 × 5 pixels", "two\n10 × 12 pixels")
    assert np.isfinite(first.images[1].get_array().filled(np.nan)).sum() == 15
    assert "15 pixels, in a square of 3 by 5" in first.get_label()


def test_a_unit_that_depends_on_no_pixel_is_drawn_all_the_same():
    [ax] = drawings.draw_receptive_field(np.zeros((10, 12)), {"dead": np.zeros((10, 12), bool)})
    assert ax.get_title() == "dead\nno pixel" and not ax.patches and "no pixel" in ax.get_label()


@pytest.mark.parametrize("windows", [{"pooling": 2, "conv2": 3, "conv1": 3}, {"conv2": 5, "conv1": 3}])
def test_the_grids_grow_to_what_a_gradient_reaches(ax, windows):
    drawings.draw_growing_field(windows, ax=ax)
    pixels = torch.zeros(20, requires_grad=True)
    numbers, widths = pixels, []
    for kernel in reversed(windows.values()):
        numbers = numbers.unfold(0, kernel, 1).sum(dim=1)
    numbers[0].backward()
    last = int(pixels.grad.count_nonzero())
    texts = {text.get_text(): text.get_position() for text in ax.texts}
    assert f"the image\n{last} × {last} pixels" in texts
    assert sum("pixels" in text for text in texts) == 1 and sum("numbers" in text for text in texts) == len(windows) - 1
    squares = [patch for patch in ax.patches if patch.get_fill()]
    for kernel in (1, *windows.values()):
        widths.append(kernel + (widths[-1] - 1 if widths else 0))
    assert len(squares) == sum(width**2 for width in widths)
    added = sum(new**2 - old**2 for old, new in pairwise(widths))
    assert sum(patch.get_hatch() is not None for patch in squares) == added  # not by colour alone
    assert all(f"{old} + {new - old} = {new}" in texts for old, new in pairwise(widths))
    frames = [patch for patch in ax.patches if not patch.get_fill()]
    for first, second in zip(frames[::2], frames[1::2], strict=True):  # neighbours, whose middles are one square apart
        middles = [frame.get_x() + frame.get_width() / 2 for frame in (first, second)]
        assert middles[1] - middles[0] == pytest.approx(1)
        assert first.get_linestyle() != second.get_linestyle()
    assert len(frames) == 2 * (len(windows) - 1) and f"{last} × {last} pixels of the image" in ax.get_label()


def test_no_arrow_leads_back_from_the_test_images(ax):
    drawings.draw_door(50, 20, 10, ax=ax)
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts if text.get_text()}
    assert {"training images\n50", "validation images\n20", "test images\n10"} <= set(heights)
    at_the_door = [arrow for arrow in arrows if arrow.xy[1] == heights["test images\n10"]]
    assert len(arrows) == 4 and len(at_the_door) == 1
    assert at_the_door[0].xy[0] > at_the_door[0].xyann[0]
    [door] = ax.patches
    assert at_the_door[0].xyann[0] < door.get_x() < at_the_door[0].xy[0]
    [again] = [arrow for arrow in arrows if arrow.xy[1] != arrow.xyann[1]]
    assert again.xyann[1] > heights["test images\n10"] and again.xy[1] > again.xyann[1]  # from decisions to weights


@pytest.mark.parametrize("training", [True, False])
def test_the_flow_of_batch_norm_carries_the_numbers_of_the_layer(ax, training):
    drawn, own = nn.BatchNorm1d(1, momentum=0.25), nn.BatchNorm1d(1, momentum=0.25)
    for layer in (drawn, own):
        layer.running_mean.fill_(3)
        layer.running_var.fill_(4)
        layer.train(training)
    output = own(torch.tensor([[1.0], [2.0], [7.5]])).flatten().tolist()
    drawings.draw_batch_norm(drawn, [1.0, 2.0, 7.5], ax=ax)
    assert torch.equal(drawn.running_mean, own.running_mean) and torch.equal(drawn.running_var, own.running_var)
    texts = [text.get_text() for text in ax.texts]
    assert texts[:3] == ["1", "2", "7.5"]
    assert [float(text) for text in texts[3:6]] == pytest.approx(output, abs=0.006)
    kept = f"mean {own.running_mean.item():.2f}, variance {own.running_var.item():.2f}"
    [running] = [text for text in texts if text.startswith("running values")]
    assert kept in running and ("unchanged" in running) != training and ("were 3.00 and 4.00" in running) == training
    values = torch.tensor([1.0, 2.0, 7.5])
    mean, variance = (values.mean(), values.var(correction=0)) if training else (3, 4)
    assert f"(x − {mean:.2f}) / √({variance:.2f} + ε)" in texts
    assert any("75% old + 25% new" in text and f"{values.var().item():.2f}" in text for text in texts) == training
    arrows = [(text.xyann, text.xy) for text in ax.texts if getattr(text, "arrow_patch", None)]
    into_the_batch = [start[1] for start, end in arrows if end[1] < 1.2]
    rows = [text.get_position()[1] for text in ax.texts[:3]]
    assert into_the_batch == (rows if training else [])  # each number has its way into the mean and the variance
    assert ax.get_title().startswith("Training mode" if training else "Evaluation mode")
    assert all(f"{round(value, 2):g}" in ax.get_label() for value in output)


@pytest.mark.parametrize(("make", "middle"), [(deep.plain_block, 1), (deep.plain_block, 0), (deep.residual_block, 0)])
def test_a_block_is_drawn_with_its_kernels_and_what_they_make_of_the_map(ax, make, middle):
    block, x = make(1), np.array([[1, 3, 0], [2, 5, 1], [4, 0, 2]])
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
            if parameter.dim() == 4:
                parameter[0, 0, 1, 1] = middle
    drawings.draw_copy(block, x, "This one", ax=ax)
    residual = make is deep.residual_block
    kernel, lost = [0] * 4 + [middle] + [0] * 4, not (middle or residual)
    numbers = [text for text in ax.texts if text.get_text().isdigit()]
    numbers.sort(key=lambda text: (text.get_position()[0] // 5.5, text.get_position()[1], text.get_position()[0]))
    end = [0] * 9 if lost else x.flatten().tolist()
    added = [0] * 9 if residual else []
    assert [int(text.get_text()) for text in numbers] == [*x.flatten(), *kernel, *kernel, *added, *end]
    assert ax.get_title(loc="left") == f"This one: {'y is 0, and x is lost' if lost else 'y is x, a copy'}"
    assert f"y = {np.reshape(end, (3, 3)).tolist()}" in ax.get_label()
    arrows = [(text.xyann[0], text.xy[0]) for text in ax.texts if getattr(text, "arrow_patch", None)]
    level = sorted((start, tip) for start, tip in arrows if start != tip)
    assert all(start < tip for start, tip in level) and len(level) == (5 if residual else 3)
    assert [text.get_text() for text in ax.texts].count("ReLU") == 2  # one in the block, one behind it
    # The shortcut leads from x to the plus sign.
    plus = [text.get_position()[0] for text in ax.texts if text.get_text() == "+"]
    assert [tip for start, tip in arrows if start == tip] == plus == [drawn.get_xdata()[-1] for drawn in ax.lines]
    assert len(plus) == residual and all(drawn.get_xdata()[0] == 1.5 for drawn in ax.lines)
    words = [text.get_position()[1] for text in ax.texts if text.get_text() == "shortcut: x itself"]
    assert len(words) == residual and all(y < min(drawn.get_ydata()) for y, drawn in zip(words, ax.lines, strict=True))


def test_a_block_that_adds_something_is_no_copy(ax):
    block = deep.residual_block(1)
    with torch.no_grad():
        for parameter, value in zip(block.parameters(), (0, 0.05, 1, 2), strict=True):
            parameter.fill_(value)
    drawings.draw_copy(block, [[1, 2, 3]], "This one", ax=ax)
    added = block[0](torch.tensor([[[[1.0, 2, 3]]]])) - torch.tensor([1.0, 2, 3])
    assert added.flatten().tolist() == pytest.approx([2.1, 2.15, 2.1])
    assert ax.get_title(loc="left") == "This one: y is not x"
    numbers = [text.get_text() for text in ax.texts if text.get_text().isdigit()]
    assert numbers[:18] == ["0"] * 9 + ["1"] * 9  # the two kernels
    assert "F(x) = [[2.1, 2.15, 2.1]]" in ax.get_label()
    assert ax.get_label().endswith("makes y = [[3.1, 4.15, 5.1]].")


@pytest.mark.parametrize("true", [[0.75] * 8, np.linspace(0.6, 0.9, 5), [0.8]])
def test_arrows_of_luck_lead_from_true_to_measured_and_the_highest_measured_wins(ax, true):
    drawings.draw_luck(true, 200, ax=ax)
    starts, ends = (line(ax, label).get_ydata() for label in ("true", "measured on 200"))
    assert starts == pytest.approx(100 * np.asarray(true))
    assert 2 * ends == pytest.approx(np.round(2 * ends)) and (len(ends) == 1 or np.ptp(ends) > 0)  # of 200 images
    arrows = [(text.xyann, text.xy) for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert arrows == [((k + 1, a), (k + 1, b)) for k, (a, b) in enumerate(zip(starts, ends, strict=True))]
    [winner] = line(ax, "the winner").get_xydata()
    best = int(np.argmax(ends))
    assert winner.tolist() == [best + 1, ends[best]]
    assert [text.xy for text in ax.texts if text.get_text() == "winner"] == [(best + 1, ends[best])]
    here, mean = re.search(r"luck: (\S+) points here, (\S+) on average", ax.get_title()).groups()
    assert float(here) == pytest.approx(ends[best] - starts[best], abs=0.06)
    tried = np.random.default_rng(99).binomial(200, true, (20_000, len(true))) / 200
    luck = [row.max() - true[row.argmax()] for row in tried]
    assert float(mean) == pytest.approx(100 * np.mean(luck), abs=0.35)
    assert ("equally good" in ax.get_title()) == (np.ptp(true) == 0)


def test_pairs_are_counted_and_lie_below_the_roc_curve(ax):
    inside, outside = [3, 9, 5], [5, 1, 7, 9]
    drawings.draw_pairs(inside, outside, ax=ax)
    marks = [text.get_text() for text in ax.texts]
    assert (marks.count("✓"), marks.count("½"), marks.count("✗")) == (5, 2, 5)
    assert ax.get_title() == "AUROC: 5 ✓ + 2 × ½ of 12 pairs = 50%"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["9", "5", "3"]  # from below
    x, y = line(ax, "ROC curve").get_data()
    share, truth = np.r_[inside, outside], np.r_[np.ones(3), np.zeros(4)]
    across, up, _ = roc_curve(truth, share, drop_intermediate=False)
    assert (np.asarray(x) / 4).tolist() == across.tolist() and (np.asarray(y) / 3).tolist() == up.tolist()
    ticks = [text.get_position() for text in ax.texts if text.get_text() == "✓"]
    middles = {(x % 1, y % 1) for x, y in (text.get_position() for text in ax.texts if text.get_text() in "✓✗")}
    assert middles == {(0.5, 0.5)} and max(y for _, y in ticks) > 1
    framed = {text.get_text(): text.get_bbox_patch() is not None for text in ax.texts if text.get_text() in "✓✗"}
    assert framed == {"✓": False, "✗": True}  # which could not be read on its hatched ground
    assert all(np.interp(column, x, y) >= row for column, row in ticks)
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    assert len(hatched) == 5 + 2 and "in 5, and 2 tie" in ax.get_label()


def test_the_flow_of_grad_cam_ends_in_what_the_helper_computes():
    generator = torch.Generator().manual_seed(0)
    maps, weights = torch.rand(5, 4, 4, generator=generator), torch.tensor([0.1, 0.3, -0.2, -0.4, 0.2])
    ax = drawings.draw_grad_cam(torch.zeros(8, 8), maps, weights)
    total = torch.einsum("c,cij->ij", weights, maps)
    drawn = [torch.as_tensor(np.asarray(image.get_array())) for image in ax.images]
    [added, kept] = [values for values, image in zip(drawn, ax.images, strict=True) if image.get_cmap().name == "RdBu"]
    assert torch.allclose(added, total) and torch.equal(kept, added.clamp(min=0)) and not torch.equal(kept, added)
    opacity = ax.images[-1].get_alpha()
    assert np.allclose(opacity, (enlarge(kept[None], 8)[0] / total.abs().max()).clamp(0, 0.85))
    words = [text.get_text() for text in ax.texts]
    assert [word for word in words if word.startswith("×")] == ["× +0.300", "× +0.200", "× −0.400"]
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 4 and all(arrow.xy[0] > arrow.xyann[0] for arrow in arrows)
    for left, right, *_ in (image.get_extent() for image in ax.images):  # no arrow crosses a picture
        assert all(arrow.xy[0] <= left or arrow.xyann[0] >= right for arrow in arrows)
    limit = total.abs().max().item()
    signs = [text.get_text() for text in ax.texts if text.get_text() in "+−"]
    assert signs.count("+") == 2 * (total > limit / 8).sum() and signs.count("−") == (total < -limit / 8).sum()
    for image in ax.images:
        assert image.get_cmap().name != "RdBu" or image.get_clim() == pytest.approx((-limit, limit))
    assert {"5 maps × mean gradient", "add up", "ReLU", "enlarge", "Grad-CAM: 4 × 4"} <= set(words)


def test_grad_cam_without_anything_positive_has_no_outline():
    ax = drawings.draw_grad_cam(torch.zeros(8, 8), torch.ones(3, 4, 4), -torch.ones(3))
    assert not ax.collections and not ax.images[-1].get_alpha().any()


def test_each_part_is_asked_once_by_the_network_that_did_not_train_on_it(ax):
    drawings.draw_folds(11, 3, ax=ax)
    words = [(text.get_text(), *text.get_position()) for text in ax.texts]
    rows = {text: y for text, _, y in words if text.startswith("network") or text == "answers"}
    columns = {text: x for text, x, _ in words if text.startswith("part")}
    assert list(columns) == ["part 1: 4 images", "part 2: 4 images", "part 3: 3 images"]
    boxes = {(x, y): text for text, x, y in words}
    for network in (1, 2, 3):
        along = [boxes[x, rows[f"network {network}"]] for x in columns.values()]
        assert along == ["is asked" if part == network else "trains" for part in (1, 2, 3)]
    assert [boxes[x, rows["answers"]] for x in columns.values()] == [f"from network {part}" for part in (1, 2, 3)]
    assert len([patch for patch in ax.patches if patch.get_hatch()]) == 3 + 3
    orders = {bool(patch.get_hatch()): patch.get_zorder() for patch in ax.patches}
    assert orders[True] > orders[False]  # or the edges of its neighbours hide that of the part that is asked about
    assert "network 3 trains on 8 and is asked about 3" in ax.get_label()


def test_grey_levels_are_drawn_with_their_numbers_one_row_for_each_way(ax):
    values = np.array([0, 300, 65535], np.uint16)
    drawings.draw_to_bytes(values, {"right": (values // 257).astype(np.uint8), "wrong": values.astype(np.uint8)}, ax=ax)
    rows = {}
    for text in ax.texts:
        rows.setdefault(text.get_position()[1], []).append(text.get_text())
    assert list(rows.values()) == [
        ["16 bits, as in the file", "0", "300", "65,535"],
        ["right", "0", "1", "255"],
        ["wrong", "0", "44", "255"],
    ]
    assert [image.get_array().tolist() for image in ax.images] == [[[0, 300, 65535]], [[0, 1, 255]], [[0, 44, 255]]]
    assert [image.get_clim() for image in ax.images] == [(0, 65535), (0, 255), (0, 255)]  # one shade of white


def test_a_sum_is_cut_off_at_the_largest_number_of_16_bits(ax):
    drawings.draw_sum_in_16_bits({"large": 100, "small": 60}, ax=ax)
    widths = {(patch.get_hatch(), patch.get_x()): [] for patch in ax.patches}
    for patch in ax.patches:
        widths[patch.get_hatch(), patch.get_x()].append(patch.get_width())
    assert widths == {(None, 0): [32767, 2 * 255 * 60], ("//", 32767): [2 * 255 * 100 - 32767]}
    words = [text.get_text() for text in ax.texts]
    assert words == ["255 × 100 + 255 × 100 = 51,000", "cut off: 18,233", "255 × 60 + 255 × 60 = 30,600"]
    assert ax.lines[-1].get_xdata()[0] == 32767 and "32,767" in ax.get_title()


def test_the_arrows_are_as_long_as_the_singular_values_and_keep_their_directions():
    left, _, right = torch.linalg.svd(torch.tensor([[2.0, 1.0], [0.5, 1.0]]))
    values = [torch.tensor([1.5, 0.3]), torch.tensor([0.8, 1.1])]
    axes = drawings.draw_step_lengths({name: left * v @ right for name, v in zip("ab", values, strict=True)})
    for ax, lengths in zip(axes, values, strict=True):
        arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
        for arrow, direction, length in zip(arrows, left.T, lengths, strict=True):
            assert abs(float(torch.as_tensor(arrow.xy) @ direction)) == pytest.approx(length.item(), abs=1e-5)
        written = [text.get_text() for text in ax.texts if text.get_text()]
        assert written == [f"{length:.2f}" for length in lengths.tolist()]
        outputs = np.hypot(*line(ax, "outputs").get_data())
        low, high = lengths.min().item(), lengths.max().item()
        assert (outputs.min(), outputs.max()) == pytest.approx((low, high), rel=0.01)
        assert np.hypot(*line(ax, "inputs").get_data()) == pytest.approx(1)
        assert all(written_length in ax.get_label() for written_length in written)


def test_the_valley_holds_each_path_with_its_own_line_and_mark(ax):
    paths = {name: np.array([[-4.0, 1.0], [number, 0.5]]) for number, name in enumerate("abc")}
    drawings.draw_valley(paths, ax=ax)
    lines = {drawn.get_label(): drawn for drawn in ax.lines}
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
