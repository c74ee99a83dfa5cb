"""The score cache: keys that change with everything, and entries that are found when they are damaged."""

import copy
import importlib.util
import sys
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vvscale.brain import Gram
from vvscale.brain.benchmarks.design import KFold
from vvscale.brain.ceilings.score import Score
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.pls import PLS
from vvscale.brain.metrics.ridge import RidgeCV
from vvscale.brain.scoring.cache import ScoreCache
from vvscale.brain.scoring.keys import model_digest, weights_digest
from vvscale.brain.scoring.options import ScoringOptions
from vvscale.brain.scoring.plan import plan_work
from vvscale.brain.scoring.results import LayerScore
from vvscale.brain.simulated.stream import simulate
from vvscale.errors import DigestError, VvscaleWarning

SCORE = Score(0.1 + 0.2, 0.1, 0.5, 1 / 3, float("nan"), 0.4, 0.01, 0.9, "r^2/c", 0.95, 10)


def layer_score(**changes):
    one = LayerScore("conv", 12, "b", 1, "V1", True, SCORE, np.array([[0.1, np.nan], [1 / 3, -0.2]]))
    return replace(one, **changes)


def test_a_score_survives_exactly(tmp_path):
    cache = ScoreCache(tmp_path)
    assert cache.score({"a": 1}) is None
    cache.put_score({"a": 1}, layer_score())
    again = cache.score({"a": 1})
    assert again.to_dict() == layer_score().to_dict()
    np.testing.assert_array_equal(again.r, layer_score().r)
    assert np.isnan(again.score.raw_low)
    assert cache.score({"a": 2}) is None


@pytest.mark.parametrize("shape", [(30, 4), (8, 50)])
def test_inner_products_survive_exactly_when_asked_for(tmp_path, shape):
    gram = Gram.from_features(np.random.default_rng(0).standard_normal(shape), standardize=True)
    ScoreCache(tmp_path).put_products({"a": 1}, gram)
    assert not list(tmp_path.rglob("*.entry"))
    cache = ScoreCache(tmp_path, keep_products=True)
    cache.put_products({"a": 1}, gram)
    again = cache.products({"a": 1})
    assert (again.n_images, again.n_features, again.is_standardized) == (*shape, True)
    np.testing.assert_array_equal(again.dense(), gram.dense())


@settings(max_examples=15, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_named_and_made_again(tmp_path_factory, where, bit):
    cache = ScoreCache(tmp_path_factory.mktemp("cache"))
    cache.put_score({"a": 1}, layer_score())
    [entry] = cache.entries()
    content = bytearray(entry.path.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    entry.path.write_bytes(content)
    assert [one.state for one in cache.entries()] == ["damaged"]
    with pytest.raises(DigestError, match=entry.path.name):
        cache.verify()
    with pytest.warns(VvscaleWarning, match=f"{entry.path.name}' is damaged"):
        assert cache.score({"a": 1}) is None
    cache.put_score({"a": 1}, layer_score())
    cache.verify()
    assert cache.score({"a": 1}).to_dict() == layer_score().to_dict()


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b"{}\n", b"null\n{}", b"half of an ent"])
def test_files_that_are_no_entry_are_damaged_ones(tmp_path, content):
    cache = ScoreCache(tmp_path)
    cache.put_score({"a": 1}, layer_score())
    [entry] = cache.entries()
    entry.path.write_bytes(content)
    with pytest.warns(VvscaleWarning, match="is damaged"):
        assert cache.score({"a": 1}) is None


def test_an_entry_under_another_name_is_not_believed(tmp_path):
    cache = ScoreCache(tmp_path)
    cache.put_score({"a": 1}, layer_score())
    [entry] = cache.entries()
    entry.path.rename(cache._path("score", {"a": 2}))
    with pytest.warns(VvscaleWarning, match="is damaged"):
        assert cache.score({"a": 2}) is None


def test_entries_say_what_they_are_and_clear_removes_them(tmp_path):
    cache = ScoreCache(tmp_path, keep_products=True)
    cache.put_score({"layer": "conv"}, layer_score())
    cache.put_products({"layer": "conv"}, Gram.from_features(np.eye(5)))
    assert [(one.kind, one.state, one.parts["layer"]) for one in cache.entries()] == [
        ("products", "whole", "conv"),
        ("score", "whole", "conv"),
    ]
    assert all(one.n_bytes == one.path.stat().st_size for one in cache.entries())
    assert cache.clear() == 2
    assert not list(cache.entries())


# What keys are made of.

STREAM = simulate(images_per_object=10, n_objects=3, n_neuroids=4, n_repetitions=2)


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 30))


def key(module=None, benchmark=None, layer="0", **options):
    preprocessing = options.pop("preprocessing", Preprocessing(image_size=8))
    images = options.pop("projection_images", None)
    work = plan_work(
        module or model(),
        benchmarks=[benchmark or STREAM.benchmark("V1")],
        layers=[layer],
        options=ScoringOptions(**options),
        preprocessing=preprocessing,
        projection_images=images,
    )
    return work.score_key(work.pairs[0]), work


def noisier(benchmark):
    responses = benchmark.assembly.responses.copy()
    responses[3, 2] = np.nextafter(responses[3, 2], 9.0)
    return replace(benchmark, assembly=replace(benchmark.assembly, responses=responses))


def repainted(benchmark):
    pixels = benchmark.stimuli.pixels.copy()
    pixels[1, 2, 3, 0] ^= 1
    return replace(benchmark, stimuli=replace(benchmark.stimuli, pixels=pixels))


def relabelled(benchmark):
    table = benchmark.stimuli.table.copy()
    table.iloc[0, 0], table.iloc[1, 0] = table.iloc[1, 0], table.iloc[0, 0]
    return replace(benchmark, stimuli=replace(benchmark.stimuli, table=table))


def nudged(module):
    with torch.no_grad():
        module[3].bias[7] = torch.nextafter(module[3].bias[7], torch.tensor(9.0))
    return module


class Twice(nn.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


FOLDER = StimulusSet("other", pd.DataFrame(index=["x", "y"]), 8.0, np.zeros((2, 8, 8, 3), np.uint8))
V1 = STREAM.benchmark("V1")
CHANGES = {
    "weights": lambda: key(module=model(1)),
    "one weight by one step": lambda: key(module=nudged(model())),
    "structure with the same weights": lambda: key(module=nn.Sequential(model()[0], nn.GELU(), *model()[2:])),
    "a class of the same name prefix": lambda: key(module=nn.Sequential(model()[0], Twice(), *model()[2:])),
    "layer": lambda: key(layer="1"),
    "benchmark": lambda: key(benchmark=STREAM.benchmark("V2")),
    "one response by one step": lambda: key(benchmark=noisier(V1)),
    "one pixel": lambda: key(benchmark=repainted(V1)),
    "a label": lambda: key(benchmark=relabelled(V1)),
    "version": lambda: key(benchmark=replace(V1, version=2)),
    "formula": lambda: key(benchmark=replace(V1, formula="(r/c)^2")),
    "components": lambda: key(benchmark=replace(V1, metric=PLS(10))),
    "strata": lambda: key(benchmark=replace(V1, stratify_by=None)),
    "image size": lambda: key(preprocessing=Preprocessing(image_size=9)),
    "rule": lambda: key(preprocessing=Preprocessing("gokce2025", image_size=8)),
    "mean": lambda: key(preprocessing=Preprocessing(image_size=8, mean=(0.5, 0.456, 0.406))),
    "visual angle": lambda: key(preprocessing=Preprocessing(image_size=8, visual_degrees=7)),
    "projection": lambda: key(projection="sparse-100"),
    "its kind": lambda: key(projection="gaussian-100"),
    "images it is fitted on": lambda: key(projection="pca-100", projection_images=FOLDER),
    "batch size": lambda: key(batch_size=32),
    "resamples": lambda: key(resamples=999),
    "seed": lambda: key(seed=1),
}


def test_a_key_changes_with_everything_a_score_depends_on():
    before = key()[0]
    found = {name: change()[0] for name, change in CHANGES.items()}
    for name, changed in found.items():
        assert changed != before, f"the key does not change with the {name}"
    # And with each in its own way.
    assert len({str(sorted(one.items(), key=str)) for one in found.values()}) == len(found)


def test_a_key_does_not_change_with_what_does_not_matter():
    before = key()[0]
    assert key(memory="3GB", workers=2, max_passes=2, threads=1)[0] == before
    assert key(module=copy.deepcopy(model()))[0] == before


def test_the_run_id_names_model_and_settings_but_not_the_code():
    assert key()[1].run_id == key(layer="1")[1].run_id
    assert key()[1].run_id != key(module=model(1))[1].run_id
    assert key()[1].run_id != key(preprocessing=Preprocessing(image_size=9))[1].run_id


def test_a_change_of_the_code_changes_the_key(tmp_path, monkeypatch):
    from vvscale.brain.scoring import keys

    (tmp_path / "metric.py").write_text("x = 1")
    monkeypatch.setattr(keys, "_CODE", tmp_path)
    keys.code_digest.cache_clear()
    before = keys.code_digest()
    (tmp_path / "metric.py").write_text("x = 2")
    keys.code_digest.cache_clear()
    assert keys.code_digest() != before
    monkeypatch.undo()
    keys.code_digest.cache_clear()


def test_weights_and_models_have_digests_of_their_own():
    plain, other = model(), nn.Sequential(model()[0], nn.Tanh(), *model()[2:])
    assert weights_digest(plain) == weights_digest(other)
    assert model_digest(plain) != model_digest(other)
    assert weights_digest(plain.to(torch.bfloat16)) != weights_digest(model())


# What else a score depends on: each of these once gave the old number.


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def imported(path):
    """Import a file anew, as another process would."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


MODEL = """
from torch import nn
import key_helper

SCALE = 2.0


def activate(x):
    return x * SCALE


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.power = 1

    def forward(self, x):
        return key_helper.bend(activate(self.conv(x)) ** self.power)


def make():
    torch = __import__("torch")
    torch.manual_seed(0)
    return Net()
"""
HELPER = "def bend(x):\n    return x.relu()\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(model=MODEL, helper=HELPER, change=lambda module: None):
        for name in ("key_model", "key_helper"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        write(tmp_path, "key_helper.py", helper)
        sys.modules["key_helper"] = imported(tmp_path / "key_helper.py")
        module = imported(write(tmp_path, "key_model.py", model)).make()
        change(module)
        return key(module=module, layer="conv")[0]

    yield make
    for name in ("key_model", "key_helper"):
        sys.modules.pop(name, None)


def hooked(module):
    module.conv.register_forward_hook(lambda _module, _inputs, output: output + 1)


def patched(module):
    scale = 3.0
    module.forward = lambda x: module.conv(x) * scale


MODEL_CHANGES = {
    "a function beside the class": {"model": MODEL.replace("x * SCALE", "x + SCALE")},
    "a number beside the class": {"model": MODEL.replace("SCALE = 2.0", "SCALE = 3.0")},
    "a helper beside the file": {"helper": HELPER.replace("relu", "sigmoid")},
    "an attribute": {"change": lambda module: setattr(module, "power", 2)},
    "an attribute in a dictionary": {"change": lambda module: setattr(module, "how", {"deep": [1, (2.0, "x")]})},
    "a tensor that is no buffer": {"change": lambda module: setattr(module, "table", [torch.arange(3)])},
    "a hook": {"change": hooked},
    "a forward of its own": {"change": patched},
}


@pytest.mark.parametrize("name", MODEL_CHANGES)
def test_a_key_sees_all_that_a_model_computes_with(own, name):
    assert own() == own()
    assert own(**MODEL_CHANGES[name]) != own()


def test_a_comment_keeps_what_is_cached(own):
    assert own(model="# A comment.\n" + MODEL, helper='"""Say what it does."""\n\n\n' + HELPER) == own()


class Fitted:
    """A metric of one's own."""

    name = "fitted"
    needs = "products"
    strength = 1.0

    def measure(self, features, target):
        return PLS(2).measure(features, target)


class Stronger(Fitted):
    strength = 2.0


class Another(type(V1)):
    """A benchmark that scores in its own way."""

    def score(self, features, **options):
        return super().score(features, **options)


def test_a_key_sees_the_metric_the_design_and_the_class_of_a_benchmark():
    other = Fitted()
    other.strength = 3.0
    made = [
        V1,
        replace(V1, metric=Fitted()),
        replace(V1, metric=Stronger()),
        replace(V1, metric=other),
        replace(V1, metric="ridge"),
        replace(V1, metric=RidgeCV((1.0, 10.0))),
        replace(V1, metric=RidgeCV((1.0, 11.0))),
        replace(V1, metric="cka"),
        replace(V1, metric="cka-biased"),
        replace(V1, design="k-fold"),
        replace(V1, design=KFold(4)),
        replace(V1, ceiling="variance"),
        replace(V1, min_ceiling=0.1),
        replace(V1, above_one="clip"),
        replace(V1, epsilon=1e-6),
        Another(**{one.name: getattr(V1, one.name) for one in fields(V1)}),
    ]
    found = [key(benchmark=one)[0]["benchmark"] for one in made]
    assert len(set(found)) == len(made)
    assert found[1] == key(benchmark=replace(V1, metric=Fitted()))[0]["benchmark"]


def test_what_cannot_be_keyed_is_not_cached_and_says_so(tmp_path):
    module = model()
    module[0].generator = torch.Generator()
    with pytest.warns(VvscaleWarning, match=r"the model are not cached: 'generator' of the layer '0' holds a torch"):
        parts, work = key(module=module)
    assert parts is None
    assert work.products_key("0", "stimuli", V1.needs) is None
    cache = ScoreCache(tmp_path, keep_products=True)
    cache.put_score(parts, layer_score())
    assert cache.score(parts) is None
    assert not list(cache.entries())
