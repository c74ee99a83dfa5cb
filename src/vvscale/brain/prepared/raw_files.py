"""What readers of raw files share: tables, trials by image, and the libraries of the extra ``neuro``.

That the files are there was checked before a reader is called.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.errors import DataError, MissingDataError

# Shape legend: N images, R repetitions.


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


def import_mne() -> Any:
    """Return mne, which reads MEG and EEG recordings, or say how to install it."""
    return _import("mne", "MEG and EEG recordings")


def import_nibabel() -> Any:
    """Return nibabel, which reads volumes of the brain, or say how to install it."""
    return _import("nibabel", "volumes of the brain")


def _import(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDataError(
            f"Reading {what} needs the package {name}, which is not installed. Next: pip install 'vvscale[neuro]'."
        ) from error
