"""Read a checkpoint that torch pickled, without running or building anything of the file's choice.

A pickle is a program that calls what it names. Here each name stands for a constructor of ours that makes numbers,
texts, containers or tensors, and checks sizes against the bytes that are there; every other name is refused. Tensors
are views of the mapped file, so that only those that are used are read.

This module must never give a pickle anything but what stands in ``picklable.KNOWN``.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vvscale.errors import DataError, DigestError, MissingDataError
from vvscale.models.picklable import KNOWN, Kind, Storage

# The description of a checkpoint is a few MB at most; each of its bytes can make an object of 64 bytes or so, which
# bounds the memory that a file made to do harm can take.
_LONGEST_PICKLE = 16 << 20
# Tensors may share memory (tied weights, averages at the start), but not grow without bounds when they are copied.
_MOST_GROWTH = 4
_ALWAYS_ALLOWED = 1 << 24
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def read_checkpoint(path: Path) -> Any:
    """Read a torch checkpoint, of today's format or of that before 2020: tensors, numbers, texts and containers.

    Raises
    ------
    MissingDataError
        There is no such file.
    DigestError
        It is not a torch checkpoint, or not a whole one.
    DataError
        It wants to run or build something that is not allowed, or is larger than it may be; nothing of it was run.
    """
    _check_is_file(path)
    try:
        if zipfile.is_zipfile(path):
            return _Archive(path).read()
        return _read_legacy(path)
    except DataError:
        raise
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
        KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError, struct.error,
    ) as error:  # fmt: skip
        # A broken file is reported in as many ways as there are places where it can break.
        raise _damaged(path, _reason(error)) from error


def check_content(path: Path) -> None:
    """Check a torch checkpoint against the checksums that it holds; reads all of it.

    Raises
    ------
    DigestError
        A part of it is not what was written.
    """
    _check_is_file(path)
    if not zipfile.is_zipfile(path):
        raise _no_checkpoint(path)
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, _reason(error)) from error
    if broken:
        raise _damaged(path, f"the checksum of its part '{broken}' is wrong.")


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise MissingDataError(f"There is no checkpoint '{path}'.")


def _no_checkpoint(path: Path) -> DigestError:
    return DigestError(
        f"'{path}' ({path.stat().st_size} bytes) is not a whole torch checkpoint. Likely cause: a truncated download, "
        "the error page of a proxy, or another file. Next: fetch it again."
    )


def _damaged(path: Path, reason: str) -> DigestError:
    return DigestError(
        f"'{path}' cannot be read as a torch checkpoint: {reason} Likely cause: a damaged file. Next: fetch it again."
    )


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".") + "."


def _named(module: str, name: str) -> str:
    """Return the name of today for what Python 2's pickles call otherwise."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        module, name = _compat_pickle.NAME_MAPPING[module, name]
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"


class _Unpickler(pickle.Unpickler):
    """Knows the names above and no other."""

    def __init__(self, content: bytes, path: Path, storage_of: Callable[[tuple[Any, ...]], Storage]) -> None:
        super().__init__(io.BytesIO(content))
        self._path, self._storage_of = path, storage_of

    def find_class(self, module: str, name: str) -> Any:
        wanted = _named(module, name)
        if wanted not in KNOWN:
            raise _refused(self._path, [wanted])
        return KNOWN[wanted]

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], Kind):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        return self._storage_of(pid)


def _refused(path: Path, wanted: list[str]) -> DataError:
    return DataError(
        f"'{path}' was not loaded: it asks for {', '.join(wanted)}, which tensors and numbers do not need. Nothing of "
        "it was run. Likely cause: a file that holds a whole network instead of its weights, a file of another "
        "program, or one made to do harm. Next: do not load it with anything else unless you know who made it; the "
        "weights alone are written by torch.save(model.state_dict(), ...)."
    )


def _checked(content: bytes, path: Path) -> bytes:
    """Return the first pickle of some bytes, once all of its instructions have been looked at."""
    file, refused = io.BytesIO(content), set()
    for operation, argument, _ in pickletools.genops(file):
        if operation.name == "GLOBAL":
            wanted = _named(*str(argument).split(" ", 1))
            refused |= {wanted} - KNOWN.keys()
        elif operation.name in {"PUT", "BINPUT", "LONG_BINPUT"} and int(argument or 0) > len(content):
            # The reader would make room for all numbers up to this one.
            raise pickle.UnpicklingError("it counts its objects wrongly")
    if refused:
        raise _refused(path, sorted(refused))
    return content[: file.tell()]


# --- files ------------------------------------------------------------------------------------------------------


class _Budget:
    """Bounds what the tensors of a file may take when they are copied."""

    def __init__(self, path: Path) -> None:
        self._left = _MOST_GROWTH * path.stat().st_size + _ALWAYS_ALLOWED

    def spend(self, value: Any) -> Any:
        """Count the tensors of nested containers, each container once."""
        seen: set[int] = set()
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Tensor):
                self._left -= one.numel() * one.element_size()
                if self._left < 0:
                    raise pickle.UnpicklingError("its tensors are many times larger than the file")
            elif isinstance(one, dict | list | tuple) and id(one) not in seen:
                seen.add(id(one))
                waiting += one.values() if isinstance(one, dict) else one
        return value


class _Archive:
    """A checkpoint of today's format: a zip archive of one pickle and the storages."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map = np.memmap(path, np.uint8, mode="c") if path.stat().st_size else None
        with zipfile.ZipFile(path) as file:
            self._entries = {entry.filename: entry for entry in file.infolist()}
            name = next((name for name in self._entries if name.endswith("/data.pkl") or name == "data.pkl"), None)
            if name is None:
                raise pickle.UnpicklingError("it holds no data.pkl")
            self._prefix = name.removesuffix("data.pkl")
            if self._entries[name].file_size > _LONGEST_PICKLE:
                raise pickle.UnpicklingError(f"its description takes {self._entries[name].file_size:,} bytes")
            order = f"{self._prefix}byteorder"
            if order in self._entries and file.read(order) != b"little":
                raise pickle.UnpicklingError("it was written on a machine of another byte order")
            self._pickle = file.read(name)

    def read(self) -> Any:
        content = _checked(self._pickle, self._path)
        return _Budget(self._path).spend(_Unpickler(content, self._path, self._storage).load())

    def _storage(self, pid: tuple[Any, ...]) -> Storage:
        _, kind, key, _, n, *_ = pid
        entry = self._entries[f"{self._prefix}data/{key}"]
        n_bytes = n * kind.dtype.itemsize
        if entry.compress_type != zipfile.ZIP_STORED or not 0 <= n_bytes <= entry.file_size:
            raise pickle.UnpicklingError(f"its storage '{key}' has {entry.file_size} bytes for {n} numbers")
        assert self._map is not None
        mark, n_name, n_extra = _LOCAL_HEADER.unpack_from(self._map.data, entry.header_offset)
        start = entry.header_offset + _LOCAL_HEADER.size + n_name + n_extra
        if mark != b"PK\x03\x04" or start + n_bytes > len(self._map):
            raise pickle.UnpicklingError(f"its storage '{key}' lies outside of the file")
        return Storage(kind.dtype, n, self._map if n else None, start)


def _read_legacy(path: Path) -> Any:
    """Read the format before 2020: five pickles one after another, then the storages."""
    with path.open("rb") as file:
        content = file.read(_LONGEST_PICKLE)
    sizes: dict[str, tuple[torch.dtype, int]] = {}
    places: dict[str, tuple[int, int]] = {}

    def note(pid: tuple[Any, ...]) -> Storage:
        sizes[pid[2]] = (pid[1].dtype, pid[4])
        return Storage(pid[1].dtype, pid[4], None, 0)

    def place(pid: tuple[Any, ...]) -> Storage:
        start, n = places[pid[2]]
        return Storage(pid[1].dtype, n, mapped if n else None, start)

    at, parts = 0, []
    for number in range(5):
        try:
            part = _checked(content[at:], path)
        except ValueError as error:
            raise _no_checkpoint(path) from error
        if number == 0 and _Unpickler(part, path, note).load() != _LEGACY_MAGIC:
            raise _no_checkpoint(path)
        parts.append(part)
        at += len(part)
    _Unpickler(parts[3], path, note).load()
    keys = _Unpickler(parts[4], path, note).load()
    mapped = np.memmap(path, np.uint8, mode="c")
    for key in keys:
        dtype, n = sizes[key]
        (held,) = struct.unpack_from("<q", mapped.data, at)
        if held != n or at + 8 + n * dtype.itemsize > len(mapped):
            raise pickle.UnpicklingError(f"its storage '{key}' was cut short")
        places[key] = (at + 8, n)
        at += 8 + n * dtype.itemsize
    return _Budget(path).spend(_Unpickler(parts[3], path, place).load())
