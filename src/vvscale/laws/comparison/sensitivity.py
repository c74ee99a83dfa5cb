"""Does the conclusion change? The limit and the extrapolation under other forms, losses, units and rows.

A limit read off one fit is conditional on four choices that nobody wrote down: the functional form, the loss, what
counts as independent, and which rows were fitted. This makes each of them, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import json_rows
from vvscale.core.options import SEED
from vvscale.errors import UsageError
from vvscale.laws.comparison.candidates import Contest, contest
from vvscale.laws.fit import DELTA, fit_rows
from vvscale.laws.solve_law import derive, natural
from vvscale.laws.uncertainty.intervals import percentile, student
from vvscale.laws.uncertainty.refits import Refits
from vvscale.laws.uncertainty.resample import Resamples, clusters, default_unit, resamples
from vvscale.laws.verdict import Known, narrow_width

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
# A limit is not known if more resamples than this have none.
FEW = 0.05
# E below this is 0: a thousandth of a score point.
ZERO = 1e-6
# An exponent below this is 0 over any range of inputs.
FLAT = 1e-9
# Name of the rows of the fit itself.
AS_FITTED = "as fitted"


@dataclass(frozen=True)
class Choice:
    """One way to fit.

    Attributes
    ----------
    law, loss, by, rows
        Form, loss, resampling unit and rows, by name.
    """

    law: str
    loss: str
    by: str
    rows: str = AS_FITTED


@dataclass(frozen=True)
class Sensitivity:
    """What a fit concludes under other choices.

    Attributes
    ----------
    rows
        One row per choice; see ``table``.
    base
        The choice that others are compared with.
    changes
        What the limit depends on: ``"law"``, ``"loss"``, ``"by"``, ``"rows"``.
    sentence
        The same in words, with the numbers.
    """

    rows: pd.DataFrame = field(repr=False)
    base: Choice
    changes: tuple[str, ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """One row per form, loss and resampling unit; other rows under the choices of the fit.

        ``s_inf``, ``s_inf_low``, ``s_inf_high``: score at infinite X, 1 - E, and its 95 % interval: percentiles of
        resamples, with fewer than ten units Student's t from leaving each out. ``share_at_zero``: share of resamples
        with E = 0. ``n_exponent`` of a joint law, likewise. ``score_x100``, ``..._low``, ``..._high``, and so on:
        score predicted at so many times the largest X; of several inputs each grows by the root of that.
        ``plateau``: how well the limit is known from this choice alone.
        """
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; what is missing becomes None."""
        return {
            "base": dict(self.base.__dict__),
            "changes": list(self.changes),
            "sentence": self.sentence,
            "rows": json_rows(self.rows),
        }

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>" + self.rows.to_html(index=False)


def sensitivity(
    fit: Fit,
    *,
    laws: Sequence[str | Law] | None = None,
    deltas: Sequence[float | None] = DELTAS,
    by: Sequence[str] | None = None,
    rows: Mapping[str, pd.DataFrame] | None = None,
    n: int = 200,
    seed: int = SEED,
) -> Sensitivity:
    """Refit under every form, loss and resampling unit, and to other rows; say whether the conclusion changes.

    Parameters
    ----------
    fit
        The fit in question; its rows, inputs and outcome (1 - score) are kept.
    laws
        Forms with a limit; ``"logistic"`` for example; by default power and shifted for one input, joint and
        product for two. The law of the fit is added.
    deltas
        Huber thresholds, None for least squares; that of the fit is added.
    by
        What is resampled; by default ``row``, ``arch`` and ``family`` as far as the table has them.
    rows
        Other rows that might have been fitted, name -> table with the columns of the fit.
    n
        Resamples per unit, at least 1.
    seed
        Of the resamples.

    Raises
    ------
    UsageError
        No unit; a law without a limit; see ``vvscale.laws.uncertainty.resample.resamples``.
    UnknownNameError, DataError
        See ``vvscale.laws.compare_laws``.

    Examples
    --------
    >>> from vvscale.laws.fit import fit_law
    >>> x = np.geomspace(1e9, 1e15, 30)
    >>> noise = np.random.default_rng(0).normal(0, 0.01, 30)
    >>> table = pd.DataFrame({"train_flop": x, "misalignment": (0.4 + (x / 1e9) ** -0.3) * np.exp(noise)})
    >>> sensitivity(fit_law(table), laws=["shifted"], deltas=[], by=["row"], n=20).sentence
    'No: it does not change. Over all choices the limit of the score lies between 0.60 and 0.60.'
    """
    frame = fit.problem.frame
    units = _units(frame) if by is None else tuple(by)
    if not units:
        raise UsageError("No resampling unit given. Known: row, cell, arch, family, or a column.")
    own = "+".join([fit.law.name, "".join(fit.offsets)]) if fit.offsets else fit.law.name
    wanted = DEFAULT_LAWS[len(fit.problem.columns)] if laws is None else laws
    names = [own if fit.offsets else fit.law, *(law for law in wanted if law != own)]
    unit = default_unit(frame) if default_unit(frame) in units else units[0]
    base = Choice(own, loss_name(fit.delta), unit)
    narrow = narrow_width(fit)
    drawn = [resamples(frame, each, n, seed=seed) for each in units]
    made: list[dict[str, Any]] = []
    for delta in dict.fromkeys([fit.delta, *deltas]):
        made += _under_one_loss(contest(fit, laws=names, delta=delta, offset_by=fit.offset_by), drawn, narrow)
    # Forms as asked for, losses and units within them.
    order = list(dict.fromkeys(row["law"] for row in made))
    made.sort(key=lambda row: order.index(row["law"]))
    for name, other in (rows or {}).items():
        found = _like(fit, other)
        one = contest(found, laws=names[:1], delta=fit.delta, offset_by=fit.offset_by)
        again = [resamples(found.problem.frame, unit, n, seed=seed)]
        made += [{**row, "rows": name} for row in _under_one_loss(one, again, narrow)]
    table = pd.DataFrame(made)
    changes, sentence = _conclusion(table, base, narrow)
    return Sensitivity(table, base, changes, sentence)


def _like(fit: Fit, rows: pd.DataFrame) -> Fit:
    """Fit the same law to other rows; exponents are held at 0 or above, since a law that rises has no limit."""
    return fit_rows(
        rows, law=fit.law, x=fit.problem.columns, y=fit.problem.outcome, delta=fit.delta, offsets=fit.offsets,
        offset_by=fit.offset_by, units=fit.problem.unit_of, drop_incomplete=True,
    )  # fmt: skip


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
    return [value.max() * growth for value in problem.raw]


def _under_one_loss(field_: Contest, drawn: list[Resamples], narrow: float) -> list[dict[str, Any]]:
    """One row per law and unit."""
    weights = np.concatenate([one.weights for one in drawn])
    made = []
    for name, (one, _) in field_.entries.items():
        _require_limit(name, one.law)
        made += _describe_units(name, field_.refit(name, weights), drawn, _far(field_, name), narrow)
    return made


def _describe_units(
    name: str, run: Refits, drawn: list[Resamples], far: list[Array], narrow: float
) -> list[dict[str, Any]]:
    """One row per unit of one law under one loss."""
    fit = run.fit
    assert fit.optima is not None
    whole = Refits(fit, fit.optima, np.ones((1, fit.n)))
    params = natural(fit.law, fit.problem, run.optima, fit.offsets)
    own = {key: np.array([value]) for key, value in fit.params.items()}
    # What is told of each choice: name -> estimate, values of the resamples.
    told = {"s_inf": (1.0 - limits(own), 1.0 - limits(params))}
    if fit.law.is_joint:
        told["n_exponent"] = (derive(fit.law, own)["n_exponent"], derive(fit.law, params)["n_exponent"])
    ahead, scores = 1.0 - np.exp(whole.log_curves(far)), 1.0 - np.exp(run.log_curves(far))
    told |= {f"score_x{factor:g}": (ahead[:, j], scores[:, j]) for j, factor in enumerate(FACTORS)}
    usable = run.usable()
    rows, at = [], 0
    for one in drawn:
        kept = np.zeros(len(usable), dtype=bool)
        kept[at : at + len(one.weights)] = usable[at : at + len(one.weights)]
        at += len(one.weights)
        row: dict[str, Any] = {
            "law": name, "loss": loss_name(fit.delta), "by": one.unit, "rows": AS_FITTED, "n": fit.n,
            "n_units": one.n_units, "share_at_zero": float((limits(params)[kept] <= ZERO).mean()),
        }  # fmt: skip
        for key, (estimate, values) in told.items():
            row[key] = float(estimate[0])
            row[f"{key}_low"], row[f"{key}_high"] = _interval(values[kept], row[key], one)
        row["plateau"] = str(
            limit_known(row["s_inf"], row["s_inf_low"], row["s_inf_high"], row["share_at_zero"], narrow)
        )
        rows.append(row)
    return rows


def limits(params: dict[str, Array]) -> Array:
    """Misalignment at infinite inputs, (B,): E, and the terms that an exponent of 0 keeps from vanishing."""
    limit = params["E"].copy()
    if not np.isfinite(limit).all():
        # A signed law that runs to its logarithmic edge has no limit to add to.
        return np.where(np.isfinite(limit), limit, -np.inf)
    if "B" not in params:
        still = params.get("alpha", np.array(1.0)) + params.get("beta", 0.0) <= FLAT
        return limit + np.where(still, params.get("A", 0.0), 0.0)
    return limit + sum(np.where(params[e] <= FLAT, params[a], 0.0) for a, e in (("A", "alpha"), ("B", "beta")))


def _interval(values: Array, estimate: float, drawn: Resamples) -> tuple[float, float]:
    if not len(values) or np.isnan(values).any():
        return np.nan, np.nan
    if drawn.leaves_one_out and len(values) < len(drawn.labels):
        return np.nan, np.nan
    low, high = (
        student(values, estimate, degrees=drawn.degrees) if drawn.leaves_one_out else percentile(values, estimate)
    )
    return float(low), float(high)


def limit_known(value: float, low: float, high: float, share_at_zero: float, narrow: float) -> Known:
    """How well one choice by itself knows the limit of the score.

    Parameters
    ----------
    value, low, high
        Limit and its interval.
    share_at_zero
        Share of resamples without a plateau.
    narrow
        Width up to which an interval is narrow; see ``vvscale.laws.verdict.narrow_width``.

    Examples
    --------
    >>> limit_known(0.48, 0.45, 0.53, 0.0, 0.1).value, limit_known(0.48, 0.43, 1.0, 0.2, 0.1).value
    ('identified', 'not identified')
    """
    if np.isnan(low):
        return Known.NOT_ASSESSED
    if share_at_zero >= 1 - FEW and value >= 1 - ZERO:
        return Known.AT_BOUNDARY
    return Known.IDENTIFIED if high - low <= narrow and share_at_zero <= FEW else Known.NOT_IDENTIFIED


def _conclusion(rows: pd.DataFrame, base: Choice, narrow: float) -> tuple[tuple[str, ...], str]:
    """With which of the choices the conclusion changes, the others held at those of the fit; and in words."""
    said = {"law": "the form", "loss": "the loss", "by": "the resampling unit", "rows": "the choice of rows"}
    changes, told = [], {}
    for key, words in said.items():
        others = [name for name in said if name != key]
        part = rows[np.logical_and.reduce([rows[name] == getattr(base, name) for name in others])]
        if len(part) < 2:
            continue
        if key == "by":
            each = [
                f"by {row.by} {row.plateau}, {row.s_inf_low:.2f} to {row.s_inf_high:.2f}" for row in part.itertuples()
            ]
            moved = part["plateau"].nunique() > 1
        else:
            each = [_of_choice(row, key) for _, row in part.iterrows()]
            moved = bool(np.ptp(part["s_inf"]) > narrow)
        told[key] = f"{words} ({'; '.join(each)})"
        changes += [key] if moved else []
    stays = [told[key] for key in told if key not in changes]
    start = (
        f"Yes, the conclusion changes with {'; and with '.join(told[key] for key in changes)}."
        if changes
        else "No: it does not change."
    )
    rest = f" It does not with {'; nor with '.join(stays)}." if stays and changes else ""
    low, high = rows["s_inf"].min(), rows["s_inf"].max()
    return tuple(
        changes
    ), f"{start}{rest} Over all choices the limit of the score lies between {low:.2f} and {high:.2f}."


def _of_choice(row: pd.Series, key: str) -> str:
    exponent = f", N ~ C^{row['n_exponent']:.2f}" if "n_exponent" in row and key == "rows" else ""
    return f"{row[key]}{f' ({row.n} rows)' if key == 'rows' else ''}: limit of the score {row['s_inf']:.2f}{exponent}"
