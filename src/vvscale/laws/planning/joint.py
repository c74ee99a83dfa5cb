"""A joint law as a plan needs it: parameters in raw units, of one group, with their resamples."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import FitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.uncertainty.bootstrap import Bootstrap

    Array = NDArray[np.float64]

# A group's amplitude relative to the reference group's, as ``optimise.natural`` names it.
_RATIO = re.compile(r"(?P<letter>[AB])\[(?P<group>.*)\]/[AB]\[(?P<reference>.*)\]")


@dataclass(frozen=True)
class JointLaw:
    """What a plan needs of a joint fit: parameters in raw units, and resamples of them.

    Attributes
    ----------
    E, A, alpha, B, beta
        Parameters for N and D in raw units (one parameter, one sample).
    draws
        The same from resamples, name -> (B,); empty for a plan without intervals.
    unit
        What was resampled.
    is_range
        Whether each unit was left out once: then the lowest and highest value are given, not percentiles.
    """

    E: float
    A: float
    alpha: float
    B: float
    beta: float
    draws: Mapping[str, Array] = field(default_factory=dict, repr=False)
    unit: str = ""
    is_range: bool = False

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.beta > 0 and self.A > 0 and self.B > 0):
            raise FitError(
                "No optimum exists under this law: a plan needs alpha, beta, A and B greater than 0, got alpha = "
                f"{self.alpha:.3g}, beta = {self.beta:.3g}, A = {self.A:.3g}, B = {self.B:.3g}. More of one input "
                "never helps here; fit other rows."
            )

    @classmethod
    def from_fit(cls, fit: Fit, resampled: Bootstrap | None = None) -> JointLaw:
        """Take the law from a fit without offsets of n_params and samples_seen (in this order) and its bootstrap."""
        draws = resampled.params if resampled is not None else {}
        usable = resampled.usable if resampled is not None else slice(None)
        kept = {name: values[usable] for name, values in draws.items()}
        unit = resampled.resamples.unit if resampled is not None else ""
        is_range = resampled is not None and resampled.resamples.leaves_one_out
        return cls.from_params(fit.law.name, fit.params, fit.problem.units, kept, unit, is_range=is_range)

    @classmethod
    def from_params(
        cls,
        law: str,
        params: Mapping[str, float],
        units: Sequence[float],
        draws: Mapping[str, Array] | None = None,
        unit: str = "",
        *,
        group: str | None = None,
        is_range: bool = False,
    ) -> JointLaw:
        """Take the law from parameters in scaled units; of a fit with group offsets, that of one ``group``."""
        if law not in {"joint", "ccn-joint"}:
            raise UsageError(
                f"A plan needs a joint law in parameters and samples, got '{law}'. Fit one with "
                "`vvscale fit TABLE --law joint --x n_params samples_seen --out DIR`."
            )

        ratio = _group_ratios(params, group)

        def raw(values: Mapping[str, Any]) -> dict[str, Any]:
            own = {letter: values[letter] * (values[ratio[letter]] if letter in ratio else 1.0) for letter in "AB"}
            return {
                "E": values["E"],
                "A": own["A"] * units[0] ** values["alpha"],
                "alpha": values["alpha"],
                "B": own["B"] * units[1] ** values["beta"],
                "beta": values["beta"],
            }

        drawn = {name: np.asarray(values, float) for name, values in raw(draws).items()} if draws else {}
        # A resample that drew no rows of the group says nothing of it.
        known = np.all([np.isfinite(values) for values in drawn.values()], axis=0) if drawn else None
        drawn = {name: values[known] for name, values in drawn.items()}
        return cls(**{k: float(v) for k, v in raw(params).items()}, draws=drawn, unit=unit, is_range=is_range)

    def misalignment(self, n: Array | float, d: Array | float) -> Array | float:
        """Predicted misalignment of n parameters and d samples."""
        return self.E + self.A * np.asarray(n, float) ** -self.alpha + self.B * np.asarray(d, float) ** -self.beta


def _group_ratios(params: Mapping[str, float], group: str | None) -> dict[str, str]:
    """Name of the ratio of each amplitude, A or B, that a group has for itself; empty for the reference group."""
    ratios = [match for name in params if (match := _RATIO.fullmatch(name))]
    groups = sorted({match[part] for match in ratios for part in ("group", "reference")})
    if not ratios and group is None:
        return {}
    if group not in groups:
        listed = f"the fit's groups are {', '.join(groups)}" if groups else "the fit has no groups"
        raise UsageError(
            f"Which group to plan for? Got {group!r}, but {listed}. "
            + ("Say which with `group`." if groups else "Leave `group` out.")
        )
    return {match["letter"]: match[0] for match in ratios if match["group"] == group}
