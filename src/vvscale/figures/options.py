"""Options of ``vvscale figure`` and ``vvscale report``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vvscale.core.options import SEED, Options, option


@dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """Which table is shown, and with what intervals."""

    scores: str = option("gokce2025", "Score table: a published set, a CSV or Parquet file, or a store folder.")
    add: tuple[str, ...] = option((), "Table of models to lay over it. Repeatable.")
    resamples: int = option(1000, "Resamples for intervals; 0 for none.", at_least=0)
    seed: int = option(SEED, "Seed of the resamples.", at_least=0)
    workers: int | None = option(None, "Processes; by default one per core.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class FigureOptions(TableOptions):
    """Which files are drawn from which table."""

    format: tuple[Literal["pdf", "svg", "png", "csv", "json"], ...] = option(
        (), "pdf, svg, png, csv or json. Repeatable; all five by default."
    )


@dataclass(frozen=True, kw_only=True)
class ReportOptions(TableOptions):
    """What the page shows."""
