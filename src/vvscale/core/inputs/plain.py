"""Files that a command reads: plain ones alone, and never written over by the same command."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vvscale.errors import DataError, UsageError


def plain_file(path: str | Path) -> Path:
    """Return a path to read from; what is there and is no plain file is refused, for reading it may never end.

    What is absent, or a folder, is left to the reader.

    Raises
    ------
    DataError
        It is a pipe, a socket or a device.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(
            f"'{path}' is a pipe or a device; expected a plain file. Reading it might never end. Write what comes from "
            "it to a file, and name that."
        )
    return path


# What a system answers that cannot or will not look a path up, whatever lies there.
_UNREACHABLE = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO, errno.ESTALE}


@contextmanager
def reachable() -> Iterator[None]:
    """Turn errors of paths that cannot be looked up into one sentence: names that are too long, or folders of others.

    Raises
    ------
    DataError
        In place of the system's own.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _UNREACHABLE or error.filename is None:
            raise
        name = os.fsdecode(error.filename)
        shown = f"{name[:40]}..." if len(name) > 200 else name
        raise DataError(
            f"Cannot reach '{shown}': {error.strerror}. Expected a path that this system allows and this user may "
            "read. Check the name, and the permissions of its folders."
        ) from error


def refuse_existing(written: str | Path) -> None:
    """Refuse to write a file to edit where there is one: what a user changed in it would be lost.

    Raises
    ------
    UsageError
        Something has that name.
    """
    written = Path(written)
    if written.exists() or written.is_symlink():
        raise UsageError(f"There is a file '{written}' already. Choose another name, or edit that file.")


def refuse_own_input(written: str | Path, *read: object) -> None:
    """Refuse to write a file over one that is read, or into a folder that is read as a whole.

    Parameters
    ----------
    written
        Where to.
    read
        What the command was given: paths, names, or nothing; those that are no file and no folder do not count.

    Raises
    ------
    UsageError
        It is one of them.

    Examples
    --------
    >>> refuse_own_input("law.png", "gokce2025", None)
    """
    written = Path(written)
    for given in read:
        if not isinstance(given, str | Path):
            continue
        with suppress(OSError, ValueError):  # a name that no file can have
            one = Path(given)
            is_same = written.exists() and one.exists() and one.samefile(written)
            if is_same or (one.is_dir() and written.parent.exists() and one.samefile(written.parent)):
                what = "is what this command reads" if is_same else f"would lie in '{one}', which this command reads"
                raise UsageError(
                    f"Cannot write '{written}': it {what}, and the rows in it would be lost or mixed with others. "
                    "Nothing was written. Give another file."
                )
