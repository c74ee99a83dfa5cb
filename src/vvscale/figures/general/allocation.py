"""The joint law: the best use of compute over parameters and samples, as a path and as contours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base.fits import Question
from vvscale.figures.base.marks import AXES, curve, line, points
from vvscale.figures.base.registry import figure
from vvscale.figures.base.scaling import Shown, scaling
from vvscale.figures.drawing import style
from vvscale.figures.drawing.limits import ROOM
from vvscale.figures.drawing.values import ADDED, Axis, FigureData, Panel, Series, without_labels
from vvscale.figures.general.rows import Rows, rows_of

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.options import DrawOptions
    from vvscale.laws.gokce2025.experiments import Experiment

ND = ("n_params", "samples_seen")
PATH = "optimal path"
# Equal scores are drawn at this many levels over the data, and their labels at this share of the way along the line.
LEVELS, LABEL_AT = 8, 0.75
# Half a label, as a share of an axis.
LABEL_ROOM = 0.06


def joint_rows(fits: Fits, options: DrawOptions) -> Rows:
    """Rows of a joint law: models with parameters, samples seen and compute."""
    # Its inputs are these whatever the others are drawn against.
    rows = rows_of(fits, replace(options, x=""), x=(*ND, "train_flop"))
    for column in ND:
        if rows.frame[column].nunique() < 3:
            raise MissingDataError(
                f"'{fits.source.name}' has {rows.frame[column].nunique()} values of {column}; a joint law needs 3."
            )
    return replace(rows, x=ND)


def _law_name(options: DrawOptions) -> str:
    return options.law if options.law in {"joint", "ccn-joint"} else "joint"


@figure(
    "allocation", "Score against compute with the best split of compute between parameters and samples.",
    "n_params, samples_seen, train_flop", cites=("hoffmann2022",),
)  # fmt: skip
def allocation(fits: Fits, options: DrawOptions) -> FigureData:
    """Size N, shade D, and the path of the joint law."""
    rows = joint_rows(fits, options)
    asked = rows.question("joint", rows.frame, _law_name(options))
    panel, notes = allocation_panel(
        fits, asked, key="a", title="Best split of compute", y=rows.outcome.axis, over=rows.outcome.name
    )
    return FigureData("allocation", "Score against compute, optimally spent", (panel,), (*rows.notes, *notes), 1)


def allocation_panel(
    fits: Fits, asked: Experiment | Question, *, key: str, title: str, y: Axis, over: str = ""
) -> tuple[Panel, list[str]]:
    """Score against compute, size N and shade D, with the optimal-allocation curve of a joint law."""
    shown = [Shown("models", asked, has_curve=False)]
    panel, notes = scaling(
        fits, shown, key=key, title=title, y=y, x="train_flop", size="n_params", shade="samples_seen", over=over
    )
    law = fits.curve(asked)
    label = f"optimal N and D ({law.summary})"
    n_exponent, d_exponent = law.facts["n_exponent"], law.facts["d_exponent"]
    panel = without_labels(panel, {"models"})
    panel = replace(
        panel,
        rows=pd.concat([panel.rows, curve(law, PATH)], ignore_index=True),
        series=(*panel.series, Series(PATH, style.VERMILLION, "", label, not law.is_identified)),
        text=(rf"N* $\propto$ C$^{{{n_exponent:.3f}}}$", rf"D* $\propto$ C$^{{{d_exponent:.3f}}}$"),
        fits=(law.facts,),
    )
    said = () if law.is_identified else (f"{PATH}: {law.facts['verdict']}.",)
    return panel, [*notes, *said]


@figure(
    "contours", "Score over parameters and samples: equal scores, equal budgets, the optimal path.",
    "n_params, samples_seen, train_flop", cites=("hoffmann2022",),
)  # fmt: skip
def contours(fits: Fits, options: DrawOptions) -> FigureData:
    """Equal scores and budgets of the joint law, with the optimal path and its 95 % range of N."""
    rows = joint_rows(fits, options)
    return contours_of(fits, rows.question("joint", rows.frame, _law_name(options)), rows)


def contours_of(fits: Fits, asked: Question, chosen: Rows) -> FigureData:
    """Contours of a joint law over the rows that it was fitted to."""
    frame, law = asked.frame, fits.curve(asked)
    n, d = _range(frame["n_params"]), _range(frame["samples_seen"])
    n_grid = np.geomspace(*n, 121)
    rows = [points(frame, "n_params", y="samples_seen", series="models", shade="score")]
    rows += (
        _equal_scores(law, n_grid, d, frame["misalignment"]) + _equal_budgets(law, n_grid, d) + _path(law, n_grid, d)
    )
    over, absent = fits.source.laid_over(chosen.outcome.name, ND)
    rows += [
        points(one, "n_params", y="samples_seen", series=label, layer=ADDED).assign(shade=np.nan)
        for label, one in over.items()
    ]
    looks = [
        Series("range of the path", style.VERMILLION, "", None),
        Series("equal compute", style.GREY, "", "equal compute (FLOP)", is_faded=True),
        Series("equal score", style.BLACK, "", "equal score" if law.facts["is_score"] else "equal outcome"),
        Series("models", style.GREY, "o", None),
        Series(PATH, style.VERMILLION, "", "optimal path, 95 % of N"),
        *(style.added_series(label) for label in over),
    ]
    panel = Panel(
        "a", "Parameters and samples", replace(AXES["n_params"], limits=n), replace(AXES["samples_seen"], limits=d),
        pd.concat(rows, ignore_index=True), tuple(looks), len(frame), shade=chosen.outcome.axis, fits=(law.facts,),
    )  # fmt: skip
    said = (
        f"{law.facts['verdict']}.",
        f"N* ~ C^{law.facts['n_exponent']:.3f}, D* ~ C^{law.facts['d_exponent']:.3f}.",
    )
    return FigureData("contours", "Score over parameters and samples", (panel,), (*chosen.notes, *said, *absent), 1)


def _range(values: pd.Series) -> tuple[float, float]:
    """Ends of an axis: the data with room for labels; never the law."""
    low, high = float(values.min()), float(values.max())
    room = (high / low) ** (2 * ROOM)
    return low / room, high * room


def _equal_scores(
    law: LawCurve, n_grid: np.ndarray, d: tuple[float, float], among: pd.Series
) -> list[pd.DataFrame]:  # fmt: skip
    """Lines of equal predicted outcome, D = (B / (L - E - A N^-alpha))^(1/beta), each with its score or error on it."""
    joint, made, is_score = law.joint, [], law.facts["is_score"]
    corners = sorted(float(joint.misalignment(n_grid[i], d[i])) for i in (0, -1))
    # Beyond what the best and the worst model reached a law has nothing to compare with.
    low, high = max(corners[0], among.min()), min(corners[1], among.max())
    low, high = (1.0 - high, 1.0 - low) if is_score else (low, high)
    step = _round_step((high - low) / LEVELS)
    for score in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step:
        room = (1.0 - score if is_score else score) - joint.E - joint.A * n_grid**-joint.alpha
        with np.errstate(invalid="ignore", divide="ignore"):
            samples = (joint.B / room) ** (1.0 / joint.beta)
        inside = (room > 0) & (samples > d[0]) & (samples < d[1])
        if inside.sum() > 1:
            made.append(line("equal score", n_grid[inside], samples[inside], group=f"S {score:.4g}"))
            made.append(_label("equal score", n_grid, samples, d, f"{score:.3g}", LABEL_AT))
    return made


def _round_step(step: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(power * next(each for each in (1, 2, 5, 10) if each * power >= step * 0.999))


def _equal_budgets(law: LawCurve, n_grid: np.ndarray, d: tuple[float, float]) -> list[pd.DataFrame]:
    """Lines of equal compute under the fitted cost, at powers of ten."""
    made = []
    ends = [np.log10(float(law.cost.flop(n_grid[i], d[i]))) for i in (0, -1)]
    step = max(1, int(np.ceil((ends[1] - ends[0]) / LEVELS)))
    for power in range(int(np.ceil(ends[0])), int(ends[1]) + 1, step):
        samples = np.asarray(law.cost.samples(10.0**power, n_grid))
        inside = (samples > d[0]) & (samples < d[1])
        if inside.sum() > 1:
            made.append(line("equal compute", n_grid[inside], samples[inside], group=f"C 1e{power}"))
            made.append(_label("equal compute", n_grid, samples, d, f"$10^{{{power}}}$", 0.3))
    return made


def _label(series: str, x: np.ndarray, y: np.ndarray, d: tuple[float, float], text: str, share: float) -> pd.DataFrame:
    """Place words on a line at a share of its way, where they are whole inside the panel; none where nothing is."""
    with np.errstate(invalid="ignore"):
        along, up = (np.log(v / low) / np.log(high / low) for v, (low, high) in ((x, (x[0], x[-1])), (y, d)))
    inside = np.flatnonzero((along > LABEL_ROOM) & (along < 1 - LABEL_ROOM) & (up > LABEL_ROOM) & (up < 1 - LABEL_ROOM))
    at = inside[[int(share * (len(inside) - 1))]] if len(inside) else inside
    return pd.DataFrame({"mark": "label", "series": series, "layer": "table", "x": x[at], "y": y[at], "label": text})


def _path(law: LawCurve, n_grid: np.ndarray, d: tuple[float, float]) -> list[pd.DataFrame]:
    """Optimal path, and the area between the ends of N* along lines of equal compute."""
    path = law.path
    inside = (path["samples_seen"] > d[0]) & (path["samples_seen"] < d[1])
    inside &= (path["n_params"] > n_grid[0]) & (path["n_params"] < n_grid[-1])
    made = [line(PATH, path["n_params"][inside], path["samples_seen"][inside])]
    if inside.any() and not np.isnan(path["n_low"]).any():
        low, high, budgets = path["n_low"][inside], path["n_high"][inside], law.x[inside]
        x = np.concatenate([low, high[::-1]])
        y = np.concatenate([law.cost.samples(budgets, low), np.asarray(law.cost.samples(budgets, high))[::-1]])
        made.append(pd.DataFrame({"mark": "area", "series": "range of the path", "layer": "table", "x": x, "y": y}))
    return made
