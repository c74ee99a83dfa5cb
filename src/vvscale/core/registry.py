"""Named things: a small mapping whose misses explain themselves and that other packages can add to.

A registry holds the built-in entries and, on the first miss or listing, those that installed packages offer
under its entry-point group. This module must not import any part of vvscale but ``errors``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from vvscale.errors import UsageError, VvscaleWarning, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from name to object, open to entry points.

    Parameters
    ----------
    kind
        What is registered, singular and lower case; used in messages and as the entry-point group
        ``vvscale.<kind>``.
    hint
        What a user should do after an unknown name, a full sentence.

    Examples
    --------
    >>> colours = Registry("colour")
    >>> _ = colours.add("red", 0xFF0000)
    >>> colours["red"]
    16711680
    >>> colours["rad"]
    Traceback (most recent call last):
    ...
    vvscale.errors.UnknownNameError: Unknown colour 'rad'. Did you mean 'red'? Known: red.
    """

    def __init__(self, kind: str, hint: str = "") -> None:
        self.kind = kind
        self.hint = hint
        self._entries: dict[str, T] = {}
        self._plugins_loaded = False

    def add(self, name: str, entry: T) -> T:
        """Register ``entry``; a second entry of one name is refused."""
        if name in self._entries:
            raise UsageError(f"The {self.kind} '{name}' is registered twice; give one of them another name.")
        self._entries[name] = entry
        return entry

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in entry_points(group=f"vvscale.{self.kind.replace(' ', '_')}"):
            try:
                entry = point.load()
            except Exception as error:  # noqa: BLE001 - code of another package, which may fail in any way
                package = point.dist.name if point.dist is not None else "an installed package"
                warnings.warn(
                    f"The {self.kind} '{point.name}' of {package} cannot be loaded and is passed over: "
                    f"{type(error).__name__}: {error}. Update or uninstall {package}.",
                    VvscaleWarning,
                    stacklevel=3,
                )
                continue
            # Loading a package may have registered the entry already.
            if self._entries.get(point.name) is not entry:
                self.add(point.name, entry)

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self._load_plugins()
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._entries, self.hint) from None

    def __contains__(self, name: object) -> bool:
        # Mapping's own version catches KeyError, which UnknownNameError is not.
        self._load_plugins()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return iter(self._entries)

    def __len__(self) -> int:
        self._load_plugins()
        return len(self._entries)
