"""Options of a verb, each declared once: name, default, help, unit, check and group.

A verb's options are one frozen dataclass, a subclass of :class:`Options` whose fields are made by :func:`option`.
The command line shows its fields as flags (``vvscale.cli.options``), a table of a TOML file is read by
:meth:`Options.from_table`, and Python takes an instance, its fields as keywords, or both (:meth:`Options.of`).

Errors name a field between backquotes, alone or with a value: ```by```, ```by="row"```. The command line writes
``--by`` and ``--by row`` in its place, so that no part of the library needs to know of flags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, TypeVar, get_type_hints

from vvscale.core.config import convert, from_table, is_sequence
from vvscale.errors import ConfigError, unknown_name

T = TypeVar("T")
Kind = TypeVar("Kind", bound="Options")
_KEY = "vvscale"

MISSING: Any = dataclasses.MISSING
"""Default of an option that must be given."""

SEED = 42
"""Default of every seed; the published resamples of rows are those of 42."""


@dataclass(frozen=True)
class About:
    """What is known of an option besides its type and default; see :func:`option`."""

    help: str = ""
    unit: str = ""
    group: str = ""
    flag: str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    check: Callable[[Any], object] | None = None


def option(
    default: T = MISSING,
    help: str = "",  # noqa: A002
    *,
    unit: str = "",
    group: str = "",
    flag: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    check: Callable[[Any], object] | None = None,
    factory: Callable[[], Any] | None = None,
) -> T:
    """Declare one option, as the value of a field of an :class:`Options` class.

    Parameters
    ----------
    default
        Its default; without one it must be given.
    help
        What it is, one or two sentences, for ``--help`` and the reference.
    unit
        Unit of its value, shown after the help.
    group
        Heading under which ``--help`` lists it.
    flag
        Its flag where that is not the field's name, such as ``--set`` for ``changes``.
    at_least, above, at_most
        Bounds of a number; None means that there is none. A value of None is not checked.
    check
        Function of the value that raises a ConfigError where it does not allow it.
    factory
        Makes the default where that can be changed, such as ``dict``.
    """
    about = About(help, unit, group, flag, at_least, above, at_most, check)
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata={_KEY: about})  # pyright: ignore[reportReturnType]
    return dataclasses.field(default=default, metadata={_KEY: about})  # pyright: ignore[reportReturnType]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the options of a verb: every value of its type and within its bounds.

    Lists become tuples, a single value one of a tuple, and text a path where the field asks for it.

    Examples
    --------
    >>> @dataclass(frozen=True, kw_only=True)
    ... class DrawOptions(Options):
    ...     resamples: int = option(1000, "Resamples for intervals.", at_least=0)
    ...     by: tuple[str, ...] = option((), "What is resampled.")
    >>> DrawOptions.of(by="arch")
    DrawOptions(resamples=1000, by=('arch',))
    >>> DrawOptions.of(resamples=-1)
    Traceback (most recent call last):
    ...
    vvscale.errors.ConfigError: `resamples` is -1; expected at least 0.
    """

    def __post_init__(self) -> None:
        for name, hint, about in described(type(self)):
            value = checked(name, hint, about, getattr(self, name))
            # A default is right as it stands, and a check may have to import much.
            if about.check is not None and value != type(self).__dataclass_fields__[name].default:
                about.check(value)
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, options: Self | None = None, /, **fields: Any) -> Self:
        """Return ``options``, or the defaults, with some fields changed.

        Raises
        ------
        UnknownNameError
            There is no such option; the message offers the nearest.
        ConfigError
            A value has the wrong type or is out of bounds.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise unknown_name("option", name, known)
        return cls(**fields) if options is None else dataclasses.replace(options, **fields)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Self:
        """Read options from a table of a TOML file; see :func:`vvscale.core.config.from_table`."""
        return from_table(cls, table, where)

    def part(self, kind: type[Kind]) -> Kind:
        """Return those that a class of options has, which this one adds to."""
        return kind(**{one.name: getattr(self, one.name) for one in dataclasses.fields(kind) if one.init})

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as they are, name -> value."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@cache
def described(kind: type) -> tuple[tuple[str, Any, About], ...]:
    """Return name, type and description of each option of a class, in order."""
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return tuple((one.name, hints[one.name], one.metadata.get(_KEY, About())) for one in fields)


def checked(name: str, hint: Any, about: About, value: Any) -> Any:
    """Return a value as the type that an option asks for, within its bounds.

    Raises
    ------
    ConfigError
        It cannot be; the error's key is the option's name.
    """
    if is_sequence(hint) and isinstance(value, str | int | float):
        value = (value,)
    try:
        value = convert(hint, value, f"`{name}`")
    except ConfigError as error:
        error.key = error.key or name
        raise
    _check_bounds(name, value, about)
    return value


def _check_bounds(name: str, value: Any, about: About) -> None:
    if value is None:
        return
    for number in _numbers(value):
        for bound, is_kept, words in (
            (about.at_least, number >= (about.at_least or 0), "at least"),
            (about.above, number > (about.above or 0), "more than"),
            (about.at_most, number <= (about.at_most or 0), "at most"),
        ):
            if bound is not None and not is_kept:
                raise ConfigError(f"`{name}` is {number:g}; expected {words} {bound:g}.", key=name)


def _numbers(value: Any) -> Iterator[float]:
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, int | float) and not isinstance(one, bool):
            yield one
