"""Spend a compute budget: the parameters N and samples D that a joint law predicts the most from.

A joint law Y = E + A N^-alpha + B D^-beta says what N and D are worth; a cost C = m N^p D^q says what they cost.
At the optimum the marginal gains per cost are equal, alpha A N^-alpha / p = beta B D^-beta / q, which has a closed
form. With the study's cost C = m (N D)^n it is

    N* = G (C/m)^(a/n),  D* = (C/m)^(b/n) / G,  a = beta/(alpha+beta), b = alpha/(alpha+beta),
    G = (alpha A / (beta B))^(1/(alpha+beta)),

with positive exponents (Hoffmann et al. 2022, approach 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import FitError, UsageError
from vvscale.laws.cost import Cost, complete_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vvscale.laws.bootstrap import Bootstrap
    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]


# More than anybody will ever spend: what needs more is out of reach.
MOST_FLOP = 1e80
# A group's amplitude relative to the reference group's, as ``optimise.natural`` names it.
_RATIO = re.compile(r"(?P<letter>[AB])\[(?P<group>.*)\]/[AB]\[(?P<reference>.*)\]")


@dataclass(frozen=True)
class JointLaw:
    """What a plan needs of a joint fit: parameters in raw units, and resamples of them.

    Attributes
    ----------
    E, A, alpha, B, beta
        Parameters for N and D in raw units (one parameter, one sample).
    draws
        The same from resamples, name -> (B,); empty for a plan without intervals.
    unit
        What was resampled.
    is_range
        Whether each unit was left out once: then the lowest and highest value are given, not percentiles.
    """

    E: float
    A: float
    alpha: float
    B: float
    beta: float
    draws: Mapping[str, Array] = field(default_factory=dict, repr=False)
    unit: str = ""
    is_range: bool = False

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.beta > 0 and self.A > 0 and self.B > 0):
            raise FitError(
                "No optimum exists under this law: a plan needs alpha, beta, A and B greater than 0, got alpha = "
                f"{self.alpha:.3g}, beta = {self.beta:.3g}, A = {self.A:.3g}, B = {self.B:.3g}. More of one input "
                "never helps here; fit other rows."
            )

    @classmethod
    def from_fit(cls, fit: Fit, resampled: Bootstrap | None = None) -> JointLaw:
        """Take the law from a fit without offsets of n_params and samples_seen (in this order) and its bootstrap."""
        draws = resampled.params if resampled is not None else {}
        usable = resampled.usable if resampled is not None else slice(None)
        kept = {name: values[usable] for name, values in draws.items()}
        unit = resampled.resamples.unit if resampled is not None else ""
        is_range = resampled is not None and resampled.resamples.leaves_one_out
        return cls.from_params(fit.law.name, fit.params, fit.problem.units, kept, unit, is_range=is_range)

    @classmethod
    def from_params(
        cls,
        law: str,
        params: Mapping[str, float],
        units: Sequence[float],
        draws: Mapping[str, Array] | None = None,
        unit: str = "",
        *,
        group: str | None = None,
        is_range: bool = False,
    ) -> JointLaw:
        """Take the law from parameters in scaled units; of a fit with group offsets, that of one ``group``."""
        if law not in {"joint", "ccn-joint"}:
            raise UsageError(
                f"A plan needs a joint law in parameters and samples, got '{law}'. Fit one with "
                "`vvscale fit TABLE --law joint --x n_params --x samples_seen --out DIR`."
            )

        ratio = _group_ratios(params, group)

        def raw(values: Mapping[str, Any]) -> dict[str, Any]:
            own = {letter: values[letter] * (values[ratio[letter]] if letter in ratio else 1.0) for letter in "AB"}
            return {
                "E": values["E"],
                "A": own["A"] * units[0] ** values["alpha"],
                "alpha": values["alpha"],
                "B": own["B"] * units[1] ** values["beta"],
                "beta": values["beta"],
            }

        drawn = {name: np.asarray(values, float) for name, values in raw(draws).items()} if draws else {}
        # A resample that drew no rows of the group says nothing of it.
        known = np.all([np.isfinite(values) for values in drawn.values()], axis=0) if drawn else None
        drawn = {name: values[known] for name, values in drawn.items()}
        return cls(**{k: float(v) for k, v in raw(params).items()}, draws=drawn, unit=unit, is_range=is_range)

    def misalignment(self, n: Array | float, d: Array | float) -> Array | float:
        """Predicted misalignment of n parameters and d samples."""
        return self.E + self.A * np.asarray(n, float) ** -self.alpha + self.B * np.asarray(d, float) ** -self.beta


def _group_ratios(params: Mapping[str, float], group: str | None) -> dict[str, str]:
    """Name of the ratio of each amplitude, A or B, that a group has for itself; empty for the reference group."""
    ratios = [match for name in params if (match := _RATIO.fullmatch(name))]
    groups = sorted({match[part] for match in ratios for part in ("group", "reference")})
    if not ratios and group is None:
        return {}
    if group not in groups:
        listed = f"the fit's groups are {', '.join(groups)}" if groups else "the fit has no groups"
        raise UsageError(
            f"Which group to plan for? Got {group!r}, but {listed}. "
            + ("Say which with --group." if groups else "Leave --group out.")
        )
    return {match["letter"]: match[0] for match in ratios if match["group"] == group}


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
        raise UsageError(f"A budget must be a positive number of FLOP, got {budget}. Example: --budget 1e20.")
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


@dataclass(frozen=True)
class TargetBudget:
    """The budget that a target score needs.

    Attributes
    ----------
    target
        Score asked for.
    budget
        FLOP, or None if the target lies beyond the plateau.
    interval
        95 % interval over resamples, an end None where it is beyond the plateau in that tail.
    share_beyond
        Share of resamples whose plateau lies below the target.
    limit
        Score at infinite compute.
    """

    target: float
    budget: float | None
    interval: tuple[float | None, float | None] | None
    share_beyond: float
    limit: float

    @property
    def words(self) -> str:
        """The answer as a sentence."""
        if self.budget is None:
            if self.target < self.limit:
                return f"A score of {self.target:g} is out of reach within these bounds. Widen them."
            return (
                f"A score of {self.target:g} is beyond this law's plateau of {self.limit:.4g}: no budget reaches it. "
                "Change what is trained, not how much."
            )
        spread = ""
        if self.interval is not None:
            low, high = (f"{end:.3g}" if end is not None else "beyond reach" for end in self.interval)
            spread = f" ({low} to {high} over the resamples)"
        doubt = f"; {self.share_beyond:.0%} of resamples put it out of reach" if self.share_beyond else ""
        return f"A score of {self.target:g} needs {self.budget:.3g} FLOP{spread}{doubt}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.__dict__, "interval": list(self.interval) if self.interval else None, "words": self.words}


def budget_for(
    law: JointLaw,
    target: float,
    cost: Cost,
    *,
    n_bounds: tuple[float | None, float | None] = (None, None),
    d_bounds: tuple[float | None, float | None] = (None, None),
) -> TargetBudget:
    """Budget that reaches a target score along the optimal path within bounds on N and D.

    On the path both terms fall as C grows, so that the budget is the root of a decreasing function.
    """
    if not 0 < target < 1:
        raise UsageError(f"A target score lies between 0 and 1, got {target}. Example: --target 0.45.")
    values = np.array([[law.E], [law.A], [law.alpha], [law.B], [law.beta]])
    bounds = (*_ends(n_bounds), *_ends(d_bounds))
    budget = _budgets(values, target, cost, bounds)[0]
    interval, beyond = None, 0.0
    names = ("E", "A", "alpha", "B", "beta")
    draws = np.stack([np.asarray(law.draws[name], float) for name in names]) if law.draws else np.empty((5, 0))
    draws = draws[:, (draws[1:] > 0).all(axis=0)]
    if draws.size:
        budgets = _budgets(draws, target, cost, bounds)
        beyond = float(np.isinf(budgets).mean())
        low, high = np.quantile(budgets, [0.0, 1.0] if law.is_range else [0.025, 0.975], method="nearest")
        interval = (float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None)
    return TargetBudget(
        target,
        float(budget) if np.isfinite(budget) else None,
        interval,
        beyond,
        1.0 - law.E,
    )


def _ends(bounds: tuple[float | None, float | None]) -> tuple[float, float]:
    for value in bounds:
        if value is not None and not value > 0:
            raise UsageError(f"A bound on N or D must be positive, got {value}.")
    return bounds[0] or 0.0, bounds[1] or np.inf


def _budgets(values: Array, target: float, cost: Cost, bounds: tuple[float, float, float, float]) -> Array:
    """Budgets (B,) for parameter columns (5, B) within bounds of N and D; infinite out of reach. Bisection in log C."""
    n_low, n_high, d_low, d_high = bounds
    E, A, alpha, B, beta = values
    low, high = np.full(E.shape, np.log(1e-30)), np.full(E.shape, np.log(MOST_FLOP))
    goal = 1.0 - target
    for _ in range(200):
        middle = 0.5 * (low + high)
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            budget = np.exp(middle)
            n, _ = optimum(alpha, A, beta, B, cost, budget)
            # What D leaves to N moves N off the optimum; beyond both upper bounds money is left over.
            if np.isfinite(d_high):
                n = np.maximum(n, cost.parameters(budget, d_high))
            if d_low > 0:
                n = np.minimum(n, cost.parameters(budget, d_low))
            n = np.clip(n, n_low, n_high)
            d = np.clip(cost.samples(budget, n), d_low, d_high)
            affordable = cost.flop(n, d) <= budget * (1.0 + 1e-9)
            enough = affordable & (E + A * n**-alpha + B * d**-beta <= goal)
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    return np.where((goal > E) & (high < np.log(MOST_FLOP) - 1.0), np.exp(high), np.inf)


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
