"""How much runs would tell: the covariance of a law's parameters under its rows, and under more of them.

Shapes: S laws (the fit and refits to resamples), p parameters (E, then log amplitude and exponent of each term),
k candidate runs, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vvscale.errors import UsageError
from vvscale.laws.uncertainty.jackknife import leave_out_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

# Rounds of exchanging every run; the first that gains nothing is the last.
MAX_ROUNDS = 20
# Relative gain of the log variance that is worth an exchange.
GAIN = 1e-6


def curves_of(laws: Array, x: tuple[Array, ...]) -> tuple[Array, Array]:
    """Log outcome (S, m) and its derivatives (S, m, p); x in the fit's units."""
    parts, slopes = [], []
    for t, values in enumerate(x):
        log_a, alpha = laws[:, 1 + 2 * t, None], laws[:, 2 + 2 * t, None]
        part = np.exp(log_a - alpha * np.log(values))
        parts.append(part)
        slopes += [part, -part * np.log(values)]
    total = laws[:, :1] + np.sum(parts, axis=0)
    return np.log(total), np.stack([np.ones_like(total), *slopes], axis=2) / total[:, :, None]


@dataclass(frozen=True)
class Evidence:
    """What the rows say under S laws: A and the middle of the sandwich, (S, p, p) each, and a new run's share."""

    fit: Fit
    laws: Array
    bread: Array
    meat: Array
    noise: float
    goal: Array | None
    size: int = field(default=0)

    @classmethod
    def of(cls, fit: Fit, laws: Array, by: str, goal: Array | None) -> Evidence:
        """Weigh the rows of a fit; ``goal`` (S, p) is the gradient of the quantity, None for all parameters."""
        residual = fit.residuals()
        psi = residual if fit.delta is None else np.clip(residual / fit.delta, -1.0, 1.0)
        code = leave_out_groups(fit.problem.frame, by)
        log_y, slopes = curves_of(laws, fit.problem.x)
        if not fit.law.log_residuals:
            slopes = slopes * np.exp(log_y)[:, :, None]
        bread = np.einsum("smp,smq->spq", slopes, slopes)
        sums = np.zeros((code.max() + 1, *slopes.shape[::2]))
        np.add.at(sums, code, (slopes * psi[:, None]).transpose(1, 0, 2))
        sums = _without_own_pull(slopes, sums, code, bread)
        meat = np.einsum("gsp,gsq->spq", sums, sums)
        return cls(fit, laws, bread, meat, float((psi**2).mean()), goal, laws.shape[1])

    def gradients(self, x: tuple[Array, ...]) -> Array:
        """Gradients (S, k, p) of the curve at inputs in raw units."""
        scaled = tuple(values / unit for values, unit in zip(x, self.fit.problem.units, strict=True))
        log_y, slopes = curves_of(self.laws, scaled)
        return slopes if self.fit.law.log_residuals else slopes * np.exp(log_y)[:, :, None]

    def log_variance(self, bread: Array, meat: Array) -> Array:
        """Log variance of the quantity, or log determinant of the covariance, (...,)."""
        if self.goal is None:
            return np.linalg.slogdet(meat)[1] - 2.0 * np.linalg.slogdet(bread)[1]
        goal = np.broadcast_to(self.goal.reshape(self.goal.shape[0], *[1] * (bread.ndim - 3), -1), bread.shape[:-1])
        solved = np.linalg.solve(bread, goal[..., None])[..., 0]
        return np.log(np.einsum("...p,...pq,...q->...", solved, meat, solved))


def _without_own_pull(slopes: Array, sums: Array, code: NDArray[np.intp], bread: Array) -> Array:
    """Scores of groups (G, S, p) as they would be under a fit without the group, which its own rows had no part in.

    A (A - A_g)^-1 s_g, as in CRV3: the interval that is to shrink is made by leaving groups out.
    """
    own = np.zeros((len(sums), *bread.shape))
    np.add.at(own, code, np.einsum("smp,smq->mspq", slopes, slopes))
    rest = bread[None] - own
    # A group that alone tells of a parameter leaves a singular rest.
    rest = rest + 1e-9 * np.einsum("spp,pq->spq", bread, np.eye(bread.shape[1]))
    return np.einsum("spq,gsq->gsp", bread, np.linalg.solve(rest, sums[..., None])[..., 0])


def log_after(state: Evidence, slopes: Array, chosen: NDArray[np.intp]) -> Array:
    """Log variance under each law after the chosen runs, (S,)."""
    picked = slopes[:, chosen]
    added = np.einsum("skp,skq->spq", picked, picked)
    return state.log_variance(state.bread + added, state.meat + state.noise * added)


def choose(slopes: Array, state: Evidence, flop: Array, budget: float, runs: int) -> NDArray[np.intp]:
    """Candidates (runs,) that make the mean log variance smallest within the budget."""
    cheapest = float(flop.min())
    if runs * cheapest > budget:
        raise UsageError(
            f"{runs} runs cost at least {runs * cheapest:.3g} FLOP within the bounds, more than the `budget` of "
            f"{budget:.3g}. Ask for fewer `runs`, or allow smaller ones."
        )
    outer = np.einsum("skp,skq->skpq", slopes, slopes)

    def best(bread: Array, meat: Array, room: float) -> tuple[int, float]:
        tried = np.nonzero(flop <= room * (1.0 + 1e-9))[0]
        added = outer[:, tried]
        after = state.log_variance(bread[:, None] + added, meat[:, None] + state.noise * added).mean(axis=0)
        place = int(after.argmin())
        return int(tried[place]), float(after[place])

    chosen: list[int] = []
    bread, meat, left, lowest = state.bread, state.meat, budget, np.inf
    for k in range(runs):
        # Equal parts first: whatever is left over moves in the exchanges.
        one, lowest = best(bread, meat, max(left / (runs - k), cheapest))
        chosen.append(one)
        bread, meat, left = bread + outer[:, one], meat + state.noise * outer[:, one], left - flop[one]
    for _ in range(MAX_ROUNDS):
        before = lowest
        for k in range(runs):
            old = chosen[k]
            rest_bread, rest_meat = bread - outer[:, old], meat - state.noise * outer[:, old]
            one, value = best(rest_bread, rest_meat, left + flop[old])
            if value < lowest - GAIN:
                chosen[k], lowest, left = one, value, left + flop[old] - flop[one]
                bread, meat = rest_bread + outer[:, one], rest_meat + state.noise * outer[:, one]
        if lowest > before - GAIN:
            break
    return np.array(chosen, dtype=np.intp)
