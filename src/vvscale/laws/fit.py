"""Fit one law to one table: the public function and its result.

The result is a frozen value with a status; what went wrong, what it means and what to do stand in it as words.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from vvscale.errors import UsageError, VvscaleWarning, unknown_name
from vvscale.laws.forms.plateau import Plateau
from vvscale.laws.law import LAWS, Law
from vvscale.laws.problem import Problem, make_problem
from vvscale.laws.rows import load_rows
from vvscale.laws.solve_law import AVERAGE, curves, derive, group_curves, half_points, natural, optimise
from vvscale.laws.solver.deviance import Around
from vvscale.laws.solver.search import Optima
from vvscale.laws.status import ADVICE, Status, edges_of, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from vvscale.laws.forms.form import Form

    Array = NDArray[np.float64]

DELTA = 1e-3
DEFAULT_X = {1: ("train_flop",), 2: ("n_params", "samples_seen")}
"""Number of inputs -> their columns."""


@dataclass(frozen=True)
class Fit:
    """A fitted law.

    Attributes
    ----------
    law
        The law.
    params
        Parameters in units of ``problem.units``, by name. Infinite on the edge of the shifted law.
    loss
        Sum over rows of the Huber loss (of log residuals, unless the law says otherwise).
    status
        See ``Status``.
    edges
        The boundaries that the optimum lies on; see ``vvscale.laws.status.Edge``.
    gradient
        Largest free gradient component over delta times n; 0 at a smooth minimum.
    agreement
        Share of the starts that reached this loss within 1e-6.
    r2
        Coefficient of determination of the outcome itself.
    problem
        The rows, their units and what was left out.
    delta
        Huber threshold; None for least squares.
    offsets
        Amplitudes with group offsets.
    negative
        Whether negative exponents were allowed.
    optima
        The solver's own account; ``theta`` of shape (1, p).
    free
        Parameters for which very different values fit the rows as well; empty unless the status is unidentified.
    """

    law: Law
    params: dict[str, float]
    loss: float
    status: Status
    edges: tuple[str, ...]
    gradient: float
    agreement: float
    r2: float
    problem: Problem = field(repr=False)
    delta: float | None = DELTA
    offsets: tuple[str, ...] = ()
    negative: bool = False
    optima: Optima | None = field(default=None, repr=False)
    free: tuple[str, ...] = ()

    @property
    def offset_by(self) -> str | None:
        """Column whose values are the offset groups; None without offsets."""
        return self.problem.offset_by

    @property
    def n(self) -> int:
        """Number of rows fitted."""
        return len(self.problem.y)

    @property
    def advice(self) -> str:
        """What the status means and what to do."""
        return ADVICE[self.status].format(
            edge=", ".join(self.edges),
            x=", ".join(self.problem.columns),
            gradient=self.gradient,
            n_distinct=self.problem.n_distinct,
            p=len(self.params),
            free=" and ".join(self.free),
        )

    @property
    def formula(self) -> str:
        """The law's formula with the numbers in it."""
        text = self.law.formula
        for name in sorted(self.params, key=len, reverse=True):
            if name in self.law.parameters:
                value = f"{self.params[name]:.4g}"
                text = re.sub(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z_])", value, text)
        return text

    def forms(self) -> tuple[Form, Any]:
        """Interior and boundary form of this fit."""
        return self.law.forms(len(self.problem.groups), self.offsets, negative=self.negative)

    def predict(self, *x: Sequence[float] | Array, group: str | None = None) -> Array:
        """Outcome predicted at new inputs, in raw units of the columns; shape (m,).

        Parameters
        ----------
        x
            One array per input of the law, values > 0.
        group
            Offset group; by default the average (of the log) over all of them.

        Raises
        ------
        UsageError, UnknownNameError
            Another number of inputs, one that is not greater than 0, no such group.
        """
        arrays = [np.atleast_1d(np.asarray(value, float)) for value in x]
        if len(arrays) != len(self.law.inputs):
            raise UsageError(
                f"The law '{self.law.name}' predicts from {len(self.law.inputs)} input(s) "
                f"({', '.join(self.problem.columns)}), got {len(arrays)}. Give one array per input."
            )
        for column, values in zip(self.problem.columns, arrays, strict=True):
            if not (values > 0).all():
                bad = values[~(values > 0)][0]
                raise UsageError(f"Cannot predict at {column} = {bad:g}: inputs of a scaling law are greater than 0.")
        if group is not None and group not in self.problem.groups:
            raise unknown_name("offset group", group, self.problem.groups)
        assert self.optima is not None
        return self.outcomes(self.optima, arrays, AVERAGE if group is None else self.problem.groups.index(group))[0]

    def outcomes(
        self, optima: Optima, x: Sequence[Sequence[float] | Array], group: int | NDArray[np.intp] = AVERAGE
    ) -> Array:
        """Outcome (B, m) that other optima of this law predict at inputs in raw units; ``AVERAGE`` of all groups."""
        at = [np.atleast_1d(np.asarray(value, float)) for value in x]
        groups = np.broadcast_to(group, at[0].shape)
        return np.exp(group_curves(self.forms(), optima, self.problem, at, groups))

    def derived(self) -> dict[str, Array]:
        """Quantities that follow from the parameters, each of shape (1,); see ``derive`` and ``half_points``."""
        return self.derived_from({name: np.array([value]) for name, value in self.params.items()}, self.optima)

    def derived_from(self, params: dict[str, Array], optima: Optima | None) -> dict[str, Array]:
        """The same of other optima of this law on these rows."""
        made = derive(self.law, params)
        if any(term.coordinate == "shifted" for term in self.law.terms) and optima is not None:
            made["half_point"] = half_points(self.problem, optima)
        return made

    def quantities(self) -> dict[str, float]:
        """Parameters and what follows from them, by name."""
        return {**self.params, **{name: float(value[0]) for name, value in self.derived().items()}}

    def around(self) -> Around:
        """What a deviance needs to know of this optimum."""
        interior, boundary = self.forms()
        assert self.optima is not None
        assert isinstance(interior, Plateau)
        return Around(interior, boundary, self.optima, self.problem.sample, self.loss, self.residuals(), self.delta)

    def residuals(self) -> Array:
        """Residuals y - prediction on the fitted scale, in the order of ``problem.frame``, shape (n,)."""
        assert self.optima is not None
        inside = np.empty(self.n)
        inside[self.problem.order] = -self.problem.sample.residuals(
            curves(self.forms(), self.optima, self.problem.sample.points)
        )[0]
        return inside

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw points, law, extrapolation and verdict; needs ``vvscale[figures]``.

        Parameters
        ----------
        path
            File to write: .png, .pdf or .svg, or .csv or .json of what is drawn.

        Returns
        -------
        vvscale.figures.plot.Drawing
            Shows itself in a notebook; ``save`` writes it.
        """
        # By name: laws must not depend on figures, and a fit must not wait for matplotlib.
        return import_module("vvscale.figures.plot").plot_fit(self, path=path)

    def table(self) -> pd.DataFrame:
        """One row per parameter."""
        return pd.DataFrame({"parameter": list(self.params), "value": list(self.params.values())})

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; infinite parameters become None and stand in ``edges``."""
        return {
            "law": self.law.name,
            "formula": self.law.formula,
            "x": list(self.problem.columns),
            "units": list(self.problem.units),
            "y": self.problem.outcome,
            "n": self.n,
            "n_distinct": self.problem.n_distinct,
            "params": {name: value if np.isfinite(value) else None for name, value in self.params.items()},
            "loss": self.loss,
            "delta": self.delta,
            "offsets": list(self.offsets),
            "offset_by": self.offset_by,
            "groups": list(self.problem.groups) if self.offsets else [],
            "status": str(self.status),
            "free": list(self.free),
            "edges": [str(edge) for edge in self.edges],
            "advice": self.advice,
            "gradient": self.gradient,
            "agreement": self.agreement,
            "r2": self.r2 if np.isfinite(self.r2) else None,
            "excluded": self.problem.excluded,
        }

    def _repr_html_(self) -> str:
        head = f"<p><b>{self.law.name}</b>: {self.formula}; n = {self.n}, {self.status}</p>"
        return head + self.table().to_html(index=False)


def fit_law(
    data: str | Path | pd.DataFrame,
    law: str | Law = "power",
    *,
    x: str | Sequence[str] | None = None,
    y: str = "misalignment",
    regions: str | Sequence[str] | None = None,
    where: str | Sequence[str] | Mapping[str, Any] = (),
    preset: str | Sequence[str] | None = None,
    offsets: Sequence[str] = (),
    offset_by: str | None = None,
    delta: float | None = DELTA,
    units: Mapping[str, float] | None = None,
    negative: bool = False,
    missing: Literal["auto", "error", "drop"] = "auto",
) -> Fit:
    """Fit a scaling law to a table.

    Parameters
    ----------
    data
        Rows of one model x one benchmark, which are averaged over ``regions``, or any table with one row per model or
        per observation: a DataFrame, a published set (``"gokce2025"``), a CSV or Parquet file, or a store folder.
    law
        A law or its name; ``vvscale ls laws`` lists them.
    x
        Column of the input, or columns of N and D; by default ``train_flop``, or ``n_params`` and ``samples_seen``.
    y
        Column of the outcome; by default misalignment = 1 - score. ``"1-my_score"`` is 1 minus the column my_score.
    regions
        Regions to average: V1, V2, V4, IT, behavior, ``"neural"`` or ``"all"`` (default).
    where, preset
        Conditions on rows, such as ``{"family": "ResNet"}`` or ``"n_params>=1e6"``, and a name of several of them, such
        as ``"controlled"``; see ``vvscale.select``.
    offsets
        Amplitudes (``"A"``, ``"B"``) that each group of ``offset_by`` has for itself.
    offset_by
        Column of the groups, ``"family"`` for example.
    delta
        Threshold of the Huber loss in units of the residual, > 0. At the default 1e-3 it is an absolute loss in
        all but name; None is least squares.
    units
        Unit of an input column, in which amplitudes are reported: by default train_flop 1e13, n_params 1e5,
        samples_seen 1e4, others 1.
    negative
        Whether exponents may be negative: the outcome then rises with X.
    missing
        Rows that lack a value: ``"error"`` refuses the table, ``"drop"`` leaves them out and names them in the result.
        ``"auto"`` leaves out models of a score table, as pretrained ones have no training compute, with a warning that
        counts them, and refuses any other table.

    Returns
    -------
    Fit
        The global optimum, as far as many starts can tell; see ``Fit.agreement``.

    Raises
    ------
    UsageError, DataError
        See ``vvscale.laws.problem.make_problem``.

    Notes
    -----
    Source: Gokce & Schrimpf 2025 (arXiv 2411.05712), eqs. 1, 3, 5; Hoffmann et al. 2022 for the objective.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> x = np.geomspace(1, 1e4, 20)
    >>> fit = fit_law(pd.DataFrame({"x": x, "y": 0.3 + 0.5 * x**-0.4}), x="x", y="y")
    >>> {name: round(value, 6) for name, value in fit.params.items()}
    {'E': 0.3, 'A': 0.5, 'alpha': 0.4}
    """
    law = LAWS[law] if isinstance(law, str) else law
    x = x or DEFAULT_X[len(law.inputs)]
    needs = [*([x] if isinstance(x, str) else x), y] if missing == "auto" else ()
    rows, excluded = load_rows(data, regions=regions, where=where, preset=preset, needs=needs, y=y)
    n_lacking = sum(map(len, excluded.values()))
    if n_lacking:
        warnings.warn(
            f"{n_lacking} models are left out of the fit, {len(rows)} remain: {'; '.join(excluded)}. "
            "`fit.problem.excluded` names them.",
            VvscaleWarning,
            stacklevel=2,
        )
    return fit_rows(
        rows, law=law, x=x, y=y, delta=delta, offsets=offsets, offset_by=offset_by,
        units=units, negative=negative, excluded=excluded, drop_incomplete=missing == "drop",
    )  # fmt: skip


def fit_rows(
    table: pd.DataFrame,
    *,
    law: str | Law,
    x: str | Sequence[str],
    y: str = "misalignment",
    delta: float | None = DELTA,
    offsets: Sequence[str] = (),
    offset_by: str | None = None,
    units: Mapping[str, float] | None = None,
    negative: bool = False,
    excluded: Mapping[str, list[str]] | None = None,
    drop_incomplete: bool = False,
) -> Fit:
    """Fit a law to one row per observation, taken as they are; the parameters are those of :func:`fit_law`.

    Parameters
    ----------
    excluded
        Rows left out before, reason -> names; carried into the result.
    drop_incomplete
        Leave out rows that lack a value, and name them in the result, instead of refusing the table.
    """
    law = LAWS[law] if isinstance(law, str) else law
    offsets = tuple(offsets)
    law.check_offsets(offsets)
    if offsets and offset_by is None:
        raise UsageError(
            f"Group offsets on {' and '.join(offsets)} need a column that says which rows form a group. Give it as "
            "`offset_by`, 'parent_family' for example."
        )
    problem = make_problem(
        table, law, x=x, y=y, delta=delta, offset_by=offset_by if offsets else None, n_offsets=len(set(offsets)),
        units=units, excluded=excluded, drop_incomplete=drop_incomplete,
    )  # fmt: skip
    optima = optimise(law, problem, np.ones((1, len(problem.y))), offsets=offsets, negative=negative)
    return describe(law, problem, optima, delta=delta, offsets=offsets, negative=negative)


def describe(
    law: Law, problem: Problem, optima: Optima, *, delta: float | None, offsets: tuple[str, ...], negative: bool
) -> Fit:
    """Turn the first optimum into a ``Fit``."""
    first = optima.take(slice(0, 1))
    params = {name: float(value[0]) for name, value in natural(law, problem, first, offsets).items()}
    draft = Fit(
        law, params, float(first.loss[0]), Status.CONVERGED, edges_of(law, first, params), float(first.gradient[0]),
        float(first.n_agree[0] / max(first.n_starts[0], 1)), np.nan, problem, delta, offsets, negative, first,
    )  # fmt: skip
    residual = problem.y - draft.outcomes(first, problem.raw, problem.group)[0]
    spread = float(((problem.y - problem.y.mean()) ** 2).sum())
    r2 = 1.0 - float((residual**2).sum()) / spread if spread > 0 else np.nan
    status, free = status_of(draft)
    return replace(draft, status=status, free=free, r2=r2)
