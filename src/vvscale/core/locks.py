"""Locks between processes that the system frees however the holder ends."""

from __future__ import annotations

import errno
import fcntl
from typing import IO, Any

# What a file system answers that has no locks, as some network file systems do.
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def try_lock(file: IO[Any]) -> bool | None:
    """Try to lock an open file for this process alone, until it is closed or the process ends.

    Returns
    -------
    bool or None
        Whether it is locked now; None where the file system has no locks, so that nothing can be said.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True
