"""The check that the start page shows at work, on a picture that is a plain list of rows."""

from collections.abc import Callable
from typing import Any

from helpers.checks.tools import call, cross, first_hint, short, tick


def mirror(answer: Callable) -> None:
    """Check that left and right are exchanged in a picture, a list of rows, each a list of numbers."""
    for picture in ([[1, 2], [3, 4]], [[5, 6, 7]], [[1, 0, 0], [2, 3, 0], [4, 5, 6], [0, 0, 7]]):
        expected = [row[::-1] for row in picture]
        seen = as_rows(call(answer, [list(row) for row in picture]))
        if seen != expected:
            mistakes = [
                (seen == picture[::-1], "the picture stands on its head; turn each row, not the list of rows"),
                (seen == [row[::-1] for row in picture[::-1]], "the rows are turned, but their order too"),
                (seen == [list(column) for column in zip(*picture, strict=True)], "rows have become columns"),
                (seen == picture, "nothing has changed"),
            ]
            hint = first_hint(mistakes, "keep the order of the rows, and turn each of them")
            raise cross(f"mirror({picture})", short(seen), expected, hint)
    tick("mirror: left and right are exchanged, above and below are not.")


def as_rows(seen: Any) -> Any:
    """Return a picture as a list of lists, and what is none as it is."""
    try:
        return [list(row) for row in seen]
    except TypeError:
        return seen
