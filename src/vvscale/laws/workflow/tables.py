"""Tables for people: fits with their intervals and verdicts, numbers formatted, nothing computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from vvscale.scores.table import score_behind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vvscale.laws.planning.plan import Plan
    from vvscale.laws.workflow.fit_tables import FitResult

SHOWN = ("E", "alpha", "beta")


def number(value: float | None, digits: int = 4) -> str:
    """Format a number for a table; None is an infinite one of a file, NaN one that does not exist.

    >>> number(0.522677), number(2.5e24), number(-math.inf), number(None), number(math.nan)
    ('0.5227', '2.5e+24', '-inf', 'inf', '')
    """
    if value is None:
        return "inf"
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def interval(ends: Sequence[float | None] | None) -> str:
    """Format an interval; empty where nobody made one, an end None where there is no end.

    >>> interval([0.21, 0.35]), interval([0.1, None]), interval([None, None]), interval([math.nan, math.nan])
    ('0.21 .. 0.35', '0.1 .. inf', 'not assessed', 'not assessed')
    """
    if ends is None:
        return ""
    if all(end is None or math.isnan(end) for end in ends):
        return "not assessed"
    return f"{'-inf' if ends[0] is None else number(ends[0], 3)} .. {number(ends[1], 3)}"


def reproduction_table(entries: Sequence[Mapping[str, Any]], units: Sequence[str]) -> pd.DataFrame:
    """One row per experiment: paper, ours, interval of the plateau by each unit, verdict."""
    rows = []
    for entry in entries:
        params = entry["params"]
        row = {
            "experiment": entry["name"],
            "form": entry["form"],
            "n": entry["n"],
            "paper": _paper(entry["published"]),
            "ours": ", ".join(f"{name} {number(params[name])}" for name in SHOWN if name in params),
            "loss": number(entry["loss"], 6),
        }
        for unit in units:
            made = entry["intervals"].get(unit)
            cell = interval(made["ci"]["E"]) if made else "refused"
            row[f"E 95 % by {unit}"] = cell
        told = entry["jackknife"]
        if units:
            row["E 95 % t"] = f"{interval(told['ci']['E'])} ({told['n_groups']} {told['by']})" if told else ""
        note = f"; {entry['published_note']}" if entry["published_note"] else ""
        rows.append({**row, "verdict": f"{entry['verdict']['words']}{note}"})
    return pd.DataFrame(rows)


def _paper(published: Mapping[str, Any] | None) -> str:
    """Published plateau and exponents, each with its interval over row resamples."""
    if published is None:
        return ""
    shown = [name for name in SHOWN if name in published["params"]]
    return ", ".join(
        f"{name} {number(published['params'][name])} [{interval(published['interval'][name])}]" for name in shown
    )


def fit_tables(result: FitResult) -> list[tuple[str, pd.DataFrame]]:
    """Tables of one fit: its parameters with an interval per resampling unit, then what was asked beside it."""
    fit, made, told = result.fit, result.entry["intervals"], result.entry["jackknife"]
    # Scores at infinity and gains of a score are words for 1 - score, not for any error.
    unfit = () if score_behind(fit.problem.outcome) else ("S_inf", "gain")
    rows = []
    for name, value in fit.quantities().items():
        if name in unfit:
            continue
        cells = {_heading(unit, each): interval(each["ci"][name]) for unit, each in made.items()}
        if told:
            cells[_left_out(told["by"])] = interval(told["ci"][name])
        rows.append({"quantity": name, "value": number(value), **cells})
    scaled = zip(fit.law.inputs, fit.problem.columns, fit.problem.units, strict=True)
    units = "".join(f", {letter} = {column} / {unit:.0e}" for letter, column, unit in scaled if unit != 1.0)
    title = f"{result.entry['name']}: {fit.law.formula}{units}, n = {fit.n}, loss {fit.loss:.6g}, R2 {fit.r2:.3f}"
    asked = [(name, plain(table)) for name, table in result.tables.items()]
    return [(title, pd.DataFrame(rows)), *asked]


def _heading(unit: str, made: Mapping[str, Any]) -> str:
    return _left_out(unit) if made["method"] == "CRV3-t" else f"95 % by {unit}"


def _left_out(unit: str) -> str:
    return f"95 % t, each {'block of rows' if unit == 'row' else unit} left out"


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its floats formatted."""
    shown = table.copy()
    for name in shown.columns:
        if shown[name].dtype.kind == "f":
            shown[name] = [number(value) for value in shown[name]]
    return shown


def plan_table(plans: Sequence[Plan]) -> pd.DataFrame:
    """One row per budget."""
    rows = []
    for each in plans:
        rows.append(
            {
                "budget FLOP": number(each.budget),
                "parameters N": number(each.n_params),
                "N from .. to": interval(each.n_interval),
                "samples seen D": number(each.samples_seen),
                "D from .. to": interval(each.d_interval),
                "epochs": number(each.epochs, 3) if each.epochs else "",
                each.label: number(each.score),
                f"{each.label} from .. to": interval(each.score_interval),
                "next tenfold adds": number(each.per_decade, 2),
                "bound": each.bound,
            }
        )
    return pd.DataFrame(rows)


def plan_words(plans: Sequence[Plan]) -> list[str]:
    """What a person should read below the table of plans: exponents, standing of the fit, warnings, each line once."""
    first = plans[0]
    exponents = [
        f"{letter} ~ C^{value:.3f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")
        for letter, value, ends in (
            ("N", first.n_exponent, first.n_exponent_interval),
            ("D", first.d_exponent, first.d_exponent_interval),
        )
    ]
    made = {"percentile": f"intervals by {first.unit}", "CRV3-t": f"t intervals, each {first.unit} left out"}
    how = made.get(first.method, "no resamples, so no intervals")
    lines = [f"{', '.join(exponents)}; {first.label} at infinite compute {first.limit:.4f}; {how}"]
    if first.status or first.plateau:
        lines.append(f"fit {first.status}, plateau {first.plateau or 'not assessed'}")
    return list(dict.fromkeys([*lines, *(line for each in plans for line in each.words())]))
