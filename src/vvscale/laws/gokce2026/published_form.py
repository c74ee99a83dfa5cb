"""The study's own way to a curve: BFGS on the sum of exponentials, from every point of a grid.

    log L = log(exp(a - alpha log X) + exp(e))                    E = exp(e), A = exp(a)
    log L = log(exp(a - alpha log(X + 10^lambda)) + exp(e))       shifted

Nothing bounds e from below. Where it runs to minus infinity the limit of the score is exactly 1, which no row shows:
such a limit is the form's and not the data's.

Source: Gokce, Tang and Schrimpf (2026), curve fits of the published code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Shape legend: n rows, p parameters.

GRID: Mapping[str, tuple[float, ...]] = {
    "e": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "a": (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
    "lambda": (0.0, 0.5, 1.0, 1.5, 2.0),
    "alpha": (0.0, 0.5, 1.0, 1.5, 2.0),
}
"""Starts of each parameter, the study's."""

_STEP = float(np.sqrt(np.finfo(float).eps))
"""scipy's step of forward differences."""

_NO_LIMIT = 1e-6
"""A limit of misalignment below this is none."""


@dataclass(frozen=True)
class PublishedForm:
    """A fit in the study's form.

    Attributes
    ----------
    e, a, alpha, lam
        Parameters as they are optimised, in units of the scaled input; ``lam`` is None for the plain law.
    loss
        Sum of Huber losses.
    n_starts, n_failed
        Starts, and how many ended without a finite loss.
    """

    e: float
    a: float
    alpha: float
    lam: float | None
    loss: float
    n_starts: int
    n_failed: int

    @property
    def params(self) -> dict[str, float]:
        """Parameters as laws are written, for the scaled input."""
        made = {"E": math.exp(self.e), "A": math.exp(min(self.a, 700.0)), "alpha": self.alpha}
        return made if self.lam is None else {**made, "lambda": self.lam}

    @property
    def has_no_limit(self) -> bool:
        """Whether the limit of the score is 1 to six digits, which is an extrapolation."""
        return self.params["E"] < _NO_LIMIT

    def predict(self, x: Array) -> Array:
        """Return the misalignment at (n,) scaled inputs."""
        x = np.asarray(x, float)
        return np.exp(_log_loss(self._values()[None], x, np.log(x))[0])

    def _values(self) -> Array:
        return np.array([self.e, self.a, *([] if self.lam is None else [self.lam]), self.alpha])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "params": self.params}


def fit_published_form(
    x: Array, y: Array, *, is_shifted: bool, delta: float, grid: Mapping[str, tuple[float, ...]] = GRID
) -> PublishedForm:
    """Minimise the study's objective from every start of its grid.

    Parameters
    ----------
    x
        (n,) inputs, divided by the study's scale, above 0.
    y
        (n,) misalignment, above 0.
    is_shifted
        Whether the form has a shift.
    delta
        Threshold of the Huber loss.
    grid
        Parameter -> its starts.
    """
    from scipy.optimize import minimize

    names = ("e", "a", "lambda", "alpha") if is_shifted else ("e", "a", "alpha")
    log_x, log_y = np.log(x), np.log(y)

    def losses(p: Array) -> Array:
        """(m, p) parameters -> (m,) sums of Huber losses."""
        rest = np.abs(_log_loss(p, x, log_x) - log_y)
        return np.where(rest <= delta, 0.5 * rest**2, delta * (rest - 0.5 * delta)).sum(1)

    def objective(p: Array) -> tuple[float, Array]:
        """Return loss and gradient by forward differences, as scipy takes them, all steps in one evaluation."""
        moved = p + _STEP * np.eye(len(p))
        found = losses(np.vstack([p, moved]))
        return float(found[0]), (found[1:] - found[0]) / (np.diag(moved) - p)

    best, least, n_failed = np.full(len(names), np.nan), math.inf, 0
    starts = list(itertools.product(*(grid[name] for name in names)))
    # Starts at the far ends of the grid overflow; they are counted, and the others decide.
    with np.errstate(all="ignore"):
        for start in starts:
            found = minimize(objective, np.array(start), jac=True, method="BFGS")
            if not np.isfinite(found.fun):
                n_failed += 1
            elif found.fun < least:
                best, least = found.x, float(found.fun)
    lam = float(best[2]) if is_shifted else None
    return PublishedForm(float(best[0]), float(best[1]), float(best[-1]), lam, least, len(starts), n_failed)


def _log_loss(p: Array, x: Array, log_x: Array) -> Array:
    """Return the log of the misalignment at (n,) inputs for (m, p) parameters: (m, n)."""
    e, a, alpha = p[:, [0]], p[:, [1]], p[:, [-1]]
    shifted = log_x if p.shape[1] == 3 else np.log(x + 10.0 ** p[:, [2]])
    return np.logaddexp(a - alpha * shifted, e)
