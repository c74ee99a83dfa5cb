"""What a table measures: scores by region, or any column of one's own; and which columns can be an x-axis or a colour.

A law is fitted to something that falls: the misalignment 1 - score of a score, the column itself of an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vvscale.errors import MissingDataError, unknown_name
from vvscale.figures.drawing.names import column_label, score_label
from vvscale.figures.drawing.values import Axis
from vvscale.scores.schema import REGIONS
from vvscale.scores.table import REGION_SETS

if TYPE_CHECKING:
    import pandas as pd

# Outcome columns of a table without regions, the likeliest first; ``misalignment`` and the last three fall.
OUTCOMES = ("score", "misalignment", "accuracy", "error", "loss")
# Of these the law is fitted to 1 - value.
RISING = ("score", "accuracy")
# Inputs of laws, the most telling first, and how many values make an axis.
INPUTS = ("train_flop", "samples_seen", "n_params", "n_samples", "forward_flop", "n_epochs")
FEWEST_VALUES = 3
SYMBOLS = {"train_flop": "C", "n_params": "N", "samples_seen": "D"}
# Columns that may colour points, the most telling first, and how many colours can be told apart.
GROUPS = ("parent_family", "family", "objective", "dataset", "recipe", "arch")
MOST_COLOURS = 8
# A column whose largest value is so many times its smallest is drawn on a log axis.
LOG_RATIO = 20.0


@dataclass(frozen=True)
class Outcome:
    """One outcome of a table.

    Attributes
    ----------
    name
        A region, a set of them, or a column.
    label
        What its axis says.
    is_score
        Whether it rises with scale and ends at 1: the law is then fitted to 1 - value.
    """

    name: str
    label: str
    is_score: bool

    @property
    def words(self) -> str:
        """What its axis says, without a unit."""
        return self.label.partition(" (")[0]

    @property
    def axis(self) -> Axis:
        """Its axis."""
        return Axis(self.label, "score" if self.is_score else self.name)


def outcome_of_regions(name: str, regions: tuple[str, ...]) -> Outcome:
    """Return the outcome of a mean over regions."""
    label = score_label(name) if name in {*REGION_SETS, *REGIONS} else f"Mean of {', '.join(regions)} (ceiling = 1)"
    return Outcome(name, label, True)


def outcome_of_column(name: str) -> Outcome:
    """Return the outcome of a column."""
    return Outcome(name, "Score" if name == "score" else column_label(name), name in RISING)


def outcome_of_score(name: str) -> Outcome:
    """Return the outcome of a column that is a score, whatever its name; asked for as ``1-NAME``."""
    return Outcome(name, "Score" if name == "score" else column_label(name), True)


def default_outcome(frame: pd.DataFrame, table: str) -> str:
    """Return the outcome column of a table without regions.

    Raises
    ------
    MissingDataError
        None of the usual ones is there; the message lists the columns that could be meant.
    """
    for name in OUTCOMES:
        if name in frame.columns and is_number(frame[name]):
            return name
    numbers = [str(name) for name in frame.columns if is_number(frame[name])]
    raise MissingDataError(
        f"The table '{table}' has none of the columns {', '.join(OUTCOMES)}. Say with `y` which column is drawn; it "
        f"has {', '.join(numbers) or 'no numbers'}."
    )


def default_x(frame: pd.DataFrame, table: str, y: str) -> str:
    """Return the column to draw against: the first known input that varies, or the only other number."""
    for name in INPUTS:
        if name in frame.columns and frame[name].nunique() >= FEWEST_VALUES:
            return name
    numbers = [
        str(name)
        for name in frame.columns
        if name not in {y, "score", "misalignment", "seed"} and is_number(frame[name]) and (frame[name] > 0).all()
        and frame[name].nunique() >= FEWEST_VALUES
    ]  # fmt: skip
    if len(numbers) == 1:
        return numbers[0]
    raise MissingDataError(
        f"The table '{table}' has none of the columns {', '.join(INPUTS)} with {FEWEST_VALUES} values or more. Say "
        f"with `x` which column is drawn; it could be {', '.join(numbers) or 'none of its columns'}."
    )


def default_colour(frame: pd.DataFrame) -> str:
    """Return the column that colours points; empty where none has two to eight values."""
    return next((n for n in GROUPS if n in frame.columns and 2 <= frame[n].nunique() <= MOST_COLOURS), "")


def require_column(frame: pd.DataFrame, name: str) -> None:
    """Refuse a column that the table does not have, with the nearest name."""
    if name not in frame.columns:
        raise unknown_name("column", name, map(str, frame.columns))


def input_axis(frame: pd.DataFrame, column: str) -> Axis:
    """Return the axis of a column, logarithmic where it is positive and spans much."""
    values = frame[column].to_numpy(float)
    values = values[np.isfinite(values)]
    is_positive = bool(values.size and values.min() > 0)
    # A share, such as an accuracy, is read on a linear axis however small it begins.
    is_log = is_positive and (column in SYMBOLS or (values.max() > 1 and values.max() / values.min() >= LOG_RATIO))
    return Axis(column_label(column), column, "log" if is_log else "linear", symbol=SYMBOLS.get(column, ""))


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers, and not flags."""
    return values.dtype.kind in "iuf"
