"""Networks of the user: registered, from a file, or from an installed package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vvscale.core.registry import Registry
from vvscale.errors import ConfigError, MissingDataError, UnknownNameError, UsageError
from vvscale.models import architecture, build_model, list_models, load_model, model_cost, register_architecture
from vvscale.models.architectures import names, own, register

FILE = """
from torch import nn


class Small(nn.Sequential):
    def __init__(self, n_classes=10, image_size=8, in_channels=3):
        super().__init__(
            nn.Conv2d(in_channels, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(6, n_classes),
        )


fixed = Small()
number = 3


def broken(n_classes):
    return n_classes.shape


class Asks(nn.Module):
    def __init__(self, depth):
        super().__init__()
"""


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch):
    """Keep what a test registers from the others."""
    monkeypatch.setattr(own, "REGISTERED", Registry("architecture"))
    for module in (names, register):
        monkeypatch.setattr(module, "REGISTERED", own.REGISTERED)
    yield
    names._read.cache_clear()


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(FILE)
    return "nets.py"


def build(n_classes: int = 10, in_channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n_classes))


def test_a_registered_network_is_one_of_all():
    known = register_architecture("mine-1.0", build, family="Mine", image_size=16, head_layer="3", readout_layer="2")
    assert architecture("mine-1.0") is known
    assert "mine-1.0" in list_models("mine*")
    one, same, other = (build_model("mine-1.0", n_classes=5, seed=seed) for seed in (0, 0, 1))
    images = torch.ones(2, 3, 16, 16)
    assert one(images).shape == (2, 5)
    assert torch.equal(one(images), same(images))
    assert not torch.equal(one(images), other(images))
    assert build_model("mine-1.0", n_classes=0, seed=0)(images).shape == (2, 4)
    # 4 filters of 3 x 3 x 3 on 14 x 14 places, the pooling of 4 maps, 4 x 1000 for the published head of 1000 classes.
    cost = model_cost("mine-1.0")
    assert (cost.n_params, cost.forward_mac) == (4 * 27 + 4 + 4 * 1000 + 1000, 4 * 27 * 196 + 4 * 196 + 4000)
    assert load_model("untrained:mine-1.0@2").record["row"]["parent_family"] == "Mine"


@pytest.mark.parametrize("name", ["resnet18", "mine-twice"])
def test_a_taken_name_is_refused(name: str):
    if name == "mine-twice":
        register_architecture(name, build)
    with pytest.raises(UsageError, match="another name"):
        register_architecture(name, build)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "resnet18*2", "nets.py", "a b"])
def test_a_name_is_one_word(name: str):
    with pytest.raises(ConfigError, match="expected letters"):
        register_architecture(name, build)


def test_a_network_of_a_file(nets: str):
    known = architecture(f"{nets}:Small")
    assert (known.family, known.image_size, known.resize) == ("Small", 8, 9)
    assert build_model(f"{nets}:Small", n_classes=4, seed=0)(torch.ones(1, 3, 8, 8)).shape == (1, 4)
    loaded = load_model(f"{nets}:Small")
    assert not loaded.module.training
    assert loaded.record["row"]["n_params"] == 6 * 27 + 6 + 6 * 1000 + 1000
    assert loaded.record["row"]["model_id"] == "Small"


def test_a_module_of_a_file_comes_with_its_weights(nets: str):
    first, again = load_model(f"{nets}:fixed").module, load_model(nets).module
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert first is not again


@pytest.mark.parametrize(
    ("ref", "kind", "words"),
    [
        ("nets.py:smal", UnknownNameError, "Unknown network of nets.py 'smal'."),
        ("nets.py:number", UsageError, "is a int"),
        ("nets.py:broken", UsageError, "failed in line 18: AttributeError"),
        ("nets.py:Asks", UsageError, "failed: TypeError: Asks.__init__() missing 1 required positional argument"),
        ("nets.py:Asks", UsageError, "Give its arguments defaults and try again."),
        ("absent.py:net", MissingDataError, "Cannot read the model file 'absent.py'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(nets: str, ref: str, kind: type[Exception], words: str):
    with pytest.raises(kind) as raised:
        build_model(ref)
    assert words in str(raised.value)


def test_a_file_imports_what_lies_beside_it_and_folders_do_not_mix(tmp_path: Path):
    images = torch.ones(1, 3, 8, 8)
    for gain in (2.0, 3.0):
        folder = tmp_path / f"lab{gain:.0f}"
        folder.mkdir()
        (folder / "helper_ops.py").write_text(f"GAIN = {gain}")
        (folder / "late_ops.py").write_text(f"GAIN = {gain}")
        (folder / "net.py").write_text(
            "import helper_ops\nfrom torch import nn\n\n\n"
            "class Net(nn.Module):\n"
            "    def forward(self, x):\n        return x * helper_ops.GAIN * self.late\n\n"
            "def net():\n    from late_ops import GAIN\n    made = Net()\n    made.late = GAIN\n    return made\n"
        )
    for _ in range(2):
        for gain in (2.0, 3.0):
            module = load_model(f"{tmp_path}/lab{gain:.0f}/net.py:net").module
            assert torch.equal(module(images), images * gain**2)
    assert not {"helper_ops", "late_ops"} & set(sys.modules)
    assert not [path for path in sys.path if "lab" in Path(path).name]


def test_an_installed_package_offers_a_network(monkeypatch: pytest.MonkeyPatch):
    from vvscale.core import registry

    class Point:
        name = "theirs"

        def load(self):
            return entry

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()] if group == "vvscale.architecture" else [])
    entry = object()
    networks = Registry("architecture")
    networks.add("theirs", entry)  # as importing the package does where it registers the network itself
    assert networks["theirs"] is entry
    assert list(networks) == ["theirs"]


@pytest.mark.parametrize("how", ["registered", "file"])
def test_it_is_trained_measured_and_scored_like_any_other(how: str, nets: str):
    from vvscale.brain import score_model
    from vvscale.train.run import train_model

    name = f"{nets}:Small"
    if how == "registered":
        register_architecture("mine-trained", build, family="Mine", image_size=8)
        name = "mine-trained"
    done = train_model(name, samples_per_class=2, changes={"schedule.epochs": 2}, out="run")
    assert done.status == "finished"
    assert done.row["arch"] == name
    assert done.row["n_params"] == model_cost(name, n_classes=10, image_size=8, head_classes=None).n_params
    again = load_model(Path("run"))
    assert again.record["row"]["family"] == ("Mine" if how == "registered" else "Small")
    scores = score_model(again, "simulated-digits.V1-pls", layers=["0"], resamples=5, cache="none")
    assert scores.rows()["model_id"].tolist() == [done.model_id]
    assert scores.rows()["arch"].tolist() == [name]
