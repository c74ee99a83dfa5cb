"""The power method of partial least squares, with scikit-learn's stop rule, in NumPy.

Source: scikit-learn, sklearn/cross_decomposition/_pls.py (iterate, stop rule).
"""

from __future__ import annotations

import numpy as np

# Shape legend: q responses, S splits, B iterations in a block.

MAX_ITERATIONS = 500

BLOCK = 12
"""Iterations between two checks."""

SQUARED_COSINE = (1.0 - 1e-6 / 2) ** 2
"""scikit-learn stops when unit weights move by less than 1e-6, squared: |w - v|^2 = 2 - 2 cos(w, v)."""


def leading_weights(M: np.ndarray, start: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Iterate scikit-learn's power method on each split's M.

    Blocks of iterations run without a check, since a check costs as much as a product, and the first iterate
    in the block that meets the stop rule is taken. With v_i = M^i e, the feature weights of consecutive
    iterates have the cosine v_i'v_i / sqrt(v_i'v_{i+1} v_{i-1}'v_i).

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
    V = np.empty((BLOCK + 2, n_responses))
    rows = list(V)
    for split in range(n_splits):
        trace = M[split].trace()
        if not trace > floor[split]:
            continue
        if n_responses == 1:
            weights[split], n_iterations[split] = 1.0, 1
            continue
        scaled = M[split] / trace  # eigenvalues at most 1, so a block cannot overflow
        V[0] = 0.0
        V[0, start[split]] = 1.0
        np.dot(scaled, rows[0], out=rows[1])
        for done in range(0, MAX_ITERATIONS, BLOCK):
            for i in range(1, BLOCK + 1):
                np.dot(scaled, rows[i], out=rows[i + 1])
            next_products = np.einsum("iq,iq->i", V[:-1], V[1:])
            lengths = np.einsum("iq,iq->i", V[1:-1], V[1:-1])
            scale = next_products[1:] * next_products[:-1]
            # A start column that is all but explained is rounding noise at first, which may have any sign.
            is_hit = (scale > 0) & (lengths * lengths > SQUARED_COSINE * scale)
            is_hit[MAX_ITERATIONS - 2 - done :] = True  # the last iteration is taken as it is
            hit = int(is_hit.argmax())
            if is_hit[hit]:
                weights[split], n_iterations[split] = V[hit + 1], done + hit + 2
                break
            V[:2] = V[-2:] / np.sqrt(lengths[-1])
    return weights, n_iterations
