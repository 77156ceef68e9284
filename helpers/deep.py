"""Plain and residual networks of any depth, what they cost, and how gradients run back through them (lesson 09)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.stats import binomtest
from torch import nn

from helpers.data import normalize
from helpers.device import set_seed
from helpers.models import Residual
from helpers.plotting import BLUE, GREEN, GREY, ORANGE, OTHERS, is_unbeaten

MARKS = list(zip("osD^v", ["-", "--", ":", "-.", (0, (5, 1, 1, 1))], [BLUE, ORANGE, GREEN, GREY, "black"], strict=True))


def plain_block(channels: int) -> nn.Sequential:
    """Return two 3 × 3 convolutions, each followed by ReLU; the map keeps its size and its channels."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        nn.ReLU(),
    )


def residual_block(channels: int) -> nn.Sequential:
    """Return the same layers with a shortcut: the input is added before the last ReLU (He et al., 2015)."""
    return nn.Sequential(
        Residual(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        ),
        nn.ReLU(),
    )


def deep_cnn(depth: int, block=plain_block, channels: int = 16) -> nn.Sequential:
    """Build a network of a first convolution that shrinks the image to 7 × 7, and `depth` more on maps of that size.

    Parameters
    ----------
    depth : int
        3 × 3 convolutions behind the first one; even, since each block has two. 0 leaves the blocks out.
    block : callable
        `plain_block` or `residual_block`: takes the number of channels, returns a module that keeps the shape.
    channels : int
        Feature maps of every convolution.

    Returns
    -------
    nn.Sequential
        Takes float32 images (N, 1, 28, 28), returns logits (N, 10). Without batch norm.

    Raises
    ------
    ValueError
        If the depth is odd or below 0.
    """
    if depth < 0 or depth % 2:
        raise ValueError(f"A block has two convolutions, so the depth must be even and not below 0; it is {depth}.")
    return nn.Sequential(
        nn.Conv2d(1, channels, kernel_size=3, stride=2, padding=1),  # (N, 16, 14, 14)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 16, 7, 7)
        *[block(channels) for _ in range(depth // 2)],
        nn.Flatten(),
        nn.Linear(channels * 7 * 7, 10),
    )


def he_start(model: nn.Module) -> nn.Module:
    """Draw the weights of all convolutions anew, with variance 2 / inputs, and set their biases to 0; return the model.

    With this start a convolution and its ReLU keep the mean square of what runs through them, on average (He et al.,
    "Delving Deep into Rectifiers", 2015). Inputs are those of one output: channels × kernel height × kernel width.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model


def gradient_norms(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> pd.Series:
    """Return how long the gradient of the loss is with respect to the weights of each convolution.

    Parameters
    ----------
    model : nn.Module
        On any device. Its gradients are empty afterwards.
    images, labels : torch.Tensor
        uint8 (N, 1, 28, 28) and int64 (N,): one batch.

    Returns
    -------
    pd.Series
        float, not below 0, without unit; index 1, 2, … from the first convolution to the last.
    """
    device = next(model.parameters()).device
    model.zero_grad()
    F.cross_entropy(model(normalize(images).to(device)), labels.to(device)).backward()
    norms = [layer.weight.grad.norm().item() for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    model.zero_grad()
    return pd.Series(norms, index=range(1, len(norms) + 1), name="gradient norm")


@torch.inference_mode()
def image_spreads(model: nn.Module, images: torch.Tensor) -> pd.Series:
    """Return by how much the images of a batch still differ from each other behind each convolution.

    Parameters
    ----------
    model : nn.Module
        On any device.
    images : torch.Tensor
        uint8 (N, 1, 28, 28).

    Returns
    -------
    pd.Series
        float: standard deviation over the images, mean over channels and places; index as in `gradient_norms`.
    """
    spreads, device = [], next(model.parameters()).device
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [
        layer.register_forward_hook(
            lambda layer, inputs, output: spreads.append(output.double().std(dim=0).mean().item())
        )
        for layer in convolutions
    ]
    model(normalize(images).to(device))
    for hook in hooks:
        hook.remove()
    return pd.Series(spreads, index=range(1, len(spreads) + 1), name="spread between images")


def multiply_adds(model: nn.Module, shape: tuple[int, ...] = (1, 28, 28)) -> int:
    """Count the multiplications, each with its addition, of all convolutions and linear layers for one input.

    A layer inside another counts too, wherever it is, and one that is used twice counts twice. Biases, ReLU, pooling
    and batch norm are left out, as `torch.utils.flop_counter` does; that counter gives twice this number.

    Parameters
    ----------
    model : nn.Module
        On any device; left in the mode in which it came.
    shape : tuple of int
        Of one input, without the batch.
    """
    total, device, was_training = 0, next(model.parameters()).device, model.training

    def count(layer, inputs, output):
        nonlocal total
        total += layer.weight.numel() * output[0, 0].numel()  # each weight is used once at each place

    kinds = (nn.Conv2d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    with torch.inference_mode():
        model.eval()(torch.zeros(1, *shape, device=device))
    for hook in hooks:
        hook.remove()
    model.train(was_training)
    return total


def gradient_map(layers: nn.Module, size: int = 41, images: int = 50, seed: int = 0) -> np.ndarray:
    """Return how strongly the numbers at the middle place of the last maps depend on each pixel.

    Parameters
    ----------
    layers : nn.Module
        Takes (N, 1, size, size), returns feature maps (N, channels, rows, columns).
    size : int
        Width of the noise images, at least that of the receptive field, so that no border is in the way.
    images : int
        Images of noise to take the mean over, since in a single one a ReLU may block a way.
    seed : int
        Of the noise.

    Returns
    -------
    np.ndarray
        float64, (size, size): mean absolute gradient, over images, of the sum over all channels at that place; adds up
        to 1. A pixel outside the receptive field has exactly 0.
    """
    noise = torch.randn(images, 1, size, size, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    maps = layers(noise)
    middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
    (gradient,) = torch.autograd.grad(middle.sum(), noise)
    strength = gradient.abs().mean(dim=(0, 1)).double().numpy()
    return strength / strength.sum()


def width_of(strength: np.ndarray, share: float = 1.0) -> int:
    """Return the width of the smallest square around the middle of the receptive field that holds a share of it.

    Parameters
    ----------
    strength : np.ndarray
        float, (rows, columns), as from `gradient_map`.
    share : float
        Of the sum, above 0 and up to 1. With 1 it is the width of the receptive field.
    """
    rows, columns = (np.flatnonzero(strength.sum(axis=axis)) for axis in (1, 0))
    cut = strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    widest = max(cut.shape)
    for border in range((widest - 1) // 2, 0, -1):
        inside = cut[border : cut.shape[0] - border, border : cut.shape[1] - border]
        if inside.sum() >= share * cut.sum() - 1e-12:
            return widest - 2 * border
    return widest


def draw_residual_block(channels: int = 16, side: int = 7, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw a plain block above, and a residual block below with its shortcut and the sum.

    Parameters
    ----------
    channels, side : int
        Of the feature maps that run through.
    axes : np.ndarray of Axes, optional
        Two.
    """
    axes = plt.subplots(2, 1, figsize=(10, 5.4), height_ratios=(0.8, 1))[1] if axes is None else axes
    shape = f"{channels} × {side} × {side}"
    for ax, shortcut in zip(axes, (False, True), strict=True):
        ax.set_axis_off()
        ax.set(xlim=(-0.6, 11.2), ylim=(-0.9, 2.3 if shortcut else 1.2))
        stations = [(2.2, "3 × 3 conv", BLUE), (4.1, "ReLU", GREY), (6.0, "3 × 3 conv", BLUE), (9.3, "ReLU", GREY)]
        stops = [0.35, 1.5, 2.9, 3.7, 4.5, 5.3, 6.7, 8.9, 9.7, 10.3]
        if shortcut:
            stops[7:7] = [7.35, 7.85]
        for start, end in zip(stops[::2], stops[1::2], strict=True):
            ax.annotate("", (end, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 2})
        for place, words, color in stations:
            box = {"boxstyle": "round,pad=0.45", "facecolor": color, "edgecolor": "none"}
            ax.text(place, 0, words, ha="center", va="center", color="white", fontsize=12, weight="bold", bbox=box)
        for place, words in ((0, "x"), (10.6, "y")):
            ax.text(place, 0, words, ha="center", va="center", fontsize=16, style="italic")
            ax.text(place, -0.75, shape, ha="center", va="center", fontsize=9)
        if shortcut:
            circle = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": ORANGE, "linewidth": 3}
            ax.text(7.6, 0, "+", ha="center", va="center", fontsize=16, weight="bold", bbox=circle)
            ax.plot([0.9, 0.9, 7.6], [0, 1.5, 1.5], color=ORANGE, linewidth=4, solid_joinstyle="round")
            down = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 4}
            ax.annotate("", (7.6, 0.38), (7.6, 1.52), arrowprops=down)
            ax.text(4.25, 1.62, "shortcut: x itself, no weights", ha="center", va="bottom", fontsize=12)
            ax.text(6.75, 0.55, "F(x)", ha="center", va="center", fontsize=13, style="italic")
            ax.text(8.35, 0.55, "x + F(x)", ha="center", va="center", fontsize=13, style="italic")
    axes[0].set_title("Plain block: the layers must make all of y", fontsize=12, loc="left")
    axes[1].set_title("Residual block: the layers make only what is added to x", fontsize=12, loc="left")
    axes[0].set_label(
        f"A plain block: x of {shape} goes through a convolution, ReLU, a convolution and ReLU, and becomes y."
    )
    axes[1].set_label(
        "A residual block: the same layers, but before the last ReLU a thick line brings x itself, past both "
        "convolutions, to a plus sign, where it is added to F(x), what the convolutions have made of it."
    )
    return axes


def plot_by_layer(values: dict[str, pd.Series], label: str = "gradient norm", *, ax: Axes | None = None) -> Axes:
    """Draw a quantity of each convolution, from the first to the last, on a log scale.

    Parameters
    ----------
    values : dict of str to pd.Series
        By the network's name, at most five: above 0, as from `gradient_norms` or `image_spreads`.
    label : str
        What the quantity is.
    """
    ax = ax or plt.gca()
    for (name, series), (mark, line, color) in zip(values.items(), MARKS, strict=False):
        ax.plot(series.index, series, marker=mark, linestyle=line, color=color, markersize=6, label=name)
    ax.set(yscale="log", xlabel="convolution, from the image to the logits", ylabel=f"{label} (log scale)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    return ax


def plot_depths(reached: pd.DataFrame, column: str, label: str, *, ax: Axes | None = None) -> Axes:
    """Draw what networks of each kind reached against their depth: a mark for each seed, a line through the means.

    Parameters
    ----------
    reached : pd.DataFrame
        A row for each training; columns kind, depth and the one to draw. At most five kinds.
    column : str
        What to draw: fractions if `label` ends in "(%)", which are then shown times 100.
    label : str
        Of the vertical axis, with the unit.
    """
    ax = ax or plt.gca()
    factor = 100 if label.endswith("(%)") else 1
    kinds = list(dict.fromkeys(reached["kind"]))
    for number, (kind, (mark, line, color)) in enumerate(zip(kinds, MARKS, strict=False)):
        rows = reached[reached["kind"] == kind]
        aside = 0.16 * (number - (len(kinds) - 1) / 2)
        ax.plot(rows["depth"] + aside, factor * rows[column], mark, color=color, alpha=0.8, markersize=6)
        means = factor * rows.groupby("depth")[column].mean()
        ax.plot(means.index + aside, means, linestyle=line, color=color, linewidth=2, label=f"{kind} (mean of seeds)")
    ax.set(xlabel="depth (3 × 3 convolutions behind the first)", ylabel=label, xticks=sorted(set(reached["depth"])))
    ax.legend(frameon=False)
    return ax


def plot_gradient_maps(maps: dict[str, np.ndarray], share: float = 0.5, *, axes: np.ndarray | None = None):
    """Draw how strongly one unit depends on each pixel, with the receptive field and the square that holds a share.

    Parameters
    ----------
    maps : dict of str to np.ndarray
        By the name of the layers: as from `gradient_map`.
    share : float
        Of the strength, for the inner square.

    Returns
    -------
    np.ndarray
        Of Axes, one for each map.
    """
    if axes is None:
        axes = plt.subplots(1, len(maps), figsize=(3.1 * len(maps), 3.7))[1]
    for ax, (name, strength) in zip(axes, maps.items(), strict=True):
        ax.imshow(strength / strength.max(), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
        rows, columns = (np.flatnonzero(strength.sum(axis=axis)) for axis in (1, 0))
        middle = ((columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2)
        whole, inner = width_of(strength), width_of(strength, share)
        for width, line, color in ((whole, "-", ORANGE), (inner, "--", BLUE)):
            corner = (middle[0] - width / 2, middle[1] - width / 2)
            ax.add_patch(plt.Rectangle(corner, width, width, fill=False, linestyle=line, edgecolor=color, linewidth=2))
        ax.set_title(f"{name}\nsees {whole} × {whole}\n{share:.0%} of it in {inner} × {inner}", fontsize=10)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_label(
            f"{name}: a unit depends on {whole} by {whole} pixels; {share:.0%} of the strength lies in the inner "
            f"{inner} by {inner}."
        )
    return axes


def plot_costs(table: pd.DataFrame, cost: str, label: str, *, ax: Axes | None = None) -> Axes:
    """Draw accuracy against a cost on a log scale; a line joins the networks that no other beats in both.

    Parameters
    ----------
    table : pd.DataFrame
        A row for each network, its name as the index. Columns accuracy, low, high (fractions), the cost, and group: at
        most four groups, told apart by mark and colour, are named in the legend.
    cost : str
        The column of the horizontal axis; less is better.
    label : str
        Of that axis.
    """
    ax = ax or plt.gca()
    points = table.assign(seconds=table[cost], accuracy=100 * table["accuracy"])[["seconds", "accuracy"]]
    points = points.sort_values("seconds")
    edge = points[is_unbeaten(points)]
    ax.plot(edge["seconds"], edge["accuracy"], drawstyle="steps-post", color=OTHERS[2], linewidth=3, label="not beaten")
    for (group, rows), (mark, _, color) in zip(table.groupby("group", sort=False), MARKS, strict=False):
        middle = 100 * rows["accuracy"]
        reach = [middle - 100 * rows["low"], 100 * rows["high"] - middle]
        style = {"fmt": mark, "markersize": 8, "color": color, "capsize": 3}
        ax.errorbar(rows[cost], middle, yerr=reach, label=group, **style)
    ax.set(xscale="log", xlabel=f"{label} (log scale)", ylabel="accuracy (%), bars: 95 % over images")
    ax.set_xlim(points["seconds"].min() / 3, points["seconds"].max() * 5)
    ax.margins(y=0.12)
    bars = 100 * table.loc[points.index, ["low", "high"]]
    corners = np.repeat(edge.to_numpy(), 2, axis=0)
    across, up = np.log(corners[1:, 0]), corners[:-1, 1]  # along each step, then up to the next
    between = np.linspace(0, len(across) - 1, 100 * len(across))
    line = [np.interp(between, np.arange(len(across)), part) for part in (across, up)]
    name_points(points["seconds"], points["accuracy"], bars, ax, np.column_stack([np.exp(line[0]), line[1]]))
    named = "; ".join(f"{name} {row.accuracy:.1f} % at {row.seconds:,.0f}" for name, row in points.iterrows())
    ax.set_label(f"Accuracy against {label}: {named}. Not beaten in both: {', '.join(edge.index)}.")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, fontsize=9, frameon=False)
    return ax


def name_points(x: pd.Series, y: pd.Series, bars: pd.DataFrame, ax: Axes, line: np.ndarray | None = None) -> None:
    """Write the name of each point near it, with a thin line to it, where no other name, mark or error bar is.

    Parameters
    ----------
    x, y : pd.Series
        Places in the units of the Axes; the index holds the names.
    bars : pd.DataFrame
        Lower and upper end of each error bar, in the units of the Axes.
    line : np.ndarray, optional
        Places along a line that no name may cover, (N, 2), in the units of the Axes.
    """
    figure = ax.figure
    figure.draw_without_rendering()  # so that the Axes has its place
    dots = ax.transData.transform(np.column_stack([x, y]))
    ends = [ax.transData.transform(np.column_stack([x, bars[side]]))[:, 1] for side in bars.columns]
    taken = [(a - 9, min(low, b - 9), a + 9, max(high, b + 9)) for (a, b), low, high in zip(dots, *ends, strict=True)]
    if line is not None:
        taken += [(a - 2, b - 2, a + 2, b + 2) for a, b in ax.transData.transform(line)]
    frame, point = ax.get_window_extent(), figure.dpi / 72
    ways = [(1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1)]
    offers = [(far * right, far * up) for far in (12, 24, 38, 54, 72) for right, up in ways]
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    style = {"textcoords": "offset points", "fontsize": 9, "va": "center", "bbox": paper}
    for name, place in zip(x.index, dots, strict=True):
        best = None
        for right, up in offers:
            side = "left" if right > 0 else "right" if right < 0 else "center"
            line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
            text = ax.annotate(name, (x[name], y[name]), (right, up), ha=side, arrowprops=line, **style)
            wide = text.get_window_extent().width
            left = place[0] + right * point - (wide if side == "right" else wide / 2 if side == "center" else 0)
            middle = place[1] + up * point
            box = (left - 3, middle - 8 * point, left + wide + 3, middle + 8 * point)
            inside = frame.x0 < box[0] and box[2] < frame.x1 and frame.y0 < box[1] and box[3] < frame.y1
            crowd = sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
            if inside and (best is None or crowd < best[0]):
                if best:
                    best[1].remove()
                best = (crowd, text, box)
            else:
                text.remove()
            if best and best[0] == 0:
                break
        if best:
            taken.append(best[2])


def explore_gradients(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Choose depth and start, and see the gradient norms of both kinds: `plot_by_layer` with two controls.

    Parameters
    ----------
    images, labels : torch.Tensor
        uint8 (N, 1, 28, 28) and int64 (N,): the batch.
    """
    from helpers.widgets import dropdown, interact, slider

    def draw(depth, start):
        _, ax = plt.subplots(figsize=(8, 4))
        plot_by_layer(norms_at_start(depth, start, images, labels), ax=ax)
        ax.set(title=f"{depth} convolutions behind the first, {start}", ylim=(1e-18, 1e5))

    interact(draw, depth=slider("depth", 2, 40, 20, step=2), start=dropdown("start", STARTS, STARTS[0]))


STARTS = ["PyTorch's start", "He's start"]


def norms_at_start(depth: int, start: str, images: torch.Tensor, labels: torch.Tensor) -> dict[str, pd.Series]:
    """Return the gradient norms of a new plain and a new residual network, by "plain" and "residual".

    Parameters
    ----------
    depth : int
        As for `deep_cnn`.
    start : str
        One of `STARTS`.
    images, labels : torch.Tensor
        As for `gradient_norms`.
    """
    norms = {}
    for name, block in (("plain", plain_block), ("residual", residual_block)):
        set_seed()
        model = deep_cnn(depth, block)
        norms[name] = gradient_norms(he_start(model) if start == STARTS[1] else model, images, labels)
    return norms


def with_intervals(entries: list[list]) -> pd.DataFrame:
    """Make the table of a chart of accuracies, with their 95 % Wilson intervals.

    Parameters
    ----------
    entries : list of list
        Of each network its name, its accuracy (fraction), on how many images, and the group for the legend.

    Returns
    -------
    pd.DataFrame
        Index network. Columns accuracy, low, high (fractions), images and group.
    """
    rows = []
    for name, accuracy, images, group in entries:
        interval = binomtest(round(accuracy * images), images).proportion_ci(method="wilson")
        rows.append([name, accuracy, interval.low, interval.high, images, group])
    return pd.DataFrame(rows, columns=["network", "accuracy", "low", "high", "images", "group"]).set_index("network")


def unbeaten(table: pd.DataFrame, cost: str) -> list[str]:
    """Return the networks that no other beats: at least as accurate at no higher cost, and better in one of the two.

    Parameters
    ----------
    table : pd.DataFrame
        Index network; columns accuracy and the cost.
    cost : str
        The column of the cost; less is better.

    Returns
    -------
    list of str
        From the cheapest to the most costly.
    """
    points = table.assign(seconds=table[cost]).sort_values("seconds")
    return list(points.index[is_unbeaten(points)])
