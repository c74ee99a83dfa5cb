"""Folds that keep groups whole, and standard errors that know of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.core.options import SEED
from vvscale.errors import ShapeError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def clustered_error(values: Array, group: NDArray[np.intp]) -> float:
    """Return the standard error of the mean of ``values`` (n,) whose rows are independent between groups only."""
    k = int(group.max()) + 1
    sums = np.bincount(group, weights=values - values.mean(), minlength=k)
    return float(np.sqrt((sums**2).sum() * k / (k - 1)) / len(values))


def clustered_covariance(bread: NDArray[Any], design: Array, residual: Array, group: NDArray[np.intp]) -> Array:
    """Return the sandwich covariance (p, p) of least squares on ``design`` (p, n), rows independent between groups."""
    k = int(group.max()) + 1
    scores = np.stack([np.bincount(group, weights=row * residual, minlength=k) for row in design])
    return bread @ (scores @ scores.T) @ bread * k / (k - 1)


def grouped_folds(group: NDArray[np.intp], n_folds: int, *, seed: int = SEED) -> NDArray[np.intp]:
    """Fold of each row, whole groups together, folds of nearly equal size.

    Groups go, largest first and equal ones in random order, to the fold with fewest rows so far; the sizes of the
    folds are those of scikit-learn's ``GroupKFold``.

    Parameters
    ----------
    group
        Group of each row, shape (n,), 0 to K - 1.
    n_folds
        At least 2; K if there are fewer groups.

    Raises
    ------
    UsageError
        Fewer than 2 folds.
    ShapeError
        A single group.

    Examples
    --------
    >>> grouped_folds(np.array([0, 0, 1, 2]), 2).tolist()
    [0, 0, 1, 1]
    """
    size = np.bincount(group)
    if n_folds < 2:
        raise UsageError(f"Cross-validation needs at least 2 folds, got {n_folds}. 10 is usual.")
    if len(size) < 2:
        raise ShapeError(
            f"Cannot cross-validate: all {len(group)} rows belong to one group. Choose row as `by`, or rows of more "
            "groups."
        )
    shuffled = np.random.default_rng(seed).permutation(len(size))
    fold = np.empty(len(size), dtype=np.intp)
    load = np.zeros(min(n_folds, len(size)))
    for k in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        fold[k] = load.argmin()
        load[fold[k]] += size[k]
    return fold[group]
