"""Check what a lesson claims against its run, and record what each model reached."""

import ast
import json
import sys
from pathlib import Path
from types import FrameType

import pandas as pd
from executing import Source
from scipy.stats import binomtest

from helpers import config
from helpers.files import write_json
from helpers.unfinished import stopped_trainings, unfinished_models

COLUMNS = [
    "lesson",
    "model",
    "parameters",
    "train_images",
    "epochs",
    "seconds",
    "validation_accuracy",
    "test_accuracy",
    "test_loss",
]


# Begins the line of a claim that a full run does not bear out; `make run` looks for it in the outputs.
OTHERWISE = "✗ This did not hold in this run:"


def numbers_behind(caller: FrameType) -> str:
    """Return the numbers that a call of `claim` compared, so that a reader sees by how much it was missed.

    Parameters
    ----------
    caller : FrameType
        Where `claim` is being called, `sys._getframe(1)` inside it.

    Returns
    -------
    str
        Each side of each comparison in `holds` that is no plain number, with its value, such as
        "accuracy = 0.883"; empty where that cannot be found out, as where Python does not keep the source.
    """
    try:
        call = Source.executing(caller).node
        condition = next((keyword.value for keyword in call.keywords if keyword.arg == "holds"), None)
        condition = condition or call.args[1]
        found = {}
        for side in sides_of(condition) or [condition]:
            text = ast.unparse(side)
            found[text] = in_one_line(eval(text, caller.f_globals, caller.f_locals))
    except Exception:  # a claim must never stop a lesson, least of all by what it adds to its line
        return ""
    return ", ".join(f"{text} = {value}" for text, value in found.items())


def sides_of(node: ast.AST) -> list[ast.expr]:
    """Return the sides of all comparisons in an expression, without plain numbers and without comprehensions.

    The names of a comprehension exist inside it alone. Outside, the same name may hold another number.
    """
    if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp | ast.Lambda):
        return []
    if isinstance(node, ast.Compare):
        return [side for side in [node.left, *node.comparators] if not isinstance(side, ast.Constant)]
    return [side for child in ast.iter_child_nodes(node) for side in sides_of(child)]


def in_one_line(value) -> str:
    """Return a number to four digits, and of an array, a tensor or a table column the numbers in it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(in_one_line, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())


def claim(sentence: str, holds: bool, fast: bool | None = None) -> None:
    """Check a sentence that the lesson's text states as a result of the run.

    Another processor or another version of PyTorch rounds differently, and what a training ends with is partly chance.
    So a claim that a full run does not bear out is told, with its numbers, and the lesson goes on. While a model is
    not trained to the end, because its training was stopped, a claim that does not hold is left undecided.

    Parameters
    ----------
    sentence : str
        What the text claims, such as "The MLP beats logistic regression on validation."
    holds : bool
        Whether it is so in this run.
    fast : bool, optional
        A weaker bound for FAST=1, where little data and few epochs cannot show the claim itself, but
        where a broken pipeline (shuffled labels, no gradient step) still fails. Without one a short run
        says that the claim was not checked.

    Raises
    ------
    AssertionError
        Under FAST=1, if the bound does not hold: then something is broken.
    """
    if config.FAST and fast is None:
        print(f"FAST=1, not checked: {sentence}")
    elif not (fast if config.FAST else holds) and unfinished_models():
        print(f"Not checked, because a training did not end ({', '.join(unfinished_models())}): {sentence}")
    elif config.FAST:
        if not fast:
            raise AssertionError(f"Under FAST=1 not even the weak bound holds for: {sentence}")
        print(f"FAST=1, weak bound only: {sentence}")
    elif holds:
        print(f"✓ {sentence}")
    else:
        numbers = numbers_behind(sys._getframe(1))
        print(f"{OTHERWISE} {sentence}" + (f" Found: {numbers}." if numbers else ""))


def results_path() -> Path:
    """Return the file where this run's results are kept; FAST=1 has a folder of its own."""
    return config.RUNS_DIR / "results.json"


def read_entries(path: Path) -> list[dict]:
    """Read all that a file of results or scores holds; an empty list if there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def read_results(path: Path) -> list[dict]:
    """Read what models reached, as `record_result` kept it; an empty list if there is nothing yet."""
    return [entry for entry in read_entries(path) if "model" in entry]


def read_headlines(path: Path) -> list[dict]:
    """Read what lessons measured, as `record_headline` kept it; an empty list if there is nothing yet."""
    return [entry for entry in read_entries(path) if "headline" in entry]


def record_result(
    lesson: str,
    model: str,
    *,
    parameters: int,
    train_images: int,
    history: pd.DataFrame,
    test_accuracy: float,
    test_loss: float,
) -> dict | None:
    """Record what a model reached in the results file of this run; a rerun replaces its entry.

    Only a model that was trained to the end is recorded; an entry of an earlier, finished training stays.

    Parameters
    ----------
    lesson, model : str
        Such as "02_mlp_baseline" and "MLP".
    parameters, train_images : int
        Size of the model and of the training set.
    history : pd.DataFrame
        From `fit`: gives epochs, training seconds and the last validation accuracy.
    test_accuracy, test_loss : float
        Fraction, and mean cross-entropy in nats, on the test set.

    Returns
    -------
    dict or None
        The entry; None if the training was stopped, which is said.
    """
    stopped = history.attrs.get("stopped", "its first epoch" if history.empty else None)
    if stopped:
        print(
            f"Not recorded: the training of {model} was stopped in {stopped}. Train it to the end, then run this again."
        )
        return None
    entry = {
        "lesson": lesson,
        "model": model,
        "parameters": parameters,
        "train_images": train_images,
        "epochs": len(history),
        "seconds": round(float(history["seconds"].sum()), 1),
        "validation_accuracy": round(float(history["validation_accuracy"].iloc[-1]), 4),
        "test_accuracy": round(float(test_accuracy), 4),
        "test_loss": round(float(test_loss), 4),
    }
    keep_entry(entry, "model")
    return entry


def keep_entry(entry: dict, kind: str) -> None:
    """Write an entry to the results file of this run, in place of the one of the same lesson and the same `kind`."""
    path = results_path()
    key = (entry["lesson"], entry[kind])
    others = [old for old in read_entries(path) if (old["lesson"], old.get(kind)) != key]
    write_json(path, sorted([*others, entry], key=lambda old: old["lesson"]))


def rests_on_a_stopped_training(name: str) -> bool:
    """Say so and return True if the user stopped a training of this session: what was measured may rest on it."""
    if stopped := stopped_trainings():
        print(
            f"Not recorded: {name}, because a training was stopped ({', '.join(stopped)}). Run the cell that trains "
            "again, to the end, then this one."
        )
    return bool(stopped)


def record_headline(
    lesson: str, headline: str, *, value: float, low: float, high: float, unit: str, how: str
) -> dict | None:
    """Record the one number that a lesson is about, with its interval; a rerun replaces it.

    While a training of this session is stopped, nothing is recorded.

    Parameters
    ----------
    lesson : str
        Such as "08_augmentation".
    headline : str
        What was measured, in words, such as "what shifts add with 200 labels a class".
    value, low, high : float
        The number, and the ends of its interval or of its range over the seeds.
    unit : str
        Such as "points" or "%".
    how : str
        On what it rests: seeds, images, which split, and what kind of interval it is.

    Returns
    -------
    dict or None
        The entry; None if a training was stopped, which is said.

    Raises
    ------
    ValueError
        If the value does not lie within its interval.
    """
    value, low, high = (float(number) for number in (value, low, high))  # rounded once, where they are shown
    if not low <= value <= high:
        raise ValueError(f"{headline}: {value} does not lie within {low} to {high}. Give value, low and high in order.")
    if rests_on_a_stopped_training(headline):
        return None
    entry = {"lesson": lesson, "headline": headline, "value": value, "low": low, "high": high, "unit": unit, "how": how}
    keep_entry(entry, "headline")
    return entry


# People without special knowledge of fashion, three for each of 1,000 random test images; the majority counted.
# Source: https://github.com/zalandoresearch/fashion-mnist#benchmark
PEOPLE = {"name": "people", "right": 835, "images": 1000}


def scores_path() -> Path:
    """Return the file of this run's scoreboard."""
    return config.RUNS_DIR / "scoreboard.json"


def record_score(name: str, right: int, images: int) -> None:
    """Enter on this run's scoreboard how many images were classified rightly; a rerun replaces the entry.

    While a training of this session is stopped, which is said, an earlier entry stays.

    Parameters
    ----------
    name : str
        Who classified them, such as "nearest class mean".
    right, images : int
        How many of how many validation images.

    Raises
    ------
    ValueError
        If `right` is not from 0 to `images`, or there are no images.
    """
    right, images = int(right), int(images)
    if not 0 <= right <= images or images == 0:
        raise ValueError(f"{name}: {right} of {images} images cannot be right. Give counts, not an accuracy.")
    if rests_on_a_stopped_training(f"the score of {name}"):
        return
    others = [old for old in read_entries(scores_path()) if old["name"] != name]
    write_json(scores_path(), [*others, {"name": name, "right": right, "images": images}])


def scoreboard() -> pd.DataFrame:
    """Return all that this run has classified so far, and people, from the least to the most accurate.

    Returns
    -------
    pd.DataFrame
        Columns name, right, images; accuracy, low and high as fractions, with the 95 % Wilson interval.
    """
    table = pd.DataFrame([PEOPLE, *read_entries(scores_path())])
    intervals = [
        binomtest(right, images).proportion_ci(method="wilson")
        for right, images in zip(table["right"], table["images"], strict=True)
    ]
    table["accuracy"] = table["right"] / table["images"]
    table["low"] = [interval.low for interval in intervals]
    table["high"] = [interval.high for interval in intervals]
    return table.sort_values("accuracy", ignore_index=True)


def scores_on_test(names: list[str], images: int) -> pd.DataFrame:
    """Return what models of this run reached on the test set, from the least to the most accurate.

    Parameters
    ----------
    names : list of str
        As recorded by `record_result`, such as "MLP". A model that is not recorded yet is left out.
    images : int
        How many test images there are.

    Returns
    -------
    pd.DataFrame
        Columns name, parameters; accuracy, low and high as fractions, with the 95 % Wilson interval.
    """
    entries = [entry for entry in read_results(results_path()) if entry["model"] in names]
    rows = []
    for entry in entries:
        interval = binomtest(round(images * entry["test_accuracy"]), images).proportion_ci(method="wilson")
        rows.append([entry["model"], entry["parameters"], entry["test_accuracy"], interval.low, interval.high])
    table = pd.DataFrame(rows, columns=["name", "parameters", "accuracy", "low", "high"])
    return table.sort_values("accuracy", ignore_index=True)


def results_table(entries: list[dict]) -> pd.DataFrame:
    """Make a table for readers of recorded results: accuracies in percent, one row a model."""
    table = pd.DataFrame(entries, columns=COLUMNS)
    return pd.DataFrame(
        {
            "lesson": table["lesson"],
            "model": table["model"],
            "parameters": table["parameters"].map("{:,}".format),
            "training images": table["train_images"].map("{:,}".format),
            "epochs": table["epochs"],
            "training time (s)": table["seconds"].map("{:.0f}".format),
            "validation accuracy": table["validation_accuracy"].map("{:.2%}".format),
            "test accuracy": table["test_accuracy"].map("{:.2%}".format),
            "test loss": table["test_loss"].map("{:.4f}".format),
        }
    )


def headlines_table(entries: list[dict]) -> pd.DataFrame:
    """Make a table for readers of recorded headlines: one row each, with its interval and what it rests on."""
    rows = [
        [
            entry["lesson"],
            entry["headline"],
            f"{entry['value']:.1f} {entry['unit']}",
            f"{entry['low']:.1f} to {entry['high']:.1f}",
            entry["how"],
        ]
        for entry in entries
    ]
    return pd.DataFrame(rows, columns=["lesson", "what was measured", "result", "interval", "how"])
