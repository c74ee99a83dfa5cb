"""From a request to a plan: where the law and its cost come from, for ``vvscale plan``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.errors import UsageError
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.gokce2025.reproduction import reproduce
from vvscale.laws.law import LAWS
from vvscale.laws.planning.cost import Cost, family_cost, fit_cost, given_cost
from vvscale.laws.planning.joint import JointLaw
from vvscale.laws.planning.plan import Plan, plan, worst_allocations
from vvscale.laws.planning.target import TargetBudget, budget_for
from vvscale.laws.workflow.options import PlanOptions
from vvscale.laws.workflow.save import FITS, load_joint
from vvscale.scores import load_scores

if TYPE_CHECKING:
    import pandas as pd

UNIT = "arch"


@dataclass(frozen=True)
class Answer:
    """Plans for each budget, and what was asked besides.

    Attributes
    ----------
    name
        The fit's name.
    cost
        The cost that was used.
    plans
        One per budget.
    target
        Budget for the target score, if asked for.
    worst
        Models whose compute was split worst, if asked for.
    status, plateau
        Status of the fit, and how well its plateau is known.
    """

    name: str
    cost: Cost
    plans: tuple[Plan, ...]
    target: TargetBudget | None
    worst: pd.DataFrame | None
    status: str
    plateau: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "fit": self.name,
            "status": self.status,
            "plateau": self.plateau,
            "cost": dict(self.cost.__dict__),
            "plans": [each.to_dict() for each in self.plans],
            "target": self.target.to_dict() if self.target else None,
            "worst": self.worst.to_dict(orient="records") if self.worst is not None else None,
        }


def run_plan(fit: str, options: PlanOptions | None = None, /, **fields: Any) -> Answer:
    """Plan with a saved fit or a published experiment.

    Parameters
    ----------
    fit
        A fits.json or its folder, or the name of a joint experiment.
    options, fields
        A :class:`PlanOptions`, its fields as keywords, or both.
    """
    options = PlanOptions.of(options, **fields)
    if not options.budget and options.target is None and not options.worst:
        raise UsageError("Nothing to plan: give a `budget`, a `target` or `worst`, for example `budget=1e20`.")
    name, law, own_cost, rows = _law(fit, options)
    if not options.anyway:
        law.refuse_doubtful(name)
    cost = _cost(fit, options, own_cost, rows)
    asked: dict[str, Any] = {
        "n_bounds": (options.min_params, options.max_params),
        "d_bounds": (options.min_samples, options.max_samples),
        "epochs": options.epochs,
    }
    plans = tuple(plan(law, budget, cost, n_samples=options.n_samples, **asked) for budget in options.budget)
    target = budget_for(law, options.target, cost, **asked) if options.target is not None else None
    worst = None
    if options.worst:
        worst = worst_allocations(law, rows if rows is not None else _models(options), cost, n=options.worst)
    return Answer(name, cost, plans, target, worst, law.status, law.plateau)


def _law(fit: str, options: PlanOptions) -> tuple[str, JointLaw, Cost | None, pd.DataFrame | None]:
    """Return the law, the cost of its rows where known, and the rows where at hand."""
    if fit in EXPERIMENTS and not Path(fit).exists():
        experiment = EXPERIMENTS[fit]
        if options.name is not None or options.group is not None:
            raise UsageError(f"`name` and `group` choose within a file of fits; '{fit}' is an experiment.")
        if not LAWS[experiment.law].is_joint:
            raise UsageError(
                f"The experiment '{fit}' is a law in {', '.join(experiment.x)}; a plan needs a joint law in "
                "parameters and samples. Use compute_chinchilla."
            )
        done = reproduce(
            experiment, load_scores(options.scores), n_resamples=options.resamples, units=(UNIT,), seed=options.seed
        )
        rows = done.fit.problem.frame
        law = JointLaw.from_fit(done.fit, done.resamples.get(UNIT), verdict=done.verdict)
        return fit, law, fit_cost(rows), rows
    if not Path(fit).exists() and Path(fit).name != FITS and "/" not in fit:
        # A mistyped experiment, most likely: its error lists them.
        EXPERIMENTS[fit]
    saved = load_joint(fit, options.name, options.group)
    return saved.name, saved.law, saved.cost, None


def _cost(fit: str, options: PlanOptions, own: Cost | None, rows: pd.DataFrame | None) -> Cost:
    if options.cost is not None and options.family is not None:
        raise UsageError("Give `cost` or `family`, not both: each is a cost model.")
    if options.cost is not None:
        return given_cost(*options.cost)
    if options.family is not None:
        return family_cost(rows if rows is not None else _models(options), options.family)
    if own is None:
        raise UsageError(
            f"'{fit}' does not say what parameters and samples cost: its rows had no train_flop. Give `cost`, m and n "
            "of C = m (N D)^n: `cost=(6, 1)` where each weight is used once per sample, as in a transformer; or "
            "`family`."
        )
    return own


def _models(options: PlanOptions) -> pd.DataFrame:
    return ModelTables(load_scores(options.scores)).models
