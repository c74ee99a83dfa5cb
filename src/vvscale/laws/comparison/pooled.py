"""The pooled law: a joint law whose data term each family has for itself, as far as its own rows support it.

    Y = E + A N^-alpha + B_f (D + D0_f)^-beta_f

log B_f, log beta_f and log D0_f of family f are normal about means that all families share. Means and spreads are
estimated (empirical Bayes): a family with many rows goes its own way, one with few stays near the others, one that
was never seen is forecast at the means. E, A and alpha are common.

The fit is the posterior mode for normal log residuals. Rows of one architecture are no independent evidence, so that
the rows' likelihood is divided by the design effect of the law's own residuals, as far as ``MOST_EFFECT``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.laws.uncertainty.resample import default_unit, design_effect

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Prior spread of each effect (B, beta, D0) between families: a factor of 1.6 in B and beta, of 20 in the shift.
SPREADS = np.array([0.5, 0.5, 3.0])
# The prior counts for as many families when the spreads are estimated: six, as many as a large table has, are too few
# to tell a spread by themselves. Of 4, 10, 30 and 100 the last two predict left-out architectures equally well, and
# better than the first two.
PRIOR_FAMILIES = 30.0
# Means of the effects and the common parameters, about the centre of the data and relative to its level, with
# standard deviations so wide that they only keep what the rows leave open from running away.
MEANS, MEANS_SD = np.array([np.log(0.5), np.log(0.2), -3.0]), np.array([2.0, 1.5, 5.0])
COMMON, COMMON_SD = np.array([np.log(0.2), np.log(0.1), np.log(0.3)]), np.array([2.0, 2.0, 1.0])
# The design effect is that of a mean. Exponents and shifts rest on contrasts within architectures and lose less: of 1,
# 2.4, 3, 4, 5.5, 7 and no limit, 4 forecast best among the published rows that lie below all of the hold-outs. There
# least squares forecast better than Huber's loss too: rows far from a curve tell where it bends.
MOST_EFFECT = 4.0
MAX_ROUNDS = 10
# Relative change of the scale at which rounds end.
SETTLED = 1e-3


@dataclass(frozen=True)
class PooledLaw:
    """A fitted pooled law.

    Attributes
    ----------
    groups
        Names of the families, F of them.
    effects
        log B, log beta and log D0 of each family, about the centre and relative to the level, shape (F, 3).
    means, spreads
        Mean and standard deviation of each effect between families, shape (3,).
    common
        log E, log A (relative to the level) and log alpha, shape (3,).
    centre
        Mean log N and log D.
    level
        Median outcome.
    scale
        Standard deviation of the log residuals.
    design_effect
        What the likelihood of the rows was divided by.
    """

    groups: tuple[str, ...]
    effects: Array = field(repr=False)
    means: Array
    spreads: Array
    common: Array
    centre: tuple[float, float]
    level: float
    scale: float
    design_effect: float

    def predict(self, n: Array, d: Array, group: NDArray[np.str_] | list[str]) -> Array:
        """Outcome (m,) at parameters ``n`` and samples ``d``; a family that was not seen is an average one."""
        known = {name: place for place, name in enumerate(self.groups)}
        code = np.array([known.get(str(name), len(known)) for name in group], dtype=np.intp)
        u, v = np.log(np.asarray(n, float)) - self.centre[0], np.log(np.asarray(d, float)) - self.centre[1]
        effects = np.concatenate([self.effects, self.means[None]])
        return self.level * np.exp(_curve(effects[code], self.common, u, v)[0])

    def table(self) -> pd.DataFrame:
        """One row per family: amplitude B at the centre (in units of the outcome), beta, and D0 in samples."""
        b, beta, shift = self.effects.T
        made = {"B": self.level * np.exp(b), "beta": np.exp(beta), "D0": np.exp(shift + self.centre[1])}
        return pd.DataFrame({"family": self.groups, **made})


def fit_pooled(n: Array, d: Array, y: Array, frame: pd.DataFrame, group_column: str) -> PooledLaw:
    """Fit the pooled law.

    Parameters
    ----------
    n, d, y
        Parameters, samples seen and outcome of each row, > 0, shape (rows,).
    frame
        The same rows; what belongs together in the design effect is read off it (see ``default_unit``).
    group_column
        Column of the families.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n, d = 10 ** rng.uniform(5, 8, 60), 10 ** rng.uniform(5, 8, 60)
    >>> y = 0.4 + 0.5 * (d / 1e5) ** -0.3
    >>> law = fit_pooled(n, d, y, pd.DataFrame({"family": ["a"] * 30 + ["b"] * 30}), "family")
    >>> bool(np.abs(law.predict(n, d, ["a"] * 60) - y).max() < 0.01)
    True
    """
    # Imported with the first pooled law: the drawer needs this module for none of its figures.
    from scipy.optimize import least_squares

    codes, names = pd.factorize(frame[group_column].astype(str), sort=True)
    level = float(np.median(y))
    centre = float(np.log(n).mean()), float(np.log(d).mean())
    u, v, target = np.log(n) - centre[0], np.log(d) - centre[1], np.log(y / level)
    unit, n_groups = default_unit(frame), len(names)
    spreads, effect = SPREADS, 1.0
    theta = np.concatenate([MEANS, np.tile(MEANS, n_groups), COMMON])
    scale = max(float(target.std()), 1e-6)
    for _ in range(MAX_ROUNDS):
        problem = _Posterior(u, v, target, codes, n_groups, scale, spreads, effect)
        options: dict[str, Any] = {"jac": problem.jacobian, "method": "trf", "max_nfev": 60}
        found = least_squares(problem.residuals, theta, **options)
        theta = found.x
        r = problem.errors(theta)
        # Never 0, so that an exact law can be fitted too.
        now = max(float(np.sqrt((r**2).mean())), 1e-6)
        effect = min(design_effect(frame, r, unit).effect, MOST_EFFECT)
        spreads = _spreads(theta, found.jac, n_groups)
        if abs(now / scale - 1.0) < SETTLED:
            break
        scale = now
    means, effects, common = _parts(theta, n_groups)
    return PooledLaw(tuple(map(str, names)), effects, means, spreads, common, centre, level, scale, effect)


def _spreads(theta: Array, jacobian: Array, n_groups: int) -> Array:
    """Empirical Bayes: spread of the effects (3,) from their modes and their own uncertainty, and from the prior."""
    means, effects, _ = _parts(theta, n_groups)
    variance = np.diag(np.linalg.pinv(jacobian.T @ jacobian))[3 : 3 + effects.size].reshape(effects.shape)
    total = ((effects - means) ** 2 + variance).sum(axis=0) + PRIOR_FAMILIES * SPREADS**2
    return np.sqrt(total / (n_groups + PRIOR_FAMILIES))


def _parts(theta: Array, n_groups: int) -> tuple[Array, Array, Array]:
    """Means (3,), effects (F, 3) and common parameters (3,)."""
    return theta[:3], theta[3 : 3 + 3 * n_groups].reshape(n_groups, 3), theta[-3:]


def _curve(effects: Array, common: Array, u: Array, v: Array) -> tuple[Array, Array, Array]:
    """Log of the curve (m,), and its derivatives by each row's effects (m, 3) and by the common parameters (m, 3)."""
    beta, alpha = np.exp(effects[:, 1]), np.exp(common[2])
    reach = np.logaddexp(v, effects[:, 2])
    # Start of the scaling: what part of D + D0 is D0.
    part = np.exp(effects[:, 2] - reach)
    logs = np.stack([effects[:, 0] - beta * reach, np.full_like(u, common[0]), common[1] - alpha * u])
    top = logs.max(axis=0)
    share = np.exp(logs - top)
    total = share.sum(axis=0)
    share /= total
    own = share[0][:, None] * np.stack([np.ones_like(u), -beta * reach, -beta * part], axis=1)
    shared = np.stack([share[1], share[2], -share[2] * alpha * u], axis=1)
    return top + np.log(total), own, shared


@dataclass(frozen=True)
class _Posterior:
    """Residuals whose half sum of squares is minus the log posterior, with their derivatives."""

    u: Array
    v: Array
    target: Array
    codes: NDArray[np.intp]
    n_groups: int
    scale: float
    spreads: Array
    effect: float

    @property
    def error(self) -> float:
        """Standard deviation that a row counts with."""
        return self.scale * self.effect**0.5

    def errors(self, theta: Array) -> Array:
        """Log residuals of the rows, (n,)."""
        _, effects, common = _parts(theta, self.n_groups)
        return _curve(effects[self.codes], common, self.u, self.v)[0] - self.target

    def residuals(self, theta: Array) -> Array:
        """Rows, effects about their means, means and common parameters about theirs."""
        means, effects, common = _parts(theta, self.n_groups)
        prior = [((effects - means) / self.spreads).ravel(), (means - MEANS) / MEANS_SD, (common - COMMON) / COMMON_SD]
        return np.concatenate([self.errors(theta) / self.error, *prior])

    def jacobian(self, theta: Array) -> Array:
        """Derivatives of ``residuals``."""
        _, effects, common = _parts(theta, self.n_groups)
        _, own, shared = _curve(effects[self.codes], common, self.u, self.v)
        rows = np.zeros((len(self.target), theta.size))
        for k in range(3):
            rows[np.arange(len(rows)), 3 + 3 * self.codes + k] = own[:, k] / self.error
        rows[:, -3:] = shared / self.error
        about = np.zeros((3 * self.n_groups, theta.size))
        about[:, 3:-3] = np.diag(np.tile(1.0 / self.spreads, self.n_groups))
        about[:, :3] = -np.tile(np.diag(1.0 / self.spreads), (self.n_groups, 1))
        wide = np.zeros((6, theta.size))
        wide[:3, :3], wide[3:, -3:] = np.diag(1.0 / MEANS_SD), np.diag(1.0 / COMMON_SD)
        return np.concatenate([rows, about, wide])
