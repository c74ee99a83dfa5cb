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
from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Need, Target
from vvscale.brain.metrics.predictivity import Aggregate, Predictivity, judge
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
        images; centred by the training images.
    Y
        (n, q) centred responses.
    is_dual
        Whether they are inner products.
    """

    def __init__(self, rows: np.ndarray, test: np.ndarray, Y: np.ndarray, *, is_dual: bool) -> None:
        self._rows, self._test, self._Y, self._is_dual = rows, test, Y, is_dual
        self._parts: tuple[np.ndarray, ...] | None = None

    def solve(self, alpha: float | np.ndarray) -> np.ndarray:
        """Return (m, q) predictions with one penalty, or one for each response."""
        alpha = np.asarray(alpha, dtype=np.float64)
        if self._parts is None and alpha.ndim == 0:
            moments = self._rows if self._is_dual else self._rows.T @ self._rows
            right = self._Y if self._is_dual else self._rows.T @ self._Y
            return self._test @ linalg.solve(moments + float(alpha) * np.eye(len(moments)), right, assume_a="pos")
        values, vectors, _, moments = self._decomposed()
        weights = vectors @ (moments / (values[:, None] + alpha))
        return self._test @ weights

    def best(self, alphas: np.ndarray, *, per_target: bool) -> np.ndarray:
        """Return the penalty of least leave-one-out error: (1,) or one for each response (q,)."""
        values, _, scores, moments = self._decomposed()
        squares = scores**2
        errors = []
        for alpha in alphas:
            shrunk = 1.0 / (values + alpha)
            # Dual: Y - K c = alpha c, with c = V (V'Y / (v + alpha)). Primal: the part of Y outside the features stays.
            if self._is_dual:
                left = alpha * (scores @ (shrunk[:, None] * moments))
                leverage = 1.0 - alpha * (squares @ shrunk)
            else:
                left = self._Y - scores @ (shrunk[:, None] * moments)
                leverage = squares @ shrunk
            # The mean is fitted without penalty. In the dual the constant direction, where K is zero, was counted in
            # full as residual, and left is free of it since Y is centred.
            rest = 1.0 - leverage - 1.0 / len(self._Y)
            error = ((left / rest[:, None]) ** 2).mean(0)
            errors.append(error if per_target else error.mean(keepdims=True))
        return alphas[np.argmin(np.stack(errors), axis=0)]

    def _decomposed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return eigenvalues (r,), vectors (r, r), scores of the training images (n, r) and their moments with Y."""
        if self._parts is None:
            moments = self._rows if self._is_dual else self._rows.T @ self._rows
            values, vectors = linalg.eigh((moments + moments.T) / 2, driver="evd", check_finite=False)
            scores = vectors if self._is_dual else self._rows @ vectors
            self._parts = np.maximum(values, 0.0), vectors, scores, scores.T @ self._Y
        return self._parts  # type: ignore[return-value]


def _predicted(gram: Gram, train: np.ndarray, responses: np.ndarray, solve: Any) -> np.ndarray:
    """Return (m, q) predictions of one split's test images."""
    mean = responses[train].mean(0)
    Y = responses[train] - mean
    if gram.factor is not None and gram.n_features < train.sum():
        F = gram.factor if gram.device is None else gram.factor.cpu().numpy()
        F = F - F[train].mean(0)
        return solve(_Solver(F[train], F[~train], Y, is_dual=False)) + mean
    K = gram.dense() if gram.device is None else gram.dense().cpu().numpy()
    # Rows and columns centred by the training images; test rows by the same means.
    trains = np.flatnonzero(train)
    rows = K[:, trains]
    rows -= rows[trains].mean(0)
    rows -= rows.mean(1, keepdims=True)
    return solve(_Solver(rows[trains], rows[~train], Y, is_dual=True)) + mean


def _checked(alphas: Any) -> np.ndarray:
    try:
        made = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError):
        made = np.array([])
    if made.ndim != 1 or not len(made) or not (np.isfinite(made).all() and (made > 0).all()):
        raise ConfigError(f"Got alphas={alphas!r}; expected numbers above 0, at least one.")
    return made
