"""From models and fits to tidy marks and whole panels: what most figures are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import DataError, FitError, MissingDataError, UnknownNameError
from vvscale.figures.base.tables import require
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import ADDED, BASE, Axis, Panel, Series

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.statistics import Estimate
    from vvscale.laws.gokce2025.experiments import Experiment

AXES: Mapping[str, Axis] = {
    "train_flop": Axis("Training compute C (FLOP)", "train_flop", "log"),
    "n_params": Axis("Parameters N", "n_params", "log"),
    "samples_seen": Axis("Samples seen D (images)", "samples_seen", "log"),
    "accuracy": Axis("Validation accuracy (top-1 share)", "accuracy"),
    "epoch": Axis("Epoch", "epoch", "log"),
}
SAID = {
    "all": "Mean alignment (ceiling = 1)",
    "neural": "Neural alignment (ceiling = 1)",
    "behavior": "Behaviour (ceiling = 1)",
}
REGION_NAMES = {"behavior": "Behaviour", "neural": "Neural", "all": "Mean of five"}
# A panel may go without a law, never without its points.
NO_FIT = (DataError, FitError)


def score_axis(regions: str = "") -> Axis:
    """Axis of a score averaged over ``regions``; without a name, of any region."""
    return Axis(SAID.get(regions, f"{regions + ' alignment' if regions else 'Alignment'} (ceiling = 1)"), "score")


def points(
    frame: pd.DataFrame, x: str, *, series: str | pd.Series, y: str = "score", size: str = "", shade: str = "",
    layer: str = BASE,
) -> pd.DataFrame:  # fmt: skip
    """One mark per model."""
    made = pd.DataFrame(
        {
            "mark": "point",
            "series": series if isinstance(series, str) else series.to_numpy(),
            "layer": layer,
            "model_id": frame["model_id"].to_numpy(),
            "x": frame[x].to_numpy(float),
            "y": frame[y].to_numpy(float),
        }
    )
    for name, column in (("size", size), ("shade", shade)):
        if column:
            made[name] = frame[column].to_numpy(float)
    return made


def curve(made: LawCurve, series: str) -> pd.DataFrame:
    """Vertices of a fitted curve with its bands."""
    return pd.DataFrame(
        {
            "mark": "curve",
            "series": series,
            "layer": BASE,
            "group": np.where(made.inside, "data", "extrapolated"),
            "x": made.x,
            "y": made.score,
            "low": made.low,
            "high": made.high,
            "predicted_low": made.predicted_low,
            "predicted_high": made.predicted_high,
            "n": float(made.facts["n"]),
            "status": "identified" if made.is_identified else "unidentified",
        }
    )


def mean(
    one: Estimate, series: str, *, category: str = "", x: float = np.nan, mark: str = "mean", **more: Any
) -> dict[str, Any]:
    """One mark of an estimate with its interval, at a category or at x."""
    return {
        "mark": mark, "series": series, "layer": BASE, "category": category or None, "x": x, "y": one.value,
        "low": one.low, "high": one.high, "n": float(one.n), **more,
    }  # fmt: skip


def line(
    series: str, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, *, group: str = "", **more: Any
) -> pd.DataFrame:
    """Vertices of one line."""
    return pd.DataFrame(
        {"mark": "line", "series": series, "layer": BASE, "group": group or series, "x": x, "y": y, **more}
    )


@dataclass(frozen=True)
class Shown:
    """One series of a scaling panel.

    Attributes
    ----------
    name
        Its name and looks.
    experiment
        Its rows and its law.
    by
        Column whose values colour the points instead, one series each; the law keeps ``name``.
    has_curve, has_points
        What of it is drawn.
    """

    name: str
    experiment: Experiment
    by: str = ""
    has_curve: bool = True
    has_points: bool = True


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
        whole = pd.concat(self.rows, ignore_index=True)
        return int(whole.loc[whole["mark"] == "point", "model_id"].nunique()) if "model_id" in whole else 0

    def frame(self) -> pd.DataFrame:
        """All marks."""
        return pd.concat(self.rows, ignore_index=True)


def scaling(
    fits: Fits, shown: Sequence[Shown], *, key: str, title: str, y: Axis, size: str = "", shade: str = "", x: str = ""
) -> tuple[Panel, list[str]]:
    """Scores against one input, each series with its law; what a table lacks is left out and named.

    Parameters
    ----------
    size, shade
        Columns that marker size and colour stand for.
    x
        Column of the x-axis; by default the law's input.

    Raises
    ------
    MissingDataError
        None of the series can be drawn.
    """
    made = Gathered()
    x = x or shown[0].experiment.x[0]
    for one in shown:
        _gather(fits, one, made, x, size, shade)
    if not made.rows:
        raise MissingDataError(" ".join(dict.fromkeys(made.absent)))
    _lay_over(fits, shown, made, x)
    made.notes += [f"{key}: left out, {reason}" for reason in dict.fromkeys(made.absent)]
    panel = Panel(
        key, title, AXES[x], y, made.frame(), tuple(made.series), made.n,
        size=AXES[size] if size else None, shade=AXES[shade] if shade else None, fits=tuple(made.fits),
    )  # fmt: skip
    return panel, made.notes


def _gather(fits: Fits, one: Shown, made: Gathered, x: str, size: str, shade: str) -> None:
    try:
        frame = fits.source.rows(one.experiment)
        require(frame, [name for name in (one.by, x, size, shade) if name], f"'{fits.source.name}'")
    except (MissingDataError, UnknownNameError) as error:
        made.absent.append(str(error))
        return
    frame = frame.dropna(subset=[name for name in (x, size, shade) if name])
    named = frame[one.by].fillna("unknown") if one.by else one.name
    if one.has_points:
        made.rows.append(points(frame, x, series=named, size=size, shade=shade))
        names = in_order(frame[one.by].fillna("unknown")) if one.by else [one.name]
        made.series += [each for each in style.series(names) if each.name not in {s.name for s in made.series}]
    if not one.has_curve:
        return
    label = one.name if one.by else REGION_NAMES.get(one.name, one.name)
    try:
        law = fits.curve(one.experiment)
    except NO_FIT as error:
        made.notes.append(f"No law for {label}: {error}")
        return
    made.rows.append(curve(law, one.name))
    made.fits.append(law.facts)
    colour, marker = style.look(one.name)
    replaced = Series(one.name, colour, marker, f"{label} ({law.summary})", not law.is_identified)
    made.series = [each for each in made.series if each.name != one.name] + [replaced]
    if not law.is_identified:
        made.notes.append(f"{label}: {law.facts['verdict']}.")


def _lay_over(fits: Fits, shown: Sequence[Shown], made: Gathered, x: str) -> None:
    """Add the models laid over the table to a panel that shows their regions, families and data sets."""
    for regions in dict.fromkeys(one.experiment.regions for one in shown):
        over, absent = fits.source.laid_over(regions, [x])
        made.notes += absent
        for label, frame in over.items():
            frame = frame[fits_in(frame, [one.experiment for one in shown])]
            if frame.empty:
                continue
            made.rows.append(points(frame, x, series=label, layer=ADDED))
            if label not in {each.name for each in made.series}:
                made.series.append(style.added_series(label))


def fits_in(frame: pd.DataFrame, experiments: Iterable[Experiment]) -> pd.Series:
    """Which models could be in any of the experiments by family; a family that is not known could be in any."""
    wanted: set[str] = set()
    for one in experiments:
        families = one.where.get("parent_family")
        if families is None or "parent_family" not in frame.columns:
            return pd.Series(True, index=frame.index)
        wanted |= {families} if isinstance(families, str) else set(families)
    return frame["parent_family"].isin(wanted) | frame["parent_family"].isna()


def in_order(values: pd.Series) -> list[str]:
    """Distinct values, those with looks of their own first, in the order of ``style``."""
    present = set(values.dropna().astype(str))
    return [name for name in style.LOOKS if name in present] + sorted(present - set(style.LOOKS))
