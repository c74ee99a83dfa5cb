"""How well neural responses agree with themselves: the ceiling of every neural score.

Presentations are split in two halves by repetition; each half is averaged per image; the correlation of the
halves over images, corrected for their length, says how well a perfect model could do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.metrics.checks import as_responses, median_over_neuroids, pearson
from vvscale.brain.metrics.splits import stratified_splits
from vvscale.errors import MissingDataError, ShapeError

# Shape legend: P presentations, N images, q neuroids, S splits.


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Agreement of responses with themselves.

    Attributes
    ----------
    r
        (n_splits, n_neuroids) split-half correlations after Spearman-Brown correction, at most 1; NaN for a
        neuroid that is constant over images.
    """

    r: np.ndarray

    @property
    def ceiling(self) -> float:
        """Mean over splits of the median over neuroids."""
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
        """Return one row per neuroid with its ceiling, the mean over splits."""
        return pd.DataFrame({"neuroid": np.arange(self.r.shape[1]), "ceiling": self.r.mean(0)})

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types; NaN becomes None."""
        r = [[None if np.isnan(value) else float(value) for value in row] for row in self.r]
        return {"ceiling": self.ceiling, "error": self.error, "r": r}


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
        (n_presentations, n_neuroids) finite numbers, any unit.
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
    table = as_responses(responses, keep_float=True)
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
            "repetitions to compare. Hand over single presentations, not their average."
        )
    in_first = stratified_splits(len(repetitions), n_splits=n_splits, train_size=0.5, seed=seed)[:, repetition_of]
    counts = np.stack([np.bincount(image_of[half], minlength=len(images)) for half in in_first])  # (S, N)
    n_shown = np.bincount(image_of)
    _refuse_unshown(images, counts, n_shown)
    # The second half is the rest, so its sums are what the first leaves of the total.
    is_in = np.concatenate((in_first, np.ones((1, len(table)), dtype=bool)))
    *first, total = _sums(table, image_of, is_in)
    r = np.stack(
        [
            pearson(half / n[:, None], (total - half) / (n_shown - n)[:, None])
            for half, n in zip(first, counts, strict=True)
        ]
    )
    return Ceiling(2 * r / (1 + r))


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
