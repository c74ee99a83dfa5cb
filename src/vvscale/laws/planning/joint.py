"""A joint law as a plan needs it: parameters in raw units, of one group, with their resamples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import FitError, UsageError
from vvscale.laws.solve_law import ratio_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law
    from vvscale.laws.uncertainty.bootstrap import Bootstrap

    Array = NDArray[np.float64]


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
    def from_fit(cls, fit: Fit, resampled: Bootstrap | None = None, *, group: str | None = None) -> JointLaw:
        """Take the law from a fit of n_params and samples_seen (in this order) and its bootstrap.

        Parameters
        ----------
        fit
            A fit of a joint law.
        resampled
            Its resamples, for intervals.
        group
            Which group of a fit with group offsets.
        """
        draws = resampled.params if resampled is not None else {}
        usable = resampled.usable if resampled is not None else slice(None)
        kept = {name: values[usable] for name, values in draws.items()}
        unit = resampled.resamples.unit if resampled is not None else ""
        is_range = resampled is not None and resampled.resamples.leaves_one_out
        groups = fit.problem.groups if fit.offsets else ()
        return cls.from_params(
            fit.law, fit.params, fit.problem.units, kept, unit,
            ratios=group_ratios(fit.offsets, groups, group), is_range=is_range,
        )  # fmt: skip

    @classmethod
    def from_params(
        cls,
        law: Law,
        params: Mapping[str, float],
        units: Sequence[float],
        draws: Mapping[str, Array] | None = None,
        unit: str = "",
        *,
        ratios: Mapping[str, str] | None = None,
        is_range: bool = False,
    ) -> JointLaw:
        """Take the law from parameters in scaled units.

        Parameters
        ----------
        law, params, units
            The law, its parameters, and the units of N and D that they are in.
        draws
            The same parameters of each resample.
        unit, is_range
            As the attributes.
        ratios
            Amplitude -> name of the parameter that it is to be multiplied by for one group; see ``group_ratios``.
        """
        if not law.is_joint:
            raise UsageError(
                f"A plan needs a joint law in parameters and samples, got '{law.name}'. Fit one with "
                "`vvscale fit TABLE --law joint --x n_params samples_seen --out DIR`."
            )

        ratio = ratios or {}

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


def group_ratios(offsets: Sequence[str], groups: Sequence[str], group: str | None) -> dict[str, str]:
    """Name of the ratio of each amplitude that a group has for itself; empty for the reference group, the first.

    Parameters
    ----------
    offsets
        Amplitudes with group offsets.
    groups
        The fit's groups, the reference first; empty without offsets.
    group
        The one wanted.

    Raises
    ------
    UsageError
        A group that is not there, or none given where there are some.
    """
    if not offsets and group is None:
        return {}
    if group not in groups or not offsets:
        listed = f"the fit's groups are {', '.join(sorted(groups))}" if offsets else "the fit has no groups"
        raise UsageError(
            f"Which group to plan for? Got {group!r}, but {listed}. "
            + ("Say which with `group`." if offsets else "Leave `group` out.")
        )
    if group == groups[0]:
        return {}
    return {letter: ratio_name(letter, str(group), groups[0]) for letter in offsets}
