"""Options of ``vvscale readout``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vvscale.core.options import MISSING, SEED, Options, option

_HOW = "Training"
KINDS = ("attention-shared", "attention-individual", "low-rank", "mlp")


@dataclass(frozen=True, kw_only=True)
class ReadoutOptions(Options):
    """How a readout is trained."""

    kind: str = option("attention-shared", f"{', '.join(KINDS)}.", group=_HOW)
    epochs: int = option(30, "Passes over the training images of every subject.", at_least=1, group=_HOW)
    lr: float = option(1e-4, "Learning rate (AdamW), a cosine to 0 by epoch.", above=0, group=_HOW)
    dropout: float = option(0.3, "Share of what is dropped.", at_least=0, at_most=1, group=_HOW)
    weight_decay: float = option(1e-4, "Weight decay.", at_least=0, group=_HOW)
    batch_size: int = option(256, "Images per update.", at_least=1, group=_HOW)
    clip_norm: float = option(1.0, "Longest gradient.", above=0, group=_HOW)
    width: int = option(384, "Width of the trunk.", at_least=1, group=_HOW)
    n_queries: int = option(16, "Queries of the attention.", at_least=1, group=_HOW)
    n_heads: int = option(16, "Heads of the attention.", at_least=1, group=_HOW)
    seed: int = option(SEED, "Seed of weights, dropout and batches.", at_least=0, group=_HOW)
    save_seconds: float = option(300.0, "Time between saved states.", unit="seconds", at_least=0, group=_HOW)


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
