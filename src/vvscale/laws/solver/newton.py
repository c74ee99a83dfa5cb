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

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
MAX_AT_EDGE = 3
SAME = 5e-7
# Share of the way to a loss that a search must close by a step to go on towards it.
OUT_OF_REACH = 1e-3


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
    flat
        Two steps in a row that lower the loss by less than this, relatively, end the search.
    max_steps
        Evaluations per start.
    until
        A loss that searches need only be known to pass: they end below it, and where a step closes next to nothing of
        what lies between.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _minimise(form, sample, weights, theta, problem, known, flat, max_steps, until)


def _minimise(
    form: Form,
    sample: Sample,
    weights: Array,
    theta: Array,
    problem: NDArray[np.intp],
    known: Array | None,
    flat: float,
    max_steps: int,
    until: float | None,
) -> Minima:
    # What searches of this batch find is known to the others of the same resample from then on.
    best = np.full(len(weights), np.inf)
    if known is not None:
        np.minimum.at(best, problem, known)
    k = len(theta)
    every = _Descents(form, form.project(theta.copy()))
    room = int(np.clip(NUMBERS_PER_STEP // max(sample.points.u[0].size, 1), 8, 512))
    waiting = min(room, k)
    live, w = every.part(slice(waiting)), weights[problem[:waiting]]
    while live.place.size:
        before = live.loss
        over = live.judge(_expand(form, sample, w, live.trial), flat, max_steps)
        if until is not None:
            fell = before - live.loss
            over |= (live.loss <= until) | ((fell > 0.0) & (fell <= OUT_OF_REACH * (live.loss - until)))
        # Not yet known is infinite, and compares as never the same.
        over |= np.abs(live.loss / best[problem[live.place]] - 1.0) <= SAME
        live.propose(~over)
        # Only a minimum becomes known: a search given up at the edge may stop anywhere along it.
        minima = (live.flat_steps >= 2) | live.settled
        np.minimum.at(best, problem[live.place[minima]], live.loss[minima])
        over |= live.settled
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
    """Where k searches are, what is known there, and where each tries next."""

    ARRAYS = (
        "place", "theta", "loss", "gradient", "hessian", "metric", "damping", "trial", "predicted", "settled",
        "flat_steps", "rejected", "steps", "at_edge",
    )  # fmt: skip

    def __init__(self, form: Form, theta: Array) -> None:
        k, p = theta.shape
        self.form = form
        # Number of each search, which its parts keep.
        self.place = np.arange(k)
        self.theta = theta
        self.loss = np.full(k, np.inf)
        self.gradient = np.zeros((k, p))
        self.hessian = np.zeros((k, p, p))
        self.metric = np.zeros((k, p, p))
        self.damping = np.full(k, 1e-2)
        self.trial = theta.copy()
        # By how much the loss should fall at the trial.
        self.predicted = np.full(k, np.inf)
        # Whether that is nothing measurable: as far as the arithmetic goes.
        self.settled = np.zeros(k, dtype=bool)
        self.flat_steps, self.rejected, self.steps, self.at_edge = np.zeros((4, k), dtype=int)

    def part(self, rows: slice | NDArray[np.bool_]) -> _Descents:
        """Return some of the searches."""
        return self._of(lambda name: getattr(self, name)[rows])

    def joined(self, more: _Descents) -> _Descents:
        """Return these searches and more."""
        return self._of(lambda name: np.concatenate([getattr(self, name), getattr(more, name)]))

    def _of(self, values: Callable[[str], NDArray[Any]]) -> _Descents:
        made = object.__new__(_Descents)
        made.form = self.form
        for name in self.ARRAYS:
            setattr(made, name, values(name))
        return made

    def put(self, ended: _Descents) -> None:
        """Take where some searches ended."""
        for name in ("theta", "loss", "gradient", "metric"):
            getattr(self, name)[ended.place] = getattr(ended, name)

    def judge(self, at_trial: tuple[Array, Array, Array, Array], flat: float, max_steps: int) -> NDArray[np.bool_]:
        """Take the trials that lower the loss, set the damping by how they went; which searches are over (b,)."""
        loss, gradient, hessian, metric = at_trial
        drop = self.loss - loss
        better = loss < self.loss
        ratio = np.where(np.isfinite(drop), drop / self.predicted, 1.0)
        scale = np.where(ratio > 0.7, 0.15, np.where(ratio < 0.2, 3.0, 1.0))
        self.damping = np.where(better, np.maximum(self.damping * scale, 1e-12), np.maximum(self.damping * 5.0, 1e-3))
        self.flat_steps = np.where(better, (drop <= flat * loss) * (self.flat_steps + 1), self.flat_steps)
        self.rejected = np.where(better, 0, self.rejected + 1)
        row, square = better[:, None], better[:, None, None]
        self.theta = np.where(row, self.trial, self.theta)
        self.loss = np.where(better, loss, self.loss)
        self.gradient = np.where(row, gradient, self.gradient)
        self.hessian = np.where(square, hessian, self.hessian)
        self.metric = np.where(square, metric, self.metric)
        self.steps = self.steps + 1
        # Refused steps count as well: on the edge most of them only try to leave the form.
        self.at_edge = np.where(self.form.on_edge(self.theta), self.at_edge + 1, 0)
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
        step, self.damping = _step(self.gradient, self.hessian, self.metric, self.damping, held, going)
        self.trial = self.form.project(self.theta + step)
        moved = self.trial - self.theta
        bent = np.matmul(self.hessian, moved[:, :, None])[:, :, 0]
        self.predicted = -(moved * (self.gradient + 0.5 * bent)).sum(axis=1)
        self.settled = going & (np.abs(self.predicted) < 1e-16 * self.loss) & (self.damping < 10.0)


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


def slopes(form: Form, sample: Sample, weights: Array, theta: Array) -> Array:
    """Gradient (b, p) of the loss at theta (b, p) with weights (b, n)."""
    parts = [slice(at, at + 64) for at in range(0, len(theta), 64)]
    made = [_expand(form, sample, weights[part], theta[part])[1] for part in parts]
    return np.concatenate([np.zeros((0, form.size)), *made])


def _expand(form: Form, sample: Sample, w: Array, theta: Array) -> tuple[Array, Array, Array, Array]:
    """Loss (b,), gradient (b, p), Hessian and IRLS metric (b, p, p) at theta (b, p) with weights w (b, n)."""
    d = form.evaluate(theta, sample.points)
    r = sample.residuals(d.f)
    # Share of each row's quadratic loss that the Huber loss keeps of its slope: 1 within delta.
    share = np.abs(r)
    np.maximum(share, sample.delta, out=share)
    np.divide(sample.delta, share, out=share)
    quadratic = np.where(share == 1.0, w, 0.0)
    irls = np.multiply(share, w, out=share)
    psi = irls * r
    # Of a row within delta half its psi r, else psi (r - psi / 2).
    loss = np.einsum("bn,bn->b", psi, r - 0.5 * np.clip(r, -sample.delta, sample.delta))
    loss[np.isnan(loss)] = np.inf
    irls, psi, quadratic = sample.pooled(irls), sample.pooled(psi), sample.pooled(quadratic)
    if not sample.log:
        level = np.exp(d.f)
        psi = psi * level
        quadratic = quadratic * level**2 + psi
        irls = irls * level**2
    # Everything that is summed over points against the Jacobian, in one product.
    jacobian = d.jacobian
    b, p, m = jacobian.shape
    summed = np.empty((b, 2 * p + 2, m))
    np.multiply(jacobian, irls[:, None], out=summed[:, :p])
    np.multiply(jacobian, (quadratic - psi if d.is_mixture else quadratic)[:, None], out=summed[:, p : 2 * p])
    summed[:, 2 * p], summed[:, 2 * p + 1] = psi, quadratic
    product = np.matmul(summed, jacobian.transpose(0, 2, 1))
    metric, hessian, gradient = product[:, :p], product[:, p : 2 * p], product[:, 2 * p]
    if d.is_mixture and d.has_level:
        hessian[:, 0] = hessian[:, :, 0] = product[:, 2 * p + 1]
    for i, j, second in d.curved:
        part = np.einsum("bm,bm->b", psi, second)
        hessian[:, i, j] += part
        if i != j:
            hessian[:, j, i] += part
    return loss, gradient, hessian, metric


def _step(
    gradient: Array, hessian: Array, metric: Array, damping: Array, held: NDArray[np.bool_], going: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Solve (H + damping * metric) step = -gradient, raising the damping until that matrix is positive definite."""
    eye = np.eye(gradient.shape[1])
    right = -gradient
    any_held = bool(held.any())
    right[held] = 0.0
    # A little more on the diagonal, so that a parameter without any effect stays where it is.
    metric = metric * (1.0 + 1e-9 * eye)
    damping = damping.copy()
    step = np.zeros_like(gradient)
    todo = np.nonzero(going)[0]
    for _ in range(40):
        if not todo.size:
            break
        matrix = hessian[todo] + damping[todo, None, None] * metric[todo] + 1e-300 * eye
        if any_held:
            free = ~held[todo]
            matrix = np.where(free[:, :, None] & free[:, None, :], matrix, eye)
        solved, definite = _solve_definite(matrix, right[todo])
        definite &= np.isfinite(solved).all(axis=1)
        step[todo[definite]] = solved[definite]
        todo = todo[~definite]
        damping[todo] = np.maximum(damping[todo] * 5.0, 1e-3)
    return step, damping


def _solve_definite(matrix: Array, right: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Solve small symmetric systems by elimination across the batch; say which matrices were positive definite.

    LAPACK's batched Cholesky raises for the whole batch if one matrix is indefinite, which here is the normal case.
    """
    b, p = right.shape
    # Batch last, so that every scalar of the elimination is one contiguous vector; the right side is a last column.
    a = np.empty((p, p + 1, b))
    a[:, :p], a[:, p] = matrix.transpose(1, 2, 0), right.T
    least = 1e-13 * np.abs(a[np.arange(p), np.arange(p)])
    definite = np.ones(b, dtype=bool)
    for j in range(p):
        pivot = a[j, j]
        definite &= pivot > least[j]
        a[j, j + 1 :] /= np.where(pivot == 0.0, 1.0, pivot)
        if j + 1 < p:
            a[j + 1 :, j + 1 :] -= a[j + 1 :, j, None] * a[j, j + 1 :]
    x = a[:, p]
    for j in range(p - 2, -1, -1):
        x[j] -= (a[j, j + 1 : p] * x[j + 1 :]).sum(axis=0)
    return x.T, definite
