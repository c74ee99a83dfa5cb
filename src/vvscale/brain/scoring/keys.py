"""Keys of values that code computes with: two values with one key behave alike.

A key covers what a value is made of: numbers and text as they are, arrays by content, objects by their attributes and
the code of their class, functions by their code and what they close over. Code is the whole source file, by its syntax
tree, with the files that it imports unless they are installed packages, which count by their version: a function
beside the class, or a helper beside the file, changes what the class computes.

What cannot be keyed raises :class:`Unkeyable`, so that it is not cached rather than taken for something else.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import importlib.metadata
import inspect
import sys
import types
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import vvscale
from vvscale.core.hashing import code_digest, digest_of, is_installed, source_digest

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range, Path)
_PACKAGE = Path(vvscale.__file__).parent
# Nothing in a model is nested deeper on purpose; a deeper object is likely a whole program.
_DEPTH = 40


class Unkeyable(Exception):  # noqa: N818 (a state of affairs, which no user sees)
    """A value whose behaviour cannot be told from its parts; the text names it."""


class Keys:
    """Digests of values, each object once.

    Examples
    --------
    >>> Keys().of({"size": 3}) == Keys().of({"size": 3}) != Keys().of({"size": 4})
    True
    """

    def __init__(self) -> None:
        # Holding on to the object keeps its id from being given to another.
        self._known: dict[int, tuple[Any, str]] = {}
        self._codes: dict[str, str] = {}
        self._depth = 0

    def of(self, value: Any) -> str:
        """Return the SHA-256 of a value.

        Raises
        ------
        Unkeyable
            A part of it is neither plain, an array, a function nor an object with attributes.
        """
        if isinstance(value, _PLAIN):
            return digest_of([type(value).__name__, repr(value)])
        if id(value) in self._known:
            return self._known[id(value)][1]
        if self._depth >= _DEPTH:
            raise Unkeyable(f"a {type(value).__name__} more than {_DEPTH} levels deep")
        # A value that holds itself is keyed by the way back to it.
        self._known[id(value)] = value, f"cycle {self._depth}"
        self._depth += 1
        try:
            key = digest_of(list(self._parts(value)))
        finally:
            self._depth -= 1
        self._known[id(value)] = value, key
        return key

    def _parts(self, value: Any) -> Iterator[str]:
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, (np.ndarray, np.generic)):
            yield from _array(np.asarray(value))
        elif kind.__module__.split(".")[0] == "torch" and (parts := self._of_torch(value)) is not None:
            yield from parts
        elif isinstance(value, Mapping):
            for name, held in value.items():
                yield self.of(name) + self.of(held)
            yield from self._attributes(value)
        elif isinstance(value, (tuple, list)):
            yield from map(self.of, value)
        elif isinstance(value, Set):
            yield from sorted(map(self.of, value))
        elif isinstance(value, functools.partial):
            yield from map(self.of, (value.func, value.args, value.keywords))
        elif isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, types.MethodType):
            yield from map(self.of, (value.__func__, value.__self__))
        elif isinstance(value, (types.BuiltinFunctionType, types.ModuleType, np.ufunc, np.dtype, enum.Enum)):
            yield repr(value) if not isinstance(value, types.ModuleType) else value.__name__
        else:
            yield from self._object(value)

    def _object(self, value: Any) -> Iterator[str]:
        own = _attributes_of(value)
        if own is None:
            raise Unkeyable(f"a {type(value).__module__}.{type(value).__qualname__}, whose parts cannot be seen")
        yield from self._class(type(value))
        for name in sorted(own):
            yield name + self.of(own[name])

    def _attributes(self, value: Any) -> Iterator[str]:
        yield from self._class(type(value))
        own = _attributes_of(value) or {}
        for name in sorted(own):
            yield name + self.of(own[name])

    def _class(self, kind: type) -> Iterator[str]:
        for base in kind.__mro__:
            if base.__module__ != "builtins":
                yield f"{base.__module__}.{base.__qualname__} {self._code_of(base.__module__)}"
            if not is_installed(base.__module__):
                # A constant of the class that was set after it was defined is not in its source.
                for name, held in sorted(vars(base).items()):
                    if isinstance(held, _PLAIN) and not name.startswith("__"):
                        yield f"{name} {held!r}"

    def _code_of(self, module: str) -> str:
        if module not in self._codes:
            self._codes[module] = code_key(module)
        return self._codes[module]

    def _function(self, value: types.FunctionType) -> Iterator[str]:
        yield f"{value.__qualname__} {self._code_of(value.__module__ or '')}"
        yield from _code(value.__code__)
        yield self.of(value.__defaults__) + self.of(value.__kwdefaults__)
        for cell in value.__closure__ or ():
            try:
                yield self.of(cell.cell_contents)
            except ValueError:  # not yet filled
                yield "empty"
        if not is_installed(value.__module__ or ""):
            for name in value.__code__.co_names:
                held = value.__globals__.get(name)
                if isinstance(held, _PLAIN):
                    yield f"{name} {held!r}"

    def _of_torch(self, value: Any) -> Iterator[str] | None:
        import torch

        if isinstance(value, torch.Tensor):
            held = value.detach().cpu().contiguous()
            # Seen as bytes, since NumPy has no bfloat16.
            content = held.reshape(-1).view(torch.uint8).numpy().tobytes()
            return iter([str(held.dtype), str(tuple(held.shape)), hashlib.sha256(content).hexdigest()])
        if isinstance(value, (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)):
            return iter([str(value)])
        return None


def code_key(module: str) -> str:
    """Return a key of the code of a module: its file and what that imports, or the version of its package."""
    if is_installed(module):
        return f"{module.split('.')[0]} {_version(module.split('.')[0])}"
    if module.split(".")[0] == "vvscale":
        return _of_package(module)
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:  # defined at a prompt or by exec: the code of each function is all there is
        return "no file"
    return code_digest(Path(file))


@cache
def _version(top: str) -> str:
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        pass
    if hasattr(sys.modules.get(top), "__version__"):
        return str(sys.modules[top].__version__)
    if top in sys.stdlib_module_names:
        return sys.version.split()[0]
    # Reads the records of every package, so it is the last resort.
    names = importlib.metadata.packages_distributions().get(top, [])
    return importlib.metadata.version(names[0]) if names else "no version"


@cache
def _of_package(module: str) -> str:
    """Return the key of a part of this package: architectures depend on the other files of their part."""
    parts = module.split(".")
    if parts[1:2] == ["brain"]:
        return "brain"  # every key of a score holds the code of this part anyway
    place = _PACKAGE.joinpath(*parts[1:2]) if len(parts) > 1 else _PACKAGE / "__init__.py"
    return source_digest(place if place.exists() else place.with_suffix(".py"))


def _code(code: types.CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for held in code.co_consts:
        yield from _code(held) if isinstance(held, types.CodeType) else [repr(held)]


def _array(table: np.ndarray) -> Iterator[str]:
    if table.dtype == object:
        yield repr(table.tolist())
        return
    yield f"{table.dtype.str} {table.shape} {hashlib.sha256(np.ascontiguousarray(table).tobytes()).hexdigest()}"


def _attributes_of(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object, of its dictionary and its slots; None if it shows neither."""
    held = dict(vars(value)) if hasattr(value, "__dict__") else None
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    if held is None and not slots and type(value).__module__ not in sys.modules:
        return None
    if held is None and not slots and not inspect.isclass(value) and is_installed(type(value).__module__):
        return None
    found = held or {}
    for name in slots:
        if name not in ("__dict__", "__weakref__") and hasattr(value, name):
            found[name] = getattr(value, name)
    return found


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
