"""From a resolved study to tasks: who needs whom, what a change redoes, what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vvscale.errors import ConfigError, MissingDataError, UsageError, VvscaleError
from vvscale.study.build import build_graph, diagnostic_graph, run_cost
from vvscale.study.estimate import Rates, plan_study, plan_tables, simulate
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.prepare import locate_study, prepare_study
from vvscale.study.spec.resolve import DatasetInfo, Resolved, benchmark_digests, resolve
from vvscale.study.spec.schema import DiagnosticsSpec, load_spec, write_template
from vvscale.study.spec.workers import EngineSpec
from vvscale.study.survey import list_studies
from vvscale.train import load_recipe

RATES = Rates("test", flop_per_second=1e9, images_per_second=1e6)
SPEC = """
name = "mine"
[axes]
arch = ["small", "large"]
dataset = ["digits", "far"]
samples_per_class = [0, 10]
seed = [0, 1]
recipe = "tiny"
[datasets.far]
n_classes = 100
n_images = 5000
[score]
layers = "select"
models = ["timm:resnet18"]
[[laws]]
name = "compute"
[[laws]]
name = "joint"
law = "joint"
"""


@contextmanager
def fakes(*, far: bool = True, **changes) -> Iterator[None]:
    """What names stand for, in place of what is installed."""
    usual = {"batch_size": 10, "batches_per_epoch": None, "fits_batch": False, "schedule.epochs": 5}
    bare = load_recipe("tiny", usual).to_dict()

    def dataset(name: str) -> DatasetInfo:
        if name == "far" and not far:
            raise MissingDataError("No data set 'far'.")
        return DatasetInfo(changes.get(name, f"digest of {name}"), 10 if name == "digits" else 100, 1000, 8)

    def benchmarks(names: tuple[str, ...]) -> list[dict[str, str]]:
        if "benchmarks" in changes and changes["benchmarks"] is None:
            raise MissingDataError("Not downloaded.")
        return [{"id": name, "digest": changes.get("benchmarks", "b")} for name in names]

    found = {
        "recipe_settings": lambda name, more: {**bare, **more, **changes.get("recipe", {})},
        "read_dataset": dataset,
        "benchmark_digests": benchmarks,
        "network_cost": lambda arch, *_: {"n_params": 100.0, "forward_flop": 1e3 if arch == "small" else 1e4},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, fake in found.items():
            patch.setattr(f"vvscale.study.spec.resolve.{name}", fake)
        yield


def spec(folder: Path, text: str = SPEC):
    path = folder / "mine.toml"
    path.write_text(text)
    return load_spec(path)


def resolved(folder: Path, text: str = SPEC, **changes) -> Resolved:
    with fakes(**changes):
        return resolve(spec(folder, text))


def graph(folder: Path, text: str = SPEC, **changes):
    with fakes(**changes):
        return build_graph(resolve(spec(folder, text)), RATES)


def ids(made, kind: str) -> set[str]:
    return {task.id for task in made.tasks if task.kind == kind}


def test_who_needs_whom(tmp_path: Path):
    made = graph(tmp_path)
    assert {kind: len(ids(made, kind)) for kind in made.kinds} == {
        "train": 16, "layers": 4, "score": 17, "table": 1, "fit": 2, "report": 1
    }  # fmt: skip
    for task in made.tasks:
        roles = {role: [made[one].kind for one in ([ids] if isinstance(ids, str) else ids)] for role, ids in
                 task.inputs.items()}  # fmt: skip
        if task.kind == "score" and "model" not in task.params:
            assert roles == {"train": ["train"], "layers": ["layers"]}
            train, layers = made[task.inputs["train"]], made[task.inputs["layers"]]
            reference = made[layers.inputs["train"]]
            assert (train.params["run"]["model"], train.params["dataset"]) == (
                reference.params["run"]["model"], reference.params["dataset"]
            )  # fmt: skip
            assert (reference.params["run"]["samples_per_class"], reference.params["run"]["seed"]) == (0, 0)
        elif task.kind == "table":
            assert roles == {"scores": ["score"] * 17}
        elif task.kind == "fit":
            assert roles == {"table": ["table"]}
        elif task.kind == "report":
            assert roles == {"table": ["table"], "fits": ["fit", "fit"], "forecasts": []}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"digits": "other images"}, {"train": 8, "layers": 2, "score": 9, "table": 0, "fit": 0, "report": 0}),
        ({"benchmarks": "other recordings"}, {"train": 16, "layers": 0, "score": 0, "table": 0, "fit": 0, "report": 0}),
        ({"recipe": {"batch_size": 11}}, {"train": 0, "layers": 0, "score": 1, "table": 0, "fit": 0, "report": 0}),
    ],
)
def test_a_changed_input_redoes_exactly_what_depends_on_it(tmp_path: Path, change: dict, kept: dict):
    before, after = graph(tmp_path), graph(tmp_path, **change)
    assert {kind: len(ids(before, kind) & ids(after, kind)) for kind in before.kinds} == kept


def test_a_changed_law_redoes_only_itself(tmp_path: Path):
    before, after = graph(tmp_path), graph(tmp_path, SPEC + "resamples = 10\n")
    changed = {task.label for task in after.tasks} - {task.label for task in after.tasks if task.id in before.index}
    assert changed == {"law joint", "report"}


def test_figures_come_before_the_report(tmp_path: Path):
    made = graph(tmp_path, SPEC + '[report]\nfigures = ["accuracy"]\n')
    (figures,) = (task for task in made.tasks if task.kind == "figures")
    (report,) = (task for task in made.tasks if task.kind == "report")
    assert set(figures.inputs) == {"table"}
    assert report.inputs["figures"] == figures.id


def test_another_machine_makes_no_difference(tmp_path: Path):
    more = '\n[engine]\nkind = "slurm"\nworkers = 99\n'
    before, after = graph(tmp_path), graph(tmp_path, SPEC + more)
    assert before.digest == after.digest
    one, two = (resolved(tmp_path, text).to_dict() for text in (SPEC, SPEC + more))
    assert one["digest"] == two["digest"]
    three = resolved(tmp_path, benchmarks="other").to_dict()
    assert three["digest"] != one["digest"]


def test_a_reference_that_does_not_exist_is_named(tmp_path: Path):
    text = SPEC.replace("[score]", "[score]\nreference = { samples_per_class = 77 }")
    with pytest.raises(ConfigError, match="No run of small on digits is the reference"):
        graph(tmp_path, text)


def test_what_a_run_costs(tmp_path: Path):
    made = resolved(tmp_path)
    full = next(run for run in made.runs if (run.arch, run.dataset, run.samples_per_class) == ("large", "far", 0))
    few = dataclasses.replace(full, dataset="digits", samples_per_class=10)
    with fakes():
        assert run_cost(made, full) == {
            "samples_seen": 5000.0, "n_epochs": 5.0, "n_params": 100.0, "train_flop": 3 * 1e4 * 5000, "n_kept": 2.0
        }  # fmt: skip
        assert run_cost(made, few)["samples_seen"] == 5 * 10 * 10


def test_runs_of_a_fixed_number_of_steps_cost_their_steps(tmp_path: Path):
    made = resolved(tmp_path, recipe={"schedule": {"steps": 7}})
    with fakes():
        cost = run_cost(made, made.runs[0])
    assert (cost["samples_seen"], cost["n_epochs"]) == (70.0, 1.0)


def test_a_plan_counts_what_its_trainings_will_say(tmp_path: Path):
    """Passes of objectives that look at an image more than once, and images that no batch takes."""
    for name in ("tiny", "simclr", "dino", "pgd-l2"):
        recipe = load_recipe(name).to_dict()
        made = resolved(tmp_path, recipe=recipe)
        run = next(one for one in made.runs if one.samples_per_class == 0)
        with fakes():
            cost = run_cost(made, run)
        n_images = made.datasets[run.dataset].n_images
        recipe = load_recipe(name)
        length = recipe.length(n_images)
        assert cost["samples_seen"] == length.samples_seen
        flop = 3 * recipe.passes_per_image * length.samples_seen
        assert cost["train_flop"] / flop == pytest.approx({"small": 1e3, "large": 1e4}[run.arch])
    dropped = load_recipe("tiny", {"drop_last": True, "batch_size": 64, "batches_per_epoch": None})
    assert dropped.length(100).samples_seen == 64 * dropped.length(100).n_epochs


def test_a_study_can_be_planned_where_its_images_are_not(tmp_path: Path):
    spec(tmp_path)
    with fakes(far=False):
        ready = prepare_study(tmp_path / "mine.toml", out=tmp_path / "out")
    assert len(ready.graph) == 41
    assert ready.absent == ["the data set 'far': No data set 'far'."]
    with pytest.raises(MissingDataError, match="cannot run here: the data set 'far'"):
        ready.write()
    assert not (tmp_path / "out").exists()
    without = SPEC.replace("n_images = 5000", "")
    with pytest.raises(ConfigError, match=r"give n_classes and n_images in \[datasets.far\]"):
        resolved(tmp_path, without, far=False)


def test_a_study_can_be_planned_where_its_benchmarks_are_not(tmp_path: Path):
    spec(tmp_path)
    with fakes(benchmarks=None):
        ready = prepare_study(tmp_path / "mine.toml", out=tmp_path / "out")
    assert len(ready.graph) == 41
    assert ready.absent == ["the benchmarks simulated: Not downloaded."]
    with pytest.raises(MissingDataError, match="cannot run here"):
        ready.write()


def test_the_plan_adds_up(tmp_path: Path):
    made = graph(tmp_path)
    plan = plan_study(made, EngineSpec(workers=4), out=tmp_path / "nowhere")
    train = next(stage for stage in plan.stages if stage["stage"] == "train")
    far = 2 * 3 * (1e3 + 1e4) * (5 * 1000 + 5 * 1000)
    digits = 2 * 3 * (1e3 + 1e4) * (5 * 1000 + 5 * 100)
    assert train["flop"] == pytest.approx(far + digits)
    total = sum(task.seconds for task in made.tasks)
    assert plan.schedule.busy_seconds == pytest.approx(total)
    assert plan.schedule.longest_chain <= plan.schedule.seconds <= total
    assert plan.schedule.seconds >= total / 4
    assert plan.limits[0]["load"] == max(one["load"] for one in plan.limits)
    assert [title for title, frame in plan_tables(plan) if len(frame)] == [
        "What it costs", "What breaks first (load above 100 %)"
    ]  # fmt: skip


def test_what_is_finished_costs_nothing(tmp_path: Path):
    made = graph(tmp_path)
    done = [task.id for task in made.tasks if task.kind in {"train", "layers"}]
    plan = plan_study(made, EngineSpec(workers=4), out=tmp_path, done=done)
    assert {stage["stage"]: stage["n"] for stage in plan.stages}["train"] == 0
    assert simulate(made, 1, done=[task.id for task in made.tasks]).seconds == 0


def test_more_workers_never_take_longer_and_one_takes_the_sum(tmp_path: Path):
    made = graph(tmp_path)
    times = [simulate(made, n).seconds for n in (1, 2, 3, 5, 100)]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(sum(task.seconds for task in made.tasks))
    assert times[-1] == pytest.approx(simulate(made, 100).longest_chain)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes.samples_per_class": 1, "axes.recipe": "resnet"}, "batch of .* is larger than the 10 images of the run"),
        ({"score.epochs": [3]}, "after epoch 3, which the run 'resnetflex-w3-d1-1-1 digits .* tiny' does not keep"),
        ({"axes.recipe.optimizer.lrr": 1.0}, "lrr"),
        ({"axes.dataset": "nowhere"}, "The data set 'nowhere' is not here"),
        ({"axes.arch": "resnt18"}, "Did you mean 'resnet18'"),
        ({"laws.1.x": ["n_parms"]}, "Did you mean 'n_params'"),
        ({"report.figures": ["acuracy"]}, "accuracy"),
        ({"engine.groups": [{"name": "large", "where": {"arch": "vit*"}}]}, r"groups\]\] 'large' matches no run"),
        ({"forecast.law": "IT"}, r"\[forecast\] goes by the law 'IT'"),
    ],
)  # fmt: skip
def test_what_must_fail_after_training_is_refused_by_the_plan(tmp_path: Path, change: dict, words: str):
    changes = {key: value for key, value in change.items() if not key.startswith("axes.recipe.")}
    recipe = {key.removeprefix("axes."): value for key, value in change.items() if key.startswith("axes.recipe.")}
    path = tmp_path / "s.toml"
    text = (Path(__file__).parents[2] / "studies" / "demo.toml").read_text()
    for key, value in recipe.items():
        text = text.replace('recipe = "tiny"', f'recipe = "tiny"\n"{key}" = {value}')
    path.write_text(text)
    with pytest.raises(VvscaleError, match=words):
        prepare_study(path, changes=changes)


NETS = """
from torch import nn
small = nn.Sequential(nn.Conv2d(3, 4, 3))
"""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("timm:resnt18", "timm has no 'resnt18'"),
        ("torchvision:resnet18.IMAGENET2K_V1", "torchvision has no"),
        ("untrained:resnt18", "Did you mean 'resnet18'"),
        ("untrained:resnet18@one", "The seed in 'untrained:resnet18@one' is 'one'"),
        ("resnt18", "Did you mean 'resnet18'"),
        ("gokce2025:resnet18_imagenet_ful", "Did you mean 'resnet18_imagenet_full'"),
        ("gokce2025:resnet18_imagenet_full@last", "expected a whole number"),
        ("{nets}:smal", "Did you mean 'small'"),
        ("{broken}:small", "failed in line 4: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_further_model_that_nothing_is_called_is_refused_by_the_plan(tmp_path: Path, model: str, words: str):
    for name, code in (("nets", NETS), ("broken", NETS + "1 / 0\n")):
        (tmp_path / f"{name}.py").write_text(code)
    model = model.format(nets=tmp_path / "nets.py", broken=tmp_path / "broken.py")
    with pytest.raises(VvscaleError, match=words) as found:
        prepare_study("demo", out=tmp_path / "out", changes={"score.models": ["resnet18", model]})
    assert f"`models` of [score] names '{model}'" in str(found.value)


def test_a_further_model_that_is_not_here_can_be_planned_and_not_run(tmp_path: Path):
    (tmp_path / "nets.py").write_text(NETS)
    here = f"{tmp_path / 'nets.py'}:small"
    assert not prepare_study("demo", out=tmp_path / "out", changes={"score.models": [here]}).absent
    for absent in (f"{tmp_path}/none.safetensors", f"{tmp_path}/none.py:small", str(tmp_path)):
        ready = prepare_study("demo", out=tmp_path / "out", changes={"score.models": [here, absent]})
        assert len(ready.absent) == 1
        assert ready.absent[0].startswith(f"the model '{absent}'")
        with pytest.raises(MissingDataError, match="cannot run here: the model"):
            ready.write()


def test_a_run_is_named_by_all_that_tells_it_from_others(tmp_path: Path):
    axes = 'recipe = ["tiny", "resnet"]\n"recipe.lr" = [1, 2]\nimage_size = 8'
    made = spec(tmp_path, SPEC.replace('recipe = "tiny"', axes))
    labels = [run.label for run in made.runs()]
    assert len(set(labels)) == len(labels) == 64
    assert labels[0] == "small digits full seed 0 tiny lr=1 image_size=8"


def test_the_template_is_a_study(tmp_path: Path):
    path = write_template("mine", tmp_path)
    assert load_spec(path).name == "mine"
    with pytest.raises(UsageError, match="There is a file"):
        write_template("mine", tmp_path)


def test_one_s_own_studies_are_listed_and_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    graph = diagnostic_graph(DiagnosticsSpec(chains=2))
    StudyFolder(tmp_path / "out" / "own").write_plan({"name": "own", "digest": "d"}, graph)
    (tmp_path / "out" / "broken").mkdir()
    (tmp_path / "out" / "broken" / "spec.json").write_text("{")
    rows = {row["study"]: row for row in list_studies()}
    assert rows["own"]["state"] == "0 of 5 tasks done"
    assert "is damaged" in rows["broken"]["state"]
    assert rows["demo"]["summary"].startswith("Narrow ResNets")
    assert locate_study("own").path == tmp_path / "out" / "own"


def test_a_changed_file_of_ones_own_redoes_what_it_made_and_a_comment_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text("import helper\nsmall = helper.WIDTH\n")
    Path("helper.py").write_text("WIDTH = 1\n")
    Path("more.py").write_text("large = 2\n")
    text = SPEC.replace('"small", "large"', '"nets.py:small", "more.py:large"').replace(
        "timm:resnet18", "more.py:large"
    )
    before = graph(tmp_path, text)
    Path("helper.py").write_text("# why\nWIDTH  =  1\n")
    assert graph(tmp_path, text).digest == before.digest
    Path("helper.py").write_text("WIDTH = 3\n")
    after = graph(tmp_path, text)
    redone = {task.label.split()[0] for task in after.tasks if task.id not in before.index and task.kind == "train"}
    kept = {task.label.split()[0] for task in after.tasks if task.id in before.index}
    assert redone == {"nets.py:small"}
    assert kept == {"more.py:large", "layers"}


def test_a_benchmark_of_ones_own_is_named_by_what_loads_it(tmp_path: Path):
    from vvscale.brain.catalogue import load_benchmark

    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import replace\nfrom vvscale.brain import load_benchmark\n"
        'MINE = replace(load_benchmark("simulated.IT-pls"), benchmark_id="lab.IT-pls")\n'
    )
    for one in benchmark_digests((f"{path}:MINE", "simulated.V1-pls")):
        assert load_benchmark(one["id"]).data_digest() == one["digest"]
