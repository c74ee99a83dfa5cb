"""Stimulus sets from CSV and zip: unpacked whole or not at all, and what is refused."""

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.recordings import stimulus_files
from vvscale.brain.recordings.stimulus_files import read_stimulus_set, remove_unpacked
from vvscale.errors import DataError, MissingDataError, UsageError

spec = importlib.util.spec_from_file_location("brain_files", Path(__file__).parent / "brain_files.py")
brain_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brain_files)


@pytest.fixture
def folder(tmp_path):
    brain_files.write_stimuli(tmp_path, "set", brain_files.images(5, 0), {"object_name": list("abcab")}, "stimulus_id")
    return tmp_path


def read(folder):
    return read_stimulus_set(folder / "set.csv", folder / "set.zip", identifier="made-up", degrees=8.0)


def edit(folder, change):
    table = pd.read_csv(folder / "set.csv", dtype=str)
    change(table).to_csv(folder / "set.csv", index=False)


def rewrite(folder, entries):
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        for entry, content in entries:
            archive.writestr(entry, content)


def contents(folder):
    with zipfile.ZipFile(folder / "set.zip") as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def test_images_are_unpacked_once(folder):
    stimuli = read(folder)
    assert [path.read_bytes() for path in stimuli.paths] == [content for _, content in contents(folder)]
    times = [path.stat().st_mtime_ns for path in stimuli.paths]
    again = read(folder)
    assert [path.stat().st_mtime_ns for path in again.paths] == times
    assert again.digest() == stimuli.digest()


def test_labels_that_look_like_numbers_stay_text(folder):
    labels = ["1e10", "0012", "7", "inf", "0x1"]
    edit(folder, lambda table: table.assign(stimulus_id=labels))
    assert read(folder).stimulus_id.tolist() == labels


def test_older_tables_call_the_label_image_id(folder):
    edit(folder, lambda table: table.rename(columns={"stimulus_id": "image_id"}))
    assert len(set(read(folder).stimulus_id)) == 5


def test_folders_inside_the_archive_are_kept(folder):
    rewrite(folder, [("deep/", b""), *((f"deep/{name}", content) for name, content in contents(folder))])
    edit(folder, lambda table: table.assign(filename="deep/" + table["filename"]))
    stimuli = read(folder)
    assert stimuli.paths[0].parent == folder / "set" / "deep"
    assert all(path.is_file() for path in stimuli.paths)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        lambda path: shutil.rmtree(path.parent),
    ],
)
def test_a_lost_or_edited_image_is_unpacked_anew(folder, damage):
    expected = read(folder).digest()
    damage(read(folder).paths[2])
    assert read(folder).digest() == expected


def test_an_interruption_leaves_nothing_under_the_name(folder, monkeypatch):
    seen = []

    def interrupted(self, *args):
        seen.append(args)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return b"an image"

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["set.csv", "set.zip"]
    assert len(read(folder)) == 5


def test_a_kill_leaves_nothing_under_the_name(folder):
    code = (
        "import os, signal, sys, zipfile; from pathlib import Path; "
        "from vvscale.brain.recordings.stimulus_files import *; "
        "first = zipfile.ZipFile.read\n"
        "def read(self, entry):\n"
        "    if entry.filename == self.namelist()[3]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return first(self, entry)\n"
        "zipfile.ZipFile.read = read; folder = Path(sys.argv[1])\n"
        "read_stimulus_set(folder / 'set.csv', folder / 'set.zip', identifier='a', degrees=8.0)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode == -9
    assert not (folder / "set").exists()
    left = next(folder.glob(".set.*.part"))
    assert len(read(folder)) == 5
    assert left.is_dir(), "another process may be at work there"
    shutil.rmtree(folder / "set")
    os.utime(left, (0, 0))
    assert len(read(folder)) == 5
    assert not left.exists(), "what a kill left is removed"


def test_whoever_unpacks_first_stays(folder, monkeypatch):
    expected = read(folder)
    other = folder / "other"
    (folder / "set").rename(other)
    first = stimulus_files._unpack

    def late(*args):
        other.rename(folder / "set")  # another process finishes while this one unpacks
        first(*args)

    monkeypatch.setattr(stimulus_files, "_unpack", late)
    inode = next(other.iterdir()).stat().st_ino
    assert read(folder).digest() == expected.digest()
    assert inode in {path.stat().st_ino for path in (folder / "set").iterdir()}
    assert not list(folder.glob(".set.*"))


def test_removing_takes_only_what_was_unpacked(folder):
    read(folder)
    (folder / "mine.txt").write_text("mine")
    assert remove_unpacked(folder / "set")
    assert not remove_unpacked(folder / "set")
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt", "set.csv", "set.zip"]


def test_a_folder_that_holds_other_files_is_not_replaced(folder):
    (folder / "set").mkdir()
    (folder / "set" / "mine.txt").write_text("dear")
    with pytest.raises(DataError, match=r"files that are not of the archive, first 'mine.txt'. Nothing was removed"):
        read(folder)
    assert [path.name for path in (folder / "set").iterdir()] == ["mine.txt"]


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("../outside.png", "leaves its folder"),
        ("inside/../../outside.png", "leaves its folder"),
        ("..\\outside.png", "leaves its folder"),
        ("/tmp/outside.png", "an absolute path"),
        ("C:\\outside.png", "an absolute path"),
        ("C:/outside.png", "an absolute path"),
        (link("outside.png"), "a link"),
    ],
)
def test_entries_that_would_land_elsewhere_are_refused(folder, entry, why):
    before = sorted(folder.parent.iterdir())
    rewrite(folder, [*contents(folder), (entry, b"content")])
    with pytest.raises(DataError, match=rf"holds '.*outside.png', .*{why}.*do not use it"):
        read(folder)
    assert not (folder / "set").exists()
    assert sorted(folder.parent.iterdir()) == before


def test_an_entry_twice_is_refused(folder):
    name, content = contents(folder)[0]
    with zipfile.ZipFile(folder / "set.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, content)
    with pytest.raises(DataError, match="a second file of this name"):
        read(folder)


def test_two_spellings_of_one_file_are_a_second_file_of_its_name(folder):
    entries = contents(folder)
    rewrite(folder, [*entries, (f"./{entries[0][0]}", b"other")])
    with pytest.raises(DataError, match="a second file of this name"):
        read(folder)
    rewrite(folder, [(f"./{name}", content) for name, content in entries])
    assert [path.read_bytes() for path in read(folder).paths] == [content for _, content in entries]


def test_an_archive_that_would_fill_the_disk_is_refused(folder):
    with (
        zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.png", "w", force_zip64=True) as entry,
    ):
        for _ in range(11):
            entry.write(bytes(100_000_000))
    with pytest.raises(DataError, match=r"would unpack to 1.1 GB, \d+ times its size"):
        read(folder)


def test_a_column_of_degrees_holds_for_each_image(folder):
    edit(folder, lambda table: table.assign(degrees=[8, 8, 4, 8, 8]))
    stimuli = read(folder)
    assert [stimuli.degrees_of(row) for row in range(5)] == [8, 8, 4, 8, 8]
    # An image of half the angle covers half of the field of view.
    alike = Preprocessing(image_size=8).batch(replace(stimuli, table=stimuli.table.drop(columns="degrees")), range(5))
    own = Preprocessing(image_size=8).batch(stimuli, range(5))
    assert [bool((a == b).all()) for a, b in zip(alike, own, strict=True)] == [True, True, False, True, True]
    edit(folder, lambda table: table.assign(degrees=[8, 8, 0, 8, 8]))
    with pytest.raises(DataError, match=r"visual angle '0' in the column 'degrees' \(1 such\)"):
        read(folder).degrees_of(0)


def test_missing_and_surplus_images_are_named(folder):
    held = contents(folder)
    rewrite(folder, held[1:])
    with pytest.raises(MissingDataError, match=rf"lacks 1 of the images .* first '{held[0][0]}'.*exactly the 5"):
        read(folder)
    rewrite(folder, [*held, ("more.png", b"")])
    with pytest.raises(DataError, match=r"holds 1 files that .* does not name, first 'more.png'"):
        read(folder)
    assert not (folder / "set").exists()


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        (
            lambda table: table.drop(columns="stimulus_id"),
            MissingDataError,
            "no column stimulus_id .*it has object_name",
        ),
        (lambda table: table.drop(columns="filename"), MissingDataError, "no column filename"),
        (
            lambda table: table.assign(stimulus_id=["a", "b", "a", "c", "d"]),
            DataError,
            "stimulus_id 'a' more than once",
        ),
        (lambda table: table.assign(filename="a.png"), DataError, "filename 'a.png' more than once"),
        (
            lambda table: table.assign(stimulus_id=["a", None, "b", "c", "d"]),
            MissingDataError,
            "Row 1 .* has no stimulus_id",
        ),
        (lambda table: table.assign(filename=["a", "b", "c", None, "d"]), MissingDataError, "Row 3 .* has no filename"),
    ],
)
def test_a_fault_of_the_table_is_named(folder, change, kind, match):
    edit(folder, change)
    with pytest.raises(kind, match=match):
        read(folder)


@pytest.mark.parametrize("content", [b"", b'a,b\n"open\n1', b"\xff\xfe\x00a,\x00"])
def test_a_table_that_is_none_is_refused(folder, content):
    (folder / "set.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"set.csv"):
        read(folder)


def test_files_that_are_not_there_are_named(folder):
    (folder / "set.zip").unlink()
    with pytest.raises(MissingDataError, match=r"no archive of images .*set\.zip"):
        read(folder)
    (folder / "set.csv").unlink()
    with pytest.raises(MissingDataError, match=r"no table of stimuli .*set\.csv"):
        read(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_truncated_archive_is_refused(folder, share):
    whole = (folder / "set.zip").read_bytes()
    (folder / "set.zip").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"Cannot unpack .*set.zip.*truncated"):
        read(folder)
    assert not (folder / "set").exists()


def test_an_archive_of_an_unknown_version_is_refused(folder):
    whole = bytearray((folder / "set.zip").read_bytes())
    # The version that is needed to read the entry, in the central directory.
    whole[whole.index(b"PK\x01\x02") + 6] = 182
    (folder / "set.zip").write_bytes(whole)
    with pytest.raises(DataError, match=r"Cannot unpack .*set.zip.*version 18\.2"):
        read(folder)


def test_a_damaged_entry_is_refused_and_nothing_is_unpacked(folder):
    whole = bytearray((folder / "set.zip").read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    (folder / "set.zip").write_bytes(whole)
    with pytest.raises(DataError, match="Cannot unpack"):
        read(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["set.csv", "set.zip"]


def test_a_folder_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write"):
        read_stimulus_set(
            folder / "set.csv", folder / "set.zip", identifier="a", degrees=8.0, folder=tmp_path / "file" / "set"
        )
