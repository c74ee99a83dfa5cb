"""The figures by name.

A figure is a function from ``Fits`` (which hold the tables) and ``DrawOptions`` to ``FigureData``. General figures
draw what any table has; the papers' are presets that ask for their own rows and laws and take no options. Other
packages add theirs under the entry-point group ``vvscale.figure``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vvscale.core.registry import Registry
from vvscale.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.drawing.values import FigureData
    from vvscale.figures.options import DrawOptions

# What every figure of the papers rests on.
STUDY = ("gokce2025",)
HINT = "`vvscale ls figures` lists them."


@dataclass(frozen=True)
class Figure:
    """One figure that can be drawn.

    Attributes
    ----------
    name
        ``compute``, ``regions``, ``icml-5a``, ...
    summary
        What it shows, one line.
    make
        From tables to values; raises ``MissingDataError`` where a table lacks what it needs.
    needs
        What of a table it needs, in words.
    cites
        Keys of ``vvscale.figures.citations`` for what it shows.
    is_preset
        Whether it is a figure of a paper: its rows and laws are fixed.
    """

    name: str
    summary: str
    make: Callable[[Fits, DrawOptions], FigureData]
    needs: str
    cites: tuple[str, ...] = ()
    is_preset: bool = False


FIGURES: Registry[Figure] = Registry("figure", hint=HINT)


Make = Callable[["Fits", "DrawOptions"], "FigureData"]
MakePreset = Callable[["Fits"], "FigureData"]


def figure(name: str, summary: str, needs: str, *, cites: tuple[str, ...] = ()) -> Callable[[Make], Make]:
    """Register the decorated general figure under a name."""

    def register(make: Make) -> Make:
        FIGURES.add(name, Figure(name, summary, make, needs, cites))
        return make

    return register


def preset(
    name: str, summary: str, needs: str, *, cites: tuple[str, ...] = STUDY
) -> Callable[[MakePreset], MakePreset]:
    """Register the decorated figure of a paper under a name."""

    def register(make: MakePreset) -> MakePreset:
        def made(fits: Fits, options: DrawOptions) -> FigureData:
            if options.given:
                raise UsageError(
                    f"Figure '{name}' is a preset of a paper with rows and laws of its own, and does not take "
                    f"`{options.given[0]}`. Draw a general figure such as 'compute' instead; {HINT}"
                )
            return make(fits)

        FIGURES.add(name, Figure(name, summary, made, needs, cites, is_preset=True))
        return make

    return register


def in_order(*, presets: bool = True) -> list[str]:
    """Names of all figures: the general ones, then those of the two papers in their order."""
    general = [name for name in FIGURES if not FIGURES[name].is_preset]
    if not presets:
        return general
    of_papers = [name for name in FIGURES if FIGURES[name].is_preset]
    return general + sorted(of_papers, key=lambda name: (not name.startswith("ccn-"), name))


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
