"""Checks of the exercises to lesson 00, tensors."""

from collections.abc import Callable
from typing import Any

import torch

from helpers.checks.tools import UNREADABLE, as_number, as_tensor, best_hint, call, cross, first_hint, short, tick
from helpers.config import CLASS_NAMES
from helpers.drawings import RIDDLE

NO_FIT = "no fit"


def _hint_for(seen: Any, mistakes: list[tuple[Any, str]], otherwise: str) -> str:
    """Return the hint of the first mistake that gives what was seen, whatever kind of thing that is."""
    try:
        return best_hint(seen, mistakes, otherwise)
    except UNREADABLE:
        return otherwise


def _photo(rows: int, columns: int, top: int, left: int, inside: torch.Tensor) -> torch.Tensor:
    """Return a black photo with something in it."""
    photo = torch.zeros(rows, columns, dtype=torch.uint8)
    photo[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return photo


def trim(answer: Callable) -> None:
    """Check the smallest rectangle that holds all pixels that are not black."""
    generator = torch.Generator().manual_seed(0)
    bright = torch.randint(150, 256, (6, 9), dtype=torch.uint8, generator=generator)
    with_gap = torch.randint(150, 256, (7, 5), dtype=torch.uint8, generator=generator)
    with_gap[3], with_gap[:, 2] = 0, 0
    faint = bright.clone()
    faint[0], faint[:, -1] = 1, 2
    one_pixel = torch.tensor([[40]], dtype=torch.uint8)
    photos = [_photo(20, 30, 5, 11, bright), _photo(25, 16, 10, 3, with_gap), _photo(20, 28, 14, 19, faint)]
    for photo in [*photos, _photo(12, 9, 7, 2, one_pixel), bright]:
        lit = photo > 0
        rows, columns = lit.any(dim=1).nonzero().flatten(), lit.any(dim=0).nonzero().flatten()
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        expected = photo[top:bottom, left:right]
        strong_rows, strong_columns = (photo > 100).any(dim=1), (photo > 100).any(dim=0)
        result = call(answer, photo)
        mistakes = [
            (photo[top : bottom - 1, left : right - 1], "a slice a:b ends before b; which row should be the last?"),
            (photo[left:right, top:bottom], "dim 0 is the row and dim 1 the column; which of them comes first?"),
            (photo[top:, left:], "the upper and the left margin are gone; what about the other two?"),
            (photo[rows][:, columns], "a black row inside belongs to the picture; keep all from the first to the last"),
            (
                photo[strong_rows][:, strong_columns],
                "a level of 1 is dark, but not black; what does your mask ask?",
            ),
            (photo[lit], "a mask gives a list of pixels; which slice of rows and columns holds them all?"),
            (photo, "this is the whole photo; the black margins should be gone"),
        ]
        otherwise = "which rows, and which columns, hold at least one pixel above 0?"
        what = f"trim of a photo of shape {tuple(photo.shape)}"
        hint = _hint_for(result, mistakes, otherwise)
        seen = as_tensor(what, result, expected, hint)
        if not torch.equal(seen, expected):
            raise cross(f"the first row of {what}", short(seen[0]), short(expected[0]), hint)
    tick("trim: right for margins on all sides, for gaps inside, for faint edges, and for a single pixel.")


def broadcast_shape(answer: Callable) -> None:
    """Check the shape that two shapes broadcast to, or "no fit"."""
    pairs = [
        ((28, 28), (28, 28)),
        ((28, 28), (28,)),
        ((28, 28), (28, 1)),
        ((3, 4), (4, 3)),
        ((5, 28, 28), (28, 28)),
        ((5, 28, 28), (5,)),
        ((3, 1), (1, 4)),
        ((7,), (4, 1)),
        ((4, 1, 6), (5, 1)),
        ((2, 3), (5, 3)),
        ((6, 28), (14,)),
    ]
    for left, right in pairs:
        try:
            expected = tuple(torch.broadcast_shapes(left, right))
        except RuntimeError:
            expected = NO_FIT
        result = call(answer, left, right)
        try:
            no_fit = isinstance(result, str) and result == NO_FIT
            seen = result if no_fit else tuple(int(size) for size in result)
        except UNREADABLE:
            found = f"{type(result).__name__} {short(result)}"
            raise cross("what broadcast_shape returns", found, f'a shape, or "{NO_FIT}"', "see the examples") from None
        if seen == expected:
            continue
        width = max(len(left), len(right))
        from_left = [(*shape, *[1] * (width - len(shape))) for shape in (left, right)]
        from_right = [(*[1] * (width - len(shape)), *shape) for shape in (left, right)]
        mistakes = [
            (seen == _stretched(*from_left) and len(left) != len(right), "align the shapes on the right, not the left"),
            (expected == NO_FIT, "two sizes that differ fit only if one of them is 1; look at each pair"),
            (seen == NO_FIT and len(left) != len(right), "a size that is missing on the left counts as 1"),
            (seen == NO_FIT, "a size of 1 is repeated as often as the other shape needs"),
            (len(seen) != width, "the result has as many dimensions as the longer of the two shapes"),
            (seen == tuple(map(min, *from_right)), "the size of 1 is repeated; which of the two sizes is left?"),
        ]
        hint = first_hint(mistakes, "compare the sizes pair by pair, from the right")
        raise cross(f"broadcast_shape({left}, {right})", short(seen), expected, hint)
    tick("broadcast_shape: right for equal sizes, sizes of 1, missing sizes, and shapes that do not fit.")


def _stretched(left: tuple, right: tuple) -> tuple | str:
    """Broadcast two shapes of equal length."""
    fits = all(a == b or 1 in (a, b) for a, b in zip(left, right, strict=True))
    return tuple(map(max, left, right)) if fits else NO_FIT


def asymmetry(answer: Callable) -> None:
    """Check how far each image is from its mirror image: float (N,)."""
    generator = torch.Generator().manual_seed(1)
    for shape in ((6, 28, 28), (4, 10, 16), (1, 8, 6)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        images[0] = torch.maximum(images[0], images[0].flip(1))  # symmetric
        floats = images.double()
        away = floats - floats.flip(2)
        expected = away.abs().mean(dim=(1, 2))
        result = call(answer, images)
        in_bytes = images - images.flip(2)
        mistakes = [
            (in_bytes.double().mean(dim=(1, 2)), "a byte begins again at 255 below 0; which dtype holds a difference?"),
            ((floats - floats.flip(1)).abs().mean(dim=(1, 2)), "this compares with the image upside down; which dim?"),
            ((floats - floats.flip(0)).abs().mean(dim=(1, 2)), "dim 0 is the image number: you compare other images"),
            (away.abs().mean(), "one number for all; which dimensions should disappear, and which should stay?"),
            (away.mean(dim=(1, 2)), "rises and falls cancel out; what makes each difference positive?"),
            (away.abs().mean(dim=1), "one dimension has gone, two should; each image is to have one number"),
            (away.abs().mean(dim=2), "one dimension has gone, two should; each image is to have one number"),
            (away.abs().mean(dim=0), "the image number has gone; it is the dimension to keep"),
            (away.abs().sum(dim=(1, 2)), "this is the sum over the pixels; a mean is asked for"),
            ((away**2).mean(dim=(1, 2)), "the differences are squared; their absolute value is asked for"),
        ]
        hint = _hint_for(result, mistakes, "mirror each image, subtract in floats, and take a mean over its pixels")
        seen = as_tensor(f"asymmetry of images of shape {shape}", result, expected, hint)
        if not torch.allclose(seen, expected, rtol=1e-3, atol=1e-2):
            raise cross(f"asymmetry of images of shape {shape}", short(seen), short(expected), hint)
    tick("asymmetry: one number per image, 0 for a symmetric one, and no byte wrapped round.")


def read_curves(answer: Callable) -> None:
    """Check what was read from the four panels of `draw_riddle`."""
    seen = call(answer)
    if not isinstance(seen, dict) or set(RIDDLE) - set(seen):
        found = f"{type(seen).__name__} {short(seen)}"
        raise cross("what read_curves returns", found, f"a dict with the keys {', '.join(RIDDLE)}", "fill every place")
    if as_number("the dim of the solid curves", seen["solid"]) != RIDDLE["solid"]:
        hint = "in one panel a curve has two bumps, the legs; are they beside or above each other, and who adds down?"
        raise cross("the dim of the solid curves", short(seen["solid"]), "the other one", hint)
    hints = {
        "Trouser": "two legs stand side by side: which sums over the columns of the picture have two bumps?",
        "Dress": "it is narrow and reaches from top to bottom: which curve is nearly level, which has one narrow bump?",
        "Sneaker": "a low shoe is wide and flat: in which panel are both the first and the last rows dark?",
        "Bag": "its body is wide and low, and only the handle reaches up: where do the rows become bright late?",
    }
    for letter in "ABCD":
        if seen[letter] not in CLASS_NAMES:
            hint = "one of the six names is asked for, spelt as in the task"
            raise cross(f"the class of panel {letter}", short(seen[letter]), "the name of a class", hint)
        if seen[letter] != RIDDLE[letter]:
            raise cross(f"the class of panel {letter}", short(seen[letter]), "another class", hints[RIDDLE[letter]])
    tick("read_curves: right, all four classes and both dims.")


def most_sensitive(answer: Callable) -> None:
    """Check (row, column) of the pixel with the largest gradient, whatever its sign."""
    generator = torch.Generator().manual_seed(2)
    for rows, columns in ((6, 9), (12, 5), (28, 28)):
        image = torch.randint(0, 256, (rows, columns), dtype=torch.uint8, generator=generator)
        weights = torch.rand(rows, columns, generator=generator)
        weights[rows - 2, columns - 1], weights[1, 2] = -3.0, 2.0
        target = 100 + 50 * torch.rand(rows, columns, generator=generator)

        def weighted(x, weights=weights):
            return (x * weights).sum()

        def squares(x, target=target):
            return ((x - target) ** 2).mean()

        for score in (weighted, squares):
            x = image.float().requires_grad_()
            score(x).backward()
            gradient = x.grad
            place = _place(gradient.abs())
            result = call(answer, score, image)
            try:
                seen = tuple(int(number) for number in result)
            except UNREADABLE:
                hint = "which row and which column is that? a flat position is row * number of columns + column"
                raise cross("what most_sensitive returns", short(result), "a row and a column", hint) from None
            flat = int(gradient.abs().argmax())
            mistakes = [
                (seen == place[::-1], "row and column have changed places"),
                (seen == divmod(flat, rows), "argmax counts along the rows: how many entries has one row?"),
                (seen == _place(image.float()), "this is the brightest pixel; ask the gradient, not the image"),
                (
                    seen == _place(gradient),
                    "a strongly negative gradient matters as much; leave out the sign",
                ),
                (seen == _place(-gradient), "a strongly positive gradient matters too; leave out the sign"),
                (seen == _place(-gradient.abs()), "this is the pixel that matters least"),
            ]
            if seen != place:
                hint = first_hint(mistakes, "let the score go backward, then look at the gradient of the image")
                raise cross("the pixel with the largest gradient", short(seen), place, hint)
    tick("most_sensitive: right for a weighted sum and for squares, for positive and for negative gradients.")


def _place(values: torch.Tensor) -> tuple[int, int]:
    """Return row and column of the largest value."""
    return divmod(int(values.argmax()), values.shape[1])
