"""Figures of lesson 10: what a search tries, what it saves, who ran which trial, and what the winner is worth."""

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from scipy.stats import gaussian_kde

from helpers.plotting import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE, ink_on

MANY = 4  # trials
LINES = [("o-", BLUE), ("s--", ORANGE), ("^-.", GREEN), ("D:", GREY)]


def plot_table(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of every combination of settings as a shaded grid with its numbers.

    Parameters
    ----------
    table : pd.DataFrame
        Columns learning_rate, batch_size, dropout, accuracy (0 to 1), one row for each combination.
    """
    ax = ax or plt.gca()
    grid = 100 * table.pivot(index=["batch_size", "dropout"], columns="learning_rate", values="accuracy")
    shown = ax.imshow(grid, cmap="Blues", aspect="auto", vmin=0, vmax=110)
    for row, column in np.ndindex(grid.shape):
        value = grid.iloc[row, column]
        style = {"ha": "center", "va": "center", "fontsize": 10, "color": ink_on(shown, value)}
        ax.text(column, row, f"{value:.0f}", **style)
    ax.set_xticks(range(grid.shape[1]), [f"{rate:.2g}" for rate in grid.columns])
    ax.set_yticks(range(len(grid)), [f"{batch}, {dropout:g}" for batch, dropout in grid.index])
    ax.set(xlabel="learning rate", ylabel="batch size, dropout")
    ax.grid(False)
    best = grid.max()
    said = ", ".join(f"{value:.0f} at {rate:.2g}" for rate, value in best.items())
    ax.set_label(f"Accuracy in percent for {grid.size} settings. The highest at each learning rate: {said}.")
    return ax


def draw_grid_and_random(*, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw nine trials on a grid and nine at random, below the one setting that matters (after Bergstra and Bengio)."""
    axes = plt.subplots(1, 2, figsize=(10, 4))[1] if axes is None else axes
    x = np.linspace(0, 1, 200)

    def height(place):
        return 1.1 + 0.75 * np.exp(-(((place - 0.33) / 0.09) ** 2))

    square = np.array([0.12, 0.5, 0.88])
    grid = np.array([(a, b) for a in square for b in square])
    across = [0.03, 0.19, 0.23, 0.35, 0.48, 0.6, 0.76, 0.81, 0.95]
    drawn = np.column_stack([across, [0.55, 0.12, 0.83, 0.33, 0.9, 0.05, 0.67, 0.24, 0.76]])
    for ax, points, name in zip(axes, (grid, drawn), ("grid", "random"), strict=True):
        ax.fill_between(x, 1.1, height(x), color=LIGHT_BLUE)
        ax.plot(x, height(x), color=BLUE, linewidth=2)
        ax.vlines(points[:, 0], points[:, 1], height(points[:, 0]), color=GREY, linewidth=0.8, linestyle=":")
        ax.plot(*points.T, "o", color=ORANGE, markersize=9)
        ax.plot(points[:, 0], height(points[:, 0]), "x", color="black", markersize=8, markeredgewidth=2)
        different = len(set(points[:, 0]))
        ax.set_title(f"{name}: 9 trials, {different} different learning rates", fontsize=12)
        ax.set(xlabel="learning rate, which matters", xticks=[], yticks=[], ylim=(-0.05, 2))
        ax.set_ylabel("dropout, which hardly matters", y=0.28, fontsize=10)
        ax.text(0.97, 1.3, "accuracy", ha="right", va="center", color=BLUE)
        ax.grid(False)
        seen = height(points[:, 0]).max() > 1.6
        ax.set_label(
            f"A drawing: nine trials, {name}, try {different} learning rates below a curve with a narrow peak. "
            f"{'One of them meets' if seen else 'None of them meets'} the peak."
        )
    return axes


def draw_tpe(rates: np.ndarray, scores: np.ndarray, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw how TPE chooses: the densities of its better and its other trials, and where their ratio is largest.

    Parameters
    ----------
    rates, scores : np.ndarray
        float, (trials,), at least eight: learning rates, above 0, and accuracies, 0 to 1.
    """
    axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True)[1] if axes is None else axes
    x, order = np.log10(rates), np.argsort(-scores)
    good, others = order[: max(3, len(order) // 4)], order[max(3, len(order) // 4) :]
    line = np.linspace(np.log10(1e-4), np.log10(3), 200)
    densities = [gaussian_kde(x[part], bw_method=0.5)(line) + 0.02 for part in (good, others)]
    best = line[np.argmax(densities[0] / densities[1])]
    axes[0].plot(x[good], 100 * scores[good], "o", color=BLUE, markersize=10, label="the better quarter")
    axes[0].plot(
        x[others], 100 * scores[others], "x", color=ORANGE, markersize=9, markeredgewidth=2, label="the others"
    )
    axes[0].set(ylabel="accuracy (%)", ylim=(0, 100))
    axes[1].plot(line, densities[0], "-", color=BLUE, linewidth=2.5, label="density of the better")
    axes[1].plot(line, densities[1], "--", color=ORANGE, linewidth=2.5, label="density of the others")
    axes[1].axvline(best, color="black", linestyle=":", linewidth=2, label="largest ratio: the next trial")
    axes[1].set_xticks([-4, -3, -2, -1, 0], ["0.0001", "0.001", "0.01", "0.1", "1"])
    axes[1].set(xlabel="learning rate (log scale)", ylabel="density", yticks=[])
    for ax in axes:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes[0].set_label(f"{len(good)} better trials and {len(others)} others by their learning rate.")
    axes[1].set_label(
        f"The densities of both kinds; their ratio is largest at a learning rate of {10**best:.2g}, "
        "where the next trial will be."
    )
    return axes


def plot_searches(curves: dict[str, np.ndarray], *, ax: Axes | None = None) -> Axes:
    """Draw what the winner up to each trial reaches on fresh images, the mean over many searches.

    Parameters
    ----------
    curves : dict of str to np.ndarray
        By the way of searching, float, (repetitions, budget): accuracies, 0 to 1. At most four.
    """
    ax = ax or plt.gca()
    for (name, curve), (style, color) in zip(curves.items(), LINES, strict=False):
        mean = 100 * curve.mean(axis=0)
        ax.plot(range(1, len(mean) + 1), mean, style, color=color, label=name, markersize=6, markevery=2, linewidth=2)
    ax.set(xlabel="trials", ylabel="winner on fresh images (%)", ylim=(55, None))
    ax.set_title("Mean over all repetitions; what lies below 55 % is not shown")
    ax.legend(loc="lower right")
    return ax


def plot_shares(shares: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw bars of the share of the variance that belongs to each setting.

    Parameters
    ----------
    shares : pd.DataFrame
        A row for each setting, a column for each way of measuring, from 0 to 1. At most three columns.
    """
    ax = ax or plt.gca()
    height = 0.8 / shares.shape[1]
    looks = zip([BLUE, LIGHT_BLUE, GREY], ["", "//", ".."], strict=True)
    for place, (name, (color, hatch)) in enumerate(zip(shares.columns, looks, strict=False)):
        rows = np.arange(len(shares)) + (place - (shares.shape[1] - 1) / 2) * height
        bars = ax.barh(rows, 100 * shares[name], 0.9 * height, color=color, hatch=hatch, edgecolor="black", label=name)
        ax.bar_label(bars, fmt="%.0f", padding=3)
    ax.set_yticks(range(len(shares)), shares.index)
    ax.invert_yaxis()
    ax.set(xlabel="share of the variance of accuracy (%)", xlim=(0, 110))
    ax.legend(loc="lower right")
    said = "; ".join(
        f"{name}: " + ", ".join(f"{row} {100 * share:.0f}" for row, share in shares[name].items()) for name in shares
    )
    ax.set_label(f"Shares of the variance in percent. {said}.")
    return ax


def plot_pruning(curves: np.ndarray, epochs: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of trials from epoch to epoch, as far as they were allowed to run.

    Parameters
    ----------
    curves : np.ndarray
        float, (trials, epochs): accuracies, 0 to 1.
    epochs : np.ndarray
        int, (trials,): after which epoch each trial ended.
    """
    ax = ax or plt.gca()
    last = curves.shape[1]
    labelled = set()
    for curve, end in zip(100 * curves, epochs, strict=True):
        name = "ran to the end" if end == last else "pruned"
        color, style = (BLUE, "-") if end == last else (ORANGE, "--")
        ax.plot(range(1, end + 1), curve[:end], style, color=color, alpha=0.8, linewidth=1.8)
        mark = "o" if end == last else "X"
        ax.plot(end, curve[end - 1], mark, color=color, markersize=9, label=None if name in labelled else name)
        labelled.add(name)
    ax.set(xlabel="epoch", ylabel="accuracy on the images that choose (%)", xticks=range(1, last + 1), ylim=(0, 100))
    ax.set_title(f"{len(epochs)} trials, {(epochs < last).sum()} of them pruned")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    saved = 1 - epochs.sum() / (last * len(epochs))
    ax.set_label(
        f"Accuracy from epoch to epoch of {len(epochs)} trials; {(epochs < last).sum()} are pruned before epoch "
        f"{last}, which saves {saved:.0%} of all epochs."
    )
    return ax


def plot_savings(pruned: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw for each search which share of the epochs a pruner saved, and by how much it changed the winner.

    Parameters
    ----------
    pruned : pd.DataFrame
        Columns pruner (a name), saved (0 to 1) and change (of the winner's accuracy, -1 to 1). At most four pruners.
    """
    ax = ax or plt.gca()
    said = []
    for (name, part), (style, color) in zip(pruned.groupby("pruner", sort=False), LINES, strict=False):
        saved, change = 100 * part["saved"], 100 * part["change"]
        ax.plot(saved, change, style[0], color=color, markersize=9, alpha=0.8, label=name)
        ax.axvline(saved.mean(), color=color, linestyle=style[1:], linewidth=2)
        said.append(
            f"{name} saves {saved.mean():.0f} percent on average, and the winner changes by {change.min():.1f} to "
            f"{change.max():.1f} points in {len(part)} searches"
        )
    ax.axhline(0, color="black", linewidth=1)
    ax.set(xlabel="epochs saved (%); lines: means", ylabel="change of the winner (points)")
    ax.set_title("A dot for each search")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    ax.set_label(f"{'; '.join(said)}.")
    return ax


def draw_queue(*, ax: Axes | None = None) -> Axes:
    """Draw a study: tickets in a database, and workers on several machines that take them and report."""
    ax = ax or plt.subplots(figsize=(10, 4))[1]
    style = {"boxstyle": "round,pad=0.05", "linewidth": 1.5, "edgecolor": "black"}
    ax.add_patch(FancyBboxPatch((3.6, 0.5), 2.8, 3, facecolor="#F2F2F2", **style))
    ax.text(5, 3.25, "database: the study", ha="center", fontsize=12, weight="bold")
    words = ["✓ 0: complete", "✓ 1: complete", "▶ 2: laptop is at it", "▶ 3: lab PC is at it", "· 4: waiting"]
    for number, word in enumerate(words):
        ax.text(3.85, 2.8 - 0.5 * number, word, fontsize=11, va="center", family="DejaVu Sans")
    for x, name, color in ((0.2, "laptop", LIGHT_BLUE), (7.8, "lab PC", LIGHT_BLUE)):
        ax.add_patch(FancyBboxPatch((x, 1.3), 2, 1.4, facecolor=color, **style))
        ax.text(x + 1, 2.2, f"worker on the {name}", ha="center", fontsize=11)
        ax.text(x + 1, 1.65, "trains its trial", ha="center", fontsize=11)
    arrow = {"arrowstyle": "-|>", "linewidth": 1.8}
    for inner, outer in ((3.5, 2.35), (6.5, 7.65)):
        middle = (inner + outer) / 2
        ax.annotate("", (outer, 2.4), (inner, 2.4), arrowprops=arrow | {"color": BLUE})
        ax.text(middle, 2.55, "ticket", ha="center", color=BLUE, fontsize=11)
        ax.annotate("", (inner, 1.6), (outer, 1.6), arrowprops=arrow | {"color": ORANGE, "linestyle": "--"})
        ax.text(middle, 1.15, "alive!\nresult", ha="center", color=ORANGE, fontsize=11, va="center")
    ax.set(xlim=(0, 10), ylim=(0.3, 3.7))
    ax.axis("off")
    ax.set_label(
        "A drawing: the database holds numbered tickets, two complete, two being worked on, one waiting. Workers on a "
        "laptop and on a lab PC take a ticket, train, and send signs of life and the result back."
    )
    return ax


def plot_tries(study: optuna.Study, *, ax: Axes | None = None) -> Axes:
    """Draw when each trial of a study ran, each worker in its own colour, with a cross where one came to no end.

    Parameters
    ----------
    study : optuna.Study
        Of `helpers.tuning.start`, with tickets.
    """
    ax = ax or plt.gca()
    trials = [t for t in study.trials if "ticket" in t.user_attrs and t.datetime_start and t.datetime_complete]
    begin = min(trial.datetime_start for trial in trials)
    # A worker that was killed as soon as it had its ticket has left no name.
    names = [trial.user_attrs.get("worker", "") for trial in trials]
    workers = list(dict.fromkeys(names))
    said, labelled = [], set()
    for trial, worker in zip(trials, names, strict=True):
        ticket, number = trial.user_attrs["ticket"], workers.index(worker)
        start = (trial.datetime_start - begin).total_seconds()
        length = (trial.datetime_complete - trial.datetime_start).total_seconds()
        failed = trial.state == optuna.trial.TrialState.FAIL
        color, hatch = [(BLUE, ""), (GREEN, "//"), (GREY, "..")][number % 3]
        name = f"worker {number + 1}"
        style = {"color": "white", "edgecolor": color, "linestyle": ":"} if failed else {"color": color}
        label = None if failed or name in labelled else name
        ax.barh(
            ticket, length, left=start, height=0.7, hatch="" if failed else hatch, linewidth=1.5, label=label, **style
        )
        labelled |= set() if failed else {name}
        if failed:
            ax.text(start + length / 2, ticket, "✗ lost", ha="center", va="center", family="DejaVu Sans", fontsize=10)
        said.append(f"ticket {ticket} {'lost by' if failed else 'done by'} {name}")
    ax.set_yticks(sorted({trial.user_attrs["ticket"] for trial in trials}))
    ax.invert_yaxis()
    ax.set(xlabel="seconds since the first trial began", ylabel="ticket")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    ax.set_label(f"In order: {', '.join(said)}.")
    return ax


def plot_winners(table: pd.DataFrame, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw the winner's two accuracies as the number of trials grows, and beside them how far they lie apart.

    The accuracies of fewer than `MANY` trials lie far below the others, which could then not be told apart.

    Parameters
    ----------
    table : pd.DataFrame
        From `helpers.tuning.winners`.
    axes : np.ndarray, optional
        Of two Axes.
    """
    axes = plt.subplots(1, 2, figsize=(12, 4))[1] if axes is None else axes
    groups = table.groupby("trials")
    looks = (("choosing", "o-", BLUE, "on the images that chose it"), ("fresh", "s--", ORANGE, "on fresh images"))
    for column, style, color, name in looks:
        mean = 100 * groups[column].mean().loc[MANY:]
        axes[0].plot(mean.index, mean, style, color=color, linewidth=2.5, markersize=8, label=name)
    axes[0].set(ylabel="accuracy (%)")
    axes[0].set_title(f"The winner's accuracy, of {MANY} trials or more")
    axes[0].legend(loc="lower right")
    mean = 100 * groups["optimism"].mean()
    low, high = (100 * groups["optimism"].quantile(share) for share in (0.025, 0.975))
    axes[1].fill_between(mean.index, low, high, color=GREEN, alpha=0.2, linewidth=0, label="middle 95 %")
    axes[1].plot(mean.index, mean, "D-", color=GREEN, linewidth=2.5, markersize=8, label="mean")
    axes[1].axhline(0, color="black", linewidth=1)
    axes[1].set(ylabel="first minus second (points)", title="Optimism")
    axes[1].legend(loc="upper left")
    sizes = sorted(table["trials"].unique())
    for ax, shown in zip(axes, ([size for size in sizes if size >= MANY], sizes), strict=True):
        ax.set_xscale("log", base=2)
        ax.set_xticks(shown, shown)
        ax.set_xlabel("trials, of which the best is chosen")
    return axes


def plot_winner_of(table: pd.DataFrame, trials: int, *, ax: Axes | None = None) -> Axes:
    """Draw how far promise and truth of the winner of so many trials lie apart, over all repetitions.

    Parameters
    ----------
    table : pd.DataFrame
        From `helpers.tuning.winners`.
    trials : int
        One of its sizes.
    """
    ax = ax or plt.gca()
    optimism = 100 * table.loc[table["trials"] == trials, "optimism"]
    bins = np.arange(-8, 8.5, 0.5)
    ax.hist(optimism.clip(-8, 8), bins=bins, color=LIGHT_BLUE, edgecolor=BLUE)
    ax.axvline(0, color="black", linewidth=1.5, label="promise kept")
    ax.axvline(optimism.mean(), color=ORANGE, linestyle="--", linewidth=2.5, label=f"mean {optimism.mean():+.1f}")
    ax.set(xlabel="choosing minus fresh accuracy (points)", ylabel="repetitions", xlim=(-8, 8))
    ax.set_title(f"Best of {trials}: {100 * (optimism > 0).mean():.0f} % promise too much")
    ax.legend(loc="upper left")
    return ax


def chosen_and_again(entries: list[dict]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return what the best trials of the recorded search promised, and what they reach from other seeds.

    Parameters
    ----------
    entries : list of dict
        `helpers.ladder.recorded("search")`.

    Returns
    -------
    chosen : dict
        By name, such as "trial 25": the accuracy that the trial was chosen for, in percent, the highest first.
    again : dict
        By name, "sprint" among them: the accuracies from other seeds, in percent.
    """
    again = {}
    for entry in entries:
        if entry["kind"] == "again":
            again.setdefault(entry["recipe"], []).append(100 * entry["accuracy_with_flips"])
    trials = {f"trial {entry['number']}": entry for entry in entries if entry["kind"] == "trial"}
    chosen = {name: 100 * trials[name]["accuracy_with_flips"] for name in again if name in trials}
    return dict(sorted(chosen.items(), key=lambda pair: -pair[1])), again


def plot_search(entries: list[dict], *, axes: np.ndarray | None = None) -> np.ndarray:
    """Draw the recorded search for a quicker sprint: its trials in order, then the best ones from other seeds.

    Parameters
    ----------
    entries : list of dict
        `helpers.ladder.recorded("search")`.
    """
    axes = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True, width_ratios=(3, 2))[1] if axes is None else axes
    trials = [entry for entry in entries if entry["kind"] == "trial"]
    finished = {trial["number"]: 100 * trial["accuracy_with_flips"] for trial in trials if trial["state"] == "COMPLETE"}
    pruned = [number for number in range(len(trials)) if number not in finished]
    best = np.fmax.accumulate([finished.get(number, np.nan) for number in range(len(trials))])
    left, right = axes
    left.step(range(len(trials)), best, where="post", color=BLUE, label="best so far")
    left.plot(*zip(*finished.items(), strict=True), "o", color=BLUE, label=f"{len(finished)} ran to the end")
    left.plot(pruned, [min(finished.values()) - 0.15] * len(pruned), "x", color=GREY, label=f"{len(pruned)} pruned")
    left.set(xlabel="trial", ylabel="validation accuracy, with flips (%)", title=f"{len(trials)} trials from seed 0")
    left.legend(loc="lower right", bbox_to_anchor=(1, 0.08))
    rise = f"The best rises from {best[0]:.2f} to {best[-1]:.2f} %."
    left.set_label(f"Of {len(trials)} trials {len(finished)} ran to the end. {rise}")
    chosen, again = chosen_and_again(entries)
    names = ["sprint", *chosen]
    for place, name in enumerate(names):
        right.plot([place] * len(again[name]), again[name], "D", color=ORANGE, markersize=6)
        if name in chosen:
            right.plot(place, chosen[name], "o", color=BLUE, fillstyle="none", markersize=10, markeredgewidth=2)
            style = {"arrowstyle": "-|>", "color": "black", "shrinkA": 6, "shrinkB": 0}
            right.annotate("", (place, np.mean(again[name])), (place, chosen[name]), arrowprops=style)
    right.plot([], [], "o", color=BLUE, fillstyle="none", markersize=10, markeredgewidth=2, label="chosen for")
    right.plot([], [], "D", color=ORANGE, markersize=6, label="other seeds")
    right.set_xticks(range(len(names)), names)
    right.set(xlim=(-0.5, len(names) - 0.5), title="The best, from other seeds")
    right.legend(loc="lower right")
    told = "; ".join(f"{name} {chosen[name]:.2f}, then {np.mean(again[name]):.2f}" for name in chosen)
    right.set_label(
        f"Accuracy in percent chosen for, then from other seeds: {told}. The sprint {np.mean(again['sprint']):.2f}."
    )
    return axes
