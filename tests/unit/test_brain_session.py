"""Scoring a model: the right numbers, from one pass, in the memory allowed, whatever happens on the way."""

import random
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vvscale.brain import CKA, PLS, RSA, Assembly, Gram, Ridge, RidgeCV, Target, stratified_splits
from vvscale.brain.activations.memory import Budget, parse_memory, peak_memory
from vvscale.brain.activations.projection import Projection
from vvscale.brain.activations.record import Layer, Probe, probe, record
from vvscale.brain.activations.storage import HeldActivations, plan_holding
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.batches import image_batches
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.gram import BLOCK_FEATURES
from vvscale.brain.metrics.metric import MOST_TABLES
from vvscale.brain.scoring.cache import ScoreCache
from vvscale.brain.scoring.compare_rows import drift, refuse_drift
from vvscale.brain.scoring.layers import default_layers
from vvscale.brain.scoring.options import ScoringOptions
from vvscale.brain.scoring.plan import plan_work
from vvscale.brain.scoring.session import Session, score_layers
from vvscale.brain.simulated.stream import simulate
from vvscale.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    OutOfMemoryError,
    RunError,
    ShapeError,
    UnknownNameError,
    UsageError,
    VvscaleWarning,
)

PRE = Preprocessing(image_size=32)
FAST = {"preprocessing": PRE, "resamples": 20}


class Net(nn.Module):
    """Small, with everything that networks have: in-place activations, a skip, a layer wider than a block."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(4)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(384, 40)

    def forward(self, x):
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.flat(self.relu(self.conv2(x) + x)))


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


@pytest.fixture(scope="module")
def stream():
    return simulate(n_objects=4, images_per_object=20, n_neuroids=12, n_repetitions=6)


@pytest.fixture(scope="module")
def benchmarks(stream):
    return [stream.benchmark(region) for region in ("V1", "IT", "behavior")]


@pytest.fixture(scope="module")
def scores(benchmarks):
    return score_layers(net(), benchmarks=benchmarks, **FAST)


def test_every_layer_scores_as_its_features_do(scores, benchmarks):
    layers = default_layers(net())
    features = record(net(), image_batches(benchmarks[0].stimuli, PRE, batch_size=64), layers)
    assert features["conv1"].shape[1] > BLOCK_FEATURES
    found = {(one.layer, one.benchmark_id): one for one in scores.scores}
    assert len(found) == len(layers) * 3
    assert not scores.failures
    for benchmark in benchmarks:
        for layer in layers:
            expected = benchmark.score(features[layer], resamples=20, seed=42)
            one = found[layer, benchmark.benchmark_id]
            assert one.score.raw_score == pytest.approx(expected.score.raw_score, abs=1e-6), layer
            assert one.score.low == pytest.approx(expected.score.low, abs=1e-4)
            np.testing.assert_allclose(one.r.ravel(), np.ravel(expected.detail.r), rtol=0, atol=1e-9)


def test_each_image_goes_through_once_for_all_layers_and_benchmarks(scores):
    assert scores.usage.n_forward == 80
    # Three looks at two images; two more at each of two copies of the network, where two threads may run.
    assert scores.usage.n_probe == (6 if torch.get_num_threads() == 1 else 10)
    assert {"decode", "forward", "products", "metrics", "total"} <= set(scores.usage.seconds)


def test_batches_do_not_matter_beyond_rounding(scores, benchmarks):
    other = score_layers(net(), benchmarks=benchmarks[:1], layers=["conv2", "fc"], batch_size=7, **FAST).table()
    both = other.merge(scores.table(), on=["layer", "benchmark_id"])
    np.testing.assert_allclose(both["raw_score_x"], both["raw_score_y"], atol=1e-5)


def test_disk_memory_and_several_passes_give_the_same_bits(scores, benchmarks, monkeypatch, tmp_path):
    monkeypatch.setattr("vvscale.brain.activations.memory.plan_holding", lambda n, p, memory: plan_holding(n, p, 0))
    on_disk = score_layers(net(), benchmarks=benchmarks, scratch=tmp_path, **FAST)
    assert on_disk.usage.scratch > 80 * 6 * 32 * 32 * 4
    assert on_disk.table().equals(scores.table())
    assert not list(tmp_path.iterdir()), "scratch files have no name"
    monkeypatch.setattr("vvscale.brain.activations.memory.free_disk", lambda folder: 80 * 6 * 32 * 32 * 4)
    passes = score_layers(net(), benchmarks=benchmarks, scratch=tmp_path, max_passes=2, **FAST)
    assert passes.usage.n_forward == 160
    assert passes.table().equals(scores.table())


def test_too_little_disk_is_said_with_the_ways_out(benchmarks, monkeypatch, tmp_path):
    monkeypatch.setattr("vvscale.brain.activations.memory.plan_holding", lambda n, p, memory: plan_holding(n, p, 0))
    monkeypatch.setattr("vvscale.brain.activations.memory.free_disk", lambda folder: 80 * 6 * 32 * 32 * 4)
    with pytest.raises(OutOfMemoryError, match=r"widest layer is 'conv1'.*`max_passes=2`.*`projection=.sparse-1000.`"):
        score_layers(net(), benchmarks=benchmarks, scratch=tmp_path, **FAST)


def test_a_memory_too_small_names_the_layer_and_what_it_needs(benchmarks):
    with pytest.raises(OutOfMemoryError, match=r"Layer 'conv1' \(6,144 features of 80 images\).*0.10 GB: at least"):
        score_layers(net(), benchmarks=benchmarks, memory="100MB", **FAST)


def test_the_least_memory_is_enough_and_a_byte_less_is_not():
    seen = probe(net(), default_layers(net()), np.zeros((2, 3, 32, 32), np.float32))
    budget = Budget(10**9, 5 * 10**8, 3200, 0, 3 * 32 * 32, 64, seen)
    least, layer = budget.least()
    assert layer == "conv1"
    replace(budget, memory=least).check()
    with pytest.raises(OutOfMemoryError, match=f"Raise `memory` to {1.1 * least / 1e9:.1f}GB"):
        replace(budget, memory=least - 1).check()
    wide = replace(budget, n_images=10, batch_size=4096, memory=budget.resident + 10**7)
    with pytest.raises(OutOfMemoryError, match="Pass `batch_size=64`, or raise"):
        wide.check()


@pytest.mark.parametrize("metric", [Ridge(10.0), RidgeCV((1.0, 10.0, 100.0)), PLS(5), RSA(), CKA()])
def test_a_metric_takes_the_tables_that_it_says(metric):
    n = 1000
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n, 2 * n))
    target = Target(features[:, :4] + rng.standard_normal((n, 4)), stratified_splits(n, n_splits=1), np.arange(n))
    gram = Gram.from_features(features)
    metric.measure(gram, target)  # what is imported and kept of the target is no part of the layer's
    tracemalloc.start()
    metric.measure(gram, target)
    peak = tracemalloc.get_traced_memory()[1] / (8 * n**2)
    tracemalloc.stop()
    # The layer's own table is there before; 300 columns are room for products of some columns at one time.
    assert peak < getattr(metric, "n_tables", MOST_TABLES) - 1 + 300 / n


def test_recordings_of_the_size_of_tvsd_fit_into_sixteen_gigabytes():
    n_train, n_test = 22_248, 100
    n = n_train + n_test
    ids = np.array([f"{number:05d}" for number in range(n)], dtype=object)
    labels = pd.DataFrame({"split": ["train"] * n_train + ["test"] * n_test}, index=pd.Index(ids, name="stimulus_id"))
    stimuli = StimulusSet("tvsd", labels, 8.0, np.zeros((n, 1, 1, 3), np.uint8))
    assembly = Assembly.from_means("tvsd", "IT", np.zeros((n, 1)), ids, ["one"])
    benchmark = NeuralBenchmark("tvsd", 1, stimuli, assembly, metric="ridge-cv", design="train-test", ceiling=0.9)
    assert benchmark.n_tables == RidgeCV.n_tables
    seen = Probe({"layer": Layer("layer", (30_000,))}, {})
    budget = Budget(16 * 10**9, 10**9, n, 0, 3 * 224 * 224, 64, seen, n_tables=benchmark.n_tables)
    least, _ = budget.least()
    assert 8 * 3 * n**2 < least < budget.memory


def test_passes_hold_whole_families_and_every_layer_once(tmp_path, monkeypatch):
    seen = probe(net(), default_layers(net()), np.zeros((2, 3, 32, 32), np.float32))
    monkeypatch.setattr("vvscale.brain.activations.memory.free_disk", lambda folder: 10 * 6200 * 4)
    budget = Budget(10**9, 0, 10, 0, 3 * 32 * 32, 4, seen)
    passes = replace(budget, memory=budget.least()[0]).passes(tmp_path, max_passes=9)
    assert len(passes) > 1
    assert sorted(layer for one in passes for layer in one.layers) == sorted(seen.layers)
    assert {"conv1", "bn1"} <= set(passes[0].layers)


@pytest.mark.slow
def test_peak_memory_obeys_the_budget(tmp_path):
    """In a fresh process: layers of 1.4 GB in all within 1.3 GB for everything."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, torch\n"
        "from torch import nn\n"
        "from vvscale.brain import simulate\n"
        "from vvscale.brain.inputs.preprocess import Preprocessing\n"
        "from vvscale.brain.scoring.session import score_layers\n"
        "model = nn.Sequential(*[nn.Conv2d(3 if i == 0 else 16, 16, 3, padding=1) for i in range(9)])\n"
        "bench = simulate(n_objects=4, images_per_object=60, n_neuroids=5, n_repetitions=2).benchmark('V1')\n"
        "done = score_layers(model, benchmarks=[bench], preprocessing=Preprocessing(image_size=100), batch_size=16,\n"
        "                   memory='1.3GB', resamples=5, scratch=sys.argv[1])\n"
        "print(len(done.scores), done.usage.peak_memory, done.usage.scratch, done.usage.n_forward)\n"
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "scratch"], capture_output=True, text=True, check=True, timeout=300
    )
    n_scores, peak, scratch, n_forward = map(int, done.stdout.split())
    assert (n_scores, n_forward) == (9, 240)
    assert scratch > 3e8
    assert peak < 1.3e9


# What is kept, and what a kill leaves.


def test_the_cache_gives_the_same_scores_without_the_model(scores, benchmarks, tmp_path):
    cache = ScoreCache(tmp_path)
    first = score_layers(net(), benchmarks=benchmarks, cache=cache, **FAST)
    again = score_layers(net(), benchmarks=benchmarks, cache=cache, **FAST)
    assert first.table().equals(scores.table())
    assert again.table().equals(scores.table())
    assert (again.usage.n_forward, again.usage.n_cached) == (0, len(scores.scores))
    other = score_layers(net(1), benchmarks=benchmarks[:1], layers=["fc"], cache=cache, **FAST)
    assert other.usage.n_cached == 0


def test_a_damaged_entry_is_found_and_made_again(scores, benchmarks, tmp_path):
    cache = ScoreCache(tmp_path)
    score_layers(net(), benchmarks=benchmarks, cache=cache, **FAST)
    entry = next(entry for entry in cache.entries() if entry.parts["layer"] == "conv2")
    entry.path.write_bytes(entry.path.read_bytes()[:-20])
    with pytest.warns(VvscaleWarning, match="is damaged"):
        again = score_layers(net(), benchmarks=benchmarks, cache=cache, **FAST)
    assert again.table().equals(scores.table())
    assert again.usage.n_cached == len(scores.scores) - 1
    assert again.usage.n_forward == 80
    cache.verify()


def test_kept_products_serve_other_formulas_without_the_model(stream, tmp_path):
    cache = ScoreCache(tmp_path, keep_products=True)
    one, layers = stream.benchmark("V1"), ["conv2", "fc"]
    first = score_layers(net(), benchmarks=[one], layers=layers, cache=cache, **FAST)
    other = score_layers(net(), benchmarks=[replace(one, formula="(r/c)^2")], layers=layers, cache=cache, **FAST)
    assert (other.usage.n_forward, other.usage.n_cached) == (0, 0)
    assert other.table()["raw_score"].tolist() == first.table()["raw_score"].tolist()
    assert set(other.table()["score_formula"]) == {"(r/c)^2"}


RUN = """
import sys
import torch
sys.path.insert(0, sys.argv[2])
from test_brain_session_net import net
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.cache import ScoreCache
from vvscale.brain.scoring.session import score_layers
from vvscale.brain.simulated.stream import simulate
stream = simulate(n_objects=4, images_per_object=20, n_neuroids=12, n_repetitions=6)
bench = [stream.benchmark(region) for region in ("V1", "IT", "behavior")]
print("ready", flush=True)
done = score_layers(net(), benchmarks=bench, preprocessing=Preprocessing(image_size=32), resamples=20,
                   cache=ScoreCache(sys.argv[1] + "/cache"), scratch=sys.argv[1] + "/scratch")
done.rows({"model_id": "m"}).to_parquet(sys.argv[1] + "/rows.parquet")
print(done.usage.n_cached, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_gives_the_same_rows(scores, tmp_path):
    import inspect

    source = "import torch\nfrom torch import nn\n\n\n" + inspect.getsource(Net) + "\n\n" + inspect.getsource(net)
    (tmp_path / "test_brain_session_net.py").write_text(source)
    chance = random.Random(0)
    n_cached = []
    for attempt in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", RUN, tmp_path, tmp_path], stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout.readline() == "ready\n"
            if attempt < 4:
                # On a busy machine a time says nothing: each attempt lives until it has kept a score more.
                while running.poll() is None and len(list(tmp_path.glob("cache/*/*.entry"))) <= attempt:
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, 0.1))
                running.send_signal(signal.SIGKILL)
            else:
                n_cached.append(int(running.stdout.readline()))
        ScoreCache(tmp_path / "cache").verify()
        assert not list(tmp_path.glob("scratch/*"))
    assert 0 < n_cached[-1] <= len(scores.scores), "nothing survived the kills"
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    table = scores.table()
    pd.testing.assert_frame_equal(rows[table.columns].astype(table.dtypes), table, check_exact=True)


# Faults.


class Broken(Net):
    """Puts NaN into one feature of one image, and lets one layer die."""

    def __init__(self):
        super().__init__()
        self.poison = nn.Identity()
        self.dead = nn.Conv2d(6, 30, 1)
        nn.init.zeros_(self.dead.weight)
        self.spoil = Spoil()

    def forward(self, x):
        shallow = self.pool(self.conv1(x))
        self.dead(shallow)
        self.spoil(shallow)
        return self.fc(self.flat(shallow))


class Spoil(nn.Module):
    def forward(self, x):
        x = x.clone()
        is_it = (x.sum((1, 2, 3)) - x.new_tensor(self.target)).abs() < 1e-3
        x[is_it, 0, 0, 3] = float("nan")
        return x


def test_faults_of_one_layer_are_named_and_leave_the_others_alone(benchmarks):
    torch.manual_seed(0)
    model = Broken()
    stimuli = benchmarks[0].stimuli
    with torch.no_grad():
        image = torch.from_numpy(PRE.batch(stimuli, [17]))
        model.spoil.target = float(model.pool(model.conv1(image)).sum())
    layers = ["conv1", "dead", "spoil", "poison", "fc"]
    done = score_layers(model, benchmarks=benchmarks[:1], layers=layers, **FAST)
    assert [one.layer for one in done.scores] == ["conv1", "fc"]
    reasons = {one.layer: one.reason for one in done.failures}
    assert f"hold nan at image '{stimuli.stimulus_id[17]}', row 17, feature 3" in reasons["spoil"]
    assert reasons["spoil"].startswith("Layer 'spoil'")
    assert "differs between images" in reasons["dead"]
    assert reasons["dead"].startswith("Layer 'dead'")
    assert "'poison' is never called" in reasons["poison"]
    with pytest.raises(
        DataError, match=r"None of the 2 layers and benchmarks gave a score\. The first: Layer 'poison'"
    ):
        score_layers(model, benchmarks=benchmarks[:1], layers=["dead", "poison"], **FAST)


def test_nan_in_a_layer_that_is_projected_is_named_too(benchmarks):
    torch.manual_seed(0)
    model = Broken()
    with torch.no_grad():
        image = torch.from_numpy(PRE.batch(benchmarks[0].stimuli, [17]))
        model.spoil.target = float(model.pool(model.conv1(image)).sum())
    for projection in ("sparse-100", "gaussian-100"):
        done = score_layers(model, benchmarks=benchmarks[:1], layers=["spoil", "fc"], projection=projection, **FAST)
        assert [one.layer for one in done.scores] == ["fc"]
        assert benchmarks[0].stimuli.stimulus_id[17] in done.failures[0].reason


def test_too_few_features_fail_one_layer_and_not_behaviour(benchmarks):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 40))
    done = score_layers(model, benchmarks=benchmarks, layers=["1", "3"], **FAST)
    assert {(one.layer, one.benchmark_id) for one in done.failures} == {
        ("1", "simulated.V1-pls"),
        ("1", "simulated.IT-pls"),
    }
    assert "25 components need at least as many features, got 4" in done.failures[0].reason
    assert ("1", "simulated.behavior-i2n") in {(one.layer, one.benchmark_id) for one in done.scores}


def lonely(benchmark):
    table = benchmark.stimuli.table.copy()
    table.iloc[0, 0] = "alone"
    return replace(benchmark, stimuli=replace(benchmark.stimuli, table=table))


def test_a_stratum_of_one_image_is_refused_before_the_model_runs(benchmarks):
    with pytest.raises(
        ShapeError, match=r"Benchmark 'simulated\.V1-pls' cannot score any model: Stratum 'alone' has only one image"
    ):
        score_layers(net(), benchmarks=[lonely(benchmarks[0])], **FAST)


def test_duplicate_and_missing_stimuli_are_refused_by_name(benchmarks):
    stimuli = benchmarks[0].stimuli
    twice = stimuli.table.rename(index={stimuli.stimulus_id[1]: stimuli.stimulus_id[0]})
    with pytest.raises(DataError, match=f"stimulus_id '{stimuli.stimulus_id[0]}' more than once"):
        replace(stimuli, table=twice)
    fewer = StimulusSet("fewer", stimuli.table[1:], 8.0, stimuli.pixels[1:])
    with pytest.raises(MissingDataError, match=stimuli.stimulus_id[0]):
        NeuralBenchmark("x", 1, fewer, benchmarks[0].assembly, "object_name")


def test_a_ceiling_that_is_not_above_zero_is_refused(stream):
    one = stream.benchmark("V1")
    # Repetitions that contradict each other: half of them is the other half with its sign turned.
    sign = np.where(one.assembly.repetition % 2, 1.0, -1.0)
    bench = replace(one, assembly=replace(one.assembly, responses=one.assembly.responses * sign[:, None]))
    assert bench.noise_ceiling < 0
    with pytest.raises(DataError, match=r"Benchmark 'simulated.V1-pls' cannot .* The ceiling is"):
        score_layers(net(), benchmarks=[bench], **FAST)


def test_what_was_asked_for_must_exist(benchmarks):
    with pytest.raises(UsageError, match="No benchmark was given"):
        score_layers(net(), benchmarks=[], **FAST)
    with pytest.raises(UsageError, match=r"'simulated\.V1-pls' was given twice"):
        score_layers(net(), benchmarks=[benchmarks[0]] * 2, **FAST)
    with pytest.raises(ConfigError, match="No layer is committed to IT"):
        score_layers(net(), benchmarks=benchmarks, layers={"V1": "conv1"}, **FAST)
    with pytest.raises(UnknownNameError, match="Did you mean 'conv1'"):
        score_layers(net(), benchmarks=benchmarks, layers={"V1": "conv_1", "IT": "fc"}, **FAST)


def test_committed_layers_are_scored_on_their_regions_only(scores, benchmarks):
    done = score_layers(net(), benchmarks=benchmarks, layers={"V1": "conv1", "IT": "conv2"}, **FAST)
    table = done.table()
    assert table[["region", "layer"]].values.tolist() == [["V1", "conv1"], ["IT", "conv2"], ["behavior", "flat"]]
    both = table.merge(scores.table(), on=["layer", "benchmark_id"])
    np.testing.assert_allclose(both["score_x"], both["score_y"], rtol=0, atol=1e-7)


def test_the_best_layers_can_be_committed(scores):
    table = scores.table()
    best = scores.best(model="m").layers
    for region in ("V1", "IT", "behavior"):
        of_region = table[(table["region"] == region) & (table["raw_score"] > 0)]
        assert best[region] == of_region.loc[of_region["score"].idxmax(), "layer"]


def test_options_are_checked():
    for options, text in (
        ({"batch_size": 0}, "`batch_size` is 0"),
        ({"memory": "lots"}, "Cannot read the memory 'lots'"),
        ({"threads": 0}, "`threads` is 0"),
        ({"device": "cuda:77"}, "device 'cuda:77' asks for GPU 77"),
    ):
        with pytest.raises(ConfigError, match=text):
            ScoringOptions(**options)
    with pytest.raises(ConfigError, match="none were given"):
        score_layers(net(), benchmarks=[simulate(images_per_object=10).benchmark("V1")], projection="pca-10")
    with pytest.raises(UnknownNameError, match="Did you mean 'sparse-1000'"):
        ScoringOptions(projection="sparse-1000x")
    assert parse_memory("1.5 GiB") == 1.5 * 2**30


# Rows.


def test_rows_obey_the_schema_and_name_everything(scores, tmp_path):
    from vvscale.scores import ScoreStore

    rows = scores.rows({"model_id": "net", "family": "Own", "n_params": 1234.0}, epoch=7)
    store = ScoreStore(tmp_path)
    store.append(rows)
    store.append(rows)
    kept = store.read()
    assert len(kept) == len(scores.scores)
    assert set(kept["preprocessing"]) == {"brainscore"}
    assert set(kept["projection"]) == {"none"}
    assert kept["is_simulated"].all()
    assert set(kept["score_formula"]) == {"r^2/c", "r/sqrt(c)"}
    assert kept["data_digest"].str.len().eq(64).all()
    assert kept["weights_digest"].nunique() == 1
    assert (kept["epoch"] == 7).all()
    neural = kept[kept["score_formula"] == "r^2/c"]
    np.testing.assert_allclose(neural["raw_score"] ** 2 / neural["ceiling"], neural["score"], rtol=1e-12)
    assert (kept["score_low"] <= kept["score_high"]).all()
    with pytest.raises(ConfigError, match="no model_id"):
        scores.rows({})


def test_per_neuroid_values_are_kept(scores):
    assert scores.neuroids("conv1", "simulated.V1-pls").shape == (10, 12)
    with pytest.raises(ConfigError, match="Layer 'x' has no score"):
        scores.neuroids("x", "simulated.V1-pls")


def test_drift_is_named(scores):
    rows = scores.rows({"model_id": "net"})
    assert refuse_drift(rows, rows) == len(rows)
    other = rows.copy()
    other.loc[2, "score"] += 2e-6
    other.loc[4, "score_formula"] = "(r/c)^2"
    found = drift(rows, other)
    assert found[["layer", "column"]].values.tolist() == [
        [rows["layer"][2], "score"],
        [rows["layer"][4], "score_formula"],
    ]
    assert drift(rows, other[:4], tolerance=1e-5).empty
    with pytest.raises(RunError, match=f"2 of {len(rows)} expected rows.*{rows['layer'][2]}: score") as caught:
        refuse_drift(rows, other)
    assert caught.value.exit_code == 4
    lost = rows[rows["layer"] != "fc"]
    assert drift(lost, rows).empty, "a layer that was not asked for is no drift"
    assert set(drift(lost, rows, lost=["fc"])["column"]) == {"row"}
    with pytest.raises(MissingDataError, match="None of the"):
        drift(rows, rows.assign(model_id="other"))
    with pytest.raises(ConfigError, match="tolerance=-1"):
        drift(rows, rows, tolerance=-1)


def test_points_of_a_mapping_curve_and_epochs_are_compared_each_with_itself(scores):
    rows = scores.rows({"model_id": "net"}, epoch=1)
    points = pd.concat(
        [rows.assign(mapping_samples=n, mapping_seed=0, score=rows["score"] * n / 100) for n in (10, 50)]
    )
    assert refuse_drift(points, points) == len(points)
    later = pd.concat([rows, rows.assign(epoch=2, score=rows["score"] / 2)])
    assert refuse_drift(rows, later) == len(rows)
    assert set(drift(points, points.assign(score=0.0))["mapping_samples"]) == {10, 50}


def test_the_epoch_that_is_given_is_that_of_the_rows(scores):
    known = replace(scores, record={"row": {"model_id": "net"}, "epoch": 7})
    assert set(known.rows()["epoch"]) == {7}
    assert set(known.rows(epoch=3)["epoch"]) == {3}


# Projections.


def test_projections_do_what_they_are_called(scores, benchmarks):
    layers = ["conv1", "conv2", "fc"]
    exact = scores.table().query("benchmark_id == 'simulated.V1-pls'").set_index("layer")["raw_score"]
    for projection in ("sparse-300", "gaussian-300"):
        done = score_layers(net(), benchmarks=benchmarks[:1], layers=layers, projection=projection, **FAST)
        found = done.table().set_index("layer")
        assert found["n_features"].to_dict() == {"conv1": 300, "conv2": 300, "fc": 40}
        assert found["raw_score"]["fc"] == pytest.approx(exact["fc"], abs=1e-9), "a narrow layer is left as it is"
        assert found["raw_score"]["conv2"] == pytest.approx(exact["conv2"], abs=0.15)
        assert found["raw_score"]["conv2"] != exact["conv2"]
        assert set(done.rows({"model_id": "m"})["projection"]) == {projection}
        again = score_layers(net(), benchmarks=benchmarks[:1], layers=layers, projection=projection, **FAST)
        assert again.table().equals(done.table())


def test_sparse_projections_keep_nothing_but_the_projection(benchmarks, tmp_path):
    options = ScoringOptions(projection="sparse-50", scratch=tmp_path)
    work = plan_work(net(), benchmarks=benchmarks[:1], layers="all", options=options, preprocessing=PRE)
    [recording] = Session(work).plan()
    [one] = recording.passes
    assert one.holding.memory_bytes == 80 * 4 * (6 * 50 + 40)
    assert one.holding.disk_bytes == 0


def test_sparse_projection_equals_scikit_learn():
    from sklearn.random_projection import SparseRandomProjection

    rows = np.random.default_rng(0).standard_normal((7, 900)).astype(np.float32)
    expected = SparseRandomProjection(30, random_state=3).fit_transform(rows.astype(np.float64))
    made = Projection.parse("sparse-30", seed=3).at_recording(rows)
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert str(Projection.parse("sparse-30", seed=3)) == "sparse-30-seed-3"


@pytest.mark.parametrize("n_components", [10, 60])
def test_principal_components_equal_scikit_learn(n_components):
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((40, 5000)) / np.arange(1, 41)[:, None]
    table = (rng.standard_normal((90, 40)) @ mixing + 0.01 * rng.standard_normal((90, 5000)) + 3).astype(np.float32)
    blocks = [table[:, :4096], table[:, 4096:]]
    made = Projection.parse(f"pca-{n_components}").of_blocks(blocks, 5000, n_fitted=50)
    fitted = PCA(min(n_components, 49), svd_solver="full").fit(table[40:].astype(np.float64))
    expected = fitted.transform(table[:40].astype(np.float64))
    assert made.shape == (40, min(n_components, 49))
    # Components have no sign; inner products do not depend on it.
    np.testing.assert_allclose(made @ made.T, expected @ expected.T, rtol=1e-4, atol=1e-3 * np.abs(expected).max())


def test_components_are_fitted_on_images_of_their_own(benchmarks):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (60, 32, 32, 3), dtype=np.uint8)
    others = StimulusSet("others", pd.DataFrame(index=[f"o{i}" for i in range(60)]), 8.0, pixels)
    done = score_layers(
        net(), benchmarks=benchmarks[:1], layers=["conv2", "fc"], projection="pca-30", projection_images=others, **FAST
    )
    assert done.usage.n_forward == 80 + 60
    assert done.table()["n_features"].tolist() == [30, 30]


# Held activations.


@pytest.mark.parametrize("memory", [0, 10**9])
def test_held_activations_come_back_as_they_went_in(tmp_path, memory):
    table = np.random.default_rng(0).standard_normal((10, 2 * BLOCK_FEATURES + 5)).astype(np.float32)
    n_features = {"a": table.shape[1], "b": 3}
    with HeldActivations(plan_holding(10, n_features, memory), n_features, tmp_path) as held:
        for start in (8, 0, 4):
            held.put("a", start, table[start : start + 4])
            held.put("b", start, table[start : start + 4, :3])
        held.put("b", 4, 2 * table[4:8, :3])
        blocks = [block.copy() for block in held.blocks("a")]
        assert [block.shape[1] for block in blocks] == [BLOCK_FEATURES, BLOCK_FEATURES, 5]
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), table)
        [narrow] = held.blocks("b")
        np.testing.assert_array_equal(narrow[4:8], 2 * table[4:8, :3])
        held.drop("a")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_with_a_way_out(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with (
        HeldActivations(plan_holding(4, {"a": 3}, 0), {"a": 3}, tmp_path) as held,
        pytest.raises(DataError, match="activations of layer 'a' to scratch space: No space left"),
    ):
        held.put("a", 0, np.ones((4, 3)))


def test_workers_keep_the_order_and_pass_errors_on(benchmarks, tmp_path):
    stimuli = benchmarks[0].stimuli
    expected = PRE.batch(stimuli, range(80))
    for n_workers in (1, 3):
        batches = list(image_batches(stimuli, PRE, batch_size=30, n_workers=n_workers))
        assert [len(batch) for batch in batches] == [30, 30, 20]
        np.testing.assert_array_equal(np.concatenate(batches), expected)
    files = StimulusSet("files", stimuli.table[:1], 8.0, paths=(tmp_path / "absent.png",))
    with pytest.raises(MissingDataError, match=r"absent\.png"):
        list(image_batches(files, PRE, batch_size=4))


def test_the_peak_is_at_least_what_is_held_now():
    assert peak_memory() > 10**8
    assert Path("/proc/self/statm").exists() or sys.platform != "linux"


def test_layers_that_are_done_side_by_side_give_the_same_rows(stream):
    benchmarks = [stream.benchmark("V1"), stream.benchmark("behavior")]
    told: list[str] = []
    one = score_layers(net(), benchmarks=benchmarks, **{**FAST, "threads": 1})
    two = score_layers(net(), benchmarks=benchmarks, progress=told.append, **{**FAST, "threads": 2})
    assert two.table().equals(one.table())
    assert set(told) - {"images"} <= set(one.table()["layer"])
