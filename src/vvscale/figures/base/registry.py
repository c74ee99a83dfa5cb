"""The figures by name.

A figure is a function from ``Fits`` (which hold the tables) to ``FigureData``. Other packages add theirs under the
entry-point group ``vvscale.figure``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vvscale.core.registry import Registry
from vvscale.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.drawing.values import FigureData

# What every figure of the study rests on.
STUDY = ("gokce2025",)
HINT = "`vvscale ls figures` lists them."


@dataclass(frozen=True)
class Figure:
    """One figure that can be drawn.

    Attributes
    ----------
    name
        ``ccn-1``, ``icml-5a``, ``contours``, ...
    summary
        What it shows, one line.
    make
        From tables to values; raises ``MissingDataError`` where a table lacks what it needs.
    needs
        What of a table it needs, in words.
    cites
        Keys of ``vvscale.figures.citations`` for what it shows.
    """

    name: str
    summary: str
    make: Callable[[Fits], FigureData]
    needs: str
    cites: tuple[str, ...] = STUDY


FIGURES: Registry[Figure] = Registry("figure", hint=HINT)


def figure(
    name: str, summary: str, needs: str, *, cites: tuple[str, ...] = STUDY
) -> Callable[[Callable[[Fits], FigureData]], Callable[[Fits], FigureData]]:
    """Register the decorated function under a name."""

    def register(make: Callable[[Fits], FigureData]) -> Callable[[Fits], FigureData]:
        FIGURES.add(name, Figure(name, summary, make, needs, cites))
        return make

    return register


def in_order() -> list[str]:
    """Names of all figures: the study's first version, its second, then the others."""
    return sorted(FIGURES, key=lambda name: (not name.startswith("ccn-"), not name.startswith("icml-"), name))


def matching(patterns: Sequence[str]) -> list[str]:
    """Names that match any of the patterns, in order; all of them without a pattern.

    Raises
    ------
    UnknownNameError
        A pattern that matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in FIGURES):
            raise unknown_name("figure", pattern, FIGURES, HINT)
    return [name for name in in_order() if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
