"""Published checkpoints, from files of exactly their format that these tests write: fetched, converted, loaded."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from vvscale.errors import ConfigError, DataError, DigestError, MissingDataError, ShapeError, UnknownNameError
from vvscale.models import (
    Checkpoint,
    architecture,
    build_model,
    fetch_weights,
    find_checkpoint,
    load_model,
    model_cost,
)
from vvscale.models.published import checkpoints
from vvscale.models.published.checkpoints import bare_state

RESNET = "resnetflexfilters-f-1-16-20-19_ecoset_full_seed-0"
CONVNEXT = "convnextflex-l-3_ecoset_full_seed-0"
VIT = "deitflex-l-3_imagenet_full_seed-0"


@pytest.fixture
def bucket(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with the published tables and no checkpoint, and a cache of its own; returns the mirror."""
    folder = tmp_path / "mirror" / "gokce2025"
    folder.mkdir(parents=True)
    for table in (mirror / "gokce2025").glob("*.csv"):
        (folder / table.name).symlink_to(table)
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "mirror"


def put(bucket: Path, name: str, content: Any) -> Path:
    """Write a checkpoint into the mirror."""
    path = bucket / "gokce2025" / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def composer(state: Mapping[str, Tensor], ema: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """A training state as Composer writes it, with an optimiser and times beside the weights."""
    first = next(iter(state.values()))
    content: dict[str, Any] = {
        "model": OrderedDict(state),
        "optimizers": {
            "SGD": {"state": {0: {"momentum_buffer": torch.zeros_like(first)}}, "param_groups": [{"lr": 0.1}]}
        },
        "schedulers": {"LambdaLR": {"last_epoch": 100, "base_lrs": [np.float64(0.1)]}},
        "timestamp": {"Timestamp": {"epoch": 100, "total_wct": datetime.timedelta(hours=7), "batch": np.int64(5)}},
        "rank_zero_seed": 0,
        "run_name": "a",
    }
    if ema is not None:
        content["model_ema_state_dict"] = OrderedDict(ema)
    generators = {
        "python": (3, (1, 2), None),
        "numpy": np.random.RandomState(0).get_state(),
        "torch": torch.get_rng_state(),
    }
    return {"state": content, "rng": [generators], "integrations": {"versions": {"torch": torch.__version__}}}


def weights(name: str, seed: int, **options: Any) -> dict[str, Tensor]:
    return build_model(name, seed=seed, **options).state_dict()


def wrapped(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    return {"".join(prefixes) + key: tensor for key, tensor in state.items()}


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize(
    ("model_id", "epoch", "n_classes"),
    [
        (RESNET, 100, 565),
        ("resnetflexfilters-d-1-0-0-0_imagenet_full_seed-0", 100, 1000),
        ("efficientnet_b0_ecoset_100_seed-0", 100, 565),
        ("adv_resnetflexfilters-f-1-16-20-19_imagenet_full_ffgsm_eps-1_alpha-125-ep10_seed-0", 10, 1000),
    ],
)
def test_supervised_networks(model_id: str, epoch: int, n_classes: int, bucket: Path, gokce2025: pd.DataFrame):
    checkpoint = find_checkpoint(model_id)
    state = weights(checkpoint.model, seed=5, n_classes=n_classes)
    source = put(bucket, f"{model_id}/ep{epoch}.pt", composer(wrapped(state, "module.")))
    loaded = load_model(f"gokce2025:{model_id}")
    assert same(loaded.module.state_dict(), state)
    assert not loaded.module.training
    record = loaded.record
    assert (record["model"], record["epoch"], record["weights"]) == (checkpoint.model, epoch, "plain")
    assert record["model_options"]["n_classes"] == n_classes
    assert record["source"] == {"url": str(source), "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    assert record["preprocessing"]["image_size"] == architecture(checkpoint.model).image_size
    assert record["row"]["model_id"] == model_id
    published = gokce2025[gokce2025["model_id"] == model_id]
    if len(published):
        first = published.iloc[0]
        columns = ["family", "parent_family", "dataset", "seed", "n_samples", "samples_seen", "train_flop", "accuracy"]
        assert {column: record["row"][column] for column in columns} == {column: first[column] for column in columns}
    size = model_cost(checkpoint.model)
    assert (record["row"]["n_params"], record["row"]["forward_mac"]) == (size.n_params, size.forward_mac)


def test_a_checkpoint_is_converted_once_and_the_download_given_back(bucket: Path, tmp_path: Path):
    state = weights("resnetflexfilters-f-1-16-20-19", seed=5, n_classes=565)
    source = put(bucket, f"{RESNET}/ep100.pt", composer(wrapped(state, "module.")))
    first = load_model(f"gokce2025:{RESNET}")
    source.unlink()
    again = load_model(f"gokce2025:{RESNET}@100")
    assert same(first.module.state_dict(), again.module.state_dict())
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {"ep100.safetensors", "ep100.json"} <= kept
    assert not {name for name in kept if name.endswith((".pt", ".part", "-ema.safetensors"))}


@pytest.mark.parametrize(("model_id", "name"), [(CONVNEXT, "convnextflex-l-3"), (VIT, "deitflex-l-3")])
def test_averaged_and_plain_weights(model_id: str, name: str, bucket: Path):
    n_classes = 565 if "ecoset" in model_id else 1000
    plain, ema = (weights(name, seed=seed, n_classes=n_classes) for seed in (1, 2))
    content = composer(wrapped(plain, "_orig_mod.", "module."), wrapped(ema, "module.", "module."))
    put(bucket, f"{model_id}/ep300.pt", content)
    scored = load_model(f"gokce2025:{model_id}")
    assert scored.record["weights"] == "ema"
    assert same(scored.module.state_dict(), ema)
    assert same(load_model(f"gokce2025:{model_id}", ema=True).module.state_dict(), ema)
    other = load_model(f"gokce2025:{model_id}", ema=False)
    assert other.record["weights"] == "plain"
    assert same(other.module.state_dict(), plain)


def test_averaged_weights_that_are_not_there(bucket: Path):
    put(bucket, f"{RESNET}/ep100.pt", composer(wrapped(weights("resnetflexfilters-f-1-16-20-19", 5), "module.")))
    with pytest.raises(MissingDataError, match=r"epoch 100 holds plain weights, no ema ones\. Next: ema=False"):
        load_model(f"gokce2025:{RESNET}", ema=True)
    put(bucket, f"{CONVNEXT}/ep300.pt", composer(wrapped(weights("convnextflex-l-3", 5), "module.")))
    with pytest.raises(MissingDataError, match=r"epoch 300 holds plain weights, no ema ones"):
        load_model(f"gokce2025:{CONVNEXT}")


@pytest.mark.parametrize("by_position", [False, True])
def test_simclr(by_position: bool, bucket: Path):
    name, model_id = "resnetflexfilters-f-1-16-20-14", "simclr_resnetflexfilters-f-1-16-20-14_imagenet_full_seed-0"
    state = weights(name, seed=5, n_classes=0)
    children = [child for child, _ in build_model(name).named_children()]
    published = {
        f"{children.index(key.partition('.')[0])}.{key.partition('.')[2]}" if by_position else key: tensor
        for key, tensor in state.items()
    }
    head = {"head.layers.0.weight": torch.zeros(8, 8), "head.layers.1.bias": torch.zeros(8)}
    put(bucket, f"{model_id}/ep100.pt", composer(wrapped(published, "backbone.") | head))
    loaded = load_model(f"gokce2025:{model_id}")
    assert same(loaded.module.state_dict(), state)
    assert loaded.record["model_options"]["n_classes"] == 0


def test_dino_gives_its_teacher_at_the_epoch_that_was_scored(bucket: Path):
    model_id = "dino_vit_small_imagenet_full_seed-0"
    teacher = weights("vit_small", seed=5, n_classes=0)
    student = {key: tensor * 0 for key, tensor in teacher.items() if key.startswith("blocks.0.")}
    head = {"student_head.layers.0.weight": torch.zeros(2, 2), "loss_func.center": torch.zeros(1, 1, 2)}
    content = wrapped(student, "student_backbone.") | wrapped(teacher, "teacher_backbone.") | head
    put(bucket, f"{model_id}/ep300.pt", composer(content))
    loaded = load_model(f"gokce2025:{model_id}")
    assert same(loaded.module.state_dict(), teacher)
    row = loaded.record["row"]
    assert (loaded.record["epoch"], row["n_epochs"], row["samples_seen"]) == (300, 300, 300 * 1281167)
    assert row["n_params"] == model_cost("vit_small").n_params


def test_epochs_count_what_was_seen_up_to_them(gokce2025: pd.DataFrame, mirror: Path):
    final, early = find_checkpoint(RESNET), find_checkpoint(RESNET, 10)
    published = gokce2025[gokce2025["model_id"] == RESNET].iloc[0]
    assert dict(final.row)["train_flop"] == published["train_flop"]
    assert early.row["samples_seen"] == 10 * published["n_samples"]
    assert early.row["train_flop"] == 3 * published["forward_flop"] * early.row["samples_seen"]
    assert early.row["accuracy"] is None
    assert early.url.endswith(f"{RESNET}/ep10.pt")


def test_addresses_are_the_published_ones(mirror: Path, monkeypatch: pytest.MonkeyPatch):
    host = "https://epfl-neuroailab-scalinglaws.s3.eu-north-1.amazonaws.com/checkpoints"
    find_checkpoint(RESNET)  # the tables are in the cache from here on
    monkeypatch.delenv("VVSCALE_MIRROR")
    assert find_checkpoint("resnet18_imagenet_full").url == f"{host}/resnet18_imagenet_full/ep100.pt"
    assert find_checkpoint(CONVNEXT, 25).url == f"{host}/{CONVNEXT}/ep25.pt"
    # In the table of scores only.
    untrained = find_checkpoint("resnet18_imagenet_random_seed-0")
    assert untrained.url == f"{host}/resnet18_imagenet_random_seed-0/ep100.pt"
    assert untrained.row["is_random"]
    # In the list of checkpoints only.
    listed = find_checkpoint("simclr_resnetflexfilters-f-1-16-20-0_imagenet_full_seed-0")
    assert dict(listed.row) == {"checkpoint_url": listed.url}


def test_every_published_checkpoint_has_a_network_that_can_be_built(mirror: Path, gokce2025: pd.DataFrame):
    from vvscale.models.published.checkpoints import _network
    from vvscale.scores import load_checkpoints

    own = gokce2025[~gokce2025["is_pretrained"]]
    pairs = pd.concat([load_checkpoints()[["model_id", "arch"]], own[["model_id", "arch"]]]).drop_duplicates("model_id")
    assert len(pairs) == 811 + 54  # listed, and scored only
    for model_id, arch in pairs.itertuples(index=False):
        assert architecture(_network(model_id, arch if isinstance(arch, str) else None))


def test_unknown_models_and_epochs(mirror: Path):
    with pytest.raises(
        UnknownNameError, match=r"Unknown published model 'resnet18_imagnet_full'\. Did you mean 'resnet18_"
    ):
        load_model("gokce2025:resnet18_imagnet_full")
    with pytest.raises(
        MissingDataError, match=r"no checkpoint of epoch 12\. Published: 0?.*100\. Next: gokce2025:.*@100"
    ):
        load_model(f"gokce2025:{RESNET}@12")
    with pytest.raises(ConfigError, match=r"The epoch in .* is 'last'; expected a whole number"):
        load_model(f"gokce2025:{RESNET}@last")
    with pytest.raises(MissingDataError, match="trained by others, and the study published no checkpoint"):
        find_checkpoint("convnext_tiny.fb_in1k")
    with pytest.raises(MissingDataError, match="published by LAION for open_clip"):
        load_model("gokce2025:Model-B-16_Data-2B_Samples-34B_lr-1e-3_bs-88k")


def test_a_mirror_without_the_checkpoint(bucket: Path):
    with pytest.raises(MissingDataError, match=rf"There is no file '.*{RESNET}/ep100\.pt'.*unset VVSCALE_MIRROR"):
        load_model(f"gokce2025:{RESNET}")


class _Harm:
    def __reduce__(self):
        return os.system, ("touch " + os.environ["VVSCALE_CACHE"] + "/harmed",)


def test_malicious_truncated_and_foreign_files(bucket: Path, tmp_path: Path):
    state = wrapped(weights("resnetflexfilters-f-1-16-20-19", 5), "module.")
    name = f"{RESNET}/ep100.pt"

    def refused(error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text) as raised:
            load_model(f"gokce2025:{RESNET}")
        checkpoint = find_checkpoint(RESNET)
        assert not checkpoint.cached
        # What is damaged is not kept, so that the next try fetches it again; what was refused is.
        assert checkpoint.download_path.is_file() == (raised.type is not DigestError)
        checkpoint.download_path.unlink(missing_ok=True)

    put(bucket, name, {"state": {"model": state, "callbacks": _Harm()}})
    refused(DataError, r"asks for posix\.system.*Nothing of it was run")
    assert not (tmp_path / "cache" / "harmed").exists()
    whole = put(bucket, name, composer(state)).read_bytes()
    (bucket / "gokce2025" / "checkpoints" / name).write_bytes(whole[: len(whole) // 2])
    refused(DigestError, "not a whole torch checkpoint.*fetch it again")
    (bucket / "gokce2025" / "checkpoints" / name).write_bytes(b"<html>404</html>")
    refused(DigestError, "not a whole torch checkpoint.*fetch it again")
    put(bucket, name, state)
    refused(DataError, r"training state of Composer with the weights under 'state', 'model'; got module\.conv1\.weight")
    put(bucket, name, [1])
    refused(DataError, "got list")
    put(bucket, name, composer(wrapped(weights("resnetflexfilters-f-1-16-20-18", 5), "module.")))
    refused(ShapeError, r"of another shape.*a checkpoint of another architecture, resnetflexfilters-f-1-16-20-18\.")


def test_two_at_once_convert_it_once(bucket: Path, monkeypatch: pytest.MonkeyPatch):
    put(bucket, f"{RESNET}/ep100.pt", composer(wrapped(weights("resnetflexfilters-f-1-16-20-19", 5), "module.")))
    calls: list[Path] = []
    original = checkpoints.convert

    def convert(checkpoint: Checkpoint, path: Path) -> None:
        calls.append(path)
        original(checkpoint, path)

    monkeypatch.setattr(checkpoints, "convert", convert)
    with ThreadPoolExecutor(2) as pool:
        # The lock belongs to an open file, so two threads stand for two processes.
        kinds = list(pool.map(fetch_weights, [find_checkpoint(RESNET)] * 2))
    assert kinds == [("plain",), ("plain",)]
    assert len(calls) == 1


@pytest.mark.slow
def test_the_few_networks_that_torchvision_defines(bucket: Path):
    model_id = "vit_b_16_imagenet_1_seed-0"
    with torch.device("meta"):
        shapes = build_model("torchvision:vit_b_16").state_dict()
    # Whole tensors: one number that is seen as many is refused, as a small file that unpacks to a large one.
    state = {key: torch.ones(tensor.shape) for key, tensor in shapes.items()}
    put(bucket, f"{model_id}/ep100.pt", composer(wrapped(state, "module.")))
    loaded = load_model(f"gokce2025:{model_id}")
    assert loaded.record["model"] == "torchvision:vit_b_16"
    assert all(bool((tensor == 1).all()) for tensor in loaded.module.state_dict().values())


def test_an_interrupted_conversion_is_done_again(bucket: Path):
    state = wrapped(weights("convnextflex-l-3", 5), "module.")
    put(bucket, f"{CONVNEXT}/ep300.pt", composer(state, state))
    checkpoint = find_checkpoint(CONVNEXT)
    assert fetch_weights(checkpoint) == ("plain", "ema")
    checkpoint.weights_path("plain").unlink()
    assert checkpoint.cached == ()
    assert fetch_weights(checkpoint) == ("plain", "ema")


def test_bare_states():
    one = torch.ones(1)
    assert list(bare_state({"_orig_mod.module._orig_mod.a.b": one})) == ["a.b"]
    assert list(bare_state({"module.backbone.a": one, "module.head.b": one})) == ["a"]
    assert list(bare_state({"student_backbone.a": one, "teacher_backbone.module.a": one})) == ["a"]
