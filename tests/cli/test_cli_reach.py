"""Names that no file can have, wherever one may be named: one sentence, no traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from vvscale.core.inputs.plain import reachable
from vvscale.errors import DataError

LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        f"fit {LONG}", f"fit {LONG}.csv --x x", f"plan {LONG} --budget 1e20", f"design {LONG} --budget 1e15",
        f"score {LONG}", f"score {LONG}/x.pth", f"score {LONG}.py:x", f"score untrained:resnet18 --on {LONG}.toml",
        f"score untrained:resnet18 --out {LONG}", f"score untrained:resnet18 --layers {LONG}.toml",
        f"study plan {LONG}",
        f"study status {LONG}", f"figure compute --scores {LONG}", f"report r.html --scores {LONG}", f"cite {LONG}",
        f"claims {LONG}.toml", f"export {LONG}.csv --csv o.csv", f"prepare {LONG} --dry-run", f"check {LONG}.toml",
        f"train resnet18 --data {LONG} --dry-run", f"train resnet18 --start {LONG}.pth --dry-run",
        f"train resnet18 --recipe {LONG}.toml --dry-run", f"prepare-brain {LONG}",
    ],
    ids=lambda words: words.replace(LONG, "LONG"),
)  # fmt: skip
def test_a_name_that_is_too_long_for_a_file_is_named(run, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    said = run(*words.split())
    assert said.code in (2, 3)
    assert "\nvvscale: " in f"\n{said.err}"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_one_may_not_look_into_is_named_and_other_errors_are_left_alone():
    with pytest.raises(DataError, match=r"Cannot reach .closed/a\.csv.: Permission denied"), reachable():
        raise PermissionError(errno.EACCES, "Permission denied", "closed/a.csv")
    for other in (FileNotFoundError(errno.ENOENT, "No such file", "a.csv"), OSError(errno.EACCES, "Permission denied")):
        with pytest.raises(type(other)) as found, reachable():
            raise other
        assert found.value is other
