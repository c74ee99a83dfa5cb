"""Who has a task: claims, liveness, damaged results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from vvscale.core.files import write_json
from vvscale.study.workers.claims import Outcome, finished, try_claim
from vvscale.study.workers.folder import StudyFolder, TaskFolder
from vvscale.study.workers.liveness import Liveness, Worker, mark_ended, process_start, this_machine


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path)


@pytest.fixture
def task(folder: StudyFolder) -> TaskFolder:
    return folder.task("abcdef")


def liveness(folder: StudyFolder, **options) -> Liveness:
    return Liveness(folder.workers, remember=0.0, **options)


def stranger(folder: StudyFolder, **changes) -> str:
    """A worker that is not this process."""
    with Worker(folder.workers) as worker:
        info = replace(worker.info, id=f"stranger-{os.urandom(4).hex()}", **changes)
    write_json(folder.workers / f"{info.id}.json", asdict(info))
    return info.id


def gone_process() -> tuple[int, int]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = process_start(process.pid)
    process.wait()
    return process.pid, started or 0


def finish(task: TaskFolder, claim: int, text: str = "result") -> None:
    task.out.mkdir(parents=True, exist_ok=True)
    (task.out / "a.txt").write_text(text)
    task.write("done", {"claim": claim, "outputs": task.digests()})


def test_the_first_has_it_and_the_second_waits(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as one, Worker(folder.workers) as two:
        assert try_claim(task, one, liveness(folder)).outcome is Outcome.CLAIMED
        attempt = try_claim(task, two, liveness(folder))
        assert (attempt.outcome, attempt.owner) == (Outcome.BUSY, one.id)


def test_who_ended_in_order_frees_its_tasks_at_once(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as one:
        try_claim(task, one, liveness(folder))
    with Worker(folder.workers) as two:
        attempt = try_claim(task, two, liveness(folder))
    assert (attempt.outcome, attempt.generation, attempt.deaths) == (Outcome.CLAIMED, 1, 0)


def test_who_finishes_and_ends_while_another_looks_is_not_repeated(folder: StudyFolder, task: TaskFolder):
    one = stranger(folder)
    task.path.mkdir(parents=True)
    assert task.add_claim(0, one)

    class EndsWhenAsked(Liveness):
        def state(self, worker_id: str, now: float) -> str:
            finish(task, 0)
            mark_ended(folder.workers / f"{worker_id}.json")
            return super().state(worker_id, now)

    with Worker(folder.workers) as two:
        attempt = try_claim(task, two, EndsWhenAsked(folder.workers, remember=0.0))
    assert (attempt.outcome, attempt.generation) == (Outcome.DONE, 0)


def test_a_dead_process_of_this_machine_frees_its_tasks_at_once(folder: StudyFolder, task: TaskFolder):
    pid, started = gone_process()
    dead = stranger(folder, pid=pid, started=started)
    task.path.mkdir(parents=True)
    assert task.add_claim(0, dead)
    with Worker(folder.workers) as worker:
        attempt = try_claim(task, worker, liveness(folder))
    assert (attempt.outcome, attempt.generation, attempt.deaths) == (Outcome.CLAIMED, 1, 1)


def test_a_process_id_that_is_used_again_is_not_the_worker(folder: StudyFolder):
    # Process 1 lives, but did not begin when this worker says it did.
    reused = stranger(folder, pid=1, started=(process_start(1) or 0) + 12345)
    assert liveness(folder).state(reused, time.time()) == "dead"
    same = stranger(folder, pid=1, started=process_start(1) or -1)
    assert liveness(folder).state(same, time.time()) == "alive"


def test_a_silent_worker_elsewhere_is_dead_after_a_while(folder: StudyFolder, task: TaskFolder):
    far = stranger(folder, machine="another machine", pid=1, started=0)
    task.path.mkdir(parents=True)
    task.add_claim(0, far)
    with Worker(folder.workers) as worker:
        assert try_claim(task, worker, liveness(folder)).outcome is Outcome.BUSY
        past = time.time() - 200
        os.utime(folder.workers / f"{far}.json", (past, past))
        assert try_claim(task, worker, liveness(folder, expire_after=300)).outcome is Outcome.BUSY
        assert try_claim(task, worker, liveness(folder, expire_after=180)).outcome is Outcome.CLAIMED


def test_the_clock_is_the_file_systems(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch):
    with Worker(folder.workers) as worker:
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert abs(worker.now() - worker.path.stat().st_mtime) < 5


def test_a_job_that_starts_again_ends_its_predecessor(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch):
    before = stranger(folder, machine="a node that broke", job="slurm-7")
    other = stranger(folder, machine="a node that works", job="slurm-8")
    monkeypatch.setenv("VVSCALE_JOB", "slurm-7")
    with Worker(folder.workers):
        assert liveness(folder).state(before, time.time()) == "ended"
        assert liveness(folder).state(other, time.time()) == "alive"


def test_a_worker_whose_file_is_gone_is_dead(folder: StudyFolder):
    assert liveness(folder).state("nobody", time.time()) == "dead"


def test_a_killed_process_that_nobody_waited_for_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert process_start(process.pid) is not None
    process.kill()
    deadline = time.monotonic() + 10
    while process_start(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_start(process.pid) is None
    process.wait()


def test_this_machine_is_one_name():
    code = "from vvscale.study.workers.liveness import this_machine; print(this_machine())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == this_machine()


def test_a_sound_result_is_done(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as worker:
        try_claim(task, worker, liveness(folder))
        finish(task, 0)
        assert try_claim(task, worker, liveness(folder)).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda out: (out / "a.txt").unlink(), "'a.txt' is missing"),
        (lambda out: (out / "a.txt").write_text("short"), "5 bytes instead of 6"),
        (lambda out: (out / "a.txt").write_text("RESULT"), "the content of 'a.txt' has changed"),
        (lambda out: (out.parent / "done.json").write_text('{"claim": 0'), "'done.json' cannot be read"),
        (lambda out: (out.parent / "done.json").write_text(""), "'done.json' cannot be read"),
    ],
)
def test_a_damaged_result_is_named_and_taken_again(folder: StudyFolder, task: TaskFolder, damage, words: str):
    with Worker(folder.workers) as worker:
        try_claim(task, worker, liveness(folder))
        finish(task, 0)
    damage(task.out)
    assert words in finished(task, 0)[1]
    with Worker(folder.workers) as worker:
        attempt = try_claim(task, worker, liveness(folder))
        assert (attempt.outcome, attempt.generation) == (Outcome.CLAIMED, 1)
        assert words in attempt.damage
        finish(task, 1)
        assert try_claim(task, worker, liveness(folder)).outcome is Outcome.DONE


def test_a_copied_folder_is_sound(task: TaskFolder):
    task.path.mkdir(parents=True)
    finish(task, 0)
    os.utime(task.out / "a.txt", (1.0, 1.0))
    assert finished(task, 0)[0] is not None


def test_rehashing_finds_what_time_and_size_hide(task: TaskFolder):
    task.path.mkdir(parents=True)
    finish(task, 0)
    stat = (task.out / "a.txt").stat()
    (task.out / "a.txt").write_text("RESULT")
    os.utime(task.out / "a.txt", ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    done = task.done()
    assert done is not None
    assert not task.problem(done)
    assert "has changed" in task.problem(done, rehash=True)


def test_a_failure_is_tried_again_only_when_asked(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as worker:
        try_claim(task, worker, liveness(folder))
        task.write("error", {"claim": 0, "message": "no luck"})
        attempt = try_claim(task, worker, liveness(folder))
        assert attempt.outcome is Outcome.FAILED
        assert attempt.record == {"claim": 0, "message": "no luck"}
        again = try_claim(task, worker, liveness(folder), may_retry=0)
        assert (again.outcome, again.generation) == (Outcome.CLAIMED, 1)


def test_a_result_of_an_older_claim_does_not_count(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as worker:
        try_claim(task, worker, liveness(folder))
        task.add_claim(1, worker.id)
        finish(task, 0)
        assert finished(task, 1) == (None, "")


def test_a_removed_folder_goes_on_with_higher_numbers(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as worker:
        attempt = try_claim(task, worker, liveness(folder), floor=4)
    assert attempt.generation == 5


def test_deaths_in_a_row_are_counted_from_the_last(folder: StudyFolder, task: TaskFolder):
    pid, started = gone_process()
    task.path.mkdir(parents=True)
    ended = stranger(folder)
    mark_ended(folder.workers / f"{ended}.json")
    owners = [stranger(folder, pid=pid, started=started), ended]
    owners += [stranger(folder, pid=pid, started=started) for _ in range(2)]
    for number, owner in enumerate(owners):
        task.add_claim(number, owner)
    with Worker(folder.workers) as worker:
        assert try_claim(task, worker, liveness(folder)).deaths == 2


def test_a_claim_says_who_for_a_person_who_looks(folder: StudyFolder, task: TaskFolder):
    with Worker(folder.workers) as worker:
        try_claim(task, worker, liveness(folder))
        assert json.loads((task.path / "claim.0").read_text())["pid"] == os.getpid()
