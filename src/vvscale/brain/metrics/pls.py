"""How well the features of a layer predict neural responses linearly: the neural metric of Brain-Score.

Partial least squares with 25 components is fitted on nine tenths of the images and judged by Pearson
correlation on the rest, ten times; a split's value is the median over neuroids, the score the mean over
splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram, Precision
from vvscale.brain.metrics.metric import Need, Target
from vvscale.brain.metrics.nipals import cross_validate, cross_validate_parts
from vvscale.brain.metrics.predictivity import Aggregate, Predictivity, judge
from vvscale.brain.metrics.splits import draw_splits
from vvscale.errors import ConfigError, DataError, ShapeError

_SHARED_READS = 2
"""Products of all images are read once for all splits, but scores of all images are carried: worth so many reads."""


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
        if features.device is None and _leaves_most_out(features, target):
            predictions = cross_validate_parts(
                features, table, target.is_train, target.is_test, self.n_components
            )  # fmt: skip
        elif features.device is None:
            predictions, _ = cross_validate(features, table, target.is_train, self.n_components)
        else:
            import torch

            held = torch.as_tensor(table, device=features.device)
            found, _ = cross_validate(features, held, target.is_train, self.n_components)
            predictions = [split.cpu().numpy() for split in found]
        return judge(predictions, target, aggregate=self.aggregate)


def _leaves_most_out(features: Gram, target: Target) -> bool:
    """Whether products of each split's own images are less to read than those of all images, which splits share."""
    n_train, n_test = target.is_train.sum(1), target.is_test.sum(1)
    if features.matrix is None or np.ptp(n_train) or np.ptp(n_test):
        return False
    n, m = int(n_train[0]), int(n_train[0] + n_test[0])
    return m < features.n_images and len(n_train) * n * m < _SHARED_READS * features.n_images**2


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
