"""``vvscale plan``."""

from __future__ import annotations

from pathlib import Path

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.laws.workflow.options import PlanOptions


@verb
def plan(fit: str = "compute_chinchilla", /, *, options: PlanOptions, out: Path | None = None, output: Output) -> None:
    """Spend a compute budget: the parameters and samples that a joint law predicts the most from.

    Parameters
    ----------
    fit
        A fits.json or its folder, or a published joint experiment, fitted to the rows of --scores.
    out
        JSON file for the plan.
    """
    from vvscale.laws.workflow.plan_budgets import run_plan
    from vvscale.laws.workflow.tables import plain, plan_table, plan_words

    answer = run_plan(fit, options)
    if answer.plans:
        output.table(plan_table(answer.plans), title=f"{answer.name}: cost {answer.cost.source}")
        for line in plan_words(answer.plans):
            output.say(line)
    if answer.target is not None:
        output.say(answer.target.words)
    if answer.worst is not None:
        output.table(plain(answer.worst), title="where compute was spent worst, as the law sees it")
    output.document(answer.to_dict())
    if out is not None:
        from vvscale.core.files import write_json

        write_json(out, answer.to_dict())
        output.note(f"Wrote {out}")
