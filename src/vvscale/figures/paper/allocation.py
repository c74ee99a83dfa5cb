"""Panels of the joint law: the models against their compute, and the path of optimal allocation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from vvscale.figures.base.marks import AXES, Shown, curve, scaling, score_axis
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import Panel, Series

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.laws.gokce2025.experiments import Experiment

PATH = "optimal path"
INVERTED = (
    "The published curve negates the exponents before it computes G and so inverts it: its N* is 14.6 % too "
    "large. Here "
    "marginal gains per cost are equal. On this plot the score differs by less than .0002."
)


def allocation(fits: Fits, experiment: Experiment, *, key: str, title: str) -> tuple[Panel, list[str]]:
    """Mean score against compute, size N and shade D, with the optimal-allocation curve of a joint law."""
    shown = [Shown("models", experiment, has_curve=False)]
    panel, notes = scaling(
        fits, shown, key=key, title=title, y=score_axis("all"), x="train_flop", size="n_params", shade="samples_seen"
    )
    law = fits.curve(experiment)
    label = f"optimal N and D ({law.summary})"
    rows = panel.rows
    n_exponent, d_exponent = law.facts["n_exponent"], law.facts["d_exponent"]
    text = (rf"N* $\propto$ C$^{{{n_exponent:.3f}}}$", rf"D* $\propto$ C$^{{{d_exponent:.3f}}}$")
    kept = tuple(replace(each, label=None) if each.name == "models" else each for each in panel.series)
    panel = replace(
        panel,
        x=AXES["train_flop"],
        rows=pd.concat([rows, curve(law, PATH)], ignore_index=True),
        series=(*kept, Series(PATH, style.VERMILLION, "", label, not law.is_identified)),
        text=text,
        fits=(law.facts,),
    )
    return panel, [*notes, INVERTED]
