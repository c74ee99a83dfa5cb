"""What ``make real`` runs on session 210325 of macaque V4; its networks and their scores are its own, also in CI."""

import importlib
from pathlib import Path

import pytest

from vvscale.brain import load_benchmark
from vvscale.errors import MissingDataError

NETWORKS = Path(__file__).parents[2] / "benchmarks" / "real" / "networks.py"


@pytest.fixture(scope="module")
def session(mirror):
    try:
        return load_benchmark("cowley2023")
    except MissingDataError as error:
        pytest.skip(f"neither mirror nor network has the session: {error}")


def test_the_comparison_itself_runs(session, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(NETWORKS.parent))
    compare = importlib.import_module("compare")
    monkeypatch.setattr(compare, "FOUND", {})
    monkeypatch.setattr("sys.argv", ["compare.py"])
    assert compare.main() == 0
    assert "ceiling 0.7594612410, expected 0.7594612410" in capsys.readouterr().out
