"""What the rows say about the quantity of a claim: an estimate, and an interval that knows of dependent rows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import ConfigError, ShapeError, UsageError, unknown_name
from vvscale.laws.comparison.assess import assess
from vvscale.laws.comparison.saturation import saturation
from vvscale.laws.fit import Fit, fit_law
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.rows import load_rows
from vvscale.laws.uncertainty.intervals import LEVEL, student
from vvscale.laws.uncertainty.jackknife import Jackknife, jackknife, leave_out_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from vvscale.laws.claims.claim import Claim, FitSpec
    from vvscale.laws.verdict import Verdict

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """One measured quantity.

    Attributes
    ----------
    name
        What it is.
    value
        The estimate.
    interval
        95 % interval; None where the rows allow none.
    by
        What was left out together for it; empty without an interval.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    by: str = ""


@dataclass
class Evidence:
    """The rows that claims are checked on, with every fit and every set of refits made once.

    Attributes
    ----------
    scores
        A score table, or any table of columns for claims with fits of their own.
    specs
        Fits of the claims file by name.
    """

    scores: pd.DataFrame
    specs: Mapping[str, FitSpec]
    _fits: dict[str, Fit] = field(default_factory=dict)
    _jackknives: dict[tuple[str, str], Jackknife] = field(default_factory=dict)
    _tables: ModelTables | None = None

    def fit(self, name: str) -> Fit:
        """Fit a law of the file, or a named experiment."""
        if name not in self._fits:
            if name in self.specs:
                spec = self.specs[name]
                self._fits[name] = fit_law(
                    self.scores, spec.law, x=spec.x, y=spec.y, regions=spec.regions, where=spec.where, missing="drop"
                )
            elif name in EXPERIMENTS:
                self._tables = self._tables or ModelTables(self.scores)
                self._fits[name] = EXPERIMENTS[name].fit(self._tables)
            else:
                raise unknown_name(
                    "fit", name, [*self.specs, *EXPERIMENTS], "A claims file defines its own as [fits.NAME]."
                )
        return self._fits[name]

    def rows(self, name: str, regions: str) -> pd.DataFrame:
        """Rows of a fit, with the mean score of other regions."""
        spec = self.specs.get(name)
        if spec is not None:
            return load_rows(self.scores, regions=regions, where=spec.where)[0]
        self._tables = self._tables or ModelTables(self.scores)
        return replace(EXPERIMENTS[name], regions=regions).rows(self._tables)[0]

    def jackknife(self, name: str, by: str) -> Jackknife:
        """Refits of a fit without each group."""
        if (name, by) not in self._jackknives:
            self._jackknives[name, by] = jackknife(self.fit(name), by=by)
        return self._jackknives[name, by]

    def verdict(self, name: str, by: str) -> Verdict:
        """The verdict on a fit."""
        return assess(self.fit(name), by=(by,))


def of_fit(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """A parameter of a fit, or a quantity that follows from it."""
    fit = evidence.fit(claim.fit)
    values = fit.quantities()
    if claim.quantity not in values:
        raise unknown_name("quantity", claim.quantity, values, f"The fit is '{claim.fit}', a law '{fit.law.name}'.")
    interval: tuple[float, float] | None = None
    with contextlib.suppress(ShapeError, UsageError):
        interval = evidence.jackknife(claim.fit, by).interval(claim.quantity, LEVEL)
    return (_estimate(claim.quantity, values[claim.quantity], interval, by),)


def of_headroom(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """How far a limit lies above the best score that was reached, as a share of it."""
    fit = evidence.fit(claim.fit)
    best = 1.0 - float(fit.problem.y.min())
    name = f"limit / best score ({best:.4f}) - 1"
    if claim.plateau is not None:
        # Both numbers are known as they stand.
        exact = claim.plateau / best - 1.0
        return (Estimate(name, exact, (exact, exact)),)
    low, high = evidence.jackknife(claim.fit, by).interval("S_inf")
    limit = 1.0 - fit.params["E"]
    return (_estimate(name, limit / best - 1.0, (low / best - 1.0, high / best - 1.0), by),)


def of_knee(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """Where a broken line bends (log10 of the input), or its slopes per tenfold."""
    made = saturation(evidence.fit(claim.fit), by=by)
    if claim.quantity not in made.values:
        raise unknown_name("quantity", claim.quantity, made.values, "Of a broken line.")
    return (_estimate(claim.quantity, made.values[claim.quantity], made.intervals[claim.quantity], by),)


def of_slopes(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """Score per tenfold of the input in each region, and by how much each differs from the one before."""
    x = evidence.fit(claim.fit).problem.columns[0]
    tables = [evidence.rows(claim.fit, region).set_index("model_id") for region in claim.regions]
    # A model that lacks one of the regions is in none of the differences.
    shared = tables[0].index
    for table in tables[1:]:
        shared = shared.intersection(table.index)
    frame = tables[0].loc[shared].reset_index()
    u = np.log10(frame[x].to_numpy(float))
    scores = {
        region: table.loc[shared, "score"].to_numpy(float) for region, table in zip(claim.regions, tables, strict=True)
    }
    made = [_coefficient(frame, u, score, 1, by, region) for region, score in scores.items()]
    pairs = zip(claim.regions, claim.regions[1:], strict=False)
    return (*made, *(_coefficient(frame, u, scores[b] - scores[a], 1, by, f"{b} - {a}") for a, b in pairs))


def of_slope(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """Score per tenfold of the input."""
    return _of_polynomial(claim, evidence, by, 1, "score per tenfold")


def of_curvature(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """Quadratic coefficient of the score in log10 of the input: 0 where the score is logarithmic."""
    return _of_polynomial(claim, evidence, by, 2, "quadratic coefficient")


def _of_polynomial(claim: Claim, evidence: Evidence, by: str, degree: int, name: str) -> tuple[Estimate, ...]:
    problem = evidence.fit(claim.fit).problem
    u = np.log10(problem.raw[0])
    return (_coefficient(problem.frame, u, 1.0 - problem.y, degree, by, name),)


def of_plateau(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """The limit of the score."""
    verdict = evidence.verdict(claim.fit, by)
    limit = np.nan if verdict.limit is None else 1.0 - verdict.limit
    ends = None if verdict.interval is None else (1.0 - verdict.interval[1], 1.0 - verdict.interval[0])
    return (_estimate("limit of the score", limit, ends, by),)


MEASURES: dict[str, Callable[[Claim, Evidence, str], tuple[Estimate, ...]]] = {
    "fit": of_fit,
    "headroom": of_headroom,
    "knee": of_knee,
    "slope": of_slope,
    "slopes": of_slopes,
    "curvature": of_curvature,
    "plateau": of_plateau,
}


def measure(claim: Claim, evidence: Evidence, by: str) -> tuple[Estimate, ...]:
    """Measure the quantity of a claim, with what belongs together ``by``.

    Raises
    ------
    ConfigError
        No such measure.
    """
    if claim.measure not in MEASURES:
        raise ConfigError(
            f"Unknown measure '{claim.measure}' of the claim '{claim.name}'. Known: {', '.join(MEASURES)}.",
            key="measure",
        )
    made = MEASURES[claim.measure](claim, evidence, by)
    if not claim.tenfold:
        return made
    raised = [None if one.interval is None else (10.0 ** one.interval[0], 10.0 ** one.interval[1]) for one in made]
    return tuple(
        Estimate(f"10^{one.name}", 10.0**one.value, ends, one.by) for one, ends in zip(made, raised, strict=True)
    )


def _estimate(name: str, value: float, interval: tuple[float, float] | None, by: str) -> Estimate:
    known = interval is not None and bool(np.isfinite(interval).all())
    return Estimate(name, value, interval if known else None, by if known else "")


def _coefficient(frame: pd.DataFrame, u: Array, y: Array, degree: int, by: str, name: str) -> Estimate:
    """Return the leading coefficient of a polynomial in u (n,), with its CRV3-t interval over groups."""
    code = leave_out_groups(frame, by)
    kept = np.concatenate([np.ones((1, len(u)), dtype=bool), code != np.arange(code.max() + 1)[:, None]])
    design = np.vander(u - u.mean(), degree + 1)
    values = np.array([np.linalg.lstsq(design[rows], y[rows], rcond=None)[0][0] for rows in kept])
    low, high = student(values[1:], values[0])
    return _estimate(name, float(values[0]), (float(low), float(high)), by)
