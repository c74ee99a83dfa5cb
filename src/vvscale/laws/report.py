"""Tables for people: fits with their intervals and verdicts, numbers formatted, nothing computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        params, published = entry["params"], entry["published"]
        row = {
            "experiment": entry["name"],
            "form": entry["form"],
            "n": entry["n"],
            "paper": ", ".join(f"{name} {number(value)}" for name, value in published.items()),
            "ours": ", ".join(f"{name} {number(params[name])}" for name in SHOWN if name in params),
            "loss": number(entry["loss"], 6),
        }
        for unit in units:
            made = entry["intervals"].get(unit)
            row[f"E 95 % by {unit}"] = interval(made["ci"]["E"]) if made else "refused"
        rows.append({**row, "verdict": entry["verdict"]})
    return pd.DataFrame(rows)
