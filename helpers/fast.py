"""The recipes that lesson 07 arrives at: the accuracy of the earlier lessons in a fraction of their time."""

import math

import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import TensorDataset

from helpers import augment, config, models
from helpers.memory import keep_freed_memory
from helpers.muon import muon_for
from helpers.training import fit

RECIPES = {
    "sprint": {
        "model": "LeanCNN",
        "epochs": 5,
        "batch_size": 128,
        "lr": 0.05,
        "other_lr": 0.2,
        "weight_decay": 5e-4,
        "label_smoothing": 0.1,
        "augment": ["random_flip"],
    },
    "marathon": {
        "model": "ResidualCNN",
        "epochs": 22,
        "batch_size": 128,
        "lr": 0.05,
        "other_lr": 0.2,
        "weight_decay": 5e-4,
        "label_smoothing": 0.1,
        "augment": ["random_flip", "random_shift", "random_erase"],
    },
}


def augment_with(names: list[str]):
    """Return a function that applies those functions of `helpers.augment` to a batch, one after the other."""

    def change(images: torch.Tensor) -> torch.Tensor:
        for name in names:
            images = getattr(augment, name)(images)
        return images

    return change


def train_fast(
    name: str, train: TensorDataset, validation: TensorDataset | None = None, seed: int = config.SEED
) -> tuple[nn.Module, pd.DataFrame]:
    """Build the network of a recipe and train it: Muon under a one-cycle schedule.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    train, validation : TensorDataset
        As for `fit`. Without validation images nothing is measured between the epochs.
    seed : int
        Fixes the weights, the order of the images and their changes.

    Returns
    -------
    model : nn.Module
        On this machine's device.
    history : pd.DataFrame
        As from `fit`.

    Notes
    -----
    Sources: OneCycle, Smith and Topin, "Super-Convergence", 2017; label smoothing, Szegedy et al., 2016; Muon, Jordan
    et al., 2024.
    """
    recipe = RECIPES[name]
    keep_freed_memory()
    config.set_seed(seed)
    model = getattr(models, recipe["model"])().to(config.get_device())
    optimizer = muon_for(model, recipe["lr"], recipe["other_lr"], 0.9, recipe["weight_decay"])
    schedule = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=recipe["epochs"] * math.ceil(len(train) / recipe["batch_size"]),
        pct_start=0.25,
        cycle_momentum=False,
    )
    history = fit(
        model,
        train,
        validation,
        optimizer,
        recipe["epochs"],
        recipe["batch_size"],
        batch_scheduler=schedule,
        augment=augment_with(recipe["augment"]),
        loss_function=nn.CrossEntropyLoss(label_smoothing=recipe["label_smoothing"]),
        seed=seed,
    )
    return model, history
