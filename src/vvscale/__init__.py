"""Does scaling make vision models more like the primate brain?

Everything meets at one table of scores, one row per model and benchmark. ``vvscale.scores`` reads and writes
that table, ``vvscale.laws`` fits scaling laws to it and plans compute from them.

Importing this package loads no submodule and does no I/O; the public names below are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vvscale.laws import fit_law
    from vvscale.scores import load_scores

_HOME_OF = {
    "fit_law": "vvscale.laws",
    "load_scores": "vvscale.scores",
}

__all__ = ["__version__", "fit_law", "load_scores"]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'vvscale' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
