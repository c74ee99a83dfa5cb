"""How well the features of a layer predict neural responses linearly: the neural metric of Brain-Score.

Partial least squares with 25 components is fitted on nine tenths of the images and judged by Pearson
correlation on the rest, ten times; a split's value is the median over neuroids, the score the mean over
splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.metrics.checks import as_responses, median_over_neuroids, pearson
from vvscale.brain.metrics.gram import Gram, Precision
from vvscale.brain.metrics.nipals import cross_validate
from vvscale.brain.metrics.splits import stratified_splits
from vvscale.errors import ConfigError, DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Predictivity:
    """Cross-validated correlations between predicted and measured responses.

    Attributes
    ----------
    r
        (n_splits, n_neuroids) Pearson correlations over the test images, in [-1, 1]; NaN where a response or
        its prediction is constant over the test images of a split.
    is_train
        (n_splits, n_images) bool, the training images of each split.
    predictions, responses
        For each split (n_test, n_neuroids), and (n_images, n_neuroids), in the unit of the responses; what
        intervals over images are computed from.
    """

    r: np.ndarray
    is_train: np.ndarray = field(repr=False)
    predictions: tuple[np.ndarray, ...] = field(repr=False)
    responses: np.ndarray = field(repr=False)

    @property
    def raw_score(self) -> float:
        """Mean over splits of the median over neuroids, without a ceiling."""
        return float(self.r_by_split.mean())

    @property
    def error(self) -> float:
        """Standard deviation over splits of the median, divided by the root of their number."""
        return float(self.r_by_split.std() / np.sqrt(len(self.r)))

    @property
    def r_by_split(self) -> np.ndarray:
        """(n_splits,) medians over neuroids, leaving NaN out."""
        return median_over_neuroids(self.r)

    def table(self) -> pd.DataFrame:
        """Return one row per neuroid: mean and standard deviation of r over the splits."""
        is_known = ~np.isnan(self.r)
        n = is_known.sum(0)
        with np.errstate(invalid="ignore"):
            mean = np.where(is_known, self.r, 0.0).sum(0) / n
            spread = np.sqrt(np.where(is_known, (self.r - mean) ** 2, 0.0).sum(0) / n)
        return pd.DataFrame({"neuroid": np.arange(len(n)), "r": mean, "r_std": spread, "n_splits": n})

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types; NaN becomes None."""
        r = [[None if np.isnan(value) else float(value) for value in row] for row in self.r]
        return {"raw_score": self.raw_score, "error": self.error, "r": r}


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
    if n_components < 1:
        raise ConfigError(f"Got n_components={n_components}; expected at least 1.")
    # Responses are checked first: they are small, and a layer can take minutes.
    n_images = features.n_images if isinstance(features, Gram) else len(features)
    table = as_responses(responses, n_images)
    if (np.ptp(table, axis=0) == 0).all():
        raise DataError(f"None of the {table.shape[1]} responses differs between images; there is nothing to predict.")
    is_train = draw_splits(stratify, n_images, n_splits=n_splits, train_size=train_size, seed=seed)
    gram = features if isinstance(features, Gram) else Gram.from_features(features, precision=precision, device=device)
    if n_components > gram.n_features:
        raise ShapeError(
            f"{n_components} components need at least as many features, got {gram.n_features}. "
            f"Pass n_components={gram.n_features} or less."
        )
    if gram.device is None:
        predictions, _ = cross_validate(gram, table, is_train, n_components)
    else:
        import torch

        held = torch.as_tensor(table, device=gram.device)
        predictions = [split.cpu().numpy() for split in cross_validate(gram, held, is_train, n_components)[0]]
    return judge(predictions, table, is_train)


def judge(predictions: Sequence[np.ndarray], responses: np.ndarray, is_train: np.ndarray) -> Predictivity:
    """Correlate each split's (n_test, q) predictions with the responses to its test images."""
    r = [pearson(responses[~train], predicted) for predicted, train in zip(predictions, is_train, strict=True)]
    return Predictivity(np.stack(r), is_train, tuple(predictions), responses)


def draw_splits(stratify: Any, n_images: int, **options: Any) -> np.ndarray:
    """Draw splits of ``n_images``, with strata when ``stratify`` is not None."""
    if stratify is None:
        return stratified_splits(n_images, **options)
    if len(stratify) != n_images:
        raise ShapeError(f"'stratify' has {len(stratify)} labels for {n_images} images; expected one per image.")
    return stratified_splits(stratify, **options)
