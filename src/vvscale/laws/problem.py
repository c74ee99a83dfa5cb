"""From a table to the rows that a law is fitted to: checked, scaled, centred, and laid out for the solver.

Every check that can refuse a table is here, and names the row or the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import DataError, MissingDataError, ShapeError, UsageError, unknown_name
from vvscale.laws.forms.terms import Points
from vvscale.laws.solver.sample import Sample
from vvscale.scores import drop_missing
from vvscale.scores.table import cure_of, places, score_behind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vvscale.laws.law import Law

    Array = NDArray[np.float64]

# Units in which the study reports amplitudes.
UNITS = {"train_flop": 1e13, "n_params": 1e5, "samples_seen": 1e4}
# Points with more rows than this are split: many thin layers cost more than they save.
MAX_LAYERS = 8
# A score above this is no score of a ceiling of 1: noise takes them a little beyond, never this far.
LARGEST_SCORE = 1.5
# As many columns are listed where one is missing.
MOST_LISTED = 12
# Larger than any residual: the Huber loss is then half the squared residual.
LEAST_SQUARES = 1e12


@dataclass(frozen=True)
class Problem:
    """A law's rows.

    Attributes
    ----------
    frame
        The rows used, in the order of ``weights``: ascending in model_id if the table has it.
    x
        Inputs in their units, one array (n,) per input of the law.
    y
        Outcome, shape (n,).
    columns, units
        Column and unit of each input.
    outcome
        Column of the outcome.
    groups
        Names of the offset groups; the first is the reference. One empty name without offsets.
    centre
        Mean log of each input, in its unit.
    sample
        The rows laid out for the solver.
    order
        Row of ``frame`` behind each row of ``sample``, shape (n,).
    excluded
        Reason -> names of the rows left out.
    offset_by
        Column whose values are the offset groups; None without offsets.
    """

    frame: pd.DataFrame
    x: tuple[Array, ...]
    y: Array
    columns: tuple[str, ...]
    units: tuple[float, ...]
    outcome: str
    groups: tuple[str, ...]
    group: NDArray[np.intp]
    centre: tuple[float, ...]
    sample: Sample
    order: NDArray[np.intp]
    excluded: dict[str, list[str]]
    offset_by: str | None = None

    @property
    def raw(self) -> tuple[Array, ...]:
        """Inputs in raw units, one array (n,) per input of the law."""
        return tuple(value * unit for value, unit in zip(self.x, self.units, strict=True))

    @property
    def unit_of(self) -> dict[str, float]:
        """Unit of each column."""
        return dict(zip(self.columns, self.units, strict=True))

    @property
    def n_distinct(self) -> int:
        """Number of distinct points, groups told apart."""
        return _n_distinct(self.x, self.group)

    def distinct_in(self, weights: Array) -> NDArray[np.intp]:
        """Number of distinct points that each row of weights (B, n) keeps, shape (B,)."""
        keys = np.stack([*self.x, self.group.astype(float)])
        _, point = np.unique(keys, axis=1, return_inverse=True)
        present = np.zeros((int(point.max()) + 1, len(weights)), dtype=bool)
        np.logical_or.at(present, point, (weights > 0).T)
        return present.sum(axis=0)

    def points(self, x: Sequence[Array], group: NDArray[np.intp] | None = None) -> Points:
        """Lay out new inputs, in raw units, for evaluating the law."""
        u = tuple(
            np.log(np.asarray(value, float) / unit) - mean
            for value, unit, mean in zip(x, self.units, self.centre, strict=True)
        )
        group = np.zeros(u[0].size, dtype=np.intp) if group is None else group
        return Points(u, group, len(self.groups))


def make_problem(
    table: pd.DataFrame,
    law: Law,
    *,
    x: str | Sequence[str],
    y: str,
    delta: float | None,
    offset_by: str | None = None,
    n_offsets: int = 1,
    units: Mapping[str, float] | None = None,
    excluded: Mapping[str, list[str]] | None = None,
    drop_incomplete: bool = False,
) -> Problem:
    """Check a table and lay it out.

    Parameters
    ----------
    table
        One row per observation.
    x, y
        Columns of the inputs, as many as the law has, and of the outcome.
    delta
        Huber threshold in units of the residual; None is least squares.
    offset_by
        Column whose values are the offset groups.
    n_offsets
        How many amplitudes each group has for itself.
    units
        Unit of an input column; the study's by default, else 1.
    excluded
        Rows left out before, carried along.
    drop_incomplete
        Leave out rows that lack a value, and name them, instead of refusing the table.

    Raises
    ------
    UsageError
        Wrong number of inputs, or a delta or unit that is not positive and finite.
    UnknownNameError
        A column that the table does not have.
    DataError
        Values that the law cannot take; the message names the first row.
    ShapeError
        Fewer distinct points than parameters, or a single distinct x.
    """
    columns = (x,) if isinstance(x, str) else tuple(x)
    needed = [*columns, y, *([offset_by] if offset_by else [])]
    _check_request(table, law, columns, y, needed, delta, units or {})
    # Messages name a row by its place in the user's table, whatever is sorted or left out below.
    table = table.set_axis(places(table.index) - 1, axis=0)
    if "model_id" in table.columns:
        table = table.sort_values("model_id", kind="stable", key=lambda names: names.astype(str))
    for column in (*columns, y):
        _numbers(table[table[column].notna()], column, may_be_infinite=True)  # text comes before what is missing
    frame, missing = drop_missing(table, needed)
    if missing and not drop_incomplete:
        reason, names = next(iter(missing.items()))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise MissingDataError(
            f"Cannot fit: {reason} (NaN) at {names[0]}{more}, and a law needs all its columns. Leave such rows out "
            'with `missing="drop"`, which counts and names them, or select others with `where`.'
        )
    values = tuple(_numbers(frame, column) for column in columns)
    outcome = _numbers(frame, y)
    _require_domain(frame, law, dict(zip(columns, values, strict=True)), y, outcome)
    if frame.empty:
        raise ShapeError(
            f"No row is left to fit the law '{law.name}' to: {'; '.join(missing) or 'the table is empty'}. Widen the "
            "selection, or choose other columns."
        )
    frame = frame.reset_index(drop=True)
    groups, group = _groups(frame, offset_by)
    unit = {**UNITS, **(units or {})}
    scale = tuple(float(unit.get(column, 1.0)) for column in columns)
    scaled = tuple(value / by for value, by in zip(values, scale, strict=True))
    n_parameters = law.n_parameters + n_offsets * (len(groups) - 1)
    _refuse_too_few(law, columns, scaled, group, n_parameters)
    centre, sample, order = _lay_out(scaled, outcome, group, len(groups), law.log_residuals, delta)
    left_out = {**(excluded or {})}
    for reason, names in missing.items():
        left_out[reason] = [*left_out.get(reason, []), *names]
    return Problem(frame, scaled, outcome, columns, scale, y, groups, group, centre, sample, order, left_out, offset_by)


def _check_request(
    table: pd.DataFrame,
    law: Law,
    columns: tuple[str, ...],
    y: str,
    needed: Sequence[str],
    delta: float | None,
    units: Mapping[str, float],
) -> None:
    """Refuse what is no table, lacks a column, or is asked for with the wrong inputs, threshold or units."""
    if not isinstance(table, pd.DataFrame):
        raise UsageError(
            f"A table must be a pandas DataFrame, got {type(table).__name__}. `vvscale.scores.load_table` reads files."
        )
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise DataError(f"The table has two columns named '{twice}'. Rename or drop one of them.")
    if len(columns) != len(law.inputs):
        raise UsageError(
            f"The law '{law.name}' takes {len(law.inputs)} input column(s) ({', '.join(law.inputs)}), got "
            f"{len(columns)}: {', '.join(columns)}. Name one column per input in `x`."
        )
    if len({*columns, y}) <= len(columns):
        raise UsageError(
            f"One column is named twice: {', '.join(columns)} as `x` and {y} as `y`. A law needs a column of its own "
            "for each input and for the outcome."
        )
    if delta is not None and not 0 < delta < np.inf:
        raise UsageError(
            f"The Huber threshold must be positive and finite, got {delta}. Use `delta=0.001`, or least squares."
        )
    _check_units(units, table)
    require_columns(table, needed)


def columns_to_name(table: pd.DataFrame) -> str:
    """Return a sentence on the columns that an input or the outcome could be."""
    numbers = [str(name) for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
    listed = ", ".join(sorted(numbers)[:MOST_LISTED]) + (", ..." if len(numbers) > MOST_LISTED else "")
    return f"Name the input with `x` and the outcome with `y`; columns of numbers: {listed or 'none'}."


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a column that the table does not have, and list those that an input or the outcome could be."""
    for column in columns:
        if column not in table.columns:
            raise unknown_name("column", column, map(str, table.columns), columns_to_name(table))


def _require_domain(frame: pd.DataFrame, law: Law, x: Mapping[str, Array], y: str, outcome: Array) -> None:
    """Refuse values that the law cannot take, and name the first row."""
    for column, value in x.items():
        _require(frame, column, value, value > 0, "an input of a scaling law must be greater than 0, to take its log")
    if law.log_residuals:
        reason = 'a loss on log residuals needs misalignments greater than 0 (scores below 1); fit it with `law="ccn"`'
        _refuse_percent(y, outcome)
        _require(frame, y, outcome, outcome > 0, reason)


def _refuse_percent(y: str, outcome: Array) -> None:
    """Refuse misalignments that are 1 minus a score in percent."""
    scores = 1.0 - outcome
    if score_behind(y) and outcome.size and scores.max() > LARGEST_SCORE and scores.min() >= 0:
        raise DataError(
            f"`{score_behind(y)}` from {scores.min():.3g} to {scores.max():.3g} looks like percent: divide the column "
            f"by 100 in the file. A score is at most about 1, the ceiling, and {y} is 1 - {score_behind(y)}."
        )


def _check_units(units: Mapping[str, float], table: pd.DataFrame) -> None:
    for column, unit in units.items():
        if column not in table.columns:
            raise unknown_name("column", column, map(str, table.columns))
        if not 0 < unit < np.inf:
            raise UsageError(f"The unit of '{column}' must be positive and finite, got {unit}.")


def _numbers(frame: pd.DataFrame, column: str, *, may_be_infinite: bool = False) -> Array:
    # Dates and complex numbers would convert without a word.
    if pd.api.types.is_datetime64_any_dtype(frame[column]) or pd.api.types.is_complex_dtype(frame[column]):
        raise DataError(
            f"Column '{column}' holds {frame[column].dtype} values; a law needs real numbers. Choose another column."
        )
    try:
        values = frame[column].to_numpy(dtype=float)
    except (TypeError, ValueError):
        bad = next((i for i, cell in enumerate(frame[column]) if not _is_number(cell)), 0)
        raise DataError(
            f"Column '{column}' is not numeric: {_row_name(frame, bad)} has {frame[column].iloc[bad]!r}. "
            f"Expected numbers; {cure_of(frame[column].iloc[bad])}, or choose another column."
        ) from None
    if not may_be_infinite:
        _require(frame, column, values, np.isfinite(values), "values must be finite")
    return values


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _row_name(frame: pd.DataFrame, row: int) -> str:
    return f"model '{frame['model_id'].iloc[row]}'" if "model_id" in frame.columns else f"row {frame.index[row] + 1}"


def _require(frame: pd.DataFrame, column: str, values: Array, valid: NDArray[np.bool_], reason: str) -> None:
    bad = np.nonzero(~valid)[0]
    if bad.size:
        more = f" ({bad.size - 1} more)" if bad.size > 1 else ""
        raise DataError(
            f"Column '{column}' has {values[bad[0]]:g} at {_row_name(frame, int(bad[0]))}{more}: {reason}. "
            f"Remove such rows with `where`, or correct the table."
        )


def _n_distinct(x: tuple[Array, ...], group: NDArray[np.intp]) -> int:
    return np.unique(np.stack([*x, group.astype(float)]), axis=1).shape[1]


def _groups(frame: pd.DataFrame, offset_by: str | None) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    if offset_by is None:
        return ("",), np.zeros(len(frame), dtype=np.intp)
    codes, names = pd.factorize(frame[offset_by].astype(str), sort=True)
    # The largest group is the reference: its parameters are the best known.
    largest = int(np.bincount(codes).argmax())
    rank = np.argsort(np.arange(len(names)) != largest, kind="stable")
    place = np.empty(len(names), dtype=np.intp)
    place[rank] = np.arange(len(names))
    return tuple(str(names[i]) for i in rank), place[codes]


def _refuse_too_few(
    law: Law, columns: tuple[str, ...], x: tuple[Array, ...], group: NDArray[np.intp], n_parameters: int
) -> None:
    n_rows = len(group)
    if n_rows < n_parameters:
        raise ShapeError(
            f"The law '{law.name}' has {n_parameters} parameters, but only {n_rows} rows are left to fit it to. "
            "Widen the selection, or choose a law with fewer parameters (`vvscale ls laws`)."
        )
    if not law.scales:
        return
    n_distinct = _n_distinct(x, group)
    for column, value in zip(columns, x, strict=True):
        if np.ptp(value) == 0:
            raise ShapeError(
                f"Column '{column}' has one distinct value, {value[0]:g} (in its unit), in all {n_rows} rows: a "
                "scaling law needs at least two. Widen the selection."
            )
    if n_distinct < n_parameters:
        raise ShapeError(
            f"The law '{law.name}' has {n_parameters} parameters, but the {n_rows} rows lie at only {n_distinct} "
            "distinct points. Widen the selection, or choose a law with fewer parameters (`vvscale ls laws`)."
        )


def _lay_out(
    x: tuple[Array, ...],
    y: Array,
    group: NDArray[np.intp],
    n_groups: int,
    log_residuals: bool,
    delta: float | None,
) -> tuple[tuple[float, ...], Sample, NDArray[np.intp]]:
    """Centre the inputs and order the rows as ``Sample`` wants them."""
    logs = [np.log(value) for value in x]
    centre = tuple(float(value.mean()) for value in logs)
    keys = np.stack([*logs, group.astype(float)])
    _, point, count = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    # A row's ordinal among the rows of its point; points with very many rows are split into several.
    by_point = np.argsort(point, kind="stable")
    ordinal = np.empty(len(y), dtype=np.intp)
    ordinal[by_point] = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    split = point * (len(y) + 1) + ordinal // MAX_LAYERS
    layer = ordinal % MAX_LAYERS
    _, first, point, count = np.unique(split, return_index=True, return_inverse=True, return_counts=True)
    # Points with most rows first, so that each layer is a prefix of the points.
    rank = np.argsort(-count, kind="stable")
    place = np.empty_like(rank)
    place[rank] = np.arange(len(rank))
    order = np.lexsort((place[point], layer))
    points = Points(
        tuple(value[first[rank]] - mean for value, mean in zip(logs, centre, strict=True)), group[first[rank]], n_groups
    )
    target = (np.log(y) if log_residuals else y)[order]
    layers = tuple(int(size) for size in np.bincount(layer))
    return centre, Sample(points, layers, target, log_residuals, LEAST_SQUARES if delta is None else delta), order
