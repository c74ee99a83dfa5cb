"""What keys of caches are made of: digests of models, of benchmarks, of this package's code, and of any value.

A key must change with everything that a score depends on: the weights, attributes, hooks and code of the model, the
data, metric, design and ceiling of the benchmark, and the code that scores. Two values with one key behave alike.

A key covers what a value is made of: numbers and text as they are, arrays by content, objects by their attributes and
the code of their class, functions by their code and what they close over. Code is the whole source file, by its syntax
tree, with the files that it imports unless they are installed packages, which count by their version: a function
beside the class, or a helper beside the file, changes what the class computes.

What cannot be keyed raises :class:`Unkeyable`, so that it is not cached rather than taken for something else.
"""

from __future__ import annotations

import dataclasses
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
from torch import nn

import vvscale
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.core.hashing import code_digest as file_digest
from vvscale.core.hashing import digest_of, is_installed, source_digest

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range, Path)
_PACKAGE = Path(vvscale.__file__).parent
# Nothing in a model is nested deeper on purpose; a deeper object is likely a whole program.
_DEPTH = 40


# What a change in these files does to scores is not known in advance, so any change counts.
_CODE = Path(__file__).parents[1]

# Kept by PyTorch in every module, and keyed through the weights, the parts or the hooks.
_KEPT = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training"}
_HOOKS = {"_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
          "_forward_pre_hooks_with_kwargs"}  # fmt: skip
# Hooks of training and of state dictionaries change no activation.
_OTHER_HOOKS = "_hooks"


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
            return iter([str(value.dtype), str(tuple(value.shape)), hashlib.sha256(_bytes_of(value)).hexdigest()])
        if isinstance(value, (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)):
            return iter([str(value)])
        return None


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a model's parameters and buffers: names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name, value in module.state_dict().items():
        total.update(f"{name} {getattr(value, 'dtype', type(value))} {tuple(getattr(value, 'shape', ()))}\n".encode())
        total.update(_bytes_of(value) if hasattr(value, "detach") else repr(value).encode())
    return total.hexdigest()


def model_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a model: its weights, structure, attributes, hooks and code.

    Two models may share their weights and compute different things with them.

    Raises
    ------
    Unkeyable
        A part of it cannot be told from another: its scores must not be cached.
    """
    import torch

    parts = [weights_digest(module), repr(module)]
    keys = Keys()
    for name, one in module.named_modules(remove_duplicate=False):
        if isinstance(one, torch.jit.ScriptModule):
            parts.append(f"{name} {one.code if hasattr(one, 'forward') else ''}")
            continue
        parts.append(f"{name} {keys.of(type(one))}")
        for attribute, value in sorted(vars(one).items()):
            if attribute in _KEPT or (_OTHER_HOOKS in attribute and attribute not in _HOOKS):
                continue
            # Handles number hooks in the order of the whole process; the functions are what counts.
            held = list(value.values()) if attribute in _HOOKS else value
            try:
                parts.append(f"{attribute} {keys.of(held)}")
            except Unkeyable as error:
                place = f"the layer '{name}'" if name else "the model"
                raise Unkeyable(f"'{attribute}' of {place} holds {error}") from None
        for buffer in sorted(one._non_persistent_buffers_set):
            parts.append(f"{buffer} {keys.of(one._buffers[buffer])}")
    return digest_of(parts)


def benchmark_digest(benchmark: Benchmark, data_digest: str) -> str:
    """Return the SHA-256 of a benchmark: the digest of its data, its settings, and the code of its classes.

    Raises
    ------
    Unkeyable
        A part of it, such as a metric of one's own, cannot be told from another.
    """
    keys = Keys()
    settings = [keys.of(type(benchmark))]
    fields = dataclasses.fields(benchmark) if dataclasses.is_dataclass(benchmark) else ()
    names = [one.name for one in fields] or sorted(vars(benchmark))
    for name in names:
        value = getattr(benchmark, name)
        # The data are in their own digest, which does not read every image again.
        if isinstance(value, Benchmark):
            settings.append(name + benchmark_digest(value, data_digest))
        elif name not in ("stimuli", "assembly", "trials") and not name.startswith("_"):
            settings.append(name + keys.of(value))
    return digest_of([data_digest, settings])


@cache
def code_digest() -> str:
    """Return the SHA-256 of the code that makes scores, and of the version of PyTorch that runs models."""
    import torch

    return hashlib.sha256(f"{vvscale.__version__} {torch.__version__} {source_digest(_CODE)}".encode()).hexdigest()


def code_key(module: str) -> str:
    """Return a key of the code of a module: its file and what that imports, or the version of its package."""
    if is_installed(module):
        return f"{module.split('.')[0]} {_version(module.split('.')[0])}"
    if module.split(".")[0] == "vvscale":
        return _of_package(module)
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:  # defined at a prompt or by exec: the code of each function is all there is
        return "no file"
    return file_digest(Path(file))


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


def _bytes_of(tensor: Any) -> memoryview:
    """Return the bytes of a tensor of any type: NumPy has no bfloat16."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
