"""Registries: packages that fail to load stop nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vvscale.core import registry
from vvscale.core.registry import Registry
from vvscale.errors import UnknownNameError, VvscaleWarning


def test_a_broken_package_is_named_and_passed_over(monkeypatch: pytest.MonkeyPatch):
    def point(name: str, load) -> SimpleNamespace:
        return SimpleNamespace(name=name, load=load, dist=SimpleNamespace(name=f"lab-{name}"))

    def broken():
        raise ImportError("No module named 'torch3'")

    points = [point("bad", broken), point("worse", lambda: 1 / 0), point("good", lambda: 7)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "vvscale.colour" else [])
    colours = Registry("colour")
    colours.add("red", 1)
    said = r"colour 'bad' of lab-bad cannot be loaded and is passed over: ImportError.*uninstall lab-bad"
    with pytest.warns(VvscaleWarning, match=said), pytest.warns(VvscaleWarning, match="lab-worse"):
        assert dict(colours) == {"red": 1, "good": 7}
    with pytest.raises(UnknownNameError, match="Known: good, red"):
        colours["bad"]
