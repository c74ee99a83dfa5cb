"""Regions: each one's score against an input, and what the last tenfold of it added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from vvscale.errors import DataError, FitError, MissingDataError
from vvscale.figures.base import statistics
from vvscale.figures.base.marks import mean, score_axis
from vvscale.figures.base.outcomes import SYMBOLS, default_x
from vvscale.figures.base.registry import figure
from vvscale.figures.base.scaling import Shown, scaling
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series
from vvscale.figures.general.rows import law_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.options import DrawOptions


@figure("regions", "Each region's score against compute, and what the last tenfold added.", "region, score")
def regions(fits: Fits, options: DrawOptions) -> FigureData:
    """One series per region; on the right the score that the last tenfold of the input added under each law."""
    source = fits.source
    if not source.regions:
        raise MissingDataError(f"The table '{source.name}' has no column 'region': there is nothing to tell apart.")
    x = options.x or default_x(source.models, source.name, "score")
    law = law_of(options)
    shown, notes = [], {}
    for region in source.regions:
        rows = rows_of(fits, options, x=(x,), y=region)
        notes |= dict.fromkeys(rows.notes)
        shown.append(Shown(region, rows.question(region, rows.frame, law or "power"), has_curve=bool(law), y=region))
    panel, more = scaling(fits, shown, key="a", title="Each region", y=score_axis(), x=x)
    panels = [panel]
    if law:
        gains: dict[str, Sequence[float]] = {}
        for one in shown:
            try:
                made = fits.curve(one.asked)
            except (DataError, FitError):
                continue
            gains[one.name] = made.facts["gain"]
        if gains:
            said = f"Score added ({SYMBOLS.get(x, x)} x 10)"
            panels.append(gain_panel(gains, "b", "What the last tenfold added", said, panel.n))
    return FigureData("regions", "Each region", tuple(panels), (*notes, *more), 2)


def gain_panel(gains: Mapping[str, Sequence[float]], key: str, title: str, label: str, n: int) -> Panel:
    """Bars of the score that a tenfold adds, with intervals."""
    rows = []
    for name, (value, low, high) in gains.items():
        ends = [float("nan") if end is None else end for end in (low, high)]
        estimate = statistics.Estimate(value, ends[0], ends[1], n)
        rows.append(mean(estimate, name, category=written(name), mark="bar"))
    names = tuple(row["category"] for row in rows)
    looks = tuple(Series(name, *style.look(name), None) for name in gains)
    return Panel(
        key, title, Axis("Region", "region", "category", names), Axis(label, "gain"), pd.DataFrame(rows), looks, n
    )
