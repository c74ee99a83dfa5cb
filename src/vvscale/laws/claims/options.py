"""Options of ``vvscale claims``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass

from vvscale.core.options import option
from vvscale.scores.options import CsvOptions


@dataclass(frozen=True, kw_only=True)
class ClaimsOptions(CsvOptions):
    """What claims are checked on."""

    scores: str = option("gokce2025", "Score table: a published set, a CSV or Parquet file, or a store folder.")
