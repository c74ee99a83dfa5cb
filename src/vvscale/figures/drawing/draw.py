"""Draw a ``FigureData`` with matplotlib: marks in, one figure out. Knows marks and looks, no figure by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter

from vvscale.figures.drawing import style
from vvscale.figures.drawing.fonts import shared_formulas
from vvscale.figures.drawing.legend import (
    LINE,
    handles_of,
    height_of,
    is_turned,
    keep_inside,
    n_shared,
    put_below,
    texts,
)
from vvscale.figures.drawing.limits import limits
from vvscale.figures.drawing.names import literal
from vvscale.figures.drawing.pen import Pen
from vvscale.figures.drawing.ticks import log_ticks, minor_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from vvscale.figures.drawing.values import Axis, FigureData, Panel

# A row of categories needs this much height, in inches, to be read.
CATEGORY_HEIGHT = 0.15
# Intervals between the labels of a linear axis: more run into each other at column width.
LINEAR_TICKS = 6
# Inches that "n = 123" needs beside the title.
NUMBER_WIDTH = 0.56


def draw(data: FigureData) -> Canvas:
    """Draw a figure; nothing is shown or written, and no global state of matplotlib changes."""
    with style.applied(), shared_formulas():
        n_columns = min(data.n_columns, len(data.panels))
        n_rows = -(-len(data.panels) // n_columns)
        width = style.PAGE if n_columns > 1 else style.COLUMN
        labels = [handles_of(panel, width / n_columns) for panel in data.panels]
        is_shared = len(data.panels) > 1 and all(texts(each) == texts(labels[0]) for each in labels)
        legend = 0.0 if is_shared else max(map(height_of, labels))
        tallest = max(style.PANEL_HEIGHT, *(CATEGORY_HEIGHT * len(panel.y.categories) for panel in data.panels))
        n_legend = n_shared(labels[0], width) if is_shared and labels[0] else 1
        shared = (LINE * -(-len(labels[0]) // n_legend) + 13.4) / 72.0 if is_shared else 0.0
        canvas = Canvas(figsize=(width, n_rows * (tallest + legend) + shared))
        FigureCanvasAgg(canvas)
        canvas.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04, wspace=0.03, hspace=0.03)
        grid = canvas.subplots(n_rows, n_columns, squeeze=False).ravel()
        for axes in grid[len(data.panels) :]:
            axes.set_visible(False)
        held, titles = [], []
        for axes, panel, handles in zip(grid, data.panels, labels, strict=False):
            titles.append(_draw_panel(canvas, axes, panel, is_alone=len(data.panels) == 1))
            if not is_shared and handles:
                held.append(put_below(axes, handles, panel))
        if is_shared and labels[0]:
            canvas.legend(handles=labels[0], loc="outside lower center", ncols=n_legend)
        # Laid out once; every format then takes the same places. With an engine of any kind, also one that does
        # nothing, matplotlib draws everything once more before it writes a file.
        engine = canvas.get_layout_engine()
        assert engine is not None
        engine.execute(canvas)
        canvas.set_layout_engine(None)
        for each in held:
            each.remove()
        for axes, panel, title in zip(grid, data.panels, titles, strict=False):
            keep_inside(canvas, axes)
            _count(axes, panel, title)
        return canvas


def _draw_panel(canvas: Canvas, axes: Axes, panel: Panel, *, is_alone: bool) -> Text:
    """Draw one panel and return its title."""
    pen = Pen(axes, panel)
    x, y = limits(panel)
    for which, axis, shown in (("x", panel.x, x), ("y", panel.y, y)):
        _set_axis(axes, which, axis, shown)
    pen.draw()
    # Marks may have widened what is shown.
    for which, axis, shown in (("x", panel.x, x), ("y", panel.y, y)):
        if shown is not None:
            getattr(axes, f"set_{which}lim")(*shown)
        elif axis.scale == "category" and which == "y":
            axes.set_ylim(len(axis.categories) - 0.5, -0.5)
    # Categories say themselves what they are.
    axes.set_xlabel("" if panel.x.scale == "category" else literal(panel.x.label))
    axes.set_ylabel(literal(panel.y.label))
    title = _say(axes, panel, is_alone=is_alone)
    if pen.shades is not None and panel.shade is not None:
        bar = canvas.colorbar(ScalarMappable(pen.shades, style.SHADES), ax=axes, pad=0.01, aspect=30, shrink=0.95)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.set_label(literal(panel.shade.label), fontsize=6.2)
        bar.ax.tick_params(labelsize=6)
    return title


def _set_axis(axes: Axes, which: str, axis: Axis, shown: tuple[float, float] | None) -> None:
    """Scale and ticks of one axis."""
    if axis.scale == "category":
        places = range(len(axis.categories))
        getattr(axes, f"set_{which}ticks")(list(places), list(map(literal, axis.categories)))
        axes.grid(visible=False, axis="x" if which == "x" else "y")
        if which == "x" and is_turned(axis):
            axes.tick_params(axis="x", rotation=30)
        return
    if shown is not None:
        getattr(axes, f"set_{which}lim")(*shown)
    if axis.scale == "linear":
        getattr(axes, f"{which}axis").set_major_locator(MaxNLocator(LINEAR_TICKS, steps=[1, 2, 2.5, 5, 10]))
    elif shown is not None:
        getattr(axes, f"set_{which}scale")("log")
        ticks = getattr(axes, f"{which}axis")
        places, labels = log_ticks(*shown)
        ticks.set_major_locator(FixedLocator(places))
        ticks.set_major_formatter(FixedFormatter(labels))
        ticks.set_minor_locator(FixedLocator(minor_ticks(*shown)))
        ticks.set_minor_formatter(NullFormatter())


def _say(axes: Axes, panel: Panel, *, is_alone: bool) -> Text:
    """Title, and the lines of text inside a panel."""
    title = axes.set_title(literal(panel.title if is_alone else f"{panel.key}  {panel.title}"), loc="left")
    if panel.text:
        axes.text(
            0.02 if panel.text_side == "left" else 0.98, 0.98, literal("\n".join(panel.text)), transform=axes.transAxes,
            ha=panel.text_side, va="top", fontsize=6, color="#333333", zorder=6,
        )  # fmt: skip
    return title


def _count(axes: Axes, panel: Panel, title: Text) -> None:
    """Say how many models there are: beside the title, or inside the panel where the title is too long."""
    if not panel.n:
        return
    canvas = axes.get_figure(root=True)
    assert canvas is not None
    looks: dict[str, Any] = {"fontsize": 6, "fontweight": "normal", "color": "#555555"}
    text = f"n = {panel.n}"
    free = axes.get_window_extent().x1 - title.get_window_extent().x1
    if free > NUMBER_WIDTH * canvas.dpi:
        axes.set_title(text, loc="right", **looks)
    else:
        axes.text(0.99, 0.02, text, transform=axes.transAxes, ha="right", va="bottom", zorder=6, **looks)
