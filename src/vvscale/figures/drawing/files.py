"""A figure on disk: pdf, svg and png for eyes, csv and json for programs, all from the same values."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.core.files import write_bytes
from vvscale.errors import ConfigError, did_you_mean
from vvscale.figures.drawing import style

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    durable: bool = True,
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
    durable
        As of :func:`vvscale.core.files.write_whole`.
    """
    formats = check_formats(formats)
    paths = [Path(folder) / f"{data.name}.{one}" for one in formats]
    # A file takes as long to reach the disk as to be made: the next is made meanwhile.
    with ThreadPoolExecutor(1) as writer:
        contents = _contents(data, formats, provenance or {})
        writing = [
            writer.submit(write_bytes, path, made, durable=durable) for path, made in zip(paths, contents, strict=True)
        ]
        for one in writing:
            one.result()
    return paths


def _contents(data: FigureData, formats: Sequence[str], provenance: Mapping[str, object]) -> Iterator[bytes]:
    """Yield the content of each file."""
    canvas = None
    for one in formats:
        if one == "csv":
            yield data.table().to_csv(index=False, lineterminator="\n").encode()
        elif one == "json":
            # On one line, which takes a tenth of the time: it is for programs.
            whole = {**data.to_dict(), "provenance": {"vvscale": version("vvscale"), **provenance}}
            yield json.dumps(whole, allow_nan=False).encode()
        else:
            if canvas is None:
                from vvscale.figures.drawing.draw import draw

                canvas = draw(data)
            yield render(canvas, one)


def render(canvas: Canvas, kind: str) -> bytes:
    """Return a drawn figure as the bytes of a file; the same figure gives the same bytes."""
    when = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}[kind]
    from vvscale.figures.drawing.fonts import light_fonts, shared_formulas

    buffer = io.BytesIO()
    with style.applied(), shared_formulas(), light_fonts() if kind == "pdf" else nullcontext():
        canvas.savefig(buffer, format=kind, dpi=style.PNG_DPI, metadata=when)
    return buffer.getvalue()
