"""A design from whatever a user has: a named experiment or a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.errors import UsageError
from vvscale.laws.fit import DEFAULT_X, fit_rows
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.law import LAWS
from vvscale.laws.planning.cost import given_cost
from vvscale.laws.planning.design import Design, design_runs
from vvscale.laws.problem import require_columns
from vvscale.laws.rows import load_rows

if TYPE_CHECKING:
    from vvscale.laws.fit import Fit
    from vvscale.laws.planning.cost import Cost
    from vvscale.laws.planning.options import DesignOptions


def run_design(source: str, options: DesignOptions) -> tuple[Fit, Design]:
    """Fit a law to a named experiment or a table, and choose the runs to train next.

    Raises
    ------
    UsageError
        One bound without the other's side of the rows; see ``design_runs``.
    """
    if source in EXPERIMENTS:
        from vvscale.scores import load_scores

        fit = EXPERIMENTS[source].fit(ModelTables(load_scores(options.scores)))
    else:
        with options.reading():
            fit = _fit_table(source, options)
    columns = fit.problem.columns
    spans = [(float(x.min()), float(x.max())) for x in fit.problem.raw]
    asked = [(options.min_params, options.max_params), (options.min_samples, options.max_samples)]
    if len(columns) == 1 and (options.min_params or options.max_params):
        raise UsageError(f"`min_params` and `max_params` are bounds of N, and this law is one of {columns[0]}.")
    if len(columns) == 1:
        asked, spans = asked[1:], spans[:1]
    bounds = [(low or span[0], high or span[1]) for (low, high), span in zip(asked, spans, strict=True)]
    for low, high in bounds:
        if not low <= high:
            raise UsageError(f"The bounds {low:.3g} to {high:.3g} leave no run. The rows span {spans}.")
    design = design_runs(
        fit, options.budget, options.runs, reduce=options.reduce, at=options.at,
        cost=_cost(fit, options),
        n_bounds=bounds[0] if len(bounds) == 2 else None, d_bounds=bounds[-1], by=options.by,
    )  # fmt: skip
    return fit, design


def _fit_table(source: str, options: DesignOptions) -> Fit:
    """Fit a law to a table; columns of the user's own names take the names that a design knows."""
    rows, excluded = load_rows(source, regions=options.regions, where=options.where, y=options.y)
    inputs = DEFAULT_X[len(LAWS[options.law].inputs)]
    if options.x:
        # Whatever had the name before is not what the user means by it.
        taken = [name for name in inputs if name in rows.columns and name not in options.x]
        rows = rows.drop(columns=taken)
        require_columns(rows, (*options.x, options.y))
        if len(options.x) != len(inputs):
            raise UsageError(
                f"The law '{options.law}' takes {len(inputs)} input(s), got `x` of {', '.join(options.x)}."
            )
        rows = rows.rename(columns=dict(zip(options.x, inputs, strict=True)))
    return fit_rows(rows, law=options.law, x=inputs, y=options.y, excluded=excluded, drop_incomplete=True)


def _cost(fit: Fit, options: DesignOptions) -> Cost | None:
    if options.cost is not None:
        return given_cost(*options.cost)
    if fit.law.is_joint and "train_flop" not in fit.problem.frame.columns:
        raise UsageError(
            "The rows do not say what parameters and samples cost: they have no train_flop. Give `cost`, m and n of "
            "C = m (N D)^n: `cost=(6, 1)` where each weight is used once per sample, as in a transformer."
        )
    return None
