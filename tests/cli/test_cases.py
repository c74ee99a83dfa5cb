"""Inputs as people have reported them, each tried through the command line; they lie beside the repository.

Each case is a folder there with EXPECTED.md; a case that no test here names fails, so that none is forgotten.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vvscale.cli import main
from vvscale.core.hdf5 import check_hdf5
from vvscale.errors import DataError

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
pytestmark = [
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the reported inputs are not here: no folder '{CASES}'"),
    pytest.mark.filterwarnings("default::vvscale.errors.VvscaleWarning"),
]


class Ran:
    """What one command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, " ".join(err.split())

    def refused(self, code: int, text: str) -> None:
        assert self.code == code, self.err
        assert re.search(text, self.err), self.err
        assert "Traceback" not in self.err

    def done(self, warned: str = "") -> dict:
        assert self.code == 0, self.err
        assert re.search(warned, f"{self.err} {' '.join(self.out.split())}"), self.err + self.out
        return json.loads(self.out)


@pytest.fixture
def case(request, tmp_path: Path) -> Path:
    """Return a copy of a case that may be written to."""
    shutil.copytree(CASES / request.param, tmp_path / "case", copy_function=shutil.copyfile)
    for path in [tmp_path / "case", *(tmp_path / "case").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "case"


@pytest.fixture
def vvscale(capsys, monkeypatch, tmp_path: Path):
    """Run a command in this process, from the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def run(*tokens: object) -> Ran:
        code = main([*map(str, tokens), "--json"])
        return Ran(code, *capsys.readouterr())

    return run


def using(name: str):
    return pytest.mark.parametrize("case", [name], indirect=True, ids=[name])


def prepared(vvscale, case: Path, *options: object) -> Ran:
    return vvscale("prepare", case / "src", "--out", case / "out", "--workers", 1, *options)


# --- images -----------------------------------------------------------------------------------------------------------


@using("bom-classes")
def test_a_list_of_classes_with_a_byte_order_mark(case, vvscale):
    made = prepared(vvscale, case, "--classes", case / "classes.txt").done()
    assert (made["n_classes"], made["n_train"], made["n_val"]) == (2, 6, 6)


@using("empty-class")
@pytest.mark.parametrize("options", [("--classes", "case/classes.txt"), ("--min-per-class", "1")])
def test_an_empty_class_is_left_out(case, options, vvscale):
    for split in ("train", "val"):
        (case / "src" / split / "c").mkdir()
    prepared(vvscale, case).refused(3, r"'c' is empty.*--min-per-class 1.*--classes")
    made = prepared(vvscale, case, *options).done()
    assert (made["n_classes"], made["n_train"], made["n_val"]) == (2, 6, 6)


@using("empty-val-class")
def test_a_class_without_validation_images_is_said(case, vvscale):
    (case / "src" / "val" / "c").mkdir()
    made = prepared(vvscale, case).done(r'"classes_without_val": \[ "c" \]')
    assert (made["n_classes"], made["n_train"], made["n_val"]) == (3, 9, 6)


@using("heic")
def test_files_that_are_left_out_for_their_suffix_are_counted_and_named(case, vvscale):
    assert prepared(vvscale, case).done(r"1 .*\.HEIC")["n_train"] == 6


@using("symlink-loop")
def test_a_link_to_a_folder_above(case, vvscale):
    (case / "src/train/a/up").symlink_to("..")
    made = prepared(vvscale, case)
    if made.code:
        made.refused(3, "up.*loop|loop.*up")
    else:
        assert (made.done()["n_train"], made.done()["n_val"]) == (6, 6)


@using("symlink-self")
def test_a_link_to_its_own_folder(case, vvscale):
    (case / "src/train/a/here").symlink_to(".")
    made = prepared(vvscale, case)
    if made.code:
        made.refused(3, "here.*loop|loop.*here")
    else:
        assert (made.done()["n_train"], made.done()["n_val"]) == (6, 6)


@using("tars")
def test_tars_of_folders_are_read(case, vvscale):
    """They once had to be unpacked; the message then spoke of empty classes."""
    prepared(vvscale, case).refused(3, "no images for evaluation.*--val-fraction 0.1")
    made = prepared(vvscale, case, "--val-fraction", 0.34).done()
    assert (made["layout"], made["n_classes"], made["n_train"], made["n_val"]) == ("tars", 2, 4, 2)


@using("training-split")
def test_training_and_validation_are_splits(case, vvscale):
    made = prepared(vvscale, case)
    if made.code:
        made.refused(3, "training.*validation")
    else:
        assert (made.done()["n_classes"], made.done()["n_train"], made.done()["n_val"]) == (2, 6, 6)


@using("upper-split")
def test_splits_in_capitals_are_no_classes(case, vvscale):
    prepared(vvscale, case).refused(3, "Train.*Val.*split|split.*Train.*Val")


@using("out-inside-source")
def test_a_result_inside_its_source_is_found_again(case, vvscale):
    source = case / "s1"
    shutil.copytree(CASES / "bom-classes" / "src", source, copy_function=shutil.copyfile)
    first = vvscale("prepare", source, "--out", source / "prepared", "--workers", 1).done()
    second = vvscale("prepare", source, "--out", source / "prepared", "--workers", 1).done()
    assert (first["did"], second["did"]) == ("prepared", "found")
    assert second["digests"] == first["digests"]


def listed(case: Path, name: str) -> Path:
    """Make the images that the list names, and write it with paths to them."""
    text = (case / name).read_text(encoding="utf-8").replace("/data/numbers/src", str(case / "src"))
    for k, line in enumerate(text.removeprefix("\ufeff").splitlines()):
        path = case / "src" / line.split()[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CASES / "bom-classes/src/train" / "ab"[k % 2] / f"{k // 2 % 3}.jpg", path)
    (case / name).write_text(text, encoding="utf-8")
    return case / name


@pytest.mark.parametrize(
    ("case", "name"), [("list-absolute", "abs.txt"), ("list-bom", "bomlist.txt")], indirect=["case"]
)
def test_lists_of_images(case, name, vvscale):
    made = prepared(vvscale, case, "--train-list", listed(case, name), "--val-fraction", 0.34).done()
    assert made["n_classes"] == 4
    assert made["n_train"] + made["n_val"] == 12


# --- tables -----------------------------------------------------------------------------------------------------------


@using("log10-column")
def test_an_input_that_looks_like_a_logarithm(case, vvscale):
    vvscale("fit", case / "log10x.csv").done(r"factor of 1\.3.*logarithm")


@using("numeric-model-ids")
@pytest.mark.parametrize("name", ["long_int_ids.csv", "long_int_ids_quoted.csv"])
def test_numbers_as_names_of_models(case, name, vvscale):
    (entry,) = vvscale("fit", case / name, "--regions", "all").done()
    assert entry["n"] == 24


@using("other-separators")
def test_separators_are_named(case, vvscale):
    by_name = {name: vvscale("fit", case / name) for name in ("german.csv", "tabs.csv")}
    (german,) = by_name["german.csv"].done("separated by semicolons and has decimal commas")
    (tabs,) = by_name["tabs.csv"].done("separated by tabs")
    assert german["n"] == tabs["n"] == len((case / "tabs.csv").read_text().splitlines()) - 1
    vvscale("fit", case / "utf16.csv").refused(3, "UTF-16.*iconv -f utf-16")


@using("percent-scores")
def test_percent_is_named(case, vvscale):
    ran = vvscale("fit", case / "percent100.csv")
    ran.refused(3, r"19\.7 to 68.*percent.*by 100")
    assert "--law" not in ran.err


@using("u-shape")
@pytest.mark.parametrize("name", ["u_shape.csv", "increasing.csv"])
def test_an_outcome_that_rises_is_no_decreasing_law(case, name, vvscale):
    vvscale("fit", case / name).done("ris(es|ing)")


@using("laws")
def test_a_profile_has_an_end_that_is_not_its_grids(case, vvscale):
    (entry,) = vvscale("fit", case / "prof_case.csv", "--profile").done(r"at most 0\.61")
    assert entry["n"] == 620


@using("laws")
@pytest.mark.parametrize(("name", "loss"), [("case_7_22.csv", 0.00337626), ("case_8_10.csv", 0.4339015)])
def test_joint_laws_at_their_optimum(case, name, loss, vvscale):
    """Once A = 0 with alpha = 32, and B = 0 with beta = 0, though interior points were better."""
    (entry,) = vvscale("fit", case / name, "--law", "joint", "--x", "a", "b", "--y", "y").done()
    assert entry["loss"] <= loss
    assert min(entry["params"]["A"], entry["params"]["B"]) > 0


LAB = """
benchmark_id = "Lab.IT"
region = "IT"
[stimuli]
images = "images"
degrees = 8.0
[assembly]
responses = "{name}"
time_bin = [70, 170]
"""


@using("netcdf")
def test_lawful_assemblies_are_read(case, vvscale):
    """Each with one variation of the reference's own files."""
    (case / "images").mkdir()
    for k in range(40):
        Image.new("RGB", (8, 8), (k, k, k)).save(case / "images" / f"im{k:03d}.png")
    for path in sorted(case.glob("*.nc")):
        (case / "lab.toml").write_text(LAB.format(name=path.name))
        ran = vvscale("check", case / "lab.toml")
        if path.stem == "assy_session":
            ran.refused(3, r"'session' .* differs between presentations .*ignore=\['session'\]")
            (case / "lab.toml").write_text(LAB.format(name=path.name) + "ignore = ['session']\n")
            ran = vvscale("check", case / "lab.toml")
        # Whether its trials can tell noise is another requirement, which some of these fail by their content.
        found = {one["name"]: one for one in json.loads(ran.out)["benchmarks"][0]["requirements"]}
        assert found["responses that differ"]["is_met"], path.name
        assert found["responses that differ"]["found"].startswith("8 neuroids respond to 40 images"), path.name


def test_a_file_on_which_the_library_loops():
    with pytest.raises(DataError, match="does not end"):
        check_hdf5(CASES / "hang.nc", seconds=2.0)


# --- files of configurations ------------------------------------------------------------------------------------------


@using("toml-bom")
def test_a_recipe_with_a_byte_order_mark(case, vvscale):
    told = vvscale("train", "resnet18", "--data", "digits", "--recipe", case / "bom.toml", "--dry-run").done()
    assert told["n_epochs"] == 1


# --- models and checkpoints -------------------------------------------------------------------------------------------


@using("pt")
@pytest.mark.parametrize("name", ["evil_load.pt", "huge_ndarray.pt"])
def test_checkpoints_that_mean_harm(case, name, vvscale):
    ran = vvscale("score", case / name)
    ran.refused(3, name)
    assert len(re.findall(r"vvscale: ", ran.err)) == 1


@using("torch-checkpoints")
@pytest.mark.parametrize("name", ["plain.pth", "imagenet_main.pth.tar"])
def test_checkpoints_of_torch(case, name, vvscale):
    path, arch = case / name, "resnetflex-w2-d1-1-1"
    vvscale("score", path, "--dry-run").refused(2, "Nothing says what network.*--arch.*file.py")
    vvscale("score", path, "--arch", arch, "--layers", "all", "--dry-run").done("56 of 56 tensors")
    for more in (("--dry-run",), ()):  # what cannot begin must not be promised
        asked = ("train", "resnet18", "--data", "digits", "--start", path, "--out", case / "run", *more)
        vvscale(*asked).refused(3, "are not those of resnet18")
    asked = ("train", arch, "--data", "digits", "--image-size", 8, "--start", path, "--out", case / "run", "--dry-run")
    vvscale(*asked).done()
    assert not (case / "run").exists()


FAST = ("--layers", "body", "--image-size", 64, "--resamples", 20, "--on", "simulated-digits")


@using("sibling-import")
def test_a_model_imports_what_lies_beside_it(case, vvscale):
    rows = vvscale("score", f"{case}/net.py:net", *FAST[:1], "mid", *FAST[2:]).done()["models"][0]["rows"]
    assert rows
    assert all(row["score"] is not None for row in rows)


@using("fp16")
def test_half_precision_scores_as_single_does(case, vvscale):
    scores = {}
    for name in ("plain", "fp16", "bf16", "f64"):
        rows = vvscale("score", f"{case}/models.py:{name}", *FAST).done()["models"][0]["rows"]
        scores[name] = [row["raw_score"] for row in rows if row["region"] != "behavior"]
    assert scores["f64"] == pytest.approx(scores["plain"], abs=1e-5)
    assert scores["fp16"] == pytest.approx(scores["plain"], abs=0.005)
    assert scores["bf16"] == pytest.approx(scores["plain"], abs=0.03)


# --- surroundings -----------------------------------------------------------------------------------------------------


def in_a_process(*tokens: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vvscale", *map(str, tokens)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_a_terminal_that_has_ascii_alone(tmp_path: Path):
    (tmp_path / "é.csv").write_text("x,y\n1,.5\n2,.4\n4,.35\n8,.3\n16,.28\n32,.27\n")
    done = in_a_process("fit", tmp_path / "é.csv", "--x", "x", "--y", "y", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    wrong = in_a_process("fit", tmp_path / "\u4e2d.csv", PYTHONIOENCODING="ascii")
    assert wrong.returncode == 3
    assert "\\u4e2d.csv" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_cache_that_cannot_be_made(tmp_path: Path):
    environment = {"XDG_CACHE_HOME": "/proc/nope", "TMPDIR": str(tmp_path)}
    kept = {key: value for key, value in os.environ.items() if key != "VVSCALE_CACHE"}
    command = [sys.executable, "-m", "vvscale", "cache", "ls"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | environment)
    assert done.returncode == 0, done.stderr
    assert "XDG_CACHE_HOME" in " ".join(done.stderr.split())


def test_no_case_is_forgotten():
    """Each case stands by its name in this file."""
    source = Path(__file__).read_text(encoding="utf-8")
    named = {"ascii-stdout": "PYTHONIOENCODING", "cache-not-writable": "XDG_CACHE_HOME"}
    cases = [path.name for path in CASES.iterdir() if path.name != "README.md"]
    assert [name for name in cases if f'"{name}"' not in source and named.get(name, "no such text") not in source] == []
