"""The widgets: each control reaches the drawing, with its new value and in good time."""

import time

import ipywidgets.widgets.interaction as interaction
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from IPython.core.pylabtools import print_figure
from ipywidgets import VBox
from matplotlib.figure import Figure
from torch.utils.data import TensorDataset

from helpers import plotting, results, widgets
from helpers.config import CLASS_NAMES
from helpers.data import normalize
from helpers.evaluation import Predictions
from helpers.models import BatchNormCNN, FashionNet

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")

# Times what a plain picture costs: a third of a second where that takes 0.12 seconds.
ANSWER_LIMIT = 2.5


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no open figure and no changed setting behind."""
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def outcome():
    """Eight predictions: four shirts, of which two are called T-shirt/top, and four right bags."""
    labels = np.array([6, 6, 6, 6, 8, 8, 8, 8])
    predictions = np.array([0, 0, 6, 6, 8, 8, 8, 8])
    confidence = np.array([0.6, 0.95, 0.7, 0.8, 0.9, 0.99, 0.999, 0.5])
    probabilities = np.repeat((1 - confidence)[:, None] / 9, 10, axis=1)
    probabilities[np.arange(8), predictions] = confidence
    return Predictions(labels, predictions, probabilities)


@pytest.fixture
def shown(monkeypatch):
    """Collect the widgets that `interact` shows, by the descriptions of their controls; errors are not swallowed."""
    boxes = []

    def raise_again(box, *arguments):
        box.kwargs = {control._kwarg: control.get_interact_value() for control in box.kwargs_widgets}
        assert box.f(**box.kwargs) is None, "Whatever comes back is shown below the picture."

    # Outside of a notebook the original only logs what the drawing raises.
    monkeypatch.setattr(interaction.interactive, "update", raise_again)
    monkeypatch.setattr(interaction, "display", boxes.append)
    return lambda: {control.description: control for control in boxes[-1].children if hasattr(control, "description")}


@pytest.fixture
def widget(shown, outcome):
    """Show the widget of a name, and give its controls."""
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(300) % 10
    net, model = FashionNet(), BatchNormCNN()
    show = {
        "classes": lambda: widgets.browse_classes(images.repeat(5, 1, 1, 1), labels.repeat(5)),
        "temperature": lambda: widgets.explore_temperature(images[:10], labels[:10], torch.eye(10).roll(1, 0)),
        "maps": lambda: widgets.explore_feature_maps({"first": net.conv1, "second": net.conv2}, images),
        "neighbours": lambda: widgets.explore_neighbours(model, TensorDataset(images, labels), 3),
        "confusions": lambda: widgets.explore_confusions(images[:8], outcome, np.int64(6), np.int64(0)),
        "threshold": lambda: widgets.explore_threshold({"A": outcome, "B": outcome._replace(labels=np.arange(8))}),
    }

    def start(name):
        assert show[name]() is None
        return shown()

    return start


def titles():
    """Give the titles of the newest figure."""
    return [ax.get_title() for ax in plt.gcf().axes]


# For each widget its controls with a value to change to, and what the title then says.
CONTROLS = {
    "classes": [("class", 8, "Bag: images 1 to 40 of 150"), ("page", 4, "Bag: images 121 to 150 of 150")],
    "temperature": [
        ("image", 3, "temperature 1\nundecided: Pullover"),
        ("temperature", 0.1, "almost certain: Pullover"),
    ],
    "maps": [("layer", "second", "second: 64 maps of 24 × 24"), ("image", 7, "second: 64 maps")],
    "neighbours": [
        ("neighbours", 12, "the image (framed) and 12 neighbours"),
        ("mode", "evaluation", "evaluation mode"),
        ("class of the neighbours", 9, "the image (framed) and 12 neighbours"),
    ],
    "confusions": [
        ("true class", 8, "No image of class Bag was called T-shirt/top."),
        ("predicted class", 8, "✓ 4 images of class Bag called Bag."),
    ],
    "threshold": [
        ("threshold (%)", 95, "threshold 95 %: 3 of 8 images answered (37.5 %),\n66.7 %"),
        ("model", "B", "threshold 95 %: 3 of 8 images answered (37.5 %),\n0.0 %"),
    ],
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_that_moves_draws_the_new_value(widget, name):
    controls = widget(name)
    assert sorted(controls) == sorted(description for description, _, _ in CONTROLS[name])
    assert len(plt.get_fignums()) == 1
    for description, value, words in CONTROLS[name]:
        before = print_figure(plt.gcf(), "png")
        controls[description].value = value
        texts = titles() + [text.get_text() for ax in plt.gcf().axes for text in ax.texts]
        assert any(words in text for text in texts), texts
        assert print_figure(plt.gcf(), "png") != before, description
        assert len(plt.gcf().axes) <= 2


@pytest.mark.parametrize("name", CONTROLS)
def test_sliders_wait_until_they_are_released_and_names_are_not_cut(widget, name):
    for control in widget(name).values():
        assert control.style.description_width == "initial"
        assert getattr(control, "continuous_update", False) is False


def test_evaluation_mode_ignores_the_neighbours_and_training_mode_does_not(widget):
    controls = widget("neighbours")
    bars = {}
    for mode in ("training", "evaluation"):
        for neighbours in (0, 20):
            controls["mode"].value, controls["neighbours"].value = mode, neighbours
            bars[mode, neighbours] = [bar.get_width() for bar in plt.gcf().axes[1].patches]
            diamonds = plt.gcf().axes[1].lines[0].get_xdata().tolist()
    assert bars["evaluation", 0] == pytest.approx(bars["evaluation", 20], abs=1e-3)
    assert bars["evaluation", 0] == pytest.approx(diamonds, abs=1e-3)
    assert bars["training", 0] != pytest.approx(bars["training", 20], abs=1e-3)


def test_dropdowns_offer_all_classes_by_name(widget):
    assert [name for name, _ in widget("classes")["class"].options] == CLASS_NAMES
    assert [name for name, _ in widget("neighbours")["class of the neighbours"].options] == [
        "all classes",
        *CLASS_NAMES,
    ]
    assert widget("temperature")["image"].options[2] == ("3. Pullover called Trouser", 2)


def seconds_of(draw):
    """Return the seconds of the processor that a change and the PNG of the notebook take, from a clean slate."""
    plt.close("all")
    started = time.process_time()
    draw()
    print_figure(plt.gcf(), "png", bbox_inches="tight")
    return time.process_time() - started


def draw_plain_picture():
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.imshow(np.eye(28))
    right.barh(range(10), range(10))


@pytest.mark.parametrize("name", CONTROLS)
def test_an_answer_costs_little_more_than_a_plain_picture(widget, name):
    """Measure the slower of two settings on one thread, in turn with a plain picture, the fastest of each.

    The ratio, since a machine with other work may be three times as slow in everything.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plotting.use_theme()
        controls = widget(name)
        description, value, _ = CONTROLS[name][0]
        answers, plain = {value: [], controls[description].value: []}, []
        for _ in range(4):
            plain.append(seconds_of(draw_plain_picture))
            for setting, seconds in answers.items():
                seconds.append(seconds_of(lambda setting=setting: setattr(controls[description], "value", setting)))
    finally:
        torch.set_num_threads(threads)
    slower = max(min(seconds) for seconds in answers.values())
    assert slower < ANSWER_LIMIT * min(plain), (answers, plain)


@pytest.fixture
def labelled(home, monkeypatch):
    """Show the widget that asks for labels, of six images with the classes 0 to 5, and give its parts by name."""
    images = torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shown = []
    monkeypatch.setattr(widgets, "display", shown.append)

    def start():
        shown.clear()
        assert widgets.label_images(images, torch.arange(6)) is None
        [box] = [item for item in shown if isinstance(item, VBox)]
        place, field, (_, names), (back, afresh), _ = (getattr(part, "children", part) for part in box.children)
        parts = {"place": place, "field": field, "back": back, "afresh": afresh, "names": names}
        return parts | {button.description: button for button in names.children}

    start.words = lambda: [item.data for item in shown if hasattr(item, "data")]
    start.shown = shown
    return start


def test_digits_and_buttons_label_one_image_after_the_other_and_all_is_kept(labelled):
    parts = labelled()
    assert parts["place"].value == "<b>1 of 6</b>" and parts["back"].disabled and parts["afresh"].disabled
    parts["field"].value = "3"
    parts["8 · Bag"].click()
    assert parts["field"].value == "38"
    assert parts["place"].value == "<b>3 of 6</b>, the last answer was 8, Bag"
    parts["field"].value = "38x"
    assert parts["place"].value.startswith("<b>3 of 6</b>")
    parts["field"].value = "348"
    assert parts["field"].value == "38"
    parts["back"].click()
    assert parts["field"].value == "3"
    assert labelled()["field"].value == "3"  # after a restart
    assert labelled.words() == []  # no truth before the end
    assert results.scoreboard()["name"].tolist() == ["people"]


def test_at_the_end_the_result_is_shown_and_kept_and_a_second_attempt_is_not(labelled):
    parts = labelled()
    parts["field"].value = "012399"
    assert "**4 of 6**" in labelled.words()[0]
    assert "either may be wrong" in labelled.words()[-1]
    [table] = [item for item in labelled.shown if hasattr(item, "columns")]
    assert table.to_numpy().tolist() == [["Ankle boot", "Sandal", 1], ["Ankle boot", "Coat", 1]]
    [figure] = [item for item in labelled.shown if isinstance(item, Figure)]
    drawn = ["you: Ankle boot\nlabel: Coat", "you: Ankle boot\nlabel: Sandal"]
    assert [ax.get_title() for ax in figure.axes[:2]] == drawn
    assert parts["field"].disabled and parts["back"].disabled and not plt.get_fignums()

    again = labelled()  # a restart shows the result once more
    assert "**4 of 6**" in labelled.words()[0]
    again["afresh"].click()
    assert again["field"].value == "012399" and "really forget" in again["afresh"].description
    again["afresh"].click()
    assert again["field"].value == "" and not again["field"].disabled
    again["field"].value = "012345"
    assert "keeps your first attempt" in "".join(labelled.words())
    you = results.scoreboard().set_index("name").loc["you"]
    assert (you["right"], you["images"]) == (4, 6)


def test_starting_afresh_before_the_end_is_still_the_first_attempt(labelled):
    parts = labelled()
    parts["field"].value = "99"
    parts["afresh"].click()
    parts["field"].value = "993"  # whoever goes on typing did not mean it
    assert parts["afresh"].description == "start afresh"
    parts["afresh"].click()
    parts["afresh"].click()
    parts["field"].value = "012345"
    assert results.scoreboard().set_index("name").loc["you", "right"] == 6


@pytest.fixture
def edited_kernel(monkeypatch):
    """Show the widget whose kernel can be edited, and give its parts and the figures that it has drawn."""
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shown = []
    monkeypatch.setattr(widgets, "display", shown.append)
    assert widgets.explore_kernel(images) is None
    [box] = [item for item in shown if isinstance(item, VBox)]
    kernel, image, below = box.children

    def figures():
        return [item for item in shown if isinstance(item, Figure)]

    return images, kernel, image, below.children[0].children, figures


def test_each_weight_of_the_kernel_reaches_the_feature_map(edited_kernel):
    images, kernel, image, fields, figures = edited_kernel
    assert len(fields) == 9 and len(figures()) == 1 and not plt.get_fignums()
    for number, field in enumerate(fields):
        field.value = number - 3.5
        drawn = figures()[-1].axes[1].images[0].get_array()
        weights = torch.tensor([field.value for field in fields]).reshape(1, 1, 3, 3)
        expected = torch.conv2d(normalize(images[0])[None], weights)[0, 0]
        assert np.allclose(drawn, expected, atol=1e-5)
        signs = {text.get_text(): text.get_position()[::-1] for text in figures()[-1].axes[1].texts[-2:]}
        assert [expected[signs[sign]] for sign in "−+"] == [expected.min(), expected.max()]
        assert kernel.value == widgets.OWN_KERNEL
    assert len(figures()) == 10
    image.value = 3
    assert (figures()[-1].axes[0].images[0].get_array() == images[3, 0].numpy()).all()


def test_a_kernel_from_the_list_fills_in_all_weights_and_is_drawn_once(edited_kernel):
    _, kernel, _, fields, figures = edited_kernel
    for name, weights in widgets.KERNELS.items():
        before, changes = len(figures()), kernel.value != name
        kernel.value = name
        assert tuple(field.value for field in fields) == weights
        assert len(figures()) == before + changes
    # Whoever types a kernel of the list sees its name.
    for field, weight in zip(fields, widgets.KERNELS["vertical edges"], strict=True):
        field.value = weight
    assert kernel.value == "vertical edges"


def test_each_weight_of_a_kernel_has_a_name_that_can_be_read_aloud(edited_kernel):
    *_, fields, _ = edited_kernel
    assert [field.description for field in fields] == ["w₁₁", "w₁₂", "w₁₃", "w₂₁", "w₂₂", "w₂₃", "w₃₁", "w₃₂", "w₃₃"]


def test_a_kernel_of_zeros_is_drawn_too(edited_kernel):
    *_, fields, figures = edited_kernel
    for field in fields:
        field.value = 0
    assert figures()[-1].axes[1].images[0].get_clim() == (-1, 1)


def test_kernels_of_edges_see_nothing_where_nothing_changes_and_turn_their_sign_with_the_edge():
    kernels = widgets.KERNELS
    assert [sum(weights) for name, weights in kernels.items() if "edges" in name] == [0] * 4
    for name in ("vertical edges", "horizontal edges", "diagonal edges"):
        assert kernels[name] == tuple(-weight for weight in reversed(kernels[name])), name
    assert sum(kernels["mean of nine"]) == pytest.approx(1, abs=0.02)
