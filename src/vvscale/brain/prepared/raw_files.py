"""What readers of raw files share: tables, trials by image, THINGS images, sensors, and pickles that run no code.

That the files are there was checked before a reader is called.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.ceilings.percent import variance_ceiling_percent
from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.errors import DataError, MissingDataError

# Shape legend: N images, R repetitions, C sensors, T times.


def read_table(path: Path, *columns: str, sep: str = ",") -> pd.DataFrame:
    """Read a table that has these columns."""
    try:
        table = pd.read_csv(path, sep=sep)
    except ValueError as error:
        raise DataError(f"Cannot read '{path}' as CSV: {error}. Copy it again.") from error
    for column in columns:
        if column not in table:
            raise MissingDataError(f"'{path}' has no column '{column}'; it has {', '.join(map(str, table))[:200]}.")
    return table


def repeats(rows: pd.DataFrame, *by: str, of: str) -> np.ndarray:
    """Return (N, R) labels of the rows of each image: images sorted by the first column, their rows by the others."""
    rows = rows.sort_values(list(by), kind="stable")
    counts = rows[by[0]].value_counts()
    if not len(counts) or counts.nunique() != 1:
        raise DataError(
            f"{of} has {len(counts)} images shown {sorted(set(counts))} times; expected each the same number of times."
        )
    return rows.index.to_numpy().reshape(len(counts), int(counts.iloc[0]))


def import_neuro(package: str) -> Any:
    """Return a package of the extra ``neuro``: mne reads MEG and EEG recordings, nibabel volumes of the brain."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDataError(
            f"Reading these recordings needs the package {package}, which is not installed. Next: pip install "
            "'vvscale[neuro]'."
        ) from error


def things_id(path: str) -> str:
    r"""Return the name of a THINGS image as all sets use it, ``concept/concept_NNx.jpg``.

    Every file is named after its concept, so folders of any spelling are left out.

    Examples
    --------
    >>> things_id("object_images\\aardvark\\aardvark_01b.jpg"), things_id("images_test_meg/bow1_14s.jpg")
    ('aardvark/aardvark_01b.jpg', 'bow1/bow1_14s.jpg')
    """
    name = PureWindowsPath(path).name
    concept, separator, _ = name.rpartition("_")
    if not separator:
        raise DataError(f"'{path}' is no THINGS image; expected a file named concept_NNx.jpg.")
    return f"{concept}/{name}"


def sensor_groups(channels: Sequence[str], letters: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Return group -> numbers of channels, for groups with at least one channel, and whole_brain.

    Parameters
    ----------
    channels
        Names of the sensors.
    letters
        Group -> how the names of its sensors begin.

    Examples
    --------
    >>> sensor_groups(["O1", "Pz"], {"occipital": ["O"], "frontal": ["F"]})
    {'occipital': array([0]), 'whole_brain': array([0, 1])}
    """
    groups = {}
    for group, prefixes in letters.items():
        chosen = [number for number, name in enumerate(channels) if name.startswith(tuple(prefixes))]
        if chosen:
            groups[group] = np.array(chosen)
    return {**groups, "whole_brain": np.arange(len(channels))}


def write_groups(
    writer: PreparedWriter, split: str, subject: str, data: np.ndarray, groups: Mapping[str, np.ndarray]
) -> None:
    """Write (N, R, C, T) epochs, group by group: means over repetitions, and variance ceilings of the test images."""
    for group, channels in groups.items():
        of_group = data[:, :, channels]
        writer.responses(split, subject, group, (len(data), *of_group.shape[2:]))[...] = of_group.mean(axis=1)
        if split == "test":
            writer.ceiling(subject, group, variance_ceiling_percent(of_group))


def epoch_data(epochs: Any, numbers: np.ndarray, *, rate_hz: float, start_s: float, end_s: float) -> np.ndarray:
    """Return (n, C, T) some epochs of mne, resampled and cut to a window."""
    chosen = epochs[numbers].load_data()
    end = min(end_s, chosen.tmax)
    if chosen.info["sfreq"] != rate_hz:
        chosen.resample(rate_hz, verbose="error")
    # Resampling may take the last time away.
    return chosen.crop(start_s, min(end, chosen.tmax), verbose="error").get_data(copy=False)


EEG_GROUPS = {
    "occipital": ["O"],
    "parietal": ["P"],
    "temporal": ["T"],
    "frontal": ["F"],
    "central": ["C"],
    "occipital_parietal": ["O", "P"],
}
"""Group -> first letters of its electrodes in the 10-20 system."""


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays, numbers, text and containers; refuses everything that could run code."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy._core.numeric", "_frombuffer"),
            ("numpy.core.numeric", "_frombuffer"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array")
        return super().find_class(module, name)


def read_dict(path: Path) -> dict[str, Any]:
    """Read a dictionary of arrays from an .npy file of either encoding in use.

    One is a pickled dictionary under the name of an .npy file, the other an array that holds it. Neither runs code.

    Raises
    ------
    MissingDataError
        There is no such file.
    DataError
        It holds something else.
    """
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                file.seek(0)
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                if shape != () or dtype != np.dtype(object):
                    raise DataError(f"'{path}' is an array of shape {shape}; expected a dictionary of arrays.")
            else:
                file.seek(0)
            held = _ArraysOnly(file).load()
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no file '{path}'; check the folder of raw files.") from error
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"Cannot read '{path}': {error}. Expected the .npy file of the data set.") from error
    held = held.item() if isinstance(held, np.ndarray) and held.shape == () else held
    if not isinstance(held, dict):
        raise DataError(f"'{path}' holds a {type(held).__name__}; expected a dictionary of arrays.")
    return held
