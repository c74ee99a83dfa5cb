"""Options of ``vvscale readout``, and of the same in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from vvscale.core.options import MISSING, SEED, Options, option

_HOW = "Training"
RECIPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "tvsd": {"epochs": 30, "lr": 1e-4, "dropout": 0.3},
        "nsd_func1pt8mm_individualROIs": {"epochs": 20, "lr": 1e-3, "dropout": 0.8},
        "things_fmri": {"epochs": 30, "lr": 1e-4, "dropout": 0.8},
        "things_meg": {"epochs": 30, "lr": 1e-4, "dropout": 0.8},
        "things_eeg1": {"epochs": 10, "lr": 1e-4, "dropout": 0.5},
        "things_eeg2": {"epochs": 10, "lr": 1e-4, "dropout": 0.5},
    }
)
"""Handle of a data set -> what the 2026 study trained its attention readouts with."""
_OF_THE_SET = "the 2026 study's for the data set by default, and that for TVSD with other recordings"
KINDS = ("attention-shared", "attention-individual", "low-rank", "mlp")


@dataclass(frozen=True, kw_only=True)
class ReadoutOptions(Options):
    """How a readout is trained."""

    kind: str = option("attention-shared", f"{', '.join(KINDS)}.", group=_HOW)
    epochs: int | None = option(
        None, f"Passes over the training images of every subject; {_OF_THE_SET}: 30.", at_least=1, group=_HOW
    )
    lr: float | None = option(
        None, f"Learning rate (AdamW), a cosine to 0 by epoch; {_OF_THE_SET}: 1e-4.", above=0, group=_HOW
    )
    dropout: float | None = option(
        None, f"Share of what is dropped; {_OF_THE_SET}: 0.3.", at_least=0, at_most=1, group=_HOW
    )
    weight_decay: float = option(1e-4, "Weight decay.", at_least=0, group=_HOW)
    batch_size: int = option(256, "Images per update.", at_least=1, group=_HOW)
    clip_norm: float = option(1.0, "Longest gradient.", above=0, group=_HOW)
    width: int = option(384, "Width of the trunk.", at_least=1, group=_HOW)
    n_queries: int = option(16, "Queries of the attention.", at_least=1, group=_HOW)
    n_heads: int = option(16, "Heads of the attention.", at_least=1, group=_HOW)
    seed: int = option(SEED, "Seed of weights, dropout and batches.", at_least=0, group=_HOW)
    save_seconds: float = option(300.0, "Time between saved states.", unit="seconds", at_least=0, group=_HOW)

    def for_set(self, handle: str) -> Self:
        """Return the same with what was not set as the 2026 study set it for a data set.

        Examples
        --------
        >>> made = ReadoutOptions(dropout=0.1).for_set("things_eeg2")
        >>> made.epochs, made.lr, made.dropout
        (10, 0.0001, 0.1)
        """
        recipe = RECIPES.get(handle, RECIPES["tvsd"])
        return replace(self, **{name: value for name, value in recipe.items() if getattr(self, name) is None})


@dataclass(frozen=True, kw_only=True)
class ReadoutRunOptions(ReadoutOptions):
    """What is read out, and how the readout is trained."""

    on: str = option(MISSING, "One benchmark, such as a region of a prepared file: tvsd.h5:V4.")
    layer: str = option(MISSING, "Name of the layer; its places, or tokens, are what the readout looks at.")
    test_share: float = option(
        0.2, "Share of the images that tests, drawn once, where the benchmark has no fixed test images."
    )
    image_size: int | None = option(None, "Input size in pixels; the model's own by default.")
    out: Path = option(Path("out/readout"), "Folder of the state and of the score store.")
    device: str = option("cpu", "cpu or cuda.")
