"""Figures of any table of scores, those of the papers, and one report that opens anywhere.

A figure is a function from tables to ``FigureData`` (tidy marks), one drawer makes every file from that. A
new one is such a function with ``@figure`` in a file of ``general/`` that ``gallery.py`` imports.

Importing this package loads no submodule; the public names below are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits as Fits
    from vvscale.figures.base.law_curve import LawCurve as LawCurve
    from vvscale.figures.base.open_tables import open_source as open_source
    from vvscale.figures.base.tables import Source as Source
    from vvscale.figures.drawing.draw import draw as draw
    from vvscale.figures.drawing.files import save as save
    from vvscale.figures.drawing.values import FigureData as FigureData
    from vvscale.figures.gallery import FIGURES as FIGURES
    from vvscale.figures.gallery import draw_all as draw_all
    from vvscale.figures.gallery import make as make

__getattr__, __dir__ = lazy(__name__)
