"""The best split of a budget into parameters and samples, with and without bounds, for many laws at once.

At the optimum of Y = E + A N^-alpha + B D^-beta under a cost C = m N^p D^q the marginal gains per cost are equal,
alpha A N^-alpha / p = beta B D^-beta / q, which has a closed form. With C = m (N D)^n it is

    N* = G (C/m)^(a/n),  D* = (C/m)^(b/n) / G,  a = beta/(alpha+beta), b = alpha/(alpha+beta),
    G = (alpha A / (beta B))^(1/(alpha+beta)),

with positive exponents (Hoffmann et al. 2022, approach 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.planning.cost import Cost

    Array = NDArray[np.float64]

# A budget that bounds leave over by less than this is spent.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest N and D allowed, in parameters and samples: 0 and infinity where open."""

    n_low: float = 0.0
    n_high: float = np.inf
    d_low: float = 0.0
    d_high: float = np.inf

    @classmethod
    def of(cls, n_bounds: tuple[float | None, float | None], d_bounds: tuple[float | None, float | None]) -> Bounds:
        """Make bounds of pairs with None where open.

        Raises
        ------
        UsageError
            A bound that is not positive.
        """
        for value in (*n_bounds, *d_bounds):
            if value is not None and not value > 0:
                raise UsageError(f"A bound on N or D must be positive, got {value}.")
        return cls(n_bounds[0] or 0.0, n_bounds[1] or np.inf, d_bounds[0] or 0.0, d_bounds[1] or np.inf)


def optimum(
    alpha: Array | float, A: Array | float, beta: Array | float, B: Array | float, cost: Cost, budget: Array | float
) -> tuple[Array, Array]:
    """N* and D* of a budget; broadcasts. alpha A N^-alpha / p = beta B D^-beta / q on the budget line."""
    alpha, A, beta, B = (np.asarray(v, float) for v in (alpha, A, beta, B))
    room = np.log(np.asarray(budget, float) / cost.m)
    log_n = (np.log(alpha * A * cost.q / (beta * B * cost.p)) + beta * room / cost.q) / (alpha + beta * cost.p / cost.q)
    return np.exp(log_n), np.exp((room - cost.p * log_n) / cost.q)


def allocate(
    alpha: Array | float,
    A: Array | float,
    beta: Array | float,
    B: Array | float,
    cost: Cost,
    budget: Array | float,
    bounds: Bounds,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """N, D and whether the budget affords them, within bounds; broadcasts. Beyond both upper bounds money is left."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        n, _ = optimum(alpha, A, beta, B, cost, budget)
        # What a bound of D leaves to N moves N off the optimum.
        if np.isfinite(bounds.d_high):
            n = np.maximum(n, cost.parameters(budget, bounds.d_high))
        if bounds.d_low > 0:
            n = np.minimum(n, cost.parameters(budget, bounds.d_low))
        n = np.clip(n, bounds.n_low, bounds.n_high)
        d = np.clip(cost.samples(budget, n), bounds.d_low, bounds.d_high)
        return n, d, np.asarray(cost.flop(n, d) <= np.asarray(budget) * (1.0 + ROUNDING))
