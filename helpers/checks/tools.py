"""What every check is made of: run a student's function, and answer with a tick or a cross and a hint."""

import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

# What Python, NumPy and PyTorch raise for a value that is not what it should be, such as int(inf).
UNREADABLE = (TypeError, ValueError, RuntimeError, OverflowError, IndexError)


class CheckFailed(AssertionError):
    """A check found something. Jupyter shows its message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")


def cross(what: str, seen: object, expected: object, hint: str) -> CheckFailed:
    """Build the answer to a wrong result.

    Parameters
    ----------
    what : str
        What was looked at, such as "the shape of softmax(logits)".
    seen, expected : object
        What the student's code gave, and what it should have given, in a form that fits one line.
    hint : str
        Where to look, without the answer.

    Returns
    -------
    CheckFailed
        To be raised.
    """
    return CheckFailed(f"✗ {what}\n  seen:     {seen}\n  expected: {expected}\n  hint:     {hint}")


def tick(sentence: str) -> None:
    """Say that a check passed, and what the student's code has shown to do."""
    print(f"✓ {sentence}")


def copy_of(value: Any) -> Any:
    """Return a copy of a tensor or an array, and anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def call(answer: Callable, *arguments: Any) -> Any:
    """Call a student's function on copies of tensors and arrays, and return what it returns.

    Parameters
    ----------
    answer : callable
        The student's function.
    *arguments
        Passed on; tensors and arrays as copies, so that the student's code cannot spoil the check's own.

    Raises
    ------
    CheckFailed
        If the function is still empty, stops with an error, or returns nothing. The message says which.
    """
    name = getattr(answer, "__name__", type(answer).__name__)
    try:
        # A warning goes to stderr, which nbgrader takes for a failed check.
        with warnings.catch_warnings(action="ignore"):
            result = answer(*[copy_of(argument) for argument in arguments])
    except NotImplementedError:
        raise CheckFailed(
            f"✗ {name} is still empty.\n  hint:     replace the two lines at YOUR CODE HERE, then run both cells."
        ) from None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is this call
        # The last line of the student's own; deeper ones belong to PyTorch and other packages.
        own = [frame.line for frame in frames if "site-packages" not in frame.filename and frame.line]
        raise cross(
            f"{name} stopped with an error",
            short(f"{type(error).__name__}: {error}", 120),
            "a result",
            f"the error comes from the line `{short(own[-1])}`" if own else "call the function yourself and read on",
        ) from None
    if result is None:
        raise cross(f"{name} gave nothing back", "None", "a value", "is there a `return` on every way through it?")
    return result


def as_tensor(what: str, seen: Any, expected: torch.Tensor, hint: str) -> torch.Tensor:
    """Return a result as a tensor of the expected shape and dtype, ready to be compared.

    Parameters
    ----------
    what : str
        What the result is, such as "softmax(logits)".
    seen : Any
        What the student's code gave: a tensor, or anything that `torch.as_tensor` takes.
    expected : torch.Tensor
        Gives the shape and the dtype.
    hint : str
        For a wrong shape.

    Raises
    ------
    CheckFailed
        If it is no tensor of numbers or has another shape.
    """
    try:
        if isinstance(seen, np.ndarray):
            seen = seen.copy()  # PyTorch takes neither read-only nor reversed arrays
        with warnings.catch_warnings(action="ignore"):
            tensor = torch.as_tensor(seen).detach().cpu()
            read = tensor.to(expected.dtype)
    except UNREADABLE:
        kind = type(seen).__name__
        raise cross(
            f"what {what} is", f"{kind} {short(seen)}", "a tensor of numbers", "what should it return?"
        ) from None
    if tensor.shape != expected.shape:
        raise cross(f"the shape of {what}", tuple(tensor.shape), tuple(expected.shape), hint)
    return read


def as_number(what: str, seen: Any) -> float:
    """Return a result as a Python float; a tensor with a single element counts as a number.

    Raises
    ------
    CheckFailed
        If it is anything else.
    """
    try:
        # A tensor that still asks for gradients would warn, and nbgrader takes a warning for a failure.
        return float(seen.detach() if isinstance(seen, torch.Tensor) else np.asarray(seen).item())
    except UNREADABLE:
        kind = type(seen).__name__
        raise cross(f"what {what} is", f"{kind} {short(seen)}", "a number", "what should it return?") from None


def is_pair(value: Any) -> bool:
    """Tell whether an answer is a pair: two entries in a tuple, a list, or an array of one dimension."""
    is_row = isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 1
    return (is_row or isinstance(value, tuple | list)) and len(value) == 2


def short(value: Any, length: int = 60) -> str:
    """Return a value in at most that many characters, the first numbers of a tensor rounded to three digits."""
    if isinstance(value, torch.Tensor):
        value = [round(number, 3) for number in value.flatten()[:6].tolist()]
    text = " ".join(str(value).split())
    return text if len(text) <= length else text[: length - 3] + "..."


def first_hint(mistakes: Iterable[tuple[bool, str]], otherwise: str) -> str:
    """Return the hint of the first mistake that explains what was seen."""
    return next((hint for explains, hint in mistakes if explains), otherwise)


def best_hint(seen: Any, mistakes: Sequence[tuple[Any, str]], otherwise: str, tolerance: float = 1e-4) -> str:
    """Return the hint of the first mistake whose result is what was seen, tensors or numbers."""
    seen = torch.as_tensor(seen).double()
    for result, hint in mistakes:
        result = torch.as_tensor(result).double()
        if result.shape == seen.shape and torch.allclose(result, seen, tolerance, tolerance):
            return hint
    return otherwise
