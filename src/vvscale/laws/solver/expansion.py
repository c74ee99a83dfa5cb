"""Loss of many resamples at many parameter vectors, with its derivatives: what one Newton step needs.

Shapes: b parameter vectors, p parameters, n rows, m distinct points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form
    from vvscale.laws.solver.sample import Sample

    Array = NDArray[np.float64]


def expand(form: Form, sample: Sample, w: Array, theta: Array) -> tuple[Array, Array, Array, Array]:
    """Loss (b,), gradient (b, p), Hessian and IRLS metric (b, p, p) at theta (b, p) with weights w (b, n)."""
    d = form.evaluate(theta, sample.points)
    r = sample.residuals(d.f)
    loss, irls, psi, quadratic = _pulls(sample, w, r)
    if not sample.log:
        level = np.exp(d.f)
        psi *= level
        level *= level
        irls *= level
        quadratic *= level
        quadratic += psi
    # The Hessian of the log of a mixture has -J J' in all parameters but the level.
    bend = quadratic - psi if d.is_mixture else quadratic
    jacobian = d.jacobian
    b, p, _ = jacobian.shape
    gradient, metric, hessian = np.vecdot(jacobian, psi[:, None]), np.empty((b, p, p)), np.empty((b, p, p))
    has_level = d.is_mixture and d.has_level
    for i in range(p):
        own = jacobian[:, i]
        if has_level and i == 0:
            # The level's own column is 1.
            pulled, bent = irls, quadratic
        else:
            pulled, bent = own * irls, own * bend
        others = jacobian[:, i:]
        metric[:, i, i:] = metric[:, i:, i] = np.vecdot(others, pulled[:, None])
        hessian[:, i, i:] = hessian[:, i:, i] = np.vecdot(others, bent[:, None])
    for i, j, second in d.curved:
        part = np.vecdot(psi, second)
        hessian[:, i, j] += part
        if i != j:
            hessian[:, j, i] += part
    return loss, gradient, hessian, metric


def slopes(form: Form, sample: Sample, weights: Array, theta: Array) -> Array:
    """Gradient (b, p) of the loss at theta (b, p) with weights (b, n)."""
    parts = [slice(at, at + 64) for at in range(0, len(theta), 64)]
    made = [expand(form, sample, weights[part], theta[part])[1] for part in parts]
    return np.concatenate([np.zeros((0, form.size)), *made])


def _pulls(sample: Sample, w: Array, r: Array) -> tuple[Array, Array, Array, Array]:
    """Loss (b,) of residuals r (b, n), and by point (b, m): weights of reweighted least squares, slope, curvature.

    With a small delta hardly any row is within it, so that these are looked up one by one.
    """
    delta, (b, n) = sample.delta, r.shape
    # A clip with two ends is the fastest of numpy's maxima.
    size = np.abs(r)
    np.clip(size, delta, np.finfo(float).max, out=size)
    near = (size == delta).ravel().nonzero()[0]
    if 4 * near.size > r.size:
        share = delta / size
        irls = share * w
        psi = irls * r
        # Of a row within delta half its psi r, else psi (r - psi / 2).
        loss = np.vecdot(psi, r - 0.5 * np.clip(r, -delta, delta))
        quadratic = sample.pooled(np.where(share == 1.0, w, 0.0))
        irls, psi = sample.pooled(irls), sample.pooled(psi)
    else:
        which, row = np.divmod(near, n)
        weight, off = w.ravel()[near], r.ravel()[near]
        # delta (|r| - delta / 2) beyond delta, r^2 / 2 within.
        loss = delta * (np.vecdot(w, size) - 0.5 * delta * w.sum(axis=1))
        loss += np.bincount(which, 0.5 * weight * (off - delta) * (off + delta), b)
        m = sample.layers[0]
        # Counts of nothing would be integers.
        quadratic = np.bincount(which * m + sample.point[row], weight, b * m).reshape(b, m).astype(float, copy=False)
        irls = np.divide(w, size, out=size)
        psi = sample.pooled(np.multiply(irls, r, out=r))
        irls = sample.pooled(irls)
        irls *= delta
        psi *= delta
    loss[np.isnan(loss)] = np.inf
    return loss, irls, psi, quadratic
