"""Few-label transfer: draw a few labels, take over the body of a trained network, train in steps, draw both."""

import copy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from scipy import stats
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import TensorDataset

from helpers import config
from helpers.data import normalize
from helpers.device import set_seed
from helpers.evaluation import predict
from helpers.inputs import check_dataset, check_number
from helpers.plotting import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE

FAST_STEPS = 10  # at most, under FAST=1


def only_classes(dataset: TensorDataset, classes: list[int]) -> TensorDataset:
    """Return the images of some classes alone, in their order, with their labels as they are.

    Parameters
    ----------
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    classes : list of int
        Class numbers, 0 to 9.
    """
    images, labels = check_dataset("only_classes", dataset).tensors
    chosen = torch.isin(labels, torch.tensor(classes, device=labels.device))
    return TensorDataset(images[chosen], labels[chosen])


def draw_labels(dataset: TensorDataset, classes: list[int], number: int, seed: int) -> TensorDataset:
    """Draw so many images of each of some classes, at random, as if only these had been labelled.

    Parameters
    ----------
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    classes : list of int
        Class numbers, 0 to 9.
    number : int
        Images of each class. A smaller number with the same seed draws a part of the same images.
    seed : int
        Of the draw.

    Returns
    -------
    TensorDataset
        `number` times as many images as there are classes, sorted by class.

    Raises
    ------
    ValueError
        If a class has fewer images.
    """
    images, labels = check_dataset("draw_labels", dataset).tensors
    check_number("draw_labels", "number", number)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    drawn = []
    for label in classes:
        of_class = order[labels[order] == label][:number]
        if len(of_class) < number:
            name = config.CLASS_NAMES[label]
            raise ValueError(f"{name} has {len(of_class):,} images, so {number:,} of it cannot be drawn.")
        drawn.append(of_class)
    drawn = torch.cat(drawn)
    return TensorDataset(images[drawn], labels[drawn])


def with_new_head(model: nn.Sequential) -> nn.Sequential:
    """Return a copy of a network whose last layer with weights is new, with random weights; the rest is the body.

    Parameters
    ----------
    model : nn.Sequential
        Stays as it is.
    """
    fresh = copy.deepcopy(model)
    [layer for layer in fresh if hasattr(layer, "reset_parameters") and hasattr(layer, "weight")][-1].reset_parameters()
    return fresh


def train_steps(
    model: nn.Module,
    dataset: TensorDataset,
    steps: int,
    lr: float,
    batch_size: int = 25,
    seed: int = 0,
    head_only: bool = False,
) -> nn.Module:
    """Train a network for so many steps, however few images there are, with SGD and a one-cycle schedule.

    Parameters
    ----------
    model : nn.Module
        Changed in place. With `head_only` an nn.Sequential whose last layer with weights is trained alone; the others
        stay as they are, batch-norm statistics included.
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    steps : int
        Batches; FAST=1 takes at most 10.
    lr : float
        Highest learning rate.
    batch_size : int
        Images in a batch, at most N are taken. The images go round in a new order each time.
    seed : int
        Of the order.
    head_only : bool
        Whether the body stays as it is.

    Returns
    -------
    nn.Module
        The same network, in evaluation mode.
    """
    images, labels = check_dataset("train_steps", dataset).tensors
    device = next(model.parameters()).device
    batch = normalize(images.to(device)).contiguous(memory_format=torch.channels_last)
    labels, batch_size = labels.to(device), min(batch_size, len(labels))
    steps = min(steps, FAST_STEPS) if config.FAST else steps
    set_seed(seed)
    model.to(memory_format=torch.channels_last).train()
    trained = model
    if head_only:
        place = [number for number, layer in enumerate(model) if hasattr(layer, "weight")][-1]
        layers = list(model)
        body, trained = nn.Sequential(*layers[:place]).eval(), nn.Sequential(*layers[place:])
        with torch.no_grad():
            batch = body(batch)
    optimizer = torch.optim.SGD(trained.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = OneCycleLR(optimizer, max_lr=lr, total_steps=steps, cycle_momentum=False)
    rounds = -(-steps * batch_size // len(labels)) + 1
    order = torch.cat([torch.randperm(len(labels)) for _ in range(rounds)]).to(device)
    for step in range(steps):
        chosen = order[step * batch_size : (step + 1) * batch_size]
        loss = F.cross_entropy(trained(batch[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def accuracy_among(model: nn.Module, dataset: TensorDataset, classes: list[int]) -> float:
    """Return the share of right answers, 0 to 1, of a network that may answer with some classes only.

    Parameters
    ----------
    model, dataset
        As for `predict`.
    classes : list of int
        Class numbers that may be answered.
    """
    found = predict(model, dataset, batch_size=500)
    answers = np.array(classes)[found.probabilities[:, classes].argmax(axis=1)]
    return float((answers == found.labels).mean())


def paired_interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of paired differences and its 95 % interval by Student's t, in the unit of the differences.

    Parameters
    ----------
    differences : np.ndarray
        float, (N,), one for each pair, at least two.

    Returns
    -------
    mean, low, high : float
    """
    values = np.asarray(differences, dtype=float)
    check_number("paired_interval", "number of differences", len(values), lowest=2)
    mean = values.mean()
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - reach), float(mean + reach)


def labels_needed(numbers: list[int], accuracies: list[float], wanted: float) -> float:
    """Return how many labels a class a rising curve needs for an accuracy, between its points by their logarithms.

    Parameters
    ----------
    numbers : list of int
        Labels of each class, rising.
    accuracies : list of float
        What was reached with so many.
    wanted : float
        The accuracy that is asked for, in the same unit.

    Returns
    -------
    float
        The smallest number, if it is enough; infinity where the last point is lower than what is wanted.
    """
    if wanted <= accuracies[0]:
        return float(numbers[0])
    for place in range(1, len(numbers)):
        low, high = accuracies[place - 1], accuracies[place]
        if low < wanted <= high:
            share = (wanted - low) / (high - low)
            return float(np.exp((1 - share) * np.log(numbers[place - 1]) + share * np.log(numbers[place])))
    return float("inf")


def plot_transfer(results: pd.DataFrame, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw accuracy against labels for each way of training, and what each gains on the first, with 95 % intervals.

    Parameters
    ----------
    results : pd.DataFrame
        A row for each training; columns way, labels (of each class), draw, accuracy (0 to 1). At most four ways; the
        first is what the others are compared with, draw by draw.
    axes : np.ndarray of two Axes, optional
    """
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(12, 4.2))
    ways, numbers = list(dict.fromkeys(results["way"])), sorted(results["labels"].unique())
    styles = zip(ways, ["o--", "s-", "D:", "^-."], [GREY, BLUE, GREEN, ORANGE], strict=False)
    told, reached = [], []
    for place, (way, style, color) in enumerate(styles):
        table = results[results["way"] == way].pivot(index="labels", columns="draw", values="accuracy")
        nudge = 1.04 ** (place - (len(ways) - 1) / 2)  # so that marks do not hide each other
        means = 100 * table.mean(axis=1)
        for draw in table:
            axes[0].plot(nudge * table.index, 100 * table[draw], style[0], color=color, alpha=0.75, markersize=4)
        axes[0].plot(nudge * means.index, means, style, color=color, linewidth=2, markersize=8, label=f"{way}, mean")
        reached.append(f"{way}: {', '.join(f'{mean:.1f} with {number}' for number, mean in means.items())}")
        if place == 0:
            first = table
            continue
        found = [paired_interval(100 * (table.loc[number] - first.loc[number])) for number in numbers]
        mean, low, high = np.array(found).T
        axes[1].errorbar(
            nudge * np.array(numbers), mean, [mean - low, high - mean], fmt=style, color=color, capsize=4, label=way
        )
        gains = zip(numbers, found, strict=True)
        told.append(f"{way}: {', '.join(f'{n} labels {a:+.1f} ({b:+.1f} to {c:+.1f})' for n, (a, b, c) in gains)}")
    axes[1].axhline(0, color=GREY, linestyle="--", linewidth=1.5)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xticks(numbers, numbers)
        ax.minorticks_off()
        ax.set_xlabel("labels of each new class (logarithmic)")
        ax.legend()
    axes[0].set(ylabel="accuracy on validation images (%)", title="small: each draw of labels")
    axes[1].set(ylabel=f"minus {ways[0]} (points)", title="paired differences, 95 % intervals")
    axes[0].set_label(
        f"Accuracy on validation images in percent, by labels of each new class, mean of {len(table.columns)} draws. "
        f"{'; '.join(reached)}."
    )
    axes[1].set_label(f"Paired differences to {ways[0]}, in points, with 95 % intervals. {'; '.join(told)}.")
    return axes


def draw_transfer(old: list[int], new: list[int], *, ax: Axes | None = None) -> Axes:
    """Draw how a network that has learned some classes hands its body over to one for other classes.

    Parameters
    ----------
    old, new : list of int
        Class numbers, 0 to 9.
    """
    ax = ax or plt.gca()

    def box(x: float, y: float, width: float, words: str, color: str, hatch: str = "") -> None:
        style = {
            "boxstyle": "round,pad=0.02",
            "facecolor": color,
            "edgecolor": "black",
            "linewidth": 1.5,
            "hatch": hatch,
        }
        ax.add_patch(FancyBboxPatch((x, y), width, 1.1, **style))
        ax.text(
            x + width / 2, y + 0.55, words, ha="center", va="center", fontsize=11, bbox={"fc": "white", "ec": "none"}
        )

    def arrow(start: tuple[float, float], end: tuple[float, float]) -> None:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "lw": 2, "color": "black"})

    names = ["\n".join(config.CLASS_NAMES[label] for label in classes) for classes in (old, new)]
    rows = [(2.6, names[0], "many labels", "head: old classes")]
    rows.append((0, names[1], "5 to 100 labels of each class", "new head, random"))
    for y, classes, labels, head in rows:
        ax.text(1.1, y + 0.55, classes, ha="center", va="center", fontsize=10)
        ax.text(1.1, y + 1.5, labels, ha="center", va="center", fontsize=10, weight="bold")
        box(3, y, 3.2, "body: three convolutions", LIGHT_BLUE)
        box(7.4, y, 2.2, head, "white" if y else "#FBE3D3", "" if y else "//")
        arrow((2.05, y + 0.55), (2.95, y + 0.55))
        arrow((6.25, y + 0.55), (7.35, y + 0.55))
    arrow((4.6, 2.55), (4.6, 1.15))
    ax.text(4.75, 1.85, "weights are copied", va="center", fontsize=11)
    ax.set(xlim=(-0.1, 9.8), ylim=(-0.5, 4.3))
    ax.set_axis_off()
    ax.set_label(
        "Two networks, one above the other. The upper one has learned "
        f"{', '.join(config.CLASS_NAMES[label] for label in old)} from many labels. The weights of its body, three "
        "convolutions, are copied to the lower one, whose head is new and random. The lower one gets 5 to 100 labels "
        f"of each of {', '.join(config.CLASS_NAMES[label] for label in new)}."
    )
    return ax
