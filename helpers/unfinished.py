"""Know which models of this session are not trained to the end, so that none of them passes as finished."""

import sys
import weakref

from torch import nn

# Forgets a model as soon as nothing else holds it, such as the one of a first try when the cell is run again.
_HOW_FAR: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

# By class, until one of it is trained to the end: the figures of a model may outlive it.
_LAST_STOPPED: dict[str, str] = {}

# By cell of the notebook, until it is run again: the figures of a loop's trainings may rest on one that was stopped.
_STOPPED_IN: dict[str, tuple[int, str]] = {}


def running_cell() -> tuple[str, int]:
    """Return the id of the notebook cell that runs, or its code where no id is sent, and the number of its run.

    A cell that is run again has a greater number. Outside a notebook the two are "" and 0.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return "", 0
    sent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return sent.get("metadata", {}).get("cellId") or shell.user_ns["In"][-1], shell.execution_count


def mark_unfinished(model: nn.Module, how_far: str) -> None:
    """Note how far a model's training has come, such as "epoch 3 of 12". An earlier note is replaced."""
    _HOW_FAR[model] = how_far
    _LAST_STOPPED[type(model).__name__] = how_far


def mark_stopped(model: nn.Module, how_far: str) -> None:
    """Note that the user stopped a training of the cell that runs."""
    cell, run = running_cell()
    _STOPPED_IN[cell] = run, f"{type(model).__name__} in {how_far}"


def mark_finished(model: nn.Module) -> None:
    """Note that a model has been trained to the end."""
    _HOW_FAR.pop(model, None)
    _LAST_STOPPED.pop(type(model).__name__, None)
    cell, run = running_cell()
    if cell in _STOPPED_IN and (_STOPPED_IN[cell][0] < run or not cell):
        del _STOPPED_IN[cell]


def how_far(model: nn.Module) -> str | None:
    """Return in words how far the training of a model came before it ended early; None if it did not."""
    return _HOW_FAR.get(model)


def stopped_trainings() -> list[str]:
    """Return the trainings that the user stopped, in cells that were not run again, such as "MLP in epoch 3 of 12"."""
    return sorted(text for _, text in _STOPPED_IN.values())


def unfinished_models() -> list[str]:
    """Return the models of this session whose training ended early, such as "MLP in epoch 3 of 12"."""
    alive = {f"{type(model).__name__} in {text}" for model, text in _HOW_FAR.items()}
    of_a_class = {f"{name} in {text}" for name, text in _LAST_STOPPED.items()}
    return sorted(alive | of_a_class | set(stopped_trainings()))
