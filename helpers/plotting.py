"""Draw images, histories, confusion matrices, confidences and what widgets show. Each takes data and returns Axes."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from scipy.stats import binomtest
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from helpers import config
from helpers.alt_text import add_alt_text
from helpers.evaluation import at_threshold, percent
from helpers.inputs import check_answers

# The colour-blind-safe palette of Okabe and Ito, darkened where white behind it would leave too little contrast: text
# needs 4.5 to 1, and a mark 3 to 1.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#B65000", "#007F5C", "#595959"
OTHERS = ["#B8578F", "#A87400", "#2F8BC0", "#000000", "#8C8400"]
RIGHT_COLOR, WRONG_COLOR = GREEN, ORANGE
LIGHT_BLUE = "#9ECAE1"  # of a surface, which needs an edge
COLUMNS, ROWS = 10, 4
PAGE = COLUMNS * ROWS
GAP = 2  # pixels between two pictures of a mosaic


def use_theme() -> None:
    """Set the one look of all figures, and have each described in words. A lesson calls it once, at its start."""
    palette = [BLUE, ORANGE, GREEN, *OTHERS]
    sns.set_theme(style="whitegrid", palette=palette, rc={"figure.dpi": 100, "figure.constrained_layout.use": True})
    add_alt_text()


def ink_on(image: AxesImage, value: float) -> str:
    """Return "black" or "white", whichever is seen better on the colour that an image gives to a value.

    The contrast is at least 4.58 to 1 on every colour (WCAG 2.2, relative luminance).
    """
    channels = np.array(image.cmap(image.norm(value))[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "white"


def outline(color: str) -> list:
    """Return what gives a text an outline: white around black, black around white, for a ground of several colours."""
    return [withStroke(linewidth=2.5, foreground="white" if color == "black" else "black")]


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
        title = f"{mark} {config.CLASS_NAMES[predicted]} {percent(row[predicted])}"
        titles.append(f"{title}\ntruly {config.CLASS_NAMES[label]}")
    axes = plot_images(images, titles, columns)
    for ax, label, predicted in zip(axes, labels, predictions, strict=True):
        color = RIGHT_COLOR if predicted == label else WRONG_COLOR
        ax.title.set_color(color)
        for spine in ax.spines.values():
            spine.set(visible=True, color=color, linewidth=2.5)
    return axes


def plot_disagreements(images: torch.Tensor, labels: np.ndarray, answers: np.ndarray, most: int = 15) -> np.ndarray:
    """Draw the first images to which a person gave another class than the data set, with both.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels, answers : np.ndarray
        int, (N,). At least one differs.
    most : int
        Images drawn.

    Returns
    -------
    np.ndarray
        Of Axes, one per image drawn.
    """
    others = np.flatnonzero(labels != answers)[:most]
    titles = [f"you: {config.CLASS_NAMES[answers[i]]}\nlabel: {config.CLASS_NAMES[labels[i]]}" for i in others]
    return plot_images(images[others], titles)


def plot_picture_map(images: torch.Tensor, points: np.ndarray, side: int = 560, *, ax: Axes | None = None) -> Axes:
    """Draw each image at its point, from the first on; an image that would hide an earlier one is left out.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    points : np.ndarray
        float, (N, 2), across and up, in any unit.
    side : int
        Pixels of the map from side to side.
    """
    ax = ax or plt.gca()
    edge, rim = images.shape[-1], 4  # pictures may overlap by their rims, which are mostly background
    low, high = points.min(axis=0), points.max(axis=0)
    corners = ((points - low) / (high - low) * (side - edge)).round().astype(int)
    canvas, taken = np.zeros((side, side), np.uint8), np.zeros((side, side), bool)
    drawn = 0
    for image, (left, up) in zip(images[:, 0].numpy(), corners, strict=True):
        top = side - edge - up
        heart = np.s_[top + rim : top + edge - rim, left + rim : left + edge - rim]
        if not taken[heart].any():
            place = np.s_[top : top + edge, left : left + edge]
            canvas[place] = np.maximum(canvas[place], image)
            taken[heart] = True
            drawn += 1
    # Sixteen grey levels look the same here and make the figure a third smaller.
    ax.imshow(canvas & 0xF0, cmap="gray", vmin=0, vmax=240, interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=f"{drawn} of {len(images):,} images drawn")
    ax.grid(False)
    return ax


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
    matrix = confusion_matrix(
        labels,
        predictions,
        labels=range(config.NUM_CLASSES),
        normalize=normalize,
    )
    matrix = matrix * (100.0 if normalize else 1.0)
    if errors_only:
        np.fill_diagonal(matrix, np.nan)
    largest = np.nanmax(matrix)
    ax = ax or plt.gca()
    display = ConfusionMatrixDisplay(matrix, display_labels=config.CLASS_NAMES).plot(
        include_values=False, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": largest}, ax=ax
    )
    # scikit-learn would write each zero as well, and "0" for a share that is only rounded to it.
    for row, column in np.argwhere(matrix > 0):
        value = matrix[row, column]
        text = f"{value:.0f}" if value > 0.5 else "<1"
        ax.text(column, row, text, ha="center", va="center", color=ink_on(display.im_, value), fontsize=8)
    plt.setp(ax.get_xticklabels(), rotation=45, ha="right")
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.grid(False)
    what = {None: "counts", "true": "percent of each true class", "pred": "percent of each predicted class"}
    ax.set_title(f"{'Errors only: ' if errors_only else ''}{what[normalize]}", fontsize=10)
    return ax


def plot_error_maps(outcomes: dict[str, tuple]) -> np.ndarray:
    """Draw the errors of several models side by side, all on one colour scale, the most frequent one as a number.

    Parameters
    ----------
    outcomes : dict
        By the model's name labels and predictions, int (N,), and whatever else `predict` returns.

    Returns
    -------
    np.ndarray
        Of one Axes for each model: a row for each true class, a column for each predicted class, the diagonal empty.
    """
    counts = {}
    for name, (labels, predictions, *_) in outcomes.items():
        labels, predictions = check_answers("plot_error_maps", labels, predictions=predictions)
        counts[name] = confusion_matrix(labels, predictions, labels=range(config.NUM_CLASSES)).astype(float)
        np.fill_diagonal(counts[name], np.nan)
    largest = max(np.nanmax(matrix) for matrix in counts.values())
    figure, axes = plt.subplots(1, len(counts), figsize=(1.2 + 3.1 * len(counts), 4.3), squeeze=False)
    for ax, (name, matrix) in zip(axes[0], counts.items(), strict=True):
        shown = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=largest)
        row, column = np.unravel_index(np.nanargmax(matrix), matrix.shape)
        color = ink_on(shown, matrix[row, column])
        ax.text(column, row, f"{matrix[row, column]:.0f}", ha="center", va="center", color=color, fontsize=9)
        ax.set_xticks(range(config.NUM_CLASSES), config.CLASS_NAMES, rotation=90)
        ax.set_yticks(range(config.NUM_CLASSES), config.CLASS_NAMES)
        plt.setp(ax.get_yticklabels(), visible=ax is axes[0, 0])
        most = f"most: {config.CLASS_NAMES[row]} → {config.CLASS_NAMES[column]}"
        ax.set_title(f"{name}: {np.nansum(matrix):.0f} errors\n{most}", fontsize=11)
        ax.set_xlabel("predicted class")
        ax.grid(False)
    axes[0, 0].set_ylabel("true class")
    figure.colorbar(shown, ax=axes[0], label="images", shrink=0.6)
    return axes[0]


def plot_reliability(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of right answers over the mean confidence of each bin: the more images, the larger the mark.

    The smallest marks are enlarged, so that they can be seen.

    Parameters
    ----------
    table : pd.DataFrame
        From `reliability_table`: columns images, confidence and accuracy, the last two 0 to 1. The lines are 95 %
        Wilson intervals of the accuracy.
    """
    ax = ax or plt.gca()
    rights = (table["accuracy"] * table["images"]).round().astype(int)
    intervals = [
        binomtest(right, images).proportion_ci(method="wilson")
        for right, images in zip(rights, table["images"], strict=True)
    ]
    confidence, accuracy = 100 * table["confidence"], 100 * table["accuracy"]
    # A bin without a right answer has its interval on one side only.
    below = (accuracy - [100 * interval.low for interval in intervals]).clip(lower=0)
    above = ([100 * interval.high for interval in intervals] - accuracy).clip(lower=0)
    ax.plot([0, 100], [0, 100], ":", color=GREY, label="calibrated")
    ax.errorbar(confidence, accuracy, [below, above], fmt=".", color=BLUE, capsize=2, label="95 % interval")
    area = (800 * table["images"] / table["images"].sum()).clip(lower=25)
    words = "bin: area by its images\n(the smallest enlarged)"
    ax.scatter(confidence, accuracy, s=area, color=BLUE, alpha=0.7, zorder=3, label=words)
    ax.set(xlim=(0, 104), ylim=(-3, 105), xlabel="mean confidence (%)", ylabel="share of right answers (%)")
    return ax


def plot_scoreboard(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each who classified, with its 95 % interval, and chance as a line.

    Parameters
    ----------
    table : pd.DataFrame
        From `scoreboard`: columns name, images, accuracy, low and high.
    """
    ax = ax or plt.gca()
    chance = 100 / config.NUM_CLASSES
    places = np.arange(len(table))
    accuracy = 100 * table["accuracy"]
    spread = [accuracy - 100 * table["low"], 100 * table["high"] - accuracy]
    ax.errorbar(accuracy, places, xerr=spread, fmt="o", color=BLUE, markersize=7, capsize=4, linewidth=2)
    for place, row in enumerate(table.itertuples(index=False)):
        words = f"{100 * row.accuracy:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f} %)"
        ax.annotate(words, (100 * row.accuracy, place), (0, 9), textcoords="offset points", ha="center", fontsize=9)
    ax.axvline(chance, color=GREY, linestyle="--")
    ax.text(chance + 1, -0.55, f"chance, {chance:.0f} %", color=GREY, fontsize=9, va="center")
    ax.set_yticks(places, [f"{row.name}\n{row.images:,} images" for row in table.itertuples(index=False)])
    # Beyond 100, so that the words above the best do not cross the frame.
    ax.set(xlim=(0, 118), ylim=(-0.9, len(table) - 0.4), xlabel="accuracy (%), with its 95 % interval")
    ax.set_title("Scoreboard")
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
    places = torch.full((rows * columns, *pictures.shape[2:]), torch.nan)
    places[: len(pictures)] = pictures[:, 0]
    # As torchvision's make_grid, which takes a second to import.
    framed = F.pad(places, (GAP, 0, GAP, 0), value=torch.nan)
    in_rows = framed.unflatten(0, (rows, columns)).transpose(1, 2).flatten(2).flatten(0, 1)
    ax.imshow(F.pad(in_rows, (0, GAP, 0, GAP), value=torch.nan), interpolation="nearest", **style)
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
    ax.barh(range(config.NUM_CLASSES), 100 * probabilities, color=colors, edgecolor=BLUE)
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
    ax.set_ylabel("confidence of the row's first image")
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


def plot_signed_image(picture: torch.Tensor, title: str, limit: float, *, ax: Axes | None = None) -> Axes:
    """Draw numbers of both signs, such as weights: blue above 0, red below, with + and − where they are large.

    Parameters
    ----------
    picture : torch.Tensor
        float, (rows, columns).
    title : str
        Written above it.
    limit : float
        The number that gets the full colour. A block of 4 x 4 pixels, or of what is left of them at the right and the
        lower edge, is marked if its mean passes a quarter of it.
    """
    ax = ax or plt.gca()
    shown = ax.imshow(picture, cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
    height, width = picture.shape
    blocks = F.avg_pool2d(picture[None, None], 4, ceil_mode=True)[0, 0]
    for (row, column), value in np.ndenumerate(blocks.numpy()):
        if abs(value) > limit / 4:
            x = (4 * column + min(4 * column + 4, width) - 1) / 2
            y = (4 * row + min(4 * row + 4, height) - 1) / 2
            style = {"color": (color := ink_on(shown, value)), "path_effects": outline(color)}
            ax.text(x, y, "+" if value > 0 else "−", ha="center", va="center", **style)
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    return ax


def plot_seeds(
    values: dict[str, list[float]], quantity: str = "accuracy on validation images (%)", *, ax: Axes | None = None
) -> Axes:
    """Draw what each kind of training reached, a mark for each seed and a line at their mean.

    Parameters
    ----------
    values : dict of str to list of float
        By the name of the kind: a fraction for each seed, such as an accuracy or a difference of two. At most four.
    quantity : str
        What the values are, times 100.
    """
    ax = ax or plt.gca()
    said = []
    styles = zip("osD^", [BLUE, ORANGE, GREEN, GREY], strict=True)
    for place, ((name, fractions), (mark, color)) in enumerate(zip(values.items(), styles, strict=False)):
        percents = 100 * np.array(fractions)
        mean = percents.mean()
        ax.plot(percents, np.full(len(percents), place), mark, markersize=10, color=color, alpha=0.8, label=name)
        ax.vlines(mean, place - 0.28, place + 0.28, linewidth=3, color="black")
        words = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "fontsize": 10}
        ax.annotate(f"mean {mean:.1f}", (mean, place - 0.28), **words)
        said.append(f"{name} {', '.join(f'{percent:.1f}' for percent in percents)}, mean {mean:.1f}")
    ax.set_yticks(range(len(said)), list(values)[: len(said)])
    ax.set(ylim=(len(said) - 0.5, -0.7), xlabel=quantity)
    ax.grid(False, axis="y")
    ax.set_label(f"For each seed, {quantity}: {'; '.join(said)}.")
    return ax


def plot_kernels(kernels: torch.Tensor, limit: float, axes: np.ndarray) -> np.ndarray:
    """Draw small kernels with the sign of each weight in its box, all on one scale.

    Parameters
    ----------
    kernels : torch.Tensor
        float, (N, rows, columns).
    limit : float
        The weight that gets the full colour: blue above 0, red below.
    axes : np.ndarray of N Axes
    """
    for kernel, ax in zip(kernels, axes, strict=True):
        shown = ax.imshow(kernel, cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
        for (row, column), value in np.ndenumerate(kernel.numpy()):
            color = ink_on(shown, value)
            sign = "+" if value > 0 else "−"
            ax.text(column, row, sign, ha="center", va="center", color=color, fontsize=10)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    return axes


def plot_band(low: float, high: float, words: str, *, ax: Axes | None = None) -> Axes:
    """Draw an interval of accuracies as a hatched band across a figure whose y-axis is in percent.

    Parameters
    ----------
    low, high : float
        Its ends, as fractions.
    words : str
        What it is, for the legend.
    """
    ax = ax or plt.gca()
    words = f"{words}: {100 * low:.1f} to {100 * high:.1f} %"
    look = {"facecolor": to_rgba(GREY, 0.25), "edgecolor": GREY, "hatch": "//"}
    ax.axhspan(100 * low, 100 * high, label=words, **look)
    ax.legend(loc="lower right")
    return ax


def plot_confidence(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Draw how confident right and wrong answers are: all of them, and their means for each class that was answered.

    Parameters
    ----------
    labels, predictions : np.ndarray
        int, (N,).
    probabilities : np.ndarray
        float, (N, 10).

    Returns
    -------
    np.ndarray
        Of two Axes. A class without right or without wrong answers has no mark of that kind.
    """
    confidence, right = 100 * probabilities.max(axis=1), predictions == labels
    _, axes = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(1, 1.15))
    kinds = [("right", right, "o", BLUE, "-"), ("wrong", ~right, "X", ORANGE, "--")]
    for name, chosen, marker, color, line in kinds:
        share, edges = np.histogram(confidence[chosen], bins=20, range=(0, 100))
        share = 100 * share / max(chosen.sum(), 1)
        words = f"{name} ({chosen.sum():,} answers)"
        axes[0].stairs(share, edges, color=color, linestyle=line, linewidth=2.5, label=words)
        means = [(k, confidence[chosen & (predictions == k)]) for k in range(config.NUM_CLASSES)]
        means = [(k, values.mean()) for k, values in means if len(values)]
        places, values = zip(*means, strict=True) if means else ((), ())
        axes[1].plot(values, places, marker, color=color, markersize=9, label=f"{name}, mean")
    axes[0].set(xlabel="confidence (%)", ylabel="share of these answers (%)", title="all answers")
    axes[0].legend(loc="upper left")
    axes[1].set_yticks(range(config.NUM_CLASSES), config.CLASS_NAMES)
    axes[1].set(xlabel="mean confidence (%)", ylabel="predicted class", title="by predicted class", xlim=(40, 101))
    axes[1].invert_yaxis()
    axes[1].legend(loc="lower left")
    return axes


def plot_layer_lines(values: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a quantity of each layer over the training steps, on a log scale.

    Parameters
    ----------
    values : pd.DataFrame
        Index training step, a column for each layer, at most six, from the first layer to the last. Above 0.
    """
    ax = ax or plt.gca()
    styles = zip(
        ["-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3))], "osD^vX", sns.color_palette(), strict=False
    )
    every = max(len(values) // 8, 1)
    for layer, (line, marker, color) in zip(values.columns, styles, strict=False):
        ax.plot(values.index, values[layer], linestyle=line, marker=marker, markevery=every, color=color, label=layer)
    ax.set(yscale="log", xlabel="training step (batch)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax


def plot_layer_dots(values: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw one number of each layer for several runs, with a mark of its own for each run.

    Parameters
    ----------
    values : pd.DataFrame
        Index the layers, from the first to the last; a column for each run, at most four. A number that is missing
        (NaN) leaves its place empty.
    """
    ax = ax or plt.gca()
    places = np.arange(len(values))
    shift = 0.12 * (np.arange(values.shape[1]) - (values.shape[1] - 1) / 2)
    for run, marker, color, step in zip(values.columns, "osD^", [BLUE, ORANGE, GREEN, GREY], shift, strict=False):
        ax.plot(places + step, values[run], marker, linestyle=":", color=color, markersize=9, linewidth=1, label=run)
    ax.set_xticks(places, values.index)
    ax.set_xlabel("layer")
    ax.grid(False, axis="x")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax


def plot_range_test(
    rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, marks: dict[str, float], *, ax: Axes | None = None
) -> Axes:
    """Draw the loss of each batch while the learning rate rises, and mark some rates.

    Parameters
    ----------
    rates, losses, smoothed : np.ndarray
        float, (steps,): the learning rate of each step, the loss of its batch, and a running mean of it, in nats.
    marks : dict of str to float
        Learning rates by what they are; at most three.
    """
    ax = ax or plt.gca()
    ax.plot(rates, losses, ".", color=GREY, markersize=4, alpha=0.75, label="loss of the batch")
    ax.plot(rates, smoothed, "-", color=BLUE, linewidth=2.5, label="running mean")
    for (label, rate), line, color in zip(marks.items(), ["--", ":", "-."], [GREEN, ORANGE, GREY], strict=False):
        ax.axvline(rate, linestyle=line, color=color, linewidth=2.5, label=f"{label}: {rate:.2g}")
    ax.set(xscale="log", ylim=(0, 1.3 * smoothed[0]), xlabel="learning rate (log scale)")
    ax.set_ylabel("loss (cross-entropy, nats)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax


def plot_ladder(ladder: pd.DataFrame, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw the training time of each rung, and beside it the accuracy of each seed and their mean.

    Parameters
    ----------
    ladder : pd.DataFrame
        From `read_ladder`: index rung; columns time (s), accuracies (list, percent) and mean (percent).
    axes : np.ndarray of Axes, optional
        Two Axes that share their y axis.
    """
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(12, 1.3 + 0.48 * len(ladder)), sharey=True)
    left, right = axes
    places = np.arange(len(ladder))
    left.barh(places, ladder["time"], color=BLUE)
    for place, seconds in zip(places, ladder["time"], strict=True):
        left.text(seconds, place, f" {seconds:.0f} s", va="center")
    left.set_yticks(places, ladder.index)
    left.set(xlabel="training time (s)", xlim=(0, 1.2 * ladder["time"].max()))
    left.set_title("time", loc="left")
    left.invert_yaxis()
    left.grid(False, axis="y")
    for place, accuracies in zip(places, ladder["accuracies"], strict=True):
        label = "one seed" if place == 0 else None
        right.plot(accuracies, [place] * len(accuracies), "o", color=GREY, alpha=0.75, markersize=6, label=label)
    right.plot(ladder["mean"], places, "|", color=ORANGE, markersize=18, markeredgewidth=3, label="mean of the seeds")
    for place, mean in zip(places, ladder["mean"], strict=True):
        right.text(1.01, place, f"{mean:.2f}", va="center", transform=right.get_yaxis_transform())
    right.set_xlabel("validation accuracy (%)")
    right.set_title("accuracy", loc="left")
    right.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    told = [
        f"{name} {mean:.2f} ({min(accuracies):.2f} to {max(accuracies):.2f})"
        for name, accuracies, mean in zip(ladder.index, ladder["accuracies"], ladder["mean"], strict=True)
    ]
    right.set_label(f"validation accuracy (%), mean of the seeds (lowest to highest): {'; '.join(told)}")
    return axes


def is_unbeaten(table: pd.DataFrame) -> pd.Series:
    """Tell of each recipe whether no other is at least as fast and at least as accurate, and better in one of the two.

    Parameters
    ----------
    table : pd.DataFrame
        Columns seconds and accuracy, a row for each recipe.
    """
    found = []
    for row in table.itertuples(index=False):
        as_good = (table["seconds"] <= row.seconds) & (table["accuracy"] >= row.accuracy)
        better = (table["seconds"] < row.seconds) | (table["accuracy"] > row.accuracy)
        found.append(not (as_good & better).any())
    return pd.Series(found, index=table.index)


def plot_race(points: pd.DataFrame, own: tuple[float, float], *, ax: Axes | None = None) -> Axes:
    """Draw accuracy against training time, a mark for each recipe; those that no other beats are joined by a line.

    Parameters
    ----------
    points : pd.DataFrame
        A row for each run; columns recipe, seconds and accuracy (percent).
    own : tuple of float
        Seconds and accuracy (percent) of a run just now, drawn as a star.
    """
    ax = ax or plt.gca()
    means = points.groupby("recipe")[["seconds", "accuracy"]].mean().sort_values("seconds")
    spread = points.groupby("recipe")["accuracy"].std().reindex(means.index).fillna(0)
    edge = is_unbeaten(means)
    ax.step(*means[edge].to_numpy().T, where="post", color=BLUE, linestyle="--", label="edge: no recipe beats these")
    for filled, color, words in ((True, BLUE, "on the edge"), (False, GREY, "beaten by another")):
        some = means[edge == filled]
        fill = {"markerfacecolor": color if filled else "white"}
        bars = dict(yerr=spread[some.index], capsize=4, markersize=9, label=f"{words} (bar: ± one std of the seeds)")
        ax.errorbar(some["seconds"], some["accuracy"], fmt="o" if filled else "s", color=color, **fill, **bars)
    ax.plot(*own, "*", color=ORANGE, markersize=17, label="this run, on 50,000 images")
    ax.set(xscale="log", xlabel="training time (s, logarithmic)", ylabel="test accuracy (%)")
    seconds = [*means["seconds"], own[0]]
    ax.set_xlim(min(seconds) / 1.6, max(seconds) * 2.2)
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000) if ax.get_xlim()[0] < tick < ax.get_xlim()[1]]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, fontsize=9, frameon=False)
    corners = means[edge].to_numpy()
    label_points(means, ax, spread, lines=[(x, next_x, y) for (x, y), (next_x, _) in pairwise(corners)])
    return ax


def label_points(means: pd.DataFrame, ax: Axes, spread: pd.Series, lines: list[tuple[float, float, float]]) -> None:
    """Write the name of each recipe beside its point, where no other point or name is, nor a level line.

    Parameters
    ----------
    means : pd.DataFrame
        Index the names; columns seconds and accuracy, in the units of the Axes. A comma in a name breaks its line.
    spread : pd.Series
        Half the length of the error bar of each point.
    lines : list of tuple
        First seconds, last seconds and accuracy of each level line.
    """
    ax.figure.draw_without_rendering()  # so that the Axes has its place
    dots = ax.transData.transform(means[["seconds", "accuracy"]].to_numpy())
    tops = ax.transData.transform(np.column_stack([means["seconds"], means["accuracy"] + spread[means.index]]))[:, 1]
    taken = [(x - 8, y - max(8, top - y), x + 8, y + max(8, top - y)) for (x, y), top in zip(dots, tops, strict=True)]
    for first, last, height in lines:
        (left, y), (right, _) = ax.transData.transform([(first, height), (last, height)])
        taken.append((left, y - 2, right, y + 2))
    end = ax.get_window_extent().x1
    for name, (x, y) in zip(means.index, dots, strict=True):
        lines = name.split(", ")
        width, height = 7.5 * max(map(len, lines)), 15 * len(lines)
        below = -6 - height
        offers = [(10, 7, "left"), (-10, 7, "right"), (-10, below, "right"), (10, below, "left"), (40, below, "left")]
        for right, up, side in offers:
            start = x + right - (width if side == "right" else 0)
            box = (start, y + up - 3, start + width, y + up + height)
            crowded = any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
            if not crowded and box[2] < end:
                break
        taken.append(box)
        place = means.loc[name, ["seconds", "accuracy"]]
        words = "\n".join(lines)
        ax.annotate(words, place, (right, up), textcoords="offset pixels", ha=side, va="bottom", fontsize=10)


def plot_runs(groups: dict[tuple[str, str], np.ndarray], *, ax: Axes | None = None) -> Axes:
    """Draw each run as a mark, so that one sees whether the runs of two kinds overlap; a short line is their mean.

    Parameters
    ----------
    groups : dict of (str, str) to np.ndarray
        By kind and setting: accuracies as fractions, one for each run. The settings stand side by side; the kinds, at
        most three, are told apart by mark, colour and place.
    """
    ax = ax or plt.gca()
    kinds, settings = (list(dict.fromkeys(names)) for names in zip(*groups, strict=True))
    looks = dict(zip(kinds, [("o", BLUE), ("s", ORANGE), ("^", GREEN)], strict=False))
    told = []
    for (kind, setting), fractions in groups.items():
        accuracies, (marker, color) = 100 * np.asarray(fractions), looks[kind]
        middle = settings.index(setting) + 0.36 * (kinds.index(kind) - (len(kinds) - 1) / 2)
        label = kind if setting == settings[0] else None
        across = middle + np.linspace(-0.1, 0.1, len(accuracies))
        ax.plot(across, accuracies, marker, color=color, markersize=7, label=label)
        ax.plot([middle - 0.16, middle + 0.16], [accuracies.mean()] * 2, color="black", linewidth=1.5)
        reach = f"{accuracies.min():.1f} to {accuracies.max():.1f} %, mean {accuracies.mean():.1f} %"
        told.append(f"{kind}, {setting}: {reach}")
    runs = min(len(fractions) for fractions in groups.values())
    ax.set_xticks(range(len(settings)), settings)
    ax.set(xlim=(-0.5, len(settings) - 0.5), ylabel="validation accuracy (%)")
    ax.set_title(f"Each mark is one of {runs} runs, the line is their mean", fontsize=11)
    ax.grid(False, axis="x")
    ax.legend()
    ax.set_label(f"Accuracy of {runs} runs each. {'; '.join(told)}.")
    return ax
