"""Benchmarks by name, by region, from a file and from another package."""

import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from vvscale.brain import benchmark_ids, list_benchmarks, load_benchmark, resolve_benchmarks
from vvscale.brain.benchmarks.public import PUBLIC
from vvscale.brain.catalogue import ALIASES, SETS
from vvscale.errors import DataError, MissingDataError, UnknownNameError, UsageError

spec = importlib.util.spec_from_file_location("brain_files", Path(__file__).parent / "brain_files.py")
brain_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brain_files)

OWN = """
from vvscale.brain import simulate
from vvscale.errors import DataError

FIRST = simulate(images_per_object=3, n_repetitions=3).benchmark("V1")
SECOND = simulate(images_per_object=3, n_repetitions=3).benchmark("behavior")
_HIDDEN = FIRST
NOTHING = 3


def later():
    return FIRST


def broken():
    return FIRST.stimuli.table.loc["nowhere"]


def refused():
    raise DataError("The rig was off.")
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_names_regions_and_words_resolve_in_order_each_once():
    v1 = "FreemanZiemba2013public.V1-pls"
    assert benchmark_ids("V1") == [v1]
    assert benchmark_ids(["behavior", v1, "V1"]) == ["Rajalingham2018public-i2n", v1]
    assert benchmark_ids("public") == list(PUBLIC)
    assert benchmark_ids("simulated") == [
        f"simulated.{name}" for name in ("V1-pls", "V2-pls", "V4-pls", "IT-pls", "behavior-i2n")
    ]
    assert benchmark_ids("simulated-digits") == [
        name.replace("simulated", "simulated-digits") for name in SETS["simulated"]
    ]
    assert [one.benchmark_id for one in list_benchmarks()][:15] == [
        *PUBLIC, *SETS["simulated"], *SETS["simulated-digits"]
    ]  # fmt: skip


def test_names_of_the_reference_and_of_the_published_tables_are_known():
    assert benchmark_ids("MajajHong2015.IT.public-pls") == ["MajajHong2015public.IT-pls"]
    assert benchmark_ids("dicarlo.Rajalingham2018public-i2n") == ["Rajalingham2018public-i2n"]
    assert benchmark_ids("movshon.FreemanZiemba2013public.V2-pls") == ["FreemanZiemba2013public.V2-pls"]
    assert "Rajalingham2018-i2n" not in ALIASES, "the reference calls its private benchmark so too"


def test_published_score_tables_name_benchmarks_that_are_known(gokce2025):
    assert set(map(tuple, map(benchmark_ids, gokce2025["benchmark_id"].unique()))) == {(name,) for name in PUBLIC}


@pytest.mark.parametrize("name", ["v1", "simulatd", "MajajHong2015public.IT-pl"])
def test_an_unknown_name_offers_the_nearest(name):
    with pytest.raises(UnknownNameError, match=r"Unknown benchmark .* Did you mean .*vvscale ls benchmarks"):
        resolve_benchmarks([name])


def test_one_is_loaded_by_any_word_for_it_and_never_one_of_several():
    assert load_benchmark("simulated-i2n").benchmark_id == "simulated.behavior-i2n"
    assert load_benchmark("simulated-digits-i2n").benchmark_id == "simulated-digits.behavior-i2n"
    with pytest.raises(UsageError, match="'simulated' stands for 5 benchmarks; name one"):
        load_benchmark("simulated")


@pytest.mark.parametrize("name", ["simulated", "simulated-digits"])
def test_simulated_benchmarks_are_what_their_listing_says(name):
    listed = {one.benchmark_id: one for one in list_benchmarks()}
    for benchmark in resolve_benchmarks(name):
        info = listed[benchmark.benchmark_id]
        is_neural = benchmark.region != "behavior"
        n_targets = len(benchmark.assembly.neuroid_id) if is_neural else len(benchmark.trials.objects)
        assert (info.region, info.n_images, info.n_targets) == (benchmark.region, len(benchmark.stimuli), n_targets)
        assert (info.formula, info.is_simulated, info.state) == (benchmark.formula, True, "made")
        assert info.metric == ("pls" if is_neural else benchmark.metric)
        assert load_benchmark(benchmark.benchmark_id) is benchmark, "made once per process"


def test_listing_says_what_is_cached_and_loads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path))
    assert {one.state for one in list_benchmarks() if not one.is_simulated} == {"absent"}
    folder = tmp_path / "brainscore"
    folder.mkdir()
    for file in PUBLIC["MajajHong2015public.IT-pls"].files():
        (folder / file.name).write_bytes(b"")
    cached = {one.benchmark_id for one in list_benchmarks() if one.state == "cached"}
    assert cached == {"MajajHong2015public.IT-pls", "MajajHong2015public.V4-pls"}


def test_one_place_chooses_the_formula():
    old = resolve_benchmarks("simulated", formula="(r/c)^2")
    assert [one.formula for one in old] == ["(r/c)^2"] * 4 + ["r/sqrt(c)"]
    assert [one.formula for one in resolve_benchmarks("simulated")] == ["r^2/c"] * 4 + ["r/sqrt(c)"]
    with pytest.raises(UnknownNameError, match="Unknown formula 'c/r'"):
        load_benchmark("simulated.V1-pls", formula="c/r")


def test_both_formulas_differ_by_the_ceiling():
    new = load_benchmark("simulated.V4-pls")
    old = load_benchmark("simulated.V4-pls", formula="(r/c)^2")
    features = new.stimuli.pixels.reshape(len(new.stimuli), -1)[:, ::40]
    scores = [one.score(features, resamples=1).score for one in (new, old)]
    assert scores[0].raw_score == scores[1].raw_score
    assert scores[0].score == pytest.approx(scores[1].score * new.noise_ceiling, rel=1e-12)


def test_an_own_file_gives_its_benchmarks(own):
    assert benchmark_ids(str(own)) == [f"{own}:FIRST", f"{own}:SECOND"]
    assert [one.region for one in resolve_benchmarks([str(own)])] == ["V1", "behavior"]
    first = load_benchmark(f"{own}:FIRST")
    assert load_benchmark(f"{own}:simulated.V1-pls") is first, "found by its own name too"
    assert load_benchmark(f"{own}:later") is first, "and the file is run once"
    assert pickle.loads(pickle.dumps(first)).data_digest() == first.data_digest()


def test_an_edited_file_is_run_again(own):
    load_benchmark(f"{own}:FIRST")
    own.write_text(OWN + "\nTHIRD = FIRST\n")
    assert f"{own}:THIRD" in benchmark_ids(str(own))


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("own.py:FRIST", UnknownNameError, r"Unknown benchmark of .*own\.py 'FRIST'. Did you mean 'FIRST'"),
        ("own.py:NOTHING", UsageError, "'NOTHING' in .* gives a int; expected a NeuralBenchmark"),
        ("own.py:broken", UsageError, "'broken' in .* failed in line 16: KeyError: 'nowhere'"),
        ("own.py:refused", DataError, r"The rig was off\."),
        ("own.py", UsageError, "stands for 2 benchmarks; name one: .*FIRST, .*SECOND"),
        ("none.py:X", MissingDataError, "Cannot read the benchmark file .*none.py"),
    ],
)
def test_a_fault_of_an_own_file_is_named(own, name, kind, match):
    with pytest.raises(kind, match=match):
        load_benchmark(str(own.parent / name))


def test_a_file_without_benchmarks_or_with_an_error_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match=r"empty\.py' defines no benchmark"):
        resolve_benchmarks(str(tmp_path / "empty.py"))
    (tmp_path / "wrong.py").write_text("x = 1\ny = x +\n")
    with pytest.raises(UsageError, match=r"wrong\.py' failed in line 2: SyntaxError"):
        resolve_benchmarks(str(tmp_path / "wrong.py"))


def test_an_installed_package_adds_its_own(tmp_path, own):
    own.rename(tmp_path / "lab_benchmarks.py")
    described = tmp_path / "lab-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (described / "entry_points.txt").write_text(
        "[vvscale.benchmark]\nLab2026.V1-pls = lab_benchmarks:FIRST\nLab2026-i2n = lab_benchmarks:SECOND\n"
        "Lab2026.late = lab_benchmarks:later\nLab2026.no = lab_benchmarks:NOTHING\n"
    )
    code = (
        "from vvscale.brain import list_benchmarks, load_benchmark\n"
        "listed = {one.benchmark_id: one for one in list_benchmarks()}\n"
        "one, other = listed['Lab2026.V1-pls'], listed['Lab2026-i2n']\n"
        "assert (one.region, one.n_images, one.n_targets) == ('V1', 24, 60)\n"
        "assert (one.metric, one.state) == ('pls', 'installed')\n"
        "assert (other.region, other.n_targets, other.metric) == ('behavior', 8, 'i2n')\n"
        "assert listed['Lab2026.late'].region is None\n"
        "assert load_benchmark('Lab2026.V1-pls').region == load_benchmark('Lab2026.late').region == 'V1'\n"
        "load_benchmark('Lab2026.no')"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "UsageError: The entry point 'Lab2026.no' of the group 'vvscale.benchmark' gives a int" in done.stderr


def test_a_prepared_file_without_a_region_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"'x\.h5:' names no region"):
        load_benchmark("x.h5:")
