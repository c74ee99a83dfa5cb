"""Forms that a power law has to beat: a constant, a line in log X, a logistic, and Kaplan's joint law.

They are solved by the same Newton method from a few analytic starts each; see ``forms`` for the conventions and
the shapes. Their parameters are their own, in centred logs; ``natural`` turns them into units of X.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.plateau import Vanishing
from vvscale.laws.forms.terms import Derivatives, Term

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.terms import Points

    Array = NDArray[np.float64]


# What a line in log X predicts, relative to its level, once it has crossed 0.
CROSSED = 1e-12
# Beyond this a logistic step has long reached its plateau; a larger exponent would overflow.
FAR = 300.0


class Unbounded:
    """A form whose parameters may take any value."""

    def edges(self, theta: Array) -> tuple[str, ...]:
        """None."""
        del theta
        return ()

    def project(self, theta: Array) -> Array:
        """Nothing to hold."""
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """None."""
        del gradient
        return np.zeros(theta.shape, dtype=bool)


@dataclass(frozen=True)
class Constant(Unbounded):
    """Y = exp(theta_0): no scaling at all."""

    size = 1

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives."""
        f = np.broadcast_to(theta[:, :1], (len(theta), points.u[0].size)).copy()
        return Derivatives(f, np.ones((len(theta), 1, f.shape[1])), [], is_mixture=False)

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p) for data around ``level``."""
        del points
        return np.array([[np.log(level)]])

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Parameters in units of Y."""
        del centre
        return {"E": np.exp(theta[:, 0])}


@dataclass(frozen=True)
class PurePower(Vanishing):
    """Y = A X^-alpha: the boundary E = 0 as a law of its own."""

    terms: tuple[Term, ...] = (Term(),)
    falling: bool = True

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p); the problem is convex."""
        reach = np.ptp(points.u[0])
        return np.array([[np.log(level), slope / reach] for slope in (0.1, 1.0)])

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Return A and alpha in units of X."""
        return self.terms[0].natural(np.exp(theta[:, 0]), theta[:, 1:], centre, "A")


@dataclass(frozen=True)
class LogLaw(Unbounded):
    """Y = P0 (1 - kappa u): a straight line in log X, which reaches 0 and has no limit.

    Just above 0 it goes flat, so that a row of weight 0 beyond the crossing does not forbid a fit.
    """

    size = 2

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives."""
        u = points.u[0]
        mixture = 1.0 - theta[:, 1:] * u
        crossed = mixture < CROSSED
        inverse = 1.0 / np.where(crossed, CROSSED, mixture)
        jacobian = np.stack([np.ones_like(mixture), np.where(crossed, 0.0, -u * inverse)], axis=1)
        return Derivatives(theta[:, :1] - np.log(inverse), jacobian, [], is_mixture=True)

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p) that stay positive over the data."""
        steepest = 0.9 / np.abs(points.u[0]).max()
        return np.array([[np.log(level), share * steepest] for share in (0.05, 0.5, -0.3)])

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Y = intercept - slope log10(X)."""
        slope = np.exp(theta[:, 0]) * theta[:, 1]
        return {"intercept": np.exp(theta[:, 0]) + slope * centre[0], "slope": slope * np.log(10.0)}


# Of log P0, height, k and rho: the lower plateau is not negative, the step neither flat nor vertical.
LOGISTIC_BOUNDS = (np.array([-np.inf, -np.inf, 1e-6, 1e-9]), np.array([np.inf, 1.0, 60.0, 1.0 - 1e-9]))


@dataclass(frozen=True)
class Logistic:
    """Y = P0 (1 + height (1 / q - 1)), q = 1 + rho (exp(k u) - 1): a logistic step in log X between two plateaus.

    Parameters: log P0, height, k, rho. E = P0 (1 - height), so that height = 1 is the boundary E = 0.
    """

    size = 4

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives; NaN where Y <= 0."""
        u = points.u[0]
        height, k, rho = (theta[:, i : i + 1] for i in (1, 2, 3))
        grown = np.exp(np.minimum(k * u, FAR))
        q = (1.0 - rho) + rho * grown
        one = 1.0 / q
        # Logarithmic derivatives of q keep steep steps from overflowing.
        q_k, q_r = rho * u * grown * one, (grown - 1.0) * one
        drop = rho * (1.0 - grown) * one
        h_k, h_r = -q_k * one, -q_r * one
        h_kk = (2.0 * q_k * q_k - u * q_k) * one
        h_kr = (2.0 * q_k * q_r - u * grown * one) * one
        h_rr = 2.0 * q_r * q_r * one
        mixture = 1.0 + height * drop
        inverse = 1.0 / np.where(mixture > 0.0, mixture, np.nan)
        slopes = [np.ones_like(drop), drop * inverse, height * h_k * inverse, height * h_r * inverse]
        second = [(1, 2, h_k), (1, 3, h_r), (2, 2, height * h_kk), (2, 3, height * h_kr), (3, 3, height * h_rr)]
        curved = [(i, j, value * inverse) for i, j, value in second]
        return Derivatives(theta[:, :1] - np.log(inverse), np.stack(slopes, axis=1), curved, is_mixture=True)

    def project(self, theta: Array) -> Array:
        """Keep the step's width and place, and the lower plateau from below 0."""
        return np.clip(theta, *LOGISTIC_BOUNDS, out=theta)

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never: the edge E = 0 is part of the form."""
        return np.zeros(len(theta), dtype=bool)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """Which parameters (b, p) are pressed against a bound."""
        lower, upper = LOGISTIC_BOUNDS
        return ((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0))

    def edges(self, theta: Array) -> tuple[str, ...]:
        """Whether the middle of the step (theta (1, p)) left the data on either side: only a tail of it is seen."""
        lower, upper = LOGISTIC_BOUNDS
        is_outside = theta[0, 3] <= lower[3] or theta[0, 3] >= upper[3]
        return ("midpoint outside the data",) if is_outside else ()

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p): steps at three places, two widths, two heights."""
        u = points.u[0]
        made = []
        for place in np.quantile(u, (0.2, 0.5, 0.8)):
            for width in (2.0, 8.0):
                k = width / np.ptp(u)
                rho = 1.0 / (1.0 + np.exp(np.clip(k * place, -15, 15)))
                made += [[np.log(level), height, k, rho] for height in (0.3, 0.7)]
        return np.array(made)

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Lower and upper plateau, steepness per unit of log X, and log10 X of the middle."""
        level, height, k, rho = np.exp(theta[:, 0]), theta[:, 1], theta[:, 2], theta[:, 3]
        return {
            "E": level * (1.0 - height),
            "A": level * height / (1.0 - rho),
            "k": k,
            "midpoint": (centre[0] + np.log((1.0 - rho) / rho) / k) / np.log(10.0),
        }


# Of log P0, beta, pi and a: neither input may raise the outcome.
KAPLAN_BOUNDS = (np.array([-np.inf, 0.0, 0.0, 0.0]), np.array([np.inf, 60.0, 1.0, 60.0]))


@dataclass(frozen=True)
class Kaplan:
    """Y = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D, the joint law of Kaplan et al. 2020, eq. 1.5.

    log Y = log P0 + beta log(pi exp(-a u) + (1 - pi) exp(-v)); parameters log P0, beta, pi, a.
    """

    size = 4

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives."""
        u, v = points.u
        beta, share, a = (theta[:, i : i + 1] for i in (1, 2, 3))
        first, second = np.exp(-a * u), np.exp(-v)
        inverse = 1.0 / (share * first + (1.0 - share) * second)
        g_share = (first - second) * inverse
        g_a = -share * u * first * inverse
        log_mixture = -np.log(inverse)
        slopes = [np.ones_like(g_a), log_mixture, beta * g_share, beta * g_a]
        curved = [
            (1, 2, g_share),
            (1, 3, g_a),
            (2, 2, -beta * g_share**2),
            (2, 3, beta * (-u * first * inverse - g_share * g_a)),
            (3, 3, beta * (share * u * u * first * inverse - g_a**2)),
        ]
        return Derivatives(theta[:, :1] + beta * log_mixture, np.stack(slopes, axis=1), curved, is_mixture=False)

    def project(self, theta: Array) -> Array:
        """Keep the share within [0, 1] and exponents from below 0, and finite."""
        np.clip(theta, *KAPLAN_BOUNDS, out=theta)
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """Which parameters (b, p) are pressed against a bound."""
        lower, upper = KAPLAN_BOUNDS
        return ((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0))

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p)."""
        del points
        return np.array(
            [[np.log(level), beta, share, a] for beta in (0.05, 0.2) for share in (0.2, 0.8) for a in (0.5, 1.5)]
        )

    def edges(self, theta: Array) -> tuple[str, ...]:
        """Whether theta (1, p) is a law of one input alone: the share of the other is 0."""
        share = theta[0, 2]
        return (*(["N_c = 0"] if share <= 0.0 else []), *(["D_c = 0"] if share >= 1.0 else []))

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """N_c, alpha_N, D_c, alpha_D in units of N and D."""
        beta, share, a = theta[:, 1], theta[:, 2], theta[:, 3]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            scale = np.exp(theta[:, 0] / beta)
            return {
                "N_c": (share * scale) ** (1.0 / a) * np.exp(centre[0]),
                "alpha_N": a * beta,
                "D_c": (1.0 - share) * scale * np.exp(centre[1]),
                "alpha_D": beta,
            }


@dataclass(frozen=True)
class Lifted:
    """Y = E + exp(f) with E given, for profiles of the plateau; f is a boundary form.

    Parameters: those of the boundary form, then E, which never moves.
    """

    base: Vanishing

    @property
    def size(self) -> int:
        """Number of parameters of the base form, and E."""
        return self.base.size + 1

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives; those by E are left 0."""
        d = self.base.evaluate(theta[:, :-1], points)
        plateau = theta[:, -1:]
        above = np.exp(d.f)
        share = above / (plateau + above)
        p = d.jacobian.shape[1]
        second = {(i, j): share * value for i, j, value in d.curved}
        for i in range(p):
            for j in range(i, p):
                outer = share * (1.0 - share) * d.jacobian[:, i] * d.jacobian[:, j]
                if d.is_mixture and i >= d.has_level:
                    outer = outer - share * d.jacobian[:, i] * d.jacobian[:, j]
                second[i, j] = second.get((i, j), 0.0) + outer
        jacobian = np.concatenate([d.jacobian * share[:, None], np.zeros_like(d.jacobian[:, :1])], axis=1)
        curved = [(i, j, value) for (i, j), value in second.items()]
        return Derivatives(np.log(plateau + above), jacobian, curved, is_mixture=False)

    def project(self, theta: Array) -> Array:
        """As the base form."""
        self.base.project(theta[:, :-1])
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def held(self, theta: Array, gradient: Array) -> NDArray[np.bool_]:
        """As the base form, and E."""
        base = self.base.held(theta[:, :-1], gradient[:, :-1])
        return np.concatenate([base, np.ones((len(theta), 1), dtype=bool)], axis=1)
