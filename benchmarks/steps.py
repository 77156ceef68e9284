"""Measure what each idea of lesson 07 gains: accuracy on validation images and seconds, three seeds a step.

Each step keeps the ideas before it. The first two compute what the third computes, only slower, so their accuracy is
that of the third. The seconds are those of one epoch times the epochs: one epoch of every step is timed in turn, in
several rounds, since the same machine is faster in one hour than in the next. Nothing here looks at the test set.
"""

import math
import time
from statistics import mean, median

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from benchmarks.plain import per_item_images, train_epoch
from benchmarks.record import entries_with, in_own_process, measure_once, percent, start, summary
from benchmarks.speed import make_step
from helpers import config, models
from helpers.augment import predict_with_flips, random_flip
from helpers.data import load_split, make_loader, normalize, split_indices
from helpers.evaluation import accuracy, predict
from helpers.machine import markdown_table
from helpers.memory import keep_freed_memory
from helpers.muon import muon_for
from helpers.training import fit

SEEDS = (0, 1, 2)
ROUNDS = 3
SOURCE_EPOCHS, EPOCHS = 20, 5
BATCH_SIZE = 128

SLOW = ["the source's recipe, one image at a time", "whole batches"]
ADAM = {"optimizer": "Adam", "options": {"lr": 1e-3}}
SGD = {"optimizer": "SGD", "options": {"lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}}
MUON = {
    "network": "LeanCNN",
    "one_cycle": True,
    "label_smoothing": 0.1,
    "flips": True,
    "optimizer": "Muon",
    "options": {"lr": 0.05, "other_lr": 0.2, "momentum": 0.9, "weight_decay": 5e-4},
}
STEPS = {
    "channels_last, and bfloat16 where it is faster": {"network": "FashionCNN", "epochs": SOURCE_EPOCHS} | ADAM,
    "one-cycle schedule": {"network": "FashionCNN", "one_cycle": True, "optimizer": "Adam", "options": {"lr": 5e-3}},
    "batch normalisation and a leaner network": {
        "network": "LeanCNN",
        "one_cycle": True,
        "optimizer": "Adam",
        "options": {"lr": 2e-2},
    },
    "SGD with Nesterov momentum": {"network": "LeanCNN", "one_cycle": True} | SGD,
    "label smoothing": {"network": "LeanCNN", "one_cycle": True, "label_smoothing": 0.1} | SGD,
    "random flips": {"network": "LeanCNN", "one_cycle": True, "label_smoothing": 0.1, "flips": True} | SGD,
    "Muon for the convolutions": MUON,
    "freed memory is kept": MUON | {"keep_memory": True},
}
FLIPS_AT_TEST = "averaging over flips at test time"
# A learning rate in proportion to the batch, as is the rule (Goyal et al., 2017).
OTHER_BATCHES = {
    f"batches of {size}": STEPS["random flips"]
    | {"batch_size": size, "options": SGD["options"] | {"lr": SGD["options"]["lr"] * size / BATCH_SIZE}}
    for size in (32, 512)
}


def train(step: dict, seed: int, epochs: int) -> tuple[nn.Module, float]:
    """Train a step's recipe on 50,000 images for its first epochs; return the network and the seconds."""
    if step.get("keep_memory"):
        keep_freed_memory()
    config.set_seed(seed)
    images = load_split("train")
    batch_size = step.get("batch_size", BATCH_SIZE)
    model = getattr(models, step["network"])().to(config.get_device())
    if step["optimizer"] == "Muon":
        optimizer = muon_for(model, **step["options"])
    else:
        optimizer = getattr(torch.optim, step["optimizer"])(model.parameters(), **step["options"])
    schedule = None
    if step.get("one_cycle"):
        steps = EPOCHS * math.ceil(len(images) / batch_size)
        highest = [group["lr"] for group in optimizer.param_groups]
        schedule = OneCycleLR(optimizer, highest, total_steps=steps, pct_start=0.25, cycle_momentum=False)
    started = time.perf_counter()
    history = fit(
        model,
        images,
        None,
        optimizer,
        epochs,
        batch_size,
        batch_scheduler=schedule,
        augment=random_flip if step.get("flips") else None,
        loss_function=nn.CrossEntropyLoss(label_smoothing=step.get("label_smoothing", 0.0)),
        seed=seed,
    )
    if len(history) < epochs:
        raise KeyboardInterrupt  # stopped by the user: a shorter run is not this recipe
    return model, time.perf_counter() - started


def measure_accuracy(step: dict, seed: int) -> dict:
    """Train one step's recipe with one seed and measure it on the 10,000 validation images."""
    epochs = step.get("epochs", EPOCHS)
    model, seconds = train(step, seed, epochs)
    validation = load_split("validation")
    plain, flipped = predict(model, validation), predict_with_flips(model, validation)
    return {
        "epochs": epochs,
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
    config.set_seed()
    model = models.FashionCNN().to(config.get_device())
    return {"seconds": round(train_epoch(model, loader, torch.optim.Adam(model.parameters(), lr=1e-3)), 2)}


def time_epoch(step: dict) -> dict:
    """Train one epoch of a step's recipe and return its seconds."""
    return {"seconds": round(train(step, config.SEED, epochs=1)[1], 2)}


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
    trained = STEPS | OTHER_BATCHES
    for seed in SEEDS:
        for name, step in trained.items():
            key = {"step": name, "seed": seed}
            measure_once("steps", key, lambda step=step, seed=seed: in_own_process(measure_accuracy, step, seed))
    for number in range(ROUNDS):
        for name in SLOW:
            key = {"epoch_of": name, "round": number}
            measure_once("steps", key, lambda name=name: in_own_process(time_slow_epoch, name))
        for name, step in trained.items():
            key = {"epoch_of": name, "round": number}
            measure_once("steps", key, lambda step=step: in_own_process(time_epoch, step))
    measure_once("steps", {"step": "torch.compile"}, measure_compile)
    print(f"\n{steps_table()}")


if __name__ == "__main__":
    start(main)
