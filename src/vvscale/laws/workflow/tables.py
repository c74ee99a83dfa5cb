"""Tables for people: fits with their intervals and verdicts, numbers formatted, nothing computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vvscale.laws.planning.plan import Plan
    from vvscale.laws.workflow.fit_tables import FitResult

SHOWN = ("E", "alpha", "beta")


def number(value: float | None, digits: int = 4) -> str:
    """Format a number for a table; None is an infinite or missing one.

    >>> number(0.522677), number(2.5e24), number(None)
    ('0.5227', '2.5e+24', 'inf')
    """
    return "inf" if value is None else f"{value:.{digits}g}"


def interval(ends: Sequence[float | None] | None) -> str:
    """Format an interval; empty where there is none."""
    return "" if ends is None else f"{number(ends[0], 3)} .. {number(ends[1], 3)}"


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
            # Few units are each left out once: what comes of it is a range.
            row[f"E 95 % by {unit}"] = f"{cell} (range)" if made and made["leaves_one_out"] else cell
        rows.append({**row, "verdict": entry["verdict"]})
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
    fit, made = result.fit, result.entry["intervals"]
    derived = {name: float(value[0]) for name, value in fit.derived().items()}
    rows = []
    for name, value in {**fit.params, **derived}.items():
        cells = {_heading(unit, each): interval(each["ci"][name]) for unit, each in made.items()}
        rows.append({"quantity": name, "value": number(value if math.isfinite(value) else None), **cells})
    title = f"{result.entry['name']}: {fit.law.formula}, n = {fit.n}, loss {fit.loss:.6g}, R2 {fit.r2:.3f}"
    asked = [(name, plain(table)) for name, table in result.tables.items()]
    return [(title, pd.DataFrame(rows)), *asked]


def _heading(unit: str, made: Mapping[str, Any]) -> str:
    return f"range, each {unit} left out" if made["leaves_one_out"] else f"95 % by {unit}"


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its floats formatted."""
    shown = table.copy()
    for name in shown.columns:
        if shown[name].dtype.kind == "f":
            shown[name] = [number(value if math.isfinite(value) else None) for value in shown[name]]
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
                "score": number(each.score),
                "score from .. to": interval(each.score_interval),
                "next tenfold adds": number(each.per_decade, 2),
                "bound": each.bound,
            }
        )
    return pd.DataFrame(rows)
