"""``vvscale plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.output import Output


def plan(
    fit: str = "compute_chinchilla",
    /,
    *,
    budget: Annotated[tuple[float, ...], Parameter(show_default=False)] = (),
    target: float | None = None,
    cost: tuple[float, float] | None = None,
    family: str | None = None,
    min_params: float | None = None,
    max_params: float | None = None,
    min_samples: float | None = None,
    max_samples: float | None = None,
    name: str | None = None,
    group: str | None = None,
    worst: int = 0,
    scores: str = "gokce2025",
    bootstrap: int = 1000,
    seed: int = 42,
    out: Path | None = None,
    output: Output | None = None,
) -> None:
    """Spend a compute budget: the parameters and samples that a joint law predicts the most from.

    Parameters
    ----------
    fit
        A fits.json or its folder, or a joint experiment of the study, fitted to --scores.
    budget
        FLOP of a training run. Repeatable.
    target
        A score to reach: the budget it needs, or that it is beyond the plateau.
    cost
        m and n of C = m (N D)^n. Default: fitted to the rows of the fit.
    family
        Cost of this family instead: 3 x forward FLOP x samples, with forward FLOP a power of N over its sizes.
    min_params, max_params, min_samples, max_samples
        Bounds on N and D.
    name
        Which fit, if the file holds several joint ones.
    group
        Which group, if the fit has amplitudes by group (--offsets).
    worst
        How many of the models in --scores to list whose compute another split would have used better.
    scores
        Score table for experiments, --family and --worst.
    bootstrap
        Resamples by architecture for an experiment's intervals.
    seed
        Seed of the resamples.
    out
        JSON file for the plan.
    """
    from vvscale.laws.workflow.plan_budgets import PlanRequest, run_plan
    from vvscale.laws.workflow.tables import plain, plan_table

    output = output or Output()
    request = PlanRequest(
        fit=fit, budgets=budget, target=target, cost=cost, family=family, n_bounds=(min_params, max_params),
        d_bounds=(min_samples, max_samples), name=name, group=group, worst=worst, scores=scores,
        n_resamples=bootstrap, seed=seed,
    )  # fmt: skip
    answer = run_plan(request)
    if answer.plans:
        output.table(plan_table(answer.plans), title=f"{answer.name}: cost {answer.cost.source}")
        first = answer.plans[0]
        output.say(
            f"N ~ C^{first.n_exponent:.3f}, D ~ C^{first.d_exponent:.3f}; score at infinite compute {first.limit:.4f}"
            + (
                f"; {f'ranges, each {first.unit} left out once' if first.is_range else f'intervals by {first.unit}'}"
                if first.unit
                else "; no resamples, so no intervals"
            )
        )
    if answer.target is not None:
        output.say(answer.target.words)
    if answer.worst is not None:
        output.table(plain(answer.worst), title="where compute was spent worst, as the law sees it")
    output.document(answer.to_dict())
    if out is not None:
        from vvscale.core.files import write_json

        write_json(out, answer.to_dict())
        output.note(f"Wrote {out}")
