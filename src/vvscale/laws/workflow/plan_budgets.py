"""From a request to a plan: where the law and its cost come from, for ``vvscale plan``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.errors import UsageError
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.gokce2025.reproduction import reproduce
from vvscale.laws.planning.cost import Cost, family_cost, fit_cost
from vvscale.laws.planning.joint import JointLaw
from vvscale.laws.planning.plan import Plan, plan, worst_allocations
from vvscale.laws.planning.target import TargetBudget, budget_for
from vvscale.laws.workflow.save import FITS, load_joint
from vvscale.scores import load_scores

if TYPE_CHECKING:
    import pandas as pd

UNIT = "arch"


@dataclass(frozen=True)
class PlanRequest:
    """What to plan; see ``vvscale plan --help``."""

    fit: str = "compute_chinchilla"
    budgets: tuple[float, ...] = ()
    target: float | None = None
    cost: tuple[float, float] | None = None
    family: str | None = None
    n_bounds: tuple[float | None, float | None] = (None, None)
    d_bounds: tuple[float | None, float | None] = (None, None)
    name: str | None = None
    group: str | None = None
    worst: int = 0
    scores: str = "gokce2025"
    n_resamples: int = 1000
    seed: int = 42


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
    """

    name: str
    cost: Cost
    plans: tuple[Plan, ...]
    target: TargetBudget | None
    worst: pd.DataFrame | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "fit": self.name,
            "cost": dict(self.cost.__dict__),
            "plans": [each.to_dict() for each in self.plans],
            "target": self.target.to_dict() if self.target else None,
            "worst": self.worst.to_dict(orient="records") if self.worst is not None else None,
        }


def run_plan(request: PlanRequest) -> Answer:
    """Answer a request."""
    if not request.budgets and request.target is None and not request.worst:
        raise UsageError("Nothing to plan: give --budget FLOP, --target SCORE, or --worst N. Example: --budget 1e20.")
    if request.worst < 0:
        raise UsageError(f"--worst is a number of models, at least 0, got {request.worst}.")
    name, law, own_cost, rows = _law(request)
    cost = _cost(request, own_cost, rows)
    bounds = {"n_bounds": request.n_bounds, "d_bounds": request.d_bounds}
    plans = tuple(plan(law, budget, cost, **bounds) for budget in request.budgets)
    target = budget_for(law, request.target, cost, **bounds) if request.target is not None else None
    worst = None
    if request.worst:
        worst = worst_allocations(law, rows if rows is not None else _models(request), cost, n=request.worst)
    return Answer(name, cost, plans, target, worst)


def _law(request: PlanRequest) -> tuple[str, JointLaw, Cost | None, pd.DataFrame | None]:
    """Return the law, the cost of its rows where known, and the rows where at hand."""
    if request.fit in EXPERIMENTS and not Path(request.fit).exists():
        experiment = EXPERIMENTS[request.fit]
        if request.name is not None or request.group is not None:
            raise UsageError(f"--name and --group choose within a file of fits; '{request.fit}' is an experiment.")
        if experiment.law != "joint":
            raise UsageError(
                f"The experiment '{request.fit}' is a law in {', '.join(experiment.x)}; a plan needs a joint law in "
                "parameters and samples. Use compute_chinchilla."
            )
        done = reproduce(
            experiment, load_scores(request.scores), n_resamples=request.n_resamples, units=(UNIT,), seed=request.seed
        )
        rows = done.fit.problem.frame
        return request.fit, JointLaw.from_fit(done.fit, done.resamples.get(UNIT)), fit_cost(rows), rows
    if not Path(request.fit).exists() and Path(request.fit).name != FITS and "/" not in request.fit:
        # A mistyped experiment, most likely: its error lists them.
        EXPERIMENTS[request.fit]
    saved = load_joint(request.fit, request.name, request.group)
    return saved.name, saved.law, saved.cost, None


def _cost(request: PlanRequest, own: Cost | None, rows: pd.DataFrame | None) -> Cost:
    if request.cost is not None and request.family is not None:
        raise UsageError("Give --cost or --family, not both: each is a cost model.")
    if request.cost is not None:
        m, n = request.cost
        return Cost(m, n, n, f"C = {m:g} (N D)^{n:g}, as given")
    if request.family is not None:
        return family_cost(rows if rows is not None else _models(request), request.family)
    if own is None:
        raise UsageError(
            f"'{request.fit}' does not say what parameters and samples cost: its rows had no train_flop. Give --cost m "
            "n for C = m (N D)^n, or --family NAME."
        )
    return own


def _models(request: PlanRequest) -> pd.DataFrame:
    return ModelTables(load_scores(request.scores)).models
