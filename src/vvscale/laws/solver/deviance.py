"""How much worse a fit gets as one of its parameters is held: deviances of an exponent, a shift or the plateau.

The near-absolute loss has no likelihood of its own. Its deviance is that of an M-estimator,
4 f(0) (sum |r| - min), with f(0) the density of the residuals at 0; for least squares it is the Gaussian
n log(RSS / min). Both compare with chi-square of one degree of freedom where rows are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.others import Lifted
from vvscale.laws.solver.newton import minimise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.forms.plateau import Plateau, Vanishing
    from vvscale.laws.forms.terms import Derivatives, Points
    from vvscale.laws.solver.sample import Sample
    from vvscale.laws.solver.search import Optima

    Array = NDArray[np.float64]

# A deviance is read to two digits: its losses need no more than this relative precision.
PRECISION = 1e-7
MAX_STEPS = 60


@dataclass(frozen=True)
class Around:
    """An optimum and its rows.

    Attributes
    ----------
    interior, boundary
        The law's forms; no boundary form where E is free in sign.
    optima
        The first of them is the optimum.
    sample
        The rows.
    loss
        Its loss.
    residuals
        Its residuals on the fitted scale, shape (n,).
    delta
        Huber threshold; None for least squares.
    cut
        Deviance that all others are only compared with: searches end once they are past it, or far from reaching it.
    """

    interior: Plateau
    boundary: Vanishing | None
    optima: Optima
    sample: Sample
    loss: float
    residuals: Array
    delta: float | None
    cut: float | None = None

    @property
    def slope(self) -> float:
        """The first term's slope at the centre; for a power law its exponent."""
        return self.slope_of(0)

    def slope_of(self, term: int) -> float:
        """Slope at the centre of the term of that number."""
        if self._at_zero:
            return float(self._line()[0, self._line_place(0, term)])
        return float(self.optima.theta[0, self._inside_place(0, term)])

    @property
    def _at_zero(self) -> bool:
        return bool(self.optima.at_zero[0])

    def _line_place(self, own: int, term: int = 0) -> int:
        """Where a term's parameter ``own`` stands in the boundary form."""
        assert self.boundary is not None
        return self.boundary.slots()[term][1] + own

    def _inside_place(self, own: int, term: int = 0) -> int:
        """Where a term's parameter ``own`` stands in the interior form, after its kappa."""
        return self.interior.slots()[term][1] + 1 + own

    def _line(self) -> Array:
        """Return the optimum, or a start near it, in the boundary form's parameters (1, p)."""
        assert self.boundary is not None
        if self._at_zero:
            return self.optima.theta[:1, : self.boundary.size]
        theta = self.optima.theta[:1]
        # Two terms start as equal parts of the level.
        n_terms = len(self.boundary.terms)
        parts = [theta[:, :1]] if n_terms == 1 else [np.full((1, n_terms), np.exp(theta[0, 0]) / n_terms)]
        for term, at in self.interior.slots():
            parts.append(theta[:, at + 1 : at + 1 + term.size])
        return np.concatenate(parts, axis=1)

    def _inside(self) -> Array:
        """Return the optimum, or a start near it, in the interior form's parameters (1, p)."""
        if self._at_zero and self.boundary is not None:
            return self.boundary.inside(self._line(), 1e-2)
        return self.optima.theta[:1, : self.interior.size]

    def _held_losses(self, form: Form, start: Array) -> Array:
        """Losses (k,) that searches from ``start`` (k, p) end at."""
        # Each search is a problem of its own: what one held value finds says nothing of another's.
        rows, each = np.ones((len(start), len(self.sample.target))), np.arange(len(start))
        until = None if self.cut is None else self._loss_of(self.cut)
        found = minimise(form, self.sample, rows, start, each, flat=PRECISION, max_steps=MAX_STEPS, until=until)
        return found.loss

    def _deviance(self, losses: Array) -> Array:
        if self.delta is None:
            # An exact fit has no residuals to compare with.
            least = np.finfo(float).tiny
            return len(self.residuals) * (np.log(np.maximum(losses, least)) - np.log(max(self.loss, least)))
        return 4.0 * self._density * (losses - self.loss) / self.delta

    def _loss_of(self, deviance: float) -> float:
        """Loss at which the deviance is this one."""
        if self.delta is None:
            return self.loss * float(np.exp(deviance / len(self.residuals)))
        return self.loss + deviance * self.delta / (4.0 * self._density)

    @cached_property
    def _density(self) -> float:
        return density_at_zero(self.residuals)

    def of_slope(self, values: Sequence[float] | Array, term: int = 0) -> Array:
        """Deviance with a term's slope at the centre held at each value, the rest refitted; shape (k,)."""
        return self._of_term(0, values, term)

    def of_shift(self, values: Sequence[float] | Array) -> Array:
        """Deviance of a shifted law with rho held at each value: 0 is an exponential, 1 the plain power law; (k,)."""
        return self._of_term(1, values)

    def _of_term(self, own: int, values: Sequence[float] | Array, term: int = 0) -> Array:
        """Deviance with a term's parameter number ``own`` (0 the slope, 1 rho) held at each value."""
        values = np.asarray(values, float)
        slope = self._inside_place(0, term)
        # Three starts a value. The relative slope kappa is what the data fix; E >= 0 bounds it by the slope s.
        start = np.repeat(self._inside(), 3 * len(values), axis=0)
        start[:, slope + own] = np.repeat(values, 3)
        for place, share in ((1, 0.5), (2, 0.95)):
            start[place::3, slope - 1] = share * start[place::3, slope]
        losses = self._held_losses(Pinned(self.interior, slope + own), start).reshape(-1, 3).min(axis=1)
        if self.boundary is not None:
            place = self._line_place(own, term)
            start = np.repeat(self._line(), len(values), axis=0)
            start[:, place] = values
            losses = np.minimum(losses, self._held_losses(Pinned(self.boundary, place), start))
        return self._deviance(losses)

    def without_plateau(self) -> float:
        """Deviance of the law without a plateau, E = 0, which the search for the optimum has solved."""
        return float(self._deviance(self.optima.zero_loss[:1])[0])

    def of_plateau(self, values: Sequence[float] | Array) -> Array:
        """Deviance with E held at each value, the rest refitted; shape (k,)."""
        assert self.boundary is not None
        theta = self._line()
        values = np.asarray(values, float)
        level = float(self.boundary.heights(theta).sum())
        # Four starts a value: raising E steepens what is left above it.
        steeper = np.array([0.5, 1.0, 2.0, 5.0])
        held = np.repeat(values, len(steeper))
        above = self.boundary.with_level(np.repeat(theta, len(held), axis=0), np.maximum(level - held, 0.05 * level))
        start = np.concatenate([above, held[:, None]], axis=1)
        start[:, self._line_place(0)] *= np.tile(steeper, len(values))
        losses = self._held_losses(Lifted(self.boundary), start).reshape(-1, len(steeper)).min(axis=1)
        return self._deviance(losses)


@dataclass(frozen=True)
class Pinned:
    """A form with one parameter that stays where it starts."""

    base: Form
    index: int

    @property
    def size(self) -> int:
        """Number of parameters, the held one included."""
        return self.base.size

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """As the base form."""
        return self.base.evaluate(theta, points)

    def project(self, theta: Array) -> Array:
        """As the base form."""
        return self.base.project(theta)

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never: with a held parameter the edge is an ordinary place."""
        return np.zeros(len(theta), dtype=bool)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """As the base form, and the parameter."""
        held = self.base.held(theta, gradient)
        held[:, self.index] = True
        return held


def density_at_zero(residuals: Array) -> float:
    """Kernel estimate of the residuals' density at 0 (Gaussian kernel, Silverman's robust bandwidth)."""
    quartiles = np.quantile(residuals, [0.25, 0.75])
    scale = min(float(residuals.std()), float(np.diff(quartiles)[0]) / 1.349) or float(residuals.std()) or 1e-12
    width = 0.9 * scale * len(residuals) ** -0.2
    return float(np.exp(-0.5 * (residuals / width) ** 2).mean() / (width * np.sqrt(2.0 * np.pi)))
