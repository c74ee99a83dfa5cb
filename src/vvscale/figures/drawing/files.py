"""A figure on disk: pdf, svg and png for eyes, csv and json for programs, all from the same values."""

from __future__ import annotations

import io
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.core.files import write_bytes, write_json
from vvscale.errors import ConfigError, did_you_mean
from vvscale.figures.drawing import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure as Canvas

    from vvscale.figures.drawing.values import FigureData

FORMATS = ("pdf", "svg", "png", "csv", "json")
DRAWN = ("pdf", "svg", "png")


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Refuse a format that is not known, before anything is fitted."""
    for one in formats:
        if one not in FORMATS:
            raise ConfigError(
                f"Unknown format '{one}'.{did_you_mean(one, FORMATS)} Expected some of {', '.join(FORMATS)}."
            )
    return tuple(dict.fromkeys(formats)) or FORMATS


def save(
    data: FigureData,
    folder: str | Path,
    *,
    formats: Sequence[str] = FORMATS,
    provenance: Mapping[str, object] | None = None,
) -> list[Path]:
    """Write one figure in several formats; return the files.

    Parameters
    ----------
    folder
        Made if absent; files are called after the figure.
    formats
        Some of ``FORMATS``.
    provenance
        Plain values that the JSON file carries along: digests of the tables, resamples, seed.
    """
    folder, written = Path(folder), []
    canvas = None
    for one in check_formats(formats):
        path = folder / f"{data.name}.{one}"
        if one == "csv":
            write_bytes(path, data.table().to_csv(index=False, lineterminator="\n").encode())
        elif one == "json":
            write_json(path, {**data.to_dict(), "provenance": {"vvscale": version("vvscale"), **(provenance or {})}})
        else:
            if canvas is None:
                from vvscale.figures.drawing.draw import draw

                canvas = draw(data)
            write_bytes(path, render(canvas, one))
        written.append(path)
    return written


def render(canvas: Canvas, kind: str) -> bytes:
    """Return a drawn figure as the bytes of a file; the same figure gives the same bytes."""
    when = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}[kind]
    from vvscale.figures.drawing.fonts import shared_text

    buffer = io.BytesIO()
    with style.applied(), shared_text():
        canvas.savefig(buffer, format=kind, dpi=style.PNG_DPI, metadata=when)
    return buffer.getvalue()
