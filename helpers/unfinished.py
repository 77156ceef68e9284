"""Know which models of this session are not trained to the end, so that none of them passes as finished."""

import weakref

from torch import nn

# Forgets a model as soon as nothing else holds it, such as the one of a first try when the cell is run again.
_HOW_FAR: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

# By class, until one of it is trained to the end: the figures of a model may outlive it.
_LAST_STOPPED: dict[str, str] = {}


def mark_unfinished(model: nn.Module, how_far: str) -> None:
    """Note how far a model's training has come, such as "epoch 3 of 12". An earlier note is replaced."""
    _HOW_FAR[model] = how_far
    _LAST_STOPPED[type(model).__name__] = how_far


def mark_finished(model: nn.Module) -> None:
    """Note that a model has been trained to the end."""
    _HOW_FAR.pop(model, None)
    _LAST_STOPPED.pop(type(model).__name__, None)


def how_far(model: nn.Module) -> str | None:
    """Return in words how far the training of a model came before it ended early; None if it did not."""
    return _HOW_FAR.get(model)


def unfinished_models() -> list[str]:
    """Return the models of this session whose training ended early, such as "MLP in epoch 3 of 12"."""
    alive = {f"{type(model).__name__} in {text}" for model, text in _HOW_FAR.items()}
    return sorted(alive | {f"{name} in {text}" for name, text in _LAST_STOPPED.items()})
