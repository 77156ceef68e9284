"""Race the series' fast recipes against the time of the FashionCNN project's recipe.

The baseline is the FashionCNN project's text put into the plainest PyTorch: torchvision's data set and DataLoader,
ToTensor and Normalize for one image at a time, float32, Adam, 20 epochs. Only training is timed, on both sides, not the
evaluations after it. The rounds alternate: four epochs of the baseline, then each fast recipe once from its start.
"""

import time
from dataclasses import replace
from functools import partial
from statistics import mean, median

import torch
from torch.utils.data import DataLoader

from benchmarks.plain import per_item_images, train_epoch
from benchmarks.record import entries_with, in_own_process, measure_once, percent
from helpers import config
from helpers.augment import predict_tta
from helpers.data import open_test_set
from helpers.device import get_device
from helpers.evaluation import accuracy, predict
from helpers.machine import markdown_table
from helpers.models import FashionCNN, count_parameters
from helpers.recipes import PUBLISHED_IMAGES, RECIPES, load_training_images, train_recipe

FAST = ["sprint", "marathon"]
BASELINE = "FashionCNN, one image at a time"
EPOCHS = 20
EPOCHS_A_ROUND = 4
SAVED = config.ROOT / "runs" / "benchmarks" / "baseline.pt"


def baseline_epochs(first: int, last: int) -> dict:
    """Train the baseline from epoch `first` to `last`, going on from where the round before left it.

    Returns
    -------
    dict
        seconds of each epoch's training, and test_accuracy after the last epoch.
    """
    torch.manual_seed(config.SEED + first)
    device = get_device()
    loader = DataLoader(per_item_images(), batch_size=128, shuffle=True)
    model = FashionCNN().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    if first > 1:
        saved = torch.load(SAVED, weights_only=True) if SAVED.is_file() else {"epoch": "none"}
        if saved["epoch"] != first - 1:
            raise SystemExit(
                f"The baseline cannot go on with epoch {first}: the network of epoch {first - 1} should be in {SAVED}, "
                f"but there is that of epoch {saved['epoch']}. To race again from the start, delete "
                "benchmarks/results/race.json."
            )
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    seconds = []
    for epoch in range(first, last + 1):
        print(f"baseline, epoch {epoch}", flush=True)
        seconds.append(round(train_epoch(model, loader, optimizer), 2))
    SAVED.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": last, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, SAVED)
    found = predict(model, open_test_set(f"benchmark: the baseline after epoch {last}"))
    return {"epochs": [first, last], "seconds": seconds, "test_accuracy": accuracy(found.labels, found.predictions)}


def run_recipe(name: str, seed: int, epochs: int | None = None) -> dict:
    """Train a fast recipe once on all 60,000 training images and measure it on the test set, at the end.

    Parameters
    ----------
    name : str
        Of `helpers.recipes.RECIPES`.
    seed : int
        Fixes weights, order of the images and their changes.
    epochs : int, optional
        Other than the recipe's; its schedule is that of so many.

    Returns
    -------
    dict
        parameters, epochs, seconds of training, test_accuracy and test_accuracy_with_flips (fractions); for a recipe
        with random shifts also test_accuracy_with_flips_and_shifts.
    """
    recipe = replace(RECIPES[name], images=PUBLISHED_IMAGES, seed=seed)
    recipe = replace(recipe, epochs=epochs or recipe.epochs)
    train = load_training_images(recipe)
    started = time.perf_counter()
    model, history = train_recipe(recipe, train)
    seconds = time.perf_counter() - started
    if len(history) < recipe.epochs:
        raise KeyboardInterrupt  # stopped by the user: a shorter run is not this recipe
    test = open_test_set(f"benchmark: {name}, {recipe.epochs} epochs, seed {seed}, after its last epoch")
    views = {"test_accuracy": predict, "test_accuracy_with_flips": predict_tta}
    if "random_shift" in recipe.augment:
        views["test_accuracy_with_flips_and_shifts"] = partial(predict_tta, shifts=True)
    found = {key: predict_views(model, test) for key, predict_views in views.items()}
    return {
        "parameters": count_parameters(model),
        "epochs": len(history),
        "seconds": round(seconds, 2),
    } | {key: accuracy(answers.labels, answers.predictions) for key, answers in found.items()}


def measure() -> None:
    """Measure what is missing, round by round; each in a process of its own, so that none profits from the other."""
    for number in range(EPOCHS // EPOCHS_A_ROUND):
        first = number * EPOCHS_A_ROUND + 1
        last = first + EPOCHS_A_ROUND - 1
        key = {"recipe": BASELINE, "round": number}
        measure_once("race", key, lambda first=first, last=last: in_own_process(baseline_epochs, first, last))
        for name in FAST:
            key = {"recipe": name, "round": number}
            measure_once("race", key, lambda name=name, number=number: in_own_process(run_recipe, name, number))


# Accuracy that the FashionCNN project reports as its best epoch on the test set, and the accuracy and the shares of the
# baseline's time that the recipes were to reach.
GOALS = {"sprint": (0.9304, 0.1), "marathon": (0.95, 1.5)}


def race_goals() -> list[tuple[str, str, bool]]:
    """Return for each goal of the race what it is, what was measured, and whether it was met; none without a race."""
    baseline = entries_with("race", recipe=BASELINE)
    goals = []
    for name, (accuracy_goal, share_goal) in GOALS.items():
        runs = entries_with("race", recipe=name)
        if not runs:
            continue
        reached = mean(run["test_accuracy_with_flips"] for run in runs)
        share = median(shares_of_baseline(runs, baseline))
        accuracies = f"{name}: test accuracy of {accuracy_goal:.2%} at least, averaged over flips"
        times = f"{name}: at most {share_goal:g} of the plain baseline's training time"
        goals.append((accuracies, f"{reached:.2%}, mean of {len(runs)} seeds", reached >= accuracy_goal))
        goals.append((times, f"{share:.2f}", share <= share_goal))
    return goals


def shares_of_baseline(runs: list[dict], baseline: list[dict]) -> list[float]:
    """Return each run's share of the baseline's time, by the four baseline epochs that ran just before it."""
    return [run["seconds"] / (EPOCHS * mean(baseline[run["round"]]["seconds"])) for run in runs]


def race_table() -> str:
    """Return the recorded race as a table in Markdown: accuracy, seconds and the share of the baseline's time."""
    baseline = entries_with("race", recipe=BASELINE)
    if not baseline:
        return ""
    epoch_seconds = [seconds for entry in baseline for seconds in entry["seconds"]]
    whole = EPOCHS * mean(epoch_seconds)
    rows = [
        [
            BASELINE,
            f"{100 * baseline[-1]['test_accuracy']:.2f}",
            "–",
            "–",
            1,
            baseline[-1]["epochs"][1],
            f"{whole:.0f}",
            "1",
        ]
    ]
    for name in FAST:
        runs = entries_with("race", recipe=name)
        if not runs:
            continue
        shares = shares_of_baseline(runs, baseline)
        key = "test_accuracy_with_flips_and_shifts"
        all_views = [run[key] for run in runs if key in run]
        rows.append(
            [
                name,
                percent([run["test_accuracy"] for run in runs]),
                percent([run["test_accuracy_with_flips"] for run in runs]),
                percent(all_views) if all_views else "–",
                len(runs),
                runs[0]["epochs"],
                f"{mean(run['seconds'] for run in runs):.1f}",
                f"1/{1 / median(shares):.1f} (1/{1 / min(shares):.1f} to 1/{1 / max(shares):.1f})"
                if median(shares) < 0.5
                else f"{median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})",
            ]
        )
    header = [
        "recipe",
        "test accuracy (%)",
        "with flips at test time (%)",
        "with flips and shifts (%)",
        "seeds",
        "epochs",
        "seconds of training",
        "share of the baseline's time",
    ]
    return markdown_table(header, rows)
