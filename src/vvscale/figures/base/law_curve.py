"""A fitted law as figures draw it: plain values, with words for what it can bear. Fits nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.core.jsonable import jsonable
from vvscale.laws.planning.cost import Cost
from vvscale.laws.planning.joint import JointLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class LawCurve:
    """One fitted law as plain values.

    Attributes
    ----------
    facts
        What ``Fit.to_dict`` says; and ``name``, ``is_score`` (what is drawn is 1 - outcome), ``limit`` as drawn with
        ``limit_interval``, ``verdict``, ``is_identified`` (the limit, by that verdict), ``unit``, ``method``,
        ``gain`` (score that the last tenfold of the input added, with its interval).
    x
        Input in raw units, shape (m,): over the data and ten times beyond. For joint laws the budget in FLOP.
    inside
        Whether a point lies within the data, shape (m,).
    y, low, high
        Fitted curve as drawn and its 95 % band over the resamples, shape (m,); the band is NaN without resamples.
    predicted_low, predicted_high
        90 % conformal interval of a new architecture, shape (m,); NaN where there are too few.
    path
        Of joint laws: n_params, samples_seen and their intervals along the optimal path, name -> (m,).
    draws
        Of joint laws: E, A, alpha, B, beta in raw units of each resample, name -> (B,).
    """

    facts: dict[str, Any]
    x: Array = field(repr=False)
    inside: NDArray[np.bool_] = field(repr=False)
    y: Array = field(repr=False)
    low: Array = field(repr=False)
    high: Array = field(repr=False)
    predicted_low: Array = field(repr=False)
    predicted_high: Array = field(repr=False)
    path: dict[str, Array] = field(default_factory=dict, repr=False)
    draws: dict[str, Array] = field(default_factory=dict, repr=False)

    @property
    def is_identified(self) -> bool:
        """Whether the rows identify the plateau."""
        return bool(self.facts["is_identified"])

    @property
    def summary(self) -> str:
        """The limit and its interval, or that there is none to be named; short enough for a legend."""
        n = f"n = {self.facts['n']}"
        if self.facts["limit"] is None:
            return f"{n}, no {self._limit}"
        if not self.is_identified:
            return f"{n}, {self._unknown()}"
        interval = self.facts["limit_interval"]
        ends = ""
        if interval:
            low, high = (f"{end:.2f}" for end in interval)
            ends = f" [{low}, {high}]"
        return f"{n}, {self._limit} {self.facts['limit']:.2f}{ends}"

    @property
    def _limit(self) -> str:
        return "plateau" if self.facts["is_score"] else "limit"

    def _unknown(self) -> str:
        """Why no limit can be named, with what it may be where that says something."""
        if self.facts["interpolates"]:
            return "too few points"
        ends = self.facts["limit_interval"]
        known = f"{ends[0]:.2f} to {ends[1]:.2f}" if ends is not None and ends[0] < ends[1] <= 1.0 else ""
        return f"{self._limit} not identified" + (f": {known}" if known else "")

    @property
    def cost(self) -> Cost:
        """Cost model of a joint law."""
        return Cost(**self.facts["cost"])

    @property
    def joint(self) -> JointLaw:
        """The joint law with its resamples."""
        return JointLaw(
            **self.facts["raw"], draws=self.draws, unit=self.facts["unit"], degrees=self.facts["degrees"]
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return jsonable(dict(self.__dict__))

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> LawCurve:
        """Read what ``to_dict`` wrote."""
        curves = ("x", "y", "low", "high", "predicted_low", "predicted_high")
        values: dict[str, Any] = {name: _array(saved[name]) for name in curves}
        for name in ("path", "draws"):
            values[name] = {key: _array(each) for key, each in saved[name].items()}
        return cls(facts=saved["facts"], inside=np.array(saved["inside"], dtype=bool), **values)


def _array(values: list[Any]) -> Array:
    return np.array(values, dtype=float)
