"""The recorded ladder of lesson 07: seconds and accuracy of each rung, and what it gained over the one before."""

import json
from statistics import median

import numpy as np
import pandas as pd

from helpers import config

RECORDED = config.ROOT / "benchmarks" / "results"
# Rungs that change more than their name says. A test compares this with the recipes that were measured.
MORE_CHANGES = {
    "channels_last, and bfloat16 where it is faster": "two changes at once, the order of the numbers and their format",
    "one-cycle schedule": "it also trains 5 epochs instead of 20, with a highest learning rate five times the old one",
    "batch normalisation and a leaner network": (
        "several changes at once: another network, batch normalisation in it, no dropout any more, and a highest "
        "learning rate of 0.02 instead of 0.005"
    ),
    "SGD with Nesterov momentum": "it also brings weight decay",
}
UNDECIDED = 0.3  # points: the lesson's rule for three seeds


def recorded(name: str) -> list[dict]:
    """Return the entries of a recorded benchmark; none where there is no such record."""
    path = RECORDED / f"{name}.json"
    return list(json.loads(path.read_text(encoding="utf-8")).values()) if path.is_file() else []


def read_ladder(entries: list[dict] | None = None) -> pd.DataFrame:
    """Return the ladder as a table, a row for each rung, in order.

    Parameters
    ----------
    entries : list of dict, optional
        With step, epochs, seconds (of each round) and accuracies (of each seed, 0 to 1); by default those recorded.

    Returns
    -------
    pd.DataFrame
        Index rung. Columns epochs; seconds (list, one training in each round); accuracies (list, percent, of each
        seed); time (median of the seconds); mean and std of the accuracies; compared with the rung before: faster
        (median of the rounds' ratios), gain (points) and same (whether every seed has the same accuracy).
    """
    entries = recorded("ladder") if entries is None else entries
    rows = []
    for before, entry in zip([None, *entries], entries, strict=False):
        accuracies = [100 * value for value in entry["accuracies"]]
        row = {
            "rung": entry["step"],
            "epochs": entry["epochs"],
            "seconds": entry["seconds"],
            "accuracies": accuracies,
            "time": median(entry["seconds"]),
            "mean": np.mean(accuracies),
            "std": np.std(accuracies, ddof=1),
            "faster": np.nan,
            "gain": np.nan,
            "same": False,
        }
        if before:
            row["faster"] = median(a / b for a, b in zip(before["seconds"], entry["seconds"], strict=False))
            row["gain"] = row["mean"] - 100 * np.mean(before["accuracies"])
            row["same"] = entry["accuracies"] == before["accuracies"]
        rows.append(row)
    return pd.DataFrame(rows).set_index("rung")


def rung_in_words(ladder: pd.DataFrame, about: str) -> str:
    """Say what each rung whose name contains some words gained over the rung before it, as Markdown.

    A rung that is measured anew under another name is found as long as the words are in it; all that are found are
    told.
    """
    told = []
    for place in range(1, len(ladder)):
        name, row, before = ladder.index[place], ladder.iloc[place], ladder.iloc[place - 1]
        if about not in name:
            continue
        text = (
            f"**Recorded: {name}.** {before['time']:.0f} s → {row['time']:.0f} s, {row['faster']:.2f} times as fast. "
        )
        if row["same"]:
            text += f"The accuracy stays at {row['mean']:.2f} %: the networks are the same."
        else:
            decided = "below our bound, so not decided" if abs(row["gain"]) < UNDECIDED else "decided"
            text += (
                f"Validation accuracy {before['mean']:.2f} ± {before['std']:.2f} % → {row['mean']:.2f} ± "
                f"{row['std']:.2f} %: **{row['gain']:+.2f} points**, {decided}."
            )
        if name in MORE_CHANGES:
            text += f" But {MORE_CHANGES[name]}, so no single cause can be named."
        told.append(text)
    return "\n\n".join(told) or f"*No rung about {about} has been measured yet.*"


def scatter_between_seeds(ladder: pd.DataFrame) -> tuple[float, int]:
    """Return the standard deviation of one run, pooled over the rungs that trained anew, and how many these are.

    Rungs with the same networks have the same accuracies, and count once.
    """
    distinct = {tuple(values): np.var(values, ddof=1) for values in ladder["accuracies"]}
    return float(np.sqrt(np.mean(list(distinct.values())))), len(distinct)


def race_points(sources: list[dict], race: list[dict]) -> pd.DataFrame:
    """Return seconds and test accuracy of the recorded trainings that the chart of lesson 07 shows, a row for each run.

    Parameters
    ----------
    sources, race : list of dict
        The entries of the benchmarks of these names. The slow recipe of the race is one training in several pieces.

    Returns
    -------
    pd.DataFrame
        Columns recipe, seconds and accuracy (percent, after the last epoch, with flips where the recipe averages).
    """
    rows = [[entry["recipe"], entry["seconds"], 100 * entry["test_accuracy"][-1]] for entry in sources]
    pieces = [entry for entry in race if isinstance(entry["seconds"], list)]
    if pieces and pieces[-1]["epochs"][1] == 20:  # trained to its end
        seconds = sum(sum(entry["seconds"]) for entry in pieces)
        rows.append([pieces[-1]["recipe"], seconds, 100 * pieces[-1]["test_accuracy"]])
    for entry in race:
        if entry not in pieces:
            rows.append([entry["recipe"], entry["seconds"], 100 * entry["test_accuracy_with_flips"]])
    return pd.DataFrame(rows, columns=["recipe", "seconds", "accuracy"])
