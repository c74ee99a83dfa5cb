"""Names that become paths, and removal that stays in its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvscale.core.files import append_line, inside, is_safe_name, locked, remove_inside, safe_name
from vvscale.errors import DataError, UsageError

OUTSIDE = ["..", "../..", "../../../victim", "a/../..", "a/../../b", "/etc", "a/../../../etc", ""]


@pytest.mark.parametrize("name", ["accuracy", "IT by family", "resnet18*0.5", "a.b-c_d", "é", "x" * 200])
def test_ordinary_names_pass(name: str):
    assert safe_name(name, "law") == name


@pytest.mark.parametrize(
    "name", [*OUTSIDE, ".", ".hidden", "a/b", "a\\b", "a\0b", "a\nb", "C:", "x" * 201, " a", "a ", "é" * 101, "\ud800"]
)
def test_names_that_could_leave_a_folder_are_refused_by_name(name: str):
    with pytest.raises(UsageError, match="law") as caught:
        safe_name(name, "law")
    assert "expected" in str(caught.value)


@given(st.text(max_size=30))
def test_a_safe_name_is_one_part_of_a_path(name: str):
    if is_safe_name(name):
        assert Path("folder", name).parts == ("folder", name)


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_leave_a_folder_are_refused(tmp_path: Path, path: str):
    folder = tmp_path / "a" / "b" / "study"
    folder.mkdir(parents=True)
    (tmp_path / "a" / "victim").mkdir()
    with pytest.raises(DataError, match="outside"):
        inside(folder, path)
    with pytest.raises(DataError, match="outside"):
        remove_inside(folder, path)
    assert folder.is_dir()
    assert (tmp_path / "a" / "victim").is_dir()


def test_links_that_lead_out_are_refused_and_a_link_itself_is_removed_alone(tmp_path: Path):
    folder, victim = tmp_path / "study", tmp_path / "victim"
    for one in (folder, victim):
        one.mkdir()
    (victim / "data").write_text("dear")
    (folder / "link").symlink_to(victim)
    for path in ("link/data", "link"):
        with pytest.raises(DataError, match="outside"):
            inside(folder, path)
    with pytest.raises(DataError, match="outside"):
        remove_inside(folder, "link/data")
    assert remove_inside(folder, "link")
    assert not (folder / "link").is_symlink()
    assert (victim / "data").read_text() == "dear"


def test_a_folder_is_removed_with_its_links_and_not_what_they_lead_to(tmp_path: Path):
    folder, victim = tmp_path / "study", tmp_path / "victim"
    for one in (folder / "fits", victim):
        one.mkdir(parents=True)
    (victim / "data").write_text("dear")
    (folder / "fits" / "link").symlink_to(victim)
    assert remove_inside(folder, "fits")
    assert not (folder / "fits").exists()
    assert (victim / "data").read_text() == "dear"
    assert not remove_inside(folder, "fits")


def test_a_folder_reached_through_a_link_is_itself(tmp_path: Path):
    (tmp_path / "real" / "fits").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert inside(tmp_path / "link", "fits/a") == tmp_path / "real" / "fits" / "a"
    assert remove_inside(tmp_path / "link", tmp_path / "link" / "fits")
    assert not (tmp_path / "real" / "fits").exists()


def test_a_lock_or_a_log_that_leads_elsewhere_is_refused_and_not_followed(tmp_path: Path):
    (tmp_path / "victim").write_text("dear")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    (tmp_path / "absent").symlink_to(tmp_path / "made")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "absent", "pipe"):
        with pytest.raises(DataError, match=f"{name}' is a link, a pipe or a device"), locked(tmp_path / name):
            pass
        with pytest.raises(DataError, match="remove that file"):
            append_line(tmp_path / name, "a line")
    assert (tmp_path / "victim").read_text() == "dear"
    assert not (tmp_path / "made").exists()
