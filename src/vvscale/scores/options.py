"""How a CSV file of a user's own is written; every verb that reads a table takes these options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from vvscale.core.options import Options, option
from vvscale.errors import ConfigError

GROUP = "CSV files"


def _check_sep(sep: str | None) -> None:
    if sep is not None and (len(separator_of(sep)) != 1 or separator_of(sep) in '"\n\r.'):
        raise ConfigError(
            f'`sep` is {sep!r}; expected one character, such as `sep=";"` or `sep="|"`, or the word tab: `sep="tab"`.'
        )


def separator_of(sep: str) -> str:
    """Return the character that an option means; shells hardly let one type a tab."""
    return "\t" if sep in ("tab", "\\t") else sep


@dataclass(frozen=True, kw_only=True)
class CsvOptions(Options):
    """How CSV files are read; see :meth:`reading`."""

    sep: str | None = option(
        None,
        "Character between fields: ; or | or another, or tab. By default a comma, or semicolons or tabs where the "
        "header shows them.",
        group=GROUP,
        check=_check_sep,
    )
    decimal: Literal[".", ","] | None = option(
        None, "Mark before the fraction of a number. By default whichever the file shows.", group=GROUP
    )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read CSV files like this meanwhile; options that say nothing leave it as it is."""
        before = STYLE.get()
        sep = before[0] if self.sep is None else separator_of(self.sep)
        token = STYLE.set((sep, self.decimal or before[1]))
        try:
            yield
        finally:
            STYLE.reset(token)


# What load_table takes where its caller gives nothing: tables are opened far below the verbs that have the options.
STYLE: ContextVar[tuple[str | None, str | None]] = ContextVar("STYLE", default=(None, None))
