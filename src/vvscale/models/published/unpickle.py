"""Read a checkpoint that torch pickled, without running anything that it holds.

torch's own weights-only reader builds tensors and plain values; the published checkpoints need a few harmless
types more, which are listed here. A file that asks for anything else is refused by name, before it is read.
This module must never read a pickle in any other way.
"""

from __future__ import annotations

import datetime
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals
from torch.torch_version import TorchVersion

from vvscale.errors import DataError, DigestError, MissingDataError

# The state of a Composer trainer: times, versions and numpy numbers beside the tensors. numpy moved the two
# functions between its versions 1 and 2; files of both name them differently.
_ALLOWED: tuple[Any, ...] = (
    datetime.timedelta,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "uint32", "uint64", "float32", "float64")),
    (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
    (multiarray._reconstruct, "numpy._core.multiarray._reconstruct"),
    (multiarray.scalar, "numpy.core.multiarray.scalar"),
    (multiarray.scalar, "numpy._core.multiarray.scalar"),
    TorchVersion,
)


def read_checkpoint(path: Path) -> Any:
    """Read a torch checkpoint: tensors, numbers, texts and containers of them.

    The file is mapped, so that only the tensors that are used are read.

    Raises
    ------
    MissingDataError
        There is no such file.
    DigestError
        It is not a torch checkpoint, or not a whole one.
    DataError
        It wants to run or build something that is not allowed; nothing of it was run.
    """
    _check_is_whole(path)
    try:
        wanted = set(get_unsafe_globals_in_checkpoint(path))
        refused = sorted(wanted - {_full_name(one) for one in _ALLOWED})
        if refused:
            raise DataError(
                f"'{path}' was not loaded: it asks for {', '.join(refused)}, which tensors and numbers do not need. "
                "Nothing of it was run. Likely cause: a file of another program, or one made to do harm. Expected "
                "a published checkpoint. Next: do not load it with anything else unless you know who made it."
            )
        with safe_globals(list(_ALLOWED)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        # torch reports a broken file in as many ways as there are places where it can break.
        raise _damaged(path, _reason(error)) from error


def check_content(path: Path) -> None:
    """Check a torch checkpoint against the checksums that it holds; reads all of it.

    Raises
    ------
    DigestError
        A part of it is not what was written.
    """
    _check_is_whole(path)
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise _damaged(path, _reason(error)) from error
    if broken:
        raise _damaged(path, f"the checksum of its part '{broken}' is wrong.")


def _check_is_whole(path: Path) -> None:
    if not path.is_file():
        raise MissingDataError(f"There is no checkpoint '{path}'.")
    if not zipfile.is_zipfile(path):
        raise DigestError(
            f"'{path}' ({path.stat().st_size} bytes) is not a whole torch checkpoint: it has no directory at its end. "
            "Likely cause: a truncated download, the error page of a proxy, or another file. Next: fetch it again."
        )


def _damaged(path: Path, reason: str) -> DigestError:
    return DigestError(
        f"'{path}' cannot be read as a torch checkpoint: {reason} Likely cause: a damaged file. Next: fetch it again."
    )


def _reason(error: Exception) -> str:
    # torch's own text advises to read the file with all its code; what is the matter follows after a mark.
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".") + "."


def _full_name(allowed: Any) -> str:
    return allowed[1] if isinstance(allowed, tuple) else f"{allowed.__module__}.{allowed.__qualname__}"
