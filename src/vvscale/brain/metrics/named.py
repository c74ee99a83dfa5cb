"""Values by name: metrics, ceilings and designs are made from a name and settings in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from vvscale.errors import ConfigError, did_you_mean, unknown_name


def make_named(what: str, name: str, kinds: Mapping[str, Callable[..., Any]], settings: Mapping[str, Any]) -> Any:
    """Return the value of a name, or say what the name or a setting should be.

    Parameters
    ----------
    what
        What is named, singular and lower case, for messages.
    name, kinds
        The name, and each known name -> its dataclass, or a function that imports and returns it.
    settings
        Fields of the dataclass.

    Raises
    ------
    UnknownNameError
        There is no such name.
    ConfigError
        There is no such setting.
    """
    if name not in kinds:
        raise unknown_name(what, name, kinds)
    kind = kinds[name] if isinstance(kinds[name], type) else kinds[name]()
    known = [one.name for one in fields(kind) if one.init]
    for setting in settings:
        if setting not in known:
            raise ConfigError(
                f"The {what} '{name}' has no setting '{setting}'.{did_you_mean(setting, known)} It has "
                f"{', '.join(known) or 'none'}."
            )
    return kind(**settings)
