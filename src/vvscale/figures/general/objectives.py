"""Groups of models side by side: objectives, recipes, data sets, or the values of any column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base import statistics
from vvscale.figures.base.marks import as_names, in_order, mean, score_axis
from vvscale.figures.base.outcomes import MOST_COLOURS, require_column
from vvscale.figures.base.registry import figure
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import Axis, FigureData, Panel
from vvscale.figures.general.against import KEYS
from vvscale.scores import parse_where, select

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.options import DrawOptions


@figure("objectives", "Mean score of each training objective (or of any column's values), by region.", "two objectives")
def objectives(fits: Fits, options: DrawOptions) -> FigureData:
    """Means with intervals over architectures; one panel per value of ``facet``."""
    source, by = fits.source, options.each or options.colour or "objective"
    chosen = [options.y] if options.y or not source.regions else [*source.regions, ""]
    frames = {}
    for y in chosen:
        outcome = source.outcome(y)
        frame = source.measured(outcome)
        frame = select(frame, **parse_where(options.where))
        require_column(frame, by)
        if not options.where:
            # Others' weights and untrained networks are no objectives of this table.
            for flag in ("is_pretrained", "is_random"):
                frame = frame[~frame[flag]]
        frames[written(y) if y else "Mean" if len(chosen) > 1 else outcome.words] = (frame, outcome)
    whole = next(iter(frames.values()))[0]
    names = in_order(whole[by])
    if len(names) < 2:
        raise MissingDataError(
            f"'{source.name}' has one value of {by} ({', '.join(names) or 'none'}): there is nothing to compare. "
            "Choose another column with `each`."
        )
    names = names[:MOST_COLOURS]
    parts = [("", None)] if not options.facet else [(v, v) for v in in_order(whole[options.facet])][: len(KEYS)]
    panels = [
        _panel(fits, options, frames, by, names, key, heading, value)
        for key, (heading, value) in zip(KEYS, parts, strict=False)
    ]
    said = f"Means over models with their 95 % intervals; compared are values of {by}, which may differ in more."
    return FigureData("objectives", f"Score by {written(by)}", tuple(panels), (said,), 1 if len(panels) == 1 else 2)


def _panel(
    fits: Fits, options: DrawOptions, frames: dict, by: str, names: list[str], key: str, heading: str,
    value: str | None,
) -> Panel:  # fmt: skip
    rows, counts = [], dict.fromkeys(names, 0)
    for category, (frame, _) in frames.items():
        part = frame if value is None else frame[as_names(frame[options.facet]) == value]
        named = as_names(part[by])
        for name in names:
            if not (named == name).any():
                continue
            one = statistics.mean(part[named == name], "score", n_resamples=fits.n_resamples, seed=fits.seed)
            rows.append(mean(one, name, category=category))
            counts[name] = max(counts[name], one.n)
    present = [name for name in names if counts[name]]
    labels = {name: f"{written(name)} ({counts[name]})" for name in present}
    outcome = next(iter(frames.values()))[1]
    y = score_axis() if outcome.is_score and len(frames) > 1 else outcome.axis
    return Panel(
        key, heading or f"By {written(by)}", Axis("Region" if len(frames) > 1 else "", "region", "category",
        tuple(frames)), y, pd.DataFrame(rows), tuple(style.series(present, labels)), sum(counts.values()),
    )  # fmt: skip
