"""The best minimum of every resample, and how resamples find better ones from those of others.

Resamples share their rows, so that the optimum of one is a good start for another: optima are exchanged until nobody
gains. Searches that got stuck are tried again with the parameters defined at the ends of the data.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.forms.plateau import Plateau
from vvscale.laws.solver.newton import FOUND_AGAIN, Minima, minimise
from vvscale.laws.solver.starts import curve_losses, curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.solver.sample import Sample

    Array = NDArray[np.float64]

# Two searches agree if their losses differ by less than this, relatively.
AGREE = 1e-6
# Relative difference of loss that counts as better.
BETTER = 1e-10
# Basins told apart when optima are exchanged, and how often all are exchanged.
BASINS = 48
MAX_EXCHANGES = 4
# Scaled gradient above which a search has not converged.
STUCK = 1e-5
RECENTRINGS = 5


class Best:
    """The best minimum of each resample so far, and where all searches ended."""

    def __init__(self, n: int, p: int) -> None:
        self.theta = np.full((n, p), np.nan)
        self.loss = np.full(n, np.inf)
        self.gradient = np.full(n, np.inf)
        # The loss to beat: one's own, or that of the boundary form.
        self.bar = np.full(n, np.inf)
        self.ends: list[tuple[NDArray[np.intp], Array]] = []
        # How near these minima searches are taken to find them again.
        self.reach = FOUND_AGAIN

    def offer(self, minima: Minima, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Take what is better; return the resamples that clearly improved."""
        self.ends.append((rows, minima.loss))
        clearly = rows[minima.loss < self.bar[rows] * (1.0 - AGREE)]
        better = minima.loss < self.loss[rows]
        taken = rows[better]
        self.theta[taken] = minima.theta[better]
        self.loss[taken] = minima.loss[better]
        self.gradient[taken] = minima.gradient[better]
        self.bar[taken] = np.minimum(self.bar[taken], self.loss[taken])
        return clearly

    def descend(
        self,
        form: Form,
        sample: Sample,
        weights: Array,
        starts: Sequence[Array],
        places: Sequence[NDArray[np.intp]],
        rows: NDArray[np.intp],
    ) -> list[NDArray[np.intp]]:
        """Search from several sets of starts at once, those of the first set first.

        Parameters
        ----------
        weights
            Weight of each row in the resamples ``rows``, shape (len(rows), n).
        starts, places
            Sets of starts (k, p), and place of each start's resample among ``rows`` (k,).

        Returns
        -------
        list
            For each set the resamples that clearly improved.
        """
        every = np.concatenate(places)
        ends = descend(
            form, sample, weights, np.concatenate(starts), every,
            known=self.bar[rows[every]], optima=self.minima(rows[every]), reach=self.reach,
        )  # fmt: skip
        at = np.cumsum([0, *map(len, places)])
        parts = [slice(first, last) for first, last in pairwise(at)]
        return [
            self.offer(Minima(ends.theta[part], ends.loss[part], ends.gradient[part]), rows[every[part]])
            for part in parts
        ]

    def minima(self, rows: NDArray[np.intp]) -> Minima:
        """Return the best minima of some resamples; NaN where that is none, but where a search got stuck."""
        found = Minima(self.theta[rows], self.loss[rows], self.gradient[rows])
        found.theta[found.gradient > STUCK] = np.nan
        return found


def agreement(ends: list[tuple[NDArray[np.intp], Array]], loss: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count each resample's searches, and those that ended at ``loss`` (B,)."""
    n_starts = np.zeros(len(loss), dtype=np.intp)
    n_agree = np.zeros(len(loss), dtype=np.intp)
    for rows, end in ends:
        n_starts[rows] += 1
        n_agree[rows] += end <= loss[rows] * (1.0 + AGREE) + 1e-300
    return n_starts, n_agree


def exchange(best: Best, form: Form, sample: Sample, weights: Array, rows: NDArray[np.intp], n_tried: int) -> bool:
    """Let every one of ``rows`` try the optima of the others until none gains; say whether any gained.

    An optimum that already beats one's own is always tried, and besides it the ``n_tried`` most promising
    other basins.
    """
    if len(rows) < 2:
        return False
    everyone = np.arange(len(rows))
    changed, gained = everyone, False
    weights = weights[rows]
    for _ in range(MAX_EXCHANGES):
        pool = best.theta[rows]
        f = curves(form, sample, pool)
        losses = curve_losses(sample, weights, f)
        basin = _basins(f, BASINS)
        n_basins = basin.max() + 1
        # For each resample the best representative of every basin (n_basins, B); its own basin only if some
        # optimum there already beats it.
        members = [np.nonzero(basin == k)[0] for k in range(n_basins)]
        chosen = np.stack([some[losses[:, some].argmin(axis=1)] for some in members])
        value = losses[everyone, chosen]
        beats = value < best.bar[rows] * (1.0 - BETTER)
        value = np.where((basin == np.arange(n_basins)[:, None]) & ~beats, np.inf, value)
        trying, starts = [], []
        for place, rank in enumerate(np.argsort(value, axis=0)[: max(n_tried, 1)]):
            worth = beats[rank, everyone]
            if place < n_tried:
                worth |= np.isfinite(value[rank, everyone]) & np.isin(everyone, changed)
            trying.append(np.nonzero(worth)[0])
            starts.append(pool[chosen[rank[trying[-1]], trying[-1]]])
        improved = best.descend(form, sample, weights, starts, trying, rows)
        changed = np.nonzero(np.isin(rows, np.concatenate(improved)))[0] if improved else everyone[:0]
        if not changed.size:
            break
        gained = True
    return gained


def recentre(best: Best, form: Form, sample: Sample, weights: Array, rows: NDArray[np.intp]) -> None:
    """Retry searches that got stuck from the ends of the data.

    A law so steep that it only moves the first points has almost no slope at the centre, where the parameters
    are defined, and Newton's steps there are ill-conditioned; at that end they are not.
    """
    if not isinstance(form, Plateau) or form.size != 3:
        return
    u = sample.points.u[0]
    gained = 2
    for shift in (float(u.min()), float(u.max())) * RECENTRINGS:
        # From where both ends have gained nothing they gain nothing again.
        if not gained:
            break
        # On the edge E = 0 a gradient is the pressure against it, not a search that got stuck.
        stuck = rows[(best.gradient[rows] > STUCK) & np.isfinite(best.loss[rows]) & ~form.on_edge(best.theta[rows])]
        moved = replace(sample, points=replace(sample.points, u=(u - shift,)))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            starts = form.moved(best.theta[stuck], shift)
            usable = np.isfinite(starts).all(axis=1)
            if not usable.any():
                continue
            ends = descend(form, moved, weights, starts[usable], stuck[usable])
            back = form.moved(ends.theta, -shift)
        # The way back from a very steep law may underflow; then the old optimum stays.
        ends.loss[~np.isfinite(back).all(axis=1)] = np.inf
        ends.theta = back
        is_better = bool((ends.loss < best.loss[stuck[usable]]).any())
        gained = 2 if is_better else gained - 1
        best.offer(ends, stuck[usable])


def _basins(curves: Array, n: int) -> NDArray[np.intp]:
    """Group curves (k, m) around farthest-first representatives; the basin of each, shape (k,).

    Distances are between curves, not parameters: parameters that the data do not tell apart count as one.
    """
    curves = np.where(np.isfinite(curves), curves, 0.0)
    basin = np.zeros(len(curves), dtype=np.intp)
    distance = np.abs(curves - curves[0]).mean(axis=1)
    for k in range(1, min(n, len(curves))):
        far = int(distance.argmax())
        if distance[far] < 1e-6:
            break
        to_far = np.abs(curves - curves[far]).mean(axis=1)
        basin[to_far < distance] = k
        distance = np.minimum(distance, to_far)
    return basin


def descend(
    form: Form,
    sample: Sample,
    weights: Array,
    theta: Array,
    problem: NDArray[np.intp] | None = None,
    *,
    known: Array | None = None,
    optima: Minima | None = None,
    reach: float = FOUND_AGAIN,
    coarse: bool = False,
) -> Minima:
    """``minimise`` with the solver's own defaults."""
    problem = np.arange(len(theta)) if problem is None else problem
    effort = {"flat": 1e-3, "max_steps": 12} if coarse else {}
    return minimise(form, sample, weights, theta, problem, known=known, optima=optima, reach=reach, **effort)
