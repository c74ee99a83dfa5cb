"""One page that shows and explores a table: laws, plan, models, figures, provenance. Opens offline, anywhere.

The page is one file without any address of the outside: Vega-Lite (bundled by vl-convert) draws the scatter plot,
figures are the drawer's own SVG, compressed. This module writes the page; ``page/`` holds its looks and behaviour.
"""

from __future__ import annotations

import json
import platform
import tempfile
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.files import make_folder, write_bytes
from vvscale.errors import DataError, FitError, MissingDataError, UnknownNameError, UsageError
from vvscale.figures.base.tables import PUBLISHED
from vvscale.figures.gallery import FIGURES, Drawn, draw_all, matching
from vvscale.figures.report.page_data import (
    box,
    explorer,
    models_frame,
    pack_drawing,
    pack_models,
    planner,
    references,
)
from vvscale.laws.gokce2025.experiments import EXPERIMENTS
from vvscale.scores import published_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.tables import Source

HEADLINES = {
    "compute_neuro": "Neural alignment against compute",
    "compute_behavior": "Behaviour against compute",
    "compute_chinchilla": "Mean alignment against parameters and samples",
    "parameter_scaling": "Mean alignment against parameters, full data",
    "sample_imagenet_scaling": "Mean alignment against samples, ImageNet",
    "sample_ecoset_scaling": "Mean alignment against samples, ecoset",
    "model_resnet_avg": "ResNet against compute",
    "model_convnext_avg": "ConvNeXt against compute",
    "model_vit_avg": "ViT against compute",
}
PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "vl-convert-python")


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes
    ----------
    path
        The page.
    n_bytes
        Its size.
    n_models
        Models in it.
    figures
        Names of the figures in it.
    lacking
        Figure -> why it is not in it.
    """

    path: Path
    n_bytes: int
    n_models: int
    figures: tuple[str, ...]
    lacking: Mapping[str, str]


def write_report(
    path: str | Path,
    fits: Fits,
    *,
    names: Sequence[str] = (),
    title: str = "",
    findings: Mapping[str, pd.DataFrame] | None = None,
    n_workers: int | None = None,
    on_done: Callable[[str], None] = lambda name: None,
) -> Report:
    """Write the page of a table.

    Parameters
    ----------
    path
        Where to; ends in ``.html``.
    fits
        The tables and the resampling.
    names
        Figures, or patterns, to show; by default all.
    title
        Of the page; by default the table's name.
    findings
        Title -> table of text, shown first; what the study of this table found.
    n_workers
        Processes; by default one per available core.
    on_done
        Called with the name of each finished figure.

    Raises
    ------
    UsageError
        A path that does not end in ``.html``.
    MissingDataError
        The table has no score with a region.
    """
    path = Path(path)
    if path.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"A report is a web page; got '{path}', expected a name that ends in .html.")
    chosen = matching(names)
    make_folder(path.parent)
    # Refuses a table without regions, before anything is drawn.
    _ = fits.source.tables
    frame = models_frame(fits.source)
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_all(chosen, fits, folder, formats=("svg",), n_workers=n_workers, on_done=on_done)
        drawings = {one.name: one.files[0].read_text(encoding="utf-8") for one in drawn if one.files}
    plan, law, reason = planner(fits)
    library, schema = _library()
    data = {
        "models": pack_models(frame),
        "explore": explorer(frame, schema),
        "plan": plan,
        "cite": references(fits.source, is_published=fits.source.name == PUBLISHED),
        "figures": {name: pack_drawing(svg, f"f{place}-") for place, (name, svg) in enumerate(drawings.items())},
    }
    page = _fill(
        _asset("page.html"),
        {
            "TITLE": escape(title or f"Scaling laws of brain alignment: {fits.source.name}"),
            "LEAD": _lead(fits, len(frame)),
            "FINDINGS": _findings(findings or {}),
            "LAWS": _laws(fits),
            "PLAN": _plan(law, reason),
            "FIGURES": _figures(drawn, drawings),
            "PROVENANCE": _provenance(fits),
            "CSS": _asset("page.css"),
            # Inside a script element only these three end or change the text's meaning.
            "DATA": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
            "LIBRARY": library,
            "SCRIPT": _asset("page.js"),
        },
    )
    content = page.encode()
    write_bytes(path, content)
    lacking = {one.name: one.lacking for one in drawn if one.lacking}
    return Report(path, len(content), len(frame), tuple(drawings), lacking)


def _asset(name: str) -> str:
    return (files("vvscale.figures.report") / "page" / name).read_text(encoding="utf-8")


def _fill(page: str, parts: Mapping[str, str]) -> str:
    """Put parts in the places of their names, in one pass: a part may hold any text."""
    pieces = page.split("@@")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _library() -> tuple[str, str]:
    """Vega, Vega-Lite and vega-embed as one script, and the address by which specifications name their version."""
    try:
        import vl_convert
    except ImportError as error:
        raise MissingDataError(
            "The report needs the library that draws its scatter plot, 'vl-convert-python', which is not installed. "
            "Next: pip install 'vvscale[figures]'."
        ) from error
    major = str(vl_convert.get_vegalite_versions()[-1]).split(".")[0]
    # Without a snippet the bundle defines vegaEmbed itself; the stub leaves out that this is the default.
    bundle = vl_convert.javascript_bundle(vl_version=vl_convert.get_vegalite_versions()[-1])  # pyright: ignore[reportCallIssue]
    return bundle.replace("</script", "<\\/script"), f"https://vega.github.io/schema/vega-lite/v{major}.json"


def _lead(fits: Fits, n_models: int) -> str:
    source = fits.source
    said = [f"{n_models:,} models", f"{len(source.scores):,} scores"]
    if source.added:
        said.append(f"with {', '.join(escape(label) for label in source.added)} laid over")
    told = [*_simulated(source), *source.notes]
    notes = "".join(f' <span class="warning">{escape(note)}</span>' for note in told)
    return f"{', '.join(said)}. Made by vvscale {version('vvscale')}; everything is in this file.{notes}"


def _simulated(source: Source) -> list[str]:
    """Say which benchmarks were made up; nobody may take their scores for the brain's."""
    scores = source.scores
    if "is_simulated" not in scores.columns:
        return []
    made_up = scores.loc[scores["is_simulated"].fillna(False).astype(bool), "benchmark_id"].unique()
    return [f"SIMULATED, not recorded: {', '.join(sorted(made_up))}."] if len(made_up) else []


def _findings(tables: Mapping[str, pd.DataFrame]) -> str:
    if not tables:
        return ""
    parts = []
    for title, table in tables.items():
        head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in table.itertuples(index=False)
        )
        parts.append(f"<h3>{escape(title)}</h3>" + _scrolling(title, f"<table><tr>{head}</tr>{rows}</table>"))
    content = "".join(parts)
    return (
        '<section id="findings" aria-labelledby="findings-title">'
        f'<h2 id="findings-title">What this study found</h2>{content}</section>'
    )


def _laws(fits: Fits) -> str:
    rows, absent = [], []
    for name, title in HEADLINES.items():
        try:
            law = fits.curve(EXPERIMENTS[name])
        except (DataError, FitError, UnknownNameError) as error:
            absent.append(f"<li>{escape(title)}: {escape(str(error))}</li>")
            continue
        rows.append(_law_row(name, title, law))
    head = (
        "<tr><th>question</th><th class=number>n</th><th class=number>plateau</th><th>95 %</th>"
        "<th class=number>R²</th><th>verdict</th></tr>"
    )
    table = _scrolling("Laws", f'<table class="laws">{head}{"".join(rows)}</table>')
    said = (
        '<p class="small">Plateau: the score at infinite compute, parameters or samples, ceiling = 1. Intervals draw '
        "architectures, not rows: rows of one architecture are not independent. Where a verdict says that a "
        "plateau is not "
        "identified, the number beside it is what this law happens to say, not a finding.</p>"
    )
    return (table + said if rows else "") + _not_allowed("laws", absent)


def _scrolling(name: str, content: str) -> str:
    """Wide content that scrolls within itself, by keyboard too."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{name}">{content}</div>'


def _not_allowed(what: str, reasons: list[str]) -> str:
    """A list of what a table lacks, folded; nothing if it lacks nothing."""
    if not reasons:
        return ""
    head = f"<summary>{len(reasons)} {what} that this table does not allow</summary>"
    return f"<details>{head}<ul>{''.join(reasons)}</ul></details>"


def _law_row(name: str, title: str, law: LawCurve) -> str:
    facts = law.facts
    ends = facts["limit_interval"]
    interval = f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else "none"
    r2 = "" if facts["r2"] is None else f"{facts['r2']:.2f}"
    kind = "" if law.is_identified else ' class="verdict-no"'
    return (
        f"<tr><td class=question>{escape(title)}<br><span class=small>{escape(name)}: "
        f"{escape(facts['formula'])}</span></td>"
        f'<td class=number data-name="n">{facts["n"]}</td><td class=number '
        f'data-name="plateau">{_limit(facts)}</td>'
        f'<td data-name="95 %">{interval}</td><td class=number data-name="R²">{r2}</td>'
        f"<td{kind}>{escape(facts['verdict'])}</td></tr>"
    )


def _limit(facts: Mapping[str, Any]) -> str:
    return "none" if facts["limit"] is None else f"{facts['limit']:.3f}"


def _plan(law: LawCurve | None, reason: str) -> str:
    if law is None:
        return f'<p class="warning">No plan from this table. {escape(reason)}</p>'
    facts = law.facts
    fields = (
        ("budget", "budget (FLOP)", 'value="1e20"'),
        ("least", "smallest N", 'placeholder="any"'),
        ("most", "largest N", 'placeholder="any"'),
    )
    inputs = "".join(
        f'<label>{label} <input id="{key}" inputmode="decimal" {more}></label>' for key, label, more in fields
    )
    answers = (
        ("plan-n", "parameters N"), ("plan-d", "samples seen D"), ("plan-score", "mean score, curve"),
        ("plan-new", "mean score, a new architecture (90 %)"),
    )  # fmt: skip
    cells = "".join(f'<div><dt>{label}</dt><dd id="{key}">–</dd></div>' for key, label in answers)
    how = f"95 % t, each {facts['unit']} left out" if facts["method"] == "CRV3-t" else f"95 % by {facts['unit']}"
    said = (
        f"{escape(facts['formula'])}, {facts['n']} models; cost {escape(facts['cost']['source'])}. Intervals: {how}. "
        f"N* ~ C<sup>{facts['n_exponent']:.3f}</sup>, D* ~ C<sup>{facts['d_exponent']:.3f}</sup>; score at "
        "infinite compute "
        f"{_limit(facts)} ({escape(facts['verdict'])})."
    )
    return (
        f'<form id="planner">{inputs}</form><dl class="answers" aria-live="polite">{cells}</dl>'
        f'<p class="warning small" id="plan-problem" role="status"></p><p class="small">{said}</p>'
    )


def _figures(drawn: list[Drawn], drawings: Mapping[str, str]) -> str:
    shown, lacking = [], []
    for one in drawn:
        if one.lacking:
            lacking.append(f"<li>{escape(one.lacking)}</li>")
            continue
        width, height = box(drawings[one.name])
        wide = ' class="two"' if width > 300 else ""
        notes = "".join(f"<li>{escape(note)}</li>" for note in one.notes)
        more = f"<details><summary>Notes ({len(one.notes)})</summary><ul>{notes}</ul></details>" if one.notes else ""
        title = escape(FIGURES[one.name].summary)
        shown.append(
            f'<figure id="{one.name}"{wide}><h3>{one.name}</h3><div class="drawing" role="img" aria-label="{title}" '
            f'data-figure="{one.name}" style="aspect-ratio:{width:g}/{height:g}"></div>'
            f"<figcaption>{title}{more}</figcaption></figure>"
        )
    said = (
        '<p class="small">Dark bands: 95 % of the fitted curve. Pale bands: 90 % for a new architecture. '
        "Dotted: beyond "
        "the data. Dashed and pale: a plateau that the data do not identify.</p>"
    )
    return f'{said}{_not_allowed("figures", lacking)}<div class="gallery">{"".join(shown)}</div>'


def _provenance(fits: Fits) -> str:
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
    return f"{_scrolling('Tables', f'<table>{head}{tables}</table>')}<p>{said}</p>{notes}"
