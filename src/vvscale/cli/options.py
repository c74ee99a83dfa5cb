"""How the command line shows the options of a verb: one flag per field of its dataclass.

The library says what an option is (:mod:`vvscale.core.options`); this module makes flags of it, and writes flags in
place of field names in the errors that the library raises.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, make_dataclass, replace
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from vvscale.cli.output import Output
from vvscale.core.config import is_sequence
from vvscale.core.options import About, Options, described
from vvscale.scores.options import CsvOptions

Verb = TypeVar("Verb", bound=Callable[..., None])

# A field in an error's text: `by` or `by="row"`.
_FIELD = re.compile(r"`(?P<name>[a-z_]+)(?:=(?P<value>[^`]*))?`")

_FLAGS: dict[str, dict[str, str]] = {}
"""Module of a verb -> name of a field or parameter -> its flag."""

_PLAIN: dict[type, type[Options]] = {}
"""Class with flags -> the option class that it was made of."""


def verb(function: Verb) -> Verb:
    """Make a function a verb: its parameters that are option classes become flags, with their defaults.

    Examples
    --------
    A parameter ``options: FitOptions`` becomes ``--law``, ``--x`` and the others; the function gets one FitOptions.
    """
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    parameters, defaults = [], {}
    known = _FLAGS.setdefault(function.__module__, {})
    for name, parameter in signature.parameters.items():
        hint = hints[name]
        if isinstance(hint, type) and issubclass(hint, Options):
            known |= {field: _flag(field, about) for field, _, about in described(hint)}
            shown = Annotated[flags(hint), Parameter(name="*")]
            # Of the class that cyclopts knows, which it checks where pydantic happens to be imported.
            defaults |= {} if _needs_value(hint) else {name: flags(hint)()}
        elif hint is Output:
            shown, defaults[name] = hint, Output()
        else:
            shown = hint
            if parameter.kind is parameter.KEYWORD_ONLY:
                known[name] = _flag(name, About())
        hints[name] = shown
        parameters.append(parameter.replace(annotation=shown, default=defaults.get(name, parameter.default)))

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        given = {name: _plain(value) for name, value in {**defaults, **kwargs}.items()}
        with contextlib.ExitStack() as opened:
            for value in given.values():
                if isinstance(value, CsvOptions):
                    opened.enter_context(value.reading())
            function(*map(_plain, args), **given)

    # Without this cyclopts reads the signature of the function behind.
    del run.__wrapped__
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = hints
    return run  # type: ignore[return-value]


@functools.cache
def flags(kind: type[Options]) -> type[Options]:
    """Return a subclass of an option class whose fields say to cyclopts how their flags look."""
    of = {one.name: one for one in fields(kind)}
    groups: dict[str, Group] = {}
    own = {name: _flag(name, about) for name, _, about in described(kind)}
    shown = []
    # What a verb adds comes before what it shares with others.
    for name, hint, about in sorted(described(kind), key=lambda one: one[0] not in kind.__annotations__):
        group = groups.setdefault(about.group or "Options", Group(about.group or "Options", sort_key=len(groups)))
        about = replace(about, help=_with_flags(about.help, own))
        shown.append((name, Annotated[hint, _parameter(name, hint, about, group)], _default(of[name])))
    made = make_dataclass(kind.__name__, shown, bases=(kind,), frozen=True, kw_only=True)
    # Of the module "types", where make_dataclass puts it, cyclopts takes it for a builtin without fields.
    made.__module__ = kind.__module__
    # The text of the class is for readers of the library, not for --help.
    made.__doc__ = None
    _PLAIN[made] = kind
    return made


def _plain(value: Any) -> Any:
    """Return options as the library's own class: what :func:`flags` makes has no importable name, so no pickle."""
    kind = _PLAIN.get(type(value))
    return value if kind is None else value.part(kind)


def with_flags(message: str, module: str) -> str:
    """Return an error's text with the flags of a verb in place of field names.

    Parameters
    ----------
    message
        Text in which fields stand between backquotes, alone or with a value.
    module
        Module of the verb; a name that is no option of it stays as it is.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from vvscale.core.options import option
    >>> @dataclass(frozen=True, kw_only=True)
    ... class FitOptions(Options):
    ...     offset_by: str = option("family", "Column of the groups.")
    >>> @verb
    ... def fit(*, options: FitOptions) -> None: ...
    >>> with_flags('Give `offset_by`, for example `offset_by="arch"`; `vvscale ls columns` lists them.', __name__)
    'Give `--offset-by`, for example `--offset-by arch`; `vvscale ls columns` lists them.'
    """
    return _with_flags(message, _FLAGS.get(module, {}))


def _with_flags(message: str, known: Mapping[str, str]) -> str:
    def flag(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        if name not in known:
            return found[0]
        return f"`{known[name]}`" if value in (None, "True") else f"`{known[name]} {_shell(value)}`"

    return _FIELD.sub(flag, message)


def _flag(name: str, about: About) -> str:
    return about.flag or f"--{name.replace('_', '-')}"


def _shell(value: str) -> str:
    """Return a value of Python as one types it in a shell."""
    is_several = value[:1] in ("(", "[")
    values = re.split(r",\s*", value[1:-1]) if is_several else [value]
    return " ".join(shlex.quote(one.strip("\"'")) for one in values if one)


def _needs_value(kind: type[Options]) -> bool:
    return any(one.default is MISSING and one.default_factory is MISSING for one in fields(kind))


def _default(one: Field[Any]) -> Any:
    if one.default_factory is not MISSING:
        return field(default_factory=one.default_factory, metadata=one.metadata)
    return field(default=one.default, metadata=one.metadata)


def _parameter(name: str, hint: Any, about: About, group: Group) -> Parameter:
    is_switch = hint is bool
    is_either = set(get_args(hint)) == {bool, type(None)}
    several = is_sequence(hint) or get_origin(hint) is dict
    text = f"{about.help} [{about.unit}]" if about.unit else about.help
    settings: dict[str, Any] = {"help": text, "group": group}
    if about.flag is not None:
        settings["name"] = about.flag
    if several:
        settings |= {"consume_multiple": True, "negative": "", "show_default": False}
    if is_switch:
        settings |= {"negative": "", "show_default": False}
    if is_either:
        name = _flag(name, about).removeprefix("--")
        settings |= {"name": f"--{name}", "negative": f"--no-{name}", "show_default": False}
    return Parameter(**settings)
