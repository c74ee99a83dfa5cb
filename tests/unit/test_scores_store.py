from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from vvscale.core.files import write_whole
from vvscale.errors import DataError, MissingDataError, ShapeError
from vvscale.scores import ScoreStore, load_scores


def row(model: str = "m", score: float = 0.1, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"model_id": [model], "benchmark_id": ["b"], "region": ["V1"], "score": [score], **columns})


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "it's [a] store*?")


def test_round_trip_in_order_of_writing(store: ScoreStore):
    store.append(row("z", 1 / 3))
    store.append(row("a", -0.0))
    got = store.read()
    assert got["model_id"].tolist() == ["z", "a"]
    assert [score.hex() for score in got["score"]] == [(1 / 3).hex(), (-0.0).hex()]
    pd.testing.assert_frame_equal(load_scores(store.folder), got)


def test_parts_are_never_changed(store: ScoreStore):
    first = store.append(row())
    before = (first.read_bytes(), first.stat().st_mtime_ns)
    store.append(row())
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    assert len(store.parts()) == 2


def test_the_same_row_twice_is_read_once(store: ScoreStore):
    store.append(pd.concat([row("a"), row("b")]))
    store.append(pd.concat([row("b"), row("c")]))
    assert store.read()["model_id"].tolist() == ["a", "b", "c"]
    assert store.conflicts().empty


def test_conflicts_stay_visible_until_the_latest_is_asked_for(store: ScoreStore):
    for score in (0.1, 0.3, 0.2, 0.3):
        store.append(pd.concat([row("a", score), row("b")]))
    assert store.conflicts()["score"].tolist() == [0.1, 0.3, 0.2]
    assert len(store.read()) == 4
    with pytest.raises(ShapeError, match=r"model_id 'a'.*0\.1 and 0\.3.*read\(latest=True\)"):
        load_scores(store.folder)
    latest = store.read(latest=True).set_index("model_id")["score"]
    assert latest.to_dict() == {"b": 0.1, "a": 0.3}, "the last write of a says 0.3 again"


def test_runs_do_not_conflict(store: ScoreStore):
    store.append(row(run_id="one"))
    store.append(row(score=0.2, run_id="two"))
    assert store.conflicts().empty
    assert len(load_scores(store.folder)) == 2


def test_parts_may_have_different_columns(store: ScoreStore):
    store.append(row("a", seed=1, is_ssl=True))
    store.append(row("b", layer="conv1"))
    got = load_scores(store.folder)
    assert got["seed"].tolist()[0] == 1
    assert got["is_ssl"].isna().tolist() == [False, True]
    assert got["layer"].isna().tolist() == [True, False]


def test_bad_rows_are_refused_before_anything_is_written(store: ScoreStore):
    with pytest.raises(DataError, match="'score' of 'appended rows' holds 'x' in row 1"):
        store.append(row(score="x"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="Expected one type per column"):
        store.append(pd.concat([row(mine=1), row("n", mine="x")]))
    assert not store.folder.exists() or not list(store.folder.iterdir())


def test_duckdb_sees_the_same_rows_and_later_ones(store: ScoreStore):
    store.append(pd.concat([row("a", 0.1), row("b", 0.2)]))
    store.append(row("b", 0.2))
    with store.connect() as connection:
        query = "SELECT model_id, score FROM scores ORDER BY model_id"
        assert connection.sql(query).fetchall() == [("a", 0.1), ("b", 0.2)]
        store.append(row("c", 0.3))
        assert connection.sql(query).fetchall()[-1] == ("c", 0.3)


def test_a_corrupt_part_is_named(store: ScoreStore):
    store.append(row("a"))
    part = store.append(row("b"))
    content = part.read_bytes()
    for wrong in (b"", b"not parquet", content[:-7], content[: len(content) // 2]):
        part.write_bytes(wrong)
        for use in (store.read, store.connect, store.conflicts, lambda: load_scores(store.folder)):
            with pytest.raises(DataError, match=part.name):
                use()


def test_an_empty_store_says_so(store: ScoreStore):
    with pytest.raises(MissingDataError, match="no such folder"):
        store.read()
    store.folder.mkdir()
    with pytest.raises(MissingDataError, match="holds no part"):
        store.connect()


WRITER = """
import sys
import pandas as pd
from vvscale.scores import ScoreStore
store, name, count = ScoreStore(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    models = [f"{name}{number}-{row}" for row in range(20)]
    store.append(pd.DataFrame({"model_id": models, "benchmark_id": "b", "region": "V1", "score": 0.1}))
    print(number, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_writers_at_once_lose_nothing(tmp_path: Path):
    writers = [writer(tmp_path / "store", name, 25) for name in ("left", "right")]
    for one in writers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in writers:
        one.communicate("go\n", timeout=60)
        assert one.returncode == 0
    got = ScoreStore(tmp_path / "store").read()
    assert len(got) == 2 * 25 * 20
    assert got["model_id"].is_unique


def test_a_kill_while_writing_leaves_no_half_part(tmp_path: Path):
    folder = tmp_path / "store"
    one = writer(folder, "killed", 100_000)
    assert one.stdout is not None
    assert one.stdin is not None
    one.stdout.readline()
    one.stdin.write("go\n")
    one.stdin.flush()
    while one.stdout.readline() != "5\n":
        pass
    time.sleep(0.013)
    one.send_signal(signal.SIGKILL)
    told = [int(line) for line in one.communicate()[0].split()]
    store = ScoreStore(folder)
    whole = store.read()["model_id"].str.split("-").str[0]
    assert set(whole.value_counts()) == {20}
    assert f"killed{max(told, default=5)}" in set(whole), "what was reported as written is there"


def test_an_interrupted_write_leaves_nothing_behind(store: ScoreStore, monkeypatch: pytest.MonkeyPatch):
    import pyarrow.parquet

    store.append(row("a"))

    def interrupted(table: object, path: Path) -> None:
        path.write_bytes(b"PAR1 half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pyarrow.parquet, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.append(row("b"))
    assert [path.name for path in store.folder.iterdir()] == [path.name for path in store.parts()]
    assert store.read()["model_id"].tolist() == ["a"]


def test_an_interruption_before_the_move_leaves_nothing_under_the_final_name(
    store: ScoreStore, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.append(row())
    assert list(store.folder.iterdir()) == []


def test_the_next_append_cleans_up_after_a_killed_one(store: ScoreStore):
    store.append(row("a"))
    child = os.fork()
    if child == 0:
        with write_whole(store.folder / "killed.parquet"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    theirs = store.folder / ".1-of-another-machine.parquet.1-00000000.abcd.part"
    old = store.folder / ".1-of-another-machine.parquet.1-00000000.efgh.part"
    for path in (theirs, old):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    with write_whole(store.folder / "living.parquet"):  # of a process that lives: this one
        assert len(list(store.folder.glob(".*.part"))) == 4
        store.append(row("b"))
        assert len(list(store.folder.glob(".*.part"))) == 2
    assert theirs.exists()
    assert len(store.read()) == 2
