"""The power method of partial least squares for all splits at once.

It is for devices where starting a product costs more than the product itself.
"""

from __future__ import annotations

import numpy as np
import torch

from vvscale.brain.metrics.power_iteration import BLOCK, MAX_ITERATIONS, SQUARED_COSINE

# Shape legend: q responses, S splits, B iterations in a block.


def leading_weights(M: torch.Tensor, start: np.ndarray, floor: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """Do what :func:`vvscale.brain.metrics.power_iteration.leading_weights` does, with one check of the host per block.

    Splits that have met the stop rule keep their weights and iterate on unused until the slowest is done.

    Parameters
    ----------
    M
        (S, q, q) symmetric float64.
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
