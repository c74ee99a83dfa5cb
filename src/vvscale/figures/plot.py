"""The picture of a fit: points, law, band, extrapolation and verdict, for any columns. What ``Fit.plot`` draws."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.files import write_bytes
from vvscale.errors import UsageError
from vvscale.figures.base.curves import curve_of, facts_of
from vvscale.figures.base.marks import as_names, curve, in_order, line, points
from vvscale.figures.base.outcomes import default_colour, input_axis
from vvscale.figures.drawing import style
from vvscale.figures.drawing.draw import draw
from vvscale.figures.drawing.files import DRAWN, render, save
from vvscale.figures.drawing.names import column_label
from vvscale.figures.drawing.ticks import tick_label
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vvscale.laws.fit import Fit
    from vvscale.laws.uncertainty.bootstrap import Bootstrap

# Lines of a joint law, at these quantiles of the other input.
QUANTILES = (0.0, 0.5, 1.0)
GRID = 61


@dataclass(frozen=True)
class Drawing:
    """A drawn figure: shows itself in a notebook, and saves itself.

    Attributes
    ----------
    data
        What is drawn, as values.
    """

    data: FigureData

    @property
    def caption(self) -> str:
        """What is drawn, in words."""
        return self.data.caption

    def save(self, path: str | Path) -> Path:
        """Write it to a ``.png``, ``.pdf``, ``.svg``, ``.csv`` or ``.json`` file.

        Raises
        ------
        UsageError
            Another ending.
        """
        path = check_plot_path(path)
        kind = path.suffix[1:].lower()
        if kind in DRAWN:
            write_bytes(path, render(draw(self.data), kind))
        else:
            save(replace(self.data, name=path.stem), path.parent, formats=[kind])
        return path

    def _repr_png_(self) -> bytes:
        return render(draw(self.data), "png")

    def _repr_html_(self) -> str:
        """For pages that show HTML but no values of their own, such as those of the documentation."""
        picture = base64.b64encode(self._repr_png_()).decode()
        return f'<img alt="{escape(self.caption)}" src="data:image/png;base64,{picture}"><p>{escape(self.caption)}</p>'


def check_plot_path(path: str | Path) -> Path:
    """Refuse a picture of no known kind, before anything is fitted."""
    path = Path(path)
    if path.suffix.lower() not in {".png", ".pdf", ".svg", ".csv", ".json"}:
        raise UsageError(f"A plot is a .png, .pdf, .svg, .csv or .json file; got '{path}'.")
    return path


def plot_fit(fit: Fit, resampled: Bootstrap | None = None, *, path: str | Path | None = None) -> Drawing:
    """Draw a fit, and write it where a path is given.

    Parameters
    ----------
    fit
        Of one or two inputs, of any columns. An outcome called ``misalignment`` is drawn as the score 1 - outcome.
    resampled
        Its bootstrap, for a band.
    path
        File to write.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from vvscale.laws import fit_law
    >>> x = np.geomspace(1e3, 1e9, 20)
    >>> fit = fit_law(pd.DataFrame({"size": x, "error": 0.3 + 5 * x**-0.4}), x="size", y="error")
    >>> plot_fit(fit).caption
    'error against size, 20 rows. Law: power (E + A X^-alpha). Verdict: plateau not assessed: no intervals.'
    """
    return plot_fits({"": fit}, {"": resampled} if resampled is not None else {}, path=path)


def plot_fits(
    fits: Mapping[str, Fit], resampled: Mapping[str, Bootstrap] | None = None, *, path: str | Path | None = None
) -> Drawing:
    """Draw several fits of the same columns together, each with its own colour and law; see ``plot_fit``."""
    resampled = resampled or {}
    first = next(iter(fits.values()))
    is_score = first.problem.outcome == "misalignment"
    y = Axis("Score (1 - misalignment)", "score") if is_score else Axis(column_label(first.problem.outcome),
                                                                        first.problem.outcome)  # fmt: skip
    if len(first.problem.columns) == 2:
        data = _two_inputs(fits, resampled, y, is_score=is_score)
    else:
        data = _one_input(fits, resampled, y, is_score=is_score)
    made = Drawing(data)
    if path is not None:
        made.save(path)
    return made


def _drawn_rows(fit: Fit, *, is_score: bool) -> pd.DataFrame:
    frame = fit.problem.frame
    outcome = frame[fit.problem.outcome].astype(float)
    ids = frame["model_id"] if "model_id" in frame.columns else [f"row {row + 1}" for row in range(len(frame))]
    return frame.assign(score=1.0 - outcome if is_score else outcome, model_id=ids)


def _one_input(
    fits: Mapping[str, Fit], resampled: Mapping[str, Bootstrap], y: Axis, *, is_score: bool
) -> FigureData:  # fmt: skip
    rows, looks, facts, n = [], [], [], 0
    first = next(iter(fits.values()))
    column = first.problem.columns[0]
    for name, fit in fits.items():
        frame = _drawn_rows(fit, is_score=is_score)
        n += len(frame)
        made = curve_of(fit, resampled.get(name), name=name, is_score=is_score)
        facts.append(made.facts)
        if len(fits) > 1:
            rows += [points(frame, column, series=name), curve(made, name)]
            looks.append(Series(name, *style.look(name, list(fits)), f"{name} ({made.summary})",
                                not made.is_identified and made.facts["limit"] is not None))  # fmt: skip
            continue
        by = fit.offset_by or default_colour(frame)
        named = as_names(frame[by]) if by else pd.Series("rows", index=frame.index)
        rows.append(points(frame, column, series=named))
        looks += style.series(in_order(named), {"rows": ""} if not by else None)
        if fit.offsets:
            rows += _of_groups(fit, column, is_score=is_score)
            continue
        rows.append(curve(made, "law"))
        looks.append(Series("law", style.BLACK, "", f"{fit.law.name} law ({made.summary})",
                            not made.is_identified and made.facts["limit"] is not None))  # fmt: skip
    looks = [replace(each, label=None) if each.label == "" else each for each in looks]
    whole = pd.concat([_drawn_rows(fit, is_score=is_score) for fit in fits.values()])
    title = f"{y.label.partition(' (')[0]} against {column_label(column).partition(' (')[0]}"
    panel = Panel(
        "a", _wrapped(title), input_axis(whole, column), y, pd.concat(rows, ignore_index=True), tuple(looks), n,
        unit_of_n="rows", fits=tuple(facts),
    )  # fmt: skip
    return FigureData("fit", title, (panel,), tuple(_verdicts(facts)), 1, _caption(title, n, first, facts))


def _of_groups(fit: Fit, column: str, *, is_score: bool) -> list[pd.DataFrame]:
    """One curve per group with amplitudes of its own, over that group's rows."""
    made = []
    frame = fit.problem.frame
    for group in fit.problem.groups:
        own = frame.loc[frame[fit.offset_by].astype(str) == str(group), column]
        x = np.geomspace(own.min(), own.max(), GRID)
        outcome = fit.predict(x, group=group)
        made.append(line(str(group), x, 1.0 - outcome if is_score else outcome))
    return made


def _two_inputs(
    fits: Mapping[str, Fit], resampled: Mapping[str, Bootstrap], y: Axis, *, is_score: bool
) -> FigureData:  # fmt: skip
    """Outcome against each input, shade the other, with the law at three values of the other; a row for each fit."""
    first = next(iter(fits.values()))
    facts = {n: facts_of(fit, resampled.get(n), n, is_score=is_score) for n, fit in fits.items()}
    keys = iter("abcdefghijklmnopqrstuvwxyz" * len(fits))
    panels = tuple(
        _over_one_input(fit, place, y, next(keys), name, facts[name], is_score=is_score)
        for name, fit in fits.items()
        for place in (0, 1)
    )
    title = f"{y.label.partition(' (')[0]} against {' and '.join(first.problem.columns)}"
    n, said = sum(fit.n for fit in fits.values()), list(facts.values())
    return FigureData("fit", title, panels, tuple(_verdicts(said)), 2, _caption(title, n, first, said))


def _over_one_input(
    fit: Fit, place: int, y: Axis, key: str, name: str, facts: Mapping[str, Any], *, is_score: bool
) -> Panel:  # fmt: skip
    """One panel of a joint law: its rows and curves over one of its inputs."""
    frame = _drawn_rows(fit, is_score=is_score)
    column, other = fit.problem.columns[place], fit.problem.columns[1 - place]
    rows = [points(frame, column, series="rows", shade=other)]
    grid = np.geomspace(frame[column].min(), frame[column].max(), GRID)
    looks = [Series("rows", style.GREY, "o", None)]
    for level, dash in zip(np.quantile(frame[other], QUANTILES), (True, False, True), strict=True):
        held = np.full(GRID, float(level))
        outcome = fit.predict(*((grid, held) if place == 0 else (held, grid)))
        label = f"law at {tick_label(float(f'{level:.3g}'))}"
        rows.append(line(label, grid, 1.0 - outcome if is_score else outcome))
        looks.append(Series(label, style.BLACK if not dash else style.GREY, "", label, dash))
    said = column_label(column).partition(" (")[0]
    return Panel(
        key, f"{name}: {said}" if name else said, input_axis(frame, column), y, pd.concat(rows, ignore_index=True),
        tuple(looks), len(frame), unit_of_n="rows", shade=input_axis(frame, other), fits=(facts,),
    )  # fmt: skip


def _wrapped(title: str) -> str:
    return title if len(title) < 44 else title.replace(" against ", "\nagainst ", 1)


def _verdicts(facts: Sequence[dict]) -> list[str]:
    return [f"{fit['name']}: {fit['verdict']}." if fit["name"] else f"Verdict: {fit['verdict']}." for fit in facts]


def _caption(title: str, n: int, fit: Fit, facts: Sequence[dict]) -> str:
    return f"{title}, {n} rows. Law: {fit.law.name} ({fit.law.formula}). {' '.join(_verdicts(facts))}"
