"""Where published weights are kept, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vvscale.core.download import State, cache_folder
from vvscale.core.files import remove_inside
from vvscale.core.hashing import hash_of
from vvscale.core.jsonable import parse_json

COLLECTION = "gokce2025"


def downloads_folder() -> Path:
    """Return where checkpoints are downloaded to, until they have been converted."""
    return cache_folder() / COLLECTION / "checkpoints"


def weights_folder() -> Path:
    """Return where converted weights are kept."""
    return cache_folder() / COLLECTION / "weights"


def kept_weights() -> Iterator[tuple[Path, State]]:
    """Yield each file of converted weights and whether it is the one that its record was written for."""
    for path in sorted(weights_folder().glob("*/*.safetensors")):
        try:
            digest = parse_json(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            digest = ""
        yield path, "cached" if hash_of(path) == digest else "damaged"


def kept_downloads() -> list[Path]:
    """Return downloads that were broken off, or not converted yet."""
    return sorted(path for path in downloads_folder().glob("*/*") if path.is_file())


def remove(path: Path) -> None:
    """Remove weights with their record, or a download, and the model's folder if nothing else is in it."""
    top = weights_folder() if path.suffix == ".safetensors" else downloads_folder()
    remove_inside(top, path)
    if path.suffix == ".safetensors":
        remove_inside(top, path.with_suffix(".json"))
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        remove_inside(top, path.parent)
