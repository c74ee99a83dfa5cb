"""Which images train and which test, by the reference's rule.

A split depends on the order of the images, so hand them over in the order of the assembly: averaged over
repetitions, sorted by image.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vvscale.errors import ShapeError


class Splits(NamedTuple):
    """Images that train and test.

    Attributes
    ----------
    is_train, is_test
        (S, N) bool; None for is_test where all images that do not train test.
    """

    is_train: np.ndarray
    is_test: np.ndarray | None = None


def stratified_splits(stratify: Any, *, n_splits: int = 10, train_size: float = 0.9, seed: int = 1) -> np.ndarray:
    """Draw random splits that keep the shares of the strata.

    Parameters
    ----------
    stratify
        (n_images,) labels whose shares training and test images keep, or an integer n_images for no strata.
    n_splits, train_size, seed
        Number of splits, share of training images in (0, 1), and state of the generator.

    Returns
    -------
    numpy.ndarray
        (n_splits, n_images) bool, True for training images.

    Raises
    ------
    ShapeError
        A stratum has one image only, or there are fewer test images than strata.

    Source
    ------
    brainscore_vision/metric_helpers/transformations.py, class Split.

    Examples
    --------
    >>> stratified_splits(list("aaaaabbbbb"), n_splits=2, train_size=0.8).sum(1)
    array([8, 8])
    """
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

    if isinstance(stratify, (int, np.integer)):
        labels, kind = np.zeros(int(stratify)), ShuffleSplit
    else:
        labels, kind = np.asarray(stratify), StratifiedShuffleSplit
        _refuse_small_strata(labels, train_size)
    draws = kind(n_splits=n_splits, train_size=train_size, random_state=seed)
    is_train = np.zeros((n_splits, len(labels)), dtype=bool)
    try:
        for split, (train, _) in enumerate(draws.split(labels, labels)):
            is_train[split, train] = True
    except ValueError as error:
        raise ShapeError(
            f"Cannot draw {n_splits} splits with train_size {train_size} of {len(labels)} images: {error}"
        ) from error
    return is_train


def _refuse_small_strata(labels: np.ndarray, train_size: float) -> None:
    names, counts = np.unique(labels, return_counts=True)
    if (counts < 2).any():
        alone = names[counts < 2]
        raise ShapeError(
            f"Stratum '{alone[0]}' has only one image ({len(alone)} of {len(names)} strata do); expected at "
            "least 2, one to train on and one to test on. Merge it with another stratum, or pass "
            "stratify=None."
        )
    n_test = len(labels) - int(train_size * len(labels))
    if n_test < len(names):
        raise ShapeError(
            f"{n_test} test images cannot represent {len(names)} strata; expected at least one per stratum. "
            f"Lower train_size below {1 - len(names) / len(labels):.3f}, or pass stratify=None."
        )


def draw_splits(stratify: Any, n_images: int, **options: Any) -> np.ndarray:
    """Draw splits of ``n_images``, with strata when ``stratify`` is not None."""
    if stratify is None:
        return stratified_splits(n_images, **options)
    if len(stratify) != n_images:
        raise ShapeError(f"'stratify' has {len(stratify)} labels for {n_images} images; expected one per image.")
    return stratified_splits(stratify, **options)
