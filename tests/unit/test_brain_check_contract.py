"""Each requirement of the contract has a benchmark that breaks it, and only it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.brain import PLS, Trials, check_benchmark, resolve_benchmarks, simulate

DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmark-contract.md"


@pytest.fixture(scope="module")
def stream():
    return simulate(images_per_object=10, n_repetitions=6, n_neuroids=30)


def failed(benchmark):
    report = check_benchmark(benchmark)
    assert report.is_met == (not report.failed)
    assert all(one.fix for one in report.failed)
    assert all(not one.fix for one in report.requirements if one.is_met)
    return {one.name: f"{one.found} | {one.fix}" for one in report.failed}


@pytest.mark.parametrize("number", range(5))
def test_the_simulated_ones_meet_it(number):
    assert failed(resolve_benchmarks("simulated")[number]) == {}


def with_stimuli(benchmark, **changes):
    return replace(benchmark, stimuli=replace(benchmark.stimuli, **changes))


def with_assembly(benchmark, **changes):
    return replace(benchmark, assembly=replace(benchmark.assembly, **changes))


def relabelled(benchmark, change):
    """Change stimulus_id everywhere."""
    table = benchmark.stimuli.table.set_axis([change(name) for name in benchmark.stimuli.table.index], axis=0)
    names = np.array([change(name) for name in benchmark.assembly.stimulus_id], dtype=object)
    stimuli = replace(benchmark.stimuli, table=table)
    return replace(benchmark, stimuli=stimuli, assembly=replace(benchmark.assembly, stimulus_id=names))


def twice_the_same(benchmark):
    pixels = benchmark.stimuli.pixels.copy()
    pixels[7] = pixels[3]
    return with_stimuli(benchmark, pixels=pixels)


def shuffled_labels(benchmark):
    """Responses that belong to other images at each repetition: nothing agrees with itself."""
    order = np.random.default_rng(1).permutation(len(benchmark.assembly.responses))
    return with_assembly(benchmark, responses=benchmark.assembly.responses[order])


def dead(benchmark):
    responses = benchmark.assembly.responses.copy()
    responses[:, 4] = 1.0
    return with_assembly(benchmark, responses=responses)


def once(benchmark):
    rows = benchmark.assembly.repetition == 0
    keys = ("responses", "stimulus_id", "repetition")
    return with_assembly(benchmark, **{key: getattr(benchmark.assembly, key)[rows] for key in keys})


def one_of_a_kind(benchmark):
    names = benchmark.stimuli.labels("object_name").to_numpy().copy()
    names[0] = "alone"
    return with_stimuli(benchmark, table=benchmark.stimuli.table.assign(object_name=names))


def unlabelled(benchmark):
    names = benchmark.stimuli.labels("object_name").to_numpy(dtype=object).copy()
    names[5] = None
    return with_stimuli(benchmark, table=benchmark.stimuli.table.assign(object_name=names))


@pytest.mark.parametrize(
    ("change", "names", "text"),
    [
        (lambda one: replace(one, benchmark_id="my benchmark"), {"a name"}, "'my benchmark' .*without spaces"),
        (lambda one: replace(one, benchmark_id=""), {"a name"}, "''"),
        (lambda one: replace(one, version="1"), {"a whole version"}, "'1' .*whole number"),
        (lambda one: replace(one, version=True), {"a whole version"}, "True"),
        (lambda one: replace(one, version=0), {"a whole version"}, "0"),
        (lambda one: with_assembly(one, region="v1"), {"a region"}, "'v1' .*one of V1, V2, V4, IT, behavior"),
        (lambda one: with_stimuli(one, degrees=0.0), {"a visual angle"}, "0 degrees"),
        (lambda one: with_stimuli(one, degrees=float("nan")), {"a visual angle"}, "nan degrees"),
        (
            lambda one: relabelled(one, lambda name: int(name[-3:])),
            {"labels that are text"},
            "Make every stimulus_id text",
        ),
        (twice_the_same, {"readable images, each once"}, "'simulated00003' and 'simulated00007' are the same image"),
        (dead, {"responses that differ"}, "1 of 30 neuroids never change, first 'V1-004'"),
        (
            once,
            {"repetitions", "a ceiling above noise"},
            "1 repetitions",
        ),
        (
            one_of_a_kind,
            {"splits", "recordings predict themselves", "shuffled recordings predict nothing"},
            "'alone' has only one image",
        ),
        (
            unlabelled,
            {"splits", "recordings predict themselves", "shuffled recordings predict nothing"},
            "'simulated00005' of 'simulated.V1-pls' has no label 'object_name'",
        ),
        (
            lambda one: replace(one, stratify_by="texture"),
            {"splits", "recordings predict themselves", "shuffled recordings predict nothing"},
            "no label 'texture'",
        ),
        (lambda one: replace(one, metric=PLS(72)), {"splits"}, "fewer components"),
    ],
)
def test_what_breaks_it_is_named_with_its_fix(stream, change, names, text):
    found = failed(change(stream.benchmark("V1")))
    assert set(found) == names
    assert re.search(text, next(iter(found.values())))


def test_responses_without_order_have_no_ceiling(stream):
    found = failed(shuffled_labels(stream.benchmark("V1")))
    assert "a ceiling above noise" in found
    assert "carry its stimulus_id" in found["a ceiling above noise"]


def test_the_same_images_under_two_names_are_seen(stream):
    benchmark = stream.benchmark("V1")
    pixels = np.repeat(benchmark.stimuli.pixels[:1], len(benchmark.stimuli), axis=0)
    assert "are the same image" in failed(with_stimuli(benchmark, pixels=pixels))["readable images, each once"]


def test_an_image_that_cannot_be_read_is_named(stream, tmp_path):
    benchmark = stream.benchmark("IT")
    paths = tuple(tmp_path / f"{name}.png" for name in benchmark.stimuli.stimulus_id)
    found = failed(with_stimuli(benchmark, pixels=None, paths=paths))
    assert set(found) == {"readable images, each once"}
    assert "'simulated00000' of 'simulated' is not there" in found["readable images, each once"]


def trials_table(trials):
    return pd.DataFrame(
        {
            "stimulus_id": trials.stimulus_id[trials.image],
            "sample_obj": trials.objects[trials.sample],
            "dist_obj": trials.objects[trials.distractor],
            "choice": trials.objects[trials.choice],
        }
    )


def test_behaviour_without_agreement_is_named(stream):
    benchmark = stream.benchmark("behavior")
    table = trials_table(benchmark.trials)
    chance = np.random.default_rng(0).random(len(table)) < 0.5
    by_chance = table.assign(choice=np.where(chance, table["sample_obj"], table["dist_obj"]))
    found = failed(replace(benchmark, trials=Trials.from_table(by_chance)))
    assert "a ceiling above noise" in found
    few = table.drop_duplicates("stimulus_id")
    found = failed(replace(benchmark, trials=Trials.from_table(few)))
    assert "has no trial in one half" in found["a ceiling above noise"]


def test_labels_that_are_not_those_of_the_trials_are_named(stream):
    benchmark = stream.benchmark("behavior")
    names = benchmark.stimuli.labels("object_name").str.upper()
    found = failed(with_stimuli(benchmark, table=benchmark.stimuli.table.assign(object_name=names)))
    assert set(found) == {"labels agree with the trials"}
    assert re.search(r"labelled 'OBJECT00' and shows 'object00' .*\(80 such\)", found["labels agree with the trials"])


def test_a_report_is_a_value(stream):
    report = check_benchmark(replace(stream.benchmark("V1"), version=0))
    table, plain = report.table(), report.to_dict()
    assert list(table) == ["name", "is_met", "found", "fix"]
    assert len(table) == len(plain["requirements"]) == 12
    assert plain["is_met"] is False
    assert plain["requirements"][1] == {
        "name": "a whole version",
        "is_met": False,
        "found": "0",
        "fix": report.failed[0].fix,
    }


def test_the_document_names_every_requirement(stream):
    asked = DOCS.read_text().split("## What `vvscale check` asks")[1].split("## ")[0]
    names = {
        one.name for region in ("V1", "behavior") for one in check_benchmark(stream.benchmark(region)).requirements
    }
    for name in names:
        assert name.split(",")[0].replace("choices", "recordings") in asked
