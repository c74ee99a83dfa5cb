"""Intervals from leaving out each group in turn (CRV3) with Student's t: no resamples, no seed, honest with few groups.

With G groups, estimate q and the estimates q_g without group g, the variance is (G - 1) / G sum (q_g - q)^2 and the
interval q -+ t sd, with the degrees of freedom of the groups that the quantity rests on (``degrees``). In simulations
on the published designs it covers as the bootstrap of whole groups does, and with five or six groups, where a bootstrap
means nothing (docs/coverage.md).

Source: MacKinnon, Nielsen & Webb 2023 (arXiv 2301.04527); Shao & Wu 1989 for leaving out several rows of a loss that
is nearly absolute, for which leaving out one row at a time is inconsistent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import ShapeError
from vvscale.laws.solve_law import natural
from vvscale.laws.uncertainty.degrees import Leverage, leverage
from vvscale.laws.uncertainty.folds import grouped_folds
from vvscale.laws.uncertainty.intervals import FEWEST, LEVEL, POSITIVE, SHARES, crv3, student
from vvscale.laws.uncertainty.refits import Refits, refit_fit
from vvscale.laws.uncertainty.resample import clusters, default_unit, design_effect, intraclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Jackknife:
    """A law refitted without each group.

    Attributes
    ----------
    fit
        The fit to all rows.
    by
        What was left out together.
    n_groups
        G, the number of groups left out in turn.
    params
        Parameters without each group, name -> (G,).
    usable
        Whether every refit has more distinct points than parameters; without that there is no interval.
    refits
        The refits, for curves.
    leverage
        What the parameters owe to each group, for degrees of freedom.
    """

    fit: Fit
    by: str
    n_groups: int
    params: dict[str, Array] = field(repr=False)
    usable: bool
    refits: Refits = field(repr=False)
    leverage: Leverage = field(repr=False)

    def derived(self) -> dict[str, Array]:
        """Quantities that follow from the parameters, name -> (G,); see ``vvscale.laws.derive``."""
        return self.fit.derived_from(self.params, self.refits.optima)

    def standard_error(self, name: str) -> float:
        """Standard error of a parameter or derived quantity, in its own units; NaN where a refit has no value."""
        estimate, values = self._values(name)
        return float(crv3(values, estimate)) if self.usable else np.nan

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        """Interval of a parameter or derived quantity, symmetric (in the log for amplitudes) around the estimate.

        E and amplitudes of laws that hold them above 0 end there. (NaN, NaN) where a refit has no finite value.
        """
        if not self.usable:
            return np.nan, np.nan
        estimate, values = self._values(name)
        low, high = student(
            values, estimate, level, log=name in POSITIVE, odds=name in SHARES, degrees=self.degrees(name)
        )
        return within_law(self.fit.law, name, float(low), float(high))

    def degrees(self, name: str) -> float:
        """Degrees of freedom of the interval of a parameter or derived quantity: the groups it rests on, less one."""
        return float(self.leverage.degrees(lambda _: self._moved[name][:, None])[0])

    @cached_property
    def _moved(self) -> dict[str, Array]:
        """Parameters and what follows from them at the moved optima of the leverage, name -> (2 p,); made once."""
        fit, moved = self.fit, self.leverage.moved
        params = natural(fit.law, fit.problem, moved, fit.offsets)
        return {**params, **fit.derived_from(params, moved)}

    def curve(self, *x: Sequence[float] | Array, level: float = LEVEL) -> tuple[Array, Array]:
        """Interval of the fitted curve (of the average group) at new inputs, in raw units; two arrays (m,).

        Symmetric on the scale of the law's residuals.
        """
        fit = self.fit
        assert fit.optima is not None
        estimate = fit.outcomes(fit.optima, x)[0]
        if not self.usable:
            return np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
        degrees, log = self.leverage.degrees(lambda optima: fit.outcomes(optima, x)), fit.law.log_residuals
        return student(fit.outcomes(self.refits.optima, x), estimate, level, log=log, degrees=degrees)

    def table(self) -> pd.DataFrame:
        """One row per parameter and derived quantity: value, standard error, degrees of freedom and interval."""
        rows = [
            (name, value, self.standard_error(name), self.degrees(name), *self.interval(name))
            for name, value in self.fit.quantities().items()
        ]
        return pd.DataFrame(rows, columns=["quantity", "value", "standard_error", "degrees", "low", "high"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values: intervals and how they were made; an end that does not exist is None."""
        names = [*self.params, *self.derived()]
        return {
            "method": "CRV3-t",
            "by": self.by,
            "n_groups": self.n_groups,
            "degrees": {name: self.degrees(name) for name in names},
            "ci": {name: [end if np.isfinite(end) else None for end in self.interval(name)] for name in names},
        }

    def _repr_html_(self) -> str:
        return f"<p>95 % t intervals, each of {self.n_groups} {self.by} left out</p>{self.table().to_html(index=False)}"

    def _values(self, name: str) -> tuple[float, Array]:
        return self.fit.quantities()[name], self.params[name] if name in self.params else self.derived()[name]


def jackknife(fit: Fit, *, by: str | None = None) -> Jackknife:
    """Refit a law without each group.

    Parameters
    ----------
    fit
        The fit to all rows.
    by
        What belongs together: ``arch`` (default where the table knows architectures), ``family``, ``cell``, ``row`` or
        a column. Rows are left out in as many blocks as the square root of their number, fixed ones.

    Raises
    ------
    ShapeError
        Fewer than three groups.
    UsageError, UnknownNameError, DataError
        See ``vvscale.laws.uncertainty.resample.clusters``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> x, noise = np.geomspace(1, 1e4, 40), np.random.default_rng(0).normal(0, 0.01, 40)
    >>> table = pd.DataFrame({"x": x, "y": (0.3 + 0.5 * x**-0.4) * np.exp(noise), "arch": np.arange(40) % 8})
    >>> low, high = jackknife(fit_law(table, x="x", y="y")).interval("E")
    >>> bool(low < 0.3 < high)
    True
    """
    by = by or default_unit(fit.problem.frame)
    code = leave_out_groups(fit.problem.frame, by)
    n_groups = int(code.max()) + 1
    if n_groups < FEWEST:
        raise ShapeError(
            f"Cannot leave out `{by}` in turn: the rows have {n_groups} of them, and {FEWEST} are the fewest that say "
            "anything. Collect rows of more, or choose another unit with `by`."
        )
    refits = refit_fit(fit, (code != np.arange(n_groups)[:, None]).astype(float))
    return left_out(fit, by, code, refits)


def left_out(fit: Fit, by: str, code: NDArray[np.intp], refits: Refits) -> Jackknife:
    """Make a ``Jackknife`` of refits (G) without each group of ``code`` (n,)."""
    params = natural(fit.law, fit.problem, refits.optima, fit.offsets)
    correlation = intraclass(fit.residuals(), code)
    return Jackknife(
        fit, by, int(code.max()) + 1, params, bool(refits.usable().all()), refits, leverage(fit, code, correlation)
    )


def inflation(fit: Fit, name: str, by: str) -> float:
    """How many times dependence within groups inflates the variance of one parameter, at least 1.

    The CRV3 variance from leaving out groups over that from leaving out blocks of rows. One factor for all parameters
    would not do: the level of a law suffers most from dependent rows, E and the exponents, which rest on contrasts
    within groups, much less.

    Parameters
    ----------
    fit
        A fit.
    name
        A parameter, or a quantity that follows from them.
    by
        What rows are grouped by.
    """
    try:
        grouped, alone = (jackknife(fit, by=unit).standard_error(name) for unit in (by, "row"))
    except ShapeError:
        # Too few groups to leave out: as at an edge below.
        grouped, alone = np.nan, np.nan
    if not (np.isfinite([grouped, alone]).all() and alone > 0):
        # At an edge of the law, where the parameter does not move: the effect on a mean is the safe one.
        return design_effect(fit.problem.frame, fit.residuals(), by).effect
    return max(1.0, float(grouped / alone) ** 2)


def within_law(law: Law, name: str, low: float, high: float) -> tuple[float, float]:
    """End an interval of E or S_inf where the law does: E is at least 0 unless the law lets it have any sign."""
    if name == "E" and not law.signed_plateau:
        low = max(low, 0.0)
    if name == "S_inf" and not law.signed_plateau:
        high = min(high, 1.0)
    return low, high


def leave_out_groups(frame: pd.DataFrame, by: str) -> NDArray[np.intp]:
    """Group of each row (n,) that is left out together with it."""
    if by == "row":
        n = len(frame)
        return grouped_folds(np.arange(n), min(n, max(10, round(n**0.5))), seed=0)
    return clusters(frame, by)[0]
