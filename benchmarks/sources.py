"""Train the recipes of the five source projects as published, several seeds each, and compare with what they report.

Unlike the lessons, this looks at the test set after every epoch: the sources' own numbers were chosen that way, and a
comparison needs the same. Our figure is that of the last epoch; the best epoch stands beside it for comparison only.
"""

import argparse
from dataclasses import replace
from statistics import mean

from torch import nn

from benchmarks.record import entries_with, mean_and_range, measure_once, percent, start
from helpers import models
from helpers.data import open_test_set
from helpers.device import get_device, set_seed
from helpers.machine import markdown_table
from helpers.recipes import PUBLISHED_IMAGES, RECIPES, load_training_images, train_recipe

SEEDS = (0, 1, 2)

# What each source names in its text, and what it leaves open and the series chose ("ours").
SOURCES = {
    "MLP": {
        "recipe": replace(RECIPES["mlp"], images=PUBLISHED_IMAGES),
        "source": "Image Classification using PyTorch (Fashion-MNIST)",
        "ours": "everything but the layers' kind",
    },
    "FashionNet": {
        # The lesson's own training is shorter: six epochs.
        "recipe": replace(RECIPES["fashion_net"], images=PUBLISHED_IMAGES, epochs=8),
        "source": "FashionNet",
        "ours": "widths, epochs, batch size, learning rate, step and gamma of StepLR",
    },
    "FashionCNN": {
        # The lesson's own training is shorter: eight epochs with a one-cycle schedule.
        "recipe": replace(
            RECIPES["fashion_cnn"],
            images=PUBLISHED_IMAGES,
            epochs=20,
            optimizer_options={"lr": 1e-3},
            schedule=None,
            schedule_options={},
        ),
        "source": "FashionMNIST Image Classification (PyTorch CNN)",
        "reported_last": 0.9269,
        "reported_best": 0.9304,
        "ours": "hidden width 128",
    },
    "BatchNormCNN": {
        # The lesson's own training is shorter: three epochs with a falling learning rate.
        "recipe": replace(
            RECIPES["batchnorm_cnn"], images=PUBLISHED_IMAGES, epochs=10, schedule=None, schedule_options={}
        ),
        "source": "Classification of Fashion MNIST using PyTorch",
        "reported_last": 0.9254,
        "ours": "optimizer and learning rate",
    },
    "SimpleCNN": {
        "recipe": RECIPES["simple_cnn"],
        "source": "pytorch-image-classifier",
        "ours": "padding, learning rate, momentum, weight decay, StepLR",
    },
}


# FashionCNN's text leaves open how wide its hidden layer is and where its dropout is, but it tells losses.
AS_IN_THE_LESSON = "as in lesson 03: 128 hidden units, dropout behind them"
VARIANTS = ("256 hidden units", "dropout before the 128 hidden units")
FASHION_CNN_LOSSES = {"last_train_loss": 0.0952, "lowest_test_loss": 0.2126}


def fashion_cnn(variant: str) -> nn.Sequential:
    """Return FashionCNN as its source may have meant it, too. ValueError if `variant` is not one of `VARIANTS`."""
    *convolutions, hidden, relu, dropout, last = models.FashionCNN()
    if variant == "256 hidden units":
        return nn.Sequential(*convolutions, nn.Linear(hidden.in_features, 256), relu, dropout, nn.Linear(256, 10))
    if variant == "dropout before the 128 hidden units":
        return nn.Sequential(*convolutions, dropout, hidden, relu, last)
    raise ValueError(f"There is no variant {variant!r} of FashionCNN. There are: {', '.join(VARIANTS)}.")


def train_source(name: str, seed: int, variant: str | None = None) -> dict:
    """Train one recipe with one seed and measure it on the test set after every epoch.

    Parameters
    ----------
    name : str
        A key of `SOURCES`, which is also the network's name in `helpers.models`.
    seed : int
        Fixes weights, order of the images and dropout.
    variant : str, optional
        One of `VARIANTS`; for FashionCNN only.

    Returns
    -------
    dict
        parameters, train_images, epochs, seconds (training and evaluation); of each epoch train_loss, test_loss
        (nats) and test_accuracy (fractions).
    """
    recipe = replace(SOURCES[name]["recipe"], seed=seed)
    train = load_training_images(recipe)
    test = open_test_set(f"benchmark of {name}, seed {seed}: the source looked at the test set after every epoch")
    set_seed(seed)
    model, history = train_recipe(recipe, train, test, fashion_cnn(variant).to(get_device()) if variant else None)
    if len(history) < recipe.epochs:
        raise KeyboardInterrupt  # stopped by the user: a shorter run is not this recipe
    return {
        "parameters": models.count_parameters(model),
        "train_images": len(train),
        "epochs": len(history),
        "seconds": round(float(history["seconds"].sum()), 1),
        "train_loss": [round(float(value), 4) for value in history["train_loss"]],
        "test_loss": [round(float(value), 4) for value in history["validation_loss"]],
        "test_accuracy": [round(float(value), 4) for value in history["validation_accuracy"]],
    }


def sources_table() -> str:
    """Return the recorded results beside what the sources report, as a table in Markdown."""
    rows = []
    for name, recipe in SOURCES.items():
        runs = entries_with("sources", recipe=name)
        if not runs:
            continue
        last = [run["test_accuracy"][-1] for run in runs]
        best = [max(run["test_accuracy"]) for run in runs]
        reported = [f"{100 * recipe[key]:.2f}" if key in recipe else "–" for key in ("reported_last", "reported_best")]
        gap = f"{100 * (mean(last) - recipe['reported_last']):+.2f}" if "reported_last" in recipe else "–"
        rows.append(
            [
                name,
                f"{runs[0]['parameters']:,}",
                f"{runs[0]['train_images']:,}",
                runs[0]["epochs"],
                len(runs),
                percent(last),
                reported[0],
                gap,
                percent(best),
                reported[1],
                f"{mean(run['seconds'] for run in runs):.0f}",
            ]
        )
    header = [
        "recipe",
        "parameters",
        "training images",
        "epochs",
        "seeds",
        "test accuracy at the last epoch (%)",
        "source reports (%)",
        "gap (points)",
        "best epoch, chosen on test (%)",
        "source reports (%)",
        "seconds",
    ]
    return markdown_table(header, rows)


def variants_table() -> str:
    """Return the losses and accuracies of FashionCNN's variants beside what its source reports, in Markdown."""
    rows = []
    measured = {variant: entries_with("variants", variant=variant) for variant in VARIANTS}
    for variant, runs in {AS_IN_THE_LESSON: entries_with("sources", recipe="FashionCNN"), **measured}.items():
        if not runs:
            continue
        rows.append(
            [
                variant,
                f"{runs[0]['parameters']:,}",
                len(runs),
                mean_and_range([run["train_loss"][-1] for run in runs]),
                mean_and_range([min(run["test_loss"]) for run in runs]),
                percent([run["test_accuracy"][-1] for run in runs]),
                percent([max(run["test_accuracy"]) for run in runs]),
            ]
        )
    losses = [f"{value:.3f}" for value in FASHION_CNN_LOSSES.values()]
    accuracies = [f"{100 * SOURCES['FashionCNN'][key]:.2f}" for key in ("reported_last", "reported_best")]
    rows.append(["the source", "–", 1, *losses, *accuracies])
    header = [
        "FashionCNN",
        "parameters",
        "seeds",
        "training loss of the last epoch",
        "lowest test loss",
        "test accuracy at the last epoch (%)",
        "best epoch, chosen on test (%)",
    ]
    return markdown_table(header, rows)


def main() -> None:
    """Measure what is missing, recipe by recipe, then FashionCNN's variants, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=list(SOURCES), help="names of recipes; all by default")
    for name in parser.parse_args().recipes:
        for seed in SEEDS:
            key = {"recipe": name, "seed": seed}
            measure_once("sources", key, lambda name=name, seed=seed: train_source(name, seed))
    for seed in SEEDS:
        for variant in VARIANTS:
            key = {"variant": variant, "seed": seed}
            measure_once("variants", key, lambda key=key: train_source("FashionCNN", **key))
    print(f"\n{sources_table()}\n\n{variants_table()}")


if __name__ == "__main__":
    start(main)
