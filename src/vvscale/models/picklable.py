"""What a pickled checkpoint may make: numbers, texts, containers and tensors, by constructors of our own.

Each checks sizes against what is there, none can be changed from a pickle, and none calls anything of a file's choice.
``KNOWN`` is the whole list.
"""

from __future__ import annotations

import datetime
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor


class _Maker:
    """A function that a pickle may call; nothing can be set on it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it sets the state of a function")


class _State(dict[Any, Any]):
    """An ordered dictionary; what torch hangs on it beside its items is dropped."""

    def __setstate__(self, state: object) -> None:
        pass


class _Inert:
    """Stands for an object of which nothing is needed."""

    def __new__(cls, *args: object, **kwargs: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


class _Text(str):
    """A text with more to it, such as torch's version."""

    def __setstate__(self, state: object) -> None:
        pass


class _DType:
    """A type of numbers."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or code not in _NUMBERS:
            raise pickle.UnpicklingError(f"it holds an array of type {str(code)[:20]!r}, not of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in {"<", ">", "=", "|"}:
            self.dtype = self.dtype.newbyteorder(state[1])


_NUMBERS = frozenset(
    [f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8) if (kind, size) != ("f", 1)] + ["b1", "bool"]
)


class _Array:
    """An array of numbers; ``numpy.asarray`` gives them."""

    def __init__(self, *args: object) -> None:
        if args:
            raise pickle.UnpicklingError("it makes an array of a size of its choice")
        self._values = np.empty(0)

    def __setstate__(self, state: object) -> None:
        _, shape, dtype, is_fortran, content = state  # pyright: ignore[reportGeneralTypeIssues]
        if not isinstance(dtype, _DType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("it holds an array of objects, not of numbers")
        self._values = np.frombuffer(content, dtype.dtype).reshape(shape, order="F" if is_fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype=dtype)


def _array(cls: object, *_: object) -> _Array:
    if cls is not _Array:
        raise pickle.UnpicklingError("it makes an array of another type")
    return _Array()


def _number(dtype: _DType, content: bytes) -> Any:
    if not isinstance(dtype, _DType) or len(content) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError("it holds a number of no size")
    return np.frombuffer(content, dtype.dtype)[0]


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds bytes in {encoding!r}")
    return text.encode("latin1")


def _timedelta(*args: int) -> datetime.timedelta:
    return datetime.timedelta(*args)


class Kind:
    """A type of storage."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it sets the state of a type")


@dataclass(frozen=True)
class Storage:
    """A row of numbers in the file: their type, how many, and where."""

    dtype: torch.dtype
    n: int
    buffer: Any
    offset: int


def _tensor(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Storage) or len(size) != len(stride) or any(type(one) is not int for one in numbers):
        raise pickle.UnpicklingError("it holds a tensor without a place")
    n = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min(numbers) < 0 or (n and (last >= storage.n or n > storage.n)):
        raise pickle.UnpicklingError(f"it holds a tensor of {tuple(size)} in a storage of {storage.n} numbers")
    if n == 0 or storage.buffer is None:
        return torch.empty(size if n == 0 else 0, dtype=storage.dtype)
    flat = torch.frombuffer(storage.buffer, dtype=storage.dtype, count=storage.n, offset=storage.offset)
    return flat.as_strided(size, stride, offset)


def _typed_tensor(make: object, kind: object, args: tuple[Any, ...], state: object) -> Any:
    if not isinstance(make, _Maker):
        raise pickle.UnpicklingError("it makes a tensor in another way")
    return make(*args)


_STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
KNOWN: Mapping[str, Any] = {
    "collections.OrderedDict": _State,
    "collections.defaultdict": _Maker(lambda *_: _State()),
    "datetime.timedelta": _Maker(_timedelta),
    "_codecs.encode": _Maker(_bytes),
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    **{f"numpy.{core}.multiarray._reconstruct": _Maker(_array) for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _Maker(_number) for core in ("core", "_core")},
    "torch._utils._rebuild_tensor": _Maker(_tensor),
    "torch._utils._rebuild_tensor_v2": _Maker(_tensor),
    "torch._utils._rebuild_parameter": _Maker(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": _Maker(_typed_tensor),
    "torch.nn.parameter.Parameter": _Inert,
    "torch.Tensor": _Inert,
    "torch.Size": _Maker(lambda *args: tuple(*args)),
    "torch.device": _Inert,
    "torch.torch_version.TorchVersion": _Text,
    # Arguments of the program that trained it.
    "argparse.Namespace": _Inert,
    "pathlib.PosixPath": _Inert,
    "pathlib.WindowsPath": _Inert,
    **{f"torch.{name}": Kind(dtype) for name, dtype in _STORAGES.items()},
    **{f"torch.{str(dtype).partition('.')[2]}": _Inert for dtype in _STORAGES.values()},
}
