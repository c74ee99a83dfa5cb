"""How far laws predict: error on held-out inputs against how far they lie beyond those fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base.marks import line
from vvscale.figures.base.registry import figure
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import words_of
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series
from vvscale.figures.general.rows import outcomes_of, rows_of
from vvscale.laws.comparison.holdout import hold_out

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits, Question
    from vvscale.figures.options import DrawOptions

# Decades held out, and the forecasts compared: two laws with a limit, and three forecasts that are naive.
HORIZONS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
# A law needs this many decades below the horizon to be fitted.
FITTED_DECADES = 1.0
FORECASTS = {
    "power": ("power law", style.BLUE, "o"), "shifted": ("shifted law", style.VERMILLION, "D"),
    "log": ("log law", style.ORANGE, "s"), "last value": ("last value", style.GREY, "X"),
    "mean of top tenth": ("mean of top tenth", style.BLACK, "^"),
}  # fmt: skip
SAID = (
    "Each law is fitted to the models below the horizon and judged on those beyond. The last value and the mean of the "
    "top tenth are naive forecasts: a law is worth something below them."
)


@figure("horizon", "How far laws predict: error on held-out models against the horizon.", "a range of two decades")
def horizon(fits: Fits, options: DrawOptions) -> FigureData:
    """Laws fitted without the top decades of an input, and their error there."""
    panels, notes = [], {}
    for key, y in zip("ab", outcomes_of(fits, options), strict=False):
        rows = rows_of(fits, options, y=y)
        name = rows.outcome.words
        panel, note = horizon_panel(fits, rows.question("horizon", rows.frame, "power"), key, name)
        panels.append(panel)
        notes |= dict.fromkeys([*rows.notes, *note])
    return FigureData("horizon", "How far laws predict", tuple(panels), (SAID, *notes), len(panels))


def horizon_panel(fits: Fits, asked: Question, key: str, title: str) -> tuple[Panel, list[str]]:
    """Forecast error of each law by horizon, and which is best one decade ahead.

    Raises
    ------
    MissingDataError
        The inputs span too little.
    """
    (x,), frame = asked.x, asked.frame.dropna(subset=list(asked.x))
    span = float(np.log10(frame[x].max() / frame[x].min()))
    splits = [f"top {h:g} decades" for h in HORIZONS if h < span - FITTED_DECADES]
    if not splits:
        raise MissingDataError(
            f"The models span {span:.1f} decades of {x}, expected more than {min(HORIZONS) + FITTED_DECADES:g}."
        )
    request = {"x": x, "splits": splits, "rows": fits.digest(asked)}
    made = fits.kept(
        "horizon", request,
        lambda: hold_out(frame, laws=["power", "shifted", "log"], splits=splits, x=x).rows.to_dict("records"),
    )  # fmt: skip
    rows = pd.DataFrame(made)
    rows["horizon"] = rows["split"].str.split().str[1].astype(float)
    lines = [
        line(str(law), part["horizon"].to_numpy(), part["rmse"].to_numpy(), n=part["n_test"].to_numpy(float))
        for law, part in rows.groupby("law", sort=False)
        if law in FORECASTS
    ]
    looks = tuple(Series(law, colour, marker, label) for law, (label, colour, marker) in FORECASTS.items())
    panel = Panel(
        key, title, Axis(f"Decades held out ({words_of(x)})", "horizon"),
        Axis("Forecast error (RMSE)", "rmse", "log"), pd.concat(lines, ignore_index=True), looks, len(frame),
    )  # fmt: skip
    best = rows[rows["horizon"] == 1.0].sort_values("rmse")
    if not len(best):
        return panel, []
    first = best.iloc[0]
    return panel, [f"{title}, one decade ahead: '{first['law']}' is best, RMSE {first['rmse']:.3f}."]
