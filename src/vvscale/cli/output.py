"""The options that every verb shares, and the one place that prints."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cyclopts import Group, Parameter

from vvscale.cli.streams import documents
from vvscale.cli.text_table import text_table

if TYPE_CHECKING:
    import pandas as pd

OUTPUT = Group("Output", sort_key=100)


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class Output:
    """How a verb speaks: for people, for programs, or not at all."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print one JSON document on standard output and nothing else there."""

    quiet: Annotated[bool, Parameter(negative="")] = False
    """Print only errors (and the JSON document, if asked for)."""

    debug: Annotated[bool, Parameter(negative="")] = False
    """Show the traceback of an error."""

    def say(self, text: str) -> None:
        """Print a line of the result for a person; wrapped at words on a terminal."""
        if not (self.json or self.quiet):
            print(wrapped(text))

    def note(self, text: str) -> None:
        """Print progress or advice to standard error."""
        if not self.quiet:
            print(wrapped(text, sys.stderr), file=sys.stderr)

    def table(self, frame: pd.DataFrame, *, title: str = "") -> None:
        """Print a table for a person; cells are shown as they are, so format numbers first.

        No cell is ever cut: see ``text_table``. Off a terminal the table is as wide as it needs to be.
        """
        if self.json or self.quiet:
            return
        if title:
            print(title)
        print(text_table(frame, terminal_width()))
        print()

    def document(self, payload: Any) -> None:
        """Print the JSON document, if asked for."""
        if self.json:
            print(json.dumps(payload, indent=2, allow_nan=False), file=documents())


def brief(cell: Any) -> Any:
    """Return a number as people read it, with four digits; anything else unchanged."""
    if not isinstance(cell, float) or cell != cell:
        return cell
    if cell.is_integer() and abs(cell) < 1e12:
        return f"{cell:,.0f}"
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 10 else f"{cell:.4g}"


def terminal_width() -> int | None:
    """Characters in a line of the terminal; None where standard output is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(text: str, stream: TextIO | None = None) -> str:
    """Return a text whose long lines break at blanks, no word broken; unchanged off a terminal."""
    if not (stream or sys.stdout).isatty():
        return text
    width = shutil.get_terminal_size().columns
    lines = [
        textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]
        if len(line) > width
        else [line]
        for line in text.splitlines()
    ]
    return "\n".join(part for line in lines for part in line)
