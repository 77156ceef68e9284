"""Figures, checked through their Axes: titles, ticks, labels, texts and marks."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from torchvision.utils import make_grid

from helpers import config, plotting

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [0.9, 0.5, 0.4],
        "validation_loss": [0.8, 0.6, 0.5],
        "train_accuracy": [0.6, 0.8, 0.85],
        "validation_accuracy": [0.7, 0.75, 0.8],
    }
)


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no open figure and no changed setting behind."""
    with mpl.rc_context():
        yield
    plt.close("all")


def lines_of(ax):
    """Give the lines of an Axes by their labels."""
    return {line.get_label(): line for line in ax.lines}


def cell_texts(ax):
    """Give {(row, column): text} of a drawn matrix."""
    return {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in ax.texts}


def test_theme_sets_the_palette_and_constrained_layout():
    plotting.use_theme()
    assert mpl.rcParams["figure.constrained_layout.use"]
    colors = [to_hex(color).upper() for color in mpl.rcParams["axes.prop_cycle"].by_key()["color"]]
    assert colors[:3] == [plotting.BLUE, plotting.ORANGE, plotting.GREEN] and len(set(colors)) == 8


def test_an_image_is_drawn_in_full_grey_scale_without_ticks(ax):
    image = torch.full((1, 28, 28), 100, dtype=torch.uint8)
    assert plotting.plot_image(image, "Bag", ax=ax) is ax
    drawn = ax.images[0]
    assert drawn.get_array().shape == (28, 28) and (drawn.get_array() == 100).all()
    assert drawn.get_clim() == (0, 255) and drawn.get_cmap().name == "gray"
    assert ax.get_title() == "Bag" and len(ax.get_xticks()) == len(ax.get_yticks()) == 0


def test_a_grid_has_one_axes_for_each_image_and_hides_the_rest():
    images = torch.arange(7, dtype=torch.uint8).reshape(7, 1, 1, 1).expand(7, 1, 28, 28)
    axes = plotting.plot_images(images, [f"no {number}" for number in range(7)], columns=3)
    assert [ax.get_title() for ax in axes] == [f"no {number}" for number in range(7)]
    assert [int(ax.images[0].get_array()[0, 0]) for ax in axes] == list(range(7))
    all_axes = axes[0].figure.axes
    assert len(all_axes) == 9 and [ax.axison for ax in all_axes] == [True] * 7 + [False] * 2


def test_predictions_carry_a_tick_or_a_cross_the_confidence_and_the_true_class():
    probabilities = np.full((2, 10), 0.02)
    probabilities[0, 8], probabilities[1, 0] = 0.82, 0.63
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    right, wrong = plotting.plot_predictions(images, np.array([8, 6]), np.array([8, 0]), probabilities)
    assert right.get_title() == "✓ Bag 82 %\ntruly Bag"
    assert wrong.get_title() == "✗ T-shirt/top 63 %\ntruly Shirt"
    for ax, color in ((right, plotting.GREEN), (wrong, plotting.ORANGE)):
        assert {to_hex(spine.get_edgecolor()) for spine in ax.spines.values()} == {color.lower()}
        assert all(spine.get_visible() for spine in ax.spines.values())
    assert plotting.GREEN != plotting.ORANGE


def test_a_confidence_is_never_rounded_to_a_whole():
    images = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    [ax] = plotting.plot_predictions(images, np.array([9]), np.array([5]), np.eye(10)[[5]] * 0.9999)
    assert ax.get_title() == "✗ Sandal over 99 %\ntruly Ankle boot"


def test_loss_curves_are_told_apart_by_line_and_marker(ax):
    plotting.plot_history(HISTORY, ax=ax)
    train, validation = ax.lines
    assert (train.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert train.get_marker() != validation.get_marker()
    assert train.get_ydata().tolist() == HISTORY["train_loss"].tolist()
    assert validation.get_ydata().tolist() == HISTORY["validation_loss"].tolist()
    assert train.get_xdata().tolist() == [1, 2, 3]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "validation"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss (cross-entropy, nats)")


def test_accuracy_curves_are_in_percent_at_whole_epochs(ax):
    plotting.plot_history(HISTORY, "accuracy", ax=ax)
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([60, 80, 85])
    assert ax.lines[1].get_ydata().tolist() == pytest.approx([70, 75, 80])
    assert ax.get_ylabel() == "accuracy (%)"
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_confusion_matrix_has_true_classes_as_rows_and_predicted_as_columns(six_samples, ax):
    assert plotting.plot_confusion_matrix(*six_samples, ax=ax) is ax
    # Shirt is class 6, T-shirt/top 0, Coat 4, Pullover 2; zeros stay empty.
    assert cell_texts(ax) == {(6, 0): "2", (6, 6): "1", (4, 2): "1", (0, 0): "1", (2, 2): "1"}
    drawn = ax.images[0].get_array()
    assert drawn[6, 0] == 2 and drawn[0, 6] == 0 and drawn.sum() == 6
    assert (ax.get_ylabel(), ax.get_xlabel(), ax.get_title()) == ("true class", "predicted class", "counts")
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == config.CLASS_NAMES


@pytest.mark.parametrize(
    ("normalize", "title", "texts"),
    [
        (
            "true",
            "percent of each true class",
            {(6, 0): "67", (6, 6): "33", (4, 2): "100", (0, 0): "100", (2, 2): "100"},
        ),
        (
            "pred",
            "percent of each predicted class",
            {(6, 0): "67", (0, 0): "33", (6, 6): "100", (4, 2): "50", (2, 2): "50"},
        ),
    ],
)
def test_confusion_matrix_in_percent_of_rows_or_columns(six_samples, ax, normalize, title, texts):
    plotting.plot_confusion_matrix(*six_samples, normalize=normalize, ax=ax)
    assert cell_texts(ax) == texts
    assert ax.images[0].get_array()[6, 0] == pytest.approx(200 / 3)
    assert ax.get_title() == title


def test_errors_only_leaves_the_diagonal_empty(six_samples, ax):
    plotting.plot_confusion_matrix(*six_samples, errors_only=True, ax=ax)
    assert cell_texts(ax) == {(6, 0): "2", (4, 2): "1"}
    assert ax.images[0].get_array().mask.sum() == 10
    assert ax.images[0].get_clim() == (0, 2)  # the colours span the errors, not the diagonal
    assert ax.get_title() == "Errors only: counts"


def test_a_share_below_half_a_percent_is_not_shown_as_zero(ax):
    labels = np.zeros(1_000, dtype=int)
    predictions = labels.copy()
    predictions[0] = 3
    plotting.plot_confusion_matrix(labels, predictions, normalize="true", ax=ax)
    assert cell_texts(ax) == {(0, 0): "100", (0, 3): "<1"}


def test_text_on_dark_cells_is_white_and_on_light_cells_black(six_samples, ax):
    plotting.plot_confusion_matrix(*six_samples, ax=ax)
    assert {(text.get_text(), text.get_color()) for text in ax.texts} == {("2", "white"), ("1", "black")}


def test_the_scoreboard_shows_each_accuracy_with_its_interval_and_chance():
    table = pd.DataFrame(
        {"name": ["a", "b"], "images": [100, 1000], "accuracy": [0.5, 0.9], "low": [0.4, 0.88], "high": [0.6, 0.92]}
    )
    ax = plotting.plot_scoreboard(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a\n100 images", "b\n1,000 images"]
    words = [text.get_text() for text in ax.texts]
    assert words == ["50.0 % (40.0 to 60.0 %)", "90.0 % (88.0 to 92.0 %)", "chance, 10 %"]
    [[low, _], [high, _]] = ax.collections[0].get_segments()[0], ax.collections[0].get_segments()[1]
    assert np.allclose([low[0], high[0]], [40, 88])


@pytest.mark.parametrize("accuracy", [0.934, 1.0])
def test_the_words_of_the_scoreboard_stay_within_its_frame(accuracy):
    row = {"name": ["a"], "images": [10_000], "accuracy": [accuracy], "low": [0.929], "high": [accuracy]}
    ax = plotting.plot_scoreboard(pd.DataFrame(row), ax=plt.subplots(figsize=(8, 2))[1])
    ax.figure.canvas.draw()
    frame, words = ax.get_window_extent(), ax.texts[0].get_window_extent()
    assert frame.x0 < words.x0 and words.x1 < frame.x1


def test_signed_numbers_are_marked_with_their_sign_as_well_as_their_colour(ax):
    picture = torch.zeros(28, 28)
    picture[:4, :4], picture[24:, 24:], picture[8:12, 8:12] = 1.0, -1.0, 0.1
    plotting.plot_signed_image(picture, "weights", 1.0, ax=ax)
    assert cell_texts(ax) == {(1, 1): "+", (25, 25): "−"}
    assert ax.images[0].get_clim() == (-1, 1) and ax.images[0].get_cmap().name == "RdBu"
    assert ax.get_title() == "weights"


def test_a_band_lies_at_its_interval_in_percent_and_says_it(ax):
    plotting.plot_band(0.811, 0.857, "people", ax=ax)
    [band] = ax.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((81.1, 85.7))
    assert band.get_hatch() and ax.get_legend().get_texts()[0].get_text() == "people: 81.1 to 85.7 %"


def test_confidences_of_right_and_wrong_answers_are_drawn_apart():
    probabilities = np.full((4, 10), 0.01)
    for row, (answer, share) in enumerate([(0, 0.91), (0, 0.71), (3, 0.51), (3, 0.61)]):
        probabilities[row, answer] = share
    all_answers, by_class = plotting.plot_confidence(np.array([0, 1, 3, 3]), np.array([0, 0, 3, 3]), probabilities)
    right, wrong = by_class.lines
    assert right.get_xdata() == pytest.approx([91, 56]) and list(right.get_ydata()) == [0, 3]
    assert wrong.get_xdata() == pytest.approx([71]) and list(wrong.get_ydata()) == [0]
    assert right.get_marker() != wrong.get_marker()
    words = [text.get_text() for text in all_answers.get_legend().get_texts()]
    assert words == ["right (3 answers)", "wrong (1 answers)"]
    shares = [patch.get_data().values for patch in all_answers.patches]
    assert [share.sum() for share in shares] == pytest.approx([100, 100])
    assert shares[0][18] == pytest.approx(100 / 3) and shares[1][14] == pytest.approx(100)
    assert [label.get_text() for label in by_class.get_yticklabels()] == config.CLASS_NAMES


def test_confidences_without_a_wrong_answer_are_drawn_all_the_same():
    probabilities = np.eye(10)
    _, by_class = plotting.plot_confidence(np.arange(10), np.arange(10), probabilities)
    assert [len(drawn.get_xdata()) for drawn in by_class.lines] == [10, 0]


def test_error_maps_share_one_colour_scale_and_name_the_most_frequent_error(six_samples):
    labels, predictions = six_samples
    sound = (labels, np.where(labels == 4, predictions, labels), None)  # one error is left, Coat → Pullover
    many, one = plotting.plot_error_maps({"a": (labels, predictions), "b": sound})
    assert many.images[0].get_clim() == one.images[0].get_clim() == (0, 2)
    drawn = many.images[0].get_array()
    assert drawn.mask.sum() == 10 and drawn[6, 0] == 2 and drawn[0, 6] == 0
    assert cell_texts(many) == {(6, 0): "2"} and cell_texts(one) == {(4, 2): "1"}
    assert many.get_title() == "a: 3 errors\nmost: Shirt → T-shirt/top"
    assert one.get_title() == "b: 1 errors\nmost: Coat → Pullover"
    assert (many.get_ylabel(), many.get_xlabel()) == ("true class", "predicted class")


def test_a_reliability_diagram_has_marks_by_images_and_wilson_intervals(ax):
    table = pd.DataFrame({"images": [4, 396], "confidence": [0.5, 0.9], "accuracy": [0.0, 0.75]})
    assert plotting.plot_reliability(table, ax=ax) is ax
    [marks] = [found for found in ax.collections if len(found.get_offsets()) == 2 and len(found.get_sizes()) == 2]
    assert np.allclose(marks.get_offsets(), [[50, 0], [90, 75]])
    assert marks.get_sizes() == pytest.approx([25, 792])  # by images, from a least area on
    [bars] = ax.containers
    (low, high), (low_many, high_many) = (segment[:, 1] for segment in bars.lines[2][0].get_segments())
    # 0 of 4 and 297 of 396, with z = 1.96.
    assert (low, high) == pytest.approx((0, 48.99), abs=0.01)
    assert (low_many, high_many) == pytest.approx((70.50, 79.01), abs=0.01)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mean confidence (%)", "share of right answers (%)")


def test_disagreements_are_drawn_with_both_classes(ax):
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    axes = plotting.plot_disagreements(images, np.array([6, 4, 1]), np.array([6, 2, 3]))
    assert [ax.get_title() for ax in axes] == ["you: Pullover\nlabel: Coat", "you: Dress\nlabel: Trouser"]
    assert len(plotting.plot_disagreements(images, np.array([6, 4, 1]), np.array([6, 2, 3]), most=1)) == 1


def test_a_map_of_pictures_puts_each_at_its_point_and_leaves_out_what_would_hide_an_earlier_one(ax):
    levels = torch.tensor([16, 32, 48, 64], dtype=torch.uint8)
    images = levels[:, None, None, None].expand(4, 1, 28, 28)
    points = np.array([[0.0, 0.0], [5.0, 1.0], [5.0, 0.99], [0.0, 1.0]])
    drawn = plotting.plot_picture_map(images, points, side=100, ax=ax).images[0].get_array()
    assert (drawn[90, 10], drawn[10, 90], drawn[10, 10], drawn[90, 90]) == (16, 32, 64, 0)
    assert (drawn == 32).sum() == 28 * 28 and not (drawn == 48).any()
    assert ax.get_title() == "3 of 4 images drawn"


def test_images_of_a_map_overlap_by_their_rims_alone(ax):
    images = torch.full((60, 1, 28, 28), 240, dtype=torch.uint8)
    points = np.random.default_rng(0).integers(0, 173, (60, 2)).astype(float)
    points[:2] = (0, 0), (172, 172)  # so that a unit is a pixel of the map
    kept = []
    for point in points:
        if all(abs(point - other).max() >= 20 for other in kept):  # 28 without the rims of 4 on both sides
            kept.append(point)
    plotting.plot_picture_map(images, points, side=200, ax=ax)
    assert 20 < len(kept) < 50 and ax.get_title() == f"{len(kept)} of 60 images drawn"
    canvas = np.zeros((200, 200), bool)
    for left, up in np.array(kept, int):
        canvas[172 - up : 200 - up, left : left + 28] = True
    assert np.array_equal(ax.images[0].get_array() > 0, canvas)


LADDER = pd.DataFrame(
    {"time": [100.0, 40.0], "accuracies": [[90.0, 91.0, 92.0], [92.0, 92.5, 93.0]], "mean": [91.0, 92.5]},
    index=["slow", "quick"],
)


def test_the_ladder_shows_the_time_and_every_seed_of_every_rung():
    left, right = plotting.plot_ladder(LADDER)
    assert left.get_shared_y_axes().joined(left, right)  # a rung is one row
    assert [bar.get_width() for bar in left.patches] == [100, 40]
    assert [text.get_text().strip() for text in left.texts] == ["100 s", "40 s"]
    assert all(text.get_window_extent().x1 < left.get_window_extent().x1 for text in left.texts)
    assert [label.get_text() for label in left.get_yticklabels()] == ["slow", "quick"]
    seeds = [line.get_xdata().tolist() for line in right.lines if line.get_marker() == "o"]
    assert seeds == LADDER["accuracies"].tolist()
    assert right.get_label().endswith("slow 91.00 (90.00 to 92.00); quick 92.50 (92.00 to 93.00)")
    [means] = [line for line in right.lines if line.get_label() == "mean of the seeds"]
    assert means.get_xdata().tolist() == [91, 92.5]
    assert [text.get_text() for text in right.texts] == ["91.00", "92.50"]
    # The legend stands above the Axes, where it hides no point.
    right.figure.canvas.draw()
    assert right.get_legend().get_window_extent().y0 >= right.get_window_extent().y1 - 1


RACE = pd.DataFrame(
    [["quick", 10, 80.0], ["good", 50, 92.0], ["good", 50, 93.0], ["poor", 60, 91.0], ["best", 400, 94.0]],
    columns=["recipe", "seconds", "accuracy"],
)


def test_a_recipe_is_unbeaten_if_none_is_as_good_and_better_in_one_respect():
    table = pd.DataFrame({"seconds": [10, 50, 60, 50, 10, 70], "accuracy": [80, 92.5, 92.5, 90, 80, 95]})
    assert plotting.is_unbeaten(table).tolist() == [True, True, False, False, True, True]


def test_the_race_names_every_recipe_beside_its_point_and_joins_the_unbeaten():
    _, ax = plt.subplots(figsize=(10, 5))
    plotting.plot_race(RACE, own=(45.0, 92.2), ax=ax)
    assert sorted(text.get_text() for text in ax.texts) == ["best", "good", "poor", "quick"]
    [edge] = [line for line in ax.lines if str(line.get_label()).startswith("edge")]
    assert edge.get_xydata().tolist() == [[10, 80], [50, 92.5], [400, 94]]
    labels = [str(container.get_label()).split(" (")[0] for container in ax.containers]
    shown = [container.lines[0].get_xydata().tolist() for container in ax.containers]
    assert dict(zip(labels, shown, strict=True)) == {
        "on the edge": [[10, 80], [50, 92.5], [400, 94]],
        "beaten by another": [[60, 91]],
    }
    [star] = [line for line in ax.lines if line.get_marker() == "*"]
    assert star.get_xydata().tolist() == [[45, 92.2]]
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


def test_each_run_is_a_mark_beside_those_of_its_kind_and_setting(ax):
    groups = {
        ("a", "slow"): [0.5, 0.7],
        ("b", "slow"): [0.2, 0.3],
        ("a", "fast"): [0.8, 0.9],
        ("b", "fast"): [0.1, 0.4],
    }
    plotting.plot_runs(groups, ax=ax)
    marks, means = ax.lines[::2], ax.lines[1::2]
    drawn = [100 * np.array(values) for values in groups.values()]
    assert all(mark.get_ydata() == pytest.approx(values) for mark, values in zip(marks, drawn, strict=True))
    assert [line.get_ydata()[0] for line in means] == pytest.approx([values.mean() for values in drawn])
    looks = [(mark.get_marker(), mark.get_color()) for mark in marks]
    assert looks[0] == looks[2] and looks[1] == looks[3] and not set(looks[0]) & set(looks[1])
    middles = [mark.get_xdata().mean() for mark in marks]
    assert middles == sorted(middles) and middles[1] - middles[0] < middles[2] - middles[1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["slow", "fast"]
    assert "b, fast: 10.0 to 40.0 %, mean 25.0 %" in ax.get_label()


def test_each_seed_is_a_mark_and_each_kind_has_its_mean(ax):
    plotting.plot_seeds({"with": [0.8, 0.9], "without": [0.7, 0.7]}, "accuracy (%)", ax=ax)
    assert [line.get_label() for line in ax.lines] == ["with", "without"]
    assert ax.lines[0].get_xdata() == pytest.approx([80, 90]) and ax.lines[0].get_ydata().tolist() == [0, 0]
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()
    means = [lines.get_segments()[0][0][0] for lines in ax.collections]
    assert means == pytest.approx([85, 70])
    assert [text.get_text() for text in ax.texts] == ["mean 85.0", "mean 70.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["with", "without"]
    assert ax.get_xlabel() == "accuracy (%)" and "with 80.0, 90.0, mean 85.0; without" in ax.get_label()
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first kind at the top


def test_kernels_share_a_scale_and_say_the_sign_of_each_weight():
    kernels = torch.tensor([[[1.0, -0.2], [0.1, -2]], [[0.5, 0.5], [-0.5, 0.5]]])
    axes = plotting.plot_kernels(kernels, 2.0, plt.subplots(1, 2)[1])
    assert [[text.get_text() for text in ax.texts] for ax in axes] == [["+", "−", "+", "−"], ["+", "+", "−", "+"]]
    assert all(ax.images[0].get_clim() == (-2, 2) for ax in axes)
    assert axes[0].texts[3].get_color() == "white" and axes[0].texts[1].get_color() == "black"


def test_a_signed_image_may_have_any_size(ax):
    picture = torch.zeros(26, 27)
    picture[8:12, 20:24], picture[24:, 8:12], picture[16:20, 24:] = 1.0, -1.0, -1.0
    plotting.plot_signed_image(picture, "a map", 1.0, ax=ax)
    # At the lower edge two rows are left for a block, at the right three columns.
    signs = {text.get_position()[::-1]: text.get_text() for text in ax.texts}
    assert signs == {(9.5, 21.5): "+", (24.5, 9.5): "−", (17.5, 25): "−"}


@pytest.mark.parametrize("number", [1, 5, 6])
def test_a_mosaic_is_torchvisions_grid(number):
    pictures = torch.rand(number, 1, 4, 4)
    ax = plt.figure().add_subplot()
    step = plotting.draw_mosaic(pictures, columns=3, rows=2, ax=ax)
    places = torch.full((6, 1, 4, 4), torch.nan)
    places[:number] = pictures
    expected = make_grid(places, nrow=3, padding=plotting.GAP, pad_value=torch.nan)[0]
    drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(drawn, expected)
    assert step == 4 + plotting.GAP
    plotting.label_rows(["upper", "lower"], step, ax)
    middles = [plotting.GAP + 2, plotting.GAP + 2 + step]  # of pictures of four pixels
    assert np.allclose(ax.get_yticks(), middles, atol=1) and np.diff(ax.get_yticks()) == step


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
