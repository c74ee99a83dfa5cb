"""Ask for rows as one would say it: ``select(table, family="ResNet", n_params=(1e6, None))``.

A condition on a name that does not exist is an error, never an empty answer. A missing value matches nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.core.config import from_table, read_toml
from vvscale.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class Not:
    """Rows that have a value, and not this one."""

    condition: Any


def select(table: pd.DataFrame, /, preset: str | Sequence[str] | None = None, **conditions: Any) -> pd.DataFrame:
    """Return the rows of ``table`` that meet every condition, in their order.

    Parameters
    ----------
    table : (n_rows, n_columns)
        Scores, or the frame of a ``ModelTable``.
    preset
        Name of conditions that are often wanted together, such as ``"controlled"``, a ``.toml`` file of one's own, or
        several of these; ``vvscale ls presets`` lists them. A condition on the same column replaces the preset's.
    **conditions
        Column = what it must be. A value, or a list of values any of which will do; a text with ``*``,
        ``?`` or ``[`` is a pattern. A tuple ``(low, high)`` of two numbers is a range with both ends
        included, None leaving an end open. ``Not(...)`` turns any of these around. Texts are read as
        numbers or booleans where the column holds those.

    Returns
    -------
    pandas.DataFrame, (n_selected, n_columns)
        May be empty, if the conditions exclude each other.

    Raises
    ------
    UnknownNameError
        A column that the table does not have, or a value or pattern that occurs nowhere in its column.
    ConfigError
        A condition that makes no sense for its column, such as a range of names.

    Examples
    --------
    >>> table = pd.DataFrame({"family": ["ResNet", "ViT", "ViT"], "n_params": [1e6, 2e6, 3e6]})
    >>> select(table, family="ViT", n_params=(None, 2e6))["n_params"].tolist()
    [2000000.0]
    """
    keep = np.ones(len(table), dtype=bool)
    for name, condition in {**_conditions_of(preset), **conditions}.items():
        if name not in table.columns:
            raise unknown_name("column", name, map(str, table.columns), _column_hint(name))
        keep &= _mask(table[name], condition)
    return table[keep]


def parse_where(conditions: Iterable[str]) -> dict[str, Any]:
    """Read conditions as typed on a command line into keyword arguments of ``select``.

    Parameters
    ----------
    conditions
        Each ``column=value[,value...]``, ``column!=value[,value...]``, or ``column`` ``>=``, ``<=``, ``>``,
        ``<`` number. Two bounds of one column are a range; ``preset=name`` stands for the conditions of a preset.

    Raises
    ------
    ConfigError
        Not of that form, or contradictory.

    Examples
    --------
    >>> parse_where(["family=ResNet,ViT", "n_params>=1e6", "n_params<=1e8", "is_ssl=false"])
    {'family': ['ResNet', 'ViT'], 'n_params': (1000000.0, 100000000.0), 'is_ssl': ['false']}
    """
    parsed: dict[str, Any] = {}
    for condition in conditions:
        match = re.fullmatch(r"\s*([^=<>!]*[^=<>!\s])\s*(!=|>=|<=|=|>|<)\s*(.+?)\s*", condition)
        if match is None:
            raise ConfigError(
                f"Cannot read the condition '{condition}'. Expected column=value[,value], column!=value, or "
                "a bound such as n_params>=1e6. Quote it for the shell: `where='n_params>=1e6'`."
            )
        name, operator, text = match.groups()
        if operator in {"=", "!="}:
            values = [value.strip() for value in text.split(",")]
            new: Any = values if operator == "=" else Not(values)
        else:
            new = _bound(condition, operator, text)
        old = parsed.get(name)
        if old is None:
            parsed[name] = new
        elif isinstance(old, tuple) and isinstance(new, tuple):
            parsed[name] = _both(old, new)
        else:
            raise ConfigError(
                f"Column '{name}' has two conditions, the second is '{condition}'. Expected one, or two "
                f"bounds; give several values as {name}=a,b."
            )
    return parsed


def _conditions_of(preset: str | Sequence[str] | None) -> dict[str, Any]:
    names = (preset,) if isinstance(preset, str) else preset or ()
    return {name: wanted for one in names for name, wanted in parse_where(find_preset(one).where).items()}


Range = tuple[float | None, float | None]


def _bound(condition: str, operator: str, text: str) -> Range:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if np.isnan(number):
        raise ConfigError(f"Cannot read the condition '{condition}': '{text}' is not a number.")
    # Ranges include their ends, so a strict bound is the next float.
    if operator == ">":
        number = math.nextafter(number, math.inf)
    elif operator == "<":
        number = math.nextafter(number, -math.inf)
    return (number, None) if operator.startswith(">") else (None, number)


def _both(one: Range, other: Range) -> Range:
    lows = [low for low, _ in (one, other) if low is not None]
    highs = [high for _, high in (one, other) if high is not None]
    return (max(lows, default=None), min(highs, default=None))


def _mask(values: pd.Series, condition: Any) -> np.ndarray:
    if isinstance(condition, Not):
        return values.notna().to_numpy(dtype=bool) & ~_mask(values, condition.condition)
    if _is_range(condition):
        return _range_mask(values, *condition)
    wanted = [condition] if isinstance(condition, str) or not isinstance(condition, Iterable) else list(condition)
    if not wanted:
        raise ConfigError(f"Column '{values.name}' has an empty list of values; give at least one.")
    if pd.api.types.is_bool_dtype(values.dtype):
        flags = [_as_flag(values, value) for value in wanted]
        return values.isin(flags).to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return _number_mask(values, [_as_number(values, value) for value in wanted])
    return _text_mask(values, [str(value) for value in wanted])


def _is_range(condition: Any) -> bool:
    return (
        isinstance(condition, tuple)
        and len(condition) == 2
        and all(end is None or isinstance(end, int | float | np.number) for end in condition)
    )


def _range_mask(values: pd.Series, low: float | None, high: float | None) -> np.ndarray:
    is_number = pd.api.types.is_numeric_dtype(values.dtype)
    if not is_number or pd.api.types.is_bool_dtype(values.dtype):
        raise ConfigError(
            f"Column '{values.name}' holds {'flags' if values.dtype == bool else 'text'}, so it has no range "
            f"({low}, {high}). Expected values; give several as a list."
        )
    keep = values.notna().to_numpy(dtype=bool)
    if low is not None:
        keep = keep & (values >= low).to_numpy(dtype=bool, na_value=False)
    if high is not None:
        keep = keep & (values <= high).to_numpy(dtype=bool, na_value=False)
    return keep


def _number_mask(values: pd.Series, wanted: Sequence[float]) -> np.ndarray:
    known = values.dropna().unique()
    for number in wanted:
        if not np.isin(number, known):
            raise unknown_name(
                f"value of column '{values.name}'",
                f"{number:g}",
                [],
                f"{_some_known([f'{value:g}' for value in np.sort(known)])} For a range give two ends.",
            )
    return values.isin(wanted).to_numpy(dtype=bool)


def _text_mask(values: pd.Series, wanted: Sequence[str]) -> np.ndarray:
    known = [str(value) for value in values.dropna().unique()]
    chosen: set[str] = set()
    for text in wanted:
        # A name is taken literally first: ids may hold the characters of patterns.
        found = {text} & set(known) or {name for name in known if fnmatchcase(name, text)}
        if not found:
            kind = str(values.name) if values.name in {"region", "family", "arch", "dataset"} else ""
            raise unknown_name(
                kind or ("model" if values.name == "model_id" else f"value of column '{values.name}'"),
                text,
                known,
                _some_known(sorted(known)),
            )
        chosen |= found
    return values.isin(chosen).to_numpy(dtype=bool)


def _as_flag(values: pd.Series, value: Any) -> bool:
    flags = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
    flag = flags.get(str(value).lower())
    if flag is None:
        raise ConfigError(f"Column '{values.name}' is true or false; got '{value}'.")
    return flag


def _as_number(values: pd.Series, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"Column '{values.name}' holds numbers; got '{value}'.") from None


def _some_known(known: Sequence[str]) -> str:
    more = f", and {len(known) - 12} more" if len(known) > 12 else ""
    return f"It has {len(known)} values: {', '.join(known[:12])}{more}."


def _column_hint(name: str) -> str:
    if name in {"misalignment", "parent_family"}:
        return "It is derived; model_table adds it."
    return ""


# Named conditions, read from ``presets.toml`` or from a file of the same form.

_BUILT_IN = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True)
class Preset:
    """Conditions under one name.

    Attributes
    ----------
    meaning
        One sentence on the rows that meet them.
    where
        Conditions as :func:`vvscale.scores.parse_where` reads them.
    """

    meaning: str
    where: tuple[str, ...]


@cache
def presets(path: Path = _BUILT_IN) -> dict[str, Preset]:
    """Return the presets of a file by name; by default the built-in ones."""
    return {name: from_table(Preset, table, f"[{name}] of '{path}'") for name, table in read_toml(path).items()}


def find_preset(name: str) -> Preset:
    """Return a built-in preset, or the only one of a ``.toml`` file.

    Raises
    ------
    UnknownNameError
        There is no such preset.
    ConfigError
        The file has several.
    """
    if name.endswith(".toml"):
        found = presets(Path(name))
        if len(found) != 1:
            raise ConfigError(f"'{name}' has {len(found)} presets; expected one, a table with 'meaning' and 'where'.")
        return next(iter(found.values()))
    known = presets()
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name]
