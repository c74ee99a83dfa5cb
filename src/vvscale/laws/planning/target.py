"""The budget that a target score needs along the optimal path, or that no budget reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.core.jsonable import jsonable
from vvscale.errors import UsageError
from vvscale.laws.planning.allocate import NAMES, Bounds, Terms, allocate
from vvscale.laws.planning.plan import scatter_of
from vvscale.laws.planning.support import rows_needed
from vvscale.laws.uncertainty.intervals import FEWEST, percentile, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.planning.cost import Cost
    from vvscale.laws.planning.joint import JointLaw
    from vvscale.laws.planning.support import Beyond

    Array = NDArray[np.float64]

# More than anybody will ever spend: what needs more is out of reach.
MOST_FLOP = 1e80
# Halvings of the range of log C: beyond 60 they are below rounding.
BISECTIONS = 80


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
        95 % interval over resamples and the scatter of costs, an end None where it is beyond the plateau in that tail;
        None without resamples, or where too many of them have no optimum.
    share_beyond
        Share of resamples whose plateau lies below the target.
    share_without_optimum
        Share of resamples whose exponents allow no optimum; they are left out of the interval.
    label
        What is asked for: ``"score"`` of a misalignment.
    warnings
        What of the optimum lies beyond the rows of the fit, and by how much.
    limit
        Score at infinite compute.
    """

    target: float
    budget: float | None
    interval: tuple[float | None, float | None] | None
    share_beyond: float
    limit: float
    share_without_optimum: float = 0.0
    label: str = "score"
    warnings: tuple[Beyond, ...] = ()

    @property
    def words(self) -> str:
        """The answer as a sentence."""
        if self.budget is None:
            if self.target < self.limit:
                return f"A {self.label} of {self.target:g} is out of reach within these bounds. Widen them."
            return (
                f"A {self.label} of {self.target:g} is beyond this law's plateau of {self.limit:.4g}: no budget "
                "reaches it. Change what is trained, not how much."
            )
        spread = ""
        if self.interval is not None:
            low, high = (f"{end:.3g}" if end is not None else "beyond reach" for end in self.interval)
            spread = f" ({low} to {high} over the resamples)"
        doubt = f"; {self.share_beyond:.0%} of resamples put it out of reach" if self.share_beyond else ""
        lost = self.share_without_optimum
        lacking = f"; {lost:.0%} of the resamples have no optimum and are left out" if lost else ""
        told = f"A {self.label} of {self.target:g} needs {self.budget:.3g} FLOP{spread}{doubt}{lacking}."
        return " ".join([told, *rows_needed(self.warnings), *(f"Warning: {each.words}" for each in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return jsonable({**vars(self), "warnings": [each.to_dict() for each in self.warnings], "words": self.words})


def budget_for(
    law: JointLaw,
    target: float,
    cost: Cost,
    *,
    n_bounds: tuple[float | None, float | None] = (None, None),
    d_bounds: tuple[float | None, float | None] = (None, None),
    epochs: float | None = None,
) -> TargetBudget:
    """Budget that reaches a target score along the optimal path within bounds on N and D.

    On the path both terms fall as C grows, so that the budget is the root of a decreasing function.
    """
    if not 0 < target < 1:
        raise UsageError(f"A target lies between 0 and 1, got {target}. Example: `target=0.45`.")
    passes = law.passes(None, epochs)
    cost = cost.per_image(passes)
    bounds = Bounds.of(n_bounds, d_bounds, passes)
    own = Terms.of({name: [getattr(law, name)] for name in NAMES})
    budget = float(_budgets(own, target, cost, bounds)[0])
    draws = law.draws or dict.fromkeys(NAMES, np.empty(0))
    has_optimum = Terms.of(draws).has_optimum
    budgets = _budgets(Terms.of(draws, has_optimum), target, cost, bounds)
    warnings: tuple[Beyond, ...] = ()
    if np.isfinite(budget):
        n, d, _ = allocate(law, cost, budget, bounds)
        warnings = law.beyond(float(n), float(d), budget)
    return TargetBudget(
        target,
        budget if np.isfinite(budget) else None,
        _interval(law, cost, budget, budgets) if has_optimum.any() else None,
        float(np.isinf(budgets).mean()) if budgets.size else 0.0,
        1.0 - law.E,
        float(1.0 - has_optimum.mean()) if has_optimum.size else 0.0,
        law.label,
        warnings,
    )


def _interval(law: JointLaw, cost: Cost, budget: float, budgets: Array) -> tuple[float | None, float | None] | None:
    """95 % interval of the budget from those of the resamples (B,) and the scatter of costs."""
    log = np.log10(budgets)
    if law.degrees is not None:
        if not (np.isfinite(log).all() and np.isfinite(budget)) or len(log) < FEWEST:
            return None
        # The scatter is an error of its own, independent of the law's.
        low, high = student(log, np.log10(budget), degrees=law.degrees, besides=cost.scatter)
    else:
        log = log + np.log10(scatter_of(cost, len(log)))
        low, high = percentile(log, np.log10(budget))
    ends = 10.0 ** np.array([low, high])
    return (float(ends[0]) if np.isfinite(ends[0]) else None, float(ends[1]) if np.isfinite(ends[1]) else None)


def _budgets(laws: Terms, target: float, cost: Cost, bounds: Bounds) -> Array:
    """Budgets (B,) of B laws within bounds of N and D; infinite out of reach. Bisection in log C."""
    low, high = np.full(laws.E.shape, np.log(1e-30)), np.full(laws.E.shape, np.log(MOST_FLOP))
    goal = 1.0 - target
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            n, d, affordable = allocate(laws, cost, np.exp(middle), bounds)
            enough = affordable & (laws.misalignment(n, d) <= goal)
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return np.where((goal > laws.E) & (high < np.log(MOST_FLOP) - 1.0), np.exp(high), np.inf)
