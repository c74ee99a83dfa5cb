"""What a figure is, before it is drawn: panels of tidy rows with encodings, frozen.

A figure's function makes a ``FigureData``; the drawer and every file (pdf, svg, png, csv, json) are made from it
alone. This module must not draw, fit or load anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable

if TYPE_CHECKING:
    from collections.abc import Mapping

# One row is one mark, or one vertex of a line. What does not apply to a mark is missing.
COLUMNS = (
    "panel", "mark", "series", "layer", "group", "model_id", "category", "x", "y", "low", "high", "predicted_low",
    "predicted_high", "size", "shade", "n", "label", "status",
)  # fmt: skip
TEXT = ("panel", "mark", "series", "layer", "group", "model_id", "category", "label", "status")
# Layers: the table itself, or models laid over it.
BASE, ADDED = "table", "added"


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes
    ----------
    label
        What is shown, with its unit in brackets where it has one.
    column
        Column of the score table behind it, or the statistic's name.
    scale
        ``category`` axes show ``categories``, in that order.
    limits
        What is shown of it; None lets the data decide.
    symbol
        Letter of the field for it (N, D, C), if it has one.
    """

    label: str
    column: str
    scale: Literal["log", "linear", "category"] = "linear"
    categories: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    symbol: str = ""


@dataclass(frozen=True)
class Series:
    """How one series looks and what the legend says of it.

    Attributes
    ----------
    name
        Value of the column ``series``.
    colour, marker
        Hex colour and matplotlib marker.
    label
        Legend text; None keeps it out of the legend.
    is_faded
        A fit that the data do not identify: drawn pale and dashed.
    """

    name: str
    colour: str
    marker: str = "o"
    label: str | None = None
    is_faded: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its marks.

    Attributes
    ----------
    key, title
        Letter and heading.
    x, y
        Axes.
    rows
        Tidy marks, a subset of ``COLUMNS``.
    series
        Looks of the values of column ``series``, in drawing order.
    n
        Number of models behind the panel.
    unit_of_n
        What ``n`` counts.
    size, shade
        What the columns ``size`` and ``shade`` (both on log scales) stand for; None if unused.
    text, text_side
        Short lines inside the panel, at its top ``left`` or ``right``, where there are no marks.
    fits
        Facts of each fit drawn, plain values.
    """

    key: str
    title: str
    x: Axis
    y: Axis
    rows: pd.DataFrame = field(repr=False)
    series: tuple[Series, ...]
    n: int
    unit_of_n: str = "models"
    size: Axis | None = None
    shade: Axis | None = None
    text: tuple[str, ...] = ()
    text_side: str = "left"
    fits: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def without_labels(panel: Panel, names: set[str]) -> Panel:
    """Return the panel with some series kept out of its legend."""
    return replace(panel, series=tuple(replace(s, label=None) if s.name in names else s for s in panel.series))


@dataclass(frozen=True)
class FigureData:
    """A figure as values.

    Attributes
    ----------
    name, title
        Name in the registry, and a sentence.
    panels
        At least one.
    notes
        What a reader must know: rows left out, fits that are not identified, where the published figure was wrong.
    n_columns
        Panels side by side.
    caption
        What a caption says of it, made from the data that are drawn.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    n_columns: int = 2
    caption: str = ""

    def table(self) -> pd.DataFrame:
        """All marks of all panels, one tidy table with the columns ``COLUMNS``."""
        parts = [panel.rows.assign(panel=panel.key) for panel in self.panels]
        whole = pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))
        for name in COLUMNS:
            whole[name] = whole[name].astype(object if name in TEXT else "float64")
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold: everything but the looks."""
        panels = [
            {
                "key": panel.key,
                "title": panel.title,
                "n": panel.n,
                "unit_of_n": panel.unit_of_n,
                "x": {"label": panel.x.label, "column": panel.x.column, "scale": panel.x.scale},
                "y": {"label": panel.y.label, "column": panel.y.column, "scale": panel.y.scale},
                "text": list(panel.text),
                "fits": [jsonable(fit) for fit in panel.fits],
            }
            for panel in self.panels
        ]
        # A column is text or numbers, and most of its cells do not apply to a mark: only those that do are looked at.
        whole = self.table()
        rows: list[dict[str, Any]] = [{} for _ in range(len(whole))]
        for name in COLUMNS:
            cells = whole[name]
            known = np.flatnonzero(cells.notna() if name in TEXT else np.isfinite(cells))
            for place, cell in zip(known.tolist(), cells.iloc[known].tolist(), strict=True):
                rows[place][name] = cell if isinstance(cell, str | float) else jsonable(cell)
        return {
            "name": self.name,
            "title": self.title,
            "caption": self.caption,
            "notes": list(self.notes),
            "panels": panels,
            "rows": rows,
        }

    def _repr_html_(self) -> str:
        return f"<p><b>{self.name}</b>: {self.title}. {self.caption}</p>" + self.table().to_html(max_rows=20)
