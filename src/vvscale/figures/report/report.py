"""One page that shows and explores a table: what was found, whether to trust it, what to run next, and the models.

The page is one file without any address of the outside: Vega-Lite (bundled by vl-convert) draws the scatter plot,
figures are the drawer's own SVG, compressed. This module writes the page; ``sections.py`` makes its parts and ``page/``
holds its looks and behaviour.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.core.files import make_folder, write_bytes
from vvscale.core.jsonable import Result
from vvscale.errors import MissingDataError, UsageError
from vvscale.figures.base.outcomes import is_number
from vvscale.figures.base.tables import PUBLISHED
from vvscale.figures.gallery import FIGURES, all_of, draw_all, matching
from vvscale.figures.report import sections
from vvscale.figures.report.laws import laws_of, sentences
from vvscale.figures.report.next_runs import next_runs
from vvscale.figures.report.page_data import (
    Packed,
    explorer,
    models_frame,
    pack_drawing,
    pack_models,
    planner,
    references,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.gallery import Drawn

# The figure that stands first: the first of these that a table allows.
HEADLINES = ("icml-1b", "compute", "samples", "parameters", "scatter")
# General figures that the page of the published table shows beside those of the papers.
BESIDE_PAPERS = ("contours", "residuals", "horizon", "plateau", "accuracy")
# Which question a figure answers; all others stand in the gallery.
ANSWERS = {
    "trust": ("plateau", "horizon", "residuals"),
    "plan": ("allocation", "contours"),
}


@dataclass(frozen=True)
class Report(Result):
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
        Figures, or patterns, to show; by default the papers' for the published table, the general ones for others.
    title
        Of the page; by default the table's name.
    findings
        Title -> table of text, shown below the headline; what the study of this table found.
    n_workers
        Processes; by default one per available core.
    on_done
        Called with the name of each finished figure.

    Raises
    ------
    UsageError
        A path that does not end in ``.html``.
    MissingDataError
        The table has no numbers, or the library that draws the scatter plot is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"A report is a web page; got '{path}', expected a name that ends in .html.")
    chosen = matching(names) if names else default_figures(fits)
    frame = models_frame(fits.source)
    if not any(is_number(frame[name]) for name in frame.columns):
        raise MissingDataError(
            f"The table '{fits.source.name}' has no column of numbers. Expected a score of each model and an input "
            "such as train_flop; add them to the table."
        )
    make_folder(path.parent)
    drawings: dict[str, Packed] = {}
    with tempfile.TemporaryDirectory() as folder:

        def pack(name: str) -> None:
            """Pack a figure while others are drawn."""
            file = Path(folder) / f"{name}.svg"
            if file.is_file():
                drawings[name] = pack_drawing(file.read_text(encoding="utf-8"), f"f{chosen.index(name)}-")
            on_done(name)

        drawn = draw_all(chosen, fits, folder, formats=("svg",), n_workers=n_workers, on_done=pack, durable=False)
    page = _page(fits, frame, drawn, drawings, title, findings or {})
    content = page.encode()
    write_bytes(path, content)
    shown = tuple(one.name for one in drawn if one.files)
    return Report(path, len(content), len(frame), shown, {one.name: one.lacking for one in drawn if one.lacking})


def default_figures(fits: Fits) -> list[str]:
    """Return the figures of a page: the papers' for the published table, the general ones for any other."""
    every = all_of(fits)
    if fits.source.name != PUBLISHED:
        return every
    return [name for name in every if FIGURES[name].is_preset or name in BESIDE_PAPERS]


def _page(
    fits: Fits, frame: pd.DataFrame, drawn: list[Drawn], drawings: Mapping[str, Packed],
    title: str, findings: Mapping[str, pd.DataFrame],
) -> str:  # fmt: skip
    laws, absent = laws_of(fits)
    plan, law, reason = planner(fits)
    library, schema = _library(fits)
    by_name = {one.name: sections.figure(one, drawings[one.name]) for one in drawn if one.files}
    headline = next((by_name.pop(name) for name in HEADLINES if name in by_name), "")
    placed = {
        section: "".join(by_name.pop(name) for name in names if name in by_name) for section, names in ANSWERS.items()
    }
    lacking = [f"<li>{escape(one.lacking)}</li>" for one in drawn if one.lacking]
    data = {
        "models": pack_models(frame),
        "explore": explorer(frame, schema),
        "plan": plan,
        "cite": references(fits.source, is_published=fits.source.name == PUBLISHED),
        "figures": {one.name: drawings[one.name].text for one in drawn if one.files},
    }
    return _fill(
        _asset("page.html"),
        {
            "TITLE": escape(title or f"Scaling laws: {fits.source.name}"),
            "LEAD": sections.lead(fits, len(frame)),
            "FOUND": sections.found(sentences(laws), headline, findings),
            "LAWS": sections.laws_table(laws, absent, placed["trust"]),
            "PLAN": sections.plan(law, reason, plan["largest"] if plan else 0.0, next_runs(fits), placed["plan"]),
            "FIGURES": sections.not_allowed("figures", lacking) + sections.gallery("".join(by_name.values())),
            "PROVENANCE": sections.provenance(fits),
            "CSS": _asset("page.css"),
            # Inside a script element only these three end or change the text's meaning.
            "DATA": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
            "LIBRARY": library,
            "SCRIPT": _asset("page.js"),
        },
    )


def _asset(name: str) -> str:
    return (files("vvscale.figures.report") / "page" / name).read_text(encoding="utf-8")


def _fill(page: str, parts: Mapping[str, str]) -> str:
    """Put parts in the places of their names, in one pass: a part may hold any text."""
    pieces = page.split("@@")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _library(fits: Fits) -> tuple[str, str]:
    """Vega, Vega-Lite and vega-embed as one script, and the address by which specifications name their version."""
    try:
        import vl_convert
    except ImportError as error:
        raise MissingDataError(
            "The report needs the library that draws its scatter plot, 'vl-convert-python', which is not installed. "
            "Next: pip install 'vvscale[figures]'."
        ) from error
    newest = str(vl_convert.get_vegalite_versions()[-1])
    # Bundling takes a second and depends on versions alone, so that it is kept once for all tables.
    request = {"vl_convert": version("vl-convert-python"), "vega_lite": newest}

    def bundle() -> str:
        # Without a snippet the bundle defines vegaEmbed itself; the stub leaves out that this is the default.
        return vl_convert.javascript_bundle(vl_version=newest)  # pyright: ignore[reportCallIssue]

    script: str = replace(fits, folder=None).kept("library", request, bundle)
    schema = f"https://vega.github.io/schema/vega-lite/v{newest.partition('.')[0]}.json"
    return script.replace("</script", "<\\/script"), schema
