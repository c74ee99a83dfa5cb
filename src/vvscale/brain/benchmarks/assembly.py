"""Stimuli and the recordings made with them, as values that know their order.

Every table of a benchmark is keyed by stimulus_id. The reference averages repetitions into images sorted by
stimulus_id and draws its splits over that order, so the order is fixed here and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.metrics.ceiling import Ceiling, internal_consistency
from vvscale.brain.metrics.checks import as_responses, digest_of
from vvscale.errors import DataError, MissingDataError, ShapeError

# Shape legend: P presentations, N images, q neuroids.


@dataclass(frozen=True, eq=False)
class StimulusSet:
    """Images in a fixed order, with their labels.

    Attributes
    ----------
    identifier
        Name of the set.
    table
        One row per image, index stimulus_id, columns of labels such as object_name.
    degrees
        Visual angle that the width of an image covers, above 0.
    pixels
        (N, height, width, 3) uint8, or None where the images lie in files.
    paths
        One file per image, or empty where ``pixels`` is given.
    is_simulated
        Whether the package made the images.
    """

    identifier: str
    table: pd.DataFrame = field(repr=False)
    degrees: float
    pixels: np.ndarray | None = field(default=None, repr=False)
    paths: tuple[Path, ...] = field(default=(), repr=False)
    is_simulated: bool = False

    def __post_init__(self) -> None:
        refuse_duplicates(self.table.index, f"The stimulus set '{self.identifier}'")
        n_images = len(self.paths) if self.pixels is None else len(self.pixels)
        if n_images != len(self.table) or (self.pixels is not None and self.paths):
            raise ShapeError(
                f"The stimulus set '{self.identifier}' has {n_images} images and {len(self.table)} rows of "
                "labels; expected one image per row, as pixels or as paths."
            )
        if self.pixels is not None and self.pixels.dtype != np.uint8:
            raise ShapeError(
                f"The stimulus set '{self.identifier}' has pixels of {self.pixels.dtype}; expected uint8, 0 to 255."
            )
        self._refuse_other_degrees()

    def _refuse_other_degrees(self) -> None:
        """Refuse labels that contradict the visual angle of the set; one angle holds for all of its images."""
        if "degrees" not in self.table:
            return
        said = pd.to_numeric(self.table["degrees"], errors="coerce").to_numpy(float)
        wrong = np.flatnonzero(~np.isclose(said, self.degrees))
        if len(wrong):
            raise DataError(
                f"The stimulus set '{self.identifier}' is of {self.degrees:g} degrees, and its column 'degrees' says "
                f"{self.table['degrees'].iloc[wrong[0]]} for '{self.table.index[wrong[0]]}' ({len(wrong)} of "
                f"{len(said)} rows differ). Set the angle of the set to that of its images; images of several angles "
                "need one set each."
            )

    def __len__(self) -> int:
        return len(self.table)

    @property
    def stimulus_id(self) -> np.ndarray:
        """(N,) labels in the order of the images."""
        return self.table.index.to_numpy()

    def labels(self, column: str) -> pd.Series:
        """Return one column of the labels."""
        if column not in self.table:
            raise MissingDataError(
                f"The stimulus set '{self.identifier}' has no label '{column}'; it has "
                f"{', '.join(map(str, self.table.columns))}."
            )
        return self.table[column]

    def digest(self) -> str:
        """Return the SHA-256 of the images and their labels, for keys of caches.

        That of pixels in memory is computed once; files are read each time, since they may have changed.
        """
        return self._digest if self.pixels is not None else self._compute_digest()

    @cached_property
    def _digest(self) -> str:
        return self._compute_digest()

    def _compute_digest(self) -> str:
        total = hashlib.sha256(repr((self.identifier, float(self.degrees))).encode())
        total.update(self.table.to_csv().encode())
        if self.pixels is not None:
            total.update(repr(self.pixels.shape).encode())
            total.update(np.ascontiguousarray(self.pixels).tobytes())
        for path in self.paths:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Assembly:
    """Responses of the neuroids of one region, one row per presentation.

    Attributes
    ----------
    assembly_id, region
        Name of the recordings, and where they are from.
    responses
        (P, q) finite numbers, in the unit of the recordings.
    stimulus_id, repetition
        (P,) which image was shown, for which time.
    neuroid_id
        (q,) unique labels.
    """

    assembly_id: str
    region: str
    responses: np.ndarray = field(repr=False)
    stimulus_id: np.ndarray = field(repr=False)
    repetition: np.ndarray = field(repr=False)
    neuroid_id: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        as_responses(self.responses, keep_float=True)
        n_presentations, n_neuroids = self.responses.shape
        for name, expected in (
            ("stimulus_id", n_presentations),
            ("repetition", n_presentations),
            ("neuroid_id", n_neuroids),
        ):
            if len(getattr(self, name)) != expected:
                raise ShapeError(
                    f"The assembly '{self.assembly_id}' has {len(getattr(self, name))} labels '{name}' for "
                    f"{expected} {'neuroids' if name == 'neuroid_id' else 'presentations'}; expected one "
                    "for each."
                )
        refuse_duplicates(pd.Index(self.neuroid_id), f"The assembly '{self.assembly_id}'", "neuroid_id")

    @cached_property
    def mean(self) -> pd.DataFrame:
        """(N, q) means over repetitions, index sorted stimulus_id, columns neuroid_id."""
        image_of, images = pd.factorize(np.asarray(self.stimulus_id), sort=True)
        order = np.argsort(image_of, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(image_of[order])) + 1))
        sums = np.add.reduceat(np.asarray(self.responses, dtype=np.float64)[order], starts)
        counts = np.bincount(image_of)[:, None]
        return pd.DataFrame(sums / counts, index=images, columns=np.asarray(self.neuroid_id))

    @cached_property
    def ceiling(self) -> Ceiling:
        """Internal consistency of the repetitions."""
        return internal_consistency(self.responses, stimulus_id=self.stimulus_id, repetition=self.repetition)

    def digest(self) -> str:
        """Return the SHA-256 of the responses and their labels, in their order; it is computed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_of(
            f"{self.assembly_id} {self.region}",
            responses=self.responses,
            stimulus_id=self.stimulus_id,
            repetition=self.repetition,
            neuroid_id=self.neuroid_id,
        )


def row_order(have: Sequence[Any] | np.ndarray, want: Sequence[Any] | np.ndarray, what: str) -> np.ndarray:
    """Return for each wanted stimulus_id the row that has it.

    Parameters
    ----------
    have, want
        Labels of the rows at hand, and of the rows needed in their order.
    what
        What the rows are, for messages: a noun with its article, capitalised.

    Raises
    ------
    DataError
        A label stands for two rows.
    MissingDataError
        A wanted label is absent.

    Examples
    --------
    >>> row_order(["b", "c", "a"], ["a", "b"], "The features")
    array([2, 0])
    """
    index = pd.Index(np.asarray(have))
    refuse_duplicates(index, what)
    rows = index.get_indexer(pd.Index(np.asarray(want)))
    if (rows < 0).any():
        absent = np.asarray(want)[rows < 0]
        raise MissingDataError(
            f"{what} lack {len(absent)} of the {len(rows)} images needed, first '{absent[0]}'. Expected "
            "every stimulus_id of the benchmark; record the model on its whole stimulus set."
        )
    return rows


def refuse_duplicates(index: pd.Index, what: str, name: str = "stimulus_id") -> None:
    """Raise an error that names the first label that occurs twice."""
    if index.has_duplicates:
        twice = index[index.duplicated()]
        raise DataError(
            f"{what} has the {name} '{twice[0]}' more than once ({twice.nunique()} such labels); expected each once."
        )
