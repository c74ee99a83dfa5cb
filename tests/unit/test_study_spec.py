"""A study's file: what it expands to, and what each mistake says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vvscale.errors import ConfigError, MissingDataError, UsageError, VvscaleError
from vvscale.laws.gokce2025.experiments import CORE
from vvscale.scores import select
from vvscale.study.spec.axes import expand_runs
from vvscale.study.spec.schema import load_spec

GOOD = """
name = "mine"
summary = "A test."

[axes]
arch = ["resnet18", "resnet34"]
dataset = "digits"
samples_per_class = [1, 10]
seed = [0, 1]
recipe = "tiny"

[[exclude]]
arch = "resnet34"
samples_per_class = 1

[[laws]]
name = "accuracy"
law = "joint"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_axes_multiply_and_exclusions_thin_out(tmp_path: Path):
    runs = load_spec(write(tmp_path, GOOD)).runs()
    assert [(run.arch, run.samples_per_class, run.seed) for run in runs] == [
        ("resnet18", 1, 0), ("resnet18", 1, 1), ("resnet18", 10, 0), ("resnet18", 10, 1),
        ("resnet34", 10, 0), ("resnet34", 10, 1),
    ]  # fmt: skip


def test_inclusions_stand_as_they_are_and_take_single_values_from_the_axes():
    base = {"arch": ("a", "b"), "dataset": "d", "recipe": "r", "seed": (0, 1)}
    include = [{"arch": "c", "seed": 7}, {"arch": "a", "seed": (0, 9)}]
    runs = expand_runs(base, exclude=[{"arch": ("a", "b"), "seed": 1}], include=include)
    assert [(run.arch, run.seed) for run in runs] == [("a", 0), ("b", 0), ("c", 7), ("a", 9)]
    assert {run.dataset for run in runs} == {"d"}


def test_rules_set_values_by_pattern_and_recipe_keys_are_axes():
    base = {"arch": ("resnet18", "deit_tiny"), "dataset": "d", "recipe": "r", "recipe.optimizer.lr": (0.1, 0.2)}
    rules = load_rules([{"where": {"arch": "deit*"}, "to": {"recipe": "deit"}}])
    runs = expand_runs(base, rules=rules)
    assert [(run.arch, run.recipe, run.changes) for run in runs] == [
        ("resnet18", "r", (("optimizer.lr", 0.1),)), ("resnet18", "r", (("optimizer.lr", 0.2),)),
        ("deit_tiny", "deit", (("optimizer.lr", 0.1),)), ("deit_tiny", "deit", (("optimizer.lr", 0.2),)),
    ]  # fmt: skip


def load_rules(tables):
    from vvscale.study.spec.axes import SetRule

    return [SetRule(**table) for table in tables]


def test_master_seeds_do_not_share_runs(tmp_path: Path):
    zero = load_spec(write(tmp_path, GOOD)).runs()
    one = load_spec(write(tmp_path, GOOD), changes={"seed": 1}).runs()
    assert {run.seed for run in one} == {1000, 1001}
    assert not set(zero) & set(one)


def test_changes_reach_into_tables_and_lists(tmp_path: Path):
    changes = {"engine.workers": 3, "laws.0.resamples": 50, "axes.seed": [5], "report.title": "T"}
    spec = load_spec(write(tmp_path, GOOD), changes=changes)
    assert (spec.engine.workers, spec.laws[0].resamples, spec.report.title) == (3, 50, "T")
    assert {run.seed for run in spec.runs()} == {5}
    changed = load_spec(write(tmp_path, GOOD), changes={"axes.recipe.batch_size": 8})
    assert {run.changes for run in changed.runs()} == {(("batch_size", 8),)}
    with pytest.raises(ConfigError, match=r"`workers` is -1; expected at least 0\.$"):
        load_spec(write(tmp_path, GOOD), changes={"engine.workers": -1})
    with pytest.raises(ConfigError, match="'name' is a value and no table"):
        load_spec(write(tmp_path, GOOD), changes={"name.x": 1})
    with pytest.raises(ConfigError, match=r"Cannot set 'laws\.7': there is no entry '7' among 1, counted from 0"):
        load_spec(write(tmp_path, GOOD), changes={"laws.7": 1})


MISTAKES = {
    'name = "mine"': ('name = "my study"', "letters, digits"),
    'summary = "A test."': ('sumary = "A test."', r"Unknown key 'sumary'.*Did you mean 'summary'\?.*\(line 3\)"),
    "seed = [0, 1]": ("sed = [0, 1]", r"Unknown axis 'sed'.*Did you mean 'seed'\?.*\(line 9\)"),
    'dataset = "digits"': ("", "A run has no 'dataset'"),
    'recipe = "tiny"': ("recipe = 3", r"axis `recipe` in .axes.: Got 3 for `recipe`; expected text.*\(line 10\)"),
    "samples_per_class = [1, 10]": ("samples_per_class = []", "'samples_per_class' in .axes. has no value"),
    "samples_per_class = 1\n": ("samples_per_class = 17\n", r"\[\[exclude\]\] 1 matches no run"),
    'law = "joint"': ('loss = "hubber"', "expected one of 'huber', 'squares'"),
    "[[laws]]": ("[[lawz]]", r"Unknown key 'lawz'.*Did you mean 'laws'\?.*\(line 16\)"),
    "[axes]": ("[engine]\nworkers = -1\n[axes]", r"`workers` is -1; expected at least 0\. \(line 6\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_each_mistake_says_what_and_where(tmp_path: Path, mistake: str):
    wrong, words = MISTAKES[mistake]
    assert mistake in GOOD
    with pytest.raises(ConfigError, match=words):
        load_spec(write(tmp_path, GOOD.replace(mistake, wrong, 1)))


def test_more_mistakes(tmp_path: Path):
    with pytest.raises(ConfigError, match="Two laws are named 'accuracy'"):
        load_spec(write(tmp_path, GOOD + '\n[[laws]]\nname = "accuracy"\n'))
    with pytest.raises(ConfigError, match="Two laws are named 'accuracy', capitals or not"):
        load_spec(write(tmp_path, GOOD + '\n[[laws]]\nname = "Accuracy"\n'))
    with pytest.raises(ConfigError, match=r"has \[axes\], or \[diagnostics\]"):
        load_spec(write(tmp_path, 'name = "x"'))
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 2"):
        load_spec(write(tmp_path, 'name = "x"\n]'))
    with pytest.raises(ConfigError, match=r"'where' of \[\[set\]\] 1"):
        load_spec(write(tmp_path, GOOD + '\n[[set]]\nwhere = { archh = "a" }\nto = { recipe = "b" }\n'))
    with pytest.raises(ConfigError, match=r"\[\[set\]\] 1 matches no run"):
        load_spec(write(tmp_path, GOOD + '\n[[set]]\nwhere = { arch = "a" }\nto = { recipe = "b" }\n'))
    with pytest.raises(ConfigError, match=r"axis `seed` in .axes.: `seed` is -1; expected at least 0"):
        load_spec(write(tmp_path, GOOD.replace("[0, 1]", "[-1]")))


def test_a_study_is_found_by_its_name_where_its_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, GOOD).rename(tmp_path / "own.toml")
    monkeypatch.chdir(tmp_path)
    assert load_spec("own") == load_spec("own.toml")


def test_an_unknown_study_offers_the_nearest():
    with pytest.raises(MissingDataError, match="Did you mean 'demo'"):
        load_spec("demos")
    with pytest.raises(MissingDataError, match="no file"):
        load_spec("nowhere.toml")


def test_every_study_that_comes_along_is_sound():
    for name in ("demo", "gokce2025", "resnet-width-ecoset", "noop"):
        spec = load_spec(name)
        assert spec.name == name
        assert spec.summary
        assert spec.diagnostics or spec.runs()


def test_the_papers_study_is_its_620_core_networks(gokce2025: pd.DataFrame):
    core = select(gokce2025, **CORE).drop_duplicates("model_id")
    wanted = sorted(zip(core["arch"], core["dataset"], core["samples_per_class"], core["seed"], strict=True))
    runs = load_spec("gokce2025").runs()
    assert len(runs) == 620
    assert sorted((run.arch, run.dataset, run.samples_per_class, run.seed) for run in runs) == wanted
    assert sum(run.samples_per_class == 0 for run in runs) == 191
    epochs = {"resnet": 100, "convnext": 300, "deit": 300}
    published = {(r.arch, r.dataset, r.samples_per_class, r.seed): r.n_epochs for r in core.itertuples()}
    for run in runs:
        assert epochs[run.recipe] == published[run.arch, run.dataset, run.samples_per_class, run.seed]


def test_the_demo_is_what_it_says():
    runs = load_spec("demo").runs()
    assert 6 <= len({run.arch for run in runs}) <= 8
    assert {run.samples_per_class for run in runs} == {1, 3, 10, 30, 100}
    assert len({run.seed for run in runs}) >= 3


def test_errors_are_ours(tmp_path: Path):
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VvscaleError, match="UTF-8"):
        load_spec(path)


@pytest.mark.parametrize("name", ["..", "../..", "../../../victim", "/tmp/victim", "a/b", "", ".hidden"])
def test_a_law_is_not_named_like_a_path(tmp_path: Path, name: str):
    path = tmp_path / "s.toml"
    path.write_text(f'name = "s"\n[axes]\narch = "a"\ndataset = "d"\nrecipe = "r"\n[[laws]]\nname = "{name}"\n')
    with pytest.raises(UsageError, match="The law"):
        load_spec(path)


def test_heads_of_networks_for_small_images_count_with_their_own_classes():
    from vvscale.study.spec.resolve import DatasetInfo, setting

    run = expand_runs({"arch": "a", "dataset": "digits", "recipe": "tiny"})[0]
    assert setting("a", run, DatasetInfo("d", 10, 100, side=8)) == ("a", 8, 10)
    # Of photographs all heads count as 1000 classes, and the recipe says their size.
    assert setting("a", run, DatasetInfo("d", 10, 100)) == ("a", None, None)
