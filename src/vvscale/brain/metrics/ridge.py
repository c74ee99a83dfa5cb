r"""Linear predictivity by ridge regression.

For centred features X (n, p) and responses Y (n, q) of the training images, and K = X X' (n, n),

    W = argmin |Y - X W|^2 + alpha |W|^2,      predictions of other images = K_test (K + alpha I)^-1 Y.

Where features are fewer than images the same numbers come from the (p, p) moments X'X: whichever is smaller is solved.
With K = V diag(v) V', the residual of image i when it is left out is (Y - K (K + alpha I)^-1 Y)_i / (1 - h_i), with the
leverage h_i = sum_k V_ik^2 v_k / (v_k + alpha) + 1/n, whose last term is the intercept; so leave-one-out errors of all
penalties follow from one decomposition.

Source: scikit-learn, sklearn/linear_model/_ridge.py (objective, generalised cross-validation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import linalg

from vvscale.brain.metrics.centring import as_numpy
from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Need, Target
from vvscale.brain.metrics.outcome import Aggregate, Predictivity, judge
from vvscale.brain.metrics.splits import draw_splits
from vvscale.errors import ConfigError

# Shape legend: n training images, m test images, q responses, a penalties, r rank: n, or p where that is smaller.

ALPHAS = (
    0.01, 0.1, 0.5, 1.0,
    *np.linspace(1e1, 1e2, 4, endpoint=False).tolist(),
    *(float(step * size) for size in (1e2, 1e3, 1e4, 1e5) for step in np.arange(1.0, 10.0, 0.5)),
    *np.linspace(1e6, 1e7, 19).tolist(),
)  # fmt: skip
"""Penalties that the reference chooses from."""

_DIGITS = 1e-13
"""Share of the largest below which a column is rounding."""

_AT_ONCE = 256
"""Rows or columns of one product: wide enough for full speed, few enough to take no memory beside the decomposition."""


@dataclass(frozen=True)
class Ridge:
    """Ridge regression with one penalty.

    Attributes
    ----------
    alpha
        The penalty, above 0, in squared units of the features.
    aggregate
        How neuroids become one number: ``median`` or ``mean``.

    Source
    ------
    brainscore_vision/metrics/regression_correlation/metric.py, DualRidgeRegression.
    """

    alpha: float = 1.0
    aggregate: Aggregate = "median"
    name: ClassVar[str] = "ridge"
    needs: ClassVar[Need] = "products"
    n_tables: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.alpha) and self.alpha > 0):
            raise ConfigError(f"Got alpha={self.alpha}; expected a number above 0.")

    def measure(self, features: Gram, target: Target) -> Predictivity:
        """Predict the responses to each split's test images."""
        predictions = [
            _predicted(features, train, target.responses, lambda solver: solver.solve(self.alpha))
            for train in target.is_train
        ]
        return judge(predictions, target, aggregate=self.aggregate)


@dataclass(frozen=True)
class RidgeCV:
    """Ridge regression whose penalty is chosen by leave-one-out error within the training images.

    Attributes
    ----------
    alphas
        Penalties to choose from, each above 0, in squared units of the features.
    per_target
        Whether each neuroid has a penalty of its own; otherwise one serves all, that of the least mean squared error
        over neuroids.
    aggregate
        How neuroids become one number: ``median`` or ``mean``.

    Notes
    -----
    A penalty at either end of the grid says that the grid may be too short; the outcome's note counts them.

    Source
    ------
    scikit-learn, RidgeCV; brainscore_vision/metrics/regression_correlation/metric.py, DualRidgeCVRegression.
    """

    alphas: tuple[float, ...] = ALPHAS
    per_target: bool = False
    aggregate: Aggregate = "median"
    name: ClassVar[str] = "ridge-cv"
    needs: ClassVar[Need] = "products"
    n_tables: ClassVar[int] = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "alphas", tuple(_checked(self.alphas).tolist()))

    def measure(self, features: Gram, target: Target) -> Predictivity:
        """Predict the responses to each split's test images."""
        chosen: list[np.ndarray] = []

        def solve(solver: _Solver) -> np.ndarray:
            chosen.append(solver.best(np.array(self.alphas), per_target=self.per_target))
            return solver.solve(chosen[-1])

        predictions = [_predicted(features, train, target.responses, solve) for train in target.is_train]
        note = self._note(np.stack(chosen))
        return judge(predictions, target, aggregate=self.aggregate, note=note)

    def _note(self, chosen: np.ndarray) -> str:
        """Count the penalties at an end of the grid."""
        if len(self.alphas) < 2:
            return ""
        said = []
        for end, alpha in (("smallest", min(self.alphas)), ("largest", max(self.alphas))):
            n_ends = int((chosen == alpha).sum())
            if n_ends:
                said.append(f"{n_ends} of {chosen.size} penalties are the {end} of the grid, {alpha:g}")
        return "; ".join(said)


def ridge_predictivity(
    features: Any,
    responses: Any,
    *,
    stratify: Any,
    alpha: float | Sequence[float] = 1.0,
    per_target: bool = False,
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
        compared within each split's training images by leave-one-out error.
    per_target
        As of :class:`RidgeCV`.
    n_splits, train_size, seed
        As in :func:`linear_predictivity`.

    Raises
    ------
    ConfigError
        A penalty is not above 0.
    ShapeError, DataError
        As in :func:`linear_predictivity`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((60, 80))
    >>> result = ridge_predictivity(features, features @ rng.standard_normal((80, 5)), stratify=None)
    >>> bool(result.raw_score > 0.5)
    True
    """
    alphas = tuple(np.ravel(alpha).tolist())
    metric = Ridge(alphas[0]) if np.ndim(alpha) == 0 else RidgeCV(alphas, per_target)
    table = as_responses(responses, features.n_images if isinstance(features, Gram) else len(features))
    is_train = draw_splits(stratify, len(table), n_splits=n_splits, train_size=train_size, seed=seed)
    gram = features if isinstance(features, Gram) else Gram.from_features(features)
    return metric.measure(gram, Target(table, is_train, np.arange(len(table))))


class _Solver:
    """The regression of one split, decomposed when first needed.

    Parameters
    ----------
    rows, test
        (n, r) and (m, r): training features themselves where they are few, else inner products with the training
        images, which are overwritten; centred by the training images.
    Y
        (n, q) centred responses.
    is_dual
        Whether they are inner products.
    """

    def __init__(self, rows: np.ndarray, test: np.ndarray, Y: np.ndarray, *, is_dual: bool) -> None:
        self._rows, self._test, self._Y, self._is_dual = rows, test, Y, is_dual
        self._parts: _Parts | None = None

    def solve(self, alpha: float | np.ndarray) -> np.ndarray:
        """Return (m, q) predictions with one penalty, or one for each response; the last call."""
        alpha = np.asarray(alpha, dtype=np.float64)
        if self._parts is None and alpha.ndim == 0:
            moments = self._rows if self._is_dual else self._rows.T @ self._rows
            right = self._Y if self._is_dual else self._rows.T @ self._Y
            moments[np.diag_indices_from(moments)] += float(alpha)
            factor = linalg.cho_factor(moments.T, overwrite_a=True, check_finite=False)
            return self._test @ linalg.cho_solve(factor, right, check_finite=False)
        values, directions, U, seen, _ = self._decomposed()
        root = 1.0 if self._is_dual else np.sqrt(values)[:, None]
        return self._test @ ((U if self._is_dual else directions) @ (root * seen / (values[:, None] + alpha)))

    def best(self, alphas: np.ndarray, *, per_target: bool) -> np.ndarray:
        """Return the penalty of least leave-one-out error: (1,) or one for each response (q,).

        What is left of a response is the part outside the features and, of each direction k, alpha / (v_k + alpha).
        """
        values, _, U, seen, outside = self._decomposed()
        n, q = self._Y.shape
        kept = alphas / (values[:, None] + alphas)  # (r, a)
        spare = np.zeros(n) if self._is_dual else 1.0 - 1.0 / n - (U**2).sum(1)
        rest = np.concatenate([spare[rows] + kept.T @ (U[rows] ** 2).T for rows in _slices(n, _AT_ONCE)], axis=1)
        basis, mixture = _few_columns(kept)
        errors = np.empty((len(alphas), q))
        for some in _slices(q, _AT_ONCE // basis.shape[1]):
            parts = (basis.T[:, None] * seen.T[some]).reshape(-1, len(values)) @ U.T  # (k * some, n)
            left = (mixture.T @ parts.reshape(len(mixture), -1)).reshape(len(alphas), -1, n)
            left += outside.T[some]
            left /= rest[:, None]
            errors[:, some] = np.einsum("aqn,aqn->aq", left, left) / n
        return alphas[np.argmin(errors if per_target else errors.mean(1, keepdims=True), axis=0)]

    def _decomposed(self) -> _Parts:
        if self._parts is None:
            self._parts = self._decompose_dual() if self._is_dual else self._decompose_primal()
        return self._parts

    def _decompose_dual(self) -> _Parts:
        K, n = self._rows, len(self._rows)
        # K is zero along the constant direction, which the mean of the responses takes. Made the largest, it cannot
        # mix with other directions of value zero and is left out exactly.
        K += 2.0 * np.trace(K) / n
        # In place and by this driver, since that needs two (n, n) tables in all; the transpose is in its memory order.
        values, U = linalg.eigh(K.T, driver="evr", overwrite_a=True, check_finite=False)
        values, U = np.maximum(values[:-1], 0.0), U[:, :-1]
        return _Parts(values, U, U, U.T @ self._Y, np.zeros((1, self._Y.shape[1])))

    def _decompose_primal(self) -> _Parts:
        F = self._rows
        values, directions = linalg.eigh(F.T @ F, driver="evd", check_finite=False)
        is_real = values > len(values) * np.finfo(np.float64).eps * values[-1]
        values, directions = values[is_real], directions[:, is_real]
        U = F @ (directions / np.sqrt(values))
        seen = U.T @ self._Y
        return _Parts(values, directions, U, seen, self._Y - U @ seen)


class _Parts(NamedTuple):
    """A decomposition: K = U diag(values) U'.

    ``values`` (r,), ``directions`` (p, r) of the features (in the dual unused), ``U`` (n, r), what U sees of the
    responses (r, q), and what it does not see: (n, q), or (1, q) zeros.
    """

    values: np.ndarray
    directions: np.ndarray
    U: np.ndarray
    seen: np.ndarray
    outside: np.ndarray


def _few_columns(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write (r, a) as (r, k) times (k, a), with as few columns k as its digits need.

    Ninety-nine penalties are shares of smooth curves over the directions, of which about twenty span all.
    """
    scale = table.max(0)
    left, values, right = np.linalg.svd(table / scale, full_matrices=False)
    k = max(1, int((values > _DIGITS * values[0]).sum()))
    return left[:, :k] * values[:k], right[:k] * scale


def _slices(n: int, width: int) -> list[slice]:
    return [slice(first, first + max(1, width)) for first in range(0, n, max(1, width))]


def _predicted(gram: Gram, train: np.ndarray, responses: np.ndarray, solve: Any) -> np.ndarray:
    """Return (m, q) predictions of one split's test images."""
    mean = responses[train].mean(0)
    Y = responses[train] - mean
    if gram.factor is not None and gram.n_features < train.sum():
        F = as_numpy(gram.factor)
        F = F - F[train].mean(0)
        return solve(_Solver(F[train], F[~train], Y, is_dual=False)) + mean
    K = as_numpy(gram.dense())
    # Rows and columns centred by the training images; test rows by the same means.
    trains, tests = np.flatnonzero(train), np.flatnonzero(~train)
    among, across = (K[rows[:, None], trains] for rows in (trains, tests))
    of_columns = among.mean(0)
    for rows in (among, across):
        rows -= of_columns
        rows -= rows.mean(1, keepdims=True)
    return solve(_Solver(among, across, Y, is_dual=True)) + mean


def _checked(alphas: Any) -> np.ndarray:
    try:
        made = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError):
        made = np.array([])
    if made.ndim != 1 or not len(made) or not (np.isfinite(made).all() and (made > 0).all()):
        raise ConfigError(f"Got alphas={alphas!r}; expected numbers above 0, at least one.")
    return made
