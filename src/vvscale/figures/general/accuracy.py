"""Accuracy over parameters and images: what training alone says, before any brain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import DataError, FitError, MissingDataError
from vvscale.figures.base.marks import AXES, line, points
from vvscale.figures.base.registry import figure
from vvscale.figures.base.tables import FLAGS, require
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series
from vvscale.laws.fit import fit_rows
from vvscale.scores import parse_where, select

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.options import DrawOptions

# As many subset sizes as a legend can hold.
MOST_SIZES = 8
# An error rate cannot exceed this: what a law says above it is no error.
WORST = 1.0


@figure("accuracy", "Classification error over parameters, for each size of the training set, with the joint law.",
        "accuracy, n_params, n_samples")  # fmt: skip
def accuracy(fits: Fits, options: DrawOptions) -> FigureData:
    """Error of supervised networks on the data set with most of them; lines are one joint law for all sizes."""
    models = fits.source.models
    models = select(models, **parse_where(options.where))
    require(models, ("accuracy", "n_params", "n_samples"), f"'{fits.source.name}'")
    # Networks without a classifier have an accuracy of 0 in the published table, which stands for none.
    is_plain = ~models[list(FLAGS)].any(axis=1)
    told = models[is_plain & (models["accuracy"] > 0)].dropna(subset=["accuracy", "n_params", "n_samples"])
    if told.empty:
        raise MissingDataError(f"'{fits.source.name}' has no trained classifier with accuracy, n_params and n_samples.")
    where = ""
    if "dataset" in told.columns and told["dataset"].notna().any():
        where = str(told["dataset"].value_counts().index[0])
        told = told[told["dataset"] == where]
    frame = told.assign(error=1.0 - told["accuracy"])
    n_perfect = int((frame["error"] <= 0).sum())
    frame = frame[frame["error"] > 0]
    sizes = frame["n_samples"].value_counts().index[:MOST_SIZES].sort_values()
    n_before = len(frame)
    frame = frame[frame["n_samples"].isin(sizes)]
    left_out = {"without an error": n_perfect, "of rarer sizes of the training set": n_before - len(frame)}
    names = {size: f"{size:,.0f} images" for size in sizes}
    laws, note = _laws(frame, names)
    colours = style.series(names.values())
    looks = [Series(each.name, each.colour, "o", each.name) for each in colours]
    looks += [Series(f"law, {each.name}", each.colour, "") for each in colours]
    panel = Panel(
        "a", f"Networks on {where}" if where else "Networks", AXES["n_params"],
        Axis("Error (1 - top-1 accuracy)", "error", "log"),
        pd.concat([points(frame, "n_params", y="error", series=frame["n_samples"].map(names)), *laws],
                  ignore_index=True), tuple(looks), len(frame),
    )  # fmt: skip
    notes = [note, *(f"Left out: {n} networks {which}." for which, n in left_out.items() if n)]
    return FigureData("accuracy", "Error over parameters and images", (panel,), tuple(notes), 1)


def _laws(frame: pd.DataFrame, names: dict[float, str]) -> tuple[list[pd.DataFrame], str]:
    """The joint law at each size, over that size's own networks and as far as it is an error rate; and what it is."""
    try:
        law = fit_rows(frame, law="joint", x=("n_params", "n_samples"), y="error")
    except (DataError, FitError) as error:
        return [], f"No law: {error}"
    made = []
    for size, name in names.items():
        own = frame.loc[frame["n_samples"] == size, "n_params"]
        grid = np.geomspace(own.min(), own.max(), 61)
        error = law.predict(grid, np.full(len(grid), float(size)))
        if (error < WORST).sum() > 1:
            made.append(line(f"law, {name}", grid[error < WORST], error[error < WORST]))
    said = f"Joint law: {law.formula}, R2 {law.r2:.3f}, {law.status}; N parameters, D distinct images."
    return made, f"{said} Each line spans its own networks; above an error of 1 there is none."
