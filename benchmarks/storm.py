"""Kill a study at random moments, run or resume it until it is done, and compare with an undisturbed run.

    python benchmarks/storm.py --kills 100 --study demo --out out/storm

The undisturbed run is made first, in ``out/storm/undisturbed``, or taken from there. Then the study is run anew in
``out/storm/round-1``, ``round-2`` and so on, each to its end, until there were so many blows. What a blow can be:

    tree        SIGKILL for the run, the exchange, all workers and all watchers at once
    run         SIGKILL for the run alone; all others must end by themselves
    worker      SIGKILL for one worker, at work or waiting, or for what holds what they share
    pool        SIGKILL for the process that the workers belong to
    exchange    SIGKILL for Parsl's exchange
    term, int   SIGTERM or Ctrl-C; how long it took to answer is noted
    group       SIGTERM for everything at once, as a scheduler does
    sleep       SIGSTOP for everything, longer than every time-out, then SIGCONT
    freeze      SIGSTOP for one process other than the run, for as long

It fails if a result differs by one bit from the undisturbed run's, a row or task is lost or doubled, a half-written
file or a process is left, or a run ends in any other way than done, stopped, or with failed tasks that the next does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil

# Blow -> its weight. A sleep takes long, and is no kill.
BLOWS = {
    "tree": 20, "run": 15, "worker": 20, "pool": 8, "exchange": 8, "term": 10, "int": 8, "group": 6,
    "sleep": 3, "freeze": 3,
}  # fmt: skip
# Longer than the silence of workers on one machine (20 s), and than hanging workers are put up with (30 s).
SLEEP_SECONDS = 40.0
# So many of the starts after a blow.
RESUMED = 0.7
EARLY = 0.2
HANGS_SECONDS = 1800.0
SCORES = "results/scores.parquet"
# Done, failed tasks (killed with their workers too often), stopped by SIGTERM, stopped by Ctrl-C.
DONE, FAILED, STOPPED, INTERRUPTED = 0, 4, 75, 130
EXPECTED = {
    "tree": {-signal.SIGKILL}, "run": {-signal.SIGKILL}, "int": {INTERRUPTED},
    # Before it is set up, a run has nothing to stop in order.
    "term": {STOPPED, -signal.SIGTERM}, "group": {STOPPED, -signal.SIGTERM},
}  # fmt: skip


class Run:
    """A run of a study, what it says, and every process that was seen to belong to it.

    A study that is its own folder is resumed as it was planned.
    """

    def __init__(self, study: str | Path, out: Path, *more: str) -> None:
        command = [sys.executable, "-m", "vvscale", "study", "run", str(study), "--out", str(out), *more]
        if study == out:
            command = [sys.executable, "-m", "vvscale", "study", "resume", str(out), *more]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.main = subprocess.Popen(command, start_new_session=True, text=True, **pipes)
        self.out = out
        self.lines: list[tuple[float, str]] = []
        self._seen: set[psutil.Process] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.main.stdout is not None
        for line in self.main.stdout:
            self.lines.append((time.monotonic(), line))

    @property
    def said(self) -> str:
        """All that it printed."""
        return "".join(line for _, line in self.lines)

    def others(self) -> list[psutil.Process]:
        """All but the run itself: the exchange, workers, and what watches them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen |= set(psutil.Process(self.main.pid).children(recursive=True))
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("VVSCALE_RUN") == str(self.out):
                    self._seen.add(process)
        return [one for one in self._seen if one.is_running() and _status(one) != psutil.STATUS_ZOMBIE]

    def named(self, word: str) -> list[psutil.Process]:
        """Those whose command has a word, or whose title, which the exchange gives itself; not shells and watchers."""
        found = [(one, _words(one)) for one in self.others()]
        return [one for one, said in found if word in said and "lifeline" not in said and "bash" not in said.split()[0]]

    def workers(self) -> list[psutil.Process]:
        """The processes that run tasks, and the one that holds what they share."""
        return [one for one in self.others() if "spawn_main" in _words(one)]

    def end(self, seconds: float = 300) -> int:
        """Wait for the end of the run and return its code."""
        code = self.main.wait(seconds)
        self._reader.join(seconds)
        assert self.main.stdout is not None
        self.main.stdout.close()
        return code

    def orphans(self, seconds: float = 60) -> list[psutil.Process]:
        """Wait until all others are gone, and return those that are not."""
        deadline = time.monotonic() + seconds
        while (left := self.others()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.Error:
        return psutil.STATUS_ZOMBIE


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@dataclass
class Tally:
    """What was done to the study, and what was wrong with it afterwards."""

    blows: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    rounds: int = 0
    answers: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def strike(run: Run, blow: str, moments: random.Random) -> float | None:
    """Deal one blow; return when, or None if there was nobody to strike."""
    try:
        everybody = [psutil.Process(run.main.pid), *run.others()]
    except psutil.NoSuchProcess:  # the run has just ended
        return None
    victims = {
        "tree": everybody, "sleep": everybody, "group": everybody, "worker": run.workers(),
        "pool": run.named("process_worker_pool"), "exchange": run.named("interchange"),
        "freeze": [*run.workers(), *run.named("process_worker_pool"), *run.named("interchange")],
    }.get(blow, everybody[:1])  # fmt: skip
    if not victims or run.main.poll() is not None:
        return None
    if blow in ("worker", "pool", "exchange", "freeze"):
        victims = [moments.choice(victims)]
    number = {"term": signal.SIGTERM, "group": signal.SIGTERM, "int": signal.SIGINT, "sleep": signal.SIGSTOP,
              "freeze": signal.SIGSTOP}.get(blow, signal.SIGKILL)  # fmt: skip
    at = time.monotonic()
    for one in victims:
        with contextlib.suppress(psutil.Error):
            one.send_signal(number)
    if number == signal.SIGSTOP:
        time.sleep(SLEEP_SECONDS)
        for one in victims:
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGCONT)
    return at


def n_done(out: Path) -> int:
    """Return how many tasks are recorded."""
    return len(list(out.glob("tasks/*/*/done.json")))


def wait_for_moment(run: Run, seconds: float, n_before: int) -> bool:
    """Let a run go on for so long, and until it has recorded something new; return False if it hangs."""
    began = time.monotonic()
    while run.main.poll() is None and (passed := time.monotonic() - began) < HANGS_SECONDS:
        if passed > seconds and n_done(run.out) > n_before:
            return True
        run.others()
        time.sleep(0.3)
    return run.main.poll() is not None


def storm(study: str, out: Path, mean: float, moments: random.Random, tally: Tally) -> None:
    """Run a study until it is done, however often it is struck meanwhile."""
    while True:
        # The same command, or the one that the stopped run advises, which need not plan anew.
        is_planned = (out / "spec.json").exists() and moments.random() < RESUMED
        run, blow, at = Run(out if is_planned else study, out), "", None
        # Some are struck while they start; most once they work, or nothing would ever be done on a slow machine.
        n_before = -1 if moments.random() < EARLY else n_done(out)
        while run.main.poll() is None:
            if not wait_for_moment(run, moments.uniform(0.0, 2 * mean), n_before):
                tally.faults.append(f"{out.name}: nothing was done for {HANGS_SECONDS:.0f} s after '{blow}'")
                strike(run, "tree", moments)
                break
            blow = moments.choices(list(BLOWS), list(BLOWS.values()))[0]
            at = strike(run, blow, moments)
            if at is None:
                continue
            tally.blows[blow] += 1
            print(f"{time.strftime('%T')} {out.name} blow {sum(tally.blows.values())}: {blow}", flush=True)
            if blow in EXPECTED:
                break
        code = run.end()
        tally.codes[code] += 1
        wanted = EXPECTED.get(blow, set()) | {DONE, FAILED}
        if code not in wanted:
            tally.faults.append(f"{out.name}: code {code} after '{blow}': {run.said[-2000:]}")
        if at is not None and code in (STOPPED, INTERRUPTED):
            tally.answers += [when - at for when, line in run.lines if "Stopp" in line][:1]
        if left := run.orphans():
            tally.faults.append(f"{out.name}: left behind after '{blow}': {[_words(one) for one in left]}")
        if code == DONE or tally.faults:
            return


def differences(out: Path, reference: Path) -> list[str]:
    """Say what is not as in the undisturbed run."""
    found = []
    if (reference / SCORES).exists():
        tables = [pd.read_parquet(folder / SCORES) for folder in (out, reference)]
        try:
            pd.testing.assert_frame_equal(*tables, check_exact=True)
        except AssertionError as error:
            found.append(f"the table differs: {error}")
        n_doubled = int(tables[0].duplicated(["model_id", "benchmark_id", "epoch"]).sum())
        found += [f"{n_doubled} rows are doubled"] if n_doubled else []
    names = [
        {str(path.relative_to(folder)) for path in folder.glob(pattern)}
        for pattern in ("results/**/*", "tasks/*/*/done.json")
        for folder in (out, reference)
    ]
    for ours, theirs in (names[:2], names[2:]):
        found += [f"only in one of them: {', '.join(sorted(ours ^ theirs)[:5])}"] if ours != theirs else []
    for name in sorted(names[1]):
        if name.endswith((".json", ".csv")) and (out / name).read_bytes() != (reference / name).read_bytes():
            found.append(f"'{name}' differs")
    parts = [str(path) for path in out.glob("tasks/*/*/out/**/.*.part")]
    return found + ([f"half-written files: {', '.join(parts[:5])}"] if parts else [])


def main() -> int:
    """Weather the storm and say how it went."""
    about = (__doc__ or "").splitlines()[0]
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--study", default="demo", help="name or file")
    options.add_argument("--kills", type=int, default=100, help="blows in all, at least")
    options.add_argument("--mean", type=float, default=10.0, help="mean seconds between blows")
    options.add_argument("--out", type=Path, default=Path("out/storm"))
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    out, moments, tally = asked.out.absolute(), random.Random(asked.seed), Tally()
    reference = out / "undisturbed"
    if Run(asked.study, reference).end(3600) != DONE:
        print("the undisturbed run did not end well", file=sys.stderr)
        return 1
    began = time.monotonic()
    while sum(tally.blows.values()) < asked.kills and not tally.faults:
        tally.rounds += 1
        here = out / f"round-{tally.rounds}"
        storm(asked.study, here, asked.mean, moments, tally)
        # A round that broke has nothing to compare.
        tally.faults += [] if tally.faults else [f"{here.name}: {what}" for what in differences(here, reference)]
        print(f"round {tally.rounds} is done; faults so far: {tally.faults}", flush=True)
    answers = sorted(tally.answers)
    told = {
        "blows": sum(tally.blows.values()), **tally.blows, "rounds": tally.rounds, "codes": dict(tally.codes),
        "seconds": round(time.monotonic() - began), "load": os.getloadavg()[0], "faults": tally.faults,
        "seconds to answer a signal": {"median": answers[len(answers) // 2], "most": answers[-1]} if answers else None,
    }  # fmt: skip
    print(json.dumps(told, indent=2))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
