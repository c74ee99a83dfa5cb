"""Rows to fit from whatever a user has: a published set, a score table, a store, or any table of columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vvscale.errors import DataError, UsageError, VvscaleWarning
from vvscale.scores import (
    SETS,
    drop_missing,
    is_mapping_table,
    load_scores,
    load_table,
    mapping_table,
    model_table,
    parse_where,
    select,
)
from vvscale.scores.read import plain_columns
from vvscale.scores.schema import KEY
from vvscale.scores.table import numbers_of, with_complements
from vvscale.scores.validate import BRAINSCORE_NAMES, TEXT_COLUMNS, refuse_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = {"model_id", "region", "score"}


def load_rows(
    source: str | Path | pd.DataFrame,
    *,
    regions: str | Sequence[str] | None = None,
    where: str | Sequence[str] | Mapping[str, Any] = (),
    preset: str | Sequence[str] | None = None,
    needs: Sequence[str] = (),
    y: str = "misalignment",
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
        Conditions such as ``family=ResNet,ViT`` or ``n_params>=1e6``, see ``vvscale.scores.parse_where``; or a mapping
        from columns to what ``vvscale.scores.select`` takes.
    preset
        As of ``vvscale.scores.select``.
    needs
        Columns without which a model of a score table has no place in the fit, as pretrained models have no training
        compute: those that lack one are left out and named, like those that lack a region. Of any other table a
        missing value is not expected, and nothing is left out.
    y
        Column of the outcome, which is made where it is written ``1-COLUMN``.
    """
    frame = read_rows(source)
    texts = [where] if isinstance(where, str) else where
    conditions = dict(texts) if isinstance(texts, Mapping) else parse_where(texts)
    if preset is not None:
        conditions["preset"] = preset
    excluded: dict[str, list[str]] = {}
    if set(map(str, frame.columns)) >= LONG:
        chosen = select(frame, **conditions)
        models = (mapping_table if is_mapping_table(chosen) else model_table)(chosen, regions)
        made = with_complements(models.frame, [y])
        frame, lacking = drop_missing(made, [name for name in needs if name in made.columns])
        excluded = {**models.excluded, **lacking}
    else:
        if regions is not None:
            raise UsageError(
                "The table has one row per observation and no column 'region', so that there is nothing to average "
                "over. Leave `regions` out."
            )
        frame = select(frame, **conditions)
        _refuse_pooling(frame, [name for name in needs if name != y])
    if "score" in frame.columns and "misalignment" not in frame.columns:
        scores = numbers_of(frame["score"])
        refuse_percent(scores, str(source) if isinstance(source, str | Path) else "DataFrame")
        frame = frame.assign(misalignment=1.0 - scores)
    return with_complements(frame, [y]), excluded


def _refuse_pooling(frame: pd.DataFrame, inputs: Sequence[str]) -> None:
    """Refuse rows of several regions that no model could be told from, and say where a model stands in two rows.

    Rows of one model that differ in an input of the law are what the law is about, and nothing is said.
    """
    columns = set(map(str, frame.columns))
    if {"region", "score"} <= columns:
        raise DataError(
            f"The table has the columns region and score, and none that names the model; it has {', '.join(columns)}. "
            "Expected a column 'model_id' (or 'model', as in Brain-Score's tables), so that scores can be averaged "
            "over the regions of each model. Rename the column."
        )
    if "model_id" in columns:
        # What else may tell two rows of a model apart: its epoch, its seed.
        key = (*KEY, "seed", "samples_per_class", "dataset", *inputs)
        names = [name for name in dict.fromkeys(key) if name in columns]
        is_repeated = frame.duplicated(names, keep=False)
        if is_repeated.any():
            first = frame.loc[is_repeated, "model_id"].iloc[0]
            warnings.warn(
                f"{int(is_repeated.sum())} rows share their {' and '.join(names)} with another, such as '{first}'; "
                f"each is fitted as an observation of its own. {_told_apart(frame[is_repeated], names)}",
                VvscaleWarning,
                stacklevel=4,
            )


def _told_apart(repeated: pd.DataFrame, names: list[str]) -> str:
    """Say what to do about rows of one model, by the column that tells them apart."""
    others = repeated.drop(columns=names).apply(pd.to_numeric, errors="coerce")
    # A column with a value for every row is an outcome, or noise; a factor has few values that models share.
    telling = [
        str(name)
        for name, values in others.items()
        if (repeated.assign(value=values).groupby("model_id")["value"].nunique() > 1).any()
        and values.nunique() <= len(repeated) / 2
    ]
    if not telling:
        return "Remove the copies, or average them."
    return (
        f"They differ in {', '.join(telling[:3])}: choose a value with `where`, such as "
        f"`where={telling[0]}={others[telling[0]].max():g}`, or average them; a joint law takes a second input."
    )


def read_rows(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is: a published set, a file, a store folder or a DataFrame; see ``load_rows``."""
    if not isinstance(source, str | Path | pd.DataFrame):
        raise UsageError(
            f"A table must be a pandas DataFrame, or name a file, a folder or a published set; got "
            f"{type(source).__name__}. Use pandas.DataFrame(...)."
        )
    if isinstance(source, pd.DataFrame):
        if not source.columns.is_unique:
            twice = source.columns[source.columns.duplicated()][0]
            raise DataError(f"The table has two columns named '{twice}'. Rename or drop one of them.")
        return _named(plain_columns(source))
    # What has no ending names a set, and a mistyped one is offered the nearest.
    if str(source) in SETS or Path(source).is_dir() or not Path(source).suffix:
        return load_scores(source)
    frame = _named(load_table(source, text=TEXT_COLUMNS))
    published = {"model_id", "arch_family", "benchmark_name"}
    return (
        load_scores(source)
        if set(map(str, frame.columns)) >= LONG or published <= set(map(str, frame.columns))
        else frame
    )


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with our names for those of Brain-Score's own tables, where ours are absent."""
    return frame.rename(
        columns={theirs: ours for theirs, ours in BRAINSCORE_NAMES.items() if ours not in frame.columns}
    )
