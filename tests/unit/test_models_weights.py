"""Weights and records on disk, and states that do not fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from vvscale.core.jsonable import sealed
from vvscale.errors import ConfigError, DataError, DigestError, MissingDataError, ShapeError, UsageError
from vvscale.models import (
    build_model,
    load_model,
    load_state,
    load_weights,
    model_cost,
    model_record,
    save_weights,
)
from vvscale.models.weights import likely_architectures

TINY = "resnetflex-w2-d1-1-1"


@pytest.fixture
def module() -> nn.Module:
    return build_model(TINY, n_classes=10, image_size=8, seed=1)


@pytest.fixture
def saved(module: nn.Module, tmp_path: Path) -> Path:
    save_weights(tmp_path / "weights.safetensors", module, model_record(module, row={"model_id": "a", "seed": 1}))
    return tmp_path / "weights.safetensors"


def test_weights_and_record_come_back_as_they_went(module: nn.Module, saved: Path):
    state, record = load_weights(saved)
    assert all(torch.equal(tensor, state[key]) for key, tensor in module.state_dict().items())
    assert record["format"] == "vvscale-weights-2"
    assert record["model"] == TINY
    assert record["row"] == {
        "model_id": "a",
        "seed": 1,
        "arch": TINY,
        "family": "ResNetFlex",
        "parent_family": "ResNet",
        "n_params": model_cost(module).n_params,
        "forward_mac": model_cost(module).forward_mac,
        "forward_flop": model_cost(module).forward_flop,
    }
    assert record["preprocessing"] == {
        "image_size": 8,
        "resize": 8,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert load_weights(saved.parent)[1] == record


def test_a_run_folder_and_its_file_load_as_a_network(module: nn.Module, saved: Path):
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for ref in (saved, saved.parent, str(saved), f"{saved.parent}/"):
        loaded = load_model(ref)
        assert not loaded.module.training
        with torch.inference_mode():
            assert torch.equal(loaded.module(images), module.eval()(images))
        assert loaded.record["row"]["model_id"] == "a"


def test_layouts_of_memory_do_not_matter(module: nn.Module, tmp_path: Path):
    state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    save_weights(tmp_path / "a.safetensors", module.to(memory_format=torch.channels_last), model_record(module))
    assert all(torch.equal(tensor, state[key]) for key, tensor in load_weights(tmp_path / "a.safetensors")[0].items())


def test_numbers_of_tables_become_plain_values(module: nn.Module):
    row = {"n_params": np.float64("nan"), "seed": np.int64(3), "accuracy": float("nan"), "is_adv": np.bool_(False)}
    record = model_record(module, row=row)
    assert record["row"]["n_params"] == model_cost(module).n_params
    assert record["row"]["accuracy"] is None
    assert json.loads(json.dumps(record["row"]))["seed"] == 3


def test_a_foreign_network_has_no_record():
    with pytest.raises(
        ConfigError, match=r"This Linear was not made by build_model, so no record.*Next: build it by name"
    ):
        model_record(nn.Linear(1, 1))


def test_averaged_weights_are_asked_for_in_vain(saved: Path):
    with pytest.raises(MissingDataError, match="holds plain weights, and ema ones were asked for"):
        load_model(saved, ema=True)
    assert load_model(saved, ema=False).record["weights"] == "plain"


def test_other_endings_are_refused(module: nn.Module, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"got 'weights\.pt'"):
        save_weights(tmp_path / "weights.pt", module, model_record(module))


def test_a_full_disk_leaves_what_was_there(module: nn.Module, saved: Path, monkeypatch: pytest.MonkeyPatch):
    before = {file.name: file.read_bytes() for file in saved.parent.iterdir()}

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("vvscale.models.weights.save_file", full)
    with pytest.raises(DataError, match=r"the disk is full\. Nothing was left"):
        save_weights(saved, module, model_record(module))
    assert {file.name: file.read_bytes() for file in saved.parent.iterdir()} == before


def test_a_folder_that_cannot_be_written_to(module: nn.Module, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Cannot write"):
        save_weights(tmp_path / "file" / "weights.safetensors", module, model_record(module))


def test_damaged_and_foreign_files(saved: Path):
    record = saved.with_suffix(".json")
    whole = saved.read_bytes(), record.read_text()

    def restore() -> None:
        saved.write_bytes(whole[0])
        record.write_text(whole[1])

    saved.write_bytes(whole[0][:-10])
    with pytest.raises(DigestError, match=r"does not hold the weights that 'weights\.json' describes.*bytes"):
        load_weights(saved)
    # A record that agrees with a file that is no safetensors.
    saved.write_bytes(b"not weights")
    changed = json.loads(whole[1])
    changed["sha256"] = hashlib.sha256(b"not weights").hexdigest()
    record.write_text(json.dumps(changed))
    with pytest.raises(DigestError, match=r"weights\.json' is not what was written.*'content_sha256'"):
        load_weights(saved)
    record.write_text(json.dumps(sealed(changed)))
    with pytest.raises(DataError, match=r"weights\.safetensors' cannot be read as safetensors"):
        load_weights(saved)
    restore()
    for number in ("NaN", "-Infinity", "1e999"):
        record.write_text(whole[1].replace("{", f'{{"odd": {number},', 1))
        with pytest.raises(DigestError, match=r"weights\.json' is not what was written"):
            load_weights(saved)
    record.write_text("{")
    with pytest.raises(DataError, match=r"weights\.json' is not JSON"):
        load_weights(saved)
    record.write_text("[]")
    with pytest.raises(DataError, match="not a record of weights: format 'list', expected 'vvscale-weights-2'"):
        load_weights(saved)
    record.write_text('{"format": "vvscale-weights-9"}')
    with pytest.raises(DataError, match="format 'vvscale-weights-9'"):
        load_weights(saved)
    record.write_text('{"format": "vvscale-weights-1", "sha256": ""}')
    with pytest.raises(DataError, match="lacks model, model_options, preprocessing, row, weights"):
        load_weights(saved)
    restore()
    record.unlink()
    with pytest.raises(MissingDataError, match=r"There is no file '.*weights\.json'"):
        load_weights(saved)
    with pytest.raises(MissingDataError, match=r"There is no file '.*nothing'"):
        load_weights(saved.parent / "nothing")
    (saved.parent / "run").mkdir()
    with pytest.raises(MissingDataError, match=r"There is no file '.*run/weights\.safetensors'.*has not finished"):
        load_weights(saved.parent / "run")


def test_records_of_the_first_version_are_read(saved: Path):
    """They carry no digest of their own; the published weights in users' caches have them."""
    path = saved.with_suffix(".json")
    old = json.loads(path.read_text()) | {"format": "vvscale-weights-1"}
    del old["content_sha256"]
    path.write_text(json.dumps(old))
    assert load_weights(saved)[1] == old
    path.write_text(json.dumps(old | {"format": "vvscale-weights-2"}))
    with pytest.raises(DigestError, match="is not what was written"):
        load_weights(saved)


def test_a_checkpoint_of_another_architecture_says_which():
    state = build_model("resnetflexfilters-d-1-0-0-1", n_classes=565, seed=0).state_dict()
    with pytest.raises(ShapeError) as raised:
        load_state(build_model("resnetflexfilters-d-1-0-0-0", seed=0), state, where="'x.pt'")
    text = str(raised.value)
    assert "Cannot load 'x.pt' into resnetflexfilters-d-1-0-0-0: of 20 tensors" in text
    assert "18 unexpected: layer4.0.conv1.weight, layer4.0.bn1.weight, layer4.0.bn1.bias, ..." in text
    assert "2 of another shape: fc.weight (565, 512) instead of (1000, 64)" in text
    assert "a checkpoint of another architecture, resnetflexfilters-d-1-0-0-1." in text


def test_a_checkpoint_of_other_classes_says_so(module: nn.Module):
    state = build_model("resnetflexfilters-d-1-0-0-0", n_classes=10, seed=0).state_dict()
    with pytest.raises(ShapeError, match="the same architecture with another number of classes"):
        load_state(build_model("resnetflexfilters-d-1-0-0-0", seed=0), state)
    with pytest.raises(ShapeError, match="none of the published ones has these shapes"):
        load_state(build_model("resnetflexfilters-d-1-0-0-0", seed=0), module.state_dict())


def test_likely_architectures_of_networks_with_one_shape():
    state = build_model("resnet18", n_classes=2, seed=0).state_dict()
    assert likely_architectures(state) == ["resnet18", "resnetflexfilters-d-2-2-2-2"]
    assert likely_architectures({}) == []


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path):
    shared = torch.arange(6.0)
    state = {"a": shared, "b": shared, "c": shared[2:4], "d": torch.ones(1)}
    save_weights(tmp_path / "a.safetensors", state, {"model": TINY, "model_options": {}, "row": {}})
    from safetensors.torch import load_file

    read = load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(read[key], tensor) for key, tensor in state.items())


def test_options_of_another_version(saved: Path):
    record = json.loads(saved.with_suffix(".json").read_text())
    record["model_options"]["colour"] = "green"
    saved.with_suffix(".json").write_text(json.dumps(sealed(record)))
    with pytest.raises(DataError, match=r"model_options that cannot be read: .*'colour': 'green'.*another version"):
        load_model(saved)


def test_loaded_networks_can_be_trained(saved: Path):
    before = saved.read_bytes()
    loaded = load_model(saved).module.train()
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in loaded.parameters())
    loaded(torch.rand(4, 3, 8, 8)).sum().backward()
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter -= parameter.grad
    assert saved.read_bytes() == before
