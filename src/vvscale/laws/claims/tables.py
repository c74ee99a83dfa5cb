"""Claims as people read them: numbers as text, one row per claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from vvscale.laws.claims.check import Checked, ClaimsReport


def claims_table(report: ClaimsReport) -> pd.DataFrame:
    """One row per claim: what is said, the paper's number, ours with its interval, the ruling and why."""
    rows = [(one.claim.says, _paper(one), _ours(one), str(one.ruling), one.why) for one in report.checked]
    return pd.DataFrame(rows, columns=["claim", "paper", "ours", "ruling", "why"])


def _paper(one: Checked) -> str:
    claim = one.claim
    if claim.relation == "equals":
        return f"{claim.value:g}"
    return f"{claim.relation} {claim.value:g}" if claim.relation in {"above", "below"} else str(claim.relation)


def _ours(one: Checked) -> str:
    if one.claim.relation == "ordered":
        made = next(iter(one.estimates.values()))[: len(one.claim.regions)]
        return ", ".join(f"{estimate.name} {estimate.value:.3f}" for estimate in made)
    first = one.first
    if first is None:
        return ""
    if first.interval is None or first.interval[0] == first.interval[1]:
        return f"{first.value:.3g}"
    return f"{first.value:.3g} [{first.interval[0]:.3g}, {first.interval[1]:.3g}]"
