"""What the widgets compute and draw: values by hand, and figures checked through their Axes."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from helpers import plotting

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")

# Eight answers, the surest first; the second and the last are wrong.
CURVE = pd.DataFrame(
    {
        "threshold": [0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5],
        "coverage": np.arange(1, 9) / 8,
        "accuracy": [1, 1 / 2, 2 / 3, 3 / 4, 4 / 5, 5 / 6, 6 / 7, 6 / 8],
    }
)


@pytest.fixture
def numbered():
    """Make images whose pixels all say which image it is."""
    return lambda count: torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28)


def tiles(ax, columns, rows):
    """Give the middle value of each picture of a mosaic, row by row; NaN where there is none."""
    mosaic = np.asarray(ax.images[0].get_array().filled(np.nan), dtype=float)
    height, width = (mosaic.shape[0] - 2) // rows, (mosaic.shape[1] - 2) // columns
    return mosaic[2 + height // 2 :: height, 2 + width // 2 :: width].flatten().tolist()


def test_a_page_shows_its_forty_images_in_order(numbered, ax):
    assert plotting.plot_page(numbered(95), "Coat", 2, ax=ax) is ax
    assert tiles(ax, 10, 4) == list(range(40, 80))
    assert ax.get_title() == "Coat: images 41 to 80 of 95 (page 2 of 3)"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["41 …", "51 …", "61 …", "71 …"]
    assert ax.images[0].get_clim() == (0, 255) and len(ax.images) == 1


def test_the_last_page_leaves_places_empty(numbered, ax):
    plotting.plot_page(numbered(81), "Coat", 3, ax=ax)
    drawn = tiles(ax, 10, 4)
    assert drawn[0] == 80 and np.isnan(drawn[1:]).all()
    assert ax.get_title() == "Coat: images 81 to 81 of 81 (page 3 of 3)"


def test_a_page_that_does_not_exist_says_so(numbered, ax):
    plotting.plot_page(numbered(5), "Coat", 2, ax=ax)
    assert not ax.images and [text.get_text() for text in ax.texts] == ["Coat: 5 images, so there is no page 2."]


def test_probabilities_name_the_true_class_and_stress_the_answer(ax):
    probabilities = np.full(10, 0.04)
    probabilities[4] = 0.64
    plotting.plot_probabilities(probabilities, 2, ax=ax)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(100 * probabilities)
    colors = [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert colors[4] == plotting.BLUE and len(set(colors[:4] + colors[5:])) == 1
    assert [text.get_text() for text in ax.texts] == ["4 %"] * 4 + ["64 %"] + ["4 %"] * 5
    assert [text.get_weight() for text in ax.texts].index("bold") == 4
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[2] == "Pullover (true)" and names[4] == "Coat" and len(names) == 10
    assert ax.get_xlim() == (0, 100) and ax.get_xlabel() == "probability (%)" and not ax.lines


def test_reference_probabilities_are_diamonds_that_the_label_explains(ax):
    reference = np.full(10, 0.1)
    plotting.plot_probabilities(np.eye(10)[3], 3, reference, ax=ax)
    [diamonds] = ax.lines
    assert diamonds.get_marker() == "D" and diamonds.get_xdata().tolist() == pytest.approx([10] * 10)
    assert diamonds.get_ydata().tolist() == list(range(10))
    assert "◆ in evaluation mode" in ax.get_xlabel()


def test_feature_maps_share_one_grey_scale_and_weak_ones_are_counted(ax):
    maps = torch.arange(12.0).reshape(12, 1, 1).expand(12, 6, 6)
    plotting.plot_feature_maps(maps, "layer 1", ax=ax)
    assert tiles(ax, 8, 2)[:12] == list(range(12)) and np.isnan(tiles(ax, 8, 2)[12:]).all()
    assert ax.images[0].get_clim() == (0, 11)
    assert ax.get_title() == "layer 1: 12 maps of 6 × 6"
    assert ax.get_xlabel() == "black 0, white 11.0; maps below 5 % of that: 1"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0 to 7", "8 to 11"]


def test_maps_that_are_all_zero_are_black(ax):
    plotting.plot_feature_maps(torch.zeros(8, 6, 6), "layer 1", ax=ax)
    assert ax.images[0].get_clim() == (0, 1) and "maps below 5 % of that: 8" in ax.get_xlabel()


@pytest.mark.parametrize(("count", "words"), [(1, "no neighbour"), (2, "1 neighbour"), (32, "31 neighbours")])
def test_a_batch_has_a_frame_around_its_first_image(numbered, ax, count, words):
    plotting.plot_batch(numbered(count), ax=ax)
    assert [value for value in tiles(ax, 8, 4) if not np.isnan(value)] == list(range(count))
    assert ax.get_title() == f"the image (framed) and {words}"
    [frame] = ax.patches
    assert frame.get_xy() == (0, 0) and frame.get_width() == 30


def test_images_behind_a_cell_are_counted_and_marked(numbered, ax):
    plotting.plot_images_behind(numbered(3), np.array([0.999, 0.8, 0.5]), 6, 0, ax=ax)
    assert tiles(ax, 10, 4)[:3] == [0, 1, 2]
    assert ax.get_title() == "✗ 3 images of class Shirt called T-shirt/top."
    assert [label.get_text() for label in ax.get_yticklabels()] == ["over 99 %"]


def test_of_many_images_behind_a_cell_forty_are_shown(numbered, ax):
    plotting.plot_images_behind(numbered(60), np.linspace(0.9, 0.5, 60), 6, 6, ax=ax)
    assert tiles(ax, 10, 4) == list(range(40))
    assert ax.get_title() == "✓ 60 images of class Shirt called Shirt. The 40 most confident:"


def test_one_image_and_no_image_behind_a_cell(numbered, ax):
    plotting.plot_images_behind(numbered(1), np.array([0.7]), 1, 3, ax=ax)
    assert ax.get_title() == "✗ 1 image of class Trouser called Dress."
    ax.clear()
    plotting.plot_images_behind(numbered(0), np.array([]), 1, 8, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["No image of class Trouser was called Bag."] and not ax.images


def test_a_threshold_is_a_point_on_the_curve_and_said_in_words(ax):
    plotting.plot_threshold(CURVE, 0.9, ax=ax)
    line, _, point = ax.lines
    assert line.get_xdata().tolist() == pytest.approx((100 * CURVE["coverage"]).tolist())
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (50, 75)
    assert ax.get_title() == (
        "threshold 90 %: 4 of 8 images answered (50.0 %),\n75.0 % of them right, 1 wrong; 4 passed on to a person"
    )
    assert "coverage" in ax.get_xlabel() and "accuracy" in ax.get_ylabel()


def test_a_threshold_that_no_answer_reaches_says_so(ax):
    plotting.plot_threshold(CURVE, 1.0, ax=ax)
    assert len(ax.lines) == 1 and "so all 8 images are passed on to a person" in ax.get_title()
