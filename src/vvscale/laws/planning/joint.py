"""A joint law as a plan needs it: parameters in raw units, of one group, with their resamples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.errors import FitError, UsageError
from vvscale.laws.planning.allocate import Terms
from vvscale.laws.planning.cost import fit_cost
from vvscale.laws.planning.support import MEASURES, Beyond, Support
from vvscale.laws.solve_law import ratio_name
from vvscale.laws.status import Status
from vvscale.laws.verdict import Known, Verdict
from vvscale.scores.table import score_behind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from vvscale.laws.fit import Fit
    from vvscale.laws.law import Law
    from vvscale.laws.uncertainty.bootstrap import Bootstrap

    Array = NDArray[np.float64]


# Nobody should plan with a fit that ended like this.
DOUBTFUL = {Status.NOT_CONVERGED, Status.UNIDENTIFIED, Status.TOO_FEW_POINTS}


@dataclass(frozen=True)
class JointLaw(Terms):
    """What a plan needs of a joint fit: parameters in raw units, and resamples of them.

    Attributes
    ----------
    E, A, alpha, B, beta
        Parameters for N and D in raw units (one parameter, one sample).
    draws
        The same from resamples, name -> (B,); empty for a plan without intervals.
    unit
        What was resampled.
    degrees
        Degrees of freedom where each unit was left out once: intervals are then Student's t with the CRV3 error. None
        for percentiles.
    status, plateau
        Status of the fit, and how well its plateau is known; empty if nobody said.
    outcome
        Column of the outcome.
    data
        What D counts: ``"samples_seen"``, or ``"n_samples"``, images.
    support
        What the rows of the fit span; None if that is not known.
    """

    E: float
    A: float
    alpha: float
    B: float
    beta: float
    draws: Mapping[str, Array] = field(default_factory=dict, repr=False)
    unit: str = ""
    degrees: float | None = None
    status: str = ""
    plateau: str = ""
    outcome: str = "misalignment"
    data: str = "samples_seen"
    support: Support | None = None

    def __post_init__(self) -> None:
        if not self.has_optimum:
            raise FitError(
                "No optimum exists under this law: a plan needs alpha, beta, A and B greater than 0, got alpha = "
                f"{self.alpha:.3g}, beta = {self.beta:.3g}, A = {self.A:.3g}, B = {self.B:.3g}. More of one input "
                "never helps here; fit other rows."
            )

    @property
    def label(self) -> str:
        """What 1 - outcome is called."""
        return score_behind(self.outcome) or f"1 - {self.outcome}"

    @property
    def method(self) -> str:
        """How intervals are made: ``"percentile"`` or ``"CRV3-t"``; empty without resamples."""
        return "" if not self.draws else "CRV3-t" if self.degrees else "percentile"

    def doubts(self) -> tuple[str, ...]:
        """Why nobody should plan with this law, in sentences; empty where nothing speaks against it."""
        made = []
        if self.status in DOUBTFUL:
            made.append(f"its status is {self.status}")
        if self.plateau in {"", Known.NOT_ASSESSED}:
            made.append("how well it is known was not assessed: it was fitted without intervals")
        return tuple(made)

    def refuse_doubtful(self, name: str) -> None:
        """Refuse to plan with a law that is in doubt.

        Raises
        ------
        FitError
            See ``doubts``.
        """
        if self.doubts():
            raise FitError(
                f"No plan with the fit '{name}': {' and '.join(self.doubts())}. Fit again with intervals "
                "(`resamples=1000`) or to other rows, or plan with `anyway`: its status then stands in the plan."
            )

    def passes(self, n_samples: float | None, epochs: float | None) -> float:
        """How often each unit of D is seen: 1 for a law in samples seen, ``epochs`` for one in images."""
        if n_samples is not None and epochs is not None:
            raise UsageError("Give `n_samples` or `epochs`, not both: the samples seen are one times the other.")
        for name, value in (("n_samples", n_samples), ("epochs", epochs)):
            if value is not None and not value > 0:
                raise UsageError(f"`{name}` must be positive, got {value}.")
        if self.data != "n_samples":
            return 1.0
        if epochs is None:
            raise UsageError("This law is in images, and compute in samples seen: say with `epochs` how often each is.")
        return float(epochs)

    def made_of(self, seen: float, n_samples: float | None, epochs: float | None) -> dict[str, float | None]:
        """Images and passes that ``seen`` samples are made of: as asked, else of the rows' largest data set."""
        if epochs is not None:
            return {"n_samples": seen / epochs, "epochs": float(epochs)}
        images = n_samples or (self.support.n_samples if self.support else None)
        return {"n_samples": images, "epochs": seen / images if images else None}

    def beyond(self, n: float, d: float, flop: float) -> tuple[Beyond, ...]:
        """Return what of N, D and compute lies beyond the rows of the fit."""
        if self.support is None:
            return ()
        return self.support.beyond(**{"n_params": n, self.data: d, "train_flop": flop})

    @classmethod
    def from_fit(
        cls, fit: Fit, resampled: Bootstrap | None = None, *, group: str | None = None, verdict: Verdict | None = None
    ) -> JointLaw:
        """Take the law from a fit of n_params and samples_seen (in this order) and its bootstrap.

        Parameters
        ----------
        fit
            A fit of a joint law.
        resampled
            Its resamples, for intervals.
        group
            Which group of a fit with group offsets.
        verdict
            What the fit can bear.
        """
        draws = resampled.params if resampled is not None else {}
        usable = resampled.usable if resampled is not None else slice(None)
        kept = {name: values[usable] for name, values in draws.items()}
        unit = resampled.resamples.unit if resampled is not None else ""
        degrees = resampled.resamples.degrees if resampled is not None else None
        groups = fit.problem.groups if fit.offsets else ()
        made = cls.from_params(
            fit.law, fit.params, fit.problem.units, kept, unit,
            ratios=group_ratios(fit.offsets, groups, group), degrees=degrees,
        )  # fmt: skip
        columns = fit.problem.columns
        return replace(
            made, status=str(fit.status), plateau=str(verdict.plateau) if verdict else "", data=columns[1],
            outcome=fit.problem.outcome, support=Support.from_rows(fit.problem.frame, columns),
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
        degrees: float | None = None,
    ) -> JointLaw:
        """Take the law from parameters in scaled units.

        Parameters
        ----------
        law, params, units
            The law, its parameters, and the units of N and D that they are in.
        draws
            The same parameters of each resample.
        unit, degrees
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
            # A file has None for what is infinite: on the edge of the law, where there is no optimum.
            values = {name: np.nan if value is None else value for name, value in values.items()}
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
        own: dict[str, Any] = {name: float(value) for name, value in raw(params).items()}
        return cls(**own, draws=drawn, unit=unit, degrees=degrees)


def facts_of_rows(frame: pd.DataFrame, columns: tuple[str, ...]) -> dict[str, Any]:
    """Return what a plan needs to know of the rows of a joint fit in ``columns``, as plain values."""
    made: dict[str, Any] = {"support": Support.from_rows(frame, columns).to_dict()}
    if set(frame.columns) >= set(MEASURES) and frame[list(MEASURES)].notna().all(axis=None):
        made["cost"] = dict(fit_cost(frame).__dict__)
    return made


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
