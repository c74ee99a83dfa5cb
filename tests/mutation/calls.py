"""Which functions of the package each test calls, and how long it takes: a plugin of pytest for ``mutate.py``.

Writes ``VVSCALE_CALLS``: ``{"seconds": {test: seconds}, "calls": {"file:line": [tests]}}``, the line that of
the function's ``def`` or of its first decorator.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

SECONDS: dict[str, float] = defaultdict(float)
CALLS: dict[str, set[str]] = defaultdict(set)
MADE_BY: dict[str, set[str]] = defaultdict(set)
"""Function -> files of tests whose fixtures call it: any test of such a file may look at what they made."""


def _watched(item: pytest.Item, whose: dict[str, set[str]], name: str) -> Iterator[None]:
    found: dict[int, CodeType] = {}

    # A tracer that returns nothing is asked at calls alone, not at lines.
    def note(frame: FrameType, _event: str, _about: object) -> None:
        found[id(frame.f_code)] = frame.f_code

    started = time.perf_counter()
    threading.settrace(note)
    sys.settrace(note)
    yield
    sys.settrace(None)
    threading.settrace(None)  # pyright: ignore[reportArgumentType] - it takes what sys.settrace takes
    SECONDS[item.nodeid] += time.perf_counter() - started
    for code in found.values():
        _, package, rest = code.co_filename.rpartition(f"{os.sep}vvscale{os.sep}")
        if package:
            whose[f"vvscale/{rest}:{code.co_firstlineno}"].add(name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    yield from _watched(item, MADE_BY, item.nodeid.partition("::")[0])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield from _watched(item, CALLS, item.nodeid)


def pytest_sessionfinish() -> None:
    calls = {where: set(tests) for where, tests in CALLS.items()}
    for where, files in MADE_BY.items():
        calls.setdefault(where, set()).update(test for test in SECONDS if test.partition("::")[0] in files)
    held = {"seconds": SECONDS, "calls": {where: sorted(tests) for where, tests in calls.items()}}
    Path(os.environ["VVSCALE_CALLS"]).write_text(json.dumps(held))
