"""Linear predictivity by ridge regression, in the form that needs inner products of images only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import linalg

from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.pls import Predictivity, draw_splits, judge
from vvscale.errors import ConfigError

# Shape legend: n training images, q responses, a penalties.

ALPHAS = (
    0.01, 0.1, 0.5, 1.0,
    *np.linspace(1e1, 1e2, 4, endpoint=False).tolist(),
    *(float(step * size) for size in (1e2, 1e3, 1e4, 1e5) for step in np.arange(1.0, 10.0, 0.5)),
    *np.linspace(1e6, 1e7, 19).tolist(),
)  # fmt: skip
"""Penalties that the reference chooses from."""


def ridge_predictivity(
    features: Any,
    responses: Any,
    *,
    stratify: Any,
    alpha: float | Sequence[float] = 1.0,
    n_splits: int = 10,
    train_size: float = 0.9,
    seed: int = 1,
) -> Predictivity:
    """Predict neural responses from the features of a layer by ridge regression.

    Parameters
    ----------
    features
        (n_images, n_features) numbers, or a :class:`Gram` of them; solved on the CPU.
    responses
        (n_images, n_neuroids) numbers, any unit.
    stratify
        (n_images,) labels to balance over training and test images, or None.
    alpha
        The penalty, above 0, in squared units of the features. Several penalties, such as :data:`ALPHAS`, are
        compared within each split's training images by generalised cross-validation and one is used for all
        responses.
    n_splits, train_size, seed
        As in :func:`linear_predictivity`.

    Raises
    ------
    ConfigError
        A penalty is not above 0.
    ShapeError, DataError
        As in :func:`linear_predictivity`.

    Source
    ------
    brainscore_vision/metrics/regression_correlation/metric.py, DualRidgeRegression and DualRidgeCVRegression.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((60, 80))
    >>> result = ridge_predictivity(features, features @ rng.standard_normal((80, 5)), stratify=None)
    >>> bool(result.raw_score > 0.5)
    True
    """
    alphas = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
    if alphas.ndim != 1 or not len(alphas) or not (alphas > 0).all():
        raise ConfigError(f"Got alpha={alpha}; expected a number above 0, or several.")
    table = as_responses(responses, features.n_images if isinstance(features, Gram) else len(features))
    is_train = draw_splits(stratify, len(table), n_splits=n_splits, train_size=train_size, seed=seed)
    gram = features if isinstance(features, Gram) else Gram.from_features(features)
    K = gram.dense() if gram.device is None else gram.dense().cpu().numpy()
    predictions = []
    for train in is_train:
        mean = table[train].mean(0)
        # Centre rows and columns by training images; test rows by the same means.
        rows = K[:, train] - K[train][:, train].mean(0)
        rows = rows - rows.mean(1, keepdims=True)
        dual = _dual_weights(rows[train], table[train] - mean, alphas)
        predictions.append(rows[~train] @ dual + mean)
    return judge(predictions, table, is_train)


def _dual_weights(K: np.ndarray, Y: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Solve (K + alpha I) w = Y for (n, q) weights, with the alpha of least leave-one-out error."""
    if len(alphas) == 1:
        return linalg.solve(K + alphas[0] * np.eye(len(K)), Y, assume_a="pos")
    values, vectors = linalg.eigh((K + K.T) / 2, driver="evd")
    projected = vectors.T @ Y
    errors = []
    for alpha in alphas:
        weight = 1.0 / (np.maximum(values, 0.0) + alpha)
        # The mean is fitted without penalty: the constant direction, where K is zero, leaves no residual.
        leverage_left = (vectors**2) @ weight - 1.0 / (alpha * len(K))
        residual = (vectors @ (weight[:, None] * projected)) / leverage_left[:, None]
        errors.append((residual**2).mean())
    best = alphas[int(np.argmin(errors))]
    return vectors @ (projected / (np.maximum(values, 0.0) + best)[:, None])
