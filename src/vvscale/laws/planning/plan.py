"""Spend a compute budget: the parameters N and samples D that a joint law predicts the most from.

A joint law Y = E + A N^-alpha + B D^-beta says what N and D are worth; a cost C = m N^p D^q says what they cost.
At the optimum the marginal gains per cost are equal, alpha A N^-alpha / p = beta B D^-beta / q, which has a closed
form. With the study's cost C = m (N D)^n it is

    N* = G (C/m)^(a/n),  D* = (C/m)^(b/n) / G,  a = beta/(alpha+beta), b = alpha/(alpha+beta),
    G = (alpha A / (beta B))^(1/(alpha+beta)),

with positive exponents (Hoffmann et al. 2022, approach 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import UsageError
from vvscale.laws.planning.cost import Cost, complete_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vvscale.laws.planning.joint import JointLaw

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """The optimal use of one budget.

    Attributes
    ----------
    budget
        FLOP.
    n_params, samples_seen
        The optimum.
    score
        Predicted score there, 1 - misalignment.
    score_interval, n_interval, d_interval
        95 % intervals over the law's resamples, each replanned (with ``is_range``, lowest and highest); None without
        resamples.
    unit, is_range
        What was resampled, and whether each unit was left out once.
    n_exponent, d_exponent
        N* ~ C^n_exponent and D* ~ C^d_exponent along the path (where no bound binds).
    limit
        Score at infinite compute, 1 - E.
    bound
        Which bound holds N or D away from the free optimum, or empty.
    per_decade
        Score gained by the next tenfold of budget.
    cost
        The cost model.
    share_without_optimum
        Share of resamples whose exponents allow no optimum; they are left out of the intervals.
    """

    budget: float
    n_params: float
    samples_seen: float
    score: float
    score_interval: tuple[float, float] | None
    n_interval: tuple[float, float] | None
    d_interval: tuple[float, float] | None
    unit: str
    is_range: bool
    n_exponent: float
    d_exponent: float
    limit: float
    bound: str
    per_decade: float
    cost: Cost
    share_without_optimum: float

    def table(self) -> pd.DataFrame:
        """One row per quantity."""
        rows = [
            ("parameters N", self.n_params, self.n_interval),
            ("samples seen D", self.samples_seen, self.d_interval),
            ("predicted score", self.score, self.score_interval),
        ]
        cells = [(name, value, *(interval or (np.nan, np.nan))) for name, value, interval in rows]
        return pd.DataFrame(cells, columns=["quantity", "value", "low", "high"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in self.__dict__.items() if k != "cost"}
        return {**plain, "cost": dict(self.cost.__dict__)}

    def _repr_html_(self) -> str:
        return f"<p>{self.budget:.3g} FLOP; {self.cost.source}</p>{self.table().to_html(index=False)}"


def optimum(
    alpha: Array | float, A: Array | float, beta: Array | float, B: Array | float, cost: Cost, budget: Array | float
) -> tuple[Array, Array]:
    """N* and D* of a budget; broadcasts. alpha A N^-alpha / p = beta B D^-beta / q on the budget line."""
    alpha, A, beta, B = (np.asarray(v, float) for v in (alpha, A, beta, B))
    room = np.log(np.asarray(budget, float) / cost.m)
    log_n = (np.log(alpha * A * cost.q / (beta * B * cost.p)) + beta * room / cost.q) / (alpha + beta * cost.p / cost.q)
    return np.exp(log_n), np.exp((room - cost.p * log_n) / cost.q)


def plan(
    law: JointLaw,
    budget: float,
    cost: Cost,
    *,
    n_bounds: tuple[float | None, float | None] = (None, None),
    d_bounds: tuple[float | None, float | None] = (None, None),
) -> Plan:
    """Plan one budget.

    Parameters
    ----------
    law, cost
        What N and D are worth and what they cost.
    budget
        FLOP, > 0.
    n_bounds, d_bounds
        Smallest and largest N and D allowed, in parameters and samples; None is open.

    Raises
    ------
    UsageError
        A budget or bound that is not positive, or bounds that no allocation of this budget meets.
    """
    if not (budget > 0 and np.isfinite(budget)):
        raise UsageError(f"A budget must be a positive number of FLOP, got {budget}. Example: `budget=1e20`.")
    low, high, names = _log_n_range(cost, budget, n_bounds, d_bounds)
    free_n, _ = optimum(law.alpha, law.A, law.beta, law.B, cost, budget)
    log_n = float(np.clip(np.log(free_n), low, high))
    bound = names[0] if log_n > np.log(free_n) else names[1] if log_n < np.log(free_n) else ""
    n = float(np.exp(log_n))
    d = float(cost.samples(budget, n))
    score = 1.0 - float(law.misalignment(n, d))
    later_n, later_d = optimum(law.alpha, law.A, law.beta, law.B, cost, 10.0 * budget)
    trade = law.alpha * cost.q + law.beta * cost.p
    intervals, without = _intervals(law, cost, budget, low, high)
    return Plan(
        budget=float(budget),
        n_params=n,
        samples_seen=d,
        score=score,
        score_interval=intervals.get("score"),
        n_interval=intervals.get("n"),
        d_interval=intervals.get("d"),
        unit=law.unit,
        is_range=law.is_range,
        n_exponent=law.beta / trade,
        d_exponent=law.alpha / trade,
        limit=1.0 - law.E,
        bound=bound,
        per_decade=float(law.misalignment(n, d) - law.misalignment(later_n, later_d)),
        cost=cost,
        share_without_optimum=without,
    )


def _log_n_range(
    cost: Cost, budget: float, n_bounds: tuple[float | None, float | None], d_bounds: tuple[float | None, float | None]
) -> tuple[float, float, tuple[str, str]]:
    """Range of log N that the bounds leave on the budget line, and the names of the bounds that end it."""
    low, high, names = -np.inf, np.inf, ["", ""]
    for value in (*n_bounds, *d_bounds):
        if value is not None and not value > 0:
            raise UsageError(f"A bound on N or D must be positive, got {value}.")
    room = np.log(budget / cost.m)

    def log_n_of(d: float) -> float:
        return (room - cost.q * np.log(d)) / cost.p

    limits = [
        (np.log(n_bounds[0]) if n_bounds[0] else None, 0, "N at its lower bound"),
        (np.log(n_bounds[1]) if n_bounds[1] else None, 1, "N at its upper bound"),
        (log_n_of(d_bounds[1]) if d_bounds[1] else None, 0, "D at its upper bound"),
        (log_n_of(d_bounds[0]) if d_bounds[0] else None, 1, "D at its lower bound"),
    ]
    for value, side, name in limits:
        if value is None:
            continue
        if side == 0 and value > low:
            low, names[0] = float(value), name
        if side == 1 and value < high:
            high, names[1] = float(value), name
    if low > high:
        raise UsageError(
            f"No allocation of {budget:.3g} FLOP meets the bounds: {names[0]} needs N >= {np.exp(low):.3g}, {names[1]} "
            f"needs N <= {np.exp(high):.3g}. Widen a bound or change the budget."
        )
    return low, high, (names[0], names[1])


def _intervals(
    law: JointLaw, cost: Cost, budget: float, low: float, high: float
) -> tuple[dict[str, tuple[float, float]], float]:
    """95 % intervals of score, N* and D* over the resamples, each planned by its own law; none without resamples."""
    if not law.draws:
        return {}, 0.0
    draws = law.draws
    valid = (draws["alpha"] > 0) & (draws["beta"] > 0) & (draws["A"] > 0) & (draws["B"] > 0)
    if not valid.any():
        return {}, 1.0
    E, A, alpha, B, beta = (draws[name][valid] for name in ("E", "A", "alpha", "B", "beta"))
    n, _ = optimum(alpha, A, beta, B, cost, budget)
    n = np.exp(np.clip(np.log(n), low, high))
    d = np.asarray(cost.samples(budget, n))
    score = 1.0 - (E + A * n**-alpha + B * d**-beta)
    made = {}
    for name, values in (("score", score), ("n", n), ("d", d)):
        first, last = np.quantile(values, [0.0, 1.0] if law.is_range else [0.025, 0.975])
        made[name] = (float(first), float(last))
    return made, float(1.0 - valid.mean())


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
    best_n, best_d = optimum(law.alpha, law.A, law.beta, law.B, cost, flop)
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
