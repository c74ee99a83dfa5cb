"""Files and folders that appear under their final name only when they are whole.

Every write in vvscale goes through ``write_whole``: to a temporary name in the same folder, flushed to the disk,
then renamed. An interruption at any moment leaves the old file or the new one, never a half. ``whole_folder`` does
the same for many files at once, without the flush: what reads them must check them.

A name that becomes a path goes through ``safe_name`` (one part of a path) or ``inside`` (a path below a folder), and
nothing is removed but by ``remove_inside``, which proves that it lies in the folder that was named.

``locked`` is the one lock for what two processes must not do at once in one place. The operating system frees it
however its process ends. File systems without locks (some network shares and containers) cannot tell; there the work
goes on unguarded.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from vvscale.errors import DataError, UsageError


@contextmanager
def write_whole(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; on success move it to ``path``, on failure remove it.

    Parameters
    ----------
    path
        Final name.
    durable
        Whether the content is on the disk before the name is. Without it a power cut may leave an empty file; only
        for what is checked when read and easily made again.

    Raises
    ------
    UsageError
        The folder cannot be written to.
    DataError
        The disk is full.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{_writer()}.", suffix=".part")
    except OSError as error:
        raise _cannot_write(path, error) from error
    os.close(handle)
    part = Path(temporary)
    try:
        yield part
        if durable:
            with part.open("rb+") as written:
                os.fsync(written.fileno())
        # mkstemp makes files private; give the result the mode any other file would get.
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it becomes ``path``, on failure it is removed.

    Where another process finished the same folder first, its folder stays and this one is removed, so that
    nothing moves under a reader.

    Raises
    ------
    UsageError
        The folder cannot be written to.
    DataError
        The disk is full.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        try:
            part.replace(path)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_abandoned(folder: Path) -> int:
    """Remove temporary files of ``write_whole`` that a killed process left in a folder; return how many.

    A file of a process that lives, or of another machine and written to within the hour, is somebody's work.
    """
    n_removed, here = 0, _writer().partition("-")[2]
    for part in Path(folder).glob(".*.part"):
        found = _WRITER.search(part.name)
        with suppress(OSError):  # another process may be removing it
            if found is None or not part.is_file():
                continue
            is_local = found["machine"] == here
            is_over = not _lives(int(found["process"])) if is_local else False
            if is_over or time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()
                n_removed += 1
    return n_removed


# A process id and a digest of the machine's name, as in ".scores.parquet.4711-9f86d081.k3xq.part".
_WRITER = re.compile(r"\.(?P<process>\d+)-(?P<machine>[0-9a-f]{8})\.[^.]*\.part$")
_ABANDONED = 3600.0


def _writer() -> str:
    return f"{os.getpid()}-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]}"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives and is another user's
    return True


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a whole file of bytes."""
    with write_whole(path, durable=durable) as part:
        part.write_bytes(content)


def write_at(file: int, content: memoryview, offset: int) -> None:
    """Write all bytes to an open file, from a place on."""
    while content:
        n = os.pwrite(file, content, offset)
        content, offset = content[n:], offset + n


def write_json(path: Path, payload: Any, *, durable: bool = True) -> None:
    """Write a whole JSON file; floats keep every digit and NaN is refused."""
    write_bytes(path, (json.dumps(payload, indent=2, allow_nan=False) + "\n").encode(), durable=durable)


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Write a whole file with a function that takes the path to write to."""
    with write_whole(path) as part:
        write(part)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, or say why it cannot be had."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(Path(path), error) from error
    return Path(path)


@contextmanager
def open_own(path: Path) -> Iterator[IO[str]]:
    """Open a file to append to, made if it is not there; one that leads elsewhere is refused, not followed.

    A folder that came from somebody else may hold a link or a pipe under any name.

    Raises
    ------
    DataError
        It is a link, a pipe or a device.
    UsageError
        It cannot be written to.
    """
    path = Path(path)
    try:
        # Opening a pipe would otherwise wait for its other end.
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise _not_plain(path) from error
        raise _cannot_write(path, error) from error
    with os.fdopen(number, "a", encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise _not_plain(path)
        yield file


def append_line(path: Path, line: str) -> None:
    """Append a line of text to a file of ours."""
    make_folder(Path(path).parent)
    with open_own(path) as file:
        file.write(line + "\n")


def _not_plain(path: Path) -> DataError:
    return DataError(
        f"'{path}' is a link, a pipe or a device; expected a plain file that vvscale made. Nothing was written. Most "
        "likely the folder was changed by hand or comes from somebody else; remove that file."
    )


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
    with open_own(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        yield True


# File systems allow 255 bytes; the rest is for prefixes, suffixes and temporary names.
_LONGEST_NAME = 200


def is_safe_name(name: str) -> bool:
    """Return whether a name is one visible part of a path on every system, so that it cannot leave its folder.

    Examples
    --------
    >>> is_safe_name("IT by family"), is_safe_name("../.."), is_safe_name(".hidden")
    (True, False, False)
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    is_plain = name.isprintable() and not set(name) & set("/\\:") and name == name.strip()
    return is_plain and 0 < size <= _LONGEST_NAME and not name.startswith(".")


def safe_name(name: str, what: str) -> str:
    """Return a name that may become a file or folder, or refuse it.

    Parameters
    ----------
    name
        As a user, a file or an archive gave it.
    what
        What is named, for the message: ``"law"``, ``"data set"``.

    Raises
    ------
    UsageError
        It could lead elsewhere, or no file can have it.

    Examples
    --------
    >>> safe_name("accuracy", "law")
    'accuracy'
    """
    if not is_safe_name(name):
        raise UsageError(
            f"The {what} {name!r} cannot name a file or folder; expected at most {_LONGEST_NAME} bytes without '/', "
            f"'\\', ':', control characters, a leading '.', or blanks at the ends. Give the {what} another name."
        )
    return name


def inside(folder: Path, path: str | Path) -> Path:
    """Return ``folder / path`` with all links followed, or refuse it if that is not below ``folder``.

    Parameters
    ----------
    folder
        Existing or not; a link to a folder stands for that folder.
    path
        Relative to ``folder``, or absolute and below it.

    Raises
    ------
    DataError
        It leads outside, by ``..``, by an absolute path or by a link, or is ``folder`` itself.
    """
    top = Path(folder).resolve()
    try:
        found = _below(folder, path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise _outside(folder, path) from error
    if top not in found.parents:
        raise _outside(folder, path)
    return found


def remove_inside(folder: Path, path: str | Path) -> bool:
    """Remove a file, a link or a whole folder that lies below ``folder``; return whether there was one.

    Links are removed and never followed, so that nothing outside ``folder`` is touched.

    Raises
    ------
    DataError
        It leads outside.
    OSError
        It cannot be removed.
    """
    wanted = _below(folder, path)
    if wanted.parent != Path(folder).resolve():
        wanted = inside(folder, wanted.parent) / wanted.name
    if wanted.is_dir() and not wanted.is_symlink():
        shutil.rmtree(wanted)
        return True
    try:
        wanted.unlink()
    except FileNotFoundError:
        return False
    return True


def _below(folder: Path, path: str | Path) -> Path:
    """Return a path below the resolved folder, its own links not yet followed; ``..`` and the folder are refused."""
    top, path = Path(folder).resolve(), Path(path)
    if path.is_absolute():
        parents = [one for one in (Path(folder).absolute(), top) if path.is_relative_to(one)]
        path = path.relative_to(parents[0]) if parents else path
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise _outside(folder, path)
    return top / path


def _outside(folder: Path, path: str | Path) -> DataError:
    return DataError(
        f"'{path}' lies outside '{folder}' or leads there by a link; expected a path below that folder. Nothing was "
        "removed or written. Most likely a name or a file of this folder was changed by hand."
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> UsageError | DataError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DataError(
            f"Cannot write '{path}': the disk is full. Nothing was left under that name. "
            f"Free some space or choose another folder, then run the same command again."
        )
    return UsageError(
        f"Cannot write '{path}': {error.strerror or error}. Expected a folder that this user may write to. "
        f"Choose another `out`, or change its permissions."
    )
