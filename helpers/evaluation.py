"""Predictions of a model on every sample, the values and tables made of them, and the values that widgets show."""

import copy
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config
from helpers.data import make_loader, normalize, note_if_not_final
from helpers.inputs import (
    check_answers,
    check_dataset,
    check_model,
    check_number,
    check_outputs,
    check_probabilities,
    outputs_of,
)


class Predictions(NamedTuple):
    """What a model says of every sample of a data set, in the data set's order."""

    labels: np.ndarray  # int64 (N,), the true classes
    predictions: np.ndarray  # int64 (N,), the most probable classes
    probabilities: np.ndarray  # float64 (N, 10), rows sum to 1


@torch.inference_mode()
def predict(model: nn.Module, dataset: TensorDataset, batch_size: int = 100) -> Predictions:
    """Run a model over a whole data set, in evaluation mode and in float32.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits or log-probabilities, (N, 10). It is on any device
        and is left in the mode, training or evaluation, in which it came.
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    batch_size : int
        Images in a pass; changes the memory needed, not the result.

    Returns
    -------
    Predictions
        labels, predictions, probabilities.

    Raises
    ------
    TypeError, ValueError
        For a model, data set or number of another kind, with the way to the right one.
    """
    check_model("predict", model)
    check_number("predict", "batch_size", batch_size)
    note_if_not_final(model, dataset)
    dataset = check_dataset("predict", dataset)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    labels, probabilities = [], []
    try:
        for images, batch_labels in make_loader(dataset, batch_size):
            batch = normalize(images.to(device)).contiguous(memory_format=torch.channels_last)
            outputs = outputs_of(model, batch)
            if not labels:
                check_outputs(outputs, len(images), model)
            # Softmax in float64, so that no probability is rounded to 0 and the loss stays finite.
            probabilities.append(outputs.cpu().double().softmax(dim=1))
            labels.append(batch_labels)
    finally:
        model.train(was_training)
    probabilities = torch.cat(probabilities).numpy()
    if without := int(np.isnan(probabilities).any(axis=1).sum()):
        print(
            f"Of {without:,} of {len(probabilities):,} images this {type(model).__name__} computes no number (NaN), so "
            "what is predicted for them means nothing. Most likely its training diverged: try a tenth of the learning "
            "rate, and a new model."
        )
    return Predictions(torch.cat(labels).cpu().numpy(), probabilities.argmax(axis=1), probabilities)


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the share of right predictions, 0 to 1: right samples over all samples."""
    labels, predictions = check_answers("accuracy", labels, predictions=predictions)
    return float((labels == predictions).mean())


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean of -log(probability of the true class), in nats.

    Parameters
    ----------
    labels : np.ndarray
        int, (N,).
    probabilities : np.ndarray
        float, (N, 10).
    """
    labels, probabilities = check_probabilities("cross_entropy", labels, probabilities)
    of_true_class = probabilities[np.arange(len(labels)), labels]
    # A diverged model may give 0 even in float64; the smallest normal number keeps the mean finite.
    return float(-np.log(np.maximum(of_true_class, np.finfo(float).tiny)).mean())


def accuracy_interval(labels: np.ndarray, predictions: np.ndarray) -> tuple[float, float, float]:
    """Return the accuracy and its 95 % Wilson interval (Wilson, 1927), as fractions.

    Returns
    -------
    accuracy, low, high : float
    """
    labels, predictions = check_answers("accuracy_interval", labels, predictions=predictions)
    right, total = int((labels == predictions).sum()), len(labels)
    interval = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    return right / total, interval.low, interval.high


def describe_accuracy(labels: np.ndarray, predictions: np.ndarray) -> str:
    """Return the accuracy in words, as '92.34 % (95 % interval 91.80 to 92.85 %, n = 10,000)'."""
    value, low, high = (100 * part for part in accuracy_interval(labels, predictions))
    return f"{value:.2f} % (95 % interval {low:.2f} to {high:.2f} %, n = {len(labels):,})"


def macro_scores(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1, each the plain mean over the ten classes, 0 to 1."""
    labels, predictions = check_answers("macro_scores", labels, predictions=predictions)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predictions, labels=range(config.NUM_CLASSES), average="macro", zero_division=0
    )
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}


def per_class_table(labels: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """Tabulate precision, recall (the accuracy within a class), F1 and errors of each class.

    Returns
    -------
    pd.DataFrame
        One row a class, in the order of `CLASS_NAMES`; columns images, errors, precision, recall, f1.
    """
    labels, predictions = check_answers("per_class_table", labels, predictions=predictions)
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predictions, labels=range(config.NUM_CLASSES), zero_division=0
    )
    matrix = confusion_matrix(labels, predictions, labels=range(config.NUM_CLASSES))
    return pd.DataFrame(
        {
            "images": images,
            "errors": matrix.sum(axis=1) - matrix.diagonal(),
            "precision": precision,
            "recall": recall,
            "f1": f1,
        },
        index=pd.Index(config.CLASS_NAMES, name="class"),
    )


def confused_pairs(labels: np.ndarray, predictions: np.ndarray, top: int = 5) -> pd.DataFrame:
    """List the most frequent errors: true class, predicted class, how often.

    Returns
    -------
    pd.DataFrame
        At most `top` rows, most frequent first; columns true label, predicted as, count.
    """
    labels, predictions = check_answers("confused_pairs", labels, predictions=predictions)
    check_number("confused_pairs", "top", top, lowest=0)
    errors = confusion_matrix(labels, predictions, labels=range(config.NUM_CLASSES))
    np.fill_diagonal(errors, 0)
    order = np.argsort(errors, axis=None, kind="stable")[::-1][: min(top, np.count_nonzero(errors))]
    true, predicted = np.unravel_index(order, errors.shape)
    return pd.DataFrame(
        {
            "true label": [config.CLASS_NAMES[i] for i in true],
            "predicted as": [config.CLASS_NAMES[i] for i in predicted],
            "count": errors[true, predicted],
        },
        index=pd.RangeIndex(1, len(order) + 1, name="rank"),
    )


def confused_either_way(labels: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """Count for each pair of classes the images of one that were taken for the other, both directions together.

    Returns
    -------
    pd.DataFrame
        45 rows, most confused first; columns first, second (class numbers, first < second), pair (their names)
        and confused (images).
    """
    labels, predictions = check_answers("confused_either_way", labels, predictions=predictions)
    matrix = confusion_matrix(labels, predictions, labels=range(config.NUM_CLASSES))
    first, second = np.triu_indices(config.NUM_CLASSES, k=1)
    table = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "pair": [f"{config.CLASS_NAMES[a]} / {config.CLASS_NAMES[b]}" for a, b in zip(first, second, strict=True)],
            "confused": (matrix + matrix.T)[first, second],
        }
    )
    return table.sort_values("confused", ascending=False, kind="stable", ignore_index=True)


def reliability_table(labels: np.ndarray, probabilities: np.ndarray, num_bins: int = 15) -> pd.DataFrame:
    """Compare confidence with accuracy in bins of equal width (Guo et al., 2017).

    Parameters
    ----------
    labels : np.ndarray
        int, (N,).
    probabilities : np.ndarray
        float, (N, 10); the confidence of a prediction is its largest probability.
    num_bins : int
        Bins from 0 to 1.

    Returns
    -------
    pd.DataFrame
        One row a bin that holds samples; columns low, high, images, confidence, accuracy (means).
    """
    labels, probabilities = check_probabilities("reliability_table", labels, probabilities)
    check_number("reliability_table", "num_bins", num_bins)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, num_bins + 1)
    bin_of_sample = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, num_bins - 1)
    rows = []
    for number in range(num_bins):
        inside = bin_of_sample == number
        if inside.any():
            rows.append(
                (edges[number], edges[number + 1], inside.sum(), confidence[inside].mean(), right[inside].mean())
            )
    return pd.DataFrame(rows, columns=["low", "high", "images", "confidence", "accuracy"])


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, num_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over the bins, weighted by images, 0 to 1.

    Source: Naeini et al., 2015; Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    table = reliability_table(labels, probabilities, num_bins)
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["images"]).sum(skipna=False) / len(labels))


def accuracy_by_coverage(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Tabulate accuracy when the model answers only where it is most confident.

    Returns
    -------
    pd.DataFrame
        Row k: the k + 1 most confident answers are kept. Columns threshold (the lowest confidence
        kept), coverage (share of samples answered), accuracy (on those), all 0 to 1.
    """
    labels, probabilities = check_probabilities("accuracy_by_coverage", labels, probabilities)
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == labels)[order]
    answered = np.arange(1, len(labels) + 1)
    return pd.DataFrame(
        {
            "threshold": confidence[order],
            "coverage": answered / len(labels),
            "accuracy": right.cumsum() / answered,
        }
    )


def mcnemar(labels: np.ndarray, predictions_a: np.ndarray, predictions_b: np.ndarray) -> dict[str, float]:
    """Test whether two models differ on the same samples (McNemar, 1947; exact binomial form).

    Returns
    -------
    dict
        only_a_right, only_b_right (counts of samples) and p_value, 0 to 1: how often a gap at least
        as wide would come up if both models were equally good.
    """
    labels, predictions_a, predictions_b = check_answers(
        "mcnemar", labels, predictions_a=predictions_a, predictions_b=predictions_b
    )
    a_right, b_right = predictions_a == labels, predictions_b == labels
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    differing = only_a + only_b
    p_value = binomtest(only_a, differing).pvalue if differing else 1.0
    return {"only_a_right": only_a, "only_b_right": only_b, "p_value": float(p_value)}


def percent(share: float) -> str:
    """Return a share, 0 to 1, as '41 %'. What is not quite 0 or 1 is never rounded to it."""
    if 0 < share < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def softmax_with_temperature(logits: torch.Tensor, temperature: float) -> np.ndarray:
    """Divide logits by a temperature, then apply softmax (Guo et al., 2017).

    Parameters
    ----------
    logits : torch.Tensor
        float, (..., 10).
    temperature : float
        Above 0. Below 1 the probabilities move apart, above 1 they come closer; their order stays.

    Returns
    -------
    np.ndarray
        float64, the shape of the logits; the last dimension sums to 1.

    Raises
    ------
    ValueError
        If the temperature is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"A temperature must be above 0, not {temperature}.")
    return (torch.as_tensor(logits).double() / temperature).softmax(dim=-1).numpy()


def confidence_in_words(probabilities: np.ndarray) -> str:
    """Say which class ten probabilities speak for, and how firmly."""
    second, first = np.argsort(probabilities)[-2:]
    best = f"{config.CLASS_NAMES[first]} ({percent(probabilities[first])})"
    if probabilities[first] >= 0.99:
        return f"almost certain: {best}"
    if probabilities[first] >= 0.9:  # the line that lesson 05 draws between sure and unsure
        return f"sure: {best}"
    next_best = f"{config.CLASS_NAMES[second]} ({percent(probabilities[second])})"
    if probabilities[first] >= 0.5:
        return f"leaning towards {best}, then {next_best}"
    return f"undecided: {best} or {next_best}"


@torch.inference_mode()
def feature_maps(layers: dict[str, nn.Module], image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Send one image through layers, one after the other, and keep what each returns.

    Parameters
    ----------
    layers : dict
        Layer by name, in order; the first takes the normalised image.
    image : torch.Tensor
        uint8, (1, 28, 28).

    Returns
    -------
    dict
        By the same names float32 tensors, (channels, height, width), on the CPU.
    """
    device = next((weight.device for layer in layers.values() for weight in layer.parameters()), image.device)
    x, maps = normalize(image)[None].to(device), {}
    for name, layer in layers.items():
        x = layer(x)
        maps[name] = x[0].cpu()
    return maps


def choose_neighbours(labels: torch.Tensor, image: int, company: int | None, number: int) -> torch.Tensor:
    """Choose the images that share a batch with one image, always the same, and more of them for a larger number.

    Parameters
    ----------
    labels : torch.Tensor
        int64, (N,).
    image : int
        The one image, which is never its own neighbour.
    company : int or None
        The class of the neighbours; None for all classes.
    number : int
        How many, 0 or more; fewer come back if there are not so many.

    Returns
    -------
    torch.Tensor
        int64, their positions.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    suitable = order != image if company is None else (order != image) & (labels[order] == company)
    return order[suitable][:number]


@torch.inference_mode()
def probabilities_in_batch(model: nn.Module, batch: torch.Tensor, training: bool) -> np.ndarray:
    """Return the ten probabilities of a batch's first image, from a copy of the model, which stays as it is.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits.
    batch : torch.Tensor
        uint8, (N, 1, 28, 28).
    training : bool
        True for training mode, False for evaluation mode.

    Returns
    -------
    np.ndarray
        float64, (10,).
    """
    trial = copy.deepcopy(model).train(training)
    # The order in memory that `predict` uses too: the convolutions take half the time.
    x = normalize(batch).contiguous(memory_format=torch.channels_last)
    logits = trial(x.to(next(trial.parameters()).device))
    return logits[0].double().softmax(dim=0).cpu().numpy()


def images_behind(
    labels: np.ndarray, predictions: np.ndarray, confidence: np.ndarray, true_class: int, predicted_class: int
) -> np.ndarray:
    """Return the positions of the images behind one cell of the confusion matrix, the most confident first.

    Parameters
    ----------
    labels, predictions : np.ndarray
        int, (N,).
    confidence : np.ndarray
        float, (N,), 0 to 1.
    true_class, predicted_class : int
        Row and column of the cell.
    """
    behind = np.flatnonzero((labels == true_class) & (predictions == predicted_class))
    return behind[np.argsort(-confidence[behind], kind="stable")]


def at_threshold(curve: pd.DataFrame, threshold: float) -> tuple[int, float, float]:
    """Return what happens when a model answers only from a confidence on.

    Parameters
    ----------
    curve : pd.DataFrame
        From `accuracy_by_coverage`.
    threshold : float
        Lowest confidence of an answer, 0 to 1.

    Returns
    -------
    answered, coverage, accuracy : int, float, float
        Images answered; their share of all; the share of right answers among them, NaN if there is none.
    """
    answered = int((curve["threshold"] >= threshold).sum())
    if answered == 0:
        return 0, 0.0, float("nan")
    return answered, *curve.iloc[answered - 1][["coverage", "accuracy"]]


def share_of_exchanges(first: list[np.ndarray], second: list[np.ndarray]) -> tuple[float, float]:
    """Say how often chance alone makes two kinds of runs differ as much as they do, over several settings together.

    If the kind made no difference, the runs of a setting could be divided anew among the two kinds. All ways to do so
    at every setting are tried: a permutation test within settings.

    Parameters
    ----------
    first, second : list of np.ndarray
        For each setting, the results of the runs of either kind. The ways multiply: 70 for four runs of each, so
        343,000 for three such settings.

    Returns
    -------
    difference : float
        First minus second: the difference of the two means, averaged over the settings.
    share : float
        From above 0 to 1, how many of all ways have a difference at least as far from 0, in either direction.
    """
    sums = np.zeros(1)
    for one, other in zip(first, second, strict=True):
        both = np.concatenate([one, other])
        groups = np.array(list(combinations(range(len(both)), len(one))))  # the real one comes first
        inside = both[groups].sum(axis=1)
        differences = inside / len(one) - (both.sum() - inside) / len(other)
        sums = (sums[:, None] + differences).ravel()
    share = (np.abs(sums) >= np.abs(sums[0]) - 1e-9).mean()
    return float(sums[0] / len(first)), float(share)
