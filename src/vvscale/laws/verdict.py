"""What a fit can bear: one value, made here, that every table, figure, report and file shows.

A plateau is identified if the search converged, an interval that knows of dependent rows (``jackknife``) is narrow
against the range of the outcome and keeps away from the law's edge, and other forms and losses say the same. Without
such an interval it is not assessed. Nothing here draws random numbers, so no verdict depends on a seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from vvscale.core.jsonable import jsonable
from vvscale.laws.direction import Direction, direction_of, notes_on
from vvscale.laws.solve_law import NO_SLOPE
from vvscale.laws.status import Edge, Status
from vvscale.scores.table import score_behind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vvscale.laws.fit import Fit
    from vvscale.laws.uncertainty.jackknife import Jackknife

# An interval is narrow up to this share of the range of the outcome (its central 95 %), and alternatives agree if they
# move the plateau by no more: a limit known to a quarter of what scaling has changed so far says where scaling ends.
NARROW = 0.25
CENTRAL = (0.025, 0.975)
# An exponent is known if its interval stays within half and twice the fitted value, as for the status of a fit.
WITHIN = 2.0
# A plateau below this is none: a thousandth of a score point.
ZERO = 1e-6


class Known(StrEnum):
    """How well a parameter is known."""

    IDENTIFIED = "identified"
    NOT_IDENTIFIED = "not identified"
    AT_BOUNDARY = "at the boundary"
    NOT_ASSESSED = "not assessed"


@dataclass(frozen=True)
class Verdict:
    """What a fit can bear.

    Attributes
    ----------
    plateau
        Whether its limit is known.
    direction
        What the outcome does along the inputs.
    exponents
        Whether each exponent is known, by name.
    limit, interval
        E, in units of the outcome, and its interval by Student's t; None where there is none.
    by, n_groups
        What was left out in turn, and how many; empty and 0 where nothing was.
    alternatives
        E under other forms and losses, by name.
    reasons
        Why the plateau is not known, in sentences; empty where it is identified.
    notes
        What looks wrong with the columns, and what to do, in sentences.
    outcome
        Column of the outcome.
    """

    plateau: Known
    direction: Direction
    exponents: Mapping[str, Known]
    limit: float | None
    interval: tuple[float, float] | None
    by: str
    n_groups: int
    alternatives: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outcome: str = "misalignment"

    @property
    def is_identified(self) -> bool:
        """Whether the plateau is identified."""
        return self.plateau is Known.IDENTIFIED

    @property
    def words(self) -> str:
        """The verdict in a few words, for a cell of a table."""
        if self.is_identified:
            return f"plateau identified: {self.limit_words} ({self.over})"
        where = f" ({self.limit_words})" if self.plateau is Known.NOT_IDENTIFIED and self.interval else ""
        return f"plateau {self.plateau}{where}" + (f": {self.reasons[0]}" if self.reasons else "")

    @property
    def over(self) -> str:
        """What was left out in turn for the interval, in words; empty without one."""
        unit = "blocks of rows" if self.by == "row" else self.by
        return f"t interval over {self.n_groups} {unit}" if self.n_groups else ""

    @property
    def limit_words(self) -> str:
        """The limit with its interval; of a misalignment that of the score."""
        if self.limit is None:
            return "no limit"
        name = score_behind(self.outcome)
        value = 1.0 - self.limit if name else self.limit
        ends = sorted(1.0 - end for end in self.interval) if name and self.interval else self.interval
        return f"{name or 'E'} {value:.3f}" + (f", {ends[0]:.3f} to {ends[1]:.3f}" if ends else "")

    def lines(self) -> tuple[str, ...]:
        """Everything that a person should read: the verdict, what else speaks against it, and notes on the columns."""
        head = self.words[0].upper() + self.words[1:] + "."
        unknown = [name for name, known in self.exponents.items() if known is Known.NOT_IDENTIFIED]
        more = [f"Exponent not identified: {', '.join(unknown)}."] if unknown else []
        return (head, *(f"Also: {reason}." for reason in self.reasons[1:]), *more, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        held = {name: value for name, value in vars(self).items() if name != "outcome"}
        return jsonable({**held, "words": self.words})

    def _repr_html_(self) -> str:
        return "".join(f"<p>{line}</p>" for line in self.lines())


def judge(
    fit: Fit, jackknife: Jackknife | None, alternatives: Mapping[str, float] | None = None, *, why_not: str = ""
) -> Verdict:
    """Make the verdict on a fit.

    Parameters
    ----------
    fit
        The fit.
    jackknife
        Refits without each group of an honest unit; None where there are none.
    alternatives
        Plateaus under other forms and losses, by name.
    why_not
        Why there is no jackknife.
    """
    limit = float(fit.params["E"]) if fit.law.has_limit and np.isfinite(fit.params["E"]) else None
    interval = _finite(jackknife.interval("E")) if jackknife and limit is not None else None
    direction = direction_of(fit)
    plateau, reasons = _plateau(fit, jackknife, interval, alternatives or {}, why_not)
    if plateau is Known.IDENTIFIED and direction in {Direction.RISES, Direction.TURNS}:
        plateau, reasons = Known.NOT_IDENTIFIED, [f"the outcome {direction}, and the law only falls"]
    return Verdict(
        plateau, direction, _exponents(fit, jackknife), limit, interval,
        jackknife.by if jackknife else "", jackknife.n_groups if jackknife else 0, dict(alternatives or {}),
        tuple(reasons), notes_on(fit, direction), fit.problem.outcome,
    )  # fmt: skip


def _finite(interval: tuple[float, float]) -> tuple[float, float] | None:
    return interval if np.isfinite(interval).all() else None


def narrow_width(fit: Fit) -> float:
    """Width up to which an interval of the plateau counts as narrow, in units of the outcome."""
    low, high = np.quantile(fit.problem.y, CENTRAL)
    return NARROW * float(high - low)


def _plateau(
    fit: Fit,
    jackknife: Jackknife | None,
    interval: tuple[float, float] | None,
    alternatives: Mapping[str, float],
    why_not: str,
) -> tuple[Known, list[str]]:
    """How well the plateau is known, and what speaks against it."""
    if not fit.law.has_limit:
        return Known.NOT_ASSESSED, [f"the law '{fit.law.name}' has no plateau"]
    if fit.status is Status.TOO_FEW_POINTS:
        return Known.NOT_IDENTIFIED, [f"{fit.problem.n_distinct} distinct points for {len(fit.params)} parameters"]
    if fit.status is Status.NOT_CONVERGED:
        return Known.NOT_IDENTIFIED, ["the search for the minimum did not converge"]
    if Edge.LOGARITHMIC in fit.edges:
        return Known.AT_BOUNDARY, ["logarithmic in these rows, without a limit"]
    if Edge.NO_PLATEAU in fit.edges:
        return Known.AT_BOUNDARY, ["these rows show no plateau (E = 0): a limit of exactly 1 is an extrapolation"]
    if jackknife is None:
        return Known.NOT_ASSESSED, [why_not or "no intervals"]
    if interval is None:
        return Known.NOT_IDENTIFIED, [f"without some {jackknife.by} too little is left to fit"]
    reasons = []
    narrow, width = narrow_width(fit), interval[1] - interval[0]
    if width > narrow:
        reasons.append(f"its interval is {width:.2g} wide, more than a quarter of the range of the outcome")
    if not fit.law.signed_plateau and interval[0] <= ZERO:
        reasons.append(
            "the interval includes no plateau at all (E = 0), so a limit of exactly 1 would be an extrapolation"
        )
    if "E" in fit.free:
        reasons.append("a law without a plateau fits as well")
    moved = {name: value for name, value in alternatives.items() if not abs(value - fit.params["E"]) <= narrow}
    if moved:
        told = ", ".join(f"{name} {value:.2f}" for name, value in moved.items())
        reasons.append(f"E is {fit.params['E']:.2f} here, but under another form or loss: {told}")
    return (Known.NOT_IDENTIFIED if reasons else Known.IDENTIFIED), reasons


def _exponents(fit: Fit, jackknife: Jackknife | None) -> dict[str, Known]:
    """How well each exponent is known."""
    return {name: _exponent(fit, jackknife, name) for name in ("alpha", "beta") if name in fit.params}


def _exponent(fit: Fit, jackknife: Jackknife | None, name: str) -> Known:
    value = fit.params[name]
    if fit.status in {Status.TOO_FEW_POINTS, Status.NOT_CONVERGED} or name in fit.free:
        return Known.NOT_IDENTIFIED
    if abs(value) < NO_SLOPE or not np.isfinite(value):
        return Known.AT_BOUNDARY
    if jackknife is None:
        return Known.NOT_ASSESSED
    low, high = sorted((abs(value) / WITHIN, abs(value) * WITHIN))
    ends = jackknife.interval(name)
    inside = all(np.sign(end) == np.sign(value) and low <= abs(end) <= high for end in ends)
    return Known.IDENTIFIED if inside else Known.NOT_IDENTIFIED
