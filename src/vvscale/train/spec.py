"""What one training run is: network, images, recipe, seeds; and what it leaves behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vvscale.core.config import digest
from vvscale.core.jsonable import Result
from vvscale.core.options import SEED
from vvscale.data.subsets import Rule
from vvscale.errors import ConfigError
from vvscale.models.architectures.names import Stem, stem_for
from vvscale.train.recipe import Recipe


@dataclass(frozen=True)
class RunSpec:
    """One run, completely.

    Attributes
    ----------
    model
        Name of the architecture, as :func:`vvscale.models.build_model` takes it.
    dataset
        Name of an embedded data set, or the folder of a prepared one.
    recipe
        How to train.
    samples_per_class
        Training images per class; 0 for all.
    seed
        Of initial weights, order and augmentation.
    subset_seed, subset_rule
        Of the choice of images; by default the seed above, and a uniform choice.
    image_size
        Width in pixels of the images that the network sees; by default that of the architecture, or of the
        images where these are smaller.
    stem
        First layers: ``published``, ``small`` (no downsampling), or ``auto``, small up to 64 pixels.
    start
        Weights to start from, as :func:`vvscale.models.load_model` takes them; by default random ones.
    dataset_label
        Name of the data set in rows and in ``model_id``; by default the embedded name, or the last part of the
        folder's path. What is trained does not depend on it.
    """

    model: str
    dataset: str
    recipe: Recipe
    samples_per_class: int = 0
    seed: int = SEED
    subset_seed: int | None = None
    subset_rule: Rule = "uniform"
    image_size: int | None = None
    stem: Stem = "auto"
    start: str | None = None
    dataset_label: str | None = None

    def __post_init__(self) -> None:
        if self.samples_per_class < 0:
            raise ConfigError(f"`samples_per_class` is {self.samples_per_class}; expected 0 for all, or at least 1.")
        if self.image_size is not None and self.image_size < 1:
            raise ConfigError(f"`image_size` is {self.image_size}; expected at least 1 pixel.")
        if self.recipe.objective == "adversarial" and self.start is None:
            raise ConfigError(
                f"The recipe '{self.recipe.name}' fine-tunes on attacked images and needs weights to start from. "
                "Give as `start` a trained run's folder or 'gokce2025:<model_id>'."
            )

    @property
    def dataset_name(self) -> str:
        """What rows and ``model_id`` call the data set."""
        return self.dataset_label or Path(self.dataset).name

    @property
    def model_id(self) -> str:
        """A name in the form of the published ones; what differs from the defaults is appended.

        Recipes of one's own are told apart by their names.

        Examples
        --------
        >>> from vvscale.train import load_recipe
        >>> RunSpec("resnet18", "digits", load_recipe("tiny"), subset_rule="nested", image_size=16).model_id
        'resnet18_digits_full_seed-42_tiny_nested_px16_small-stem'
        """
        how_many = "full" if self.samples_per_class == 0 else str(self.samples_per_class)
        parts = [self.model, self.dataset_name, how_many, f"seed-{self.seed}", self.recipe.name]
        if self.subset_seed is not None and self.subset_seed != self.seed:
            parts.append(f"subset-{self.subset_seed}")
        if self.subset_rule != "uniform":
            parts.append(self.subset_rule)
        if self.image_size is not None:
            parts.append(f"px{self.image_size}")
        if self.stem != "auto" or (self.image_size is not None and stem_for(self.model, self.image_size) == "small"):
            parts.append(f"{self.stem if self.stem != 'auto' else 'small'}-stem")
        if self.start is not None:
            parts.append(f"from-{digest(self.start)[:8]}")
        return "_".join(parts).replace("/", "-")

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Return the SHA-256 of all that changes the outcome, the data themselves aside."""
        settings = self.to_dict()
        del settings["dataset_label"]
        if self.stem == "auto":
            del settings["stem"]  # as runs of before that there was a choice
        return digest({**settings, "dataset": Path(self.dataset).name, "recipe": self.recipe.digest()})


@dataclass(frozen=True)
class RunResult(Result):
    """How a run ended.

    Attributes
    ----------
    path
        Its folder.
    status
        ``"finished"`` or ``"diverged"``.
    model_id, accuracy, loss
        Its name; top-1 accuracy from 0 to 1 and cross-entropy in nats on held-out images, None where unknown.
    steps, samples_seen, seconds
        Optimiser steps, training images passed through the network, and time in the training loop.
    row
        The model-level columns of the score table.
    """

    path: Path
    status: str
    model_id: str
    accuracy: float | None
    loss: float | None
    steps: int
    samples_seen: int
    seconds: float
    row: Mapping[str, Any]
