"""How well the limit of a law is known: its profile of deviance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base.marks import line
from vvscale.figures.base.registry import figure
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series
from vvscale.figures.general.rows import law_of, outcomes_of, rows_of
from vvscale.laws.law import LAWS
from vvscale.laws.uncertainty.profile import CHI_SQUARE_95, profile
from vvscale.laws.uncertainty.resample import default_unit

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits, Question
    from vvscale.figures.options import DrawOptions

# Deviances beyond this many times the upper line are not shown.
SHOWN = 3.0
SAID = (
    "Deviance of the best fit with the limit held at each value. Below the lower line a value fits as well as if rows "
    "were independent; below the upper line, with rows of one architecture counted as dependent.",
    "A profile that stays below a line up to the end of the axis has no limit on that side.",
)


@figure("plateau", "How well is the limit known? Deviance with the limit held at each value.", "an input and a score")
def plateau(fits: Fits, options: DrawOptions) -> FigureData:
    """Profile of the limit of one law."""
    law = law_of(options) or "power"
    if "E" not in LAWS[law].parameters:
        raise MissingDataError(f"The law '{law}' has no limit to be known. Choose power, shifted or logistic.")
    panels, notes = [], {}
    for key, y in zip("ab", outcomes_of(fits, options), strict=False):
        rows = rows_of(fits, options, y=y)
        name = rows.outcome.words
        panels.append(plateau_panel(fits, rows.question("plateau", rows.frame, law), key, name))
        notes |= dict.fromkeys(rows.notes)
    return FigureData("plateau", "How well is the limit known?", tuple(panels), (*SAID, *notes), len(panels))


def plateau_panel(fits: Fits, asked: Question, key: str, title: str) -> Panel:
    """Deviance over the limit, with the limits for independent and for dependent rows."""

    def make() -> dict[str, Any]:
        fit = fits.fit(asked)
        frame = fit.problem.frame
        unit = default_unit(frame)
        made = profile(fit, "E", by=None if unit == "row" else unit)
        return {
            "E": made.values, "deviance": made.deviance, "effect": made.inflation, "n": fit.n, "best": fit.params["E"],
            "interval": list(made.interval),
        }  # fmt: skip

    request = {"law": asked.law, "x": asked.x, "rows": fits.digest(asked)}
    made = fits.kept("profile", request, make)
    values, deviance = _drawn(asked, made["E"]), np.array(made["deviance"], float)
    best = float(_drawn(asked, [made["best"]])[0])
    # The best fit is a point of the profile, so that its mark lies on the line.
    values, deviance = np.append(values, best), np.append(deviance, 0.0)
    order = np.argsort(values, kind="stable")
    rows = [line("profile", values[order], deviance[order])]
    cut = CHI_SQUARE_95 * max(made["effect"], 1.0)
    for series, height in (("independent rows", CHI_SQUARE_95), ("dependent rows", cut)):
        rows.append(pd.DataFrame({"mark": "rule", "series": [series], "layer": "table", "x": np.nan, "y": height}))
    mark = {"mark": "mean", "series": ["best fit"], "layer": "table", "x": best, "y": 0.0, "n": float(made["n"])}
    below = values[deviance <= SHOWN * cut]
    room = 0.05 * float(np.ptp(below)) or 0.05
    return Panel(
        key, title,
        Axis("Limit: score at infinite input" if asked.is_score else "Limit of the outcome", "limit",
             limits=(float(below.min()) - room, float(below.max()) + room)),
        Axis("Deviance", "deviance", limits=(-0.15 * cut, SHOWN * cut)),
        pd.concat([*rows, pd.DataFrame(mark)], ignore_index=True),
        (
            Series("profile", style.BLUE, "", None),
            Series("independent rows", style.GREY, "", "rows independent", is_faded=True),
            Series("dependent rows", style.BLACK, "", "rows dependent"),
            Series("best fit", style.VERMILLION, "D", "best fit"),
        ),
        int(made["n"]), text=(_interval_said(asked, made["interval"]),), text_side="right",
    )  # fmt: skip


def _drawn(asked: Question, values: list[float]) -> np.ndarray:
    made = np.array(values, float)
    return 1.0 - made if asked.is_score else made


def _interval_said(asked: Question, interval: list[float]) -> str:
    ends = sorted(_drawn(asked, [end if end is not None else np.nan for end in interval]))
    is_open = asked.is_score and ends[1] >= 1.0 - 1e-9
    return f"95 %: {ends[0]:.2f} to {'1, no limit' if is_open else f'{ends[1]:.2f}'}"
