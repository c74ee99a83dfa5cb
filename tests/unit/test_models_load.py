"""Networks from every kind of reference."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from vvscale.errors import ConfigError, MissingDataError, UnknownNameError
from vvscale.models import LoadedModel, build_model, load, load_model, model_record, save_weights
from vvscale.scores import COLUMNS

TINY = "resnetflex-w2-d1-1-1"


def weights_of(loaded: LoadedModel) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in loaded.module.state_dict().values()])


@pytest.mark.parametrize(("ref", "seed"), [(TINY, 0), (f"untrained:{TINY}", 0), (f"untrained:{TINY}@7", 7)])
def test_untrained_networks(ref: str, seed: int):
    loaded = load_model(ref)
    assert not loaded.module.training
    assert torch.equal(
        torch.cat([tensor.flatten().double() for tensor in build_model(TINY, seed=seed).state_dict().values()]),
        weights_of(loaded),
    )
    row = loaded.record["row"]
    assert (row["model_id"], row["is_random"], row["seed"]) == (f"{TINY}_untrained_seed-{seed}", True, seed)
    assert (row["samples_seen"], loaded.record["epoch"]) == (0, 0)
    assert set(row) <= set(COLUMNS)


def test_a_run_in_a_folder_named_like_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path(TINY).mkdir()
    assert load_model(TINY).record["row"]["is_random"]
    module = build_model(TINY, n_classes=3, seed=5)
    save_weights(Path(TINY) / "weights.safetensors", module, model_record(module, row={"is_random": False}))
    assert not load_model(TINY).record["row"]["is_random"]
    assert load_model(f"untrained:{TINY}").record["row"]["is_random"]


def test_records_lie_on_the_published_axes(gokce2025: pd.DataFrame):
    published = gokce2025[gokce2025["model_id"] == "alexnet_ecoset_100_seed-0"].iloc[0]
    row = load_model("untrained:alexnet").record["row"]
    for column in ("arch", "family", "parent_family", "n_params", "forward_mac", "forward_flop"):
        assert row[column] == published[column]


@pytest.mark.parametrize(
    ("model_id", "ref"),
    [
        ("alexnet_imagenet_pretrained", "torchvision:alexnet"),
        ("vit_b_16_imagenet_pretrained", "torchvision:vit_b_16"),
        ("convnext_tiny.fb_in1k", "timm:convnext_tiny.fb_in1k"),
        ("vit_base_patch16_clip_224:openai_ft_in1k_nc-5000", "timm:vit_base_patch16_clip_224.openai_ft_in1k"),
    ],
)
def test_published_models_of_others_come_from_their_library(
    model_id: str, ref: str, gokce2025: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    def build(name: str, *, pretrained: bool) -> torch.nn.Module:
        assert (name, pretrained) == (ref, True)
        with torch.device("meta"):
            return build_model(name)

    monkeypatch.setattr(load, "build_model", build)
    record = load_model(f"gokce2025:{model_id}").record
    published = gokce2025[gokce2025["model_id"] == model_id].iloc[0]
    assert record["model"] == ref
    assert (record["row"]["model_id"], record["row"]["is_pretrained"]) == (model_id, True)
    assert record["row"]["dataset"] == published["dataset"]
    assert record["row"]["family"] == published["family"]


@pytest.mark.usefixtures("mirror")
def test_every_published_model_of_others_is_known_to_its_library(gokce2025: pd.DataFrame):
    from vvscale.models import architecture

    ids = gokce2025.loc[gokce2025["is_pretrained"], "model_id"].unique()
    of_open_clip = [model_id for model_id in ids if model_id.startswith("Model-")]
    assert (len(ids), len(of_open_clip)) == (182, 18)
    for model_id in set(ids) - set(of_open_clip):
        assert architecture(load._library_ref(model_id)).image_size > 0


@pytest.mark.parametrize(
    ("ref", "error", "text"),
    [
        ("resnt18", UnknownNameError, "Unknown architecture 'resnt18'. Did you mean 'resnet18'?"),
        ("untrained:resnt18@3", UnknownNameError, "Unknown architecture 'resnt18'."),
        (f"untrained:{TINY}@x", ConfigError, f"The seed in 'untrained:{TINY}@x' is 'x'; expected a whole number"),
        ("zenodo:resnet18", UnknownNameError, "Unknown architecture 'zenodo:resnet18'."),
        ("runs/none", MissingDataError, "There is no file 'runs/none'"),
        ("none.safetensors", MissingDataError, "There is no file 'none.safetensors'"),
        (Path("none"), MissingDataError, "There is no file 'none'"),
        ("timm:resnt18", UnknownNameError, "timm has no 'resnt18'."),
    ],
)
def test_references_that_name_nothing(ref: str | Path, error: type[Exception], text: str):
    with pytest.raises(error) as raised:
        load_model(ref)
    assert text in str(raised.value)


def test_a_folder_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("myrun", TINY):
        Path(name).mkdir()
    with pytest.raises(MissingDataError, match=r"There is no file 'myrun/weights.safetensors'"):
        load_model("myrun")
    # An empty folder does not hide an architecture.
    assert load_model(TINY).record["row"]["is_random"]


def test_averaged_weights_of_what_has_none():
    with pytest.raises(ConfigError, match="has one kind of weights only"):
        load_model(TINY, ema=True)
