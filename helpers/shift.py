"""Change images at five strengths, measure how a network bears it, and images that are no garments (lesson 11)."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms.v2 import functional as transforms

from helpers.config import CLASS_NAMES
from helpers.evaluation import Predictions, accuracy_interval, expected_calibration_error, predict
from helpers.inputs import check_images
from helpers.plotting import BLUE, ORANGE, plot_image, plot_probabilities
from helpers.widgets import dropdown, interact, slider

# What the strengths 1 to 5 mean for each change, and in which unit. Strength 0 is the image as it is.
AMOUNTS = {
    "rotated": (10, 20, 30, 45, 90),
    "blurred": (0.5, 1.0, 1.5, 2.0, 3.0),
    "noisy": (15, 30, 45, 60, 90),
    "darker": (0.8, 0.6, 0.4, 0.2, 0.1),
    "shifted": (1, 2, 4, 6, 8),
    "inverted": (0.2, 0.4, 0.6, 0.8, 1.0),
}
UNITS = {
    "rotated": "degrees",
    "blurred": "pixels (standard deviation)",
    "noisy": "grey levels (standard deviation)",
    "darker": "of the brightness",
    "shifted": "pixels",
    "inverted": "of the way to the negative",
}


def rotated(images: torch.Tensor, degrees: float, generator: torch.Generator) -> torch.Tensor:
    """Turn each image about its middle, clockwise or not by chance; black comes in at the corners."""
    clockwise = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    turn = {"interpolation": transforms.InterpolationMode.BILINEAR}
    return torch.where(
        clockwise, transforms.rotate(images, -degrees, **turn), transforms.rotate(images, degrees, **turn)
    )


def blurred(images: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Average each pixel with its neighbours, weighted by a bell curve of that standard deviation in pixels."""
    size = 2 * int(np.ceil(3 * deviation)) + 1
    return transforms.gaussian_blur(images, [size, size], [deviation, deviation])


def noisy(images: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Add a random number to each pixel, normal with that standard deviation in grey levels, and cut at 0 and 255."""
    noise = deviation * torch.randn(images.shape, generator=generator)
    return (images.float() + noise).round().clamp(0, 255).to(torch.uint8)


def darker(images: torch.Tensor, factor: float, generator: torch.Generator) -> torch.Tensor:
    """Multiply all grey levels by a factor, 0 to 1."""
    return (images.float() * factor).round().to(torch.uint8)


def shifted(images: torch.Tensor, pixels: int, generator: torch.Generator) -> torch.Tensor:
    """Move each image up, down, left or right by chance; black comes in at the edge."""
    padded = F.pad(images, (pixels,) * 4)
    height, width = images.shape[2:]
    corners = [(0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels)]
    ways = torch.stack([padded[:, :, top : top + height, left : left + width] for top, left in corners])
    chosen = torch.randint(4, (len(images),), generator=generator)
    return ways[chosen, torch.arange(len(images))]


def inverted(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Go that share of the way from the image to its negative; half-way everything is equally grey."""
    values = images.float()
    return ((1 - share) * values + share * (255 - values)).round().to(torch.uint8)


CHANGES = {
    "rotated": rotated,
    "blurred": blurred,
    "noisy": noisy,
    "darker": darker,
    "shifted": shifted,
    "inverted": inverted,
}


def change_images(images: torch.Tensor, kind: str, strength: int, seed: int = 0) -> torch.Tensor:
    """Change images in one of six ways.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28), on the CPU.
    kind : str
        A key of `AMOUNTS`.
    strength : int
        0 for no change, up to 5.
    seed : int
        Fixes the noise, and which way an image turns or moves.

    Returns
    -------
    torch.Tensor
        uint8, (N, 1, 28, 28); new, also for strength 0.

    Raises
    ------
    TypeError, ValueError
        For images of another kind, or a change or a strength that there is not.
    """
    images = check_images("change_images", images)
    if kind not in CHANGES:
        raise ValueError(f"There is no change {kind!r}: choose one of {', '.join(CHANGES)}.")
    if strength not in range(6):
        raise ValueError(f"A strength is a whole number from 0 to 5, not {strength}.")
    if strength == 0:
        return images.clone()
    return CHANGES[kind](images, AMOUNTS[kind][strength - 1], torch.Generator().manual_seed(seed))


def shift_outcomes(model: nn.Module, dataset: TensorDataset) -> dict[tuple[str, int], Predictions]:
    """Ask a network about the same images under each change at each strength.

    Parameters
    ----------
    model, dataset
        As for `predict`.

    Returns
    -------
    dict
        From (change, strength) to Predictions, 36 entries. Strength 0, no change, is the same for all six.
    """
    images, labels = dataset.tensors
    unchanged = predict(model, dataset)
    outcomes = {}
    for kind in CHANGES:
        outcomes[kind, 0] = unchanged
        for strength in range(1, 6):
            changed = TensorDataset(change_images(images, kind, strength), labels)
            outcomes[kind, strength] = predict(model, changed)
    return outcomes


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities, float (N, 10), that the logits give when they are divided by a temperature above 0."""
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def shift_card(outcomes: dict[tuple[str, int], Predictions], temperature: float = 1.0) -> pd.DataFrame:
    """Measure how a network bears each change.

    Parameters
    ----------
    outcomes : dict
        From `shift_outcomes`.
    temperature : float
        The logits are divided by it, above 0. It changes confidence and calibration, and no answer.

    Returns
    -------
    pd.DataFrame
        A row for each entry: change, strength, accuracy, low, high (95 % Wilson interval), confidence (mean of the
        largest probability) and ece, all 0 to 1.
    """
    rows = []
    for (kind, strength), outcome in outcomes.items():
        probabilities = with_temperature(outcome.probabilities, temperature)
        value, low, high = accuracy_interval(outcome.labels, outcome.predictions)
        ece = expected_calibration_error(outcome.labels, probabilities)
        rows.append([kind, strength, value, low, high, probabilities.max(axis=1).mean(), ece])
    return pd.DataFrame(rows, columns=["change", "strength", "accuracy", "low", "high", "confidence", "ece"])


def digits_as_images() -> torch.Tensor:
    """Return scikit-learn's 1,797 handwritten digits, enlarged from 8 × 8 to 28 × 28 pixels.

    Returns
    -------
    torch.Tensor
        uint8, (1797, 1, 28, 28), white on black.
    """
    small = torch.from_numpy(load_digits().images).float()[:, None] * 255 / 16  # their grey levels go from 0 to 16
    enlarged = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    return enlarged.round().to(torch.uint8)


def foreign_images(number: int = 1000, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return images that show no garment.

    Parameters
    ----------
    number : int
        How many of each kind at most, from 1.
    seed : int
        Chooses the digits and makes the noise.

    Returns
    -------
    dict of str to torch.Tensor
        uint8, (n, 1, 28, 28): "digits" (at most 1,797), "noise" (each pixel any grey level) and "blank" (256 images,
        one for each grey level, the same all over; fewer if `number` is less).
    """
    generator = torch.Generator().manual_seed(seed)
    digits = digits_as_images()
    chosen = torch.randperm(len(digits), generator=generator)[:number]
    noise = torch.randint(256, (number, 1, 28, 28), generator=generator).to(torch.uint8)
    levels = torch.linspace(0, 255, min(256, number)).round().to(torch.uint8)
    return {"digits": digits[chosen], "noise": noise, "blank": levels.reshape(-1, 1, 1, 1).repeat(1, 1, 28, 28)}


def plot_changes(image: torch.Tensor) -> np.ndarray:
    """Draw one image under all six changes: a row for each change, a column for each strength from 0 to 5.

    Parameters
    ----------
    image : torch.Tensor
        uint8, (1, 28, 28).

    Returns
    -------
    np.ndarray
        Axes, (6, 6).
    """
    _, axes = plt.subplots(len(CHANGES), 6, figsize=(8.4, 9))
    for row, kind in zip(axes, CHANGES, strict=True):
        for strength, ax in enumerate(row):
            amount = f"{AMOUNTS[kind][strength - 1]:g}" if strength else "as it is"
            plot_image(change_images(image[None], kind, strength)[0], amount, ax=ax)
        row[0].set_ylabel("\n".join([kind, *textwrap.wrap(UNITS[kind], 20)]), fontsize=9)
    return axes


def plot_card(card: pd.DataFrame) -> np.ndarray:
    """Draw accuracy and mean confidence against strength, one panel for each change.

    Where the network promises more than it keeps, the space between the curves is hatched.

    Parameters
    ----------
    card : pd.DataFrame
        From `shift_card`.

    Returns
    -------
    np.ndarray
        Axes, (2, 3).
    """
    _, axes = plt.subplots(2, 3, figsize=(11, 6.6), sharex=True, sharey=True)
    for ax, (kind, rows) in zip(axes.flat, card.groupby("change", sort=False), strict=True):
        strength, right = rows["strength"], 100 * rows["accuracy"]
        sure = 100 * rows["confidence"]
        ax.fill_between(strength, right, sure, where=sure > right, color=ORANGE, alpha=0.18, hatch="//", linewidth=0)
        ax.plot(strength, right, "o-", color=BLUE, linewidth=2, label="accuracy")
        ax.plot(strength, sure, "s--", color=ORANGE, linewidth=2, label="mean confidence")
        ax.set_title(f"{kind}: ECE {100 * rows['ece'].iloc[-1]:.0f} points at strength 5", fontsize=10)
        ax.set(xlabel="strength", ylabel="%", ylim=(0, 100), xticks=range(6))
        ax.label_outer()
    axes[0, 0].legend(loc="lower left", fontsize=9)
    return axes


def plot_decision(
    image: torch.Tensor, probabilities: np.ndarray, label: int, threshold: float, *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Draw an image beside its ten probabilities, with the threshold and whether the network answers.

    Parameters
    ----------
    image : torch.Tensor
        uint8, (1, 28, 28).
    probabilities : np.ndarray
        float, (10,).
    label : int
        The true class; -1 for an image of none of the ten.
    threshold : float
        It answers from this largest probability on, 0 to 1.

    Returns
    -------
    np.ndarray
        Of two Axes.
    """
    axes = plt.subplots(1, 2, figsize=(9, 3.8), width_ratios=(1, 1.7))[1] if axes is None else axes
    plot_image(image, ax=axes[0])
    plot_probabilities(probabilities, label, ax=axes[1])
    axes[1].axvline(100 * threshold, color="black", linestyle=":", linewidth=2, label="threshold")
    answers, is_right = probabilities.max() >= threshold, probabilities.argmax() == label
    verdict = "right ✓" if is_right else "wrong ✗"
    answer = f"answers {CLASS_NAMES[probabilities.argmax()]}: {verdict}"
    axes[1].set_title(answer if answers else "abstains: ask a person")
    return axes


def explore_shift(model: nn.Module, dataset: TensorDataset, temperature: float, threshold: float) -> None:
    """Change an image more and more: `plot_decision` with a dropdown `change` and sliders `strength` and `image`.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits.
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    temperature, threshold : float
        The logits are divided by the one; the network answers from the other on.
    """
    images, labels = dataset.tensors

    def draw(kind, strength, image):
        changed = change_images(images[[image]], kind, strength)
        outcome = predict(model, TensorDataset(changed, labels[[image]]))
        plot_decision(changed[0], with_temperature(outcome.probabilities, temperature)[0], labels[image], threshold)

    interact(
        draw,
        kind=dropdown("change", list(CHANGES), "rotated"),
        strength=slider("strength", 0, 5, 0),
        image=slider("image", 0, len(images) - 1, 0),
    )
