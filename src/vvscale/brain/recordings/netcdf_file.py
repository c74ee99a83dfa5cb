"""An open NetCDF file of the reference: its one array, and the flat coordinates of its dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.core.hdf5 import check_hdf5
from vvscale.errors import DataError, MissingDataError, UsageError, did_you_mean

if TYPE_CHECKING:
    import xarray as xr

# Shape legend: P presentations.


@dataclass(frozen=True)
class NetcdfFile:
    """An open NetCDF file, with errors that name it."""

    path: Path
    dataset: xr.Dataset

    def array(self, *alternatives: Sequence[str]) -> xr.Variable:
        """Return the one array with the dimensions of the first alternative that there is, unread.

        Its dimensions stay in the order of the file.
        """
        variables = {str(name): variable for name, variable in self.dataset.variables.items()}
        found: list[str] = []
        for dims in alternatives:
            found = [name for name, variable in variables.items() if set(variable.dims) == set(dims)]
            # Coordinates of a one-dimensional array look like it; the array is what no coordinate list names.
            if len(found) > 1:
                found = [name for name in found if name in self.dataset.data_vars]
            if found:
                break
        if len(found) != 1:
            shapes = ", ".join(f"{name} ({', '.join(map(str, one.dims))})" for name, one in variables.items())
            raise MissingDataError(
                f"'{self.path}' has {len(found)} arrays with the dimensions {', '.join(alternatives[0])}; expected "
                f"one. It has: {shapes or 'nothing'}."
            )
        return variables[found[0]]

    def names(self, dim: str) -> dict[str, str]:
        """Return the coordinates of a dimension: their name -> their name in the file.

        A name ends in ``_`` in the file where the coordinate was the only one of its dimension.
        """
        return {
            str(name).rstrip("_"): str(name)
            for name, variable in self.dataset.variables.items()
            if variable.dims == (dim,) and name not in self.dataset.data_vars
        }

    def coordinate(self, name: str, dim: str) -> np.ndarray:
        """Return the labels of a dimension, text as str; none may be missing or empty."""
        names = self.names(dim)
        if name not in names:
            raise MissingDataError(
                f"'{self.path}' has no coordinate '{name}' for the dimension '{dim}'; it has "
                f"{', '.join(sorted(names)) or 'none'}.{did_you_mean(name, names)}"
            )
        labels = as_labels(self.dataset.variables[names[name]].values)
        is_missing = pd.isna(labels)
        if labels.dtype == object:
            is_missing |= labels == ""
        if is_missing.any():
            raise MissingDataError(
                f"The coordinate '{name}' in '{self.path}' has no value at {dim} {int(np.argmax(is_missing))} (counted "
                f"from 0; {int(is_missing.sum())} such). Expected a label for every {dim}: one without would be an "
                "image of its own."
            )
        return labels

    def stimulus_id(self) -> np.ndarray:
        """Return the image of each presentation: stimulus_id or, in older files, image_id."""
        name = "stimulus_id" if "stimulus_id" in self.names("presentation") else "image_id"
        labels = self.coordinate(name, "presentation")
        # Numbers become text, since the labels of stimulus sets are.
        return labels if labels.dtype == object else labels.astype(str).astype(object)

    def image_order(self, stimulus_id: np.ndarray, ignored: Sequence[str] = ()) -> np.ndarray:
        """Return the images in the order of the reference: by the tuple of their coordinates.

        The reference groups presentations that agree in every coordinate but the repetition, and sorts the groups by
        their coordinates, in the order and the types of the file. A coordinate that differs between presentations of
        one image would make several images of one, which its metric then refuses, so it is refused here.

        Parameters
        ----------
        stimulus_id
            (P,) image of each presentation.
        ignored
            Coordinates that do not count.

        Raises
        ------
        DataError
            A coordinate tells presentations of one image apart.
        """
        image_of, images = pd.factorize(stimulus_id)
        first = np.zeros(len(images), dtype=np.int64)
        first[image_of[::-1]] = np.arange(len(image_of))[::-1]
        keys = []
        for name in self.names("presentation"):
            if name == "repetition" or name in ignored:
                continue
            codes = _sorted_codes(self.labels(name))
            is_other = codes != codes[first][image_of]
            if is_other.any():
                image = images[image_of[int(np.argmax(is_other))]]
                raise DataError(
                    f"The coordinate '{name}' in '{self.path}' differs between presentations of image '{image}'; "
                    f"expected only 'repetition' to. Pass `ignore=['{name}']` to average over it, or remove it."
                )
            keys.append(codes[first])
        # The last key is the first to sort by.
        return images[np.lexsort(keys[::-1])]

    def labels(self, name: str) -> np.ndarray:
        """Return the labels of a coordinate as they are, missing ones included."""
        for dim in ("presentation", "neuroid", "time_bin"):
            names = self.names(dim)
            if name in names:
                return as_labels(self.dataset.variables[names[name]].values)
        raise MissingDataError(f"'{self.path}' has no coordinate '{name}'.")


def _sorted_codes(labels: np.ndarray) -> np.ndarray:
    """Return numbers in the order of labels of one type; a missing label comes last, and equals another."""
    try:
        codes, known = pd.factorize(labels, sort=True)
    except TypeError:  # types that do not compare
        codes, known = pd.factorize(labels.astype(str), sort=True)
    return np.where(codes < 0, len(known), codes)


@contextmanager
def opened(path: Path) -> Iterator[NetcdfFile]:
    """Open a file of NetCDF-4 or NetCDF-3 for reading.

    Raises
    ------
    MissingDataError
        There is no such file.
    DataError
        It cannot be read, when it is opened or later.
    UsageError
        A package that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"There is no file '{path}'. Expected a NetCDF file with recordings; check the path.")
    check_hdf5(Path(path))
    with path.open("rb") as file:
        is_classic = file.read(3) == b"CDF"
    try:
        # xarray says of a missing engine only which others there are.
        for package in () if is_classic else ("h5netcdf", "h5py"):
            import_module(package)
        import xarray as xr
    except ImportError as error:
        raise UsageError(
            f"Reading recordings needs the package '{error.name}', which is not installed. "
            "Next: pip install 'vvscale[score]'."
        ) from error
    engine = "scipy" if is_classic else "h5netcdf"
    try:
        dataset = xr.open_dataset(path, engine=engine, decode_times=False, cache=False)
    except Exception as error:  # a damaged file breaks each of the libraries' readers in ways of its own
        raise _unreadable(path, error) from error
    try:
        with dataset:
            yield NetcdfFile(path, dataset)
    # What is read later, block by block, may be damaged too.
    except (OSError, RuntimeError, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"Cannot read '{path}' as NetCDF: {error}. Likely cause: a truncated copy, or a file of another format. "
        "Fetch or copy it again."
    )


def as_labels(values: np.ndarray) -> np.ndarray:
    """Return text as str objects and numbers as they are."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind in "UT":
        return values.astype(object)
    if values.dtype == object and len(values) and isinstance(values[0], bytes):
        return np.array([value.decode() for value in values], dtype=object)
    return values
