"""Recordings and choices from the reference's NetCDF files, without its package.

A file holds one array. Its dimensions carry flat coordinates: a label per presentation, neuroid or time bin. Only
what is needed is read, in blocks that follow the file's own, so memory does not grow with its size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.brain.behavior.trials import Trials
from vvscale.brain.benchmarks.assembly import Assembly
from vvscale.errors import DataError, MissingDataError, UsageError, did_you_mean

if TYPE_CHECKING:
    import xarray as xr

# Shape legend: P presentations, q neuroids, T time bins.

BLOCK_BYTES = 2**25
"""How much of an array is in memory at once while it is read."""


def read_neural(
    path: Path, *, assembly_id: str, region: str, time_bin: tuple[int, int], block_bytes: int = BLOCK_BYTES
) -> Assembly:
    """Read the responses of one region, averaged over a window of time.

    Parameters
    ----------
    path
        NetCDF file with the dimensions presentation, neuroid and time_bin in any order.
    assembly_id
        Name of the recordings.
    region
        Which neuroids, by their coordinate ``region``; they stay in the order of the file.
    time_bin
        Start and end of the window in ms after the image came on. Where one bin of the file is the window, its
        responses are taken as they are; else the bins inside are averaged in float64.
    block_bytes
        Bound on the memory for the part of the array that is being read.

    Returns
    -------
    Assembly
        One row per presentation, in the order of the file.

    Raises
    ------
    MissingDataError
        The file, a dimension, a coordinate, the region or the window is absent, or a label is.
    DataError
        The file cannot be read, the array is not of numbers, or a coordinate tells presentations of one image
        apart although it is not the repetition.
    """
    with _opened(path) as file:
        data = file.array(("presentation", "neuroid", "time_bin"))
        if data.dtype.kind not in "fiu":
            raise DataError(
                f"The responses in '{path}' are of type {data.dtype}; expected float32, float64 or whole numbers."
            )
        is_wanted = file.coordinate("region", "neuroid") == region
        if not is_wanted.any():
            known = sorted(set(file.coordinate("region", "neuroid").tolist()))
            raise MissingDataError(
                f"'{path}' holds no neuroid of region '{region}'; it has {', '.join(map(str, known))}."
                f"{did_you_mean(region, map(str, known))}"
            )
        stimulus_id, repetition = file.stimulus_id(), file.coordinate("repetition", "presentation")
        file.refuse_other_groups(stimulus_id)
        bins = _bins(file, time_bin)
        return Assembly(
            assembly_id=assembly_id,
            region=region,
            responses=_averaged(data, np.flatnonzero(is_wanted), bins, block_bytes),
            stimulus_id=stimulus_id,
            repetition=repetition,
            neuroid_id=file.coordinate("neuroid_id", "neuroid")[is_wanted],
        )


def read_trials(path: Path) -> Trials:
    """Read the choices of observers, in the order of the file.

    Parameters
    ----------
    path
        NetCDF file with the dimension presentation and the coordinates image_id or stimulus_id, sample_obj,
        dist_obj, choice and truth; without ``choice``, the array itself says what was chosen, and without
        ``truth`` it is ``sample_obj``.

    Raises
    ------
    MissingDataError
        The file or a coordinate is absent, or a label is.
    DataError
        The file cannot be read, or an image is said to show two objects.
    """
    with _opened(path) as file:
        data = file.array(("presentation",))
        # Labels become numbers one column at a time: half a million strings weigh much more than their codes.
        columns = {"stimulus_id": pd.Categorical(file.stimulus_id())}
        names = {"sample_obj", "dist_obj", "choice", *({"truth"} & set(file.names("presentation")))}
        for name in sorted(names):
            is_array = name == "choice" and name not in file.names("presentation")
            labels = _labels(data.values) if is_array else file.coordinate(name, "presentation")
            columns[name] = pd.Categorical(labels)
        return Trials.from_table(pd.DataFrame(columns))


@dataclass(frozen=True)
class _File:
    """An open NetCDF file, with errors that name it."""

    path: Path
    dataset: xr.Dataset

    def array(self, dims: Sequence[str]) -> xr.Variable:
        """Return the one array with these dimensions, unread, with the dimensions in the order of the file."""
        variables = {str(name): variable for name, variable in self.dataset.variables.items()}
        found = [name for name, variable in variables.items() if set(variable.dims) == set(dims)]
        # Coordinates of a one-dimensional array look like it; the array is what no coordinate list names.
        if len(found) > 1:
            found = [name for name in found if name in self.dataset.data_vars]
        if len(found) != 1:
            shapes = ", ".join(f"{name} ({', '.join(map(str, one.dims))})" for name, one in variables.items())
            raise MissingDataError(
                f"'{self.path}' has {len(found)} arrays with the dimensions {', '.join(dims)}; expected one. It has: "
                f"{shapes or 'nothing'}."
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

    def coordinate(self, name: str, dim: str, *, may_be_empty: bool = False) -> np.ndarray:
        """Return the labels of a dimension, text as str; none may be missing, nor empty text unless said so."""
        names = self.names(dim)
        if name not in names:
            raise MissingDataError(
                f"'{self.path}' has no coordinate '{name}' for the dimension '{dim}'; it has "
                f"{', '.join(sorted(names)) or 'none'}.{did_you_mean(name, names)}"
            )
        labels = _labels(self.dataset.variables[names[name]].values)
        is_missing = pd.isna(labels)
        if labels.dtype == object and not may_be_empty:
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

    def refuse_other_groups(self, stimulus_id: np.ndarray) -> None:
        """Refuse coordinates that tell presentations of an image apart.

        The reference averages presentations that agree in every coordinate but the repetition, so such a
        coordinate, or one without a value, would make several images of one.
        """
        image_of, images = pd.factorize(stimulus_id)
        first = np.zeros(len(images), dtype=np.int64)
        first[image_of[::-1]] = np.arange(len(image_of))[::-1]
        for name in self.names("presentation"):
            if name == "repetition":
                continue
            codes, _ = pd.factorize(self.coordinate(name, "presentation", may_be_empty=True))
            is_other = codes != codes[first][image_of]
            if is_other.any():
                image = images[image_of[int(np.argmax(is_other))]]
                raise DataError(
                    f"The coordinate '{name}' in '{self.path}' differs between presentations of image '{image}'; "
                    "expected only 'repetition' to. Average over it first, or remove it."
                )


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    try:
        # xarray says of a missing engine only which others there are.
        for package in ("h5netcdf", "h5py"):
            import_module(package)
        import xarray as xr
    except ImportError as error:
        raise UsageError(
            f"Reading recordings needs the package '{error.name}', which is not installed. "
            "Next: pip install 'vvscale[score]'."
        ) from error
    if not Path(path).is_file():
        raise MissingDataError(f"There is no file '{path}'. Expected a NetCDF file with recordings; check the path.")
    try:
        dataset = xr.open_dataset(path, engine="h5netcdf", decode_times=False, cache=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    try:
        with dataset:
            yield _File(Path(path), dataset)
    # What is read later, block by block, may be damaged too.
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"Cannot read '{path}' as NetCDF-4: {error}. Likely cause: a truncated copy, or a file of another format. "
        "Fetch or copy it again."
    )


def _labels(values: np.ndarray) -> np.ndarray:
    """Return text as str objects and numbers as they are."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind in "UT":
        return values.astype(object)
    if values.dtype == object and len(values) and isinstance(values[0], bytes):
        return np.array([value.decode() for value in values], dtype=object)
    return values


def _bins(file: _File, window: tuple[int, int]) -> slice:
    """Return which time bins make up a window without gap or overlap."""
    start, end = (file.coordinate(f"time_bin_{edge}", "time_bin") for edge in ("start", "end"))
    inside = np.flatnonzero((start >= window[0]) & (end <= window[1]))
    exact = inside[(start[inside] == window[0]) & (end[inside] == window[1])]
    if len(exact) == 1:
        return slice(int(exact[0]), int(exact[0]) + 1)
    edges = np.append(start[inside], window[1])
    if not len(inside) or edges[0] != window[0] or (edges[1:] != end[inside]).any() or (np.diff(inside) != 1).any():
        shown = ", ".join(f"{a:g}-{b:g}" for a, b in list(zip(start, end, strict=True))[:3])
        raise MissingDataError(
            f"The time bins of '{file.path}' do not make up {window[0]} to {window[1]} ms without gap or overlap; it "
            f"has {len(start)}: {shown}{', ...' if len(start) > 3 else ''} ms."
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _averaged(data: xr.Variable, neuroids: np.ndarray, bins: slice, block_bytes: int) -> np.ndarray:
    """Return (P, q): the mean over the bins, or the one bin in the type of the file."""
    n_bins = bins.stop - bins.start
    is_float32 = data.dtype == np.float32
    made = np.zeros((data.sizes["presentation"], len(neuroids)), np.float32 if n_bins == 1 and is_float32 else float)
    # Where neuroids stand in the result; those of other regions have no place.
    place = np.full(data.sizes["neuroid"], -1)
    place[neuroids] = np.arange(len(neuroids))
    window = {
        "presentation": slice(0, data.sizes["presentation"]),
        "neuroid": slice(int(neuroids[0]), int(neuroids[-1]) + 1),
        "time_bin": bins,
    }
    chunks = data.encoding.get("chunksizes") or (1,) * data.ndim
    for box in _boxes(data.shape, chunks, max(1, block_bytes // data.dtype.itemsize)):
        part = {str(dim): _overlap(side, window[str(dim)]) for dim, side in zip(data.dims, box, strict=True)}
        if any(side.start >= side.stop for side in part.values()):
            continue
        block = data.isel(part).transpose("presentation", "neuroid", "time_bin").values
        to = place[part["neuroid"]]
        made[part["presentation"], to[to >= 0]] += block[:, to >= 0].sum(-1)
    if n_bins > 1:
        made /= n_bins
    return made


def _overlap(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))


def _boxes(shape: Sequence[int], chunks: Sequence[int], n_values: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array into boxes of whole chunks, each of at most ``n_values`` unless one chunk is larger.

    Boxes grow along the last dimension first, which is how values lie in the file.
    """
    sides = [min(chunk, side) for chunk, side in zip(chunks, shape, strict=True)]
    for dim in reversed(range(len(shape))):
        room = max(1, n_values // math.prod(sides))
        sides[dim] = min(shape[dim], sides[dim] * room)
    cuts: list[list[Any]] = [
        [slice(low, min(low + step, side)) for low in range(0, side, step)]
        for step, side in zip(sides, shape, strict=True)
    ]
    return itertools.product(*cuts)
