"""Replay what an experiment found, such as the accuracies of many short trainings, for whoever cannot wait for it."""

import dataclasses
import dis
import functools
import hashlib
import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config
from helpers.files import replacing
from helpers.replay import (
    RECORDINGS,
    code_of,
    describe_images,
    describe_network,
    digest,
    made_here,
    recordings_of_this_run,
)

EXPERIMENTS = RECORDINGS / "experiments"

SIMPLE = (str, int, float)

# What this kernel has recorded, and the functions that it has told of.
kept: dict[str, dict] = {}
kept_tensors: dict[str, torch.Tensor] = {}
told: set[str] = set()


def global_names(code: CodeType) -> set[str]:
    """Return the global names that a function reads, those of the functions within it as well."""
    # The code's own list of names holds attributes as well.
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(global_names(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def describe_function(function: Callable, seen: set[int]) -> str:
    """Return the code of a function of the lesson, and what it reads of the lesson."""
    if id(function) in seen:
        return function.__name__
    seen.add(id(function))
    read = sorted(global_names(function.__code__) & function.__globals__.keys())
    around = [f"{name} = {describe(function.__globals__[name], function.__globals__, seen)}" for name in read]
    return "\n".join([code_of(function), *around])


def describe(value, lesson: dict, seen: set[int]) -> str:
    """Return a text that tells a value from others of its kind.

    What the lesson defines is told by its code, what `helpers` or a package defines by its name, and an object of
    another class by its settings that are texts and numbers. Of a network the weights count in half precision, in
    which a replayed training gives them.
    """
    if isinstance(value, nn.Module):
        weights = [part.half() if part.is_floating_point() else part for part in value.state_dict().values()]
        return f"{describe_network(value)} {digest(*weights)}"
    if isinstance(value, TensorDataset):
        return describe_images(value)
    if isinstance(value, torch.Tensor):
        return digest(value)
    if isinstance(value, np.ndarray) and value.dtype != object and value.dtype.kind != "U":
        return digest(torch.from_numpy(np.ascontiguousarray(value)))
    if isinstance(value, pd.DataFrame | pd.Series):
        return value.to_json(double_precision=15)
    if isinstance(value, dict):
        return str({str(name): describe(part, lesson, seen) for name, part in value.items()})
    if isinstance(value, list | tuple):
        return str([describe(part, lesson, seen) for part in value])
    if isinstance(value, functools.partial):
        return describe([value.func, value.args, value.keywords], lesson, seen)
    if inspect.ismethod(value):
        return f"{describe(value.__self__, lesson, seen)}.{value.__name__}"
    wrapped = inspect.unwrap(value) if inspect.isfunction(value) else value
    if inspect.isfunction(wrapped) and wrapped.__globals__ is lesson:
        return describe_function(wrapped, seen)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        return repr(value)
    if hasattr(value, "__dict__") and not inspect.ismodule(value):
        return f"{type(value).__qualname__} {[item for item in vars(value).items() if isinstance(item[1], SIMPLE)]}"
    return repr(value) if isinstance(value, (*SIMPLE, range, type(None), torch.dtype)) else type(value).__qualname__


def short_hash(text: str) -> str:
    """Return a short SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def describe_call(function: Callable, given: tuple, named: dict) -> str:
    """Return a SHA-256 of a function's code, of what it reads of the lesson, and of what it is given."""
    call = inspect.signature(function).bind(*given, **named)
    call.apply_defaults()
    texts = [describe_function(function, set()), describe(dict(call.arguments), function.__globals__, set())]
    return short_hash("\n".join(texts))


def encode(result, name: str, tensors: dict[str, torch.Tensor]):
    """Return a result as JSON takes it. Arrays and tensors are put aside, floating tensors in half precision."""
    if isinstance(result, pd.DataFrame):
        return {"table": result.to_dict("list")}
    if isinstance(result, np.ndarray):
        tensors[name] = torch.from_numpy(np.ascontiguousarray(result))
        return {"array": name}
    if isinstance(result, torch.Tensor):
        tensors[name] = (result.half() if result.is_floating_point() else result).cpu().contiguous()
        return {"tensor": name}
    if isinstance(result, dict):
        return {"parts": {part: encode(value, f"{name} {part}", tensors) for part, value in result.items()}}
    if isinstance(result, list | tuple):
        return [encode(part, f"{name} {number}", tensors) for number, part in enumerate(result)]
    return result


def decode(result, tensor_of: Callable[[str], torch.Tensor]):
    """Return what `encode` was given; a tuple comes back as a list."""
    if isinstance(result, list):
        return [decode(part, tensor_of) for part in result]
    if not isinstance(result, dict):
        return result
    [(kind, content)] = result.items()
    if kind == "table":
        return pd.DataFrame(content)
    if kind == "parts":
        return {part: decode(value, tensor_of) for part, value in content.items()}
    if kind == "array":
        return tensor_of(content).numpy()
    tensor = tensor_of(content)
    return tensor.float() if tensor.is_floating_point() else tensor


def keep(key: str, function: Callable, result, seconds: float) -> None:
    """Add a result to the recording of the lesson that is being recorded."""
    kept[key] = {
        "function": function.__name__,
        "code": short_hash(code_of(function)),
        "seconds": round(seconds, 2),
        "result": encode(result, key, kept_tensors),
    }
    path = recordings_of_this_run() / EXPERIMENTS.name / f"{config.RECORD_AS}.safetensors"
    with replacing(path) as part:
        save_file(kept_tensors, part, metadata={"experiments": json.dumps(kept), "made": json.dumps(made_here())})


@functools.cache
def recorded_experiments() -> dict[str, tuple[Path, dict, dict]]:
    """Return by key each recorded result: its file, the result with its function, and when and where it was made."""
    found = {}
    for path in sorted(EXPERIMENTS.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            notes = {name: json.loads(note) for name, note in file.metadata().items()}
        found |= {key: (path, entry, notes["made"]) for key, entry in notes["experiments"].items()}
    return found


def tell(name: str, words: str) -> None:
    """Print what is true of all calls of a function, at the first of them."""
    if name not in told:
        told.add(name)
        print(words)


def replayable(function: Callable) -> Callable:
    """Let the results of a function be recorded, and with REPLAY=1 be shown in place of computing them.

    `make notebooks` records them, so a lesson puts this before a function that takes long, and whose result is
    small: numbers, texts, arrays, tensors, tables of pandas, or lists, tuples and dictionaries of these. A recorded
    result is shown only for the same call of the same code: the key holds the arguments, the code of the function, and
    the code and the values of all that it reads of the lesson. What `helpers` defines counts by its name alone.
    Otherwise, and always without REPLAY=1 and with FAST=1, the function is called.

    Parameters
    ----------
    function : callable
        Its result depends on its arguments, and on what it reads of the lesson, alone.

    Returns
    -------
    callable
        One that says at its first call whether it was replayed.
    """
    name = function.__name__

    @functools.wraps(function)
    def replaying(*given, **named):
        if config.FAST or not (config.REPLAY or config.RECORD_AS):
            return function(*given, **named)
        key = describe_call(function, given, named)
        if not config.REPLAY:
            started = time.perf_counter()
            result = function(*given, **named)
            keep(key, function, result, time.perf_counter() - started)
            return result
        if key not in recorded_experiments():
            tell(f"{name}, not recorded", f"{name} is not recorded with this code and these settings, so it runs now.")
            return function(*given, **named)
        path, entry, made = recorded_experiments()[key]
        same = [other for file, other, _ in recorded_experiments().values() if file == path]
        seconds = sum(other["seconds"] for other in same if other["function"] == name)
        tell(
            name,
            f"Replayed, not computed: {name} ran on {made['date']} ({made['machine']}, PyTorch {made['torch']}), where "
            f"all its runs took {seconds:.0f} seconds.",
        )
        with safe_open(path, framework="pt") as file:
            return decode(entry["result"], file.get_tensor)

    return replaying
