"""Configuration files as frozen dataclasses: every key known, every value of its type.

A table of a TOML file becomes a dataclass by its type hints; nested dataclasses are nested tables. An unknown
key, a wrong type or a value that the dataclass refuses is an error that says where. This module must not know
what is configured.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from vvscale.core.inputs.plain import plain_file
from vvscale.errors import ConfigError, MissingDataError, did_you_mean

T = TypeVar("T")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    MissingDataError
        There is no such file.
    ConfigError
        It is not TOML; the message gives line and column.
    """
    path = Path(path)
    try:
        return parse_toml(plain_file(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise MissingDataError(f"There is no file '{path}'. Expected a TOML file; check the spelling.") from None
    except UnicodeDecodeError as error:
        is_wide = path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")
        kind, of = ("UTF-16", "utf-16") if is_wide else ("another encoding", "latin1")
        raise MissingDataError(
            f"Cannot read '{path}': it is text in {kind}. Expected a TOML file in UTF-8. Convert it: iconv -f {of} -t "
            f"utf-8 '{path}'."
        ) from error
    except OSError as error:
        raise MissingDataError(
            f"Cannot read '{path}': {error.strerror or error}. Expected a TOML file; check the path."
        ) from error
    except ValueError as error:
        raise ConfigError(f"'{path}' is not valid TOML: {error}.") from error


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML that somebody else may have written.

    Raises
    ------
    ValueError
        It is not TOML, nested too deeply, or holds a number of thousands of digits.

    Examples
    --------
    >>> parse_toml("n = 3")
    {'n': 3}
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def from_table(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from a table.

    Parameters
    ----------
    kind
        A dataclass whose hints are bool, int, float, str, Path, Literal, tuples and mappings of these, other such
        dataclasses, or one of them or None, which TOML spells ``"none"``.
    table
        Keys and values as read from TOML or JSON.
    where
        What the table is, for messages: ``"the recipe 'mine.toml'"``.

    Raises
    ------
    ConfigError
        A key is unknown, a value has the wrong type or is not finite, or the dataclass itself refuses it.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> from_table(Point, {"x": 1}, "the point")
    Point(x=1.0, y=0.0)
    >>> from_table(Point, {"x": 1, "z": 2}, "the point")
    Traceback (most recent call last):
    ...
    vvscale.errors.ConfigError: Unknown key 'z' in the point. Known: x, y.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(cast(Any, kind)) if field.init}
    for key in table:
        if key not in known:
            listed = ", ".join(known)
            words = f"Unknown key '{key}' in {where}.{did_you_mean(key, known)} Known: {listed}."
            raise ConfigError(words, key=key)
    for key, field in known.items():
        needs_value = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needs_value and key not in table:
            raise ConfigError(f"The key '{key}' is missing from {where}. Expected {_described(hints[key])}.")
    values = {key: _converted(hints[key], value, key, where) for key, value in table.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"In {where}: {error}", key=error.key) from error


def _converted(hint: Any, value: Any, key: str, where: str) -> Any:
    try:
        return convert(hint, value, f"'{key}' in {where}")
    except ConfigError as error:
        # The innermost table's key is the one that the error is about.
        error.key = error.key or key
        raise


def parse_changes(changes: Iterable[str]) -> dict[str, Any]:
    """Return dotted key -> value of texts ``KEY=VALUE``, the value as TOML writes it, or plain text.

    Raises
    ------
    ConfigError
        A text has no key or no ``=``.

    Examples
    --------
    >>> parse_changes(["optimizer.lr=0.05", "axes.seed=[0, 1]", "name=mine"])
    {'optimizer.lr': 0.05, 'axes.seed': [0, 1], 'name': 'mine'}
    """
    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"Cannot read the change '{change}'; expected KEY=VALUE, such as optimizer.lr=0.05.")
        try:
            values[key.strip()] = parse_toml(f"value = {text}")["value"]
        except ValueError:
            values[key.strip()] = text
    return values


def put(table: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set a value in nested tables, which are made where there are none; an entry of a list is reached by its number.

    Raises
    ------
    ConfigError
        A value lies on the way, or a list has no such entry.

    Examples
    --------
    >>> table = {"laws": [{"name": "a"}]}
    >>> put(table, ["laws", "0", "name"], "b")
    >>> put(table, ["engine", "workers"], 3)
    >>> table
    {'laws': [{'name': 'b'}], 'engine': {'workers': 3}}
    """
    *parents, last = keys
    at: Any = table
    for number, key in enumerate(parents, 1):
        if isinstance(at, dict) and at.get(key) in (None, "none"):
            at[key] = {}
        at = at[_place(at, key, keys)]
        if not isinstance(at, dict | list):
            outer, whole = ".".join(keys[:number]), ".".join(keys)
            raise ConfigError(
                f"'{outer}' is a value and no table, so that '{whole}' cannot be set. Next: set '{outer}'."
            )
    at[_place(at, last, keys)] = value


def _place(at: dict[str, Any] | list[Any], key: str, keys: Sequence[str]) -> Any:
    if isinstance(at, dict):
        return key
    if key.isdigit() and int(key) < len(at):
        return int(key)
    raise ConfigError(f"Cannot set '{'.'.join(keys)}': there is no entry '{key}' among {len(at)}, counted from 0.")


def digest(value: Any) -> str:
    """Return the SHA-256 of a configuration's compact JSON; equal configurations have equal digests.

    It names recipes and runs, and :func:`vvscale.core.hashing.digest_of` everything else. The two write separators
    otherwise, and neither can take over from the other: every name and seal that was stored would change.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def convert(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as the type that ``hint`` asks for.

    Raises
    ------
    ConfigError
        It cannot be one; ``where`` says in the message what it is.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        choices = [choice for choice in get_args(hint) if choice is not type(None)]
        # TOML has no null: "none" stands for it.
        if value in (None, "none") and len(choices) < len(get_args(hint)):
            return None
        for choice in choices[:-1]:
            try:
                return convert(choice, value, where)
            except ConfigError:
                continue
        try:
            return convert(choices[-1], value, where)
        except ConfigError:
            # Of a list or table the innermost value is told; the last choice alone would be named as what was expected.
            if len(choices) == 1 or isinstance(value, list | tuple | Mapping):
                raise
            raise ConfigError(f"Got {value!r} for {where}; expected {_described(hint)}.") from None
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_table(cast(type, hint), value, where)
    if origin is Literal and value in get_args(hint):
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return _tuple(hint, value, where)
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        of = get_args(hint)[1]
        return {str(key): convert(of, one, f"'{key}' of {where}") for key, one in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, where)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return _whole(value, where)
    if (hint is bool and isinstance(value, bool)) or (hint is str and isinstance(value, str)):
        return value
    raise ConfigError(f"Got {value!r} for {where}; expected {_described(hint)}.")


def is_sequence(hint: Any) -> bool:
    """Whether a hint asks for a tuple of any length."""
    return get_origin(hint) is tuple and len(get_args(hint)) == 2 and get_args(hint)[1] is Ellipsis


def _finite(value: float, where: str) -> float:
    """Return a number that can be computed with and written as JSON; TOML also has nan and inf."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"Got {number} for {where}; expected a finite number.")
    return number


def _whole(value: int, where: str) -> int:
    """Return a whole number that arrays and files can hold; TOML and JSON also have longer ones."""
    if value.bit_length() > 63:
        raise ConfigError(f"Got a whole number of {value.bit_length()} bits for {where}; expected one below 2^63.")
    return value


def _tuple(hint: Any, values: Any, where: str) -> tuple[Any, ...]:
    items = get_args(hint)
    if is_sequence(hint):
        return tuple(convert(items[0], value, where) for value in values)
    if len(values) != len(items):
        raise ConfigError(f"Got {len(values)} values for {where}; expected {len(items)}.")
    return tuple(convert(item, value, where) for item, value in zip(items, values, strict=True))


def _described(hint: Any) -> str:
    """Say in words what a hint allows."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(choice) for choice in get_args(hint) if choice is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if origin is tuple:
        return "a list"
    if dataclasses.is_dataclass(hint) or origin in (dict, Mapping):
        return "a table"
    return {float: "a number", int: "a whole number", bool: "true or false", str: "text", Path: "a path"}.get(
        hint, str(hint)
    )
