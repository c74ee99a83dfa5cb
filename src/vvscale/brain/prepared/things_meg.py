"""THINGS-MEG (Hebart et al. 2023): preprocessed MEG epochs of four subjects, from their .fif files.

Raw files: preprocessed_PN-epo.fif with the continuation parts that the reader finds beside it. Needs the extra
``neuro`` (mne).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.ceilings.percent import variance_ceiling_percent
from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import epoch_data, import_neuro, repeats, sensor_groups, things_id
from vvscale.errors import DataError, MissingDataError

# Shape legend: E epochs, C sensors, T times, N images, R repetitions.

_AREAS = {"occipital": "O", "parietal": "P", "temporal": "T", "frontal": "F", "central": "C"}

# Prefix, left/right/midline, area: MLO11 is a left occipital sensor of the CTF system.
_BOTH, _LEFT = "LRZ", "L"

_TIMES = (0.0, 1.3)
_RATE_HZ = 100.0

# 500 epochs of 271 sensors and 281 times are 0.3 GB.
_BLOCK_EPOCHS = 500


def raw_files(raw: Path, subject: str) -> list[Path]:
    """Return the raw files of a subject, without the continuation parts."""
    return [raw / f"preprocessed_{subject}-epo.fif"]


def groups_of(channels: list[str], *, left_only: bool) -> dict[str, np.ndarray]:
    """Return group -> numbers of sensors; the 2026 study took those of the left hemisphere alone.

    Examples
    --------
    >>> groups_of(["MLO11", "MRO11"], left_only=True)["occipital"]
    array([0])
    """
    sides = _LEFT if left_only else _BOTH
    letters = {area: [f"M{side}{letter}" for side in sides] for area, letter in _AREAS.items()}
    letters["occipital_parietal"] = [*letters["occipital"], *letters["parietal"]]
    return sensor_groups(channels, letters)


def read_subject(raw: Path, subject: str, writer: PreparedWriter, *, left_only: bool, **_: Any) -> None:
    """Write one subject at 100 Hz from the onset of the image: single training trials, means of test repetitions."""
    epochs = _epochs(raw, subject)
    channels = list(epochs.ch_names)
    groups = groups_of(channels, left_only=left_only)
    for split in ("train", "test"):
        order = _order(epochs.metadata, split, raw_files(raw, subject)[0])
        n_times = _block(epochs, order[:1, 0]).shape[2]
        held = {
            group: writer.responses(split, subject, group, (len(order), len(chosen), n_times))
            for group, chosen in groups.items()
        }
        shown: list[np.ndarray] = []
        step = max(1, _BLOCK_EPOCHS // order.shape[1])
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            data = _block(epochs, rows.ravel()).reshape(*rows.shape, len(channels), n_times)
            for group, chosen in groups.items():
                held[group][start : start + len(rows)] = data.mean(axis=1)[:, chosen]
            if split == "test":
                shown.append(data.astype(np.float32))
        if split == "test":
            percent = variance_ceiling_percent(np.concatenate(shown))
            for group, chosen in groups.items():
                writer.ceiling(subject, group, percent[chosen])


def stimulus_ids(raw: Path, split: str, subject: str) -> np.ndarray:
    """Return the images of a split, sorted by number."""
    path = raw_files(raw, subject)[0]
    metadata = _epochs(raw, subject).metadata
    if "image_path" not in metadata:
        raise MissingDataError(f"The metadata of '{path}' have no 'image_path'; they have {', '.join(metadata)}.")
    return np.array([things_id(str(one)) for one in metadata["image_path"].iloc[_order(metadata, split, path)[:, 0]]])


def _epochs(raw: Path, subject: str) -> Any:
    mne = import_neuro("mne")
    path = raw_files(raw, subject)[0]
    try:
        epochs = mne.read_epochs(path, preload=False, verbose="error")
    except (OSError, ValueError) as error:
        raise DataError(
            f"Cannot read '{path}': {error}. Likely cause: a continuation part (-epo-1.fif and so on) is missing."
        ) from error
    if epochs.metadata is None or not {"trial_type", "things_image_nr"} <= set(epochs.metadata):
        raise MissingDataError(f"The epochs of '{path}' have no metadata with trial_type and things_image_nr.")
    return epochs


def _order(metadata: pd.DataFrame, split: str, path: Path) -> np.ndarray:
    """Return (N, R) numbers of the epochs of each image, images sorted by number."""
    table = metadata.reset_index(drop=True)
    table = table[table["trial_type"] == {"train": "exp", "test": "test"}[split]]
    return repeats(table, "things_image_nr", of=f"'{path}' ({split})")


def _block(epochs: Any, numbers: np.ndarray) -> np.ndarray:
    """Return (E, C, T) some epochs, resampled and cut."""
    return epoch_data(epochs, numbers, rate_hz=_RATE_HZ, start_s=_TIMES[0], end_s=_TIMES[1])
