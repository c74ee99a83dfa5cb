"""Cross-validated partial least squares in sample and target space, with scikit-learn's stop rule.

scikit-learn finds each component by alternating between weights w of the p features and weights c of the q
responses and stops early, long before w is a singular vector, so scores depend on when it stops. But w is
always X'Y c for the current residuals, so consecutive iterates, their lengths and the angle between them
follow from the q x q matrix M = Y'XX'Y alone: c_next = M c. After a component with scores t, M changes by a
matrix of rank two. The features are touched only as K = XX', once per component for its scores and once for
their loadings, for all splits in one product.

A split is a mask over images: scores are carried for all images, lengths and means are taken over training
images, and the scores of test images, hence their predictions, come out of the same product.

Source: scikit-learn, sklearn/cross_decomposition/_pls.py (iterate, start column, stop rule).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.power_iteration import leading_weights

# Shape legend: N images, q responses, S splits, k components.

_WORN = 1e-6
"""Share of its trace to which M may shrink by subtraction before it is computed anew, for its digits."""

_EXHAUSTED = 1e-13
"""Share of the variance of the features below which what the responses still pick out is rounding noise."""

_EPS = float(np.finfo(np.float64).eps)


def cross_validate(gram: Gram, responses: Any, is_train: np.ndarray, n_components: int) -> tuple[list[Any], np.ndarray]:
    """Predict the responses to each split's test images from its training images.

    Parameters
    ----------
    gram
        Inner products of N images.
    responses
        (N, q) float64, finite, any unit.
    is_train
        (S, N) bool, the training images of each split.
    n_components
        Components k, at least 1.

    Returns
    -------
    predictions
        S tables (n_test, q) in the unit of the responses.
    n_iterations
        (S, k) iterations of each component; 0 once nothing is left to predict with.
    """
    # Products here are too small to share: threads would wait for each other, for seconds on a busy machine.
    with _blas().limit(limits=1, user_api="blas"):
        return _cross_validate(gram, responses, is_train, n_components)


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _cross_validate(
    gram: Gram, responses: Any, is_train: np.ndarray, n_components: int
) -> tuple[list[Any], np.ndarray]:
    xp, find_weights = _backend(gram)
    Y = responses - responses.mean(0)
    train = xp.asarray(is_train, dtype=xp.float64, device=gram.device)
    n_train = train.sum(1)[:, None]
    mean = (train @ Y) / n_train  # (S, q)
    n_splits, n_images = train.shape
    start = _start_columns(responses, is_train)
    M = _cross_moments(gram, Y, mean, is_train)
    whole = xp.linalg.diagonal(M).sum(1)
    floor = xp.zeros_like(whole)
    T = xp.zeros((n_splits, n_components, n_images), dtype=xp.float64, device=gram.device)
    Q = xp.zeros((n_splits, n_components, Y.shape[1]), dtype=xp.float64, device=gram.device)
    n_iterations = np.zeros((n_splits, n_components), dtype=np.int64)

    def centre(rows: Any) -> Any:
        return rows - (rows * train).sum(1)[:, None] / n_train

    for j in range(n_components):
        is_worn = np.asarray((xp.linalg.diagonal(M).sum(1) < _WORN * whole).tolist())
        for s in np.flatnonzero(is_worn & (n_iterations[:, max(j - 1, 0)] > 0)):
            residual = train[s] * ((Y - mean[s]).T - Q[s, :j].T @ T[s, :j])
            M[s] = gram.dot(residual) @ residual.T
            whole[s], floor[s] = M[s].trace(), _EXHAUSTED * gram.trace() * (residual**2).sum()
        c, n_iterations[:, j] = find_weights(M, start, floor)
        explained = ((Q[:, :j] @ c[:, :, None]).mT @ T[:, :j])[:, 0]
        u = train * (c @ Y.T - (c * mean).sum(1)[:, None] - explained)
        t = centre(gram.dot(u))
        for _ in range(2):  # once leaves the rounding of large earlier components
            t = t - ((T[:, :j] @ (train * t)[:, :, None]).mT @ T[:, :j])[:, 0]
        length = ((train * t * t).sum(1) ** 0.5)[:, None]
        length[length == 0] = 1.0
        t = t / length
        t_train = train * t
        loading = train * centre(gram.dot(t_train))
        b = t_train @ Y
        a = loading @ Y - ((T[:, :j] @ loading[:, :, None]).mT @ Q[:, :j])[:, 0]
        a = a - 0.5 * (t_train * loading).sum(1)[:, None] * b
        M -= xp.stack((a, b), 2) @ xp.stack((b, a), 1)
        T[:, j], Q[:, j] = t, b
    mean = mean + responses.mean(0)
    tests = _test_rows(gram, is_train)
    return [T[s][:, test].T @ Q[s] + mean[s] for s, test in enumerate(tests)], n_iterations


def _backend(gram: Gram) -> tuple[Any, Callable[..., tuple[Any, np.ndarray]]]:
    """Return the array library that holds the matrix, and its power method."""
    if gram.device is None:
        return np, leading_weights
    import torch

    from vvscale.brain.metrics import power_iteration_torch as _power_torch

    return torch, _power_torch.leading_weights


def _test_rows(gram: Gram, is_train: np.ndarray) -> list[Any]:
    xp = _backend(gram)[0]
    return [xp.asarray(np.flatnonzero(~train), device=gram.device) for train in is_train]


def _cross_moments(gram: Gram, Y: Any, mean: Any, is_train: np.ndarray) -> Any:
    """Return M = Y'KY of each split's centred training responses, (S, q, q).

    The rows and columns of K and of Y sum to zero, so M of a split is M of all images less what the test
    images add, which costs a tenth of computing it anew.
    """
    tests = _test_rows(gram, is_train)
    moments = []
    if gram.factor is not None:
        C = gram.factor.T @ Y
        for shift, test in zip(mean, tests, strict=True):
            D = C - gram.factor[test].T @ (Y[test] - shift)
            moments.append(D.T @ D)
    else:
        KY = gram.matrix @ Y
        whole = Y.T @ KY
        for shift, test in zip(mean, tests, strict=True):
            A = Y[test] - shift
            cross = KY[test].T @ A
            M = whole - cross - cross.T + A.T @ (gram.matrix[test][:, test] @ A)
            moments.append((M + M.T) / 2)
    return _backend(gram)[0].stack(moments)


def _start_columns(responses: Any, is_train: np.ndarray) -> np.ndarray:
    """Return the first response of each split that varies over its training images, (S,)."""
    table = np.asarray(responses.cpu() if hasattr(responses, "cpu") else responses)
    first = np.zeros(len(is_train), dtype=np.int64)
    for split, train in enumerate(is_train):
        centred = table[train] - table[train].mean(0)
        # Equal numbers may differ from their mean by rounding; starting from that would be starting from
        # noise.
        varies = (np.ptp(table[train], axis=0) > 0) & (np.abs(centred).max(0) >= 10 * _EPS)
        first[split] = int(np.argmax(varies))
    return first
