"""Recordings as a value that knows the order of its images.

The reference averages presentations into images sorted by the tuple of their coordinates and draws its splits over
that order, so the order is fixed here and nowhere else: by stimulus_id, unless the file says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.inputs.stimuli import refuse_duplicates
from vvscale.brain.metrics.checks import arrays_digest, as_responses
from vvscale.errors import DataError, MissingDataError, ShapeError

# Shape legend: P presentations, N images, q neuroids, M subjects.


@dataclass(frozen=True, eq=False)
class Assembly:
    """Responses of the neuroids of one region, one row per presentation.

    Attributes
    ----------
    assembly_id, region
        Name of the recordings, and where they are from.
    responses
        (P, q) numbers in the unit of the recordings; NaN where a neuroid was not recorded.
    stimulus_id, repetition
        (P,) which image was shown, for which time.
    neuroid_id
        (q,) unique labels.
    image_order
        (N,) the images in the order that splits are drawn over; None for that of their labels.
    reliability
        (q,) ceilings that came with the recordings, from 0 to 1, which the ceiling ``shipped`` takes; or None.
    """

    assembly_id: str
    region: str
    responses: np.ndarray = field(repr=False)
    stimulus_id: np.ndarray = field(repr=False)
    repetition: np.ndarray = field(repr=False)
    neuroid_id: np.ndarray = field(repr=False)
    image_order: np.ndarray | None = field(default=None, repr=False)
    reliability: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        table = as_responses(self.responses, keep_float=True, may_be_nan=True)
        is_silent = np.isnan(table).all(0)
        if is_silent.any():
            raise DataError(
                f"Neuroid {int(np.argmax(is_silent))} (counted from 0; {int(is_silent.sum())} such) of the assembly "
                f"'{self.assembly_id}' has no response at all, NaN in every row. Leave it out."
            )
        n_presentations, n_neuroids = self.responses.shape
        for name, expected in (
            ("stimulus_id", n_presentations),
            ("repetition", n_presentations),
            ("neuroid_id", n_neuroids),
            *([("reliability", n_neuroids)] if self.reliability is not None else []),
        ):
            if len(getattr(self, name)) != expected:
                what = "neuroids" if name in ("neuroid_id", "reliability") else "presentations"
                raise ShapeError(
                    f"The assembly '{self.assembly_id}' has {len(getattr(self, name))} labels '{name}' for "
                    f"{expected} {what}; expected one for each."
                )
        refuse_duplicates(pd.Index(self.neuroid_id), f"The assembly '{self.assembly_id}'", "neuroid_id")

    @classmethod
    def from_means(
        cls, assembly_id: str, region: str, means: Any, stimulus_id: Sequence[Any], neuroid_id: Sequence[Any]
    ) -> Assembly:
        """Make an assembly of (N, q) responses without repetitions: its ceiling must come from elsewhere."""
        names = np.array(list(stimulus_id), dtype=object)
        refuse_duplicates(pd.Index(names), f"The table of responses '{assembly_id}'")
        return cls(assembly_id, region, np.asarray(means), names, np.zeros(len(names), int), np.array(list(neuroid_id)))

    @classmethod
    def from_cube(
        cls, assembly_id: str, region: str, cube: Any, stimulus_id: Sequence[Any], neuroid_id: Sequence[Any]
    ) -> Assembly:
        """Make an assembly of (R, N, q) responses; repetitions of an image that are NaN throughout are left out."""
        cube = np.asarray(cube)
        if cube.ndim != 3 or cube.shape[1:] != (len(stimulus_id), len(neuroid_id)):
            raise ShapeError(
                f"The responses have shape {cube.shape}; expected (n_repetitions, n_images, n_neuroids) with "
                f"{len(stimulus_id)} images and {len(neuroid_id)} neuroids."
            )
        refuse_duplicates(pd.Index(list(stimulus_id)), f"The table of responses '{assembly_id}'")
        rows = cube.reshape(-1, cube.shape[2])
        kept = ~np.isnan(rows).all(1)
        names = np.tile(np.array(list(stimulus_id), dtype=object), len(cube))
        times = np.repeat(np.arange(len(cube)), cube.shape[1])
        return cls(assembly_id, region, rows[kept], names[kept], times[kept], np.array(list(neuroid_id)))

    @cached_property
    def images(self) -> np.ndarray:
        """(N,) the images that were shown, in the order that splits are drawn over."""
        shown = pd.unique(np.asarray(self.stimulus_id))
        if self.image_order is None:
            return np.sort(shown)
        order = np.asarray(self.image_order)
        refuse_duplicates(pd.Index(order), f"The order of images of '{self.assembly_id}'")
        if set(order.tolist()) != set(shown.tolist()):
            raise DataError(f"The order of images of '{self.assembly_id}' is not of the {len(shown)} images shown.")
        return order

    @cached_property
    def mean(self) -> pd.DataFrame:
        """(N, q) means over repetitions, leaving NaN out, index :attr:`images`, columns neuroid_id."""
        codes = pd.Index(self.images).get_indexer(pd.Index(self.stimulus_id))
        order = np.argsort(codes, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(codes[order])) + 1))
        table = np.asarray(self.responses, dtype=np.float64)[order]
        is_missing = np.isnan(table)
        if is_missing.any():
            counts = np.add.reduceat((~is_missing).astype(np.float64), starts)
            if (counts == 0).any():
                image, neuroid = (int(index) for index in np.argwhere(counts == 0)[0])
                raise MissingDataError(
                    f"Neuroid '{self.neuroid_id[neuroid]}' of '{self.assembly_id}' has no response to image "
                    f"'{self.images[image]}' ({int((counts == 0).sum())} such). Leave out the neuroids or the images."
                )
            table = np.where(is_missing, 0.0, table)
        else:
            counts = np.bincount(codes)[:, None]
        means = np.add.reduceat(table, starts) / counts
        return pd.DataFrame(means, index=self.images, columns=np.asarray(self.neuroid_id))

    def of_images(self, images: Sequence[Any] | np.ndarray) -> Assembly:
        """Return the presentations of some images."""
        rows = np.isin(np.asarray(self.stimulus_id), np.asarray(images))
        order = None if self.image_order is None else self.image_order[np.isin(self.image_order, np.asarray(images))]
        return replace(
            self,
            responses=self.responses[rows],
            stimulus_id=np.asarray(self.stimulus_id)[rows],
            repetition=np.asarray(self.repetition)[rows],
            image_order=order,
        )

    def digest(self) -> str:
        """Return the SHA-256 of the responses and their labels, in their order; it is computed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return arrays_digest(
            f"{self.assembly_id} {self.region}",
            responses=self.responses,
            stimulus_id=self.stimulus_id,
            repetition=self.repetition,
            neuroid_id=self.neuroid_id,
            images=self.images,
            reliability=[] if self.reliability is None else self.reliability,
        )


@dataclass(frozen=True, eq=False)
class Rdms:
    """Dissimilarities of images for one or several subjects, for representational similarity alone.

    Attributes
    ----------
    assembly_id, region
        Name of the recordings, and where they are from.
    tables
        (M, N, N) dissimilarities, symmetric, in any unit.
    stimulus_id
        (N,) unique labels of the images.
    """

    assembly_id: str
    region: str
    tables: np.ndarray = field(repr=False)
    stimulus_id: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        tables = np.asarray(self.tables, dtype=np.float64)
        tables = tables[None] if tables.ndim == 2 else tables
        n = len(self.stimulus_id)
        if tables.ndim != 3 or tables.shape[1:] != (n, n) or not len(tables):
            raise ShapeError(
                f"The dissimilarities of '{self.assembly_id}' have shape {np.shape(self.tables)}; expected "
                f"(n_subjects, {n}, {n}) for {n} labels stimulus_id."
            )
        if not np.isfinite(tables).all() or not np.allclose(tables, tables.transpose(0, 2, 1)):
            raise DataError(f"The dissimilarities of '{self.assembly_id}' are not finite and symmetric.")
        refuse_duplicates(pd.Index(self.stimulus_id), f"The dissimilarities '{self.assembly_id}'")
        object.__setattr__(self, "tables", tables)

    @property
    def images(self) -> np.ndarray:
        """(N,) the images, in the order of the tables."""
        return np.asarray(self.stimulus_id)

    def digest(self) -> str:
        """Return the SHA-256 of the tables and their labels."""
        return arrays_digest(f"{self.assembly_id} {self.region}", tables=self.tables, stimulus_id=self.stimulus_id)
