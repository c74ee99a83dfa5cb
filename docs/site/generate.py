"""Pages written from the code: verbs, options, TOML tables, public names, and a picture of every figure.

Each is written under ``docs/reference`` and ``docs/gallery`` when the site is built, and is not kept.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import vvscale

# Classes whose fields a TOML file holds, by what the page calls them: heading -> (module, classes, introduction).
TOML = {
    "A study": (
        "vvscale.study.spec.schema",
        "`vvscale study run FILE.toml`. Each heading below is a table of the file.",
    ),
    "Where a study runs": (
        "vvscale.study.spec.workers",
        "`[engine]` of a study's file, and `[[engine.groups]]`, workers of their own for some tasks.",
    ),
    "A recipe": ("vvscale.train.recipe", "`vvscale train --recipe FILE.toml`, or `based_on` of a study's recipe."),
}
_MODULES = re.compile(r"(typing|collections\.abc|vvscale[\w.]*)\.")
# Resamples of the figures in the gallery: enough to show a band.
RESAMPLES = 100


def everything(docs: Path) -> None:
    """Write all generated pages."""
    reference = docs / "reference" / "generated"
    reference.mkdir(parents=True, exist_ok=True)
    _write(reference / "cli.md", cli())
    _write(reference / "toml.md", toml())
    _write(reference / "columns.md", columns())
    _write(reference / "api.rst", api())
    gallery(docs / "gallery")


def _write(path: Path, text: str) -> None:
    # A page that did not change is not read again by the next build.
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def cli() -> str:
    """Every verb with its options, from the command line itself."""
    from vvscale.cli import build_app

    text = build_app().generate_docs(output_format="markdown")
    text = text[text.index("## vvscale ls") :] if "## vvscale ls" in text else text
    # Anchors of the tool's own contents, which the sidebar replaces.
    text = re.sub(r"\[(`?[^\]]+`?)\]\(#[^)]*\)", r"\1", text)
    # Angle brackets and asterisks of placeholders are no markup.
    text = re.sub(r"<(/?[A-Za-z_]+)>", r"&lt;\1&gt;", text)
    return f"# Command line\n\nWritten from the options themselves; `vvscale VERB --help` shows the same.\n\n{text}"


def toml() -> str:
    """Tables of a study and of a recipe, from the classes that read them."""
    parts = [
        "# TOML files",
        "Written from the classes that read them; an unknown key is refused with the nearest known.",
    ]
    for title, (module, said) in TOML.items():
        parts += [f"## {title}", said]
        for kind in _options_of(import_module(module)):
            parts.append(f"### {_table_name(kind)}\n\n{_first_paragraph(kind)}\n")
            rows = [_field_row(kind, one, helped) for one, helped in _fields(kind)]
            parts.append("\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _options_of(module: Any) -> Iterator[type]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ == module.__name__ and dataclasses.is_dataclass(kind) and not kind.__name__.startswith("_"):
            yield kind


def _table_name(kind: type) -> str:
    return kind.__name__.removesuffix("Spec") or kind.__name__


def _first_paragraph(kind: type) -> str:
    return _cell((inspect.getdoc(kind) or "").split("\n\n")[0])


def _fields(kind: type) -> Iterator[tuple[dataclasses.Field, str]]:
    said: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        said |= _documented(inspect.cleandoc(base.__doc__ or ""))
    for one in dataclasses.fields(kind):
        about = one.metadata.get("vvscale")
        yield one, (about.help if about is not None and about.help else said.get(one.name, ""))


def _documented(text: str) -> dict[str, str]:
    """Names and descriptions of the section ``Attributes`` of a docstring."""
    found, names = {}, []
    section = text.partition("Attributes\n----------\n")[2]
    for line in section.splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
            found |= dict.fromkeys(names, "")
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found


def _field_row(kind: type, one: dataclasses.Field, said: str) -> str:
    hints = typing.get_type_hints(kind)
    hint = hints[one.name]
    kind_said = (
        hint.__name__ if isinstance(hint, type) else re.sub(r"(typing|collections\.abc|vvscale[\w.]*)\.", "", str(hint))
    )
    default = one.default if one.default is not dataclasses.MISSING else (
        one.default_factory() if one.default_factory is not dataclasses.MISSING else "required"
    )  # fmt: skip
    shown = default if default == "required" else f"`{default!r}`"
    if len(str(shown)) > 60 or "object at" in str(shown):
        shown = "see the table of that name"
    return f"| `{one.name}` | `{_cell(kind_said)}` | {_cell(str(shown))} | {_cell(said)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def columns() -> str:
    """Columns of the score table, from its schema."""
    from vvscale.scores import COLUMNS

    rows = [f"| `{c.name}` | {c.dtype} | {c.unit} | {_cell(c.meaning)} |" for c in COLUMNS.values()]
    return "\n".join(
        ["# Columns of a score table", "", "| column | type | unit | meaning |", "|---|---|---|---|", *rows, ""]
    )


def api() -> str:
    """Public names of the top level, each with its whole docstring."""
    title = "Python"
    parts = [title, "=" * len(title), "", "``import vvscale as vv``; a name is loaded when it is first used.", ""]
    for name in sorted(set(vvscale.__all__) - {"__version__"}, key=str.lower):
        value = getattr(vvscale, name)
        kind = "autoclass" if inspect.isclass(value) else "autofunction" if callable(value) else "autodata"
        parts += [name, "-" * len(name), "", f".. {kind}:: vvscale.{name}"]
        parts += ["   :members:", "   :inherited-members: False", ""] if kind == "autoclass" else [""]
    return "\n".join(line for line in parts if "inherited-members" not in line) + "\n"


def gallery(folder: Path) -> None:
    """Draw every figure of the published table, general ones first, and a page that shows them."""
    from vvscale.errors import DataError
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.open_tables import open_source
    from vvscale.figures.gallery import FIGURES, draw_all, in_order

    folder.mkdir(parents=True, exist_ok=True)
    said = ["# Gallery", "", "Every figure, drawn from the published table with `vvscale figure NAME`."]
    try:
        fits = Fits(open_source(), n_resamples=RESAMPLES)
        drawn = draw_all(in_order(), fits, folder, formats=("png",))
    except DataError as error:
        _write(folder / "index.md", "\n".join([*said, "", f"The published table is not here: {error}", ""]))
        return
    for title, is_preset in (("Figures of any table", False), ("Figures of the papers", True)):
        said += ["", f"## {title}", ""]
        for one in drawn:
            if FIGURES[one.name].is_preset != is_preset:
                continue
            said += [f"### {one.name}", "", FIGURES[one.name].summary, ""]
            if one.lacking:
                said += [f"Needs {FIGURES[one.name].needs}, which the published table does not have.", ""]
                continue
            picture = [f"```{{image}} {one.name}.png", f":alt: {FIGURES[one.name].summary}"]
            said += [*picture, ":class: figure-of-gallery", "```", "", _cell(one.caption).replace("<", "&lt;"), ""]
    _write(folder / "index.md", "\n".join(said) + "\n")
