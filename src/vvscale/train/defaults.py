"""From what a user names to a complete spec: defaults are chosen here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vvscale.data import load_dataset
from vvscale.models import architecture
from vvscale.train.build import native_size
from vvscale.train.options import TrainOptions
from vvscale.train.recipe import default_recipe, load_recipe
from vvscale.train.spec import RunSpec


def plan_run(
    model: str,
    dataset: str,
    options: TrainOptions | None = None,
    /,
    *,
    changes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> RunSpec:
    """Return the spec of a run.

    Parameters
    ----------
    model, dataset
        As in :class:`RunSpec`.
    options, fields
        A :class:`TrainOptions`, its fields as keywords, or both.
    changes
        Further changes of the recipe, dotted key -> value.

    Raises
    ------
    UnknownNameError, ConfigError, MissingDataError
        A name, a key or a data set is unknown.

    Examples
    --------
    >>> plan_run("resnetflex-w4-d1-1-1", "digits", samples_per_class=10, seed=0).model_id
    'resnetflex-w4-d1-1-1_digits_10_seed-0_tiny'
    """
    options = TrainOptions.of(options, **fields)
    known = architecture(model)
    is_small = native_size(load_dataset(dataset)) is not None
    name = options.recipe or default_recipe(known.parent_family, is_small=is_small)
    return RunSpec(
        model=known.name,
        dataset=dataset,
        recipe=load_recipe(name, {**options.recipe_changes, **(changes or {})}),
        samples_per_class=options.samples_per_class,
        seed=options.seed,
        subset_seed=options.subset_seed,
        subset_rule=options.subset_rule,
        image_size=options.image_size,
        stem=options.stem,
        start=options.start,
    )
