"""Axes of recordings in a study: sizes of mappings and fine-tuning, from the file to rows, laws and findings."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from vvscale.errors import ConfigError, DataError, ShapeError, StoppedError, UnknownNameError, UsageError
from vvscale.study.graph.kinds import TaskContext
from vvscale.study.prepare import Prepared, prepare_study
from vvscale.study.spec.axes import expand_runs
from vvscale.study.tasks.findings import tuning_rows
from vvscale.study.tasks.pipeline import run_fine_tune, run_train
from vvscale.study.tasks.rows import average_seeds, outcomes, whole_networks
from vvscale.train.compute.file_names import CHECKPOINT

sys.path.insert(0, str(Path(__file__).parent))
from study_engine import InProcess, work

BASE = {"arch": "a", "dataset": "digits", "recipe": "tiny"}
SPEC = """
name = "mine"
[axes]
arch = "resnetflex-w3-d1-1-1"
dataset = "digits"
samples_per_class = [3, 30]
seed = 0
recipe = "tiny"
mapping_samples = ["20%", 100, "100%"]
[[include]]
samples_per_class = 30
finetune = ["IT", "shuffled"]
finetune_fraction = [50, 100]
mapping_samples = "100%"
[finetune.IT]
on = ["simulated-digits.IT-pls"]
neural_weight = 1.0
lr = 1e-3
epochs = 2
task_batch = 64
neural_batch = 64
[finetune.shuffled]
on = ["simulated-digits.IT-pls"]
control = "shuffled"
neural_weight = 1.0
lr = 1e-3
epochs = 2
task_batch = 64
neural_batch = 64
[score]
benchmarks = ["simulated-digits.IT-pls"]
layers = { IT = "layer3.0" }
options = { metric = ["ridge-cv"], fixed_test = 0.2, mapping_seeds = 2, resamples = 10 }
[[laws]]
name = "mapping"
x = ["mapping_samples"]
regions = ["IT"]
where = ["samples_per_class=30"]
"""


def study(folder: Path, *changes: tuple[str, str]) -> Prepared:
    text = SPEC
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text)
    return prepare_study(path, out=folder / "out")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Prepared:
    made = study(tmp_path_factory.mktemp("axes"))
    made.write()
    result = work(made.folder, made.graph)
    assert result.error() is None, result.error()
    return made


def test_runs_that_are_the_same_are_one():
    values = {**BASE, "finetune": ("none", "IT"), "finetune_fraction": (25, 100), "mapping_samples": ("10 %", "10%", 7)}
    runs = expand_runs(values)
    assert len(runs) == 2 + 4, "what is not tuned has no fraction"
    assert {run.mapping_samples for run in runs} == {"10%", "7"}
    assert len({run.training for run in runs}) == 1
    assert len({run.network for run in runs}) == 3
    assert "finetune=IT finetune_fraction=25.0 mapping_samples=7" in [run.label.partition("tiny ")[2] for run in runs]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("finetune_fraction", 0, "is 0; expected more than 0"),
        ("finetune_fraction", 101.0, "is 101; expected at most 100"),
        ("finetune_fraction", "all", "Got 'all' .*expected a number"),
        ("mapping_samples", "101%", "expected a share"),
        ("mapping_samples", 0, "expected a share"),
        ("mapping_samples", 0.1, "Got 0.1 .*expected text or a whole number"),
        ("finetune", 3, "expected text"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(name, value, said):
    with pytest.raises(ConfigError, match=f"axis `{name}`.*{said}") as raised:
        expand_runs({**BASE, name: value})
    assert raised.value.key == name


def test_networks_are_trained_once_and_scored_in_one_pass(tmp_path: Path):
    made = study(tmp_path).graph
    counts = {kind: sum(task.kind == kind for task in made.tasks) for kind in made.kinds}
    assert counts == {"train": 2, "fine-tune": 4, "score": 6, "table": 1, "fit": 1, "report": 1}
    sizes = [task.params["options"]["mapping_samples"] for task in made.tasks if task.kind == "score"]
    assert sizes == [["20%", "100", "100%"]] * 2 + [["100%"]] * 4
    for task in made.tasks:
        if task.kind == "fine-tune":
            assert made[task.inputs["train"]].params["run"]["samples_per_class"] == 30


def test_what_a_change_of_an_axis_does_not_touch_keeps_its_id(tmp_path: Path):
    def ids(made: Prepared, kind: str) -> set[str]:
        return {task.id for task in made.graph.tasks if task.kind == kind}

    before, after = study(tmp_path), study(tmp_path, ('["20%", 100, "100%"]', '["20%", "100%"]'))
    assert ids(before, "train") == ids(after, "train")
    assert ids(before, "fine-tune") == ids(after, "fine-tune")
    assert len(ids(before, "score") & ids(after, "score")) == 4
    other = study(tmp_path, ("epochs = 2", "epochs = 3"))
    assert ids(before, "fine-tune").isdisjoint(ids(other, "fine-tune"))


@pytest.mark.parametrize(
    ("error", "said", "changes"),
    [
        (ShapeError, "`mapping_samples` 5%.*'pls' needs at least 26",
         [('"20%"', '"5%"'), ('metric = ["ridge-cv"], ', "")]),
        (ShapeError, "`mapping_samples` 5000 of .* there are fewer", [("100,", "5000,")]),
        (UsageError, "'simulated-digits.IT-cka' fits nothing|no mapping curve", [('"ridge-cv"', '"cka"')]),
        (UnknownNameError, "'IF'.*Describe it in .finetune.IF.", [('finetune = ["IT"', 'finetune = ["IF"')]),
        (UsageError, "draws its test images anew.*`fixed_test`", [("fixed_test = 0.2, ", "")]),
        (ConfigError, "`fraction` of .finetune.", [("epochs = 2", "fraction = 10.0\nepochs = 2")]),
        (UsageError, "both 0", [("neural_weight = 1.0", "neural_weight = 0\ntask_weight = 0")]),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_when_it_is_planned(tmp_path: Path, error, said, changes):
    with pytest.raises(error, match=said):
        study(tmp_path, *changes)


def test_an_image_that_tests_is_not_tuned_on_whatever_its_name(tmp_path: Path):
    from vvscale.brain import load_benchmark
    from vvscale.brain.mapping.fixed import with_fixed_test
    from vvscale.train.neural.digests import refuse_trained_images

    source = with_fixed_test(load_benchmark("simulated-digits.IT-pls"))
    other = with_fixed_test(load_benchmark("simulated-digits.V4-pls"))
    refuse_trained_images([source], [source, other])
    with pytest.raises(DataError, match=r"V4-pls-test20' is the training image '.*', pixel by pixel"):
        refuse_trained_images([source], [with_fixed_test(load_benchmark("simulated-digits.V4-pls"), seed=1)])
    with pytest.raises(DataError, match="pixel by pixel"):
        refuse_trained_images([source], [load_benchmark("simulated-digits.V4-pls")])


def test_an_image_that_observers_chose_of_is_not_tuned_on(tmp_path: Path):
    from vvscale.brain import load_benchmark
    from vvscale.brain.behavior.trials import Trials
    from vvscale.brain.mapping.fixed import with_fixed_test
    from vvscale.train.neural.digests import refuse_trained_images

    source = with_fixed_test(load_benchmark("simulated-digits.IT-pls"))
    behavior = load_benchmark("simulated-digits.behavior-i2n")
    with pytest.raises(DataError, match=r"behavior-i2n' is the training image '.*tune to recordings of other images"):
        refuse_trained_images([source], [behavior])
    # Whatever the readout learns, the score is of the images of the trials: those that test the recordings may be used.
    trials, names = behavior.trials, behavior.trials.objects
    table = pd.DataFrame({"stimulus_id": trials.stimulus_id[trials.image], "sample_obj": names[trials.sample],
                          "dist_obj": names[trials.distractor], "choice": names[trials.choice]})  # fmt: skip
    few = dataclasses.replace(
        behavior, fitted_on="others", trials=Trials.from_table(table[table["stimulus_id"].isin(source.tested)])
    )
    refuse_trained_images([source], [few])
    both = '["simulated-digits.IT-pls", "simulated-digits.behavior-i2n"]'
    with pytest.raises(DataError, match="pixel by pixel"):
        study(tmp_path, ('["simulated-digits.IT-pls"]\nlayers = {', f"{both}\nlayers = {{ behavior = 'layer3.0',"))


def test_rows_of_all_axes_are_one_table(done: Prepared):
    rows = pd.read_parquet(done.folder.results / "scores.parquet")
    plain = rows[rows["finetune"] == "none"]
    n_train = plain["mapping_samples"].max()
    assert sorted(plain["mapping_samples"].unique()) == [int(n_train * 0.2), 100, n_train]
    assert len(plain) == 2 * (2 + 2 + 1)
    tuned = rows[rows["finetune"] != "none"]
    assert tuned[["finetune", "finetune_fraction", "finetune_control"]].to_numpy().tolist() == [
        [name, percent, control] for name, control in (("IT", "none"), ("shuffled", "shuffled"))
        for percent in (50.0, 100.0)
    ]  # fmt: skip
    assert tuned["model_id"].nunique() == 4
    assert (plain["finetune_updates"] == 0).all()
    assert tuned["finetune_samples"].tolist() == [n_train // 2, n_train] * 2
    assert set(rows["benchmark_id"]) == {"simulated-digits.IT-ridge-cv-test20"}
    assert not rows.duplicated(["model_id", "benchmark_id", "mapping_samples", "mapping_seed"]).any()


def test_laws_ask_for_the_axes_they_are_of(done: Prepared):
    rows = pd.read_parquet(done.folder.results / "scores.parquet")
    law = {"where": (), "x": ("train_flop",), "y": "misalignment", "average_seeds": False}
    assert len(outcomes(rows, law)) == 2, "one row per network that is not tuned"
    assert "mapping_samples" not in outcomes(rows, law)
    of_mapping = outcomes(rows, {**law, "x": ("mapping_samples",)})
    assert len(of_mapping) == 10
    assert len(outcomes(rows, {**law, "where": ("finetune=IT",)})) == 2 + 4
    means = average_seeds(of_mapping)
    assert len(means) == 2 * 3, "seeds of subsets are averaged, sizes are not"
    assert "mapping_seed" not in means
    assert len(whole_networks(rows, keep_tuned=True)) == 6
    assert (done.folder.results / "fits" / "mapping" / "fits.json").is_file()


def test_the_findings_say_what_was_gained_and_what_was_lost():
    rng = np.random.default_rng(0)
    rows = [
        (f"m{seed}{tail}", "b", "IT", tune, control, fraction, n, 40 * (tune != "none"), 0.5 + gain + noise, 0.9 - lost)
        for seed, noise in enumerate(rng.normal(0, 0.1, 4))
        for tail, tune, control, fraction, n, gain, lost in (
            ("", "none", "none", 0, 0, 0.0, 0.0),
            ("_tuned-IT-100", "IT", "none", 100, 320, 0.05, 0.01),
            ("_tuned-mixed-100", "mixed", "shuffled", 100, 320, -0.02, 0.02),
        )
    ]
    names = ["model_id", "benchmark_id", "region", "finetune", "finetune_control", "finetune_fraction",
             "finetune_samples", "finetune_updates", "score", "accuracy"]  # fmt: skip
    told = tuning_rows(pd.DataFrame(rows, columns=names))
    assert [one["finetune"] for one in told] == ["IT", "mixed"]
    # Each network is compared with itself, so that their spread does not hide the gain.
    assert told[0]["gain"] == "+0.0500 [+0.0500, +0.0500]"
    assert told[0]["accuracy gained"].startswith("-0.0100")
    assert told[1]["gain"].startswith("-0.0200")
    assert told[1]["networks"] == "4"
    assert tuning_rows(pd.DataFrame(rows[::3], columns=names)) == []
    # A study that tunes nothing has no such columns.
    assert tuning_rows(pd.DataFrame({"model_id": ["a"], "benchmark_id": ["b"], "region": ["IT"], "score": [0.1]})) == []


@pytest.mark.parametrize("n_updates", [1, 4, 9])
def test_tuning_that_is_stopped_anywhere_ends_with_the_same_bits(done: Prepared, tmp_path: Path, n_updates: int):
    task = next(one for one in done.graph.tasks if one.kind == "fine-tune" and one.params["name"] == "IT")
    task = dataclasses.replace(task, params={**task.params, "options": {**task.params["options"], "fraction": 100.0}})
    context = TaskContext(
        task.params, {"train": done.folder.task(task.inputs["train"]).out}, tmp_path / "cut",
        datasets={"digits": "digits"},
    )  # fmt: skip
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        run_fine_tune(dataclasses.replace(context, stop=lambda: next(calls) == n_updates))
    assert (tmp_path / "cut" / "state.pt").is_file()
    assert not (tmp_path / "cut" / "weights.safetensors").exists()
    run_fine_tune(context)
    run_fine_tune(dataclasses.replace(context, out=tmp_path / "whole"))
    cut, whole = (load_file(tmp_path / name / "weights.safetensors") for name in ("cut", "whole"))
    for name, tensor in whole.items():
        np.testing.assert_array_equal(tensor, cut[name])


def test_a_training_that_is_told_to_stop_saves_its_state_and_ends_with_the_same_bits(done: Prepared, tmp_path: Path):
    """Near the end of its job a worker is told by the clock, and no signal comes."""
    task = next(one for one in done.graph.tasks if one.kind == "train")
    calls = itertools.count(1)
    context = TaskContext(task.params, {}, tmp_path / "cut", datasets={"digits": "digits"})
    with pytest.raises(StoppedError, match="after step 3 of"):
        run_train(dataclasses.replace(context, stop=lambda: next(calls) == 3))
    assert list((tmp_path / "cut").glob(f"{CHECKPOINT}*"))
    run_train(context)
    whole = done.folder.task(task.id).out
    assert (tmp_path / "cut" / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def test_nothing_is_done_twice(done: Prepared):
    again = InProcess()
    assert work(done.folder, done.graph, again).n_done == 0
    assert again.ran == []
