"""Measure what each idea of lesson 07 gains: accuracy on validation images and seconds, three seeds a step.

Each step keeps the ideas before it and changes one thing. The first three compute what the fourth computes, only
slower, so their accuracy is that of the fourth. The seconds are those of one epoch times the epochs: one epoch of every
step is timed in turn, in several rounds, since the same machine is faster in one hour than in the next; then in a round
beside one busy program. Accuracies may come from another machine than the seconds, such as one with a GPU:
`--accuracies` and `--seconds` measure one of the two alone. Nothing here looks at the test set.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, median

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from benchmarks.busy import busy_programs
from benchmarks.plain import per_item_images, train_epoch
from benchmarks.record import entries_with, in_own_process, measure_once, percent, start, summary
from benchmarks.sources import SOURCES
from benchmarks.speed import make_step
from helpers import models
from helpers.augment import predict_tta
from helpers.data import load_split, make_loader, normalize, split_indices
from helpers.device import get_device, keep_freed_memory, may_be_faster_in_bfloat16, set_seed
from helpers.evaluation import accuracy, predict
from helpers.machine import markdown_table
from helpers.recipes import RECIPES, Recipe, load_training_images, train_recipe

SEEDS = (0, 1, 2)
ROUNDS = 3
BATCH_SIZE = 128


def with_batch_norm(dropout: float = 0.5) -> nn.Sequential:
    """Return FashionCNN with batch normalisation between each convolution and its ReLU."""
    layers = []
    for layer in models.FashionCNN(dropout):
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
    return nn.Sequential(*layers)


def without_dropout() -> nn.Sequential:
    """Return FashionCNN with batch normalisation and without dropout."""
    return with_batch_norm(dropout=0.0)


@dataclass(frozen=True)
class Step:
    """A rung of the ladder: a recipe, and what a recipe does not say.

    Attributes
    ----------
    recipe : Recipe
        How it trains, on 50,000 images.
    build : callable, optional
        Returns the network, where `helpers.models` has no class for it.
    bfloat16 : bool
        Whether it trains in bfloat16 on a device that may be faster so, or in float32 everywhere.
    """

    recipe: Recipe
    build: Callable[[], nn.Module] | None = None
    bfloat16: bool = True


KEPT_MEMORY = "freed memory is kept"
SLOW = ["the source's recipe, one image at a time", "whole batches", KEPT_MEMORY]
SOURCE = replace(SOURCES["FashionCNN"]["recipe"], images=RECIPES["fashion_cnn"].images)
HIGHER = replace(SOURCE, optimizer_options={"lr": 5e-3})
CYCLE = replace(HIGHER, schedule="OneCycleLR", schedule_options={"pct_start": 0.25, "cycle_momentum": False})
SHORT = replace(CYCLE, epochs=5)
HIGHEST = replace(SHORT, optimizer_options={"lr": 2e-2})
LEAN = replace(HIGHEST, network="LeanCNN")
NESTEROV = replace(LEAN, optimizer="SGD", optimizer_options={"lr": 0.3, "momentum": 0.9, "nesterov": True})
DECAYED = replace(NESTEROV, optimizer_options=NESTEROV.optimizer_options | {"weight_decay": 5e-4})
SMOOTH = replace(DECAYED, loss_options={"label_smoothing": 0.1})
STEPS = {
    "channels_last": Step(SOURCE, bfloat16=False),
    "bfloat16, where the processor has it": Step(SOURCE),
    "a learning rate five times as high": Step(HIGHER),
    "one-cycle schedule": Step(CYCLE),
    "5 epochs instead of 20": Step(SHORT),
    "batch normalisation": Step(SHORT, build=with_batch_norm),
    "no dropout": Step(SHORT, build=without_dropout),
    "a learning rate four times as high again": Step(HIGHEST, build=without_dropout),
    "a leaner network": Step(LEAN),
    "SGD with Nesterov momentum": Step(NESTEROV),
    "weight decay": Step(DECAYED),
    "label smoothing": Step(SMOOTH),
    "random flips": Step(replace(SMOOTH, augment=("random_flip",))),
    "Muon for the convolutions": Step(RECIPES["sprint"]),
}
FLIPS_AT_TEST = "averaging over flips at test time"


def train(name: str, **changes) -> tuple[nn.Module, float]:
    """Train a step's recipe, with some fields changed, on 50,000 images; return the network and the seconds."""
    step = STEPS[name]
    recipe = replace(step.recipe, **changes)
    images = load_training_images(recipe)
    model = None
    if step.build:
        set_seed(recipe.seed)
        model = step.build().to(get_device())
    fast = step.bfloat16 and may_be_faster_in_bfloat16(get_device())
    torch.backends.cudnn.allow_tf32 = False  # a GPU, too, computes in full float32 where it is asked to
    started = time.perf_counter()
    model, history = train_recipe(recipe, images, model=model, dtype=torch.bfloat16 if fast else torch.float32)
    if len(history) < recipe.epochs:
        raise KeyboardInterrupt  # stopped by the user: a shorter run is not this recipe
    return model, time.perf_counter() - started


def measure_accuracy(name: str, seed: int) -> dict:
    """Train one step's recipe with one seed and measure it on the 10,000 validation images."""
    model, seconds = train(name, seed=seed)
    validation = load_split("validation")
    plain, flipped = predict(model, validation), predict_tta(model, validation)
    return {
        "epochs": STEPS[name].recipe.epochs,
        "seconds": round(seconds, 1),
        "validation_accuracy": accuracy(plain.labels, plain.predictions),
        "validation_accuracy_with_flips": accuracy(flipped.labels, flipped.predictions),
    }


def time_slow_epoch(name: str) -> dict:
    """Train one epoch of one of the steps in `SLOW`, in plain float32, and return its seconds."""
    if name == KEPT_MEMORY:
        keep_freed_memory()
    if name == SLOW[0]:
        published = per_item_images()
        part = Subset(published, split_indices(published.targets, 10_000)[0].tolist())
        loader = DataLoader(part, BATCH_SIZE, shuffle=True)
    else:
        whole_batches = make_loader(load_split("train"), BATCH_SIZE, shuffle=True)
        loader = ((normalize(images), labels) for images, labels in whole_batches)
    set_seed()
    model = models.FashionCNN().to(get_device())
    return {"seconds": round(train_epoch(model, loader, torch.optim.Adam(model.parameters(), lr=1e-3)), 2)}


def time_epoch(name: str) -> dict:
    """Train one epoch of a step's recipe and return its seconds."""
    return {"seconds": round(train(name, epochs=1)[1], 2)}


def measure_compile() -> dict:
    """Compare a training step of LeanCNN with one that torch.compile made, and time the compiling."""
    plain = make_step(models.LeanCNN(), BATCH_SIZE, torch.float32, torch.channels_last)
    started = time.perf_counter()
    compiled = make_step(torch.compile(models.LeanCNN()), BATCH_SIZE, torch.float32, torch.channels_last)
    compile_seconds = time.perf_counter() - started
    milliseconds = {"plain_ms": [], "compiled_ms": []}
    for _ in tqdm(range(7), desc="torch.compile"):
        milliseconds["plain_ms"].append(plain())
        milliseconds["compiled_ms"].append(compiled())
    return {"compile_seconds": round(compile_seconds, 1)} | summary(milliseconds, "plain_ms", "compiled_ms")


def steps_rows() -> list[dict]:
    """Return one row a step, in the ladder's order; those that were not measured yet are left out.

    Returns
    -------
    list of dict
        step, epochs, seconds (of each round's training), seconds_beside_one (the same beside one busy program) and
        accuracies (of the seeds, fractions).
    """
    rows = []
    for name in [*SLOW, *STEPS]:
        timed = entries_with("steps", epoch_of=name)
        # The first ones compute the same as the one after them.
        trained = entries_with("steps", step=next(iter(STEPS)) if name in SLOW else name)
        if timed and trained:
            epochs = trained[0]["epochs"]
            by_busy = {
                number: [epochs * epoch["seconds"] for epoch in timed if epoch["busy_programs"] == number]
                for number in (0, 1)
            }
            row = {"step": name, "epochs": epochs, "seconds": by_busy[0], "seconds_beside_one": by_busy[1]}
            rows.append(row | {"accuracies": [run["validation_accuracy"] for run in trained]})
    if rows:
        # Averaging over flips trains nothing: it predicts twice with the networks of the step before.
        last = entries_with("steps", step=rows[-1]["step"])
        with_flips = [run["validation_accuracy_with_flips"] for run in last]
        rows.append({**rows[-1], "step": FLIPS_AT_TEST, "accuracies": with_flips})
    return rows


def times_as_fast(before: dict, row: dict) -> str:
    """Return median, lowest and highest ratio of two rows' seconds, over the rounds that both have been through."""
    ratios = [slow / fast for slow, fast in zip(before["seconds"], row["seconds"], strict=False)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def steps_table() -> str:
    """Return the recorded steps as a table in Markdown."""
    rows = steps_rows()
    lines = []
    for before, row in zip([None, *rows], rows, strict=False):
        gain = f"{100 * (mean(row['accuracies']) - mean(before['accuracies'])):+.2f}" if before else "–"
        faster = [times_as_fast(other, row) for other in (before, rows[0])] if before else ["–", "–"]
        seconds = [f"{median(row[key]):.0f}" if row[key] else "–" for key in ("seconds", "seconds_beside_one")]
        lines.append([row["step"], row["epochs"], *seconds, *faster, percent(row["accuracies"]), gain])
    header = [
        "step",
        "epochs",
        "seconds",
        "beside one busy program (s)",
        "times as fast as the step before",
        "times as fast as the first",
        "validation accuracy (%)",
        "gain (points)",
    ]
    return markdown_table(header, lines)


def measure_accuracies() -> None:
    """Measure what is missing of the accuracies: all steps with one seed after the other."""
    for seed in SEEDS:
        for name in STEPS:
            key = {"step": name, "seed": seed}
            measure_once("steps", key, lambda name=name, seed=seed: in_own_process(measure_accuracy, name, seed))


def measure_seconds() -> None:
    """Measure what is missing of the seconds: in each round one epoch of each step, in turn."""
    for busy, number in [*((0, number) for number in range(ROUNDS)), (1, 0)]:
        for name in [*SLOW, *STEPS]:
            key = {"epoch_of": name, "busy_programs": busy, "round": number}
            timed = time_slow_epoch if name in SLOW else time_epoch
            with busy_programs(busy):
                measure_once("steps", key, lambda name=name, timed=timed: in_own_process(timed, name))
    measure_once("steps", {"step": "torch.compile"}, measure_compile)


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accuracies", action="store_true")
    parser.add_argument("--seconds", action="store_true")
    asked = parser.parse_args()
    if asked.accuracies or not asked.seconds:
        measure_accuracies()
    if asked.seconds or not asked.accuracies:
        measure_seconds()
    print(f"\n{steps_table()}")


if __name__ == "__main__":
    start(main)
