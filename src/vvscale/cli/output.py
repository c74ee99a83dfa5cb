"""The options that every verb shares, and the one place that prints."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

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
        """Print a line of the result for a person."""
        if not (self.json or self.quiet):
            print(text)

    def note(self, text: str) -> None:
        """Print progress or advice to standard error."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def table(self, frame: pd.DataFrame, *, title: str = "") -> None:
        """Print a table for a person; cells are shown as they are, so format numbers first.

        Columns are never cut: off a terminal the table is as wide as it needs to be.
        """
        if self.json or self.quiet:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console()
        if not console.is_terminal:
            console = Console(width=500)
        if title:
            # On a line of its own: as the table's title it would wrap at the table's width.
            print(title)
        drawn = Table(box=box.SIMPLE_HEAD)
        for name in frame.columns:
            is_number = frame[name].dtype.kind in "iuf"
            # Text, not markup: names may hold brackets.
            drawn.add_column(Text(str(name)), justify="right" if is_number else "left")
        for row in frame.astype(object).itertuples(index=False):
            drawn.add_row(*(Text("" if _is_missing(cell) else str(cell)) for cell in row))
        console.print(drawn)

    def document(self, payload: Any) -> None:
        """Print the JSON document, if asked for."""
        if self.json:
            print(json.dumps(payload, indent=2, allow_nan=False))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON values: exact numbers, None for missing."""
    rows = frame.astype(object).to_dict(orient="records")
    return [{str(name): plain(cell) for name, cell in row.items()} for row in rows]


def plain(cell: Any) -> Any:
    """Return one cell as a JSON value."""
    if cell is None or cell != cell:
        return None
    return cell.item() if hasattr(cell, "item") else cell


def brief(cell: Any) -> Any:
    """Return a number as people read it, with four digits; anything else unchanged."""
    if not isinstance(cell, float) or cell != cell:
        return cell
    if cell.is_integer() and abs(cell) < 1e12:
        return f"{cell:,.0f}"
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 10 else f"{cell:.4g}"


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)
