"""Compute what the widgets show: pure functions of the data and of the settings of the controls."""

import copy

import numpy as np
import pandas as pd
import torch
from torch import nn

from helpers.config import CLASS_NAMES
from helpers.data import normalize


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
    best = f"{CLASS_NAMES[first]} ({percent(probabilities[first])})"
    if probabilities[first] >= 0.99:
        return f"almost certain: {best}"
    if probabilities[first] >= 0.9:  # the line that lesson 05 draws between sure and unsure
        return f"sure: {best}"
    next_best = f"{CLASS_NAMES[second]} ({percent(probabilities[second])})"
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
