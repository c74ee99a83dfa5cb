"""Laws for refits to parts of a table: falling or flat, and indifferent to the rows that they are not fitted to.

Leaving rising laws out of the starts does not keep a search from arriving at one: where an input says little,
its exponent walks through 0. Among refits to parts of a table a single such walk is enough, because refits try
each other's optima. Here 0 is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.competitors import LogLaw
from vvscale.laws.fit import optimise
from vvscale.laws.forms import Derivatives, Plateau, Vanishing
from vvscale.laws.solver import Optima, solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms import Points
    from vvscale.laws.law import Law
    from vvscale.laws.problem import Problem

    Array = NDArray[np.float64]

# A slope this small is flat; ``Plateau`` cannot take an exact 0.
FLAT_SLOPE = 1e-12
# What a line in log X predicts, relative to its level, once it has crossed 0.
CROSSED = 1e-12


@dataclass(frozen=True)
class FallingPlateau(Plateau):
    """A plateau whose terms fall or are flat."""

    def project(self, theta: Array) -> Array:
        """As ``Plateau``, slopes at least 0."""
        for _, at in self.slots():
            np.maximum(theta[:, at + 1], FLAT_SLOPE, out=theta[:, at + 1])
        return super().project(theta)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """As ``Plateau``; a flat term that should rise is held flat."""
        held = super().held(theta, gradient)
        for _, at in self.slots():
            flat = theta[:, at + 1] <= FLAT_SLOPE
            held[:, at] |= flat & (gradient[:, at] > 0)
            held[:, at + 1] |= flat & (gradient[:, at + 1] > 0)
        return held


@dataclass(frozen=True)
class FallingVanishing(Vanishing):
    """The E = 0 form with terms that fall or are flat."""

    def project(self, theta: Array) -> Array:
        """As ``Vanishing``, slopes at least 0."""
        for _, at in self.slots():
            np.maximum(theta[:, at], 0.0, out=theta[:, at])
        return super().project(theta)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """As ``Vanishing``; a flat term that should rise is held flat."""
        held = super().held(theta, gradient)
        for _, at in self.slots():
            held[:, at] |= (theta[:, at] <= 0.0) & (gradient[:, at] > 0)
        return held


@dataclass(frozen=True)
class FlooredLine(LogLaw):
    """A line in log X that stays just above 0: a row of weight 0 beyond the crossing must not forbid it."""

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives, flat beyond the crossing."""
        u = points.u[0]
        mixture = 1.0 - theta[:, 1:] * u
        crossed = mixture < CROSSED
        inverse = 1.0 / np.where(crossed, CROSSED, mixture)
        jacobian = np.stack([np.ones_like(mixture), np.where(crossed, 0.0, -u * inverse)], axis=1)
        return Derivatives(theta[:, :1] - np.log(inverse), jacobian, [], is_mixture=True)


def optimise_falling(
    law: Law, problem: Problem, weights: Array, *, offsets: tuple[str, ...] = (), negative: bool = False
) -> Optima:
    """Fit a law to every row of ``weights`` (B, n), as ``fit.optimise``, exponents at least 0 unless ``negative``."""
    if isinstance(law.own_form, LogLaw):
        law = replace(law, own_form=FlooredLine())
    # Candidate curves may overflow far from the rows that they are for; they are then no candidates.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if negative or not law.terms:
            return optimise(law, problem, weights, offsets=offsets, negative=negative)
        interior, boundary = law.forms(len(problem.groups), offsets)
        assert isinstance(interior, Plateau)
        edge = None if boundary is None else FallingVanishing(boundary.terms)
        form = FallingPlateau(interior.terms, interior.signed)
        return solve(form, edge, problem.sample, weights[:, problem.order])
