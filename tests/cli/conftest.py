"""What tests of the command line share: run a command in this process and look at what it did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vvscale.cli import main


class Ran:
    """What one command did."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *argv: object) -> None:
        self.code = main([str(token) for token in argv])
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    return lambda *argv: Ran(capsys, *argv)
