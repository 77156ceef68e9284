"""Predictions, metrics and tables, on samples few enough to work out by hand."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from helpers import config, data, evaluation, models


def test_predict_returns_known_probabilities_in_the_order_of_the_data(pixels, pixel_reader):
    levels = [[0] * 10 for _ in range(23)]
    for number in range(23):
        levels[number][number * 7 % 10] = 255
    labels = [number % 10 for number in range(23)]
    result = evaluation.predict(pixel_reader, pixels(levels, labels), batch_size=5)
    assert result.labels.tolist() == labels
    assert result.predictions.tolist() == [number * 7 % 10 for number in range(23)]
    # One logit is larger than the nine others by 1 / TRAIN_STD.
    share = math.exp(1 / data.TRAIN_STD)
    assert result.probabilities.shape == (23, 10)
    assert result.probabilities.max(axis=1) == pytest.approx(share / (share + 9), rel=1e-5)
    assert result.probabilities.min(axis=1) == pytest.approx(1 / (share + 9), rel=1e-5)


def test_probabilities_of_each_sample_sum_to_one(stripes, linear):
    probabilities = evaluation.predict(linear(), stripes(30)).probabilities
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-12)


def test_log_probabilities_give_the_same_as_logits(stripes, linear):
    model, dataset = linear(), stripes(30)
    of_logits = evaluation.predict(model, dataset)
    of_log_probabilities = evaluation.predict(nn.Sequential(model, nn.LogSoftmax(dim=1)), dataset)
    assert of_log_probabilities.probabilities == pytest.approx(of_logits.probabilities, abs=1e-6)


def test_predict_evaluates_in_eval_mode_and_leaves_the_mode_as_it_was(stripes, spy):
    for was_training in (True, False):
        evaluation.predict(spy.train(was_training), stripes(30), batch_size=10)
        assert spy.training is was_training
    assert spy.modes == [False] * 6


def test_predict_normalises_the_images(stripes, spy):
    dataset = stripes(10)
    evaluation.predict(spy, dataset)
    expected = (dataset.tensors[0] / 255 - data.TRAIN_MEAN) / data.TRAIN_STD
    torch.testing.assert_close(spy.inputs[0], expected)


def test_predict_does_not_depend_on_the_batch_size_even_with_dropout_and_batch_norm(stripes):
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(1), models.MLP())
    one, other = (evaluation.predict(model, stripes(30), batch_size=size) for size in (7, 30))
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_loss_of_predictions_equals_cross_entropy_of_the_logits(stripes, linear):
    model, dataset = linear(), stripes(37)
    labels, _, probabilities = evaluation.predict(model, dataset, batch_size=10)
    logits = model(data.normalize(dataset.tensors[0]))
    assert evaluation.cross_entropy(labels, probabilities) == pytest.approx(
        F.cross_entropy(logits.double(), dataset.tensors[1]).item(), rel=1e-6
    )


def test_loss_is_the_mean_log_probability_of_the_true_class_in_nats():
    probabilities = np.array([confident(0.5, 3), confident(0.25, 3)])
    assert evaluation.cross_entropy(np.array([3, 3]), probabilities) == pytest.approx(math.log(8) / 2)


def test_loss_stays_finite_and_silent_however_sure_and_wrong_a_model_is(pixels, pixel_reader):
    with torch.no_grad():
        pixel_reader[1].weight *= 1_000  # logits 2,800 apart: the probability is 0 even in float64
    levels = [255] + [0] * 9
    with warnings.catch_warnings(action="error"):
        labels, _, probabilities = evaluation.predict(pixel_reader, pixels([levels], [1]))
        assert 700 < evaluation.cross_entropy(labels, probabilities) < 2_900


def test_accuracy_is_right_samples_over_all_samples():
    labels = np.array([1, 1, 1, 1, 2])
    assert evaluation.accuracy(labels, np.array([1, 1, 1, 1, 9])) == 0.8
    assert evaluation.accuracy(labels, labels) == 1.0


@pytest.mark.parametrize(("right", "total"), [(9_234, 10_000), (5, 6), (0, 10), (10, 10)])
def test_accuracy_interval_is_wilsons(right, total):
    labels, predictions = np.zeros(total, dtype=int), np.array([0] * right + [1] * (total - right))
    share, z = right / total, 1.959963984540054
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    value, low, high = evaluation.accuracy_interval(labels, predictions)
    assert value == share
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-9)
    of_scipy = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((of_scipy.low, of_scipy.high), abs=1e-12)


def test_accuracy_in_words_carries_n_and_the_interval():
    labels, predictions = np.zeros(10_000, dtype=int), np.array([0] * 9_234 + [1] * 766)
    expected = "92.34 % (95 % interval 91.80 to 92.85 %, n = 10,000)"
    assert evaluation.describe_accuracy(labels, predictions) == expected


def test_confused_pairs_name_the_true_class_first(six_samples):
    pairs = evaluation.confused_pairs(*six_samples, top=2)
    assert pairs.index.tolist() == [1, 2] and pairs.index.name == "rank"
    assert pairs.values.tolist() == [["Shirt", "T-shirt/top", 2], ["Coat", "Pullover", 1]]
    assert pairs.columns.tolist() == ["true label", "predicted as", "count"]


def test_errors_of_a_pair_are_counted_in_both_directions():
    labels, predictions = np.array([0, 6, 6, 2, 4, 9]), np.array([6, 0, 0, 4, 4, 9])
    table = evaluation.confused_either_way(labels, predictions)
    assert len(table) == 45 and table["confused"].sum() == 4
    assert table["pair"].tolist()[:2] == ["T-shirt/top / Shirt", "Pullover / Coat"]
    assert table[["first", "second", "confused"]].values.tolist()[:2] == [[0, 6, 3], [2, 4, 1]]


def test_confused_pairs_hold_no_pair_that_never_occurred(six_samples):
    assert evaluation.confused_pairs(*six_samples, top=5)["count"].tolist() == [2, 1]


def test_per_class_table_counts_errors_by_true_class(six_samples):
    table = evaluation.per_class_table(*six_samples)
    assert table.index.tolist() == config.CLASS_NAMES
    assert table["images"].tolist() == [1, 0, 1, 0, 1, 0, 3, 0, 0, 0]
    assert table["errors"].tolist() == [0, 0, 0, 0, 1, 0, 2, 0, 0, 0]
    assert table.loc["Shirt", ["precision", "recall", "f1"]].tolist() == pytest.approx([1, 1 / 3, 1 / 2])
    assert table.loc["T-shirt/top", ["precision", "recall", "f1"]].tolist() == pytest.approx([1 / 3, 1, 1 / 2])


def test_macro_scores_are_plain_means_over_the_ten_classes(six_samples):
    scores = evaluation.macro_scores(*six_samples)
    # T-shirt/top 1/3, 1, 1/2; Pullover 1/2, 1, 2/3; Shirt 1, 1/3, 1/2; Coat and the six absent classes 0.
    assert scores["precision"] == pytest.approx((1 / 3 + 1 / 2 + 1) / 10)
    assert scores["recall"] == pytest.approx((1 + 1 + 1 / 3) / 10)
    assert scores["f1"] == pytest.approx((1 / 2 + 2 / 3 + 1 / 2) / 10)


def test_macro_scores_agree_with_scikit_learn_on_many_samples():
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 10, 500), random.integers(0, 10, 500)
    expected = precision_recall_fscore_support(labels, predictions, average="macro")[:3]
    assert tuple(evaluation.macro_scores(labels, predictions).values()) == pytest.approx(expected)


def confident(confidence, predicted):
    """Give one row of probabilities with that confidence in that class."""
    row = np.full(10, (1 - confidence) / 9)
    row[predicted] = confidence
    return row


def test_calibration_error_and_its_table_on_a_case_worked_out_by_hand():
    probabilities = np.array([confident(0.9, 1), confident(0.8, 1), confident(0.6, 1), confident(0.2, 1)])
    labels = np.array([1, 0, 1, 0])
    table = evaluation.reliability_table(labels, probabilities, num_bins=2)
    assert table["images"].tolist() == [1, 3]
    assert table["low"].tolist() == [0, 0.5] and table["high"].tolist() == [0.5, 1]
    assert table["confidence"].tolist() == pytest.approx([0.2, 2.3 / 3])
    assert table["accuracy"].tolist() == pytest.approx([0, 2 / 3])
    # Gaps 0.2 and 0.1, weighted by 1 and 3 of 4 samples.
    assert evaluation.expected_calibration_error(labels, probabilities, num_bins=2) == pytest.approx(0.125)


def test_a_sure_and_right_model_has_no_calibration_error():
    assert evaluation.expected_calibration_error(np.arange(10), np.eye(10)) == 0
    assert evaluation.reliability_table(np.arange(10), np.eye(10))["high"].tolist() == [1]


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower():
    table = evaluation.reliability_table(np.array([1]), np.array([confident(0.5, 1)]), num_bins=2)
    assert table["high"].tolist() == [0.5]


def test_coverage_keeps_the_most_confident_answers_first():
    probabilities = np.array([confident(0.5, 1), confident(0.9, 2), confident(0.7, 3), confident(0.6, 4)])
    table = evaluation.accuracy_by_coverage(np.array([0, 2, 3, 0]), probabilities)
    assert table["threshold"].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5])
    assert table["coverage"].tolist() == [0.25, 0.5, 0.75, 1]
    assert table["accuracy"].tolist() == pytest.approx([1, 1, 2 / 3, 1 / 2])


def test_mcnemar_is_the_exact_binomial_of_the_samples_that_differ():
    labels = np.zeros(20, dtype=int)
    a, b = labels.copy(), labels.copy()
    a[:1] = 1  # one sample only B has right
    b[1:8] = 1  # seven samples only A has right
    result = evaluation.mcnemar(labels, a, b)
    by_hand = 2 * (math.comb(8, 0) + math.comb(8, 1)) / 2**8
    assert result == {"only_a_right": 7, "only_b_right": 1, "p_value": pytest.approx(by_hand)}


def test_mcnemar_of_two_equal_models_finds_nothing():
    labels = np.arange(10)
    assert evaluation.mcnemar(labels, labels, labels) == {"only_a_right": 0, "only_b_right": 0, "p_value": 1.0}


@pytest.fixture
def many():
    """Make labels, predictions and probabilities of 400 samples, of some too sure and of others too unsure."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 400)
    logits = random.uniform(0.5, 3, (400, 1)) * (random.normal(size=(400, 10)) + 2 * np.eye(10)[labels])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.argmax(axis=1), probabilities


def test_confused_pairs_are_five_unless_told_otherwise_and_never_more(many):
    labels, predictions, _ = many
    pairs = evaluation.confused_pairs(labels, predictions, top=90)
    assert len(pairs) > 8 and pairs["count"].is_monotonic_decreasing
    assert pairs["count"].sum() == (labels != predictions).sum()
    assert evaluation.confused_pairs(labels, predictions, top=0).empty
    for number in (1, 3, 8):
        assert evaluation.confused_pairs(labels, predictions, top=number).equals(pairs[:number])
    assert evaluation.confused_pairs(labels, predictions).equals(pairs[:5])


def test_classes_that_never_occur_have_scores_of_zero_in_the_table(six_samples):
    table = evaluation.per_class_table(*six_samples)
    assert (table.loc["Trouser", ["images", "errors", "precision", "recall", "f1"]] == 0).all()
    assert (table.loc["Coat", ["precision", "recall", "f1"]] == 0).all()


def test_there_are_fifteen_bins_unless_told_otherwise(many):
    labels, _, probabilities = many
    assert evaluation.reliability_table(labels, probabilities).equals(
        evaluation.reliability_table(labels, probabilities, 15)
    )
    errors = {bins: evaluation.expected_calibration_error(labels, probabilities, bins) for bins in (10, 15)}
    assert evaluation.expected_calibration_error(labels, probabilities) == errors[15] != errors[10]


def test_too_little_confidence_counts_as_much_as_too_much():
    sure, unsure = confident(0.9, 1), confident(0.6, 1)
    labels = np.array([1, 0, 1, 1])  # sure and half right: 0.4 too much; unsure and all right: 0.4 too little
    error = evaluation.expected_calibration_error(labels, np.array([sure, sure, unsure, unsure]))
    assert error == pytest.approx(0.4)


def test_equal_confidences_keep_the_order_of_the_data():
    probabilities = np.array([confident(0.5, 1)] * 40)
    labels = np.array([1, 0] * 20)
    found = evaluation.accuracy_by_coverage(labels, probabilities)["accuracy"]
    assert found.tolist() == pytest.approx([math.ceil(number / 2) / number for number in range(1, 41)])


def test_runs_are_exchanged_within_each_setting_and_the_real_way_counts():
    apart = [np.array([4.0, 5, 6, 7])], [np.array([0.0, 1, 2, 3])]
    assert evaluation.share_of_exchanges(*apart) == pytest.approx((4, 2 / 70))
    assert evaluation.share_of_exchanges(*apart[::-1]) == pytest.approx((-4, 2 / 70))
    one, other = [np.array([3.0, 4])], [np.array([1.0, 2])]
    difference, share = evaluation.share_of_exchanges(one * 2, other * 2)
    assert (difference, share) == pytest.approx((2, 2 / 36))  # both settings as they are, or both the other way round
    shifted = [*one, np.array([103.0, 104])], [*other, np.array([101.0, 102])]
    assert evaluation.share_of_exchanges(*shifted) == pytest.approx((2, 2 / 36))  # no run changes its setting
    assert evaluation.share_of_exchanges([np.array([1.0, 2])], [np.array([1.0, 2, 1.5])]) == pytest.approx((0, 1))


def test_softmax_with_temperature_one_is_softmax():
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    probabilities = evaluation.softmax_with_temperature(logits, 1.0)
    assert probabilities.dtype == np.float64 and probabilities.shape == (4, 10)
    assert np.allclose(probabilities, logits.softmax(dim=1))


def test_temperature_moves_probabilities_together_or_apart_and_keeps_their_order():
    logits = torch.tensor([0.0, 1.0, 3.0])
    cold, plain, hot = (evaluation.softmax_with_temperature(logits, t) for t in (0.1, 1.0, 10.0))
    # By hand: two logits apart by d have the ratio exp(d / T).
    assert [p[2] / p[1] for p in (cold, plain, hot)] == pytest.approx([np.exp(20), np.exp(2), np.exp(0.2)])
    assert all(p.argsort().tolist() == [0, 1, 2] and p.sum() == pytest.approx(1) for p in (cold, plain, hot))


def test_extreme_logits_do_not_overflow():
    probabilities = evaluation.softmax_with_temperature(torch.tensor([1000.0, -1000.0]), 0.1)
    assert probabilities.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("temperature", [0, -1.0])
def test_a_temperature_must_be_above_zero(temperature):
    with pytest.raises(ValueError, match="above 0"):
        evaluation.softmax_with_temperature(torch.zeros(10), temperature)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.001, "under 1 %"), (0.414, "41 %"), (0.99, "99 %"), (0.9999, "over 99 %"), (1.0, "100 %")],
)
def test_percent_never_rounds_to_impossible_or_certain(share, text):
    assert evaluation.percent(share) == text


@pytest.mark.parametrize(
    ("coat", "shirt", "words"),
    [
        (0.995, 0.005, "almost certain: Coat (over 99 %)"),
        (0.92, 0.08, "sure: Coat (92 %)"),
        (0.6, 0.4, "leaning towards Coat (60 %), then Shirt (40 %)"),
        (0.35, 0.45, "undecided: Shirt (45 %) or Coat (35 %)"),
    ],
)
def test_confidence_in_words(coat, shirt, words):
    probabilities = np.zeros(10)
    probabilities[[4, 6, 2]] = coat, shirt, 1 - coat - shirt
    assert evaluation.confidence_in_words(probabilities) == words


def test_feature_maps_are_those_of_the_network():
    net = models.FashionNet().eval()
    layers = {
        "one": nn.Sequential(net.conv1, nn.ReLU()),
        "two": nn.Sequential(net.conv2, nn.ReLU()),
        "pool": nn.MaxPool2d(2),
    }
    image = torch.randint(0, 256, (1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    maps = evaluation.feature_maps(layers, image)
    assert [tuple(maps[name].shape) for name in layers] == [(32, 26, 26), (64, 24, 24), (64, 12, 12)]
    seen = []
    net.dropout1.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0][0]))
    net((image[None].float() / 255 - 0.2857) / 0.3528)
    assert torch.allclose(maps["pool"], seen[0], atol=1e-5)


def test_neighbours_are_of_the_class_asked_for_and_never_the_image_itself():
    labels = torch.arange(50) % 5
    for company in (None, 0, 3):
        chosen = evaluation.choose_neighbours(labels, image=0, company=company, number=50)
        assert 0 not in chosen and len(set(chosen.tolist())) == len(chosen)
        expected = 49 if company is None else 9 if company == 0 else 10  # the image is of class 0
        assert len(chosen) == expected
        assert company is None or (labels[chosen] == company).all()


def test_more_neighbours_come_to_those_that_are_there():
    labels = torch.arange(50) % 5
    ten = evaluation.choose_neighbours(labels, 7, None, 10)
    assert torch.equal(evaluation.choose_neighbours(labels, 7, None, 4), ten[:4])
    assert len(evaluation.choose_neighbours(labels, 7, None, 0)) == 0


def test_only_in_training_mode_do_neighbours_count_and_the_model_is_left_as_it_is():
    torch.manual_seed(0)
    model = models.BatchNormCNN().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8)
    for training in (True, False):
        alone = evaluation.probabilities_in_batch(model, batch[:1], training)
        together = evaluation.probabilities_in_batch(model, batch, training)
        assert together.shape == (10,) and together.sum() == pytest.approx(1)
        assert np.allclose(alone, together, atol=1e-6) != training
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_images_behind_a_cell_come_with_the_most_confident_first():
    labels, predictions = np.array([6, 6, 6, 8, 8, 8]), np.array([0, 0, 6, 8, 8, 8])
    cell = (labels, predictions, np.array([0.6, 0.95, 0.7, 0.9, 0.99, 0.5]))
    assert evaluation.images_behind(*cell, 6, 0).tolist() == [1, 0]
    assert evaluation.images_behind(*cell, 8, 8).tolist() == [4, 3, 5]
    assert evaluation.images_behind(*cell, 0, 6).tolist() == []


def test_a_threshold_by_hand():
    # Eight answers, the surest first; the second and the last are wrong.
    thresholds = [0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5]
    accuracies = [1, 1 / 2, 2 / 3, 3 / 4, 4 / 5, 5 / 6, 6 / 7, 6 / 8]
    curve = pd.DataFrame({"threshold": thresholds, "coverage": np.arange(1, 9) / 8, "accuracy": accuracies})
    assert evaluation.at_threshold(curve, 0.9) == (4, 0.5, 0.75)  # an answer exactly as confident is given
    assert evaluation.at_threshold(curve, 0) == (8, 1.0, 0.75)
    answered, coverage, accuracy = evaluation.at_threshold(curve, 1.0)
    assert (answered, coverage) == (0, 0) and np.isnan(accuracy)
