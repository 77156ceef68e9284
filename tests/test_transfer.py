"""Few-label transfer: which images are drawn, what of a network is copied, what is trained, and what is drawn of it."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config, transfer
from helpers.alt_text import describe_axes
from helpers.data import normalize
from helpers.models import LeanCNN

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def numbered():
    """Make 600 images in ten classes, each of which carries its number in its first two pixels."""
    images = torch.zeros(600, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = torch.arange(600) // 256, torch.arange(600) % 256
    return TensorDataset(images, torch.arange(600) % 10)


@pytest.fixture
def stripes():
    """Make 200 noisy images in two classes, 3 and 7: bright above or bright below."""
    torch.manual_seed(0)
    images = torch.randint(0, 60, (200, 1, 28, 28), dtype=torch.uint8)
    labels = torch.tensor([3, 7]).repeat(100)
    images[labels == 3, :, :14] += 120
    images[labels == 7, :, 14:] += 120
    return TensorDataset(images, labels)


def numbers_of(dataset):
    images = dataset.tensors[0].int()
    return (256 * images[:, 0, 0, 0] + images[:, 0, 0, 1]).tolist()


def test_only_classes_keeps_these_in_their_order(numbered):
    chosen = transfer.only_classes(numbered, [7, 2])
    assert numbers_of(chosen) == [number for number in range(600) if number % 10 in (2, 7)]
    assert set(chosen.tensors[1].tolist()) == {2, 7}


def test_draw_labels_draws_so_many_of_each_class_by_the_seed_and_a_smaller_draw_is_part_of_a_larger(numbered):
    drawn = transfer.draw_labels(numbered, [1, 4, 8], 12, seed=0)
    numbers, labels = numbers_of(drawn), drawn.tensors[1].tolist()
    assert labels == 12 * [1] + 12 * [4] + 12 * [8]
    assert [number % 10 for number in numbers] == labels and len(set(numbers)) == 36
    assert numbers == numbers_of(transfer.draw_labels(numbered, [1, 4, 8], 12, seed=0))
    assert numbers != numbers_of(transfer.draw_labels(numbered, [1, 4, 8], 12, seed=1))
    assert set(numbers_of(transfer.draw_labels(numbered, [1, 4, 8], 5, seed=0))) < set(numbers)
    assert numbers != sorted(numbers)  # not simply the first ones


def test_draw_labels_says_which_class_has_too_few(numbered):
    with pytest.raises(ValueError, match="Sandal has 60 images, so 61 of it cannot be drawn"):
        transfer.draw_labels(numbered, [5], 61, seed=0)


def test_a_new_head_is_random_and_the_body_a_copy():
    model = LeanCNN(widths=(8, 16, 32))
    torch.manual_seed(5)
    fresh = transfer.with_new_head(model)
    same = {name: torch.equal(value, model.state_dict()[name]) for name, value in fresh.state_dict().items()}
    assert [name for name, equal in same.items() if not equal] == ["11.weight", "11.bias"]
    with torch.no_grad():
        fresh[0].weight.zero_()
    assert model[0].weight.abs().sum() > 0


@pytest.mark.parametrize("head_only", [False, True])
def test_train_steps_learns_and_the_body_stays_where_only_the_head_is_trained(stripes, head_only):
    torch.manual_seed(0)
    model = LeanCNN(widths=(8, 16, 32))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = transfer.train_steps(model, stripes, steps=30, lr=0.02, head_only=head_only)
    assert trained is model and not model.training
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == ({"11.weight", "11.bias"} if head_only else set(before))
    assert transfer.accuracy_among(model, stripes, [3, 7]) > 0.95


def test_train_steps_takes_as_many_steps_as_asked_and_the_seed_decides(stripes, monkeypatch):
    few = TensorDataset(*(part[:8] for part in stripes.tensors))
    batches = []

    class Counting(nn.Sequential):
        def forward(self, images):
            batches.append(images.clone())
            return super().forward(images)

    def run(seed, **options):
        batches.clear()
        torch.manual_seed(1)
        model = Counting(nn.Flatten(), nn.Linear(784, 10))
        return transfer.train_steps(model, few, lr=0.01, seed=seed, **options)[1].weight.detach().clone()

    first = run(0, steps=7, batch_size=3)
    assert [len(batch) for batch in batches] == 7 * [3]
    seen = torch.cat(batches)[:8]  # the first round shows every image once
    assert sorted(seen.sum(dim=(1, 2, 3)).tolist()) == sorted(normalize(few.tensors[0]).sum(dim=(1, 2, 3)).tolist())
    assert torch.equal(first, run(0, steps=7, batch_size=3)) and not torch.equal(first, run(1, steps=7, batch_size=3))
    run(0, steps=4, batch_size=25)
    assert [len(batch) for batch in batches] == 4 * [8]  # not more than there are
    monkeypatch.setattr(config, "FAST", True)
    run(0, steps=60)
    assert len(batches) == transfer.FAST_STEPS


def test_accuracy_among_lets_the_network_answer_with_these_classes_only(stripes):
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            outputs = torch.zeros(len(images), 10)
            outputs[:, 0] = 9  # never an answer
            outputs[:, 3] = 1
            return outputs + self.weight

    assert transfer.accuracy_among(Fixed(), stripes, [3, 7]) == 0.5
    assert transfer.accuracy_among(Fixed(), stripes, [0, 3, 7]) == 0


def test_paired_interval_is_students():
    mean, low, high = transfer.paired_interval(np.array([1.0, 2.0, 3.0]))
    assert mean == 2 and low == pytest.approx(2 - 4.302653 / np.sqrt(3)) and high == pytest.approx(4 - low)
    with pytest.raises(ValueError):
        transfer.paired_interval(np.array([1.0]))


def test_labels_needed_reads_the_curve_on_its_logarithmic_axis():
    curve = [5, 10, 20], [50.0, 60.0, 70.0]
    assert transfer.labels_needed(*curve, 65) == pytest.approx(np.sqrt(200))
    assert transfer.labels_needed(*curve, 60) == pytest.approx(10)
    assert transfer.labels_needed(*curve, 40) == 5
    assert transfer.labels_needed(*curve, 71) == np.inf
    assert transfer.labels_needed([5, 10, 20], [50, 49, 70], 60) > 10  # a dip by chance


def test_the_figure_of_a_transfer_shows_each_draw_the_means_and_the_intervals():
    rows = [
        (way, number, draw, 0.5 + 0.1 * gain + 0.01 * draw * (1 + gain) + number / 1000)
        for gain, way in enumerate(["from scratch", "fine-tuned"])
        for number in (5, 50)
        for draw in range(3)
    ]
    left, right = transfer.plot_transfer(pd.DataFrame(rows, columns=["way", "labels", "draw", "accuracy"]))
    means = {line.get_label(): line.get_ydata() for line in left.lines if "mean" in str(line.get_label())}
    np.testing.assert_allclose(means["from scratch, mean"], [51.5, 56])
    np.testing.assert_allclose(means["fine-tuned, mean"], [62.5, 67])
    assert len(left.lines) == 2 * (3 + 1)
    told = describe_axes(left)
    assert "mean of 3 draws" in told and "scratch: 51.5 with 5, 56.0 with 50; fine-tuned: 62.5 with 5, 67" in told
    assert "minus from scratch" in right.get_ylabel()
    mean, low, high = transfer.paired_interval([10, 11, 12])
    assert f"fine-tuned: 5 labels {mean:+.1f} ({low:+.1f} to {high:+.1f})" in describe_axes(right)
    [intervals] = [drawn for drawn in right.collections if hasattr(drawn, "get_segments")]
    np.testing.assert_allclose([segment[:, 1] for segment in intervals.get_segments()], [(low, high)] * 2)


def test_the_drawing_of_a_transfer_says_which_classes_are_old_and_new():
    ax = transfer.draw_transfer([1, 9], [0, 2])
    told = describe_axes(ax)
    assert "learned Trouser, Ankle boot from many labels" in told and "each of T-shirt/top, Pullover." in told
    words = {text.get_text() for text in ax.texts}
    assert {"T-shirt/top\nPullover", "Trouser\nAnkle boot", "5 to 100 labels of each class"} <= words
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert heights["Trouser\nAnkle boot"] == heights["head: old classes"] > heights["T-shirt/top\nPullover"]
    assert heights["T-shirt/top\nPullover"] == heights["new head, random"]
