"""What to buy next: more of one input of a joint law or of the other, at stated prices.

For a law of compute and recordings, say: given GPU hours at a price and hours in the rig at a price, which share of a
budget should go where. The cheapest curve is E + A C^-alpha + B D^-beta along the line of all that the budget buys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vvscale.errors import UsageError
from vvscale.laws.solve_law import AVERAGE, group_curves
from vvscale.laws.uncertainty.bootstrap import Bootstrap

_SHARES = np.linspace(0.0, 1.0, 101)

# Half of all that could be said: a wider interval tells neither what to buy nor what not.
_WIDE = 0.5


@dataclass(frozen=True)
class Purchase:
    """How to spend a budget.

    Attributes
    ----------
    columns
        The two inputs of the law.
    share, low, high
        Share of the budget for the first input, and the ends of its interval, 0 to 1.
    now, then, gain_low, gain_high
        Predicted outcome before and after, and the interval of what is gained.
    is_established
        Whether the interval of the share is narrower than one half. If not, nothing is advised.
    level
        Coverage of the intervals.
    """

    columns: tuple[str, str]
    share: float
    low: float
    high: float
    now: float
    then: float
    gain_low: float
    gain_high: float
    is_established: bool
    level: float

    @property
    def words(self) -> str:
        """One sentence."""
        if not self.is_established:
            return (
                f"Not established: the share for {self.columns[0]} is anywhere from {self.low:.2f} to {self.high:.2f}. "
                "More models or more sizes of subsets would tell."
            )
        return (
            f"Spend {self.share:.0%} on {self.columns[0]} ({self.low:.0%} to {self.high:.0%}) and the rest on "
            f"{self.columns[1]}: a gain of {self.now - self.then:.3f} ({self.gain_low:.3f} to {self.gain_high:.3f})."
        )

    def table(self) -> pd.DataFrame:
        """Return one row."""
        return pd.DataFrame([self.to_dict()])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "words": self.words}

    def _repr_html_(self) -> str:
        return f"<p>{self.words}</p>"


def buy_next(
    bootstrap: Bootstrap, *, have: Sequence[float], prices: Sequence[float], budget: float, level: float = 0.95
) -> Purchase:
    """Return how to split a budget between the two inputs of a joint law.

    Parameters
    ----------
    bootstrap
        Of a joint law, resampled by what varies independently, such as models.
    have
        What is there already of each input, in units of its column, above 0.
    prices
        Of one unit of each, above 0, in one currency.
    budget
        To spend, above 0.
    level
        Coverage of the intervals, in (0, 1).

    Raises
    ------
    UsageError
        The law is not joint, or a number is not above 0.
    """
    fit = bootstrap.fit
    if not fit.law.is_joint:
        raise UsageError(f"The law '{fit.law.name}' has no two inputs to choose between; fit law='joint'.")
    if min(*have, *prices, budget) <= 0 or not 0 < level < 1:
        raise UsageError(f"Got have={tuple(have)}, prices={tuple(prices)}, budget={budget}; expected numbers above 0.")
    first = have[0] + _SHARES * budget / prices[0]
    second = have[1] + (1 - _SHARES) * budget / prices[1]
    here = fit.predict([have[0]], [have[1]])[0]
    along = fit.predict(first, second)
    drawn = _draws(bootstrap, np.append(first, have[0]), np.append(second, have[1]))
    best = drawn[:, :-1].argmin(1)
    shares, chosen = _SHARES[best], int(along.argmin())
    gains = drawn[:, -1] - drawn[:, chosen]
    ends = (1 - level) / 2, (1 + level) / 2
    low, high = np.quantile(shares, ends)
    gain_low, gain_high = np.quantile(gains, ends)
    return Purchase(
        columns=(fit.problem.columns[0], fit.problem.columns[1]), share=float(_SHARES[chosen]), low=float(low),
        high=float(high), now=float(here), then=float(along[chosen]), gain_low=float(gain_low),
        gain_high=float(gain_high), is_established=bool(high - low < _WIDE), level=level,
    )  # fmt: skip


def _draws(bootstrap: Bootstrap, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (resamples, points) outcomes of the resampled laws, for no group in particular."""
    fit, groups = bootstrap.fit, np.full(first.shape, AVERAGE)
    return np.exp(group_curves(fit.forms(), bootstrap.optima, fit.problem, [first, second], groups))[bootstrap.usable]
