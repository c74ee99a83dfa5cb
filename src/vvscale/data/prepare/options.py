"""Options of ``vvscale prepare``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vvscale.core.options import SEED, Options, option


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """Which images are taken, and how they are stored."""

    layout: str = option(
        "auto",
        "imagenet, imagenet21kp, ecoset, webvision, places365, inaturalist2021, infimnist, tars (train/*.tar, "
        "val/*.tar), folders (train/CLASS, val/CLASS), folder (CLASS); by default whichever is recognised.",
        group="Images",
    )
    train_list: Path | None = option(
        None, "Text file of lines 'path label' instead of a layout; paths are relative to SOURCE.", group="Images"
    )
    val_list: Path | None = option(None, "The same for the images to evaluate on.", group="Images")
    classes: tuple[str, ...] = option(
        (), "Text file of class names to take, one per line in the order of their labels; or these names.",
        group="Images",
    )  # fmt: skip
    min_per_class: int = option(0, "Leave out classes with fewer training images.", at_least=0, group="Images")
    val_fraction: float | None = option(
        None, "Share of each class to hold out where SOURCE has no images for evaluation.", above=0, group="Images"
    )
    seed: int = option(SEED, "Seed of that share.", at_least=0, group="Images")
    size: int = option(
        256, "Shorter side of images that are larger; 0 keeps all pixels.", unit="pixels", at_least=0, group="Result"
    )
    skip_corrupt: bool = option(False, "Leave out images that cannot be decoded, and name them.", group="Result")
    replace: bool = option(
        False, "Remove what OUT holds from other images or settings, or what is damaged.", group="Result"
    )
    workers: int | None = option(None, "Processes of one thread each; by default one per core.", at_least=1)
