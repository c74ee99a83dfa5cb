"""Options of ``vvscale fine-tune``; the defaults are the recipe of the 2026 multimodal study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vvscale.core.options import MISSING, SEED, Options, option
from vvscale.errors import UsageError

UNTUNED = "none"
"""What is said of a network that was not fine-tuned."""

_LOSS, _DATA, _HOW = "Loss", "Recordings", "Training"


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions(Options):
    """How a network is fine-tuned on recordings."""

    task_weight: float = option(0.1, "Weight of the loss of the task.", at_least=0, group=_LOSS)
    neural_weight: float = option(100.0, "Weight of the loss of the recordings.", at_least=0, group=_LOSS)
    neural_loss: Literal["mse", "cka", "log-cka"] = option(
        "mse",
        "mse: of responses predicted by frozen ridge readouts; cka: 1 - CKA of the layer with the responses; log-cka: "
        "its logarithm.",
        group=_LOSS,
    )
    fraction: float = option(
        100.0, "Training images of the recordings that are used.", unit="percent", above=0, at_most=100, group=_DATA
    )
    control: Literal["none", "shuffled"] = option(
        "none", "shuffled: responses belong to other images, which must not help.", group=_DATA
    )
    updates: int | None = option(
        None,
        "Number of updates, whatever the fraction of the data; by default one pass over it per epoch.",
        at_least=1,
        group=_HOW,
    )
    epochs: int = option(20, "Passes over the training images of the recordings.", at_least=1, group=_HOW)
    warmup_epochs: float = option(5, "Passes in which the rate rises.", at_least=0, group=_HOW)
    lr: float = option(1e-5, "Highest learning rate (AdamW, then a cosine).", above=0, group=_HOW)
    lr_min: float = option(1e-6, "Learning rate at the end.", at_least=0, group=_HOW)
    weight_decay: float = option(0.05, "Weight decay.", at_least=0, group=_HOW)
    task_batch: int = option(512, "Images of the task per update.", at_least=1, group=_HOW)
    neural_batch: int = option(256, "Images of the recordings per update.", at_least=2, group=_HOW)
    batches: Literal["joint", "alternating"] = option(
        "joint", "joint: both losses in each update; alternating: in turn.", group=_HOW
    )
    lora_rank: int = option(0, "Rank of low-rank changes of weights; 0 changes all weights.", at_least=0, group=_HOW)
    lora_alpha: float = option(32.0, "Scale of low-rank changes: alpha / rank.", above=0, group=_HOW)
    seed: int = option(SEED, "Seed of batches, of the choice of images and of the control.", at_least=0, group=_HOW)
    save_seconds: float = option(300.0, "Time between saved states.", unit="seconds", at_least=0, group=_HOW)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task_weight == 0 and self.neural_weight == 0:
            raise UsageError("`task_weight` and `neural_weight` are both 0, so nothing would be trained.")
        if self.lr_min > self.lr:
            raise UsageError(f"`lr_min` {self.lr_min:g} is above `lr` {self.lr:g}.")


@dataclass(frozen=True, kw_only=True)
class FineTuneRunOptions(FineTuneOptions):
    """What a network is tuned to, and how."""

    on: tuple[str, ...] = option(MISSING, "Recordings to tune to: benchmarks of one stimulus set.")
    layers: str = option(MISSING, "The layer that is read out, or a .toml or .json file of one layer per region.")
    data: str = option("digits", "Images of the task: digits, or a folder made by `vvscale prepare`.")
    test_on: tuple[str, ...] = option((), "Further benchmarks to score before and after.")
    metric: str = option("ridge-cv", "Of the scores before and after: ridge-cv, ridge or pls.")
    test_share: float = option(
        0.2, "Share of the images that tests, drawn once, where a benchmark has no fixed test images."
    )
    out: Path = option(Path("out/fine-tuned"), "Folder of the state, the result and the weights.")
    device: str = option("cpu", "cpu or cuda.")
