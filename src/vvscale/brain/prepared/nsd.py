"""NSD (Allen et al. 2022): 7T responses of eight subjects to natural scenes, from the released betas.

Raw files, as the public bucket lays them out: nsddata_betas/ppdata/subjNN/func1pt8mm/betas_fithrf_GLMdenoise_RR/ with
betas_sessionNN.hdf5 and ncsnr.nii.gz; nsddata/ppdata/subjNN/func1pt8mm/roi/*.nii.gz; and
nsddata/experiments/nsd/nsd_stim_info_merged.csv. Needs the extra ``neuro`` (nibabel).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.ceilings.percent import nsd_ceiling_percent
from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import import_neuro, read_table
from vvscale.core.hdf5 import open_hdf5
from vvscale.errors import DataError, MissingDataError

# Shape legend: N images, V voxels, T trials of a session.

SPACE = "func1pt8mm"
BETAS = "betas_fithrf_GLMdenoise_RR"
_SCALE = 300.0  # betas are stored as whole numbers of 1/300 percent signal change
_STIMULI = "nsddata/experiments/nsd/nsd_stim_info_merged.csv"

REGIONS: Mapping[str, tuple[str, tuple[int, ...]]] = MappingProxyType(
    {
        **{name: ("prf-visualrois", (number,)) for number, name in enumerate(
            ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"), 1)},
        **{name: ("streams", (number,)) for number, name in enumerate(
            ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"), 1)},
        "nsdgeneral": ("nsdgeneral", (1,)),
        **{name: ("floc-bodies", (number,)) for number, name in enumerate(("EBA", "FBA-1", "FBA-2"), 1)},
        **{name: ("floc-faces", (number,)) for number, name in enumerate(("OFA", "FFA-1", "FFA-2"), 1)},
        **{name: ("floc-places", (number,)) for number, name in enumerate(("OPA", "PPA", "RSC"), 1)},
        **{name: ("floc-words", (number,)) for number, name in enumerate(("OWFA", "VWFA-1", "VWFA-2"), 1)},
        "whole_brain": ("", ()),
    }
)  # fmt: skip
"""Region -> volume of labels and which of them; every voxel where there is none."""

_BLOCK_BYTES = 1 << 30


def raw_files(raw: Path, subject: str) -> list[Path]:
    """Return the raw files of a subject; of its sessions, whose number differs, those that are there."""
    volumes = sorted({name for name, _ in REGIONS.values() if name})
    rois = [_roi(raw, subject, name) for name in volumes]
    return [raw / _STIMULI, raw / _betas(subject) / "ncsnr.nii.gz", *rois, *_sessions(raw, subject)]


def read_subject(
    raw: Path, subject: str, writer: PreparedWriter, *, min_ceiling: float, rois: tuple[str, ...] = (), **_: Any
) -> None:
    """Write one subject: betas z-scored per session and voxel, means over repetitions, ceilings as shipped."""
    nibabel = import_neuro("nibabel")
    table = _trials(raw, subject)
    ncsnr = np.asarray(nibabel.load(raw / _betas(subject) / "ncsnr.nii.gz").dataobj)
    percent = nsd_ceiling_percent(ncsnr)
    # NaN compares false, so voxels outside the brain are left out.
    is_reliable = (percent > min_ceiling).ravel()
    regions = {}
    for region in rois or tuple(REGIONS):
        name, labels = REGIONS[region]
        is_in = is_reliable
        if name:
            volume = nibabel.load(_roi(raw, subject, name)).dataobj
            is_in = is_reliable & np.isin(np.asarray(volume), labels).ravel()
        if is_in.any():
            regions[region] = np.flatnonzero(is_in)
    union = np.unique(np.concatenate(list(regions.values()))) if regions else np.array([], dtype=int)
    orders = {split: _images(table, split) for split in ("train", "test")}
    held = {
        (split, region): writer.responses(split, subject, region, (len(images), len(voxels)))
        for split, images in orders.items()
        for region, voxels in regions.items()
    }
    step = max(1, _BLOCK_BYTES // (4 * sum(map(len, orders.values()))))
    for start in range(0, len(union), step):
        block = union[start : start + step]
        means = _means(raw, subject, table, block, ncsnr.shape)
        for (split, region), dataset in held.items():
            into = np.flatnonzero(np.isin(regions[region], block))
            if len(into):
                from_ = np.searchsorted(block, regions[region][into])
                # Neighbours in a region are neighbours in the file, so a slice does.
                dataset[:, into[0] : into[-1] + 1] = means.loc[orders[split]].to_numpy()[:, from_]
    for region, voxels in regions.items():
        writer.ceiling(subject, region, percent.ravel()[voxels])


def stimulus_ids(raw: Path, split: str, subject: str) -> np.ndarray:
    """Return the numbers of the images (nsdId, from 0) of a split in ascending order."""
    return _images(_trials(raw, subject), split)


def _means(raw: Path, subject: str, table: pd.DataFrame, voxels: np.ndarray, shape: tuple[int, ...]) -> pd.DataFrame:
    """Return the mean response of each image seen, index nsdId; sessions are read one after another."""
    images = np.unique(table["nsd_id"])
    total, count = np.zeros((len(images), len(voxels)), dtype=np.float32), np.zeros(len(images))
    for path in _sessions(raw, subject):
        with open_hdf5(path) as file:
            betas = _betas_of(file, path)
            if tuple(betas.shape[1:]) != tuple(reversed(shape)):
                raise DataError(
                    f"'{path}' has voxels {betas.shape[1:]}; expected {tuple(reversed(shape))}, as ncsnr.nii.gz "
                    "reversed. Likely cause: files of two subjects or spaces."
                )
            x, y, z = np.unravel_index(voxels, shape)
            # (trials, Z, Y, X): one slice at a time keeps what is in memory small.
            responses = np.empty((betas.shape[0], len(voxels)), dtype=np.float32)
            for one in np.unique(z):
                chosen = z == one
                responses[:, chosen] = betas[:, int(one)][:, y[chosen], x[chosen]] / _SCALE
        spread = responses.std(axis=0, ddof=1)
        responses = (responses - responses.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        of_session = table[table["session"] == _number(path)]
        if len(of_session) and of_session["position"].max() >= len(responses):
            raise DataError(f"'{path}' has {len(responses)} trials; the table of trials names more.")
        rows = np.searchsorted(images, of_session["nsd_id"].to_numpy())
        np.add.at(total, rows, responses[of_session["position"].to_numpy()])
        np.add.at(count, rows, 1)
    return pd.DataFrame(total / count[:, None].astype(np.float32), index=images)


def _trials(raw: Path, subject: str) -> pd.DataFrame:
    """Return one row per trial of the sessions at hand: nsd_id, is_shared, session from 0, position in it."""
    person = f"subject{int(subject.removeprefix('subj'))}"
    columns = [f"{person}_rep{number}" for number in range(3)]
    held = read_table(raw / _STIMULI, "nsdId", "shared1000", *columns)
    sessions = _sessions(raw, subject)
    if not sessions:
        raise MissingDataError(f"There are no files '{raw / _betas(subject)}/betas_session*.hdf5'.")
    with open_hdf5(sessions[0]) as file:
        n_trials = _betas_of(file, sessions[0]).shape[0]
    long = held.melt(id_vars=["nsdId", "shared1000"], value_vars=columns, value_name="trial")
    long = long[long["trial"] > 0]  # 0: not shown to this subject
    session, position = np.divmod(long["trial"].to_numpy().astype(int) - 1, n_trials)
    made = pd.DataFrame(
        {"nsd_id": long["nsdId"].to_numpy(), "is_shared": long["shared1000"].to_numpy(dtype=bool),
         "session": session, "position": position}
    )  # fmt: skip
    return made[made["session"].isin([_number(path) for path in sessions])]


def _images(table: pd.DataFrame, split: str) -> np.ndarray:
    return np.unique(table.loc[table["is_shared"] == (split == "test"), "nsd_id"].to_numpy()).astype(np.int32)


def _betas_of(file: Any, path: Path) -> Any:
    """Return the (trials, Z, Y, X) responses of a session."""
    if "betas" not in file or file["betas"].ndim != 4:
        raise MissingDataError(f"'{path}' has no array 'betas' of trials x Z x Y x X; it has {', '.join(file)}.")
    return file["betas"]


def _number(path: Path) -> int:
    """Return the number of a session, from 0, which its file has from 1: those at hand need not be the first."""
    return int(path.stem.removeprefix("betas_session")) - 1


def _sessions(raw: Path, subject: str) -> list[Path]:
    """Return the files of betas that are there, in the order of the sessions."""
    return sorted((raw / _betas(subject)).glob("betas_session[0-9]*.hdf5"))


def _roi(raw: Path, subject: str, name: str) -> Path:
    return raw / f"nsddata/ppdata/{subject}/{SPACE}/roi/{name}.nii.gz"


def _betas(subject: str) -> str:
    return f"nsddata_betas/ppdata/{subject}/{SPACE}/{BETAS}"
