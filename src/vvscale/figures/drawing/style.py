"""The one place that decides how figures look: colours, markers, sizes, fonts.

Colours are those of Okabe & Ito, told apart by people with every common form of colour blindness; series differ by
marker as well. This module must not know any figure.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800", "#222222",
)  # fmt: skip
GREY = "#7A7A7A"
# For names that have no look of their own, such as a lab's own families; none of these pairs is taken below.
FURTHER = (
    (YELLOW, "X"), (GREY, "h"), (PURPLE, "<"), (BLACK, "p"), (SKY, ">"), (ORANGE, "H"), (GREEN, "d"), (BLUE, "8"),
)  # fmt: skip
ADDED_COLOUR, ADDED_MARKER = "#000000", "*"
# Continuous shades: perceptually even and readable in grey.
SHADES = "viridis"

LOOKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ResNet": (BLUE, "o"),
        "EfficientNet": (ORANGE, "s"),
        "ConvNeXt": (VERMILLION, "D"),
        "ViT": (GREEN, "^"),
        "AlexNet": (SKY, "v"),
        "CORnet-S": (PURPLE, "P"),
        "V1": (SKY, "o"),
        "V2": (BLUE, "s"),
        "V4": (GREEN, "^"),
        "IT": (ORANGE, "D"),
        "behavior": (VERMILLION, "P"),
        "neural": (BLUE, "o"),
        "all": (BLACK, "o"),
        "models": (GREY, "o"),
        "imagenet": (BLUE, "o"),
        "ecoset": (ORANGE, "s"),
        "imagenet21kP": (GREEN, "^"),
        "webvisionP": (VERMILLION, "D"),
        "inaturalist": (PURPLE, "v"),
        "places365": (SKY, "P"),
        "infimnist": (BLACK, "X"),
        "supervised": (BLUE, "o"),
        "simclr": (ORANGE, "s"),
        "dino": (GREEN, "^"),
        "adversarial": (VERMILLION, "D"),
        "pretrained": (PURPLE, "v"),
        "trained": (BLUE, "o"),
        "untrained": (GREY, "X"),
        "group 1": (BLUE, "o"),
        "group 2": (VERMILLION, "D"),
    }
)

# Inches: one and two columns of the usual two-column page.
COLUMN, PAGE = 3.25, 6.75
PANEL_HEIGHT = 2.2
POINT, ALPHA = 9.0, 0.45
BAND, PREDICTION, FADED = 0.22, 0.09, 0.35
PNG_DPI = 200

SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": ["DejaVu Sans"],
        "font.size": 7.0,
        "axes.titlesize": 7.5,
        "axes.titleweight": "bold",
        # Titles stand on their axes. Else all ticks are measured again, to see whether some are in the way.
        "axes.titley": 1.0,
        "axes.labelsize": 7.0,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.4,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "legend.fontsize": 6.2,
        "legend.frameon": False,
        "legend.handletextpad": 0.4,
        # So long that dashes show on both sides of a marker.
        "legend.handlelength": 2.4,
        "legend.columnspacing": 1.0,
        "legend.labelspacing": 0.3,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "errorbar.capsize": 2.0,
        # Text stays text: fonts are embedded as outlines that can be selected and edited.
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        # The same figure is the same file.
        "svg.hashsalt": "vvscale",
    }
)


@contextmanager
def applied() -> Iterator[None]:
    """The style holds inside; matplotlib's own settings are back afterwards."""
    import matplotlib as mpl

    settings: Any = dict(SETTINGS)
    with mpl.rc_context(settings):
        yield


def look(name: str, known: Iterable[str] = ()) -> tuple[str, str]:
    """Colour and marker of a name; of one without its own, by its place among the ``known`` ones."""
    if name in LOOKS:
        return LOOKS[name]
    others = [other for other in known if other not in LOOKS]
    place = others.index(name) if name in others else 0
    return FURTHER[place % len(FURTHER)]


def series(names: Iterable[str], labels: Mapping[str, str] | None = None) -> list[Series]:
    """Series of these names in their own looks; a label is the name unless given."""
    names, labels = list(names), labels or {}
    return [Series(name, *look(name, names), labels.get(name, written(name))) for name in names]


def added_series(label: str, colour: str = ADDED_COLOUR) -> Series:
    """How models laid over a table look: stars, in the colour of what they are compared with if there are several."""
    return Series(label, colour, ADDED_MARKER, label)
