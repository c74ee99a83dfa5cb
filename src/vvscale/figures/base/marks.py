"""From models and fits to tidy marks: one row per point, mean, vertex of a line or of a fitted curve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import COLUMN_LABELS, score_label
from vvscale.figures.drawing.values import BASE, Axis

if TYPE_CHECKING:
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.statistics import Estimate

AXES = {
    name: Axis(COLUMN_LABELS[name], name, "linear" if name == "accuracy" else "log", symbol=symbol)
    for name, symbol in (
        ("train_flop", "C"), ("n_params", "N"), ("samples_seen", "D"), ("accuracy", ""), ("epoch", ""),
    )
}  # fmt: skip


def score_axis(regions: str = "") -> Axis:
    """Axis of a score averaged over ``regions``; without a name, of any region."""
    return Axis(score_label(regions), "score")


def points(
    frame: pd.DataFrame, x: str, *, series: str | pd.Series, y: str = "score", size: str = "", shade: str = "",
    layer: str = BASE,
) -> pd.DataFrame:  # fmt: skip
    """One mark per model."""
    made = pd.DataFrame(
        {
            "mark": "point",
            "series": series if isinstance(series, str) else series.to_numpy(),
            "layer": layer,
            "model_id": frame["model_id"].to_numpy(),
            "x": frame[x].to_numpy(float),
            "y": frame[y].to_numpy(float),
        }
    )
    for name, column in (("size", size), ("shade", shade)):
        if column:
            made[name] = frame[column].to_numpy(float)
    return made


def curve(made: LawCurve, series: str) -> pd.DataFrame:
    """Vertices of a fitted curve with its bands."""
    return pd.DataFrame(
        {
            "mark": "curve",
            "series": series,
            "layer": BASE,
            "group": np.where(made.inside, "data", "extrapolated"),
            "x": made.x,
            "y": made.y,
            "low": made.low,
            "high": made.high,
            "predicted_low": made.predicted_low,
            "predicted_high": made.predicted_high,
            "n": float(made.facts["n"]),
            "status": "identified" if made.is_identified else "unidentified",
        }
    )


def mean(
    one: Estimate, series: str, *, category: str = "", x: float = np.nan, mark: str = "mean", **more: Any
) -> dict[str, Any]:
    """One mark of an estimate with its interval, at a category or at x."""
    return {
        "mark": mark, "series": series, "layer": BASE, "category": category or None, "x": x, "y": one.value,
        "low": one.low, "high": one.high, "n": float(one.n), **more,
    }  # fmt: skip


def line(
    series: str, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, *, group: str = "", **more: Any
) -> pd.DataFrame:
    """Vertices of one line."""
    return pd.DataFrame(
        {"mark": "line", "series": series, "layer": BASE, "group": group or series, "x": x, "y": y, **more}
    )


def in_order(values: pd.Series) -> list[str]:
    """Distinct values as text, those with looks of their own first, in the order of ``style``; numbers ascending."""
    distinct = values.dropna().unique()
    if values.dtype.kind in "iuf":
        return [str(said(value)) for value in sorted(distinct)]
    present = set(map(str, distinct))
    # Numbers in names count as numbers: w3 before w10.
    others = sorted(present - set(style.LOOKS), key=lambda name: [
        int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name))
    ])  # fmt: skip
    return [name for name in style.LOOKS if name in present] + others


def as_names(values: pd.Series) -> pd.Series:
    """Return values as the names of series; what is missing becomes ``unknown``."""
    return (
        values.map(said).fillna("unknown")
        if values.dtype.kind in "iuf"
        else values.astype(object).fillna("unknown").astype(str)
    )


def said(value: float) -> str | None:
    """Write a number as a name: 1000 as ``1,000``."""
    return None if pd.isna(value) else f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
