"""The files that the study published: where they lie, their hashes, and the cache that holds them.

A file is known by its sha256; it never gets its final name in the cache before that is checked.
``VVSCALE_MIRROR`` (a folder or a URL) replaces the host and ``VVSCALE_CACHE`` the cache folder. This module
must not look inside the files.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vvscale._files import make_folder
from vvscale.errors import DataError, DigestError, MissingDataError, unknown_name

MIRROR_VARIABLE = "VVSCALE_MIRROR"
CACHE_VARIABLE = "VVSCALE_CACHE"

_COLLECTION = "gokce2025"
_COMMIT = "e76f924edec181e0b872484eea57e63832281de7"
_HOST = f"https://raw.githubusercontent.com/epflneuroailab/scaling-primate-vvs/{_COMMIT}"


@dataclass(frozen=True)
class PublishedFile:
    """One published file, identified by its content."""

    key: str
    name: str
    folder: str
    sha256: str
    meaning: str

    @property
    def url(self) -> str:
        """Where it comes from: the mirror if one is set, else the repository of the study."""
        mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
        if mirror:
            return f"{mirror}/{_COLLECTION}/{self.name}"
        return f"{_HOST}/{self.folder}/{self.name}"

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_folder() / _COLLECTION / self.name


_TABLES = "scaling_primate_vvs/artifacts"
# The table of the source repository that lists both folders does not say which file lies where; the
# commitments are the only file that its Brain-Score code reads.
_BRAINSCORE = "scaling_primate_vvs/brainscore/artifacts"

FILES: Mapping[str, PublishedFile] = MappingProxyType(
    {
        file.key: file
        for file in (
            PublishedFile(
                "scores",
                "benchmark_scores.csv",
                _TABLES,
                "3c902d135628cf0a63a537dad7ed2bb5a91738a759819d45a946d129eff06609",
                "993 models x 5 benchmarks",
            ),
            PublishedFile(
                "checkpoints",
                "benchmark_scores_ckpts.csv",
                _TABLES,
                "5745f1cc2306de9347fa6dca6df79e309f91e21ac5cb3f3e2d057adb860e7b76",
                "43 models x 26 to 32 epochs x 5 benchmarks",
            ),
            PublishedFile(
                "private",
                "benchmark_scores_brainscore.csv",
                _TABLES,
                "0c122bde7392d3dfe7a1a3dc1ff279eaa6cc12bed67d899c2e68e31f8c3aa78a",
                "28 models on the private Brain-Score benchmarks",
            ),
            PublishedFile(
                "checkpoint-list",
                "model_checkpoints.csv",
                _TABLES,
                "73d92c92d342e3feea4a760093dd490a4f4f5e8680a891807082616982250351",
                "10,751 checkpoint addresses of 811 models",
            ),
            PublishedFile(
                "commitments",
                "commitments.json",
                _BRAINSCORE,
                "b25fafdb56b945f8d34431b9dd4a79cd62a26f6e15b423a2368e569e9db0da80",
                "region -> layer of 278 architectures",
            ),
        )
    }
)
"""What ``vvscale fetch`` calls it -> file."""

State = Literal["cached", "absent", "damaged"]


def cache_folder() -> Path:
    """Return the folder of downloaded files: ``VVSCALE_CACHE``, or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("vvscale"))


def published_file(key: str) -> PublishedFile:
    """Return the record of a published file, or say which there are."""
    if key not in FILES:
        raise unknown_name("published file", key, FILES)
    return FILES[key]


def state(key: str) -> State:
    """Say whether a file is in the cache and whole; reads it to hash it."""
    file = published_file(key)
    if not file.path.is_file():
        return "absent"
    return "cached" if _sha256(file.path) == file.sha256 else "damaged"


def identify(path: Path) -> str | None:
    """Return the key of the published file with the content of ``path``, under whatever name, or None."""
    digest = _sha256(path)
    return next((file.key for file in FILES.values() if file.sha256 == digest), None)


def fetch(key: str) -> Path:
    """Return the path of a published file, downloaded and checked if it is not in the cache yet.

    Raises
    ------
    MissingDataError
        It is not cached and its host cannot be reached or does not have it.
    DigestError
        What was downloaded is not the published file; nothing is left under its name.
    """
    file = published_file(key)
    if state(key) == "cached":
        return file.path
    import pooch

    make_folder(file.path.parent)
    # pooch tells of each download on standard error; what is worth saying is said by the command line.
    download: Any = _Download(file)
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        pooch.retrieve(
            url=file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=file.name,
            path=file.path.parent,
            downloader=download,
        )
    finally:
        logger.setLevel(level)
    return file.path


@dataclass(frozen=True)
class _Download:
    """pooch's downloader protocol, with our errors; it writes only to pooch's temporary file."""

    file: PublishedFile

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        try:
            if url.startswith(("http://", "https://")):
                from pooch import HTTPDownloader

                HTTPDownloader()(url, output_file, pooch)
            else:
                shutil.copyfile(url.removeprefix("file://"), output_file)
        except OSError as error:  # requests' exceptions are OSErrors too
            raise self._unreachable(url, error) from error
        got = _sha256(Path(output_file))
        if got != self.file.sha256:
            size = Path(output_file).stat().st_size
            raise DigestError(
                f"'{url}' is not the published {self.file.name}: got sha256 {got} ({size} bytes), expected "
                f"{self.file.sha256}. Likely cause: a truncated download, or another version of the file. "
                f"Nothing was kept. Next: vvscale fetch {self.file.key}, with {MIRROR_VARIABLE} unset or "
                "pointing to a whole copy."
            )

    def _unreachable(self, url: str, error: OSError) -> DataError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return DataError(
                f"Cannot store {self.file.name} in '{self.file.path.parent}': the disk is full. Free some "
                f"space or set {CACHE_VARIABLE} to another folder, then: vvscale fetch {self.file.key}."
            )
        # The texts of connection errors run over several lines of addresses; those of HTTP answers are short.
        kind = type(error).__name__
        reason = f"no connection ({kind})" if "Connect" in kind or "Timeout" in kind else str(error)
        return MissingDataError(
            f"{self.file.name} ({self.file.meaning}) is not in the cache '{self.file.path.parent}' and could "
            f"not be had from '{url}': {reason}. Expected a reachable host or a folder with "
            f"'{_COLLECTION}/{self.file.name}' in it. With a network: vvscale fetch {self.file.key}; "
            f"without: set {MIRROR_VARIABLE} to a folder or address that holds a copy."
        )


def clear(key: str) -> bool:
    """Remove a file from the cache; return whether there was one. Other files are never touched."""
    path = published_file(key).path
    existed = path.is_file()
    path.unlink(missing_ok=True)
    return existed


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
