"""A design from whatever a user has: a named experiment or a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.errors import UsageError
from vvscale.laws.fit import fit_law
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.planning.design import Design, design_runs

if TYPE_CHECKING:
    from vvscale.laws.fit import Fit
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
            fit = fit_law(source, options.law, regions=options.regions, where=options.where, missing="drop")
    columns = fit.problem.columns
    spans = [
        (float((x * u).min()), float((x * u).max())) for x, u in zip(fit.problem.x, fit.problem.units, strict=True)
    ]
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
        n_bounds=bounds[0] if len(bounds) == 2 else None, d_bounds=bounds[-1], by=options.by,
    )  # fmt: skip
    return fit, design
