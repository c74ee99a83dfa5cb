"""Turn any table with our or the published column names into one that obeys the schema, or say what is wrong.

This is the border: after it, only our words and dtypes exist. Nothing is dropped, clipped or filled in.
Rows are numbered from 1 in messages, the header not counted.
"""

from __future__ import annotations

import warnings

import pandas as pd

from vvscale.errors import DataError, MissingDataError, ShapeError, VvscaleWarning, unknown_name
from vvscale.scores.read import check_unique_columns, plain_columns
from vvscale.scores.schema import COLUMNS, KEY, PUBLISHED_NAMES, REGIONS, Column

# The published word for the region; the others are left to "did you mean".
PUBLISHED_REGIONS = {"Behavioral": "behavior"}
# What Brain-Score's own tables call these columns; taken where ours are absent.
BRAINSCORE_NAMES = {"model": "model_id", "benchmark": "benchmark_id", "model_identifier": "model_id"}
TEXT_COLUMNS = ("model_id", *(theirs for theirs, ours in BRAINSCORE_NAMES.items() if ours == "model_id"))
"""Columns of names, which are text even where they look like numbers or like a missing value."""
# Scores are shares of a ceiling: a median of 2 is twice what the data allow.
_PERCENT_FROM = 2.0
PARENTS = {"ResNetFlex": "ResNet", "ConvNeXtFlex": "ConvNeXt", "ViTFlex": "ViT"}


def as_scores(frame: pd.DataFrame, where: str = "table") -> pd.DataFrame:
    """Return ``frame`` with our names and dtypes, checked.

    Parameters
    ----------
    frame : (n_rows, n_columns)
        Our or published column names; further columns are kept as they are.
    where
        How messages call the table.

    Raises
    ------
    MissingDataError
        ``model_id`` or ``score`` is absent, or a model_id is missing.
    ShapeError
        No rows, or two columns or rows that mean the same.
    DataError
        A value of the wrong type, an infinity.
    UnknownNameError
        A region that does not exist.
    """
    check_unique_columns(frame.columns, where)
    frame = with_our_names(plain_columns(frame), where).reset_index(drop=True)
    if len(frame) == 0:
        raise ShapeError(f"Table '{where}' has no rows; expected at least one score.")
    for column in COLUMNS.values():
        if column.name in frame.columns:
            frame[column.name] = coerce(frame[column.name], column, where)
        elif column.required:
            raise _missing_column(column.name, frame, where)
    if frame["model_id"].isna().any():
        row = _first(frame["model_id"].isna())
        raise MissingDataError(f"Row {row} of '{where}' has no model_id; every row needs one.")
    _check_regions(frame, where)
    _check_unique_rows(frame, where)
    refuse_percent(frame["score"], where)
    _warn_factor_three(frame, where)
    if "family" in frame.columns and "parent_family" not in frame.columns:
        frame["parent_family"] = frame["family"].replace(PARENTS)
    return frame


def coerce(values: pd.Series, column: Column, where: str) -> pd.Series:
    """Return ``values`` in the dtype of ``column``; a value that does not fit is named by its row."""
    if column.dtype == "string":
        return _as_string(values, column, where)
    if column.dtype == "flag":
        return _as_flag(values, column, where)
    number = pd.to_numeric(values, errors="coerce").astype("float64")
    _refuse(values, number.isna() & values.notna(), column, where, "a number")
    _refuse(values, number.abs() == float("inf"), column, where, "a finite number")
    if column.dtype == "float":
        return number
    _refuse(values, number.notna() & (number % 1 != 0), column, where, "a whole number")
    # Exact on both sides of 2**53 for columns that are already integers.
    if pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any():
        return values.astype("int64")
    return number if number.isna().any() else number.astype("int64")


def _as_string(values: pd.Series, column: Column, where: str) -> pd.Series:
    if isinstance(values.dtype, pd.StringDtype):
        return values.astype("str")
    if pd.api.types.is_integer_dtype(values.dtype) and column.name != "benchmark_id":
        return values.astype("str")
    is_text = values.map(lambda value: isinstance(value, str)) | values.isna()
    _refuse(values, ~is_text, column, where, "text")
    return values.astype("str")


def _as_flag(values: pd.Series, column: Column, where: str) -> pd.Series:
    if values.dtype == bool:
        return values
    words = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    flags = values.map(lambda value: words.get(str(value).lower()), na_action="ignore")
    _refuse(values, flags.isna() & values.notna(), column, where, "true or false")
    return flags.astype("boolean" if values.isna().any() else "bool")


def with_our_names(frame: pd.DataFrame, where: str = "table") -> pd.DataFrame:
    """Return ``frame`` with published column and region names replaced by ours; values are not checked."""
    dropped = []
    # The published integers repeat another column; docs/schema.md says so.
    if "benchmark_name" in frame.columns and "benchmark_id" in frame.columns:
        dropped.append("benchmark_id")
    if "ckpt" in frame.columns and "epochs" in frame.columns:
        unequal = frame["ckpt"] != frame["epochs"]
        if unequal.any():
            raise DataError(
                f"Row {_first(unequal)} of '{where}' has ckpt {frame['ckpt'][unequal].iloc[0]} and epochs "
                f"{frame['epochs'][unequal].iloc[0]}; expected the same epoch twice. Remove the wrong column."
            )
        dropped.append("ckpt")
    frame = frame.drop(columns=dropped)
    for published, ours in PUBLISHED_NAMES.items():
        if published in frame.columns and ours in frame.columns:
            raise ShapeError(
                f"Table '{where}' has the columns '{published}' and '{ours}', which mean the same. Expected "
                "one of them; remove the other."
            )
    frame = frame.rename(columns=dict(PUBLISHED_NAMES))
    ours_of = {theirs: ours for theirs, ours in BRAINSCORE_NAMES.items() if ours not in frame.columns}
    frame = frame.rename(columns=ours_of)
    if "region" in frame.columns:
        frame["region"] = frame["region"].replace(PUBLISHED_REGIONS)
    return frame


def refuse_percent(scores: pd.Series, where: str) -> None:
    """Refuse scores that are percent; misalignment, 1 - score, would be negative."""
    if len(scores) and scores.median() >= _PERCENT_FROM and scores.max() <= 100:
        raise DataError(
            f"The scores of '{where}' go from {scores.min():.3g} to {scores.max():.3g}; expected shares of the "
            "ceiling, at most about 1. They look like percent: divide the column 'score' by 100."
        )


def _missing_column(name: str, frame: pd.DataFrame, where: str) -> MissingDataError:
    import difflib

    near = difflib.get_close_matches(name, [str(column) for column in frame.columns], n=1)
    return MissingDataError(
        f"Table '{where}' has no column '{name}'. It has: {', '.join(map(str, frame.columns))}. "
        + (f"Rename '{near[0]}' to '{name}' if that is what it holds. " if near else "")
        + "'vvscale ls columns' explains each column."
    )


def is_misspelt_region(name: object) -> bool:
    """Whether a region has no name, or is one of the five in another spelling; recordings have regions of many names.

    Examples
    --------
    >>> [is_misspelt_region(name) for name in ("V1", "MT", "v1", "behaviour", " ")]
    [False, False, True, True, True]
    """
    known = [*map(_plain_name, REGIONS), *_OTHER_SPELLINGS, ""]
    return name not in REGIONS and _plain_name(name) in known


def _check_regions(frame: pd.DataFrame, where: str) -> None:
    if "region" not in frame.columns:
        return
    named = frame["region"].astype(object).map(str, na_action="ignore")
    # A table has very many rows of a few regions.
    unknown = named.isin([name for name in named.dropna().unique() if is_misspelt_region(name)])
    if unknown.any():
        name = str(frame["region"][unknown].iloc[0])
        raise unknown_name(
            "region",
            name,
            REGIONS,
            f"It is in row {_first(unknown)} of '{where}'; the regions are {', '.join(REGIONS)}.",
        )


_OTHER_SPELLINGS = ("behaviour", "behavioral", "behavioural", "behaviours", "behaviors")


def _plain_name(name: object) -> str:
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())


def _check_unique_rows(frame: pd.DataFrame, where: str) -> None:
    key = [name for name in KEY if name in frame.columns]
    repeated = frame.duplicated(key)
    if not repeated.any():
        return
    later = frame.iloc[int(repeated.to_numpy().argmax())]
    same = frame[(frame[key].eq(later[key]) | (frame[key].isna() & later[key].isna())).all(axis=1)]
    rows = [position + 1 for position in same.index[:2]]
    scores = same["score"].head(2).tolist()
    named = ", ".join(f"{name} '{later[name]}'" for name in key if pd.notna(later[name]))
    raise ShapeError(
        f"Rows {rows[0]} and {rows[1]} of '{where}' are the same by {', '.join(key)} ({named}), with scores "
        f"{scores[0]!r} and {scores[1]!r}; {int(repeated.sum())} rows repeat an earlier one. Expected one "
        "row each. Remove the copies, or tell them apart in a column such as run_id, layer or epoch."
    )


def _warn_factor_three(frame: pd.DataFrame, where: str) -> None:
    if not {"train_flop", "forward_flop", "samples_seen"} <= set(frame.columns):
        return
    forward_only = frame["train_flop"] == frame["forward_flop"] * frame["samples_seen"]
    forward_only &= frame["train_flop"] > 0
    if forward_only.any():
        warnings.warn(
            f"In {int(forward_only.sum())} rows of '{where}' train_flop is 1 x forward_flop x samples_seen; "
            "expected 3 x, since the backward pass costs twice the forward pass. Multiply the column by 3 "
            "before comparing with other tables.",
            VvscaleWarning,
            stacklevel=4,
        )


def _refuse(values: pd.Series, wrong: pd.Series, column: Column, where: str, expected: str) -> None:
    if not wrong.any():
        return
    got = values[wrong].tolist()[0]
    hint = ""
    if column.name == "benchmark_id":
        hint = " A number only indexes the benchmarks; give their names."
    raise DataError(
        f"Column '{column.name}' of '{where}' holds {got!r} in row {_first(wrong)}"
        + (f" and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else "")
        + f". Expected {expected} or an empty cell.{hint}"
    )


def _first(mask: pd.Series) -> int:
    return int(mask.to_numpy().argmax()) + 1
