"""The best split of a budget into parameters and samples, with and without bounds, for many laws at once.

At the optimum of Y = E + A N^-alpha + B D^-beta under a cost C = m N^p D^q the marginal gains per cost are equal,
alpha A N^-alpha / p = beta B D^-beta / q, which has a closed form. With C = m (N D)^n it is

    N* = G (C/m)^(a/n),  D* = (C/m)^(b/n) / G,  a = beta/(alpha+beta), b = alpha/(alpha+beta),
    G = (alpha A / (beta B))^(1/(alpha+beta)),

with positive exponents (Hoffmann et al. 2022, approach 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from vvscale.laws.planning.cost import Cost

    Array = NDArray[np.float64]

# A budget that bounds leave over by less than this is spent.
ROUNDING = 1e-9
NAMES = ("E", "A", "alpha", "B", "beta")


@dataclass(frozen=True)
class Terms:
    """Parameters of joint laws Y = E + A N^-alpha + B D^-beta, each one number, or (B,) of as many laws."""

    E: Any
    A: Any
    alpha: Any
    B: Any
    beta: Any

    @classmethod
    def of(cls, draws: Mapping[str, Any], rows: Any = ...) -> Terms:
        """Take the parameters of resamples, by name, or of those chosen by ``rows``."""
        return cls(**{name: np.asarray(draws[name], float)[rows] for name in NAMES})

    @property
    def has_optimum(self) -> Any:
        """Whether both terms fall."""
        return (self.alpha > 0) & (self.beta > 0) & (self.A > 0) & (self.B > 0)

    def misalignment(self, n: Array | float, d: Array | float) -> Any:
        """Predicted misalignment of n parameters and d samples."""
        return self.E + self.A * np.asarray(n, float) ** -self.alpha + self.B * np.asarray(d, float) ** -self.beta

    def exponents(self, cost: Cost) -> tuple[Any, Any]:
        """Powers of the budget that the best N and D grow with."""
        trade = self.alpha * cost.q + self.beta * cost.p
        return self.beta / trade, self.alpha / trade


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest N and D allowed, in parameters and samples: 0 and infinity where open."""

    n_low: float = 0.0
    n_high: float = np.inf
    d_low: float = 0.0
    d_high: float = np.inf

    @classmethod
    def of(
        cls, n_bounds: tuple[float | None, float | None], d_bounds: tuple[float | None, float | None], passes: float
    ) -> Bounds:
        """Make bounds of pairs with None where open; D of a law in images is seen so many times.

        Raises
        ------
        UsageError
            A bound that is not positive.
        """
        for value in (*n_bounds, *d_bounds):
            if value is not None and not value > 0:
                raise UsageError(f"A bound on N or D must be positive, got {value}.")
        d_low, d_high = (d_bounds[0] or 0.0) / passes, (d_bounds[1] or np.inf) / passes
        return cls(n_bounds[0] or 0.0, n_bounds[1] or np.inf, d_low, d_high)


def optimum(law: Terms, cost: Cost, budget: Array | float) -> tuple[Array, Array]:
    """N* and D* of a budget; broadcasts. alpha A N^-alpha / p = beta B D^-beta / q on the budget line."""
    alpha, A, beta, B = (np.asarray(v, float) for v in (law.alpha, law.A, law.beta, law.B))
    room = np.log(np.asarray(budget, float) / cost.m)
    log_n = (np.log(alpha * A * cost.q / (beta * B * cost.p)) + beta * room / cost.q) / (alpha + beta * cost.p / cost.q)
    return np.exp(log_n), np.exp((room - cost.p * log_n) / cost.q)


def allocate(law: Terms, cost: Cost, budget: Array | float, bounds: Bounds) -> tuple[Array, Array, NDArray[np.bool_]]:
    """N, D and whether the budget affords them, within bounds; broadcasts. Beyond both upper bounds money is left."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        n, _ = optimum(law, cost, budget)
        # What a bound of D leaves to N moves N off the optimum.
        if np.isfinite(bounds.d_high):
            n = np.maximum(n, cost.parameters(budget, bounds.d_high))
        if bounds.d_low > 0:
            n = np.minimum(n, cost.parameters(budget, bounds.d_low))
        n = np.clip(n, bounds.n_low, bounds.n_high)
        d = np.clip(cost.samples(budget, n), bounds.d_low, bounds.d_high)
        return n, d, np.asarray(cost.flop(n, d) <= np.asarray(budget) * (1.0 + ROUNDING))
