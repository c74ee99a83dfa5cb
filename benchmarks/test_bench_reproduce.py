"""The whole study from a cold start of the command: its 43 fits, and its 43 x 1000 resamples.

The study's own fitter needs 151.7 CPU-hours for the latter on the same kind of machine (extrapolated from 60 starts
of two resamples of each experiment).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

PUBLISHED_CPU_SECONDS = 151.7 * 3600
TABLES = Path(os.environ.get("VVSCALE_MIRROR") or Path(__file__).resolve().parents[2] / "shared" / "data")

pytestmark = pytest.mark.skipif(
    not (TABLES / "gokce2025").is_dir(), reason=f"the published tables are not in '{TABLES}' (set VVSCALE_MIRROR)"
)


def run(folder: Path, *options: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB (of the largest process) of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "vvscale", "reproduce", "--quiet", *options],
        env={**os.environ, "VVSCALE_MIRROR": str(TABLES), "VVSCALE_CACHE": str(folder / "cache")},
        check=True,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1024


def test_original_fits(benchmark, tmp_path):
    run(tmp_path)
    wall, cpu, memory = benchmark.pedantic(run, args=(tmp_path,), rounds=3, iterations=1)
    print(f"\n\n43 laws, original data, cold start: {wall:.2f} s wall, {cpu:.2f} CPU-s, {memory:.0f} MB")


@pytest.mark.parametrize("units", [("row",), ("row", "arch")], ids="+".join)
def test_with_a_thousand_resamples(benchmark, tmp_path, units):
    options = ["--resamples", "1000", "--out", str(tmp_path / "out"), *(f"--by={unit}" for unit in units)]
    wall, cpu, memory = benchmark.pedantic(run, args=(tmp_path, *options), rounds=1, iterations=1)
    faster = len(units) * PUBLISHED_CPU_SECONDS / cpu
    cores = len(os.sched_getaffinity(0))
    print(
        f"\n\n43 laws x 1000 resamples by {' and '.join(units)}: {wall:.1f} s wall on {cores} cores, {cpu:.1f} CPU-s "
        f" ({faster:,.0f} times less than the study's fitter), {memory:.0f} MB"
    )
