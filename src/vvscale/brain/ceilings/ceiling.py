"""How well responses predict themselves, which bounds how well any model can.

Ceilings of neuroids are reliabilities: the share of the variance over images of a mean response that is not noise,
from 0 to 1. A split-half correlation with the Spearman-Brown correction estimates it, and so does a variance ratio; its
square root is the correlation that a perfect model reaches. That of dissimilarities is how alike subjects are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from vvscale.brain.metrics.checks import as_responses, pearson
from vvscale.brain.metrics.outcome import Aggregate, OverSplits
from vvscale.brain.metrics.rsa import COMPARISONS, RSA, upper
from vvscale.brain.metrics.splits import stratified_splits
from vvscale.core.jsonable import jsonable
from vvscale.errors import MissingDataError, ShapeError

# Shape legend: P presentations, N images, q neuroids, S splits, R repetitions.


@dataclass(frozen=True, eq=False)
class Ceiling(OverSplits):
    """Agreement of responses with themselves.

    Attributes
    ----------
    r
        (n_splits, n_neuroids) reliabilities, at most 1, such as split-half correlations after Spearman-Brown
        correction; NaN for a neuroid that is constant over images. One split where nothing is split.
    aggregate
        How neuroids become one number.
    """

    r: np.ndarray
    aggregate: Aggregate = field(default="median", kw_only=True)

    @property
    def ceiling(self) -> float:
        """Mean over splits of the median or mean over neuroids, leaving NaN out."""
        return self.mean

    @property
    def by_neuroid(self) -> np.ndarray:
        """(n_neuroids,) means over the splits."""
        return self.r.mean(0)

    def table(self) -> pd.DataFrame:
        """Return one row per neuroid with its ceiling, the mean over splits."""
        return pd.DataFrame({"neuroid": np.arange(self.r.shape[1]), "ceiling": self.by_neuroid})

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types; NaN becomes None."""
        return {"ceiling": self.ceiling, "error": self.error, "r": jsonable(self.r)}


def internal_consistency(
    responses: Any,
    *,
    stimulus_id: Any,
    repetition: Any,
    n_splits: int = 10,
    seed: int = 1,
) -> Ceiling:
    """Correlate the two halves of repeated responses.

    A half holds the presentations whose repetition number was drawn for it, not half of each image's
    presentations.

    Parameters
    ----------
    responses
        (n_presentations, n_neuroids) numbers, any unit; NaN where a neuroid was not recorded.
    stimulus_id
        (n_presentations,) labels of the images.
    repetition
        (n_presentations,) labels of the repetitions.
    n_splits, seed
        Number of random halvings and state of the generator.

    Raises
    ------
    ShapeError
        Lengths differ, or there is one repetition only.
    MissingDataError
        An image was never shown in one of the halves.

    Source
    ------
    brainscore_vision/metrics/internal_consistency/ceiling.py.

    Examples
    --------
    >>> responses = np.tile(np.arange(4.0)[:, None], (6, 2))
    >>> halves = internal_consistency(
    ...     responses, stimulus_id=list("abcd") * 6, repetition=np.repeat(np.arange(6), 4)
    ... )
    >>> halves.ceiling
    1.0
    """
    table = as_responses(responses, keep_float=True, may_be_nan=True)
    for name, labels in (("stimulus_id", stimulus_id), ("repetition", repetition)):
        if len(labels) != len(table):
            raise ShapeError(
                f"'{name}' has {len(labels)} labels for {len(table)} presentations; expected one for each."
            )
    image_of, images = pd.factorize(np.asarray(stimulus_id), sort=True)
    repetition_of, repetitions = pd.factorize(np.asarray(repetition), sort=True)
    if len(repetitions) < 2:
        raise ShapeError(
            f"All {len(table)} presentations are of repetition '{repetitions[0]}'; expected at least two "
            "repetitions to compare. Hand over single presentations, not their average, or choose another ceiling: "
            "ceiling='none', or the shipped ones."
        )
    in_first = stratified_splits(len(repetitions), n_splits=n_splits, train_size=0.5, seed=seed)[:, repetition_of]
    counts = np.stack([np.bincount(image_of[half], minlength=len(images)) for half in in_first])  # (S, N)
    n_shown = np.bincount(image_of)
    _refuse_unshown(images, counts, n_shown)
    # The second half is the rest, so its sums are what the first leaves of the total.
    is_in = np.concatenate((in_first, np.ones((1, len(table)), dtype=bool)))
    is_missing = np.isnan(table)
    known = counts[:, :, None], n_shown[:, None]
    if is_missing.any():
        table = np.where(is_missing, np.zeros((), table.dtype), table)
        *held, total = _sums((~is_missing).astype(np.float64), image_of, is_in)
        known = np.stack(held), total
    *first, total = _sums(table, image_of, is_in)
    with np.errstate(invalid="ignore", divide="ignore"):  # a neuroid without a response in a half is NaN
        r = np.stack(
            [pearson(half / n, (total - half) / (known[1] - n)) for half, n in zip(first, known[0], strict=True)]
        )
    with np.errstate(divide="ignore"):  # halves that are opposite have no reliability at all, minus infinity
        return Ceiling(2 * r / (1 + r))


def variance_ceiling(responses: Any, *, stimulus_id: Any, repetition: Any) -> Ceiling:
    """Estimate the reliability of the mean over repetitions from the variance between them.

    Each repetition of a neuroid is standardised over images; what then varies between repetitions of an image is
    noise, the rest of the unit variance is signal:

        noise = mean over images of the variance over repetitions (ddof 1),   signal = max(0, 1 - noise)
        ceiling = signal / (signal + noise / R)

    Parameters
    ----------
    responses, stimulus_id, repetition
        As in :func:`internal_consistency`, every image in every repetition.

    Returns
    -------
    Ceiling
        Of one split.

    Raises
    ------
    MissingDataError
        An image or response is absent in a repetition, or an image is there twice.
    ShapeError
        There is one repetition only.

    Source
    ------
    epflneuroailab/multimodal-brain-scaling, data_prep/helpers.py.

    Examples
    --------
    >>> responses = np.tile(np.arange(4.0)[:, None], (6, 2))
    >>> found = variance_ceiling(responses, stimulus_id=list("abcd") * 6, repetition=np.repeat(np.arange(6), 4))
    >>> round(found.ceiling, 6)
    1.0
    """
    table = as_responses(responses, may_be_nan=True)
    image_of, images = pd.factorize(np.asarray(stimulus_id), sort=True)
    repetition_of, repetitions = pd.factorize(np.asarray(repetition), sort=True)
    n, n_repetitions = len(images), len(repetitions)
    if n_repetitions < 2:
        raise ShapeError(f"A variance ceiling needs at least 2 repetitions, got {n_repetitions}.")
    cube = np.full((n_repetitions, n, table.shape[1]), np.nan)
    cube[repetition_of, image_of] = table
    n_shown = np.zeros((n_repetitions, n), dtype=int)
    np.add.at(n_shown, (repetition_of, image_of), 1)
    is_wrong = np.isnan(cube).any(2) | (n_shown > 1)
    if is_wrong.any():
        at, image = (int(index) for index in np.argwhere(is_wrong)[0])
        how = f"was shown {n_shown[at, image]} times" if n_shown[at, image] > 1 else "is incomplete"
        raise MissingDataError(
            f"A variance ceiling needs each of the {n} images once in each of the {n_repetitions} repetitions; there "
            f"are {len(table)} presentations, and image '{images[image]}' {how} in repetition '{repetitions[at]}'. Use "
            "the ceiling 'split-half', or complete repetitions only."
        )
    ratio = signal_to_noise(cube)
    return Ceiling((ratio / (ratio + 1.0 / n_repetitions))[None])


def signal_to_noise(cube: np.ndarray) -> np.ndarray:
    """Return (...) signal over noise, as :func:`variance_ceiling` defines them, of (R, N, ...) responses.

    NaN where a neuroid does not vary over the images of a repetition.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (cube - cube.mean(1, keepdims=True)) / cube.std(1, keepdims=True)
    noise = z.var(0, ddof=1).mean(0)
    # The floor keeps neuroids without noise finite, as the source has it.
    return np.maximum(0.0, 1.0 - noise) / np.maximum(noise, 1e-12)


def rdm_noise_ceiling(rdms: Any, *, comparison: str = "spearman") -> tuple[float, float]:
    """Return how similar subjects are to the mean of the others, and of all: the bounds of the best model.

    Parameters
    ----------
    rdms
        (n_subjects, n_images, n_images) dissimilarities, at least 2 subjects.
    comparison
        As of :class:`RSA`.

    Returns
    -------
    lower, upper
        Mean similarity of each subject to the mean of the others, and to the mean of all subjects. Before they are
        averaged, tables are made comparable: ranks for ``spearman`` and ``kendall``, standard scores for ``pearson``,
        unit length for ``cosine``.

    Source
    ------
    Nili et al. 2014, PLoS Computational Biology 10(4); rsatoolbox/util/inference_util.py, pool_rdm.
    """
    tables = np.stack([upper(one) for one in rdms])
    if len(tables) < 2:
        raise ShapeError(f"Got the dissimilarities of {len(tables)} subject; a noise ceiling needs at least 2.")
    compare = COMPARISONS[RSA(comparison).comparison]
    if comparison in ("spearman", "kendall"):
        alike = np.stack([rankdata(one) for one in tables])
    elif comparison == "pearson":
        alike = (tables - tables.mean(1, keepdims=True)) / tables.std(1, keepdims=True)
    else:
        alike = tables / np.sqrt((tables**2).mean(1, keepdims=True))
    total = alike.sum(0)
    high = np.mean([compare(one, total) for one in tables])
    low = np.mean([compare(one, total - own) for one, own in zip(tables, alike, strict=True)])
    return float(low), float(high)


def _sums(table: np.ndarray, image_of: np.ndarray, is_in: np.ndarray) -> np.ndarray:
    """Add up the presentations of each image that are in each set, (S, N, q), reading the responses once."""
    # Numbers that fit 16 bits are sorted by counting.
    order = np.argsort(image_of.astype(np.min_scalar_type(image_of.max())), kind="stable")
    by_image = np.split(order, np.flatnonzero(np.diff(image_of[order])) + 1)
    weights = is_in.astype(np.float64)
    sums = np.empty((len(is_in), len(by_image), table.shape[1]))
    for image, rows in enumerate(by_image):
        np.matmul(weights[:, rows], table[rows], out=sums[:, image])
    return sums


def _refuse_unshown(images: np.ndarray, counts: np.ndarray, n_shown: np.ndarray) -> None:
    for n in (counts, n_shown - counts):
        if (n == 0).any():
            split, image = (int(index) for index in np.argwhere(n == 0)[0])
            raise MissingDataError(
                f"Image '{images[image]}' was never shown in one half of split {split} ({n_shown[image]} "
                "presentations in all); expected every image in both halves. Leave out images with few "
                "repetitions."
            )
