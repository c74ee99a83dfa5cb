"""Damped Newton steps of many searches at once: small linear systems, solved across the batch.

Shapes: b searches, p parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def damped_step(
    gradient: Array, hessian: Array, metric: Array, damping: Array, held: NDArray[np.bool_], going: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Solve (H + damping * metric) step = -gradient, raising the damping until that matrix is positive definite."""
    p = gradient.shape[1]
    right = -gradient
    damping = damping.copy()
    step = np.zeros_like(gradient)
    todo = np.flatnonzero(going)
    # Batch last, so that every scalar of the elimination is one contiguous vector.
    right, curve, metric = right[todo].T, hessian[todo].transpose(1, 2, 0), metric[todo].transpose(1, 2, 0).copy()
    # A little more on the diagonal, so that a parameter without any effect stays where it is.
    metric.reshape(p * p, -1)[:: p + 1] *= 1.0 + 1e-9
    fixed = held[todo].T
    any_held = bool(fixed.any())
    if any_held:
        right = np.where(fixed, 0.0, right)
    for _ in range(40):
        if not todo.size:
            break
        matrix = metric * damping[todo]
        matrix += curve
        matrix.reshape(p * p, -1)[:: p + 1] += 1e-300
        if any_held:
            np.copyto(matrix, np.eye(p)[:, :, None], where=fixed[:, None] | fixed)
        solved, definite = solve_definite(matrix, right)
        definite &= np.isfinite(solved).all(axis=0)
        step[todo[definite]] = solved.T[definite]
        if definite.all():
            break
        again = ~definite
        todo, right, fixed = todo[again], right[:, again], fixed[:, again]
        curve, metric = curve[:, :, again], metric[:, :, again]
        damping[todo] = np.maximum(damping[todo] * 5.0, 1e-3)
    return step, damping


def solve_definite(a: Array, x: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Solve small symmetric systems by elimination across the batch; say which matrices were positive definite.

    LAPACK's batched Cholesky raises for the whole batch if one matrix is indefinite, which here is the normal case.

    Parameters
    ----------
    a
        Matrices, shape (p, p, b), of which the upper triangle is read; overwritten.
    x
        Right sides, shape (p, b).
    """
    p, x = len(x), x.copy()
    diagonal = a.reshape(p * p, -1)[:: p + 1]
    least = 1e-13 * np.abs(diagonal)
    with np.errstate(all="ignore"):
        # A pivot of 0 is not definite, whatever it makes of the rest.
        for j in range(p - 1):
            factor = a[j, j + 1 :] / a[j, j]
            a[j + 1 :, j + 1 :] -= factor[:, None] * a[j, j + 1 :]
            x[j + 1 :] -= factor * x[j]
        definite = np.all(diagonal > least, axis=0)
        x /= diagonal
        for j in range(p - 2, -1, -1):
            for k in range(j + 1, p):
                x[j] -= a[j, k] * x[k] / a[j, j]
    return x, definite
