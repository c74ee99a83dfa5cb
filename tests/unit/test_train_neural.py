"""Neural fine-tuning on a simulated stream whose signal is known: gains, controls, costs, and the same bits again."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vvscale.brain import load_benchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.mapping.fixed import with_fixed_test
from vvscale.brain.scoring.tuned import with_tuned_images
from vvscale.errors import ConfigError, DataError, MissingDataError, UsageError, VvscaleWarning
from vvscale.models import load_model
from vvscale.train.neural.decoders import Decoder, features_of, linear_cka
from vvscale.train.neural.lora import adapt, merge
from vvscale.train.neural.task import Task
from vvscale.train.neural.transfer import by_relation, transfer
from vvscale.train.neural.tune import fine_tune
from vvscale.train.run import train_model

ARCH, LAYER = "resnetflex-w4-d1-1-1", "layer3.0"
QUICK = {
    "seed": 0,
    "lr": 1e-3,
    "lr_min": 1e-4,
    "warmup_epochs": 1,
    "neural_batch": 64,
    "epochs": 8,
    "neural_weight": 1.0,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    train_model(ARCH, seed=0, out=out)
    return str(out)


@pytest.fixture(scope="module")
def it():
    fixed = with_fixed_test(load_benchmark("simulated-digits.IT-pls"))
    return dataclasses.replace(fixed, metric="ridge-cv")


@pytest.fixture
def tuned(run, it, tmp_path):
    preprocessing = Preprocessing.from_record("brainscore", load_model(run).record["preprocessing"])

    def tune(name="one", source=(it,), task=True, **changes):
        held = Task.load(ARCH, run, "digits", out=tmp_path / name / "task", seed=0, batch_size=64, device="cpu")
        return fine_tune(
            held.network, source=list(source), layers={"IT": LAYER, "V4": LAYER}, preprocessing=preprocessing,
            out=tmp_path / name, task=held if task else None, **{**QUICK, **changes},
        )  # fmt: skip

    return tune


def small_network(*, inplace):
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10))
    return nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.BatchNorm2d(6), nn.ReLU(inplace=inplace), head)


def test_an_activation_in_place_changes_nothing(it, tmp_path):
    """What a readout learns and is tuned through is the layer that was named, not what the next one writes over it."""
    preprocessing, weights, features = Preprocessing(image_size=32), [], []
    for inplace in (False, True):
        network = small_network(inplace=inplace)
        rows = np.arange(10)
        features.append(features_of(network, ["1"], it.stimuli, rows, preprocessing)["1"])
        changes = {**QUICK, "epochs": 1, "warmup_epochs": 0, "task": None, "out": tmp_path / str(inplace)}
        fine_tune(network, source=[it], layers={"IT": "1"}, preprocessing=preprocessing, **changes)
        weights.append(network.state_dict())
    np.testing.assert_array_equal(*features)
    assert (features[0] < 0).any()
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_the_target_gains_shuffled_pairs_do_not_and_the_cost_is_said(tuned):
    real, shuffled = tuned("real"), tuned("shuffled", control="shuffled")
    assert real.rows["gain"].item() > 0.01
    assert shuffled.rows["gain"].item() < 0
    assert real.n_updates == shuffled.n_updates == 8 * 5
    row = real.rows.iloc[0]
    assert 0.9 < row["accuracy_before"] <= 1
    assert row["accuracy"] < row["accuracy_before"] + 0.02
    assert json.loads(json.dumps(real.to_dict()))["rows"][0]["finetune_control"] == "none"


def test_the_number_of_updates_can_be_that_of_all_data(tuned):
    part, matched = tuned("part", fraction=25.0), tuned("matched", fraction=25.0, updates=40)
    assert part.n_images == matched.n_images == 80
    assert (part.n_updates, matched.n_updates) == (16, 40)


def test_a_run_that_was_stopped_ends_with_the_same_bits(tuned, tmp_path, monkeypatch):
    whole = tuned("whole", epochs=2)
    shutil.rmtree(tmp_path / "whole")
    calls = []

    def stop(self, step, tasks, *, real=None):
        if step == 5 and not calls:
            calls.append(step)
            raise KeyboardInterrupt
        return real(self, step, tasks)

    from vvscale.train.neural import tune as module

    real = module._Tuning._loss
    monkeypatch.setattr(module._Tuning, "_loss", lambda self, step, tasks: stop(self, step, tasks, real=real))
    with pytest.raises(KeyboardInterrupt):
        tuned("again", epochs=2, save_seconds=0)
    again = tuned("again", epochs=2, save_seconds=0)
    assert calls == [5]
    for a, b in zip(whole.network.state_dict().values(), again.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert again.rows["score"].item() == whole.rows["score"].item()
    with pytest.raises(ConfigError, match="another fine-tuning"):
        tuned("again", epochs=3)


def test_a_state_is_of_the_network_that_it_began_with_and_a_damaged_one_is_set_aside(tuned, run, tmp_path, monkeypatch):
    whole = tuned("one", epochs=1, save_seconds=0)
    path = tmp_path / "one" / "state.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.warns(VvscaleWarning, match="begins anew"):
        again = tuned("one", epochs=1, save_seconds=0)
    assert again.rows["score"].item() == whole.rows["score"].item()
    assert (tmp_path / "one" / "state.pt.damaged").is_file()
    load = Task.load

    def other(*arguments, **options):
        task = load(*arguments, **options)
        with torch.no_grad():
            next(task.network.parameters()).add_(1e-3)
        return task

    monkeypatch.setattr(Task, "load", other)
    with pytest.raises(ConfigError, match="another fine-tuning"):
        tuned("one", epochs=1, save_seconds=0)


@pytest.mark.parametrize("changes", [{"neural_loss": "cka", "neural_weight": 0.1}, {"lora_rank": 4, "lr": 3e-3}])
def test_other_losses_and_low_rank_changes_run(tuned, changes):
    found = tuned(epochs=2, **changes)
    assert np.isfinite(found.rows["gain"].item())
    assert not any("parametrizations" in name for name in found.network.state_dict())


def test_alternating_batches_and_no_task(tuned):
    assert tuned("alternating", batches="alternating", epochs=2).n_updates == 10
    alone = tuned("alone", task=False, epochs=1)
    assert alone.rows["accuracy"].isna().all()


def test_what_must_not_be_trained_on_is_refused(tuned, it):
    with pytest.raises(UsageError, match="train-test"):
        tuned(source=(load_benchmark("simulated-digits.IT-pls"),))
    pixels = it.stimuli.pixels.copy()
    test = np.flatnonzero(it.stimuli.table["split"] == "test")[0]
    train = np.flatnonzero(it.stimuli.table["split"] == "train")[0]
    pixels[test] = pixels[train]
    copied = dataclasses.replace(it, stimuli=dataclasses.replace(it.stimuli, pixels=pixels))
    with pytest.raises(DataError, match="pixel by pixel"):
        tuned(source=(copied,))
    with pytest.raises(UsageError, match="No recordings"):
        tuned(source=())
    with pytest.raises(UsageError, match="both 0"):
        tuned(task_weight=0.0, neural_weight=0.0)
    with pytest.raises(ConfigError, match="at least 2"):
        tuned(fraction=0.1)


def test_a_readout_is_sklearns_ridge_and_cka_its_closed_form():
    from sklearn.linear_model import RidgeCV

    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((30, 50)), rng.standard_normal((30, 4))
    got = Decoder.fitted(X, Y)(torch.as_tensor(X, dtype=torch.float32)).numpy()
    from vvscale.train.neural.decoders import ALPHAS

    np.testing.assert_allclose(got, RidgeCV(ALPHAS).fit(X, Y).predict(X), atol=1e-5)
    Xc, Yc = X - X.mean(0), Y - Y.mean(0)
    expected = np.linalg.norm(Xc.T @ Yc) ** 2 / np.linalg.norm(Xc.T @ Xc) / np.linalg.norm(Yc.T @ Yc)
    assert linear_cka(torch.as_tensor(X), torch.as_tensor(Y)).item() == pytest.approx(expected, abs=1e-12)


def test_low_rank_changes_start_at_nothing_and_merge_into_weights():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 2))
    images = torch.randn(2, 3, 4, 4)
    before = network(images)
    trained = adapt(network, 2, 32.0)
    assert torch.equal(network(images), before)
    assert sum(one.numel() for one in trained) == (2 * 27 + 4 * 2) + (2 * 16 + 8 * 2) + (8 * 2 + 2)
    nn.init.normal_(trained[1])
    changed = network(images)
    merge(network)
    torch.testing.assert_close(network(images), changed)
    assert "0.weight" in network.state_dict()
    with pytest.raises(ConfigError, match="neither linear"):
        adapt(nn.Sequential(nn.ReLU()), 2, 32.0)


def test_the_summary_of_a_transfer():
    rows = pd.DataFrame(
        [(f"{s}.V4", f"{t}.IT", seed, 0.1 * (s == t) + 0.01 * seed) for s in "abc" for t in "abc" for seed in (0, 1)],
        columns=["source", "test", "seed", "gain"],
    )
    summary = by_relation(rows, {"a": "EEG", "b": "EEG", "c": "fMRI"})
    assert summary.index.tolist() == ["same set", "same modality", "other modality"]
    assert summary["mean"].tolist() == pytest.approx([0.105, 0.005, 0.005])
    assert summary["count"].tolist() == [6, 4, 6]
    assert by_relation(rows)["count"].to_dict() == {"same set": 6, "other set": 6}
    with pytest.raises(MissingDataError, match="modality of 'c'"):
        by_relation(rows, {"a": "EEG", "b": "EEG"})
    with pytest.raises(MissingDataError, match="column 'gain'"):
        by_relation(rows.drop(columns="gain"))


def _study_rows(gain: float) -> pd.DataFrame:
    """Two networks before and after tuning to a.IT and to b.IT + b.V4, each scored on both sets, and a look at one."""
    rows = []
    for network, base in (("n1", 0.3), ("n2", 0.5)):
        for test in ("a.IT", "b.IT"):
            row = {"benchmark_id": test, "region": "IT", "epoch": 5.0, "mapping_samples": 100}
            rows.append({**row, "model_id": network, "score": base, "accuracy": 0.9, "finetune": "none"})
            rows.append({**row, "model_id": network, "score": 0.0, "accuracy": 0.1, "finetune": "none", "epoch": 0})
            rows.append({**rows[-2], "mapping_samples": 10, "score": 0.0})
            for source in ("a.IT", "b.IT+b.V4"):
                tuned = {"model_id": f"{network}_tuned-{source}-100", "finetune": source[0], "finetune_on": source}
                after = {"score": base + gain * (1 + (test in source)), "accuracy": 0.85}
                how = {"finetune_control": "none", "finetune_updates": 30, "epoch": np.nan}
                rows.append({**row, **tuned, **after, **how})
    return pd.DataFrame(rows).assign(finetune_fraction=100.0, finetune_samples=64)


def test_tuned_networks_are_set_beside_themselves_before():
    found = transfer(_study_rows(0.05))
    assert len(found.gains) == 8
    assert found.gains["accuracy_gain"].tolist() == pytest.approx([-0.05] * 8)
    told = found.relations.set_index(["finetune", "relation"])
    assert told["gain"].to_dict() == pytest.approx(
        {("a", "same set"): 0.1, ("a", "other set"): 0.05, ("b", "same set"): 0.1, ("b", "other set"): 0.05}
    )
    assert set(told["tunings"]) == {2}
    known = transfer(_study_rows(0.05), {"a": "EEG", "b": "EEG"}).relations
    assert set(known["relation"]) == {"same set", "same modality"}
    with pytest.raises(MissingDataError, match=r"'b' is not given.*`modality`"):
        transfer(_study_rows(0.05), {"a": "EEG"})


def test_transfer_says_what_a_table_lacks():
    rows = _study_rows(0.05)
    with pytest.raises(MissingDataError, match="No network of the table was fine-tuned"):
        transfer(rows[rows["finetune"].eq("none")])
    with pytest.raises(MissingDataError, match=r"finetune_on.*earlier version"):
        transfer(rows.drop(columns="finetune_on"))


def test_the_command_line(run, tmp_path, capsys, monkeypatch):
    from vvscale.cli import main

    monkeypatch.chdir(tmp_path)
    arguments = [
        "fine-tune",
        run,
        "--on",
        "simulated-digits.IT-pls",
        "--layers",
        LAYER,
        "--epochs",
        "1",
        "--lr",
        "1e-3",
    ]
    assert main([*arguments, "--test-on", "simulated-digits.V4-pls", "--task-batch", "64"]) == 0
    out = capsys.readouterr().out
    assert "Accuracy" in out
    assert "--control shuffled" in out
    # Rows of fine-tuning say themselves what was before.
    assert main(["transfer", "out/fine-tuned/scores", "--csv", "gains.csv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    gains = pd.read_csv("gains.csv")
    tests = ["simulated-digits.IT-ridge-cv-test20", "simulated-digits.V4-ridge-cv-test20"]
    assert [(one["source"], one["test"]) for one in told["matrices"]] == [(tests[0], one) for one in tests]
    assert [one["gain"] for one in told["matrices"]] == pytest.approx(gains.sort_values("test")["gain"].tolist())
    assert gains["gain"].tolist() == pytest.approx((gains["score"] - gains["score_before"]).tolist())
    assert [one["relation"] for one in told["relations"]] == ["same set"]
    weights = tmp_path / "out/fine-tuned/weights.safetensors"
    assert weights.is_file()
    # What it was tuned on it is not scored on: neither with other splits of the recordings, nor by what people chose.
    score = ["score", str(weights), "--layers", LAYER, "--resamples", "10", "--image-size", "16"]
    for benchmark in ("simulated-digits.IT-pls", "simulated-digits.behavior-i2n"):
        assert main([*score, "--on", benchmark]) == 3
        error = capsys.readouterr().err
        assert "was fine-tuned on recordings of" in error
        assert benchmark in error
    assert main([*score, "--on", "simulated-digits.IT-pls", "--fixed-test", "0.2", "--metric", "ridge-cv"]) == 0
    # Tuned further, it knows the images of both tunings.
    known = set(load_model(str(weights)).record["tuned_images"])
    both = with_tuned_images(load_model(str(weights)).record, ["f" * 64])["tuned_images"]
    assert set(both) == known | {"f" * 16}


def test_the_weights_of_another_network_are_not_written_over(tmp_path):
    from vvscale.train.neural.run import fine_tune_model

    (tmp_path / "weights.safetensors").write_text("dear")
    with pytest.raises(UsageError, match=r"holds the weights of another network.*another `out`"):
        fine_tune_model("anything", on=["simulated"], layers="0", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_network_that_was_not_trained_here_is_refused(tmp_path):
    from vvscale.train.neural.run import fine_tune_model

    (tmp_path / "net.py").write_text("from torch import nn\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3))\n")
    with pytest.raises(UsageError, match=r"needs the folder of a run"):
        fine_tune_model(f"{tmp_path / 'net.py'}:net", on=["simulated-digits.IT-pls"], layers="0", out=tmp_path / "out")
