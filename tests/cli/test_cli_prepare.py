"""``vvscale prepare``: what it prints, its exit codes, and that its result trains nothing wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vvscale.cli import main, progress
from vvscale.data import load_dataset


@pytest.fixture
def prepare(run):
    return lambda *argv: run("prepare", *argv)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            folder = tmp_path / "source" / split / name
            folder.mkdir(parents=True)
            for k in range(3):
                Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return tmp_path / "source"


def test_what_it_says(prepare, source, tmp_path):
    out = tmp_path / "out"
    planned = prepare(source, "--out", out, "--dry-run")
    assert planned.code == 0
    assert "would hold 6 + 6 images of 2 classes (layout folders), about 0.00 GB" in planned.out
    assert "Next: the same command without --dry-run" in planned.out
    assert not out.exists()
    done = prepare(source, "--out", out, "--size", 16, "--verify")
    assert (done.code, done.err) == (0, "")
    assert f"{out} holds 6 + 6 images of 2 classes" in done.out
    assert "Every pixel of 12 images is as its digest says." in done.out
    assert f"Next: vvscale train resnet18 --data {out} --dry-run" in done.out
    assert load_dataset(out).train.image(0).shape == (16, 24, 3)
    again = prepare(source, "--out", out, "--size", 16)
    assert f"{out} was prepared before: 6 + 6 images" in again.out


def test_json_and_quiet(prepare, source, tmp_path):
    done = prepare(source, "--out", tmp_path / "out", "--json")
    assert done.json["did"] == "prepared"
    assert done.json["digests"]["val"] == load_dataset(tmp_path / "out").val.digest
    quiet = prepare(source, "--out", tmp_path / "out", "--quiet")
    assert (quiet.out, quiet.err) == ("", "")


def test_odd_images_are_summed_up(prepare, source, tmp_path):
    (source / "train" / "cat" / "0.png").write_bytes(b"nothing")
    (source / "val" / "cat" / "0.png").write_bytes((source / "train" / "dog" / "0.png").read_bytes())
    refused = prepare(source, "--out", tmp_path / "out")
    assert refused.code == 3
    assert "1 images cannot be decoded: 'train/cat/0.png' (not an image file)" in refused.err
    assert "--skip-corrupt" in refused.err
    done = prepare(source, "--out", tmp_path / "out", "--skip-corrupt")
    assert done.code == 0
    assert "1 images cannot be decoded: train/cat/0.png (not an image file)" in done.out
    assert "1 images are in both splits: train: train/dog/0.png = val: val/cat/0.png" in done.out
    assert "1 images are in several classes: train/dog/0.png = val/cat/0.png" in done.out
    assert "converted or smaller: 11 small" in done.out


def test_classes_and_lists(prepare, source, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("dog\ncat\n")
    assert prepare(source, "--out", tmp_path / "a", "--classes", names).code == 0
    assert load_dataset(tmp_path / "a").train.class_names == ("dog", "cat")
    train, val = tmp_path / "train.txt", tmp_path / "val.txt"
    train.write_text("train/cat/0.png 0\ntrain/dog/0.png 1\n")
    val.write_text("val/dog/0.png 1\n")
    options = ("--train-list", train, "--val-list", val, "--classes", names)
    assert prepare(source, "--out", tmp_path / "b", *options).code == 0
    assert load_dataset(tmp_path / "b").val.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["nowhere", "--out", "out"], 3, "There is no folder 'nowhere'"),
        (["SOURCE", "--out", "out", "--layout", "imagnet"], 2, "Unknown layout 'imagnet'. Did you mean 'imagenet'?"),
        (["SOURCE", "--out", "out", "--size", "-5"], 2, "`--size` is -5; expected at least 0"),
        (["SOURCE", "--out", "out", "--val-fraction", "0.1"], 3, "has images for evaluation already"),
        (["SOURCE", "--out", "out", "--classes", "none.txt"], 3, "There is no list 'none.txt'"),
        (["SOURCE", "--out", "out", "--train-list", "none.txt"], 3, "There is no list 'none.txt'"),
        (["SOURCE"], 2, "--out"),
        (["SOURCE", "--out", "/proc/nowhere/out"], 2, "Cannot write"),
    ],
)
def test_errors(prepare, source, tmp_path, monkeypatch, options, code, text):
    monkeypatch.chdir(tmp_path)
    done = prepare(*(str(source) if option == "SOURCE" else option for option in options))
    assert done.code == code
    assert text in done.err
    assert "Traceback" not in done.err


def test_names_that_are_there_twice(prepare, source, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("dog\ndog\n")
    assert "has the class 'dog' twice" in prepare(source, "--out", tmp_path / "a", "--classes", names).err
    names.write_text("\n")
    assert "is empty" in prepare(source, "--out", tmp_path / "a", "--classes", names).err


def test_a_line_a_minute_with_rate_and_time_left(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.watch_images() as watch:
        # 4,000 images were there from an earlier run.
        for seconds, n_done in ((1, 4000), (30, 4290), (61, 4600), (90, 5000), (122, 5210)):
            now = float(seconds)
            watch("pixels", n_done, 10000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pixels: 4,600 of 10,000 images, 10/s, about 9 min left",
        "pixels: 5,210 of 10,000 images, 10/s, about 8 min left",
    ]
    with progress.watch_images(quiet=True) as watch:
        watch("pixels", 1, 2)
    assert capsys.readouterr().err == ""


def test_help_names_every_layout(capsys):
    from vvscale.data.prepare.sources.layouts import LAYOUTS

    assert main(["prepare", "--help"]) == 0
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert all(name in out for name in LAYOUTS)
