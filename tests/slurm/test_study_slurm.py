"""A study on a real SLURM: the same result as on one machine, through preemption and the loss of a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

CI = bool(os.environ.get("CI"))
sys.path.insert(0, str(Path(__file__).parent))
from cluster import Cluster, is_installed  # noqa: E402

SPEC = """
name = "on-slurm"
[diagnostics]
chains = 12
seconds = {seconds}
ranks = {ranks}
[engine]
kind = "{kind}"
workers = {workers}
nodes_per_task = {nodes}
time_minutes = 5
mem_gb = 0.5
partition = "low"
grace_seconds = 10
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not is_installed():
        reason = "slurm-wlm and munge are not installed; .ci/run installs them"
        if CI:
            pytest.fail(reason)
        pytest.skip(reason)
    before = os.environ.get("SLURM_CONF")
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
        os.environ.pop("SLURM_CONF", None)
        if before is not None:
            os.environ["SLURM_CONF"] = before


def spec(folder: Path, *, kind: str = "slurm", seconds: float = 0.5, workers: int = 4, nodes: int = 1, ranks=False):
    path = folder / f"{kind}.toml"
    path.write_text(
        SPEC.format(kind=kind, seconds=seconds, workers=workers, nodes=nodes, ranks=str(ranks).lower())
        if kind == "slurm"
        else SPEC.format(kind=kind, seconds=seconds, workers=workers, nodes=1, ranks=str(ranks).lower())
    )
    return path


def begin(path: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vvscale", "study", "run", str(path), "--out", str(out)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end(process: subprocess.Popen[str], cluster: Cluster, seconds: float = 150) -> str:
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        assert time.monotonic() < deadline, cluster.command("squeue") + cluster.command("sinfo", "-N")
        cluster.nudge()
        time.sleep(0.5)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def values(out: Path) -> list[float]:
    return json.loads((out / "results" / "values.json").read_text())


def claims(out: Path) -> dict[str, int]:
    """Task -> how often it was taken."""
    folders = [path for path in (out / "tasks").glob("*/*") if path.is_dir()]
    return {folder.name: len(list(folder.glob("claim.*"))) for folder in folders}


def wait_for(what, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def local_values(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    folder = tmp_path_factory.mktemp("local")
    process = begin(spec(folder, kind="local", seconds=0.01, workers=2), folder / "out")
    process.communicate()
    assert process.returncode == 0
    return values(folder / "out")


@pytest.mark.slow
def test_an_array_gives_the_local_result(cluster: Cluster, tmp_path: Path, local_values: list[float]):
    end(begin(spec(tmp_path), tmp_path / "out"), cluster)
    assert values(tmp_path / "out") == local_values
    nodes = {json.loads(path.read_text())["worker"] for path in (tmp_path / "out").glob("tasks/*/*/done.json")}
    assert len(nodes) > 1, "the array's jobs shared the work"
    assert set(claims(tmp_path / "out").values()) == {1}


@pytest.mark.slow
def test_a_preempted_job_is_queued_again_and_nothing_is_lost(
    cluster: Cluster, tmp_path: Path, local_values: list[float]
):
    out = tmp_path / "out"
    process = begin(spec(tmp_path, seconds=4.0), out)
    wait_for(lambda: len(list((out / "workers").glob("*.json"))) == 4)
    time.sleep(1)
    high = ["sbatch", "--parsable", "-p", "high", "-n", "1", "-c", "2", "-o", "/dev/null", "--wrap", "sleep 2"]
    cluster.command(*high)
    end(process, cluster)
    assert values(out) == local_values
    ended = list((out / "workers").glob("*.ended"))
    assert len(ended) > 4, "a job came back as another worker"
    taken_twice = [task for task, times in claims(out).items() if times > 1]
    assert taken_twice, "what the preempted worker had was taken up again"


@pytest.mark.slow
def test_a_node_that_dies_costs_only_what_it_was_at(cluster: Cluster, tmp_path: Path, local_values: list[float]):
    out = tmp_path / "out"
    process = begin(spec(tmp_path, seconds=4.0), out)
    wait_for(lambda: len(list((out / "workers").glob("*.json"))) == 4)
    time.sleep(1)
    cluster.kill_node("n2")
    try:
        end(process, cluster)
        assert values(out) == local_values
        assert max(claims(out).values()) == 2
    finally:
        cluster.start_node("n2")
        wait_for(lambda: not any("down" in state for state in cluster.node_states()), 60)


@pytest.mark.slow
def test_the_demo_through_preemption_and_a_lost_node(cluster: Cluster, tmp_path: Path, small_demo):
    """Real training and scoring as an array: the same table as on one machine, to the bit."""
    out = tmp_path / "out"
    engine = (
        'engine.kind="slurm"', "engine.workers=4", "engine.time_minutes=20", "engine.mem_gb=1.5",
        'engine.partition="low"', "engine.grace_seconds=10",
    )  # fmt: skip
    process = subprocess.Popen(
        small_demo.command(out, *engine), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    def reached(n: int):
        cluster.nudge()
        n_done = len(list(out.glob("tasks/*/*/done.json")))
        # Four workers fill both nodes, so that there is no room for another job.
        return (n_done >= n and len(list(out.glob("workers/*.json"))) >= 4) or process.poll() is not None

    try:
        wait_for(lambda: reached(2), 120)
        cluster.command("sbatch", "-p", "high", "-n", "1", "-c", "2", "-o", "/dev/null", "--wrap", "sleep 2")
        wait_for(lambda: reached(8), 180)
        cluster.kill_node("n2")
        end(process, cluster, 400)
    finally:
        process.kill()
        cluster.start_node("n2")
        wait_for(lambda: not any("down" in state for state in cluster.node_states()), 60)
    assert max(claims(out).values()) >= 2, "nothing was interrupted"
    table = pd.read_parquet(out / "results" / "scores.parquet")
    pd.testing.assert_frame_equal(table, small_demo.scores, check_exact=True)
    forecast = (path / "results" / "forecast.json" for path in (out, small_demo.out))
    assert len({path.read_text() for path in forecast}) == 1


@pytest.mark.slow
def test_torchrun_over_two_nodes_inside_a_task(cluster: Cluster, tmp_path: Path):
    out = tmp_path / "out"
    end(begin(spec(tmp_path, seconds=0.01, workers=1, nodes=2, ranks=True), out), cluster)
    assert values(out)[-1] == 1 + 2
