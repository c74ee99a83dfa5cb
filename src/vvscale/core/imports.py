"""Imports on first use, and what to say of packages that only an extra installs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from vvscale.errors import UsageError

# Module -> extras that bring it, the smallest first.
EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "torch": ("models", "train", "score", "study"), "torchvision": ("models", "train", "score", "study"),
        "timm": ("models", "train", "score", "study"), "safetensors": ("models", "train", "score", "study"),
        "PIL": ("models", "train", "score", "study"), "requests": ("models",),
        "sklearn": ("forecast", "train", "score", "study"), "h5py": ("score",), "h5netcdf": ("score",),
        "xarray": ("score",), "threadpoolctl": ("score",), "nibabel": ("neuro",), "mne": ("neuro",),
        "matplotlib": ("figures", "study"), "vl_convert": ("figures", "study"), "parsl": ("study",),
        "tensorboard": ("tracking",), "wandb": ("tracking",),
    }
)  # fmt: skip


def missing_extra(error: ImportError, wanted: str = "") -> UsageError | None:
    """Return what to say of a module that is not installed; None if no extra brings it.

    Parameters
    ----------
    error
        Of the failed import.
    wanted
        Extra that the user's request belongs to, named if it brings the module.

    Examples
    --------
    >>> print(missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch"), "score"))
    This needs the package 'torch', which is not installed. Next: pip install 'vvscale[score]'
    """
    module = (error.name or "").split(".")[0]
    extras = EXTRAS.get(module)
    if extras is None:
        return None
    extra = wanted if wanted in extras else extras[0]
    return UsageError(
        f"This needs the package '{module}', which is not installed. Next: pip install 'vvscale[{extra}]'"
    )


def require(module: str) -> None:
    """Raise if a module is not installed, before work is handed to processes that load it.

    Raises
    ------
    ModuleNotFoundError
        It is not.

    Examples
    --------
    >>> require("json")
    """
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package, and set its ``__all__``.

    The public names are those that its ``if TYPE_CHECKING:`` block imports, as type checkers see them too; so each
    is written once.

    Parameters
    ----------
    package
        ``__name__`` of the package.

    Examples
    --------
    An ``__init__.py`` that offers one name::

        from typing import TYPE_CHECKING

        from vvscale.core.imports import lazy

        if TYPE_CHECKING:
            from vvscale.laws.fit import fit_law as fit_law

        __getattr__, __dir__ = lazy(__name__)
    """
    module = sys.modules[package]
    assert module.__spec__ is not None
    source = module.__spec__.loader.get_source(package)  # type: ignore[union-attr]
    home = _homes(source)
    module.__all__ = sorted({*home, *getattr(module, "__all__", [])})  # type: ignore[attr-defined]

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(import_module(home[name][0]), home[name][1])
        # The next use finds it without this function.
        setattr(module, name, value)
        return value

    return get, lambda: sorted({*module.__all__, *vars(module)})


def _homes(source: str) -> dict[str, tuple[str, str]]:
    """Return public name -> module and name there, of the imports for type checkers."""
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If) and ast.unparse(node.test) == _GUARD]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {one.asname or one.name: (str(node.module), one.name) for node in imports for one in node.names}


_GUARD = "TYPE_CHECKING"
