"""Rows to fit from whatever a user has: a published set, a score table, a store, or any table of columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vvscale.errors import DataError, UsageError
from vvscale.scores import SETS, load_scores, load_table, model_table, parse_where, select

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = {"model_id", "region", "score"}


def load_rows(
    source: str | Path | pd.DataFrame,
    *,
    regions: str | Sequence[str] | None = None,
    where: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Return one row per observation, and what was left out by reason.

    Parameters
    ----------
    source
        A published set (``gokce2025``), a CSV or Parquet file, a store folder, or a DataFrame. A table with one row
        per model and benchmark (columns model_id, region, score) is averaged over ``regions``; any other table is
        taken as it is. Where it has a score but no misalignment, misalignment = 1 - score is added.
    regions
        See ``vvscale.scores.resolve_regions``; all five by default.
    where
        Conditions such as ``family=ResNet,ViT`` or ``n_params>=1e6``; see ``vvscale.scores.parse_where``.
    """
    frame = _read(source)
    conditions = parse_where(list(where))
    excluded: dict[str, list[str]] = {}
    if set(map(str, frame.columns)) >= LONG:
        models = model_table(select(frame, **conditions), regions)
        frame, excluded = models.frame, dict(models.excluded)
    else:
        if regions is not None:
            raise UsageError(
                "The table has one row per observation and no column 'region', so that there is nothing to average "
                "over. Leave `regions` out."
            )
        frame = select(frame, **conditions) if conditions else frame
    if "score" in frame.columns and "misalignment" not in frame.columns:
        frame = frame.assign(misalignment=1.0 - _scores(frame["score"]))
    return frame, excluded


def _scores(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = (numbers.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"Column 'score' is not numeric: row {row + 1} has {column.iloc[row]!r}. Expected numbers; correct the "
            "table, or fit another column as `y`."
        )
    return numbers


def _read(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if str(source) in SETS or Path(source).is_dir():
        return load_scores(source)
    frame = load_table(source)
    published = {"model_id", "arch_family", "benchmark_name"}
    return (
        load_scores(source)
        if set(map(str, frame.columns)) >= LONG or published <= set(map(str, frame.columns))
        else frame
    )
