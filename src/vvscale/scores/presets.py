"""Named conditions on rows, read from ``presets.toml`` or from a file of the same form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vvscale.core.config import from_table, read_toml
from vvscale.errors import ConfigError, unknown_name

_BUILT_IN = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True)
class Preset:
    """Conditions under one name.

    Attributes
    ----------
    meaning
        One sentence on the rows that meet them.
    where
        Conditions as :func:`vvscale.scores.parse_where` reads them.
    """

    meaning: str
    where: tuple[str, ...]


@cache
def presets(path: Path = _BUILT_IN) -> dict[str, Preset]:
    """Return the presets of a file by name; by default the built-in ones."""
    return {name: from_table(Preset, table, f"[{name}] of '{path}'") for name, table in read_toml(path).items()}


def find_preset(name: str) -> Preset:
    """Return a built-in preset, or the only one of a ``.toml`` file.

    Raises
    ------
    UnknownNameError
        There is no such preset.
    ConfigError
        The file has several.
    """
    if name.endswith(".toml"):
        found = presets(Path(name))
        if len(found) != 1:
            raise ConfigError(f"'{name}' has {len(found)} presets; expected one, a table with 'meaning' and 'where'.")
        return next(iter(found.values()))
    known = presets()
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name]
