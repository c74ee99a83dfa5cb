"""THINGS-EEG1 (Grootswagers et al. 2022): EEG of fifty subjects in rapid series of images, from BrainVision files.

Raw files: sub-NN/eeg/sub-NN_task-rsvp_eeg.vhdr (with .eeg and .vmrk) and sub-NN_task-rsvp_events.tsv. Needs the extra
``neuro`` (mne).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import (
    EEG_GROUPS,
    epoch_data,
    import_neuro,
    read_table,
    repeats,
    sensor_groups,
    things_id,
    write_groups,
)
from vvscale.errors import DataError, MissingDataError

# Shape legend: E epochs, C channels, T times, N images, R repetitions.

# The steps of the 2026 study's preparation.
_ONSET = "E  1"
_WINDOW_S, _KEPT_S, _RATE_HZ = (-0.2, 0.8), (0.0, 0.8), 100.0
_NOTCH_HZ, _BAND_HZ = (50, 100, 150, 200, 250), (0.1, 100.0)
_OTHER_REFERENCE = {"sub-49": "FCz", "sub-50": "FCz"}
_MICROVOLT = 1e6

_BLOCK_EPOCHS = 2000


def raw_files(raw: Path, subject: str) -> list[Path]:
    """Return the raw files of a subject."""
    names = ("eeg.vhdr", "eeg.eeg", "eeg.vmrk", "events.tsv")
    return [raw / subject / "eeg" / f"{subject}_task-rsvp_{name}" for name in names]


def read_subject(raw: Path, subject: str, writer: PreparedWriter, **_: Any) -> None:
    """Write one subject in microvolts at 100 Hz: single training trials, means of test repetitions."""
    epochs = _epochs(raw, subject)
    events = _events(raw, subject)
    if len(events) != len(epochs):
        raise DataError(
            f"{subject} has {len(epochs)} marks '{_ONSET}' in the recording and {len(events)} rows of events; expected "
            "one row per mark. Likely cause: files of two subjects."
        )
    for split in ("train", "test"):
        data = _blocks(epochs, _order(events, split, subject))
        write_groups(writer, split, subject, data, sensor_groups(list(epochs.ch_names), EEG_GROUPS))


def stimulus_ids(raw: Path, split: str, subject: str) -> np.ndarray:
    """Return the images of a split, sorted by number."""
    events = _events(raw, subject)
    firsts = _order(events, split, subject)[:, 0]
    return np.array([things_id(str(one)) for one in events["stim"].iloc[firsts]])


def _epochs(raw: Path, subject: str) -> Any:
    mne = import_neuro("mne")
    path = raw_files(raw, subject)[0]
    recording = mne.io.read_raw_brainvision(path, preload=True, verbose="error")
    # The electrode that the others were recorded against is zero everywhere and is added before averaging.
    reference = _OTHER_REFERENCE.get(subject, "Cz")
    mne.add_reference_channels(recording, reference, copy=False)
    recording.set_eeg_reference("average", verbose="error")
    nyquist = recording.info["sfreq"] / 2
    recording.notch_filter([one for one in _NOTCH_HZ if one < nyquist], verbose="error")
    recording.filter(_BAND_HZ[0], min(_BAND_HZ[1], nyquist - 1), verbose="error")
    marks, names = mne.events_from_annotations(recording, verbose="error")
    onsets = [number for name, number in names.items() if name.split("/")[-1] == _ONSET]
    if not onsets:
        raise MissingDataError(f"'{path}' has no marks '{_ONSET}'; it has {', '.join(names)}.")
    epochs = mne.Epochs(
        recording, marks, onsets, *_WINDOW_S, baseline=(None, 0), preload=False, reject_by_annotation=False,
        verbose="error",
    )  # fmt: skip
    return epochs.drop_bad(verbose="error")


def _blocks(epochs: Any, order: np.ndarray) -> np.ndarray:
    """Return (N, R, C, T) float32 responses in microvolts, resampled and cut block by block."""
    parts = []
    step = max(1, _BLOCK_EPOCHS // order.shape[1])
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        data = epoch_data(epochs, rows.ravel(), rate_hz=_RATE_HZ, start_s=_KEPT_S[0], end_s=_KEPT_S[1])
        parts.append((data * _MICROVOLT).astype(np.float32).reshape(*rows.shape, *data.shape[1:]))
    return np.concatenate(parts)


def _events(raw: Path, subject: str) -> pd.DataFrame:
    return read_table(raw_files(raw, subject)[3], "stimnumber", "teststimnumber", "stim", sep="\t")


def _order(events: pd.DataFrame, split: str, subject: str) -> np.ndarray:
    """Return (N, R) numbers of the events of each image, images sorted by number."""
    column = {"train": "stimnumber", "test": "teststimnumber"}[split]
    return repeats(events[events[column] > -1], column, of=f"{subject} ({split})")
