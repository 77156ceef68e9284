"""Search for a recipe that reaches the sprint's accuracy in less time: Optuna, at a budget of training time.

Every trial may train for 0.7 of the sprint's time. How long a network needs for an image is measured first, in
turn, and whatever would take longer is refused before it trains. A trial that falls behind the others is stopped. The
best are trained again with other seeds, beside the sprint itself: the best of many trials was lucky, too.

All trains on 50,000 images and is judged on the 10,000 validation images, with flips. Nothing looks at the test set.
"""

import contextlib
import io
import time
from dataclasses import replace
from functools import partial
from statistics import mean, median

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.record import entries_with, measure_once, percent
from helpers.augment import predict_tta
from helpers.data import load_split
from helpers.device import get_device, keep_freed_memory, set_seed
from helpers.evaluation import accuracy, predict
from helpers.machine import markdown_table
from helpers.models import LeanCNN
from helpers.recipes import RECIPES, Recipe, train_recipe
from helpers.speed import time_in_turn

SPRINT = RECIPES["sprint"]
SPRINT_WIDTHS = "16, 48, 96"
# The sprint takes 1/11.1 of the plain baseline's time, and the goal is 1/15.
BUDGET = 0.7
TRIALS = 60  # that train
BEST, FRESH_SEEDS = 3, (1, 2, 3)
TIMED_IMAGES, ROUNDS = 5_120, 5

SPACE = {
    "widths": CategoricalDistribution(
        [SPRINT_WIDTHS, "16, 48, 64", "16, 32, 96", "16, 32, 64", "8, 32, 96", "8, 32, 64", "8, 48, 96"]
    ),
    "epochs": CategoricalDistribution([3, 4, 5]),
    "batch_size": CategoricalDistribution([64, 128, 256]),
    "lr": FloatDistribution(0.015, 0.15, log=True),
    "other_lr": FloatDistribution(0.05, 0.6, log=True),
    "momentum": FloatDistribution(0.8, 0.97),
    "weight_decay": FloatDistribution(5e-5, 5e-3, log=True),
    "pct_start": FloatDistribution(0.05, 0.4),
    "label_smoothing": FloatDistribution(0.0, 0.2),
}


def recipe_of(settings: dict, seed: int) -> Recipe:
    """Return the sprint with these settings in place of its own; the widths of its network stand apart."""
    return replace(
        SPRINT,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        optimizer_options={name: settings[name] for name in ("lr", "other_lr", "momentum", "weight_decay")},
        schedule_options=SPRINT.schedule_options | {"pct_start": settings["pct_start"]},
        loss_options={"label_smoothing": settings["label_smoothing"]},
        seed=seed,
    )


def settings_of_the_sprint() -> dict:
    """Return the sprint as a point of the searched space."""
    return {
        "widths": SPRINT_WIDTHS,
        "epochs": SPRINT.epochs,
        "batch_size": SPRINT.batch_size,
        **SPRINT.optimizer_options,
        "pct_start": SPRINT.schedule_options["pct_start"],
        **SPRINT.loss_options,
    }


def train(settings: dict, seed: int, images: TensorDataset, after_epoch=None) -> nn.Module:
    """Train a network with these settings; `after_epoch` is called as `fit` calls it."""
    set_seed(seed)
    model = LeanCNN(tuple(int(width) for width in settings["widths"].split(","))).to(get_device())
    with contextlib.redirect_stdout(io.StringIO()):  # no line for each epoch of so many trainings
        train_recipe(recipe_of(settings, seed), images, model=model, after_epoch=after_epoch)
    return model


def measure_costs() -> dict:
    """Time an epoch of each network and batch size in turn.

    Returns
    -------
    dict
        "seconds_an_image": by "widths; batch size", the median of the rounds.
    """
    images = TensorDataset(*(part[:TIMED_IMAGES] for part in load_split("train").tensors))
    kinds = [(widths, size) for widths in SPACE["widths"].choices for size in SPACE["batch_size"].choices]
    ways = {
        f"{widths}; {size}": partial(
            train, settings_of_the_sprint() | {"widths": widths, "batch_size": size, "epochs": 1}, 0, images
        )
        for widths, size in kinds
    }
    seconds = time_in_turn(ways, ROUNDS).median() / TIMED_IMAGES
    return {"seconds_an_image": {name: float(f"{value:.4g}") for name, value in seconds.items()}}


def share_of_sprint(settings: dict, seconds_an_image: dict[str, float]) -> float:
    """Return the training time of these settings as a share of the sprint's."""

    def epochs_times_seconds(of: dict) -> float:
        return of["epochs"] * seconds_an_image[f"{of['widths']}; {of['batch_size']}"]

    return epochs_times_seconds(settings) / epochs_times_seconds(settings_of_the_sprint())


def new_study() -> optuna.Study:
    """Return a study that knows the recorded trials, so that a search that was interrupted goes on."""
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=len(entries_with("search", kind="trial")), multivariate=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=1),
    )
    for entry in entries_with("search", kind="trial"):
        study.add_trial(
            create_trial(
                state=TrialState[entry["state"]],
                value=entry["accuracy_with_flips"],
                params=entry["settings"],
                distributions=SPACE,
                intermediate_values={int(quarter): value for quarter, value in entry["quarters"].items()},
            )
        )
    return study


def run_trial(trial: optuna.Trial, images: TensorDataset, validation: TensorDataset) -> dict:
    """Train once with the settings of a trial, and judge it.

    Returns
    -------
    dict
        settings, state ("COMPLETE" or "PRUNED"), quarters (validation accuracy after so many quarters of the epochs),
        accuracy_with_flips (after the last epoch; None of a trial that was stopped) and seconds.
    """
    settings, quarters = trial.params, {}
    started = time.perf_counter()

    def look(epoch, model):
        quarter = 4 * epoch // settings["epochs"]
        if quarter in quarters:
            return
        answers = predict(model, validation)
        quarters[quarter] = accuracy(answers.labels, answers.predictions)
        trial.report(quarters[quarter], quarter)
        if epoch < settings["epochs"] and trial.should_prune():
            raise optuna.TrialPruned

    state, reached = "COMPLETE", None
    try:
        model = train(settings, 0, images, look)
        answers = predict_tta(model, validation)
        reached = accuracy(answers.labels, answers.predictions)
    except (optuna.TrialPruned, FloatingPointError):  # the latter at a rate so high that the loss is no number
        state = "PRUNED"
    seconds = round(time.perf_counter() - started, 2)
    return {
        "settings": settings,
        "state": state,
        "quarters": quarters,
        "accuracy_with_flips": reached,
        "seconds": seconds,
    }


def search(seconds_an_image: dict[str, float], images: TensorDataset, validation: TensorDataset) -> None:
    """Run the trials that are missing."""
    study = new_study()
    while (number := len(entries_with("search", kind="trial"))) < TRIALS:
        trial = study.ask(SPACE)
        if share_of_sprint(trial.params, seconds_an_image) > BUDGET:
            study.tell(trial, state=TrialState.FAIL)  # which the sampler does not learn from, and forgets
            continue
        entry = measure_once(
            "search", {"kind": "trial", "number": number}, lambda t=trial: run_trial(t, images, validation)
        )
        if entry["state"] == "PRUNED":
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, entry["accuracy_with_flips"])
        print(f"{entry['state'].lower()}: {entry['quarters']}, {entry['accuracy_with_flips']}", flush=True)


def best_trials() -> list[dict]:
    """Return the finished trials with the highest accuracies."""
    finished = entries_with("search", kind="trial", state="COMPLETE")
    return sorted(finished, key=lambda entry: -entry["accuracy_with_flips"])[:BEST]


def measure_again(settings: dict, seed: int, images: TensorDataset, validation: TensorDataset) -> dict:
    """Train with a fresh seed, undisturbed; return accuracy_with_flips and the seconds of training."""
    started = time.perf_counter()
    model = train(settings, seed, images)
    seconds = round(time.perf_counter() - started, 2)
    answers = predict_tta(model, validation)
    return {"accuracy_with_flips": accuracy(answers.labels, answers.predictions), "seconds": seconds}


def measure() -> None:
    """Measure what is missing: the costs, the trials, then the best beside the sprint, seed by seed."""
    keep_freed_memory()
    images, validation = load_split("train"), load_split("validation")
    costs = measure_once("search", {"kind": "costs"}, measure_costs)
    search(costs["seconds_an_image"], images, validation)
    for seed in FRESH_SEEDS:
        for name, settings in {
            "sprint": settings_of_the_sprint(),
            **{f"trial {entry['number']}": entry["settings"] for entry in best_trials()},
        }.items():
            key = {"kind": "again", "recipe": name, "seed": seed}
            measure_once("search", key, lambda s=settings, n=seed: measure_again(s, n, images, validation))


def again(name: str) -> list[dict]:
    """Return the trainings with fresh seeds of the sprint or of a trial."""
    return entries_with("search", kind="again", recipe=name)


def mean_accuracy(name: str) -> float:
    """Return the mean accuracy of a recipe over its fresh seeds, in percent."""
    return 100 * mean(run["accuracy_with_flips"] for run in again(name))


def shares_measured(name: str) -> list[float]:
    """Return the seconds of a recipe's trainings over those of the sprint with the same seed."""
    sprint = {run["seed"]: run["seconds"] for run in again("sprint")}
    return [run["seconds"] / sprint[run["seed"]] for run in again(name)]


def search_goals() -> list[tuple[str, str, bool]]:
    """Return what the search was to find, what it found, and whether that is enough; none before it has ended."""
    names = [f"trial {entry['number']}" for entry in best_trials()]
    if not names or not all(map(again, names)):
        return []
    best = max(names, key=mean_accuracy)
    lead, share = mean_accuracy(best) - mean_accuracy("sprint"), median(shares_measured(best))
    goal = f"search: a recipe as good as the sprint in {BUDGET} of its time, by fresh seeds on validation images"
    return [(goal, f"{lead:+.2f} points in {share:.2f} of the time ({best})", lead >= 0 and share <= BUDGET)]


def search_table() -> str:
    """Return what the search tried, and what its best trials reach with fresh seeds beside the sprint, in Markdown."""
    trials, [costs] = entries_with("search", kind="trial"), entries_with("search", kind="costs")
    finished = sum(trial["state"] == "COMPLETE" for trial in trials)
    text = (
        f"{len(trials)} trials trained, of which {finished} to their end; the others fell behind. "
        f"Together {sum(trial['seconds'] for trial in trials) / 60:.0f} minutes."
    )
    recipes = {"sprint": (settings_of_the_sprint(), None)}
    recipes |= {
        f"trial {entry['number']}": (entry["settings"], entry["accuracy_with_flips"]) for entry in best_trials()
    }
    rows = []
    for name, (settings, chosen) in recipes.items():
        if not again(name):
            continue
        shares = shares_measured(name)
        rows.append(
            [
                name,
                f"{100 * chosen:.2f}" if chosen else "–",
                percent([run["accuracy_with_flips"] for run in again(name)]),
                f"{share_of_sprint(settings, costs['seconds_an_image']):.2f}",
                f"{median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})",
                "; ".join(
                    f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in settings.items()
                ).replace("_", " "),
            ]
        )
    if not rows:
        return text
    head = [
        "recipe",
        "chosen at (%)",
        "fresh seeds (%)",
        "share of the sprint's time, predicted",
        "measured",
        "settings",
    ]
    chosen, first = best_trials()[0], f"trial {best_trials()[0]['number']}"
    told = (
        f"{len(FRESH_SEEDS)} fresh seeds each. The trial that came out best was chosen at "
        f"{100 * chosen['accuracy_with_flips']:.2f} %; trained again it reaches {mean_accuracy(first):.2f} %."
    )
    return f"{text}\n\n{markdown_table(head, rows)}\n\n{told}"


if __name__ == "__main__":
    measure()
