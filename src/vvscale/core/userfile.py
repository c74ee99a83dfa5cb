"""What a user defines in a Python file of their own, named ``file.py`` or ``file.py:NAME``."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vvscale.core.hashing import digest_of
from vvscale.core.inputs.plain import plain_file
from vvscale.errors import ConfigError, MissingDataError, UsageError, VvscaleError

T = TypeVar("T")


def is_user_file(ref: str) -> bool:
    """Whether a reference names something in a Python file.

    Examples
    --------
    >>> is_user_file("nets.py:small"), is_user_file("resnet18")
    (True, False)
    """
    return ref.endswith(".py") or ".py:" in ref


def split_ref(ref: str) -> tuple[Path, str]:
    """Return the file and the name in it, empty where none is given.

    Examples
    --------
    >>> split_ref("lab/nets.py:small")
    (PosixPath('lab/nets.py'), 'small')
    """
    path, _, name = ref.rpartition(".py:") if ".py:" in ref else (ref.removesuffix(".py"), "", "")
    return Path(f"{path}.py"), name


def load_user_file(path: Path, what: str) -> dict[str, Any]:
    """Run a Python file, once per content, and return its public names.

    Parameters
    ----------
    path
        The file.
    what
        What it should define, for messages: ``"benchmark"``.

    Raises
    ------
    MissingDataError
        It cannot be read.
    UsageError
        Its code fails; the message says in which line.
    """
    try:
        content = plain_file(path).read_bytes()
    except OSError as error:
        raise MissingDataError(
            f"Cannot read the {what} file '{path}': {error.strerror}. Expected a Python file; check the path."
        ) from error
    module = _run_file(path.resolve(), content, what)
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


@lru_cache(maxsize=32)
def _run_file(path: Path, content: bytes, what: str) -> ModuleType:
    # Named after the whole path: files of one name in two folders are two modules.
    name = f"vvscale_user_{path.stem}_{digest_of(str(path))[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"'{path}' cannot be imported as a Python file; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look their module up by name.
    sys.modules[spec.name] = module
    call_user_code(lambda: exec(compile(content, str(path), "exec"), vars(module)), f"The {what} file '{path}'", path)
    return module


_BESIDE: dict[Path, dict[str, ModuleType]] = {}
"""Folder of a user's file -> the modules that it imported from there."""


@contextmanager
def _beside(path: Path | None) -> Iterator[None]:
    """Let a user's code import what lies beside its file, and keep that from the files of other folders.

    Afterwards neither the folder nor its modules can be imported by others: two folders may each have a ``helper.py``.
    """
    if path is None:
        yield
        return
    folder = path.resolve().parent
    modules = _BESIDE.setdefault(folder, {})
    sys.modules.update(modules)
    sys.path.insert(0, str(folder))
    before = set(sys.modules)
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [*modules, *(set(sys.modules) - before)]:
            module = sys.modules.get(name)
            if name in modules or _lies_in(module, folder):
                modules[name] = sys.modules.pop(name)


def _lies_in(module: ModuleType | None, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    # The user's file itself, which is named after its whole path, may stay.
    name = getattr(module, "__name__", "")
    return bool(file) and folder in Path(str(file)).parents and not name.startswith("vvscale_user_")


def call_user_code(make: Callable[[], T], what: str, path: Path | None = None) -> T:
    """Run a user's code; say where it failed unless its error already explains itself.

    Parameters
    ----------
    make
        The code.
    what
        What it is, the first words of the message.
    path
        Its file, for the line number.
    """
    try:
        with _beside(path):
            return make()
    except VvscaleError:
        raise
    except Exception as error:
        # Code of any kind runs here, so anything can come out of it.
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if path is None or frame.filename == str(path.resolve())]
        line = error.lineno if isinstance(error, SyntaxError) else own[-1].lineno if own else None
        where = "" if line is None else f" in line {line}"
        # Without a line of the user's, the call itself did not fit.
        cure = "Correct it" if own or not isinstance(error, TypeError) else "Give its arguments defaults"
        raise UsageError(f"{what} failed{where}: {type(error).__name__}: {error}. {cure} and try again.") from error
