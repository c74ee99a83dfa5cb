"""TVSD (Papale et al. 2025): multi-unit activity of V1, V4 and IT of two macaques, THINGS images.

Raw files, MATLAB 7.3: monkeyF/THINGS_normMUA.mat, monkeyN/THINGS_normMUA.mat and monkeyF/_logs/things_imgs.mat, whose
order of images is that of both monkeys. Read through HDF5, every axis is reversed against MATLAB's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vvscale.brain.ceilings.percent import variance_ceiling_percent
from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import things_id
from vvscale.core.hdf5 import open_hdf5
from vvscale.errors import DataError, MissingDataError

# Shape legend: N images, R repetitions, 1024 electrodes.

N_ELECTRODES = 1024

ELECTRODES: Mapping[str, Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "monkeyF": {"V1": (0, 512), "IT": (512, 832), "V4": (832, 1024)},
        "monkeyN": {"V1": (0, 512), "V4": (512, 768), "IT": (768, 1024)},
    }
)
"""Monkey -> region -> first electrode and the one after the last, counted from 0; the order differs."""

IMAGES = "monkeyF/_logs/things_imgs.mat"


def raw_files(raw: Path, subject: str) -> list[Path]:
    """Return the raw files of a subject."""
    return [raw / subject / "THINGS_normMUA.mat", raw / IMAGES]


def read_subject(raw: Path, subject: str, writer: PreparedWriter, *, min_reliability: float, **_: Any) -> None:
    """Write one monkey: means over repetitions, electrodes of at least this mean reliability, variance ceilings."""
    with _mat(raw / subject / "THINGS_normMUA.mat") as file:
        # Pairwise correlations of test repetitions, averaged per electrode.
        reliability = _by_electrode(file, "reliab").mean(axis=0)
        train, test = _by_electrode(file, "train_MUA"), _by_electrode(file, "test_MUA")
        repeats = _by_electrode(file, "test_MUA_reps")
        if len(repeats) != len(test):
            repeats = repeats.swapaxes(0, 1)  # to (N, R, electrodes)
        for region, (first, end) in ELECTRODES[subject].items():
            electrodes = first + np.flatnonzero(reliability[first:end] >= min_reliability)
            if not len(electrodes):
                continue
            for split, table in (("train", train), ("test", test)):
                writer.responses(split, subject, region, (len(table), len(electrodes)))[...] = table[:, electrodes]
            writer.ceiling(subject, region, variance_ceiling_percent(repeats[:, :, electrodes]))


def stimulus_ids(raw: Path, split: str, subject: str) -> np.ndarray:
    """Return the images of a split in the order of the responses."""
    with _mat(raw / IMAGES) as file:
        name = f"{split}_imgs/things_path"
        if name not in file:
            raise MissingDataError(f"'{raw / IMAGES}' has no '{name}'; expected the log of the data set.")
        return np.array([things_id(_matlab_text(file, one)) for one in np.ravel(file[name][()])])


def _by_electrode(file: Any, name: str) -> np.ndarray:
    """Return a table with the electrodes as its last axis, whichever way the file was saved."""
    if name not in file:
        raise MissingDataError(f"'{file.filename}' has no '{name}'; it has {', '.join(file)}.")
    table = file[name][()]
    if table.shape[-1] == N_ELECTRODES:
        return table
    if table.shape[0] == N_ELECTRODES:
        return np.moveaxis(table, 0, -1)
    raise DataError(f"'{name}' in '{file.filename}' has shape {table.shape}; expected {N_ELECTRODES} electrodes.")


def _matlab_text(file: Any, held: Any) -> str:
    """Return one cell of text: a reference to character codes, or text itself."""
    if isinstance(held, bytes):
        return held.decode("utf-8")
    return "".join(map(chr, np.ravel(file[held][()]).tolist()))


def _mat(path: Path) -> Any:
    try:
        return open_hdf5(path)
    except OSError as error:
        raise DataError(f"Cannot read '{path}' as MATLAB 7.3: {error}. Copy it again.") from error
