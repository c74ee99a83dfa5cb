"""A cache of scores and inner products that cannot lie.

An entry is known by everything that it depends on, and carries a checksum of its own. A damaged entry is found
when it is read, named, and made again. Entries are written whole, so that a killed run leaves none by halves.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vvscale.brain.metrics.gram import Gram
from vvscale.brain.scoring.results import LayerScore
from vvscale.core.files import remove_inside, write_bytes
from vvscale.core.hashing import digest_of
from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, DigestError, UsageError, VvscaleWarning

Kind = Literal["score", "products"]

_FORMAT = "vvscale-cache-2"
_EARLIER = ("vvscale-cache-1",)


@dataclass(frozen=True)
class CacheEntry:
    """One file of the cache.

    Attributes
    ----------
    kind
        ``score`` of a layer on a benchmark, or inner ``products`` of a layer on a stimulus set.
    path, n_bytes
        Where it lies and how big it is.
    state
        ``whole``, ``damaged``, or ``outdated``: of an earlier version, which this one makes anew.
    parts
        What it depends on; empty where damage hides it.
    """

    kind: str
    path: Path
    n_bytes: int
    state: str
    parts: Mapping[str, Any]


class ScoreCache:
    """A folder of entries.

    Parameters
    ----------
    folder
        Created by the first entry; None for the folder ``scores`` beside the downloaded files.
    keep_products
        Whether inner products are kept too: 8 bytes per pair of images for each layer.
    """

    def __init__(self, folder: str | Path | None = None, *, keep_products: bool = False) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.keep_products = keep_products

    def score(self, parts: Mapping[str, Any] | None) -> LayerScore | None:
        """Return the score that depends on exactly these parts, or None; parts that are None have none."""
        found = None if parts is None else self._read("score", parts)
        return None if found is None else LayerScore.from_dict(parse_json(found[1]))

    def put_score(self, parts: Mapping[str, Any] | None, score: LayerScore) -> None:
        """Keep a score, unless its parts are None."""
        if parts is None:
            return
        self._write("score", parts, json.dumps(score.to_dict(), allow_nan=False).encode(), {})

    def products(self, parts: Mapping[str, Any] | None) -> Gram | None:
        """Return the inner products that depend on exactly these parts, or None."""
        found = None if parts is None else self._read("products", parts)
        if found is None:
            return None
        meta, payload = found[0]["meta"], found[1]
        # The table, then one column each of what centring took out.
        n, numbers = meta["n_images"], np.frombuffer(payload, dtype="<f8")
        table = numbers[: -2 * n].reshape(meta["shape"])
        return Gram(
            n,
            meta["n_features"],
            is_standardized=meta["is_standardized"],
            precision=meta["precision"],
            level=numbers[-2 * n : -n],
            totals=numbers[-n:],
            **{meta["as"]: table},
        )

    def put_products(self, parts: Mapping[str, Any] | None, gram: Gram) -> None:
        """Keep inner products, if products are kept at all."""
        if parts is None or not self.keep_products or gram.device is not None or gram.level is None:
            return
        name = "matrix" if gram.factor is None else "factor"
        table = np.ascontiguousarray(getattr(gram, name), dtype="<f8")
        meta = {
            "as": name,
            "shape": list(table.shape),
            "n_images": gram.n_images,
            "n_features": gram.n_features,
            "is_standardized": gram.is_standardized,
            "precision": gram.precision,
        }
        columns = [np.ascontiguousarray(one, dtype="<f8") for one in (gram.level, gram.totals)]
        self._write("products", parts, b"".join(one.tobytes() for one in (table, *columns)), meta)

    def entries(self) -> Iterator[CacheEntry]:
        """Yield every entry, read whole and checked."""
        for path in sorted(self.folder.glob("*/*.entry")):
            try:
                header, payload = _header(path)
                state = "whole" if _is_whole(header, payload) else "damaged"
                state = "outdated" if state == "whole" and header["format"] in _EARLIER else state
            except (ValueError, KeyError):
                header, state = {}, "damaged"
            yield CacheEntry(path.parent.name, path, path.stat().st_size, state, header.get("parts", {}))

    def verify(self) -> None:
        """Raise an error that names the first damaged entry."""
        damaged = [entry.path for entry in self.entries() if entry.state == "damaged"]
        if damaged:
            raise DigestError(
                f"{len(damaged)} entries of the score cache '{self.folder}' do not have their checksum, first "
                f"'{damaged[0].name}'. Likely cause: they were edited, or the disk is failing. They are made again "
                "when they are next needed; 'vvscale cache clear --scores' removes all."
            )

    def clear(self) -> int:
        """Remove every entry and return how many there were."""
        paths = list(self.folder.glob("*/*.entry"))
        for path in paths:
            remove_inside(self.folder, path)
        return len(paths)

    def _path(self, kind: Kind, parts: Mapping[str, Any]) -> Path:
        return self.folder / kind / f"{digest_of(dict(parts))}.entry"

    def _read(self, kind: Kind, parts: Mapping[str, Any]) -> tuple[dict[str, Any], bytes] | None:
        path = self._path(kind, parts)
        if not path.is_file():
            return None
        try:
            header, payload = _header(path)
            if header["format"] in _EARLIER:
                return None
            if _is_whole(header, payload) and header["parts"] == dict(parts):
                return header, payload
        except (ValueError, KeyError):
            pass
        warnings.warn(
            f"The cache entry '{path}' is damaged: its content does not have its checksum. It is made again.",
            VvscaleWarning,
            stacklevel=3,
        )
        remove_inside(self.folder, path)
        return None

    def _write(self, kind: Kind, parts: Mapping[str, Any], payload: bytes, meta: Mapping[str, Any]) -> None:
        header = {"format": _FORMAT, "parts": dict(parts), "meta": dict(meta)}
        header["sha256"] = _checksum(header, payload)
        content = json.dumps(header, allow_nan=False).encode() + b"\n" + payload
        try:
            write_bytes(self._path(kind, parts), content)
        except (UsageError, DataError) as error:
            # A score that cannot be kept is still a score.
            warnings.warn(f"Scores are not kept in the cache '{self.folder}': {error}", VvscaleWarning, stacklevel=3)


def default_folder() -> Path:
    """Return the folder of the score cache, beside the downloaded files."""
    from vvscale.core.download import cache_folder

    return cache_folder() / "scores"


def _header(path: Path) -> tuple[dict[str, Any], bytes]:
    line, _, payload = path.read_bytes().partition(b"\n")
    header = parse_json(line)
    if not isinstance(header, dict) or header.get("format") not in (_FORMAT, *_EARLIER):
        raise ValueError(f"'{path}' is not an entry")
    return header, payload


def _is_whole(header: Mapping[str, Any], payload: bytes) -> bool:
    return header["sha256"] == _checksum({name: header[name] for name in ("format", "parts", "meta")}, payload)


def _checksum(header: Mapping[str, Any], payload: bytes) -> str:
    total = hashlib.sha256(digest_of(dict(header)).encode())
    total.update(payload)
    return total.hexdigest()
