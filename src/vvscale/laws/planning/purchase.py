"""What to buy next: more of one input of a joint law or of the other, at stated prices.

For a law of compute and recordings, say: given GPU hours at a price and hours in the rig at a price, which share of a
budget should go where. The cheapest curve is E + A C^-alpha + B D^-beta along the line of all that the budget buys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable
from vvscale.errors import UsageError
from vvscale.laws.planning.allocate import Terms
from vvscale.laws.planning.joint import DOUBTFUL, JointLaw
from vvscale.laws.planning.support import Beyond, rows_needed
from vvscale.laws.uncertainty.intervals import FEWEST, LEVEL, percentile, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Shape legend: R resamples, S shares of the budget.

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
        Share of the budget for the first input, and the ends of its interval, 0 to 1; NaN without resamples.
    hours
        Hours of each that the shares buy.
    now, then, gain_low, gain_high
        Predicted outcome before and after, and the interval of what is gained.
    is_established
        Whether the interval of the share is narrower than one half, and neither what there is nor what would be bought
        lies far beyond the rows of the fit. If not, nothing is advised.
    doubts
        Why it is not, and what lies beyond the rows, in sentences.
    warnings
        What lies beyond the rows, and by how much.
    unit, method, level
        What was resampled, how intervals are made, and their coverage.
    """

    columns: tuple[str, str]
    share: float
    low: float
    high: float
    hours: tuple[float, float]
    now: float
    then: float
    gain_low: float
    gain_high: float
    is_established: bool
    doubts: tuple[str, ...]
    unit: str
    method: str
    level: float = LEVEL
    warnings: tuple[Beyond, ...] = ()

    @property
    def words(self) -> str:
        """One sentence, and the doubts."""
        first, second = self.columns
        if self.is_established:
            said = (
                f"Spend {self.share:.0%} on {first} ({self.low:.0%} to {self.high:.0%}), {self.hours[0]:.4g} hours, "
                f"and the rest on {second}, {self.hours[1]:.4g} hours: a gain of {self.now - self.then:.3f} "
                f"({self.gain_low:.3f} to {self.gain_high:.3f})."
            )
        else:
            said = f"Not established whether to buy {first} or {second}."
        return " ".join([said, *self.doubts])

    def table(self) -> pd.DataFrame:
        """Return value and interval of the share and of what is gained."""
        return pd.DataFrame(
            [
                (f"share for {self.columns[0]}", self.share, self.low, self.high),
                ("gain", self.now - self.then, self.gain_low, self.gain_high),
            ],
            columns=["quantity", "value", "low", "high"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not known is None."""
        return jsonable({**vars(self), "warnings": [each.to_dict() for each in self.warnings], "words": self.words})

    def _repr_html_(self) -> str:
        return f"<p>{self.words}</p>"


def buy_next(
    law: JointLaw,
    *,
    columns: tuple[str, str],
    have: Sequence[float],
    price: Sequence[float],
    budget: float,
    per_hour: Sequence[float] = (1.0, 1.0),
    level: float = LEVEL,
) -> Purchase:
    """Return how to split a budget between the two inputs of a joint law.

    Parameters
    ----------
    law
        Joint law with resamples by what varies independently, such as models.
    columns
        Names of its inputs.
    have
        What is there already of each input, in units of its column, above 0.
    price
        Of one hour of each, above 0, in one currency.
    budget
        To spend, above 0.
    per_hour
        How much of each input one hour gives, in units of its column: FLOP of an hour of GPU, images of an hour in the
        rig. With 1, prices are of one unit.
    level
        Coverage of the intervals, in (0, 1).

    Raises
    ------
    UsageError
        A number is not above 0.
    """
    if min(*have, *price, *per_hour, budget) <= 0 or not 0 < level < 1:
        raise UsageError(
            f"Got have={tuple(have)}, price={tuple(price)}, per_hour={tuple(per_hour)}, budget={budget}, level={level}"
            "; expected numbers above 0, and a level below 1."
        )
    hours = np.stack([_SHARES * budget / price[0], (1 - _SHARES) * budget / price[1]])
    inputs = [have[0] + hours[0] * per_hour[0], have[1] + hours[1] * per_hour[1]]
    here = [np.array([float(one)]) for one in have]
    along, now = law.misalignment(*inputs), law.misalignment(*here)
    chosen = int(np.argmin(along))
    shares = gains = np.empty(0)
    if law.draws:
        drawn = Terms.of(law.draws, np.s_[:, None])
        shares = _SHARES[drawn.misalignment(*inputs).argmin(1)]
        gains = (drawn.misalignment(*here) - drawn.misalignment(*inputs)[:, [chosen]])[:, 0]
    low, high = _interval(law, shares, float(_SHARES[chosen]), level)
    gain = float(now[0] - along[chosen])  # type: ignore[index]
    gain_low, gain_high = _interval(law, gains, gain, level)
    doubts = list(_doubts(law, float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)), columns[0]))
    beyond = _beyond(law, columns, have, [float(one[chosen]) for one in inputs])
    needed = rows_needed(beyond)
    is_established = not doubts and not needed
    doubts += [*needed, *(each.words for each in beyond)]
    return Purchase(
        columns=columns, share=float(_SHARES[chosen]), low=float(np.clip(low, 0, 1)), high=float(np.clip(high, 0, 1)),
        hours=(float(hours[0, chosen]), float(hours[1, chosen])), now=float(now[0]), then=float(along[chosen]),  # type: ignore[index]
        gain_low=float(gain_low), gain_high=float(gain_high), is_established=is_established, doubts=tuple(doubts),
        unit=law.unit, method=law.method, level=level, warnings=beyond,
    )  # fmt: skip


def _beyond(
    law: JointLaw, columns: tuple[str, str], have: Sequence[float], then: Sequence[float]
) -> tuple[Beyond, ...]:
    """Return what lies beyond the rows before or after the purchase, each input once, where it is further out."""
    if law.support is None:
        return ()
    found: dict[str, Beyond] = {}
    for values in (have, then):
        for each in law.support.beyond(**dict(zip(columns, map(float, values), strict=True))):
            if each.quantity not in found or each.factor > found[each.quantity].factor:
                found[each.quantity] = each
    return tuple(found.values())


def _interval(law: JointLaw, values: Array, estimate: float, level: float) -> tuple[float, float]:
    """Return the interval of a quantity from its values in resamples; NaN without any."""
    if len(values) < FEWEST:
        return np.nan, np.nan
    if law.degrees is not None:
        return student(values, estimate, level, degrees=law.degrees)
    return percentile(values, estimate, level)


def _doubts(law: JointLaw, low: float, high: float, column: str) -> list[str]:
    """Return why nothing is advised, in sentences."""
    if np.isnan(low):
        return ["The law was fitted without intervals: fit it with `resamples`."]
    if law.status in DOUBTFUL:
        return [f"The status of the fit is {law.status}."]
    if high - low >= _WIDE:
        return [
            f"The share for {column} is anywhere from {low:.2f} to {high:.2f}: more models or more sizes of subsets "
            "would tell."
        ]
    return []
