"""Drawings that explain an idea; what a run has measured is drawn in `plotting`. Each function returns Axes."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Polygon, Rectangle
from scipy.stats import binom
from torch import nn

from helpers import config
from helpers.explain import enlarge
from helpers.models import Residual
from helpers.plotting import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE, ink_on, plot_confusion_matrix

LIGHT_ORANGE = "#FBE3D3"  # behind the boxes of a table that are chosen


def draw_softmax(logits, names: list[str], *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw the logits of one image, their exponentials, and each of these over their sum: the probabilities.

    Parameters
    ----------
    logits : array-like
        float, (classes,).
    names : list of str
        Of the classes.
    axes : np.ndarray of 3 Axes, optional
        One above the other.

    Returns
    -------
    np.ndarray
        Of 3 Axes.
    """
    axes = plt.subplots(3, 1, figsize=(9.5, 5.2), sharex=True)[1] if axes is None else axes
    logits = np.asarray(logits, float)
    exponentials = np.exp(logits)
    total = exponentials.sum()
    probabilities = exponentials / total
    stages = [
        ("z", logits, 2, "1. Logits z, of any sign"),
        ("exp(z)", exponentials, 2, f"\n2. exp(z), above 0; they add up to {total:.2f}"),
        ("p", probabilities, 3, f"\n3. p = exp(z) / {total:.2f}; they add up to {probabilities.sum():.3f}"),
    ]
    for ax, (quantity, heights, digits, title) in zip(axes, stages, strict=True):
        numbers = [f"{height:.{digits}f}".replace("-", "−") for height in heights]
        ax.bar_label(ax.bar(range(len(heights)), heights, width=0.65, color=BLUE), numbers, padding=2, fontsize=10)
        ax.axhline(0, color="black", linewidth=1)
        ax.set_title(title, fontsize=12, loc="left")
        ax.set(ylabel=quantity, yticks=[])
        ax.margins(x=0.02, y=0.28)
        ax.grid(False)
        ax.spines[:].set_visible(False)
        told = [f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
        ax.set_label(f"{title.strip()}: {', '.join(told)}.")
    axes[-1].set_xticks(range(len(names)), names, fontsize=10)
    return axes


def draw_minus_log(probabilities: list[float], *, ax: Axes | None = None) -> Axes:
    """Draw what an image costs, -ln p, against the probability p of its true class, with marked points.

    Parameters
    ----------
    probabilities : list of float
        Where to mark the curve, above 0 and up to 1.
    """
    ax = ax or plt.gca()
    curve = np.linspace(0.005, 1, 400)
    ax.plot(curve, -np.log(curve), color=BLUE, linewidth=2.5, label="−ln p")
    for probability in probabilities:
        cost = -np.log(probability)
        ax.plot(probability, cost, "o", color=ORANGE, markersize=8, clip_on=False)
        words = f"p = {probability:g}: {abs(cost):.2f}"
        ax.annotate(words, (probability, cost), (9, 5), textcoords="offset points", fontsize=10)
    ax.set(xlim=(0, 1.25), ylim=(0, 5.4), xticks=np.linspace(0, 1, 6))
    ax.set(xlabel="probability p of the true class", ylabel="loss of the image, −ln p (nats)")
    ax.set_title("The surer of the truth, the smaller the loss")
    return ax


def draw_tangent(
    values: np.ndarray, losses: np.ndarray, here: float, loss_here: float, slope: float, *, ax: Axes | None = None
) -> Axes:
    """Draw the loss against one weight, where the weight stands, the tangent there and the way downhill.

    Parameters
    ----------
    values, losses : np.ndarray
        float, (N,), the curve: values of the weight, and the loss for each.
    here, loss_here, slope : float
        The value of the weight now, the loss there, and the gradient there.
    """
    ax = ax or plt.gca()
    reach = 0.17 * (values[-1] - values[0])
    ends = np.array([here - reach, here + reach])
    ax.plot(values, losses, color=BLUE, linewidth=2.5, label="loss of the batch")
    ax.plot(ends, loss_here + slope * (ends - here), "--", color=ORANGE, linewidth=2.5, label=f"tangent: {slope:+.3f}")
    ax.plot(here, loss_here, "o", color="black", markersize=9, label=f"now: weight {here:.3f}, loss {loss_here:.3f}")
    if slope:
        low = losses.min() + 0.75 * (losses.max() - losses.min())
        way = -np.sign(slope) * reach
        ax.annotate("", (here + way, low), (here, low), arrowprops={"arrowstyle": "->", "lw": 2.5, "color": "black"})
        clear = low + 0.02 * (losses.max() - losses.min())
        ax.text(here + way / 2, clear, "downhill", ha="center", va="bottom")
    ax.set(xlabel="value of the one weight", ylabel="loss (cross-entropy, nats)")
    ax.set_title("One weight is moved, all others stay")
    ax.legend()
    return ax


def draw_steps(
    values: np.ndarray, losses: np.ndarray, visited: list[float], heights: list[float], *, ax: Axes | None = None
) -> Axes:
    """Draw gradient steps along the curve of the loss against one weight, with the number of each place from 0.

    Parameters
    ----------
    values, losses : np.ndarray
        float, (N,), the curve.
    visited, heights : list of float
        The values of the weight before and after each step, and the loss at each. Places on one side of the valley
        whose heights are too close for two numbers share a label.
    """
    ax = ax or plt.gca()
    ax.plot(values, losses, color=BLUE, linewidth=2, label="loss of the batch")
    steps = f"{len(visited) - 1} steps, numbered"
    ax.plot(visited, heights, "o-", color=ORANGE, markersize=6, linewidth=1.2, label=steps)
    ax.plot(visited[0], heights[0], "s", color="black", markersize=9, label=f"start: loss {heights[0]:.2f}")
    ax.plot(visited[-1], heights[-1], "*", color="black", markersize=15, label=f"end: loss {heights[-1]:.2f}")
    lowest, apart = values[losses.argmin()], 0.04 * np.ptp(losses)
    labels = {}
    for number, (value, height) in enumerate(zip(visited, heights, strict=True)):
        side = -1 if value < lowest else 1  # outside the valley
        near = (place for place in labels if place[0] == side and abs(place[2] - height) < apart)
        labels.setdefault(next(near, (side, value, height)), []).append(str(number))
    for (side, value, height), numbers in labels.items():
        look = {"ha": "left" if side > 0 else "right", "va": "center", "fontsize": 9}
        ax.annotate(", ".join(numbers), (value, height), (12 * side, -5), textcoords="offset points", **look)
    ax.set(xlabel="value of the one weight", ylabel="loss (nats)")
    ax.legend(fontsize=9)
    return ax


def draw_chain_rule(
    image, place: tuple[int, int], probabilities, names: list[str], truth: int, batch: int, *, ax: Axes | None = None
) -> Axes:
    """Draw the way from one pixel through the weights of two classes to the loss, with the slope of each part of it.

    The product of the slopes is what the image adds to the gradient of the weight. The classes are the true one and
    the most probable other one.

    Parameters
    ----------
    image : array-like
        (rows, columns), as the network takes it in.
    place : (row, column)
        Of the pixel.
    probabilities : array-like
        float, (classes,), that the network gives to the image.
    names : list of str
        Of the classes.
    truth : int
        The number of the true class.
    batch : int
        How many images the loss is a mean of.
    """
    image, probabilities = (torch.as_tensor(part).detach().cpu().numpy() for part in (image, probabilities))
    x, other = image[place], max(set(range(len(names))) - {truth}, key=probabilities.__getitem__)
    ax = ax or plt.subplots(figsize=(12, 4.4))[1]
    middle = {"ha": "center", "va": "center", "fontsize": 13}

    def signed(value: float, digits: int) -> str:
        return f"{value:+.{digits}f}".replace("-", "−")

    def arrow(start: float, end: float, y: float, over: str, under: str) -> None:
        look = {"arrowstyle": "-|>", "color": BLUE, "linewidth": 2.5, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (end, y), (start, y), arrowprops=look)
        ax.text((start + end) / 2 - 0.15, y - 0.15, over, ha="center", va="bottom", fontsize=12)
        ax.text((start + end) / 2 - 0.15, y + 0.2, under, ha="center", va="top", fontsize=12)

    shown = ax.imshow(image, cmap="gray", interpolation="nearest", extent=(0, 6, 8, 2))
    corner, side = (6 * place[1] / image.shape[1], 2 + 6 * place[0] / image.shape[0]), 6 / image.shape[1]
    ax.plot([corner[0] + side, 7.2], [corner[1] + side / 2] * 2, ":", color=ORANGE, linewidth=3)
    ax.add_patch(Rectangle(corner, side, 6 / image.shape[0], fill=False, edgecolor=ORANGE, linewidth=3))
    ax.add_patch(Rectangle((7.2, 0), 2.3, 10, facecolor=shown.cmap(shown.norm(x)), edgecolor=ORANGE, linewidth=3))
    ax.add_patch(Rectangle((28.2, 0), 2, 10, facecolor="white", edgecolor="black", linewidth=2))
    ax.text(8.35, 5, f"pixel\nx =\n{signed(x, 3)}", color=ink_on(shown, x), weight="bold", **middle)
    ax.text(29.2, 5, "loss", weight="bold", **middle)
    told = []
    for y, number, kind in ((1.2, truth, "true"), (6.8, other, "other")):
        p, minus = probabilities[number], " − 1" if number == truth else ""
        slope = (p - bool(minus)) / batch
        ax.add_patch(Rectangle((13.8, y - 1), 5.2, 2, facecolor="white", edgecolor=BLUE, linewidth=2))
        ax.text(16.4, y, f"{names[number]},\n{kind} class: logit z", **middle)
        arrow(9.6, 13.7, y, "× weight w", f"dz/dw = x\n= {signed(x, 3)}")
        ways = [f"({part}{minus}) / {batch}" if minus else f"{part} / {batch}" for part in ("p", f"{p:.3f}")]
        arrow(19.1, 28.1, y, "softmax, loss", f"dloss/dz = {ways[0]}\n= {ways[1]} = {signed(slope, 5)}")
        step = ("lowers", "leaves", "raises")[1 - int(np.sign(slope * x))]
        words = f"dloss/dw = {signed(x, 3)} × ({signed(slope, 5)}) = {signed(slope * x, 4)}: a step {step} w"
        box = {"boxstyle": "square,pad=0.4", "facecolor": LIGHT_ORANGE, "edgecolor": ORANGE, "linewidth": 2}
        ax.text(18.85, y + 2.6, words, weight="bold", bbox=box, **middle)
        told.append(f"{names[number]}, the {kind} class: p is {p:.3f}, and {words}")
    ax.grid(False)
    ax.set_title(f"What one image of {batch} adds to the gradients of two weights", fontsize=13)
    way = "The way leads from a pixel x, which is multiplied by a weight w, to a logit z and on to the loss"
    ax.set_label(f"{ax.get_title()}. {way}. {'. '.join(told)}.")
    return paper(ax, -0.2, 30.4, -0.4, 10.1)


def draw_relu(*, ax: Axes | None = None) -> Axes:
    """Draw the function max(0, x) beside x itself."""
    ax = ax or plt.gca()
    x = np.linspace(-3, 3, 121)
    ax.plot(x, x, ":", color=GREY, linewidth=2, label="no activation: x")
    ax.plot(x, x.clip(0), color=BLUE, linewidth=3, label="ReLU: max(0, x)")
    ax.set(xlabel="what goes in, x", ylabel="what comes out", title="ReLU")
    ax.legend()
    return ax


def draw_bends(knees: list[float], weights: list[float], *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw a network with one input and one output: a straight line without ReLU, a bent one with it.

    Hidden unit k computes x - knees[k]; the output adds the units up, each times its weight.

    Parameters
    ----------
    knees, weights : list of float
        One for each hidden unit.

    Returns
    -------
    np.ndarray
        Of two Axes: without ReLU, and with it.
    """
    axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)[1] if axes is None else axes
    x = np.linspace(-3, 3, 241)
    plain = x[:, None] - np.array(knees)
    for ax, hidden, title in zip(
        axes, (plain, plain.clip(0)), ("two layers without ReLU", "two layers with ReLU"), strict=True
    ):
        for number, (part, style) in enumerate(zip((hidden * weights).T, ("--", "-.", ":"), strict=False), start=1):
            ax.plot(x, part, style, color=GREY, linewidth=1.5, label=f"hidden unit {number} × its weight")
        ax.plot(x, hidden @ weights, color=BLUE, linewidth=3, label="output: their sum")
        ax.set(xlabel="input x", title=title)
        ax.legend(fontsize=8)
    axes[0].set_ylabel("output")
    return axes


def draw_layers(model: nn.Sequential, *, ax: Axes | None = None) -> Axes:
    """Draw the linear layers of a network as columns of units, with their sizes and parameters, read from the model.

    Each unit takes in all of the column before; lines show it for the topmost unit of each column.

    Parameters
    ----------
    model : nn.Sequential
        Of linear layers, and others between them that are named under the units they act on.
    """
    ax = ax or plt.gca()
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    under = [[] for _ in sizes]
    column = 0
    for layer in model:
        if isinstance(layer, nn.Linear):
            column += 1
        elif column:
            share = f" {layer.p:g}" if isinstance(layer, nn.Dropout) else ""
            under[column].append(type(layer).__name__ + share)
    tallest = np.log(max(sizes))
    places = []
    for column, size in enumerate(sizes):
        shown = size if size <= 10 else 12
        heights = np.linspace(-1, 1, shown) * np.log(size) / tallest
        # A gap in the middle stands for the units that there is no room for.
        places.append(heights if size <= 10 else np.delete(heights, [shown // 2 - 1, shown // 2]))
        if size > 10:
            ax.text(column, 0, "⋮", ha="center", va="center", fontsize=16)
        what = "pixels" if column == 0 else "logits" if column == len(sizes) - 1 else "units"
        ax.text(column, 1.15, f"{size:,} {what}", ha="center", va="bottom", fontsize=12, weight="bold")
        ax.text(column, -1.15, "\n".join(under[column]), ha="center", va="top", fontsize=10)
    for column, layer in enumerate(linear):
        left, right = places[column], places[column + 1]
        corners = [(column, left[0]), (column, left[-1]), (column + 1, right[-1]), (column + 1, right[0])]
        ax.add_patch(Polygon(corners, facecolor=to_rgba(LIGHT_BLUE, 0.3), edgecolor=BLUE, zorder=0))
        for height in left:  # what one unit takes in; the others do the same
            ax.plot([column, column + 1], [height, right[-1]], color=GREY, linewidth=1, zorder=1)
        count = sum(parameter.numel() for parameter in layer.parameters())
        words = f"{layer.in_features:,} × {layer.out_features:,} + {len(layer.bias):,}\n= {count:,} parameters"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
        ax.text(column + 0.5, 0, words, ha="center", va="center", fontsize=10, bbox=box)
    for column, heights in enumerate(places):
        ax.scatter(np.full(len(heights), column), heights, s=55, color=BLUE, edgecolor="white", zorder=2)
    total = sum(parameter.numel() for parameter in model.parameters())
    ax.set(xlim=(-0.4, len(sizes) - 0.6), ylim=(-1.6, 1.45))
    ax.set_title(f"{' → '.join(f'{size:,}' for size in sizes)}: {total:,} parameters")
    ax.set_axis_off()
    return ax


def draw_valley(
    paths: dict[str, np.ndarray], steepness: tuple[float, float] = (1.0, 40.0), *, ax: Axes | None = None
) -> Axes:
    """Draw the paths of an optimizer through a valley of two weights, whose lowest point is at 0, 0.

    Parameters
    ----------
    paths : dict of str to np.ndarray
        By label: float, (steps, 2), the places that an optimizer has visited. At most three, told apart by line and
        mark as well as by colour.
    steepness : tuple of float
        The loss is half of steepness[0] times the square of weight 1, plus the same of weight 2.
    """
    ax = ax or plt.gca()
    first, second = np.meshgrid(np.linspace(-4.5, 2.5, 200), np.linspace(-1.3, 1.3, 200))
    loss = (steepness[0] * first**2 + steepness[1] * second**2) / 2
    levels = np.geomspace(0.05, loss.max(), 12)
    ax.contourf(first, second, loss, levels=levels, cmap="Greys_r", alpha=0.35, extend="min")
    styles = [("--s", ORANGE), (":^", GREEN), ("-o", BLUE)]
    for (label, path), (style, color) in zip(paths.items(), styles, strict=False):
        ax.plot(path[:, 0], path[:, 1], style, color=color, markersize=4, linewidth=1.4, label=label)
    ax.plot(0, 0, "*", markersize=18, color="black", linestyle="", label="lowest point")
    ax.set(xlim=(-4.5, 2.5), ylim=(-1.3, 1.3), xlabel="weight 1 (flat direction)", ylabel="weight 2 (steep direction)")
    ax.grid(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    return ax


def draw_instruments(*, ax: Axes | None = None) -> Axes:
    """Draw one training step as a chain of four stations, and below each the instrument that is read there."""
    stations = [
        ("forward pass", "images become logits", "dead ReLUs", "which units are 0\nfor every image?"),
        ("loss", "logits meet labels", "loss", "near ln 10 at first?\nDoes it fall on one batch?"),
        ("backward pass", "the gradient runs back", "gradient norm", "does a gradient reach\nthe first layer?"),
        ("step", "weights move", "update / weight", "how far does a layer move,\nrelative to its size?"),
    ]
    ax = ax or plt.gca()
    ax.set_axis_off()
    ax.set(xlim=(-0.1, 8.1), ylim=(0, 4.2))
    for number, (station, happens, instrument, question) in enumerate(stations):
        middle = 1 + 2 * number
        ax.text(
            middle,
            3.3,
            station,
            ha="center",
            va="center",
            fontsize=13,
            weight="bold",
            color="white",
            bbox={"boxstyle": "round,pad=0.5", "facecolor": BLUE, "edgecolor": "none"},
        )
        ax.text(middle, 2.5, happens, ha="center", va="center", fontsize=10)
        ax.plot([middle, middle], [1.75, 2.25], ":", color=GREY, linewidth=2)
        ax.text(
            middle,
            1.45,
            instrument,
            ha="center",
            va="center",
            fontsize=12,
            weight="bold",
            bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": ORANGE, "linewidth": 2},
        )
        ax.text(middle, 0.6, question, ha="center", va="center", fontsize=10)
        if number < len(stations) - 1:
            ax.annotate(
                "",
                (middle + 1.18, 3.3),
                (middle + 0.82, 3.3),
                arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 2},
            )
    ax.annotate(
        "",
        (1, 3.72),
        (7, 3.72),
        arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 2, "connectionstyle": "arc3,rad=0.06"},
    )
    ax.text(4, 4.1, "next batch", ha="center", va="center", fontsize=10, color=GREY)
    ax.set_title("One training step, and where its instruments stand")
    return ax


def draw_dead_relu(
    inputs: dict[str, np.ndarray], gradients: dict[str, float], *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Draw for some units the ReLU, and below it for how many images its input lies where its slope is 0, and where 1.

    Parameters
    ----------
    inputs : dict of str to np.ndarray
        By the name of a unit: float, (images,), what its ReLU gets.
    gradients : dict of str to float
        By the name of a unit: the norm of the gradient of its weights.
    axes : np.ndarray of Axes, optional
        (2, units).

    Returns
    -------
    np.ndarray
        Of Axes, (2, units).
    """
    if axes is None:
        look = {"sharex": True, "sharey": "row", "squeeze": False}
        axes = plt.subplots(2, len(inputs), figsize=(9.5, 4.6), **look)[1]
    reach = 1.05 * max(np.abs(values).max() for values in inputs.values())
    edges = np.linspace(-reach, reach, 41)  # 0 is one of them
    for (above, below), (name, values) in zip(axes.T, inputs.items(), strict=True):
        above.plot([-reach, 0], [0, 0], ":", color=ORANGE, linewidth=4)
        above.plot([0, reach], [0, reach], color=BLUE, linewidth=3)
        above.text(-reach / 2, 0.1 * reach, "slope 0", ha="center", va="bottom", fontsize=12)
        above.text(0.4 * reach, 0.5 * reach, "slope 1", ha="right", va="bottom", fontsize=12)
        above.set_title(f"{name}, gradient of its weights: {gradients[name]:.2g}", fontsize=12)
        above.set_label("ReLU: its slope is 0 for an input below 0, and 1 above")
        on = values > 0
        below.hist(values[~on], edges, color=ORANGE, hatch="//")
        below.hist(values[on], edges, color=BLUE)
        below.set_xlabel("what the ReLU gets")
        for side, count in ((-0.5, (~on).sum()), (0.5, on.sum())):
            words = f"{count:,} of {len(on):,}\nimages"
            below.text(side * reach, 0.96, words, transform=below.get_xaxis_transform(), ha="center", va="top")
        below.set_label(
            f"{above.get_title()}. Its input lies below 0 for {(~on).sum():,} of {len(on):,} images, above 0 for "
            f"{on.sum():,}"
        )
        for ax in (above, below):
            ax.axvline(0, color="black", linewidth=1)
            ax.grid(False)
    axes[0, 0].set_ylabel("what it gives")
    axes[1, 0].set(ylabel="images", ylim=(0, 1.5 * axes[1, 0].get_ylim()[1]))  # with room for the words
    return axes


def draw_fair_coin(heads: int, tosses: int, *, ax: Axes | None = None) -> Axes:
    """Draw how often a fair coin falls heads, and set off every outcome as uneven as the one that was seen.

    Parameters
    ----------
    heads, tosses : int
        What was seen. The bars that are set off, hatched, add up to the two-sided p-value.
    """
    ax = ax or plt.gca()
    counts = np.arange(tosses + 1)
    chances = 100 * binom.pmf(counts, tosses, 0.5)
    away, seen = abs(counts - tosses / 2), abs(heads - tosses / 2)
    near = away <= max(2 * np.sqrt(tosses), 1.15 * seen)  # four standard deviations
    even, uneven = near & (away < seen), near & (away >= seen)
    ax.bar(
        counts[even],
        chances[even],
        width=1,
        color=LIGHT_BLUE,
        edgecolor=BLUE,
        linewidth=0.5,
        label="less uneven than seen",
    )
    ax.bar(counts[uneven], chances[uneven], width=1, color=ORANGE, hatch="//", linewidth=0, label="at least as uneven")
    ax.axvline(heads, color="black", linestyle="--", label=f"seen: {heads}")
    ax.set(xlabel=f"heads in {tosses} tosses", ylabel="chance with a fair coin (%)", title="A fair coin")
    ax.legend(fontsize=8)
    return ax


def draw_tosses(right: dict[str, np.ndarray], *, ax: Axes | None = None) -> Axes:
    """Draw on which images one of two models alone is right: for McNemar's test these are heads and tails of a coin.

    Parameters
    ----------
    right : dict of str to np.ndarray
        By the name of either model: bool, (N,), true where it is right. The first gets the columns, and heads where it
        alone is right; the second gets the rows, and tails.
    """
    (first, heads), (second, tails) = right.items()
    cells = [
        ((0, 0), (heads & tails).sum(), "both right", "no toss"),
        ((1, 0), (tails & ~heads).sum(), f"only {second} right", "tails"),
        ((0, 1), (heads & ~tails).sum(), f"only {first} right", "heads"),
        ((1, 1), (~heads & ~tails).sum(), "both wrong", "no toss"),
    ]
    ax = ax or plt.gca()
    for (column, row), count, which, side in cells:
        tossed = side != "no toss"
        face, edge, ink = (LIGHT_ORANGE, ORANGE, "black") if tossed else ("#EEEEEE", GREY, GREY)
        look = {"facecolor": face, "edgecolor": edge, "linewidth": 2.5 if tossed else 1, "zorder": 2 if tossed else 1}
        ax.add_patch(Rectangle((3 * column, 1.4 * row), 3, 1.4, **look))
        style = {"ha": "center", "va": "center", "color": ink, "zorder": 3}
        middle, top = 3 * column + 1.5, 1.4 * row
        ax.text(middle, top + 0.45, f"{side}: {count:,}", fontsize=14, weight="bold" if tossed else "normal", **style)
        ax.text(middle, top + 0.98, which, fontsize=10, **style)
    for number, verdict in enumerate(("right", "wrong")):
        ax.text(3 * number + 1.5, -0.12, f"{first} {verdict}", ha="center", va="bottom", fontsize=11)
        ax.text(-0.12, 1.4 * number + 0.7, f"{second}\n{verdict}", ha="right", va="center", fontsize=11)
    tosses = (heads != tails).sum()
    paper(ax, -1.6, 6.1, -0.6, 2.9)
    ax.set_title(f"The coin is tossed for {tosses:,} of {len(heads):,} images", fontsize=12)
    ax.set_label(f"{ax.get_title()}. {'; '.join(f'{which}: {count:,}, {side}' for _, count, which, side in cells)}.")
    return ax


def draw_broken_models(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Draw the confusion matrices of four broken models, A to D, made of the answers of a sound one.

    Parameters
    ----------
    labels, predictions : np.ndarray
        int, (N,).

    Returns
    -------
    np.ndarray
        Of four Axes. Exercise 1 of lesson 05 asks what is wrong with each.
    """
    rng = np.random.default_rng(config.SEED)
    top, coat, shirt, sneaker, boot = 0, 4, 6, 7, 9
    exchanged = np.arange(config.NUM_CLASSES)
    exchanged[[sneaker, boot]] = boot, sneaker
    broken = [
        rng.permutation(predictions),
        np.where(predictions == shirt, top, predictions),
        exchanged[predictions],
        np.where(rng.random(len(labels)) < 0.4, coat, predictions),
    ]
    _, axes = plt.subplots(2, 2, figsize=(12, 11))
    for ax, letter, answers in zip(axes.flat, "ABCD", broken, strict=True):
        plot_confusion_matrix(labels, answers, ax=ax)
        ax.set_title(f"Model {letter}, counts")
    return axes.flat[:]


def draw_numbers(table, chosen=None, *, place: tuple[float, float] = (0, 0), ax: Axes) -> Axes:
    """Draw a grid of boxes with a number in each; chosen boxes have a thick frame, bold numbers and a colour.

    Parameters
    ----------
    table : array-like
        (rows, columns), numbers.
    chosen : array-like of bool, optional
        (rows, columns), true where a box is chosen.
    place : (x, y)
        Of the upper left corner, in boxes; y grows downwards.
    """
    table = np.asarray(table)
    chosen = np.zeros(table.shape, bool) if chosen is None else np.asarray(chosen)
    order = sorted(np.ndindex(table.shape), key=lambda box: chosen[box])  # so that thick frames lie on top
    for row, column in order:
        x, y, marked = place[0] + column, place[1] + row, bool(chosen[row, column])
        color, edge, width = (LIGHT_ORANGE, ORANGE, 2.5) if marked else ("white", GREY, 1)
        ax.add_patch(Rectangle((x, y), 1, 1, facecolor=color, edgecolor=edge, linewidth=width))
        weight = "bold" if marked else "normal"
        ax.text(x + 0.5, y + 0.5, f"{table[row, column]:g}", ha="center", va="center", weight=weight, fontsize=12)
    return ax


def paper(ax: Axes, left: float, right: float, top: float, bottom: float) -> Axes:
    """Make an Axes a sheet to draw on: no ticks, y grows downwards, a box is as wide as it is high."""
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()
    return ax


def draw_sum(table, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw what a sum over dimension 0 and over dimension 1 of a table adds up, and what it leaves.

    Parameters
    ----------
    table : array-like
        (rows, columns), numbers.
    axes : np.ndarray of 2 Axes, optional
        For dim 0 and dim 1.

    Returns
    -------
    np.ndarray
        Of 2 Axes.
    """
    table = np.asarray(table)
    rows, columns = table.shape
    axes = plt.subplots(1, 2, figsize=(11, 4))[1] if axes is None else axes
    one_column, one_row = np.zeros(table.shape, bool), np.zeros(table.shape, bool)
    one_column[:, 1] = one_row[1] = True
    arrow = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 2.5}
    for dim, (ax, chosen) in enumerate(zip(axes, (one_column, one_row), strict=True)):
        paper(ax, -0.3, columns + 2, -0.5, rows + 2)
        draw_numbers(table, chosen, ax=ax)
        left = table.sum(axis=dim)
        if dim == 0:
            draw_numbers(left[None], one_row[1:2] & (np.arange(columns) == 1), place=(0, rows + 0.9), ax=ax)
            ax.annotate("", (1.5, rows + 0.85), (1.5, rows + 0.05), arrowprops=arrow)
            words = "down each column: one number per column"
        else:
            draw_numbers(left[:, None], (np.arange(rows) == 1)[:, None], place=(columns + 0.9, 0), ax=ax)
            ax.annotate("", (columns + 0.85, 1.5), (columns + 0.05, 1.5), arrowprops=arrow)
            words = "along each row: one number per row"
        ax.set_title(f"table.sum(dim={dim}): shape {table.shape} → {left.shape}\n{words}", fontsize=11)
        ax.set_label(f"A table of shape {table.shape}. table.sum(dim={dim}) adds {words}: {left.tolist()}.")
    return axes


def draw_broadcasting(upper, lower, *, ax: Axes | None = None) -> Axes:
    """Draw how two tables of different shape are stretched to one shape and added.

    Parameters
    ----------
    upper, lower : array-like
        (rows, columns) each; where their sizes differ, one of them is 1.
    """
    tables = [np.asarray(upper), np.asarray(lower)]
    total = tables[0] + tables[1]
    rows, columns = total.shape
    step = columns + 1.2
    ax = ax or plt.subplots(figsize=(11, 3.1))[1]
    paper(ax, -0.2, 3 * step - 1, -0.9, rows + 0.2)
    for number, table in enumerate([*tables, total]):
        stretched = np.broadcast_to(table, total.shape)
        for row, column in np.ndindex(total.shape):
            if row < table.shape[0] and column < table.shape[1]:
                continue
            box = Rectangle((number * step + column, row), 1, 1, fill=False, edgecolor=GREY, linestyle=":")
            ax.add_patch(box)
            middle = (number * step + column + 0.5, row + 0.5)
            ax.text(*middle, f"{stretched[row, column]:g}", ha="center", va="center", color=GREY, style="italic")
        chosen = np.full(table.shape, number < 2)
        draw_numbers(table, chosen, place=(number * step, 0), ax=ax)
        ax.text(number * step + columns / 2, -0.5, f"shape {table.shape}", ha="center", fontsize=12)
        if number < 2:
            sign = "+="[number]
            ax.text((number + 1) * step - 0.6, rows / 2, sign, ha="center", va="center", fontsize=20)
    ax.set_label(
        f"Broadcasting: a table of shape {tables[0].shape} plus one of shape {tables[1].shape}. Each is repeated along "
        f"the dimension in which its size is 1, drawn dotted, and the sum has shape {total.shape}."
    )
    return ax


def draw_reshape(table, rows: int, columns: int, *, ax: Axes | None = None) -> Axes:
    """Draw how the rows of a table, one after the other, make one row, which is cut into new rows of another length.

    The numbers of the table's second row are framed in all three, so that one sees where they go.

    Parameters
    ----------
    table : array-like
        (old rows, old columns), numbers; at least two rows.
    rows, columns : int
        The new shape, of as many numbers.
    """
    table = np.asarray(table)
    framed = np.zeros(table.shape, bool)
    framed[1] = True
    low, many = max(len(table), rows), table.size
    line, width = low + 1.9, max(many, table.shape[1] + columns + 2)
    first, right = (width - many) / 2, width - columns
    ax = ax or plt.subplots(figsize=(9.5, 5.6))[1]
    paper(ax, -0.2, width + 0.2, -0.9, line + 2.2)
    parts = [
        ("table", table.shape, (0, low - len(table)), -0.3),
        ("table.flatten()", (1, many), (first, line), 1.9),
        (f"table.reshape({rows}, {columns})", (rows, columns), (right, low - rows), -0.3),
    ]
    for code, shape, (x, y), down in parts:
        draw_numbers(table.reshape(shape), framed.reshape(shape), place=(x, y), ax=ax)
        said = (many,) if shape == (1, many) else tuple(shape)
        ax.text(x + shape[1] / 2, y + down, f"{code}: shape {said}", ha="center", fontsize=12)
    for cut in range(columns, many, columns):
        ax.plot([first + cut] * 2, [line - 0.4, line + 1.4], color="black", linewidth=3)
    arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 2.5}
    steps = [
        (table.shape[1] / 2, low + 0.15, line - 0.15, "row after row"),
        (right + columns / 2, line - 0.15, low + 0.15, f"cut into rows of {columns}"),
    ]
    for x, start, end, words in steps:
        ax.annotate("", (x, end), (x, start), arrowprops=arrow)
        ax.text(x + 0.25, (start + end) / 2, words, va="center", fontsize=12)
    ax.set_label(
        f"The rows of a table of shape {table.shape}, one after the other, make one row of {many} numbers, "
        f"{table.flatten().tolist()}. It is cut into {rows} rows of {columns}: "
        f"{table.reshape(rows, columns).tolist()}. The old second row, {table[1].tolist()}, is framed."
    )
    return ax


def draw_byte_ring(start: int, step: int, *, ax: Axes | None = None) -> Axes:
    """Draw the 256 values of a byte as a ring, and the way from one value over a number of steps to another.

    Parameters
    ----------
    start : int
        From 0 to 255.
    step : int
        From 1 to 255: how many values to go on.
    """
    ax = ax or plt.subplots(figsize=(4.6, 4.6))[1]
    end = (start + step) % 256

    def point(value: float, radius: float) -> tuple[float, float]:
        angle = 2 * np.pi * value / 256
        return radius * np.sin(angle), -radius * np.cos(angle)

    circle = np.array([point(value, 1) for value in range(257)])
    ax.plot(*circle.T, color=GREY, linewidth=1.5)
    for value in range(0, 256, 32):
        ax.plot(*np.array([point(value, 0.96), point(value, 1.04)]).T, color=GREY, linewidth=1.5)
        ax.text(*point(value, 0.84), str(value), ha="center", va="center", color=GREY, fontsize=10)
    way = np.array([point(value, 1.14) for value in np.linspace(start, start + step, 60)])
    ax.plot(*way[:-6].T, color=ORANGE, linewidth=3)
    ax.annotate("", way[-1], way[-8], arrowprops={"arrowstyle": "-|>", "color": ORANGE, "linewidth": 3})
    for value, side in ((start, "right"), (end, "left")):
        ax.plot(*point(value, 1), "o", color=BLUE, markersize=9)
        ax.text(*point(value, 1.3), str(value), ha=side, va="center", weight="bold", fontsize=13)
    ax.text(0, 0, f"{start} + {step} = {end}\nin uint8", ha="center", va="center", fontsize=14)
    paper(ax, -1.6, 1.6, -1.5, 1.25)
    ax.set_label(
        f"The 256 values of a byte as a ring, 0 after 255. From {start}, {step} steps on, one arrives at {end}."
    )
    return ax


def draw_zoom(image, top: int, left: int, size: int = 8, title: str = "", *, axes=None) -> np.ndarray:
    """Draw an image with a frame, and the square in the frame with the number of each pixel.

    Parameters
    ----------
    image : array-like
        (rows, columns), grey levels from 0 to 255.
    top, left : int
        The first row and the first column of the square.
    size : int
        Rows and columns of the square.
    title : str
        Of the whole image.
    axes : np.ndarray of 2 Axes, optional
        For the image and for the square.

    Returns
    -------
    np.ndarray
        Of 2 Axes.
    """
    image = np.asarray(image)
    axes = plt.subplots(1, 2, figsize=(9.5, 4.4))[1] if axes is None else axes
    square = image[top : top + size, left : left + size]
    for ax in axes:
        ax.grid(False)
        ax.set(xlabel="column", ylabel="row")
    axes[0].imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    frame = {"fill": False, "edgecolor": ORANGE, "linewidth": 3}
    axes[0].add_patch(Rectangle((left - 0.5, top - 0.5), size, size, **frame))
    axes[0].set_title(title)
    extent = (left - 0.5, left + size - 0.5, top + size - 0.5, top - 0.5)
    shown = axes[1].imshow(square, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=extent)
    for (row, column), value in np.ndenumerate(square):
        color = ink_on(shown, value)
        axes[1].text(left + column, top + row, f"{value:g}", ha="center", va="center", color=color, fontsize=10)
    axes[1].set_xticks(range(left, left + size))
    axes[1].set_yticks(range(top, top + size))
    axes[1].set_title("what the computer sees in the frame")
    for spine in axes[1].spines.values():
        spine.set(visible=True, color=ORANGE, linewidth=3)
    return axes


def draw_profiles(image, title: str = "", *, axes=None) -> np.ndarray:
    """Draw an image, below it its sum over dim 0 and beside it its sum over dim 1, each pixel in line with its sum.

    Parameters
    ----------
    image : array-like
        (rows, columns), grey levels from 0 to 255.
    title : str
        Of the image.
    axes : np.ndarray of 3 Axes, optional
        For the image, the sum over dim 0 and the sum over dim 1.

    Returns
    -------
    np.ndarray
        Of 3 Axes.
    """
    image = np.asarray(image)
    rows, columns = image.shape
    if axes is None:
        ratios = {"width_ratios": [2, 1], "height_ratios": [2, 1]}
        grid = plt.subplots(2, 2, figsize=(7, 6.6), gridspec_kw=ratios)[1]
        grid[1, 1].remove()
        axes = np.array([grid[0, 0], grid[1, 0], grid[0, 1]])
    picture, below, beside = axes
    picture.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    picture.set(title=title, xticks=[], ylabel="row")
    picture.grid(False)
    below.plot(range(columns), image.sum(axis=0), color=BLUE, linewidth=2.5)
    below.set(title=f"sum(dim=0), shape ({columns},)", xlabel="column", ylabel="sum of grey levels")
    below.set(xlim=(-0.5, columns - 0.5), ylim=(0, None))
    beside.plot(image.sum(axis=1), range(rows), "--", color=ORANGE, linewidth=2.5)
    beside.set(title=f"sum(dim=1), shape ({rows},)", xlabel="sum of grey levels", ylabel="row")
    beside.set(ylim=(rows - 0.5, -0.5), xlim=(0, None))
    return axes


def draw_slope(function: Callable, at: float, slope: float, *, ax: Axes | None = None) -> Axes:
    """Draw a function of one number from 0 to 4, a point on it, and the line that has the given slope there.

    Parameters
    ----------
    function : callable
        Takes and returns a number.
    at : float
        Where the point is.
    slope : float
        Of the line.
    """
    ax = ax or plt.gca()
    values = np.linspace(0, 4, 81)
    here = float(function(at))
    ends = np.array([at - 0.7, at + 0.7])
    ax.plot(values, [float(function(value)) for value in values], color=BLUE, linewidth=2.5, label="loss")
    line = f"tangent at w = {at:g}: slope {slope:.3f}"
    ax.plot(ends, here + slope * (ends - at), "--", color=ORANGE, linewidth=2.5, label=line)
    ax.plot(at, here, "o", color="black", markersize=8)
    ax.set(xlabel="w", ylabel="mean squared difference", title="The gradient is the slope of the loss")
    ax.legend()
    return ax


# What `draw_riddle` shows: the class of each panel, and the dim over which the solid curves are a mean.
RIDDLE = {"A": "Bag", "B": "Trouser", "C": "Sneaker", "D": "Dress", "solid": 1}


def draw_riddle(images, labels) -> np.ndarray:
    """Draw the mean image of four classes as two curves each, without saying which class or which dim.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels : torch.Tensor
        int64, (N,).

    Returns
    -------
    np.ndarray
        Of 4 Axes.
    """
    axes = plt.subplots(1, 4, figsize=(12, 3.2), sharey=True)[1]
    for ax, letter in zip(axes, "ABCD", strict=True):
        of_class = images[labels == config.CLASS_NAMES.index(RIDDLE[letter]), 0]
        mean = of_class.float().mean(dim=0)
        for dim in (RIDDLE["solid"], 1 - RIDDLE["solid"]):
            line, color = ("-", BLUE) if dim == RIDDLE["solid"] else ("--", ORANGE)
            label = "solid" if line == "-" else "dashed"
            ax.plot(mean.mean(dim=dim), line, color=color, linewidth=2.5, label=label)
        ax.set(title=f"panel {letter}", xlabel="place (0 to 27)")
    axes[0].set_ylabel("mean grey level")
    axes[0].legend(fontsize=9)
    return axes


def draw_memory_order(channels: int = 3, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw in which order the numbers of four pixels lie in memory, channel by channel and pixel by pixel.

    Parameters
    ----------
    channels : int
        How many channels each of the pixels a, b, c and d has, at most four.
    axes : np.ndarray of Axes, optional
        Two Axes, the first for PyTorch's usual order.
    """
    if axes is None:
        _, axes = plt.subplots(2, 1, figsize=(9, 2.6))
    usual = [(channel, pixel) for channel in range(channels) for pixel in "abcd"]
    last = [(channel, pixel) for pixel in "abcd" for channel in range(channels)]
    for ax, order, title in zip(axes, (usual, last), ("usual order", "channels_last"), strict=True):
        for place, (channel, pixel) in enumerate(order):
            color, hatch = [BLUE, ORANGE, GREEN, GREY][channel], ["", "//", "..", "xx"][channel]
            box = Rectangle((place, 0), 1, 1, facecolor=to_rgba(color, 0.35), hatch=hatch, edgecolor=color, linewidth=2)
            ax.add_patch(box)
            ax.add_patch(Rectangle((place, 0), 1, 1, fill=False, edgecolor=GREY))
            ax.text(place + 0.5, 0.5, f"{pixel}{channel}", ha="center", va="center", fontsize=13)
            if pixel == "a":
                arrow = {"arrowstyle": "->", "color": GREY, "lw": 2}
                ax.annotate("", (place + 0.5, 1.02), (place + 0.5, 1.5), arrowprops=arrow)
        places = [place for place, (_, pixel) in enumerate(order) if pixel == "a"]
        ax.set(xlim=(-0.1, len(order) + 0.1), ylim=(-0.1, 1.6))
        ax.set_title(f"{title}: the numbers of pixel a lie {places[1] - places[0]} apart", fontsize=11, loc="left")
        ax.axis("off")
        ax.set_label(f"{ax.get_title(loc='left')}; order in memory: {' '.join(f'{p}{c}' for c, p in order)}")
    return axes


def draw_sliding_kernel(image, kernel, places: list[tuple[int, int]], *, ax: Axes | None = None) -> Axes:
    """Draw a kernel on some places of an image, one row for each: window, products, their sum, the feature map so far.

    Parameters
    ----------
    image, kernel : array-like
        (rows, columns) each, whole numbers.
    places : list of (row, column)
        Where the window's upper left corner is, in the order of the window's way: row by row, left to right.
    """
    image, kernel = np.asarray(image), np.asarray(kernel)
    height, width = kernel.shape
    rows, columns = image.shape[0] - height + 1, image.shape[1] - width + 1
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    sums = (windows * kernel).sum(axis=(2, 3))
    step = image.shape[0] + 1
    starts = np.cumsum([0, image.shape[1] + 1.4, width + 1.4, width + 3.4])
    ax = ax or plt.subplots(figsize=(11, 8))[1]
    paper(ax, -0.2, starts[3] + columns + 0.2, -1.3, step * len(places) - 0.8)
    parts = ("image, with the window", "kernel", "products", "feature map")
    for start, part, size in zip(starts, parts, (image.shape[1], width, width, columns), strict=True):
        ax.text(start + size / 2, -0.4, part, ha="center", va="bottom", fontsize=12, weight="bold")
    for number, (row, column) in enumerate(places):
        top, window = number * step, windows[row, column]
        middle, upper = top + image.shape[0] / 2, top + (image.shape[0] - height) / 2
        covered = np.zeros(image.shape, bool)
        covered[row : row + height, column : column + width] = True
        draw_numbers(image, covered, place=(starts[0], top), ax=ax)
        draw_numbers(kernel, place=(starts[1], upper), ax=ax)
        draw_numbers(window * kernel, np.ones(kernel.shape), place=(starts[2], upper), ax=ax)
        for start, sign in zip(starts[1:3], "×=", strict=True):
            ax.text(start - 0.7, middle, sign, ha="center", va="center", fontsize=18)
        arrow = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 2.5}
        left = starts[2] + width + 0.2
        ax.annotate("", (starts[3] - 0.2, middle), (left, middle), arrowprops=arrow)
        words = f"sum {sums[row, column]:g}"
        ax.text(
            (left + starts[3]) / 2 - 0.2, middle - 0.25, words, ha="center", va="bottom", fontsize=11, weight="bold"
        )
        upper = top + (image.shape[0] - rows) / 2
        for place in np.ndindex(rows, columns):
            x, y = starts[3] + place[1], upper + place[0]
            if place > (row, column):
                ax.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=GREY, linestyle=":"))
            elif place < (row, column):
                draw_numbers([[sums[place]]], place=(x, y), ax=ax)
        draw_numbers([[sums[row, column]]], [[True]], place=(starts[3] + column, upper + row), ax=ax)
    said = [f"on row {row}, column {column} the sum is {sums[row, column]:g}" for row, column in places]
    ax.set_label(
        f"A kernel of {height} by {width} slides over an image of {image.shape[0]} by {image.shape[1]} numbers. The "
        f"pixels in its window are multiplied by its weights, and the products added: {', '.join(said)}. The sums fill "
        f"a feature map of {rows} by {columns}, of which {len(places)} stages are drawn."
    )
    return ax


def draw_channels(maps, kernel, bias: float, *, ax: Axes | None = None) -> Axes:
    """Draw how one kernel makes one output channel: each slice on its own input channel, the results added, and a bias.

    Parameters
    ----------
    maps, kernel : array-like
        (channels, rows, columns) each, whole numbers; a slice of the kernel for each channel.
    bias : float
        Added to every sum.
    """
    maps, kernel = np.asarray(maps).astype(int), np.asarray(kernel).astype(int)
    channels, height, width = kernel.shape
    windows = np.lib.stride_tricks.sliding_window_view(maps, (height, width), axis=(1, 2))
    results = np.einsum("crsij,cij->crs", windows, kernel)
    output = results.sum(axis=0) + bias
    rows, columns = output.shape
    step, covered, first = maps.shape[1] + 0.7, np.zeros(maps.shape[1:], bool), np.zeros((rows, columns), bool)
    covered[:height, :width] = first[0, 0] = True
    starts = np.cumsum([0.4, maps.shape[2] + 1.4, width + 2, columns + 3])
    ax = ax or plt.subplots(figsize=(9.5, 7.6))[1]
    paper(ax, -0.3, starts[3] + columns + 0.6, -0.9, step * channels - 0.5)
    goal = step * channels / 2 - 0.35  # the height of the output channel
    parts = (f"{channels} input channels", f"kernel: {channels} slices", "results", "output channel")
    heights = (0, 0, 0, goal - rows / 2)
    for start, part, size, upper in zip(starts, parts, (maps.shape[2], width, columns, columns), heights, strict=True):
        ax.text(start + size / 2, upper - 0.3, part, ha="center", va="bottom", fontsize=11, weight="bold")
    arrow = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 2.5}
    for number in range(channels):
        top = number * step
        middle = top + maps.shape[1] / 2
        ax.text(0, middle, f"channel {number}", ha="center", va="center", rotation=90, fontsize=11)
        draw_numbers(maps[number], covered, place=(starts[0], top), ax=ax)
        draw_numbers(kernel[number], place=(starts[1], middle - height / 2), ax=ax)
        draw_numbers(results[number], first, place=(starts[2], middle - rows / 2), ax=ax)
        ax.text(starts[1] - 0.7, middle, "×", ha="center", va="center", fontsize=18)
        ax.annotate("", (starts[2] - 0.2, middle), (starts[2] - 1.8, middle), arrowprops=arrow)
        ax.text(starts[2] - 1.1, middle - 0.25, "sum", ha="center", va="bottom", fontsize=11, weight="bold")
        if number:
            ax.text(starts[2] + columns / 2, top - 0.35, "+", ha="center", va="center", fontsize=18)
    left = starts[2] + columns + 0.2
    ax.annotate("", (starts[3] - 0.2, goal), (left, goal), arrowprops=arrow)
    words = f"their sum,\nplus bias {bias:g}"
    ax.text((left + starts[3] - 0.2) / 2, goal - 0.25, words, ha="center", va="bottom", fontsize=11, weight="bold")
    draw_numbers(output, first, place=(starts[3], goal - rows / 2), ax=ax)
    added = " + ".join(f"{value:g}" for value in results[:, 0, 0])
    ax.set_label(
        f"A kernel of {channels} slices of {height} by {width} on {channels} input channels of {maps.shape[1]} by "
        f"{maps.shape[2]} numbers. Each slice slides over its own channel and gives a result of {rows} by {columns}. "
        f"The results and the bias are added: in the upper left corner {added} + {bias:g} = {output[0, 0]:g}. They "
        "make one output channel."
    )
    return ax


def draw_pooling(values, title: str = "", *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw a map in blocks of 2 × 2 with the largest number of each framed, and beside it the map after max-pooling.

    Parameters
    ----------
    values : array-like
        (rows, columns), both even, numbers from 0 up.
    title : str
        Of the map.
    axes : np.ndarray of 2 Axes, optional
        For the map and for what pooling keeps of it.

    Returns
    -------
    np.ndarray
        Of 2 Axes.
    """
    values = np.asarray(values, float)
    rows, columns = values.shape
    blocks = values.reshape(rows // 2, 2, columns // 2, 2).swapaxes(1, 2).reshape(rows // 2, columns // 2, 4)
    pooled, where = blocks.max(axis=2), blocks.argmax(axis=2)
    framed = pooled.round(1) > 0  # of numbers that all read 0.0, none is seen to be the largest
    axes = plt.subplots(1, 2, figsize=(9.5, 4.8), width_ratios=(2, 1))[1] if axes is None else axes
    for ax, table in zip(axes, (values, pooled), strict=True):
        shown = ax.imshow(table, cmap="Greys", vmin=0, vmax=1.6 * values.max(), interpolation="nearest")
        for (row, column), value in np.ndenumerate(table):
            block = row // 2, column // 2
            is_largest = ax is axes[1] or (framed[block] and where[block] == row % 2 * 2 + column % 2)
            style = {"fontsize": 10, "weight": "bold" if is_largest else "normal", "color": ink_on(shown, value)}
            ax.text(column, row, f"{value:.1f}", ha="center", va="center", **style)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    for (row, column), place in np.ndenumerate(where):
        corner = (2 * column - 0.5, 2 * row - 0.5)
        axes[0].add_patch(Rectangle(corner, 2, 2, fill=False, edgecolor=GREY, linewidth=1.5))
        if framed[row, column]:
            corner = (corner[0] + place % 2 + 0.06, corner[1] + place // 2 + 0.06)
            axes[0].add_patch(Rectangle(corner, 0.88, 0.88, fill=False, edgecolor=ORANGE, linewidth=2.5))
    axes[0].set_title(f"{title}: {rows} × {columns}" if title else f"{rows} × {columns}", fontsize=11)
    axes[1].set_title(f"after max-pooling: {rows // 2} × {columns // 2}", fontsize=11)
    axes[0].set_label(f"{axes[0].get_title()} numbers in blocks of 2 by 2, the largest of each framed.")
    axes[1].set_label(f"The largest number of each block: {pooled.round(1).tolist()}.")
    return axes


def draw_receptive_field(image, masks: dict[str, np.ndarray], *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw an image once for each layer, with the pixels framed that one unit of the layer depends on.

    Parameters
    ----------
    image : array-like
        (rows, columns), grey levels.
    masks : dict of str to np.ndarray
        By the layer's name: bool, (rows, columns), true where a pixel counts.
    axes : np.ndarray of Axes, optional
        One for each layer.

    Returns
    -------
    np.ndarray
        Of Axes.
    """
    if axes is None:
        [axes] = plt.subplots(1, len(masks), figsize=(2.9 * len(masks), 3.3), squeeze=False)[1]
    for ax, (name, mask) in zip(axes, masks.items(), strict=True):
        mask = np.asarray(mask)
        ax.imshow(image, cmap="gray", interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        if not mask.any():  # a unit whose ReLU blocks the way for every image
            ax.set_title(f"{name}\nno pixel", fontsize=11)
            ax.set_label(f"One unit of {name} depends on no pixel.")
            continue
        ax.imshow(np.where(mask, 1.0, np.nan), cmap="Oranges", vmin=0, vmax=1.5, alpha=0.55, interpolation="nearest")
        (top, bottom), (left, right) = ((places.min(), places.max()) for places in np.nonzero(mask))
        size = (right - left + 1, bottom - top + 1)
        ax.add_patch(Rectangle((left - 0.5, top - 0.5), *size, fill=False, edgecolor=ORANGE, linewidth=3))
        ax.set_title(f"{name}\n{size[1]} × {size[0]} pixels", fontsize=11)
        ax.set_label(f"One unit of {name} depends on {mask.sum()} pixels, in a square of {size[1]} by {size[0]}.")
    return axes


def draw_growing_field(windows: dict[str, int], *, ax: Axes | None = None) -> Axes:
    """Draw what one unit looks at, layer by layer back to the image: a window of k adds k - 1 to the width.

    The squares that it adds are hatched. Two neighbours in a layer have letters, and their windows an outline.

    Parameters
    ----------
    windows : dict of str to int
        By the layer, from that of the unit back to the first: the width of the window in which a unit looks at the
        layer before. But for the unit's own layer, windows of neighbours lie one square apart.
    """
    ax = ax or plt.subplots(figsize=(12, 4.4))[1]
    names, kernels = [*windows, "the image"], [1, *windows.values()]
    widths = (np.cumsum(kernels) - np.arange(len(kernels))).tolist()
    full, lefts = widths[-1], np.cumsum([0, *(width + 3.2 for width in widths)]).tolist()
    letters, middle = iter("ABCDEFGH"), {"ha": "center", "va": "center", "fontsize": 13}
    told, corners = [], [(left, (full - width) / 2) for left, width in zip(lefts, widths, strict=False)]
    for layer, (name, kernel, width) in enumerate(zip(names, kernels, widths, strict=True)):
        (left, top), old, first = corners[layer], width - kernel + 1, (kernel - 1) // 2
        for row, column in np.ndindex(width, width):
            inside = first <= row < first + old and first <= column < first + old
            look = {"facecolor": LIGHT_BLUE} if inside else {"facecolor": LIGHT_ORANGE, "hatch": "//"}
            ax.add_patch(Rectangle((left + column, top + row), 1, 1, edgecolor=GREY, linewidth=1, **look))
        shape = f"{width} × {width} {'pixels' if name == names[-1] else 'numbers'}" if layer else "one unit"
        ax.text(left + width / 2, -1.2, f"{name}\n{shape}", weight="bold", **middle)
        told.append(f"{shape} of {name}")
        if not layer:
            continue
        arrow = {"arrowstyle": "-|>", "color": BLUE, "linewidth": 2.5, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (left - 0.4, full / 2), (left - 2.8, full / 2), arrowprops=arrow)
        words = f"{kernel} × {kernel}\nwindow{'s' if old > 1 else ''}"
        ax.text(left - 1.6, full / 2 - 0.2, words, ha="center", va="bottom", fontsize=12)
        words = f"{old} + {kernel - 1} = {width}"
        ax.text(left - 1.6, full / 2 + 0.3, words, ha="center", va="top", fontsize=13, weight="bold")
        told[-1] += f" ({words})"
        low = layer % 2 == 1  # by turns at the upper left and the lower right, so that pairs do not meet
        row = old - 1 if low else 0
        for second, column in enumerate((old - 2, old - 1) if low else (0, 1)):
            if old == 1:
                break
            line, color = ("--", ORANGE) if second else ("-", "black")
            inset = 0.28 if second else 0.12
            place, size = (left + column + inset, top + row + inset), kernel - 2 * inset
            ax.add_patch(Rectangle(place, size, size, fill=False, edgecolor=color, linestyle=line, linewidth=3))
            x, y = corners[layer - 1]
            box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": color, "linestyle": line}
            style = {"weight": "bold", "color": color, **middle}
            letter = next(letters)
            ax.text(x + column + 0.5, y + row + 0.5, letter, bbox=box | {"linewidth": 2}, **style)
            beside = column + kernel - 0.5 if second else column + 0.5
            ax.text(left + beside, top + width + 0.5 if low else top - 0.45, letter, **style)
    ax.set_title("Back from one unit to the pixels; hatched: what the windows add to the width", fontsize=13)
    ax.set_label(f"What one unit looks at, layer by layer: {', '.join(told)}. Windows of neighbours overlap.")
    return paper(ax, -0.9, lefts[-1] - 2.9, -2.4, full + 0.9)


def draw_door(train: int, validation: int, test: int, *, ax: Axes | None = None) -> Axes:
    """Draw what the training, the validation and the test images may change, the test images behind a door.

    Parameters
    ----------
    train, validation, test : int
        How many images each part has.
    """
    ways = [
        (f"training images\n{train:,}", "the weights", "gradients, in every batch", BLUE),
        (f"validation images\n{validation:,}", "our decisions", "epochs, dropout, which network", GREEN),
        (f"test images\n{test:,}", "one number", "and nothing else", ORANGE),
    ]
    ax = ax or plt.subplots(figsize=(10, 4.2))[1]
    ax.set_axis_off()
    ax.set(xlim=(0, 10), ylim=(-0.2, 6.2))
    for number, (source, changed, how, color) in enumerate(ways):
        height = 5.4 - 2.2 * number
        for place, words in ((1.4, source), (8.4, changed)):
            box = {"boxstyle": "round,pad=0.5", "facecolor": color, "edgecolor": "none"}
            ax.text(place, height, words, ha="center", va="center", fontsize=12, weight="bold", color="white", bbox=box)
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 3, "linestyle": "-" if number < 2 else ":"}
        ax.annotate("", (7.35, height), (2.8, height), arrowprops=arrow)
        ax.text(5.9 if number == 2 else 5.1, height + 0.2, how, ha="center", va="bottom", fontsize=11)
    ax.add_patch(Rectangle((3.75, 0), 0.75, 1.9, facecolor="white", edgecolor="black", linewidth=2.5, zorder=3))
    ax.plot(4.33, 0.9, "o", color="black", markersize=6, zorder=4)
    ax.text(4.13, 2.0, "door, opened once,\nafter the last decision", ha="center", va="bottom", fontsize=11)
    arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.5, "connectionstyle": "arc3,rad=-0.25"}
    ax.annotate("", (9.0, 5.0), (9.0, 3.6), arrowprops=arrow | {"connectionstyle": "arc3,rad=0.35"})
    ax.text(9.35, 4.3, "train\nagain", ha="left", va="center", fontsize=10)
    ax.set_title("Who may change what")
    ax.set_label(
        f"{train:,} training images change the weights. {validation:,} validation images change our decisions, which "
        f"lead to new trainings. {test:,} test images stand behind a door that is opened once, after the last "
        "decision, and give one number; no arrow leads back from it."
    )
    return ax


def draw_batch_norm(layer: nn.BatchNorm1d, batch: list[float], *, ax: Axes | None = None) -> Axes:
    """Send a batch of one channel through a batch-norm layer, and draw which numbers flow where in the layer's mode.

    The layer works as in any network: a call in training mode changes its running values.

    Parameters
    ----------
    layer : nn.BatchNorm1d
        Of one channel, in training or in evaluation mode.
    batch : list of float
        One number for each image, up to four; at least two in training mode.
    """
    ax = ax or plt.gca()
    values = torch.tensor(batch)[:, None]
    of_batch = values.mean().item(), values.var(correction=0).item()
    before = layer.running_mean.item(), layer.running_var.item()
    with torch.no_grad():
        output = layer(values)
    kept = layer.running_mean.item(), layer.running_var.item()
    mean, variance = of_batch if layer.training else before

    def box(x: float, y: float, words: str, used: bool = True) -> None:
        look = {"edgecolor": BLUE, "linewidth": 2} if used else {"edgecolor": GREY, "linewidth": 1.5, "linestyle": ":"}
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", **look}
        color = "black" if used else GREY
        ax.text(x, y, words, ha="center", va="center", fontsize=12, color=color, bbox=frame)

    def arrow(start: tuple, end: tuple, color: str = BLUE, line: str = "-", width: float = 2.5) -> None:
        look = {"arrowstyle": "-|>", "color": color, "linewidth": width, "linestyle": line}
        ax.annotate("", end, start, arrowprops=look | {"mutation_scale": 8 + 4 * width})

    paper(ax, -0.3, 12.3, -0.2, 6.1)
    top = 2.9 - len(batch) / 2
    draw_numbers(values.numpy().round(2), place=(0, top), ax=ax)
    draw_numbers(output.numpy().round(2) + 0.0, np.ones((len(batch), 1), bool), place=(11, top), ax=ax)
    ax.text(0.5, top - 0.2, "in", ha="center", va="bottom", fontsize=12)
    ax.text(11.5, top - 0.2, "out", ha="center", va="bottom", fontsize=12)
    arrow((1.1, 2.9), (5.9, 2.9), GREY)
    arrow((9.3, 2.9), (10.9, 2.9), GREY)
    box(7.6, 2.9, f"(x − {mean:.2f}) / √({variance:.2f} + ε)")
    running = f"mean {kept[0]:.2f}, variance {kept[1]:.2f}"
    if layer.training:
        box(3.5, 0.5, f"this batch\nmean {of_batch[0]:.2f}, variance {of_batch[1]:.2f}")
        box(3.5, 5.2, f"running values, now\n{running}\n(were {before[0]:.2f} and {before[1]:.2f})")
        for number in range(len(batch)):  # they meet in the mean and the variance
            arrow((1.05, top + 0.5 + number), (1.9 + 0.25 * number, 1.05), width=1.2)
        arrow((5.2, 0.8), (6.9, 2.4))
        arrow((3.5, 1.1), (3.5, 4.4), ORANGE, "--")
        unbiased = values.var(correction=1).item()
        share = f"{1 - layer.momentum:.0%} old + {layer.momentum:.0%} new\n(variance over n − 1: {unbiased:.2f})"
        paler = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(3.7, 3.75, share, ha="left", va="center", fontsize=11, bbox=paler)
        words = "the batch normalises itself, and moves the running values"
    else:
        box(3.5, 0.5, "this batch: its mean\nand variance are not used", used=False)
        box(3.5, 5.2, f"running values, unchanged\n{running}")
        arrow((5.4, 4.9), (6.9, 3.4))
        words = "the running values normalise, and nothing flows back"
    mode = "Training mode" if layer.training else "Evaluation mode"
    ax.set_title(f"{mode}: {words}", fontsize=13)
    numbers = [[round(value, 2) + 0.0 for value in column.flatten().tolist()] for column in (values, output)]
    ax.set_label(
        f"{ax.get_title()}. {numbers[0]} goes in. Of each number x the layer makes (x − {mean:.2f}) / "
        f"√({variance:.2f} + ε); {numbers[1]} comes out. Running mean {before[0]:.2f} before and {kept[0]:.2f} after, "
        f"running variance {before[1]:.2f} and {kept[1]:.2f}."
    )
    return ax


def draw_copy(block: nn.Sequential, values, words: str, *, ax: Axes | None = None) -> Axes:
    """Send a small map through a block of two convolutions, and draw the kernels, what they add, and what comes out.

    Parameters
    ----------
    block : nn.Sequential
        As `helpers.deep.plain_block` or `residual_block` makes it, with one channel.
    values : array-like
        (rows, columns), at most three rows: the map x. It comes from a ReLU, so nothing in it is negative.
    words : str
        Which block it is, and with which weights; the title begins with them.
    """
    ax = ax or plt.gca()
    shortcut = isinstance(block[0], Residual)
    first, second = (part.weight.detach()[0, 0] for part in block.modules() if isinstance(part, nn.Conv2d))
    x = torch.as_tensor(values, dtype=torch.float32)
    with torch.no_grad():
        y = block(x[None, None])[0, 0]
        added = block[0](x[None, None])[0, 0] - x

    def arrow(start: float, end: float, label: str = "") -> None:
        look = {"arrowstyle": "-|>", "color": "black", "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (end, 1.5), (start, 1.5), arrowprops=look)
        ax.text((start + end) / 2 - 0.1, 1.25, label, ha="center", va="bottom", fontsize=11)

    paper(ax, -0.6, 26.6, -2.3 if shortcut else -0.6, 4.1)
    for place, kernel in ((5, first), (11, second)):
        draw_numbers(kernel.numpy().round(2) + 0.0, kernel != 0, place=(place, 0), ax=ax)
        ax.add_patch(Rectangle((place - 0.1, -0.1), 3.2, 3.2, fill=False, edgecolor=BLUE, linewidth=3.5))
        ax.text(place + 1.5, 3.3, "3 × 3 conv", ha="center", va="top", fontsize=12)
    for place, table, name in ((0, x, "x"), (16, added, "F(x)"), (23, y, "y")):
        if shortcut or table is not added:
            draw_numbers(table.numpy().round(2) + 0.0, place=(place, 0), ax=ax)
            ax.text(place + 1.5, 3.3, name, ha="center", va="top", fontsize=14, style="italic")
    arrow(3.1, 4.8)
    arrow(8.2, 10.8, "ReLU")
    arrow(14.2, 15.9 if shortcut else 22.9, "" if shortcut else "ReLU")
    if shortcut:
        arrow(19.1, 19.85)
        arrow(20.95, 22.9, "ReLU")
        circle = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": ORANGE, "linewidth": 3}
        ax.text(20.4, 1.5, "+", ha="center", va="center", fontsize=14, weight="bold", bbox=circle)
        ax.plot([1.5, 1.5, 20.4], [-0.15, -1.2, -1.2], color=ORANGE, linewidth=4)
        ax.annotate("", (20.4, 0.85), (20.4, -1.25), arrowprops={"arrowstyle": "-|>", "color": ORANGE, "linewidth": 4})
        ax.text(11, -1.45, "shortcut: x itself", ha="center", va="bottom", fontsize=12)
    outcome = "y is x, a copy" if torch.equal(y, x) else "y is 0, and x is lost" if not y.any() else "y is not x"
    ax.set_title(f"{words}: {outcome}", fontsize=13, loc="left")
    rows = [(table.double().round(decimals=2) + 0.0).tolist() for table in (x, first, second, added, y)]
    given, one, two, change, made = (str(row).replace(".0,", ",").replace(".0]", "]") for row in rows)
    way = f"A convolution with the kernel {one}, ReLU and a convolution with the kernel {two}"
    rest = f" make F(x) = {change}. A shortcut brings x past them, and ReLU of x + F(x)" if shortcut else " and ReLU"
    ax.set_label(f"{ax.get_title(loc='left')}. x = {given}. {way}{rest} make{'s' if shortcut else ''} y = {made}.")
    return ax


def draw_luck(true, images: int, *, seed: int = 10, repetitions: int = 1000, ax: Axes | None = None) -> Axes:
    """Measure made-up trials on a few images: an arrow for each, from its true accuracy to the measured one.

    The measured ones come from a generator of this function's own. The first repetition is drawn; under the seed given
    here the winner is about as lucky in it as on average. The title has both numbers.

    Parameters
    ----------
    true : array-like
        float, (trials,), 0 to 1: how often the network of each trial is right.
    images : int
        How many it is measured on.
    """
    ax = ax or plt.gca()
    true = np.asarray(true)
    measured = np.random.default_rng(seed).binomial(images, true, (repetitions, len(true))) / images
    winners = measured.argmax(axis=1)
    luck = 100 * (measured.max(axis=1) - true[winners])
    starts, ends, best = 100 * true, 100 * measured[0], winners[0]
    for trial, (start, end) in enumerate(zip(starts, ends, strict=True)):
        look = {"color": ORANGE, "linewidth": 3.5} if trial == best else {"color": GREY, "linewidth": 1.5}
        arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 15}
        ax.annotate("", (trial + 1, end), (trial + 1, start), arrowprops=arrow | look)
    places, bar = np.arange(1, len(true) + 1), {"linestyle": "", "marker": "_", "markersize": 24}
    ax.plot(places, starts, "o", markersize=9, markerfacecolor="white", color="black", label="true")
    ax.plot(places, ends, **bar, markeredgewidth=3, color=BLUE, label=f"measured on {images} images")
    ax.plot(best + 1, ends[best], **bar, markeredgewidth=6, color=ORANGE, label="the winner: measured highest")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    top = (best + 1, ends[best])
    ax.annotate("winner", top, (0, 8), textcoords="offset points", ha="center", weight="bold", bbox=box)
    ax.set(xlabel="trial", ylabel="accuracy (%)", xticks=places)
    ax.margins(x=0.1, y=0.12)
    kind = "equally good trials" if np.ptp(true) == 0 else "trials that differ"
    ax.set_title(f"{len(true)} {kind}\nthe winner's luck: {luck[0]:+.1f} points here, {luck.mean():+.1f} on average")
    said = ax.get_title().replace("\n", ": ")
    lengths = ", ".join(f"{end - start:+.1f}" for start, end in zip(starts, ends, strict=True))
    ax.set_label(
        f"{said} over {repetitions:,} repetitions. True accuracies from {starts.min():.1f} to {starts.max():.1f} %. An "
        f"arrow from each to what was measured on {images} images, in points: {lengths}. Trial {best + 1} measures "
        f"highest, {ends[best]:.1f} %, and wins."
    )
    return ax


def draw_pairs(inside: list[float], outside: list[float], *, ax: Axes | None = None) -> Axes:
    """Draw every pair of a garment and something else, and mark those in which the garment has the higher score.

    The line above the marked ones is the ROC curve, their share the AUROC; a tie counts half.

    Parameters
    ----------
    inside, outside : list of float
        The scores of a few garments, which should be high, and of a few other images.
    """
    inside, outside = np.sort(inside)[::-1], np.sort(outside)[::-1]
    ax = ax or plt.subplots(figsize=(8.6, 5))[1]
    looks = {
        1: ("✓", {"facecolor": LIGHT_BLUE, "edgecolor": BLUE, "label": "✓ garment higher"}),
        -1: ("✗", {"facecolor": LIGHT_ORANGE, "edgecolor": ORANGE, "hatch": "//", "label": "✗ garment lower"}),
    }
    order = np.sign(inside[:, None] - outside[None]).astype(int)  # 0 where they tie
    for (row, column), ahead in np.ndenumerate(order):
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) + np.array([column, row])
        halves = [(1, corners[:3]), (-1, corners[[0, 2, 3]])] if ahead == 0 else [(ahead, corners)]
        for side, shape in halves:
            ax.add_patch(Polygon(shape, **looks[side][1]))
        box = {"boxstyle": "circle,pad=0.1", "facecolor": LIGHT_ORANGE, "edgecolor": "none"} if ahead < 0 else None
        middle = (column + 0.5, row + 0.5) if ahead else (column + 0.72, row + 0.28)
        mark = looks[ahead][0] if ahead else "½"
        ax.text(*middle, mark, ha="center", va="center", color="black", fontsize=16, weight="bold", bbox=box)
    limits = np.unique([*inside, *outside])[::-1]
    across, up = ([0, *(np.sum(scores >= limit) for limit in limits)] for scores in (outside, inside))
    ax.plot(across, up, color="black", linewidth=4, clip_on=False, zorder=3, label="ROC curve")
    ax.set_xticks(np.arange(len(outside)) + 0.5, [f"{score:g}" for score in outside], fontsize=13)
    ax.set_yticks(np.arange(len(inside)) + 0.5, [f"{score:g}" for score in inside], fontsize=13)
    ax.set(xlim=(0, len(outside)), ylim=(0, len(inside)), aspect="equal")
    ax.set_xlabel("score of what is no garment, highest first", fontsize=12)
    ax.set_ylabel("score of the garment, highest first", fontsize=12)
    ax.grid(False)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))  # one of each kind
    ax.legend(handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=12, frameon=False)
    right, ties = (order > 0).sum(), (order == 0).sum()
    share = (right + ties / 2) / order.size
    ax.set_title(f"AUROC: {right} ✓ + {ties} × ½ of {order.size} pairs = {share:.0%}", fontsize=13)
    ax.set_label(
        f"Garments have the scores {inside.tolist()}, other images {outside.tolist()}. Of {order.size} pairs the "
        f"garment has the higher score in {right}, and {ties} tie. These and half of the ties make {share:.0%}: the "
        "area under the ROC curve, which climbs in steps from the lower left to the upper right."
    )
    return ax


def draw_grad_cam(image, maps: torch.Tensor, weights: torch.Tensor, *, ax: Axes | None = None) -> Axes:
    """Draw how Grad-CAM is made: feature maps times their weights, added up, negative numbers to 0, and enlarged.

    Parameters
    ----------
    image : array-like
        (rows, columns), grey levels, as many rows as columns.
    maps, weights : torch.Tensor
        float, (channels, side, side) and (channels,). Three maps are drawn: the two that add most, and the one that
        takes away most.
    """
    added_up = (weights[:, None, None] * maps).sum(dim=0)
    kept = added_up.relu()
    smooth = enlarge(kept[None], len(image))[0]
    share = weights * maps.mean(dim=(1, 2))
    drawn = [*share.argsort(descending=True)[:2].tolist(), int(share.argmin())]
    limit = added_up.abs().max().item() or 1.0
    ax = ax or plt.subplots(figsize=(13, 4))[1]

    def show(values, left: float, top: float, size: float, title: str = "", **look) -> AxesImage:
        ax.text(left + size / 2, top - 0.25, title, ha="center", va="bottom", fontsize=12)
        extent = (left, left + size, top + size, top)
        ax.add_patch(Rectangle((left, top), size, size, fill=False, edgecolor=GREY, zorder=3))
        return ax.imshow(values, extent=extent, interpolation="nearest", **look)

    def arrow(start: float, words: str) -> None:
        look = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 2.5}
        ax.annotate("", (start + 2.5, 4.5), (start, 4.5), arrowprops=look)
        ax.text(start + 1.15, 4.25, words, ha="center", va="bottom", fontsize=12)

    show(image, 0, 2, 5, "the image", cmap="gray")
    arrow(5.2, "network")
    for number, channel in enumerate(drawn):
        show(maps[channel], 8, 2.95 * number + 0.2, 2.7, cmap="Greys")
        words = f"× {weights[channel]:+.3f}".replace("-", "−")
        ax.text(10.9, 2.95 * number + 1.55, words, va="center", fontsize=12)
    ax.text(7.8, -0.05, f"{len(maps)} maps × mean gradient", va="bottom", fontsize=12)
    ax.text(9.35, 9.5, "⋮", ha="center", va="center", fontsize=16)
    arrow(13.6, "add up")
    shape = f"{kept.shape[0]} × {kept.shape[1]}"
    for left, values, title in ((16.4, added_up, "their sum"), (24.2, kept, f"Grad-CAM: {shape}")):
        shown = show(values, left, 2, 5, title, cmap="RdBu", vmin=-limit, vmax=limit)
        for (row, column), value in np.ndenumerate(values.numpy()):
            if abs(value) > limit / 8:
                place = left + (column + 0.5) * 5 / len(values), 2 + (row + 0.5) * 5 / len(values)
                sign = "+" if value > 0 else "−"
                ax.text(*place, sign, ha="center", va="center", color=ink_on(shown, value), fontsize=11)
    arrow(21.55, "ReLU")
    arrow(29.35, "enlarge")
    show(image, 32, 2, 5, "over the image", cmap="gray")
    opacity = (smooth / limit).clamp(0, 0.85).numpy()
    show(torch.ones_like(smooth), 32, 2, 5, cmap="Oranges", vmin=0, vmax=1.8, alpha=opacity)
    if kept.any():
        middles = (np.arange(len(smooth)) + 0.5) * 5 / len(smooth)
        look = {"levels": [smooth.max().item() / 2], "colors": "white", "linewidths": 2}
        ax.contour(32 + middles, 2 + middles, smooth, **look)
    ax.grid(False)
    signs = ", ".join(f"{weights[channel]:+.3f}" for channel in drawn)
    ax.set_label(
        f"Grad-CAM in five steps. The network makes {len(maps)} maps of {shape} from the image. Each is multiplied by "
        f"its mean gradient; of the three drawn, by {signs}. They are added up, from {added_up.min():.3f} to "
        f"{added_up.max():.3f}. ReLU sets what is negative to 0. The map is enlarged and laid over the image, with a "
        "line at half of its highest value."
    )
    return paper(ax, -0.2, 37.2, -1.1, 9.9)


def draw_folds(images: int, parts: int = 3, *, ax: Axes | None = None) -> Axes:
    """Draw how each part of the images is answered by the one network that was not trained on it.

    Parameters
    ----------
    images, parts : int
        How many images, and into how many parts they are cut, up to five.
    """
    sizes = [len(part) for part in np.array_split(np.arange(images), parts)]
    edges = np.cumsum([0, *sizes])
    ax = ax or plt.subplots(figsize=(10, 3.7))[1]

    def box(row: float, part: int, words: str, hatch: str | None = None) -> None:
        face, edge, ink = (LIGHT_ORANGE, ORANGE, "black") if hatch else (BLUE, "white", "white")
        look = {"facecolor": face, "edgecolor": edge, "hatch": hatch, "linewidth": 2, "zorder": 2 if hatch else 1}
        ax.add_patch(Rectangle((edges[part], row), sizes[part], 0.8, **look))
        style = {"color": ink, "bbox": {"facecolor": face, "edgecolor": "none", "pad": 3}}
        middle = edges[part] + sizes[part] / 2
        ax.text(middle, row + 0.4, words, ha="center", va="center", fontsize=12, weight="bold", **style)

    last = parts + 0.5
    for part, (size, hatch) in enumerate(zip(sizes, ("//", "..", "xx", "\\\\", "++"), strict=False)):
        middle = edges[part] + size / 2
        ax.text(middle, -0.2, f"part {part + 1}: {size:,} images", ha="center", va="bottom", fontsize=12)
        ax.text(-0.02 * images, part + 0.4, f"network {part + 1}", ha="right", va="center", fontsize=12)
        for network in range(parts):
            box(network, part, "is asked" if network == part else "trains", hatch if network == part else None)
        box(last, part, f"from network {part + 1}", hatch)
    ax.text(-0.02 * images, last + 0.4, "answers", ha="right", va="center", fontsize=12, weight="bold")
    ax.set(xlim=(-0.15 * images, 1.01 * images), ylim=(last + 0.9, -0.7))
    ax.set_axis_off()
    ax.set_title("No network is asked about an image that it was trained on", fontsize=13)
    told = [f"network {k + 1} trains on {images - size:,} and is asked about {size:,}" for k, size in enumerate(sizes)]
    ax.set_label(f"{images:,} images in {parts} parts. {'; '.join(told)}. Together that is one answer for each image.")
    return ax


def draw_to_bytes(values: np.ndarray, ways: dict[str, np.ndarray], *, ax: Axes | None = None) -> Axes:
    """Draw grey levels of 16 bits as a row of boxes, and below it the bytes that several ways make of them.

    Parameters
    ----------
    values : np.ndarray
        uint16, (N,).
    ways : dict of str to np.ndarray
        By the way: uint8, (N,).
    """
    ax = ax or plt.subplots(figsize=(12, 3))[1]
    rows = {"16 bits, as in the file": values, **ways}
    for number, (name, levels) in enumerate(rows.items()):
        top = 1.2 * number + (0.3 if number else 0)
        look = {"cmap": "gray", "vmin": 0, "vmax": np.iinfo(levels.dtype).max, "interpolation": "nearest"}
        shown = ax.imshow(levels[None], extent=(0, 2 * len(levels), top + 1, top), **look)
        ax.add_patch(Rectangle((0, top), 2 * len(levels), 1, fill=False, edgecolor=GREY))
        ax.text(-0.3, top + 0.5, name, ha="right", va="center", fontsize=13)
        for place, level in enumerate(levels.tolist()):
            style = {"ha": "center", "va": "center", "color": ink_on(shown, level), "fontsize": 13}
            ax.text(2 * place + 1, top + 0.5, f"{level:,}", **style)
    ax.grid(False)
    told = [f"{name}: {', '.join(map(str, levels.tolist()))}" for name, levels in rows.items()]
    ax.set_label(f"Grey levels, 0 black. {'; '.join(told)}.")
    return paper(ax, -8, 2 * len(values) + 0.1, -0.1, 1.2 * len(rows) + 0.2)


def draw_sum_in_16_bits(weights: dict[str, int], *, ax: Axes | None = None) -> Axes:
    """Draw the largest sum of two products of a byte and a weight, and what is cut off where it has 16 bits.

    Parameters
    ----------
    weights : dict of str to int
        By the format: its largest weight.
    """
    ax = ax or plt.subplots(figsize=(9, 2.5))[1]
    byte, most = np.iinfo(np.uint8).max, np.iinfo(np.int16).max
    told = []
    for row, weight in enumerate(weights.values()):
        total = 2 * byte * weight
        ax.barh(row, min(total, most), color=LIGHT_BLUE, edgecolor=BLUE)
        words = f"{byte} × {weight} + {byte} × {weight} = {total:,}"
        ax.text(0.02 * most, row, words, va="center", fontsize=12)
        told.append(words)
        if total > most:
            ax.barh(row, total - most, left=most, color=LIGHT_ORANGE, edgecolor=ORANGE, hatch="//")
            box = {"facecolor": LIGHT_ORANGE, "edgecolor": "none", "pad": 2}
            lost = f"cut off: {total - most:,}"
            ax.text((most + total) / 2, row, lost, ha="center", va="center", fontsize=12, bbox=box)
            told[-1] += f", {lost}"
    ax.axvline(most, color="black", linestyle="--", linewidth=2)
    ax.set_title(f"The largest number in 16 bits is {most:,}, the dashed line", fontsize=12)
    ax.set_yticks(range(len(weights)), list(weights), fontsize=12)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set(ylim=(len(weights) - 0.5, -0.5), xlabel="sum of two products")
    ax.grid(False)
    ax.set_label(f"{ax.get_title()}. {'; '.join(told)}.")
    return ax


def draw_step_lengths(matrices: dict[str, torch.Tensor], *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw what matrices make of all inputs of length 1, with arrows for the two directions of the first matrix.

    Parameters
    ----------
    matrices : dict of str to torch.Tensor
        By the name: float, (2, 2), of which the others have the singular vectors of the first.

    Returns
    -------
    np.ndarray
        Of Axes, one for each matrix.
    """
    axes = plt.subplots(1, len(matrices), figsize=(4.4 * len(matrices), 4.2))[1] if axes is None else axes
    angle = torch.linspace(0, 2 * np.pi, 121)
    circle = torch.stack([angle.cos(), angle.sin()])
    inputs = torch.linalg.svd(next(iter(matrices.values())))[2].T
    reach = 1.25 * max(torch.linalg.svdvals(matrix).max().item() for matrix in matrices.values())
    for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
        ax.plot(*circle, ":", color=GREY, linewidth=2, label="inputs")
        ax.plot(*(matrix @ circle), color="black", linewidth=2.5, label="outputs")
        tips, told = matrix @ inputs, []
        for tip, color, line in zip(tips.T, (BLUE, ORANGE), ("-", "--"), strict=True):
            tip, length = tip * (1 if tip[1] > 0 else -1), tip.norm()
            look = {"arrowstyle": "-|>", "color": color, "linewidth": 3, "linestyle": line, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", tip, (0, 0), arrowprops=look)
            place = tip * (1 + 0.17 * reach / length)
            style = {"color": color, "weight": "bold", "fontsize": 13}
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            ax.text(*place, f"{length:.2f}", ha="center", va="center", bbox=box, **style)
            told.append(f"{length:.2f}")
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set(xlabel="first number", ylabel="second number")
        ax.grid(False)
        ax.set_title(name, fontsize=13)
        ax.set_label(f"{name}: of length 1 it makes {' in one direction and '.join(told)} in the other.")
    axes[0].legend(loc="lower right", fontsize=11)
    return axes
