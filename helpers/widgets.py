"""Controls over the figures of `helpers.plotting`. Each function shows them, in a running notebook only."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from ipywidgets import Dropdown, IntSlider, SelectionSlider, interact
from torch import nn
from torch.utils.data import TensorDataset

from helpers.config import CLASS_NAMES
from helpers.evaluation import (
    Predictions,
    accuracy_by_coverage,
    choose_neighbours,
    confidence_in_words,
    feature_maps,
    images_behind,
    probabilities_in_batch,
    softmax_with_temperature,
)
from helpers.plotting import (
    PAGE,
    plot_batch,
    plot_feature_maps,
    plot_image,
    plot_images_behind,
    plot_page,
    plot_probabilities,
    plot_threshold,
)

TEMPERATURES = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]
CLASSES = [(name, number) for number, name in enumerate(CLASS_NAMES)]
EVERY_CLASS = -1  # not None, which a dropdown takes for "nothing is chosen"
READABLE = {"description_width": "initial"}  # the usual width cuts long names
WIDE = {"width": "420px"}  # so that a slider of fifty images is easy to set


def slider(description: str, low: int, high: int, value: int) -> IntSlider:
    """Make a slider that answers when it is released, so that no picture is drawn on the way."""
    return IntSlider(value, low, high, description=description, style=READABLE, layout=WIDE, continuous_update=False)


def dropdown(description: str, options: list, value: object) -> Dropdown:
    """Make a dropdown of texts, or of (text, value) pairs."""
    return Dropdown(options=options, value=value, description=description, style=READABLE, layout=WIDE)


def browse_classes(images: torch.Tensor, labels: torch.Tensor, start: str = "Shirt") -> None:
    """Turn the pages of one class: `plot_page` with a dropdown `class` and a slider `page`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels : torch.Tensor
        int64, (N,).
    start : str
        Name of the class that is shown first.
    """
    of_class = [images[labels == number] for number in range(len(CLASS_NAMES))]
    pages = max(1, *(-(-len(some) // PAGE) for some in of_class))

    def draw(number, page):
        _, ax = plt.subplots(figsize=(9, 4))
        plot_page(of_class[number], CLASS_NAMES[number], page, ax=ax)

    number = dropdown("class", CLASSES, CLASS_NAMES.index(start))
    interact(draw, number=number, page=slider("page", 1, pages, 1))


def explore_temperature(images: torch.Tensor, labels: np.ndarray, logits: torch.Tensor) -> None:
    """Change the temperature of softmax: `plot_probabilities` with a slider `temperature` and a dropdown `image`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels : np.ndarray
        int, (N,).
    logits : torch.Tensor
        float, (N, 10), of any model.
    """
    answers = logits.argmax(dim=1).tolist()
    names = [
        f"{position + 1}. {CLASS_NAMES[label]} called {CLASS_NAMES[answer]}"
        for position, (label, answer) in enumerate(zip(labels, answers, strict=True))
    ]

    def draw(temperature, image):
        probabilities = softmax_with_temperature(logits[image], temperature)
        _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(1, 1.9))
        plot_image(images[image], ax=left)
        plot_probabilities(probabilities, labels[image], ax=right)
        right.set_title(f"temperature {temperature:g}\n{confidence_in_words(probabilities)}")

    temperature = SelectionSlider(
        options=TEMPERATURES,
        value=1.0,
        description="temperature",
        style=READABLE,
        layout=WIDE,
        continuous_update=False,
    )
    choices = [(name, position) for position, name in enumerate(names)]
    interact(draw, temperature=temperature, image=dropdown("image", choices, 0))


def explore_feature_maps(layers: dict[str, nn.Module], images: torch.Tensor) -> None:
    """Go from layer to layer: `plot_feature_maps` with a dropdown `layer` and a slider `image`.

    Parameters
    ----------
    layers : dict
        Layer by name, in order; the first takes normalised images.
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    """

    def draw(layer, image):
        _, (left, right) = plt.subplots(1, 2, figsize=(9, 5.4), width_ratios=(1, 3))
        plot_image(images[image], "input", ax=left)
        plot_feature_maps(feature_maps(layers, images[image])[layer], layer, ax=right)

    interact(
        draw, layer=dropdown("layer", list(layers), next(iter(layers))), image=slider("image", 0, len(images) - 1, 0)
    )


def explore_neighbours(model: nn.Module, dataset: TensorDataset, image: int) -> None:
    """Change the company of one image: `plot_probabilities` by `mode`, `neighbours` and `class of the neighbours`.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits. It is left as it is.
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,): where the neighbours come from.
    image : int
        Position of the one image.
    """
    images, labels = dataset.tensors
    alone = probabilities_in_batch(model, images[[image]], training=False)

    def draw(mode, neighbours, company):
        others = choose_neighbours(labels, image, None if company < 0 else company, neighbours)
        batch = torch.cat([images[[image]], images[others]])
        probabilities = probabilities_in_batch(model, batch, training=mode == "training")
        _, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1, 1.7))
        plot_batch(batch, ax=left)
        plot_probabilities(probabilities, int(labels[image]), alone, ax=right)
        right.set_title(f"{mode} mode\n{confidence_in_words(probabilities)}")

    interact(
        draw,
        mode=dropdown("mode", ["training", "evaluation"], "training"),
        neighbours=slider("neighbours", 0, 31, 0),
        company=dropdown("class of the neighbours", [("all classes", -1), *CLASSES], -1),
    )


def explore_confusions(images: torch.Tensor, outcome: Predictions, true_class: int, predicted_class: int) -> None:
    """Look behind a cell: `plot_images_behind` with dropdowns `true class` and `predicted class`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    outcome : Predictions
        From `predict`, on these images.
    true_class, predicted_class : int
        The cell that is shown first.
    """
    labels, predictions, probabilities = outcome
    confidence = probabilities.max(axis=1)

    def draw(true_class, predicted_class):
        behind = images_behind(labels, predictions, confidence, true_class, predicted_class)
        _, ax = plt.subplots(figsize=(9, 4))
        plot_images_behind(images[behind], confidence[behind], true_class, predicted_class, ax=ax)

    interact(
        draw,
        true_class=dropdown("true class", CLASSES, int(true_class)),
        predicted_class=dropdown("predicted class", CLASSES, int(predicted_class)),
    )


def explore_threshold(outcomes: dict[str, Predictions]) -> None:
    """Let a model abstain: `plot_threshold` with a dropdown `model` and a slider `threshold (%)`.

    Parameters
    ----------
    outcomes : dict
        From `predict`, by the model's name.
    """
    curves = {name: accuracy_by_coverage(outcome.labels, outcome.probabilities) for name, outcome in outcomes.items()}

    def draw(model, threshold):
        _, ax = plt.subplots(figsize=(7, 4.2))
        plot_threshold(curves[model], threshold / 100, ax=ax)

    interact(
        draw, model=dropdown("model", list(curves), next(iter(curves))), threshold=slider("threshold (%)", 0, 99, 90)
    )
