"""What changes do: changed views of images, a card of accuracies under each, paired gains, and one image's answers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config
from helpers.augment import draw_between, move, random_erase, relight
from helpers.evaluation import predict
from helpers.plotting import BLUE, GREY, ORANGE, ink_on, plot_image, plot_probabilities

PLAIN = "as they are"


def changed_views(images: torch.Tensor, seed: int = 0) -> dict[str, torch.Tensor]:
    """Change the same images in each of nine ways, every image by the same strength, in directions of its own.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28).
    seed : int
        Of the directions: left or right, up or down, and where a square lies. The global random numbers stay as they
        were.

    Returns
    -------
    dict of str to torch.Tensor
        By name, "as they are" first, then from mild to severe: uint8, the same shape.
    """
    generator = torch.Generator().manual_seed(seed)

    def signs() -> torch.Tensor:
        return torch.sign(draw_between(-1, 1, images, generator) + 1e-9)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        erased = random_erase(images, size=10, p=1.0)
    return {
        PLAIN: images,
        "mirrored": images.flip(3),
        "shifted by 3 pixels": move(images, right=3 * signs(), down=3 * signs()),
        "turned by 20°": move(images, degrees=20 * signs()),
        "at 75 % of the size": move(images, size=0.75),
        "darker: 40 %": relight(images, 0.4),
        "on a grey ground": relight(images, 0.75, 60),
        "10 × 10 erased": erased,
        "upside down": images.flip(2),
    }


def accuracy_under_changes(model: nn.Module, dataset: TensorDataset) -> pd.Series:
    """Measure a network on each of the changed views.

    Parameters
    ----------
    model : nn.Module
        As for `predict`.
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).

    Returns
    -------
    pd.Series
        Accuracy, 0 to 1, by the name of the view.
    """
    images, labels = dataset.tensors
    found = {}
    for name, view in changed_views(images).items():
        answers = predict(model, TensorDataset(view, labels), batch_size=500)
        found[name] = (answers.predictions == answers.labels).mean()
    return pd.Series(found)


def plot_card(card: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw an invariance card: a row for each change, a column for each way of training, accuracies in the boxes.

    Parameters
    ----------
    card : pd.DataFrame
        Accuracies, 0 to 1; index the changes, columns the ways. In each row the best box has a frame.
    """
    ax = ax or plt.gca()
    percents = 100 * card.to_numpy(dtype=float)
    shown = ax.imshow(percents, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percents):
        best = value == percents[row].max()
        ax.text(
            column,
            row,
            f"{value:.0f}",
            ha="center",
            va="center",
            color=ink_on(shown, value),
            weight="bold" if best else "normal",
            bbox={"boxstyle": "square,pad=0.25", "fill": False, "edgecolor": ORANGE, "linewidth": 2} if best else None,
        )
    ax.set_xticks(range(card.shape[1]), card.columns)
    ax.set_yticks(range(card.shape[0]), card.index)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set(xlabel="trained with", ylabel="validation images")
    ax.grid(False)
    ax.figure.colorbar(shown, ax=ax, label="accuracy (%)")
    told = [
        f"{name}: " + ", ".join(f"{way} {value:.0f}" for way, value in zip(card.columns, row, strict=True))
        for name, row in zip(card.index, percents, strict=True)
    ]
    told = [" ".join(line.split()) for line in told]
    ax.set_label(
        f"Accuracy in percent on changed validation images, by what the networks were trained with. {'; '.join(told)}"
    )
    return ax


def plot_gains(gains: dict[str, list[float]], title: str = "", *, ax: Axes | None = None) -> Axes:
    """Draw what each change added to the accuracy, a mark for each seed and a line at their mean, and zero as a line.

    Parameters
    ----------
    gains : dict of str to list of float
        By the name of the change: a difference of accuracies for each seed, as a fraction.
    title : str
        Written above.
    """
    ax = ax or plt.gca()
    told = []
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1.5)
    for place, (name, fractions) in enumerate(gains.items()):
        points = 100 * np.asarray(fractions)
        mean, agree = points.mean(), (points > 0).all() or (points < 0).all()
        color, mark = (BLUE, "o") if mean > 0 else (ORANGE, "s")
        fill = color if agree else "white"
        ax.plot(points, np.full(len(points), place), mark, markersize=9, color=color, markerfacecolor=fill, label=name)
        ax.vlines(mean, place - 0.3, place + 0.3, linewidth=3, color="black")
        words = f"mean {mean:+z.1f}{'' if agree else ', seeds disagree'}"  # z: no minus before 0.0
        ax.text(1.01, place, words, transform=ax.get_yaxis_transform(), va="center", fontsize=10)
        told.append(f"{name} {', '.join(f'{point:+z.1f}' for point in points)}, {words}")
    ax.set_yticks(range(len(gains)), list(gains))
    words = "change in validation accuracy against the same seed without changes (points)"
    ax.set(ylim=(len(gains) - 0.5, -0.5), xlabel=words)
    ax.set_title(title)
    ax.grid(False, axis="y")
    ax.set_label(f"{title}. Points for each seed: {'; '.join(told)}.")
    return ax


def plot_two_answers(
    image: torch.Tensor, label: int, before: np.ndarray, after: np.ndarray, *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Draw an image beside the ten probabilities of a network (bars), with those of another as diamonds.

    Parameters
    ----------
    image : torch.Tensor
        uint8, (1, 28, 28).
    label : int
        Its true class.
    before, after : np.ndarray
        float, (10,), 0 to 1: diamonds and bars.
    axes : np.ndarray of two Axes, optional
    """
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(9, 3.8), width_ratios=(1, 1.9))
    plot_image(image, "what both networks see", ax=axes[0])
    plot_probabilities(after, label, before, ax=axes[1])
    axes[1].set_xlabel("probability (%): bars after, ◆ before augmentation")
    names = [config.CLASS_NAMES[answers.argmax()] for answers in (before, after)]
    axes[1].set_title(f"before: {names[0]}, after: {names[1]}")
    return axes
