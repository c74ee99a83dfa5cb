"""Refit a law to resamples of its rows: intervals of parameters, of what follows from them, and of the curve."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.options import SEED
from vvscale.errors import ShapeError
from vvscale.laws.fit import Fit
from vvscale.laws.solve_law import natural, ratio_name
from vvscale.laws.solver.search import Optima
from vvscale.laws.uncertainty.intervals import LEVEL, percentile
from vvscale.laws.uncertainty.jackknife import Jackknife, left_out
from vvscale.laws.uncertainty.refits import Refits, refit_fit
from vvscale.laws.uncertainty.resample import Resamples, default_unit, resamples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bootstrap:
    """A law refitted to resamples.

    Attributes
    ----------
    fit
        The fit to the original rows.
    params
        Parameters of each resample, name -> (B,).
    loss
        Loss of each resample, shape (B,).
    n_distinct
        Distinct points in each resample, shape (B,). With no more of them than parameters the law interpolates.
    resamples
        What was drawn.
    agreement
        Share of starts at each resample's best optimum, shape (B,).
    optima
        The solver's own account.
    """

    fit: Fit
    params: dict[str, Array]
    loss: Array
    n_distinct: NDArray[np.intp]
    resamples: Resamples = field(repr=False)
    agreement: Array = field(repr=False)
    optima: Optima = field(repr=False)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Resamples with more distinct points than parameters, shape (B,)."""
        return self.n_distinct > len(self.fit.params)

    @property
    def method(self) -> str:
        """How intervals are made: ``"percentile"``, or ``"CRV3-t"`` where each group was left out once."""
        return "CRV3-t" if self.resamples.leaves_one_out else "percentile"

    @cached_property
    def jackknife(self) -> Jackknife:
        """The same refits as a jackknife, where each group was left out once."""
        drawn = self.resamples
        made = left_out(
            self.fit, drawn.unit, (drawn.weights == 0).argmax(axis=0), Refits(self.fit, self.optima, drawn.weights)
        )
        return replace(made, params=self.params)

    def derived(self) -> dict[str, Array]:
        """Quantities that follow from the parameters, name -> (B,); see ``derive`` and ``half_points``."""
        return self.fit.derived_from(self.params, self.optima)

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        """Interval of a parameter or derived quantity, the estimate within it.

        Percentiles of the resamples; where each group was left out once, Student's t with their CRV3 error (see
        ``jackknife``). (NaN, NaN) where there is none.
        """
        if self.resamples.leaves_one_out:
            return self.jackknife.interval(name, level)
        values = ({**self.params, **self.derived()})[name]
        estimate = self.fit.quantities()[name]
        values = values[self.usable]
        # A group that a resample drew no rows of has no ratio there.
        values = values[~np.isnan(values)]
        if not values.size:
            return np.nan, np.nan
        low, high = percentile(values, estimate, level)
        return float(low), float(high)

    def share_at_zero(self) -> float:
        """Share of resamples whose best plateau is E = 0."""
        if "E" not in self.params or self.fit.law.signed_plateau:
            return 0.0
        return float((self.params["E"] <= 1e-12).mean())

    def curve(self, *x: Sequence[float] | Array, level: float = LEVEL) -> tuple[Array, Array]:
        """Interval of the fitted curve (of the average group) at new inputs, in raw units; two arrays (m,)."""
        if self.resamples.leaves_one_out:
            return self.jackknife.curve(*x, level=level)
        assert self.fit.optima is not None
        estimate, values = self.fit.outcomes(self.fit.optima, x)[0], self.fit.outcomes(self.optima, x)
        return percentile(values[self.usable], estimate, level)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the fit with the band of its resamples; see ``Fit.plot``."""
        return import_module("vvscale.figures.plot").plot_fit(self.fit, self, path=path)

    def table(self) -> pd.DataFrame:
        """One row per resample: loss, distinct points, parameters."""
        labels = {"left_out": list(self.resamples.labels)} if self.resamples.leaves_one_out else {}
        base = {"resample": np.arange(len(self.loss)), **labels, "loss": self.loss, "n_distinct": self.n_distinct}
        return pd.DataFrame({**base, **self.params})

    def summary(self) -> pd.DataFrame:
        """One row per parameter and derived quantity: value and interval."""
        rows = [(name, value, *self.interval(name)) for name, value in self.fit.quantities().items()]
        return pd.DataFrame(rows, columns=["quantity", "value", "low", "high"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values: intervals and how they were made."""
        return {
            "unit": self.resamples.unit,
            "n_units": self.resamples.n_units,
            "method": self.method,
            "degrees": self.resamples.degrees,
            "n_resamples": len(self.loss),
            "n_interpolating": int((~self.usable).sum()),
            "share_at_zero": self.share_at_zero(),
            "ci": {name: _finite(self.interval(name)) for name in [*self.params, *self.derived()]},
        }

    def _repr_html_(self) -> str:
        return f"<p>{len(self.loss)} resamples by {self.resamples.unit}</p>{self.summary().to_html(index=False)}"


def _finite(interval: tuple[float, float]) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in interval]


def bootstrap(fit: Fit, n: int = 1000, *, by: str | None = None, seed: int = SEED) -> Bootstrap:
    """Refit a law to resamples of its rows.

    Parameters
    ----------
    fit
        The fit to the original rows.
    n
        Number of resamples, >= 1; ignored where there are so few units that each is left out once.
    by
        What is drawn: ``arch`` (default where the table knows architectures: rows of one architecture are not
        independent), ``row`` (the published resamples), ``cell`` (all but the seed), ``family``, or a column.
    seed
        Seed of the draws.

    Raises
    ------
    ShapeError
        As few distinct points as parameters + 1: resamples would interpolate.
    UsageError, UnknownNameError
        See ``vvscale.laws.uncertainty.resample.resamples``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> x = np.geomspace(1, 1e4, 20)
    >>> noise = np.random.default_rng(0).normal(0, 0.01, 20)
    >>> fit = fit_law(pd.DataFrame({"x": x, "y": (0.3 + 0.5 * x**-0.4) * np.exp(noise)}), x="x", y="y")
    >>> low, high = bootstrap(fit, 50).interval("E")
    >>> low < 0.3 < high
    True
    """
    problem = fit.problem
    if problem.n_distinct <= len(fit.params) + 1:
        raise ShapeError(
            f"Cannot resample {problem.n_distinct} distinct points for a law of {len(fit.params)} parameters: most "
            "resamples would interpolate, and their interval would mean nothing. Collect more points."
        )
    drawn = resamples(problem.frame, by or default_unit(problem.frame), n, seed=seed)
    rest = refit_fit(fit, drawn.weights).optima
    return Bootstrap(
        fit,
        _without_absent_groups(fit, drawn.weights, natural(fit.law, problem, rest, fit.offsets)),
        rest.loss,
        problem.distinct_in(drawn.weights),
        drawn,
        rest.n_agree / np.maximum(rest.n_starts, 1),
        rest,
    )


def _without_absent_groups(fit: Fit, weights: Array, params: dict[str, Array]) -> dict[str, Array]:
    """Set a group's ratio to NaN in the resamples that drew none of its rows, or none of the reference's."""
    problem = fit.problem
    reference = problem.groups[0]
    absent = [weights[:, problem.group == g].sum(axis=1) == 0 for g in range(len(problem.groups))]
    for letter in fit.offsets:
        for g, name in enumerate(problem.groups[1:], start=1):
            key = ratio_name(letter, name, reference)
            params[key] = np.where(absent[0] | absent[g], np.nan, params[key])
    return params
