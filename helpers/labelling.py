"""A person as a classifier: the images to label, what was typed, where the answers are kept, and how good they are."""

import base64
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from helpers import config
from helpers.evaluation import accuracy_interval, confused_pairs
from helpers.files import write_json

DIGITS = "0123456789"
MOST_TAKEN_BACK = 3  # answers at once, of a quick finger on Backspace; more is a slip, such as a deleted field


def choose_evenly(labels: torch.Tensor, per_class: int, seed: int = config.SEED) -> torch.Tensor:
    """Choose equally many images of each class at random, and shuffle them.

    Parameters
    ----------
    labels : torch.Tensor
        int64, (N,), from 0 to 9.
    per_class : int
        How many of each.
    seed : int
        The same seed gives the same images in the same order.

    Returns
    -------
    torch.Tensor
        int64, (10 * per_class,): positions in `labels`.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for number in range(config.NUM_CLASSES):
        of_class = (labels == number).nonzero().flatten()
        chosen.append(of_class[torch.randperm(len(of_class), generator=generator)[:per_class]])
    together = torch.cat(chosen)
    return together[torch.randperm(len(together), generator=generator)]


def digits_in(field: str) -> str:
    """Return what is typed in a field without all that is no digit."""
    return "".join(letter for letter in field if letter in DIGITS)


def after_typing(answers: str, field: str, total: int) -> str:
    """Return the answers after a text field that shows them was changed by a person.

    Parameters
    ----------
    answers : str
        Until now: one digit per image.
    field : str
        What the field holds now.
    total : int
        Number of images; further digits are not taken.

    Returns
    -------
    str
        With the digits that were added at the end, or without those that Backspace took from there. Any other change,
        such as a digit put in the middle, leaves the answers as they were, and letters do not count.
    """
    typed = digits_in(field)
    if typed.startswith(answers):
        return typed[:total]
    if answers.startswith(typed) and len(answers) - len(typed) <= MOST_TAKEN_BACK:
        return typed
    return answers


def labels_path(name: str = "your_labels") -> Path:
    """Return the file in which this run keeps the answers of a person."""
    return config.RUNS_DIR / f"{name}.json"


def fingerprint(images: torch.Tensor) -> str:
    """Return a short text that differs for other images, or for the same in another order."""
    return hashlib.sha256(images.numpy().tobytes()).hexdigest()[:16]


def keep_labels(images: torch.Tensor, answers: str, attempt: int, name: str = "your_labels") -> None:
    """Write the answers so far, one digit per image, and which attempt this is, from 1."""
    write_json(labels_path(name), {"images": fingerprint(images), "attempt": attempt, "answers": answers})


def read_labels(images: torch.Tensor, name: str = "your_labels") -> tuple[str, int]:
    """Return the answers kept for these images and the attempt; "" and 1 where there is nothing that can be used."""
    try:
        kept = json.loads(labels_path(name).read_text(encoding="utf-8"))
        answers, attempt = kept["answers"], kept["attempt"]
        fits = kept["images"] == fingerprint(images) and len(answers) <= len(images) and set(answers) <= set(DIGITS)
        return (answers, attempt) if fits and type(attempt) is int and attempt >= 1 else ("", 1)
    except (OSError, ValueError, KeyError, TypeError):
        return "", 1


def describe_labels(labels: np.ndarray, answers: np.ndarray, people: dict) -> str:
    """Say in Markdown how often a person and the data set agree, and how this compares with other people.

    Parameters
    ----------
    labels, answers : np.ndarray
        int, (N,), from 0 to 9.
    people : dict
        Those to compare with: right and images, counts.
    """
    accuracy, low, high = accuracy_interval(labels, answers)
    others = people["right"] / people["images"]
    verdict = f"contains the {others:.1%} of people: {len(labels)} images cannot tell you apart"
    if others < low:
        verdict = f"lies above the {others:.1%} of people"
    if others > high:
        verdict = f"lies below the {others:.1%} of people"
    return (
        f"You and the data set agree on **{int((labels == answers).sum())} of {len(labels)}** images: "
        f"**{accuracy:.0%}**, with a 95 % interval from {low:.0%} to {high:.0%}. The interval {verdict}."
    )


def tabulate_disagreements(labels: np.ndarray, answers: np.ndarray) -> pd.DataFrame:
    """Count each kind of disagreement, the most frequent first: your answer, label of the data set, images."""
    pairs = confused_pairs(labels, answers, top=config.NUM_CLASSES**2)
    named = pairs.rename(
        columns={"true label": "label of the data set", "predicted as": "your answer", "count": "images"}
    )
    return named[["your answer", "label of the data set", "images"]].rename_axis(None)


def picture_in_html(image: torch.Tensor, words: str) -> str:
    """Return an image, uint8 (1, 28, 28), as HTML in large pixels; the words are for those who cannot see it."""
    buffer = io.BytesIO()
    Image.fromarray(image[0].numpy()).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    style = "width: 252px; height: 252px; image-rendering: pixelated"
    return f'<img src="data:image/png;base64,{data}" alt="{words}" style="{style}">'
