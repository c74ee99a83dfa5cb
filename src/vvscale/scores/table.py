"""From rows of scores to one row per model: what a law is fitted to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from vvscale.errors import DataError, MissingDataError, ShapeError, unknown_name
from vvscale.scores.schema import COLUMNS, NEURAL, REGIONS

REGION_SETS = {"all": REGIONS, "neural": NEURAL}
# An outcome of this form is what is missing to 1 of a score under a name of one's own.
_WRITTEN = re.compile(r"1\s*-\s*(\S.*)")


@dataclass(frozen=True)
class ModelTable:
    """One row per model, and the models that could not have one.

    Attributes
    ----------
    frame : (n_models, n_columns)
        Ascending in model_id; ``score`` is the mean over ``regions`` and ``misalignment`` 1 - score.
    excluded
        Reason -> ascending model_ids.
    regions
        The regions averaged over.
    """

    frame: pd.DataFrame
    excluded: dict[str, list[str]]
    regions: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """Return the frame."""
        return self.frame

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "regions": list(self.regions),
            "models": self.frame.to_dict(orient="records"),
            "excluded": self.excluded,
        }

    def _repr_html_(self) -> str:
        n_excluded = sum(map(len, self.excluded.values()))
        caption = f"{len(self.frame)} models, mean of {', '.join(self.regions)}; {n_excluded} excluded"
        return f"<p>{caption}</p>{self.frame.to_html(max_rows=20)}"


def resolve_regions(regions: str | Sequence[str] | None = None, *, among: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the regions that a name or list of names stands for.

    Parameters
    ----------
    regions
        None or ``all`` (the five), ``neural`` (V1, V2, V4, IT), a region, or several of them.
    among
        Regions of a table, which may have names of their own; ``all`` is these where none of the five is there.

    Examples
    --------
    >>> resolve_regions("neural")
    ('V1', 'V2', 'V4', 'IT')
    """
    asked = [regions or "all"] if isinstance(regions, str) or regions is None else list(regions)
    if not asked:
        raise ShapeError("No region was asked for; expected at least one, or 'all' or 'neural'.")
    chosen: list[str] = []
    sets = dict(REGION_SETS)
    if among and set(among).isdisjoint(REGIONS):
        sets["all"] = tuple(among)
    for name in asked:
        if name not in (*REGIONS, *sets, *among):
            raise unknown_name(
                "region",
                str(name),
                [*REGIONS, *sets, *among],
                f"The regions are {', '.join(REGIONS)}; 'neural' is the first four, 'all' is all five.",
            )
        chosen += sets.get(name, (name,))
    return tuple(dict.fromkeys(chosen))


def regions_held(scores: pd.DataFrame) -> tuple[str, ...]:
    """Return those of the five regions that a table has scores of, or all that it has where it has none of the five.

    Examples
    --------
    >>> regions_held(pd.DataFrame({"region": ["V4", "IT", "V1"], "score": [0.3, 0.5, None]}))
    ('V4', 'IT')
    """
    if "region" not in scores.columns:
        return REGIONS
    held = sorted(scores.dropna(subset=["score"])["region"].dropna().astype(str).unique())
    return tuple(name for name in REGIONS if name in held) or tuple(held) or REGIONS


def model_table(scores: pd.DataFrame, regions: str | Sequence[str] | None = None) -> ModelTable:
    """Average scores over regions, one row per model.

    Parameters
    ----------
    scores
        Rows of ``load_scores``.
    regions
        See ``resolve_regions``; all five by default.

    Returns
    -------
    ModelTable
        Several benchmarks of one region are averaged first, so that each region counts once. A model
        without a score in any of the regions is excluded and named: a mean over fewer regions would not be
        comparable. Columns that belong to a model are carried; columns outside the schema are carried if
        they are the same in all rows of each model.

    Raises
    ------
    MissingDataError
        No column region, or no model has all the regions.
    ShapeError
        A model has several rows on one benchmark (epochs, layers or runs).
    DataError
        Rows of one model disagree about the model, for example in n_params.

    Examples
    --------
    >>> rows = pd.DataFrame({"model_id": ["a", "a"], "region": ["V4", "IT"], "score": [0.3, 0.5]})
    >>> model_table(rows, ["V4", "IT"]).frame["score"].round(3).tolist()
    [0.4]
    """
    if "region" not in scores.columns or "model_id" not in scores.columns:
        raise MissingDataError(
            "Cannot average over regions: the table lacks a column 'region' or 'model_id'; it has "
            f"{', '.join(map(str, scores.columns))}. If it has one row per model already, fit it directly."
        )
    wanted = resolve_regions(regions, among=sorted(scores["region"].dropna().astype(str).unique()))
    _refuse_several_rows(scores)
    by_region = scores.groupby(["model_id", "region"])["score"].mean().unstack("region")
    by_region = by_region.reindex(index=sorted(scores["model_id"].unique()), columns=list(wanted))
    complete = by_region.notna().all(axis=1)
    if not complete.any():
        raise MissingDataError(
            f"None of the {len(by_region)} models has a score in all of {', '.join(wanted)}. "
            f"{_regions_there_are(scores, by_region)}"
        )
    frame = _model_columns(scores).reindex(by_region.index[complete])
    frame["score"] = by_region[complete].mean(axis=1)
    frame["misalignment"] = 1 - frame["score"]
    return ModelTable(frame.reset_index(), _excluded(by_region[~complete]), wanted)


def _regions_there_are(scores: pd.DataFrame, by_region: pd.DataFrame) -> str:
    """Say which regions the table has, and how to ask for them."""
    counted = scores.dropna(subset=["score"]).groupby("region")["model_id"].nunique()
    if counted.empty:
        return "Its column 'score' is empty; select other models."
    said = ", ".join(f"{region} of {n}" for region, n in counted.items())
    together = scores[scores["region"].isin(counted.index)].groupby("model_id")["region"].nunique().max()
    names = list(map(str, counted.index)) if together == len(counted) else [str(counted.idxmax())]
    return f"It has scores in {said} of {len(by_region)} models. Ask for some: `regions=[{', '.join(names)}]`."


def last_epochs(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out what was measured before a run had ended."""
    if "epoch" not in rows.columns:
        return rows
    latest = rows.groupby("model_id")["epoch"].transform("max")
    return rows[rows["epoch"].isna() | rows["epoch"].eq(latest)]


MAPPING_AXES = ("mapping_samples", "mapping_seed", "mapping_neuroids", "mapping_repetitions")
"""Columns that say which part of the recordings a mapping was fitted on."""


def mapping_table(scores: pd.DataFrame, regions: str | Sequence[str] | None = None) -> ModelTable:
    """Average scores over regions, one row per model and part of the recordings: what a mapping law is fitted to.

    Parameters
    ----------
    scores, regions
        As of :func:`model_table`.

    Returns
    -------
    ModelTable
        As :func:`model_table` for each part, with the columns of :data:`MAPPING_AXES` that the table has.
    """
    axes = [name for name in MAPPING_AXES if name in scores.columns]
    # Recordings of other regions have sizes of their own, at which there is nothing to average.
    wanted = resolve_regions(regions, among=sorted(scores["region"].dropna().astype(str).unique()))
    scores = scores[scores["region"].isin(wanted)]
    if scores.empty:
        raise MissingDataError(f"The table has no score in {', '.join(wanted)}. Ask for other regions.")
    frames, excluded = [], {}
    for values, part in scores.groupby(axes, sort=True, dropna=False):
        at = dict(zip(axes, cast("tuple[Any, ...]", values), strict=True))
        table = model_table(part.drop(columns=axes), wanted)
        frames.append(table.frame.assign(**at))
        for reason, names in table.excluded.items():
            excluded.setdefault(reason, []).extend(name for name in names if name not in excluded.get(reason, []))
    return ModelTable(pd.concat(frames, ignore_index=True), excluded, wanted)


def is_mapping_table(scores: pd.DataFrame) -> bool:
    """Whether models of a table have rows of more than one part of the recordings."""
    axes = [name for name in MAPPING_AXES if name in scores.columns]
    if not axes or "model_id" not in scores.columns:
        return False
    return len(scores[["model_id", *axes]].drop_duplicates()) > scores["model_id"].nunique()


def places(index: pd.Index) -> np.ndarray:
    """Return (n,) the places of rows in the table that was read, from 1, whatever was selected or sorted since.

    The index tells: rows that are selected keep theirs. One that does not rise, or of names, does not; then these are
    the places in the table at hand.

    Examples
    --------
    >>> table = pd.DataFrame({"a": [1, 2, 3]})
    >>> places(table[table.a > 1].index).tolist(), places(pd.Index(["x", "y"])).tolist()
    ([2, 3], [1, 2])
    """
    rises = index.is_monotonic_increasing and index.is_unique
    is_told = rises and pd.api.types.is_integer_dtype(index) and bool((index >= 0).all())
    return np.asarray(index) + 1 if is_told else np.arange(1, len(index) + 1)


def drop_missing(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Keep the rows that have a value in all of ``columns``; name the others by the first column they lack.

    Returns
    -------
    frame, excluded
        The complete rows, and reason -> model_ids (row numbers from 1 where the table has no model_id).
    """
    excluded: dict[str, list[str]] = {}
    keep = pd.Series(True, index=frame.index)
    names = (
        frame["model_id"]
        if "model_id" in frame.columns
        else pd.Series([f"row {row}" for row in places(frame.index)], index=frame.index)
    )
    for column in columns:
        if column not in frame.columns:
            raise unknown_name("column", column, map(str, frame.columns))
        lacks = keep & frame[column].isna()
        if lacks.any():
            excluded[f"{column} is missing"] = list(dict.fromkeys(names[lacks].astype(str)))
        keep &= ~lacks
    return frame[keep], excluded


def _excluded(incomplete: pd.DataFrame) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for model_id, row in incomplete.iterrows():
        lacking = ", ".join(str(region) for region in incomplete.columns[row.isna()])
        reasons.setdefault(f"no score in {lacking}", []).append(str(model_id))
    return reasons


def _refuse_several_rows(scores: pd.DataFrame) -> None:
    key = ["model_id", "region", "benchmark_id"]
    key = [name for name in key if name in scores.columns]
    repeated = scores.duplicated(key)
    if not repeated.any():
        return
    row = scores[repeated].iloc[0]
    same = scores[(scores[key] == row[key]).all(axis=1)]
    differ = [
        name for name in ("epoch", "layer", "run_id") if name in same.columns and same[name].nunique(dropna=False) > 1
    ]
    cause = f"they differ in {', '.join(differ)}" if differ else "they differ in no column of the key"
    example = f'`where="{differ[0]}={same[differ[0]].iloc[-1]}"`' if differ else "remove the others"
    raise ShapeError(
        f"Model '{row['model_id']}' has {len(same)} scores in {row['region']} on one benchmark; {cause}. "
        f"Expected one, since a mean over them would mean nothing. Choose one: {example}."
    )


def _model_columns(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that belong to models, one row per model, indexed by model_id."""
    codes, ids = pd.factorize(scores["model_id"])
    _, first = np.unique(codes, return_index=True)
    carried = {}
    for name in scores.columns.drop("model_id"):
        column = COLUMNS.get(str(name))
        if column is not None and column.level == "row":
            continue
        values = scores[name].reset_index(drop=True)
        of_first = values.take(first[codes]).reset_index(drop=True)
        equal = (values == of_first).fillna(False) | (values.isna() & of_first.isna())
        if equal.all():
            carried[name] = values.take(first).array
        elif column is not None:
            row = int(equal.to_numpy().argmin())
            raise DataError(
                f"Rows of model '{scores['model_id'].iloc[row]}' disagree about {name}: "
                f"{of_first.tolist()[row]!r} and {values.tolist()[row]!r}. Expected one value per model; "
                "correct the table."
            )
    return pd.DataFrame(carried, index=pd.Index(ids, name="model_id"))


def score_behind(outcome: str) -> str:
    """Return the score whose complement an outcome is; empty for any other outcome.

    Examples
    --------
    >>> score_behind("1-my_score"), score_behind("misalignment"), score_behind("error")
    ('my_score', 'score', '')
    """
    if outcome == "misalignment":
        return "score"
    found = _WRITTEN.fullmatch(outcome.strip())
    return found[1] if found else ""


def cure_of(cell: object) -> str:
    """Return what to do about text where a number should be."""
    if isinstance(cell, str) and cell.strip().endswith("%"):
        return "take the percent signs away and divide by 100"
    return "correct the table"


def numbers_of(column: pd.Series) -> pd.Series:
    """Return a column as numbers.

    Raises
    ------
    DataError
        It holds something else.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    bad = (numbers.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        cell = column.iloc[row]
        raise DataError(
            f"Column '{column.name}' is not numeric: row {places(column.index)[row]} has {cell!r}. Expected numbers; "
            f"{cure_of(cell)}, or fit another column as `y`."
        )
    return numbers


def with_complements(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a table with the columns ``1-COLUMN`` that are asked for and whose COLUMN it has.

    Raises
    ------
    DataError
        The column holds something else than numbers.
    """
    for name in names:
        column = score_behind(name)
        if name in frame.columns or column not in frame.columns:
            continue
        frame = frame.assign(**{name: 1.0 - numbers_of(frame[column])})
    return frame
