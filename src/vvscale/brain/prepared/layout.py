"""The prepared HDF5 file of a data set, as the 2026 multimodal study lays it out: read and written here alone.

attrs                                    metadata (JSON), rois, subjects, splits, max_nc; times and channels of M/EEG
/{train,test}/stimulus_ids               text; /{split}/stimulus_ids/<subject> where each subject saw other images
/{train,test}/neural_data/<subject>/<roi>   (stimuli, units) or (stimuli, channels, times), mean over repetitions
/noise_ceilings/<subject>/<roi>          percent of variance, 0 to 100: (units,) or (channels, times)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vvscale.core.files import write_whole
from vvscale.core.hdf5 import open_hdf5
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, MissingDataError, ShapeError, unknown_name

# Shape legend: N stimuli, u units (or channels x times, flattened in this order).

SPLITS = ("train", "test")
MAX_NC = 100
"""What a noise ceiling of a unit without noise is: ceilings are percentages."""


class PreparedWriter:
    """Writes one prepared file; made by :func:`write_prepared`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def stimulus_ids(self, split: str, ids: Sequence[Any] | np.ndarray, subject: str | None = None) -> None:
        """Write the images of a split, of one subject where subjects saw other images."""
        table = np.asarray(ids)
        held = table.astype(np.int32) if table.dtype.kind in "iu" else [str(one) for one in table.tolist()]
        self._file[f"{split}/stimulus_ids" + ("" if subject is None else f"/{subject}")] = held

    def responses(self, split: str, subject: str, roi: str, shape: Sequence[int]) -> Any:
        """Return an empty float32 dataset to fill, so that no more than a block has to be in memory."""
        return self._file.create_dataset(f"{split}/neural_data/{subject}/{roi}", tuple(shape), dtype="float32")

    def ceiling(self, subject: str, roi: str, percent: np.ndarray) -> None:
        """Write the noise ceilings of a region in percent of variance."""
        self._file[f"noise_ceilings/{subject}/{roi}"] = np.asarray(percent, dtype=np.float64)

    def copy(self, path: Path, subject: str) -> None:
        """Take over the responses and ceilings of a subject from another prepared file."""
        with open_hdf5(path) as part:
            for name in (f"train/neural_data/{subject}", f"test/neural_data/{subject}", f"noise_ceilings/{subject}"):
                if name in part:
                    self._file.require_group(name.rpartition("/")[0])
                    part.copy(part[name], self._file, name=name)

    def digest(self, digest: str) -> None:
        """Write what a part of a preparation depends on."""
        self._file.attrs["digest"] = digest

    def finish(self, metadata: Mapping[str, Any], **attributes: Any) -> None:
        """Write what the file is; subjects are those with units."""
        attrs = self._file.attrs
        subjects = sorted(self._file["test/neural_data"])
        if not subjects:
            raise DataError("No unit of any subject passed the thresholds; nothing was prepared. Lower the threshold.")
        attrs["metadata"] = json.dumps(dict(metadata))
        attrs["subjects"] = subjects
        attrs["rois"] = sorted({roi for one in subjects for roi in self._file[f"test/neural_data/{one}"]})
        attrs["splits"] = list(SPLITS)
        attrs["max_nc"] = MAX_NC
        for name, value in attributes.items():
            attrs[name] = value


@contextmanager
def write_prepared(path: Path) -> Iterator[PreparedWriter]:
    """Yield a writer; the file appears under its name when all is written.

    Raises
    ------
    UsageError, DataError
        The folder cannot be written to, or the disk is full.
    """
    import h5py

    with write_whole(path) as part, h5py.File(part, "w") as file:
        for split in SPLITS:
            file.create_group(f"{split}/neural_data")
        yield PreparedWriter(file)


@dataclass(frozen=True, eq=False)
class PreparedFile:
    """A prepared file, read piece by piece.

    Attributes
    ----------
    path
        Where it lies.
    handle
        Name of the data set: the stem of the file.
    subjects, rois
        Who and what was recorded; a subject may lack a region.
    metadata
        What the writer said of it.
    has_own_stimuli
        Whether each subject saw other images.
    """

    path: Path
    handle: str
    subjects: tuple[str, ...]
    rois: tuple[str, ...]
    metadata: Mapping[str, Any] = field(repr=False)
    has_own_stimuli: bool
    max_nc: float

    @classmethod
    def open(cls, path: str | Path) -> PreparedFile:
        """Read what the file holds, not the responses.

        Raises
        ------
        MissingDataError
            There is no such file, or it lacks a part of the layout.
        DataError
            It is no HDF5 file.
        """
        path = plain_file(path)
        with _opened(path) as file:
            for name in ("train/neural_data", "test/neural_data", "train/stimulus_ids", "test/stimulus_ids"):
                if name not in file:
                    raise MissingDataError(
                        f"'{path}' has no '{name}'; expected the prepared layout: train and test, each with "
                        "stimulus_ids and neural_data, and noise_ceilings. 'vvscale prepare-brain' writes it."
                    )
            import h5py

            return cls(
                path=path,
                handle=path.stem,
                subjects=tuple(_strings(file.attrs.get("subjects", sorted(file["test/neural_data"])))),
                rois=tuple(_strings(file.attrs.get("rois", _rois(file)))),
                metadata=_metadata(file.attrs.get("metadata", "{}")),
                has_own_stimuli=isinstance(file["test/stimulus_ids"], h5py.Group),
                max_nc=float(file.attrs.get("max_nc", MAX_NC)),
            )

    def stimulus_ids(self, split: str, subject: str) -> np.ndarray:
        """Return (N,) labels of the images of a split, in the order of the responses."""
        with _opened(self.path) as file:
            held = file[f"{split}/stimulus_ids"]
            ids = held[subject][()] if self.has_own_stimuli else held[()]
        return np.array([one.decode("utf-8") if isinstance(one, bytes) else str(one) for one in ids.tolist()])

    def has(self, subject: str, roi: str) -> bool:
        """Whether a subject has at least one unit in a region."""
        with _opened(self.path) as file:
            held = file.get(f"test/neural_data/{subject}/{roi}")
            return held is not None and int(np.prod(held.shape[1:])) > 0

    def n_units(self, subject: str, roi: str) -> int:
        """Return the number of units of a subject's region, channels x times in M/EEG."""
        with _opened(self.path) as file:
            return int(np.prod(self._dataset(file, "test", subject, roi).shape[1:]))

    def responses(self, split: str, subject: str, roi: str, units: np.ndarray | None = None) -> np.ndarray:
        """Return (N, u) float32 responses, of all units or of those that a (u,) mask keeps."""
        with _opened(self.path) as file:
            table = self._dataset(file, split, subject, roi)[()].astype(np.float32, copy=False)
        table = table.reshape(len(table), -1)
        if len(table) != len(self.stimulus_ids(split, subject)):
            raise ShapeError(
                f"'{self.path}' has {len(table)} responses of {subject} {roi} in {split} and another number of "
                "stimulus_ids; expected one for each."
            )
        return table if units is None else table[:, units]

    def reliability(self, subject: str, roi: str) -> np.ndarray:
        """Return (u,) noise ceilings as shares of variance, 0 to 1."""
        with _opened(self.path) as file:
            name = f"noise_ceilings/{subject}/{roi}"
            if name not in file:
                raise MissingDataError(f"'{self.path}' has no '{name}'; scores of this region have no ceiling.")
            return np.ravel(file[name][()]).astype(np.float64) / self.max_nc

    def _dataset(self, file: Any, split: str, subject: str, roi: str) -> Any:
        if subject not in self.subjects:
            raise unknown_name("subject", subject, self.subjects)
        if roi not in self.rois:
            raise unknown_name("region", roi, self.rois)
        name = f"{split}/neural_data/{subject}/{roi}"
        if name not in file:
            raise MissingDataError(f"'{self.path}' has no region {roi} of subject {subject}.")
        return file[name]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = open_hdf5(path)
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no file '{path}'; check the path, or run 'vvscale prepare-brain'.") from error
    except OSError as error:
        raise DataError(f"Cannot read '{path}' as HDF5: {error}. Copy or prepare it again.") from error
    with file:
        yield file


def _rois(file: Any) -> list[str]:
    return sorted({roi for one in file["test/neural_data"].values() for roi in one})


def _strings(held: Any) -> list[str]:
    """Read a list of names: an array of text, or the JSON of one."""
    if isinstance(held, (str, bytes)):
        text = held.decode() if isinstance(held, bytes) else held
        held = parse_json(text) if text.startswith("[") else [text]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in held]


def _metadata(held: Any) -> Mapping[str, Any]:
    try:
        return dict(parse_json(held))
    except (TypeError, ValueError):
        return {"text": str(held)}
