"""What changes do: the changed views, the card, the paired gains and one image with two answers."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn
from torch.utils.data import TensorDataset

from helpers import augment, changes
from helpers.alt_text import describe_axes
from helpers.data import normalize
from helpers.plotting import BLUE, ORANGE

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def images():
    """Make 60 images without a black pixel, and an empty edge of six pixels."""
    torch.manual_seed(0)
    inner = torch.randint(50, 256, (60, 1, 16, 16), dtype=torch.uint8)
    return nn.functional.pad(inner, (6, 6, 6, 6))


def test_each_view_is_what_its_name_says(images):
    views = changes.changed_views(images)
    assert next(iter(views)) == changes.PLAIN and len(views) == 9
    assert all(view.dtype == torch.uint8 and view.shape == images.shape for view in views.values())
    assert torch.equal(views[changes.PLAIN], images)
    assert torch.equal(views["mirrored"], images.flip(3)) and torch.equal(views["upside down"], images.flip(2))
    places = torch.stack(
        [
            (views["shifted by 3 pixels"] == images.roll((a, b), (2, 3))).flatten(1).all(1)
            for a in (3, -3)
            for b in (3, -3)
        ]
    )
    assert (places.sum(dim=0) == 1).all() and (places.sum(dim=1) > 5).all()
    turns = torch.stack(
        [(views["turned by 20°"] == augment.move(images, side * 20)).flatten(1).all(1) for side in (1, -1)]
    )
    assert (turns.sum(dim=0) == 1).all() and (turns.sum(dim=1) > 15).all()
    assert torch.equal(views["at 75 % of the size"], augment.move(images, size=0.75))
    assert torch.equal(views["darker: 40 %"], (images * 0.4).to(torch.uint8))
    assert views["on a grey ground"].min() == 60 and views["on a grey ground"].max() == 251
    erased = ((views["10 × 10 erased"] == 0) & (images > 0)).sum(dim=(1, 2, 3))
    assert erased.max() == 100 and (erased > 0).sum() > 40


def test_the_views_are_the_same_each_time_and_leave_the_random_numbers_alone(images):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = changes.changed_views(images)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(4)
    again, other = changes.changed_views(images), changes.changed_views(images, seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["turned by 20°"], other["turned by 20°"])


def test_a_network_that_sees_brightness_only_is_measured_under_each_change(images):
    class Bright(nn.Module):
        """Answers 1 for an image that is brighter than half of the plain ones, else 0."""

        def __init__(self):
            super().__init__()
            self.limit = nn.Parameter(torch.tensor(0.0))

        def forward(self, batch):
            outputs = torch.zeros(len(batch), 10)
            outputs[:, 1] = batch.mean(dim=(1, 2, 3)) - self.limit
            return outputs

    model = Bright()
    brightness = normalize(images).mean(dim=(1, 2, 3))
    model.limit.data = brightness.median() + 1e-6
    labels = (brightness > model.limit).long()
    found = changes.accuracy_under_changes(model, TensorDataset(images, labels))
    assert found[changes.PLAIN] == found["mirrored"] == found["upside down"] == 1
    assert found["darker: 40 %"] == found["on a grey ground"] == pytest.approx(0.5, abs=0.02)


def test_the_card_writes_each_accuracy_and_frames_the_best_of_each_row():
    card = pd.DataFrame({"nothing": [0.8, 0.2], "turn,\nshift": [0.7, 0.45]}, index=["plain", "turned"])
    ax = changes.plot_card(card)
    written = [text.get_text() for text in ax.texts]
    assert written == ["80", "70", "20", "45"]
    framed = [text.get_text() for text in ax.texts if text.get_bbox_patch() is not None]
    assert framed == ["80", "45"]
    assert "turned: nothing 20, turn, shift 45" in describe_axes(ax)


def test_gains_show_every_seed_their_mean_and_whether_they_agree():
    ax = changes.plot_gains({"up": [0.01, 0.02], "torn": [-0.01, 0.02], "down": [-0.02, -0.01]}, "few")
    marks = {line.get_label(): line for line in ax.lines if not str(line.get_label()).startswith("_")}
    np.testing.assert_allclose(marks["torn"].get_xdata(), [-1, 2])
    assert [to_hex(marks[name].get_color()) for name in marks] == [BLUE.lower(), BLUE.lower(), ORANGE.lower()]
    assert marks["torn"].get_markerfacecolor() == "white" and marks["up"].get_markerfacecolor() != "white"
    assert [text.get_text() for text in ax.texts] == ["mean +1.5", "mean +0.5, seeds disagree", "mean -1.5"]
    assert "torn -1.0, +2.0, mean +0.5, seeds disagree" in describe_axes(ax)
    assert ax.get_xlabel().endswith("without changes (points)")
    nothing = changes.plot_gains({"nothing": [-0.0004, 0.0]}, ax=ax.figure.add_subplot())
    assert "nothing +0.0, +0.0, mean +0.0, seeds disagree" in describe_axes(nothing)


def test_one_image_with_two_answers_names_both():
    before, after = np.full(10, 0.02), np.full(10, 0.01)
    before[9], after[5] = 0.82, 0.91
    left, right = changes.plot_two_answers(torch.zeros(1, 28, 28, dtype=torch.uint8), 5, before, after)
    assert right.get_title() == "before: Ankle boot, after: Sandal"
    assert [bar.get_width() for bar in right.patches][5] == pytest.approx(91)
    assert right.lines[0].get_xdata()[9] == pytest.approx(82)
    assert "before augmentation" in right.get_xlabel() and left.get_title()
