"""Inside a kernel of the audit: another seed, a fixed number format, trainings kept, and every claim written down."""

import functools
import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from helpers import config, device, results
from helpers.files import replacing

ROUNDED = (F.conv2d, F.linear, F.batch_norm, torch.conv2d, torch.batch_norm)


class Round(torch.autograd.Function):
    """Round to bfloat16 and back, the numbers on their way forwards and the gradients on their way backwards."""

    @staticmethod
    def forward(context, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.bfloat16().float()

    @staticmethod
    def backward(context, gradients: torch.Tensor) -> torch.Tensor:
        return gradients.bfloat16().float()


class EmulatedBfloat16(TorchFunctionMode):
    """Compute in float32 what `torch.autocast` computes in bfloat16, with all that goes in and comes out rounded.

    A processor without instructions for bfloat16 takes ten times as long for the real thing. The products are summed
    up in float32 in both.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function not in ROUNDED:
            return function(*args, **kwargs)
        if function in (F.batch_norm, torch.batch_norm):  # autocast leaves its parameters and statistics in float32
            return Round.apply(function(*args, **kwargs))
        args = [Round.apply(value) if isinstance(value, torch.Tensor) else value for value in args]
        kwargs = {
            key: Round.apply(value) if isinstance(value, torch.Tensor) else value for key, value in kwargs.items()
        }
        return Round.apply(function(*args, **kwargs))


def fingerprint(*things) -> str:
    """Return a SHA-256 of tensors, and of the texts of everything else."""
    digest = hashlib.sha256()
    for thing in things:
        if isinstance(thing, torch.Tensor):
            digest.update(str((thing.dtype, tuple(thing.shape))).encode())
            digest.update(thing.detach().cpu().contiguous().numpy().tobytes())
        else:
            digest.update(str(thing).encode())
    return digest.hexdigest()


def text_of(thing) -> str:
    """Return a text that is the same for the same augmentation, loss or schedule, without memory addresses."""
    if isinstance(thing, torch.optim.lr_scheduler.LRScheduler):
        state = {key: value for key, value in thing.state_dict().items() if isinstance(value, int | float | list)}
        return f"{type(thing).__name__} {state}"
    if isinstance(thing, torch.nn.Module):
        return f"{thing} {vars(thing).get('label_smoothing')}"
    if isinstance(thing, functools.partial) and not thing.args:
        return text_of(thing.func) + (f" {thing.keywords}" if thing.keywords else "")
    if isinstance(thing, functools.partial) or "<lambda>" in getattr(thing, "__qualname__", ""):
        raise TypeError(f"The audit keeps trainings by the name of what they are given, and {thing} has none.")
    inside = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
    return f"{getattr(thing, '__qualname__', type(thing).__name__)} {[x for x in inside if not callable(x)]}"


def remember(fit, number_format: str, folder: Path):
    """Return a `fit` that trains each training once, and afterwards brings back how it went.

    A claim that was worded anew can then be checked without training again.
    """

    def remembered_fit(model, train, validation, optimizer, epochs, batch_size, **options):
        groups = [{key: value for key, value in g.items() if key != "params"} for g in optimizer.param_groups]
        log_dir = options.get("log_dir")
        parts = [tensor for part in (train, validation) if part is not None for tensor in part.tensors]
        told = {key: value for key, value in sorted(options.items()) if isinstance(value, int | float | bool)}
        called = [
            text_of(value)
            for key, value in sorted(options.items())
            if callable(value) or key in ("scheduler", "batch_scheduler")
        ]
        weights = model.state_dict().values()
        key = fingerprint(
            model,
            *weights,
            *parts,
            type(optimizer).__name__,
            groups,
            epochs,
            batch_size,
            told,
            called,
            config.SEED,
            number_format,
        )
        path = folder / f"{key[:24]}.pt"
        if path.is_file():
            kept = torch.load(path, weights_only=False)
            print("The audit trained this before.")
            log = open_log(log_dir)
            for row in kept["history"].to_dict("records"):
                if log is not None:
                    write_to_log(log, row)
            if log is not None:
                log.close()
            model.load_state_dict(kept["weights"])
            torch.set_rng_state(kept["random"])
            return kept["history"]
        history = fit(model, train, validation, optimizer, epochs, batch_size, **options)
        if "stopped" in history.attrs:
            return history
        with replacing(path) as part:
            kept = {"history": history, "weights": model.state_dict(), "random": torch.get_rng_state()}
            torch.save(kept, part)
        return history

    from helpers.training import open_log, write_to_log

    return remembered_fit


def prepare(seed: int, number_format: str, emulated: bool, claims: Path) -> None:
    """Set a fresh kernel up for the audit; must come before any other import from `helpers`.

    Parameters
    ----------
    seed : int
        Takes the place of `config.SEED`, but for the split of the data.
    number_format : {"float32", "bfloat16"}
        In which every network with convolutions trains.
    emulated : bool
        Whether bfloat16 is emulated by rounding.
    claims : Path
        File to which each claim is added, as a line of JSON.
    """
    # Otherwise a GPU rounds what the convolutions of a float32 network multiply to the ten bits of TF32.
    torch.backends.cudnn.allow_tf32 = number_format == "bfloat16"
    config.SEED = seed
    device.set_seed.__defaults__ = (seed,)

    def chosen(model, batch_size, device):
        has_convolution = any(isinstance(layer, torch.nn.Conv2d) for layer in model.modules())
        return getattr(torch, number_format) if has_convolution else torch.float32

    device.choose_precision = chosen
    if emulated:
        autocast = device.autocast

        def rounding(device, dtype):
            return EmulatedBfloat16() if dtype == torch.bfloat16 else autocast(device, dtype)

        device.autocast = rounding

    def written_claim(sentence, holds, fast=None):
        numbers = results.numbers_behind(sys._getframe(1))
        with open(claims, "a", encoding="utf-8") as file:
            file.write(json.dumps({"claim": sentence, "holds": bool(holds), "numbers": numbers}) + "\n")
        print(f"{'✓' if holds else results.OTHERWISE} {sentence} Found: {numbers}.")

    results.claim = written_claim
    from helpers import training

    training.fit = remember(training.fit, number_format, config.RUNS_DIR / "trainings")
