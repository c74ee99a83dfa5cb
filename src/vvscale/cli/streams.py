"""What standard output may carry: with ``--json`` one document and nothing else; never a character it cannot show."""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from vvscale.errors import VvscaleNote

# How a terminal without Unicode shows what we print; anything else, such as names of files, is escaped.
PLAIN = {
    "\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2026": "...",
    "\u00d7": "x", "\u00b1": "+-", "\u2264": "<=", "\u2265": ">=", "\u2192": "->", "\u00b2": "2", "\u00e9": "e",
    "\u03b1": "alpha", "\u03b2": "beta", "\u03bb": "lambda", "\u2502": "|", "\u2500": "-", "\u2501": "-",
}  # fmt: skip
ERRORS = "vvscale.plain"

_documents: TextIO | None = None


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text), error.end


codecs.register_error(ERRORS, _plain)


def make_safe() -> None:
    """Let standard output and error show every text, in ASCII and Latin-1 too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def documents() -> TextIO:
    """Where JSON documents go."""
    return _documents or sys.stdout


@contextmanager
def only_documents(is_json: bool) -> Iterator[None]:
    """Keep standard output for JSON documents, whatever a user's own network, a library or a child process prints.

    Everything else that is printed goes to standard error, at the level of file descriptors where there are any.
    """
    global _documents
    if not is_json:
        yield
        return
    real = sys.stdout
    try:
        copied = os.dup(real.fileno()) if real is sys.__stdout__ else None
    except (OSError, ValueError):
        copied = None
    real.flush()
    if copied is not None:
        os.dup2(2, real.fileno())
        carrier: TextIO = os.fdopen(os.dup(copied), "w", encoding=real.encoding, errors=ERRORS)
    else:
        carrier = real
    _documents = carrier
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        carrier.flush()
        if copied is not None:
            carrier.close()
            real.flush()
            os.dup2(copied, real.fileno())
            os.close(copied)
        _documents = None


@contextmanager
def short_warnings(typed: Callable[[str], str] = str) -> Iterator[None]:
    """Show a warning without a source path, in the words of ``typed``, and none of NumPy's about single numbers."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        kind = "" if issubclass(category, VvscaleNote) else "warning: "
        print(typed(f"vvscale: {kind}{' '.join(str(message).split())}"), file=sys.stderr)

    with warnings.catch_warnings():
        # A missing or infinite number in the middle of an array is handled where it matters; it is no news to people.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"(numpy|scipy|pandas|vvscale)(\.|$)")
        warnings.showwarning = show
        yield
