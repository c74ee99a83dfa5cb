"""Checkpoints are read without running anything that they hold."""

from __future__ import annotations

import datetime
import os
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vvscale.errors import DataError, DigestError, MissingDataError
from vvscale.models.published.unpickle import check_content, read_checkpoint


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
    with pytest.raises(DataError, match="ObjectDType") as raised:
        read_checkpoint(tmp_path / "a.pt")
    assert "weights_only" not in str(raised.value)


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
    torch.save({"a": 1}, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match="not a whole torch checkpoint"):
        read_checkpoint(tmp_path / "c.pt")
