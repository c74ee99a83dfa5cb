"""What the data sets with THINGS images share: names of images, groups of sensors, restricted unpickling."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from vvscale.errors import DataError, MissingDataError


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
