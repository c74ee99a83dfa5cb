"""Representational similarity: how far two systems find the same pairs of images alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from vvscale.brain.metrics.checks import as_responses, pearson
from vvscale.errors import DataError


def dissimilarity(features: Any) -> np.ndarray:
    """Return one minus the correlation of every two images over features.

    Parameters
    ----------
    features
        (n_images, n_features) finite numbers.

    Returns
    -------
    numpy.ndarray
        (n_images, n_images) in [0, 2], zero on the diagonal.

    Raises
    ------
    DataError
        An image has the same value in all features, so it correlates with nothing.
    """
    table = as_responses(features, what="features")
    is_flat = np.ptp(table, axis=1) == 0
    if is_flat.any():
        raise DataError(
            f"Image {int(np.argmax(is_flat))} (counted from 0; {is_flat.sum()} such images) has the same "
            f"value in all {table.shape[1]} features; expected a pattern that can be correlated with others."
        )
    table = table - table.mean(1, keepdims=True)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    distance = 1.0 - np.clip(table @ table.T, -1.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    return distance


def representational_similarity(features: Any, responses: Any) -> float:
    """Rank-correlate the dissimilarities of two systems over all pairs of images.

    Parameters
    ----------
    features, responses
        (n_images, any number) each, images in the same order.

    Returns
    -------
    float
        Spearman correlation in [-1, 1]; nothing is fitted, so no split is needed.

    Source
    ------
    brainscore_vision/metrics/rdm/metric.py, metric 'rdm'.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((20, 50))
    >>> round(representational_similarity(features, 3 * features + 1), 12)
    1.0
    """
    left = as_responses(features, what="features")
    right = as_responses(responses, len(left))
    pairs = np.triu_indices(len(left), k=1)
    return float(pearson(*(rankdata(dissimilarity(table)[pairs]) for table in (left, right))))
