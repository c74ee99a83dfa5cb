"""Stimuli as a value that knows its order, and rows found by stimulus_id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.errors import DataError, MissingDataError, ShapeError

# Shape legend: N images.


@dataclass(frozen=True, eq=False)
class StimulusSet:
    """Images in a fixed order, with their labels.

    Attributes
    ----------
    identifier
        Name of the set.
    table
        One row per image, index stimulus_id, columns of labels such as object_name. A column ``degrees`` says the
        visual angle of each image.
    degrees
        Visual angle that the width of an image covers, above 0, where no column says it.
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

    def __len__(self) -> int:
        return len(self.table)

    @property
    def stimulus_id(self) -> np.ndarray:
        """(N,) labels in the order of the images."""
        return self.table.index.to_numpy()

    def degrees_of(self, row: int) -> float:
        """Return the visual angle of the width of one image, counted from 0."""
        return float(self._degrees[row])

    @cached_property
    def _degrees(self) -> np.ndarray:
        if "degrees" not in self.table:
            return np.full(len(self), float(self.degrees))
        try:
            degrees = self.table["degrees"].to_numpy(np.float64)
        except (TypeError, ValueError):
            degrees = np.full(len(self), np.nan)
        is_bad = ~(np.isfinite(degrees) & (degrees > 0))
        if is_bad.any():
            row = int(np.argmax(is_bad))
            raise DataError(
                f"The image '{self.stimulus_id[row]}' of '{self.identifier}' has the visual angle "
                f"'{self.table['degrees'].iloc[row]}' in the column 'degrees' ({int(is_bad.sum())} such); expected a "
                "number above 0 for every image, or no such column."
            )
        return degrees

    def labels(self, column: str) -> pd.Series:
        """Return one column of the labels."""
        if column not in self.table:
            raise MissingDataError(
                f"The stimulus set '{self.identifier}' has no label '{column}'; it has "
                f"{', '.join(map(str, self.table.columns)) or 'none'}."
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
