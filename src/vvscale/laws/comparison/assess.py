"""Everything that a verdict needs, made: refits without each group, and the plateau under other forms and losses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vvscale.errors import VvscaleError
from vvscale.laws.comparison.sensitivity import DEFAULT_LAWS, DELTAS, limits, loss_name
from vvscale.laws.law import LAWS, Law
from vvscale.laws.problem import LEAST_SQUARES, Problem, make_problem
from vvscale.laws.solve_law import curves, natural, optimise
from vvscale.laws.status import Edge, Status
from vvscale.laws.uncertainty.folds import clustered_error
from vvscale.laws.uncertainty.jackknife import Jackknife, jackknife, leave_out_groups
from vvscale.laws.uncertainty.resample import DEPENDENT, default_unit
from vvscale.laws.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.solver.search import Optima

    Array = NDArray[np.float64]


def assess(fit: Fit, *, by: Sequence[str] | None = None) -> Verdict:
    """Say what a fit can bear.

    Parameters
    ----------
    fit
        The fit.
    by
        Units to choose from; the first that knows of dependent rows is left out in turn. By default that of the
        table: ``arch`` where it knows architectures, else ``row``. Empty: no intervals, the plateau is not assessed.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> x = np.geomspace(1, 1e6, 60)
    >>> y = (0.3 + 0.5 * x**-0.4) * np.exp(np.random.default_rng(0).normal(0, 0.01, 60))
    >>> assess(fit_law(pd.DataFrame({"x": x, "y": y}), x="x", y="y")).plateau.value
    'identified'
    """
    return examine(fit, by=by)[0]


def examine(fit: Fit, *, by: Sequence[str] | None = None) -> tuple[Verdict, Jackknife | None]:
    """Return the verdict of ``assess`` with the refits behind it, for the intervals of other parameters."""
    # On the logarithmic edge there is no limit, and no exponent, to have an interval of.
    if fit.status in {Status.TOO_FEW_POINTS, Status.NOT_CONVERGED} or Edge.LOGARITHMIC in fit.edges:
        return judge(fit, None), None
    unit, why_not = _honest_unit(fit, by)
    if unit is None:
        return judge(fit, None, why_not=why_not), None
    try:
        made = jackknife(fit, by=unit)
    except VvscaleError as error:
        return judge(fit, None, why_not=str(error).split(". ")[0]), None
    # At the edge of the law there is no plateau for others to agree with.
    has_plateau = fit.law.terms and Edge.NO_PLATEAU not in fit.edges
    return judge(fit, made, alternatives(fit, unit) if has_plateau else {}), made


def _honest_unit(fit: Fit, by: Sequence[str] | None) -> tuple[str | None, str]:
    """Return the first unit that does not take dependent rows for independent, or why there is none."""
    frame = fit.problem.frame
    default = default_unit(frame)
    if "arch" in frame.columns and default == "row":
        return None, "all rows belong to one architecture"
    if by is None:
        return default, ""
    if not by:
        return None, "no intervals"
    # Where architectures are known, rows and seeds of one of them are not independent.
    honest = [unit for unit in by if default == "row" or unit not in DEPENDENT]
    honest = [default] if default in honest else honest
    return (honest[0], "") if honest else (None, f"resampled by {by[0]} only, and rows of one {default} are dependent")


def alternatives(fit: Fit, unit: str) -> dict[str, float]:
    """Plateau E of its own form under the other losses, and of the other forms, by name.

    A form that the rows reject (its loss is higher by more than two standard errors, clustered by ``unit``) says
    nothing, nor does one that they do not allow.
    """
    made = {}
    for delta in DELTAS:
        if delta != fit.delta:
            sample = replace(fit.problem.sample, delta=LEAST_SQUARES if delta is None else delta)
            found = _optimum(fit.law, replace(fit.problem, sample=sample), fit.offsets, fit.negative)
            made[loss_name(delta)] = float(limits(natural(fit.law, fit.problem, found, fit.offsets))[0])
    assert fit.optima is not None
    own = _row_losses(fit.law, fit.problem, fit.optima, fit.offsets, fit.negative)
    # A signed law is of the score itself: the forms of its logarithm are no alternatives to it.
    for form in DEFAULT_LAWS[len(fit.problem.columns)] if fit.law.log_residuals else ():
        law = LAWS[form]
        if law is fit.law and not fit.offsets:
            continue
        try:
            problem = make_problem(
                fit.problem.frame, law, x=fit.problem.columns, y=fit.problem.outcome, delta=fit.delta,
                units=fit.problem.unit_of,
            )  # fmt: skip
        except VvscaleError:
            continue
        found = _optimum(law, problem, (), fit.negative)
        worse = _row_losses(law, problem, found, (), fit.negative) - own
        error = clustered_error(worse, leave_out_groups(fit.problem.frame, unit))
        if worse.mean() <= 2.0 * error:
            made[form] = float(limits(natural(law, problem, found, ()))[0])
    return made


def _optimum(law: Law, problem: Problem, offsets: tuple[str, ...], negative: bool) -> Optima:
    return optimise(law, problem, np.ones((1, len(problem.y))), offsets=offsets, negative=negative)


def _row_losses(law: Law, problem: Problem, optima: Optima, offsets: tuple[str, ...], negative: bool) -> Array:
    """Loss of each row (n,), in the order of the table."""
    forms = law.forms(len(problem.groups), offsets, negative=negative)
    made = np.empty(len(problem.y))
    made[problem.order] = problem.sample.losses(curves(forms, optima, problem.sample.points))[0]
    return made
