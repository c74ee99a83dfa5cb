"""What the rows of a fit span, and by how much a plan goes beyond them.

A law is an interpolation of its rows: beyond them it says what would happen if nothing changed. A plan that goes
there says so, with the factor, and how often each image of the largest data set would have to be seen. Far beyond them
neither a plan nor a purchase is advised, and what rows would be needed is said instead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Within this factor of the largest or smallest row a value is that row's, rounded.
ROUNDED = 1.0 + 1e-6
# A decade is what `--hold-out` judges laws on ("top decade"); how they fare further out no held-out row of theirs says.
FARTHEST = 10.0
FAMILY = "parent_family"
# Columns whose spans matter to a plan, with the words for them.
MEASURES = {"n_params": "parameters", "samples_seen": "samples seen", "train_flop": "training FLOP"}


@dataclass(frozen=True)
class Beyond:
    """One quantity of a plan outside the rows of its fit.

    Attributes
    ----------
    quantity
        Its column.
    value, limit
        What is asked, and the nearest value among the rows.
    factor
        How many times beyond it, > 1.
    epochs
        For samples seen: passes over the largest data set of the rows; None if that is not known.
    """

    quantity: str
    value: float
    limit: float
    factor: float
    epochs: float | None = None

    @property
    def is_far(self) -> bool:
        """Whether it is so far beyond that nothing is advised."""
        return self.factor > FARTHEST

    @property
    def words(self) -> str:
        """A sentence."""
        side = "largest" if self.value > self.limit else "smallest"
        passes = f", {self.epochs:,.0f} passes over the largest data set of the rows" if self.epochs else ""
        what = MEASURES.get(self.quantity, self.quantity)
        return (
            f"{_plain(self.value)} {what} is {self.factor:.3g} times beyond the {side} of the fitted rows "
            f"({_plain(self.limit)}){passes}: extrapolated, the interval does not cover a change of the law."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "is_far": self.is_far, "words": self.words}


def _plain(value: float) -> str:
    """Show a thousand as 1000, and a FLOP count with its power of ten."""
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"


def rows_needed(beyond: Iterable[Beyond]) -> list[str]:
    """Return which rows an advice would need, in one sentence; none where nothing is far beyond the rows.

    Examples
    --------
    >>> rows_needed([Beyond("train_flop", 1e18, 1e15, 1e3)])
    ['Nothing is advised more than 10 times beyond the rows: fit rows of at least 1e+17 training FLOP.']
    >>> rows_needed([Beyond("train_flop", 2e15, 1e15, 2.0)])
    []
    """
    needed = []
    for each in beyond:
        if each.is_far:
            is_above = each.value > each.limit
            nearest = each.value / FARTHEST if is_above else each.value * FARTHEST
            what = MEASURES.get(each.quantity, each.quantity)
            needed.append(f"at {'least' if is_above else 'most'} {nearest:.3g} {what}")
    if not needed:
        return []
    return [f"Nothing is advised more than {FARTHEST:g} times beyond the rows: fit rows of {' and of '.join(needed)}."]


@dataclass(frozen=True)
class Support:
    """What the rows of a fit span.

    Attributes
    ----------
    spans
        Smallest and largest value of each column, in raw units.
    n_samples
        Images of the largest data set among the rows; None if not known.
    epochs_are_fixed
        Whether each family was trained for one number of epochs only and these differ: what more data does and what
        more passes do cannot be told apart.
    """

    spans: Mapping[str, tuple[float, float]]
    n_samples: float | None = None
    epochs_are_fixed: bool = False

    @classmethod
    def from_rows(cls, frame: pd.DataFrame, columns: tuple[str, ...] = ()) -> Support:
        """Read the spans off the rows of a fit; ``columns`` besides parameters, samples seen and compute."""
        spans = {}
        for name in dict.fromkeys([*columns, *MEASURES]):
            values = frame[name].dropna().to_numpy(float) if name in frame.columns else np.empty(0)
            if values.size:
                spans[name] = (float(values.min()), float(values.max()))
        known = "n_samples" in frame.columns and frame["n_samples"].notna().any()
        n_samples = float(frame["n_samples"].max()) if known else None
        return cls(spans, n_samples, _epochs_are_fixed(frame))

    def beyond(self, **values: float) -> tuple[Beyond, ...]:
        """Return the quantities that lie outside the rows, in the order given; unknown columns have no outside."""
        made = []
        for name, value in values.items():
            if name not in self.spans:
                continue
            low, high = self.spans[name]
            factor, limit = (value / high, high) if value > high else (low / value, low)
            if factor > ROUNDED:
                epochs = value / self.n_samples if name == "samples_seen" and self.n_samples else None
                made.append(Beyond(name, float(value), limit, float(factor), epochs))
        return tuple(made)

    def notes(self) -> tuple[str, ...]:
        """Sentences on what these rows cannot tell apart."""
        if not self.epochs_are_fixed:
            return ()
        return (
            "Samples seen are images times epochs, and in these rows epochs are fixed by family: whether new images or "
            "more passes over the same ones are worth as much cannot be told.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, read back by ``from_dict``."""
        spans = {name: list(ends) for name, ends in self.spans.items()}
        return {"spans": spans, "n_samples": self.n_samples, "epochs_are_fixed": self.epochs_are_fixed}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Support:
        """Read what ``to_dict`` wrote."""
        spans = {name: (float(low), float(high)) for name, (low, high) in saved["spans"].items()}
        return cls(spans, saved["n_samples"], bool(saved["epochs_are_fixed"]))


def _epochs_are_fixed(frame: pd.DataFrame) -> bool:
    """Whether every family has one number of epochs, and not all the same."""
    if not {FAMILY, "n_epochs"} <= set(frame.columns):
        return False
    by_family = frame.dropna(subset=[FAMILY, "n_epochs"]).groupby(FAMILY)["n_epochs"]
    return bool(len(by_family) > 1 and (by_family.nunique() == 1).all() and by_family.first().nunique() > 1)
