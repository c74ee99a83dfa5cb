"""Files that lie elsewhere, and the cache that holds them.

What has come of a file grows under its name with ``.part``, is continued by the next try, and gets its own name once
it is as long as the host says and its content was checked. A note beside it holds the host's mark of this version of
the file, so that two versions never end up in one. ``VVSCALE_MIRROR`` (a folder or a URL) replaces the host and
``VVSCALE_CACHE`` the cache folder. This module must not look inside the files.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from vvscale.core.files import locked, make_folder, remove_inside, write_bytes
from vvscale.core.hashing import hash_of
from vvscale.errors import DataError, DigestError, MissingDataError, VvscaleWarning

if TYPE_CHECKING:
    import requests

MIRROR_VARIABLE = "VVSCALE_MIRROR"
CACHE_VARIABLE = "VVSCALE_CACHE"

State = Literal["cached", "absent", "damaged"]
Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and, where known, those there are."""

# So many connections in a row may bring nothing before it is given up.
_ATTEMPTS = 4
_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20


def cache_folder() -> Path:
    """Return the folder of downloaded files: ``VVSCALE_CACHE``, or the user's cache folder.

    Where it cannot be made or written to, a temporary folder of this user stands in for it, with a warning.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return _usable(Path(chosen))
    import pooch

    return _usable(Path(pooch.os_cache("vvscale")))


@lru_cache
def _usable(folder: Path) -> Path:
    # Tried beside it and not made: what only looks, such as a dry run, leaves no folder behind.
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        tempfile.TemporaryDirectory(prefix=".vvscale-", dir=nearest).cleanup()
    except OSError as error:
        stand_in = Path(tempfile.gettempdir(), f"vvscale-cache-{os.getuid()}")
        # Others can write to the folder of temporary files: only a folder of one's own will do.
        stand_in.mkdir(mode=0o700, exist_ok=True)
        if stand_in.is_symlink() or stand_in.stat().st_uid != os.getuid():
            stand_in = Path(tempfile.mkdtemp(prefix="vvscale-cache-"))
        warnings.warn(
            f"The cache folder '{folder}' cannot be made ({error.strerror}); '{stand_in}' is used meanwhile. "
            f"{CACHE_VARIABLE} (or XDG_CACHE_HOME) names another.",
            VvscaleWarning,
            stacklevel=3,
        )
        return stand_in
    return folder


@dataclass(frozen=True)
class RemoteFile:
    """One file, identified by its content.

    Attributes
    ----------
    name
        File name, the same at the host, in a mirror and in the cache.
    collection
        The folder that holds it in a mirror and in the cache.
    address
        Where it lies without a mirror.
    algorithm, digest
        Name of the hash, as hashlib has it or ``git-blob`` for git's id of a file, and its value in hexadecimal.
    meaning
        What is in it, a few words.
    command
        What fetches it, for messages.
    """

    name: str
    collection: str
    address: str
    algorithm: Literal["sha1", "sha256", "git-blob"]
    digest: str
    meaning: str
    command: str

    @property
    def url(self) -> str:
        """Where it comes from: the mirror if one is set, else its address."""
        mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
        return f"{mirror}/{self.collection}/{self.name}" if mirror else self.address

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_folder() / self.collection / self.name

    def state(self) -> State:
        """Say whether it is in the cache and whole; reads it to hash it."""
        if not self.path.is_file():
            return "absent"
        return "cached" if hash_of(self.path, self.algorithm) == self.digest else "damaged"

    def fetch(self, progress: Progress | None = None) -> Path:
        """Return its path in the cache, downloaded and checked if it is not there yet.

        Raises
        ------
        MissingDataError
            It is not cached and its host cannot be reached or does not have it.
        DigestError
            What was downloaded is not this file; nothing is left under its name.
        """
        if self.state() == "cached":
            return self.path
        with alone(self.path):
            # Another process may have done it while this one waited.
            if self.state() != "cached":
                try:
                    download(self.url, self.path, check=self._check, command=self.command, progress=progress)
                except MissingDataError as error:
                    where = f"{self.name} ({self.meaning}) is not in the cache '{self.path.parent}'"
                    raise MissingDataError(f"{where} and could not be had. {error}") from error
        return self.path

    def _check(self, part: Path) -> None:
        got = hash_of(part, self.algorithm)
        if got != self.digest:
            raise DigestError(
                f"'{self.url}' is not the published {self.name}: got {self.algorithm} {got} ({part.stat().st_size} "
                f"bytes), expected {self.digest}. Likely cause: a truncated download, or another version of the file. "
                f"Nothing was kept. Next: {self.command}, with {MIRROR_VARIABLE} unset or pointing to a whole copy."
            )

    def clear(self) -> bool:
        """Remove it from the cache, with what a broken-off download left; return whether it was there."""
        if not self.path.parent.is_dir():
            return False
        for left in (f"{self.name}.part", f"{self.name}.part.version", f".{self.name}.lock"):
            remove_inside(self.path.parent, left)
        return remove_inside(self.path.parent, self.name)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock named after a file, waiting while another process holds it; freed however a process ends."""
    with locked(path.with_name(f".{path.name}.lock"), wait=True):
        yield


def size_of(url: str) -> int | None:
    """Ask how many bytes a file has, without reading it; None where the host does not say.

    Raises
    ------
    MissingDataError
        There is no such file, or the host cannot be reached.
    """
    if not _is_web(url):
        return _local(url).stat().st_size
    import requests

    try:
        with requests.head(url, timeout=_TIMEOUT_SECONDS, allow_redirects=True) as answer:
            answer.raise_for_status()
            return _length(answer)
    except requests.RequestException as error:
        raise _unreachable(url, error) from error


def download(
    url: str,
    path: Path,
    *,
    check: Callable[[Path], object] | None = None,
    command: str = "run the same command again",
    progress: Progress | None = None,
) -> Path:
    """Download a file to ``path``, continuing an earlier attempt; one process at a time, see :func:`alone`.

    Parameters
    ----------
    url
        An http(s) or file:// address, or a path.
    path
        Where it goes; while incomplete it is ``path`` with ``.part``.
    check
        Called with the path of the whole part before it gets its name; what it raises removes the part.
    command
        What to do next if it fails, for messages.
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
    wanted = _Wanted(url, part, command, progress or (lambda done, total: None))
    try:
        with part.open("ab") as file:
            (wanted.receive if _is_web(url) else wanted.copy)(file)
        if check is not None:
            check(part)
        part.replace(path)
    except DigestError:
        remove_inside(part.parent, part.name)
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(path, needed=None) from error
        raise
    finally:
        if part.is_file() and part.stat().st_size == 0:
            remove_inside(part.parent, part.name)
        if not part.is_file():
            remove_inside(part.parent, _note(part).name)
    return path


@dataclass(frozen=True)
class _Wanted:
    """One download: from where to which part, and what to say."""

    url: str
    part: Path
    command: str
    progress: Progress

    def receive(self, file: IO[bytes]) -> None:
        import requests

        failures, at_first = 0, file.tell()
        while True:
            before = file.tell()
            try:
                self._continue(file)
            except requests.HTTPError as error:
                # The host has answered: it will not say anything else the next second.
                raise _unreachable(self.url, error, kept=before, command=self.command) from error
            except requests.RequestException as error:
                file.flush()
                failures = failures + 1 if file.tell() <= before else 0
                if failures >= _ATTEMPTS or (file.tell() <= at_first and _is_without_host(error)):
                    raise _unreachable(self.url, error, kept=file.tell(), command=self.command) from error
                time.sleep(0.1 * 4**failures)
            else:
                return

    def _continue(self, file: IO[bytes]) -> None:
        """Read on from where the file ends, or from the start if the host has another version by now."""
        import requests

        start = file.tell()
        version = _note(self.part).read_text() if start and _note(self.part).is_file() else ""
        headers = {"Accept-Encoding": "identity"}
        if version:
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                _restart(file)
                raise requests.ConnectionError("the part was longer than the file")
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                _restart(file)
                start = 0
            elif not _begins_at(answer, start):
                _restart(file)
                raise requests.ConnectionError("another part came than was asked for")
            length, whole = _length(answer), _whole(answer)
            total = whole or (None if length is None else start + length)
            _check_space(self.part, length or 0)
            mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            write_bytes(_note(self.part), mark.encode())
            for block in answer.iter_content(_BLOCK_BYTES):
                file.write(block)
                self.progress(file.tell(), total)
        if total is not None and file.tell() != total:
            raise requests.ConnectionError(f"{file.tell()} of {total} bytes came")

    def copy(self, file: IO[bytes]) -> None:
        source = _local(self.url)
        total = source.stat().st_size
        _restart(file)
        _check_space(self.part, total)
        with source.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                file.write(block)
                self.progress(file.tell(), total)


def _is_without_host(error: requests.RequestException) -> bool:
    """Whether no connection was made at all: no network, no such host, or nobody who listens."""
    import requests
    from urllib3.exceptions import NewConnectionError

    cause = getattr(next(iter(error.args), None), "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError)


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
            f"There is no file '{path}'. Expected it in the folder that {MIRROR_VARIABLE} names. Likely cause: the "
            f"mirror does not hold this file. Next: copy it there, or unset {MIRROR_VARIABLE}."
        )
    return path


def _length(answer: requests.Response) -> int | None:
    return _count(answer.headers.get("Content-Length", ""))


def _whole(answer: requests.Response) -> int | None:
    """Return the bytes of the whole file that a partial answer names; a host may send less of it than was asked for."""
    return _count(answer.headers.get("Content-Range", "").rpartition("/")[2])


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _begins_at(answer: requests.Response, start: int) -> bool:
    """Whether a partial answer begins where it was asked to; one that does not say is believed."""
    span = answer.headers.get("Content-Range", "").partition("-")[0].strip().removeprefix("bytes").strip()
    return not span or span == str(start)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _check_space(part: Path, needed: int) -> None:
    if needed > shutil.disk_usage(part.parent).free:
        raise _full(part.with_suffix(""), needed=needed)


def _full(path: Path, *, needed: int | None) -> DataError:
    free = shutil.disk_usage(path.parent).free
    wanted = "" if needed is None else f" {needed / 1e9:.2f} GB are needed and"
    return DataError(
        f"Cannot store '{path}':{wanted} {free / 1e9:.2f} GB are free. What has come so far is kept. Free some space "
        f"or set {CACHE_VARIABLE} to a folder of another disk, then run the same command again."
    )


def _unreachable(url: str, error: requests.RequestException, *, kept: int = 0, command: str = "") -> MissingDataError:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        # The text of the error repeats the address.
        status = error.response.status_code
        reason = f"the host answered {status} {error.response.reason}"
        cause = (
            "trouble at the host; try again later" if status >= 500 else "the host no longer, or never had, this file"
        )
    else:
        reason = f"no connection, or it broke ({type(error).__name__})"
        cause = "no network, or a proxy in between"
    rest = f" {kept / 1e6:.1f} MB have come and are kept; the same command continues from there." if kept else ""
    again = f" Next: {command}." if command else ""
    mirror = f"Without a network, set {MIRROR_VARIABLE} to a folder or address that holds a copy."
    return MissingDataError(f"Could not download '{url}': {reason}. Likely cause: {cause}.{rest}{again} {mirror}")
