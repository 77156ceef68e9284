"""Audit a data set: near copies, planted wrong labels, suspects by confident learning, and how good a suspicion is."""

import io
import math
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torchvision.transforms.v2.functional as transforms
from matplotlib.axes import Axes
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import TensorDataset

from helpers import config
from helpers.data import normalize
from helpers.device import get_device, set_seed
from helpers.evaluation import accuracy, predict
from helpers.experiments import replayable
from helpers.models import LeanCNN
from helpers.plotting import BLUE, GREY, ORANGE
from helpers.training import fit

# Images that an audit works with. A short run takes fewer than FAST_SIZES gives, because it trains some fifty networks.
AUDITED = 800 if config.FAST else 4_000

# For each class, in the order of CLASS_NAMES, the one that it is most easily mistaken for (lessons 01 and 05).
LOOKALIKES = (6, 3, 4, 6, 2, 7, 0, 9, 6, 7)
KINDS = ("symmetric", "similar")


def plant_noise(labels: torch.Tensor, share: float, kind: str, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Make some labels wrong, and remember which.

    Parameters
    ----------
    labels : torch.Tensor
        int64, (N,), from 0 to 9. It is left as it is.
    share : float
        Share of the labels to make wrong, from 0 to 1.
    kind : {"symmetric", "similar"}
        Symmetric noise gives each chosen image one of the nine other classes, all equally likely; similar noise gives
        it the class that its own is most easily mistaken for (`LOOKALIKES`).
    seed : int
        The same seed chooses the same images.

    Returns
    -------
    noisy : torch.Tensor
        int64, (N,).
    planted : np.ndarray
        bool, (N,): True where the label was changed.

    Raises
    ------
    ValueError
        For another kind, or a share that is no share.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no noise {kind!r}: choose 'symmetric' or 'similar'.")
    if not 0 <= share <= 1:
        raise ValueError(f"A share lies between 0 and 1, not at {share}.")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    noisy, planted = labels.clone(), np.zeros(len(labels), dtype=bool)
    if kind == "symmetric":
        steps = torch.randint(1, config.NUM_CLASSES, (len(chosen),), generator=generator)
        noisy[chosen] = (labels[chosen] + steps) % config.NUM_CLASSES
    else:
        noisy[chosen] = torch.tensor(LOOKALIKES)[labels[chosen]]
    planted[chosen.numpy()] = True
    return noisy, planted


def train_small(dataset: TensorDataset, seed: int = 0, epochs: int = 2) -> nn.Module:
    """Train a narrow LeanCNN with a one-cycle schedule, without a line for each epoch.

    Parameters
    ----------
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    seed : int
        Fixes the first weights and the order of the images.
    epochs : int
        Passes over the images.
    """
    batch_size, rate = 64, 0.01
    set_seed(seed)
    model = LeanCNN((8, 24, 48)).to(get_device())
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * math.ceil(len(dataset) / batch_size)
    schedule = OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    with redirect_stdout(io.StringIO()):
        fit(
            model,
            dataset,
            None,
            optimizer,
            epochs,
            batch_size,
            batch_scheduler=schedule,
            dtype=torch.float32,  # what cleaning changes is small, so no machine shall add its own rounding
            seed=seed,
        )
    return model.eval()


@replayable
def train_seeds(dataset: TensorDataset, measured_on: TensorDataset, seeds: range, epochs: int = 2) -> list[float]:
    """Train a small network from each seed, and return their accuracies, 0 to 1, on other images."""
    return [accuracy(*predict(train_small(dataset, seed, epochs), measured_on)[:2]) for seed in seeds]


def out_of_sample(dataset: TensorDataset, folds: int = 3, train: Callable = train_small) -> np.ndarray:
    """Ask about each image a network that was not trained on it (cross-validation).

    Parameters
    ----------
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    folds : int
        Parts; each is answered by a network that was trained on all others.
    train : callable
        Takes a TensorDataset, returns a trained model.

    Returns
    -------
    np.ndarray
        float64, (N, 10), rows sum to 1.
    """
    images, labels = dataset.tensors
    probabilities = np.zeros((len(labels), config.NUM_CLASSES))
    for rest, part in StratifiedKFold(folds, shuffle=True, random_state=0).split(images, labels):
        model = train(TensorDataset(images[rest], labels[rest]))
        probabilities[part] = predict(model, TensorDataset(images[part], labels[part])).probabilities
    return probabilities


class ConfidentLearning(NamedTuple):
    """What confident learning says of labels."""

    thresholds: np.ndarray  # float64 (10,), per class the mean probability of that class among the images labelled so
    joint: np.ndarray  # int64 (10, 10), images by their label (row) and the class that they confidently belong to
    suspects: np.ndarray  # bool (N,)


def confident_learning(labels: np.ndarray, probabilities: np.ndarray) -> ConfidentLearning:
    """Find suspicious labels by confident learning (Northcutt, Jiang and Chuang, 2021).

    Parameters
    ----------
    labels : np.ndarray
        int, (N,); each class at least once.
    probabilities : np.ndarray
        float, (N, 10), of networks that were not trained on these images.

    Returns
    -------
    ConfidentLearning
        thresholds, joint, suspects. A suspect passes the threshold of another class than its label's, and that class
        is the more probable one. An image whose most probable class is its label is none, as in cleanlab.
    """
    labels = np.asarray(labels)
    thresholds = np.array([probabilities[labels == number, number].mean() for number in range(config.NUM_CLASSES)])
    passes = probabilities >= thresholds
    believed = np.where(passes, probabilities, -1).argmax(axis=1)
    sure = passes.any(axis=1)
    joint = np.zeros((config.NUM_CLASSES, config.NUM_CLASSES), dtype=np.int64)
    np.add.at(joint, (labels[sure], believed[sure]), 1)
    suspects = sure & (believed != labels) & (probabilities.argmax(axis=1) != labels)
    return ConfidentLearning(thresholds, joint, suspects)


def least_confident(labels: np.ndarray, probabilities: np.ndarray, number: int) -> np.ndarray:
    """Mark the images whose own label got the lowest probabilities, bool (N,): the simplest suspicion."""
    own = probabilities[np.arange(len(labels)), labels]
    marked = np.zeros(len(labels), dtype=bool)
    marked[np.argsort(own, kind="stable")[:number]] = True
    return marked


def score_suspects(suspects: np.ndarray, planted: np.ndarray) -> dict[str, float]:
    """Compare suspects with the planted truth.

    Parameters
    ----------
    suspects, planted : np.ndarray
        bool, (N,); at least one True in each.

    Returns
    -------
    dict
        suspects and hits (counts); precision and recall, 0 to 1, each with the ends of its 95 % Wilson interval:
        precision_low, precision_high, recall_low, recall_high.

    Raises
    ------
    ValueError
        If there is no suspect, or nothing was planted.
    """
    hits, found, hidden = int((suspects & planted).sum()), int(suspects.sum()), int(planted.sum())
    if not found or not hidden:
        raise ValueError(f"{found} suspects and {hidden} planted labels: neither precision nor recall can be counted.")
    scores = {"suspects": found, "hits": hits}
    for name, total in (("precision", found), ("recall", hidden)):
        interval = binomtest(hits, total).proportion_ci(method="wilson")
        scores |= {name: hits / total, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return scores


def plot_detectors(scores: pd.DataFrame) -> np.ndarray:
    """Draw precision and recall of each way to suspect, with their 95 % intervals.

    Parameters
    ----------
    scores : pd.DataFrame
        A row each: noise, method (texts) and what `score_suspects` returns. At most three methods.

    Returns
    -------
    np.ndarray
        Of two Axes.
    """
    noises, methods = list(dict.fromkeys(scores["noise"])), list(dict.fromkeys(scores["method"]))
    _, axes = plt.subplots(1, 2, figsize=(11, 1.2 + 0.75 * len(noises)), sharey=True)
    for ax, quantity in zip(axes, ("precision", "recall"), strict=True):
        for number, (method, mark, color) in enumerate(zip(methods, "osD", (BLUE, ORANGE, GREY), strict=False)):
            rows = scores[scores["method"] == method].set_index("noise").loc[noises]
            places = np.arange(len(noises)) + 0.22 * (number - (len(methods) - 1) / 2)
            value = 100 * rows[quantity]
            ends = [value - 100 * rows[f"{quantity}_low"], 100 * rows[f"{quantity}_high"] - value]
            ax.errorbar(value, places, xerr=ends, fmt=mark, color=color, capsize=3, markersize=7, label=method)
        ax.set(xlabel=f"{quantity} (%)", xlim=(0, 102), ylim=(len(noises) - 0.4, -0.6))
        ax.set_title({"precision": "of the suspects, planted", "recall": "of the planted, suspected"}[quantity])
        ax.set_yticks(range(len(noises)), noises)
        said = [
            f"{row.noise}, {row.method}: {100 * getattr(row, quantity):.0f} %" for row in scores.itertuples(index=False)
        ]
        ax.set_label(f"{quantity.capitalize()}, {ax.get_title()}: {'; '.join(said)}.")
    axes[1].legend(loc="lower left", fontsize=9)
    return axes


def plot_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, result: ConfidentLearning, first: int, second: int, *, ax=None
) -> Axes:
    """Draw the images with one of two labels by the probabilities of both classes, with the thresholds of both.

    Parameters
    ----------
    labels, probabilities : np.ndarray
        int (N,) and float (N, 10).
    result : ConfidentLearning
        Of these.
    first, second : int
        The two classes, across and up.
    """
    ax = ax or plt.gca()
    counts = []
    for label, mark, color in ((first, "o", BLUE), (second, "^", ORANGE)):
        of_label = labels == label
        x, y = 100 * probabilities[of_label][:, [first, second]].T
        ax.plot(x, y, mark, color=color, markersize=3, alpha=0.8, label=f"labelled {config.CLASS_NAMES[label]}")
        counts.append(f"{of_label.sum()} images labelled {config.CLASS_NAMES[label]}")
    believed = np.where(probabilities >= result.thresholds, probabilities, -1).argmax(axis=1)
    ringed = result.suspects & np.isin(labels, (first, second)) & np.isin(believed, (first, second))
    x, y = 100 * probabilities[ringed][:, [first, second]].T
    ax.plot(x, y, "o", markersize=10, markerfacecolor="none", markeredgecolor="black", label=f"{ringed.sum()} suspects")
    ax.axvline(100 * result.thresholds[first], color=BLUE, linestyle="--", linewidth=2)
    ax.axhline(100 * result.thresholds[second], color=ORANGE, linestyle=":", linewidth=2.5)
    ax.set(xlabel=f"probability of {config.CLASS_NAMES[first]} (%)", xlim=(-3, 103), ylim=(-3, 103))
    ax.set_ylabel(f"probability of {config.CLASS_NAMES[second]} (%)")
    ax.set_title("each mark is an image; the lines are the thresholds")
    ax.legend(loc="upper right", fontsize=9)
    ax.set_label(
        f"{' and '.join(counts)}. Thresholds: {100 * result.thresholds[first]:.0f} % for {config.CLASS_NAMES[first]}, "
        f"{100 * result.thresholds[second]:.0f} % for {config.CLASS_NAMES[second]}. {ringed.sum()} suspects are ringed."
    )
    return ax


def choose_blind(labels: np.ndarray, ranked: np.ndarray, innocent: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Mix suspects with controls that carry the same labels, in an order that tells nothing.

    Parameters
    ----------
    labels : np.ndarray
        int, (N,).
    ranked : np.ndarray
        int, positions of the suspects to ask about.
    innocent : np.ndarray
        bool, (N,): from where the controls may come.
    seed : int
        The same seed gives the same images in the same order.

    Returns
    -------
    pd.DataFrame
        Columns position (int) and suspect (bool): all suspects, and for every second one a control.

    Raises
    ------
    ValueError
        If a class has fewer innocent images than controls are wanted.
    """
    generator = np.random.default_rng(seed)
    controls = []
    for position in ranked[::2]:
        possible = np.setdiff1d(np.flatnonzero(innocent & (labels == labels[position])), [*ranked, *controls])
        if not len(possible):
            raise ValueError(f"No innocent image is left with the label {config.CLASS_NAMES[labels[position]]}.")
        controls.append(int(generator.choice(possible)))
    table = pd.DataFrame({"position": [*ranked, *controls], "suspect": [True] * len(ranked) + [False] * len(controls)})
    return table.iloc[generator.permutation(len(table))].reset_index(drop=True)


def cohens_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Return how far two agree beyond chance, 1 for always and 0 for no more than chance (Cohen, 1960).

    Parameters
    ----------
    first, second : np.ndarray
        int, (N,), from 0 to 9: the classes that each gave. Not a number if both always gave one and the same class.
    """
    agreed = np.mean(first == second)
    shares = [np.bincount(answers, minlength=config.NUM_CLASSES) / len(answers) for answers in (first, second)]
    by_chance = np.sum(shares[0] * shares[1])
    return float((agreed - by_chance) / (1 - by_chance)) if by_chance < 1 else math.nan


def describe_blind(answers: np.ndarray, labels: np.ndarray, predictions: np.ndarray, suspect: np.ndarray) -> str:
    """Say in Markdown on whose side a person is who labelled suspects and controls blindly.

    Parameters
    ----------
    answers, labels, predictions : np.ndarray
        int, (N,): the person's classes, the data set's, and the network's.
    suspect : np.ndarray
        bool, (N,); both kinds occur.
    """
    with_label, with_model = (answers == labels)[suspect], (answers == predictions)[suspect]
    neither, total = int((~with_label & ~with_model).sum()), int(suspect.sum())
    interval = binomtest(int((~with_label).sum()), total).proportion_ci(method="wilson")
    agreed = (answers == labels)[~suspect]
    kappas = [cohens_kappa(answers[suspect], other[suspect]) for other in (labels, predictions)]
    against, doubt = float((~with_label).mean()), float((~agreed).mean())
    if interval.low > doubt:
        verdict = "more often than on the controls, so the list holds more doubtful labels than chance would"
    else:
        verdict = "no more often than on the controls, as far as so few images can tell"
    return (
        f"Of **{total} suspects** you gave {int(with_label.sum())} the label, {int(with_model.sum())} the network's "
        f"class and {neither} a third one. You disagree with the label on **{against:.0%}** of them (95 % interval "
        f"{interval.low:.0%} to {interval.high:.0%}), and on {doubt:.0%} of the {len(agreed)} controls: {verdict}.\n\n"
        f"Cohen's kappa on the suspects: with the labels **{kappas[0]:.2f}**, with the network **{kappas[1]:.2f}**."
    )


@torch.inference_mode()
def embed(model: LeanCNN, images: torch.Tensor) -> torch.Tensor:
    """Return the direction of each image's features before the last layer of a LeanCNN, averaged over the map.

    Parameters
    ----------
    model : LeanCNN
        Trained. It is set to evaluation mode.
    images : torch.Tensor
        uint8, (N, 1, 28, 28).

    Returns
    -------
    torch.Tensor
        float32, (N, channels), each row of length 1, on the CPU.
    """
    device = next(model.parameters()).device
    body = nn.Sequential(*list(model.eval())[:-2])  # without the last convolution and what flattens its output
    features = [body(normalize(batch).to(device)).mean(dim=(2, 3)).cpu() for batch in images.split(250)]
    return nn.functional.normalize(torch.cat(features), dim=1)


def nearest_by_embedding(asked: torch.Tensor, among: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Find for each embedding the nearest other set's one.

    Parameters
    ----------
    asked, among : torch.Tensor
        float32, (N, channels) and (M, channels), rows of length 1.

    Returns
    -------
    distance : np.ndarray
        float32, (N,): 1 minus the cosine of the angle between them, 0 for equal directions.
    position : np.ndarray
        int64, (N,): where in `among`.
    """
    found = [(batch @ among.T).max(dim=1) for batch in asked.split(500)]
    distance = 1 - torch.cat([part.values for part in found])
    return distance.numpy(), torch.cat([part.indices for part in found]).numpy()


def nearest_by_pixels(asked: torch.Tensor, among: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Find for each image the nearest other set's one by its pixels, scaled to 0..1: distance and position.

    Parameters
    ----------
    asked, among : torch.Tensor
        uint8, (N, 1, 28, 28) and (M, 1, 28, 28).
    """
    pixels = among.flatten(1) / 255
    found = [torch.cdist(batch.flatten(1) / 255, pixels).min(dim=1) for batch in asked.split(500)]
    return torch.cat([part.values for part in found]).numpy(), torch.cat([part.indices for part in found]).numpy()


def plant_copies(images: torch.Tensor, seed: int = 0) -> dict[str, torch.Tensor]:
    """Make copies of images that a shop might make: grainy, brighter, moved, turned a little, mirrored.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    seed : int
        Of the grain.

    Returns
    -------
    dict of str to torch.Tensor
        By the name of the change, uint8 of the same shape.
    """
    grain = 8 * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    levels = images.float()
    bilinear = transforms.InterpolationMode.BILINEAR
    return {
        "grainy": (levels + grain * (images > 0)).clamp(0, 255).to(torch.uint8),
        "brighter by a quarter": (1.25 * levels).clamp(0, 255).to(torch.uint8),
        "moved by one pixel": images.roll(1, dims=3),
        "turned by 5 degrees": transforms.rotate(images, 5, interpolation=bilinear),
        "mirrored": images.flip(3),
    }
