"""The verbs that list networks and fetch weights: what they print, their exit codes, the text of each error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from vvscale.models import build_model, load_model

MODEL_ID = "resnetflexfilters-f-1-16-20-19_ecoset_full_seed-0"


@pytest.fixture
def bucket(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with the published tables and one checkpoint, and a cache of its own; returns the checkpoint."""
    folder = tmp_path / "mirror" / "gokce2025"
    path = folder / "checkpoints" / MODEL_ID / "ep100.pt"
    path.parent.mkdir(parents=True)
    for table in (mirror / "gokce2025").glob("*.csv"):
        (folder / table.name).symlink_to(table)
    state = build_model("resnetflexfilters-f-1-16-20-19", n_classes=565, seed=0).state_dict()
    torch.save({"state": {"model": {f"module.{key}": tensor for key, tensor in state.items()}}}, path)
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    return path


def test_fetch_weights_says_where_and_what_next(run, bucket: Path, tmp_path: Path):
    planned = run("fetch", "weights", MODEL_ID, "--dry-run")
    size = f"{bucket.stat().st_size / 1e6:,.1f} MB"
    assert (planned.code, planned.err) == (0, "")
    assert f"{MODEL_ID}@100: would download from {bucket} ({size})" in planned.out
    assert not (tmp_path / "cache" / "gokce2025" / "weights").exists()
    done = run("fetch", "weights", MODEL_ID)
    path = tmp_path / "cache" / "gokce2025" / "weights" / MODEL_ID / "ep100.safetensors"
    assert (done.code, done.err) == (0, "")
    assert f"{MODEL_ID}@100: downloaded from {bucket}\n  plain: {path}\n" in done.out
    assert path.is_file()
    assert f"Next: vvscale score gokce2025:{MODEL_ID}" in done.out
    assert f"{MODEL_ID}@100: cached\n" in run("fetch", "weights", f"{MODEL_ID}@100").out
    assert load_model(path).record["row"]["model_id"] == MODEL_ID


def test_the_cache_knows_weights_and_broken_off_downloads(run, bucket: Path, tmp_path: Path):
    run("fetch", "weights", MODEL_ID)
    folder = tmp_path / "cache" / "gokce2025"
    path = folder / "weights" / MODEL_ID / "ep100.safetensors"
    partial = folder / "checkpoints" / MODEL_ID / "ep10.pt.part"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(b"some")
    rows = {row["file"]: row for row in run("cache", "ls", "--json").json["files"]}
    assert rows[f"{MODEL_ID}@100"] == {
        "file": f"{MODEL_ID}@100", "state": "cached", "bytes": path.stat().st_size, "path": str(path)
    }  # fmt: skip
    assert rows[f"{MODEL_ID}/ep10.pt.part"]["state"] == "partial"
    path.write_bytes(path.read_bytes()[:-1])
    damaged = run("cache", "verify")
    assert (damaged.code, f"Next: vvscale fetch weights {MODEL_ID}." in damaged.err) == (3, True)
    assert run("cache", "clear").code == 0
    assert not (folder / "weights" / MODEL_ID).exists()
    assert not partial.parent.exists()


def test_fetch_weights_json(run, bucket: Path):
    planned = run("fetch", "weights", MODEL_ID, f"{MODEL_ID}@10", "--dry-run", "--json").json
    assert [(file["epoch"], file["did"]) for file in planned["files"]] == [
        (100, "would download"),
        (10, "would download"),
    ]
    assert planned["files"][0]["bytes"] == bucket.stat().st_size
    # The mirror has only the last epoch.
    assert planned["files"][1]["bytes"] is None
    done = run("fetch", "weights", MODEL_ID, "--json").json
    assert Path(done["files"][0]["weights"]["plain"]).is_file()
    assert run("fetch", "weights", MODEL_ID, "--quiet").out == ""


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["weights"], 2, r"'fetch weights' needs the names of models. Next: vvscale ls models"),
        (
            ["scores", "resnet18"],
            2,
            "'scores' is fetched whole; leave out resnet18, or: vvscale fetch weights resnet18",
        ),
        (["weights", "resnet18_imagnet_full"], 2, "Unknown published model 'resnet18_imagnet_full'. Did you mean"),
        (["weights", f"{MODEL_ID}@12"], 3, "has no checkpoint of epoch 12. Published:"),
        (["weights", f"{MODEL_ID}@x"], 2, "The epoch in"),
        (["weights", f"{MODEL_ID}@10"], 3, "the mirror does not hold this file"),
        (["weights", "convnext_tiny.fb_in1k"], 3, "was trained by others"),
    ],
)
def test_errors_of_fetch(argv: list[str], code: int, text: str, run, bucket: Path):
    done = run("fetch", *argv)
    assert (done.code, done.out) == (code, "")
    assert text in done.err


class _Harm:
    def __reduce__(self):
        return os.system, ("exit 1",)


def test_a_malicious_checkpoint_ends_with_code_3(run, bucket: Path):
    torch.save({"state": {"model": {}, "more": _Harm()}}, bucket)
    done = run("fetch", "weights", MODEL_ID)
    assert done.code == 3
    assert "asks for posix.system" in done.err


def test_a_wrong_name_stops_before_the_first_download(run, bucket: Path, tmp_path: Path):
    assert run("fetch", "weights", MODEL_ID, "nonsense").code == 2
    assert not (tmp_path / "cache" / "gokce2025" / "weights").exists()


def test_ls_architectures(run):
    everything = run("ls", "architectures", "--json").json
    assert everything["n"] == 64
    assert everything["rows"][0] == {
        "architecture": "alexnet",
        "family": "AlexNet",
        "parent_family": "AlexNet",
        "image_size": 224,
        "readout_layer": "avgpool",
    }
    some = run("ls", "architectures", "efficientnet_b?")
    assert "architectures (5)" in some.out
    assert "efficientnet_b1" in some.out
    assert "NAME*FACTOR" in some.out
    assert run("ls", "architectures", "torchvision:resnet1*", "--json").json["n"] == 3
    assert run("ls", "architectures", "tim:*").code == 2
    nothing = run("ls", "architectures", "nothing")
    assert (nothing.code, "architectures (0)" in nothing.out) == (0, True)
    refused = run("ls", "architectures", "--where", "family=ViT")
    assert refused.code == 2
    assert "--where selects rows of scores or models, not of architectures" in refused.err
