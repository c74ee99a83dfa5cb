"""A linear readout of object names from features: the model's side of the behavioural benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg
from scipy.special import softmax

from vvscale.brain.metrics.centring import as_numpy, feature_scale
from vvscale.brain.metrics.checks import as_responses
from vvscale.brain.metrics.gram import Gram
from vvscale.errors import DataError, ShapeError

# Shape legend: N images, p features, O objects, r columns of a factor of the inner products.

STRENGTH = 1e-3
"""Inverse penalty of the reference: the sum of losses weighs this much against half the squared weights."""


@dataclass(frozen=True, eq=False)
class Readout:
    """A fitted multinomial logistic regression on standardised features.

    Attributes
    ----------
    objects
        (O,) sorted object names.
    mean, scale
        (p,) what features are standardised with, in their unit; the scale of a constant feature is 1.
    weights, intercept
        (p, O) and (O,) of the logits.
    """

    objects: np.ndarray
    mean: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    intercept: np.ndarray = field(repr=False)

    def probabilities(self, features: Any, stimulus_id: Any) -> pd.DataFrame:
        """Return the probability of each object for (n_images, p) features, rows named by ``stimulus_id``."""
        table = as_responses(features, what="features")
        if table.shape[1] != len(self.mean):
            raise ShapeError(f"Got {table.shape[1]} features; the readout was fitted on {len(self.mean)}.")
        logits = ((table - self.mean) / self.scale) @ self.weights + self.intercept
        return pd.DataFrame(softmax(logits, axis=1), index=list(stimulus_id), columns=self.objects)


def fit_readout(features: Any, labels: Any) -> Readout:
    """Fit object names to features.

    Parameters
    ----------
    features
        (n_images, n_features) finite numbers.
    labels
        (n_images,) object names.

    Returns
    -------
    Readout
        At the optimum of scikit-learn's ``LogisticRegression(C=1e-3)`` on standardised features.

    Source
    ------
    brainscore_vision/model_helpers/brain_transformation/behavior.py, class ProbabilitiesClassifier.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = np.concatenate((rng.normal(-1, 1, (50, 3)), rng.normal(1, 1, (50, 3))))
    >>> readout = fit_readout(features, ["cat"] * 50 + ["dog"] * 50)
    >>> readout.probabilities([[2.0, 2.0, 2.0]], ["image"]).round(1)
           cat  dog
    image  0.4  0.6
    """
    table = as_responses(features, what="features")
    objects, codes = _code(labels, len(table))
    mean = table.mean(0)
    scale = feature_scale(table - mean, mean)
    F = (table - mean) / scale
    if F.shape[1] <= F.shape[0]:
        weights, intercept = _fit(F, codes)
        return Readout(objects, mean, scale, weights, intercept)
    factor, solve = _factor(F @ F.T)
    weights, intercept = _fit(factor, codes)
    return Readout(objects, mean, scale, F.T @ solve(weights), intercept)


def readout_probabilities(gram: Gram, labels: Any, stimulus_id: Any, *, n_fitted: int = 0) -> pd.DataFrame:
    """Fit the readout and return its probabilities, from inner products alone.

    Parameters
    ----------
    gram
        Inner products of standardised features: ``Gram.from_features(features, standardize=True)``.
    labels, stimulus_id
        (n_images,) object names, and names of the rows of the result.
    n_fitted
        The first so many images are learnt and the others judged; 0 learns and judges all.

    Returns
    -------
    pandas.DataFrame
        (n_judged, n_objects) probabilities, as :meth:`Readout.probabilities` gives; the cost does not grow
        with the number of features.

    Raises
    ------
    DataError
        The features were not standardised.
    """
    if not gram.is_standardized:
        raise DataError(
            "These inner products are of features in their own units; the readout is defined on standardised "
            "ones. Make them with Gram.from_features(features, standardize=True)."
        )
    objects, codes = _code(labels, gram.n_images)
    factor = _factor(as_numpy(gram.matrix))[0] if gram.factor is None else as_numpy(gram.factor)
    fitted = slice(0, n_fitted or None)
    learnt, codes = np.unique(codes[fitted], return_inverse=True)
    weights, intercept = _fit(factor[fitted], codes)
    judged = softmax(factor[n_fitted:] @ weights + intercept, axis=1)
    return pd.DataFrame(judged, index=list(stimulus_id)[n_fitted:], columns=objects[learnt])


def _factor(K: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return Z with ZZ' = K + c, and a function that turns weights of Z into weights of the images.

    The penalty does not change under rotation of the features, so Z serves in their place. The constant c
    amounts to one more feature that is equal for all images; the free intercept leaves it no weight, and it
    makes the centred matrix positive definite, so that a Cholesky factor exists.
    """
    constant = float(K.trace()) / len(K)
    try:
        Z = linalg.cholesky(K + constant, lower=True)
    except linalg.LinAlgError:  # images that coincide in all features
        values, vectors = linalg.eigh(K)
        is_kept = values > values[-1] * 1e-13
        Z = vectors[:, is_kept] * np.sqrt(values[is_kept])
        return Z, lambda weights: Z @ (weights / values[is_kept, None])
    return Z, lambda weights: linalg.solve_triangular(Z, weights, lower=True, trans=1)


def _fit(F: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (r, O) weights and (O,) intercepts at the optimum."""
    from sklearn.linear_model import LogisticRegression

    # Far tighter than the reference's 1e-4: the optimum must not depend on the form the features come in.
    # The reference gives each of two objects weights of its own, which share the penalty; scikit-learn penalises
    # their difference, which is twice as much.
    strength = 2 * STRENGTH if codes.max() == 1 else STRENGTH
    model = LogisticRegression(C=strength, solver="newton-cg", tol=1e-8, max_iter=1000).fit(F, codes)
    weights, intercept = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # two objects: scikit-learn keeps the difference of their logits
        weights, intercept = weights * [[0.0, 1.0]], intercept * np.array([0.0, 1.0])
    return weights, intercept


def _code(labels: Any, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    objects, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(codes) != n_images:
        raise ShapeError(f"Got {len(codes)} labels for {n_images} images; expected one per image.")
    if len(objects) < 2:
        raise DataError(f"All images are of '{objects[0]}'; a readout needs at least two objects.")
    return objects, codes
