"""The functional forms of a scaling law, as pure maths: value, gradient, curvature, bounds, units.

Every law with a plateau is written around the centre of the data. With u = log X - mean(log X),

    Y = E + sum_t A_t X_t^-alpha_t  =  P0 (1 + sum_t kappa_t h(alpha_t, u_t)),
    h(a, u) = (exp(-a u) - 1) / a.

P0 is the level at the centre, kappa_t the relative slope there, alpha_t pure curvature; data fix the first
two well and the third badly, and no two of them trade off along a curved valley, as E, A and alpha do. In the
limit alpha -> 0 the law becomes P0 (1 - kappa u), the log law, without any singularity. E >= 0 reads
sum_t kappa_t / alpha_t <= 1.

The shifted law is the same law in a warped coordinate. With rho = Xbar / (Xbar + 10^lambda) in [0, 1],

    (X + 10^lambda)^-alpha  ~  exp(-s w(u; rho)),   w = log(1 + rho (exp(u) - 1)) / rho,   s = alpha rho,

so that rho = 1 is the power law itself and rho = 0 its infinite-alpha limit, an exponential in X: both are
ordinary boundaries instead of ridges that run to infinity.

Shapes: b batch of parameter vectors, p parameters, m distinct points. This module must not know about
weights, losses, tables or resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.terms import (
    FLAT_DROP,
    FLAT_SLOPE,
    MAX_EXPONENT,
    Derivatives,
    Points,
    Term,
    decay,
    held_within_unit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


# Share of the level at the centre below which a term is absent. A term that is a spike at one end of the data has
# next to nothing left at the centre, so that this is far below what would show there.
LEAST_SHARE = 1e-200
# A height below this part of the largest is that of an absent term.
ABSENT = 1e-190
# Share at the centre from which on a term is looked at again: it is absent, or a spike.
SMALL_SHARE = 1e-6


def _is_extreme(slopes: Array) -> NDArray[np.bool_]:
    """Whether any of the slopes (b, t) is flat, or as steep as a law may be; shape (b,)."""
    steep = np.abs(slopes)
    return np.any((steep <= 1e3 * FLAT_SLOPE) | (steep >= MAX_EXPONENT * (1.0 - 1e-9)), axis=1)


def _pairs(size: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(size) for j in range(i, size)]


def _natural(
    plateau: Array, slots: list[tuple[Term, int]], heights: list[Array], theta: Array, centre: tuple[float, ...]
) -> dict[str, Array]:
    """Parameters in units of X from E (b,) and the terms' heights (b,) at the centre; a flat term belongs to E."""
    values: dict[str, Array] = {}
    for letter, (term, at), height in zip("AB", slots, heights, strict=False):
        own = theta[:, at : at + term.size].copy()
        # The slope of an absent term says nothing: it is flat.
        own[height <= ABSENT * np.max(heights, axis=0), 0] = 0.0
        # Only if it hardly falls at all: without a bound on E the height may grow as the slope goes to 0.
        flat = (np.abs(own[:, 0]) <= FLAT_SLOPE) & (np.abs(own[:, 0]) * height <= FLAT_DROP)
        plateau = plateau + np.where(flat, height, 0.0)
        values |= term.natural(np.where(flat, 0.0, height), own, centre, letter)
    return {"E": plateau, **values}


class _FromGrid:
    """What both have in common for the solver."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        raise NotImplementedError

    def starts(self, points: Points, level: float) -> Array:
        """Return none: the solver starts from a grid of exponents (``solver.starts``)."""
        del points, level
        return np.empty((0, self.size))

    def edges(self, theta: Array) -> tuple[str, ...]:
        """Return none: E = 0 and flat exponents show in the parameters."""
        del theta
        return ()


@dataclass(frozen=True)
class Plateau(_FromGrid):
    """Y = P0 (1 + sum_t kappa_t h_t), an asymptote E plus one or two decaying terms.

    Parameters in order: log P0, then per term kappa_t and the term's own. kappa_t and s_t share their sign, so
    that amplitudes are positive; E >= 0 unless ``signed``. With ``falling``, slopes are at least 0: leaving
    rising laws out of the starts would not keep a search from walking through 0.
    """

    terms: tuple[Term, ...]
    signed: bool = False
    falling: bool = False

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 1 + sum(1 + term.size for term in self.terms)

    def slots(self) -> list[tuple[Term, int]]:
        """Each term with the position of its kappa."""
        return self._slots

    @cached_property
    def _slots(self) -> list[tuple[Term, int]]:
        starts, at = [], 1
        for term in self.terms:
            starts.append((term, at))
            at += 1 + term.size
        return starts

    def own(self, theta: Array) -> list[Array]:
        """Return each term's own parameters (slope first) out of theta (p,)."""
        return [theta[at + 1 : at + 1 + term.size] for term, at in self.slots()]

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives; theta (b, p). Where Y <= 0, f is NaN."""
        b, m = len(theta), points.u[0].size
        mixture = np.ones((b, m))
        parts: list[tuple[int, Array, Array, list[Array], list[tuple[int, int, Array]]]] = []
        for term, at in self.slots():
            own = theta[:, at + 1 : at + 1 + term.size]
            kappa, s = theta[:, at : at + 1], own[:, :1]
            w, w_q, w_qq = term.coordinates(own, points)
            h, h_s, h_ss, decayed = decay(s, w)
            mixture += kappa * h
            # Derivatives of h by the term's own parameters.
            first = [h_s, *(-decayed * slope for slope in w_q)]
            second = [(0, 0, h_ss), *((0, i, w * decayed * slope) for i, slope in enumerate(w_q, start=1))]
            for i, j in _pairs(len(w_q)):
                bend = s * w_q[i] * w_q[j]
                if (i + 1, j + 1) in w_qq:
                    bend -= w_qq[i + 1, j + 1]
                bend *= decayed
                second.append((1 + i, 1 + j, bend))
            parts.append((at, kappa, h, first, second))
        np.copyto(mixture, np.nan, where=mixture <= 0.0)
        inverse = 1.0 / mixture
        jacobian = np.empty((b, self.size, m))
        jacobian[:, 0] = 1.0
        curved: list[tuple[int, int, Array]] = []
        for at, kappa, h, first, second in parts:
            np.multiply(h, inverse, out=jacobian[:, at])
            scaled = kappa * inverse
            for i, slope in enumerate(first, start=at + 1):
                np.multiply(slope, scaled, out=jacobian[:, i])
                curved.append((at, i, slope * inverse))
            curved.extend((at + 1 + i, at + 1 + j, np.multiply(bend, scaled, out=bend)) for i, j, bend in second)
        f = np.log(mixture, out=mixture)
        f += theta[:, :1]
        return Derivatives(f, jacobian, curved, is_mixture=True)

    def project(self, theta: Array) -> Array:
        """Move theta (b, p) in place to the nearest admissible point along kappa."""
        total = np.zeros(len(theta))
        for term, at in self.slots():
            term.project(theta[:, at + 1 :])
            s = theta[:, at + 1]
            s[(s < FLAT_SLOPE) if self.falling else (np.abs(s) < FLAT_SLOPE)] = FLAT_SLOPE
            # A kappa of the other sign than s would be a negative amplitude.
            share = np.maximum(theta[:, at] / s, LEAST_SHARE)
            theta[:, at] = share * s
            total += share
        if not self.signed:
            over = np.maximum(total, 1.0)
            for _, at in self.slots():
                theta[:, at] /= over
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Whether E = 0, shape (b,)."""
        if self.signed:
            return np.zeros(len(theta), dtype=bool)
        return self._shares(theta) >= 1.0 - 1e-12

    def on_face(self, theta: Array) -> NDArray[np.bool_]:
        """Whether one of several terms is absent, flat, or a step between two points, shape (b,)."""
        if len(self.terms) == 1:
            return np.zeros(len(theta), dtype=bool)
        places = [at for _, at in self.slots()]
        slopes = theta[:, [at + 1 for at in places]]
        absent = (theta[:, places] / slopes <= SMALL_SHARE).any(axis=1)
        return absent | _is_extreme(slopes)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """Which parameters (b, p) are pressed against a bound."""
        held = held_within_unit(theta, gradient, [at + 2 for term, at in self.slots() if term.has_rho])
        for term, at in self.slots():
            # An absent term has no slope to move.
            absent = theta[:, at] / theta[:, at + 1] <= LEAST_SHARE * (1.0 + 1e-9)
            held[:, at] |= absent & (gradient[:, at] * theta[:, at] > 0)
            held[:, at + 1 : at + 1 + term.size] |= absent[:, None]
        for _, at in self.slots() if self.falling else ():
            # A flat term that should rise stays flat, and its kappa with it.
            flat = theta[:, at + 1] <= FLAT_SLOPE
            held[:, at] |= flat & (gradient[:, at] > 0)
            held[:, at + 1] |= flat & (gradient[:, at + 1] > 0)
        return held

    def moved(self, theta: Array, shift: float) -> Array:
        """Return the same curves with the input's log centred ``shift`` further right; one log term only."""
        level, kappa, s = np.exp(theta[:, 0]), theta[:, 1], theta[:, 2]
        amplitude = level * kappa / s
        there = amplitude * np.exp(-s * shift)
        level = level - amplitude + there
        return np.stack([np.log(level), s * there / level, s], axis=1)

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Parameters in units of X, each (b,): E, then A, alpha (, lambda) and B, beta per term.

        ``centre`` holds the means of log X that u was centred with.
        """
        level = np.exp(theta[:, 0])
        plateau = self.plateau(theta) if self.signed else np.maximum(self.plateau(theta), 0.0)
        heights = [level * theta[:, at] / theta[:, at + 1] for _, at in self.slots()]
        return _natural(plateau, [(term, at + 1) for term, at in self.slots()], heights, theta, centre)

    def plateau(self, theta: Array) -> Array:
        """Return the asymptote E, shape (b,)."""
        return np.exp(theta[:, 0]) * (1.0 - self._shares(theta))

    def _shares(self, theta: Array) -> Array:
        """Share of the level at the centre that is above E, (b,)."""
        shares = [theta[:, at] / theta[:, at + 1] for _, at in self.slots()]
        return shares[0] if len(shares) == 1 else np.sum(shares, axis=0)


@dataclass(frozen=True)
class Vanishing(_FromGrid):
    """The same laws on their boundary E = 0: a pure power law, or a sum of two.

    Parameters in order: log P0 for one term, or the height of each of two at the centre, >= 0; then the terms'
    own. Two heights instead of a level and a share: a term that is a spike at one end of the data may have a
    height of 1e-30 at the centre, and 1 - 1e-30 is 1.
    """

    terms: tuple[Term, ...]
    falling: bool = False

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.terms) + sum(term.size for term in self.terms)

    @property
    def is_convex(self) -> bool:
        """Whether log Y is linear in the parameters, so that any minimum is the global one."""
        return len(self.terms) == 1 and self.terms[0].coordinate == "log" and not self.terms[0].n_offsets

    def slots(self) -> list[tuple[Term, int]]:
        """Each term with the position of its s."""
        return self._slots

    @cached_property
    def _slots(self) -> list[tuple[Term, int]]:
        starts, at = [], len(self.terms)
        for term in self.terms:
            starts.append((term, at))
            at += term.size
        return starts

    def own(self, theta: Array) -> list[Array]:
        """Return each term's own parameters (slope first) out of theta (p,)."""
        return [theta[at : at + term.size] for term, at in self.slots()]

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives; theta (b, p)."""
        return self._pure(theta, points) if len(self.terms) == 1 else self._sum(theta, points)

    def _pure(self, theta: Array, points: Points) -> Derivatives:
        w, w_q, w_qq = self.terms[0].coordinates(theta[:, 1:], points)
        s = theta[:, 1:2]
        jacobian = np.stack([np.ones_like(w), -w, *(-s * slope for slope in w_q)], axis=1)
        curved = [(1, 2 + i, -slope) for i, slope in enumerate(w_q)]
        curved += [(1 + i, 1 + j, -s * bend) for (i, j), bend in w_qq.items()]
        return Derivatives(theta[:, :1] - s * w, jacobian, curved, is_mixture=False)

    def _sum(self, theta: Array, points: Points) -> Derivatives:
        b, m = len(theta), points.u[0].size
        jacobian = np.empty((b, self.size, m))
        total = np.zeros((b, m))
        curved: list[tuple[int, int, Array]] = []
        for place, (term, at) in enumerate(self.slots()):
            own = theta[:, at : at + term.size]
            height, s = theta[:, place : place + 1], own[:, :1]
            w, w_q, w_qq = term.coordinates(own, points)
            decayed = np.exp(-s * w)
            total += height * decayed
            jacobian[:, place] = decayed
            # Derivatives of the exponent -s w.
            slopes = [-w, *(-s * slope for slope in w_q)]
            for i, slope in enumerate(slopes):
                jacobian[:, at + i] = height * decayed * slope
                curved.append((place, at + i, decayed * slope))
            for i, j in _pairs(term.size):
                bend = slopes[i] * slopes[j]
                if i == 0 and j > 0:
                    bend -= w_q[j - 1]
                elif (i, j) in w_qq:
                    bend -= s * w_qq[i, j]
                curved.append((at + i, at + j, height * decayed * bend))
        inverse = 1.0 / total
        jacobian *= inverse[:, None]
        curved = [(i, j, second * inverse) for i, j, second in curved]
        return Derivatives(-np.log(inverse), jacobian, curved, is_mixture=True, has_level=False)

    def project(self, theta: Array) -> Array:
        """Clip theta (b, p) in place."""
        if len(self.terms) == 2:
            np.maximum(theta[:, :2], 0.0, out=theta[:, :2])
        for term, at in self.slots():
            term.project(theta[:, at:])
            if self.falling:
                np.maximum(theta[:, at], 0.0, out=theta[:, at])
        return theta

    def on_face(self, theta: Array) -> NDArray[np.bool_]:
        """As of ``Plateau``."""
        if len(self.terms) == 1:
            return np.zeros(len(theta), dtype=bool)
        slopes = theta[:, [at for _, at in self.slots()]]
        absent = (theta[:, :2] <= SMALL_SHARE * theta[:, :2].sum(axis=1, keepdims=True)).any(axis=1)
        return absent | _is_extreme(slopes)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """Which parameters (b, p) are pressed against a bound."""
        held = held_within_unit(theta, gradient, [at + 1 for term, at in self.slots() if term.has_rho])
        if len(self.terms) == 2:
            held[:, :2] |= (theta[:, :2] <= 0.0) & (gradient[:, :2] > 0)
            for place, (term, at) in enumerate(self.slots()):
                # An absent term has no slope to move.
                held[:, at : at + term.size] |= theta[:, place : place + 1] <= 0.0
        for _, at in self.slots() if self.falling else ():
            held[:, at] |= (theta[:, at] <= 0.0) & (gradient[:, at] > 0)
        return held

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never: this form is an edge itself."""
        return np.zeros(len(theta), dtype=bool)

    def heights(self, theta: Array) -> Array:
        """Height of each term at the centre, shape (b, number of terms)."""
        return np.exp(theta[:, :1]) if len(self.terms) == 1 else theta[:, :2]

    def with_level(self, theta: Array, level: Array) -> Array:
        """Return theta (b, p) with the curve scaled to ``level`` (b,) at the centre."""
        scaled = theta.copy()
        if len(self.terms) == 1:
            scaled[:, 0] = np.log(level)
        else:
            scaled[:, :2] *= (level / theta[:, :2].sum(axis=1))[:, None]
        return scaled

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Parameters in units of X, each (b,), as ``Plateau.natural``, with E = 0."""
        heights = self.heights(theta)
        return _natural(np.zeros(len(theta)), self.slots(), list(heights.T), theta, centre)

    def inside(self, theta: Array, shrink: float = 1e-4) -> Array:
        """Return the same curve in ``Plateau``'s parameters, E lifted from 0 to ``shrink`` of the level."""
        heights = self.heights(theta)
        level = heights.sum(axis=1, keepdims=True)
        columns = [np.log(level)]
        for place, (term, at) in enumerate(self.slots()):
            own = theta[:, at : at + term.size]
            share = heights[:, place : place + 1] / level
            columns += [share * own[:, :1] * (1.0 - shrink), own]
        return np.concatenate(columns, axis=1)
