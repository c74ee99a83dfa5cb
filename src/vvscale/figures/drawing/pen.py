"""Marks on one pair of axes: points, means, bars, lines, fitted curves, rules and areas. Knows no figure by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patheffects import Normal, Stroke

from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import literal
from vvscale.figures.drawing.values import ADDED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from vvscale.figures.drawing.values import Panel, Series

    Array = NDArray[np.float64]

# Marker areas (points squared) of the smallest and largest model where size carries a meaning, and of added models.
SMALLEST, LARGEST, ADDED_AREA = 3.0, 46.0, 46.0
# More points than this are drawn paler.
CROWDED = 80
# More lines than this of one series are drawn thin and without markers.
MANY_LINES = 3


def areas(values: Array, among: Array) -> Array:
    """Marker areas of values, on a log scale over the range of ``among``."""
    low, high = np.log10(np.nanmin(among)), np.log10(np.nanmax(among))
    share = (np.log10(values) - low) / (high - low if high > low else 1.0)
    return np.asarray(SMALLEST + (LARGEST - SMALLEST) * np.clip(share, 0.0, 1.0) ** 2, dtype=np.float64)


@dataclass
class Pen:
    """Draws the marks of one panel.

    Attributes
    ----------
    axes, panel
        Where, and what.
    """

    axes: Axes
    panel: Panel

    def draw(self) -> None:
        """Draw every series, in order; of each, its marks by kind."""
        for one in self.panel.series:
            part = self.panel.rows[self.panel.rows["series"] == one.name]
            for mark, marks in part.groupby("mark", sort=False):
                _DRAWN[str(mark)](self, one, marks)

    @cached_property
    def shades(self) -> Normalize | None:
        """Scale of the shades; None where colour stands for the series."""
        if self.panel.shade is None:
            return None
        values = self.panel.rows["shade"].dropna()
        kind = LogNorm if self.panel.shade.scale == "log" else Normalize
        return kind(float(values.min()), float(values.max()))

    @cached_property
    def _sizes(self) -> Array:
        return self.panel.rows["size"].dropna().to_numpy(float)

    @cached_property
    def _steps(self) -> dict[str, float]:
        """Sidestep of each series at a category, so that series stand beside each other."""
        rows = self.panel.rows
        at_category = rows.dropna(subset=["category"]) if "category" in rows else rows.iloc[:0]
        names = set(at_category["series"])
        together = [one.name for one in self.panel.series if one.name in names]
        crowded = at_category.groupby("category")["series"].nunique().max() if len(at_category) else 1
        if crowded < 2:
            return {}
        width = min(0.8 / len(together), 0.26)
        return {name: (place - (len(together) - 1) / 2) * width for place, name in enumerate(together)}

    def _along(self, marks: pd.DataFrame, which: str) -> Array:
        """Positions along an axis: of a category, or the number itself."""
        axis = self.panel.x if which == "x" else self.panel.y
        if axis.scale != "category":
            return column(marks, which)
        places = {name: float(place) for place, name in enumerate(axis.categories)}
        at = np.asarray(marks["category"].map(places), dtype=np.float64)
        return at + self._steps.get(str(marks["series"].iloc[0]), 0.0)

    def points(self, one: Series, marks: pd.DataFrame) -> None:
        """One marker per model."""
        is_added = bool((marks["layer"] == ADDED).all())
        x, y = self._along(marks, "x"), self._along(marks, "y")
        area: Any = ADDED_AREA if is_added else style.POINT
        if self.panel.size is not None and not is_added:
            area = areas(column(marks, "size"), self._sizes)
        looks: dict[str, Any] = {"color": one.colour}
        if self.shades is not None and not is_added:
            looks = {"c": column(marks, "shade"), "cmap": style.SHADES, "norm": self.shades}
        self.axes.scatter(
            x, y, s=area, marker=one.marker or "o", linewidths=0.5 if is_added else 0,
            edgecolors="white" if is_added else "none",
            alpha=1.0 if is_added else 0.75 if len(marks) < CROWDED else style.ALPHA, zorder=5 if is_added else 2,
            **looks,
        )  # fmt: skip

    def means(self, one: Series, marks: pd.DataFrame) -> None:
        """A marker with an interval, upright or, on an axis of categories for y, lying."""
        x, y = self._along(marks, "x"), self._along(marks, "y")
        is_lying = self.panel.y.scale == "category"
        values = x if is_lying else y
        ends = np.nan_to_num(np.abs(np.stack([column(marks, "low"), column(marks, "high")]) - values))
        status = marks["status"].to_numpy() if "status" in marks else np.full(len(marks), "")
        pale = (status == "unidentified") | one.is_faded
        for chosen, alpha in ((~pale, 1.0), (pale, style.FADED)):
            if not chosen.any():
                continue
            error: dict[str, Any] = {"xerr" if is_lying else "yerr": ends[:, chosen]}
            self.axes.errorbar(
                x[chosen], y[chosen], **error, fmt=one.marker or "o", color=one.colour, alpha=alpha, elinewidth=0.8,
                markeredgecolor="white", markeredgewidth=0.3, zorder=4,
            )  # fmt: skip

    def bars(self, one: Series, marks: pd.DataFrame) -> None:
        """Bars from zero with an interval."""
        together = max(len(self._steps), 1)
        x, y = self._along(marks, "x"), column(marks, "y")
        alpha = style.FADED if one.is_faded else 0.9
        self.axes.bar(x, y, width=min(0.7, 0.8 / together), color=one.colour, alpha=alpha, zorder=2)
        ends = np.abs(np.stack([column(marks, "low"), column(marks, "high")]) - y)
        known = ~np.isnan(ends).any(axis=0)
        looks: dict[str, Any] = {"fmt": "none", "ecolor": style.BLACK, "elinewidth": 0.8, "zorder": 4}
        self.axes.errorbar(x[known], y[known], yerr=ends[:, known], **looks)

    def lines(self, one: Series, marks: pd.DataFrame) -> None:
        """Joined vertices, one line per group."""
        is_many = marks["group"].nunique() > MANY_LINES
        looks: dict[str, Any] = {"color": one.colour, "ls": "--" if one.is_faded else "-", "zorder": 3}
        looks |= {"lw": 0.6, "alpha": 0.5} if is_many else {"lw": 1.1, "alpha": 0.95}
        for _, part in marks.groupby("group", sort=False):
            x, y = column(part, "x"), column(part, "y")
            # Told apart by more than colour: a marker here and there.
            marker = {} if is_many else {"marker": one.marker, "markevery": max(len(x) // 6, 1), "markersize": 3.0}
            self.axes.plot(x, y, **looks, **marker)
            self._bands(one, part, 0.8)

    def labels(self, one: Series, marks: pd.DataFrame) -> None:
        """Words on a light ground, centred at a place."""
        for x, y, text in zip(column(marks, "x"), column(marks, "y"), marks["label"], strict=True):
            self.axes.text(
                x, y, literal(str(text)), fontsize=5.8, color=one.colour, ha="center", va="center", zorder=4.5,
                clip_on=True, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
            )  # fmt: skip

    def curves(self, one: Series, marks: pd.DataFrame) -> None:
        """A fitted law: solid over the data, dotted beyond; pale and dashed where its limit is not identified."""
        inside = (marks["group"] == "data").to_numpy()
        x, y = column(marks, "x"), column(marks, "y")
        last = max(int(inside.sum()) - 1, 0)
        dashes, alpha = ("--", 0.8) if one.is_faded else ("-", 1.0)
        # A rim of the paper's colour lifts the law from the points that it goes through.
        rim = [Stroke(linewidth=2.4, foreground="white", alpha=0.9), Normal()]
        self.axes.plot(x[inside], y[inside], color=one.colour, ls=dashes, alpha=alpha, zorder=4, path_effects=rim)
        if not inside.all():
            # The last vertex of the data is the first beyond, so that the line does not break.
            self.axes.plot(x[last:], y[last:], color=one.colour, ls=":", lw=1.0, alpha=0.8 * alpha, zorder=4)
        self._bands(one, marks, style.FADED if one.is_faded else 1.0)

    def _bands(self, one: Series, marks: pd.DataFrame, fade: float) -> None:
        """Interval of a line, and paler that of a new architecture."""
        x = column(marks, "x")
        for low, high, depth in (("predicted_low", "predicted_high", style.PREDICTION), ("low", "high", style.BAND)):
            bottom, top = column(marks, low), column(marks, high)
            if not np.isnan(bottom).all():
                self.axes.fill_between(x, bottom, top, color=one.colour, alpha=depth * fade, lw=0, zorder=1)

    def rules(self, one: Series, marks: pd.DataFrame) -> None:
        """Straight lines across the panel."""
        looks: dict[str, Any] = {"color": one.colour, "lw": 0.8, "ls": "--" if one.is_faded else "-", "zorder": 1.5}
        for x, y in zip(column(marks, "x"), column(marks, "y"), strict=True):
            _ = self.axes.axhline(y, **looks) if np.isnan(x) else self.axes.axvline(x, **looks)

    def fills(self, one: Series, marks: pd.DataFrame) -> None:
        """A filled polygon; its rows are the vertices."""
        self.axes.fill(column(marks, "x"), column(marks, "y"), color=one.colour, alpha=style.BAND, lw=0, zorder=1)


def column(marks: pd.DataFrame, name: str) -> Array:
    """Return a column as numbers; all missing where there is none."""
    return marks[name].to_numpy(float) if name in marks.columns else np.full(len(marks), np.nan)


_DRAWN = {
    "point": Pen.points, "mean": Pen.means, "bar": Pen.bars, "line": Pen.lines, "curve": Pen.curves,
    "rule": Pen.rules, "area": Pen.fills, "label": Pen.labels,
}  # fmt: skip
