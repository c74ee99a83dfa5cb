"""One request, one or more fits: what ``vvscale fit`` runs, for each group of ``--by``, with what was asked beside."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import UsageError, VvscaleError, unknown_name
from vvscale.laws.comparison.compare import compare
from vvscale.laws.comparison.coverage import coverage
from vvscale.laws.comparison.holdout import hold_out
from vvscale.laws.comparison.sensitivity import conclusions
from vvscale.laws.fit import Fit, fit_law
from vvscale.laws.law import LAWS
from vvscale.laws.planning.cost import fit_cost
from vvscale.laws.uncertainty.bootstrap import bootstrap
from vvscale.laws.uncertainty.conformal import prediction_interval
from vvscale.laws.uncertainty.profile import profile
from vvscale.laws.uncertainty.resample import check_n_resamples, default_unit, design_effect
from vvscale.laws.workflow.load_rows import load_rows
from vvscale.scores import drop_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

PREDICTION_LEVEL = 0.9
DEFAULT_X = {1: ("train_flop",), 2: ("n_params", "samples_seen")}
COST_COLUMNS = {"n_params", "samples_seen", "train_flop"}


@dataclass(frozen=True)
class FitRequest:
    """What to fit and what to say about it; see ``vvscale fit --help``.

    Attributes
    ----------
    law, x, y, regions, where, by, offsets, offset_by, delta, n_resamples, units, seed, drop_missing
        As the options of that verb; ``x`` and ``units`` empty mean their defaults, ``delta`` None least squares.
    compare, hold_out, prediction, conclusions, profile
        Tables to add.
    at
        Inputs of new models to predict, raw units, one after the other.
    """

    law: str = "power"
    x: tuple[str, ...] = ()
    y: str = "misalignment"
    regions: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    by: str | None = None
    offsets: tuple[str, ...] = ()
    offset_by: str = "parent_family"
    delta: float | None = 1e-3
    n_resamples: int | None = None
    units: tuple[str, ...] = ()
    seed: int = 42
    drop_missing: bool = False
    compare: bool = False
    prediction: bool = False
    at: tuple[float, ...] = ()
    hold_out: bool = False
    conclusions: bool = False
    profile: bool = False


@dataclass(frozen=True)
class FitResult:
    """One fit with what was asked beside it.

    Attributes
    ----------
    fit
        The fit.
    entry
        Plain values for ``fits.json``.
    resamples
        Unit -> one row per resample.
    tables
        Title -> table, as asked.
    """

    fit: Fit
    entry: dict[str, Any]
    resamples: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()

    def words(self) -> Iterator[str]:
        """Yield what a person should read below the tables."""
        yield f"{self.fit.status}: {self.fit.advice}"
        yield from self.sentences
        for reason, names in self.fit.problem.excluded.items():
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            yield f"left out, {reason}: {len(names)} ({shown})"


def run_fits(source: str | Path | pd.DataFrame, request: FitRequest) -> list[FitResult]:
    """Fit as requested; one result per group of ``by``, in its order."""
    law = LAWS[request.law]
    if request.n_resamples is not None:
        check_n_resamples(request.n_resamples)
    x = request.x or DEFAULT_X[len(law.inputs)]
    rows, excluded = load_rows(source, regions=request.regions or None, where=request.where)
    if request.by is None:
        return [_run(law.name, rows, x, request, excluded)]
    if request.by not in rows.columns:
        raise unknown_name("column", request.by, map(str, rows.columns))
    rows, ungrouped = drop_missing(rows, [request.by])
    excluded = {**excluded, **ungrouped}
    groups = list(rows.groupby(request.by, sort=True))
    if not groups:
        raise UsageError(f"Column '{request.by}' is empty: there is nothing to fit by. Choose another column.")
    results = []
    for value, group in groups:
        try:
            results.append(_run(str(value), group, x, request, excluded))
        except VvscaleError as error:
            raise type(error)(f"Group '{value}' of --by {request.by}: {error}") from error
    return results


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as values that JSON can hold; what is missing or not finite becomes None."""

    def value(cell: Any) -> Any:
        cell = cell.item() if isinstance(cell, np.generic) else cell
        return None if isinstance(cell, float) and not np.isfinite(cell) else cell

    return [{str(k): value(v) for k, v in row.items()} for row in table.to_dict(orient="records")]


def _run(
    name: str, rows: pd.DataFrame, x: tuple[str, ...], request: FitRequest, excluded: dict[str, list[str]]
) -> FitResult:
    fit = fit_law(
        rows, law=request.law, x=x, y=request.y, delta=request.delta, offsets=request.offsets,
        offset_by=request.offset_by, excluded=excluded, drop_incomplete=request.drop_missing,
    )  # fmt: skip
    frame = fit.problem.frame
    entry: dict[str, Any] = {"name": name, "form": request.law, **fit.to_dict()}
    if x == DEFAULT_X[2] and set(frame.columns) >= COST_COLUMNS and frame[sorted(COST_COLUMNS)].notna().all(axis=None):
        entry["cost"] = dict(fit_cost(frame).__dict__)
    drawn = {}
    for unit in (request.units or (default_unit(frame),)) if request.n_resamples else ():
        drawn[unit] = bootstrap(fit, request.n_resamples or 0, unit=unit, seed=request.seed)
    entry["intervals"] = {unit: made.to_dict() for unit, made in drawn.items()}
    tables, sentences = _asked(fit, request)
    entry["tables"] = {title: _records(table) for title, table in tables.items()}
    entry["sentences"] = sentences
    return FitResult(fit, entry, {unit: made.table() for unit, made in drawn.items()}, tables, tuple(sentences))


def _inputs(fit: Fit, values: tuple[float, ...]) -> list[NDArray[np.float64]]:
    """Split ``--at`` values into one array per input."""
    n = len(fit.problem.columns)
    if len(values) % n:
        raise UsageError(
            f"--at needs {n} value(s) per model ({', '.join(fit.problem.columns)}), got {len(values)} in all. Give "
            "them model by model, for example --at 1e7 --at 1e9."
        )
    return list(np.array(values).reshape(-1, n).T)


def _asked(fit: Fit, request: FitRequest) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Make the tables that were asked for, and sentences about them."""
    tables: dict[str, pd.DataFrame] = {}
    sentences: list[str] = []
    unit = default_unit(fit.problem.frame)
    if request.profile:
        effect = design_effect(fit.problem.frame, fit.residuals(), unit)
        made = profile(fit, "E", design_effect=effect.effect)
        tables["profile of E"] = made.table().iloc[::4]
        sentences.append(
            f"E is between {made.interval[0]:.4g} and {made.interval[1]:.4g} by its profile likelihood, {fit.n} rows "
            f"being worth {effect.n_effective:.0f} independent ones (design effect {effect.effect:.1f} by {unit})."
        )
    if request.compare:
        comparison = compare(fit, unit=unit, seed=request.seed)
        tables["laws compared on the same rows"] = comparison.table()
        sentences.append(comparison.verdict)
    if request.hold_out:
        held = hold_out(fit)
        tables["fitted on low compute, predicting high compute"] = held.table()
        sentences.append(held.verdict)
    if request.prediction:
        measured = coverage(fit, level=PREDICTION_LEVEL, unit=unit, seed=request.seed)
        tables[f"coverage of {PREDICTION_LEVEL:.0%} prediction intervals"] = measured.table()
    if request.at:
        new = request.units[0] if request.units else unit
        predicted = prediction_interval(fit, _inputs(fit, request.at), level=PREDICTION_LEVEL, unit=new)
        tables[f"a new model of a new {new}, {PREDICTION_LEVEL:.0%} conformal interval"] = predicted.table()
    if request.conclusions:
        drawn = conclusions(fit, seed=request.seed)
        tables["does the conclusion change?"] = drawn.table()
        sentences.append(drawn.sentence)
    return tables, sentences
