"""What to train next: the runs that tell most about one quantity of a law, within a budget.

The estimates that a fit would give again are scattered as the sandwich of an M-estimator says,

    Cov = A^-1 (sum_g s_g s_g') A^-1,   A = sum_i j_i j_i',   s_g = sum of j_i psi_i over the rows of group g,

with j_i the gradient of the curve at row i and psi_i its bounded residual. Rows of one architecture count as one piece
of evidence. A new run is a new architecture: it adds j j' to A, and its expected square to the middle. Choosing runs
that make the variance of one quantity smallest is a c-optimal design, that of all parameters a D-optimal one; both are
found by adding runs one by one and exchanging them until nothing gains, on average over the law's own resamples, since
a nonlinear law is optimal only where it is true.

Source: Atkinson, Donev & Tobias 2007, Optimum Experimental Designs, chapters 10, 12 and 17.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable
from vvscale.core.options import SEED
from vvscale.errors import FitError, UsageError
from vvscale.laws.planning.allocate import NAMES
from vvscale.laws.planning.cost import Cost, fit_cost
from vvscale.laws.planning.information import Evidence, choose, curves_of, log_after
from vvscale.laws.solve_law import natural
from vvscale.laws.uncertainty.intervals import LEVEL
from vvscale.laws.uncertainty.jackknife import Jackknife, jackknife
from vvscale.laws.uncertainty.refits import refit_fit
from vvscale.laws.uncertainty.resample import default_unit, resamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit

    Array = NDArray[np.float64]

# Candidate runs along each input; neighbours differ by a fifth to a third of a decade on the published tables.
N_GRID, D_GRID = 16, 24
# Laws that a design has to be good under: the fit, and refits to resamples of its rows.
LAWS = 16
# What may be reduced, besides "score-at".
QUANTITIES = ("E", "alpha", "beta", "exponent", "all")


@dataclass(frozen=True)
class Design:
    """Runs to train next.

    Attributes
    ----------
    runs
        One row per distinct run: ``n_params``, ``samples_seen``, ``train_flop``, and ``count``, each a new
        architecture.
    reduce
        What they are chosen for.
    value, interval
        Its estimate, and its interval now.
    expected
        The interval expected after the runs, around the same estimate.
    shrinkage
        Expected standard error after the runs, relative to that now: the median over the laws.
    shrinkage_range
        Lowest and highest of them.
    baseline
        The same for as many runs at the middle of the rows.
    budget, spent
        FLOP allowed and used.
    by
        What counts as one piece of evidence.
    """

    runs: pd.DataFrame
    reduce: str
    value: float
    interval: tuple[float, float]
    expected: tuple[float, float]
    shrinkage: float
    shrinkage_range: tuple[float, float]
    baseline: float
    budget: float
    spent: float
    by: str

    @property
    def narrows(self) -> bool:
        """Whether the interval is expected to become narrower at all."""
        return bool(np.isfinite(self.shrinkage) and self.shrinkage < 1)

    @property
    def sentence(self) -> str:
        """What the runs are expected to bring, in words."""
        low, high = self.shrinkage_range
        what = "all parameters" if self.reduce == "all" else self.reduce
        if not self.narrows:
            return (
                f"{int(self.runs['count'].sum())} runs for {self.spent:.3g} FLOP are not expected to narrow the "
                f"interval of {what}: these rows leave the law too open to design with. More architectures, or a wider "
                "range of sizes and images, come first."
            )
        return (
            f"{int(self.runs['count'].sum())} runs for {self.spent:.3g} FLOP are expected to narrow the interval of "
            f"{what} by {1 - self.shrinkage:.0%} ({1 - high:.0%} to {1 - low:.0%} over resamples of the law). "
            f"As many at the middle of the rows: by {max(1 - self.baseline, 0.0):.0%}."
        )

    def table(self) -> pd.DataFrame:
        """One row per distinct run."""
        return self.runs.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        plain = {key: value for key, value in self.__dict__.items() if key != "runs"}
        return jsonable(
            {**plain, "runs": self.runs.to_dict("records"), "narrows": self.narrows, "sentence": self.sentence}
        )

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.runs.to_html(index=False)}"


def design_runs(
    fit: Fit,
    budget: float,
    runs: int,
    *,
    reduce: str = "all",
    at: Sequence[float] = (),
    cost: Cost | None = None,
    n_bounds: tuple[float, float] | None = None,
    d_bounds: tuple[float, float] | None = None,
    by: str | None = None,
) -> Design:
    """Choose the runs that tell most about a law.

    Parameters
    ----------
    fit
        A joint law of n_params and samples_seen (in this order), or a power law of train_flop.
    budget
        FLOP of all runs together, > 0.
    runs
        How many, at least 1; each is a new architecture.
    reduce
        ``"E"``, ``"alpha"``, ``"beta"``, ``"exponent"`` (of the optimal N in compute), ``"score-at"`` (the score at
        ``at``), or ``"all"`` parameters together.
    at
        Inputs of ``"score-at"``, one value per input of the law, raw units.
    cost
        What N and D cost; by default fitted to the rows. A law of train_flop needs none.
    n_bounds, d_bounds
        Smallest and largest N and D (or compute, for a law of it: ``d_bounds``); by default those of the rows.
    by
        What belongs together; by default ``arch`` where the table knows architectures.

    Raises
    ------
    UsageError
        Another law, a quantity that it does not have, or a budget that does not pay for the cheapest runs.
    FitError
        A law with an absent or flat term, or without a plateau: nothing can be designed around it.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> rng, arch = np.random.default_rng(0), np.arange(80) % 10
    >>> flop = 10 ** rng.uniform(13, 17, 80)
    >>> y = (0.3 + 0.5 * (flop / 1e13) ** -0.3) * np.exp(0.02 * rng.normal(size=80))
    >>> table = pd.DataFrame({"train_flop": flop, "misalignment": y, "arch": arch})
    >>> made = design_runs(fit_law(table), 1e17, 4, reduce="E")
    >>> made.shrinkage < min(made.baseline, 1), int(made.runs["count"].sum()), made.spent <= 1e17
    (True, 4, True)
    """
    if not (budget > 0 and np.isfinite(budget)) or runs < 1:
        raise UsageError(
            f"`budget` must be a positive number of FLOP and `runs` at least 1, got {budget:g} and {runs}."
        )
    candidates = _candidates(fit, cost, n_bounds, d_bounds)
    left_out = jackknife(fit, by=by or default_unit(fit.problem.frame))
    laws = _laws(fit, left_out.by)
    goal = _Goal(fit, reduce, tuple(at))
    state = Evidence.of(fit, laws, left_out.by, None if goal.is_all else goal.gradient(laws))
    chosen = choose(state.gradients(candidates.x), state, candidates.flop, budget, runs)
    middle = state.gradients(tuple(np.array([np.exp(np.median(np.log(x)))]) for x in fit.problem.raw))
    now = state.log_variance(state.bread, state.meat)
    after = log_after(state, state.gradients(candidates.x), chosen)
    plain = log_after(state, middle, np.zeros(runs, dtype=np.intp))
    # Of all parameters together: the geometric mean of the axes of their ellipsoid.
    power = 0.5 / (state.size if goal.is_all else 1)
    ratio, baseline = np.exp(power * (after - now)), np.exp(power * (plain - now))
    shrinkage = float(np.median(ratio))
    value, interval = _now(goal, left_out)
    expected = tuple(value + shrinkage * (end - value) for end in interval)
    return Design(
        _table(candidates, chosen), reduce, value, interval, (expected[0], expected[1]), shrinkage,
        (float(ratio.min()), float(ratio.max())), float(np.median(baseline)), float(budget),
        float(candidates.flop[chosen].sum()), left_out.by,
    )  # fmt: skip


# --- candidates ---


@dataclass(frozen=True)
class _Candidates:
    """Runs to choose from: inputs of the law, (k,) each in raw units, and FLOP (k,)."""

    x: tuple[Array, ...]
    flop: Array


def _candidates(
    fit: Fit, cost: Cost | None, n_bounds: tuple[float, float] | None, d_bounds: tuple[float, float] | None
) -> _Candidates:
    columns, raw = fit.problem.columns, fit.problem.raw
    if columns == ("train_flop",) and fit.law.terms:
        low, high = d_bounds or (raw[0].min(), raw[0].max())
        flop = np.geomspace(low, high, N_GRID * D_GRID // 4)
        return _Candidates((flop,), flop)
    if columns != ("n_params", "samples_seen") or not fit.law.is_joint or len(fit.law.terms) != 2:
        raise UsageError(
            f"A design needs the joint law of n_params and samples_seen, or a power law of train_flop; got "
            f"'{fit.law.name}' of {', '.join(columns)}."
        )
    (n_low, n_high), (d_low, d_high) = (
        bounds or (values.min(), values.max()) for bounds, values in zip((n_bounds, d_bounds), raw, strict=True)
    )
    n, d = np.meshgrid(np.geomspace(n_low, n_high, N_GRID), np.geomspace(d_low, d_high, D_GRID), indexing="ij")
    price = cost or fit_cost(fit.problem.frame)
    return _Candidates((n.ravel(), d.ravel()), np.asarray(price.flop(n.ravel(), d.ravel())))


def _table(candidates: _Candidates, chosen: NDArray[np.intp]) -> pd.DataFrame:
    place, count = np.unique(chosen, return_counts=True)
    names = ("n_params", "samples_seen") if len(candidates.x) == 2 else ()
    columns = {name: values[place] for name, values in zip(names, candidates.x, strict=False)}
    frame = pd.DataFrame({**columns, "train_flop": candidates.flop[place], "count": count})
    return frame.sort_values("train_flop", ignore_index=True)


# --- laws and quantities ---


def _laws(fit: Fit, by: str) -> Array:
    """Parameters (S, p) of the fit and of refits to resamples: E, then log amplitude and exponent of each term."""
    names = [name for name in NAMES if name in fit.params]
    drawn = refit_fit(fit, resamples(fit.problem.frame, by, LAWS - 1, seed=SEED).weights)
    params = natural(fit.law, fit.problem, drawn.optima, fit.offsets)
    own = np.array([[fit.params[name] for name in names]])
    values = np.concatenate([own, np.stack([params[name] for name in names], axis=1)])
    positive = np.isfinite(values).all(axis=1) & (values[:, 1:] > 0).all(axis=1) & (values[:, 0] >= 0)
    if not positive[0]:
        raise FitError(
            "Nothing can be designed around this law: a term is absent, flat or rising ("
            + ", ".join(f"{name} = {fit.params[name]:.3g}" for name in names)
            + "). Fit other rows, or a law with fewer parameters."
        )
    values = values[positive]
    values[:, 1::2] = np.log(values[:, 1::2])
    return values


@dataclass(frozen=True)
class _Goal:
    """The quantity to reduce, and its gradient by the parameters."""

    fit: Fit
    name: str
    at: tuple[float, ...]

    def __post_init__(self) -> None:
        known = [*QUANTITIES, "score-at"]
        if len(self.fit.problem.columns) == 1:
            known = ["E", "alpha", "all", "score-at"]
        if self.name not in known:
            raise UsageError(f"Unknown quantity to `reduce`: '{self.name}'. Known for this law: {', '.join(known)}.")
        if self.name == "score-at" and len(self.at) != len(self.fit.problem.columns):
            raise UsageError(
                f'`reduce="score-at"` needs {len(self.fit.problem.columns)} value(s) in `at` '
                f"({', '.join(self.fit.problem.columns)}), got {len(self.at)}."
            )

    @property
    def is_all(self) -> bool:
        return self.name == "all"

    def scaled(self) -> tuple[Array, ...]:
        return tuple(np.array([value / unit]) for value, unit in zip(self.at, self.fit.problem.units, strict=True))

    def gradient(self, laws: Array) -> Array:
        """Gradient (S, p) by E, log amplitudes and exponents."""
        made = np.zeros_like(laws)
        if self.name == "score-at":
            log_y, slopes = curves_of(laws, self.scaled())
            return slopes[:, 0] * np.exp(log_y)
        if self.name == "exponent":
            alpha, beta = laws[:, 2], laws[:, 4]
            made[:, 2], made[:, 4] = -beta / (alpha + beta) ** 2, alpha / (alpha + beta) ** 2
            return made
        made[:, {"E": 0, "alpha": 2, "beta": 4}[self.name]] = 1.0
        return made


def _now(goal: _Goal, left_out: Jackknife) -> tuple[float, tuple[float, float]]:
    """Value of the quantity and its interval, both as they are now; of all parameters those of E."""
    fit = goal.fit
    if goal.name == "score-at":
        low, high = left_out.curve(*([value] for value in goal.at), level=LEVEL)
        return 1.0 - float(fit.predict(*([value] for value in goal.at))[0]), (1.0 - float(high[0]), 1.0 - float(low[0]))
    name = {"exponent": "n_exponent", "all": "E"}.get(goal.name, goal.name)
    value = fit.params[name] if name in fit.params else float(fit.derived()[name][0])
    return value, left_out.interval(name)
