"""Choices of observers between two objects, the data of the behavioural benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from vvscale.brain.metrics.checks import arrays_digest
from vvscale.errors import DataError, MissingDataError

# Shape legend: T trials, N images, O objects.

_COLUMNS = ("stimulus_id", "sample_obj", "dist_obj", "choice")


@dataclass(frozen=True, eq=False)
class Trials:
    """Choices of observers, coded by number.

    Attributes
    ----------
    stimulus_id
        (N,) sorted labels of the images.
    objects
        (O,) sorted labels of the objects.
    truth
        (N,) number of the object in each image.
    image, sample, distractor, choice
        (T,) numbers of the image shown, the object in it, the other object offered, and the object chosen, in
        the order of the file, on which the halves depend.
    """

    stimulus_id: np.ndarray
    objects: np.ndarray
    truth: np.ndarray = field(repr=False)
    image: np.ndarray = field(repr=False)
    sample: np.ndarray = field(repr=False)
    distractor: np.ndarray = field(repr=False)
    choice: np.ndarray = field(repr=False)

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Trials:
        """Code a table with one row per trial.

        Parameters
        ----------
        table
            Columns stimulus_id, sample_obj, dist_obj and choice; truth, where it is not sample_obj.

        Raises
        ------
        MissingDataError
            A column is absent or a cell is empty.
        DataError
            An image is said to show two objects.
        """
        absent = [name for name in _COLUMNS if name not in table]
        if absent:
            raise MissingDataError(
                f"The trials lack the column '{absent[0]}'; expected {', '.join(_COLUMNS)}, "
                f"got {', '.join(map(str, table))}."
            )
        truth_column = "truth" if "truth" in table else "sample_obj"
        coded = {name: pd.factorize(table[name], use_na_sentinel=True) for name in {*_COLUMNS, truth_column}}
        for name, (codes, _) in coded.items():
            if (codes < 0).any() or not len(codes):
                place = f"row {int(np.argmin(codes))} has no value" if len(codes) else "there are no rows"
                raise MissingDataError(f"The column '{name}' of the trials is incomplete: {place} (counted from 0).")
        images = np.sort(np.asarray(coded["stimulus_id"][1]))
        objects = np.unique(np.concatenate([np.asarray(coded[name][1]) for name in coded if name != "stimulus_id"]))

        def recode(name: str, labels: np.ndarray) -> np.ndarray:
            codes, found = coded[name]
            return np.searchsorted(labels, np.asarray(found))[codes]

        image, truth_of_trial = recode("stimulus_id", images), recode(truth_column, objects)
        truth = np.zeros(len(images), dtype=np.int64)
        truth[image[::-1]] = truth_of_trial[::-1]  # the first trial of an image decides
        is_other = truth[image] != truth_of_trial
        if is_other.any():
            row = int(np.argmax(is_other))
            raise DataError(
                f"Image '{images[image[row]]}' shows '{objects[truth[image[row]]]}' in its first trial and "
                f"'{objects[truth_of_trial[row]]}' in row {row}; expected one object per image."
            )
        rest = [recode(name, objects) for name in _COLUMNS[1:]]
        return cls(images, objects, truth, image, *rest)

    def rates(self, rows: np.ndarray) -> np.ndarray:
        """Return how often each object was chosen when offered, (N, O).

        NaN for the object in the image and for objects never offered with it in these ``rows`` of the trials.
        """
        shape = (len(self.stimulus_id), len(self.objects))
        size = shape[0] * shape[1]
        offset = self.image[rows] * shape[1]
        chosen = np.bincount(offset + self.choice[rows], minlength=size)
        offered = np.bincount(offset + self.sample[rows], minlength=size)
        offered += np.bincount(offset + self.distractor[rows], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = np.where(offered > 0, chosen / offered, np.nan).reshape(shape)
        rates[np.arange(shape[0]), self.truth] = np.nan
        return rates

    def halves(self, n_repetitions: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Divide the rows in two at random, ``n_repetitions`` times from one generator."""
        # The reference's halves are those of the legacy generator.
        generator = np.random.RandomState(seed)
        halves = []
        for _ in range(n_repetitions):
            rows = np.arange(len(self.image))
            generator.shuffle(rows)
            halves.append((rows[: len(rows) // 2], rows[len(rows) // 2 :]))
        return halves

    def digest(self) -> str:
        """Return the SHA-256 of the choices and their labels, in their order; it is computed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return arrays_digest(
            "trials",
            stimulus_id=self.stimulus_id,
            objects=self.objects,
            codes=np.stack((self.image, self.sample, self.distractor, self.choice)),
            truth=self.truth,
        )
