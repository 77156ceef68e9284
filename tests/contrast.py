"""Whether a figure can be seen: the contrast of its text and marks with what is behind them, computed of its Axes."""

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text

TEXT, LARGE_TEXT, MARK = 4.5, 3.0, 3.0  # the least that WCAG 2.2 AA asks for (1.4.3 and 1.4.11)
LARGE = 18  # points


def luminance(rgb):
    """Return the relative luminance, 0 to 1, of colours (..., 3) from 0 to 1, as WCAG 2.2 defines it."""
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(color, ground, alpha=None):
    """Return the contrast, 1 to 21, of a colour of matplotlib that lies on grounds (..., 3) from 0 to 1."""
    *rgb, opacity = to_rgba(color, alpha)
    ground = np.asarray(ground, dtype=float)[..., :3]
    light, dark = luminance(opacity * np.array(rgb) + (1 - opacity) * ground), luminance(ground)
    return (np.maximum(light, dark) + 0.05) / (np.minimum(light, dark) + 0.05)


def undrawn_texts(ax, axis):
    """Return the texts of an axis that matplotlib has and does not draw: of ticks out of view, or all of them."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return (
        axis.findobj(Text)
        if not ax.axison
        else [text for tick in ticks if not low <= tick.get_loc() <= high for text in tick.findobj(Text)]
    )


def faint_texts(figure):
    """List the texts that are too faint: their words and their contrast with the pixels behind them."""
    figure.canvas.draw()
    undrawn = {text for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for text in undrawn_texts(ax, axis)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    texts = [text for text in texts if text not in undrawn]
    boxes, alphas = [text.get_window_extent() for text in texts], [text.get_alpha() for text in texts]
    for text in texts:
        text.set_alpha(0)  # a hidden text would let the layout move what is behind it
    figure.canvas.draw()
    behind = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3] / 255
    found = []
    for text, box, alpha in zip(texts, boxes, alphas, strict=True):
        text.set_alpha(alpha)
        rows, columns = slice(max(int(box.y0), 0), int(box.y1) + 1), slice(max(int(box.x0), 0), int(box.x1) + 1)
        ground = behind[rows, columns].reshape(-1, 3)
        if len(ground) == 0:
            continue  # outside of the figure
        for effect in text.get_path_effects() or []:  # an outline
            ground = np.array([to_rgba(effect._gc["foreground"])[:3]])
        # A line may cross a text; most of it must be readable.
        seen = np.quantile(contrast(text.get_color(), ground, text.get_alpha()), 0.25)
        if seen < (LARGE_TEXT if text.get_fontsize() >= LARGE else TEXT) - 0.01:
            found.append((text.get_text(), round(float(seen), 2)))
    return found


def faint_marks(figure):
    """List the lines, bars and points that are too faint: what they are and their contrast with their Axes."""
    found = []
    for ax in figure.axes:
        ground = to_rgba(ax.get_facecolor())[:3] if ax.patch.get_visible() and ax.axison else (1, 1, 1)
        for line in ax.lines:
            drawn = [line.get_color()] * (line.get_linestyle() not in ("None", " ", ""))
            if line.get_marker() not in ("None", None, "", " "):
                drawn += [line.get_markerfacecolor(), line.get_markeredgecolor()]
            colors = [(color, line.get_alpha()) for color in drawn if not isinstance(color, str) or color != "none"]
            found.append(("line", line.get_label(), colors, ground))
        for patch in ax.patches:
            colors = [(patch.get_facecolor(), None)] + [(patch.get_edgecolor(), None)] * (patch.get_linewidth() > 0)
            found.append(("patch", patch.get_label(), colors, ground))
        for collection in ax.collections:
            if isinstance(collection, PathCollection):  # of points; a band goes with its line
                colors = [(color, None) for color in (*collection.get_edgecolor(), *collection.get_facecolor())]
                found.append(("points", collection.get_label(), colors, ground))
    seen = [
        (what, str(label), round(float(max(contrast(color, ground, alpha) for color, alpha in colors)), 2))
        for what, label, colors, ground in found
        if colors
    ]
    return [mark for mark in seen if mark[2] < MARK - 0.01]
