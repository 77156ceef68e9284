"""How unusual an image is to a network, what its answer rests on, and tests of both (lesson 11)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import nn

from helpers.data import TRAIN_MEAN, TRAIN_STD, normalize
from helpers.inputs import check_images
from helpers.plotting import BLUE, GREEN, GREY, ORANGE, OTHERS, plot_signed_image

BLACK = -TRAIN_MEAN / TRAIN_STD  # a black pixel after `normalize`


@torch.inference_mode()
def logits_of(model: nn.Module, images: torch.Tensor, batch_size: int = 500) -> torch.Tensor:
    """Return the logits of images, with the model in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits, (N, 10). It is left in the mode in which it came.
    images : torch.Tensor
        uint8, (N, 1, 28, 28), not normalised.
    batch_size : int
        Images in a pass.

    Returns
    -------
    torch.Tensor
        float32, (N, 10), on the CPU.
    """
    images = check_images("logits_of", images)
    return _outputs(model, normalize(images), batch_size)


@torch.inference_mode()
def _outputs(model: nn.Module, x: torch.Tensor, batch_size: int = 500) -> torch.Tensor:
    """Return what a model gives for normalised images, in evaluation mode, on the CPU."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        parts = [model(part.to(device).contiguous(memory_format=torch.channels_last)) for part in x.split(batch_size)]
    finally:
        model.train(was_training)
    return torch.cat(parts).float().cpu()


def energy(logits: torch.Tensor) -> torch.Tensor:
    """Return the energy of images: low where the logits are large, as for images like those of the training.

    Minus the logarithm of the sum of the exponentials of the logits. Source: Liu et al., "Energy-based
    Out-of-distribution Detection", 2020.

    Parameters
    ----------
    logits : torch.Tensor
        float, (N, 10). Log-probabilities will not do: their energy is always 0.

    Returns
    -------
    torch.Tensor
        The same dtype, (N,).
    """
    return -torch.logsumexp(logits, dim=1)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return how often a score is higher for one of the first kind than for one of the second; ties count half.

    This is the area under the ROC curve: 0.5 is chance, 1 tells the two kinds apart perfectly.

    Parameters
    ----------
    inside, outside : np.ndarray
        float, (N,) and (M,): scores that should be high, and scores that should be low.
    """
    ordered = np.sort(outside)
    lower, not_higher = np.searchsorted(ordered, inside), np.searchsorted(ordered, inside, side="right")
    return float((lower + not_higher).mean() / (2 * len(ordered)))


def bootstrap_auroc(
    inside: np.ndarray, outside: np.ndarray, repeats: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the AUROC of several scores, and again on images drawn anew with replacement, the same for all scores.

    Parameters
    ----------
    inside, outside : np.ndarray
        float, (scores, N) and (scores, M): a row for each score, a column for each image.
    repeats : int
        How often the images are drawn.
    seed : int
        Fixes what is drawn.

    Returns
    -------
    values : np.ndarray
        float64, (scores,).
    drawn : np.ndarray
        float64, (repeats, scores). Its percentiles 2.5 and 97.5 are a 95 % interval (Efron, 1979).
    """
    rng = np.random.default_rng(seed)
    values = np.array([auroc(*pair) for pair in zip(inside, outside, strict=True)])
    drawn = np.empty((repeats, len(values)))
    for repeat in range(repeats):
        first = rng.integers(inside.shape[1], size=inside.shape[1])
        second = rng.integers(outside.shape[1], size=outside.shape[1])
        drawn[repeat] = [auroc(a[first], b[second]) for a, b in zip(inside, outside, strict=True)]
    return values, drawn


def occlusion_maps(
    model: nn.Module, images: torch.Tensor, targets: torch.Tensor, size: int = 4, stride: int = 2
) -> torch.Tensor:
    """Cover a square of each image with black, everywhere in turn, and note how far the class's logit falls.

    A pixel gets the mean over all squares that covered it. Source: Zeiler and Fergus, "Visualizing and Understanding
    Convolutional Networks", 2014.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits, (N, 10).
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    targets : torch.Tensor
        int64, (N,), the class of each image that is asked about.
    size, stride : int
        Side of the square, and the step from one place to the next, in pixels. 28 - size is to be a multiple of stride.

    Returns
    -------
    torch.Tensor
        float32, (N, 28, 28). Positive where the class loses when the pixel is covered.

    Raises
    ------
    ValueError
        If the squares do not reach the edge.
    """
    x = normalize(check_images("occlusion_maps", images))
    number, edge = len(x), x.shape[-1]
    if (edge - size) % stride:
        raise ValueError(f"With size {size} and stride {stride} the last square does not end at the image's edge.")
    corners = range(0, edge - size + 1, stride)
    every = torch.arange(number)
    before = _outputs(model, x)[every, targets]
    total, times = torch.zeros(number, edge, edge), torch.zeros(edge, edge)
    for top in corners:
        for left in corners:
            covered = x.clone()
            covered[:, :, top : top + size, left : left + size] = BLACK
            fall = before - _outputs(model, covered)[every, targets]
            total[:, top : top + size, left : left + size] += fall[:, None, None]
            times[top : top + size, left : left + size] += 1
    return total / times


def grad_cam_maps(
    model: nn.Module, layer: nn.Module, images: torch.Tensor, targets: torch.Tensor, relu: bool = True
) -> torch.Tensor:
    """Add up the feature maps of a layer, each times the mean gradient of the class's logit with respect to it.

    Source: Selvaraju et al., "Grad-CAM", 2017.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits, (N, 10). Used in evaluation mode, left in the mode it came in.
    layer : nn.Module
        A part of the model that returns feature maps, (N, channels, height, width).
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    targets : torch.Tensor
        int64, (N,), the class of each image that is asked about.
    relu : bool
        Whether negative numbers become 0 at the end, as in the paper.

    Returns
    -------
    torch.Tensor
        float32, (N, height, width), as coarse as the layer's maps.
    """
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        logits = model(normalize(check_images("grad_cam_maps", images)).to(device))
    finally:
        hook.remove()
        model.train(was_training)
    (gradients,) = torch.autograd.grad(logits[torch.arange(len(logits)), targets.to(device)].sum(), kept[0])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    maps = (weights * kept[0]).sum(dim=1).detach().float().cpu()
    return maps.clamp(min=0) if relu else maps


def enlarge(maps: torch.Tensor, size: int = 28) -> torch.Tensor:
    """Enlarge maps, float (N, height, width), to (N, size, size), with smooth steps between the numbers."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def block_means(maps: torch.Tensor) -> torch.Tensor:
    """Return the means of the 49 blocks of 4 × 4 pixels of maps, float (N, 28, 28), as (N, 7, 7)."""
    return F.avg_pool2d(maps[:, None], 4)[:, 0]


def delete_blocks(images: torch.Tensor, scores: torch.Tensor, number: int) -> torch.Tensor:
    """Paint the blocks of 4 × 4 pixels with the highest scores black.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    scores : torch.Tensor
        float, (N, 7, 7), one for each block.
    number : int
        How many blocks of each image, 0 to 49.

    Returns
    -------
    torch.Tensor
        uint8, (N, 1, 28, 28), new.
    """
    rank = scores.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1).reshape(scores.shape)
    gone = (rank < number).repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    return images.masked_fill(gone[:, None], 0)


def deletion_curves(
    model: nn.Module, images: torch.Tensor, targets: torch.Tensor, scores: torch.Tensor, numbers: list[int]
) -> np.ndarray:
    """Delete the blocks with the highest scores first, and follow the probability of one class.

    Source: Petsiuk, Das and Saenko, "RISE", 2018.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits.
    images, scores
        As for `delete_blocks`.
    targets : torch.Tensor
        int64, (N,), the class of each image that is followed.
    numbers : list of int
        After how many blocks the network is asked.

    Returns
    -------
    np.ndarray
        float64, (N, len(numbers)), 0 to 1.
    """
    every = torch.arange(len(images))
    columns = []
    for number in numbers:
        logits = logits_of(model, delete_blocks(images, scores, number))
        columns.append(logits.double().softmax(dim=1)[every, targets])
    return torch.stack(columns, dim=1).numpy()


def draw_same_probabilities(logits: list[float], lowered_by: float, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw three logits, the same lowered, and the probabilities, which are equal for both.

    Parameters
    ----------
    logits : list of float
        One for each of a few classes.
    lowered_by : float
        Taken away from each logit.

    Returns
    -------
    np.ndarray
        Of three Axes.
    """
    axes = plt.subplots(1, 3, figsize=(11, 3.2))[1] if axes is None else axes
    high = torch.tensor([logits])
    low, names = high - lowered_by, [f"class {number + 1}" for number in range(len(logits))]
    top, bottom = high.max().item() + 1, min(0.0, low.min().item()) - 1
    for ax, values, name in zip(axes, (high, low), ("a garment", "something else"), strict=False):
        ax.bar(names, values[0], color=BLUE)
        ax.axhline(0, color="black", linewidth=1, label="zero")
        ax.set(ylim=(bottom, top), ylabel="logit")
        ax.set_title(f"{name}: energy {energy(values).item():.1f}".replace("-", "−"))
    axes[2].bar(names, 100 * high.softmax(dim=1)[0], color=GREY, hatch="//")
    axes[2].set(ylim=(0, 100), ylabel="probability (%)", title="the probabilities of both")
    return axes


def plot_scores(scores: dict[str, np.ndarray], quantity: str, *, ax: Axes | None = None) -> Axes:
    """Draw how a score is spread over several kinds of images, as curves over 40 equal steps.

    Parameters
    ----------
    scores : dict of str to np.ndarray
        By the kind, at most four: a score for each image.
    quantity : str
        What the score is.
    """
    ax = ax or plt.gca()
    every = np.concatenate(list(scores.values()))
    edges = np.linspace(every.min(), every.max(), 41)
    styles = zip(["-", "--", "-.", ":"], [BLUE, ORANGE, GREEN, "black"], strict=True)
    for (name, values), (style, color) in zip(scores.items(), styles, strict=False):
        shares = 100 * np.histogram(values, edges)[0] / len(values)
        ax.plot((edges[1:] + edges[:-1]) / 2, shares, style, color=color, linewidth=2, label=name)
    ax.set(xlabel=quantity, ylabel="share of the images (%)")
    ax.legend()
    return ax


def plot_auroc(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the AUROC of two or three scores for several kinds of images, with intervals.

    Parameters
    ----------
    table : pd.DataFrame
        Columns kind, score, value, low, high; the last three from 0 to 1.
    """
    ax = ax or plt.gca()
    kinds = list(dict.fromkeys(table["kind"]))
    for number, (name, rows) in enumerate(table.groupby("score", sort=False)):
        places = np.array([kinds.index(kind) for kind in rows["kind"]]) + 0.24 * number - 0.12
        values, low, high = (100 * rows[column].to_numpy() for column in ("value", "low", "high"))
        bars = [values - low, high - values]
        mark = {"marker": "os^"[number], "color": (BLUE, ORANGE, GREEN)[number], "markersize": 8, "capsize": 4}
        ax.errorbar(values, places, xerr=bars, linestyle="none", label=name, **mark)
    ax.axvline(50, color="black", linestyle=":", label="chance")
    ax.set_yticks(range(len(kinds)), kinds)
    ax.set(ylim=(len(kinds) - 0.4, -0.6), xlabel="AUROC (%), with 95 % interval")
    ax.legend(loc="lower left", fontsize=9)
    said = [f"{row.kind}, {row.score}: {row.value:.1%} ({row.low:.1%} to {row.high:.1%})" for row in table.itertuples()]
    ax.set_label(f"AUROC with 95 % intervals. {'; '.join(said)}.")
    return ax


def plot_deletion(curves: dict[str, np.ndarray], numbers: list[int], *, ax: Axes | None = None) -> Axes:
    """Draw the mean probability that is left against the number of blocks deleted, one curve for each order.

    Parameters
    ----------
    curves : dict of str to np.ndarray
        By the order, at most six: (images, len(numbers)), 0 to 1, from `deletion_curves`.
    numbers : list of int
        Of blocks deleted.
    """
    ax = ax or plt.gca()
    styles = zip(["o-", "s--", "^-.", "D:", "v-", "x--"], [BLUE, ORANGE, GREEN, GREY, OTHERS[0], "black"], strict=True)
    for (name, values), (style, color) in zip(curves.items(), styles, strict=False):
        ax.plot(numbers, 100 * values.mean(axis=0), style, color=color, linewidth=2, markersize=6, label=name)
    ax.set(xlabel="blocks of 4 × 4 pixels deleted (of 49)", ylabel="mean probability of its first answer (%)")
    ax.set_ylim(0, 100)
    ax.legend(title="order of deletion", loc="upper left", bbox_to_anchor=(1.01, 1))
    return ax


def plot_map(values: torch.Tensor, title: str, limit: float, *, ax: Axes | None = None) -> Axes:
    """Draw a map of what an answer rests on by `plot_signed_image`, and say in words where it is highest and lowest.

    Parameters
    ----------
    values : torch.Tensor
        float, (rows, columns).
    title : str
        Written above it.
    limit : float
        The number that gets the full colour.
    """
    ax = plot_signed_image(values, title, limit or 1.0, ax=ax)
    said = []
    for word, place in (("highest", values.argmax()), ("lowest", values.argmin())):
        row, column = divmod(int(place), values.shape[1])
        said.append(f"{word} {values[row, column]:.2f} in row {row}, column {column}")
    ax.set_label(f"{title}: a map of {values.shape[0]} × {values.shape[1]} numbers, {' and '.join(said)}")
    return ax
