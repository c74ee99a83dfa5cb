"""Score during training: the mean of each group of models at every epoch that all of them were scored at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base import statistics
from vvscale.figures.base.marks import AXES, as_names, in_order, mean, score_axis
from vvscale.figures.base.outcomes import default_colour, require_column
from vvscale.figures.base.registry import figure
from vvscale.figures.base.tables import FLAGS, objective
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import FigureData, Panel
from vvscale.scores import model_table, parse_where, select

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.tables import Source
    from vvscale.figures.options import DrawOptions

SAID = "Epochs at which every model of a group was scored; in brackets the number of models."


def trajectories(source: Source, regions: str | list[str]) -> pd.DataFrame:
    """Mean score over regions of every model at every epoch: model columns, ``epoch`` and ``score``."""
    table = source.require_epochs()
    # A model at one epoch is a model of its own to the average over regions.
    keys = table["model_id"] + "@" + table["epoch"].astype(str)
    kept = table.assign(model_id=keys, trajectory=table["model_id"], at_epoch=table["epoch"])
    frame = model_table(kept, regions).frame
    frame = frame.assign(model_id=frame["trajectory"], epoch=frame["at_epoch"].astype(float))
    frame = frame.drop(columns=["trajectory", "at_epoch"]).sort_values(["model_id", "epoch"], ignore_index=True)
    return frame.assign(objective=objective(frame))


@figure("learning", "Score during training, by group of models.", "several epochs per model")
def learning(fits: Fits, options: DrawOptions) -> FigureData:
    """One line per value of a column: the mean over its models at each epoch."""
    source = fits.source
    epochs = source.require_epochs()
    present = [region for region in source.regions if region in set(epochs["region"])]
    y = options.y or ("all" if len(present) == 5 else "")
    frame = trajectories(source, y or present)
    frame = select(frame, **parse_where(options.where))
    if not options.where:
        frame = frame[~frame[[flag for flag in FLAGS if flag in frame.columns]].astype(bool).any(axis=1)]
    by = options.each or options.colour or default_colour(frame) or "model_id"
    require_column(frame, by)
    panel = learning_panel(fits, frame, by, key="a", title="During training", y=score_axis(y))
    return FigureData("learning", f"Score during training, by {written(by)}", (panel,), (SAID,), 1)


def learning_panel(fits: Fits, frame: pd.DataFrame, by: str, *, key: str, title: str, y) -> Panel:  # noqa: ANN001
    """Means with intervals at each epoch, one line per value of ``by``."""
    if frame.empty:
        raise MissingDataError(f"'{fits.source.name}' has no models with several epochs that meet the conditions.")
    rows, labels, named = [], {}, as_names(frame[by])
    names = in_order(frame[by])[:8]
    for name in names:
        part = frame[named == name]
        n_models = part["model_id"].nunique()
        labels[name] = f"{written(name)} ({n_models})"
        for _, at_epoch in part.groupby("epoch"):
            # A mean over fewer models would jump for that reason alone.
            if len(at_epoch) == n_models:
                one = statistics.mean(at_epoch, "score", n_resamples=fits.n_resamples, seed=fits.seed)
                rows.append(mean(one, name, x=float(at_epoch["epoch"].iloc[0]), mark="line", group=name))
    return Panel(
        key, title, AXES["epoch"], y, pd.DataFrame(rows), tuple(style.series(names, labels)),
        int(frame["model_id"].nunique()),
    )  # fmt: skip
