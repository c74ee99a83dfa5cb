"""Odd one out: of three images, which do observers and a model find least like the other two."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from vvscale.brain.metrics.checks import arrays_digest
from vvscale.errors import DataError, MissingDataError

# Shape legend: T triplets, N images.

CHANCE = 1 / 3
"""Accuracy of a model that knows nothing."""

_COLUMNS = ("image1", "image2", "image3", "odd")


@dataclass(frozen=True, eq=False)
class Triplets:
    """Choices of observers among three images.

    Attributes
    ----------
    stimulus_id
        (N,) sorted labels of the images.
    images
        (T, 3) numbers of the images of each triplet; the last is the odd one.
    """

    stimulus_id: np.ndarray
    images: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.images.ndim != 2 or self.images.shape[1:] != (3,) or not len(self.images):
            raise DataError(f"The triplets have shape {self.images.shape}; expected (n_triplets, 3), the odd one last.")

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Triplets:
        """Take a table with one row per choice: columns image1, image2, image3, and odd, the one of them chosen.

        Raises
        ------
        MissingDataError
            A column is absent or a cell is empty.
        DataError
            What was chosen is none of the three, or two of the three are the same.

        Examples
        --------
        >>> table = pd.DataFrame([["cat", "dog", "car", "car"]], columns=["image1", "image2", "image3", "odd"])
        >>> Triplets.from_table(table).images.tolist()
        [[1, 2, 0]]
        """
        absent = [name for name in _COLUMNS if name not in table]
        if absent or table[list(_COLUMNS)].isna().to_numpy().any():
            raise MissingDataError(
                f"The triplets need the columns {', '.join(_COLUMNS)} without empty cells; got "
                f"{', '.join(map(str, table))}."
            )
        labels = table[list(_COLUMNS)].astype(str).to_numpy()
        images, codes = np.unique(labels, return_inverse=True)
        codes = codes.reshape(labels.shape)
        three, odd = codes[:, :3], codes[:, 3:]
        is_odd = three == odd
        is_bad = (is_odd.sum(1) != 1) | (np.diff(np.sort(three, 1), axis=1) == 0).any(1)
        if is_bad.any():
            row = int(np.argmax(is_bad))
            raise DataError(
                f"Row {row} (counted from 0; {int(is_bad.sum())} such) is {', '.join(labels[row])}; expected three "
                "different images, of which the odd one is one."
            )
        # The pair that is left keeps its order.
        order = np.argsort(is_odd, axis=1, kind="stable")
        return cls(images.astype(object), np.take_along_axis(three, order, 1))

    @cached_property
    def ceiling(self) -> float:
        """How often the commonest choice is made in triplets that were shown several times; NaN if none was."""
        _, which = np.unique(np.sort(self.images, 1), axis=0, return_inverse=True)
        counts = pd.DataFrame({"which": which.ravel(), "odd": self.images[:, 2]}).value_counts(sort=False)
        commonest, n_shown = counts.groupby("which").max(), counts.groupby("which").sum()
        return float((commonest / n_shown)[n_shown > 1].to_numpy().mean()) if (n_shown > 1).any() else float("nan")

    def digest(self) -> str:
        """Return the SHA-256 of the choices and their labels."""
        return arrays_digest("triplets", stimulus_id=self.stimulus_id, images=self.images)


def odd_one_out(similarity: np.ndarray, triplets: Triplets) -> np.ndarray:
    """Return (T,) whether a model keeps the pair that observers keep: 1, 0, or a share where it is undecided.

    Parameters
    ----------
    similarity
        (N, N) of the images of the triplets, in their order; the most similar pair of three is kept.
    triplets
        What observers chose.

    Examples
    --------
    >>> odd_one_out(np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]),
    ...     Triplets(np.array(["a", "b", "c"]), np.array([[0, 1, 2], [0, 2, 1]])))
    array([1., 0.])
    """
    a, b, odd = triplets.images.T
    pairs = np.stack((similarity[a, b], similarity[a, odd], similarity[b, odd]), 1)
    best = pairs == pairs.max(1, keepdims=True)
    return best[:, 0] / best.sum(1)
