"""NumPy files of others: plain numbers and text are read, Python objects are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vvscale.errors import DataError


@contextmanager
def plain_arrays(path: str | Path) -> Iterator[None]:
    """Say what is wrong where NumPy would advise to load a file in a way that lets it run code.

    Raises
    ------
    DataError
        The file holds Python objects, or is no NumPy file, which NumPy takes for one of objects.
    """
    try:
        yield
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise DataError(
            f"Cannot read '{path}': it is no NumPy file, or holds Python objects, which could run code and are not "
            "read. Expected arrays of numbers or text as numpy.save and numpy.savez write them; save it again as such."
        ) from error
