"""Data sets by name or by the folder that ``vvscale prepare`` wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vvscale.data.store import ImageStore
from vvscale.errors import MissingDataError, did_you_mean

EMBEDDED = "digits"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and images to evaluate on, of the same classes."""

    name: str
    train: ImageStore
    val: ImageStore


def load_dataset(name: str | Path) -> Dataset:
    """Open a data set.

    Parameters
    ----------
    name
        ``digits`` or ``digits:SIDE``, which are embedded, or the folder of a prepared data set.

    Raises
    ------
    MissingDataError
        There is no such name or folder.
    DataError, DigestError
        The folder's files are of another format, cut short or changed.
    ConfigError
        The digits cannot have that side.
    """
    base, _, side = str(name).partition(":")
    if base == EMBEDDED and (not side or side.isdigit()):
        from vvscale.data.digits import load_digits

        train, val = load_digits(int(side)) if side else load_digits()
        return Dataset(str(name), train, val)
    folder = Path(name)
    if not folder.is_dir():
        raise MissingDataError(
            f"No data set '{name}': it is neither a folder nor an embedded name.{did_you_mean(str(name), [EMBEDDED])} "
            "Expected 'digits', 'digits:16', 'digits:32' or the folder that `vvscale prepare` wrote."
        )
    from vvscale.data.manifest import open_store

    return Dataset(folder.absolute().name, open_store(folder / "train"), open_store(folder / "val"))
