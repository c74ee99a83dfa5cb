"""The terms of a law: a power law exp(-s w) in a coordinate w of its inputs, with derivatives and units.

See ``forms`` for the conventions, the coordinates and the shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Below this |s w| the differences in h and its derivatives cancel; a series takes over.
SERIES_BELOW = 0.01
# A slope or rho below this is 0: its reciprocal would overflow.
TINY = 1e-100
# A rho below this is 0 as far as parameters in units of X can tell.
TINY_SHARE = 1e-12
# An exponent beyond this is a step between two neighbouring points, never a scaling law.
MAX_EXPONENT = 60.0
# A slope this small is flat; h needs it not to be exactly 0 where amplitudes are read off it.
FLAT_SLOPE = 1e-12
# A term is flat if Y falls by no more than this over a unit of log X.
FLAT_DROP = 1e-9


@dataclass(frozen=True)
class Derivatives:
    """Value and derivatives of f = log Y at m points for b parameter vectors.

    Attributes
    ----------
    f
        log Y, shape (b, m).
    jacobian
        df/dtheta, shape (b, p, m).
    curved
        Second derivatives as ``(i, j, array (b, m))`` with i <= j. If ``is_mixture``, they are those of
        exp(f - theta_0) divided by itself, and the Hessian of f is ``curved - jacobian jacobian'`` over all
        parameters but the first (over all without ``has_level``); else they are the Hessian of f.
    is_mixture
        See ``curved``.
    has_level
        Whether the first parameter of a mixture is its log level, df/dtheta_0 = 1.
    """

    f: Array
    jacobian: Array
    curved: list[tuple[int, int, Array]]
    is_mixture: bool
    has_level: bool = True


def decay(s: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """h(s, w) = (exp(-s w) - 1) / s with its s-derivatives, exact through s w = 0.

    Parameters
    ----------
    s
        Slope, shape (b, 1).
    w
        Centred coordinate, shape (m,) or (b, m).

    Returns
    -------
    h, h_s, h_ss, decayed
        ``decayed`` is exp(-s w) = -dh/dw; all of shape (b, m).
    """
    t = s * w
    # Methods: numpy's functions of the same names take longer than the work on a small batch.
    near = (np.abs(t) < SERIES_BELOW).ravel().nonzero()[0]
    q = t.ravel()[near]
    decayed = np.exp(np.negative(t, out=t), out=t)
    # s near 0 is handled by the series below; any finite number does here.
    inverse = 1.0 / np.where(np.abs(s) < TINY, 1.0, s)
    h = decayed - 1.0
    h *= inverse
    slope = w * decayed
    h_s = slope + h
    h_s *= -inverse
    h_ss = np.multiply(w, slope, out=slope)
    h_ss -= h_s
    h_ss -= h_s
    h_ss *= inverse
    if near.size:
        v = w.ravel()[near % w.size]
        h.ravel()[near] = -v * (1 - q * (1 / 2 - q * (1 / 6 - q * (1 / 24 - q * (1 / 120 - q / 720)))))
        h_s.ravel()[near] = v * v * (1 / 2 - q * (1 / 3 - q * (1 / 8 - q * (1 / 30 - q * (1 / 144 - q / 840)))))
        cubic = -1 / 3 + q * (1 / 4 - q * (1 / 10 - q * (1 / 36 - q * (1 / 168 - q / 960))))
        h_ss.ravel()[near] = v * v * v * cubic
    return h, h_s, h_ss, decayed


def warp(rho: Array, u: Array) -> tuple[Array, Array, Array]:
    """w(u; rho) = log(1 + rho (exp(u) - 1)) / rho with its rho-derivatives, exact at rho = 0 and rho = 1.

    Shapes: rho (b, 1) in [0, 1], u (m,); all results (b, m).
    """
    lift = np.expm1(u)
    q = rho * lift
    # 1 + q, without its cancellation far to the left where rho is 1.
    ground = rho * np.exp(u)
    ground += 1.0 - rho
    inverse = 1.0 / np.where(rho < TINY, 1.0, rho)
    near = (np.abs(q) < SERIES_BELOW).ravel().nonzero()[0]
    x = q.ravel()[near]
    share = np.divide(q, ground, out=q)
    w = np.log(ground, out=ground)
    gap = share - w
    w_r = gap * inverse**2
    # (2 (w - share) - share^2) / rho^3.
    share *= share
    share += gap
    share += gap
    w_rr = np.multiply(share, -(inverse**3), out=share)
    w *= inverse
    if near.size:
        e = lift.ravel()[near % lift.size]
        w.ravel()[near] = e * (1 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x * (1 / 6 - x / 7))))))
        slope = -1 / 2 + x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * 6 / 7))))
        w_r.ravel()[near] = e * e * slope
        bend = 2 / 3 - x * (6 / 4 - x * (12 / 5 - x * (20 / 6 - x * (30 / 7 - x * 42 / 8))))
        w_rr.ravel()[near] = e * e * e * bend
    return w, w_r, w_rr


@dataclass(frozen=True)
class Points:
    """Distinct points at which a law is evaluated.

    Attributes
    ----------
    u
        Centred logs of the inputs, one array of shape (m,) each.
    group
        Group index of each point for offsets, shape (m,), in [0, n_groups).
    n_groups
        Number of groups; 1 if the law has no offsets.
    """

    u: tuple[Array, ...]
    group: NDArray[np.intp]
    n_groups: int = 1


@dataclass(frozen=True)
class Term:
    """One decaying term: a power law exp(-s w) in a coordinate w of the inputs.

    Its parameters are the slope s, then the coordinate's own rho if it has one, then one offset per group but
    the first. Offsets shift log X: a group with offset tau needs exp(tau) times more X for the same error, so
    its amplitude is exp(s tau) times that of the first group.

    Attributes
    ----------
    coordinate
        ``"log"``: w = u. ``"shifted"``: the warp of the module's docstring. ``"blend"``:
        w = rho u_0 + (1 - rho) u_1 with rho in [0, 1], the product law N^-a D^-b.
    column
        Which input; ``"blend"`` takes both.
    n_offsets
        Groups with an offset of their own (number of groups - 1), or 0.
    """

    coordinate: str = "log"
    column: int = 0
    n_offsets: int = 0

    @property
    def has_rho(self) -> bool:
        """Whether the coordinate has a parameter of its own."""
        return self.coordinate != "log"

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 1 + self.has_rho + self.n_offsets

    def coordinates(self, theta: Array, points: Points) -> tuple[Array, list[Array], dict[tuple[int, int], Array]]:
        """Return w (b, m), its gradient by the parameters after s, and its nonzero second derivatives.

        The keys (i, j), i <= j, count the term's parameters with s as 0.
        """
        u = points.u[self.column]
        if self.coordinate == "blend":
            first, second = points.u
            rho = theta[:, 1:2]
            slope = np.broadcast_to(first - second, (len(theta), first.size))
            return rho * first + (1.0 - rho) * second, [slope], {}
        if self.n_offsets:
            offsets = np.zeros((len(theta), points.n_groups))
            offsets[:, 1:] = theta[:, self.size - self.n_offsets :]
            u = u - offsets[:, points.group]
        members = [(points.group == g).astype(float) for g in range(1, self.n_offsets + 1)]
        if self.coordinate == "log":
            w = np.empty((len(theta), u.shape[-1]))
            w[:] = u
            return w, [np.broadcast_to(-member, w.shape) for member in members], {}
        rho = theta[:, 1:2]
        w, w_r, w_rr = warp(rho, u)
        gradient, curvature = [w_r], {(1, 1): w_rr}
        if members:
            grown = np.exp(u)
            ground = (1.0 - rho) + rho * grown
            w_u = grown / ground
            w_uu = w_u * (1.0 - rho) / ground
            w_ur = -w_u * (grown - 1.0) / ground
            for place, member in enumerate(members, start=2):
                gradient.append(-w_u * member)
                curvature[1, place] = -w_ur * member
                curvature[place, place] = w_uu * member
        return w, gradient, curvature

    def natural(self, height: Array, own: Array, centre: tuple[float, ...], letter: str) -> dict[str, Array]:
        """Amplitude, exponent(s), log10 shift and group ratios of a term of ``height`` (b,) at the centre.

        ``letter`` names the amplitude; the exponent of A is alpha, that of B beta. The shifted law's alpha and
        A are infinite on its exponential boundary.
        """
        s = own[:, 0]
        exponent = "alpha" if letter == "A" else "beta"
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if self.coordinate == "blend":
                alpha, beta = s * own[:, 1], s * (1.0 - own[:, 1])
                return {
                    "A": height * np.exp(alpha * centre[0] + beta * centre[1]),
                    "alpha": alpha,
                    "beta": beta,
                }
            at = centre[self.column]
            if self.coordinate == "log":
                values = {letter: height * np.exp(s * at), exponent: s}
            else:
                # A share of the centre lost in rounding is the exponential itself.
                rho = np.where(own[:, 1] < TINY_SHARE, 0.0, own[:, 1])
                alpha = s / rho
                # X + 10^lambda at the centre is exp(at) / rho.
                values = {
                    letter: np.exp(np.log(height) + alpha * (at - np.log(rho))),
                    exponent: alpha,
                    "lambda": (at + np.log((1.0 - rho) / rho)) / np.log(10.0),
                }
            for g in range(self.n_offsets):
                tau = own[:, self.size - self.n_offsets + g]
                values[ratio_key(letter, g + 1)] = np.exp(values[exponent] * tau)
        return values

    def project(self, theta: Array) -> None:
        """Clip the term's parameters in place to where the law means something."""
        np.clip(theta[:, 0], -MAX_EXPONENT, MAX_EXPONENT, out=theta[:, 0])
        if self.has_rho:
            np.clip(theta[:, 1], 0.0, 1.0, out=theta[:, 1])


def ratio_key(letter: str, index: int) -> str:
    """Name, inside the forms, of the amplitude ``letter`` of group number ``index`` relative to the first group's."""
    return f"{letter}_ratio_{index}"


def held_within_unit(theta: Array, gradient: Array, places: list[int]) -> NDArray[np.bool_]:
    """Which of theta (b, p) are pressed against 0 or 1, among the parameters at ``places`` that live between."""
    held = np.zeros(theta.shape, dtype=bool)
    for i in places:
        held[:, i] = ((theta[:, i] <= 0.0) & (gradient[:, i] > 0)) | ((theta[:, i] >= 1.0) & (gradient[:, i] < 0))
    return held
