"""HDF5 files of others, looked through in a process of their own first, and opened.

A damaged or hostile file can make the HDF5 library loop for ever, crash, or ask for more memory than there is, and
nothing in the process that called it can help. A helper process therefore opens a file before this one does: it reads
the structure, all texts (where the loops have been seen) and a little of each array, within bounds of time and
memory. One helper serves all files of a session.

A file may also say that its values lie in another one, anywhere on this machine: by external links, external storage
and virtual data sets. Such files are refused, as what they name would be read as if it came with them.

    python -m vvscale.core.hdf5    the helper: a path per line in, one answer per line out
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from vvscale.core.inputs.plain import plain_file
from vvscale.errors import DataError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Time for files of any size, and for the slowest disk beyond that.
_SECONDS = 20.0
_BYTES_PER_SECOND = 2e7
# Address space of the helper; honest files need far less for what it reads.
_MEMORY = 8 << 30

_WHOLE = (
    "Expected a whole HDF5 (NetCDF-4) file. Likely cause: it was damaged on the way or made to do harm. Copy or fetch "
    "it again."
)
_ITSELF = (
    "Expected a file that holds all its values itself, as another one could be changed or not be meant to be read. "
    "Copy the values into one file."
)

# So much of each array of numbers is read: enough to follow its index, not its gigabytes.
_NUMBERS = 4096


def is_hdf5(path: Path) -> bool:
    """Whether a file says that it is HDF5; other formats have readers of their own."""
    try:
        with path.open("rb") as file:
            size, at = file.seek(0, os.SEEK_END), 0
            # The format allows bytes of others before it, of 512 or a power of two times that; MATLAB writes some.
            while at < size:
                file.seek(at)
                if file.read(len(_SIGNATURE)) == _SIGNATURE:
                    return True
                at = 2 * at or 512
    except OSError:
        pass
    return False


def check_hdf5(path: Path, *, seconds: float = _SECONDS) -> None:
    """Refuse an HDF5 file on which the library does not come to an end, before it is opened here.

    Parameters
    ----------
    path
        The file; one that is not HDF5 or not there is left to its reader.
    seconds
        Time allowed, to which that of reading the whole file is added.

    Raises
    ------
    DataError
        The library loops or crashes on it, or asks for too much memory; or it points to other files. What the library
        merely refuses is left to the reader.
    """
    path = Path(path)
    if not path.is_file() or not is_hdf5(path):
        return
    answer = _helper.ask(str(path.absolute()), seconds + path.stat().st_size / _BYTES_PER_SECOND)
    if answer:
        raise DataError(f"'{path}' cannot be read: {answer}")


def open_hdf5(path: str | Path) -> Any:
    """Open an HDF5 file of somebody else to read from, after a look at it by ``check_hdf5``.

    Returns
    -------
    ``h5py.File``, to be used in a ``with``.

    Raises
    ------
    DataError
        It must not be read.
    OSError
        It is not there, or the library refuses it.
    """
    import h5py

    path = plain_file(path)
    held = path.stat()
    _check_once(path.absolute(), held.st_ino, held.st_size, held.st_mtime_ns)
    return h5py.File(path, "r")


def datasets_in(file: Any) -> dict[str, Any]:
    """Return the data sets of an open file at any depth: their path -> data set."""
    import h5py

    found: dict[str, Any] = {}
    file.visititems(lambda key, one: found.update({key: one}) if isinstance(one, h5py.Dataset) else None)
    return found


@lru_cache(maxsize=1024)
def _check_once(path: Path, *_: int) -> None:
    """Look at a file that is opened for each of its parts only once, as long as nobody writes to it."""
    check_hdf5(path)


class _Helper:
    """The process that looks, started when it is first needed and again after a file has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, path: str, seconds: float) -> str:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(path) + "\n")
            process.stdin.flush()
            is_answered = bool(select.select([process.stdout], [], [], seconds)[0])
            line = process.stdout.readline() if is_answered else ""
        except BrokenPipeError:
            is_answered, line = True, ""
        if line:
            return json.loads(line)
        self.end()
        what = (
            "crashes on it, or wants more memory than there is" if is_answered else f"does not end in {seconds:.0f} s"
        )
        return f"the HDF5 library {what}. {_WHOLE}"

    def _running(self) -> subprocess.Popen[str]:
        # A forked process must not talk to the helper of the one that it was forked from.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vvscale.core.hdf5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            atexit.register(self.end)
        return self._process

    def end(self) -> None:
        """End the helper."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()


_helper = _Helper()


# --- in the helper ----------------------------------------------------------------------------------------------


def _problem(path: str) -> str:
    """Read what can hang, and return why the file must not be read elsewhere, or an empty text."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            groups: list[Any] = [file["/"]]
            seen: set[Any] = set()
            _look(groups[0])
            while groups:
                group = groups.pop()
                for name in list(group) if group not in seen else ():
                    try:
                        if elsewhere := _elsewhere(group, name):
                            return f"{elsewhere}. {_ITSELF}"
                        # Names within the file are come to by the one that they lead to.
                        if isinstance(group.get(name, getlink=True), h5py.HardLink):
                            item = group[name]
                            groups += [item] if isinstance(item, h5py.Group) else []
                            _look(item)
                    except MemoryError:
                        raise
                    except Exception:  # noqa: BLE001 - one damaged member does not hide the others
                        continue
                seen.add(group)
    except MemoryError:
        return f"the HDF5 library wants more memory than there is. {_WHOLE}"
    except Exception:  # noqa: BLE001 - the library came to an end; its reader says what is wrong
        pass
    return ""


def _elsewhere(group: Any, name: str) -> str:
    """Return which other file a member of a group points to, or an empty text."""
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return f"'{name}' is a link into another file, '{link.filename}'"
    item = group[name] if isinstance(link, h5py.HardLink) else None
    if isinstance(item, h5py.Dataset):
        if item.external:
            return f"the values of '{name}' are kept in another file, '{item.external[0][0]}'"
        # A dot stands for the file itself.
        files = [source.file_name for source in (item.virtual_sources() if item.is_virtual else ())]
        others = [one for one in files if one != "."]
        if others:
            return f"the values of '{name}' are put together from other files, such as '{others[0]}'"
    return ""


def _look(item: Any) -> None:
    """Read the attributes of a group or data set, its texts, and a little of its numbers."""
    import h5py

    dict(item.attrs.items())
    if isinstance(item, h5py.Dataset) and item.shape is not None and item.size:
        if item.dtype.hasobject:
            item[()]
        elif item.ndim:
            rest = (slice(0, 1),) * (item.ndim - 1)
            step = max(1, len(item) // _NUMBERS)
            item[(slice(None, None, step), *rest)]


def _serve() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(_problem(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
