"""Draw what the widgets show, one figure a setting. Each function takes data and returns Axes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torchvision.utils import make_grid

from helpers.config import CLASS_NAMES, NUM_CLASSES
from helpers.plotting import BLUE, GREY, ORANGE
from helpers.widget_values import at_threshold, percent

LIGHT_BLUE = "#9ECAE1"
COLUMNS, ROWS = 10, 4
PAGE = COLUMNS * ROWS
GAP = 2  # pixels between two pictures of a mosaic


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
    colors = [BLUE if number == predicted else LIGHT_BLUE for number in range(NUM_CLASSES)]
    ax.barh(range(NUM_CLASSES), 100 * probabilities, color=colors)
    if reference is not None:
        ax.plot(100 * reference, range(NUM_CLASSES), "D", color=ORANGE, markersize=7, mec="white", clip_on=False)
    for number, share in enumerate(probabilities):
        weight = "bold" if number == predicted else "normal"
        ax.text(103, number, percent(share), va="center", fontsize=9, weight=weight)
    names = [f"{name} (true)" if number == label else name for number, name in enumerate(CLASS_NAMES)]
    ax.set_yticks(range(NUM_CLASSES), names)
    ax.set_ylim(NUM_CLASSES - 0.5, -0.5)
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
    truth, said = CLASS_NAMES[true_class], CLASS_NAMES[predicted_class]
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
