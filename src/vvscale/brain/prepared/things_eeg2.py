"""THINGS-EEG2 (Gifford et al. 2022): preprocessed EEG of ten subjects, from the public .npy files.

Raw files: image_metadata.npy and sub-NN/preprocessed_eeg_{training,test}.npy with (images, repetitions, 17 channels,
100 times) at 100 Hz from -0.2 s; already whitened. The 2026 study used all 63 channels of the raw recordings instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import EEG_GROUPS, read_dict, sensor_groups, things_id, write_groups
from vvscale.errors import DataError, MissingDataError

_FILES = {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"}
_IMAGES = "image_metadata.npy"


def raw_files(raw: Path, subject: str) -> list[Path]:
    """Return the raw files of a subject."""
    return [raw / _IMAGES, *(raw / subject / name for name in _FILES.values())]


def read_subject(raw: Path, subject: str, writer: PreparedWriter, **_: Any) -> None:
    """Write one subject: means over repetitions from the onset of the image, variance ceilings of the test images."""
    for split, name in _FILES.items():
        path = raw / subject / name
        held = read_dict(path)
        lacking = {"preprocessed_eeg_data", "ch_names", "times"} - set(held)
        if lacking:
            raise MissingDataError(f"'{path}' has no '{min(lacking)}'; it has {', '.join(held)}.")
        data, times = np.asarray(held["preprocessed_eeg_data"]), np.asarray(held["times"])
        n_images = len(stimulus_ids(raw, split, subject))
        if data.ndim != 4 or data.shape[0] != n_images or data.shape[3] != len(times):
            raise DataError(
                f"'{path}' has responses of shape {data.shape}; expected ({n_images} images, repetitions, channels, "
                f"{len(times)} times)."
            )
        # Half a millisecond: times are multiples of 10 ms, written in floating point.
        groups = sensor_groups([str(one) for one in held["ch_names"]], EEG_GROUPS)
        write_groups(writer, split, subject, data[..., times > -5e-4], groups)


def stimulus_ids(raw: Path, split: str, subject: str) -> np.ndarray:
    """Return the images of a split in the order of the responses."""
    held = read_dict(raw / _IMAGES)
    name = f"{split}_img_files"
    if name not in held:
        raise MissingDataError(f"'{raw / _IMAGES}' has no '{name}'; it has {', '.join(held)}.")
    return np.array([things_id(str(one)) for one in held[name]])
