"""Runs that start from weights: those of other programs too, and in the estimate as in the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vvscale.data import load_dataset
from vvscale.errors import ShapeError
from vvscale.models import build_model
from vvscale.train import RunSpec, load_recipe
from vvscale.train.build import build_network
from vvscale.train.estimate import estimate

MODEL = "resnetflex-w2-d1-1-1"


def spec(start: Path, model: str = MODEL) -> RunSpec:
    recipe = load_recipe("tiny", {"schedule.steps": 2})
    return RunSpec(model=model, dataset="digits", recipe=recipe, samples_per_class=5, start=str(start))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Weights with a classifier of other classes, as a training program wrote them."""
    state = build_model(MODEL, n_classes=7, image_size=8, seed=9).state_dict()
    torch.save({"state_dict": {f"module.{key}": one for key, one in state.items()}, "epoch": 1}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_all_but_the_classifier_come_from_a_checkpoint(checkpoint: Path):
    network, _ = build_network(spec(checkpoint), load_dataset("digits"), 8)
    expected = build_model(MODEL, n_classes=7, image_size=8, seed=9).state_dict()
    drawn = build_model(MODEL, n_classes=10, image_size=8, seed=spec(checkpoint).seed).state_dict()
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, (drawn if key.startswith("fc.") else expected)[key]), key


def test_the_estimate_reads_the_weights_too(checkpoint: Path):
    said = estimate(spec(checkpoint), device="cpu").start
    assert "tensors of resnetflex-w2-d1-1-1 read from state_dict" in said
    assert "classifier is of other classes and was left as drawn: fc.weight, fc.bias" in said
    with pytest.raises(ShapeError, match="are not those of resnetflex-w3-d1-1-1"):
        estimate(spec(checkpoint, "resnetflex-w3-d1-1-1"), device="cpu")
