"""Energy, AUROC, maps of what an answer rests on, and their figures, against captum, scikit-learn and arithmetic."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import LayerGradCam, Occlusion
from sklearn.metrics import roc_auc_score
from torch import nn

from helpers import explain
from helpers.data import normalize
from helpers.models import LeanCNN

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = LeanCNN((4, 6, 8))
    with torch.no_grad():  # statistics as after some training, so that evaluation mode makes a difference
        model(torch.randn(50, 1, 28, 28))
    return model


@pytest.fixture
def images():
    return torch.randint(256, (5, 1, 28, 28), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


TARGETS = torch.tensor([3, 0, 9, 3, 1])


def test_logits_are_those_of_evaluation_mode_and_the_mode_stays(network, images):
    network.train()
    seen = explain.logits_of(network, images, batch_size=2)
    assert network.training and seen.shape == (5, 10) and not seen.requires_grad
    with torch.no_grad():
        expected = network.eval()(normalize(images))
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-5)


def test_energy_is_by_hand_for_small_logits_and_finite_for_large_ones():
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(explain.energy(logits), -logits.exp().sum(dim=1).log())
    torch.testing.assert_close(explain.energy(logits + 500), explain.energy(logits) - 500)
    torch.testing.assert_close(explain.energy(logits.log_softmax(dim=1)), torch.zeros(8), atol=1e-5, rtol=0)


def test_auroc_is_scikit_learns_with_ties_and_of_unequal_numbers():
    rng = np.random.default_rng(0)
    for inside, outside in [
        (rng.normal(1, 1, 200), rng.normal(0, 1, 70)),
        (rng.integers(0, 5, 60), rng.integers(0, 4, 90)),  # many ties
        (np.array([1.0]), np.array([1.0, 1.0])),
        (np.array([-3.0, -2.0]), np.array([-4.0])),
    ]:
        labels = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
        expected = roc_auc_score(labels, np.r_[inside, outside])
        assert explain.auroc(inside, outside) == pytest.approx(expected)


def test_the_bootstrap_draws_the_same_images_for_all_scores_and_is_as_wide_as_theory_says():
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(1, 1, 150), rng.normal(0, 1, 100)
    noise = rng.normal(size=(2, 150)), rng.normal(size=(2, 100))
    first = np.stack([inside, 3 * inside, noise[0][0]])
    second = np.stack([outside, 3 * outside, noise[1][0]])
    values, drawn = explain.bootstrap_auroc(first, second, repeats=1500)
    assert drawn.shape == (1500, 3)
    assert values[0] == explain.auroc(inside, outside)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])  # the same order of the same images
    # Hanley and McNeil, 1982.
    area = values[0]
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + 149 * (q1 - area**2) + 99 * (q2 - area**2)) / (150 * 100)
    assert drawn[:, 0].std() == pytest.approx(variance**0.5, rel=0.12)
    assert drawn[:, 0].mean() == pytest.approx(area, abs=0.01)
    again = explain.bootstrap_auroc(first, second, repeats=1500)[1]
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize(("size", "stride"), [(4, 2), (4, 4), (7, 3)])
def test_occlusion_is_captums_with_black_as_its_baseline(network, images, size, stride):
    network.eval()
    seen = explain.occlusion_maps(network, images, TARGETS, size, stride)
    expected = Occlusion(network).attribute(
        normalize(images),
        sliding_window_shapes=(1, size, size),
        strides=(1, stride, stride),
        baselines=explain.BLACK,
        target=TARGETS,
    )
    torch.testing.assert_close(seen, expected[:, 0], atol=1e-4, rtol=1e-4)


def test_what_is_black_already_cannot_be_occluded(network):
    black = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    maps = explain.occlusion_maps(network, black, torch.tensor([0, 1]))
    torch.testing.assert_close(maps, torch.zeros(2, 28, 28), atol=1e-5, rtol=0)
    assert normalize(black).unique().item() == pytest.approx(explain.BLACK)


def test_squares_that_leave_an_edge_out_are_refused(network, images):
    with pytest.raises(ValueError, match="does not end"):
        explain.occlusion_maps(network, images, TARGETS, size=5, stride=2)


@pytest.mark.parametrize("layer", [6, 10])
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_is_captums_for_each_class_and_layer(network, images, layer, relu):
    network.train()
    seen = explain.grad_cam_maps(network, network[layer], images, TARGETS, relu)
    assert network.training and not network[layer]._forward_hooks
    network.eval()
    grad_cam = LayerGradCam(network, network[layer])
    expected = grad_cam.attribute(normalize(images), target=TARGETS, relu_attributions=relu)
    torch.testing.assert_close(seen, expected[:, 0].detach(), atol=1e-5, rtol=1e-4)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_enlarged_maps_keep_level_and_place():
    maps = torch.zeros(1, 7, 7)
    maps[0, 2, 5] = 1.0
    large = explain.enlarge(maps)
    assert large.shape == (1, 28, 28)
    assert divmod(int(large.argmax()), 28) in {(9, 21), (9, 22), (10, 21), (10, 22)}
    torch.testing.assert_close(explain.enlarge(torch.full((1, 7, 7), 3.0)), torch.full((1, 28, 28), 3.0))


def test_blocks_are_averaged_and_deleted_where_they_lie(images):
    maps = torch.arange(784.0).reshape(1, 28, 28)
    blocks = explain.block_means(maps)
    assert blocks.shape == (1, 7, 7)
    assert blocks[0, 1, 2] == maps[0, 4:8, 8:12].mean()
    scores = torch.zeros(5, 7, 7)
    scores[:, 1, 2], scores[:, 6, 0] = 5, 3
    white = torch.full_like(images, 255)
    for number, gone in [(0, 0), (1, 16), (2, 32), (49, 784)]:
        left = explain.delete_blocks(white, scores, number)
        assert ((left == 0).sum(dim=(1, 2, 3)) == gone).all()
    assert (explain.delete_blocks(white, scores, 1)[:, :, 4:8, 8:12] == 0).all()
    assert (explain.delete_blocks(white, scores, 2)[:, :, 24:, :4] == 0).all()
    assert white.min() == 255


def test_a_deletion_curve_follows_one_class(images):
    class Brightness(nn.Module):
        """Gives class 1 a logit of the number of white pixels, and the others 0."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.01))

        def forward(self, x):
            white = (x > 0).float().sum(dim=(1, 2, 3))
            return torch.stack([0 * white, self.scale * white], dim=1)

    white = torch.full_like(images, 255)
    scores = torch.rand(5, 7, 7)
    numbers = [0, 10, 49]
    for target in (0, 1):
        curves = explain.deletion_curves(Brightness(), white, torch.full((5,), target), scores, numbers)
        sure = 1 / (1 + np.exp(-0.01 * (784 - 16 * np.array(numbers))))
        np.testing.assert_allclose(curves, np.tile(sure if target else 1 - sure, (5, 1)), rtol=1e-5)


def test_the_drawing_of_equal_probabilities_shows_two_energies():
    axes = explain.draw_same_probabilities([5.0, 3.5, 3.0], lowered_by=4.0)
    heights = [[bar.get_height() for bar in ax.patches] for ax in axes]
    assert heights[0] == [5.0, 3.5, 3.0] and heights[1] == [1.0, -0.5, -1.0]
    assert sum(heights[2]) == pytest.approx(100)
    energies = [float(ax.get_title().split()[-1].replace("−", "-")) for ax in axes[:2]]
    assert energies[1] - energies[0] == pytest.approx(4, abs=0.11)


def test_plot_scores_draws_a_curve_for_each_kind_that_sums_to_all_its_images():
    rng = np.random.default_rng(0)
    ax = explain.plot_scores({"garments": rng.normal(3, 1, 500), "digits": rng.normal(0, 1, 80)}, "score")
    assert [line.get_label() for line in ax.lines] == ["garments", "digits"]
    for line in ax.lines:
        assert line.get_ydata().sum() == pytest.approx(100)
    assert len({line.get_linestyle() for line in ax.lines}) == 2  # not by colour alone


def test_plot_auroc_draws_values_with_their_intervals():
    rows = [
        ["digits", "energy", 0.9, 0.85, 0.92],
        ["digits", "other", 0.7, 0.6, 0.8],
        ["noise", "energy", 0.5, 0.4, 0.6],
    ]
    ax = explain.plot_auroc(pd.DataFrame(rows, columns=["kind", "score", "value", "low", "high"]))
    first, second = ax.containers
    np.testing.assert_allclose(first.lines[0].get_xdata(), [90, 50])
    ends = first.lines[2][0].get_segments()[0][:, 0]
    np.testing.assert_allclose(sorted(ends), [85, 92])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["digits", "noise"]
    assert first.lines[0].get_marker() != second.lines[0].get_marker()
    assert "digits, energy: 90.0% (85.0% to 92.0%)" in ax.get_label()


def test_plot_deletion_draws_mean_curves():
    curves = {"one": np.array([[1.0, 0.5], [0.8, 0.1]]), "other": np.array([[0.9, 0.9], [0.9, 0.9]])}
    ax = explain.plot_deletion(curves, [0, 5])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [90, 30])
    assert [line.get_label() for line in ax.lines] == ["one", "other"]
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()


def test_plot_map_says_where_the_map_is_highest_and_lowest():
    values = torch.zeros(28, 28)
    values[3, 5], values[20, 1] = 2.0, -1.5
    ax = explain.plot_map(values, "occlusion", 2.0)
    assert np.array_equal(ax.images[0].get_array(), values) and ax.get_title() == "occlusion"
    words = "occlusion: a map of 28 × 28 numbers, highest 2.00 in row 3, column 5 and lowest -1.50 in row 20, column 1"
    assert ax.get_label() == words
    empty = plt.figure().add_subplot()
    assert explain.plot_map(torch.zeros(4, 4), "nothing", 0.0, ax=empty).images[0].get_clim() == (-1.0, 1.0)
