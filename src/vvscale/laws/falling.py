"""Laws held to exponents of 0 or more: what they predict may not get worse with more of an input.

Leaving rising laws out of the starts does not keep a search from arriving at one: where an input says little,
its exponent walks through 0. Among refits to parts of a table a single such walk is enough, because refits try
each other's optima. Here 0 is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.fit import optimise
from vvscale.laws.forms import Plateau, Vanishing
from vvscale.laws.solver import Optima, solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.law import Law
    from vvscale.laws.problem import Problem

    Array = NDArray[np.float64]

# A slope this small is flat; ``Plateau`` cannot take an exact 0.
FLAT_SLOPE = 1e-12


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


def optimise_falling(
    law: Law, problem: Problem, weights: Array, *, offsets: tuple[str, ...] = (), negative: bool = False
) -> Optima:
    """Fit a law to every row of ``weights`` (B, n), as ``fit.optimise``, exponents at least 0 unless ``negative``."""
    if negative or not law.terms:
        return optimise(law, problem, weights, offsets=offsets, negative=negative)
    interior, boundary = law.forms(len(problem.groups), offsets)
    assert isinstance(interior, Plateau)
    edge = None if boundary is None else FallingVanishing(boundary.terms)
    form = FallingPlateau(interior.terms, interior.signed)
    return solve(form, edge, problem.sample, weights[:, problem.order])
