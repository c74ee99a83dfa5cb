"""The sections of the report's page as HTML, from values; nothing is fitted or drawn here."""

from __future__ import annotations

import platform
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from vvscale.figures.base.tables import PUBLISHED
from vvscale.figures.gallery import FIGURES, Drawn
from vvscale.figures.report.page_data import Packed
from vvscale.scores import published_notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.tables import Source
    from vvscale.figures.report.laws import Law
    from vvscale.figures.report.next_runs import NextRuns

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "vl-convert-python")


def lead(fits: Fits, n_models: int) -> str:
    """Say how much is in the table, and what a reader must know before anything else."""
    source = fits.source
    said = [f"{n_models:,} models"]
    if source.is_long:
        said.append(f"{len(source.scores):,} scores")
    if source.added:
        said.append(f"with {', '.join(escape(label) for label in source.added)} laid over")
    notes = "".join(f' <span class="warning">{escape(note)}</span>' for note in [*_simulated(source), *source.notes])
    return f"{', '.join(said)}. Made by vvscale {version('vvscale')}; everything is in this file.{notes}"


def _simulated(source: Source) -> list[str]:
    """Say which benchmarks were made up; nobody may take their scores for the brain's."""
    scores = source.scores
    if "is_simulated" not in scores.columns or "benchmark_id" not in scores.columns:
        return []
    made_up = scores.loc[scores["is_simulated"].fillna(False).astype(bool), "benchmark_id"].unique()
    return [f"SIMULATED, not recorded: {', '.join(sorted(made_up))}."] if len(made_up) else []


def found(said: Sequence[str], figure: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """What was found: sentences beside the headline figure, then the tables of a study."""
    words = "".join(f"<p>{escape(sentence)}</p>" for sentence in said)
    parts = [f'<div class="found"><div>{words}</div>{figure}</div>']
    for title, table in tables.items():
        head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in table.itertuples(index=False)
        )
        parts.append(f"<h3>{escape(title)}</h3>" + scrolling(title, f"<table><tr>{head}</tr>{rows}</table>"))
    return "".join(parts)


def laws_table(laws: Sequence[Law], absent: Sequence[str], figures: str) -> str:
    """Each law with its verdict, then the figures that show how far it can be trusted."""
    head = (
        "<tr><th>question</th><th class=number>n</th><th class=number>limit</th><th>95 %</th>"
        "<th class=number>R²</th><th>verdict</th></tr>"
    )
    rows = "".join(_law_row(law.title, law.curve) for law in laws)
    table = scrolling("Laws", f'<table class="laws">{head}{rows}</table>')
    said = (
        '<p class="small">Limit: the outcome at infinite input; of a score the plateau, ceiling = 1. Intervals draw '
        "architectures where they are known, not rows: rows of one architecture are not independent. Where a verdict "
        "says that a limit is not identified, the number beside it is what this law happens to say, not a finding.</p>"
    )
    reasons = [f"<li>{escape(each)}</li>" for each in absent]
    return (table + said if rows else "") + not_allowed("laws", reasons) + gallery(figures)


def _law_row(title: str, law: LawCurve) -> str:
    facts = law.facts
    ends = facts["limit_interval"]
    # Adding 0 takes the sign from a rounded zero.
    interval = " to ".join(f"{round(end, 2) + 0.0:.2f}" for end in ends) if ends else "none"
    r2 = "" if facts["r2"] is None else f"{facts['r2']:.2f}"
    kind = "" if law.is_identified else ' class="verdict-no"'
    named = "" if facts["name"] in {title, "joint"} else f"{escape(facts['name'])}: "
    return (
        f"<tr><td class=question>{escape(title)}<br><span class=small>{named}{escape(facts['formula'])}</span></td>"
        f'<td class=number data-name="n">{facts["n"]}</td><td class=number data-name="limit">{_limit(facts)}</td>'
        f'<td data-name="95 %">{interval}</td><td class=number data-name="R²">{r2}</td>'
        f"<td{kind}>{escape(facts['verdict'])}</td></tr>"
    )


def _limit(facts: Mapping[str, Any]) -> str:
    return "none" if facts["limit"] is None else f"{facts['limit']:.3f}"


def plan(law: LawCurve | None, reason: str, largest: float, further: NextRuns, figures: str) -> str:
    """The calculator, started at the largest run, further runs for less, and the figures of the best split."""
    if law is None:
        return f'<p class="warning">No plan from this table. {escape(reason)}</p>{gallery(figures)}'
    facts = law.facts
    fields = (
        ("budget", "budget (FLOP)", f'value="{largest:.3g}"'),
        ("least", "smallest N", 'placeholder="any"'),
        ("most", "largest N", 'placeholder="any"'),
    )
    inputs = "".join(
        f'<label>{label} <input id="{key}" inputmode="decimal" {more}></label>' for key, label, more in fields
    )
    steps = "".join(
        f'<button type="button" data-budget="{largest * factor:.3g}">{said}</button>'
        for factor, said in ((1, "largest run"), (3, "3 times it"), (10, "10 times it"))
    )
    what = "score" if facts["is_score"] else "outcome"
    answers = (
        ("plan-n", "parameters N"), ("plan-d", "samples seen D"), ("plan-score", f"{what}, on the curve"),
        ("plan-new", f"{what}, a new architecture (90 %)"),
    )  # fmt: skip
    cells = "".join(f'<div><dt>{label}</dt><dd id="{key}">–</dd></div>' for key, label in answers)
    unit = facts["unit"]
    how = f"95 % t, each {unit} left out in turn" if facts["method"] == "CRV3-t" else f"95 % over resampled {unit}"
    said = (
        f"{escape(facts['formula'])}, {facts['n']} models; cost {escape(facts['cost']['source'])}. Intervals: {how}. "
        f"N* ~ C<sup>{facts['n_exponent']:.3f}</sup>, D* ~ C<sup>{facts['d_exponent']:.3f}</sup>; {what} at infinite "
        f"compute {_limit(facts)} ({escape(facts['verdict'])})."
    )
    return (
        f'<form id="planner">{inputs}<span class="row">{steps}</span></form>'
        f'<dl class="answers" aria-live="polite">{cells}</dl>'
        f'<p class="warning small" id="plan-problem" role="status"></p><p class="small">{said}</p>{further.html()}'
        f"{gallery(figures)}"
    )


def figure(one: Drawn, drawing: Packed) -> str:
    """One figure with its caption and notes; it is drawn when it comes near the window."""
    _, width, height = drawing
    wide = ' class="two"' if width > 300 else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in one.notes)
    more = f"<details><summary>Notes ({len(one.notes)})</summary><ul>{notes}</ul></details>" if one.notes else ""
    title = escape(FIGURES[one.name].summary)
    return (
        f'<figure id="{one.name}"{wide}><h3>{one.name}</h3><div class="drawing" role="img" aria-label="{title}" '
        f'data-figure="{one.name}" style="aspect-ratio:{width:g}/{height:g}"></div>'
        f"<figcaption>{escape(one.caption)}{more}</figcaption></figure>"
    )


def gallery(figures: str) -> str:
    """Figures in a grid; nothing where there are none."""
    return f'<div class="gallery">{figures}</div>' if figures else ""


def scrolling(name: str, content: str) -> str:
    """Wide content that scrolls within itself, by keyboard too."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(name)}">{content}</div>'


def not_allowed(what: str, reasons: Sequence[str]) -> str:
    """A list of what a table lacks, folded; nothing if it lacks nothing."""
    if not reasons:
        return ""
    head = f"<summary>{len(reasons)} {what} that this table does not allow</summary>"
    return f"<details>{head}<ul>{''.join(reasons)}</ul></details>"


def provenance(fits: Fits) -> str:
    """Digests of the tables, versions, and what was corrected in the published one."""
    tables = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{digest}</code></td></tr>"
        for name, digest in fits.source.digests.items()
    )
    known: list[tuple[str, Any]] = [("vvscale", version("vvscale")), ("Python", platform.python_version())]
    known += [(name, version(name)) for name in PACKAGES]
    versions = ", ".join(f"{name} {value}" for name, value in known)
    unit = "architecture where known, else row"
    said = f"Intervals: {fits.n_resamples} resamples by {unit}, seed {fits.seed}. {escape(versions)}."
    notes = ""
    if fits.source.name == PUBLISHED:
        listed = "".join(
            f"<li>{escape(note.name)} ({note.treatment} {escape(', '.join(note.columns))}; {note.n_rows} rows): "
            f"{escape(note.reason)}</li>"
            for note in published_notes(PUBLISHED)
        )
        notes = f"<details><summary>Corrections and caveats of the published table</summary><ul>{listed}</ul></details>"
    head = "<tr><th>table</th><th>sha256</th></tr>"
    return f"{scrolling('Tables', f'<table>{head}{tables}</table>')}<p>{said}</p>{notes}"
