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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.forms.terms import Points

    Array = NDArray[np.float64]

# A row of this many numbers or so per array keeps all arrays of one step in the second-level cache.
NUMBERS_PER_STEP = 32_000
MAX_STEPS = 150
MAX_REJECTED = 30
FLAT = 1e-14
MAX_AT_EDGE = 3
SAME = 5e-7


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

    def residuals(self, f: Array) -> Array:
        """Residuals (b, n) of curves f = log Yhat (b, m)."""
        curve = f if self.log else np.exp(f)
        if len(self.layers) == 1:
            return curve - self.target
        return np.concatenate([curve[:, :size] for size in self.layers], axis=1) - self.target

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
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _minimise(form, sample, weights, theta, problem, known, flat, max_steps)


def _minimise(
    form: Form,
    sample: Sample,
    weights: Array,
    theta: Array,
    problem: NDArray[np.intp],
    known: Array | None,
    flat: float,
    max_steps: int,
) -> Minima:
    # What searches of this batch find is known to the others of the same resample from then on.
    best = np.full(len(weights), np.inf)
    if known is not None:
        np.minimum.at(best, problem, known)
    now = _Descents(form, form.project(theta.copy()))
    k = len(theta)
    room = int(np.clip(NUMBERS_PER_STEP // max(sample.points.u[0].size, 1), 8, 512))
    live = np.arange(min(room, k))
    waiting = live.size
    while live.size:
        done = now.judge(live, _expand(form, sample, weights[problem[live]], now.trial[live]), flat, max_steps)
        # Not yet known is infinite, and compares as never the same.
        done |= np.abs(now.loss[live] / best[problem[live]] - 1.0) <= SAME
        # Only a minimum becomes known: a search given up at the edge may stop anywhere along it.
        minima = live[now.flat_steps[live] >= 2]
        np.minimum.at(best, problem[minima], now.loss[minima])
        live = live[~done]
        if live.size:
            now.propose(live)
        if live.size <= room // 2 and waiting < k:
            fresh = np.arange(waiting, min(waiting + room - live.size, k))
            waiting += fresh.size
            live = np.concatenate([live, fresh])

    free = np.abs(np.where(form.held(now.theta, now.gradient), 0.0, now.gradient))
    unit = sample.delta * weights.sum(axis=1)[problem]
    return Minima(now.theta, now.loss, _scaled(free, now.metric, now.loss, unit))


class _Descents:
    """Where k searches are, what is known there, and where each tries next."""

    def __init__(self, form: Form, theta: Array) -> None:
        k, p = theta.shape
        self.form = form
        self.theta = theta
        self.loss = np.full(k, np.inf)
        self.gradient = np.zeros((k, p))
        self.hessian = np.zeros((k, p, p))
        self.metric = np.zeros((k, p, p))
        self.damping = np.full(k, 1e-2)
        self.trial = theta.copy()
        # By how much the loss should fall at the trial.
        self.predicted = np.full(k, np.inf)
        self.flat_steps = np.zeros(k, dtype=int)
        self.rejected = np.zeros(k, dtype=int)
        self.steps = np.zeros(k, dtype=int)
        self.at_edge = np.zeros(k, dtype=int)

    def judge(
        self, live: NDArray[np.intp], at_trial: tuple[Array, Array, Array, Array], flat: float, max_steps: int
    ) -> NDArray[np.bool_]:
        """Take the trials that lower the loss, set the damping by how they went; which searches are over (b,)."""
        new_loss, new_gradient, new_hessian, new_metric = at_trial
        drop = self.loss[live] - new_loss
        better = new_loss < self.loss[live]
        taken = live[better]
        ratio = np.where(np.isfinite(drop), drop / self.predicted[live], 1.0)[better]
        is_flat = drop[better] <= flat * new_loss[better]
        self.theta[taken] = self.trial[taken]
        self.loss[taken] = new_loss[better]
        self.gradient[taken] = new_gradient[better]
        self.hessian[taken] = new_hessian[better]
        self.metric[taken] = new_metric[better]
        scale = np.where(ratio > 0.7, 0.15, np.where(ratio < 0.2, 3.0, 1.0))
        self.damping[taken] = np.maximum(self.damping[taken] * scale, 1e-12)
        self.flat_steps[taken] = np.where(is_flat, self.flat_steps[taken] + 1, 0)
        self.rejected[taken] = 0
        refused = live[~better]
        self.damping[refused] = np.maximum(self.damping[refused] * 5.0, 1e-3)
        self.rejected[refused] += 1
        self.steps[live] += 1
        # Refused steps count as well: on the edge most of them only try to leave the form.
        self.at_edge[live] = np.where(self.form.on_edge(self.theta[live]), self.at_edge[live] + 1, 0)
        # A refused step that promised nothing measurable is as far as the arithmetic goes.
        is_small = np.abs(self.predicted[live]) < 1e-16 * self.loss[live]
        hopeless = is_small & (self.damping[live] < 10.0) & ~better
        return (
            (self.flat_steps[live] >= 2)
            | hopeless
            | (self.rejected[live] > MAX_REJECTED)
            | (self.steps[live] >= max_steps)
            | (self.at_edge[live] >= MAX_AT_EDGE)
            | ~np.isfinite(self.loss[live])
        )

    def propose(self, live: NDArray[np.intp]) -> None:
        """Step to the next trial of each live search, and predict by how much its loss falls."""
        theta, gradient, hessian = self.theta[live], self.gradient[live], self.hessian[live]
        held = self.form.held(theta, gradient)
        step, self.damping[live] = _step(gradient, hessian, self.metric[live], self.damping[live], held)
        self.trial[live] = self.form.project(theta + step)
        moved = self.trial[live] - theta
        slope = np.einsum("bp,bp->b", gradient, moved)
        self.predicted[live] = -slope - 0.5 * np.einsum("bp,bpq,bq->b", moved, hessian, moved)


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


def _expand(form: Form, sample: Sample, w: Array, theta: Array) -> tuple[Array, Array, Array, Array]:
    """Loss (b,), gradient (b, p), Hessian and IRLS metric (b, p, p) at theta (b, p) with weights w (b, n)."""
    d = form.evaluate(theta, sample.points)
    r = sample.residuals(d.f)
    # psi is the derivative of the Huber loss, quadratic the second one, and irls = psi / r.
    psi = np.clip(r, -sample.delta, sample.delta)
    quadratic = np.where(psi == r, w, 0.0)
    loss = r - 0.5 * psi
    psi_w = w * psi
    loss = np.einsum("bn,bn->b", psi_w, loss)
    loss[np.isnan(loss)] = np.inf
    r[r == 0.0] = np.inf
    irls = sample.pooled(np.maximum(psi_w / r, quadratic))
    psi = sample.pooled(psi_w)
    quadratic = sample.pooled(quadratic)
    if not sample.log:
        level = np.exp(d.f)
        psi = psi * level
        quadratic = quadratic * level**2 + psi
        irls = irls * level**2
    jacobian = d.jacobian
    across = jacobian.transpose(0, 2, 1)
    gradient = np.matmul(jacobian, psi[:, :, None])[:, :, 0]
    metric = np.matmul(jacobian * irls[:, None], across)
    if d.is_mixture:
        hessian = np.matmul(jacobian * (quadratic - psi)[:, None], across)
        if d.has_level:
            hessian[:, 0] = np.matmul(jacobian, quadratic[:, :, None])[:, :, 0]
            hessian[:, :, 0] = hessian[:, 0]
    else:
        hessian = np.matmul(jacobian * quadratic[:, None], across)
    for i, j, second in d.curved:
        part = np.einsum("bm,bm->b", psi, second)
        hessian[:, i, j] += part
        if i != j:
            hessian[:, j, i] += part
    return loss, gradient, hessian, metric


def _step(
    gradient: Array, hessian: Array, metric: Array, damping: Array, held: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Solve (H + damping * metric) step = -gradient, raising the damping until that matrix is positive definite."""
    p = gradient.shape[1]
    free = ~held
    both = free[:, :, None] & free[:, None, :]
    right = np.where(free, -gradient, 0.0)
    diagonal = np.einsum("bpp->bp", metric)
    eye = np.eye(p)
    damping = damping.copy()
    step = np.zeros_like(gradient)
    todo = np.arange(len(gradient))
    for _ in range(40):
        mu = damping[todo, None, None]
        floor = 1e-9 * mu[:, :, 0] * diagonal[todo] + 1e-300
        matrix = hessian[todo] + mu * metric[todo] + floor[:, :, None] * eye
        matrix = np.where(both[todo], matrix, eye)
        solved, definite = _solve_definite(matrix, right[todo])
        definite &= np.isfinite(solved).all(axis=1)
        step[todo[definite]] = solved[definite]
        todo = todo[~definite]
        if not todo.size:
            break
        damping[todo] = np.maximum(damping[todo] * 5.0, 1e-3)
    return step, damping


def _solve_definite(matrix: Array, right: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Solve small symmetric systems by LDL' across the batch; say which matrices were positive definite.

    LAPACK's batched Cholesky raises for the whole batch if one matrix is indefinite, which here is the normal
    case.
    """
    b, p = right.shape
    # Batch last, so that every scalar of the elimination is one contiguous vector.
    a = np.ascontiguousarray(matrix.transpose(1, 2, 0))
    x = np.ascontiguousarray(right.T)
    definite = np.ones(b, dtype=bool)
    scale = np.abs(a[np.arange(p), np.arange(p)])
    factors = np.zeros((p, p, b))
    for j in range(p):
        pivot = a[j, j]
        definite &= pivot > 1e-13 * scale[j]
        inverse = 1.0 / np.where(pivot == 0.0, 1.0, pivot)
        for i in range(j + 1, p):
            factors[i, j] = a[i, j] * inverse
            a[i, j + 1 : i + 1] -= factors[i, j] * a[j + 1 : i + 1, j]
            x[i] -= factors[i, j] * x[j]
        x[j] *= inverse
    for j in range(p - 1, -1, -1):
        for i in range(j + 1, p):
            x[j] -= factors[i, j] * x[i]
    return x.T, definite
