"""Checkpoints are read without running anything that they hold."""

from __future__ import annotations

import argparse
import datetime
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vvscale.errors import DataError, DigestError, MissingDataError
from vvscale.models.unpickle import check_content, read_checkpoint


class Runs:
    """Pickles to a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_what_a_trainer_writes_comes_back(tmp_path: Path):
    content = {
        "state": {
            "model": OrderedDict(weight=torch.arange(4.0)),
            "timestamp": {"wct": datetime.timedelta(hours=3), "epoch": np.int64(3), "loss": np.float64(0.5)},
            "flags": [np.bool_(True), np.float32(2.5), None, "text"],
        },
        "rng": [{"numpy": np.random.RandomState(0).get_state(), "torch": torch.get_rng_state()}],
        "version": torch.__version__,
    }
    torch.save(content, tmp_path / "a.pt")
    check_content(tmp_path / "a.pt")
    read = read_checkpoint(tmp_path / "a.pt")
    assert torch.equal(read["state"]["model"]["weight"], torch.arange(4.0))
    assert read["state"]["timestamp"] == content["state"]["timestamp"]
    assert np.array_equal(read["rng"][0]["numpy"][1], content["rng"][0]["numpy"][1])
    assert read["version"] == torch.__version__


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda marker: Runs(os.system, f"touch {marker}"), "posix.system"),
        (lambda marker: Runs(Path.touch, marker), "pathlib"),
        (lambda marker: Runs(eval, f"open('{marker}', 'w')"), "builtins.eval"),
        (lambda marker: Runs(getattr, torch.ones(1), "numpy"), "builtins.getattr"),
        (lambda marker: torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    ],
)
def test_a_file_that_wants_more_is_refused_by_name_and_nothing_runs(make: Any, wanted: str, tmp_path: Path):
    marker = tmp_path / "ran"
    torch.save({"state": {"model": {"a": torch.ones(2)}}, "extra": make(marker)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=f"a.pt' was not loaded: it asks for .*{wanted}.*Nothing of it was run"):
        read_checkpoint(tmp_path / "a.pt")
    assert not marker.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path):
    torch.save({"a": np.array([1, "x"], dtype=object)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="an array of type 'O8', not of numbers"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("keep", [0, 10, 700, -1])
def test_truncated_files(keep: int, tmp_path: Path):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DigestError, match=r"a\.pt' .*(not a whole torch checkpoint|cannot be read).*fetch it again"):
        read_checkpoint(path)


def test_damaged_bytes_are_found(tmp_path: Path):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(1000)}, path)
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestError, match=r"the checksum of its part .* is wrong"):
        check_content(path)


def test_other_files(tmp_path: Path):
    with pytest.raises(MissingDataError, match=r"There is no checkpoint '.*a\.pt'"):
        read_checkpoint(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as file:
        file.writestr("b", "no tensors")
    with pytest.raises(DataError, match=r"b\.pt' cannot be read as a torch checkpoint"):
        read_checkpoint(tmp_path / "b.pt")
    (tmp_path / "c.pt").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="not a whole torch checkpoint"):
        read_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize("is_zip", [True, False], ids=["today", "before 2020"])
def test_tensors_of_all_kinds_and_layouts(is_zip: bool, tmp_path: Path):
    base = torch.arange(24.0)
    content = {
        "state_dict": OrderedDict(
            rows=base.reshape(4, 6), turned=base.reshape(4, 6).T, part=base[3:9:2], scalar=torch.tensor(3),
            none=base[:0], half=base.half(), brain=base.bfloat16(), flags=base > 4, parameter=torch.nn.Parameter(base),
        ),
        "args": argparse.Namespace(lr=0.1, out=Path("x")),
        "epoch": 90,
    }  # fmt: skip
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    read = read_checkpoint(tmp_path / "a.pth")
    assert read["epoch"] == 90
    assert read["state_dict"].keys() == content["state_dict"].keys()
    for key, tensor in content["state_dict"].items():
        assert torch.equal(read["state_dict"][key], tensor), key
        assert read["state_dict"][key].dtype == tensor.dtype


def written(path: Path, program: bytes, **storages: bytes) -> Path:
    """Write a checkpoint with a pickle of one's own."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", program)
        for key, content in storages.items():
            file.writestr(f"archive/data/{key}", content)
    return path


STORAGE = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00aX\x03\x00\x00\x00cpuK\x04tQ"


def rebuilt(offset: bytes, size: bytes, stride: bytes) -> bytes:
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
        + STORAGE
        + offset
        + size
        + stride
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (rebuilt(b"K\x00", b"K\x05\x85", b"K\x01\x85"), r"a tensor of \(5,\) in a storage of 4 numbers"),
        (rebuilt(b"K\x02", b"K\x03\x85", b"K\x01\x85"), r"a tensor of \(3,\)"),
        (rebuilt(b"J\xff\xff\xff\xff", b"K\x02\x85", b"K\x01\x85"), "a tensor of"),
        (rebuilt(b"K\x00", b"J\xff\xff\xff\x7f\x85", b"K\x00\x85"), "a tensor of"),
        (rebuilt(b"K\x00", b"X\x01\x00\x00\x00a\x85", b"K\x00\x85"), "without a place"),
        (b"\x80\x02cnumpy\nndarray\n(\x8a\x06\x00\xa0\x72\x4e\x18\x09t\x85R.", "of a size of its choice"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "counts its objects wrongly"),
        (b"\x80\x02ccollections\nOrderedDict\n}b.", "cannot be read"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.", "sets the state of a function"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "no storage"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks for os.system"),
    ],
)  # fmt: skip
def test_files_made_to_do_harm(program: bytes, said: str, tmp_path: Path):
    path = written(tmp_path / "a.pt", program, a=bytes(16))
    with pytest.raises(DataError, match=said):
        read_checkpoint(path)


def test_a_pickle_that_would_grow_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02(" + b"}" * (20 << 20) + b"t.")
    assert (tmp_path / "a.pt").stat().st_size < 100_000
    with pytest.raises(DataError, match="its description takes 20,971,525 bytes"):
        read_checkpoint(tmp_path / "a.pt")


def test_many_views_of_one_storage_are_refused(tmp_path: Path):
    base = torch.zeros(1 << 20)
    torch.save({str(number): base[:] for number in range(100)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="many times larger than the file"):
        read_checkpoint(tmp_path / "a.pt")
