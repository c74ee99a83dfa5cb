"""The verbs about benchmarks: check, fetch benchmarks, ls benchmarks, and what the cache says of them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import MappingProxyType

import pytest

from vvscale.brain.benchmarks import public

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("brain_files", ROOT / "tests" / "unit" / "brain_files.py")
brain_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brain_files)

DOCUMENT = (ROOT / "docs" / "benchmark-contract.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL).group(1)


@pytest.fixture
def hosted(tmp_path, monkeypatch):
    """Put small files in the place of the public ones, in a mirror, and return the mirror's folder."""
    folder = brain_files.mirror_folder(tmp_path / "mirror")
    brain_files.textures(folder, n=60)
    brain_files.objects(folder)
    brain_files.choices(folder)
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(public, "FILES", MappingProxyType(brain_files.catalogue(folder)))
    return folder


def test_check_says_what_was_found_and_what_next(run):
    done = run("check", "simulated.IT-pls", "simulated.behavior-i2n")
    assert (done.code, done.err) == (0, "")
    assert "recordings predict themselves" in done.out
    assert "choices predict themselves" in done.out
    assert "320 images" in done.out
    assert "Next: vvscale score MODEL --on simulated.IT-pls" in done.out


def test_check_of_the_stream_of_digits(run):
    done = run("check", "simulated-digits", "--json")
    report = done.json["benchmarks"]
    assert (done.code, len(report)) == (0, 5)
    assert all(one["is_met"] for one in report)
    assert report[0]["benchmark_id"] == "simulated-digits.V1-pls"


def test_check_of_the_documents_example(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(EXAMPLE)
    commands = re.findall(r"^    vvscale (check .*)$", DOCUMENT, flags=re.MULTILINE)
    assert commands == ["check mine.py:MINE"]
    assert run(*commands[0].split()).code == 0
    report = run("check", "mine.py", "--json").json["benchmarks"]
    assert [(one["benchmark_id"], one["is_met"]) for one in report] == [("Lab2026.IT-pls", True)]


def test_check_names_every_requirement_that_fails(run, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(EXAMPLE.replace('region="IT"', 'region="it"').replace('-pls", 1,', '-pls", 0,'))
    done = run("check", path)
    assert done.code == 3
    assert "Fix 'a whole version': Set version to a whole number" in done.out
    assert "Fix 'a region': Set the region" in done.out
    assert "2 of 12 requirements are not met: Lab2026.IT-pls: a whole version (0); Lab2026.IT-pls: a region" in done.err
    assert "Next: vvscale score" not in done.out
    as_json = run("check", path, "--json")
    assert as_json.code == 3
    failed = [one for one in as_json.json["benchmarks"][0]["requirements"] if not one["is_met"]]
    assert [one["name"] for one in failed] == ["a whole version", "a region"]
    assert all(one["fix"] for one in failed)


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["check"], 2, "Nothing to check"),
        (["check", "simulatd"], 2, "Did you mean 'simulated'"),
        (["check", "none.py:X"], 3, "Cannot read the benchmark file 'none.py'"),
        (["fetch", "benchmarks", "V3"], 2, "Unknown benchmark 'V3'"),
        (["check", "simulated-digit"], 2, "Did you mean 'simulated-digits'"),
        (["fetch", "benchmarks", "simulated"], 2, "'simulated.V1-pls' has no files to fetch"),
        (["fetch", "scores", "V1"], 2, "'scores' is fetched whole"),
        (["ls", "benchmarks", "--where", "region=V1"], 2, "--where selects rows of scores or models"),
    ],
)
def test_requests_that_cannot_be(run, argv, code, text):
    done = run(*argv)
    assert done.code == code
    assert text in done.err
    assert "\n" not in done.err.strip()


def test_fetch_benchmarks_plans_downloads_unpacks_and_does_it_once(run, hosted, tmp_path):
    planned = run("fetch", "benchmarks", "IT", "--dry-run")
    assert planned.out.count("would download") == 3
    assert "stimulus_hvm-public.zip: would download from" in planned.out
    assert "size known once downloaded" in planned.out
    assert not (tmp_path / "cache").exists()
    done = run("fetch", "benchmarks", "IT", "V4")
    assert done.code == 0
    assert done.out.count(": downloaded from") == 3
    assert "hvm-public: 48 images unpacked" in done.out
    assert "Next: vvscale ls benchmarks" in done.out
    assert len(list((tmp_path / "cache" / "brainscore" / "stimulus_hvm-public").iterdir())) == 48
    again = run("fetch", "benchmarks", "IT", "--json")
    assert [row["did"] for row in again.json["files"]] == ["cached"] * 3
    assert all(row["bytes"] > 0 and len(row["sha1"]) == 40 for row in again.json["files"])


def test_fetch_benchmarks_takes_all_five_and_they_can_be_checked(run, hosted):
    assert run("fetch", "benchmarks", "--quiet").out == ""
    states = {row["benchmark"]: row["state"] for row in run("ls", "benchmarks", "--json").json["rows"]}
    assert [states[name] for name in public.PUBLIC] == ["cached"] * 5
    done = run("check", "V1", "--json")
    found = {one["name"]: one["found"] for one in done.json["benchmarks"][0]["requirements"]}
    assert found["repetitions"] == "4 repetitions, 240 presentations"
    assert found["a visual angle"] == "4 degrees"


def test_fetch_of_a_wrong_file_is_refused(run, hosted, tmp_path):
    with (hosted / "stimulus_hvm-public.zip").open("ab") as archive:
        archive.write(b"x")
    done = run("fetch", "benchmarks", "V4")
    assert done.code == 3
    assert "stimulus_hvm-public.zip: got sha1" in done.err
    assert not (tmp_path / "cache" / "brainscore" / "stimulus_hvm-public.zip").exists()


def test_ls_benchmarks(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path))
    done = run("ls", "benchmarks")
    assert done.code == 0
    line = next(line for line in done.out.splitlines() if "MajajHong2015public.IT-pls" in line)
    assert line.split() == ["MajajHong2015public.IT-pls", "IT", "3200", "168", "pls", "r^2/c", "False", "absent"]
    simulated = run("ls", "benchmarks", "simulated*", "--json").json["rows"]
    assert [row["benchmark"].split(".")[0] for row in simulated] == ["simulated"] * 5 + ["simulated-digits"] * 5
    assert [row["images"] for row in simulated] == [320] * 5 + [400] * 5
    assert all(row["simulated"] and row["state"] == "made" for row in simulated)


def test_the_cache_lists_verifies_and_clears_them(run, hosted, tmp_path):
    run("fetch", "benchmarks", "V1")
    rows = {row["file"]: row for row in run("cache", "ls", "--json").json["files"]}
    assert rows["assy_movshon_FreemanZiemba2013_public.nc"]["state"] == "cached"
    assert rows["stimulus_FreemanZiemba2013_aperture-public/"]["state"] == "unpacked"
    assert rows["stimulus_FreemanZiemba2013_aperture-public/"]["bytes"] > 60 * 100
    assert rows["stimulus_hvm-public.zip"]["state"] == "absent"
    assert run("cache", "verify").code == 0
    (tmp_path / "cache" / "brainscore" / "stimulus_FreemanZiemba2013_aperture-public.csv").write_text("edited")
    damaged = run("cache", "verify")
    assert damaged.code == 3
    assert "1 of 4 files" in damaged.err
    assert "Next: vvscale fetch benchmarks" in damaged.err
    mine = tmp_path / "cache" / "brainscore" / "mine.txt"
    mine.write_text("mine")
    assert "would be removed" in run("cache", "clear", "--dry-run").out
    assert len([one for one in mine.parent.iterdir() if not one.name.startswith(".")]) == 5
    assert run("cache", "clear").code == 0
    assert list(mine.parent.iterdir()) == [mine]
