"""Text without work that matplotlib repeats in every figure: formulas are parsed once, fonts are cut down directly."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import textpath
from matplotlib.backends import backend_agg
from matplotlib.mathtext import MathTextParser

if TYPE_CHECKING:
    from collections.abc import Iterator

# What nothing reads in the fonts of a PDF, which says where each glyph stands: the tables by which a program lays text
# out, and the names of glyphs. To cut them down takes longer than all the rest of the file.
LEFT_OUT = ("GDEF", "GPOS", "GSUB", "MATH", "kern", "post")
# The figures of a table together have about a hundred, each at the size of the file and of the sheet.
N_FORMULAS = 1024


@contextmanager
def shared_formulas() -> Iterator[None]:
    """Inside, figures share their parsed formulas. What is drawn stays the same.

    Each renderer of matplotlib makes a parser of its own, and takes none from outside: it is given the shared one at
    the public name that it takes the class from. A version that takes it from elsewhere draws the same, and slower.
    """
    with _replaced((textpath, "MathTextParser", _parser), (backend_agg, "MathTextParser", _parser)):
        yield


@contextmanager
def light_fonts() -> Iterator[None]:
    """Inside, the fonts of a PDF have the glyphs drawn and no tables but those that a reader of PDFs needs.

    matplotlib reads a font by ``fontTools.subset.load_font`` and offers no other place to leave a table out.
    """
    # Only PDFs need it, and it takes a fifth of a second to load.
    from fontTools import subset

    load_font = subset.load_font

    def load_drawn(file: Any, options: Any, *rest: Any, **more: Any) -> Any:
        font = load_font(file, options, *rest, **more)
        for table in LEFT_OUT:
            if table in font:
                del font[table]
        # Else the names are made up from all characters that the font has.
        font.setGlyphOrder([".notdef", *(f"glyph{place:05d}" for place in range(1, font["maxp"].numGlyphs))])
        return font

    with _replaced((subset, "load_font", load_drawn)):
        yield


@contextmanager
def _replaced(*changed: tuple[Any, str, Any]) -> Iterator[None]:
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
