"""The recipes that come with the package: their names and files, read without anything that trains."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def recipe_folder() -> Traversable:
    """Return the folder of the package's recipes."""
    return files("vvscale.train.recipes")


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(path.name.removesuffix(".toml") for path in recipe_folder().iterdir() if path.name.endswith(".toml"))
