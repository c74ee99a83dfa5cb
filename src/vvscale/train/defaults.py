"""From what a user names to a complete spec: defaults are chosen here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vvscale.data import load_dataset
from vvscale.data.subsets import Rule
from vvscale.models import architecture
from vvscale.train.build import native_size
from vvscale.train.recipe import default_recipe, load_recipe
from vvscale.train.spec import RunSpec


def plan_run(
    model: str,
    dataset: str,
    *,
    recipe: str | None = None,
    changes: Mapping[str, Any] | None = None,
    samples_per_class: int = 0,
    seed: int = 0,
    subset_seed: int | None = None,
    subset_rule: Rule = "uniform",
    image_size: int | None = None,
    start: str | None = None,
) -> RunSpec:
    """Return the spec of a run.

    Parameters
    ----------
    model, dataset, samples_per_class, seed, subset_seed, subset_rule, image_size, start
        As in :class:`RunSpec`.
    recipe
        Name or TOML file; by default the study's for the family, or the one for small images.
    changes
        Dotted keys of the recipe and their values.

    Raises
    ------
    UnknownNameError, ConfigError, MissingDataError
        A name, a key or a data set is unknown.

    Examples
    --------
    >>> plan_run("resnetflex-w4-d1-1-1", "digits", samples_per_class=10).model_id
    'resnetflex-w4-d1-1-1_digits_10_seed-0_tiny'
    """
    known = architecture(model)
    is_small = native_size(load_dataset(dataset)) is not None
    chosen = load_recipe(recipe or default_recipe(known.parent_family, is_small=is_small), changes)
    return RunSpec(
        model=known.name,
        dataset=dataset,
        recipe=chosen,
        samples_per_class=samples_per_class,
        seed=seed,
        subset_seed=subset_seed,
        subset_rule=subset_rule,
        image_size=image_size,
        start=start,
    )
