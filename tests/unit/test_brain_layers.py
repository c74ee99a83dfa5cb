"""Which layers are scored, and files that say which layer stands for which region."""

import json

import numpy as np
import pandas as pd
import pytest
import torchvision
from torch import nn

from vvscale.brain.scoring.layers import (
    LayerCommitment,
    choose_layers,
    committed_layers,
    default_layers,
    read_commitment,
    readout_layer,
    select_layers,
)
from vvscale.errors import ConfigError, DataError, MissingDataError, UnknownNameError

LAYERS = {"V1": "layer1.0", "V2": "layer2.0", "V4": "layer3.0", "IT": "layer4.0", "behavior": "avgpool"}


@pytest.fixture(scope="module")
def resnet():
    return torchvision.models.resnet18()


def test_the_default_layers_of_a_resnet18_are_60(resnet):
    names = default_layers(resnet)
    assert len(names) == 60
    assert names[:5] == ["conv1", "bn1", "relu", "maxpool", "layer1.0"]
    assert names[-2:] == ["avgpool", "fc"]
    assert "layer1" not in names
    assert "layer2.0.downsample" not in names
    assert "layer2.0.downsample.0" in names


class Identity(nn.Module):
    """What some libraries have beside PyTorch's own."""

    def forward(self, x):
        return x


def test_a_module_that_passes_its_input_on_is_no_layer_whoever_defines_it():
    assert default_layers(nn.Sequential(nn.Linear(2, 2), Identity(), nn.ReLU())) == ["0", "2"]


def test_names_and_patterns(resnet):
    assert choose_layers(resnet, "all") == default_layers(resnet)
    assert choose_layers(resnet, ["layer4.?", "fc", "layer4.1"]) == ["layer4.0", "layer4.1", "fc"]
    assert choose_layers(resnet, ["layer3"]) == ["layer3"], "a container may be named"
    with pytest.raises(UnknownNameError, match=r"No layer matches 'layer9\.\*'. The model has 60"):
        choose_layers(resnet, ["layer9.*"])
    with pytest.raises(UnknownNameError, match="Did you mean 'avgpool'"):
        choose_layers(resnet, ["avgpol"])
    with pytest.raises(ConfigError, match="No layer was asked for"):
        choose_layers(resnet, [])


def test_the_readout_layer_comes_before_the_classifier(resnet):
    assert readout_layer(resnet) == "avgpool"
    assert readout_layer(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())) == "1"
    assert readout_layer(nn.Sequential(nn.Linear(3, 3))) == "0"


@pytest.mark.parametrize("name", ["layers.toml", "layers.json"])
def test_commitments_survive_the_file(tmp_path, name):
    one = LayerCommitment(LAYERS, 'a "model"', "best score on x")
    one.save(tmp_path / name)
    again = read_commitment(tmp_path / name)
    assert again.to_dict() == one.to_dict()
    assert again.table()["layer"].tolist() == list(LAYERS.values())


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.toml or \.json"):
        LayerCommitment(LAYERS).save(tmp_path / "layers.yaml")


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        ("x = 1", ConfigError, "has no table 'layers'"),
        ("not toml", ConfigError, "is not valid TOML"),
        ('model_name = "a"\n[layers]\nV1 = "a"', ConfigError, "Unknown key 'model_name'.* Known: format, model"),
        ('modle = "a"\n[layers]\nV1 = "a"', ConfigError, "Did you mean 'model'"),
        (
            'format = "other-1"\n[layers]\nV1 = "a"',
            ConfigError,
            "has the format 'other-1'; expected 'vvscale-layers-1'",
        ),
        ("[layers]\nV1 = 3", ConfigError, "commits 3 to V1"),
        ('[layers]\nv1 = "a"', UnknownNameError, "Unknown region 'v1'. Did you mean 'V1'"),
    ],
)
def test_files_that_are_no_commitment_are_refused(tmp_path, content, error, text):
    path = tmp_path / "layers.toml"
    path.write_text(content)
    with pytest.raises(error, match=text):
        read_commitment(path)


def test_json_and_missing_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"layers": {"V1": "conv1"}}))
    assert dict(read_commitment(tmp_path / "a.json").layers) == {"V1": "conv1"}
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ConfigError, match="is not valid JSON"):
        read_commitment(tmp_path / "b.json")
    with pytest.raises(MissingDataError, match="Cannot read the layers"):
        read_commitment(tmp_path / "absent.toml")


def scores(*rows):
    return pd.DataFrame(rows, columns=["region", "layer", "score", "raw_score", "benchmark_id"])


def test_the_best_layer_is_committed():
    table = scores(
        ("IT", "a", 0.1, 0.3, "x"), ("IT", "b", 0.4, 0.6, "x"), ("V1", "a", 0.5, 0.7, "y"), ("V1", "b", 0.2, 0.4, "y")
    )
    chosen = select_layers(table, model="m")
    assert dict(chosen.layers) == {"V1": "a", "IT": "b"}
    assert chosen.decided_by == "best score on x, y"
    assert dict(chosen.scores) == {"V1": 0.5, "IT": 0.4}


def test_several_benchmarks_of_a_region_are_averaged_and_the_first_of_equals_wins():
    table = scores(
        ("V1", "a", 0.4, 0.5, "x"), ("V1", "b", 0.5, 0.5, "x"), ("V1", "a", 0.6, 0.5, "y"), ("V1", "b", 0.5, 0.5, "y")
    )
    assert select_layers(table).layers["V1"] == "a"


def test_a_negative_correlation_is_not_the_best():
    table = scores(("V1", "opposite", 0.9, -0.9, "x"), ("V1", "weak", 0.01, 0.1, "x"))
    assert select_layers(table).layers["V1"] == "weak"
    assert select_layers(table[:1]).layers["V1"] == "opposite"
    with pytest.raises(DataError, match="No layer has a score in V1"):
        select_layers(scores(("V1", "a", float("nan"), 0.1, "x")))


def test_published_commitments_resolve(resnet, mirror):
    record = {"model": "resnet18", "row": {"arch": "resnet18", "dataset": "imagenet"}}
    chosen = committed_layers(resnet, record)
    assert set(chosen.layers) == set(LAYERS)
    assert chosen.layers["behavior"] == "avgpool"
    assert chosen.decided_by == "published commitment of ResNet18 on imagenet"
    other = committed_layers(resnet, {"model": "resnet18", "row": {"dataset": "places365x"}})
    assert other.layers == chosen.layers
    assert other.decided_by.endswith("for want of one for places365x")


def test_without_a_published_commitment_the_way_out_is_named(resnet, mirror):
    with pytest.raises(MissingDataError, match="No commitment was published for the architecture 'mine'"):
        committed_layers(resnet, {"model": "mine"})
    with pytest.raises(MissingDataError, match="has no architecture name"):
        committed_layers(resnet, {})


def test_a_region_without_a_score_is_an_error_only_where_all_are_needed():
    table = pd.DataFrame(
        {
            "region": ["V1", "V1", "IT"],
            "layer": ["conv1", "layer1", "layer3"],
            "benchmark_id": ["a", "a", "b"],
            "score": [0.2, 0.3, np.nan],
            "raw_score": [0.4, 0.5, np.nan],
        }
    )
    with pytest.raises(DataError, match=r"No layer has a score in IT.*fewer independent features"):
        select_layers(table)
    assert dict(select_layers(table, needs_all=False).layers) == {"V1": "layer1"}


def test_layers_of_the_2026_study(mirror, resnet):
    import dataclasses

    from vvscale.brain import simulate
    from vvscale.brain.scoring.layers import layers_gokce2026

    given = simulate(images_per_object=3, n_repetitions=3).benchmark("V4")
    tvsd = dataclasses.replace(given, benchmark_id="tvsd.V4-ridge-cv")
    mh = dataclasses.replace(given, benchmark_id="MajajHong2015public.V4-pls")
    record = {"row": {"model_id": "resnet18_imagenet_10_seed-3", "arch": "resnet18"}}
    found = layers_gokce2026([tvsd, mh], resnet, record)
    assert dict(found.layers) == {"tvsd.V4-ridge-cv": "layer3.0", "MajajHong2015public.V4-pls": "layer3.0"}
    assert found.model == "resnet18_imagenet_full"
    with pytest.raises(MissingDataError, match="no data set of the 2026 study"):
        layers_gokce2026([given], resnet, record)
    with pytest.raises(MissingDataError, match="no layers of 'net'"):
        layers_gokce2026([tvsd], resnet, {"row": {"model_id": "net"}})


def test_regions_of_other_recordings_are_committed_too(tmp_path):
    held = LayerCommitment({"FFA-1": "a", "tvsd.V4-ridge-cv": "b"})
    held.save(tmp_path / "layers.toml")
    assert dict(read_commitment(tmp_path / "layers.toml").layers) == dict(held.layers)
    scores = pd.DataFrame(
        {"region": ["occipital"] * 2, "layer": ["a", "b"], "score": [0.1, 0.2], "raw_score": [0.1, 0.2]}
    )
    assert dict(select_layers(scores).layers) == {"occipital": "b"}
