"""Replay a recorded training, its weights and its history, for whoever cannot wait for it."""

import ast
import datetime
import functools
import hashlib
import inspect
import json
import textwrap
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config
from helpers.device import describe_processor
from helpers.files import replacing

RECORDINGS = config.NOTEBOOKS_DIR / "recordings"

# What PyTorch's optimizers are told. Other entries of their groups come and go with PyTorch's version.
SETTINGS = ("lr", "initial_lr", "max_lr", "min_lr", "momentum", "nesterov", "betas", "eps", "weight_decay")
# What a schedule notes for itself as it goes.
PROGRESS = ("last_epoch", "verbose", "optimizer")


class ReplayError(RuntimeError):
    """There is no recording of this training; the message says what differs from the one that there is."""


def code_of(function) -> str:
    """Return what a function computes as a text: its code without comments and docstring, or its name if PyTorch's."""
    if isinstance(function, functools.partial):
        given = [str(part) for part in (function.args, function.keywords) if part]
        return " ".join([code_of(function.func), *given])
    if isinstance(function, nn.Module):
        settings = {name: value for name, value in sorted(vars(function).items()) if not name.startswith("_")}
        return f"{type(function).__name__} {settings}"
    name = getattr(function, "__name__", type(function).__name__)
    if str(getattr(function, "__module__", "")).startswith("torch"):
        return name
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # typed at a prompt, or inside of a longer line
        code = getattr(function, "__code__", None)
        return f"{name} {code and hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()[:16]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    around = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return "\n".join([ast.unparse(tree), *(code_of(value) if callable(value) else str(value) for value in around)])


def describe_network(model: nn.Module) -> str:
    """Return the layers of a network with their settings, and the code of those classes that are not PyTorch's."""
    kinds = {type(layer) for layer in model.modules() if not type(layer).__module__.startswith("torch.")}
    methods = [
        code_of(method)
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
        for name, method in sorted(vars(kind).items())
        if inspect.isfunction(method) and name != "__init__"  # what it builds is in the layers
    ]
    layers = str(model).replace(", bias=True", "")  # which older versions of PyTorch do not write of a batch norm
    return "\n".join([layers, *methods])


def digest(*values: torch.Tensor) -> str:
    """Return a short SHA-256 of tensors."""
    sha256 = hashlib.sha256()
    for value in values:
        sha256.update(f"{tuple(value.shape)} {value.dtype}".encode())
        sha256.update(value.cpu().contiguous().numpy())
    return sha256.hexdigest()[:16]


def describe_images(images: TensorDataset | None) -> str:
    """Return the number of images and a hash of them and their labels."""
    return "none" if images is None else f"{len(images):,}, SHA-256 {digest(*images.tensors)}"


def describe_schedule(schedule) -> str:
    """Return a schedule's kind and its settings."""
    if schedule is None:
        return "none"
    settings = {
        name: value
        for name, value in getattr(schedule, "state_dict", dict)().items()  # `fit` takes whatever has a `step`
        if name == "_schedule_phases" or (not name.startswith("_") and name not in PROGRESS)
    }
    return f"{type(schedule).__name__} {json.dumps(settings, sort_keys=True, default=str)}"


def describe_training(
    model, train, validation, optimizer, epochs, batch_size, scheduler, batch_scheduler, augment, loss_fn, seed
) -> dict[str, str]:
    """Say of a training all that its outcome depends on but the first weights: what a recording is found by.

    Parameters
    ----------
    model, train, validation, optimizer, epochs, batch_size, scheduler, batch_scheduler, augment, loss_fn, seed
        As for `helpers.training.fit`, before the first step.

    Returns
    -------
    dict
        By the name of what is told, such as "learning-rate schedule": short texts, the code of the network as a hash.
    """
    groups = optimizer.param_groups
    settings = {name: str([group.get(name) for group in groups]) for name in SETTINGS if name in groups[0]}
    return {
        "network": hashlib.sha256(describe_network(model).encode()).hexdigest()[:16],
        "training images": describe_images(train),
        "validation images": describe_images(validation),
        "optimizer": f"{type(optimizer).__name__} of {[len(group['params']) for group in groups]} tensors",
        "learning-rate schedule": f"{describe_schedule(scheduler)}; each batch: {describe_schedule(batch_scheduler)}",
        "epochs": str(epochs),
        "batch size": str(batch_size),
        "augmentation": "none" if augment is None else code_of(augment),
        "loss": code_of(loss_fn),
        "seed": str(seed),
        **settings,
    }


def recordings_of_this_run() -> Path:
    """Return the folder that trainings of this machine are recorded into; `make notebooks` commits its files."""
    return config.RUNS_DIR / "recordings"


def file_name(model: nn.Module) -> str:
    """Return the name of a recording, that of the network's class."""
    return f"{type(model).__name__}.safetensors"


def made_here() -> dict[str, str]:
    """Return of a recording that is made now: its day, its machine and its version of PyTorch."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": describe_processor(),
        "torch": str(torch.__version__),
    }


def keep_recording(model: nn.Module, training: dict[str, str], history: pd.DataFrame) -> Path:
    """Write the weights of a finished training, in half precision, and its history into a file.

    Parameters
    ----------
    model : nn.Module
        Trained to the end.
    training : dict
        From `describe_training`, before it began.
    history : pd.DataFrame
        From `fit`.

    Returns
    -------
    Path
        In the folder of this run.
    """
    weights = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    notes = {"training": training, "history": history.to_dict("list"), "made": made_here()}
    path = recordings_of_this_run() / file_name(model)
    with replacing(path) as part:
        save_file(weights, part, metadata={name: json.dumps(note) for name, note in notes.items()})
    return path


def read_recording(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Return the weights of a recording in full precision, and its notes: training, history and made."""
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        notes = {name: json.loads(note) for name, note in file.metadata().items()}
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}, notes


def why_not(model: nn.Module, training: dict[str, str]) -> str | None:
    """Return in words why a training cannot be replayed; None if it can."""
    path = RECORDINGS / file_name(model)
    if not path.is_file():
        recorded = ", ".join(sorted(file.stem for file in RECORDINGS.glob("*.safetensors"))) or "none"
        return f"no training of {type(model).__name__} is recorded (recorded: {recorded})"
    with safe_open(path, framework="pt") as file:
        recorded = json.loads(file.metadata()["training"])
    different = [name for name in training | recorded if training.get(name) != recorded.get(name)]
    if not different:
        return None
    told = []
    for name in different:
        here, there = (words.get(name, "none").strip("[]") for words in (training, recorded))
        told.append(f"{name} ({here} here, {there} recorded)" if len(here) + len(there) < 60 else name)
    return f"the recorded training of {type(model).__name__} differs in: {', '.join(told)}"


def replay_training(model: nn.Module) -> tuple[pd.DataFrame, str]:
    """Give a network the weights of its recorded training.

    Parameters
    ----------
    model : nn.Module
        One that `why_not` finds nothing against. It is changed in place.

    Returns
    -------
    history : pd.DataFrame
        As `fit` returned it when the training was recorded, with its seconds.
    words : str
        When and where that was.
    """
    weights, notes = read_recording(RECORDINGS / file_name(model))
    model.load_state_dict(weights)
    history, made = pd.DataFrame(notes["history"]), notes["made"]
    return history, (
        f"Replayed, not trained: recorded on {made['date']} ({made['machine']}, PyTorch {made['torch']}), where it "
        f"took {history['seconds'].sum():.0f} seconds. The weights come in half precision, so a few answers may differ "
        "from those of the recorded run."
    )


def compare_with_recordings(spread: float = 0.01) -> list[str]:
    """Compare the trainings of this run with the recorded ones, and return a line for each that ends elsewhere.

    Parameters
    ----------
    spread : float, optional
        The largest difference of the last accuracy, a fraction, that seeds and machines account for.

    Returns
    -------
    list of str
    """
    lines = []
    if not list(RECORDINGS.glob("*.safetensors")):
        lines.append(f"there are no recordings in {RECORDINGS}")
    for path in sorted(RECORDINGS.glob("*.safetensors")):
        of_this_run = recordings_of_this_run() / path.name
        if not of_this_run.is_file():
            lines.append(f"{path.stem}: recorded, but not trained in this run")
            continue
        histories = [read_recording(each)[1]["history"] for each in (of_this_run, path)]
        kind = "validation_accuracy" if "validation_accuracy" in histories[0] else "train_accuracy"
        here, there = (history[kind][-1] for history in histories)
        if abs(here - there) > spread:
            lines.append(f"{path.stem}: {kind.replace('_', ' ')} {here:.2%} here, {there:.2%} recorded")
    return lines
