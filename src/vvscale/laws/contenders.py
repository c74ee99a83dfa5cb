"""The laws that compete for a table: which of them apply, the rows they share, and fits to parts of those rows.

Everything that compares laws, or a law with itself on other rows, is a matter of row weights: a fold, a hold-out
and a resample differ only in them, so all refits of one law are one call of the solver.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import DataError, unknown_name
from vvscale.laws.falling import FallingVanishing, optimise_falling
from vvscale.laws.fit import DELTA, Fit, curves, describe
from vvscale.laws.forms import Term
from vvscale.laws.law import LAWS, Law
from vvscale.laws.problem import Problem, make_problem
from vvscale.laws.solver import Optima
from vvscale.scores import drop_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.forms import Points

    Array = NDArray[np.float64]

COMPUTE = "train_flop"
SIZES = ("n_params", "samples_seen")


@dataclass(frozen=True)
class _PurePower(FallingVanishing):
    """The E = 0 boundary as a law of its own."""

    terms: tuple[Term, ...] = (Term(),)

    def starts(self, points: Points, level: float) -> Array:
        """Return starts (k, p); the problem is convex."""
        reach = np.ptp(points.u[0])
        return np.array([[np.log(level), slope / reach] for slope in (0.1, 1.0)])

    def natural(self, theta: Array, centre: tuple[float, ...]) -> dict[str, Array]:
        """A and alpha."""
        values = super().natural(theta, centre)
        return {name: values[name] for name in ("A", "alpha")}


PURE_POWER = Law(
    "pure-power", "power law without a plateau", "A X^-alpha", ("X",), ("A", "alpha"), own_form=_PurePower()
)  # fmt: skip

# "+A" and "+B" give each family an amplitude of its own.
CONTENDERS = (
    "constant", "log", "pure-power", "power", "shifted", "logistic", "power+A", "joint", "product", "kaplan", "joint+B",
)  # fmt: skip


@dataclass(frozen=True)
class Contender:
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


def parse_contender(name: str | Law, x: str, sizes: tuple[str, str], offset_by: str | None) -> Contender:
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
        return Contender(name.name, name, (x,) if len(name.inputs) == 1 else sizes)
    stem, _, letters = name.partition("+")
    law = PURE_POWER if stem == PURE_POWER.name else LAWS[stem]
    law.check_offsets(tuple(letters))
    inputs = (x,) if len(law.inputs) == 1 else sizes
    return Contender(name, law, inputs, tuple(letters), (offset_by or "parent_family") if letters else None)


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
    left_out
        Laws that cannot be fitted to this table, name -> reason.
    excluded
        Rows that lack a value, reason -> names.
    """

    frame: pd.DataFrame = field(repr=False)
    x: str
    y: str
    delta: float | None
    entries: dict[str, tuple[Contender, Problem]] = field(repr=False)
    left_out: dict[str, str]
    excluded: dict[str, list[str]]

    @property
    def outcome(self) -> Array:
        """The outcome, shape (n,)."""
        return self.frame[self.y].to_numpy(float)


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
    if isinstance(data, Fit):
        columns, frame = data.problem.columns, data.problem.frame
        x = x or (columns[0] if len(columns) == 1 else COMPUTE)
        sizes = sizes or ((columns[0], columns[1]) if len(columns) == 2 else SIZES)
        y = y or data.problem.outcome
        threshold = data.delta if delta == "default" else delta
    else:
        frame, x, sizes, y = data, x or COMPUTE, sizes or SIZES, y or "misalignment"
        threshold = DELTA if delta == "default" else delta
    assert not isinstance(threshold, str)
    if y not in frame.columns:
        raise unknown_name("column", y, map(str, frame.columns))
    wanted = [parse_contender(name, x, sizes, offset_by) for name in (CONTENDERS if laws is None else laws)]
    able, left_out = _able(wanted, frame, strict=laws is not None)
    frame, excluded = drop_missing(frame, list(dict.fromkeys([c for one in able for c in one.columns] + [y])))
    entries = {}
    for one in able:
        try:
            entries[one.name] = one, make_problem(
                frame, one.law, x=one.x, y=y, delta=threshold, offset_by=one.offset_by
            )  # fmt: skip
        except DataError as reason:
            if laws is not None or one is able[0]:
                raise
            left_out[one.name] = str(reason)
    return Contest(next(iter(entries.values()))[1].frame, x, y, threshold, entries, left_out, excluded)


def _able(wanted: list[Contender], frame: pd.DataFrame, *, strict: bool) -> tuple[list[Contender], dict[str, str]]:
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


@dataclass(frozen=True)
class Refits:
    """One law fitted to several weightings of the same rows.

    Attributes
    ----------
    fit
        The fit to all rows.
    optima
        The B optima.
    weights
        Row weights, shape (B, n), in the order of ``fit.problem.frame``.
    """

    fit: Fit
    optima: Optima = field(repr=False)
    weights: Array = field(repr=False)

    def usable(self) -> NDArray[np.bool_]:
        """Whether each weighting has more distinct points than the law has parameters, shape (B,)."""
        problem = self.fit.problem
        if self.fit.law.name == "constant":
            return self.weights.any(axis=1)
        _, point = np.unique(np.stack([*problem.x, problem.group.astype(float)]), axis=1, return_inverse=True)
        present = np.zeros((int(point.max()) + 1, len(self.weights)))
        np.add.at(present, point, (self.weights > 0).T)
        groups = np.unique(problem.group)
        seen = np.stack([(self.weights[:, problem.group == g] > 0).any(axis=1) for g in groups]).sum(axis=0)
        n_parameters = self.fit.law.n_parameters + len(self.fit.offsets) * (seen - 1)
        return (present > 0).sum(axis=0) > n_parameters

    def log_curves(self, x: Sequence[Array] | None = None, group: NDArray[np.intp] | None = None) -> Array:
        """Log of the predicted outcome, shape (B, m); NaN where a law predicts 0 or less.

        Parameters
        ----------
        x
            Inputs in raw units, (m,) each; by default those of the rows.
        group
            Offset group of each point, -1 for a group of its own. A group that a weighting has no rows of is
            predicted as the average (of the log) over the groups that it has.
        """
        problem = self.fit.problem
        if x is None:
            x = [value * unit for value, unit in zip(problem.x, problem.units, strict=True)]
            group = problem.group
        group = np.zeros(len(x[0]), dtype=np.intp) if group is None else group
        f = curves(self.fit, self.optima, problem.points(x, group))
        n_groups = len(problem.groups)
        if n_groups == 1:
            return f
        present = np.stack([(self.weights[:, problem.group == g] > 0).any(axis=1) for g in range(n_groups)], axis=1)
        known = np.concatenate([present, np.zeros((len(present), 1), dtype=bool)], axis=1)[:, group]
        rows, lacking = np.nonzero(~known.all(axis=1))[0], ~known.all(axis=0)
        if not rows.size:
            return f
        at = [value[lacking] for value in x]
        each = [np.full(len(at[0]), g, dtype=np.intp) for g in range(n_groups)]
        by_group = np.stack([curves(self.fit, take(self.optima, rows), problem.points(at, g)) for g in each], axis=2)
        seen = present[rows][:, None, :]
        average = np.where(seen, by_group, 0.0).sum(axis=2) / seen.sum(axis=2)
        part = f[np.ix_(rows, lacking)]
        f[np.ix_(rows, lacking)] = np.where(known[np.ix_(rows, lacking)], part, average)
        return f

    def rows(self, chosen: NDArray[np.intp] | slice) -> Refits:
        """Return some of the weightings."""
        return replace(self, optima=take(self.optima, chosen), weights=self.weights[chosen])


def take(optima: Optima, rows: NDArray[np.intp] | slice) -> Optima:
    """Return some of the optima."""
    return Optima(*(getattr(optima, name)[rows] for name in Optima.__dataclass_fields__))


def refit(contender: Contender, problem: Problem, weights: Array, *, delta: float | None) -> Refits:
    """Fit one law to all rows and to every row of ``weights`` (B, n), in one call of the solver."""
    # The original rows come first: the solver makes its dictionary of starts from them.
    everything = np.concatenate([np.ones((1, len(problem.y))), weights])
    optima = optimise_falling(contender.law, problem, everything, offsets=contender.offsets)
    fit = describe(contender.law, problem, optima, delta=delta, offsets=contender.offsets, negative=False)
    return Refits(fit, take(optima, slice(1, None)), weights)


def refit_fit(fit: Fit, weights: Array) -> Refits:
    """Refit a fitted law to every row of ``weights`` (B, n)."""
    everything = np.concatenate([np.ones((1, fit.n)), weights])
    optima = optimise_falling(fit.law, fit.problem, everything, offsets=fit.offsets, negative=fit.negative)
    return Refits(fit, take(optima, slice(1, None)), weights)
