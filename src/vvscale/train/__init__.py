"""Training the controlled families: recipes, objectives, and a loop that can be stopped anywhere.

Importing this package loads no submodule; the public names below are resolved on first use. It must not import
laws, figures or studies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.train.defaults import plan_run
    from vvscale.train.loop import train
    from vvscale.train.recipe import Recipe, load_recipe, recipe_names
    from vvscale.train.spec import RunResult, RunSpec
    from vvscale.train.step import Options

_HOME_OF = {
    "Options": "step",
    "Recipe": "recipe",
    "RunResult": "spec",
    "RunSpec": "spec",
    "load_recipe": "recipe",
    "plan_run": "defaults",
    "recipe_names": "recipe",
    "train": "loop",
}

__all__ = ["Options", "Recipe", "RunResult", "RunSpec", "load_recipe", "plan_run", "recipe_names", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.train.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.train' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
