"""One law fitted to parts of its rows: what each of these fits predicts, for rows and groups it has not seen.

A fold, a hold-out and a resample differ only in the weights of the rows, so all refits of one law are one call of
the solver.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.fit import Fit
from vvscale.laws.solve_law import AVERAGE, curves, optimise
from vvscale.laws.solver.search import Optima

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Refits:
    """One law fitted to several weightings of the same rows.

    Attributes
    ----------
    fit
        The fit to all rows.
    optima
        The B optima.
    weights
        Row weights, shape (B, n), in the order of ``fit.problem.frame``.
    """

    fit: Fit
    optima: Optima = field(repr=False)
    weights: Array = field(repr=False)

    def usable(self) -> NDArray[np.bool_]:
        """Whether each weighting has more distinct points than the law has parameters, shape (B,)."""
        problem = self.fit.problem
        if not self.fit.law.scales:
            return (self.weights > 0).sum(axis=1) > 0
        groups = np.unique(problem.group)
        seen = np.stack([(self.weights[:, problem.group == g] > 0).any(axis=1) for g in groups]).sum(axis=0)
        n_parameters = self.fit.law.n_parameters + len(self.fit.offsets) * (seen - 1)
        return problem.distinct_in(self.weights) > n_parameters

    def log_curves(self, x: Sequence[Array] | None = None, group: NDArray[np.intp] | None = None) -> Array:
        """Log of the predicted outcome, shape (B, m); NaN where a law predicts 0 or less.

        Parameters
        ----------
        x
            Inputs in raw units, (m,) each; by default those of the rows.
        group
            Offset group of each point; by default ``AVERAGE``, none in particular. That, and a group that a weighting
            has no rows of, is predicted as the average (of the log) over the groups that the weighting has.
        """
        problem = self.fit.problem
        if x is None:
            x, group = problem.raw, problem.group
        group = np.full(len(x[0]), AVERAGE) if group is None else group
        f = curves(self.fit.forms(), self.optima, problem.points(x, np.maximum(group, 0)))
        n_groups = len(problem.groups)
        if n_groups == 1:
            return f
        present = np.stack([(self.weights[:, problem.group == g] > 0).any(axis=1) for g in range(n_groups)], axis=1)
        known = np.concatenate([present, np.zeros((len(present), 1), dtype=bool)], axis=1)[:, group]
        rows, lacking = np.nonzero(~known.all(axis=1))[0], ~known.all(axis=0)
        if not rows.size:
            return f
        at = [value[lacking] for value in x]
        each = [np.full(len(at[0]), g, dtype=np.intp) for g in range(n_groups)]
        forms, optima = self.fit.forms(), self.optima.take(rows)
        by_group = np.stack([curves(forms, optima, problem.points(at, g)) for g in each], axis=2)
        seen = present[rows][:, None, :]
        average = np.where(seen, by_group, 0.0).sum(axis=2) / seen.sum(axis=2)
        part = f[np.ix_(rows, lacking)]
        f[np.ix_(rows, lacking)] = np.where(known[np.ix_(rows, lacking)], part, average)
        return f

    def rows(self, chosen: NDArray[np.intp] | slice) -> Refits:
        """Return some of the weightings."""
        return replace(self, optima=self.optima.take(chosen), weights=self.weights[chosen])


def refit_fit(fit: Fit, weights: Array) -> Refits:
    """Refit a fitted law to every row of ``weights`` (B, n)."""
    # The original rows come first: the solver makes its dictionary of starts from them.
    everything = np.concatenate([np.ones((1, fit.n)), weights])
    optima = optimise(fit.law, fit.problem, everything, offsets=fit.offsets, negative=fit.negative)
    return Refits(fit, optima.take(slice(1, None)), weights)
