"""Minimise one law's loss for many starts and many resamples at once.

A damped Newton method with the exact second derivatives of the law. The Huber loss with a small delta is
almost an absolute loss: away from its few quadratic residuals it has no curvature of its own, so the Hessian
is nearly singular or indefinite between kinks. It is therefore damped with the matrix of iteratively
reweighted least squares, J' diag(w delta / max(|r|, delta)) J, which always majorises the loss: heavy damping
is a majorise-minimise step that cannot go uphill in the linear case, light damping is Newton with its
quadratic convergence.

Shapes: k problems, b of them live, p parameters, n rows, m distinct points. This module knows weights and
losses, but no tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.laws.solver.expansion import expand
from vvscale.laws.solver.steps import damped_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.solver.sample import Sample

    Array = NDArray[np.float64]

# A row of this many numbers or so per array keeps all arrays of one step in the second-level cache.
NUMBERS_PER_STEP = 32_000
MAX_STEPS = 150
MAX_REJECTED = 30
FLAT = 1e-14
# A step that should lower the loss by less than this, relatively, is not worth an evaluation.
SETTLED = 1e-16
MAX_AT_EDGE = 3
SAME = 5e-7
# Share of the way to a loss that a search must close by a step to go on towards it.
OUT_OF_REACH = 1e-3
# A search has found a known optimum again where its next step ends as near, in its metric relative to its loss: curves
# then differ by a hundredth of the residuals. At 1e-2 resamples of shifted laws miss a second minimum nearby.
FOUND_AGAIN = 3e-4


@dataclass
class Minima:
    """Where each of k problems ended.

    Attributes
    ----------
    theta
        Parameters, shape (k, p).
    loss
        Weighted sum of Huber losses, shape (k,).
    gradient
        Largest |dloss/dtheta_i| over parameters not held by a bound, shape (k,); dimensionless, 0 at a smooth minimum;
        see ``_scaled``.
    """

    theta: Array
    loss: Array
    gradient: Array

    def each(self) -> list[Minima]:
        """One by one."""
        return self.split(len(self.loss))

    def split(self, n: int) -> list[Minima]:
        """Cut into ``n`` equal parts."""
        parts = (np.split(self.theta, n), np.split(self.loss, n), np.split(self.gradient, n))
        return [Minima(*part) for part in zip(*parts, strict=True)]


def minimise(
    form: Form,
    sample: Sample,
    weights: Array,
    theta: Array,
    problem: NDArray[np.intp],
    *,
    known: Array | None = None,
    optima: Minima | None = None,
    reach: float = FOUND_AGAIN,
    flat: float = FLAT,
    max_steps: int = MAX_STEPS,
    until: float | None = None,
) -> Minima:
    """Descend from each start to its local minimum.

    A search that keeps running into the edge of the form (E = 0 of a plateau) is given up there: the edge has a
    form of its own, which is solved by itself.

    Parameters
    ----------
    form, sample
        The law and the rows.
    weights
        Weight of each row in each resample, shape (B, n), >= 0.
    theta
        Starts, shape (k, p); not changed.
    problem
        Which resample each start belongs to, shape (k,).
    known
        Loss of an optimum already known for each start's resample, shape (k,). A search that comes within
        ``SAME`` of it has found it again and stops.
    optima
        An optimum of each start's resample, k of them, NaN where there is none. A search that steps into it ends there,
        as one does that steps into what another of its resample has found.
    reach
        How near an optimum is found again: squared distance in the metric of reweighted least squares, relative to the
        loss.
    flat
        Two steps in a row that lower the loss by less than this, relatively, end the search.
    max_steps
        Evaluations per start.
    until
        A loss that searches need only be known to pass: they end below it, and where a step closes next to nothing of
        what lies between.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _minimise(form, sample, weights, theta, problem, known, optima, reach, flat, max_steps, until)


def _minimise(
    form: Form,
    sample: Sample,
    weights: Array,
    theta: Array,
    problem: NDArray[np.intp],
    known: Array | None,
    optima: Minima | None,
    reach: float,
    flat: float,
    max_steps: int,
    until: float | None,
) -> Minima:
    found = _Found(form, len(weights), problem, known, optima, reach)
    k = len(theta)
    every = _Descents.begin(form, form.project(theta.copy()))
    room = int(np.clip(NUMBERS_PER_STEP // max(sample.points.u[0].size, 1), 8, 512))
    waiting = min(room, k)
    live, w = every.part(slice(waiting)), weights[problem[:waiting]]
    while live.place.size:
        before = live.loss.copy()
        over = live.judge(expand(form, sample, w, live.trial), flat, max_steps)
        if until is not None:
            fell = before - live.loss
            over |= (live.loss <= until) | ((fell > 0.0) & (fell <= OUT_OF_REACH * (live.loss - until)))
        over |= found.is_same(live)
        live.propose(~over)
        settled = live.settled > 0.0
        # Only a minimum becomes known: a search given up at the edge may stop anywhere along it.
        found.learn(live, (live.flat_steps >= 2) | settled)
        over |= settled
        over |= found.is_near(live, ~over)
        if over.any():
            every.put(live.part(over))
            live, w = live.part(~over), w[~over]
        if live.place.size <= room // 2 and waiting < k:
            fresh = slice(waiting, min(waiting + room - live.place.size, k))
            live, w = live.joined(every.part(fresh)), np.concatenate([w, weights[problem[fresh]]])
            waiting = fresh.stop

    free = np.abs(np.where(form.held(every.theta, every.gradient), 0.0, every.gradient))
    unit = sample.delta * weights.sum(axis=1)[problem]
    return Minima(every.theta, every.loss, _scaled(free, every.metric, every.loss, unit))


class _Descents:
    """Where k searches are, what is known there, and where each tries next.

    All of it is columns of one table, so that taking some of the searches is one copy.
    """

    # Columns of one number, before those of p and of p x p numbers.
    NUMBERS = (
        "place", "loss", "damping", "predicted", "settled", "flat_steps", "rejected", "steps", "at_edge",
    )  # fmt: skip

    def __init__(self, form: Form, table: Array) -> None:
        self.form, self.table = form, table
        at, p = len(self.NUMBERS), form.size
        # Number of each search, which its parts keep.
        self.place = table[:, 0].astype(np.intp)
        # By how much the loss should fall at the trial, and whether that is nothing measurable: as far as the
        # arithmetic goes.
        _, self.loss, self.damping, self.predicted, self.settled, *counts = table[:, :at].T
        self.flat_steps, self.rejected, self.steps, self.at_edge = counts
        self.theta, self.trial, self.gradient = (table[:, at + i * p : at + (i + 1) * p] for i in range(3))
        square = table[:, at + 3 * p :].reshape(len(table), 2, p, p)
        self.hessian, self.metric = square[:, 0], square[:, 1]

    @classmethod
    def begin(cls, form: Form, theta: Array) -> _Descents:
        """Searches that begin at theta (k, p)."""
        k, p = theta.shape
        made = cls(form, np.zeros((k, len(cls.NUMBERS) + 3 * p + 2 * p * p)))
        made.table[:, 0] = made.place = np.arange(k)
        made.loss[:] = made.predicted[:] = np.inf
        made.damping[:] = 1e-2
        made.theta[:] = made.trial[:] = theta
        return made

    def part(self, rows: slice | NDArray[np.bool_]) -> _Descents:
        """Return some of the searches."""
        return _Descents(self.form, self.table[rows])

    def joined(self, more: _Descents) -> _Descents:
        """Return these searches and more."""
        return _Descents(self.form, np.concatenate([self.table, more.table]))

    def put(self, ended: _Descents) -> None:
        """Take where some searches ended."""
        self.table[ended.place] = ended.table

    def judge(self, at_trial: tuple[Array, Array, Array, Array], flat: float, max_steps: int) -> NDArray[np.bool_]:
        """Take the trials that lower the loss, set the damping by how they went; which searches are over (b,)."""
        loss, gradient, hessian, metric = at_trial
        drop = self.loss - loss
        better = loss < self.loss
        worse = ~better
        ratio = np.where(np.isfinite(drop), drop / self.predicted, 1.0)
        self.damping *= np.where(worse, 5.0, np.where(ratio > 0.7, 0.15, np.where(ratio < 0.2, 3.0, 1.0)))
        np.maximum(self.damping, np.where(better, 1e-12, 1e-3), out=self.damping)
        self.flat_steps[:] = np.where(better, (drop <= flat * loss) * (self.flat_steps + 1.0), self.flat_steps)
        self.rejected += 1.0
        self.rejected[better] = 0.0
        row, square = better[:, None], better[:, None, None]
        np.copyto(self.theta, self.trial, where=row)
        np.copyto(self.loss, loss, where=better)
        np.copyto(self.gradient, gradient, where=row)
        np.copyto(self.hessian, hessian, where=square)
        np.copyto(self.metric, metric, where=square)
        self.steps += 1.0
        # Refused steps count as well: on the edge most of them only try to leave the form.
        self.at_edge += 1.0
        self.at_edge *= self.form.on_edge(self.theta)
        return (
            (self.flat_steps >= 2)
            | (self.rejected > MAX_REJECTED)
            | (self.steps >= max_steps)
            | (self.at_edge >= MAX_AT_EDGE)
            | ~np.isfinite(self.loss)
        )

    def propose(self, going: NDArray[np.bool_]) -> None:
        """Step to the next trial of the searches that go on, and predict by how much its loss falls."""
        held = self.form.held(self.theta, self.gradient)
        step, self.damping[:] = damped_step(self.gradient, self.hessian, self.metric, self.damping, held, going)
        self.trial[:] = self.form.project(self.theta + step)
        moved = self.trial - self.theta
        bent = np.vecdot(self.hessian, moved[:, None])
        bent *= 0.5
        bent += self.gradient
        self.predicted[:] = -np.vecdot(moved, bent)
        self.settled[:] = going & (np.abs(self.predicted) < SETTLED * self.loss) & (self.damping < 10.0)


class _Found:
    """What is known of each resample, and becomes known: searches that find it again are over."""

    def __init__(
        self,
        form: Form,
        n: int,
        problem: NDArray[np.intp],
        known: Array | None,
        optima: Minima | None,
        reach: float,
    ) -> None:
        self.problem, self.reach = problem, reach
        # Loss to come to, and the best minimum, NaN where there is none.
        self.bar = np.full(n, np.inf)
        self.best = _Descents.begin(form, np.full((n, form.size), np.nan))
        if known is not None:
            np.minimum.at(self.bar, problem, known)
        if optima is not None:
            self.best.loss[problem], self.best.theta[problem] = optima.loss, optima.theta
        self.has_others = optima is not None or len(np.unique(problem)) < len(problem)

    def is_same(self, live: _Descents) -> NDArray[np.bool_]:
        """Which searches have come to the known loss, (b,)."""
        # Not yet known is infinite, and compares as never the same.
        return np.abs(live.loss / self.bar[self.problem[live.place]] - 1.0) <= SAME

    def learn(self, live: _Descents, minima: NDArray[np.bool_]) -> None:
        """Take note of minima (b,) that searches have come to."""
        if not (self.has_others and minima.any()):
            return
        rows = np.flatnonzero(minima)
        # Lowest last, which is what stays of several of one resample.
        rows = rows[np.argsort(-live.loss[rows], kind="stable")]
        rows = rows[live.loss[rows] < self.best.loss[self.problem[live.place[rows]]]]
        which = self.problem[live.place[rows]]
        self.best.table[which] = live.table[rows]
        self.bar[which] = np.minimum(self.bar[which], self.best.loss[which])

    def is_near(self, live: _Descents, going: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the searches that go on step into the best minimum known, (b,); they end there."""
        if not self.has_others:
            return np.zeros(len(going), dtype=bool)
        which = self.problem[live.place]
        gap = live.trial - self.best.theta[which]
        apart = np.vecdot(np.vecdot(live.metric, gap[:, None]), gap)
        # NaN, no minimum known, is nowhere near.
        near = going & (apart <= self.reach * live.loss) & (live.loss >= self.best.loss[which])
        if near.any():
            # All but the number of the search.
            live.table[near, 1:] = self.best.table[which[near], 1:]
        return near


def _scaled(gradient: Array, metric: Array, loss: Array, unit: Array) -> Array:
    """Largest gradient component (k,), by whichever of two scales makes it smaller.

    The first is ``unit`` (k,), the largest gradient that the level can have. The second is the cosine between the
    residuals and the parameter's effect on the curve (Bates & Watts 1988, the relative offset), which does not depend
    on the parameter's own scale: the height of a spike may be 1e-30 where it is defined. It is noise in an exact fit,
    where the first one is small.
    """
    reach = np.sqrt(2.0 * np.einsum("kpp->kp", metric) * loss[:, None])
    cosine = gradient / np.maximum(reach, np.finfo(float).tiny)
    return np.minimum(gradient / unit[:, None], cosine).max(axis=1)
