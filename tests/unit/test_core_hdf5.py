"""HDF5 files that would stop this process are refused within bounds of time and memory."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import vvscale
from vvscale.core import hdf5
from vvscale.core.hdf5 import check_hdf5, open_hdf5
from vvscale.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["numbers"] = np.arange(100_000.0).reshape(100, 1000)
        file["names"] = np.array(["image " + "x" * k for k in range(50)], dtype=h5py.string_dtype())
        file["names"].attrs["unit"] = "none"
        file["empty"] = np.zeros((0, 3))
    return tmp_path / "a.nc"


def test_whole_files_and_other_formats_pass_quickly(path: Path, tmp_path: Path):
    check_hdf5(path)
    started = time.monotonic()
    for _ in range(20):
        check_hdf5(path)
    assert time.monotonic() - started < 5  # one helper serves all
    (tmp_path / "b.nc").write_bytes(b"CDF\x01")
    check_hdf5(tmp_path / "b.nc")
    check_hdf5(tmp_path / "nothing.nc")


def test_a_file_that_hangs_or_crashes_the_library_is_refused_and_the_next_one_read(path: Path):
    """Whatever the file does to the helper: it hangs, or is killed while it looks."""
    content = path.read_bytes()
    for end, said in ((None, "does not end in"), (signal.SIGKILL, "crashes on it")):
        check_hdf5(path)
        helper = hdf5._helper._process.pid
        os.kill(helper, signal.SIGSTOP)
        if end is not None:
            threading.Timer(0.3, os.kill, (helper, end)).start()
        with pytest.raises(DataError, match=rf"a\.nc' cannot be read: the HDF5 library {said}"):
            check_hdf5(path, seconds=1 if end is None else 30)
    assert path.read_bytes() == content
    check_hdf5(path)


def test_truncated_and_flipped_files_are_left_to_their_reader(path: Path):
    """The helper comes to an end on all of these, whatever the library says of them."""
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        changed = bytearray(content)
        changed[int(rng.integers(0, 8000))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(changed)
        check_hdf5(path)
    path.write_bytes(content[: len(content) // 2])
    check_hdf5(path)


def test_more_memory_than_there_is(tmp_path: Path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("names", shape=(1 << 40,), dtype=h5py.string_dtype(), chunks=(1 << 10,))
    with pytest.raises(DataError, match="wants more memory than there is"):
        check_hdf5(tmp_path / "a.nc")


# Files that point to other files: what these hold is not theirs to show.


def _external_link(file: h5py.File, other: Path) -> None:
    file["kept"] = h5py.ExternalLink(str(other), "numbers")


def _deep_link(file: h5py.File, other: Path) -> None:
    file["a/b/c/kept"] = h5py.ExternalLink(str(other), "/")
    file["kept"] = h5py.SoftLink("/a/b/c/kept/numbers")


def _external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("kept", shape=(4,), dtype="u1", external=[(str(other), 0, 4)])


def _virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout(shape=(100, 1000), dtype="f8")
    layout[:] = h5py.VirtualSource(str(other), "numbers", shape=(100, 1000))
    file.create_virtual_dataset("kept", layout)


def _behind_damage(file: h5py.File, other: Path) -> None:
    # The first array cannot be read: its filter is not there.
    made = file.create_dataset("a", data=np.arange(1000.0), chunks=(10,), compression="gzip")
    offset = made.id.get_chunk_info(0).byte_offset
    _external_link(file, other)
    name = file.filename
    file.close()
    with open(name, "r+b") as raw:
        raw.seek(offset)
        raw.write(bytes(8))


@pytest.mark.parametrize("userblock", [0, 512, 2048])
@pytest.mark.parametrize("point", [_external_link, _deep_link, _external_storage, _virtual, _behind_damage])
def test_a_file_that_points_to_another_one_is_refused_by_its_name(point, userblock: int, path: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    other = path.rename(tmp_path / "mine" / "secret.h5")
    with h5py.File(tmp_path / "b.h5", "w", userblock_size=userblock) as file:
        point(file, other)
    for look in (check_hdf5, open_hdf5, open_hdf5):
        with pytest.raises(DataError, match=r"b\.h5' cannot be read: .*secret\.h5'"):
            look(tmp_path / "b.h5")


def test_links_and_views_within_a_file_are_read(path: Path):
    with h5py.File(path, "a") as file:
        file["a/again"] = file["numbers"]
        file["a/up"] = file["/"]
        file["short"] = h5py.SoftLink("/a/again")
        file["broken"] = h5py.SoftLink("/nowhere")
        layout = h5py.VirtualLayout(shape=(100, 1000), dtype="f8")
        layout[:] = h5py.VirtualSource(file["numbers"])
        file.create_virtual_dataset("view", layout)
    with open_hdf5(path) as file:
        assert float(file["view"][99, 999]) == float(file["short"][99, 999]) == 99_999.0


def test_a_file_that_has_changed_is_looked_at_again(path: Path, tmp_path: Path):
    with open_hdf5(path) as file:
        assert "numbers" in file
    with h5py.File(path, "a") as file:
        _external_link(file, tmp_path / "other.h5")
    with pytest.raises(DataError, match="link into another file"):
        open_hdf5(path)


def test_nothing_else_opens_hdf5_files_of_others():
    package = Path(vvscale.__file__).parent
    opens = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if re.search(r"h5py\.File\((?!part, \"w\"\))", path.read_text(encoding="utf-8"))
    ]
    assert opens == ["core/hdf5.py"]
