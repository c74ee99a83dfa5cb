"""Which runs to train next: a design in the range and at the cost of the table's own rows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from vvscale.errors import shell_words
from vvscale.figures.base.tables import PUBLISHED
from vvscale.figures.report.laws import NOT_ALLOWED, joint_of
from vvscale.laws.planning.design import design_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vvscale.figures.base.fits import Fits

# A handful of runs that cost together as much as the largest one: what a lab can try at once.
RUNS = 5


@dataclass(frozen=True)
class NextRuns:
    """Runs that would tell most about the joint law, or why none can be named.

    Attributes
    ----------
    made
        What ``Design.to_dict`` says, with its ``sentence``; None where there is none.
    reason
        Why not.
    command
        What makes a study of them.
    """

    made: Mapping[str, Any] | None
    reason: str = ""
    command: str = ""

    def html(self) -> str:
        """Return the table with what it is for; a line where there is none; nothing where none was asked for."""
        if self.made is None:
            return f'<p class="small">No design of further runs: {escape(self.reason)}</p>' if self.reason else ""
        if not self.made["narrows"]:
            return f'<p class="small">{escape(self.made["sentence"])}</p>'
        head = "".join(
            f"<th class=number>{name}</th>" for name in ("runs", "parameters N", "samples seen D", "FLOP each")
        )
        rows = "".join(
            f"<tr><td class=number>{row['count']:g}</td><td class=number>{row['n_params']:.3g}</td>"
            f"<td class=number>{row['samples_seen']:.3g}</td><td class=number>{row['train_flop']:.3g}</td></tr>"
            for row in self.made["runs"]
        )
        return (
            f"<h3>Runs that would tell most about the law</h3><p>{escape(self.made['sentence'])}</p>"
            f'<div class="wide" tabindex="0" role="region" aria-label="Runs"><table id="design"><tr>{head}</tr>{rows}'
            "</table></div>"
            f'<p class="small">As a study: <code>{escape(self.command)}</code></p>'
        )


def next_runs(fits: Fits) -> NextRuns:
    """Choose runs within the table's own range for as much compute as its largest run took."""
    source = fits.source
    if source.name == PUBLISHED:
        return NextRuns(None)
    try:
        asked = joint_of(fits)
        budget = float(asked.frame["train_flop"].max())
        request = {"rows": fits.digest(asked), "law": asked.law, "budget": budget, "runs": RUNS}
        made = fits.kept("design", request, lambda: design_runs(fits.fit(asked), budget, RUNS).to_dict())
    except NOT_ALLOWED as error:
        return NextRuns(None, str(error))
    named = [*(("--x", *source.named) if source.named else ()), *(("--y", source.y) if source.y else ())]
    asked_for = shell_words(source.name, *named, "--budget", f"{budget:.3g}", "--runs", RUNS, "--out", "next.toml")
    command = f"vvscale design {asked_for}"
    return NextRuns(made, command=command)
