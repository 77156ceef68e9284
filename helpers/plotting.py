"""Draw images, histories, confusion matrices and confidences. Each takes data and returns Axes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from sklearn.metrics import ConfusionMatrixDisplay

from helpers import config
from helpers.inputs import check_answers

# From the colour-blind-safe palette of Okabe and Ito.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
RIGHT_COLOR, WRONG_COLOR = GREEN, ORANGE


def use_theme() -> None:
    """Set the one look of all figures of the series. Every lesson calls it once, at its start."""
    palette = [BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
    sns.set_theme(style="whitegrid", palette=palette, rc={"figure.dpi": 100, "figure.constrained_layout.use": True})


def plot_image(image: torch.Tensor, title: str = "", *, ax: Axes | None = None) -> Axes:
    """Draw one image in grey levels, without ticks.

    Parameters
    ----------
    image : torch.Tensor
        uint8, (1, 28, 28) or (28, 28), 0 black to 255 white.
    title : str
        Written above it.
    """
    ax = ax or plt.gca()
    ax.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    return ax


def plot_images(images: torch.Tensor, titles: list[str] | None = None, columns: int = 5) -> np.ndarray:
    """Draw images in a grid.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    titles : list of str, optional
        One for each image.
    columns : int
        Images in a row.

    Returns
    -------
    np.ndarray
        Of N Axes.
    """
    rows = -(-len(images) // columns)
    lines = max((title.count("\n") + 1 for title in titles), default=0) if titles else 0
    _, axes = plt.subplots(rows, columns, figsize=(1.8 * columns, (1.6 + 0.18 * lines) * rows), squeeze=False)
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for number, ax in enumerate(axes.flat[: len(images)]):
        plot_image(images[number], titles[number] if titles else "", ax=ax)
    return axes.flat[: len(images)]


def plot_predictions(
    images: torch.Tensor,
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray,
    columns: int = 5,
) -> np.ndarray:
    """Draw images with predicted class, confidence and true class.

    Right answers carry a tick and a green frame, wrong ones a cross, the true class in words and an
    orange frame, so that colour is never the only signal.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels, predictions : np.ndarray
        int, (N,).
    probabilities : np.ndarray
        float, (N, 10).
    columns : int
        Images in a row.

    Returns
    -------
    np.ndarray
        Of N Axes.
    """
    titles = []
    for label, predicted, row in zip(labels, predictions, probabilities, strict=True):
        mark = "✓" if predicted == label else "✗"
        title = f"{mark} {config.CLASS_NAMES[predicted]} {row[predicted]:.0%}"
        titles.append(f"{title}\ntruly {config.CLASS_NAMES[label]}")
    axes = plot_images(images, titles, columns)
    for ax, label, predicted in zip(axes, labels, predictions, strict=True):
        color = RIGHT_COLOR if predicted == label else WRONG_COLOR
        ax.title.set_color(color)
        for spine in ax.spines.values():
            spine.set(visible=True, color=color, linewidth=2.5)
    return axes


def plot_history(history: pd.DataFrame, quantity: str = "loss", *, ax: Axes | None = None) -> Axes:
    """Draw the training (dashed) and validation (solid) curve of a history from `fit`.

    Parameters
    ----------
    history : pd.DataFrame
        One row an epoch.
    quantity : {"loss", "accuracy"}
        Which pair of columns. Accuracies are drawn in percent.
    """
    ax = ax or plt.gca()
    scale = 100 if quantity == "accuracy" else 1
    styles = {"train": ("--", "o", BLUE), "validation": ("-", "s", ORANGE)}
    for part, (line, marker, color) in styles.items():
        values = scale * history[f"{part}_{quantity}"]
        ax.plot(history["epoch"], values, line, marker=marker, markersize=4, color=color, label=part)
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy (%)" if quantity == "accuracy" else "loss (cross-entropy, nats)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def plot_confusion_matrix(
    labels: np.ndarray,
    predictions: np.ndarray,
    normalize: str | None = None,
    errors_only: bool = False,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw a confusion matrix: a row for each true class, a column for each predicted class.

    Parameters
    ----------
    labels, predictions : np.ndarray
        int, (N,).
    normalize : {None, "true", "pred"}
        None for counts, "true" for percent of each row, "pred" for percent of each column.
    errors_only : bool
        Leave the diagonal empty, so that the colours show the errors.
    """
    labels, predictions = check_answers("plot_confusion_matrix", labels, predictions=predictions)
    ax = ax or plt.gca()
    display = ConfusionMatrixDisplay.from_predictions(
        labels,
        predictions,
        labels=range(config.NUM_CLASSES),
        display_labels=config.CLASS_NAMES,
        normalize=normalize,
        include_values=False,
        cmap="Blues",
        colorbar=False,
        ax=ax,
    )
    matrix = display.confusion_matrix.astype(float) * (100 if normalize else 1)
    if errors_only:
        np.fill_diagonal(matrix, np.nan)
    image = ax.images[0]
    image.set_data(matrix)
    image.set_clim(0, np.nanmax(matrix))
    for (row, column), value in np.ndenumerate(matrix):
        if np.isnan(value) or value == 0:
            continue
        text = f"{value:.0f}" if value > 0.5 else "<1"
        color = "white" if value > 0.55 * np.nanmax(matrix) else "black"
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    ax.set_xticks(range(config.NUM_CLASSES), config.CLASS_NAMES, rotation=45, ha="right")
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.grid(False)
    what = {None: "counts", "true": "percent of each true class", "pred": "percent of each predicted class"}
    ax.set_title(f"{'Errors only: ' if errors_only else ''}{what[normalize]}", fontsize=10)
    return ax
