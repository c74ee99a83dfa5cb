"""Centred kernel alignment with linear kernels: how far two systems place images alike, up to rotation and scale.

With K and L the (n, n) inner products of images of the two systems, CKA = h(K, L) / sqrt(h(K, K) h(L, L)). The biased
form takes h = sum_ij of the products of both, centred. The unbiased form (Song et al. 2007), which does not grow with
the number of features, leaves the diagonals out:

    h = [ sum_ij K_ij L_ij + sum K sum L / ((n - 1)(n - 2)) - 2 / (n - 2) sum_i (K 1)_i (L 1)_i ] / (n (n - 3))

Source: brainscore_vision/metrics/cka/metric.py; Kornblith et al. 2019; Murphy et al. 2024 (arXiv 2405.01012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vvscale.brain.metrics.centring import as_numpy
from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Need, Target
from vvscale.brain.metrics.outcome import Similarity
from vvscale.errors import ShapeError

# Shape legend: n images, D bootstrap draws.

MIN_IMAGES = 4
"""Images that the unbiased form needs: it divides by n - 3."""


@dataclass(frozen=True)
class CKA:
    """Linear centred kernel alignment, free of the bias that grows with features and neuroids over images."""

    name: ClassVar[str] = "cka"
    needs: ClassVar[Need] = "products"
    unbiased: ClassVar[bool] = True

    def measure(self, features: Gram, target: Target) -> Similarity:
        """Compare the inner products of the judged images."""
        part = features.take(target.judged)
        K = as_numpy(part.dense())
        L = target.once("cka", lambda: _products(target.responses[target.judged]))
        ones = np.ones((1, len(K)))
        value = _alignment(K, L, ones, unbiased=self.unbiased)
        return Similarity(
            value, lambda weights: _alignment(K, L, weights, unbiased=self.unbiased), target.judged, features.n_images
        )


@dataclass(frozen=True)
class BiasedCKA(CKA):
    """Linear centred kernel alignment as first published (Kornblith et al. 2019)."""

    name: ClassVar[str] = "cka-biased"
    unbiased: ClassVar[bool] = False


def centred_kernel_alignment(features: Any, responses: Any, *, unbiased: bool = True) -> float:
    """Compare two systems by centred kernel alignment.

    Parameters
    ----------
    features, responses
        (n_images, any number) each, images in the same order.
    unbiased
        Whether the estimate is that of :class:`CKA`, or of :class:`BiasedCKA`.

    Returns
    -------
    float
        At most 1; the unbiased form is 0 on average for systems that have nothing in common, and can be negative.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((20, 5))
    >>> round(centred_kernel_alignment(features, 2 * features[:, ::-1] + 1), 12)
    1.0
    """
    left = as_responses(features, what="features")
    K, L = _products(left), _products(as_responses(responses, len(left)))
    return float(_alignment(K, L, np.ones((1, len(K))), unbiased=unbiased)[0])


def _products(table: np.ndarray) -> np.ndarray:
    # Centring first changes neither form and keeps the digits.
    centred = table - table.mean(0)
    return centred @ centred.T


def _alignment(K: np.ndarray, L: np.ndarray, weights: np.ndarray, *, unbiased: bool) -> np.ndarray:
    """Return (D,) alignments of images that count (D, n) times; 0 where one side is the same for all images."""
    if unbiased and len(K) < MIN_IMAGES:
        raise ShapeError(f"Unbiased CKA needs at least {MIN_IMAGES} images, got {len(K)}.")
    # Units do not matter, and large ones would overflow when squared.
    K, L = (one / max(np.trace(one), np.finfo(float).tiny) for one in (K, L))
    if unbiased:
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    at_K, at_L = weights @ K, weights @ L
    KL, KK, LL = (
        _independence(weights, weights @ (a * b), of_a, of_b, unbiased=unbiased)
        for a, b, of_a, of_b in ((K, L, at_K, at_L), (K, K, at_K, at_K), (L, L, at_L, at_L))
    )
    product = KK * LL
    is_known = product > 0
    return np.where(is_known, KL / np.sqrt(np.where(is_known, product, 1.0)), 0.0)


def _independence(
    weights: np.ndarray, both: np.ndarray, at_K: np.ndarray, at_L: np.ndarray, *, unbiased: bool
) -> np.ndarray:
    """Return h of the module's text for weighted images, (D,): every sum over images becomes a weighted one.

    ``both``, ``at_K`` and ``at_L`` are the (D, n) products of the weights with K L (entry by entry), K and L.
    """
    n = weights.sum(1)
    same = (both * weights).sum(1)
    rows = (weights * at_K * at_L).sum(1)
    whole = (weights * at_K).sum(1) * (weights * at_L).sum(1)
    if unbiased:
        return (same + whole / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))
    return same - 2 * rows / n + whole / n**2
