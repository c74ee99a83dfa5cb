"""Legends: below the panels, inside the sheet, in lines that its width can hold."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import literal
from vvscale.figures.drawing.pen import areas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from vvscale.figures.drawing.values import Axis, Panel

# Height of a line in points; how long entries may be of which three stand side by side, and those of which two do.
LINE, SHORT, MEDIUM = 8.2, 17, 28
# Width of a character, of a handle with its gaps, and of the gap before the next, in inches, at the legend's size.
CHARACTER, HANDLE, GAP = 0.0425, 0.44, 0.09

# Where a legend begins, as a share of the axes; and how near to the edge of the sheet it may come, in pixels.
ANCHOR, EDGE = (-0.02, 0.0), 3.0
# Characters of all labels of an axis of categories that stand side by side.
MOST_CHARACTERS = 26


def handles_of(panel: Panel, width: float) -> list[Line2D]:
    """Handles of the series that have a label and something to show, and of the size scale.

    Parameters
    ----------
    width
        Inches that a line of the legend may take.
    """
    marks = {name: set(part["mark"]) for name, part in panel.rows.groupby("series")}
    handles = []
    for one in panel.series:
        if one.name not in marks or one.label is None:
            continue
        lines = marks[one.name] & {"curve", "line", "rule"}
        dots = marks[one.name] & {"point", "mean", "bar"}
        # Shaded points have no colour of their own: that of the series is its law's.
        has_dots = "line" in lines or bool(dots and not (lines and panel.shade))
        marker = ("s" if "bar" in dots else one.marker) if has_dots else ""
        text = literal("\n".join(textwrap.wrap(one.label, int((width - HANDLE) / CHARACTER))))
        dashes = ("--" if one.is_faded else "-") if lines else ""
        handles.append(Line2D([], [], color=one.colour, marker=marker, markersize=3.5, linestyle=dashes, label=text))
    return [*handles, *_sizes(panel)]


def texts(handles: Sequence[Line2D]) -> list[str]:
    """Labels of handles."""
    return [str(handle.get_label()) for handle in handles]


def height_of(handles: Sequence[Line2D]) -> float:
    """Height of a panel's legend, in inches."""
    short, n_columns, long = _split(handles)
    n_lines = -(-len(short) // n_columns) + sum(1 + text.count("\n") for text in texts(long))
    return (LINE * n_lines + 6.0) / 72.0 if handles else 0.0


def put_below(axes: Axes, handles: Sequence[Line2D], panel: Panel) -> Rectangle:
    """Put a panel's own legend under its x-axis: short names side by side, then one line for each long one.

    Returns what holds its height in the layout: the legend itself may be wider than its axes and is left out of it.
    """
    down = _below_ticks(axes, panel)
    canvas = axes.get_figure(root=True)
    assert canvas is not None
    depth = down / 72.0 + height_of(handles)
    place = canvas.dpi_scale_trans + ScaledTranslation(0.5, 0.0, axes.transAxes)  # pyright: ignore[reportArgumentType]
    held = Rectangle((0.0, -depth), 1e-3, depth, transform=place, clip_on=False, alpha=0.0)
    axes.add_artist(held)
    short, n_short, long = _split(handles)
    for part, n_columns in ((short, n_short), (long, 1)):
        if not part:
            continue
        below = axes.transAxes + ScaledTranslation(0.0, -down / 72.0, canvas.dpi_scale_trans)
        legend = Legend(
            axes, list(part), texts(part), loc="upper left", bbox_to_anchor=ANCHOR, bbox_transform=below,
            ncols=min(n_columns, len(part)), borderaxespad=0.0, borderpad=0.1,
        )  # fmt: skip
        axes.add_artist(legend)
        legend.set_clip_on(False)
        legend.set_in_layout(False)
        n_lines = -(-len(part) // n_columns) if n_columns > 1 else sum(1 + text.count("\n") for text in texts(part))
        down += LINE * n_lines + 2.0
    return held


def _below_ticks(axes: Axes, panel: Panel) -> float:
    """Points from the axis down to where the legend begins: below ticks and label."""
    down = 30.0 if panel.x.label and panel.x.scale != "category" else 17.0
    if is_turned(panel.x):
        # Sine of the angle times the longest label, less the one line that is counted already.
        down += max(0.5 * max(map(len, panel.x.categories)) * 72 * CHARACTER + 3.0, 0.0)
    return down


def is_turned(axis: Axis) -> bool:
    """Whether the labels of an x-axis of categories are too long to stand side by side."""
    return axis.scale == "category" and sum(map(len, axis.categories)) > MOST_CHARACTERS


def keep_inside(canvas: Canvas, axes: Axes) -> None:
    """Shift a panel's legends to the left until they end inside the sheet."""
    width = canvas.get_figwidth() * canvas.dpi
    for legend in axes.get_children():
        if not isinstance(legend, Legend):
            continue
        box = legend.get_window_extent()
        over = box.x1 - (width - EDGE)
        shift = -min(over, box.x0 - EDGE) if over > 0 else max(EDGE - box.x0, 0.0)
        if shift:
            left = ANCHOR[0] + shift / axes.get_window_extent().width
            legend.set_bbox_to_anchor((left, ANCHOR[1]), legend.get_bbox_to_anchor()._transform)  # pyright: ignore[reportAttributeAccessIssue]


def n_shared(handles: Sequence[Line2D], width: float) -> int:
    """How many entries of a legend of the whole sheet, ``width`` inches wide, stand side by side."""
    return max(1, min(6, len(handles), int(width / (HANDLE + GAP + CHARACTER * max(map(_length, handles))))))


def _split(handles: Sequence[Line2D]) -> tuple[list[Line2D], int, list[Line2D]]:
    """Entries that stand side by side, how many of them do, and those that take a line each."""
    together = [handle for handle in handles if _length(handle) <= MEDIUM]
    n_columns = 3 if all(_length(handle) <= SHORT for handle in together) else 2
    return together, n_columns, [handle for handle in handles if handle not in together]


def _length(handle: Line2D) -> int:
    """Characters of a label, of which those that only mark a formula are none."""
    return len(re.sub(r"\\times|[\\${}^]", lambda found: "x" if len(found[0]) > 1 else "", str(handle.get_label())))


def _sizes(panel: Panel) -> list[Line2D]:
    """Three sizes that stand for numbers: powers of ten where there are some, else the ends of the data."""
    if panel.size is None:
        return []
    values = panel.rows["size"].dropna().to_numpy(float)
    powers = np.arange(np.ceil(np.log10(values.min())), np.floor(np.log10(values.max())) + 1)
    levels = 10.0**powers if len(powers) > 1 else np.array([values.min(), values.max()])
    levels = levels[:: -(-len(levels) // 3)]
    symbol = panel.size.symbol or panel.size.column
    made = []
    for level, area in zip(levels, areas(levels, values), strict=True):
        exponent = int(np.floor(np.log10(level) + 1e-9))
        factor = level / 10.0**exponent
        said = f"10^{{{exponent}}}" if abs(factor - 1) < 1e-6 else rf"{factor:.1f}\times10^{{{exponent}}}"
        look = {"color": style.GREY, "marker": "o", "linestyle": "", "markersize": float(np.sqrt(area))}
        made.append(Line2D([], [], label=f"{symbol} = ${said}$", **look))
    return made
