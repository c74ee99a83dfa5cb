"""Which law describes a table best: information criteria, and prediction of architectures left out.

The two answer different questions. AICc asks what the rows at hand support, and trusts every row as independent
evidence, which rows of one architecture are not; deflated by the variance inflation of the richest law it is nearer
to honest.
Cross-validation by architecture asks what predicts an architecture that nobody has trained yet. Neither says
which law extrapolates in compute: that is ``forecast``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import json_rows
from vvscale.core.options import SEED
from vvscale.errors import DataError, UsageError
from vvscale.laws.comparison.baselines import forecast_baselines, split_names
from vvscale.laws.comparison.candidates import Contest, contest
from vvscale.laws.uncertainty.folds import clustered_error, grouped_folds
from vvscale.laws.uncertainty.refits import Refits
from vvscale.laws.uncertainty.resample import clusters, default_unit, design_effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law

    Array = NDArray[np.float64]

FOLDS = 10
# Status of a forecast that is no law of the solver.
BASELINE = "baseline"
# Each narrows the search for the scale of the residuals 16-fold.
ZOOMS = 6


@dataclass(frozen=True)
class Comparison:
    """Laws fitted to the same rows.

    Attributes
    ----------
    rows
        One row per law, best cross-validation first; see ``table``.
    fits
        The fit of each law to all rows, by name.
    n
        Number of rows.
    unit
        What belongs together in the folds and in the design effect.
    n_folds
        Folds of the cross-validation.
    effect
        Design effect that deflates AICc: that of the residuals of the global model, the law with most parameters.
    left_out
        Laws that cannot be fitted to this table, name -> reason.
    excluded
        Rows that lack a value, reason -> names.
    """

    rows: pd.DataFrame = field(repr=False)
    fits: dict[str, Fit] = field(repr=False)
    n: int
    unit: str
    n_folds: int
    effect: float
    left_out: dict[str, str]
    excluded: dict[str, list[str]] = field(repr=False)

    @property
    def laws(self) -> pd.DataFrame:
        """The rows of the solver's laws, without the baselines."""
        return self.rows[self.rows["status"] != BASELINE]

    @property
    def best(self) -> str:
        """Name of the law that predicts left-out groups best."""
        return str(self.laws["law"].iloc[0])

    @property
    def ahead(self) -> tuple[str, ...]:
        """Baselines that predict left-out groups clearly better than the best law (2 standard errors)."""
        clear = self.rows["cv_gap"] < -2 * self.rows["cv_gap_se"]
        return tuple(self.rows.loc[clear & (self.rows["status"] == BASELINE), "law"])

    @property
    def verdict(self) -> str:
        """What the table says, in a sentence or two."""
        laws = self.laws
        rivals = laws.iloc[1:]
        close = rivals.loc[rivals["cv_gap"] <= 2 * rivals["cv_gap_se"], "law"]
        others = f"{', '.join(close)} cannot be told from it" if len(close) else "it is clearly ahead of all others"
        by_row = str(laws["law"].to_numpy()[laws["aicc"].argmin()])
        aside = "" if by_row == self.best else f" By AICc of the rows, {by_row} is first."
        if self.ahead:
            aside += (
                f" {' and '.join(self.ahead)} predict it clearly better than any law here: its form lacks something."
            )
        return f"{self.best} predicts an unseen {self.unit} best; {others} (2 standard errors).{aside}"

    def table(self) -> pd.DataFrame:
        """One row per law.

        ``k``: parameters, scale included. ``mad``: mean |residual|, of the log of the outcome. ``aicc``,
        ``d_aicc``: corrected Akaike criterion and its distance from the lowest. ``aicc_deflated``,
        ``d_aicc_deflated``: the same with the log-likelihood divided by ``effect``, which counts as one more
        parameter. ``cv``: mean |log residual| of rows whose group was left out, missing where a fold leaves too few
        points. ``cv_gap``, ``cv_gap_se``: distance from the best law's ``cv`` and its standard error, clustered by
        ``unit``. ``r2``: of the outcome itself. ``design_effect``: of the law's own residuals. ``status``: of the
        fit; ``baseline`` where there is only a forecast.
        """
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; what is missing or infinite becomes None."""
        return {
            "laws": json_rows(self.rows),
            "n": self.n,
            "unit": self.unit,
            "n_folds": self.n_folds,
            "design_effect": self.effect,
            "verdict": self.verdict,
            "left_out": self.left_out,
            "excluded": self.excluded,
        }

    def _repr_html_(self) -> str:
        return f"<p>{self.verdict} n = {self.n}, design effect {self.effect:.1f}.</p>" + self.rows.to_html(index=False)


def compare_laws(
    data: Fit | pd.DataFrame,
    laws: Sequence[str | Law] | None = None,
    *,
    x: str | None = None,
    sizes: tuple[str, str] | None = None,
    y: str | None = None,
    delta: float | str | None = "default",
    offset_by: str | None = None,
    by: str | None = None,
    n_folds: int = FOLDS,
    effect: float | None = None,
    seed: int = SEED,
) -> Comparison:
    """Fit every law that applies to the same rows, and compare them.

    Parameters
    ----------
    data
        A table with one row per model, or a fit, whose rows, columns and loss are taken over.
    laws
        Names or laws; ``"joint+B"`` gives each group of ``offset_by`` its own amplitude B; ``"pooled"``,
        ``"trees"`` and ``"mean of law and trees"`` are the baselines of ``comparison.baselines``, which have a
        cross-validation but no likelihood. By default
        ``candidates.CANDIDATES``, those that the table has the columns for.
    x
        Input column of laws in X, ``train_flop`` by default.
    sizes
        Input columns of laws in N and D, ``n_params`` and ``samples_seen`` by default.
    y
        Column of the outcome, ``misalignment`` by default.
    delta
        Huber threshold, > 0; None is least squares; by default 1e-3, or that of the fit given.
    offset_by
        Column of the groups with amplitudes of their own, ``parent_family`` by default.
    by
        What the folds keep together: ``arch`` where the table has it, ``row``, ``cell``, ``family`` or a column.
    n_folds
        At least 2; as many as there are groups if these are fewer.
    effect
        Design effect to deflate AICc with, >= 1; by default estimated.
    seed
        Of the assignment of groups to folds.

    Raises
    ------
    UnknownNameError, ConfigError
        A law or column that does not exist.
    UsageError
        Fewer than 2 folds, or a design effect below 1.
    DataError
        Rows that no law, or not a law named by the caller, can be fitted to; a single group.

    Examples
    --------
    >>> x = np.geomspace(1e9, 1e15, 30)
    >>> noise = np.random.default_rng(0).normal(0, 0.01, 30)
    >>> table = pd.DataFrame({"train_flop": x, "misalignment": (0.4 + (x / 1e9) ** -0.3) * np.exp(noise)})
    >>> found = compare_laws(table, laws=["power", "pure-power", "constant"])
    >>> found.table()["law"].tolist()
    ['power', 'pure-power', 'constant']
    >>> found.verdict
    'power predicts an unseen row best; it is clearly ahead of all others (2 standard errors).'

    Notes
    -----
    Source: Hurvich & Tsai 1989 (AICc); Burnham & Anderson 2002, section 2.5 (deflation of the likelihood by a
    variance inflation that all models share).
    """
    if effect is not None and effect < 1:
        raise UsageError(f"A design effect is at least 1, got {effect}. Leave it out to have it estimated.")
    laws, baselines, strict = split_names(laws)
    field_ = contest(data, laws=laws, x=x, sizes=sizes, y=y, delta=delta, offset_by=offset_by)
    unit = by or default_unit(field_.frame)
    group, _ = clusters(field_.frame, unit)
    fold = grouped_folds(group, n_folds, seed=seed)
    weights = (fold != np.arange(fold.max() + 1)[:, None]).astype(float)
    runs = {name: field_.refit(name, weights) for name in field_.entries}
    rows = pd.DataFrame([_measures(name, run, field_, unit) for name, run in runs.items()])
    if effect is None:
        effect = float(rows["design_effect"].to_numpy()[rows["k"].argmax()])
    n = len(group)
    rows["aicc_deflated"] = [aicc(ll, k + 1, n, effect) for ll, k in zip(rows.pop("ll"), rows["k"], strict=True)]
    rows["d_aicc"] = rows["aicc"] - rows["aicc"].min()
    rows["d_aicc_deflated"] = rows["aicc_deflated"] - rows["aicc_deflated"].min()
    errors = {name: _left_out_errors(run, field_.outcome, fold) for name, run in runs.items()}
    others, lacking = forecast_baselines(baselines, field_, weights)
    if strict and lacking:
        raise DataError("; ".join(f"Cannot fit '{name}': {reason}" for name, reason in lacking.items()) + ".")
    for name, forecasts in others.items():
        errors[name] = np.abs(np.log(forecasts[fold, np.arange(len(fold))] / field_.outcome))
    rows = pd.concat([rows, pd.DataFrame({"law": list(others), "status": BASELINE})], ignore_index=True)
    _cross_validate(rows, errors, group)
    order = ["law", "k", "mad", "aicc", "d_aicc", "aicc_deflated", "d_aicc_deflated", "cv", "cv_gap", "cv_gap_se",
             "r2", "design_effect", "status"]  # fmt: skip
    rows = rows.sort_values(["cv", "aicc"], na_position="last", ignore_index=True)[order]
    fits = {name: run.fit for name, run in runs.items()}
    return Comparison(
        rows, fits, len(group), unit, int(fold.max()) + 1, effect, field_.left_out | lacking, field_.excluded
    )


def _measures(name: str, run: Refits, field_: Contest, unit: str) -> dict[str, Any]:
    fit = run.fit
    k = fit.law.n_parameters + len(fit.offsets) * (len(fit.problem.groups) - 1) + 1
    ll = log_likelihood(fit.loss, fit.n, fit.delta)
    if not fit.law.log_residuals and (field_.outcome > 0).all():
        # A density of the outcome, made one of its log, to stand beside the laws with log residuals.
        ll += float(np.log(field_.outcome).sum())
    residuals = fit.residuals()
    return {
        "law": name,
        "k": k,
        "mad": float(np.abs(residuals).mean()),
        "ll": ll,
        "aicc": aicc(ll, k, fit.n),
        "r2": fit.r2,
        "design_effect": design_effect(fit.problem.frame, residuals, unit).effect,
        "status": str(fit.status),
    }


def _left_out_errors(run: Refits, outcome: Array, fold: NDArray[np.intp]) -> Array:
    """|log residual| of each row under the fit that left its fold out, (n,); NaN where there is no such fit."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(run.log_curves()[fold, np.arange(len(fold))] - np.log(outcome))
    # A law that predicts 0 or less has no log: as wrong as can be.
    return np.where(run.usable()[fold], np.where(np.isnan(error), np.inf, error), np.nan)


def _cross_validate(rows: pd.DataFrame, errors: dict[str, Array], group: NDArray[np.intp]) -> None:
    """Fill in the columns of the cross-validation."""
    rows["cv"] = [float(errors[name].mean()) for name in rows["law"]]
    if rows["cv"].isna().all():
        rows["cv_gap"] = rows["cv_gap_se"] = np.nan
        return
    # The best law, not the best row: how far a baseline is ahead is the question.
    laws = rows[rows["status"] != BASELINE]
    if laws["cv"].isna().all():
        laws = rows
    best = errors[str(laws["law"].to_numpy()[np.nanargmin(laws["cv"])])]
    rows["cv_gap"] = rows["cv"] - laws["cv"].min()
    gaps = [errors[name] - best for name in rows["law"]]
    rows["cv_gap_se"] = [clustered_error(gap, group) if np.isfinite(gap).all() else np.nan for gap in gaps]


def log_likelihood(loss: float, n: int, delta: float | None) -> float:
    """Largest log-likelihood of n residuals with a given sum of Huber losses, over the scale tau.

    Their density is exp(-huber(r) / tau) / Z(tau), for which the fit is the maximum-likelihood estimate whatever
    tau is: Laplace's as delta goes to 0, the Gaussian without delta, and Huber's least favourable one between.

    Parameters
    ----------
    loss
        Sum of Huber losses (of half squares without delta), >= 0.
    n
        Number of residuals.
    delta
        Huber threshold, > 0, or None.

    Notes
    -----
    Source: Huber 1964. Z = sqrt(2 pi tau) erf(delta / sqrt(2 tau)) + 2 tau / delta exp(-delta^2 / (2 tau)).
    """
    if loss <= 0:
        return np.inf
    if delta is None:
        return float(-0.5 * n * (np.log(4.0 * np.pi * loss / n) + 1.0))

    def cost(log_tau: float) -> float:
        tau = math.exp(log_tau)
        root = math.sqrt(2.0 * tau)
        middle = math.sqrt(math.pi) * root * math.erf(delta / root)
        return loss / tau + n * math.log(middle + 2.0 * tau / delta * math.exp(-((delta / root) ** 2)))

    # The best scale lies between the Laplacian tau = loss / n and the Gaussian 2 loss / n.
    low, high = math.log(loss / n), math.log(2.0 * loss / n)
    costs = [0.0]
    for _ in range(ZOOMS):
        grid = np.linspace(low, high, 33)
        costs = [cost(at) for at in grid]
        best = int(np.argmin(costs))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 32)]
    return -min(costs)


def aicc(ll: float, k: int, n: int, effect: float = 1.0) -> float:
    """Akaike's criterion corrected for small samples, -2 ll / effect + 2 k + 2 k (k + 1) / (n - k - 1).

    With an ``effect``, a variance inflation that all models share, k counts that estimate too (Burnham & Anderson
    2002, section 2.5). Infinite where n <= k + 1.
    """
    if n <= k + 1:
        return np.inf
    return -2.0 * ll / effect + 2.0 * k + 2.0 * k * (k + 1) / (n - k - 1)
