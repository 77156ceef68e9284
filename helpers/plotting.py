"""Draw images, histories, confusion matrices, confidences and what widgets show. Each takes data and returns Axes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from sklearn.metrics import ConfusionMatrixDisplay
from torchvision.utils import make_grid

from helpers import config
from helpers.evaluation import at_threshold, percent
from helpers.inputs import check_answers

# From the colour-blind-safe palette of Okabe and Ito.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
RIGHT_COLOR, WRONG_COLOR = GREEN, ORANGE
LIGHT_BLUE = "#9ECAE1"
COLUMNS, ROWS = 10, 4
PAGE = COLUMNS * ROWS
GAP = 2  # pixels between two pictures of a mosaic


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


def draw_mosaic(pictures: torch.Tensor, columns: int, rows: int, ax: Axes, **style) -> int:
    """Draw many pictures as one, which is many times faster than one Axes for each.

    Parameters
    ----------
    pictures : torch.Tensor
        (N, 1, H, W), at most columns * rows. Places that are left over stay empty.
    columns, rows : int
        Of the mosaic; they do not depend on N, so that the pictures keep their size and place.
    **style
        For `Axes.imshow`.

    Returns
    -------
    int
        Pixels from one picture to the next.
    """
    step = pictures.shape[-1] + GAP
    places = torch.full((columns * rows, *pictures.shape[1:]), torch.nan)
    places[: len(pictures)] = pictures
    ax.imshow(make_grid(places, nrow=columns, padding=GAP, pad_value=torch.nan)[0], interpolation="nearest", **style)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    return step


def label_rows(names: list[str], step: int, ax: Axes) -> None:
    """Write a name beside each row of a mosaic, from the top."""
    ax.set_yticks([GAP + step // 2 + step * row for row in range(len(names))], names, fontsize=9)
    ax.tick_params(length=0)


def say_instead(sentence: str, ax: Axes) -> Axes:
    """Write a sentence where a figure would have nothing to show."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", fontsize=12)
    return ax


def plot_page(images: torch.Tensor, name: str, page: int, *, ax: Axes | None = None) -> Axes:
    """Draw one page of 40 images.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    name : str
        What they are, for the title.
    page : int
        From 1. Beyond the last page a sentence says so.
    """
    ax = ax or plt.gca()
    pages, first = -(-len(images) // PAGE), (page - 1) * PAGE
    if page > pages:
        return say_instead(f"{name}: {len(images):,} images, so there is no page {page}.", ax)
    shown = images[first : first + PAGE]
    step = draw_mosaic(shown, COLUMNS, ROWS, ax, cmap="gray", vmin=0, vmax=255)
    label_rows([f"{first + start + 1:,} …" for start in range(0, len(shown), COLUMNS)], step, ax)
    ax.set_ylabel("number of the first in the row")
    ax.set_title(f"{name}: images {first + 1:,} to {first + len(shown):,} of {len(images):,} (page {page} of {pages})")
    return ax


def plot_probabilities(
    probabilities: np.ndarray, label: int, reference: np.ndarray | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw ten probabilities as bars; the largest is dark, the true class is named.

    Parameters
    ----------
    probabilities : np.ndarray
        float, (10,), 0 to 1.
    label : int
        The true class.
    reference : np.ndarray, optional
        float, (10,), drawn as diamonds: the probabilities in evaluation mode.
    """
    ax = ax or plt.gca()
    predicted = probabilities.argmax()
    colors = [BLUE if number == predicted else LIGHT_BLUE for number in range(config.NUM_CLASSES)]
    ax.barh(range(config.NUM_CLASSES), 100 * probabilities, color=colors)
    if reference is not None:
        ax.plot(100 * reference, range(config.NUM_CLASSES), "D", color=ORANGE, markersize=7, mec="white", clip_on=False)
    for number, share in enumerate(probabilities):
        weight = "bold" if number == predicted else "normal"
        ax.text(103, number, percent(share), va="center", fontsize=9, weight=weight)
    names = [f"{name} (true)" if number == label else name for number, name in enumerate(config.CLASS_NAMES)]
    ax.set_yticks(range(config.NUM_CLASSES), names)
    ax.set_ylim(config.NUM_CLASSES - 0.5, -0.5)
    ax.set_xlim(0, 100)
    ax.set_xlabel("probability (%)" + ("; ◆ in evaluation mode" if reference is not None else ""))
    ax.grid(False, axis="y")
    return ax


def plot_feature_maps(maps: torch.Tensor, name: str, *, ax: Axes | None = None) -> Axes:
    """Draw the feature maps of one layer, eight in a row, all on one grey scale from 0 up.

    Parameters
    ----------
    maps : torch.Tensor
        float, (channels, height, width), after ReLU, so not below 0.
    name : str
        Of the layer, for the title.
    """
    ax = ax or plt.gca()
    channels, height, width = maps.shape
    rows, largest = -(-channels // 8), maps.max().item()
    step = draw_mosaic(maps[:, None], 8, rows, ax, cmap="gray", vmin=0, vmax=largest or 1)
    label_rows([f"{row * 8} to {min(row * 8 + 7, channels - 1)}" for row in range(rows)], step, ax)
    ax.set_ylabel("channels")
    silent = int((maps.amax(dim=(1, 2)) <= 0.05 * largest).sum())
    ax.set_title(f"{name}: {channels} maps of {height} × {width}")
    ax.set_xlabel(f"black 0, white {largest:.1f}; maps below 5 % of that: {silent}")
    return ax


def plot_batch(batch: torch.Tensor, *, ax: Axes | None = None) -> Axes:
    """Draw a batch of up to 32 images, with a frame around the first.

    Parameters
    ----------
    batch : torch.Tensor
        uint8, (N, 1, 28, 28).
    """
    ax = ax or plt.gca()
    step = draw_mosaic(batch, 8, 4, ax, cmap="gray", vmin=0, vmax=255)
    ax.add_patch(Rectangle((0, 0), step, step, fill=False, edgecolor=ORANGE, linewidth=3))
    for spine in ax.spines.values():
        spine.set_visible(False)
    neighbours = {0: "no neighbour", 1: "1 neighbour"}.get(len(batch) - 1, f"{len(batch) - 1} neighbours")
    ax.set_title(f"the image (framed) and {neighbours}")
    return ax


def plot_images_behind(
    images: torch.Tensor, confidence: np.ndarray, true_class: int, predicted_class: int, *, ax: Axes | None = None
) -> Axes:
    """Draw the first 40 of the images behind one cell of the confusion matrix, or say that there is none.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28), in the order of `images_behind`.
    confidence : np.ndarray
        float, (N,), in the same order.
    true_class, predicted_class : int
        Row and column of the cell.
    """
    ax = ax or plt.gca()
    truth, said = config.CLASS_NAMES[true_class], config.CLASS_NAMES[predicted_class]
    mark = "✓" if true_class == predicted_class else "✗"
    if len(images) == 0:
        return say_instead(f"No image of class {truth} was called {said}.", ax)
    step = draw_mosaic(images[:PAGE], COLUMNS, ROWS, ax, cmap="gray", vmin=0, vmax=255)
    label_rows([percent(share) for share in confidence[:PAGE:COLUMNS]], step, ax)
    ax.set_ylabel("confidence, first in the row")
    images_of = "1 image" if len(images) == 1 else f"{len(images):,} images"
    surest = f" The {PAGE} most confident:" if len(images) > PAGE else ""
    ax.set_title(f"{mark} {images_of} of class {truth} called {said}.{surest}")
    return ax


def plot_threshold(curve: pd.DataFrame, threshold: float, *, ax: Axes | None = None) -> Axes:
    """Draw accuracy over coverage, with the point of one threshold, and say what it means.

    Parameters
    ----------
    curve : pd.DataFrame
        From `accuracy_by_coverage`.
    threshold : float
        Lowest confidence of an answer, 0 to 1.
    """
    ax = ax or plt.gca()
    answered, coverage, accuracy = at_threshold(curve, threshold)
    thinned = curve.iloc[np.linspace(0, len(curve) - 1, min(len(curve), 400)).astype(int)]
    ax.plot(100 * thinned["coverage"], 100 * thinned["accuracy"], color=BLUE, linewidth=2)
    lowest = 100 * curve["accuracy"].iloc[-1] - 2
    ax.set(xlim=(0, 101), ylim=(lowest, 100.5))
    ax.set_xlabel("coverage: share of images that the model answers (%)")
    ax.set_ylabel("accuracy on those (%)")
    if answered == 0:
        everything = f"so all {len(curve):,} images are passed on to a person"
        ax.set_title(f"threshold {100 * threshold:.0f} %: no answer is so confident,\n{everything}")
        return ax
    wrong = round(answered * (1 - accuracy))
    ax.plot([0, 100 * coverage, 100 * coverage], [100 * accuracy, 100 * accuracy, lowest], ":", color=GREY)
    ax.plot(100 * coverage, 100 * accuracy, "o", color=ORANGE, markersize=10, clip_on=False)
    ax.set_title(
        f"threshold {100 * threshold:.0f} %: {answered:,} of {len(curve):,} images answered ({100 * coverage:.1f} %),\n"
        f"{100 * accuracy:.1f} % of them right, {wrong:,} wrong; {len(curve) - answered:,} passed on to a person"
    )
    return ax
