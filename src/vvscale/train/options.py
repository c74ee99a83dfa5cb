"""Options of ``vvscale train``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vvscale.core.config import parse_changes
from vvscale.core.options import SEED, Options, option
from vvscale.errors import UsageError, unknown_name

_IMAGES, _HOW, _COMPUTE, _SCORES, _KEEP = "Images", "Training", "Compute", "Scores during training", "Files"


def _readable_changes(changes: tuple[str, ...]) -> None:
    parse_changes(changes)


TRACKERS = ("tensorboard", "wandb")


def _known_trackers(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in TRACKERS:
            raise unknown_name("tracker", name, TRACKERS)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """What one training run is besides its network and images, how it is computed, and what is kept."""

    samples_per_class: int = option(0, "Training images per class; 0 for all.", at_least=0, group=_IMAGES)
    subset_seed: int | None = option(
        None, "Seed of the choice of images; by default that of the run.", at_least=0, group=_IMAGES
    )
    subset_rule: Literal["uniform", "nested", "published"] = option(
        "uniform",
        "How images are chosen; nested: a larger subset holds the smaller ones; published: the generator of the ICML "
        "2025 study.",
        group=_IMAGES,
    )
    image_size: int | None = option(
        None, "Width of the images as the network sees them.", unit="pixels", at_least=1, group=_IMAGES
    )
    stem: Literal["auto", "published", "small"] = option(
        "auto",
        "First layers: published, or small, which does not downsample and costs more per pixel; auto is small up to "
        "64 pixels.",
        group=_IMAGES,
    )
    recipe: str | None = option(
        None,
        "Name (`vvscale ls recipes`) or TOML file; by default that of the family, or tiny for small images.",
        group=_HOW,
    )
    changes: tuple[str, ...] = option(
        (),
        "Change of the recipe, such as optimizer.lr=0.05. Repeatable.",
        flag="--set",
        group=_HOW,
        check=_readable_changes,
    )
    seed: int = option(SEED, "Seed of weights, order and augmentation.", at_least=0, group=_HOW)
    start: str | None = option(
        None,
        "Weights to start from: a run's folder, gokce2025:MODEL_ID, timm:NAME or torchvision:NAME.",
        group=_HOW,
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:NUMBER.", group=_COMPUTE)
    micro_batch: int | None = option(
        None,
        "Most images per process that pass through the network at once; gradients are accumulated.",
        at_least=1,
        group=_COMPUTE,
    )
    compile: bool | None = option(None, "Compile the network; by default on CUDA.", group=_COMPUTE)
    residency: Literal["auto", "device", "host", "map"] = option(
        "auto", "Where images are kept: on the device, in pinned memory, or mapped from the disk.", group=_COMPUTE
    )
    score_on: tuple[str, ...] = option(
        (),
        "Score the network on these benchmarks during training: regions, benchmark ids, simulated or simulated-digits.",
        group=_SCORES,
    )
    score_every: int | None = option(
        None,
        "At every so many-th evaluation of the run, by default at each; the last one always.",
        at_least=1,
        group=_SCORES,
    )
    scores: Path | None = option(
        None, "Score store that rows are added to; by default scores/ in the run's folder.", group=_SCORES
    )
    track: tuple[str, ...] = option((), "Copy the log to tensorboard or wandb.", group=_KEEP, check=_known_trackers)
    save_seconds: float = option(
        300.0, "Time between saved states to resume from.", unit="seconds", at_least=0, group=_KEEP
    )
    out: Path | None = option(None, "The run's folder; by default out/runs/<model_id>.", group=_KEEP)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score_every is not None and not self.score_on:
            raise UsageError(
                f"`score_every={self.score_every}` says how often to score, and nothing says on what. Add `score_on`, "
                'such as `score_on="simulated-digits"`, or leave out `score_every`.'
            )

    @property
    def recipe_changes(self) -> dict[str, Any]:
        """Dotted keys of the recipe and their values."""
        return parse_changes(self.changes)
