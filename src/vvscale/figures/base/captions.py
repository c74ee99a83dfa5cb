"""Captions: what is drawn, of how many models, by which law and with which intervals, all read from the data drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vvscale.figures.drawing.values import ADDED
from vvscale.laws.direction import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.drawing.values import FigureData


def caption(data: FigureData, fits: Fits) -> str:
    """Return the caption of a figure."""
    counts = [panel.n for panel in data.panels if panel.n]
    models = f"{max(counts)} {data.panels[0].unit_of_n}" if counts else ""
    if len(set(counts)) > 1:
        models = f"{', '.join(map(str, counts))} {data.panels[0].unit_of_n}"
    title = data.title.removesuffix("?")
    said = [f"{title}: {models} of '{fits.source.name}'." if models else f"{title}, '{fits.source.name}'."]
    marks = {mark for panel in data.panels for mark in panel.rows["mark"]}
    facts = [fit for panel in data.panels for fit in panel.fits]
    if "curve" in marks and facts:
        said += _laws(data, facts)
    elif marks & {"mean", "bar"} and _has_ends(data):
        said.append(f"Intervals: 95 % over resampled {_unit(fits)}." if fits.n_resamples else "")
    if any((panel.rows["layer"] == ADDED).any() for panel in data.panels):
        said.append(f"Stars: {', '.join(fits.source.added)}.")
        said += fits.source.other_benchmarks()
    return " ".join(part for part in said if part)


def _laws(data: FigureData, facts: Sequence[Mapping[str, Any]]) -> list[str]:
    formulas = dict.fromkeys(f"{fit['form']} ({fit['formula']})" for fit in facts)
    said = [f"Law: {', '.join(formulas)}; solid over the data, dotted beyond."]
    curves = [panel.rows[panel.rows["mark"] == "curve"] for panel in data.panels]
    if any(rows["low"].notna().any() for rows in curves if len(rows)):
        bands = dict.fromkeys(_band(fit) for fit in facts if fit["unit"] and not fit["interpolates"])
        said.append(f"Dark band: {', '.join(bands)}.")
    if any(rows["predicted_low"].notna().any() for rows in curves if len(rows)):
        said.append("Pale band: 90 % interval for a model of a new architecture.")
    if any(rows["status"].eq("unidentified").any() for rows in curves if len(rows)):
        said.append("Dashed: the rows do not identify the limit.")
    rising = {
        panel.y.column: None for panel in data.panels for fit in panel.fits
        if not fit["is_score"] and fit.get("direction") == Direction.RISES
    }  # fmt: skip
    said += [f"'{name}' rises and this law only falls: where it is a score, ask for y = 1-{name}." for name in rising]
    return said


def _band(fit: Mapping[str, Any]) -> str:
    if fit["method"] == "CRV3-t":
        return f"95 % t interval, each of {fit['n_units']} {_plural(fit['unit'])} left out in turn"
    return f"95 % over {fit['n_units']} resampled {_plural(fit['unit'])}"


def _plural(unit: str) -> str:
    return {"arch": "architectures", "row": "rows", "cell": "cells", "family": "families"}.get(
        unit, f"values of {unit}"
    )


def _unit(fits: Fits) -> str:
    models = fits.source.models
    return "architectures" if "arch" in models.columns and models["arch"].nunique() > 1 else "rows"


def _has_ends(data: FigureData) -> bool:
    return any("low" in panel.rows and panel.rows["low"].notna().any() for panel in data.panels)
