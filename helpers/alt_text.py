"""Say in words what a figure shows, made from what is drawn in it, for those who hear a page instead of seeing it."""

import re

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

MOST = 12  # of the same kind that are named one by one
LONGEST = 1500  # letters; a listener cannot skim


def plain(text: str) -> str:
    """Return a label in one line."""
    return " ".join(text.replace("$", "").split())


def number(value: float) -> str:
    """Return a number as one would say it."""
    value = float(f"{value:.3g}") + 0.0 if abs(value) < 1000 else value  # + 0.0 makes 0 of -0
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def listed(parts: list[str], separator: str = "; ") -> str:
    """Join the first parts, and say how many are left out."""
    more = len(parts) - MOST
    return separator.join(parts[:MOST]) + (f"{separator}and {more} more" if more > 0 else "")


def tick_names(axis) -> dict[float, str]:
    """Return the words at the ticks of an axis by their place; empty where the ticks are numbers."""
    places = axis.get_ticklocs()
    names = [plain(label.get_text()) for label in axis.get_ticklabels()]
    numbers = all(re.fullmatch(r"[−-]?[\d.,]*|\\mathdefault.*", name) for name in names)
    if len(names) != len(places) or numbers:
        return {}
    return {float(place): name for place, name in zip(places, names, strict=True) if name}


def describe_line(line, names: dict[float, str]) -> str:
    """Say where a curve begins and ends, and its lowest and highest point."""
    x, y = np.asarray(line.get_xdata(orig=False), float), np.asarray(line.get_ydata(orig=False), float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    label = plain(str(line.get_label()))
    label = "" if label.startswith("_") else f"{label}: "
    if len(x) == 0:
        return ""
    if len(x) == 1:
        return f"{label}a point at {number(x[0])}, {number(y[0])}"
    if np.ptp(x) == 0:
        return f"{label}a vertical line at {number(x[0])}"
    if np.ptp(y) == 0:
        return f"{label}a level line at {number(y[0])}"
    first, last, low, high = 0, len(x) - 1, y.argmin(), y.argmax()
    text = f"{label}from {number(y[first])} at {names.get(x[0], number(x[0]))}"
    text += f" to {number(y[last])} at {names.get(x[-1], number(x[-1]))}"
    for place, word in ((low, "lowest"), (high, "highest")):
        if place not in (first, last):
            text += f", {word} {number(y[place])} at {names.get(x[place], number(x[place]))}"
    return text


def describe_bars(bars: BarContainer, across: dict[float, str], up: dict[float, str]) -> str:
    """Name each bar with its length; of many without names, the longest."""
    flat = bars.orientation == "horizontal"
    names = up if flat else across
    lengths = [patch.get_width() if flat else patch.get_height() for patch in bars]
    middles = [
        patch.get_y() + patch.get_height() / 2 if flat else patch.get_x() + patch.get_width() / 2 for patch in bars
    ]
    label = plain(str(bars.get_label()))
    label = "" if label.startswith("_") else f"{label}: "
    if not lengths:
        return f"{label}no bars"
    if len(lengths) > MOST and not names:
        top = int(np.argmax(lengths))
        return f"{label}{len(lengths)} bars, the highest {number(lengths[top])} at {number(middles[top])}"
    return label + listed(
        [
            f"{names.get(round(middle, 6), number(middle))} {number(length)}"
            for middle, length in zip(middles, lengths, strict=True)
        ],
        ", ",
    )


def describe_error_bars(container: ErrorbarContainer, across: dict[float, str], up: dict[float, str]) -> str:
    """Name each point with its value."""
    line = container.lines[0]
    if line is None:
        return ""
    x, y = np.asarray(line.get_xdata(orig=False), float), np.asarray(line.get_ydata(orig=False), float)
    return listed(
        [
            f"{up.get(b) or across.get(a) or number(a)}: {number(a) if b in up else number(b)}"
            for a, b in zip(x, y, strict=True)
        ]
    )


def describe_grid(values: np.ndarray, across: dict[float, str], up: dict[float, str], middle: float) -> str:
    """Say the size of a heat map and where it is lowest and highest."""
    values = np.ma.filled(np.ma.masked_invalid(np.asarray(values, float)), np.nan)
    rows, columns = values.shape
    text = f"a grid of {rows} rows and {columns} columns"
    if np.isnan(values).all():
        return text
    for word, found in (("lowest", np.nanargmin(values)), ("highest", np.nanargmax(values))):
        row, column = np.unravel_index(found, values.shape)
        text += (
            f", {word} {number(values[row, column])} in row {up.get(row + middle, row + 1)}, "
            f"column {across.get(column + middle, column + 1)}"
        )
    return text


def describe_axes(ax: Axes) -> str:
    """Say what is drawn in one Axes: what its author wrote as its label, or title, axes and values."""
    if ax.get_label():
        return plain(str(ax.get_label()))
    title = plain(ax.get_title())
    words = [plain(text.get_text()) for text in ax.texts if text.get_visible() and text.get_text().strip()]
    if not ax.axison:
        return listed([part for part in (title, *words) if part] or ["a picture"])
    across, up = tick_names(ax.xaxis), tick_names(ax.yaxis)
    parts = []
    axes = [
        f"{name} axis: {plain(text)}" for name, text in (("x", ax.get_xlabel()), ("y", ax.get_ylabel())) if text.strip()
    ]
    in_containers = {
        id(line)
        for container in ax.containers
        if isinstance(container, ErrorbarContainer)
        for line in (container.lines[0], *container.lines[1])
        if line is not None
    }
    for container in ax.containers:
        if isinstance(container, BarContainer):
            parts.append(describe_bars(container, across, up))
        elif isinstance(container, ErrorbarContainer):
            parts.append(describe_error_bars(container, across, up))
    lines = [describe_line(line, across) for line in ax.lines if id(line) not in in_containers]
    parts.append(listed([line for line in lines if line]))
    for collection in ax.collections:
        if isinstance(collection, PathCollection) and len(collection.get_offsets()):
            label = plain(str(collection.get_label()))
            parts.append(f"{len(collection.get_offsets()):,} points{'' if label.startswith('_') else f' of {label}'}")
        elif isinstance(collection, QuadMesh):
            shape = collection.get_array().shape
            parts.append(describe_grid(collection.get_array(), across, up, 0.5) if len(shape) == 2 else "a grid")
    for image in ax.images:
        values = image.get_array()
        height, width = values.shape[:2]
        # The ticks of a heat map name its rows; a picture has none, or those of a mosaic.
        named = len(across) == width and len(up) == height
        parts.append(describe_grid(values, across, up, 0) if named else f"a picture of {size_of(ax)}")
        if up and not named:
            parts.append(f"rows: {listed(list(up.values()), ', ')}")
    if words and not any(isinstance(found, QuadMesh) for found in ax.collections) and len(words) <= 3 * MOST:
        parts.append(f"written in it: {listed(words)}")
    return ". ".join(part for part in (title, *axes, *parts) if part)


def size_of(ax: Axes) -> str:
    """Return the size of the picture in an Axes."""
    height, width = ax.images[0].get_array().shape[:2]
    return f"{height} × {width} pixels"


def is_plain_picture(ax: Axes) -> bool:
    """Tell whether an Axes holds a picture and nothing else that would need words of its own."""
    return len(ax.images) == 1 and not (ax.lines or ax.collections or ax.texts or ax.containers or ax.get_label())


def describe_figure(figure: Figure) -> str:
    """Say in words what a figure shows, made from what is drawn.

    Parameters
    ----------
    figure : Figure
        Its Axes are described in order: title, labels of the axes, and of each curve, bar, point and grid the numbers
        that matter. Where an Axes has a label (`ax.set_label("…")`), that is its description, as of a drawing.

    Returns
    -------
    str
        In one line, without an end that is cut off silently.
    """
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]
    shown = [ax for ax in shown if ax.axison or ax.has_data() or ax.texts or ax.get_label()]  # no empty places
    pictures = [ax for ax in shown if is_plain_picture(ax)]
    parts = [plain(figure.get_suptitle())]
    if len(pictures) > 2:
        titles = [plain(ax.get_title()) for ax in pictures if ax.get_title()]
        sides = [plain(ax.get_ylabel()) for ax in pictures if ax.get_ylabel()]
        shown = [ax for ax in shown if ax not in pictures]
        parts.append(
            f"{len(pictures)} pictures"
            + (f": {listed(titles)}" if titles else f" of {size_of(pictures[0])}, without titles")
            + (f". Rows: {listed(sides)}" if sides else "")
        )
    parts += [describe_axes(ax) for ax in shown]
    text = ". ".join(part.rstrip(".") for part in parts if part) or "a figure"
    return f"{text[:LONGEST]} … (more is in the figure)" if len(text) > LONGEST else f"{text}."


def add_alt_text() -> None:
    """Give every figure that a notebook shows its description, as metadata of the output. Does nothing elsewhere."""
    shell = get_ipython()
    if shell is None:
        return
    plt.switch_backend(plt.get_backend())  # which sets the formatter, and would do so only at the first figure
    formatter = shell.display_formatter.formatters["image/png"]
    draw = formatter.type_printers.get(Figure)
    if draw is None or getattr(draw, "with_alt_text", False):
        return

    def draw_with_alt_text(figure):
        drawn = draw(figure)
        png, metadata = drawn if isinstance(drawn, tuple) else (drawn, {})
        try:
            words = describe_figure(figure)
        except Exception:  # whatever a student draws must be seen, told or not
            words = "a figure"
        return png, {**metadata, "alt": words}

    draw_with_alt_text.with_alt_text = True
    formatter.for_type(Figure, draw_with_alt_text)
