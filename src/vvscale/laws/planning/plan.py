"""Spend a compute budget: the parameters N and samples D that a joint law predicts the most from.

A joint law says what N and D are worth, a cost C = m N^p D^q what they cost; ``allocate`` weighs them. A plan knows
the rows behind its law: what lies beyond them is a warning, what lies far beyond them is not advised, and what nobody
can say has no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable
from vvscale.errors import UsageError
from vvscale.laws.planning.allocate import NAMES, Bounds, Terms, allocate, optimum
from vvscale.laws.planning.cost import Cost, complete_rows
from vvscale.laws.planning.support import rows_needed
from vvscale.laws.uncertainty.intervals import FEWEST, percentile, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.planning.joint import JointLaw
    from vvscale.laws.planning.support import Beyond

    Array = NDArray[np.float64]

Interval = tuple[float, float]
# Quantities of a plan whose t intervals are symmetric in the log.
AMOUNTS = {"n", "d"}


@dataclass(frozen=True)
class Plan:
    """The optimal use of one budget.

    Attributes
    ----------
    budget
        FLOP.
    n_params, samples_seen
        The optimum.
    n_samples, epochs
        The same samples as images times passes over them: as asked, else passes over the largest data set of the
        rows. None where nothing is known.
    score, label
        Predicted 1 - outcome there, and what that is called: ``"score"`` of a misalignment.
    score_interval, n_interval, d_interval, n_exponent_interval, d_exponent_interval
        95 % intervals over the law's resamples, each replanned, and over the scatter of costs; None without
        resamples.
    unit, method
        What was resampled, and how intervals are made: ``"percentile"`` or ``"CRV3-t"``.
    n_exponent, d_exponent
        N* ~ C^n_exponent and D* ~ C^d_exponent along the path (where no bound binds).
    limit
        1 - E, predicted at infinite compute.
    bound
        Which bound holds N or D away from the free optimum, or empty.
    per_decade
        Gained by the next tenfold of budget under the same bounds.
    cost
        The cost model.
    share_without_optimum
        Share of resamples whose exponents allow no optimum; they are left out of the intervals.
    warnings
        What lies beyond the rows of the fit, and by how much.
    status, plateau
        Status of the fit and of its plateau.
    notes
        What the rows cannot tell apart, in sentences.
    """

    budget: float
    n_params: float
    samples_seen: float
    n_samples: float | None
    epochs: float | None
    score: float
    label: str
    score_interval: Interval | None
    n_interval: Interval | None
    d_interval: Interval | None
    n_exponent_interval: Interval | None
    d_exponent_interval: Interval | None
    unit: str
    method: str
    n_exponent: float
    d_exponent: float
    limit: float
    bound: str
    per_decade: float
    cost: Cost
    share_without_optimum: float
    warnings: tuple[Beyond, ...] = ()
    status: str = ""
    plateau: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_advised(self) -> bool:
        """Whether the plan lies near enough to the rows of its fit to be followed."""
        return not any(each.is_far for each in self.warnings)

    def table(self) -> pd.DataFrame:
        """One row per quantity."""
        rows = [
            ("parameters N", self.n_params, self.n_interval),
            ("samples seen D", self.samples_seen, self.d_interval),
            (f"predicted {self.label}", self.score, self.score_interval),
            ("N ~ C to the power", self.n_exponent, self.n_exponent_interval),
            ("D ~ C to the power", self.d_exponent, self.d_exponent_interval),
        ]
        cells = [(name, value, *(interval or (np.nan, np.nan))) for name, value, interval in rows]
        return pd.DataFrame(cells, columns=["quantity", "value", "low", "high"])

    def words(self) -> tuple[str, ...]:
        """What a person should read beside the numbers: what is not advised first, then warnings."""
        lost = self.share_without_optimum
        dropped = [f"{lost:.0%} of the resamples have no optimum; the intervals leave them out."] if lost else []
        needed = [f"{self.budget:.3g} FLOP: {rows}" for rows in rows_needed(self.warnings)]
        return (*needed, *(f"Warning: {each.words}" for each in self.warnings), *dropped, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {"warnings": [each.to_dict() for each in self.warnings], "is_advised": self.is_advised}
        return jsonable({**vars(self), **told})

    def _repr_html_(self) -> str:
        head = f"<p>{self.budget:.3g} FLOP; {self.cost.source}</p>"
        return head + self.table().to_html(index=False) + "".join(f"<p>{line}</p>" for line in self.words())


def plan(
    law: JointLaw,
    budget: float,
    cost: Cost,
    *,
    n_bounds: tuple[float | None, float | None] = (None, None),
    d_bounds: tuple[float | None, float | None] = (None, None),
    n_samples: float | None = None,
    epochs: float | None = None,
) -> Plan:
    """Plan one budget.

    Parameters
    ----------
    law, cost
        What N and D are worth and what they cost.
    budget
        FLOP, > 0.
    n_bounds, d_bounds
        Smallest and largest N and D allowed, in parameters and samples seen; None is open.
    n_samples, epochs
        Images at hand, or passes over them: how the samples seen are made up. A law in images needs ``epochs``.

    Raises
    ------
    UsageError
        A budget or bound that is not positive, bounds that no allocation of this budget meets, ``n_samples`` and
        ``epochs`` both given, or a law in images without ``epochs``.
    """
    if not (budget > 0 and np.isfinite(budget)):
        raise UsageError(f"A budget must be a positive number of FLOP, got {budget}. Example: `budget=1e20`.")
    passes = law.passes(n_samples, epochs)
    cost_of_data = cost.per_image(passes)
    bounds = Bounds.of(n_bounds, d_bounds, passes)
    n, bound = _within(law, budget, cost_of_data, bounds)
    d = float(cost_of_data.samples(budget, n))
    later_n, later_d, _ = allocate(law, cost_of_data, 10.0 * budget, bounds)
    n_exponent, d_exponent = law.exponents(cost)
    intervals, without = _intervals(law, cost_of_data, budget, bounds)
    seen = d * passes
    d_interval = intervals.get("d")
    return Plan(
        budget=float(budget),
        n_params=n,
        samples_seen=seen,
        **law.made_of(seen, n_samples, epochs),
        score=1.0 - float(law.misalignment(n, d)),
        label=law.label,
        score_interval=intervals.get("score"),
        n_interval=intervals.get("n"),
        d_interval=d_interval and (d_interval[0] * passes, d_interval[1] * passes),
        n_exponent_interval=intervals.get("n_exponent"),
        d_exponent_interval=intervals.get("d_exponent"),
        unit=law.unit,
        method=law.method,
        n_exponent=n_exponent,
        d_exponent=d_exponent,
        limit=1.0 - law.E,
        bound=bound,
        per_decade=float(law.misalignment(n, d) - law.misalignment(later_n, later_d)),
        cost=cost,
        share_without_optimum=without,
        warnings=law.beyond(n, d, budget),
        status=law.status,
        plateau=law.plateau,
        notes=law.support.notes() if law.support else (),
    )


def _within(law: JointLaw, budget: float, cost: Cost, bounds: Bounds) -> tuple[float, str]:
    """N within the bounds on the budget line, and the bound that holds it, or empty."""
    room = np.log(budget / cost.m)

    def log_n_of(d: float) -> float:
        return float(room - cost.q * np.log(d)) / cost.p

    limits = [(-np.inf, ""), (np.inf, "")]
    for is_upper, value, name in (
        (0, np.log(bounds.n_low) if bounds.n_low else -np.inf, "N at its lower bound"),
        (1, np.log(bounds.n_high), "N at its upper bound"),
        (0, log_n_of(bounds.d_high), "D at its upper bound"),
        (1, log_n_of(bounds.d_low) if bounds.d_low else np.inf, "D at its lower bound"),
    ):
        if (value < limits[1][0]) if is_upper else (value > limits[0][0]):
            limits[is_upper] = (float(value), name)
    (low, low_name), (high, high_name) = limits
    if low > high:
        raise UsageError(
            f"No allocation of {budget:.3g} FLOP meets the bounds: {low_name} needs N >= {np.exp(low):.3g}, "
            f"{high_name} needs N <= {np.exp(high):.3g}. Widen a bound or change the budget."
        )
    free = float(np.log(optimum(law, cost, budget)[0]))
    held = float(np.clip(free, low, high))
    return float(np.exp(held)), low_name if held > free else high_name if held < free else ""


def _intervals(law: JointLaw, cost: Cost, budget: float, bounds: Bounds) -> tuple[dict[str, Interval], float]:
    """95 % intervals of what is planned over the resamples, each by its own law; and the share without an optimum.

    Costs scatter around their fit, which is the same as a scatter of the budget.
    """
    if not law.draws:
        return {}, 0.0
    valid = Terms.of(law.draws).has_optimum
    if not valid.any():
        return {}, 1.0
    kept, own = Terms.of(law.draws, valid), Terms.of({name: [getattr(law, name)] for name in NAMES})
    estimate = {name: float(value[0]) for name, value in _planned(own, cost, budget, bounds).items()}
    without = float(1.0 - valid.mean())
    made: dict[str, Interval] = {}
    if law.degrees is None:
        values = _planned(kept, cost, budget / scatter_of(cost, int(valid.sum())), bounds)
        for name, each in values.items():
            low, high = percentile(each, estimate[name])
            made[name] = (float(low), float(high))
        return made, without
    if without or len(valid) < FEWEST:
        return {}, without
    values = _planned(kept, cost, budget, bounds)
    # Half of what a step of one standard deviation of the cost to either side changes.
    cheap, dear = (_planned(own, cost, budget * 10.0**sign, bounds) for sign in (cost.scatter, -cost.scatter))
    for name, each in values.items():
        log = name in AMOUNTS
        step = (np.log(cheap[name] / dear[name]) if log else cheap[name] - dear[name])[0] / 2.0
        low, high = student(each, estimate[name], log=log, degrees=law.degrees, besides=float(step))
        made[name] = (float(low), float(high))
    return made, 0.0


def scatter_of(cost: Cost, n: int) -> Array:
    """Factors (n,) by which the costs of ``n`` networks leave their fit; the same ones every time."""
    return 10.0 ** (cost.scatter * np.random.default_rng(0).standard_normal(n))


def _planned(draws: Terms, cost: Cost, budget: Array | float, bounds: Bounds) -> dict[str, Array]:
    """What is planned under each draw of a law, name -> (B,)."""
    n, d, _ = allocate(draws, cost, budget, bounds)
    n_exponent, d_exponent = draws.exponents(cost)
    score = 1.0 - draws.misalignment(n, d)
    return {"score": score, "n": n, "d": d, "n_exponent": n_exponent, "d_exponent": d_exponent}


def worst_allocations(law: JointLaw, table: pd.DataFrame, cost: Cost, *, n: int = 10) -> pd.DataFrame:
    """Where budgets were spent worst: models by the score that another split of their own compute would have added.

    Parameters
    ----------
    table
        Columns model_id, n_params, samples_seen; rows with a missing value are left out.
    n
        How many models to return.

    Returns
    -------
    pandas.DataFrame
        Worst first: model_id, train_flop under ``cost``, n_params and samples_seen as they were and as they should
        have been, and lost_score >= 0, all as the law sees it.
    """
    frame = complete_rows(table, ["n_params", "samples_seen"])
    was_n, was_d = frame["n_params"].to_numpy(float), frame["samples_seen"].to_numpy(float)
    flop = np.asarray(cost.flop(was_n, was_d))
    best_n, best_d = optimum(law, cost, flop)
    lost = np.asarray(law.misalignment(was_n, was_d)) - np.asarray(law.misalignment(best_n, best_d))
    made = pd.DataFrame(
        {
            "model_id": frame["model_id"].to_numpy() if "model_id" in frame.columns else frame.index.to_numpy(),
            "train_flop": flop,
            "n_params": was_n,
            "optimal_n_params": best_n,
            "samples_seen": was_d,
            "optimal_samples_seen": best_d,
            "lost_score": lost,
        }
    )
    return made.sort_values("lost_score", ascending=False, kind="stable").head(n).reset_index(drop=True)
