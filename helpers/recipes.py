"""The recipes of the series: what a training needs to be repeated, and how it is trained, or loaded where it was."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import TensorDataset

from helpers import augment, config, models
from helpers.checkpoints import epochs_meant, load_checkpoint, save_checkpoint
from helpers.data import load_images, load_split
from helpers.device import get_device, set_seed
from helpers.muon import make_muon
from helpers.training import fit

PUBLISHED_IMAGES = 60_000  # for training, of which a lesson leaves some for validation


@dataclass(frozen=True)
class Recipe:
    """What a training needs to be repeated. `dataclasses.replace` makes a variation of it.

    Attributes
    ----------
    lesson : str
        The lesson that trains it in the open.
    network : str
        A class of `helpers.models`.
    epochs, batch_size : int
        Passes over the training images, and images in a batch.
    images : int
        Training images, of the 60,000 published; the rest is for validation.
    optimizer, optimizer_options : str, dict
        A class of `torch.optim`, or "Muon", with its settings.
    schedule, schedule_options : str, dict
        None, "StepLR" (stepped after each epoch) or "OneCycleLR" (after each batch; it rises to the optimizer's
        learning rates), with its settings.
    loss, loss_options : str, dict
        A function of `torch.nn.functional`, with its settings.
    augment : tuple of str
        Functions of `helpers.augment`, applied to each training batch in this order.
    seed : int
        Fixes the first weights, the order of the images, their changes and the dropout.
    """

    lesson: str
    network: str
    epochs: int
    batch_size: int
    images: int = 50_000
    optimizer: str = "Adam"
    optimizer_options: dict = field(default_factory=lambda: {"lr": 1e-3})
    schedule: str | None = None
    schedule_options: dict = field(default_factory=dict)
    loss: str = "cross_entropy"
    loss_options: dict = field(default_factory=dict)
    augment: tuple[str, ...] = ()
    seed: int = config.SEED


# What lesson 07 arrives at. Sources: OneCycle, Smith and Topin, "Super-Convergence", 2017; label smoothing, Szegedy et
# al., 2016; Muon, Jordan et al., 2024.
ONE_CYCLE_MUON = {
    "lesson": "07_train_faster",
    "batch_size": 128,
    "optimizer": "Muon",
    "optimizer_options": {"lr": 0.05, "other_lr": 0.2, "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": "OneCycleLR",
    "schedule_options": {"pct_start": 0.25, "cycle_momentum": False},
    "loss_options": {"label_smoothing": 0.1},
}

RECIPES = {
    "mlp": Recipe(
        lesson="02_mlp_baseline",
        network="MLP",
        epochs=12,
        batch_size=128,
        schedule="StepLR",
        schedule_options={"step_size": 8, "gamma": 0.1},
    ),
    "fashion_net": Recipe(
        lesson="03_cnn_dropout",
        network="FashionNet",
        epochs=6,
        batch_size=64,
        schedule="StepLR",
        schedule_options={"step_size": 1, "gamma": 0.7},
        loss="nll_loss",
    ),
    "fashion_cnn": Recipe(
        lesson="03_cnn_dropout",
        network="FashionCNN",
        epochs=8,
        batch_size=128,
        optimizer_options={"lr": 3e-3},
        schedule="OneCycleLR",
    ),
    "batchnorm_cnn": Recipe(
        lesson="04_batchnorm_cnn",
        network="BatchNormCNN",
        epochs=3,
        batch_size=64,
        schedule="StepLR",
        schedule_options={"step_size": 1, "gamma": 0.4},
    ),
    "simple_cnn": Recipe(
        lesson="06_training_diagnostics",
        network="SimpleCNN",
        epochs=10,
        batch_size=36,
        images=45_000,
        optimizer="SGD",
        optimizer_options={"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="StepLR",
        schedule_options={"step_size": 8, "gamma": 0.1},
    ),
    "sprint": Recipe(**ONE_CYCLE_MUON, network="LeanCNN", epochs=5, augment=("random_flip",)),
    "marathon": Recipe(
        **ONE_CYCLE_MUON, network="ResidualCNN", epochs=22, augment=("random_flip", "random_shift", "random_erase")
    ),
}


def make_model(recipe: Recipe) -> nn.Module:
    """Build the network of a recipe with the first weights of its seed, on this machine's device."""
    set_seed(recipe.seed)
    return getattr(models, recipe.network)().to(get_device())


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer of a recipe over a model's parameters."""
    if recipe.optimizer == "Muon":
        return make_muon(model, **recipe.optimizer_options)
    return getattr(torch.optim, recipe.optimizer)(model.parameters(), **recipe.optimizer_options)


def make_schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, images: int) -> dict[str, LRScheduler]:
    """Build the learning-rate schedule of a recipe, for so many training images.

    Returns
    -------
    dict
        What `fit` is given: "scheduler" or "batch_scheduler"; empty without a schedule.
    """
    if recipe.schedule is None:
        return {}
    make = partial(getattr(torch.optim.lr_scheduler, recipe.schedule), optimizer, **recipe.schedule_options)
    if recipe.schedule != "OneCycleLR":
        return {"scheduler": make()}
    highest = [group["lr"] for group in optimizer.param_groups]
    steps = recipe.epochs * math.ceil(images / recipe.batch_size)
    return {"batch_scheduler": make(max_lr=highest, total_steps=steps)}


def make_augment(recipe: Recipe):
    """Return the function that applies the changes of a recipe to a batch; None if it has none."""
    if not recipe.augment:
        return None

    def change(images: torch.Tensor) -> torch.Tensor:
        for name in recipe.augment:
            images = getattr(augment, name)(images)
        return images

    return change


def load_training_images(recipe: Recipe) -> TensorDataset:
    """Load the training images of a recipe: all of the published ones, or those that are not for validation."""
    if recipe.images == PUBLISHED_IMAGES:
        return TensorDataset(*load_images(train=True))
    return load_split("train", PUBLISHED_IMAGES - recipe.images)


def train_recipe(
    recipe: Recipe,
    train: TensorDataset,
    validation: TensorDataset | None = None,
    model: nn.Module | None = None,
    dtype: torch.dtype | None = None,
    after_epoch: Callable[[int, nn.Module], None] | None = None,
    replay: bool | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Build the network of a recipe and train it.

    Parameters
    ----------
    recipe : Recipe
        Such as `RECIPES["mlp"]`.
    train, validation : TensorDataset
        As for `fit`: the recipe's own training images or others. Without validation images nothing is measured
        between the epochs.
    model : nn.Module, optional
        Another network than the recipe's, to be trained by it.
    dtype, after_epoch, replay : torch.dtype, callable, bool, optional
        As for `fit`.

    Returns
    -------
    model : nn.Module
        On this machine's device.
    history : pd.DataFrame
        As from `fit`.
    """
    model = make_model(recipe) if model is None else model
    optimizer = make_optimizer(recipe, model)
    history = fit(
        model,
        train,
        validation,
        optimizer,
        recipe.epochs,
        recipe.batch_size,
        **make_schedule(recipe, optimizer, len(train)),
        augment=make_augment(recipe),
        loss_fn=partial(getattr(F, recipe.loss), **recipe.loss_options),
        dtype=dtype,
        after_epoch=after_epoch,
        replay=replay,
        seed=recipe.seed,
    )
    return model, history


def load_or_train(name: str) -> nn.Module:
    """Return a trained model of an earlier lesson: from its checkpoint, or trained here and now.

    A checkpoint of a training that was stopped is not taken for a finished one: the model is trained anew.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.

    Returns
    -------
    nn.Module
        On this machine's device, in evaluation mode.

    Raises
    ------
    CheckpointError
        If there is a checkpoint that cannot be used. It is not overwritten.
    ValueError
        If no recipe has that name.
    """
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}: choose one of {', '.join(map(repr, RECIPES))}.")
    recipe = RECIPES[name]
    model = make_model(recipe)
    try:
        made_by = load_checkpoint(name, model)
    except FileNotFoundError:
        print(f"{recipe.network}: no checkpoint of lesson {recipe.lesson} yet, so it is trained now.")
    else:
        epochs, meant = len(made_by["history"]), epochs_meant(made_by["recipe"], made_by["fast"])
        if epochs >= meant:
            reached = made_by["validation_accuracy"]
            print(
                f"{recipe.network}: loaded from lesson {recipe.lesson}, {epochs} epochs, validation accuracy "
                + ("not measured." if math.isnan(reached) else f"{reached:.2%}.")
            )
            return model
        print(
            f"{recipe.network}: the training in lesson {recipe.lesson} was stopped after {epochs} of {meant} "
            "epochs, so it is trained now."
        )
    validation = load_split("validation", PUBLISHED_IMAGES - recipe.images)
    model, history = train_recipe(recipe, load_training_images(recipe), validation, replay=False)
    save_checkpoint(name, model, asdict(recipe), history)
    return model.eval()
