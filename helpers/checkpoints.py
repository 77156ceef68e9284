"""Keep trained models on disk, with what made them, and read them again."""

import codecs
import contextlib
import dataclasses
import os
import pickle
import pickletools
import zipfile
from enum import Enum
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.serialization import get_unsafe_globals_in_checkpoint

from helpers import config
from helpers.fetch import SHA256
from helpers.files import replacing
from helpers.inputs import describe
from helpers.unfinished import how_far

WRAPPER_PREFIXES = ("module.", "_orig_mod.")

# The parts of a checkpoint.
PARTS = (
    "model",
    "weights",
    "recipe",
    "seed",
    "data_sha256",
    "versions",
    "history",
    "validation_accuracy",
    "validation_loss",
    "fast",
)


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message says why and what to do."""


def checkpoint_path(name: str) -> Path:
    """Return where the checkpoint of that name is kept; FAST=1 has a folder of its own.

    Raises
    ------
    ValueError
        For a name that would lead out of that folder.
    """
    if not isinstance(name, str) or not name or not set(name).isdisjoint("/\\:"):
        raise ValueError(f"A checkpoint has a name such as 'mlp', without folder and ending, but got {name!r}.")
    return config.RUNS_DIR / f"{name}.pt"


def check_is_model(where: str, model) -> None:
    """Raise TypeError unless a model is an nn.Module: its weights alone, or its class, are none."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{where} wants the model itself, an nn.Module, and looks after its weights, but got {describe(model)}."
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside of the wrappers of `torch.compile` and of training on several GPUs."""
    while type(model).__name__ in ("OptimizedModule", "DataParallel", "DistributedDataParallel"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module
    return model


def plain(value, where: str):
    """Return a value as plain Python, which can be read again without running code.

    Parameters
    ----------
    value : object
        Numbers, texts, None; NumPy's numbers and arrays, tensors, paths; lists, tuples and dictionaries of these.
    where : str
        Where it is, for the message, such as "recipe['lr']".

    Returns
    -------
    object
        The same values: NumPy's numbers as Python's, arrays and tensors as lists, paths as texts.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    elif isinstance(value, torch.Tensor):
        value = value.detach().cpu().tolist()
    elif isinstance(value, Enum):
        value = value.value
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {plain(key, f"a key of {where}"): plain(part, f"{where}[{key!r}]") for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [plain(part, f"{where}[{number}]") for number, part in enumerate(value)]
        return parts if isinstance(value, list) else tuple(parts)
    instead = "its values as numbers and texts"
    if callable(value):
        instead = f"its name, {getattr(value, '__name__', type(value).__name__)!r}"
    elif dataclasses.is_dataclass(value):
        instead = "dataclasses.asdict(…) of it, a dictionary"
    raise TypeError(
        f"{where} is of the type {type(value).__name__}. A checkpoint holds numbers and texts alone, since anything "
        f"else could run code when it is read, so nothing was saved. Put there {instead}, and save again."
    )


def epochs_meant(recipe: dict, fast: bool) -> int:
    """Return how many epochs a finished training by that recipe has, at least one."""
    epochs = recipe.get("epochs", 1)
    return min(epochs, config.FAST_EPOCHS) if fast else epochs


def why_unfinished(model: nn.Module, recipe: dict, history: pd.DataFrame) -> str | None:
    """Return in words why a model is not what its recipe makes; None if it is."""
    stopped = history.attrs.get("stopped") or how_far(model) or how_far(unwrapped(model))
    if stopped:
        return f"its training was stopped in {stopped}. Train it to the end, then run this again"
    if any(part.is_floating_point() and not part.isfinite().all() for part in model.state_dict().values()):
        return (
            "its weights hold infinity or NaN, so its training diverged. Train a new model, at a tenth of the learning "
            "rate, then run this again"
        )
    if len(history) < epochs_meant(recipe, config.FAST):
        return (
            f"its history has {len(history)} of the {epochs_meant(recipe, config.FAST)} epochs of its recipe. Train it "
            "to the end or, if you changed the number of epochs, change it in the recipe too, then run this again"
        )
    return None


def save_checkpoint(name: str, model: nn.Module, recipe: dict, history: pd.DataFrame) -> Path | None:
    """Write a model and what made it, under a temporary name first, so never half a file.

    A model that is not trained to the end is not saved, which is said, and an older checkpoint stays as it is.

    Parameters
    ----------
    name : str
        Such as "mlp"; the file is `runs/full/mlp.pt`.
    model : nn.Module
        Its weights are kept, without the wrapper of `torch.compile` or `nn.DataParallel`.
    recipe : Recipe or dict
        What another run needs to repeat it, of plain numbers and strings. NumPy's numbers become Python's.
    history : pd.DataFrame
        From `fit`.

    Returns
    -------
    Path or None
        The file; None if nothing was saved.

    Raises
    ------
    TypeError
        If the model is none, or the recipe or the history holds what cannot be read again without running code.
    ValueError
        If the name is none for a file in the folder of this run.
    """
    check_is_model("save_checkpoint", model)
    if dataclasses.is_dataclass(recipe) and not isinstance(recipe, type):
        recipe = dataclasses.asdict(recipe)
    if not isinstance(recipe, dict) or not isinstance(history, pd.DataFrame):
        raise TypeError(
            "save_checkpoint(name, model, recipe, history) wants a Recipe or a dictionary, and the history as the "
            f"DataFrame that fit returned, but got {type(recipe).__name__} and {type(history).__name__}. Nothing was "
            "saved."
        )
    if reason := why_unfinished(model, recipe, history):
        print(f"{type(unwrapped(model)).__name__} is not saved: {reason}.")
        return None
    model = unwrapped(model)
    last = history.iloc[-1]
    content = {
        "model": type(model).__name__,
        "weights": {key: value.cpu().contiguous() for key, value in model.state_dict().items()},
        "recipe": plain(recipe, "recipe"),
        "seed": config.SEED,
        "data_sha256": SHA256["train-images-idx3-ubyte"],
        "versions": {"torch": str(torch.__version__), "torchvision": metadata.version("torchvision")},
        "history": plain({column: history[column].tolist() for column in history}, "history"),
        "validation_accuracy": float(last.get("validation_accuracy", float("nan"))),
        "validation_loss": float(last.get("validation_loss", float("nan"))),
        "fast": config.FAST,
    }
    path = checkpoint_path(name)
    with replacing(path) as part:
        torch.save(content, part)
    return path


def foreign_format(path: Path) -> str | None:
    """Return in words what a file is that is no zip archive, where that can be told."""
    with open(path, "rb") as file:
        start = file.read(512)
        if start[:1] == pickle.PROTO:
            file.seek(0)
            with contextlib.suppress(Exception):  # whatever a file may hold that only looks like a pickle
                for _ in pickletools.genops(file):
                    pass
                return (
                    "is a pickle, as pickle.dump and old versions of PyTorch write it. Reading one can run code, so it "
                    "is not read"
                )
    if start.startswith(b"\x89HDF"):
        return "holds weights in the format HDF5, as Keras writes it, and no model of PyTorch"
    if start.startswith(b"\x1f\x8b\x08"):
        return "is compressed by gzip: unpack it first"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return "holds weights in the format safetensors, which safetensors.torch.load_file(…) reads"
    with contextlib.suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
        if len(text) >= 16 and (text.isprintable() or all(c.isprintable() or c.isspace() for c in text)):
            return f"is a text that begins with {text[:40]!r}, so what it stands for has perhaps not been downloaded"
    return None


def read_archive(path: Path):
    """Read a file of `torch.save` without running code.

    Returns
    -------
    object
        Tensors on the CPU, plain numbers and texts.

    Raises
    ------
    CheckpointError
        With what the file is, in words that follow "The checkpoint …".
    """
    try:
        # A checkpoint is a zip archive with checksums, which torch.load does not compare.
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if changed := archive.testzip():
                raise zipfile.BadZipFile(f"the part {changed} was altered")
    except PermissionError:
        raise CheckpointError("may not be read by this user: ask its owner for the right") from None
    except Exception as error:  # reading a damaged archive fails in many ways
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(foreign_format(path) or f"is damaged ({reason[0][:100]})") from None
    # From here on the file is as it was written.
    kinds = {name.rpartition("/")[2] for name in names}
    if "data.pkl" not in kinds:
        raise CheckpointError("is a zip archive, but none that torch.save wrote")
    if "constants.pkl" in kinds:
        raise CheckpointError("is a TorchScript program, which torch.jit.load(…) reads, and no checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        try:
            objects = get_unsafe_globals_in_checkpoint(path) if isinstance(error, pickle.UnpicklingError) else []
        except Exception:  # it reads the file in the same way, and may fail in the same way
            objects = []
        if not objects:  # this PyTorch does not know all that a newer one writes
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise CheckpointError(
                f"is not damaged, but PyTorch {torch.__version__} cannot read it ({reason[0][:100]}). Perhaps a newer "
                "version wrote it"
            ) from None
        if all(name.startswith("numpy") for name in objects):
            hold = "numbers of NumPy beside its weights: in its recipe, say float(…) or int(…) of them and save again"
        else:
            hold = "Python objects, such as a whole model: save the weights alone, with save_checkpoint"
        raise CheckpointError(
            f"is not damaged, but reading it could run code ({', '.join(objects[:3])}), so it is not read. It holds "
            f"{hold}"
        ) from None


def check_parts(content) -> None:
    """Raise CheckpointError, with what it is instead, if the content of a file is not what `save_checkpoint` writes."""
    missing = [part for part in PARTS if not isinstance(content, dict) or part not in content]
    if not missing:
        wrong = [part for part in ("weights", "recipe", "history") if not isinstance(content[part], dict)]
        if not wrong and not all(isinstance(value, torch.Tensor) for value in content["weights"].values()):
            wrong = ["weights"]
        if not wrong and len({np.shape(column) for column in content["history"].values()}) > 1:
            wrong = ["history"]
        if wrong:
            raise CheckpointError(f"is not from save_checkpoint: its part {wrong[0]!r} is not of the right kind")
    elif not isinstance(content, dict):
        raise CheckpointError(f"holds one {type(content).__name__} and not what save_checkpoint writes")
    elif content and all(isinstance(value, torch.Tensor) for value in content.values()):
        raise CheckpointError(
            "holds weights alone (a state_dict), without the recipe and the history that save_checkpoint adds. Read it "
            "with model.load_state_dict(torch.load(path, weights_only=True)), or save it anew with save_checkpoint"
        )
    elif len(missing) < len(PARTS) and "weights" in content:
        raise CheckpointError(f"lacks {', '.join(missing)}: another version of this project wrote it, or other code")
    else:
        held = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise CheckpointError(f"was written by other code than save_checkpoint: it holds {held}")


def match_keys(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take off the prefixes that `torch.compile` and `nn.DataParallel` put before the names of all weights."""
    for _ in range(len(WRAPPER_PREFIXES)):
        for prefix in WRAPPER_PREFIXES:
            if weights.keys() != expected.keys() and all(key.startswith(prefix) for key in weights):
                weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def differences(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> list[str]:
    """Return in words how saved weights differ from those that a model has, in names and shapes."""
    found = [f"{key} is missing in the file" for key in expected if key not in weights]
    found += [f"{key} is only in the file" for key in weights if key not in expected]
    return found + [
        f"{key} is {tuple(weights[key].shape)} in the file and {tuple(value.shape)} in the model"
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    ]


def load_checkpoint(name: str, model: nn.Module) -> dict:
    """Read a checkpoint into a model.

    Parameters
    ----------
    name : str
        As for `save_checkpoint`.
    model : nn.Module
        Of the architecture that was saved, on any device. Its weights are replaced, keeping its own number format,
        and it is put into evaluation mode.

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
        If it is damaged, no checkpoint of this project, of FAST=1 in a full run, or of another architecture. The
        message says which, and the model is as before.
    """
    check_is_model("load_checkpoint", model)
    path = checkpoint_path(name)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}. The lesson that trains {name!r} writes it.")
    advice = f"Move or delete it, then run the lesson that trains {name!r} again, or load_or_train({name!r})."
    try:
        content = read_archive(path)
        check_parts(content)
        if content["fast"] and not config.FAST:
            raise CheckpointError("was trained under FAST=1, on few images, and is no model of a full run")
    except CheckpointError as error:
        raise CheckpointError(f"The checkpoint {path} {error}. {advice}") from None
    content["history"] = pd.DataFrame(content["history"])
    model = unwrapped(model)
    weights = match_keys(content.pop("weights"), model.state_dict())
    if found := differences(weights, model.state_dict()):
        raise CheckpointError(
            f"The checkpoint {path} holds a {content['model']} whose layers differ from this {type(model).__name__}: "
            f"{'; '.join(found[:3])}{'; …' if len(found) > 3 else ''}. Build the model that was saved, or: {advice}"
        )
    model.load_state_dict(weights)
    model.eval()
    return content
