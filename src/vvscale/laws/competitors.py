"""Forms that a power law has to beat: a constant, a line in log X, a logistic, and Kaplan's joint law.

They are solved by the same Newton method from a few analytic starts each; see ``forms`` for the conventions and
the shapes. Their parameters are their own, in centred logs; ``natural`` turns them into units of X.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms import Derivatives, box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms import Points, Vanishing

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Constant:
    """Y = exp(theta_0): no scaling at all."""

    size = 1

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives."""
        f = np.broadcast_to(theta[:, :1], (len(theta), points.u[0].size)).copy()
        return Derivatives(f, np.ones((len(theta), 1, f.shape[1])), [], is_mixture=False)

    def project(self, theta: Array) -> Array:
        """Nothing to hold."""
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def box(self) -> tuple[Array, Array]:
        """No bounds."""
        return box(1, [])

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p) for data around ``level``."""
        del points
        return np.array([[np.log(level)]])

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Parameters in units of Y."""
        del centre
        return {"E": np.exp(theta[:, 0])}


@dataclass(frozen=True)
class LogLaw:
    """Y = P0 (1 - kappa u): a straight line in log X, which reaches 0 and has no limit."""

    size = 2

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives; NaN where Y <= 0."""
        u = points.u[0]
        mixture = 1.0 - theta[:, 1:] * u
        inverse = 1.0 / np.where(mixture > 0.0, mixture, np.nan)
        jacobian = np.stack([np.ones_like(mixture), -u * inverse], axis=1)
        return Derivatives(theta[:, :1] - np.log(inverse), jacobian, [], is_mixture=True)

    def project(self, theta: Array) -> Array:
        """Nothing to hold."""
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def box(self) -> tuple[Array, Array]:
        """No bounds."""
        return box(2, [])

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p) that stay positive over the data."""
        steepest = 0.9 / np.abs(points.u[0]).max()
        return np.array([[np.log(level), share * steepest] for share in (0.05, 0.5, -0.3)])

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Y = intercept - slope log10(X)."""
        slope = np.exp(theta[:, 0]) * theta[:, 1]
        return {"intercept": np.exp(theta[:, 0]) + slope * centre[0], "slope": slope * np.log(10.0)}


@dataclass(frozen=True)
class Logistic:
    """Y = P0 (1 + kappa h): a plateau on either side of a logistic step in log X.

    h = -(exp(k u) - 1) / (k (1 + rho (exp(k u) - 1))). Parameters: log P0, kappa, k, rho.
    """

    size = 4

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives; NaN where Y <= 0."""
        u = points.u[0]
        kappa, k, rho = (theta[:, i : i + 1] for i in (1, 2, 3))
        grown = np.exp(k * u)
        g = (grown - 1.0) / k
        g_k = (u * grown - g) / k
        g_kk = (u * u * grown - 2.0 * g_k) / k
        q = 1.0 + rho * (grown - 1.0)
        q_k, q_r = rho * u * grown, grown - 1.0
        q_kk, q_kr = rho * u * u * grown, u * grown
        one = 1.0 / q
        h = -g * one
        h_k = (-g_k + g * q_k * one) * one
        h_r = g * q_r * one * one
        h_kk = (-g_kk + (2.0 * g_k * q_k + g * q_kk) * one - 2.0 * g * q_k * q_k * one * one) * one
        h_kr = ((g_k * q_r + g * q_kr) * one - 2.0 * g * q_k * q_r * one * one) * one
        h_rr = -2.0 * g * q_r * q_r * one * one * one
        mixture = 1.0 + kappa * h
        inverse = 1.0 / np.where(mixture > 0.0, mixture, np.nan)
        slopes = [np.ones_like(h), h * inverse, kappa * h_k * inverse, kappa * h_r * inverse]
        second = [(1, 2, h_k), (1, 3, h_r), (2, 2, kappa * h_kk), (2, 3, kappa * h_kr), (3, 3, kappa * h_rr)]
        curved = [(i, j, value * inverse) for i, j, value in second]
        return Derivatives(theta[:, :1] - np.log(inverse), np.stack(slopes, axis=1), curved, is_mixture=True)

    def project(self, theta: Array) -> Array:
        """Keep the step's width and place, and the lower plateau positive."""
        np.clip(theta[:, 2], 1e-6, 60.0, out=theta[:, 2])
        np.clip(theta[:, 3], 1e-9, 1.0 - 1e-9, out=theta[:, 3])
        limit = theta[:, 3] * theta[:, 2]
        np.clip(theta[:, 1], None, limit, out=theta[:, 1])
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never: the edge E = 0 is part of the form."""
        return np.zeros(len(theta), dtype=bool)

    def box(self) -> tuple[Array, Array]:
        """Bounds of rho."""
        return box(4, [3])

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p): steps at three places, two widths, two heights."""
        u = points.u[0]
        made = []
        for place in np.quantile(u, (0.2, 0.5, 0.8)):
            for width in (2.0, 8.0):
                k = width / np.ptp(u)
                rho = 1.0 / (1.0 + np.exp(np.clip(k * place, -15, 15)))
                made += [[np.log(level), height * rho * k, k, rho] for height in (0.3, 0.7)]
        return np.array(made)

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """Lower and upper plateau, steepness per unit of log X, and log10 X of the middle."""
        level, kappa, k, rho = np.exp(theta[:, 0]), theta[:, 1], theta[:, 2], theta[:, 3]
        return {
            "E": level * (1.0 - kappa / (rho * k)),
            "A": level * kappa / (rho * k) / (1.0 - rho),
            "k": k,
            "midpoint": (centre[0] + np.log((1.0 - rho) / rho) / k) / np.log(10.0),
        }


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
        """Keep the share within [0, 1] and exponents finite."""
        np.clip(theta[:, 1], -60.0, 60.0, out=theta[:, 1])
        np.clip(theta[:, 2], 0.0, 1.0, out=theta[:, 2])
        np.clip(theta[:, 3], -60.0, 60.0, out=theta[:, 3])
        return theta

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def box(self) -> tuple[Array, Array]:
        """Bounds of the share."""
        return box(4, [2])

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p)."""
        del points
        return np.array(
            [[np.log(level), beta, share, a] for beta in (0.05, 0.2) for share in (0.2, 0.8) for a in (0.5, 1.5)]
        )

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
    """Y = E + exp(f) with E given, for profiles of the plateau; f is a boundary form."""

    base: Vanishing
    plateau: float

    @property
    def size(self) -> int:
        """Number of parameters of the base form."""
        return self.base.size

    def evaluate(self, theta: Array, points: Points) -> Derivatives:
        """Log Y and its derivatives."""
        d = self.base.evaluate(theta, points)
        above = np.exp(d.f)
        share = above / (self.plateau + above)
        jacobian = d.jacobian
        p = jacobian.shape[1]
        second = {(i, j): share * value for i, j, value in d.curved}
        for i in range(p):
            for j in range(i, p):
                outer = share * (1.0 - share) * jacobian[:, i] * jacobian[:, j]
                if d.is_mixture and i > 0:
                    outer = outer - share * jacobian[:, i] * jacobian[:, j]
                second[i, j] = second.get((i, j), 0.0) + outer
        curved = [(i, j, value) for (i, j), value in second.items()]
        return Derivatives(np.log(self.plateau + above), jacobian * share[:, None], curved, is_mixture=False)

    def project(self, theta: Array) -> Array:
        """As the base form."""
        return self.base.project(theta)

    def on_edge(self, theta: Array) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(theta), dtype=bool)

    def box(self) -> tuple[Array, Array]:
        """As the base form."""
        return self.base.box()
