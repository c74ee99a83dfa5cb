"""Who beats scale: each model against the law at its own compute, and means of groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.figures.base import statistics
from vvscale.figures.base.fine_tunes import at_whole_compute
from vvscale.figures.base.marks import as_names, in_order, line, mean, points
from vvscale.figures.base.outcomes import default_colour, input_axis
from vvscale.figures.base.registry import figure
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import ADDED, Axis, FigureData, Panel, Series
from vvscale.figures.general.rows import Rows, law_of, outcomes_of, rows_of
from vvscale.scores import parse_where, select

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits, Question
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.options import DrawOptions

# Columns that groups are made of, with their looks.
GROUPED = {
    "parent_family": (style.BLUE, "o"), "dataset": (style.ORANGE, "s"), "objective": (style.GREEN, "^"),
    "recipe": (style.VERMILLION, "D"),
}  # fmt: skip
MOST_GROUPS = 20
BASE = "table"


def residuals(fits: Fits, asked: Question, frame: pd.DataFrame, over: str = "") -> tuple[pd.DataFrame, LawCurve]:
    """Every model against a law: what is drawn minus the law at the model's own input, upwards better.

    Returns
    -------
    frame, law
        Model columns, ``layer``, ``residual``, and the 90 % interval for a new architecture around 0
        (``expected_low``, ``expected_high``).
    """
    law, (x,) = fits.curve(asked), asked.x
    parts = [frame.assign(layer=BASE)]
    added = fits.source.laid_over(over, [x])[0] if over else {}
    parts += [each.assign(layer=ADDED, series=label) for label, each in added.items()]
    frame = pd.concat(parts, ignore_index=True)
    values = frame[x].to_numpy(float)
    expected = fits.fit(asked).predict(values)
    sign = 1.0 if asked.is_score else -1.0
    expected = 1.0 - expected if asked.is_score else expected
    # An error below the law is better, as a score above it is.
    frame["residual"] = sign * (frame["score"] - expected)
    bands = (law.predicted_low, law.predicted_high) if asked.is_score else (law.predicted_high, law.predicted_low)
    # Intervals are kept on a fine grid; beyond it nothing is known.
    for name, bound in zip(("expected_low", "expected_high"), bands, strict=True):
        at = np.interp(np.log(values), np.log(law.x), bound, left=np.nan, right=np.nan)
        frame[name] = sign * (at - expected)
    return frame, law


@figure("residuals", "Who beats scale: each model against the law at its own compute, and means of groups.",
        "an input and a score", cites=("barber2021",))  # fmt: skip
def who_beats_scale(fits: Fits, options: DrawOptions) -> FigureData:
    """Residual of each model, and means of groups with intervals."""
    panels, notes = [], {}
    for keys, y in zip(("ab", "cd"), outcomes_of(fits, options), strict=False):
        rows = rows_of(fits, options, y=y)
        # Laws are those of plainly trained models; shown are all that were trained here.
        models = fits.source.measured(rows.outcome)
        conditions = parse_where(options.where)
        models = select(models, **conditions) if conditions else models[~models["is_pretrained"] & ~models["is_random"]]
        models = models.dropna(subset=list(rows.x))
        name = rows.outcome.words
        made, more = residual_panels(fits, rows, law_of(options) or "power", keys, name, models)
        panels += made
        notes |= dict.fromkeys([*more])
    # A table without groups has no panels of them.
    panels = [replace(panel, key=key) for panel, key in zip(panels, "abcd", strict=False)]
    return FigureData("residuals", "Who beats scale", tuple(panels), (*SAID, *notes), min(len(panels), 2))


SAID = (
    "Residual: score minus the score that the law predicts at the model's own compute; for an error the other way "
    "round, so that upwards is better. Shaded: 90 % conformal interval for a new architecture.",
    "Means with 95 % intervals over resampled architectures; range over leaving each out where there are fewer than "
    "ten.",
)


def residual_panels(
    fits: Fits, rows: Rows, law: str, keys: str, name: str, models: pd.DataFrame | None = None
) -> tuple[tuple[Panel, ...], list[str]]:
    """Panel of models and panel of groups; ``models`` are those shown, by default the ones fitted."""
    asked = rows.question("residuals", rows.frame, law)
    shown, left_out = at_whole_compute(rows.frame if models is None else models, fits.source.models)
    frame, fitted = residuals(fits, asked, shown, rows.outcome.name)
    panels = [_points(frame, fitted, rows, keys[0], f"{name}: each model")]
    notes = []
    base = frame[frame["layer"] == BASE]
    known = base["expected_high"].notna()
    if known.any():
        above = int((base["residual"] > base["expected_high"]).sum())
        notes.append(f"{name}: {above} of {len(base)} models lie above the 90 % interval for a new architecture.")
    if left_out:
        notes.append(f"Left out, since it is not known what they started from: {', '.join(left_out)}.")
    groups = _groups(fits, base, fitted, keys[1], f"{name}: by group")
    return (*panels, *([groups] if groups else [])), notes


def _points(frame: pd.DataFrame, law: LawCurve, rows: Rows, key: str, title: str) -> Panel:
    is_added = frame["layer"] == ADDED
    base, (x,) = frame[~is_added], rows.x
    by = default_colour(base)
    named = as_names(base[by]) if by else pd.Series("models", index=base.index)
    made = [points(base, x, y="residual", series=named)]
    made[0]["low"], made[0]["high"] = base["expected_low"].to_numpy(), base["expected_high"].to_numpy()
    looks = [Series("law", style.BLACK, "", None), *style.series(in_order(base[by]) if by else ["models"])]
    if named.eq("unknown").any():
        looks.append(Series("unknown", *style.look("unknown"), "unknown"))
    if is_added.any():
        for label, part in frame[is_added].groupby("series"):
            made.append(points(part, x, y="residual", series=str(label), layer=ADDED))
            looks.append(style.added_series(str(label)))
    inside = law.inside
    edges: dict[str, Any] = {}
    if not np.isnan(law.predicted_low).all():
        edges = {f"predicted_{end}": (bound - law.y)[inside]
                 for end, bound in (("low", law.predicted_low), ("high", law.predicted_high))}  # fmt: skip
    made.append(line("law", law.x[inside], np.zeros(int(inside.sum())), **edges))
    return Panel(
        key, title, input_axis(base, x), Axis("Better than the law by", "residual"),
        pd.concat(made, ignore_index=True), tuple(looks), int(base["model_id"].nunique()), fits=(law.facts,),
    )  # fmt: skip


def _groups(fits: Fits, base: pd.DataFrame, law: LawCurve, key: str, title: str) -> Panel | None:
    rows: list[dict[str, Any]] = []
    for column in GROUPED:
        if column not in base.columns or not 2 <= base[column].nunique() <= MOST_GROUPS:
            continue
        # Objectives differ in more than objective unless compared on the same families; that is left to the reader.
        is_supervised = base["objective"] == "supervised"
        chosen = base[is_supervised] if column != "objective" and is_supervised.any() else base
        for value in in_order(chosen[column]):
            part = chosen[as_names(chosen[column]) == value]
            one = statistics.mean(part, "residual", n_resamples=fits.n_resamples, seed=fits.seed)
            made = mean(one, written(column), category=f"{written(value)} ({one.n})")
            rows.append({**made, "x": made["y"], "y": np.nan})
    if not rows:
        return None
    rows.append({"mark": "rule", "series": "law", "layer": "table", "x": 0.0, "y": np.nan})
    table = pd.DataFrame(rows)
    categories = tuple(dict.fromkeys(table["category"].dropna()))
    kinds = [Series(written(column), *look) for column, look in GROUPED.items()]
    looks = (Series("law", style.BLACK, "", None), *(kind for kind in kinds if (table["series"] == kind.name).any()))
    return Panel(
        key, title, Axis("Better than the law by", "residual"), Axis("", "group", "category", categories), table, looks,
        int(base["model_id"].nunique()), fits=(law.facts,),
    )  # fmt: skip
