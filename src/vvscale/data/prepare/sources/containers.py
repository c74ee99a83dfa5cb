"""Images inside larger files: rows of idx arrays and members of tar shards, named ``FILE#WHICH`` in a listing."""

from __future__ import annotations

import posixpath
import struct
import tarfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from vvscale.core.jsonable import parse_json
from vvscale.data.prepare.sources.walk import SUFFIXES, Named
from vvscale.errors import DataError

_ENDINGS = ("idx3-ubyte", ".tar")
_IDX_HEADER_BYTES = 16
# A class is a number or a word; what is longer is a caption.
_LONGEST_LABEL = 4096
_LABEL_FILES = ("cls", "cls.txt", "json")
_LABEL_KEYS = ("label", "cls", "class", "class_id", "class_name", "category")


def container_of(path: str) -> tuple[str, str] | None:
    """Take ``FILE#WHICH`` apart; None for the path of a file of its own."""
    for ending in _ENDINGS:
        head, mark, which = path.partition(f"{ending}#")
        if mark:
            return head + ending, which
    return None


def read_bytes(root: Path, path: str) -> bytes:
    """Return the bytes of an image file, of a row of an idx file as a PGM file, or of a member of a tar shard.

    Raises
    ------
    DataError
        The file that holds it is damaged.
    """
    place = container_of(path)
    if place is None:
        return (root / path).read_bytes()
    name, which = place
    if name.endswith(".tar"):
        offset, size = _members(*_stamped(root / name))[which]
        with (root / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)
    _, height, width = idx_header(root / name)
    with (root / name).open("rb") as file:
        file.seek(_IDX_HEADER_BYTES + int(which) * height * width)
        return b"P5 %d %d 255\n" % (width, height) + file.read(height * width)


# --- idx files --------------------------------------------------------------------------------------------------


def idx_header(path: Path) -> tuple[int, int, int]:
    """Return number, height and width of the images of an idx file."""
    with path.open("rb") as file:
        head = file.read(_IDX_HEADER_BYTES)
    if len(head) < _IDX_HEADER_BYTES or head[:4] != b"\0\0\x08\x03":
        raise DataError(f"'{path}' is not an idx file of byte images; expected it to begin with 00 00 08 03.")
    n, height, width = struct.unpack(">III", head[4:])
    expected = _IDX_HEADER_BYTES + n * height * width
    if path.stat().st_size != expected:
        raise DataError(f"'{path}' has {path.stat().st_size:,} bytes; its header says {expected:,}. It was cut short.")
    return n, height, width


# --- tar shards -------------------------------------------------------------------------------------------------


def read_shards(root: Path, shards: list[str]) -> Named:
    """List the images of tar files, of WebDataset or with one folder or one file per class.

    The class of an image is the content of the member beside it (``KEY.cls``, or ``label`` in ``KEY.json``), else the
    first folder of its name in the archive, else the name of the archive.

    Raises
    ------
    DataError
        A shard is damaged, holds an image in a way that is not read, or two images under one name; or some of its
        images have a class beside them and some have not, or a class is beside two.
    """
    images: Named = []
    for shard in shards:
        path = root / shard
        names = [name for name in _members(*_stamped(path)) if _is_image(name)]
        label_of = dict(_labels(path))
        _refuse_second_images(path, names if label_of else [])
        unlabelled = [name for name in names if _key(name) not in label_of]
        if label_of and unlabelled:
            raise DataError(
                f"The shard '{path}' has no class beside {len(unlabelled)} of its {len(names)} images, such as "
                f"'{unlabelled[0]}'. Expected KEY.cls or KEY.json beside each, as in WebDataset, or beside none."
            )
        for name in names:
            folder = name.removeprefix("./").partition("/")
            label = label_of.get(_key(name)) or (folder[0] if folder[1] else Path(shard).name.removesuffix(".tar"))
            images.append((f"{shard}#{name}", label))
    return images


def _is_image(name: str) -> bool:
    """Whether a member is an image; those of a hidden name are what a Mac adds beside each file."""
    base = name.rpartition("/")[2]
    return Path(base).suffix.lower() in SUFFIXES and not base.startswith(".")


def _refuse_second_images(path: Path, names: list[str]) -> None:
    """Refuse a sample with two images, such as a picture and its mask; both would be shown as the class."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(_key(name), name)
        if other != name:
            raise DataError(
                f"The shard '{path}' has one class beside two images, '{other}' and '{name}'. Expected one image for "
                "each KEY, as in KEY.jpg and KEY.cls; write the shards without the other."
            )


def _labels(path: Path) -> Iterator[tuple[str, str]]:
    """Yield key and class of the members of a shard that say one."""
    members = _members(*_stamped(path))
    with path.open("rb") as file:
        for name, (offset, size) in members.items():
            kind = Path(name).name.partition(".")[2].lower()
            if kind not in _LABEL_FILES or size > _LONGEST_LABEL:
                continue
            file.seek(offset)
            label = _label(file.read(size), kind)
            if label is not None:
                yield _key(name), label


def _label(content: bytes, kind: str) -> str | None:
    try:
        text = content.decode("utf-8-sig").strip()
        if kind != "json":
            return text or None
        said = parse_json(text)
        found = next((said[key] for key in _LABEL_KEYS if key in said), None)
    except (ValueError, TypeError, RecursionError):
        return None
    return str(found) if isinstance(found, str | int) else None


def _key(name: str) -> str:
    """Return what the members of one sample share: the path up to the first dot of the file's name."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _stamped(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


def _odd_member(path: Path, name: str, what: str) -> DataError:
    return DataError(
        f"The shard '{path}' holds '{name}', {what}; expected each image once, as a plain file. One of them would be "
        "missing without a word; write the archive again."
    )


@lru_cache(maxsize=64)
def _members(path: Path, n_bytes: int, _changed: int) -> dict[str, tuple[int, int]]:
    """Return name -> offset and size in bytes of the plain files of an archive; only its headers are read."""
    found: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name = member.name
                if member.islnk() and member.linkname in found:
                    # A second name of a file that came before, as tar writes hard links.
                    place = found[member.linkname]
                elif member.isreg() and not member.issparse():
                    place = member.offset_data, member.size
                elif _is_image(name) and not member.isdir():
                    raise _odd_member(path, name, "a link, a pipe or a file with holes")
                else:
                    continue
                # "./a.png" and "a.png" are one file once unpacked.
                if _is_image(name) and posixpath.normpath(name) in seen:
                    raise _odd_member(path, name, "a second file of this name")
                seen.add(posixpath.normpath(name))
                found[name] = place
    except (tarfile.TarError, ValueError, EOFError, OSError) as error:
        raise DataError(
            f"Cannot read the shard '{path}': {error}. Expected a plain .tar file; it was cut short, or is packed in "
            "another way. Copy it again, or unpack it."
        ) from error
    beyond = next((name for name, (offset, size) in found.items() if offset + size > n_bytes), None)
    if beyond is not None:
        raise DataError(f"The shard '{path}' ends within '{beyond}'. It was cut short; copy it again.")
    return found
