"""Training the controlled families: recipes, objectives, and a loop that can be stopped anywhere.

``step.py`` makes a step, ``loop.py`` decides when, ``run_folder.py`` writes checkpoints, ``records.py`` rows.
A recipe is a TOML file: those of the package lie in ``recipes/`` and go by their names, one's own by its path.

Importing this package loads no submodule; the public names below are resolved on first use. It must not import
laws, figures or studies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.train.defaults import plan_run as plan_run
    from vvscale.train.loop import train as train
    from vvscale.train.recipe import Recipe as Recipe
    from vvscale.train.recipe import load_recipe as load_recipe
    from vvscale.train.recipes import recipe_names as recipe_names
    from vvscale.train.spec import RunResult as RunResult
    from vvscale.train.spec import RunSpec as RunSpec
    from vvscale.train.step import Options as Options

__getattr__, __dir__ = lazy(__name__)
