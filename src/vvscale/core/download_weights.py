"""Download of one large file that survives interruptions: what has come is kept and continued.

The file grows under its name with ``.part`` and gets its own name when it is as long as the host says. A note
beside it holds the host's mark of this version of the file, so that two versions never end up in one. This
module must not know what the file is.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

import requests

from vvscale.core.files import make_folder, write_bytes
from vvscale.core.locks import locked
from vvscale.errors import DataError, MissingDataError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and, where known, those there are."""

# So many connections in a row may bring nothing before it is given up.
_ATTEMPTS = 4
_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20


def size_of(url: str) -> int | None:
    """Ask how many bytes a file has, without reading it; None where the host does not say.

    Raises
    ------
    MissingDataError
        There is no such file, or the host cannot be reached.
    """
    if not _is_web(url):
        return _local(url).stat().st_size
    try:
        with requests.head(url, timeout=_TIMEOUT_SECONDS, allow_redirects=True) as answer:
            answer.raise_for_status()
            return _length(answer)
    except requests.RequestException as error:
        raise _unreachable(url, error, kept=0) from error


def download(url: str, path: Path, *, progress: Progress | None = None) -> Path:
    """Download a file to ``path``, continuing an earlier attempt; one process at a time, see ``alone``.

    Parameters
    ----------
    url
        An http(s) or file:// address, or a path.
    path
        Where it goes; while incomplete it is ``path`` with ``.part``.
    progress
        Called as bytes come.

    Raises
    ------
    MissingDataError
        The host does not have the file, cannot be reached or keeps breaking off; what has come is kept.
    DataError
        The disk is full, or would be.
    """
    make_folder(path.parent)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("ab") as file:
            (_receive if _is_web(url) else _copy)(url, file, part, progress or _silent)
        part.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(path, needed=None) from error
        raise
    finally:
        if part.is_file() and part.stat().st_size == 0:
            part.unlink()
    _note(part).unlink(missing_ok=True)
    return path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock named after a file, waiting while another process holds it; freed however a process ends."""
    with locked(path.with_name(f"{path.name}.lock"), wait=True):
        yield


def _receive(url: str, file: IO[bytes], part: Path, progress: Progress) -> None:
    failures = 0
    while True:
        before = file.tell()
        try:
            _continue(url, file, part, progress)
        except requests.HTTPError as error:
            # The host has answered: it will not say anything else the next second.
            raise _unreachable(url, error, kept=before) from error
        except requests.RequestException as error:
            file.flush()
            failures = failures + 1 if file.tell() <= before else 0
            if failures >= _ATTEMPTS:
                raise _unreachable(url, error, kept=file.tell()) from error
            time.sleep(0.1 * 4**failures)
        else:
            return


def _continue(url: str, file: IO[bytes], part: Path, progress: Progress) -> None:
    """Read on from where the file ends, or from the start if the host has another version by now."""
    start = file.tell()
    version = _note(part).read_text() if start and _note(part).is_file() else ""
    headers = {"Accept-Encoding": "identity"}
    if version:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            _restart(file)
            raise requests.ConnectionError("the part was longer than the file")
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            _restart(file)
            start = 0
        length = _length(answer)
        total = _whole(answer) or (None if length is None else start + length)
        _check_space(part, length or 0)
        write_bytes(_note(part), (answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "").encode())
        for block in answer.iter_content(_BLOCK_BYTES):
            file.write(block)
            progress(file.tell(), total)
    if total is not None and file.tell() != total:
        raise requests.ConnectionError(f"{file.tell()} of {total} bytes came")


def _copy(url: str, file: IO[bytes], part: Path, progress: Progress) -> None:
    source = _local(url)
    total = source.stat().st_size
    _restart(file)
    _check_space(part, total)
    with source.open("rb") as content:
        while block := content.read(_BLOCK_BYTES):
            file.write(block)
            progress(file.tell(), total)


def _restart(file: IO[bytes]) -> None:
    # truncate alone would leave the position behind.
    file.seek(0)
    file.truncate()


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _local(url: str) -> Path:
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else Path(url)
    if not path.is_file():
        raise MissingDataError(
            f"There is no file '{path}'. Expected it in the folder that VVSCALE_MIRROR names. Likely cause: the "
            "mirror does not hold this checkpoint. Next: copy it there, or unset VVSCALE_MIRROR."
        )
    return path


def _length(answer: requests.Response) -> int | None:
    length = answer.headers.get("Content-Length")
    return int(length) if length else None


def _whole(answer: requests.Response) -> int | None:
    """Return the bytes of the whole file that a partial answer names; a host may send less of it than was asked for."""
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(whole) if whole.isascii() and whole.isdigit() else None


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _silent(done: int, total: int | None) -> None:
    """Report nothing."""


def _check_space(part: Path, needed: int) -> None:
    if needed > shutil.disk_usage(part.parent).free:
        raise _full(part.with_suffix(""), needed=needed)


def _full(path: Path, *, needed: int | None) -> DataError:
    free = shutil.disk_usage(path.parent).free
    wanted = "" if needed is None else f" {needed / 1e9:.2f} GB are needed and"
    return DataError(
        f"Cannot store '{path}':{wanted} {free / 1e9:.2f} GB are free. What has come so far is kept. Free some space "
        "or set VVSCALE_CACHE to a folder of another disk, then run the same command again."
    )


def _unreachable(url: str, error: requests.RequestException, *, kept: int) -> MissingDataError:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        # The text of the error repeats the address.
        status = error.response.status_code
        reason = f"the host answered {status} {error.response.reason}"
        cause = "the host no longer has, or never had, this file"
        if status >= 500:
            cause = "trouble at the host; try again later"
    else:
        reason = f"no connection, or it broke ({type(error).__name__})"
        cause = "no network, or a proxy in between"
    rest = f" {kept / 1e6:.1f} MB have come and are kept; the same command continues from there." if kept else ""
    return MissingDataError(
        f"Could not download '{url}': {reason}. Likely cause: {cause}.{rest} Without a network, set VVSCALE_MIRROR to "
        "a folder or address that holds a copy."
    )
