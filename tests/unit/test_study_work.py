"""One worker in this process: what it records, what it refuses to record, what it makes again."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from vvscale.errors import DataError, DivergedError, OutOfMemoryError, StoppedError
from vvscale.study.graph.graph import Graph, GraphBuilder
from vvscale.study.graph.kinds import Kind, TaskContext
from vvscale.study.run import hand_over, survey
from vvscale.study.status import study_status
from vvscale.study.tasks.registry import TASKS
from vvscale.study.workers.folder import StudyFolder
from vvscale.study.workers.worker import parse_shard, resolve_device, work

VERSIONS = {kind: TASKS[kind].version for kind in ("noop", "sleep", "fail", "collect")}


def graph(n: int = 4, *, seconds: float = 0.0, fails_while: Path | None = None, signal: str = "") -> Graph:
    """Chains of two and one that collects; the first chain may fail."""
    builder = GraphBuilder(VERSIONS)
    ends = []
    for number in range(n):
        if number == 0 and fails_while is not None:
            params = {"value": 0, "while_exists": str(fails_while), "signal": signal}
            first = builder.add("fail", params, label="the one that fails")
        elif seconds:
            first = builder.add("sleep", {"value": number, "seconds": seconds}, label=f"sleep {number}")
        else:
            first = builder.add("noop", {"value": number}, label=f"noop {number}")
        ends.append(builder.add("noop", {"value": 100}, inputs={"of": first}, label=f"after {number}"))
    builder.add("collect", {}, inputs={"values": tuple(ends)}, label="table", publish={"values.json": "t/values.json"})
    return builder.build()


def begin(path: Path, made: Graph) -> StudyFolder:
    folder = StudyFolder(path)
    folder.write_plan({"name": "test", "digest": "d" * 64, "datasets": {"digits": "digits"}}, made)
    return folder


def values(folder: StudyFolder) -> list[float]:
    return json.loads((folder.results / "t" / "values.json").read_text())


def by_label(made: Graph, label: str) -> str:
    return next(task.id for task in made.tasks if task.label == label)


def add_kind(monkeypatch: pytest.MonkeyPatch, name: str, run, **more) -> None:
    monkeypatch.setitem(TASKS._entries, name, Kind(run, name, **more))


def one_task(kind: str, params=None) -> Graph:
    builder = GraphBuilder({kind: "1"})
    builder.add(kind, params or {}, label="it")
    return builder.build()


def test_a_study_is_worked_to_its_end_and_beside_every_result_stands_where_it_is_from(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    summary = work(folder, made)
    assert (summary.n_done, summary.n_failed, summary.is_complete) == (9, 0, True)
    assert values(folder) == [100, 101, 102, 103]
    for task in made.tasks:
        for name in ("task.json", "done.json"):
            content = json.loads((folder.task(task.id).path / name).read_text())
            assert content["study"] == {"name": "test", "digest": "d" * 64}
            assert content["code_version"]
    assert work(folder, made).n_done == 0


def test_a_failure_keeps_its_traceback_and_stops_nobody_else(tmp_path: Path):
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    made = graph(fails_while=obstacle)
    folder = begin(tmp_path / "out", made)
    summary = work(folder, made)
    assert (summary.n_done, summary.n_failed, summary.is_complete) == (6, 1, True)
    error = folder.task(by_label(made, "the one that fails")).error()
    assert error is not None
    assert error["type"] == "RunError"
    assert "run_fail" in error["traceback"]
    status = study_status(folder)
    assert (status.n_done, status.n_failed, status.n_blocked) == (6, 1, 2)
    assert "Asked to fail while" in status.failures[0].message
    assert work(folder, made).n_failed == 0, "it is not tried again unasked"
    obstacle.unlink()
    assert survey(folder, made).retried == ["the one that fails"]
    assert work(folder, made).n_done == 3
    assert values(folder) == [100, 101, 102, 103]
    assert study_status(folder).is_complete


def test_a_task_that_stops_is_free_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stops(context: TaskContext) -> None:
        raise StoppedError("enough")

    add_kind(monkeypatch, "stops", stops)
    made = one_task("stops")
    folder = begin(tmp_path, made)
    assert work(folder, made).was_stopped
    assert folder.task(made.tasks[0].id).error() is None
    add_kind(monkeypatch, "stops", lambda context: None)
    assert work(folder, made).n_done == 1
    assert folder.task(made.tasks[0].id).claims() == 1


def test_what_was_saved_before_a_stop_is_there_after_it(tmp_path: Path):
    made = graph(1, seconds=0.6)
    folder = begin(tmp_path, made)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert work(folder, made, stop=stop).was_stopped
    out = folder.task(by_label(made, "sleep 0")).out
    assert 0.1 < json.loads((out / "slept.json").read_text()) < 0.6
    began = time.monotonic()
    assert work(folder, made).n_done == 3
    assert time.monotonic() - began < 0.55
    assert not (out / "slept.json").exists(), "what only served to go on is removed"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_is_no_tasks_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    def fills(context: TaskContext) -> None:
        try:
            raise OSError(number, "no room")
        except OSError as error:
            raise RuntimeError("cannot save") from error

    add_kind(monkeypatch, "fills", fills)
    made = one_task("fills")
    folder = begin(tmp_path, made)
    with pytest.raises(DataError, match="free some space or mend the folder, then `vvscale study resume`"):
        work(folder, made)
    assert folder.task(made.tasks[0].id).error() is None
    add_kind(monkeypatch, "fills", lambda context: None)
    assert work(folder, made).n_done == 1


def test_an_error_of_the_journal_is_the_storages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = graph()
    folder = begin(tmp_path, made)
    with monkeypatch.context() as patch:
        patch.setattr("os.symlink", lambda *_: (_ for _ in ()).throw(OSError(errno.EACCES, "Permission denied")))
        with pytest.raises(DataError, match="Permission denied"):
            work(folder, made)
    assert work(folder, made).is_complete


@pytest.mark.parametrize("error", [DivergedError("NaN"), OutOfMemoryError("8 GB"), SystemExit(3), MemoryError()])
def test_every_kind_of_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException):
    def fails(context: TaskContext) -> None:
        raise error

    add_kind(monkeypatch, "fails", fails)
    made = one_task("fails")
    folder = begin(tmp_path, made)
    assert work(folder, made).n_failed == 1
    kept = folder.task(made.tasks[0].id).error()
    assert kept is not None
    assert kept["type"] == type(error).__name__
    assert kept["message"]


def damage(folder: StudyFolder, made: Graph, label: str, how: str) -> None:
    here = folder.task(by_label(made, label))
    if how == "output":
        (here.out / "value.json").unlink()
    elif how == "content":
        (here.out / "value.json").write_text("12345")
    elif how == "done":
        (here.path / "done.json").write_text('{"claim"')
    elif how == "no done":
        (here.path / "done.json").unlink()
    elif how == "folder":
        shutil.rmtree(here.path)


@pytest.mark.parametrize("how", ["output", "content", "done", "no done", "folder"])
def test_a_damaged_result_is_named_and_made_again_and_nothing_else(tmp_path: Path, how: str):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    damage(folder, made, "noop 2", how)
    found = survey(folder, made)
    assert list(found.damaged) == ["noop 2"]
    assert found.n_finished == 8
    assert "made again: noop 2" in "; ".join(found.words())
    assert work(folder, made).n_done == 1
    assert survey(folder, made).damaged == {}
    assert survey(folder, made).n_finished == 9
    assert study_status(folder).is_complete


@pytest.mark.parametrize("how", ["output", "folder", "done"])
def test_an_input_that_is_damaged_while_work_goes_on_is_made_again(tmp_path: Path, how: str):
    made = graph()
    folder = begin(tmp_path, made)
    collect = by_label(made, "table")
    work(folder, made)
    # The table is to be made again, and only when it is, the worker sees that an input is gone.
    shutil.rmtree(folder.task(collect).path)
    damage(folder, made, "after 3", how)
    survey_of_the_table_only(folder, made, collect)
    assert work(folder, made).n_done == 2
    assert values(folder) == [100, 101, 102, 103]


def survey_of_the_table_only(folder: StudyFolder, made: Graph, task_id: str) -> None:
    from vvscale.study.workers.journal import Journal, What

    journal = Journal(folder.events, "test")
    journal.add(What.BROKEN, task_id, 0)
    journal.close()


def test_who_was_taken_over_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = one_task("slow")
    folder = begin(tmp_path, made)
    here = folder.task(made.tasks[0].id)

    def slow(context: TaskContext) -> None:
        # Another worker took this one for dead and has the task now.
        here.add_claim(1, "another")

    add_kind(monkeypatch, "slow", slow)
    # The other one is dead in truth, so that the task comes back; only this third claim's result counts.
    assert work(folder, made).n_done == 1
    done = here.done()
    assert done is not None
    assert (done["claim"], here.claims()) == (2, 2)


def test_a_task_that_kills_its_workers_is_failed_in_the_end(tmp_path: Path):
    made = one_task("noop", {"value": 1})
    folder = begin(tmp_path, made)
    here = folder.task(made.tasks[0].id)
    here.path.mkdir(parents=True)
    for number in range(3):
        here.add_claim(number, f"dead-{number}")
    assert work(folder, made).n_failed == 1
    error = here.error()
    assert error is not None
    assert "3 workers in a row died" in error["message"]
    survey(folder, made)
    assert work(folder, made).n_done == 1, "asked again, it is tried again"


def test_journals_that_are_lost_cost_nothing(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    shutil.rmtree(folder.events)
    assert survey(folder, made).n_finished == 9
    assert study_status(folder).is_complete
    shutil.rmtree(folder.events)
    assert work(folder, made).n_done == 0
    assert study_status(folder).is_complete


def test_torn_lines_are_skipped(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    for path in folder.events.glob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:3]) + lines[3][:10] + b"\n" + b"".join(lines[4:]) + b'[1, "do')
    assert study_status(folder).n_done >= 8
    assert survey(folder, made).n_finished == 9


def test_results_are_handed_over_again_and_absent_ones_are_named(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    with pytest.raises(DataError, match="has no result yet"):
        hand_over(folder)
    work(folder, made)
    shutil.rmtree(folder.results)
    assert hand_over(folder) == [folder.results / "t" / "values.json"]


def test_changing_one_value_runs_exactly_what_depends_on_it(tmp_path: Path):
    folder = begin(tmp_path, graph(5))
    work(folder, graph(5))
    builder = GraphBuilder(VERSIONS)
    ends = []
    for number in range(5):
        first = builder.add("noop", {"value": 50 if number == 3 else number})
        ends.append(builder.add("noop", {"value": 100}, inputs={"of": first}))
    builder.add("collect", {}, inputs={"values": tuple(ends)}, publish={"values.json": "t/values.json"})
    changed = builder.build()
    folder = begin(tmp_path, changed)
    assert work(folder, changed).n_done == 3
    assert values(folder) == [100, 101, 102, 150, 104]


def test_shards_and_devices(monkeypatch: pytest.MonkeyPatch):
    assert parse_shard("0/1") == (0, 1)
    for wrong in ("1/1", "a/b", "1", "-1/2", "0/0"):
        with pytest.raises(Exception, match="expected i/n"):
            parse_shard(wrong)
    assert resolve_device("cpu") == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resolve_device("auto") == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert resolve_device("auto") == "cuda"


def test_results_are_those_of_the_plan_at_hand(tmp_path: Path):
    folder, old = begin(tmp_path, graph(2)), graph(2)
    work(folder, old)
    (folder.results / "mine.txt").write_text("a file of the user's")
    assert (folder.results / "t" / "values.json").exists()
    builder = GraphBuilder(VERSIONS)
    first = builder.add("noop", {"value": 7}, label="another")
    builder.add("collect", {}, inputs={"values": (first,)}, label="table", publish={"values.json": "new.json"})
    new = builder.build()
    folder.write_plan({"name": "test", "digest": "e" * 64, "datasets": {}}, new)
    folder.retract(new, done=())
    assert not (folder.results / "t" / "values.json").exists()
    work(folder, new)
    # What is still to be done must not be shown as done; what is done stays.
    folder.retract(new, done=[task.id for task in new.tasks])
    assert (folder.results / "new.json").exists()
    folder.retract(new, done=[first])
    assert sorted(path.name for path in folder.results.rglob("*") if path.is_file()) == ["mine.txt"]
