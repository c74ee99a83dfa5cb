"""Files that lie elsewhere, and the cache that holds them.

A file is known by its hash and never gets its final name in the cache before that is checked. ``VVSCALE_MIRROR``
(a folder or a URL) replaces the host and ``VVSCALE_CACHE`` the cache folder. This module must not look inside the
files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from vvscale.core.files import write_whole
from vvscale.errors import DataError, DigestError, MissingDataError, VvscaleWarning

MIRROR_VARIABLE = "VVSCALE_MIRROR"
CACHE_VARIABLE = "VVSCALE_CACHE"

State = Literal["cached", "absent", "damaged"]
OnBytes = Callable[[int, int | None], None]


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
        Where it lies when no mirror is set.
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

    def fetch(self, on_bytes: OnBytes | None = None) -> Path:
        """Return its path in the cache, downloaded and checked if it is not there yet.

        Parameters
        ----------
        on_bytes
            Called as a download goes on with the bytes that have come and, where known, how many there are.

        Raises
        ------
        MissingDataError
            It is not cached and its host cannot be reached or does not have it.
        DigestError
            What was downloaded is not this file; nothing is left under its name.
        """
        if self.state() == "cached":
            return self.path
        with write_whole(self.path) as part:
            _Download(self, on_bytes)(self.url, part)
        return self.path

    def clear(self) -> bool:
        """Remove it from the cache; return whether it was there. Other files are never touched."""
        existed = self.path.is_file()
        self.path.unlink(missing_ok=True)
        return existed


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """Return the hash of a file's content in hexadecimal; ``git-blob`` is the id that git gives it."""
    with path.open("rb") as file:
        if algorithm == "git-blob":
            # git hashes the content behind a header with its size.
            content = file.read()
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.file_digest(file, algorithm).hexdigest()


@dataclass(frozen=True)
class _Download:
    """Copies or downloads one file and checks its hash, with our errors."""

    file: RemoteFile
    on_bytes: OnBytes | None = None

    def __call__(self, url: str, part: Path) -> None:
        try:
            if url.startswith(("http://", "https://")):
                from pooch import HTTPDownloader

                bar: Any = False if self.on_bytes is None else _Bar(self.on_bytes)
                HTTPDownloader(progressbar=bar)(url, str(part), None)
            else:
                shutil.copyfile(url.removeprefix("file://"), part)
        except OSError as error:  # requests' exceptions are OSErrors too
            raise self._unreachable(url, error) from error
        got = hash_of(part, self.file.algorithm)
        if got != self.file.digest:
            size = part.stat().st_size
            raise DigestError(
                f"'{url}' is not the published {self.file.name}: got {self.file.algorithm} {got} ({size} bytes), "
                f"expected {self.file.digest}. Likely cause: a truncated download, or another version of the file. "
                f"Nothing was kept. Next: {self.file.command}, with {MIRROR_VARIABLE} unset or pointing to a whole "
                "copy."
            )

    def _unreachable(self, url: str, error: OSError) -> DataError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return DataError(
                f"Cannot store {self.file.name} in '{self.file.path.parent}': the disk is full. Free some "
                f"space or set {CACHE_VARIABLE} to another folder, then: {self.file.command}."
            )
        # The texts of connection errors run over several lines of addresses; those of HTTP answers are short.
        kind = type(error).__name__
        reason = f"no connection ({kind})" if "Connect" in kind or "Timeout" in kind else str(error)
        return MissingDataError(
            f"{self.file.name} ({self.file.meaning}) is not in the cache '{self.file.path.parent}' and could "
            f"not be had from '{url}': {reason}. Expected a reachable host or a folder with "
            f"'{self.file.collection}/{self.file.name}' in it. With a network: {self.file.command}; "
            f"without: set {MIRROR_VARIABLE} to a folder or address that holds a copy."
        )


class _Bar:
    """pooch's progress bar protocol, which is tqdm's."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self.total = 0  # set by pooch
        self._done = 0
        self._on_bytes = on_bytes

    def update(self, n: int) -> None:
        self._done += n
        # pooch counts whole chunks, so the last one may be short.
        self._on_bytes(min(self._done, self.total) if self.total else self._done, self.total or None)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass
