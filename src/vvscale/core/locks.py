"""One lock for everything that two processes must not do at once in one place.

The operating system frees a lock however its process ends, so that none is ever left behind. File systems without
locks (some network shares and containers) cannot tell; there the work goes on unguarded.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vvscale.core.files import make_folder

# What a file system without locks answers.
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file meanwhile; yield False at once if another process holds it.

    Parameters
    ----------
    path
        The lock file; it is made if it is not there, and left.
    wait
        Whether to wait for the other process instead.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, locked(Path(folder, "lock")) as ours:
    ...     with locked(Path(folder, "lock")) as theirs:
    ...         ours, theirs
    (True, False)
    """
    make_folder(path.parent)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        yield True
