"""Compare scores with earlier ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.scoring.options import TOLERANCE
from vvscale.errors import ConfigError, MissingDataError, RunError
from vvscale.scores.schema import KEY

# A run of other settings is what a comparison is to find out.
_KEY = [name for name in KEY if name != "run_id"]
# Which part of the recordings a mapping was fitted on; a table without these columns is of all of them.
_MAPPING = [name for name in _KEY if name.startswith("mapping_")]
_NUMBERS = ("score", "raw_score", "ceiling")
_NAMES = ("score_formula", "preprocessing", "preprocessing_digest", "projection", "data_digest", "weights_digest")


def drift(
    rows: pd.DataFrame, expected: pd.DataFrame, *, lost: Collection[str] = (), tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Return what differs from earlier rows of the same models, benchmarks, layers, epochs and parts of recordings.

    Parameters
    ----------
    rows, expected
        Rows of the score table.
    lost
        Layers that were to be scored and could not be: an expected row of theirs is a difference.
    tolerance
        Largest difference of numbers that is none, at least 0.

    Returns
    -------
    pandas.DataFrame
        What tells rows apart, such as model_id, benchmark_id and layer; column, expected, found. Empty if nothing
        differs. A row that was lost stands with the column ``row``.

    Raises
    ------
    ConfigError
        The tolerance is negative.
    MissingDataError
        None of the expected rows is of these models, benchmarks and layers.
    """
    return _differences(*_paired(rows, expected, lost), tolerance)


def _differences(both: pd.DataFrame, key: list[str], tolerance: float) -> pd.DataFrame:
    if not tolerance >= 0:
        raise ConfigError(f"Got tolerance={tolerance}; expected a number of at least 0.")
    found = []
    for row in both.to_dict(orient="records"):
        at = {name: row[name] for name in key}
        if row["_merge"] == "left_only":
            found.append({**at, "column": "row", "expected": "a score", "found": "none"})
            continue
        for name in (*_NUMBERS, *_NAMES):
            if f"{name}_expected" in row:
                before, now = row[f"{name}_expected"], row[name]
                if not _is_same(before, now, tolerance if name in _NUMBERS else None):
                    found.append({**at, "column": name, "expected": before, "found": now})
    return pd.DataFrame(found, columns=[*key, "column", "expected", "found"])


def refuse_drift(
    rows: pd.DataFrame, expected: pd.DataFrame, *, lost: Collection[str] = (), tolerance: float = TOLERANCE
) -> int:
    """Raise an error that names what differs from earlier rows; return how many rows were compared.

    Raises
    ------
    RunError
        Something differs.
    """
    both, key = _paired(rows, expected, lost)
    found = _differences(both, key, tolerance)
    if found.empty:
        return len(both)
    listed = "; ".join(
        f"{_named(row, key)}: {row['column']} {_short(row['expected'])} before, {_short(row['found'])} now"
        for row in found.head(5).to_dict(orient="records")
    )
    n_rows = len(found.drop_duplicates(key))
    raise RunError(
        f"Scores drifted: {n_rows} of {len(both)} expected rows differ by more than {tolerance:g}. {listed}"
        f"{f'; and {len(found) - 5} more' if len(found) > 5 else ''}. Likely cause: other weights, data, "
        "preprocessing or formula, which the columns *_digest, preprocessing and score_formula tell apart; if only "
        "scores differ, another version of the code. If the change is meant, store the new rows as expected."
    )


def _paired(rows: pd.DataFrame, expected: pd.DataFrame, lost: Collection[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the expected rows that were asked for with what was found beside them, and what tells rows apart."""
    for name in _MAPPING:
        if name in rows or name in expected:
            rows, expected = (one if name in one else one.assign(**{name: np.nan}) for one in (rows, expected))
    key = [name for name in _KEY if name in expected and name in rows]
    both = expected.merge(rows, on=key, how="left", suffixes=("_expected", ""), indicator=True)
    is_lost = both["model_id"].isin(rows["model_id"]) & both.get("layer", pd.Series(dtype=object)).isin(lost)
    both = both[(both["_merge"] == "both") | is_lost.reindex(both.index, fill_value=False)]
    if both.empty:
        raise MissingDataError(
            f"None of the {len(expected)} expected rows is of {', '.join(rows['model_id'].unique())} on the benchmarks "
            "and layers just scored; nothing can be compared. Give rows of the same."
        )
    return both, key


def _is_same(before: Any, now: Any, tolerance: float | None) -> bool:
    if pd.isna(before) or pd.isna(now):
        # A name that was not kept before says nothing; a number that is there on one side only does.
        return bool(pd.isna(before)) and (tolerance is None or bool(pd.isna(now)))
    return before == now if tolerance is None else bool(abs(before - now) <= tolerance)


def _named(row: Mapping[Any, Any], key: list[str]) -> str:
    plain = [str(row[name]) for name in ("model_id", "benchmark_id", "layer") if name in key]
    more = [f"{name} {row[name]}" for name in key if name in ("subject", "epoch", *_MAPPING) and not pd.isna(row[name])]
    return " / ".join([*plain, *more])


def _short(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else f"{value}"[:24]
