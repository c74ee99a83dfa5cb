"""Every figure of the study and a few more, and one report that opens anywhere: from score tables alone.

A figure is a function from tables to ``FigureData`` (tidy marks), one drawer makes every file from that. Importing
this package loads no submodule; the public names below are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.figures.draw import draw
    from vvscale.figures.files import save
    from vvscale.figures.fits import Fits
    from vvscale.figures.gallery import FIGURES, draw_all, make
    from vvscale.figures.law_curve import LawCurve
    from vvscale.figures.source import Source, open_source
    from vvscale.figures.values import FigureData

_HOME_OF = {
    "FIGURES": "gallery",
    "FigureData": "values",
    "Fits": "fits",
    "LawCurve": "law_curve",
    "Source": "source",
    "draw": "draw",
    "draw_all": "gallery",
    "make": "gallery",
    "open_source": "source",
    "save": "files",
}

__all__ = ["FIGURES", "FigureData", "Fits", "LawCurve", "Source", "draw", "draw_all", "make", "open_source", "save"]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.figures.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.figures' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
