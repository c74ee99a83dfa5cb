"""The files that the study published: where they lie, their hashes, and what they are called here.

Downloads and the cache are those of ``vvscale.core.download``. This module must not look inside the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from vvscale.core.download import RemoteFile, cache_folder
from vvscale.core.hashing import hash_of
from vvscale.errors import shell_words, unknown_name

_COLLECTION = "gokce2025"
_COMMIT = "e76f924edec181e0b872484eea57e63832281de7"
_HOST = f"https://raw.githubusercontent.com/epflneuroailab/scaling-primate-vvs/{_COMMIT}"


_TABLES = "scaling_primate_vvs/artifacts"
# The table of the source repository that lists both folders does not say which file lies where; the
# commitments are the only file that its Brain-Score code reads.
_BRAINSCORE = "scaling_primate_vvs/brainscore/artifacts"

FILES: Mapping[str, RemoteFile] = MappingProxyType(
    {
        key: RemoteFile(
            name,
            _COLLECTION,
            f"{_HOST}/{folder}/{name}",
            "sha256",
            digest,
            meaning,
            f"vvscale fetch {shell_words(key)}",
        )
        for key, name, folder, digest, meaning in (
            (
                "scores",
                "benchmark_scores.csv",
                _TABLES,
                "3c902d135628cf0a63a537dad7ed2bb5a91738a759819d45a946d129eff06609",
                "993 models x 5 benchmarks",
            ),
            (
                "checkpoints",
                "benchmark_scores_ckpts.csv",
                _TABLES,
                "5745f1cc2306de9347fa6dca6df79e309f91e21ac5cb3f3e2d057adb860e7b76",
                "43 models x 26 to 32 epochs x 5 benchmarks",
            ),
            (
                "private",
                "benchmark_scores_brainscore.csv",
                _TABLES,
                "0c122bde7392d3dfe7a1a3dc1ff279eaa6cc12bed67d899c2e68e31f8c3aa78a",
                "28 models on the private Brain-Score benchmarks",
            ),
            (
                "checkpoint-list",
                "model_checkpoints.csv",
                _TABLES,
                "73d92c92d342e3feea4a760093dd490a4f4f5e8680a891807082616982250351",
                "10,751 checkpoint addresses of 811 models",
            ),
            (
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


def published_file(key: str) -> RemoteFile:
    """Return the record of a published file, or say which there are."""
    if key not in FILES:
        raise unknown_name("published file", key, FILES)
    return FILES[key]


def identify(path: Path) -> str | None:
    """Return the key of the published file with the content of ``path``, under whatever name, or None."""
    digest = hash_of(path)
    return next((key for key, file in FILES.items() if file.digest == digest), None)


def fetch(key: str) -> Path:
    """Return the path of a published file, downloaded and checked if it is not in the cache yet.

    Raises
    ------
    MissingDataError
        It is not cached and its host cannot be reached or does not have it.
    DigestError
        What was downloaded is not the published file; nothing is left under its name.
    """
    return published_file(key).fetch()


__all__ = ["FILES", "cache_folder", "fetch", "identify", "published_file"]
