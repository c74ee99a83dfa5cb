"""How well the features of a layer predict neural responses linearly: the neural metric of Brain-Score.

Partial least squares with 25 components is fitted on nine tenths of the images and judged by Pearson
correlation on the rest, ten times; a split's value is the median over neuroids, the score the mean over
splits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from vvscale.brain.metrics.centring import as_numpy
from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram, Precision
from vvscale.brain.metrics.metric import Need, Target
from vvscale.brain.metrics.nipals import cross_validate, cross_validate_parts
from vvscale.brain.metrics.outcome import Aggregate, Predictivity, judge
from vvscale.brain.metrics.splits import draw_splits
from vvscale.errors import ConfigError, DataError, ShapeError

_FEW = 0.2
"""Products of all images are read once for all splits, those of a split's own images for it alone: the second costs
less where they are at most this share of the first."""

_MOST_TABLES = 3
"""(N, N) tables that splits worked on at one time may take; together they cost less than one after the other."""

_LEAST_AT_ONCE = 10
"""Splits that are worked on at one time whatever they take, as many as the reference draws."""


@dataclass(frozen=True)
class PLS:
    """Partial least squares, the reference's neural metric.

    Attributes
    ----------
    n_components
        Components of the regression, at most n_features.
    aggregate
        How neuroids become one number: ``median`` or ``mean``.

    Source
    ------
    brainscore_vision/metrics/regression_correlation/metric.py, metric 'pls'.
    """

    n_components: int = 25
    aggregate: Aggregate = "median"
    name: ClassVar[str] = "pls"
    needs: ClassVar[Need] = "products"
    n_tables: ClassVar[int] = 2
    splits_share_work: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise ConfigError(f"Got n_components={self.n_components}; expected at least 1.")

    def measure(self, features: Gram, target: Target) -> Predictivity:
        """Predict the responses to each split's test images."""
        if self.n_components > features.n_features:
            raise ShapeError(
                f"{self.n_components} components need at least as many features, got {features.n_features}. "
                'Read so small a layer by ridge regression, `metric="ridge"`, or give PLS fewer components.'
            )
        table = target.responses
        if (np.ptp(table, axis=0) == 0).all():
            raise DataError(
                f"None of the {table.shape[1]} responses differs between images; there is nothing to predict."
            )
        if features.device is None:
            predictions = [found for turn in self._turns(features, target) for found in self._predict(features, turn)]
        else:
            import torch

            held = torch.as_tensor(table, device=features.device)
            found, _ = cross_validate(features, held, target.is_train, self.n_components)
            predictions = [as_numpy(split) for split in found]
        return judge(predictions, target, aggregate=self.aggregate)

    def _predict(self, features: Gram, target: Target) -> list[np.ndarray]:
        if _leaves_most_out(features, target):
            is_train, is_test = target.is_train, target.is_test
            return cross_validate_parts(features, target.responses, is_train, is_test, self.n_components)
        return cross_validate(features, target.responses, target.is_train, self.n_components)[0]

    def _turns(self, features: Gram, target: Target) -> Iterator[Target]:
        """Divide many splits into as few equal parts as memory allows."""
        n_splits, n_images = target.is_train.shape
        each = self.n_components * n_images + target.responses.shape[1] ** 2
        if _leaves_most_out(features, target):
            each += _own_products(target)
        most = max(_LEAST_AT_ONCE, _MOST_TABLES * n_images**2 // each)
        size = math.ceil(n_splits / math.ceil(n_splits / most))
        for start in range(0, n_splits, size):
            turn = slice(start, start + size)
            yield replace(target, is_train=target.is_train[turn], is_test=target.is_test[turn])


def _own_products(target: Target) -> int:
    """Return the products of a split's training images with all of its images, of the first split."""
    n_train = int(target.is_train[0].sum())
    return n_train * (n_train + int(target.is_test[0].sum()))


def _leaves_most_out(features: Gram, target: Target) -> bool:
    """Whether products of each split's own images are less to read than those of all images, which splits share."""
    if features.matrix is None or np.ptp(target.is_train.sum(1)) or np.ptp(target.is_test.sum(1)):
        return False
    is_part = bool((~(target.is_train[0] | target.is_test[0])).any())
    return is_part and _own_products(target) < _FEW * features.n_images**2


def linear_predictivity(
    features: Any,
    responses: Any,
    *,
    stratify: Any,
    n_components: int = 25,
    n_splits: int = 10,
    train_size: float = 0.9,
    seed: int = 1,
    precision: Precision = "float64",
    device: str | None = None,
) -> Predictivity:
    """Predict neural responses from the features of a layer by partial least squares.

    Rows are used in the order given, and the splits depend on it; Brain-Score sorts images by their
    identifier. The order of the neuroids matters too, since the first is where the iteration starts.

    Parameters
    ----------
    features
        (n_images, n_features) numbers, or a :class:`Gram` made from them, which serves any number of calls.
    responses
        (n_images, n_neuroids) numbers averaged over repetitions, any unit; (n_images,) is one neuroid.
    stratify
        (n_images,) labels to balance over training and test images; None draws without strata.
    n_components
        Components of the regression, at most n_features.
    n_splits, train_size, seed
        Number of random splits, share of training images, state of the generator.
    precision, device
        As in :meth:`Gram.from_features`; ignored when ``features`` is a :class:`Gram`. A device gives the
        same correlations within 1e-6.

    Returns
    -------
    Predictivity
        With ``.r`` of shape (n_splits, n_neuroids), ``.raw_score`` and ``.error``.

    Raises
    ------
    ShapeError
        Rows do not match, a stratum has one image, or there are fewer features than components.
    DataError
        NaN or infinity in the features or responses, a dead layer, or no response that varies.

    Notes
    -----
    Where the features of the training images have lower rank than ``n_components``, components stop at the
    rank; scikit-learn goes on with rounding noise there.

    Source
    ------
    brainscore_vision/metrics/regression_correlation/metric.py, metric 'pls'.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((60, 30))
    >>> result = linear_predictivity(features, features[:, :3], stratify=["a", "b"] * 30)
    >>> result.r.shape
    (10, 3)
    >>> round(result.raw_score, 3)
    1.0
    """
    # Settings and responses are checked first: they are small, and a layer can take minutes.
    metric = PLS(n_components)
    table = as_responses(responses, features.n_images if isinstance(features, Gram) else len(features))
    is_train = draw_splits(stratify, len(table), n_splits=n_splits, train_size=train_size, seed=seed)
    gram = features if isinstance(features, Gram) else Gram.from_features(features, precision=precision, device=device)
    return metric.measure(gram, Target(table, is_train, np.arange(len(table))))
