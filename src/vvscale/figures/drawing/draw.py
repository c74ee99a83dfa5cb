"""Draw a ``FigureData`` with matplotlib: marks in, one figure out. Knows marks and looks, no figure by name."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import ADDED, FigureData, Panel

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Marker areas (points squared) of the smallest and largest model where size carries a meaning.
SMALLEST, LARGEST = 3.0, 46.0
# More points than this are drawn paler.
CROWDED = 80
# Legends: points per line, entries side by side, and how long (with mathematics, in source) those may be.
LINE, SIDE_BY_SIDE, SHORT = 9.6, 3, 16


def draw(data: FigureData) -> Canvas:
    """Draw a figure; nothing is shown or written, and no global state of matplotlib changes."""
    with style.applied():
        n_columns = min(data.n_columns, len(data.panels))
        n_rows = -(-len(data.panels) // n_columns)
        is_wide = n_columns > 1
        labels = [_legend(panel) for panel in data.panels]
        is_shared = len(data.panels) > 1 and all(_texts(each) == _texts(labels[0]) for each in labels)
        legend = 0.0 if is_shared else max(map(_height, labels))
        height = n_rows * (style.PANEL_HEIGHT + legend) + (0.3 if is_shared else 0.0)
        canvas = Canvas(figsize=(style.PAGE if is_wide else style.COLUMN, height))
        FigureCanvasAgg(canvas)
        padding = {"w_pad": 0.04, "h_pad": 0.04, "wspace": 0.03, "hspace": 0.03}
        canvas.set_layout_engine("constrained", **padding)
        grid = canvas.subplots(n_rows, n_columns, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(data.panels):
                axes.set_visible(False)
                continue
            _draw_panel(canvas, axes, data.panels[place], is_alone=len(data.panels) == 1)
            if not is_shared and labels[place]:
                _below(axes, labels[place])
        if is_shared and labels[0]:
            n_legend = min(len(labels[0]), 6 if is_wide else 3)
            canvas.legend(handles=labels[0], loc="outside lower center", ncols=n_legend)
        # Laid out once; every format then takes the same places.
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")
        return canvas


def _texts(handles: list[Line2D]) -> list[str]:
    return [str(handle.get_label()) for handle in handles]


def _below(axes: Axes, handles: list[Line2D]) -> None:
    """Put a panel's own legend under its x-axis: short names side by side, then one line for each long one."""
    down = 30.0 if axes.get_xlabel() else 17.0
    short, long = _split(handles)
    for part, n_columns in ((short, SIDE_BY_SIDE), (long, 1)):
        if not part:
            continue
        below = axes.transAxes + ScaledTranslation(0.0, -down / 72.0, axes.figure.dpi_scale_trans)  # pyright: ignore[reportOptionalMemberAccess]
        legend = Legend(
            axes, part, _texts(part), loc="upper center", bbox_to_anchor=(0.46, 0.0), bbox_transform=below,
            ncols=min(n_columns, len(part)), borderaxespad=0.0, borderpad=0.1,
        )  # fmt: skip
        axes.add_artist(legend)
        legend.set_clip_on(False)
        down += LINE * -(-len(part) // n_columns) + 2.0


def _split(handles: list[Line2D]) -> tuple[list[Line2D], list[Line2D]]:
    long = [handle for handle in handles if len(str(handle.get_label())) > SHORT]
    return [handle for handle in handles if handle not in long], long


def _height(handles: list[Line2D]) -> float:
    """Height of a panel's legend, in inches."""
    short, long = _split(handles)
    n_lines = -(-len(short) // SIDE_BY_SIDE) + sum(1 + text.count("\n") for text in _texts(long))
    return (LINE * n_lines + 4.0) / 72.0 if handles else 0.0


def _legend(panel: Panel) -> list[Line2D]:
    """Handles of the series that have a label and something to show, and of the size scale."""
    shown = set(panel.rows["series"])
    marks = {name: set(part["mark"]) for name, part in panel.rows.groupby("series")}
    handles = []
    for one in panel.series:
        if one.name not in shown or one.label is None:
            continue
        lines = marks[one.name] & {"curve", "line", "rule"}
        dots = marks[one.name] & {"point", "mean", "bar"}
        handles.append(
            Line2D(
                [], [], color=one.colour, marker=(one.marker or "") if dots or "line" in lines else "", markersize=3.5,
                linestyle=("--" if one.is_faded else "-") if lines else "",
                label=_wrapped(one.label, panel),
            )
        )  # fmt: skip
    return [*handles, *_size_legend(panel)]


def _wrapped(text: str, panel: Panel) -> str:
    """Break a legend text that would be wider than its panel, which a colour bar makes narrower."""
    return "\n".join(textwrap.wrap(text, 44)) if panel.shade is not None else text


def _size_legend(panel: Panel) -> list[Line2D]:
    if panel.size is None:
        return []
    values = panel.rows["size"].dropna().to_numpy(float)
    low, high = np.ceil(np.log10(values.min())), np.floor(np.log10(values.max()))
    levels = 10.0 ** np.arange(low, high + 1)
    areas = _areas(levels, values)
    return [
        Line2D(
            [], [], color=style.GREY, marker="o", linestyle="", markersize=float(np.sqrt(area)),
            label=f"N = {_power(level)}",
        )
        for level, area in zip(levels, areas, strict=True)
    ]  # fmt: skip


def _power(value: float) -> str:
    return f"$10^{{{int(np.log10(value))}}}$"


def _areas(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    low, high = np.log10(np.nanmin(among)), np.log10(np.nanmax(among))
    share = (np.log10(values) - low) / (high - low if high > low else 1.0)
    return SMALLEST + (LARGEST - SMALLEST) * share**2


def _draw_panel(canvas: Canvas, axes: Axes, panel: Panel, *, is_alone: bool) -> None:
    places = {name: place for place, name in enumerate(panel.x.categories)}
    rows_of = {name: place for place, name in enumerate(panel.y.categories)}
    shades = _shades(panel)
    names = [one.name for one in panel.series]
    for order, one in enumerate(panel.series):
        part = panel.rows[panel.rows["series"] == one.name]
        for mark, marks in part.groupby("mark", sort=False):
            _MARKS[str(mark)](axes, one, marks, panel, places, rows_of, names, order, shades)
    _finish(axes, panel, is_alone=is_alone)
    if shades is not None and panel.shade is not None:
        drawn = ScalarMappable(shades, style.SHADES)
        bar = canvas.colorbar(drawn, ax=axes, pad=0.01, aspect=30, shrink=0.95)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.set_label(panel.shade.label, fontsize=6.2)
        bar.ax.tick_params(labelsize=6)


def _shades(panel: Panel) -> Normalize | None:
    if panel.shade is None:
        return None
    values = panel.rows["shade"].dropna()
    kind = LogNorm if panel.shade.scale == "log" else Normalize
    return kind(float(values.min()), float(values.max()))


def _column(marks: pd.DataFrame, name: str) -> np.ndarray:
    return marks[name].to_numpy(float) if name in marks.columns else np.full(len(marks), np.nan)


def _at(marks: pd.DataFrame, places: dict[str, int], column: str) -> np.ndarray:
    """Positions along an axis: of a category, or the number itself."""
    if not places:
        return _column(marks, column)
    return marks["category"].map(places).to_numpy(float)


def _offset(names: list[str], order: int, marks: pd.DataFrame, panel: Panel) -> float:
    """Sidestep of a series at a category, so that series stand beside each other."""
    at_category = panel.rows.dropna(subset=["category"]) if "category" in panel.rows else panel.rows.iloc[:0]
    together = [name for name in names if name in set(at_category["series"])]
    crowded = at_category.groupby("category")["series"].nunique().max() if len(at_category) else 1
    if crowded < 2 or names[order] not in together:
        return 0.0
    return (together.index(names[order]) - (len(together) - 1) / 2) * min(0.8 / len(together), 0.26)


def _points(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    is_added = bool((marks["layer"] == ADDED).all())
    x, y = _at(marks, places, "x"), _at(marks, rows_of, "y")
    if places:
        x = x + _offset(names, order, marks, panel)
    sizes = _column(marks, "size")
    area: Any = style.POINT
    if panel.size is not None and not is_added:
        area = _areas(sizes, panel.rows["size"].dropna().to_numpy(float))
    looks: dict[str, Any] = {"color": one.colour}
    if shades is not None and not is_added:
        looks = {"c": _column(marks, "shade"), "cmap": style.SHADES, "norm": shades}
    axes.scatter(
        x, y, s=42 if is_added else area, marker=one.marker or "o", linewidths=0.5 if is_added else 0,
        edgecolors="white" if is_added else "none",
        alpha=1.0 if is_added else 0.75 if len(marks) < CROWDED else style.ALPHA,
        zorder=5 if is_added else 2, rasterized=False, **looks,
    )  # fmt: skip
    _label(axes, x, y, marks)


def _label(axes: Axes, x: np.ndarray, y: np.ndarray, marks: pd.DataFrame) -> None:
    if "label" not in marks or "is_labelled" not in marks:
        return
    for at, height, text, wanted in zip(x, y, marks["label"], marks["is_labelled"], strict=True):
        if wanted is True:
            axes.annotate(text, (at, height), xytext=(3, 2), textcoords="offset points", fontsize=5.2, color="#333333")


def _means(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    x, y = _at(marks, places, "x"), _at(marks, rows_of, "y")
    step = _offset(names, order, marks, panel)
    is_forest = bool(rows_of)
    values = _column(marks, "x") if is_forest else y
    ends = np.abs(np.stack([_column(marks, "low"), _column(marks, "high")]) - values)
    status = marks["status"].to_numpy() if "status" in marks else np.full(len(marks), "")
    for row in range(len(marks)):
        alpha = style.FADED if status[row] == "unidentified" or one.is_faded else 1.0
        spread = np.nan_to_num(ends[:, row : row + 1])
        at = (x[row], y[row] + step) if is_forest else (x[row] + (step if places else 0.0), y[row])
        error = {"xerr": spread} if is_forest else {"yerr": spread}
        axes.errorbar(
            [at[0]], [at[1]], **error, fmt=one.marker or "o", color=one.colour, alpha=alpha, elinewidth=0.8,
            markeredgecolor="white", markeredgewidth=0.3, zorder=4,
        )  # fmt: skip


def _bars(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    step = _offset(names, order, marks, panel)
    together = max(int(panel.rows.groupby("category")["series"].nunique().max()), 1)
    x, y = _at(marks, places, "x") + step, _column(marks, "y")
    alpha = style.FADED if one.is_faded else 0.9
    axes.bar(x, y, width=min(0.7, 0.8 / together), color=one.colour, alpha=alpha, zorder=2)
    ends = np.abs(np.stack([_column(marks, "low"), _column(marks, "high")]) - y)
    known = ~np.isnan(ends).any(axis=0)
    axes.errorbar(x[known], y[known], yerr=ends[:, known], fmt="none", ecolor=style.BLACK, elinewidth=0.8, zorder=4)


def _lines(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    for _, part in marks.groupby("group", sort=False):
        x, y = _column(part, "x"), _column(part, "y")
        is_many = marks["group"].nunique() > 3
        dashed = "--" if one.is_faded else "-"
        # Told apart by more than colour: a marker here and there.
        marker = {} if is_many else {"marker": one.marker, "markevery": max(len(x) // 6, 1), "markersize": 3.0}
        axes.plot(
            x,
            y,
            color=one.colour,
            lw=0.6 if is_many else 1.1,
            alpha=0.5 if is_many else 0.95,
            ls=dashed,
            zorder=3,
            **marker,
        )
        low, high = _column(part, "low"), _column(part, "high")
        if not np.isnan(low).all():
            axes.fill_between(x, low, high, color=one.colour, alpha=style.BAND * 0.8, lw=0, zorder=1)
        text = part["label"].iloc[-1] if "label" in part else None
        if isinstance(text, str) and text:
            axes.annotate(
                text, (x[-1], y[-1]), xytext=(2, 0), textcoords="offset points", fontsize=5.5, color=one.colour,
                va="center", annotation_clip=True,
            )  # fmt: skip


def _curves(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    """A fitted law: solid over the data, dotted beyond; pale and dashed where it is not identified."""
    fade = style.FADED if one.is_faded else 1.0
    inside = (marks["group"] == "data").to_numpy()
    x, y = _column(marks, "x"), _column(marks, "y")
    # The last vertex of the data is the first beyond, so that the line does not break.
    last = int(inside.sum()) - 1
    dashes, alpha = ("--", 0.55) if one.is_faded else ("-", 1.0)
    axes.plot(x[inside], y[inside], color=one.colour, ls=dashes, alpha=alpha, zorder=4)
    if not inside.all():
        axes.plot(x[last:], y[last:], color=one.colour, ls=":", lw=1.0, alpha=0.5 if one.is_faded else 0.8, zorder=4)
    for low, high, alpha in (("predicted_low", "predicted_high", style.PREDICTION), ("low", "high", style.BAND)):
        bottom, top = _column(marks, low), _column(marks, high)
        if not np.isnan(bottom).all():
            axes.fill_between(x, bottom, top, color=one.colour, alpha=alpha * fade, lw=0, zorder=1)


def _rules(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    for x, y in zip(_column(marks, "x"), _column(marks, "y"), strict=True):
        looks: dict[str, Any] = {"color": one.colour, "lw": 0.8, "ls": "--" if one.is_faded else "-", "zorder": 1.5}
        _ = axes.axhline(y, **looks) if np.isnan(x) else axes.axvline(x, **looks)


def _areas_filled(axes, one, marks, panel, places, rows_of, names, order, shades) -> None:  # noqa: ANN001
    """A filled polygon; its rows are the vertices."""
    axes.fill(_column(marks, "x"), _column(marks, "y"), color=one.colour, alpha=style.BAND, lw=0, zorder=1)


_MARKS = {
    "point": _points, "mean": _means, "bar": _bars, "line": _lines, "curve": _curves, "rule": _rules,
    "area": _areas_filled,
}  # fmt: skip


def _finish(axes: Axes, panel: Panel, *, is_alone: bool) -> None:
    for name, axis in (("x", panel.x), ("y", panel.y)):
        if axis.scale == "log":
            getattr(axes, f"set_{name}scale")("log")
            limits = np.log10(getattr(axes, f"get_{name}lim")())
            locator = LogLocator(numticks=7 if np.ptp(limits) > 5 else 12)
            getattr(axes, f"{name}axis").set_major_locator(locator)
            getattr(axes, f"{name}axis").set_minor_formatter(NullFormatter())
        elif axis.scale == "category":
            places = range(len(axis.categories))
            getattr(axes, f"set_{name}ticks")(list(places), list(axis.categories))
            axes.grid(visible=False, axis="x" if name == "x" else "y")
            if name == "y":
                axes.set_ylim(len(axis.categories) - 0.5, -0.5)
            elif sum(map(len, axis.categories)) > 26:
                axes.tick_params(axis="x", rotation=30)
    axes.set_xlabel(panel.x.label)
    axes.set_ylabel(panel.y.label)
    axes.set_title(panel.title if is_alone else f"{panel.key}  {panel.title}", loc="left")
    if panel.n:
        axes.set_title(f"n = {panel.n}", loc="right", fontsize=6, fontweight="normal", color="#555555")
    if panel.text:
        said, side = "\n".join(panel.text), panel.text_side
        place = 0.02 if side == "left" else 0.98
        axes.text(
            place, 0.98, said, transform=axes.transAxes, ha=side, va="top", fontsize=6, color="#333333", zorder=6
        )  # fmt: skip
    _limit(axes, panel)


def _limit(axes: Axes, panel: Panel) -> None:
    """Let the marks and the fitted curves decide the limits of y; bands may run out of the panel."""
    if panel.x.limits is not None:
        axes.set_xlim(*panel.x.limits)
    if panel.y.limits is not None:
        axes.set_ylim(*panel.y.limits)
    if panel.y.scale != "linear" or panel.y.limits is not None:
        return
    rows = panel.rows
    has_ends = rows["mark"].isin(["mean", "bar", "line"])
    heights = [rows["y"].to_numpy(float)[(rows["mark"] != "rule").to_numpy()]]
    heights += [rows.loc[has_ends, name].to_numpy(float) for name in ("low", "high") if name in rows]
    known = np.concatenate(heights)
    known = known[np.isfinite(known)]
    if known.size and np.ptp(known) > 0:
        low, high = known.min(), known.max()
        room = 0.06 * (high - low)
        floor = 0.0 if low >= 0 and (rows["mark"] == "bar").any() else low - room
        axes.set_ylim(floor, high + room * (1 + 1.2 * len(panel.text)))
