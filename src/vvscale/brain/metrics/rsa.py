"""Representational similarity: how far two systems find the same pairs of images alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, cast

import numpy as np
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, rankdata

from vvscale.brain.metrics.centring import as_numpy
from vvscale.brain.metrics.checks import as_responses, correlate_sums, pearson
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Need, Target
from vvscale.brain.metrics.outcome import Similarity
from vvscale.errors import DataError, unknown_name

# Shape legend: n images, m = n (n - 1) / 2 pairs of images, M subjects, D bootstrap draws.

_KENDALL_PAIRS = 2e7
"""Pairs over all draws up to which Kendall's tau is drawn again: it sorts all pairs each time, some 10 s for these."""


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(pearson(rankdata(a), rankdata(b)))


def _kendall(a: np.ndarray, b: np.ndarray) -> float:
    # SciPy's stubs do not know what it returns.
    return float(cast("Any", kendalltau(a, b)).statistic)


COMPARISONS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = MappingProxyType(
    {
        "spearman": _spearman,
        "pearson": lambda a, b: float(pearson(a, b)),
        "kendall": _kendall,
        "cosine": _cosine,
    }
)
"""How two lists of dissimilarities (m,) are compared; ``kendall`` is tau-b."""


@dataclass(frozen=True)
class RSA:
    """Similarity of dissimilarities.

    A layer's dissimilarity of two images is one minus their correlation over features. It is compared with that of
    the recordings, over neuroids, or with the tables of several subjects, and then averaged over them.

    Attributes
    ----------
    comparison
        ``spearman``, ``pearson``, ``kendall`` or ``cosine``.

    Source
    ------
    brainscore_vision/metrics/rdm/metric.py, metric 'rdm' (Spearman).
    """

    comparison: str = "spearman"
    name: ClassVar[str] = "rsa"
    needs: ClassVar[Need] = "products"

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            raise unknown_name("comparison of dissimilarities", self.comparison, COMPARISONS)

    def measure(self, features: Gram, target: Target) -> Similarity:
        """Compare the dissimilarities of the judged images."""
        part = features.take(target.judged)
        pairs = upper(gram_dissimilarity(part))
        others = target.once("rsa", lambda: target_pairs(target))
        compare = COMPARISONS[self.comparison]
        by_subject = np.array([compare(pairs, other) for other in others])
        return Similarity(by_subject, self._resampler(pairs, others), target.judged, features.n_images)

    def _resampler(self, pairs: np.ndarray, others: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        if self.comparison == "kendall":
            return lambda weights: _kendall_draws(pairs, others, weights)
        if self.comparison == "spearman":
            # Ranks of all pairs stand for those of the drawn ones, which would have to be sorted for every draw.
            pairs, others = rankdata(pairs), np.stack([rankdata(other) for other in others])
        return lambda weights: _weighted_similarity(
            squareform(pairs), list(map(squareform, others)), weights, is_cosine=self.comparison == "cosine"
        )


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
        raise _flat(int(np.argmax(is_flat)), int(is_flat.sum()), table.shape[1])
    table = table - table.mean(1, keepdims=True)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return _distance(table @ table.T)


def gram_dissimilarity(gram: Gram) -> np.ndarray:
    """Return :func:`dissimilarity` from inner products of features as they are, without the features.

    The mean over features of image i is t_i / p, with t the totals, so its products with others lose t_i t_j / p.
    """
    products, totals, rounding = map(as_numpy, (gram.plain(), gram.totals, gram.rounding()))
    products -= np.outer(totals, totals) / gram.n_features
    length = products.diagonal().copy()
    # What rounding leaves of an image that is the same in all features.
    is_flat = length <= rounding
    if is_flat.any():
        raise _flat(int(np.argmax(is_flat)), int(is_flat.sum()), gram.n_features)
    scale = np.sqrt(length)
    return _distance(products / scale[:, None] / scale)


def representational_similarity(features: Any, responses: Any, *, comparison: str = "spearman") -> float:
    """Compare the dissimilarities of two systems over all pairs of images.

    Parameters
    ----------
    features, responses
        (n_images, any number) each, images in the same order.
    comparison
        As of :class:`RSA`.

    Returns
    -------
    float
        Similarity in [-1, 1]; nothing is fitted, so no split is needed.

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
    compare = COMPARISONS[RSA(comparison).comparison]
    return compare(upper(dissimilarity(left)), upper(dissimilarity(right)))


def upper(table: Any) -> np.ndarray:
    """Return (m,) float64 the pairs above the diagonal of an (n, n) table, whatever lies below."""
    return squareform(np.asarray(table, dtype=np.float64), force="tovector", checks=False)


def target_pairs(target: Target) -> np.ndarray:
    """Return (M, m) dissimilarities of the judged images."""
    if target.rdms is not None:
        return np.stack([upper(one) for one in target.rdms])
    return upper(dissimilarity(target.responses[target.judged]))[None]


def weighted_pairs(weights: np.ndarray, *tables: np.ndarray) -> list[np.ndarray]:
    """Sum (n, n) tables over pairs of different images, each pair as often as (D, n) counts say: (D,) each.

    Tables are symmetric; their diagonals do not count, so neither does an image that was drawn twice with itself.

    Examples
    --------
    >>> table = np.array([[9.0, 1.0], [1.0, 9.0]])
    >>> [one.tolist() for one in weighted_pairs(np.array([[1.0, 1.0], [2.0, 0.0]]), table)]
    [[1.0, 0.0]]
    """
    sums = []
    for table in tables:
        off = table - np.diag(np.diag(table))
        sums.append(((weights @ off) * weights).sum(1) / 2)
    return sums


def _weighted_similarity(
    a: np.ndarray, others: list[np.ndarray], weights: np.ndarray, *, is_cosine: bool
) -> np.ndarray:
    total = np.zeros(len(weights))
    n_pairs = (weights.sum(1) ** 2 - (weights**2).sum(1)) / 2
    sum_a, sum_aa = weighted_pairs(weights, a, a * a)
    for b in others:
        sum_b, sum_bb, sum_ab = weighted_pairs(weights, b, b * b, a * b)
        if is_cosine:
            total += sum_ab / np.sqrt(sum_aa * sum_bb)
        else:
            total += correlate_sums(np.stack((n_pairs, sum_a, sum_b, sum_aa, sum_bb, sum_ab), -1))
    return total / len(others)


def _kendall_draws(pairs: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return tau of the different images of each draw; NaN where that would take too long."""
    if len(weights) * len(pairs) * len(others) > _KENDALL_PAIRS:
        return np.full(len(weights), np.nan)
    rows, columns = np.triu_indices(weights.shape[1], k=1)
    drawn = []
    for one in weights:
        n_times = (one[rows] * one[columns]).astype(int)
        taken = np.repeat(np.arange(len(pairs)), n_times)
        drawn.append(np.mean([_kendall(pairs[taken], other[taken]) for other in others]))
    return np.array(drawn)


def _distance(correlations: np.ndarray) -> np.ndarray:
    distance = 1.0 - np.clip(correlations, -1.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    return distance


def _flat(image: int, n_flat: int, n_features: int) -> DataError:
    return DataError(
        f"Image {image} (counted from 0; {n_flat} such images) has the same value in all {n_features} features; "
        "expected a pattern that can be correlated with others."
    )
