"""Fit one law to one table: the public function and its result.

The result is a frozen value with a status; what went wrong, what it means and what to do stand in it as words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import UsageError, unknown_name
from vvscale.laws.forms.others import Logistic
from vvscale.laws.forms.plateau import Plateau
from vvscale.laws.law import LAWS, Law
from vvscale.laws.problem import Problem, make_problem
from vvscale.laws.solve_law import curves, derive, half_points, natural, optimise
from vvscale.laws.solver.deviance import Around
from vvscale.laws.solver.search import Optima

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vvscale.laws.solver.newton import Form

    Array = NDArray[np.float64]

DELTA = 1e-3
# Scaled gradient below which a smooth minimum counts as reached.
CONVERGED = 1e-5
# The exponent is unidentified if both half and twice its value fit this well (deviance, 95 % of one degree
# of freedom), rows taken as independent.
UNIDENTIFIED = 3.84
# An exponent below this is 0: no range of X that exists would show it.
NO_SLOPE = 1e-9


class Status(StrEnum):
    """How a fit ended, what that means, and what to do."""

    CONVERGED = "converged"
    AT_BOUNDARY = "at_boundary"
    UNIDENTIFIED = "unidentified"
    NOT_CONVERGED = "not_converged"
    TOO_FEW_POINTS = "too_few_points"


ADVICE = {
    Status.CONVERGED: "A minimum with zero gradient that every better start leads to.",
    Status.AT_BOUNDARY: "The best fit lies on the edge of the law ({edge}). Report it as that, not as a value; the "
    "parameter beyond the edge has no interval of its own. Compare forms before reading a limit off it.",
    Status.UNIDENTIFIED: "Very different exponents fit these rows as well (half and twice the fitted one; for the "
    "shifted law, none or an infinite one): only the curve within the data and, with care, E mean something. Use a "
    "law with fewer parameters, or a wider range of {x}.",
    Status.NOT_CONVERGED: "The search stopped with a scaled gradient of {gradient:.1e}. Check the table for outliers, "
    "or try a larger delta.",
    Status.TOO_FEW_POINTS: "{n_distinct} distinct points for {p} parameters: the law nearly interpolates them. "
    "No interval is given; collect more points or use a law with fewer parameters.",
}


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
        The boundaries that the optimum lies on: ``"E = 0"``, ``"alpha = 0"``, ``"alpha = inf"``,
        ``"lambda = -inf"`` and the like.
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
        )

    @property
    def formula(self) -> str:
        """The law's formula with the numbers in it."""
        text = self.law.formula
        for name in sorted(self.params, key=len, reverse=True):
            if name in self.law.parameters:
                text = _substitute(text, name, f"{self.params[name]:.4g}")
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
            Offset group; the reference by default.

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
        index = 0 if group is None else self.problem.groups.index(group)
        points = self.problem.points(arrays, np.full(arrays[0].shape, index, dtype=np.intp))
        assert self.optima is not None
        return np.exp(curves(self.forms(), self.optima, points))[0]

    def derived(self) -> dict[str, Array]:
        """Quantities that follow from the parameters, each of shape (1,); see ``derive`` and ``half_points``."""
        return self.derived_from({name: np.array([value]) for name, value in self.params.items()}, self.optima)

    def derived_from(self, params: dict[str, Array], optima: Optima | None) -> dict[str, Array]:
        """The same of other optima of this law on these rows."""
        made = derive(self.law, params)
        if self.law.name == "shifted" and optima is not None:
            made["half_point"] = half_points(self.problem, optima)
        return made

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
            "status": str(self.status),
            "edges": list(self.edges),
            "advice": self.advice,
            "gradient": self.gradient,
            "agreement": self.agreement,
            "r2": self.r2 if np.isfinite(self.r2) else None,
            "excluded": self.problem.excluded,
        }

    def _repr_html_(self) -> str:
        head = f"<p><b>{self.law.name}</b>: {self.formula}; n = {self.n}, {self.status}</p>"
        return head + self.table().to_html(index=False)


def _substitute(text: str, name: str, value: str) -> str:
    import re

    return re.sub(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z_])", value, text)


def fit_law(
    table: pd.DataFrame,
    *,
    law: str | Law = "power",
    x: str | Sequence[str] = "train_flop",
    y: str = "misalignment",
    delta: float | None = DELTA,
    offsets: Sequence[str] = (),
    offset_by: str | None = None,
    units: Mapping[str, float] | None = None,
    negative: bool = False,
    excluded: Mapping[str, list[str]] | None = None,
    drop_incomplete: bool = False,
) -> Fit:
    """Fit a scaling law to a table.

    Parameters
    ----------
    table
        One row per model (or per observation); see ``vvscale.scores.model_table``.
    law
        A law or its name; ``vvscale ls laws`` lists them.
    x
        Column of the input, or columns of N and D.
    y
        Column of the outcome; 1 - score for all but your own purposes.
    delta
        Threshold of the Huber loss in units of the residual, > 0. At the study's 1e-3 it is an absolute loss in
        all but name; None is least squares.
    offsets
        Amplitudes (``"A"``, ``"B"``) that each group of ``offset_by`` has for itself.
    offset_by
        Column of the groups, ``"family"`` for example.
    units
        Unit of an input column, in which amplitudes are reported: by default train_flop 1e13, n_params 1e5,
        samples_seen 1e4, others 1.
    negative
        Whether exponents may be negative, as in the study's own fits: the outcome then rises with X.
    excluded
        Rows left out before, reason -> names; carried into the result.
    drop_incomplete
        Leave out rows that lack a value, and name them in the result, instead of refusing the table.

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
    offsets = tuple(offsets)
    law.check_offsets(offsets)
    if offsets and offset_by is None:
        raise UsageError(
            f"Group offsets on {' and '.join(offsets)} need a column that says which rows form a group. Give it as "
            "`offset_by`, 'parent_family' for example."
        )
    problem = make_problem(
        table,
        law,
        x=x,
        y=y,
        delta=delta,
        offset_by=offset_by if offsets else None,
        n_offsets=len(set(offsets)),
        units=units,
        excluded=excluded,
        drop_incomplete=drop_incomplete,
    )
    optima = optimise(law, problem, np.ones((1, len(problem.y))), offsets=offsets, negative=negative)
    return describe(law, problem, optima, delta=delta, offsets=offsets, negative=negative)


def describe(
    law: Law, problem: Problem, optima: Optima, *, delta: float | None, offsets: tuple[str, ...], negative: bool
) -> Fit:
    """Turn the first optimum into a ``Fit``."""
    first = optima.take(slice(0, 1))
    params = {name: float(value[0]) for name, value in natural(law, problem, first, offsets).items()}
    edges = _edges(law, first, params)
    draft = Fit(
        law, params, float(first.loss[0]), Status.CONVERGED, edges, float(first.gradient[0]),
        float(first.n_agree[0] / max(first.n_starts[0], 1)), np.nan, problem, delta, offsets, negative, first,
    )  # fmt: skip
    raw = [value * unit for value, unit in zip(problem.x, problem.units, strict=True)]
    predicted = np.exp(curves(draft.forms(), first, problem.points(raw, problem.group)))[0]
    residual = problem.y - predicted
    spread = float(((problem.y - problem.y.mean()) ** 2).sum())
    r2 = 1.0 - float((residual**2).sum()) / spread if spread > 0 else np.nan
    status = _status(draft)
    return Fit(**{**draft.__dict__, "status": status, "r2": r2})


def _edges(law: Law, optima: Optima, params: dict[str, float]) -> tuple[str, ...]:
    edges = []
    if "E" in params and not law.signed_plateau and (optima.at_zero[0] or params["E"] <= 1e-12):
        edges.append("E = 0")
    # A term that has become a constant; Kaplan's law in one input alone.
    edges += [f"{name} = 0" for name in ("alpha", "beta") if abs(params.get(name, 1.0)) < NO_SLOPE]
    edges += [f"{name} = 0" for name in ("N_c", "D_c") if params.get(name) == 0.0]
    if isinstance(law.own_form, Logistic) and law.own_form.is_outside(optima.theta)[0]:
        edges.append("midpoint outside the data")
    if "lambda" in params:
        if not np.isfinite(params["alpha"]):
            edges.append("alpha = inf")
        if params["lambda"] == -np.inf:
            edges.append("lambda = -inf")
    return tuple(edges)


def _status(fit: Fit) -> Status:
    if fit.problem.n_distinct <= len(fit.params) + 1 and fit.law.name != "constant":
        return Status.TOO_FEW_POINTS
    if fit.gradient > CONVERGED:
        return Status.NOT_CONVERGED
    if fit.law.terms and _exponent_is_free(fit):
        return Status.UNIDENTIFIED
    return Status.AT_BOUNDARY if fit.edges else Status.CONVERGED


def _exponent_is_free(fit: Fit) -> bool:
    """Whether very different exponents fit the rows as well, everything else refitted.

    Half and twice the (first) slope; and for the shifted law, whose slope is known better than its exponent, the
    plain power law or the exponential that its exponent and shift run into.
    """
    around = fit.around()
    if fit.law.terms[0].coordinate == "shifted":
        return bool((around.of_shift([0.0, 1.0]) < UNIDENTIFIED).any())
    slope = around.slope
    return bool((around.of_slope([slope / 2, slope * 2]) < UNIDENTIFIED).all())
