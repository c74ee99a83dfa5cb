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
from itertools import pairwise
from typing import Any

import numpy as np

from vvscale.brain.metrics.centring import as_numpy
from vvscale.brain.metrics.gram import Gram

# Shape legend: N images, q responses, S splits, k components, B iterations in a block.

MAX_ITERATIONS = 500
"""scikit-learn's."""

BLOCK = 12
"""Iterations between two checks of the stop rule: a check costs as much as a product, and components of recordings
take 5 to 60 iterations."""

SQUARED_COSINE = (1.0 - 1e-6 / 2) ** 2
"""scikit-learn stops when unit weights move by less than 1e-6, squared: |w - v|^2 = 2 - 2 cos(w, v)."""

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


def cross_validate_parts(
    gram: Gram, responses: np.ndarray, is_train: np.ndarray, is_test: np.ndarray, n_components: int
) -> list[np.ndarray]:
    """Predict the test images of splits that leave most images out, from the products of the others alone.

    The same as :func:`cross_validate` on the CPU, of the images of each split: what mapping curves are made of, whose
    small parts would otherwise cost as much as the whole.

    Parameters
    ----------
    gram, responses, n_components
        As of :func:`cross_validate`; the gram holds a matrix.
    is_train, is_test
        (S, N) bool, as many images in each split.

    Returns
    -------
    list
        S tables (n_test, q) in the unit of the responses.
    """
    with _blas().limit(limits=1, user_api="blas"):
        return _cross_validate_parts(gram, responses, is_train, is_test, n_components)


def _cross_validate_parts(
    gram: Gram, responses: np.ndarray, is_train: np.ndarray, is_test: np.ndarray, n_components: int
) -> list[np.ndarray]:
    # Shapes: training images first, n of them, then the test images; m of both.
    rows = [np.r_[np.flatnonzero(train), np.flatnonzero(test)] for train, test in zip(is_train, is_test, strict=True)]
    n = int(is_train[0].sum())
    K = np.empty((len(rows), len(rows[0]), n))
    for s, of in enumerate(rows):
        K[s] = gram.matrix[of[:, None], of[:n]]
    K -= K[:, :n].mean(1, keepdims=True)
    Y = np.stack([responses[of[:n]] for of in rows])  # (S, n, q)
    mean = Y.mean(1, keepdims=True)
    Y -= mean
    start = _start_columns(responses, is_train)
    n_splits, m = K.shape[:2]

    def dot(u: np.ndarray) -> np.ndarray:
        """(S, n) -> (S, m), centred by the training images; u sums to zero."""
        found = (K @ u[:, :, None])[:, :, 0]
        return found - found[:, :n].mean(1, keepdims=True)

    M = Y.mT @ (K[:, :n] @ Y)
    M = (M + M.mT) / 2
    variance = np.trace(K[:, :n], axis1=1, axis2=2)
    whole, floor = np.trace(M, axis1=1, axis2=2), np.zeros(n_splits)
    T = np.zeros((n_splits, n_components, m))
    Q = np.zeros((n_splits, n_components, Y.shape[2]))
    n_iterations = np.ones(n_splits, dtype=np.int64)
    for j in range(n_components):
        is_worn = (np.trace(M, axis1=1, axis2=2) < _WORN * whole) & (n_iterations > 0)
        for s in np.flatnonzero(is_worn) if j else ():
            residual = Y[s] - T[s, :j, :n].T @ Q[s, :j]
            M[s] = residual.T @ K[s, :n] @ residual
            M[s] = (M[s] + M[s].T) / 2
            whole[s], floor[s] = M[s].trace(), _EXHAUSTED * variance[s] * (residual**2).sum()
        c, n_iterations = leading_weights(M, start, floor)
        weights = (Q[:, :j] @ c[:, :, None])[:, :, 0]
        u = (Y @ c[:, :, None])[:, :, 0] - (weights[:, None] @ T[:, :j, :n])[:, 0]
        t = dot(u)
        for _ in range(2):  # once leaves the rounding of large earlier components
            t = t - ((T[:, :j, :n] @ t[:, :n, None]).mT @ T[:, :j])[:, 0]
        length = np.sqrt((t[:, :n] ** 2).sum(1))[:, None]
        length[length == 0] = 1.0
        t = t / length
        loading = dot(t[:, :n])[:, :n]
        b = (t[:, None, :n] @ Y)[:, 0]
        a = (loading[:, None] @ Y)[:, 0] - ((T[:, :j, :n] @ loading[:, :, None]).mT @ Q[:, :j])[:, 0]
        a = a - 0.5 * (t[:, :n] * loading).sum(1)[:, None] * b
        M -= np.stack((a, b), 2) @ np.stack((b, a), 1)
        T[:, j], Q[:, j] = t, b
    return list(T[:, :, n:].mT @ Q + mean)


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
    tests = _rows(gram, ~is_train)
    return [T[s][:, test].T @ Q[s] + mean[s] for s, test in enumerate(tests)], n_iterations


def _backend(gram: Gram) -> tuple[Any, Callable[..., tuple[Any, np.ndarray]]]:
    """Return the array library that holds the matrix, and its power method."""
    if gram.device is None:
        return np, leading_weights
    import torch

    return torch, leading_weights_torch


def _rows(gram: Gram, masks: np.ndarray) -> list[Any]:
    xp = _backend(gram)[0]
    return [xp.asarray(np.flatnonzero(mask), device=gram.device) for mask in masks]


def _cross_moments(gram: Gram, Y: Any, mean: Any, is_train: np.ndarray) -> Any:
    """Return M = Y'KY of each split's centred training responses, (S, q, q).

    The rows and columns of K and of Y sum to zero, so M of a split is M of all images less what the others add. Where
    those are few, as test images are, that costs a tenth of computing it anew; where few images train, they alone do.
    """
    KY = gram.factor.T @ Y if gram.matrix is None else gram.matrix @ Y
    whole = KY.T @ KY if gram.matrix is None else Y.T @ KY
    moments = []
    for shift, train, other in zip(mean, _rows(gram, is_train), _rows(gram, ~is_train), strict=True):
        is_few = len(train) < len(other)
        rows = train if is_few else other
        A = Y[rows] - shift
        if gram.matrix is None:
            D = gram.factor[rows].T @ A
            D = D if is_few else KY - D
            moments.append(D.T @ D)
            continue
        M = A.T @ (gram.matrix[rows[:, None], rows] @ A)
        if not is_few:
            cross = KY[rows].T @ A
            M = whole - cross - cross.T + M
        moments.append((M + M.T) / 2)
    return _backend(gram)[0].stack(moments)


def _start_columns(responses: Any, is_train: np.ndarray) -> np.ndarray:
    """Return the first response of each split that varies over its training images, (S,)."""
    table = as_numpy(responses)
    first = np.zeros(len(is_train), dtype=np.int64)
    for split, train in enumerate(is_train):
        centred = table[train] - table[train].mean(0)
        # Equal numbers may differ from their mean by rounding; starting from that would be starting from
        # noise.
        varies = (np.ptp(table[train], axis=0) > 0) & (np.abs(centred).max(0) >= 10 * _EPS)
        first[split] = int(np.argmax(varies))
    return first


def leading_weights(M: np.ndarray, start: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Iterate scikit-learn's power method on each split's M.

    Blocks of iterations of all splits that are not done run without a check, since a check costs as much as a product,
    and the first iterate in the block that meets the stop rule is taken. With v_i = M^i e, the feature weights of
    consecutive iterates have the cosine v_i'v_i / sqrt(v_i'v_{i+1} v_{i-1}'v_i).

    Parameters
    ----------
    M
        (S, q, q) symmetric.
    start
        (S,) the response to start from.
    floor
        (S,) a trace of M at which nothing is left.

    Returns
    -------
    weights
        (S, q), zero where nothing is left.
    n_iterations
        (S,) as scikit-learn counts.
    """
    n_splits, n_responses = M.shape[:2]
    weights = np.zeros((n_splits, n_responses))
    n_iterations = np.zeros(n_splits, dtype=np.int64)
    trace = np.trace(M, axis1=1, axis2=2)
    active = np.flatnonzero(trace > floor)
    if n_responses == 1:
        weights[active], n_iterations[active] = 1.0, 1
        return weights, n_iterations
    scaled = M[active]
    scaled /= trace[active, None, None]  # eigenvalues at most 1, so a block cannot overflow
    V = np.zeros((BLOCK + 2, len(active), n_responses))
    V[0, np.arange(len(active)), start[active]] = 1.0
    np.matmul(scaled, V[0, :, :, None], out=V[1, :, :, None])
    for done in range(0, MAX_ITERATIONS, BLOCK):
        if not len(active):
            break
        # Taken out of the loop: slicing costs as much as the product of the few splits that take longest.
        iterates = list(V[1:, :, :, None])
        for before, after in pairwise(iterates):
            np.matmul(scaled, before, out=after)
        next_products = np.einsum("isq,isq->is", V[:-1], V[1:])
        lengths = np.einsum("isq,isq->is", V[1:-1], V[1:-1])
        scale = next_products[1:] * next_products[:-1]
        # A start column that is all but explained is rounding noise at first, which may have any sign.
        is_hit = (scale > 0) & (lengths * lengths > SQUARED_COSINE * scale)
        is_hit[MAX_ITERATIONS - 2 - done :] = True  # the last iteration is taken as it is
        hit = is_hit.argmax(0)
        is_done = is_hit[hit, np.arange(len(active))]
        weights[active[is_done]] = V[hit[is_done] + 1, is_done]
        n_iterations[active[is_done]] = done + hit[is_done] + 2
        rest = np.flatnonzero(~is_done)
        last = V[-2:, rest] / np.sqrt(lengths[-1, rest])[:, None]
        if len(rest) < len(active):
            active, scaled, V = active[rest], scaled[rest], V[:, rest]
        V[:2] = last
    return weights, n_iterations


def leading_weights_torch(M: Any, start: np.ndarray, floor: Any) -> tuple[Any, np.ndarray]:
    """Do what :func:`leading_weights` does for all splits at once, with one check of the host per block.

    It is for devices where starting a product costs more than the product itself. Splits that have met the stop rule
    keep their weights and iterate on unused until the slowest is done.
    """
    import torch

    n_splits, n_responses = M.shape[:2]
    trace = torch.linalg.diagonal(M).sum(1)
    is_done = ~(trace > floor)
    weights = torch.zeros(n_splits, n_responses, dtype=M.dtype, device=M.device)
    n_iterations = torch.zeros(n_splits, dtype=torch.int64, device=M.device)
    if n_responses == 1:
        weights[~is_done], n_iterations[~is_done] = 1.0, 1
        return weights, n_iterations.cpu().numpy()
    scaled = M / torch.where(is_done, 1.0, trace)[:, None, None]
    split = torch.arange(n_splits, device=M.device)
    V = torch.zeros(n_splits, BLOCK + 2, n_responses, dtype=M.dtype, device=M.device)
    V[split, 0, torch.as_tensor(start, device=M.device)] = 1.0
    V[:, 1] = torch.bmm(scaled, V[:, 0, :, None])[:, :, 0]
    for done in range(0, MAX_ITERATIONS, BLOCK):
        for i in range(1, BLOCK + 1):
            V[:, i + 1] = torch.bmm(scaled, V[:, i, :, None])[:, :, 0]
        next_products = (V[:, :-1] * V[:, 1:]).sum(2)
        lengths = (V[:, 1:-1] ** 2).sum(2)
        scale = next_products[:, 1:] * next_products[:, :-1]
        is_hit = (scale > 0) & (lengths**2 > SQUARED_COSINE * scale)
        is_hit[:, MAX_ITERATIONS - 2 - done :] = True
        first = is_hit.to(torch.int8).argmax(1)
        is_new = is_hit.any(1) & ~is_done
        weights = torch.where(is_new[:, None], V[split, first + 1], weights)
        n_iterations = torch.where(is_new, done + first + 2, n_iterations)
        is_done = is_done | is_new
        if bool(is_done.all()):
            break
        V[:, :2] = V[:, -2:] / lengths[:, -1].sqrt()[:, None, None]
    return weights, n_iterations.cpu().numpy()
