"""Score of every layer: where along the network each region is read best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base.marks import line
from vvscale.figures.base.registry import figure
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import Axis, FigureData, Panel
from vvscale.figures.general.against import KEYS
from vvscale.scores import parse_where, select
from vvscale.scores.schema import REGIONS

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.options import DrawOptions

# As many networks as a page holds.
MOST_MODELS = 6


@figure("layers", "Score of every layer by region: where along a network each region is read best.", "several layers")
def layers(fits: Fits, options: DrawOptions) -> FigureData:
    """One panel per network, one line per region over the layers in their order."""
    table = fits.source.layers
    if table is None:
        raise MissingDataError(
            f"The table '{fits.source.name}' has one layer per model and benchmark. Score a network with "
            "`vvscale score MODEL --layers all --out layers` and draw that table with `scores=layers`."
        )
    table = select(table, **parse_where(options.where))
    models = list(dict.fromkeys(table["model_id"]))
    panels = []
    for key, model in zip(KEYS, models[:MOST_MODELS], strict=False):
        part = table[table["model_id"] == model]
        order = {name: place for place, name in enumerate(dict.fromkeys(part["layer"].dropna()))}
        rows, names = [], [region for region in REGIONS if (part["region"] == region).any()]
        for region in names:
            of_region = part[part["region"] == region].groupby("layer")["score"].mean()
            places = np.array([order[name] for name in of_region.index], float)
            by_place = np.argsort(places)
            rows.append(line(region, places[by_place] + 1, of_region.to_numpy()[by_place]))
            best = of_region.idxmax()
            rows.append(_best(region, order[best] + 1, float(of_region.max()), str(best)))
        panels.append(
            Panel(key, str(model), Axis("Layer, from the image on", "layer"), Axis("Score (ceiling = 1)", "score"),
                  pd.concat(rows, ignore_index=True), tuple(style.series(names)), 1)
        )  # fmt: skip
    notes = [f"{len(models) - MOST_MODELS} more networks are not shown."] if len(models) > MOST_MODELS else []
    return FigureData("layers", "Score of every layer", tuple(panels), tuple(notes), 1 if len(panels) == 1 else 2)


def _best(region: str, place: float, score: float, layer: str) -> pd.DataFrame:
    """A larger mark at the best layer; its name stands in the csv file."""
    row = {"mark": ["mean"], "series": region, "layer": "table", "x": place, "y": score, "label": layer}
    return pd.DataFrame(row)
