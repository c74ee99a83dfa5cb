"""Every error that vvscale raises on purpose, and how its text is written.

An error says what failed, what was found, what was expected, the likely cause, and what to do next, in
one paragraph. Its class fixes the exit code of the command line. This module must not import any other
part of vvscale.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from typing import ClassVar


class VvscaleError(Exception):
    """Base of all errors raised on purpose; anything else that escapes is a bug."""

    exit_code: ClassVar[int] = 1


class UsageError(VvscaleError):
    """The request itself is wrong: an option, a name, a configuration key."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name is not among the known ones; the message offers the nearest."""


class ConfigError(UsageError):
    """A configuration file or option value is malformed or contradictory.

    Attributes
    ----------
    key
        The key it is about, where it is about one; a reader of files finds the line by it.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class DataError(VvscaleError):
    """The data do not allow what was asked."""

    exit_code = 3


class MissingDataError(DataError):
    """A file, column or row that is needed is absent."""


class DigestError(DataError):
    """A file's content is not what its known hash says."""


class ShapeError(DataError):
    """An array or table has the wrong shape or size."""


class RunError(VvscaleError):
    """A computation started and could not finish."""

    exit_code = 4


class DivergedError(RunError):
    """A training run reached NaN or inf."""


class OutOfMemoryError(RunError):
    """The memory allowed or present is not enough."""


class StoppedError(RunError):
    """A run was told to stop, has saved its state, and goes on when the same command is run again."""

    exit_code = 75  # EX_TEMPFAIL: what schedulers read as "try again"


class InterruptedRunError(StoppedError):
    """A run was stopped by Ctrl-C and has saved its state."""

    exit_code = 130


class FitError(VvscaleError):
    """A law cannot be fitted to these points."""

    exit_code = 5


class VvscaleWarning(UserWarning):
    """Something soft that the user should know; never an error."""


class VvscaleNote(VvscaleWarning):
    """News that calls for nothing, such as that every tensor of a file was read."""


def reason(error: Exception) -> str:
    """Return what an exception says, as a part of a sentence; with its kind where its text alone means nothing.

    Examples
    --------
    >>> reason(ValueError("it is cut off")), reason(KeyError("images"))
    ('it is cut off', "KeyError: 'images'")
    """
    is_sentence = isinstance(error, ValueError | OSError) and str(error)
    return str(error) if is_sentence else f"{type(error).__name__}: {error}"


def shell_words(*values: object) -> str:
    """Return values as one types them in a shell, for a command that a message advises.

    Examples
    --------
    >>> shell_words("--out", "my study"), shell_words("out/demo")
    ("--out 'my study'", 'out/demo')
    """
    return shlex.join(map(str, values))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string.

    Examples
    --------
    >>> did_you_mean("resnt18", ["resnet18", "alexnet"])
    " Did you mean 'resnet18'?"
    >>> did_you_mean("zzz", ["resnet18"])
    ''
    """
    # Compare without case: "v1" should find "V1".
    by_folded = {candidate.casefold(): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean '{by_folded[nearest[0]]}'?" if nearest else ""


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for a name that is not among ``known``.

    Parameters
    ----------
    kind
        What the name should have named, in lower case: ``"column"``, ``"experiment"``.
    name
        The name as the user gave it.
    known
        All valid names.
    hint
        What to do next, a full sentence; by default the valid names are listed.
    """
    names = list(known)
    listed = ", ".join(sorted(names)[:12]) + (", ..." if len(names) > 12 else "")
    return UnknownNameError(f"Unknown {kind} '{name}'.{did_you_mean(name, names)} {hint or f'Known: {listed}.'}")
