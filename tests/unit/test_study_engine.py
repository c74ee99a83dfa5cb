"""The adapter to Parsl: groups of workers, the job scripts of every scheduler, and that nobody is left behind."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from parsl.jobs.states import JobState, JobStatus

from vvscale.core.config import from_table
from vvscale.errors import ConfigError, MissingDataError, RunError, UsageError
from vvscale.study.engine.engine import Engine
from vvscale.study.engine.lifeline import lifeline_command
from vvscale.study.engine.session import Session
from vvscale.study.engine.worker import Answer, Request
from vvscale.study.graph.folder import StudyFolder
from vvscale.study.graph.graph import Graph, Task
from vvscale.study.spec.workers import EngineSpec, Group

sys.path.insert(0, str(Path(__file__).parent))
from study_engine import begin

# What each scheduler's submit command answers, and what must stand in its script.
SCHEDULERS = {
    "slurm": ("sbatch", "Submitted batch job 123", (
        "#SBATCH --partition=gpu", "#SBATCH --account=lab", "#SBATCH --qos=high", "#SBATCH --constraint=a100",
        "#SBATCH --cpus-per-task=8", "#SBATCH --mem=64g", "#SBATCH --gpus-per-node=2", "#SBATCH --time=240",
        "#SBATCH --exclude=node13",
    )),
    "pbs": ("qsub", "123.server", (
        "#PBS -l walltime=04:00:00", "#PBS -l select=1:ncpus=8:mem=64gb:ngpus=2", "#PBS --exclude=node13",
    )),
    "lsf": ("bsub", "Job <123> is submitted to queue <gpu>.", (
        "#BSUB -W 240", "#BSUB -q gpu", "#BSUB -P lab", '#BSUB -gpu "num=2"', "#BSUB -M 64GB",
        "#BSUB --exclude=node13",
    )),
    "gridengine": ("qsub", 'Your job 123 ("x") has been submitted', (
        "#$ -l h_rt=04:00:00", "#$ -pe smp 8", "#$ -l mem_free=64G", "#$ -l gpu=2", "#$ -P lab", "#$ --exclude=node13",
    )),
    "htcondor": ("condor_submit", "1 job(s) submitted to cluster 123.", (
        "RequestCpus = 8", "request_gpus = 2", "accounting_group = lab", "requirements            = a100",
        "--exclude=node13",
    )),
}  # fmt: skip


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_the_job_script_of_every_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    from vvscale.study.engine.providers import make_provider

    command, reply, lines = SCHEDULERS[kind]
    (tmp_path / "bin").mkdir()
    for name in (command, "sacct", "squeue"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\nprintf '%s\\n' '{reply}'\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    spec = EngineSpec(
        kind=kind, cpus=8, mem_gb=64.0, gpus_per_task=2, partition="gpu", account="lab", qos="high",  # type: ignore[arg-type]
        constraint="a100", setup=("module load cuda",), directives=("--exclude=node13",),
    )  # fmt: skip
    provider = make_provider(spec, spec.all_groups[-1], study=tmp_path)
    provider.script_dir = str(tmp_path)
    assert "123" in str(provider.submit("the command", 1, "job"))
    written = "\n".join(path.read_text() for path in tmp_path.iterdir() if path.is_file())
    for line in (*lines, "the command", "module load cuda", f"export VVSCALE_RUN={tmp_path}"):
        assert line in written, written
    assert "export VVSCALE_WORKER_END=$(( $(date +%s) + 14400 ))" in written
    assert "export OMP_NUM_THREADS=1" in written
    assert f"export PATH={Path(sys.executable).parent}" in written


def test_a_job_that_is_not_taken_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from vvscale.study.prepare import Prepared
    from vvscale.study.run import submit_study

    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'no such partition' >&2\nexit 1\n")
    (tmp_path / "sacct").write_text("#!/bin/sh\nexit 1\n")
    for name in ("sbatch", "sacct"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    graph = Graph({"noop": "1"})
    graph.add("noop", {"value": 1})
    ready = Prepared(begin(tmp_path / "out", graph), graph, EngineSpec(kind="slurm"), None)
    with pytest.raises(RunError, match="slurm did not take the job"):
        submit_study(ready)


def test_the_job_of_a_run_has_one_core_and_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from vvscale.study.prepare import Prepared
    from vvscale.study.run import submit_study

    for command in ("sbatch", "sacct"):
        (tmp_path / command).write_text("#!/bin/sh\necho Submitted batch job 123\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    graph = Graph({"noop": "1"})
    graph.add("noop", {"value": 1})
    spec = EngineSpec(kind="slurm", cpus=8, per_job=4, gpus_per_task=2)
    folder = begin(tmp_path / "out", graph)
    assert "123" in submit_study(Prepared(folder, graph, spec, None))
    written = "\n".join(path.read_text() for path in (folder.logs / "run").iterdir())
    assert "#SBATCH --cpus-per-task=1\n" in written
    assert "gpus" not in written.replace("VVSCALE_WORKER_GPUS=0", "")


@pytest.mark.parametrize("name", ["my study", "$(touch owned)", "a'b", 'a"b', "a;b", "a\nb"])
def test_a_folder_that_a_shell_would_take_apart_is_not_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    from vvscale.study.prepare import Prepared
    from vvscale.study.run import submit_study

    (tmp_path / "bin").mkdir()
    for command in ("sbatch", "sacct"):
        (tmp_path / "bin" / command).write_text("#!/bin/sh\necho Submitted batch job 123\n")
        (tmp_path / "bin" / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    graph = Graph({"noop": "1"})
    graph.add("noop", {"value": 1})
    ready = Prepared(begin(tmp_path / name, graph), graph, EngineSpec(kind="slurm"), None)
    with pytest.raises(UsageError, match="characters that job scripts cannot hold"):
        submit_study(ready)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "bin"])


@pytest.mark.parametrize(
    "field", ["partition", "account", "qos", "constraint", "gres", "directives", "gpus", "image", "volumes"]
)
def test_a_value_of_two_lines_is_no_line_of_a_job_script(field: str):
    text = "gpu\ntouch owned"
    value = (text,) if field in ("directives", "gpus", "volumes") else text
    with pytest.raises(ConfigError, match=rf"`{field}` is 'gpu\\ntouch owned'; expected one line"):
        EngineSpec(**{field: value})
    with pytest.raises(ConfigError, match="expected one line"):
        Group(name="a", **{field: value})


@pytest.mark.parametrize("name", ["two words", "$(touch owned)", "a'b", "a;b"])
def test_a_group_has_a_name_that_can_stand_in_a_command(name: str):
    with pytest.raises(ConfigError, match="expected letters, digits"):
        Group(name=name)


class OneThread:
    """In place of Parsl's executor; notes which thread asks anything of it but its exchange, which has a lock."""

    label, bad_state_is_set = "main", False

    def __init__(self, threads: set[int], **options) -> None:
        self._threads = threads
        self.provider, self.interchange_proc = options["provider"], None

    def __getattr__(self, name: str):
        self._threads.add(threading.get_ident())
        answers = {
            "blocks_to_job_id": {}, "status_facade": {}, "connected_managers": lambda: [{"worker_count": 2}],
            "start": lambda: None, "poll_facade": lambda: None, "shutdown": lambda: None, "submit": self._done,
        }  # fmt: skip
        return answers[name]

    @staticmethod
    def _done(run, resources, request) -> Future:
        made: Future = Future()
        made.set_result(run(request))
        return made


class NoStrategy:
    def __init__(self, **options) -> None: ...

    def add_executors(self, executors: list) -> None: ...

    def strategize(self, executors: list) -> None:
        for one in executors:
            assert one.status_facade == {}


def request_of(folder: Path) -> Request:
    return Request(str(folder), Task("a" * 20, "noop", "it", {}), {}, {})


def test_parsl_is_asked_by_one_thread_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Its dictionaries change under whoever else reads them, and its sockets are for one thread.
    from parsl import executors
    from parsl.jobs import strategy

    threads: set[int] = set()
    monkeypatch.setattr(executors, "HighThroughputExecutor", partial(OneThread, threads))
    monkeypatch.setattr(strategy, "Strategy", NoStrategy)
    engine = Engine(EngineSpec(workers=2), StudyFolder(tmp_path), lambda request: Answer("done"))
    engine.start(["main"])
    for key in range(50):
        engine.submit(key, request_of(tmp_path), "main", key)
    ended = []
    while len(ended) < 50 or engine.words()[1] != 2:
        ended += engine.take(0.1)
        engine.look_after()
    engine.stop(0.0)
    assert {key for key, _ in ended} == set(range(50))
    assert len(threads - {threading.get_ident()}) == len(threads) == 1


def _look_for_ever(engine: Engine) -> None:
    while True:
        engine.take(0.1)
        engine.look_after()


def test_what_breaks_parsl_is_an_error_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from parsl import executors
    from parsl.jobs import strategy

    class Breaks(OneThread):
        def connected_managers(self) -> list:
            raise OSError("no socket")

    monkeypatch.setattr(executors, "HighThroughputExecutor", partial(Breaks, set()))
    monkeypatch.setattr(strategy, "Strategy", NoStrategy)
    engine = Engine(EngineSpec(workers=2), StudyFolder(tmp_path), lambda request: Answer("done"))
    engine.start(["main"])
    with pytest.raises(RunError, match=r"OSError: no socket.*vvscale study resume"):
        _look_for_ever(engine)
    engine.stop(0.0)


class NoJobs(OneThread):
    """Its jobs end before they have worked; some had been there."""

    status_facade = {str(n): JobStatus(JobState.FAILED, "no such queue") for n in range(3)}  # noqa: RUF012

    def __init__(self, threads: set[int], connected: list[str], **options) -> None:
        super().__init__(threads, **options)
        self._connected = connected
        self.interchange_proc = subprocess.Popen(["sleep", "98"])

    def connected_blocks(self) -> list[str]:
        return self._connected

    def shutdown(self) -> None:
        self.interchange_proc.kill()
        self.interchange_proc.wait()


@pytest.mark.parametrize("connected", [[], ["0"]])
def test_jobs_that_never_come_to_work_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connected: list[str]
):
    from parsl import executors
    from parsl.jobs import strategy

    monkeypatch.setattr(executors, "HighThroughputExecutor", partial(NoJobs, set(), connected))
    monkeypatch.setattr(strategy, "Strategy", lambda **options: SimpleNamespace(add_executors=len, strategize=len))
    engine = Engine(EngineSpec(workers=2), StudyFolder(tmp_path), lambda request: Answer("done"))
    engine.start(["main"])
    if connected:
        # They did work: such jobs may be preempted, and more of them are tried.
        while engine.words()[1] != 2:
            engine.look_after()
        engine.look_after()
    else:
        with pytest.raises(RunError, match=r"'main' cannot be started by local.*no such queue"):
            _look_for_ever(engine)
    engine.stop(0.0)


def test_groups_take_what_they_do_not_say_from_the_engine():
    table = {
        "kind": "slurm", "partition": "gpu", "gpus_per_task": 1, "per_gpu": 2, "workers": 8,
        "groups": [{"name": "large", "where": {"arch": "resnet15*"}, "gpus_per_task": 8, "workers": 3}],
    }  # fmt: skip
    large, main = from_table(EngineSpec, table, "the engine").all_groups
    assert (large.name, large.gpus_per_task, large.workers, large.n_jobs, large.gpus_per_job) == ("large", 8, 3, 3, 8)
    assert (main.gpus_per_task, main.workers, main.per_job, main.n_jobs, main.gpus_per_job) == (1, 8, 2, 4, 1)
    assert large.partition == main.partition == "gpu"
    assert large.takes("train", {"arch": "resnet152"})
    assert not large.takes("train", {"arch": "resnet18"})
    assert not large.takes("score", {"arch": "resnet152"})
    assert main.takes("anything", {})


def test_an_engine_as_earlier_plans_wrote_it_is_read(tmp_path: Path):
    """Null stood where nothing was given."""
    from vvscale.study.prepare import take_up

    graph = Graph({"noop": "1"})
    graph.add("noop", {"value": 1})
    engine = {"kind": "slurm", "workers": 8, "cpus": None, "gpus": None, "silence_seconds": None, "groups": [
        {"name": "large", "kinds": ["train"], "where": {"arch": ["a", "b*"]}, "workers": None, "cpus": 4},
    ]}  # fmt: skip
    folder = StudyFolder(tmp_path)
    folder.write_plan({"name": "test", "digest": "d", "engine": engine}, graph)
    large, main = take_up(folder, changes={"engine.workers": 3}).engine.all_groups
    assert (large.workers, large.cpus, main.workers, main.cpus) == (3, 4, 3, 1)
    assert large.takes("train", {"arch": "bb"})
    assert not large.takes("train", {"arch": "c"})


def test_workers_of_this_machine():
    assert EngineSpec(workers=3).all_groups[-1].workers == 3
    assert EngineSpec(kind="slurm").all_groups[-1].grace_seconds == 120
    assert EngineSpec(kind="slurm", time_minutes=1).all_groups[-1].grace_seconds == 30, "half of a short job"
    assert EngineSpec().all_groups[-1].workers == len(os.sched_getaffinity(0))
    shared = EngineSpec(gpus=("0", "1"), per_gpu=3).all_groups[-1]
    assert (shared.workers, shared.gpus_per_task, shared.has_gpu) == (6, 1, True)
    pairs = EngineSpec(gpus=("0", "1", "2", "3"), gpus_per_task=2, per_gpu=3).all_groups[-1]
    assert pairs.workers == 2, "a task of several GPUs has them alone"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"nodes_per_task": 2}, "only on slurm"),
        ({"kind": "kubernetes"}, "needs `image`"),
        ({"gpus_per_task": 2, "gpus": ["0"]}, "names 1 in `gpus`"),
        ({"groups": [{"name": "a"}, {"name": "a"}]}, "Two groups .* named 'a'"),
        ({"groups": [{"name": "main"}]}, "Two groups .* named 'main'"),
        ({"groups": [{"workers": 2}]}, "group ''"),
        ({"groups": [{"name": "a", "kind": "slurm"}]}, "Unknown key 'kind'"),
        ({"groups": [{"name": "../x"}]}, "cannot name a file"),
        ({"cpus": 0}, "`cpus` is 0"),
        ({"silence_seconds": 1}, "`silence_seconds` is 1"),
        (
            {"kind": "slurm", "time_minutes": 2, "grace_seconds": 90},
            "`grace_seconds` is 90 .* at most half of a job, 60",
        ),
        ({"kind": "pbspro"}, "expected one of 'local'"),
    ],
)
def test_what_an_engine_cannot_be_is_refused(table: dict, words: str):
    with pytest.raises(Exception, match=words):
        from_table(EngineSpec, table, "the engine")


@pytest.mark.parametrize(
    ("rank", "size", "visible", "mine"),
    [(0, 1, "4,5", "4"), (1, 1, "4,5", "5"), (2, 1, "4,5", "4"), (1, 2, "0,1,2,3", "2,3"), (0, 0, "7", "7")],
)
def test_each_worker_takes_its_gpus(tmp_path: Path, rank: int, size: int, visible: str, mine: str):
    graph = Graph({"noop": "1"})
    graph.add("noop", {"value": 1}, label="it")
    folder = begin(tmp_path, graph)
    code = (
        "import os; from vvscale.study.engine.worker import *\n"
        "from vvscale.study.graph.graph import Task\n"
        f"asked = Request({str(folder.path)!r}, {graph.tasks[0]!r}, {{}}, {{}})\n"
        "run_task(asked)\n"
        "print(os.environ['CUDA_VISIBLE_DEVICES'], device())"
    )
    more = {"PARSL_WORKER_RANK": str(rank), "VVSCALE_WORKER_GPUS": str(size), "CUDA_VISIBLE_DEVICES": visible}
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **more}, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [mine, "cuda"]


def test_what_was_started_ends_with_its_starter_however_that_ends(tmp_path: Path):
    pipe = tmp_path / "lifeline"
    os.mkfifo(pipe)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import os, time; os.open({str(pipe)!r}, os.O_RDWR); print(1, flush=True); time.sleep(99)",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    victim = subprocess.Popen(
        ["bash", "-c", f"{lifeline_command(pipe)} 0 & trap '' TERM; sleep 98 & echo 1; wait; sleep 97"],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert victim.stdout is not None
    victim.stdout.readline()
    time.sleep(0.5)
    assert victim.poll() is None
    holder.send_signal(signal.SIGKILL)
    assert victim.wait(120) == -signal.SIGKILL
    holder.wait()
    for one in (holder, victim):
        assert one.stdout is not None
        one.stdout.close()
    # A starter that is gone before anybody looks is not waited for.
    late = subprocess.Popen(["bash", "-c", f"{lifeline_command(pipe)} 0 & sleep 98"], start_new_session=True)
    assert late.wait(120) == -signal.SIGKILL
    shutil.rmtree(tmp_path)
    gone = subprocess.Popen(["bash", "-c", f"{lifeline_command(pipe)} 0 & sleep 98"], start_new_session=True)
    assert gone.wait(120) == -signal.SIGKILL


def test_a_session_whose_exchange_dies_while_it_ends_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SIGTERM for everything, as a scheduler sends it, ends the exchange a moment after the run has heard it."""
    monkeypatch.setattr("vvscale.study.engine.session._LONGEST_GOODBYE_SECONDS", 600.0)
    monkeypatch.setattr(Session, "_live", lambda self: threading.Event().wait())  # it asked, and hears no answer
    exchange = subprocess.Popen(["sleep", "0.3"])
    session = Session(EngineSpec(), [], StudyFolder(tmp_path), lambda request: Answer("done"))
    session._executors = {"main": SimpleNamespace(interchange_proc=exchange)}
    ended = threading.Thread(target=session.end, args=(0.0,), daemon=True)
    ended.start()
    ended.join(60)
    assert not ended.is_alive()


def test_a_group_that_is_empty_of_conditions_takes_all_of_its_kinds():
    spec = EngineSpec(groups=({"name": "fits", "kinds": ("fit", "forecast")},))
    assert spec.all_groups[0].takes("fit", {})
    with pytest.raises(ConfigError):
        Group(name="x", workers=-1)


def test_kubernetes_says_which_package_it_needs(tmp_path: Path):
    from vvscale.study.engine.providers import make_provider

    if importlib.util.find_spec("kubernetes") is not None:
        pytest.skip("the package is installed")
    spec = EngineSpec(kind="kubernetes", image="lab/vvscale", volumes=("study:/data",), gpus_per_task=1)
    with pytest.raises(MissingDataError, match="pip install kubernetes"):
        make_provider(spec, spec.all_groups[-1], study=tmp_path)
