"""The audit of a data set: planted noise and copies, suspects, how good they are, and the blind mix."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from cleanlab.filter import find_label_issues
from ipywidgets import VBox
from sklearn.metrics import cohen_kappa_score
from torch import nn
from torch.utils.data import TensorDataset

from helpers import label_noise, labelling, results, widgets
from helpers.config import CLASS_NAMES, NUM_CLASSES
from helpers.device import set_seed
from helpers.models import LeanCNN, LogisticRegression

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


def some_images(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, 1, 28, 28), dtype=torch.uint8, generator=generator)


def unsure_answers(labels, seed=0):
    """Give probabilities that are right about two times in three."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(len(labels), NUM_CLASSES))
    scores[np.arange(len(labels)), labels] += 2
    return np.exp(2 * scores) / np.exp(2 * scores).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", label_noise.KINDS)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 1.0])
def test_exactly_the_planted_labels_are_wrong_and_the_old_ones_are_kept(kind, share):
    labels = torch.arange(1000) % 10
    noisy, planted = label_noise.plant_noise(labels, share, kind)
    assert np.array_equal((noisy != labels).numpy(), planted)
    assert planted.sum() == round(1000 * share)
    assert torch.equal(labels, torch.arange(1000) % 10)
    again, _ = label_noise.plant_noise(labels, share, kind)
    other, _ = label_noise.plant_noise(labels, share, kind, seed=1)
    assert torch.equal(noisy, again)
    if 0 < share < 1:
        assert not torch.equal(noisy, other)


def test_symmetric_noise_uses_all_nine_other_classes_and_similar_noise_one():
    labels = torch.full((900,), 3)
    symmetric, _ = label_noise.plant_noise(labels, 1, "symmetric")
    counts = symmetric.bincount(minlength=10).tolist()
    assert counts[3] == 0 and min(counts[:3] + counts[4:]) > 60
    similar, _ = label_noise.plant_noise(torch.arange(10), 1, "similar")
    assert similar.tolist() == list(label_noise.LOOKALIKES)
    assert all(becomes != true for true, becomes in enumerate(label_noise.LOOKALIKES))
    for alike in ({"Sandal", "Sneaker", "Ankle boot"}, {"T-shirt/top", "Pullover", "Coat", "Shirt"}):
        assert {CLASS_NAMES[label_noise.LOOKALIKES[CLASS_NAMES.index(name)]] for name in alike} <= alike


def test_noise_of_no_kind_and_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match="no noise 'salt'"):
        label_noise.plant_noise(torch.arange(10), 0.1, "salt")
    with pytest.raises(ValueError, match="between 0 and 1, not at 5"):
        label_noise.plant_noise(torch.arange(10), 5, "similar")


def test_out_of_sample_never_asks_a_network_about_its_own_training_images():
    images, labels = some_images(60), torch.arange(60) % 10
    images[:, 0, 0, 0] = torch.arange(60).to(torch.uint8)  # each image carries its number
    asked = []

    class Remembering(nn.Module):
        def __init__(self, part):
            super().__init__()
            self.one = nn.Parameter(torch.ones(1))
            self.known = set(part.tensors[0][:, 0, 0, 0].tolist())

        def forward(self, batch):
            numbers = ((batch[:, 0, 0, 0] * 0.3528 + 0.2857) * 255).round().int().tolist()
            assert not self.known & set(numbers)
            assert len(self.known) == 40
            asked.extend(numbers)
            outputs = torch.zeros(len(batch), 10)
            outputs[torch.arange(len(batch)), torch.tensor(numbers) % 10] = 9
            return outputs * self.one

    probabilities = label_noise.out_of_sample(TensorDataset(images, labels), 3, Remembering)
    assert sorted(asked) == list(range(60))
    assert probabilities.argmax(axis=1).tolist() == labels.tolist()  # in the order of the images
    assert np.allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(5))
def test_confident_learning_finds_what_cleanlab_finds(seed):
    truth = np.random.default_rng(seed).integers(0, 10, 2000)
    noisy, _ = label_noise.plant_noise(torch.from_numpy(truth), 0.1, "similar", seed)
    probabilities = unsure_answers(truth, seed)
    found = label_noise.confident_learning(noisy, probabilities)
    by_library = find_label_issues(noisy.numpy(), probabilities, filter_by="confident_learning", n_jobs=1)
    assert np.array_equal(found.suspects, by_library)
    assert 20 < found.suspects.sum() < 1000


def test_confident_learning_on_paper():
    # Two classes in use, 0 and 1; thresholds by hand: (0.9 + 0.5 + 0.1) / 3 and (0.8 + 0.2) / 2.
    of_zero = np.array([0.9, 0.5, 0.1, 0.2, 0.8])
    probabilities = np.zeros((13, 10))
    probabilities[:5, 0], probabilities[:5, 1] = of_zero, 1 - of_zero
    probabilities[5:] = np.eye(10)[2:]
    labels = np.array([0, 0, 0, 1, 1, *range(2, 10)])
    found = label_noise.confident_learning(labels, probabilities)
    assert np.allclose(found.thresholds[:2], [0.5, 0.5]) and np.allclose(found.thresholds[2:], 1)
    assert np.flatnonzero(found.suspects).tolist() == [2, 4]
    assert found.joint[0, 1] == 1 and found.joint[1, 0] == 1 and found.joint[0, 0] == 2
    assert found.joint.sum() == 13


def test_an_image_that_passes_no_threshold_is_no_suspect_and_not_in_the_joint():
    labels = np.array([*range(10), *range(10)])
    probabilities = np.full((20, 10), 0.05)
    probabilities[np.arange(20), labels] = 0.55
    probabilities[0] = [0.1, 0.3, 0.2, 0.2, 0.2, 0, 0, 0, 0, 0]  # most of all class 1, but not confidently
    found = label_noise.confident_learning(labels, probabilities)
    assert not found.suspects.any() and found.joint.sum() == 19


def test_the_least_confident_are_those_with_the_lowest_probability_of_their_label():
    probabilities = np.full((4, 10), 0.01)
    probabilities[np.arange(4), [3, 3, 3, 3]] = [0.9, 0.2, 0.5, 0.1]
    assert label_noise.least_confident(np.full(4, 3), probabilities, 2).tolist() == [False, True, False, True]


def test_precision_and_recall_with_their_intervals():
    planted, suspects = np.arange(100) < 20, (np.arange(100) >= 5) & (np.arange(100) < 35)
    scores = label_noise.score_suspects(suspects, planted)
    assert (scores["suspects"], scores["hits"]) == (30, 15)
    assert scores["precision"] == 0.5 and scores["recall"] == 0.75
    assert round(scores["precision_low"], 3) == 0.332 and round(scores["precision_high"], 3) == 0.668
    assert round(scores["recall_low"], 3) == 0.531 and round(scores["recall_high"], 3) == 0.888
    with pytest.raises(ValueError, match="0 suspects and 20 planted"):
        label_noise.score_suspects(np.zeros(100, dtype=bool), planted)


def test_the_figure_of_the_detectors_shows_each_number():
    scores = label_noise.score_suspects(np.arange(100) < 30, np.arange(100) < 20)
    table = pd.DataFrame([{"noise": "5% similar", "method": method, **scores} for method in ("A", "B")])
    axes = label_noise.plot_detectors(table)
    assert "5% similar, B: 67 %" in axes[0].get_label() and "5% similar, A: 100 %" in axes[1].get_label()
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["A", "B"]
    plt.close("all")


def test_the_figure_of_the_thresholds_rings_the_suspects_of_both_classes():
    labels = np.random.default_rng(0).integers(0, 10, 3000)
    probabilities = unsure_answers(labels)
    found = label_noise.confident_learning(labels, probabilities)
    believed = probabilities.argmax(axis=1)
    wanted = found.suspects & np.isin(labels, (0, 6)) & np.isin(believed, (0, 6))
    _, ax = plt.subplots()
    label_noise.plot_thresholds(labels, probabilities, found, 0, 6, ax=ax)
    ringed = next(line for line in ax.lines if "suspects" in line.get_label())
    assert len(ringed.get_xdata()) == wanted.sum() > 2
    assert f"{100 * found.thresholds[6]:.0f} % for Shirt" in ax.get_label()
    plt.close("all")


def test_the_blind_mix_has_all_suspects_and_controls_with_their_labels():
    labels = np.arange(500) % 10
    innocent = np.arange(500) >= 100
    ranked = np.arange(30)
    table = label_noise.choose_blind(labels, ranked, innocent)
    asked, controls = (table.loc[kind, "position"].to_numpy() for kind in (table["suspect"], ~table["suspect"]))
    assert sorted(asked) == ranked.tolist() and len(controls) == 15
    assert innocent[controls].all() and len(set(controls)) == 15
    assert sorted(labels[controls]) == sorted(labels[ranked[::2]])
    assert 3 < (~table["suspect"][:20]).sum() < 15  # not all at one end
    assert table.equals(label_noise.choose_blind(labels, ranked, innocent))
    with pytest.raises(ValueError, match="No innocent image is left with the label T-shirt/top"):
        label_noise.choose_blind(labels, ranked, np.zeros(500, dtype=bool))


def test_kappa_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    first = generator.integers(0, 10, 300)
    second = np.where(generator.random(300) < 0.6, first, generator.integers(0, 4, 300))
    assert np.isclose(label_noise.cohens_kappa(first, second), cohen_kappa_score(first, second))
    assert label_noise.cohens_kappa(first, first) == 1
    assert np.isnan(label_noise.cohens_kappa(np.zeros(5, int), np.zeros(5, int)))


@pytest.mark.parametrize(
    ("with_model", "words"),
    [
        (24, "gave 0 the label, 24 the network's class and 6 a third one. You disagree with the label on **100%**"),
        (24, "more often than on the controls, so"),
        (3, "gave 27 the label, 3 the network's class and 0 a third one"),
        (3, "no more often than on the controls"),
    ],
)
def test_the_judge_is_told_on_whose_side_they_are(with_model, words):
    labels, suspect = np.arange(45) % 9, np.arange(45) < 30
    predictions = np.where(suspect, 9, labels)
    answers = np.where(np.arange(45) < with_model, 9, labels)
    if with_model == 24:
        answers[24:30] = (labels[24:30] + 1) % 9
    answers[44] = 9
    assert words in label_noise.describe_blind(answers, labels, predictions, suspect)


def test_embeddings_have_length_one_and_find_a_moved_copy():
    set_seed(0)
    model = LeanCNN().train()
    images = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    for number in range(40):  # squares of different sizes and greys, with room at the border
        images[number, 0, 8 : 10 + number % 8, 8 : 10 + number % 5] = 60 + 4 * number
    before = model[2].running_mean.clone()
    embeddings = label_noise.embed(model, images)
    assert torch.equal(model[2].running_mean, before)  # in evaluation mode
    assert embeddings.shape == (40, 96) and torch.allclose(embeddings.norm(dim=1), torch.ones(40), atol=1e-5)
    distance, position = label_noise.nearest_by_embedding(label_noise.embed(model, images.roll(4, dims=3)), embeddings)
    assert (position == np.arange(40)).mean() > 0.8 and distance.max() < 0.1
    distance, position = label_noise.nearest_by_embedding(embeddings, embeddings)
    assert position.tolist() == list(range(40)) and np.allclose(distance, 0, atol=1e-5)


def test_the_nearest_by_pixels_is_the_least_different():
    images = some_images(20)
    other = images.clone()
    other[7, 0, 3, 3] ^= 255
    distance, position = label_noise.nearest_by_pixels(other[[7, 2]], images)
    assert position.tolist() == [7, 2] and distance[0] > 0 and distance[1] < 0.1


def test_planted_copies_are_changed_and_keep_their_form():
    images = some_images(5)
    images[:, :, :4] = 0
    copies = label_noise.plant_copies(images)
    assert len(copies) == 5
    for changed in copies.values():
        assert changed.shape == images.shape and changed.dtype == torch.uint8
        assert not torch.equal(changed, images)
    assert (copies["grainy"][:, :, :4] == 0).all()  # the background stays black
    assert torch.equal(copies["mirrored"].flip(3), images)


def test_a_small_training_is_the_same_for_the_same_seed_and_returns_the_model_in_evaluation_mode():
    dataset = TensorDataset(some_images(128), torch.arange(128) % 10)
    first, again, other = (label_noise.train_small(dataset, seed) for seed in (0, 0, 1))
    assert not first.training
    assert torch.equal(first[0].weight, again[0].weight) and not torch.equal(first[0].weight, other[0].weight)
    assert (
        label_noise.train_seeds(dataset, dataset, range(2))[0] == label_noise.train_seeds(dataset, dataset, range(1))[0]
    )


def test_paired_trainings_begin_with_the_same_weights_and_other_seeds_with_others(monkeypatch):
    monkeypatch.setattr(label_noise, "fit", lambda *arguments, **options: None)
    part, larger = (TensorDataset(some_images(number), torch.arange(number) % 10) for number in (20, 40))
    weights = [label_noise.train_small(*arguments)[0].weight for arguments in ((part, 3), (larger, 3), (part, 4))]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_network_of_the_series_can_be_asked_out_of_sample():
    dataset = TensorDataset(some_images(30), torch.arange(30) % 10)
    probabilities = label_noise.out_of_sample(dataset, train=lambda part: LogisticRegression())
    assert probabilities.shape == (30, 10) and (probabilities > 0).all()


def test_the_blind_widget_keeps_its_answers_apart_and_never_shows_the_truth(home, monkeypatch):
    images, shown = some_images(4), []
    monkeypatch.setattr(widgets, "display", shown.append)

    def start():
        shown.clear()
        widgets.label_images(images, torch.arange(4), name="your_audit", at_the_end="All labelled.")
        [box] = [item for item in shown if isinstance(item, VBox)]
        return box.children[1]

    start().value = "01"
    assert labelling.read_labels(images, "your_audit") == ("01", 1)
    assert labelling.read_labels(images) == ("", 1)  # lesson 01 keeps its own
    assert not labelling.labels_path().exists()
    field = start()  # after a restart
    assert field.value == "01" and len(shown) == 1
    field.value = "0199"
    assert [item.data for item in shown if hasattr(item, "data")] == ["All labelled."]
    assert results.scoreboard()["name"].tolist() == ["people"]
