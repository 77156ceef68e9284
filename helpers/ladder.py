"""The recorded measurements of lesson 07: the ladder and what each rung gained, the race, and the peers' chart."""

import json
from statistics import mean, median

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from helpers import config
from helpers.deep import name_points, with_intervals
from helpers.plotting import BLUE, GREEN, ORANGE

RECORDED = config.ROOT / "benchmarks" / "results"
UNDECIDED = 0.3  # points: the lesson's rule for three seeds
# The groups of the recorded peers.
OURS, WITH_NETWORK, WITHOUT_NETWORK = "ours", "another network", "without a network"
TEST_IMAGES = 10_000


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
        seed); time (median of the seconds); mean and std of the accuracies; compared with the rung before: ratios
        (list, how many times as fast in each round), faster (their median), gain (points) and same (whether every seed
        has the same accuracy).
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
            "ratios": [],
            "faster": np.nan,
            "gain": np.nan,
            "same": False,
        }
        if before:
            row["ratios"] = [a / b for a, b in zip(before["seconds"], entry["seconds"], strict=False)]
            row["faster"] = median(row["ratios"])
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
        low, high = round(min(row["ratios"]), 2), round(max(row["ratios"]), 2)  # as they are read
        agree = "; the rounds do not agree whether it is faster" if low < 1 < high else ""
        text = (
            f"**Recorded: {name}.** {before['time']:.0f} s → {row['time']:.0f} s, {row['faster']:.2f} times as fast "
            f"({low:.2f} to {high:.2f} over the rounds{agree}). "
        )
        if row["same"]:
            text += f"Both carry the accuracy {row['mean']:.2f} %: they compute the same, so it was measured only once."
        else:
            decided = "below our bound, so not decided" if abs(row["gain"]) < UNDECIDED else "decided"
            text += (
                f"Validation accuracy {before['mean']:.2f} ± {before['std']:.2f} % → {row['mean']:.2f} ± "
                f"{row['std']:.2f} %: **{row['gain']:+.2f} points**, {decided}."
            )
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


def name_of_peer(entry: dict) -> str:
    """Return the name of a recorded training: of a peer, or of one of our recipes with its epochs."""
    if "peer" in entry:
        return entry["peer"]
    return f"{entry['own']}, {entry['epochs']} epoch{'' if entry['epochs'] == 1 else 's'}"


def peer_points(entries: list[dict]) -> pd.DataFrame:
    """Return seconds and test accuracy of the recorded peers and of ours, a row for each, from the quickest on.

    Parameters
    ----------
    entries : list of dict
        With peer or own and epochs; seconds, test_accuracy (a fraction) and group. One for each seed.

    Returns
    -------
    pd.DataFrame
        Index the names. Columns accuracy (mean of the seeds), low and high (its 95 % Wilson interval for the 10,000
        test images), images, group, seconds (mean of the seeds); accuracies of the median, the worst and the best seed;
        lowest and highest (the ends of the intervals of all seeds).
    """
    runs = {}
    for entry in entries:
        runs.setdefault(name_of_peer(entry), []).append(entry)
    accuracies = [[name, mean(run["test_accuracy"] for run in found)] for name, found in runs.items()]
    points = with_intervals([[*pair, TEST_IMAGES, runs[pair[0]][0]["group"]] for pair in accuracies])
    points["seconds"] = [mean(run["seconds"] for run in found) for found in runs.values()]
    for column, which in (("median", median), ("worst", min), ("best", max)):
        points[column] = [which(run["test_accuracy"] for run in found) for found in runs.values()]
    for column, seed, end in (("lowest", "worst", "low"), ("highest", "best", "high")):
        seeds = [[name, accuracy, TEST_IMAGES, None] for name, accuracy in points[seed].items()]
        points[column] = with_intervals(seeds)[end]
    return points.sort_values("seconds")


def seconds_to_reach(points: pd.DataFrame, accuracy: float) -> float | None:
    """Return the least seconds in which one of our recipes reaches an accuracy (a fraction); None if none does."""
    enough = points[(points["group"] == OURS) & (points["accuracy"] >= accuracy)]
    return float(enough["seconds"].min()) if len(enough) else None


def peers_in_words(points: pd.DataFrame) -> str:
    """Say of how many peers ours are ahead, at least as accurate in no more seconds, and of which they are not.

    Parameters
    ----------
    points : pd.DataFrame
        As from `peer_points`.
    """
    peers, behind = points[points["group"] != OURS], []
    for name, peer in peers.iterrows():
        seconds = seconds_to_reach(points, peer["accuracy"])
        if seconds is None:
            reached = f"{100 * peer['accuracy']:.1f} % in {peer['seconds']:,.0f} s"
            behind.append(f"{name} is more accurate than any of ours, {reached}")
        elif seconds > peer["seconds"]:
            behind.append(f"{name} takes {peer['seconds']:.1f} s, where ours need {seconds:.1f} s for its accuracy")
    text = f"Ours are ahead of {len(peers) - len(behind)} of {len(peers)} peers: as accurate at least, in no more time."
    return f"{text} Not of these: {'; '.join(behind)}." if behind else text


FLOOR = 82  # percent: the lowest height at which a peer is drawn


def plot_peers(points: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw test accuracy against seconds of training: ours joined by a line, the peers as marks with their names.

    Parameters
    ----------
    points : pd.DataFrame
        As from `peer_points`. A mark is the median of the seeds: one training that failed does not move it. What is
        below `FLOOR` stands at that height, with its accuracy in its name.
    """
    ax = ax or plt.gca()
    percents = 100 * points[["median", "lowest", "highest"]].set_axis(["accuracy", "low", "high"], axis=1)
    few = points["worst"] < FLOOR / 100  # their own heights would press all others together
    names, told = [], []
    for name, point in points.iterrows():
        value, worst = 100 * point["median"], 100 * point["worst"]
        far = f", worst seed {worst:.0f} %" if worst < FLOOR <= value else ""
        told.append(f"{name} {value:.1f} % in {point['seconds']:,.0f} s{far}")
        names.append(f"{name}: {value:.0f} %" if value < FLOOR else f"{name}{far}")
    points, percents = points.set_axis(names), percents.clip(lower=FLOOR).set_axis(names)
    looks = {OURS: ("o-", BLUE, BLUE), WITH_NETWORK: ("s", ORANGE, "white"), WITHOUT_NETWORK: ("^", GREEN, "white")}
    for group, (mark, color, inside) in looks.items():
        some, seconds = percents[points["group"] == group], points["seconds"][points["group"] == group]
        reach = [some["accuracy"] - some["low"], some["high"] - some["accuracy"]]
        style = {"fmt": mark, "markersize": 8, "color": color, "markerfacecolor": inside, "capsize": 3}
        ax.errorbar(seconds, some["accuracy"], yerr=reach, **style, label=group)
    ax.set(xscale="log", xlabel="seconds of training (logarithmic)", ylabel="test accuracy (%)")
    if few.any():
        ax.set_ylabel(f"test accuracy (%); what is below {FLOOR} stands at its edge")
    first, last = points["seconds"].min() / 2, points["seconds"].max() * 3
    ax.set_xlim(first, last)
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000) if first < tick < last]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.margins(y=0.1)
    ours = points["group"] == OURS
    corners, between = np.arange(ours.sum()), np.linspace(0, ours.sum() - 1, 200)
    across = np.exp(np.interp(between, corners, np.log(points["seconds"][ours])))
    line = np.column_stack([across, np.interp(between, corners, percents["accuracy"][ours])])
    percents = percents.sort_values("accuracy", ascending=False)  # from above: crowded names lie as their marks
    name_points(points["seconds"][percents.index], percents["accuracy"], percents[["low", "high"]], ax, line)
    ax.set_label(f"Test accuracy against seconds of training, on a logarithmic axis: {'; '.join(told)}.")
    title = "mark: median of the seeds; bar: the 95 % intervals of all seeds"
    style = {"fontsize": 9, "title_fontsize": 9, "alignment": "left", "frameon": False}
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=3, title=title, **style)
    return ax
