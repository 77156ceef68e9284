"""Keep trained models on disk, with what made them, and load or train the ones a lesson needs."""

import os
import pickle
import zipfile
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.optim.lr_scheduler import StepLR

from helpers import config, models
from helpers.data import load_split
from helpers.fetch import SHA256
from helpers.training import fit

# What the lessons train, so that lesson 05 can train what is missing. Each lesson shows that its
# own recipe, written there in the open, is the same.
RECIPES = {
    "mlp": {
        "lesson": "02_mlp_baseline",
        "model": "MLP",
        "epochs": 12,
        "batch_size": 128,
        "optimizer": "Adam",
        "lr": 1e-3,
        "step_size": 8,
        "gamma": 0.1,
        "loss": "cross_entropy",
    },
    "fashion_net": {
        "lesson": "03_cnn_dropout",
        "model": "FashionNet",
        "epochs": 8,
        "batch_size": 64,
        "optimizer": "Adam",
        "lr": 1e-3,
        "step_size": 1,
        "gamma": 0.7,
        "loss": "nll_loss",
    },
    "fashion_cnn": {
        "lesson": "03_cnn_dropout",
        "model": "FashionCNN",
        "epochs": 20,
        "batch_size": 128,
        "optimizer": "Adam",
        "lr": 1e-3,
        "step_size": None,
        "gamma": None,
        "loss": "cross_entropy",
    },
    "batchnorm_cnn": {
        "lesson": "04_batchnorm_cnn",
        "model": "BatchNormCNN",
        "epochs": 10,
        "batch_size": 64,
        "optimizer": "Adam",
        "lr": 1e-3,
        "step_size": None,
        "gamma": None,
        "loss": "cross_entropy",
    },
}


# What reading a damaged or foreign file may raise.
DAMAGE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message says why and what to do."""


def checkpoint_path(name: str) -> Path:
    """Return where the checkpoint of that name is kept; FAST=1 has a folder of its own."""
    return config.RUNS_DIR / f"{name}.pt"


def save_checkpoint(name: str, model: nn.Module, recipe: dict, history: pd.DataFrame) -> Path:
    """Write a model and what made it, under a temporary name first, so never half a file.

    Parameters
    ----------
    name : str
        Such as "mlp"; the file is `runs/full/mlp.pt`.
    model : nn.Module
        Its weights are kept.
    recipe : dict
        Of plain numbers and strings: what another run needs to repeat it.
    history : pd.DataFrame
        From `fit`.

    Returns
    -------
    Path
        The file.
    """
    last = history.iloc[-1] if len(history) else {}
    content = {
        "model": type(model).__name__,
        "weights": {key: value.cpu().contiguous() for key, value in model.state_dict().items()},
        "recipe": recipe,
        "seed": config.SEED,
        "data_sha256": SHA256["train-images-idx3-ubyte"],
        "versions": {"torch": str(torch.__version__), "torchvision": str(torchvision.__version__)},
        "history": history.to_dict("list"),
        "validation_accuracy": float(last.get("validation_accuracy", float("nan"))),
        "validation_loss": float(last.get("validation_loss", float("nan"))),
        "fast": config.FAST,
    }
    path = checkpoint_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        torch.save(content, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_checkpoint(name: str, model: nn.Module) -> dict:
    """Read a checkpoint into a model.

    Parameters
    ----------
    name : str
        As for `save_checkpoint`.
    model : nn.Module
        Of the architecture that was saved. Its weights are replaced, and it is put into evaluation mode.

    Returns
    -------
    dict
        What made it: model, recipe, seed, data_sha256, versions, history (a DataFrame),
        validation_accuracy, validation_loss, fast.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CheckpointError
        If it is damaged or of another architecture.
    """
    path = checkpoint_path(name)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}. The lesson that trains {name!r} writes it.")
    advice = f"Move or delete it, then run the lesson that trains {name!r} again, or load_or_train({name!r})."
    try:
        # The file is a zip archive with checksums, which torch.load does not compare.
        with zipfile.ZipFile(path) as archive:
            if changed := archive.testzip():
                raise zipfile.BadZipFile(f"the part {changed} was altered")
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights = content.pop("weights")
        saved_model = content["model"]
        content["history"] = pd.DataFrame(content["history"])
    except DAMAGE as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"The checkpoint {path} is damaged ({reason[0][:100]}). {advice}") from None
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise CheckpointError(
            f"The checkpoint {path} holds a {saved_model} whose layers differ from this {type(model).__name__}. "
            f"Build the model that was saved, or: {advice}"
        ) from None
    model.eval()
    return content


def make_optimizer(recipe: dict, model: nn.Module) -> tuple[torch.optim.Optimizer, StepLR | None]:
    """Build the optimizer and the learning-rate schedule that a recipe names."""
    optimizer = getattr(torch.optim, recipe["optimizer"])(model.parameters(), lr=recipe["lr"])
    if recipe["step_size"] is None:
        return optimizer, None
    return optimizer, StepLR(optimizer, step_size=recipe["step_size"], gamma=recipe["gamma"])


def load_or_train(name: str) -> nn.Module:
    """Return a trained model of an earlier lesson: from its checkpoint, or trained here and now.

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
    """
    recipe = RECIPES[name]
    config.set_seed()
    model = getattr(models, recipe["model"])()
    try:
        made_by = load_checkpoint(name, model)
        print(
            f"{recipe['model']}: loaded from lesson {recipe['lesson']}, {len(made_by['history'])} epochs, "
            f"validation accuracy {made_by['validation_accuracy']:.2%}."
        )
        return model.to(config.get_device())
    except FileNotFoundError:
        print(f"{recipe['model']}: no checkpoint of lesson {recipe['lesson']} yet, so it is trained now.")
    model.to(config.get_device())
    optimizer, scheduler = make_optimizer(recipe, model)
    history = fit(
        model,
        load_split("train"),
        load_split("validation"),
        optimizer,
        epochs=recipe["epochs"],
        batch_size=recipe["batch_size"],
        scheduler=scheduler,
        loss_function=getattr(F, recipe["loss"]),
    )
    epochs_meant = min(recipe["epochs"], config.FAST_EPOCHS) if config.FAST else recipe["epochs"]
    if len(history) == epochs_meant:
        save_checkpoint(name, model, recipe, history)
    else:
        print("The training was stopped early, so this model is not kept for other lessons.")
    return model.eval()
