"""THINGS-fMRI (Hebart et al. 2023): responses of voxels of three subjects, from the release of single-trial tables.

Raw files: betas_csv/sub-0N_ResponseData.h5 (a pandas store), sub-0N_StimulusMetadata.csv, sub-0N_VoxelMetadata.csv.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.metrics.centring import zscored
from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import read_table, repeats, things_id
from vvscale.core.hdf5 import open_hdf5
from vvscale.errors import DataError, MissingDataError

# Shape legend: V voxels of a region, T trials, N images, R repetitions.

FOLDER = "betas_csv"

_LOCALISED = ("EBA", "FFA", "OFA", "PPA", "RSC", "TOS", "LOC")
_GLASSER_IT = ("TE1p", "TE2p", "FFC", "VVC", "VMV2", "VMV3", "PHA1", "PHA2", "PHA3")

REGIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{name: (name,) for name in ("V1", "V2", "V3", "VO1", "VO2", "TO1", "TO2", "V3a", "V3b", "IT")},
        "V4": ("hV4",),
        "LO1": ("LO1 (prf)",),
        "LO2": ("LO2 (prf)",),
        **{f"{side}{name}": (f"{side}{name}",) for name in _LOCALISED for side in "lr"},
        "IT_glasser": tuple(f"glasser-{name}" for name in _GLASSER_IT),
        "whole_brain": (),
    }
)
"""Region -> columns of the voxel table whose voxels it has; all voxels where there is none."""

_TRIALS = ("trial_type", "stimulus", "trial_id")
"""Columns of the stimulus table that are read: train or test, name of the image file, number of the trial."""

_BLOCK_VOXELS = 4096


def raw_files(raw: Path, subject: str) -> list[Path]:
    """Return the raw files of a subject."""
    names = ("ResponseData.h5", "StimulusMetadata.csv", "VoxelMetadata.csv")
    return [raw / FOLDER / f"{subject}_{name}" for name in names]


def read_subject(
    raw: Path, subject: str, writer: PreparedWriter, *, min_ceiling: float, rois: tuple[str, ...] = (), **_: Any
) -> None:
    """Write one subject: means over repetitions, z-scored over images in each split; voxels above a shipped ceiling."""
    responses, stimuli, voxels = raw_files(raw, subject)
    trials, table = read_table(stimuli, *_TRIALS), read_table(voxels, "nc_testset")
    percent = table["nc_testset"].to_numpy(dtype=np.float64)
    orders = {split: _order(trials, split, stimuli) for split in ("train", "test")}
    with open_hdf5(responses) as file:
        values = _values(file, responses, len(table), len(trials))
        for region in rois or tuple(REGIONS):
            chosen = np.flatnonzero(_members(table, region, voxels) & (percent > min_ceiling))
            if not len(chosen):
                continue
            held = {
                split: writer.responses(split, subject, region, (len(order), len(chosen)))
                for split, order in orders.items()
            }
            for start in range(0, len(chosen), _BLOCK_VOXELS):
                block = slice(start, start + _BLOCK_VOXELS)
                of_block = values[chosen[block]]  # (V, T), rows in ascending order as HDF5 needs them
                for split, order in orders.items():
                    held[split][:, block] = zscored(of_block[:, order].mean(axis=2).T)
            writer.ceiling(subject, region, percent[chosen])


def stimulus_ids(raw: Path, split: str, subject: str) -> np.ndarray:
    """Return the images of a split, sorted by name."""
    path = raw_files(raw, subject)[1]
    trials = read_table(path, *_TRIALS)
    names = np.unique(trials.loc[trials["trial_type"] == split, "stimulus"].astype(str))
    return np.array([things_id(name) for name in names])


def _order(trials: pd.DataFrame, split: str, path: Path) -> np.ndarray:
    """Return (N, R) numbers of the trials of each image, images sorted by name and trials by number."""
    return repeats(trials[trials["trial_type"] == split], "stimulus", "trial_id", of=f"'{path}' ({split})")


def _members(table: pd.DataFrame, region: str, path: Path) -> np.ndarray:
    columns = REGIONS[region]
    if not columns:
        return np.ones(len(table), dtype=bool)
    # The parcellation's columns are in use with and without its name.
    found = [next((one for one in (name, name.removeprefix("glasser-")) if one in table), None) for name in columns]
    absent = [name for name, one in zip(columns, found, strict=True) if one is None]
    if absent:
        raise MissingDataError(f"'{path}' has no column '{absent[0]}', which region {region} needs.")
    return (table[found].to_numpy() == 1).any(axis=1)


def _values(file: Any, path: Path, n_voxels: int, n_trials: int) -> Any:
    """Return the block of the pandas store that holds the responses; the column voxel_id is another block."""
    group = file.get("ResponseData")
    blocks = [] if group is None else [one for name, one in group.items() if name.endswith("_values")]
    for block in blocks:
        if block.shape == (n_voxels, n_trials) and block.dtype.kind == "f":
            return block
    raise DataError(
        f"'{path}' has no block of {n_voxels} voxels x {n_trials} trials below 'ResponseData'; it has "
        f"{[one.shape for one in blocks]}. Likely cause: tables of two subjects."
    )
