"""Recordings and choices from the reference's NetCDF files, without its package.

A file holds one array. Its dimensions carry flat coordinates: a label per presentation, neuroid or time bin. Only
what is needed is read, in blocks that follow the file's own, so memory does not grow with its size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.brain.behavior.trials import Trials
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.recordings.netcdf_file import NetcdfFile, as_labels, opened
from vvscale.errors import DataError, MissingDataError, did_you_mean

if TYPE_CHECKING:
    import xarray as xr

# Shape legend: P presentations, q neuroids, T time bins.

BLOCK_BYTES = 2**25
"""How much of an array is in memory at once while it is read."""


REGION_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType({"IT": ("IT", "PIT", "CIT", "AIT", "pIT", "cIT", "aIT")})
"""Region -> what files may call it or its parts; others go by their own name."""

# Bins of a recording reach past 20 ms, and no response lasts 20 s: what ends below is in seconds.
_MOST_SECONDS = 20.0


def read_neural(
    path: Path,
    *,
    assembly_id: str,
    region: str,
    time_bin: tuple[float, float] | None = None,
    ignore: Sequence[str] = (),
    block_bytes: int = BLOCK_BYTES,
) -> Assembly:
    """Read the responses of one region, averaged over a window of time.

    Parameters
    ----------
    path
        NetCDF file with the dimensions presentation and neuroid, and perhaps time_bin, in any order.
    assembly_id
        Name of the recordings.
    region
        Which neuroids, by their coordinate ``region``; they stay in the order of the file. IT takes its parts PIT, CIT
        and AIT where the file has them instead.
    time_bin
        Start and end of the window in ms after the image came on. Where one bin of the file is the window, its
        responses are taken as they are; else the bins inside are averaged in float64. Bins in seconds are understood.
        None takes the only bin, or an array without time.
    ignore
        Coordinates of presentations that do not tell images apart, such as ``session``.
    block_bytes
        Bound on the memory for the part of the array that is being read.

    Returns
    -------
    Assembly
        One row per presentation, in the order of the file; NaN where a neuroid was not recorded. Images are in the
        order of the reference: by the tuple of their coordinates as the file has them, numbers as numbers. Without a
        coordinate ``repetition``, presentations are counted per image in their order. Neuroids of several animals that
        share their neuroid_id are told apart by the other coordinates.

    Raises
    ------
    MissingDataError
        The file, a dimension, a coordinate, the region or the window is absent, or a label is.
    DataError
        The file cannot be read, the array is not of numbers, or a coordinate tells presentations of one image
        apart although it is not the repetition.
    """
    with opened(path) as file:
        data = file.array(("presentation", "neuroid", "time_bin"), ("presentation", "neuroid"))
        if data.dtype.kind not in "fiu":
            raise DataError(
                f"The responses in '{path}' are of type {data.dtype}; expected float32, float64 or whole numbers."
            )
        is_wanted = _of_region(file, region)
        stimulus_id = file.stimulus_id()
        return Assembly(
            assembly_id=assembly_id,
            region=region,
            responses=_averaged(data, np.flatnonzero(is_wanted), _bins(file, data, time_bin), block_bytes),
            stimulus_id=stimulus_id,
            repetition=_repetition(file, stimulus_id),
            neuroid_id=_neuroid_id(file)[is_wanted],
            image_order=file.image_order(stimulus_id, ignore),
        )


def _of_region(file: NetcdfFile, region: str) -> np.ndarray:
    """Return (q,) which neuroids are of a region, or of its parts where the file names those."""
    labels = file.coordinate("region", "neuroid")
    is_wanted = labels == region
    if not is_wanted.any():
        is_wanted = np.isin(labels.astype(str), REGION_PARTS.get(region, ()))
    if not is_wanted.any():
        known = sorted(set(labels.tolist()))
        raise MissingDataError(
            f"'{file.path}' holds no neuroid of region '{region}'; it has {', '.join(map(str, known))}."
            f"{did_you_mean(region, map(str, known))}"
        )
    return is_wanted


def _repetition(file: NetcdfFile, stimulus_id: np.ndarray) -> np.ndarray:
    if "repetition" in file.names("presentation"):
        return file.coordinate("repetition", "presentation")
    return pd.Series(stimulus_id).groupby(stimulus_id).cumcount().to_numpy()


def _neuroid_id(file: NetcdfFile) -> np.ndarray:
    """Return unique labels of the neuroids: their ids, with more coordinates where those of several animals meet."""
    labels = file.coordinate("neuroid_id", "neuroid")
    names = file.names("neuroid")
    for name in ("animal", "subject", "session", "hemisphere", "arr", *names):
        if not pd.Index(labels).has_duplicates:
            break
        if name in names and name not in ("neuroid_id", "region"):
            others = file.labels(name)
            labels = np.array([f"{a}.{b}" for a, b in zip(others, labels, strict=True)], dtype=object)
    return labels


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
    with opened(path) as file:
        data = file.array(("presentation",))
        # Labels become numbers one column at a time: half a million strings weigh much more than their codes.
        columns = {"stimulus_id": pd.Categorical(file.stimulus_id())}
        names = {"sample_obj", "dist_obj", "choice", *({"truth"} & set(file.names("presentation")))}
        for name in sorted(names):
            is_array = name == "choice" and name not in file.names("presentation")
            labels = as_labels(data.values) if is_array else file.coordinate(name, "presentation")
            columns[name] = pd.Categorical(labels)
        return Trials.from_table(pd.DataFrame(columns))


def _bins(file: NetcdfFile, data: xr.Variable, window: tuple[float, float] | None) -> slice | None:
    """Return which time bins make up a window without gap or overlap, or None where the array has no time."""
    if "time_bin" not in data.dims:
        return None
    start, end = (
        np.atleast_1d(file.coordinate(f"time_bin_{edge}", "time_bin")).astype(np.float64) for edge in ("start", "end")
    )
    if window is None:
        if len(start) == 1:
            return slice(0, 1)
        raise MissingDataError(
            f"'{file.path}' has {len(start)} time bins; name the window to average over, `time_bin=(start, end)` in ms."
        )
    if np.abs(end).max() < _MOST_SECONDS < window[1]:
        start, end = 1000 * start, 1000 * end
    # Edges such as 0.07 s are not exact in binary.
    start, end = np.round(start, 6), np.round(end, 6)
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


def _averaged(data: xr.Variable, neuroids: np.ndarray, bins: slice | None, block_bytes: int) -> np.ndarray:
    """Return (P, q): the mean over the bins, or the one bin, or all there is, in the type of the file."""
    dims = ("presentation", "neuroid") if bins is None else ("presentation", "neuroid", "time_bin")
    n_bins = 1 if bins is None else bins.stop - bins.start
    is_float32 = data.dtype == np.float32
    made = np.zeros((data.sizes["presentation"], len(neuroids)), np.float32 if n_bins == 1 and is_float32 else float)
    n_missing = np.zeros(made.shape, np.int32)
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
        block = data.isel(part).transpose(*dims).values
        block = block.reshape(*block.shape[:2], -1)
        to = place[part["neuroid"]]
        is_missing = np.isnan(block)
        rows, columns = part["presentation"], to[to >= 0]
        made[rows, columns] += np.where(is_missing, 0, block)[:, to >= 0].sum(-1)
        n_missing[rows, columns] += is_missing[:, to >= 0].sum(-1)
    if n_bins > 1:
        made /= np.maximum(n_bins - n_missing, 1)
    made[n_missing == n_bins] = np.nan
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
