"""Panels of an outcome against one input, each series with its law: what most figures are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from vvscale.errors import DataError, FitError, MissingDataError, UnknownNameError
from vvscale.figures.base.fits import Question
from vvscale.figures.base.marks import as_names, curve, in_order, points
from vvscale.figures.base.outcomes import input_axis
from vvscale.figures.base.tables import require
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import ADDED, Axis, Panel, Series

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.laws.gokce2025.experiments import Experiment

# A panel may go without a law, never without its points.
NO_FIT = (DataError, FitError)


@dataclass(frozen=True)
class Shown:
    """One series of a scaling panel.

    Attributes
    ----------
    name
        Its name and looks.
    asked
        Its rows and its law: of a published experiment, or any.
    by
        Column whose values colour the points instead, one series each; the law keeps ``name``.
    has_curve, has_points
        What of it is drawn.
    label
        What the legend calls its law; by default its name as people write it.
    y
        Outcome that models of another table laid over it show; by default that of a published experiment.
    """

    name: str
    asked: Experiment | Question
    by: str = ""
    has_curve: bool = True
    has_points: bool = True
    label: str = ""
    y: str = ""

    def rows(self, fits: Fits) -> pd.DataFrame:
        """Its models, with a value of every input."""
        if isinstance(self.asked, Question):
            return self.asked.frame.dropna(subset=list(self.asked.x))
        return fits.source.rows(self.asked)

    @property
    def outcome(self) -> str:
        """Name of its outcome where models of another table may be laid over it; empty where not."""
        return self.y or ("" if isinstance(self.asked, Question) else self.asked.regions)


@dataclass
class Gathered:
    """Marks and words gathered for one panel; grows while a figure is made."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    fits: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Number of distinct models drawn as points."""
        if not self.rows:
            return 0
        whole = self.frame()
        return int(whole.loc[whole["mark"] == "point", "model_id"].nunique()) if "model_id" in whole else 0

    def frame(self) -> pd.DataFrame:
        """All marks."""
        return pd.concat(self.rows, ignore_index=True)


def scaling(
    fits: Fits,
    shown: Sequence[Shown],
    *,
    key: str,
    title: str,
    y: Axis,
    size: str = "",
    shade: str = "",
    x: str = "",
    over: str = "",
) -> tuple[Panel, list[str]]:
    """Outcome against one input, each series with its law; what a table lacks is left out and named.

    Parameters
    ----------
    size, shade
        Columns that marker size and colour stand for.
    x
        Column of the x-axis; by default the law's input.
    over
        Outcome that models laid over the table show; by default that of each experiment.

    Raises
    ------
    MissingDataError
        None of the series can be drawn.
    """
    made = Gathered()
    x = x or shown[0].asked.x[0]
    for one in shown:
        _gather(fits, one, made, x, size, shade)
    if not made.rows:
        raise MissingDataError(" ".join(dict.fromkeys(made.absent)))
    # What is laid over stands beside the table's own models and is not counted among them.
    drawn, n = made.frame(), made.n
    _lay_over(fits, shown, made, x, over)
    made.notes += [f"{key}: left out, {reason}" for reason in dict.fromkeys(made.absent)]
    dots = drawn[drawn["mark"] == "point"]

    def axis(column: str, place: str) -> Axis:
        return input_axis(pd.DataFrame({column: dots[place]}), column)

    panel = Panel(
        key, title, axis(x, "x"), y, made.frame(), tuple(made.series), n,
        size=axis(size, "size") if size else None, shade=axis(shade, "shade") if shade else None,
        fits=tuple(made.fits),
    )  # fmt: skip
    return panel, made.notes


def _gather(fits: Fits, one: Shown, made: Gathered, x: str, size: str, shade: str) -> None:
    try:
        frame = one.rows(fits)
        require(frame, [name for name in (one.by, x, size, shade) if name], f"'{fits.source.name}'")
    except (MissingDataError, UnknownNameError) as error:
        made.absent.append(str(error))
        return
    frame = frame.dropna(subset=[name for name in (x, size, shade) if name])
    named = as_names(frame[one.by]) if one.by else one.name
    if one.has_points:
        made.rows.append(points(frame, x, series=named, size=size, shade=shade))
        names = _names(frame[one.by]) if one.by else [one.name]
        made.series += [each for each in style.series(names) if each.name not in {s.name for s in made.series}]
    if not one.has_curve:
        return
    label = one.label or ("all" if one.by and one.name == "all" else written(one.name))
    try:
        law = fits.curve(one.asked)
    except NO_FIT as error:
        made.notes.append(f"No law for {label}: {error}")
        return
    made.rows.append(curve(law, one.name))
    made.fits.append(law.facts)
    colour, marker = style.look(one.name, [each.name for each in made.series])
    replaced = Series(one.name, colour, marker, f"{label} ({law.summary})", not law.is_identified)
    made.series = [each for each in made.series if each.name != one.name] + [replaced]
    if not law.is_identified:
        made.notes.append(f"{label}: {law.facts['verdict']}.")


def _names(values: pd.Series) -> list[str]:
    return [*in_order(values), *(["unknown"] if values.isna().any() else [])]


def _lay_over(fits: Fits, shown: Sequence[Shown], made: Gathered, x: str, over: str) -> None:
    """Add the models laid over the table, where they have the outcome and could be in the series by family.

    Several outcomes in one panel give each of them a series of its own, in the colour of what it is compared with.
    """
    outcomes = {over: ""} if over else {one.outcome: one.name for one in shown if one.outcome}
    for y, compared in outcomes.items():
        frames, absent = fits.source.laid_over(y, [x])
        made.notes += absent
        for label, frame in frames.items():
            frame = frame[fits_in(frame, [one.asked for one in shown])]
            if frame.empty:
                continue
            is_one = len(outcomes) == 1
            name = label if is_one else f"{label}: {written(y)}"
            colour = style.ADDED_COLOUR if is_one else style.look(compared)[0]
            made.rows.append(points(frame, x, series=name, layer=ADDED))
            if name not in {each.name for each in made.series}:
                made.series.append(style.added_series(name, colour))


def fits_in(frame: pd.DataFrame, asked: Iterable[Experiment | Question]) -> pd.Series:
    """Which models could be in any of the series by family; a family that is not known could be in any."""
    wanted: set[str] = set()
    for one in asked:
        families = None if isinstance(one, Question) else one.where.get("parent_family")
        if families is None or "parent_family" not in frame.columns:
            return pd.Series(True, index=frame.index)
        wanted |= {families} if isinstance(families, str) else set(families)
    return frame["parent_family"].isin(wanted) | frame["parent_family"].isna()
