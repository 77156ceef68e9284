"""Measure how few epochs a falling learning rate needs: the recipes of lessons 03 and 04, and longer and shorter ones.

Each is trained on 50,000 images and measured on the 10,000 validation images, three seeds each, in float32. The lessons
took their recipes from this table. Nothing here looks at the test set.
"""

from dataclasses import replace

import torch

from benchmarks.record import entries_with, mean_and_range, measure_once, percent, start
from benchmarks.sources import SOURCES
from helpers.data import load_split
from helpers.machine import markdown_table
from helpers.recipes import RECIPES, Recipe, load_training_images, train_recipe

SEEDS = (0, 1, 2)


def step_down(recipe: Recipe, epochs: int, gamma: float) -> Recipe:
    """Return a recipe whose learning rate is multiplied by `gamma` after each epoch."""
    schedule = {"schedule": "StepLR", "schedule_options": {"step_size": 1, "gamma": gamma}}
    return replace(recipe, epochs=epochs, optimizer_options={"lr": 1e-3}, **schedule)


def one_cycle(recipe: Recipe, epochs: int, highest: float = 3e-3) -> Recipe:
    """Return a recipe whose learning rate rises over 30 % of its steps and then falls to nothing."""
    return replace(recipe, epochs=epochs, optimizer_options={"lr": highest}, schedule="OneCycleLR", schedule_options={})


NET, CNN, BATCH_NORM = RECIPES["fashion_net"], RECIPES["fashion_cnn"], RECIPES["batchnorm_cnn"]
TRIED = {
    "FashionNet, 8 epochs, rate × 0.7 after each": step_down(NET, 8, 0.7),
    "FashionNet, 6 epochs, rate × 0.7 after each (lesson 03)": NET,
    "FashionNet, 6 epochs, rate × 0.6 after each": step_down(NET, 6, 0.6),
    "FashionNet, 5 epochs, rate × 0.5 after each": step_down(NET, 5, 0.5),
    "FashionNet, 4 epochs, rate × 0.4 after each": step_down(NET, 4, 0.4),
    "FashionCNN, 20 epochs at one rate (its source)": replace(SOURCES["FashionCNN"]["recipe"], images=CNN.images),
    "FashionCNN, 6 epochs, one cycle": one_cycle(CNN, 6),
    "FashionCNN, 8 epochs, one cycle (lesson 03)": CNN,
    "BatchNormCNN, 10 epochs at one rate (its source)": replace(
        SOURCES["BatchNormCNN"]["recipe"], images=BATCH_NORM.images
    ),
    "BatchNormCNN, 2 epochs, one cycle": one_cycle(BATCH_NORM, 2),
    "BatchNormCNN, 3 epochs, one cycle": one_cycle(BATCH_NORM, 3),
    "BatchNormCNN, 4 epochs, one cycle": one_cycle(BATCH_NORM, 4),
    "BatchNormCNN, 3 epochs, rate × 0.4 after each (lesson 04)": BATCH_NORM,
    "BatchNormCNN, 4 epochs, rate × 0.5 after each": step_down(BATCH_NORM, 4, 0.5),
}


def measure(name: str, seed: int) -> dict:
    """Train a recipe of `TRIED` with one seed; return epochs, validation_accuracy (fractions) and validation_loss."""
    recipe = replace(TRIED[name], seed=seed)
    torch.backends.cudnn.allow_tf32 = False  # a GPU, too, computes in full float32
    _, history = train_recipe(recipe, load_training_images(recipe), load_split("validation"))
    return {
        "epochs": len(history),
        "validation_accuracy": [round(value, 4) for value in history["validation_accuracy"]],
        "validation_loss": [round(value, 4) for value in history["validation_loss"]],
    }


def schedules_table() -> str:
    """Return the recorded figures after the last epoch, as a table in Markdown."""
    rows = []
    for name in TRIED:
        runs = entries_with("schedules", recipe=name)
        if runs:
            accuracies, losses = ([run[key][-1] for run in runs] for key in ("validation_accuracy", "validation_loss"))
            rows.append([name, len(runs), percent(accuracies), mean_and_range(losses)])
    return markdown_table(["recipe", "seeds", "validation accuracy (%)", "validation loss (nats)"], rows)


def main() -> None:
    """Measure what is missing, then print the table."""
    for name in TRIED:
        for seed in SEEDS:
            measure_once("schedules", {"recipe": name, "seed": seed}, lambda name=name, seed=seed: measure(name, seed))
    print(f"\n{schedules_table()}")


if __name__ == "__main__":
    start(main)
