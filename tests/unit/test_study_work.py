"""A run whose tasks run in this process: what is recorded, what is made again, what follows from each end."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from vvscale.core.files import locked
from vvscale.errors import DataError, DivergedError, InterruptedRunError, OutOfMemoryError, StoppedError, UsageError
from vvscale.study.engine.worker import Answer, Request, run_task
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph
from vvscale.study.graph.kinds import Kind, TaskContext
from vvscale.study.prepare import Stop, stop_on_signals
from vvscale.study.spec.workers import EngineSpec
from vvscale.study.status import study_status
from vvscale.study.survey import hand_over, survey
from vvscale.study.tasks.registry import TASKS

sys.path.insert(0, str(Path(__file__).parent))
from study_engine import LOST, LOST_JOB, InProcess, begin, work

VERSIONS = {kind: TASKS[kind].version for kind in ("noop", "sleep", "fail", "collect")}


def graph(n: int = 4, *, fails_while: Path | None = None) -> Graph:
    """Chains of two and one that collects; the first chain may fail."""
    builder = Graph(VERSIONS)
    ends = []
    for number in range(n):
        if number == 0 and fails_while is not None:
            params = {"value": 0, "while_exists": str(fails_while)}
            first = builder.add("fail", params, label="the one that fails")
        else:
            first = builder.add("noop", {"value": number}, label=f"noop {number}")
        ends.append(builder.add("noop", {"value": 100}, inputs={"of": first}, label=f"after {number}"))
    builder.add("collect", {}, inputs={"values": tuple(ends)}, label="table", publish={"values.json": "t/values.json"})
    return builder


def values(folder: StudyFolder) -> list[float]:
    return json.loads((folder.results / "t" / "values.json").read_text())


def by_label(made: Graph, label: str) -> str:
    return next(task.id for task in made.tasks if task.label == label)


def add_kind(monkeypatch: pytest.MonkeyPatch, name: str, run, **more) -> None:
    monkeypatch.setitem(TASKS._entries, name, Kind(run, name, **more))


def one_task(kind: str, params=None) -> Graph:
    builder = Graph({kind: "1"})
    builder.add(kind, params or {}, label="it")
    return builder


def test_a_study_is_worked_to_its_end_and_beside_every_result_stands_where_it_is_from(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    result = work(folder, made)
    assert (result.n_done, result.n_failed, result.error()) == (9, 0, None)
    assert result.results == (folder.results / "t" / "values.json",)
    assert values(folder) == [100, 101, 102, 103]
    for task in made.tasks:
        for name in ("task.json", "done.json"):
            content = json.loads((folder.task(task.id).path / name).read_text())
            assert content["study"] == {"name": "test", "digest": "d" * 64}
            assert content["code_version"]
    again = InProcess()
    assert work(folder, made, again).n_done == 0
    assert again.ran == []


def test_a_failure_keeps_its_traceback_and_stops_nobody_else(tmp_path: Path):
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    made = graph(fails_while=obstacle)
    folder = begin(tmp_path / "out", made)
    result = work(folder, made)
    assert (result.n_done, result.n_failed, result.n_blocked) == (6, 1, 2)
    error = folder.task(by_label(made, "the one that fails")).error()
    assert error is not None
    assert error["type"] == "RunError"
    assert "run_fail" in error["traceback"]
    status = study_status(folder)
    assert (status.n_done, status.n_failed, status.n_blocked) == (6, 1, 2)
    assert "Asked to fail while" in status.failures[0].message
    assert str(status.failures[0].path) in str(result.error())
    obstacle.unlink()
    assert survey(folder, made).labels("failed") == ["the one that fails"]
    assert work(folder, made).n_done == 3
    assert values(folder) == [100, 101, 102, 103]
    assert study_status(folder).is_complete


def test_what_may_lack_inputs_is_made_from_the_others_and_again_when_nothing_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(TASKS._entries, "collect", dataclasses.replace(TASKS["collect"], may_lack=("values",)))
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    made = graph(fails_while=obstacle)
    folder = begin(tmp_path / "out", made)
    result = work(folder, made)
    assert (result.n_done, result.n_failed, result.n_blocked) == (7, 1, 1)
    assert values(folder) == [101, 102, 103]
    assert result.notes == ("table was made without after 0",)
    obstacle.unlink()
    assert survey(folder, made).labels("partial") == ["table"]
    result = work(folder, made)
    assert (result.n_done, result.notes) == (3, ())
    assert values(folder) == [100, 101, 102, 103]
    # With no input at all there is nothing to make.
    obstacle.touch()
    alone = graph(1, fails_while=obstacle)
    assert work(begin(tmp_path / "alone", alone), alone).n_blocked == 2


def test_a_task_that_stops_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    n_tries = 0

    def stops(context: TaskContext) -> None:
        nonlocal n_tries
        n_tries += 1
        if n_tries < 6:
            (context.out / "state").touch()
            raise StoppedError("enough")

    add_kind(monkeypatch, "stops", stops, scratch=("state",))
    made = one_task("stops")
    folder = begin(tmp_path, made)
    assert work(folder, made).n_done == 1
    assert n_tries == 6
    assert not (folder.task(made.tasks[0].id).out / "state").exists(), "what only served to resume is removed"
    # Without a state to save it would never end.
    n_tries = 0
    add_kind(monkeypatch, "stops", stops)
    folder = begin(tmp_path / "other", made)
    assert "needs longer than a job lasts" in work(folder, made).failures[0].message
    assert n_tries == 3


def test_a_task_is_told_to_stop_shortly_before_its_job_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def waits(context: TaskContext) -> None:
        for _ in range(600):
            context.check_stop()
            time.sleep(0.05)

    add_kind(monkeypatch, "waits", waits, scratch=("state",))
    made = one_task("waits")
    folder = begin(tmp_path, made)
    monkeypatch.setenv("VVSCALE_WORKER_GRACE", "100")
    monkeypatch.setenv("VVSCALE_WORKER_END", str(time.time() + 100.3))
    began = time.monotonic()
    assert run_task(Request(str(folder.path), made.tasks[0], {}, {})).outcome == "stopped"
    assert 0.2 < time.monotonic() - began < 20
    assert folder.task(made.tasks[0].id).error() is None


def test_a_task_that_begins_near_the_end_of_its_job_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add_kind(monkeypatch, "looks", lambda context: context.check_stop())
    made = one_task("looks")
    folder = begin(tmp_path, made)
    monkeypatch.setenv("VVSCALE_WORKER_GRACE", "100")
    monkeypatch.setenv("VVSCALE_WORKER_END", str(time.time() + 50))
    assert run_task(Request(str(folder.path), made.tasks[0], {}, {})).outcome == "done"


def stop_after(n: int, number: int) -> tuple[Stop, InProcess]:
    """A stop, and an engine that sets it when it is given its n-th task."""
    stop = Stop()
    engine = InProcess(act=lambda request: setattr(stop, "number", number) if len(engine.ran) == n else None)
    return stop, engine


def test_a_stop_says_what_is_done_and_how_to_resume(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    stop, engine = stop_after(5, signal.SIGTERM)
    told: list[str] = []
    with pytest.raises(StoppedError, match=r"Stopped with 6 of 9 tasks done[.] `vvscale study resume") as caught:
        work(folder, made, engine, stop=stop, on_stop=told.append)
    assert caught.value.exit_code == 75
    assert told == ["Stopping with 5 of 9 tasks done."], "at once, before the workers end"
    assert engine.stopped_with == 25.0
    status = study_status(folder)
    assert (status.n_done, sum(stage.running for stage in status.stages)) == (6, 0)
    stop, engine = stop_after(1, signal.SIGINT)
    with pytest.raises(InterruptedRunError) as caught:
        work(folder, made, engine, stop=stop)
    assert caught.value.exit_code == 130
    assert work(folder, made).n_done + study_status(folder).n_done >= 9


def test_a_stop_is_heard_while_what_is_finished_is_looked_at(tmp_path: Path):
    made = graph()
    folder, stop = begin(tmp_path, made), Stop()
    work(folder, made)
    (folder.task(made.tasks[0].id).path / "done.json").unlink()
    stop.number, engine = signal.SIGTERM, InProcess()
    with pytest.raises(StoppedError, match="while looking at what is finished"):
        work(folder, made, engine, stop=stop)
    assert engine.ran == []
    assert values(folder) == [100, 101, 102, 103], "what is published stays"


def test_signals_set_the_stop_and_a_second_ctrl_c_ends_at_once():
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_set()


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
    elif how in ("value", "name", "seal"):
        old, new = {
            "value": ('"seconds"', '"sekonds"'),
            "name": ('"result"', '"resulu"'),
            "seal": ('"content_', '"contenu_'),
        }[how]
        record = (here.path / "done.json").read_text()
        assert old in record
        (here.path / "done.json").write_text(record.replace(old, new))


@pytest.mark.parametrize("how", ["output", "content", "done", "value", "name", "seal"])
def test_a_damaged_result_is_named_and_made_again_from_nothing(tmp_path: Path, how: str):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    damage(folder, made, "noop 2", how)
    here = folder.task(by_label(made, "noop 2"))
    (here.out / "left").write_text("what an earlier attempt left")
    found = survey(folder, made)
    assert found.labels("damaged") == ["noop 2"]
    assert len(found.labels("finished")) == len(found.done) == 8
    assert "made again: noop 2" in "; ".join(found.words())
    assert not here.out.exists(), "a changed result is not taken for one that only needs to be recorded"
    engine = InProcess()
    assert work(folder, made, engine).n_done == 1
    assert [request.label for request in engine.ran] == ["noop 2"]
    assert survey(folder, made).labels("damaged") == []
    assert study_status(folder).is_complete


def test_a_flipped_bit_of_a_record_is_seen_or_changes_nothing(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    here = folder.task(by_label(made, "noop 2"))
    path = here.path / "done.json"
    whole, sound = path.read_bytes(), here.done()
    assert sound is not None
    seen = 0
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        found = here.done()
        assert found in (None, sound), bit
        seen += found is None
    assert seen > 6 * len(whole)


def test_a_change_that_keeps_size_and_time_is_found_by_reading(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    victim = folder.task(by_label(made, "noop 2")).out / "value.json"
    stat = victim.stat()
    victim.write_text(victim.read_text().replace("2", "3"))
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert survey(folder, made).labels("damaged") == []
    assert survey(folder, made, rehash=True).labels("damaged") == ["noop 2"]
    # The file deceives; a run that is killed now must not trust it again.
    assert work(folder, made).n_done == 1


@pytest.mark.parametrize("how", ["output", "done"])
def test_an_input_that_is_damaged_while_work_goes_on_is_made_again(tmp_path: Path, how: str):
    made = graph()
    folder = begin(tmp_path, made)
    is_done = False

    def act(request):
        nonlocal is_done
        if request.label == "table" and not is_done:
            is_done = True
            damage(folder, made, "after 3", how)

    engine = InProcess(act=act)
    work(folder, made, engine)
    assert [request.label for request in engine.ran[-3:]] == ["table", "after 3", "table"]
    assert values(folder) == [100, 101, 102, 103]


def test_an_input_that_is_damaged_for_ever_ends_the_run(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    needed = by_label(made, "noop 2")
    engine = InProcess(
        act=lambda request: Answer("damaged", needed=needed, message="changed") if request.label == "after 2" else None
    )
    with pytest.raises(DataError, match="'noop 2' was found damaged 5 times, the last time: changed"):
        work(folder, made, engine)


def test_an_input_that_many_find_damaged_is_made_again_once(tmp_path: Path):
    made = Graph(VERSIONS)
    first = made.add("noop", {"value": 1}, label="first")
    for number in range(12):
        made.add("noop", {"value": number}, inputs={"of": first}, label=f"after {number}")
    folder = begin(tmp_path, made)
    seen = []

    def act(request):
        # Twelve workers look at once, before any of them has said what it saw.
        if request.label.startswith("after") and len(seen) < 12:
            seen.append(request.label)
            if len(seen) == 1:
                damage(folder, made, "first", "output")
            return Answer("damaged", needed=first, message="'value.json' is missing")
        return None

    engine = InProcess(act=act)
    assert work(folder, made, engine).n_failed == 0
    assert [request.label for request in engine.ran].count("first") == 2


def test_a_task_whose_input_is_lost_while_it_reads_is_not_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Graph({**VERSIONS, "reads": "1"})
    first = made.add("noop", {"value": 1}, label="first")
    made.add("reads", {}, inputs={"of": first}, label="reader")
    folder, n_reads = begin(tmp_path, made), 0

    def reads(context: TaskContext) -> None:
        nonlocal n_reads
        n_reads += 1
        if n_reads == 1:
            damage(folder, made, "first", "output")
        (context.out / "copy").write_text((context.input("of") / "value.json").read_text())

    add_kind(monkeypatch, "reads", reads)
    result = work(folder, made)
    assert (result.n_failed, n_reads) == (0, 2)


@pytest.mark.parametrize(("lost", "n", "what"), [(LOST, 3, "3 workers"), (LOST_JOB, 10, "10 jobs")])
def test_a_task_that_kills_its_workers_is_failed_by_name_and_the_others_go_on(tmp_path: Path, lost, n: int, what: str):
    made = graph()
    folder = begin(tmp_path, made)
    engine = InProcess(act=lambda request: lost if request.label == "noop 2" else None)
    result = work(folder, made, engine)
    assert [request.label for request in engine.ran].count("noop 2") == n
    assert (result.n_done, result.n_failed, result.n_blocked) == (6, 1, 2)
    error = folder.task(by_label(made, "noop 2")).error()
    assert error is not None
    assert error["message"].startswith(f"{what} died while they ran this task. Most likely the memory")
    assert work(folder, made).n_done == 3, "asked again, it is tried again"


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    lost = iter([LOST, LOST])
    engine = InProcess(act=lambda request: next(lost, None) if request.label == "noop 2" else None)
    assert work(folder, made, engine).n_failed == 0
    assert values(folder) == [100, 101, 102, 103]


def test_who_looks_at_a_study_does_not_keep_a_run_out(tmp_path: Path):
    folder = begin(tmp_path, graph())
    looking, looked = threading.Event(), threading.Event()

    def look() -> None:
        with locked(folder.path / "lock"):
            looking.set()
            looked.wait()

    onlooker = threading.Thread(target=look)
    onlooker.start()
    looking.wait()
    threading.Timer(0.1, looked.set).start()
    with folder.alone():
        assert folder.runner() is not None
        with pytest.raises(UsageError, match="is run by another process"), folder.alone():
            pass
    onlooker.join()
    assert folder.runner() is None


def test_a_task_that_another_process_finished_meanwhile_is_taken_as_it_is(tmp_path: Path):
    made = graph()
    folder = begin(tmp_path, made)
    work(folder, made)
    engine = InProcess()
    before = folder.task(made.tasks[0].id).done()
    # As a worker sees it that another run had started, and that ended after the survey.
    engine.start(["main"])
    task = made.tasks[0]
    request = Request(str(folder.path), task, {}, {})
    assert run_task(request).outcome == "done"
    assert folder.task(task.id).done() == before


def test_groups_of_workers_get_the_tasks_that_name_them(tmp_path: Path):
    spec = EngineSpec(workers=1, groups=({"name": "big", "kinds": ("collect",), "workers": 2},))
    made = graph(2)
    engine = InProcess(spec)
    work(begin(tmp_path, made), made, engine)
    assert engine.group_of == {
        "noop 0": "main", "noop 1": "main", "after 0": "main", "after 1": "main", "table": "big",
    }  # fmt: skip


def test_a_status_that_is_lost_is_counted_anew(tmp_path: Path):
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    made = graph(fails_while=obstacle)
    folder = begin(tmp_path / "out", made)
    work(folder, made)
    told = study_status(folder)
    written = (folder.path / "status.json").read_text()
    assert '"failed": 1' in written
    damaged = (written.replace('"failed": 1', '"failed": 3'), written.replace('"kind"', '"kint"'))
    for content in (None, "{", '{"graph": "of another plan"}', *damaged):
        (folder.path / "status.json").unlink(missing_ok=True)
        if content is not None:
            (folder.path / "status.json").write_text(content)
        counted = study_status(folder)
        assert (counted.n_done, counted.n_failed, counted.n_blocked) == (told.n_done, told.n_failed, told.n_blocked)
        assert "Asked to fail" in counted.failures[0].message


def test_a_second_run_says_who_has_the_first(tmp_path: Path):
    folder = begin(tmp_path, graph())
    assert folder.runner() is None
    with folder.alone():
        assert f"process {os.getpid()} on " in str(folder.runner())
        words = rf"is run by another process \(process {os.getpid()} on .*study status"
        with pytest.raises(UsageError, match=words), folder.alone():
            pass
    assert folder.runner() is None


@pytest.mark.parametrize(
    "damage",
    ["", "{", '{"pid": 1}', '{"pid": 1, "host": "a", "since": "noon"}', '{"pid": 1, "host": "a", "since": 1e99}'],
)
def test_who_runs_a_study_can_be_asked_whatever_its_lock_says(tmp_path: Path, damage: str):
    folder = begin(tmp_path, graph())
    with folder.alone():
        (folder.path / "lock").write_text(damage)
        assert folder.runner()
        with pytest.raises(UsageError, match="is run by another process"), folder.alone():
            pass


@pytest.mark.parametrize("message", ["", " ", 5, None, ["Asked"]])
def test_an_error_that_says_nothing_is_none(tmp_path: Path, message: object):
    made = graph(1)
    folder = begin(tmp_path, made)
    folder.task(made.tasks[0].id).write("error", {"message": message})
    assert study_status(folder).n_failed == 0
    assert work(folder, made).n_failed == 0


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
    changed = Graph(VERSIONS)
    ends = []
    for number in range(5):
        first = changed.add("noop", {"value": 50 if number == 3 else number})
        ends.append(changed.add("noop", {"value": 100}, inputs={"of": first}))
    changed.add("collect", {}, inputs={"values": tuple(ends)}, publish={"values.json": "t/values.json"})
    folder = begin(tmp_path, changed)
    assert work(folder, changed).n_done == 3
    assert values(folder) == [100, 101, 102, 150, 104]


def test_results_are_those_of_the_plan_at_hand(tmp_path: Path):
    folder, old = begin(tmp_path, graph(2)), graph(2)
    work(folder, old)
    (folder.results / "mine.txt").write_text("a file of the user's")
    assert (folder.results / "t" / "values.json").exists()
    new = Graph(VERSIONS)
    first = new.add("noop", {"value": 7}, label="another")
    new.add("collect", {}, inputs={"values": (first,)}, label="table", publish={"values.json": "new.json"})
    folder = begin(tmp_path, new)
    folder.retract(done=())
    assert not (folder.results / "t").exists()
    work(folder, new)
    # What is still to be done must not be shown as done; what is done stays.
    folder.retract(done=[task.id for task in new.tasks])
    assert (folder.results / "new.json").exists()
    folder.retract(done=[first])
    assert sorted(path.name for path in folder.results.rglob("*") if path.is_file()) == ["mine.txt"]


@pytest.mark.parametrize("target", ["../victim", "../../victim", "/tmp/victim", "t/../../victim"])
def test_what_was_changed_by_hand_removes_and_writes_nothing_outside(tmp_path: Path, target: str):
    made = graph(2)
    folder = begin(tmp_path / "out" / "study", made)
    work(folder, made)
    victim = (folder.results / target).resolve()
    victim.mkdir(parents=True, exist_ok=True)
    (victim / "dear").touch()
    (folder.path / "published.json").write_text(json.dumps({target: "nobody", f"{target}/dear": "nobody"}))
    with pytest.raises(DataError, match="outside"):
        work(folder, made)
    assert (victim / "dear").exists()
    shutil.rmtree(victim)


def test_a_link_in_the_results_is_not_followed(tmp_path: Path):
    made = graph(2)
    folder = begin(tmp_path / "study", made)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "values.json").write_text("dear")
    folder.results.mkdir()
    (folder.results / "t").symlink_to(victim)
    with pytest.raises(DataError, match="outside"):
        work(folder, made)
    assert (victim / "values.json").read_text() == "dear"


def test_scratch_behind_a_link_is_not_removed(tmp_path: Path):
    here = StudyFolder(tmp_path / "study").task("ab" * 10)
    here.out.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "dear").touch()
    (here.out / "store").symlink_to(victim)
    with pytest.raises(DataError, match="outside"):
        here.remove_scratch(("store/*",))
    assert (victim / "dear").exists()


def test_results_that_are_a_link_are_refused(tmp_path: Path):
    made = graph(2)
    folder = begin(tmp_path / "study", made)
    victim = tmp_path / "victim"
    (victim / "dear").mkdir(parents=True)
    (victim / "data").write_text("dear")
    folder.results.symlink_to(victim)
    (folder.path / "published.json").write_text(json.dumps({"dear": "nobody", "data": "nobody"}))
    with pytest.raises(DataError, match="outside"):
        work(folder, made)
    assert sorted(path.name for path in victim.iterdir()) == ["data", "dear"]


def test_a_record_that_names_a_folder_removes_no_folder(tmp_path: Path):
    made = graph(2)
    folder = begin(tmp_path / "study", made)
    (folder.results / "mine").mkdir(parents=True)
    (folder.results / "mine" / "data").write_text("dear")
    (folder.path / "published.json").write_text(json.dumps({"mine": "nobody"}))
    work(folder, made)
    assert (folder.results / "mine" / "data").read_text() == "dear"


def test_a_task_that_is_a_link_is_neither_written_nor_discarded(tmp_path: Path):
    made = graph(2)
    folder = begin(tmp_path / "study", made)
    victim = tmp_path / "victim"
    (victim / "out").mkdir(parents=True)
    (victim / "done.json").write_text("{")
    here = folder.task(made.tasks[0].id)
    here.path.parent.mkdir(parents=True)
    here.path.symlink_to(victim)
    with pytest.raises(DataError, match="outside"):
        work(folder, made)
    assert sorted(path.name for path in victim.iterdir()) == ["done.json", "out"]


def test_a_lock_that_is_a_link_writes_nothing_elsewhere(tmp_path: Path):
    folder = begin(tmp_path / "study", graph(2))
    (tmp_path / "victim").write_text("dear")
    (folder.path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(DataError, match="is a link, a pipe or a device"), folder.alone():
        pass
    assert (tmp_path / "victim").read_text() == "dear"


@pytest.mark.parametrize("name", ["spec.toml", "results/t/values.json"])
def test_a_folder_with_files_of_others_is_no_place_for_a_study(tmp_path: Path, name: str):
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True, parents=True)
    mine.write_text("dear")
    with pytest.raises(UsageError, match=f"holds '{name}' and no 'spec.json'"):
        begin(tmp_path, graph(2))
    assert mine.read_text() == "dear"
    assert not (tmp_path / "graphs").exists()


def test_a_study_may_be_begun_beside_its_own_file(tmp_path: Path):
    (tmp_path / "spec.toml").write_text("name = 'test'")
    folder = StudyFolder(tmp_path)
    folder.write_plan({"name": "test"}, graph(2), source=tmp_path / "spec.toml")
    assert (tmp_path / "spec.toml").read_text() == "name = 'test'"


def test_a_study_does_not_take_the_folder_of_another(tmp_path: Path):
    folder = begin(tmp_path, graph(2))
    work(folder, graph(2))
    with pytest.raises(UsageError, match="holds the study 'test', and this one is 'other'"):
        folder.write_plan({"name": "other"}, graph(3))
    assert values(folder) == [100, 101]
