"""A table as plain text that fits a terminal: nothing is ever cut, so that no number loses a digit or its exponent.

Tried in this order until the width holds it: the table as it is; words wrapped in its text columns; columns and rows
exchanged, for a few rows; columns in groups below each other, the first column repeated; one block of ``column value``
pairs per row.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

GAP = "  "
# A text column narrower than this reads badly, whatever its longest word is.
NARROWEST = 14
# More rows than this are not exchanged with columns: nobody reads a line of numbers across many models.
MOST_EXCHANGED = 4


def text_table(frame: pd.DataFrame, width: int | None = None) -> str:
    """Return a table as lines of text.

    Parameters
    ----------
    frame
        Cells are shown as they are, so format numbers first. Columns without any value are left out.
    width
        Characters to a line; None for as many as it takes.

    Examples
    --------
    >>> import pandas as pd
    >>> print(text_table(pd.DataFrame({"law": ["power", "shifted"], "loss": ["0.0727", "4.47e-05"]})))
    law          loss
    -----------------
    power      0.0727
    shifted  4.47e-05
    """
    names, rows = _cells(frame)
    if not names or not rows:
        return "(no rows)"
    is_number = [all(_is_number(row[place]) for row in rows) for place in range(len(names))]
    widths = _widths(names, rows)
    if width is None or _total(widths) <= width:
        return _lines(names, rows, widths, is_number)
    shrunk = _shrunk(names, rows, widths, is_number, width)
    if shrunk is not None:
        return _lines(names, rows, shrunk, is_number)
    if len(rows) <= MOST_EXCHANGED:
        turned = [[name, *(row[place] for row in rows)] for place, name in enumerate(names)]
        head, body = turned[0], turned[1:]
        widths = _widths(head, body)
        if body and _total(widths) <= width:
            return _lines(head, body, widths, [False, *(True for _ in rows)])
    return _folded(names, rows, is_number, width) or "\n\n".join(_block(names, row, width) for row in rows)


def _folded(names: list[str], rows: list[list[str]], is_number: list[bool], width: int) -> str:
    """Groups of columns below each other, each after the first column; empty where a column alone is too wide."""
    widths = _widths(names, rows)
    # A column of sentences is wrapped to what the first column leaves of a line.
    words = _widths(names, [[max(cell.split(), key=len, default="") for cell in row] for row in rows])
    left = width - widths[0] - len(GAP)
    for place in range(1, len(names)):
        if not is_number[place] and widths[place] > left:
            widths[place] = max(words[place], left)
    if any(each > left for each in widths[1:]):
        return ""
    groups, group = [], [0]
    for place in range(1, len(names)):
        if _total([widths[each] for each in [*group, place]]) > width:
            groups.append(group)
            group = [0]
        group.append(place)
    parts = [
        _lines(
            [names[i] for i in group], [[row[i] for i in group] for row in rows], [widths[i] for i in group],
            [is_number[i] for i in group],
        )
        for group in [*groups, group]
    ]  # fmt: skip
    return "\n\n".join(parts)


def _cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Names and cells as text, without the columns that are empty."""
    rows = [["" if _is_missing(cell) else str(cell) for cell in row] for row in frame.astype(object).values.tolist()]
    kept = [place for place in range(len(frame.columns)) if not rows or any(row[place] for row in rows)]
    return [str(frame.columns[place]) for place in kept], [[row[place] for place in kept] for row in rows]


def _is_missing(cell: object) -> bool:
    return cell is None or cell != cell


def _is_number(cell: str) -> bool:
    """Whether a cell is a number or an interval of numbers, which must stay on one line."""
    parts = cell.replace("..", " ").replace(",", "").replace("%", " ").split()
    try:
        _ = [float(part) for part in parts]
    except ValueError:
        return False
    return True


def _widths(names: list[str], rows: list[list[str]]) -> list[int]:
    return [max(len(name), *(len(row[place]) for row in rows)) for place, name in enumerate(names)]


def _total(widths: list[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _shrunk(
    names: list[str], rows: list[list[str]], widths: list[int], is_number: list[bool], width: int
) -> list[int] | None:
    """Widths with the widest text columns wrapped until the table fits; None if no wrapping is enough."""
    widths = list(widths)

    def least(place: int) -> int:
        # Heads wrap at their blanks; cells only where they are words, and no word is ever broken.
        head = max(map(len, names[place].split()), default=0)
        if is_number[place]:
            return max(head, *(len(row[place]) for row in rows))
        words = max((len(word) for row in rows for word in row[place].split()), default=0)
        return max(head, words, min(NARROWEST, widths[place]))

    while _total(widths) > width:
        room = [widths[place] - least(place) for place in range(len(widths))]
        if max(room) <= 0:
            return None
        widest = max((place for place in range(len(widths)) if room[place] > 0), key=lambda place: widths[place])
        widths[widest] -= 1
    return widths


def _lines(names: list[str], rows: list[list[str]], widths: list[int], is_number: list[bool]) -> str:
    made = [*_wrapped(names, widths, is_number), "-" * _total(widths)]
    # Rows of several lines need air between them.
    is_tall = any(len(cell) > width for row in rows for cell, width in zip(row, widths, strict=True))
    for place, row in enumerate(rows):
        if place and is_tall:
            made.append("")
        made += _wrapped(row, widths, is_number)
    return "\n".join(made)


def _wrapped(cells: list[str], widths: list[int], is_number: list[bool]) -> list[str]:
    """One row as one or more lines."""
    parts = [
        [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)
        for cell, width in zip(cells, widths, strict=True)
    ]
    lines = []
    for line in range(max(map(len, parts))):
        texts = [part[line] if line < len(part) else "" for part in parts]
        placed = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, is_number, strict=True)
        ]
        lines.append(GAP.join(placed).rstrip())
    return lines


def _block(names: list[str], row: list[str], width: int) -> str:
    """One row as its first cell and ``column value`` pairs below; pairs are kept whole where a line can hold them."""
    lines, line = [row[0]], " "
    for name, cell in zip(names[1:], row[1:], strict=True):
        if not cell:
            continue
        pair = f"{name}: {cell}"
        if len(line) + 1 + len(pair) > width and line.strip():
            lines.append(line)
            line = " "
        if len(pair) + 2 > width:
            lines += textwrap.wrap(
                pair, width, initial_indent="  ", subsequent_indent="    ", break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip
        else:
            line += f"{GAP if line.strip() else ' '}{pair}"
    return "\n".join([*lines, line] if line.strip() else lines)
