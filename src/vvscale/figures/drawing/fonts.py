"""Text without work that matplotlib repeats in every figure: formulas are parsed once, fonts are cut down directly."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from fontTools import subset
from matplotlib import textpath
from matplotlib.backends import backend_agg
from matplotlib.mathtext import MathTextParser

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tables by which a program lays text out. A PDF says where each glyph stands, and to cut these tables down takes longer
# than all the rest of the file. Left out as well: names of glyphs, which nothing reads.
LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH", "kern")
# The figures of a table together have about a hundred, each at the size of the file and of the sheet.
N_FORMULAS = 1024


@contextmanager
def shared_text() -> Iterator[None]:
    """Inside, figures share their parsed formulas, and a PDF's fonts have the glyphs drawn and no layout tables.

    What is drawn stays the same. Both are done at public names of matplotlib and fontTools, which are back afterwards;
    a version of them that does not use these names takes longer and draws the same.
    """
    load_font = subset.load_font

    def load_drawn(file: Any, options: Any, *rest: Any, **more: Any) -> Any:
        font = load_font(file, options, *rest, **more)
        for table in LAYOUT_TABLES:
            if table in font:
                del font[table]
        return font

    changed = ((subset, "load_font", load_drawn), (textpath, "MathTextParser", _parser),
               (backend_agg, "MathTextParser", _parser))  # fmt: skip
    before = [(module, name, getattr(module, name)) for module, name, _ in changed]
    try:
        for module, name, value in changed:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


class _Formulas(MathTextParser):  # pyright: ignore[reportMissingTypeArgument]
    """Parser that keeps what it parsed, under one state of the settings."""

    def __init__(self, output: Any) -> None:
        super().__init__(output)
        self._parsed = lru_cache(maxsize=N_FORMULAS)(super().parse)

    def parse(self, s: str, dpi: float = 72, prop: Any = None, **more: Any) -> Any:
        """Return the parsed formula; see ``MathTextParser.parse``."""
        # Font properties can be changed, so that only a copy may be a key.
        return self._parsed(s, dpi, prop if prop is None else prop.copy(), **more)


def _parser(output: str) -> _Formulas:
    """Return the one parser of an output under the settings that hold."""
    return _parser_of(output, repr(mpl.rcParams.find_all(r"^(mathtext|text)\.")))


@cache
def _parser_of(output: Any, settings: str) -> _Formulas:
    return _Formulas(output)
