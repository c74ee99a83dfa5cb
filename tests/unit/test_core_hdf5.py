"""HDF5 files that would stop this process are refused within bounds of time and memory."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from vvscale.core import hdf5
from vvscale.core.hdf5 import check_hdf5
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
