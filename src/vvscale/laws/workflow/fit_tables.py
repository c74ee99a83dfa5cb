"""A law fitted to one table, or to each group of it, with what was asked besides: what ``vvscale fit`` runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import json_rows
from vvscale.errors import UsageError, VvscaleError, unknown_name
from vvscale.laws.comparison.assess import examine
from vvscale.laws.comparison.compare import compare_laws
from vvscale.laws.comparison.coverage import coverage
from vvscale.laws.comparison.holdout import hold_out
from vvscale.laws.comparison.saturation import saturation
from vvscale.laws.comparison.sensitivity import sensitivity
from vvscale.laws.fit import DEFAULT_X, Fit, fit_rows
from vvscale.laws.law import LAWS
from vvscale.laws.planning.joint import facts_of_rows
from vvscale.laws.planning.support import Beyond, Support
from vvscale.laws.problem import columns_to_name
from vvscale.laws.rows import load_rows
from vvscale.laws.uncertainty.bootstrap import Bootstrap, bootstrap
from vvscale.laws.uncertainty.conformal import predict_interval
from vvscale.laws.uncertainty.mixed import MIXED, fit_mixed, resampled_units
from vvscale.laws.uncertainty.profile import profile
from vvscale.laws.uncertainty.resample import default_unit, design_effect
from vvscale.laws.verdict import Verdict
from vvscale.laws.workflow.options import FitOptions
from vvscale.scores import drop_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

PREDICTION_LEVEL = 0.9
# A broken line costs a millisecond per resample: enough for two digits of the knee without being asked.
SATURATION_RESAMPLES = 1000


@dataclass(frozen=True)
class FitResult:
    """One fit with what was asked beside it.

    Attributes
    ----------
    fit
        The fit.
    verdict
        What it can bear.
    entry
        Plain values for ``fits.json``.
    resamples
        Unit -> one row per resample.
    tables
        Title -> table, as asked.
    sentences
        What is said of them.
    resampled
        The bootstrap of the first resampling unit, for a picture; None without resamples.
    """

    fit: Fit
    verdict: Verdict
    entry: dict[str, Any]
    resamples: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    resampled: Bootstrap | None = None

    def words(self) -> Iterator[str]:
        """Yield what a person should read below the tables."""
        # That the rows are not what a law is about comes before what the law makes of them.
        notes = self.verdict.notes
        yield from notes
        yield f"{self.fit.status}: {self.fit.advice}"
        yield from (line for line in self.verdict.lines() if line not in notes)
        yield from self.sentences
        for reason, names in self.fit.problem.excluded.items():
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            yield f"left out, {reason}: {len(names)} ({shown})"


def run_fits(source: str | Path | pd.DataFrame, options: FitOptions | None = None, /, **fields: Any) -> list[FitResult]:
    """Fit a law to a table; one result, or one per value of the column ``each``, in their order.

    Parameters
    ----------
    source
        See :func:`vvscale.laws.rows.load_rows`.
    options, fields
        A :class:`FitOptions`, its fields as keywords, or both.
    """
    options = FitOptions.of(options, **fields)
    with options.reading():
        return _fits(source, options)


def _fits(source: str | Path | pd.DataFrame, options: FitOptions) -> list[FitResult]:
    law = LAWS[options.law]
    x = options.x or DEFAULT_X[len(law.inputs)]
    rows, excluded = load_rows(
        source,
        regions=options.regions or None,
        where=options.where,
        needs=[*x, options.y] if options.missing == "auto" else (),
        y=options.y,
    )
    lacking = next((name for name in x if name not in rows.columns), None)
    if lacking is not None and not options.x:
        raise UsageError(
            f"No input was given, and the table has no '{lacking}', which is the default. {columns_to_name(rows)}"
        )
    if options.each is None:
        # The rows that the conditions left out are the first thing to doubt a conclusion with.
        others = {}
        if options.sensitivity and options.where:
            others["without the conditions"] = load_rows(source, regions=options.regions or None, y=options.y)[0]
        return [_run(law.name, rows, x, options, excluded, others)]
    if options.each not in rows.columns:
        raise unknown_name("column", options.each, map(str, rows.columns))
    rows, ungrouped = drop_missing(rows, [options.each])
    excluded = {**excluded, **ungrouped}
    groups = list(rows.groupby(options.each, sort=True))
    if not groups:
        raise UsageError(f"Column '{options.each}' is empty: there is no group to fit. Choose another `each`.")
    results = []
    for value, group in groups:
        try:
            results.append(_run(str(value), group, x, options, excluded))
        except VvscaleError as error:
            raise type(error)(f"Group '{value}' of `each={options.each}`: {error}") from error
    return results


def _run(
    name: str,
    rows: pd.DataFrame,
    x: tuple[str, ...],
    options: FitOptions,
    excluded: dict[str, list[str]],
    others: Mapping[str, pd.DataFrame] | None = None,
) -> FitResult:
    fit = fit_rows(
        rows, law=options.law, x=x, y=options.y, delta=options.threshold, offsets=options.offsets,
        offset_by=options.offset_by, excluded=excluded, drop_incomplete=options.missing == "drop",
    )  # fmt: skip
    frame = fit.problem.frame
    entry: dict[str, Any] = {"name": name, "form": options.law, **fit.to_dict(), "outcome": fit.problem.outcome}
    if fit.law.is_joint:
        entry |= facts_of_rows(frame, x)
    drawn = {}
    for unit in (resampled_units(options.by) or (default_unit(frame),)) if options.resamples else ():
        drawn[unit] = bootstrap(fit, options.resamples, by=unit, seed=options.seed)
    entry["intervals"] = {unit: made.to_dict() for unit, made in drawn.items()}
    verdict, left_out = examine(fit, by=tuple(drawn))
    entry["verdict"] = verdict.to_dict()
    entry["jackknife"] = left_out.to_dict() if left_out else None
    tables, sentences = _asked(fit, options, others or {})
    if options.resamples and not options.by:
        sentences += _alike(frame)
    if MIXED in options.by:
        mixed = fit_mixed(fit)
        entry["mixed"] = mixed.to_dict()
        tables["random intercepts beside the fit"] = mixed.table()
        sentences.append(mixed.sentence)
    entry["tables"] = {title: json_rows(table) for title, table in tables.items()}
    entry["sentences"] = sentences
    entry["warnings"] = [each.to_dict() for each in _beyond(fit, options.at)]
    draws = {unit: made.table() for unit, made in drawn.items()}
    first = next(iter(drawn.values()), None)
    return FitResult(fit, verdict, entry, draws, tables, tuple(sentences), first)


def _inputs(fit: Fit, values: tuple[float, ...]) -> list[NDArray[np.float64]]:
    """Split the values of ``at`` into one array per input."""
    n = len(fit.problem.columns)
    if len(values) % n:
        raise UsageError(
            f"`at` needs {n} value(s) per model ({', '.join(fit.problem.columns)}), got {len(values)} in all. Give "
            "them model by model, for example `at=(1e7, 1e9)`."
        )
    return list(np.array(values).reshape(-1, n).T)


def _beyond(fit: Fit, at: tuple[float, ...]) -> list[Beyond]:
    """Return what of the inputs asked for lies beyond the rows."""
    columns = fit.problem.columns
    support = Support.from_rows(fit.problem.frame, columns)
    rows = zip(*_inputs(fit, at), strict=True)
    return [each for row in rows for each in support.beyond(**dict(zip(columns, map(float, row), strict=True)))]


def _alike(frame: pd.DataFrame) -> list[str]:
    """A sentence on columns of text that several rows share a value of, where rows are taken as independent."""
    if default_unit(frame) != "row":
        return []
    texts = [name for name in map(str, frame.columns) if not pd.api.types.is_numeric_dtype(frame[name])]
    shared = [name for name in texts if 1 < frame[name].nunique() < len(frame)]
    if not shared:
        return []
    return [
        f"Rows were taken as independent. If those that share a value of {' or '.join(shared[:3])} are not, as rows of "
        f"one network are not, name that column: `by={shared[0]}`."
    ]


def _left_out(reasons: Mapping[str, str]) -> list[str]:
    """A sentence on the laws and splits that are not in a table, and why; none if all are."""
    return [
        "Left out: " + "; ".join(f"{name} ({reason.rstrip('.')})" for name, reason in reasons.items()) + "."
    ] * bool(reasons)


def _asked(
    fit: Fit, options: FitOptions, others: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Make the tables that were asked for, and sentences about them."""
    tables: dict[str, pd.DataFrame] = {}
    sentences: list[str] = []
    # What a new model is new in; rows of one unit stand or fall together.
    unit = next(iter(resampled_units(options.by)), default_unit(fit.problem.frame))
    if options.profile:
        effect = design_effect(fit.problem.frame, fit.residuals(), unit)
        made = profile(fit, "E", by=None if unit == "row" else unit)
        tables["profile of E"] = made.table().iloc[::4]
        sentences.append(
            f"{made.sentence} Dependence within {unit} inflates its variance {made.inflation:.1f} times; for a mean "
            f"these {fit.n} rows are worth {effect.n_effective:.0f} independent ones."
        )
    if options.compare:
        comparison = compare_laws(fit, by=unit, seed=options.seed)
        tables["laws compared on the same rows"] = comparison.table()
        sentences += [comparison.verdict, *_left_out(comparison.left_out)]
    if options.hold_out:
        held = hold_out(fit)
        tables["fitted on low compute, predicting high compute"] = held.table()
        sentences += [held.verdict, *_left_out(held.left_out)]
    if options.prediction:
        measured = coverage(fit, level=PREDICTION_LEVEL, by=unit, seed=options.seed)
        tables[f"coverage of {PREDICTION_LEVEL:.0%} prediction intervals"] = measured.table()
    if options.at:
        sentences += [f"Warning: {each.words}" for each in _beyond(fit, options.at)]
        predicted = predict_interval(fit, _inputs(fit, options.at), level=PREDICTION_LEVEL, by=unit)
        tables[f"{PREDICTION_LEVEL:.0%} prediction interval (conformal) for a new {unit}"] = predicted.table()
    if options.saturation:
        bent = saturation(fit, n=options.resamples or SATURATION_RESAMPLES, seed=options.seed)
        tables["where the score flattens: a broken line"] = bent.table()
        sentences.append(bent.sentence)
    if options.sensitivity:
        drawn = sensitivity(fit, rows=others, seed=options.seed)
        tables["does the conclusion change?"] = drawn.table()
        sentences.append(drawn.sentence)
    return tables, sentences
