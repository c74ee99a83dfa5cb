"""Options of ``vvscale figure`` and ``vvscale report``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from vvscale.core.options import SEED, Options, option
from vvscale.scores.options import CsvOptions

TABLE, SHOWN = "The table", "What a general figure shows"


@dataclass(frozen=True, kw_only=True)
class TableOptions(CsvOptions):
    """Which table is shown, and with what intervals."""

    scores: str = option(
        "gokce2025", "A published set, a CSV or Parquet file, or a store folder; any table with numbers.", group=TABLE
    )
    add: tuple[str, ...] = option((), "Table to lay over it, or LABEL=TABLE. Repeatable.", group=TABLE)
    resamples: int = option(1000, "Resamples for intervals; 0 for none.", at_least=0)
    seed: int = option(SEED, "Seed of the resamples.", at_least=0)
    workers: int | None = option(None, "Processes; by default one per core.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """What is asked of a general figure; the papers' figures take none of it."""

    x: str = option("", "Column of the x-axis; by default compute, samples seen, parameters: the first there is.",
                    group=SHOWN)  # fmt: skip
    y: str = option(
        "", "A region, 'neural', 'all', or any column, 1-NAME for a score NAME; by default the mean over regions.",
        group=SHOWN,
    )  # fmt: skip
    law: str = option("power", "Law that is fitted; 'none' draws points only. `vvscale ls laws` lists them.",
                      group=SHOWN)  # fmt: skip
    each: str = option("", "Column: each of its values gets its own colour and law.", group=SHOWN)
    colour: str = option("", "Column that colours the points, with one law for all.", group=SHOWN)
    facet: str = option("", "Column: one panel for each of its values.", group=SHOWN)
    where: tuple[str, ...] = option((), "Condition on rows, such as family=ResNet,ViT or 'n_params>=1e6'.", group=SHOWN)

    @property
    def given(self) -> list[str]:
        """Names of those that differ from their defaults."""
        return [one.name for one in fields(DrawOptions) if getattr(self, one.name) != one.default]


@dataclass(frozen=True, kw_only=True)
class FigureOptions(DrawOptions, TableOptions):
    """Which figures are drawn from which table, and into which files."""

    format: tuple[Literal["pdf", "svg", "png", "csv", "json"], ...] = option(
        (), "pdf, svg, png, csv or json. Repeatable; all five by default."
    )


@dataclass(frozen=True, kw_only=True)
class ReportOptions(TableOptions):
    """What the page shows."""

    x: tuple[str, ...] = option(
        (), "Column of the input, or two: parameters, then samples. By default those of a score table.", group=TABLE
    )
    y: str = option(
        "", "A region, 'neural', 'all', or any column, 1-NAME for a score NAME; by default the mean over regions.",
        group=TABLE,
    )  # fmt: skip
