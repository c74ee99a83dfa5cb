"""The budget that a target score needs along the optimal path, or that no budget reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import UsageError
from vvscale.laws.planning.plan import optimum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.planning.cost import Cost
    from vvscale.laws.planning.joint import JointLaw

    Array = NDArray[np.float64]

# More than anybody will ever spend: what needs more is out of reach.
MOST_FLOP = 1e80


@dataclass(frozen=True)
class TargetBudget:
    """The budget that a target score needs.

    Attributes
    ----------
    target
        Score asked for.
    budget
        FLOP, or None if the target lies beyond the plateau.
    interval
        95 % interval over resamples, an end None where it is beyond the plateau in that tail.
    share_beyond
        Share of resamples whose plateau lies below the target.
    limit
        Score at infinite compute.
    """

    target: float
    budget: float | None
    interval: tuple[float | None, float | None] | None
    share_beyond: float
    limit: float

    @property
    def words(self) -> str:
        """The answer as a sentence."""
        if self.budget is None:
            if self.target < self.limit:
                return f"A score of {self.target:g} is out of reach within these bounds. Widen them."
            return (
                f"A score of {self.target:g} is beyond this law's plateau of {self.limit:.4g}: no budget reaches it. "
                "Change what is trained, not how much."
            )
        spread = ""
        if self.interval is not None:
            low, high = (f"{end:.3g}" if end is not None else "beyond reach" for end in self.interval)
            spread = f" ({low} to {high} over the resamples)"
        doubt = f"; {self.share_beyond:.0%} of resamples put it out of reach" if self.share_beyond else ""
        return f"A score of {self.target:g} needs {self.budget:.3g} FLOP{spread}{doubt}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.__dict__, "interval": list(self.interval) if self.interval else None, "words": self.words}


def budget_for(
    law: JointLaw,
    target: float,
    cost: Cost,
    *,
    n_bounds: tuple[float | None, float | None] = (None, None),
    d_bounds: tuple[float | None, float | None] = (None, None),
) -> TargetBudget:
    """Budget that reaches a target score along the optimal path within bounds on N and D.

    On the path both terms fall as C grows, so that the budget is the root of a decreasing function.
    """
    if not 0 < target < 1:
        raise UsageError(f"A target score lies between 0 and 1, got {target}. Example: `target=0.45`.")
    values = np.array([[law.E], [law.A], [law.alpha], [law.B], [law.beta]])
    bounds = (*_ends(n_bounds), *_ends(d_bounds))
    budget = _budgets(values, target, cost, bounds)[0]
    interval, beyond = None, 0.0
    names = ("E", "A", "alpha", "B", "beta")
    draws = np.stack([np.asarray(law.draws[name], float) for name in names]) if law.draws else np.empty((5, 0))
    draws = draws[:, (draws[1:] > 0).all(axis=0)]
    if draws.size:
        budgets = _budgets(draws, target, cost, bounds)
        beyond = float(np.isinf(budgets).mean())
        low, high = np.quantile(budgets, [0.0, 1.0] if law.is_range else [0.025, 0.975], method="nearest")
        interval = (float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None)
    return TargetBudget(
        target,
        float(budget) if np.isfinite(budget) else None,
        interval,
        beyond,
        1.0 - law.E,
    )


def _ends(bounds: tuple[float | None, float | None]) -> tuple[float, float]:
    for value in bounds:
        if value is not None and not value > 0:
            raise UsageError(f"A bound on N or D must be positive, got {value}.")
    return bounds[0] or 0.0, bounds[1] or np.inf


def _budgets(values: Array, target: float, cost: Cost, bounds: tuple[float, float, float, float]) -> Array:
    """Budgets (B,) for parameter columns (5, B) within bounds of N and D; infinite out of reach. Bisection in log C."""
    n_low, n_high, d_low, d_high = bounds
    E, A, alpha, B, beta = values
    low, high = np.full(E.shape, np.log(1e-30)), np.full(E.shape, np.log(MOST_FLOP))
    goal = 1.0 - target
    for _ in range(200):
        middle = 0.5 * (low + high)
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            budget = np.exp(middle)
            n, _ = optimum(alpha, A, beta, B, cost, budget)
            # What D leaves to N moves N off the optimum; beyond both upper bounds money is left over.
            if np.isfinite(d_high):
                n = np.maximum(n, cost.parameters(budget, d_high))
            if d_low > 0:
                n = np.minimum(n, cost.parameters(budget, d_low))
            n = np.clip(n, n_low, n_high)
            d = np.clip(cost.samples(budget, n), d_low, d_high)
            affordable = cost.flop(n, d) <= budget * (1.0 + 1e-9)
            enough = affordable & (E + A * n**-alpha + B * d**-beta <= goal)
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return np.where((goal > E) & (high < np.log(MOST_FLOP) - 1.0), np.exp(high), np.inf)
