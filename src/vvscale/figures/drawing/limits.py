"""What is shown of a panel: the data decide, and an extrapolation never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from vvscale.figures.drawing.values import Axis, Panel

    Array = NDArray[np.float64]

# Room around the data, as a share of what is shown; on the right, where a law is drawn beyond them, a little more.
ROOM, BEYOND = 0.05, 0.14
# As many decades beyond the data as are shown at most.
MOST_DECADES = 1.0
# Part of the height that one line of text inside a panel takes.
TEXT_LINE = 0.075


def limits(panel: Panel) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Limits of x and of y; None leaves an axis of categories as it is."""
    rows = panel.rows
    is_beyond = (rows["mark"] == "curve") & (rows.get("group", "") == "extrapolated")
    data = rows[~is_beyond & (rows["mark"] != "rule")]
    along = [_known(data, "x")]
    if panel.y.scale == "category":
        along += [_known(data, name) for name in ("low", "high") if name in data]
    x = panel.x.limits or _of_axis(panel.x, np.concatenate(along), right=BEYOND if is_beyond.any() else ROOM)
    if panel.y.limits is not None or panel.y.scale == "category":
        return x, panel.y.limits
    # A law that leaves the points below or above says so by leaving the panel; its points stay readable.
    points = data[data["mark"] != "curve"]
    heights = [_known(points, "y")]
    has_ends = points["mark"].isin(["mean", "bar"])
    heights += [_known(points[has_ends], name) for name in ("low", "high") if name in points]
    values = np.concatenate(heights)
    if not values.size:
        values = _known(data, "y")
    top = ROOM + TEXT_LINE * len(panel.text)
    return x, _of_axis(panel.y, values, right=top, is_from_zero=bool((rows["mark"] == "bar").any()))


def _known(rows: pd.DataFrame, column: str) -> Array:
    values = rows[column].to_numpy(float) if column in rows else np.array([])
    return values[np.isfinite(values)]


def _of_axis(axis: Axis, values: Array, *, right: float, is_from_zero: bool = False) -> tuple[float, float] | None:
    if axis.scale == "category" or not values.size:
        return None
    if axis.scale == "log":
        values = values[values > 0]
        if not values.size:
            return None
        low, high = np.log10(values.min()), np.log10(values.max())
        # All at one value: a third of a decade on either side, so that there is something to see and to read.
        span = max(high - low, 0.2)
        return float(10 ** (low - ROOM * span)), float(10 ** (high + min(right * span, MOST_DECADES)))
    low, high = float(values.min()), float(values.max())
    if high == low and not is_from_zero:
        # All at one value: as much on either side, for the same reason.
        around = abs(high) * 0.4 or 1.0
        return low - around, high + around
    span = high - low or abs(high) * 0.2 or 1.0
    floor = 0.0 if is_from_zero and low >= 0 else low - ROOM * span
    ceiling = 0.0 if is_from_zero and high <= 0 else high + right * span
    return floor, ceiling
