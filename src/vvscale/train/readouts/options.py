"""Options of ``vvscale readout``."""

from __future__ import annotations

from dataclasses import dataclass

from vvscale.core.options import SEED, Options, option

KINDS = ("attention-shared", "attention-individual", "low-rank", "mlp")


@dataclass(frozen=True, kw_only=True)
class ReadoutOptions(Options):
    """How a readout is trained."""

    kind: str = option("attention-shared", f"{', '.join(KINDS)}.")
    epochs: int = option(30, "Passes over the training images of every subject.", at_least=1)
    lr: float = option(1e-4, "Learning rate (AdamW), a cosine to 0 by epoch.", above=0)
    dropout: float = option(0.3, "Share of what is dropped.", at_least=0, at_most=1)
    weight_decay: float = option(1e-4, "Weight decay.", at_least=0)
    batch_size: int = option(256, "Images per update.", at_least=1)
    clip_norm: float = option(1.0, "Longest gradient.", above=0)
    width: int = option(384, "Width of the trunk.", at_least=1)
    n_queries: int = option(16, "Queries of the attention.", at_least=1)
    n_heads: int = option(16, "Heads of the attention.", at_least=1)
    seed: int = option(SEED, "Seed of weights, dropout and batches.", at_least=0)
    save_seconds: float = option(300.0, "Time between saved states.", unit="seconds", at_least=0)
