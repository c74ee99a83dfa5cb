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
chains = {chains}
seconds = {seconds}
ranks = {ranks}
[engine]
kind = "{kind}"
workers = {workers}
nodes_per_task = {nodes}
time_minutes = {minutes}
mem_gb = 0.5
partition = "low"
grace_seconds = 10
silence_seconds = {silence}
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


def spec(folder: Path, **changes: object) -> Path:
    usual = {"kind": "slurm", "chains": 12, "seconds": 0.5, "workers": 4, "nodes": 1, "minutes": 5, "ranks": "false"}
    path = folder / "study.toml"
    path.write_text(SPEC.format(**{**usual, "silence": 10, **changes}))
    return path


def begin(path: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vvscale", "study", "run", str(path), "--out", str(out)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end(process: subprocess.Popen[str], cluster: Cluster, seconds: float = 300) -> str:
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


def n_done(out: Path) -> int:
    return len(list(out.glob("tasks/*/*/done.json")))


def pools(out: Path) -> int:
    """How many times a job began to work."""
    return len(list(out.glob("logs/engine/*/main/block-*/*/manager.log")))


def wait_for(what, seconds: float = 120):
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
def test_jobs_give_the_local_result(cluster: Cluster, tmp_path: Path, local_values: list[float]):
    out = tmp_path / "out"
    end(begin(spec(tmp_path), out), cluster)
    assert values(out) == local_values
    workers = {json.loads(path.read_text())["worker"] for path in out.glob("tasks/*/*/done.json")}
    assert len(workers) > 1, "several jobs shared the work"
    wait_for(lambda: not cluster.command("squeue", "-h").strip())


@pytest.mark.slow
def test_a_preempted_job_is_queued_again_and_nothing_is_lost(
    cluster: Cluster, tmp_path: Path, local_values: list[float]
):
    out = tmp_path / "out"
    process = begin(spec(tmp_path, seconds=4.0), out)
    wait_for(lambda: pools(out) >= 4)
    time.sleep(1)
    high = ["sbatch", "--parsable", "-p", "high", "-n", "1", "-c", "2", "-o", "/dev/null", "--wrap", "sleep 2"]
    cluster.command(*high)
    end(process, cluster)
    assert values(out) == local_values
    assert pools(out) > 4, "a job came back, or another in its place"


@pytest.mark.slow
def test_a_node_that_dies_costs_only_what_it_was_at(cluster: Cluster, tmp_path: Path, local_values: list[float]):
    out = tmp_path / "out"
    process = begin(spec(tmp_path, seconds=4.0), out)
    wait_for(lambda: pools(out) >= 4)
    time.sleep(1)
    cluster.kill_node("n2")
    try:
        end(process, cluster)
        assert values(out) == local_values
    finally:
        cluster.start_node("n2")
        wait_for(lambda: not any("down" in state for state in cluster.node_states()), 60)


@pytest.mark.slow
def test_a_job_near_its_time_limit_saves_its_state_and_another_goes_on(cluster: Cluster, tmp_path: Path):
    out = tmp_path / "out"
    end(begin(spec(tmp_path, chains=2, seconds=70.0, workers=2, minutes=1), out), cluster)
    assert values(out) == [1, 2]
    assert pools(out) >= 4


ONE_TRAINING = """
name = "long"
[axes]
arch = ["resnetflex-w6-d1-1-1"]
dataset = "digits"
recipe = "tiny"
"recipe.schedule.epochs" = EPOCHS
[score]
benchmarks = ["simulated-digits"]
layers = { V1 = "conv1", V2 = "layer1", V4 = "layer2", IT = "layer3", behavior = "avgpool" }
[report]
figures = []
[engine]
kind = "KIND"
workers = 1
time_minutes = 1
mem_gb = 1.5
partition = "low"
silence_seconds = 10
"""


@pytest.mark.slow
def test_a_training_longer_than_its_job_goes_on_in_the_next_to_the_same_bits(cluster: Cluster, tmp_path: Path):
    def started(kind: str, epochs: int, name: str) -> tuple[subprocess.Popen[str], Path]:
        path, out = tmp_path / f"{name}.toml", tmp_path / name
        path.write_text(ONE_TRAINING.replace("KIND", kind).replace("EPOCHS", str(epochs)))
        return begin(path, out), out

    process, out = started("local", 60, "short")
    end(process, cluster)
    [trained] = [json.loads(path.read_text()) for path in out.glob("tasks/*/*/out/result.json")]
    # A job of a minute leaves a training less than half of it; so many take twice that, on any machine.
    epochs = round(60 * 60 / trained["seconds"])
    process, out = started("local", epochs, "here")
    end(process, cluster)
    here = pd.read_parquet(out / "results" / "scores.parquet")
    process, out = started("slurm", epochs, "there")
    saved = set()
    while process.poll() is None:
        cluster.nudge()
        saved |= {one.name for one in out.glob("tasks/*/*/**/checkpoint-*.pt")}
        time.sleep(0.2)
    end(process, cluster)
    assert saved, "no training was told that its job ends"
    assert pools(out) >= 2
    pd.testing.assert_frame_equal(pd.read_parquet(out / "results" / "scores.parquet"), here, check_exact=True)


@pytest.mark.slow
def test_a_controller_that_restarts_loses_nothing(cluster: Cluster, tmp_path: Path, local_values: list[float]):
    out = tmp_path / "out"
    # A job that is only slow, on a machine with other work, is not to be taken for one that the controller lost.
    process = begin(spec(tmp_path, seconds=4.0, silence=60), out)
    wait_for(lambda: n_done(out) > 2)
    cluster.restart_controller(5.0)
    end(process, cluster)
    assert values(out) == local_values
    assert pools(out) == 4


@pytest.mark.slow
def test_a_run_in_the_queue_needs_nobody(cluster: Cluster, tmp_path: Path, local_values: list[float]):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vvscale", "study", "run", str(spec(tmp_path, workers=2)), "--out", str(out)]
    told = subprocess.run([*command, "--submit"], capture_output=True, text=True, check=True)
    assert "runs the study; one may log out." in told.stdout
    wait_for(lambda: (out / "results" / "values.json").exists(), 120)
    assert values(out) == local_values
    status = [sys.executable, "-m", "vvscale", "study", "status", str(out)]
    wait_for(lambda: "nobody runs it" in subprocess.run(status, capture_output=True, text=True, check=True).stdout)
    wait_for(lambda: not cluster.command("squeue", "-h").strip())


@pytest.mark.slow
def test_torchrun_over_two_nodes_inside_a_task(cluster: Cluster, tmp_path: Path):
    out = tmp_path / "out"
    end(begin(spec(tmp_path, seconds=0.01, workers=1, nodes=2, ranks="true"), out), cluster)
    done = [json.loads(path.read_text()) for path in out.glob("tasks/*/*/done.json")]
    assert [one["result"]["value"] for one in done if one["kind"] == "ranks"] == [1 + 2]


@pytest.mark.slow
def test_the_demo_through_preemption_and_a_lost_node(cluster: Cluster, tmp_path: Path, small_demo):
    """Real training and scoring in jobs: the same table as on one machine, to the bit."""
    out = tmp_path / "out"
    engine = (
        'engine.kind="slurm"', "engine.workers=4", "engine.time_minutes=20", "engine.mem_gb=1.5",
        'engine.partition="low"', "engine.grace_seconds=10", "engine.silence_seconds=10",
    )  # fmt: skip
    process = subprocess.Popen(
        small_demo.command(out, *engine), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    def reached(n: int):
        cluster.nudge()
        # Four workers fill both nodes, so that there is no room for another job.
        return (n_done(out) >= n and pools(out) >= 4) or process.poll() is not None

    try:
        wait_for(lambda: reached(2), 180)
        cluster.command("sbatch", "-p", "high", "-n", "1", "-c", "2", "-o", "/dev/null", "--wrap", "sleep 2")
        wait_for(lambda: reached(8), 180)
        cluster.kill_node("n2")
        end(process, cluster, 400)
    finally:
        process.kill()
        cluster.start_node("n2")
        wait_for(lambda: not any("down" in state for state in cluster.node_states()), 60)
    assert pools(out) > 4, "nothing was interrupted"
    table = pd.read_parquet(out / "results" / "scores.parquet")
    pd.testing.assert_frame_equal(table, small_demo.scores, check_exact=True)
    forecast = (path / "results" / "forecast.json" for path in (out, small_demo.out))
    assert len({path.read_text() for path in forecast}) == 1
