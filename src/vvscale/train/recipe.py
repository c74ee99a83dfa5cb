"""A recipe is everything about training but the network, the images and the seed: one TOML file.

Recipes of the study come with the package and are named; a file of one's own may start from one of them with
``based_on`` and changes only what it names. Unknown keys are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vvscale.core.config import digest, from_table, put, read_toml
from vvscale.data import Augmentation
from vvscale.errors import ConfigError, unknown_name
from vvscale.train.compute.ema import Ema
from vvscale.train.compute.optimizer import Optimizer
from vvscale.train.compute.schedule import Schedule
from vvscale.train.objectives.adversarial import Attack
from vvscale.train.objectives.dino import DINO
from vvscale.train.objectives.simclr import SimCLR
from vvscale.train.objectives.supervised import Loss
from vvscale.train.recipes import recipe_folder, recipe_names

ObjectiveName = Literal["supervised", "simclr", "dino", "adversarial"]
REFERENCE_SIZE = 224
"""Sizes of views in a recipe are meant for networks that see so many pixels, and follow the network's own."""

_INSTEAD_OF = {
    "schedule.steps": "schedule.epochs",
    "schedule.epochs": "schedule.steps",
    "batch_size": "batches_per_epoch",
}
"""Two ways to say one thing: a change of one takes the other back."""

_MOST_VIEWS = 100
"""Of one table of views: each is a copy of every image in memory, and the recipes of the field have about ten."""

_N_VIEWS = {"simclr": 2, "dino": 2}
_SECTION_OF = {"simclr": "simclr", "dino": "dino", "adversarial": "attack"}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    name
        Of the recipe; with changes by hand, a digest of them is appended.
    summary
        One line for lists.
    objective
        What is learned.
    batch_size
        Images per optimiser step, over all processes and accumulations.
    batches_per_epoch
        Into how many batches a subset of n images is cut, so that an epoch has about as many steps whatever its
        size: batches have ceil(n / batches_per_epoch) images and never more than ``batch_size``. Unless
        ``batch_size`` is the lower, there are at most so many, fewer where n is small, and the last one may be
        smaller. None for batches of ``batch_size``.
    fits_batch
        Whether a subset smaller than the batch is trained on as one batch; otherwise that is an error.
    drop_last
        Whether the images left over at the end of an epoch are dropped. The published runs did, so their
        smallest subsets trained on fewer images than they count.
    optimizer, schedule, loss
        Updates, length and learning rate, and the loss of class scores.
    augmentation, views
        Random changes to training images; for objectives with several views, one per view. In TOML each of
        ``[[views]]`` changes ``[augmentation]`` in what it names, ``count`` times over.
    repeats
        How often each image occurs in an epoch's batches, differently augmented each time.
    ema
        Average of the weights, which then is what is evaluated and scored; or None.
    drop_path
        Rate of dropped blocks in [0, 1), or ``"published"`` for the one of the architecture in the study.
    evaluations_per_decade, checkpoints_per_decade
        Looks at held-out images, and kept weights, per factor of ten of samples seen; 0 for the end only,
        -1 for every epoch.
    simclr, dino, attack
        Settings of the objective, given only for it.
    """

    name: str
    summary: str
    batch_size: int
    schedule: Schedule
    batches_per_epoch: int | None = None
    objective: ObjectiveName = "supervised"
    fits_batch: bool = False
    drop_last: bool = False
    optimizer: Optimizer = field(default_factory=Optimizer)
    loss: Loss = field(default_factory=Loss)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(image_size=REFERENCE_SIZE))
    views: tuple[Augmentation, ...] = ()
    repeats: int = 1
    ema: Ema | None = None
    drop_path: float | Literal["published"] = 0.0
    evaluations_per_decade: int = 3
    checkpoints_per_decade: int = 3
    simclr: SimCLR | None = None
    dino: DINO | None = None
    attack: Attack | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.repeats < 1:
            raise ConfigError(f"Got `batch_size={self.batch_size}`, `repeats={self.repeats}`; expected at least 1.")
        if self.batches_per_epoch is not None and self.batches_per_epoch < 1:
            raise ConfigError(f"Got `batches_per_epoch={self.batches_per_epoch}`; expected at least 1, or none.")
        for name in ("evaluations_per_decade", "checkpoints_per_decade"):
            if getattr(self, name) < -1:
                raise ConfigError(
                    f"`{name}` is {getattr(self, name)}; expected a number per factor of ten, 0 for the end only, or "
                    "-1 for every epoch."
                )
        if self.drop_path != "published" and not 0 <= self.drop_path < 1:
            raise ConfigError(f"`drop_path` is {self.drop_path}; expected a number in [0, 1), or 'published'.")
        if self.objective in _N_VIEWS and len(self.views) < _N_VIEWS[self.objective]:
            raise ConfigError(
                f"The objective {self.objective} compares views of an image and got {len(self.views)}; expected "
                f"{_N_VIEWS[self.objective]} or more [[views]]."
            )
        if self.objective not in _N_VIEWS and self.views:
            raise ConfigError(f"The objective {self.objective} takes one view of an image; leave out [[views]].")
        if self.objective == "simclr" and len(self.views) != 2:
            raise ConfigError(f"SimCLR compares two views of an image; got {len(self.views)}.")
        for objective, section in _SECTION_OF.items():
            is_given = getattr(self, section) is not None
            if is_given != (objective == self.objective):
                problem = "has a section" if is_given else "lacks the section"
                raise ConfigError(
                    f"The objective is {self.objective} and the recipe {problem} [{section}]; expected it for "
                    f"{objective} and only there."
                )

    def batch_for(self, n_images: int) -> int:
        """Return the images per step for a subset; more than there are where ``fits_batch`` is not set.

        Examples
        --------
        >>> [load_recipe("tiny").batch_for(n) for n in (10, 300, 1438)]
        [3, 75, 360]
        """
        return batch_for(n_images, self.batch_size, self.batches_per_epoch, fits_batch=self.fits_batch)

    @property
    def passes_per_image(self) -> float:
        """Forward-and-backward passes per training image, in units of one pass at full size."""
        if self.objective == "simclr":
            return 2.0
        if self.attack is not None:
            return 1.0 + self.attack.steps
        if self.dino is not None:
            # The teacher's two passes go forward only, a third of the cost; small crops cost by their area.
            return 2 / 3 + sum((view.image_size / REFERENCE_SIZE) ** 2 for view in self.views)
        return 1.0

    def length(self, n_images: int) -> Length:
        """Return how long a run on a subset is.

        Examples
        --------
        >>> load_recipe("tiny").length(300)
        Length(n_steps=100, n_epochs=25, samples_seen=7500)
        """
        batch = min(self.batch_for(n_images), n_images)
        steps_per_epoch = n_images // batch if self.drop_last else -(-n_images // batch)
        per_epoch = batch * steps_per_epoch if self.drop_last else n_images
        n_steps = self.schedule.n_steps(steps_per_epoch)
        full_epochs, rest = divmod(n_steps, steps_per_epoch)
        samples_seen = full_epochs * per_epoch + min(rest * batch, per_epoch)
        return Length(n_steps, -(-n_steps // steps_per_epoch), samples_seen)

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Return a digest of all that changes the training, so not of the name."""
        return digest({key: value for key, value in self.to_dict().items() if key not in {"name", "summary"}})


@dataclass(frozen=True)
class Length:
    """How long a run is: optimiser steps, passes over its images (the last possibly in part), and images seen."""

    n_steps: int
    n_epochs: int
    samples_seen: int


def batch_for(n_images: int, batch_size: int, batches_per_epoch: int | None, *, fits_batch: bool) -> int:
    """Return the images per step; see :class:`Recipe`."""
    if batches_per_epoch is not None:
        return min(batch_size, -(-n_images // batches_per_epoch))
    return min(batch_size, n_images) if fits_batch else batch_size


def default_recipe(family: str, *, is_small: bool) -> str:
    """Return the name of the study's recipe for a family, or of the one for small images.

    Parameters
    ----------
    family
        Parent family, as in the score table.
    is_small
        Whether the images are small ones that are trained on as they are.

    Examples
    --------
    >>> default_recipe("ViT", is_small=False), default_recipe("ResNet", is_small=True)
    ('deit', 'tiny')
    """
    if is_small:
        return "tiny"
    return {"ConvNeXt": "convnext", "ViT": "deit"}.get(family, "resnet")


def load_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return a recipe by name or file, with changes.

    Parameters
    ----------
    name
        A built-in name, or a path that ends in ``.toml``.
    changes
        Dotted key to value, such as ``{"optimizer.lr": 0.05}``.

    Raises
    ------
    UnknownNameError
        No such recipe.
    ConfigError
        A key is unknown or a value not allowed; the message says where.

    Examples
    --------
    >>> load_recipe("resnet", {"schedule.epochs": 10}).schedule.epochs
    10
    """
    table = _table(name, ())
    changes = dict(changes or {})
    for key, value in changes.items():
        put(table, key.split("."), value)
        if (other := _INSTEAD_OF.get(key)) is not None and other not in changes:
            put(table, other.split("."), None)
    where = f"the recipe '{name}'"
    recipe = from_table(Recipe, _expanded(table, where), where)
    if changes:
        recipe = dataclasses.replace(recipe, name=f"{recipe.name}+{recipe.digest()[:6]}")
    return recipe


def _expanded(table: dict[str, Any], where: str) -> dict[str, Any]:
    """Fill in the size that a run will replace, and let each view start from the recipe's augmentation."""
    common, views = table.get("augmentation", {}), table.get("views", [])
    if not isinstance(common, Mapping):
        raise ConfigError(f"Got {common!r} for 'augmentation' in {where}; expected a table.")
    if not isinstance(views, list) or not all(isinstance(view, Mapping) for view in views):
        raise ConfigError(f"Got {views!r} for 'views' in {where}; expected a list of tables, [[views]].")
    common, views = dict(common), [dict(view) for view in views]
    if "image_size" in common:
        raise ConfigError(
            f"The key 'image_size' in 'augmentation' of {where} belongs to the run, not to the recipe; leave it out."
        )
    common["image_size"] = REFERENCE_SIZE
    counts = [view.pop("count", 1) for view in views]
    for count in counts:
        if type(count) is not int or not 1 <= count <= _MOST_VIEWS:
            raise ConfigError(
                f"Got {count!r} for 'count' in 'views' of {where}; expected a whole number from 1 to {_MOST_VIEWS}."
            )
    repeated = [{**common, **view} for view, count in zip(views, counts, strict=True) for _ in range(count)]
    return {**table, "augmentation": common, "views": repeated}


def _table(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise ConfigError(f"The recipe '{name}' is based on itself: {' -> '.join((*seen, name))}.")
    if name.endswith(".toml"):
        path = Path(name)
        own_name = path.stem
    elif name in recipe_names():
        path = Path(str(recipe_folder() / f"{name}.toml"))
        own_name = name
    else:
        hint = f"Known: {', '.join(recipe_names())}; or give a file that ends in .toml."
        raise unknown_name("recipe", name, recipe_names(), hint)
    table = {"name": own_name, **read_toml(path)}
    base = table.pop("based_on", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise ConfigError(f"Got {base!r} for 'based_on' in the recipe '{name}'; expected the name of a recipe or file.")
    if base.endswith(".toml"):
        base = str(path.parent / base)
    return _merged(_table(base, (*seen, name)), table)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both_tables else value
    return merged
