"""A SLURM of two nodes on the loopback, started for the tests and ended with them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("n1", "n2")

_CONF = """
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock
StateSaveLocation={run}/state
SlurmdSpoolDir={run}/spool/%n
SlurmctldPidFile={run}/ctld.pid
SlurmdPidFile={run}/slurmd.%n.pid
SlurmctldLogFile={run}/ctld.log
SlurmdLogFile={run}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2,sched_min_interval=0,requeue_delay=1
ReturnToService=2
MpiDefault=none
SlurmctldPort={port}
SlurmctldTimeout=30
SlurmdTimeout={node_timeout}
KillWait=5
MinJobAge=300
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=60 PriorityTier=1 State=UP
PartitionName=high Nodes=n1,n2 MaxTime=60 PriorityTier=10 State=UP
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@dataclass
class Cluster:
    run: Path
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.run / "slurm.conf"

    def start(self) -> None:
        for name in ("state", "spool/n1", "spool/n2"):
            (self.run / name).mkdir(parents=True)
        host = socket.gethostname()
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs=2 RealMemory=4000 "
            "State=UNKNOWN"
            for name in NODES
        )
        conf = _CONF.format(host=host, run=self.run, port=free_port(), nodes=nodes, node_timeout=10)
        self.conf.write_text(conf)
        key = self.run / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        os.environ["SLURM_CONF"] = str(self.conf)
        # munged refuses a socket below a folder that others may write to; what it says goes to its log.
        munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.run}/munge.sock"]
        munge += [
            f"--pid-file={self.run}/munge.pid",
            f"--log-file={self.run}/munge.log",
            f"--seed-file={self.run}/seed",
        ]
        self._begin("munged", munge)
        self._wait("munge's socket", lambda: (self.run / "munge.sock").exists())
        self._begin("slurmctld", self._controller)
        for name in NODES:
            self.start_node(name)
        self._wait("two idle nodes", lambda: self.node_states().count("idle") == 2)

    @property
    def _controller(self) -> list[str]:
        return ["slurmctld", "-D", "-f", str(self.conf)]

    def restart_controller(self, seconds: float) -> None:
        """Kill the controller, and start it again some time later; it finds its jobs in its state."""
        self.processes["slurmctld"].kill()
        self.processes["slurmctld"].wait()
        time.sleep(seconds)
        self._begin("slurmctld", self._controller)

    def start_node(self, name: str) -> None:
        self._begin(name, ["slurmd", "-D", "-N", name, "-f", str(self.conf)])

    def kill_node(self, name: str) -> None:
        """Kill a node's daemon and all that runs on it, as a power cut would."""
        victims = [self.processes[name].pid, *_steps_of(self.run, name)]
        for victim in victims:
            for pid in [victim, *_descendants(victim)]:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
        self.processes[name].wait()

    def node_states(self) -> list[str]:
        return self.command("sinfo", "-h", "-N", "-p", "low", "-o", "%T", check=False).split()

    def command(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.stderr}")
        return done.stdout

    def nudge(self) -> None:
        """Let requeued jobs start now; this version holds them for two minutes."""
        for line in self.command("squeue", "-h", "-t", "PENDING", "-r", "-o", "%i %r").splitlines():
            job, reason = line.split(maxsplit=1)
            if "BeginTime" in reason:
                self.command("scontrol", "update", f"jobid={job}", "StartTime=now", check=False)

    def stop(self) -> None:
        self.command("scancel", "--user=root", check=False)
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _begin(self, name: str, command: list[str]) -> None:
        with (self.run / f"{name}.out").open("a") as out:
            self.processes[name] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)

    def _wait(self, what: str, is_there, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not is_there():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended: {(self.run / f'{name}.out').read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} after {seconds} s; see {self.run}")
            time.sleep(0.1)


def is_installed() -> bool:
    return all(shutil.which(name) for name in ("munged", "slurmctld", "slurmd", "sbatch"))


def _steps_of(run: Path, node: str) -> list[int]:
    """The step daemons of a node: their command line names the spool of the job script or they are slurmstepd."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if words and words[0].startswith(b"slurmstepd") and f"SLURM_CONF={run}".encode() in environ:
            log = [one for one in _open_files(entry) if f"slurmd.{node}." in one or f"spool/{node}" in one]
            found += [int(entry.name)] if log else []
    return found


def _open_files(entry: Path) -> list[str]:
    files = []
    for link in (entry / "fd").iterdir():
        try:
            files.append(os.readlink(link))
        except OSError:
            continue
    return files


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, stack = [], [pid]
    while stack:
        for child in children.get(stack.pop(), []):
            found.append(child)
            stack.append(child)
    return found
