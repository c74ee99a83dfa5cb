"""The laws that compete for a table: which of them apply, and the rows that they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import DataError, unknown_name
from vvscale.laws.fit import DELTA, Fit, describe
from vvscale.laws.law import LAWS, Law
from vvscale.laws.problem import Problem, make_problem
from vvscale.laws.solve_law import optimise
from vvscale.laws.uncertainty.refits import Refits
from vvscale.scores import drop_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

COMPUTE = "train_flop"
SIZES = ("n_params", "samples_seen")
GROUPS = "parent_family"


# "+A" and "+B" give each family an amplitude of its own.
CANDIDATES = (
    "constant", "log", "pure-power", "power", "shifted", "logistic", "power+A", "joint", "product", "kaplan", "joint+B",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A law with everything it takes to fit it.

    Attributes
    ----------
    name
        The law's name, with ``+A``, ``+B`` or ``+AB`` where groups have their own amplitudes.
    law
        The law.
    x
        Its input columns.
    offsets, offset_by
        As of ``fit_law``.
    """

    name: str
    law: Law
    x: tuple[str, ...]
    offsets: tuple[str, ...] = ()
    offset_by: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it needs of a table."""
        return (*self.x, *([self.offset_by] if self.offset_by else []))


def parse_candidate(name: str | Law, x: str, sizes: tuple[str, str], offset_by: str | None) -> Candidate:
    """Read ``"power"``, ``"joint+B"`` or a ``Law``.

    Parameters
    ----------
    x, sizes
        Input column of laws in X, and of laws in N and D.
    offset_by
        Column whose values are the groups of ``+``.

    Raises
    ------
    UnknownNameError, ConfigError
        No such law, or offsets that it cannot have.
    """
    if isinstance(name, Law):
        return Candidate(name.name, name, (x,) if len(name.inputs) == 1 else sizes)
    stem, _, letters = name.partition("+")
    law = LAWS[stem]
    law.check_offsets(tuple(letters))
    inputs = (x,) if len(law.inputs) == 1 else sizes
    return Candidate(name, law, inputs, tuple(letters), (offset_by or GROUPS) if letters else None)


@dataclass(frozen=True)
class Contest:
    """Laws on the same rows.

    Attributes
    ----------
    frame
        The rows, n of them, in the order of all weights.
    x, y
        Column of compute (or what else is scaled) and of the outcome.
    delta
        Huber threshold; None for least squares.
    entries
        Name -> (law, its problem).
    negative
        Whether exponents may be negative.
    sizes, offset_by
        Columns of N and D, and of the groups, for whatever needs them.
    left_out
        Laws that cannot be fitted to this table, name -> reason.
    excluded
        Rows that lack a value, reason -> names.
    """

    frame: pd.DataFrame = field(repr=False)
    x: str
    y: str
    delta: float | None
    negative: bool
    entries: dict[str, tuple[Candidate, Problem]] = field(repr=False)
    left_out: dict[str, str]
    excluded: dict[str, list[str]]
    sizes: tuple[str, str] = SIZES
    offset_by: str = GROUPS

    @property
    def outcome(self) -> Array:
        """The outcome, shape (n,)."""
        return self.frame[self.y].to_numpy(float)

    def refit(self, name: str, weights: Array) -> Refits:
        """Fit a law to all rows and to every row of ``weights`` (B, n), in one call of the solver."""
        one, problem = self.entries[name]
        # The original rows come first: the solver makes its dictionary of starts from them.
        everything = np.concatenate([np.ones((1, len(problem.y))), weights])
        optima = optimise(one.law, problem, everything, offsets=one.offsets, negative=self.negative)
        fit = describe(one.law, problem, optima, delta=self.delta, offsets=one.offsets, negative=self.negative)
        return Refits(fit, optima.take(slice(1, None)), weights)


def contest(
    data: Fit | pd.DataFrame,
    *,
    laws: Sequence[str | Law] | None = None,
    x: str | None = None,
    sizes: tuple[str, str] | None = None,
    y: str | None = None,
    delta: float | str | None = "default",
    offset_by: str | None = None,
) -> Contest:
    """Line up laws on the rows for which all of them have their inputs.

    Parameters
    ----------
    data
        A table, or a fit whose rows, columns and loss are taken over.
    laws
        Names (``"joint+B"`` for amplitudes by group) or laws; by default all that apply.
    x, sizes, y, delta, offset_by
        As of ``compare``.

    Raises
    ------
    UnknownNameError, ConfigError, DataError
        A law or column that does not exist; a law named by the caller that these rows do not allow.
    """
    units, negative = None, False
    if isinstance(data, Fit):
        units, negative = data.problem.unit_of, data.negative
        columns, frame = data.problem.columns, data.problem.frame
        x = x or (columns[0] if len(columns) == 1 else COMPUTE)
        sizes = sizes or ((columns[0], columns[1]) if len(columns) == 2 else SIZES)
        y, offset_by = y or data.problem.outcome, offset_by or data.offset_by
        threshold = data.delta if delta == "default" else delta
    else:
        frame, x, sizes, y = data, x or COMPUTE, sizes or SIZES, y or "misalignment"
        threshold = DELTA if delta == "default" else delta
    assert not isinstance(threshold, str)
    if y not in frame.columns:
        raise unknown_name("column", y, map(str, frame.columns))
    wanted = [parse_candidate(name, x, sizes, offset_by) for name in (CANDIDATES if laws is None else laws)]
    able, left_out = _able(wanted, frame, strict=laws is not None)
    frame, excluded = drop_missing(frame, list(dict.fromkeys([c for one in able for c in one.columns] + [y])))
    entries = {}
    for one in able:
        try:
            problem = make_problem(frame, one.law, x=one.x, y=y, delta=threshold, offset_by=one.offset_by, units=units)
        except DataError as reason:
            if laws is not None or one is able[0]:
                raise
            left_out[one.name] = str(reason)
        else:
            entries[one.name] = one, problem
    rows = next(iter(entries.values()))[1].frame
    return Contest(rows, x, y, threshold, negative, entries, left_out, excluded, sizes, offset_by or GROUPS)


def _able(wanted: list[Candidate], frame: pd.DataFrame, *, strict: bool) -> tuple[list[Candidate], dict[str, str]]:
    """Keep the laws whose columns are there; an explicit wish that cannot be met is an error."""
    able, left_out = [], {}
    for one in wanted:
        lacking = [column for column in one.columns if column not in frame.columns]
        if lacking and strict:
            raise unknown_name("column", lacking[0], map(str, frame.columns))
        if lacking:
            left_out[one.name] = f"the table has no column '{lacking[0]}'"
        elif one.offset_by and frame[one.offset_by].nunique() < 2:
            left_out[one.name] = f"all rows have the same {one.offset_by}"
        else:
            able.append(one)
    if not able:
        raise DataError(
            "None of the laws can be fitted: "
            + "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            + ". Name the input column with x=, or the columns of N and D with sizes=."
        )
    return able, left_out
