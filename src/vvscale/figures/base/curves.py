"""From a fitted law and its resamples to what figures draw: the curve, its bands, and what the fit can bear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import ShapeError, UsageError
from vvscale.figures.base.law_curve import LawCurve
from vvscale.laws.comparison.assess import assess
from vvscale.laws.fit import Status
from vvscale.laws.planning.cost import fit_cost
from vvscale.laws.planning.joint import JointLaw
from vvscale.laws.planning.plan import plan
from vvscale.laws.uncertainty.conformal import calibrate
from vvscale.laws.uncertainty.intervals import percentile, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.uncertainty.bootstrap import Bootstrap

    Array = NDArray[np.float64]

# Points of a drawn curve, and how far beyond the data it goes.
GRID, BEYOND = 81, 10.0
# Level of prediction intervals of a new architecture.
NEW_MODEL = 0.9
# With fewer rows, or more than this share of resamples with too few points, a law has no band worth drawing.
FEW, INTERPOLATING = 10, 0.025


def facts_of(fit: Fit, resampled: Bootstrap | None, name: str, *, is_score: bool) -> dict[str, Any]:
    """Return what figures, captions and notes say of a fit, as plain values; see ``LawCurve.facts``."""
    made = resampled.to_dict() if resampled is not None else None
    E = fit.params.get("E")
    verdict = assess(fit, by=(made["unit"],) if made else ())
    ends = verdict.interval
    as_drawn = [1.0 - end for end in reversed(ends)] if ends and is_score else ends
    limit = None if E is None or not np.isfinite(E) else 1.0 - E if is_score else E
    derived = fit.derived()
    return {
        **fit.to_dict(),
        "name": name,
        "form": fit.law.name,
        "is_score": is_score,
        "limit": limit,
        "limit_interval": as_drawn,
        "verdict": verdict.words,
        "direction": str(verdict.direction),
        "is_identified": verdict.is_identified,
        "interpolates": _interpolates(fit, made),
        "unit": made["unit"] if made else "",
        "n_units": made["n_units"] if made else 0,
        "method": made["method"] if made else "",
        "degrees": made["degrees"] if made else None,
        "derived": {key: float(value[0]) for key, value in derived.items() if np.isfinite(value[0])},
    }


def _interpolates(fit: Fit, made: dict[str, Any] | None) -> bool:
    """Whether there are so few points that the law, or many of its resamples, goes through all of them."""
    few = fit.n < FEW or fit.status is Status.TOO_FEW_POINTS
    return few or bool(made and made["n_interpolating"] > INTERPOLATING * made["n_resamples"])


def curve_of(fit: Fit, resampled: Bootstrap | None = None, *, name: str = "", is_score: bool = True) -> LawCurve:
    """Return a fitted law of one input, or a joint law along its optimal path, as plain values to draw."""
    facts = facts_of(fit, resampled, name, is_score=is_score)
    if len(fit.law.inputs) == 2:
        return _joint(fit, resampled, facts)
    values = fit.problem.raw[0]
    x = np.unique(np.append(np.geomspace(values.min(), values.max() * BEYOND, GRID), values.max()))
    low = high = np.full(len(x), np.nan)
    if resampled is not None and not facts["interpolates"]:
        low, high = _drawn(*resampled.curve(x), is_score=is_score)
    y = 1.0 - fit.predict(x) if is_score else fit.predict(x)
    predicted = _drawn(*_predicted(fit, [x]), is_score=is_score)
    gain = _gain(fit, resampled, values.max()) if is_score else None
    return LawCurve({**facts, "gain": gain}, x, x <= values.max() * (1 + 1e-9), y, low, high, *predicted)


def gain_between(fit: Fit, resampled: Bootstrap | None, low: float, high: float) -> list[float]:
    """Score that the law adds from one input to another: value and the ends of its interval (NaN without resamples)."""
    x = np.array([low, high])
    outcome = fit.predict(x)
    value = float(outcome[0] - outcome[1])
    if resampled is None:
        return [value, np.nan, np.nan]
    drawn = fit.outcomes(resampled.optima, [x])[resampled.usable]
    gains = drawn[:, 0] - drawn[:, 1]
    drawn_by = resampled.resamples
    left_out = drawn_by.leaves_one_out
    ends = student(gains, value, degrees=drawn_by.degrees) if left_out else percentile(gains, value)
    return [value, *map(float, ends)]


def _gain(fit: Fit, resampled: Bootstrap | None, largest: float) -> list[float]:
    return gain_between(fit, resampled, largest / 10.0, largest)


def _drawn(low: Array, high: Array, *, is_score: bool) -> tuple[Array, Array]:
    """Return a band of the outcome as a band of what is drawn."""
    return (1.0 - high, 1.0 - low) if is_score else (low, high)


def _predicted(fit: Fit, x: list[Array]) -> tuple[Array, Array]:
    """Conformal interval of the outcome of a new architecture; NaN where there are too few to say."""
    unknown = np.full(len(x[0]), np.nan), np.full(len(x[0]), np.nan)
    if fit.status is Status.NOT_CONVERGED:
        return unknown
    try:
        interval = calibrate(fit).interval(x, level=NEW_MODEL)
    except (ShapeError, UsageError):
        return unknown
    return interval.lower, interval.upper


def _joint(fit: Fit, resampled: Bootstrap | None, facts: dict[str, Any]) -> LawCurve:
    law, cost = JointLaw.from_fit(fit, resampled), fit_cost(fit.problem.frame)
    flop = np.asarray(fit.problem.frame["train_flop"], float)
    largest = np.nanmax(flop)
    budgets = np.unique(np.append(np.geomspace(np.nanmin(flop), largest * BEYOND, GRID), largest))
    plans = [plan(law, float(budget), cost) for budget in budgets]
    nothing = (np.nan, np.nan)
    low, high = np.array([each.score_interval or nothing for each in plans]).T
    n_low, n_high = np.array([each.n_interval or nothing for each in plans]).T
    d_low, d_high = np.array([each.d_interval or nothing for each in plans]).T
    path = {
        "n_params": np.array([each.n_params for each in plans]), "n_low": n_low, "n_high": n_high,
        "samples_seen": np.array([each.samples_seen for each in plans]), "d_low": d_low, "d_high": d_high,
    }  # fmt: skip
    raw = {name: getattr(law, name) for name in ("E", "A", "alpha", "B", "beta")}
    exponents = {"n_exponent": plans[0].n_exponent, "d_exponent": plans[0].d_exponent}
    facts = {**facts, "raw": raw, "cost": dict(cost.__dict__), **exponents}
    is_score = facts["is_score"]
    score = np.array([each.score for each in plans])
    y = score if is_score else 1.0 - score
    low, high = (low, high) if is_score else (1.0 - high, 1.0 - low)
    predicted = _drawn(*_predicted(fit, [path["n_params"], path["samples_seen"]]), is_score=is_score)
    inside = budgets <= largest * (1 + 1e-9)
    return LawCurve(facts, budgets, inside, y, low, high, *predicted, path, dict(law.draws))
