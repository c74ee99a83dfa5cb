"""Check claims on a table: the paper's number, ours, an interval, and a ruling with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable
from vvscale.laws.claims.claim import Claim, ClaimsFile, read_claims
from vvscale.laws.claims.measures import Estimate, Evidence, measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Ruling(StrEnum):
    """What the rows say of a claim."""

    HOLDS = "holds"
    HOLDS_WITHIN = "holds within"
    NOT_ESTABLISHED = "not established"
    CONTRADICTED = "contradicted"


# From best to worst: a claim that has to hold by several units gets the worst of their rulings.
_ORDER = list(Ruling)


@dataclass(frozen=True)
class Checked:
    """One claim with what the rows say.

    Attributes
    ----------
    claim
        The claim.
    ruling, why
        What the rows say of it, and the reason in a sentence.
    estimates
        What was measured, by unit: unit -> estimates.
    """

    claim: Claim
    ruling: Ruling
    why: str
    estimates: dict[str, tuple[Estimate, ...]] = field(repr=False)

    @property
    def first(self) -> Estimate | None:
        """The estimate beside the paper's value, under the first unit that has one."""
        return next((made[0] for made in self.estimates.values() if made), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        listed = {by: [dict(one.__dict__) for one in made] for by, made in self.estimates.items()}
        return jsonable(
            {"claim": dict(self.claim.__dict__), "ruling": str(self.ruling), "why": self.why, "estimates": listed}
        )


@dataclass(frozen=True)
class ClaimsReport:
    """All claims of one source, checked."""

    title: str
    source: str
    checked: tuple[Checked, ...]

    def table(self) -> pd.DataFrame:
        """One row per claim: what is said, the paper's value, ours, its interval, the ruling and why."""
        rows = []
        for one in self.checked:
            first, claim = one.first, one.claim
            paper = claim.value if claim.relation == "equals" else np.nan
            low, high = first.interval if first and first.interval else (np.nan, np.nan)
            rows.append(
                (claim.name, claim.says, paper, first.value if first else np.nan, low, high, str(one.ruling), one.why)
            )
        return pd.DataFrame(rows, columns=["claim", "says", "paper", "ours", "low", "high", "ruling", "why"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"title": self.title, "source": self.source, "claims": [one.to_dict() for one in self.checked]}

    def _repr_html_(self) -> str:
        return f"<p>{self.title}</p>{self.table().to_html(index=False)}"


def check_claims(source: str | Path | ClaimsFile, scores: pd.DataFrame | None = None) -> ClaimsReport:
    """Check the claims of a paper, or one's own, on a table.

    Parameters
    ----------
    source
        ``"ccn2024"``, ``"icml2025"``, a TOML file, or claims already read.
    scores
        Score table (``vvscale.scores.load_scores``), or any table for claims about fits of their own; by default the
        published one.

    Raises
    ------
    UnknownNameError, ConfigError, MissingDataError
        See ``read_claims``; a claim about a fit, measure or quantity that does not exist.

    Examples
    --------
    >>> report = check_claims("ccn2024")  # doctest: +SKIP
    >>> report.table()[["claim", "paper", "ours", "ruling"]]  # doctest: +SKIP
    """
    told = source if isinstance(source, ClaimsFile) else read_claims(source)
    if scores is None:
        from vvscale.scores import load_scores

        scores = load_scores("gokce2025")
    evidence = Evidence(scores, told.fits)
    return ClaimsReport(told.title, told.source, tuple(check(claim, evidence) for claim in told.claims))


def check(claim: Claim, evidence: Evidence) -> Checked:
    """Check one claim."""
    estimates = {by: measure(claim, evidence, by) for by in claim.by}
    rulings = [rule(claim, made, evidence) for made in estimates.values()]
    worst = max(range(len(rulings)), key=lambda place: _ORDER.index(rulings[place][0]))
    ruling, why = rulings[worst]
    if len(rulings) > 1 and ruling is not rulings[0][0]:
        why = f"by {claim.by[worst]}: {why} (by {claim.by[0]} it {rulings[0][0]})"
    return Checked(claim, ruling, f"{why}. {claim.note}".strip().rstrip(".") + ".", estimates)


def rule(claim: Claim, made: Sequence[Estimate], evidence: Evidence) -> tuple[Ruling, str]:
    """Rule on a claim from what was measured under one unit."""
    if claim.relation == "identified":
        return _rule_identified(claim, evidence)
    if claim.relation == "ordered":
        return _rule_ordered(made[len(claim.regions) :])
    one = made[0]
    if one.interval is None:
        return Ruling.NOT_ESTABLISHED, "the rows allow no interval"
    low, high = one.interval
    if claim.relation == "equals":
        return _rule_equal(claim, one.value, low, high)
    sign = 1.0 if claim.relation == "above" else -1.0
    nearest, farthest = sorted((sign * (low - claim.value), sign * (high - claim.value)))
    if nearest > 0:
        return Ruling.HOLDS, f"the whole interval lies {claim.relation} {claim.value:g}"
    if farthest < 0:
        return Ruling.CONTRADICTED, f"no value {claim.relation} {claim.value:g} is in the interval"
    return Ruling.NOT_ESTABLISHED, f"the interval lies on both sides of {claim.value:g}"


def _rule_equal(claim: Claim, value: float, low: float, high: float) -> tuple[Ruling, str]:
    # Within the paper's own rounding; the last bit of a float is no difference.
    near = abs(value - claim.value) <= claim.rounding * (1.0 + 1e-9)
    if near:
        return Ruling.HOLDS, "the same number, to the digits that are given"
    if low - claim.rounding <= claim.value <= high + claim.rounding:
        return Ruling.HOLDS_WITHIN, f"{value:.3g} is another number, but the interval holds {claim.value:g}"
    if low == high:
        return Ruling.CONTRADICTED, f"it is {value:.3g}, not {claim.value:g}"
    side = "below" if claim.value > high else "above"
    return Ruling.CONTRADICTED, f"the whole interval lies {side} {claim.value:g}"


def _rule_ordered(steps: Sequence[Estimate]) -> tuple[Ruling, str]:
    """Rule on the steps from each to the next: all above 0 is the claimed order."""
    down = [step for step in steps if step.interval is not None and step.interval[1] < 0]
    if down:
        return Ruling.CONTRADICTED, f"{down[0].name} is below 0"
    open_ = [step.name for step in steps if step.interval is None or step.interval[0] <= 0]
    if not open_:
        return Ruling.HOLDS, "each step is above 0"
    if all(step.value > 0 for step in steps):
        return Ruling.HOLDS_WITHIN, f"in this order, but the interval of {', '.join(open_)} includes 0"
    return Ruling.NOT_ESTABLISHED, f"the interval of {', '.join(open_)} includes 0"


def _rule_identified(claim: Claim, evidence: Evidence) -> tuple[Ruling, str]:
    verdict = evidence.verdict(claim.fit, claim.by[0])
    if verdict.is_identified:
        return Ruling.HOLDS, verdict.words
    return Ruling.NOT_ESTABLISHED, verdict.words
