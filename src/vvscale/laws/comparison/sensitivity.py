"""Does the conclusion change? The limit and the extrapolation of a fit under every form, loss and resampling unit.

A limit read off one fit is conditional on three choices that nobody wrote down: the functional form, the loss,
and what counts as independent. This makes each of them, side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import UsageError
from vvscale.laws.comparison.candidates import Contest, contest
from vvscale.laws.fit import DELTA
from vvscale.laws.solve_law import natural
from vvscale.laws.uncertainty.refits import Refits
from vvscale.laws.uncertainty.resample import Resamples, clusters, default_unit, resamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law

    Array = NDArray[np.float64]

DELTAS = (DELTA, 0.1, None)
# By number of inputs. The logistic has a limit too, but takes longer than all of these.
DEFAULT_LAWS = {1: ("power", "shifted"), 2: ("joint", "product")}
RESAMPLED_BY = ("row", "arch", "family")
FACTORS = (1e2, 1e3, 1e4)
LEVEL = 0.95
# A limit is known if its interval is narrower than this (score), and if fewer resamples than this have none.
KNOWN, FEW = 0.1, 0.05
# E below this is 0: a thousandth of a score point.
ZERO = 1e-6
# An exponent below this is 0 over any range of inputs.
FLAT = 1e-9


@dataclass(frozen=True)
class Conclusions:
    """What a fit concludes under other choices.

    Attributes
    ----------
    rows
        One row per form, loss and unit; see ``table``.
    base
        The choices that others are compared with: law, loss, unit.
    sentence
        Whether, and with what, the conclusion changes.
    """

    rows: pd.DataFrame = field(repr=False)
    base: tuple[str, str, str]
    sentence: str

    def table(self) -> pd.DataFrame:
        """One row per form, loss and resampling unit.

        ``s_inf``, ``s_inf_low``, ``s_inf_high``: score at infinite X, 1 - E, and its 95 % interval; with fewer than
        ten units the range over leaving each out. ``share_at_zero``: share of resamples with E = 0.
        ``score_x100``, ``..._low``, ``..._high``, and so on: score predicted at so many times the largest X; of
        several inputs each grows by the root of that. ``verdict``: the limit in words.
        """
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; what is missing becomes None."""
        rows = self.rows.astype(object)
        return {
            "base": dict(zip(("law", "loss", "unit"), self.base, strict=True)),
            "sentence": self.sentence,
            "rows": rows.where(rows.notna(), None).to_dict("records"),
        }

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>" + self.rows.to_html(index=False)


def conclusions(
    fit: Fit,
    *,
    laws: Sequence[str | Law] | None = None,
    deltas: Sequence[float | None] = DELTAS,
    units: Sequence[str] | None = None,
    n_resamples: int = 200,
    seed: int = 42,
) -> Conclusions:
    """Refit under every form, loss and resampling unit, and say whether the conclusion changes.

    Parameters
    ----------
    fit
        The fit in question; its rows, inputs and outcome (1 - score) are kept.
    laws
        Forms with a limit; ``"logistic"`` for example; by default power and shifted for one input, joint and
        product for two. The law of the fit is added.
    deltas
        Huber thresholds, None for least squares; that of the fit is added.
    units
        What is resampled; by default ``row``, ``arch`` and ``family`` as far as the table has them.
    n_resamples
        Per unit, at least 1.
    seed
        Of the resamples.

    Raises
    ------
    UsageError
        No unit; a law without a limit; see ``vvscale.laws.uncertainty.resample.resamples``.
    UnknownNameError, DataError
        See ``vvscale.laws.compare``.
    """
    frame = fit.problem.frame
    units = _units(frame) if units is None else tuple(units)
    if not units:
        raise UsageError("No resampling unit given. Known: row, cell, arch, family, or a column.")
    own = "+".join([fit.law.name, "".join(fit.offsets)]) if fit.offsets else fit.law.name
    wanted = DEFAULT_LAWS[len(fit.problem.columns)] if laws is None else laws
    names = [own if fit.offsets else fit.law, *(law for law in wanted if law != own)]
    losses = list(dict.fromkeys([fit.delta, *deltas]))
    drawn = [resamples(frame, unit, n_resamples, seed=seed) for unit in units]
    weights = np.concatenate([one.weights for one in drawn])
    rows: list[dict[str, Any]] = []
    for delta in losses:
        field_ = contest(fit, laws=names, delta=delta, offset_by=fit.offset_by)
        for name, (one, _) in field_.entries.items():
            _require_limit(name, one.law)
            rows += _describe_units(name, field_.refit(name, weights), drawn, _far(field_, name))
    # Forms as asked for, losses and units within them.
    order = list(dict.fromkeys(row["law"] for row in rows))
    rows.sort(key=lambda row: order.index(row["law"]))
    unit = default_unit(frame) if default_unit(frame) in units else units[0]
    base = (own, loss_name(fit.delta), unit)
    table = pd.DataFrame(rows)
    return Conclusions(table, base, _sentence(table, base))


def _units(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the units that the table knows and that have more than one member."""
    known = []
    for unit in RESAMPLED_BY:
        try:
            if unit == "row" or len(clusters(frame, unit)[1]) > 1:
                known.append(unit)
        except UsageError:
            continue
    return tuple(known)


def _require_limit(name: str, law: Law) -> None:
    if not law.has_limit:
        raise UsageError(
            f"The law '{name}' has no limit to be estimated: its score at infinite X is fixed by the form. Choose "
            "power, shifted, logistic, joint or product."
        )


def loss_name(delta: float | None) -> str:
    """Name of a loss, by its Huber threshold; None is least squares."""
    return "least squares" if delta is None else f"Huber {delta:g}"


def _far(field_: Contest, name: str) -> list[Array]:
    """Return inputs at the largest values and at each factor beyond, in raw units."""
    problem = field_.entries[name][1]
    growth = np.array(FACTORS) ** (1.0 / len(problem.x))
    return [value.max() * unit * growth for value, unit in zip(problem.x, problem.units, strict=True)]


def _describe_units(name: str, run: Refits, drawn: list[Resamples], far: list[Array]) -> list[dict[str, Any]]:
    """One row per unit of one law under one loss."""
    fit = run.fit
    assert fit.optima is not None
    whole = Refits(fit, fit.optima, np.ones((1, fit.n)))
    ahead = 1.0 - np.exp(whole.log_curves(far))[0]
    scores = 1.0 - np.exp(run.log_curves(far))
    plateau = limits(natural(fit.law, fit.problem, run.optima, fit.offsets))
    own = limits({name: np.array([value]) for name, value in fit.params.items()})[0]
    usable = run.usable()
    rows, at = [], 0
    for one in drawn:
        part = slice(at, at + len(one.weights))
        at += len(one.weights)
        kept = usable[part]
        limit, at_zero = 1.0 - plateau[part][kept], float((plateau[part][kept] <= ZERO).mean())
        low, high = _interval(limit, one.leaves_one_out)
        row = {
            "law": name, "loss": loss_name(fit.delta), "unit": one.unit, "n_units": one.n_units,
            "s_inf": 1.0 - own, "s_inf_low": low, "s_inf_high": high, "share_at_zero": at_zero,
        }  # fmt: skip
        for j, factor in enumerate(FACTORS):
            row[f"score_x{factor:g}"] = float(ahead[j])
            row[f"score_x{factor:g}_low"], row[f"score_x{factor:g}_high"] = _interval(
                scores[part][kept, j], one.leaves_one_out
            )  # fmt: skip
        row["verdict"] = verdict(row["s_inf"], low, high, at_zero)
        rows.append(row)
    return rows


def limits(params: dict[str, Array]) -> Array:
    """Misalignment at infinite inputs, (B,): E, and the terms that an exponent of 0 keeps from vanishing."""
    limit = params["E"].copy()
    if "B" not in params:
        still = params.get("alpha", np.array(1.0)) + params.get("beta", 0.0) <= FLAT
        return limit + np.where(still, params.get("A", 0.0), 0.0)
    return limit + sum(np.where(params[e] <= FLAT, params[a], 0.0) for a, e in (("A", "alpha"), ("B", "beta")))


def _interval(values: Array, is_range: bool) -> tuple[float, float]:
    if not len(values) or np.isnan(values).any():
        return np.nan, np.nan
    low, high = np.quantile(values, [0.0, 1.0] if is_range else [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def verdict(value: float, low: float, high: float, share_at_zero: float) -> str:
    """Say what an estimated limit of the score means.

    Examples
    --------
    >>> verdict(0.48, 0.45, 0.53, 0.0)
    'limit identified near 0.48'
    >>> verdict(0.48, 0.43, 1.0, 0.2)
    'limit not identified: 0.43 to 1.00'
    >>> verdict(1.0, 1.0, 1.0, 1.0)
    'no limit below 1'
    """
    if np.isnan(low):
        return "too few points in the resamples"
    if share_at_zero >= 1 - FEW and value >= 1 - ZERO:
        return "no limit below 1"
    if high - low < KNOWN and share_at_zero <= FEW:
        return f"limit identified near {value:.2f}"
    return f"limit not identified: {min(low, value):.2f} to {max(high, value):.2f}"


def _sentence(rows: pd.DataFrame, base: tuple[str, str, str]) -> str:
    """Say with which of the choices the conclusion changes, the others held at those of the fit."""
    law, loss, unit = base
    by_form = rows[(rows["loss"] == loss) & (rows["unit"] == unit)]
    by_loss = rows[(rows["law"] == law) & (rows["unit"] == unit)]
    by_unit = rows[(rows["law"] == law) & (rows["loss"] == loss)]
    changes, stays = [], []
    for choice, part, key in (("form", by_form, "law"), ("loss", by_loss, "loss")):
        if len(part) > 1:
            named = ", ".join(f"{row[key]} {row['s_inf']:.2f}" for _, row in part.iterrows())
            moved = float(np.ptp(part["s_inf"])) >= KNOWN
            (changes if moved else stays).append(f"the {choice} (limit of the score: {named})")
    if len(by_unit) > 1:
        named = ", ".join(f"by {row['unit']} {row['verdict']}" for _, row in by_unit.iterrows())
        moved = by_unit["verdict"].str.split(":").str[0].str.replace(r" near .*", "", regex=True).nunique() > 1
        (changes if moved else stays).append(f"the resampling unit ({named})")
    low, high = rows["s_inf"].min(), rows["s_inf"].max()
    start = f"Yes, the conclusion changes with {'; and with '.join(changes)}." if changes else "No: it does not change."
    rest = f" It does not with {'; nor with '.join(stays)}." if stays and changes else ""
    return f"{start}{rest} Over all choices the limit lies between {low:.2f} and {high:.2f}."
