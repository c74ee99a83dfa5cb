"""Every figure of the study and a few more, and one report that opens anywhere: from score tables alone.

A figure is a function from tables to ``FigureData`` (tidy marks), one drawer makes every file from that. Importing
this package loads no submodule; the public names below are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.tables import Source, open_source
    from vvscale.figures.drawing.draw import draw
    from vvscale.figures.drawing.files import save
    from vvscale.figures.drawing.values import FigureData
    from vvscale.figures.gallery import FIGURES, draw_all, make

_HOME_OF = {
    "FIGURES": "gallery",
    "FigureData": "drawing.values",
    "Fits": "base.fits",
    "LawCurve": "base.law_curve",
    "Source": "base.tables",
    "draw": "drawing.draw",
    "draw_all": "gallery",
    "make": "gallery",
    "open_source": "base.tables",
    "save": "drawing.files",
}

__all__ = ["FIGURES", "FigureData", "Fits", "LawCurve", "Source", "draw", "draw_all", "make", "open_source", "save"]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.figures.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.figures' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
