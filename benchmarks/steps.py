"""Measure what each idea of lesson 07 gains: accuracy on validation images and seconds, three seeds a step.

Each step keeps the ideas before it. The first two compute what the third computes, only slower, so their accuracy is
that of the third. The seconds are those of one epoch times the epochs: one epoch of every step is timed in turn, in
several rounds, since the same machine is faster in one hour than in the next. Nothing here looks at the test set.
"""

import time
from dataclasses import replace
from statistics import mean, median

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from benchmarks.plain import per_item_images, train_epoch
from benchmarks.record import entries_with, in_own_process, measure_once, percent, start, summary
from benchmarks.sources import SOURCES
from benchmarks.speed import make_step
from helpers import models
from helpers.augment import predict_tta
from helpers.data import load_split, make_loader, normalize, split_indices
from helpers.device import get_device, keep_freed_memory, set_seed
from helpers.evaluation import accuracy, predict
from helpers.machine import markdown_table
from helpers.recipes import RECIPES, load_training_images, train_recipe

SEEDS = (0, 1, 2)
ROUNDS = 3
EPOCHS = 5
BATCH_SIZE = 128

SLOW = ["the source's recipe, one image at a time", "whole batches"]
ONE_CYCLE = {"schedule": "OneCycleLR", "schedule_options": {"pct_start": 0.25, "cycle_momentum": False}}
SGD_OPTIONS = {"lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
SOURCE = replace(SOURCES["FashionCNN"]["recipe"], images=RECIPES["fashion_cnn"].images)
FASTER = replace(SOURCE, epochs=EPOCHS, optimizer_options={"lr": 5e-3}, **ONE_CYCLE)
LEAN = replace(FASTER, network="LeanCNN", optimizer_options={"lr": 2e-2})
NESTEROV = replace(LEAN, optimizer="SGD", optimizer_options=SGD_OPTIONS)
SMOOTH = replace(NESTEROV, loss_options={"label_smoothing": 0.1})
FLIPPED = replace(SMOOTH, augment=("random_flip",))
KEPT_MEMORY = "freed memory is kept"
STEPS = {
    "channels_last, and bfloat16 where it is faster": SOURCE,
    "one-cycle schedule": FASTER,
    "batch normalisation and a leaner network": LEAN,
    "SGD with Nesterov momentum": NESTEROV,
    "label smoothing": SMOOTH,
    "random flips": FLIPPED,
    "Muon for the convolutions": RECIPES["sprint"],
    KEPT_MEMORY: RECIPES["sprint"],
}
FLIPS_AT_TEST = "averaging over flips at test time"
# A learning rate in proportion to the batch, as is the rule (Goyal et al., 2017).
OTHER_BATCHES = {
    f"batches of {size}": replace(
        FLIPPED,
        batch_size=size,
        optimizer_options=SGD_OPTIONS | {"lr": SGD_OPTIONS["lr"] * size / FLIPPED.batch_size},
    )
    for size in (32, 512)
}
TRAINED = STEPS | OTHER_BATCHES


def train(name: str, **changes) -> tuple[nn.Module, float]:
    """Train a step's recipe, with some fields changed, on 50,000 images; return the network and the seconds."""
    recipe = replace(TRAINED[name], **changes)
    if name == KEPT_MEMORY:
        keep_freed_memory()
    images = load_training_images(recipe)
    started = time.perf_counter()
    model, history = train_recipe(recipe, images)
    if len(history) < recipe.epochs:
        raise KeyboardInterrupt  # stopped by the user: a shorter run is not this recipe
    return model, time.perf_counter() - started


def measure_accuracy(name: str, seed: int) -> dict:
    """Train one step's recipe with one seed and measure it on the 10,000 validation images."""
    model, seconds = train(name, seed=seed)
    validation = load_split("validation")
    plain, flipped = predict(model, validation), predict_tta(model, validation)
    return {
        "epochs": TRAINED[name].epochs,
        "seconds": round(seconds, 1),
        "validation_accuracy": accuracy(plain.labels, plain.predictions),
        "validation_accuracy_with_flips": accuracy(flipped.labels, flipped.predictions),
    }


def time_slow_epoch(name: str) -> dict:
    """Train one epoch of one of the first two steps, in plain float32, and return its seconds."""
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
    """Return one row a step: name, epochs, seconds of each round's training, accuracies of the seeds (fractions).

    The rows are in the ladder's order. Rows that were not measured yet are left out.
    """
    rows = []
    for name in [*SLOW, *STEPS]:
        timed = entries_with("steps", epoch_of=name)
        # The first two compute the same as the third.
        trained = entries_with("steps", step=next(iter(STEPS)) if name in SLOW else name)
        if timed and trained:
            epochs = trained[0]["epochs"]
            accuracies = [run["validation_accuracy"] for run in trained]
            seconds = [epochs * epoch["seconds"] for epoch in timed]
            rows.append({"step": name, "epochs": epochs, "seconds": seconds, "accuracies": accuracies})
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
        seconds = f"{median(row['seconds']):.0f}"
        lines.append([row["step"], row["epochs"], seconds, *faster, percent(row["accuracies"]), gain])
    header = [
        "step",
        "epochs",
        "seconds",
        "times as fast as the step before",
        "times as fast as the first",
        "validation accuracy (%)",
        "gain (points)",
    ]
    return markdown_table(header, lines)


def main() -> None:
    """Measure what is missing: all steps with one seed after the other, then one epoch of each in turn."""
    for seed in SEEDS:
        for name in TRAINED:
            key = {"step": name, "seed": seed}
            measure_once("steps", key, lambda name=name, seed=seed: in_own_process(measure_accuracy, name, seed))
    for number in range(ROUNDS):
        for name in SLOW:
            key = {"epoch_of": name, "round": number}
            measure_once("steps", key, lambda name=name: in_own_process(time_slow_epoch, name))
        for name in TRAINED:
            key = {"epoch_of": name, "round": number}
            measure_once("steps", key, lambda name=name: in_own_process(time_epoch, name))
    measure_once("steps", {"step": "torch.compile"}, measure_compile)
    print(f"\n{steps_table()}")


if __name__ == "__main__":
    start(main)
