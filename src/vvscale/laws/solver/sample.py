"""The rows that laws are fitted to, laid out for the solver; no tables, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.terms import Points

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """The rows that a law is fitted to, laid out so that replicates cost no repeated curve evaluation.

    Points are sorted by how many rows they have, most first. The rows are stored in layers: layer 0 holds one
    row of every point, layer 1 a second row of the points that have one, and so on; layer k therefore belongs
    to the first ``layers[k]`` points, and spreading a curve to the rows or pooling rows by point is a matter of
    contiguous slices.

    Attributes
    ----------
    points
        The m distinct points.
    layers
        Number of points in each layer, descending; they add up to n.
    target
        log Y if ``log`` else Y, shape (n,).
    log
        Whether residuals are log Yhat - log Y, or Yhat - Y.
    delta
        Where the Huber loss turns from quadratic to linear, in units of the residual, > 0 and finite;
        larger than every residual, it is least squares.
    """

    points: Points
    layers: tuple[int, ...]
    target: Array
    log: bool
    delta: float

    @cached_property
    def point(self) -> NDArray[np.intp]:
        """Point of each row, shape (n,)."""
        return np.concatenate([np.arange(size) for size in self.layers])

    def residuals(self, f: Array) -> Array:
        """Residuals (b, n) of curves f = log Yhat (b, m)."""
        curve = f if self.log else np.exp(f)
        if len(self.layers) == 1:
            return curve - self.target
        made = np.empty((len(f), len(self.target)))
        start = 0
        for size in self.layers:
            np.subtract(curve[:, :size], self.target[start : start + size], out=made[:, start : start + size])
            start += size
        return made

    def pooled(self, rows: Array) -> Array:
        """Sum rows (b, n) over the rows of each point, (b, m)."""
        if len(self.layers) == 1:
            return rows
        start = self.layers[0]
        total = rows[:, :start].copy()
        for size in self.layers[1:]:
            total[:, :size] += rows[:, start : start + size]
            start += size
        return total

    def losses(self, f: Array) -> Array:
        """Huber loss of each row (b, n) for curves f (b, m)."""
        r = self.residuals(f)
        psi = np.clip(r, -self.delta, self.delta)
        return psi * (r - 0.5 * psi)
