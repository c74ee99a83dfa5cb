"""Digits and speed of vvscale against the reference implementation, side by side in one run.

The reference runs in its own environment in a second process; the two take turns on the same input, and the
time is that of the metric alone on both sides. Results of the reference are left in a folder for
``freeze.py``. Prints one line per case: the largest absolute difference of any correlation, the median
seconds of both, and the median ratio of paired runs. Exits with 1 if a difference is above its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from cases import CASES, LARGE, Behavior, Ceiling, Pls

from vvscale.brain import behavioral_consistency, internal_consistency, linear_predictivity

HERE = Path(__file__).parent
BOUNDS = {Pls: 1e-6, Ceiling: 1e-9, Behavior: 1e-9}
FLOAT32_BOUND = 1e-6
"""For ceilings of float32 responses, which the reference averages and correlates in float32."""


def run_ours(name, **options):
    """Return the same arrays as the reference's, and the seconds taken."""
    case = CASES[name]
    if isinstance(case, Behavior):
        return run_behavior(case)
    table, labels, more = case.make()
    start = time.perf_counter()
    if isinstance(case, Ceiling):
        arrays = {"r": internal_consistency(table, stimulus_id=labels, repetition=more).r}
    else:
        arrays = {"r": linear_predictivity(table, labels, stratify=more, **options).r}
    return arrays, time.perf_counter() - start


def run_behavior(case):
    """Return i2n's correlations and ceilings, from tables of strings as they are read from the file."""
    values, names, objects, columns = case.make()
    probabilities = pd.DataFrame(values, index=names, columns=objects)
    trials = pd.DataFrame(columns)
    start = time.perf_counter()
    result = behavioral_consistency(probabilities, trials, metric="i2n")
    return {"i2n.r": result.r, "i2n.ceiling_r": result.ceiling_r}, time.perf_counter() - start


def compare(name, worker, folder, repeats):
    """Run one case on both sides ``repeats`` times and return its line and whether the digits agree."""
    theirs, ours, ratios = [], [], []
    run_ours(name)  # imports and first use are not part of the comparison on either side
    for _ in range(repeats):
        worker.stdin.write(f"{name}\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
        if not answer:
            sys.exit(f"The reference stopped while it ran '{name}'; its message is above.")
        theirs.append(json.loads(answer)["seconds"])
        # Short runs feel every other process; of three in a row the middle one counts.
        runs = [run_ours(name) for _ in range(3)]
        arrays = runs[0][0]
        ours.append(statistics.median(seconds for _, seconds in runs))
        ratios.append(theirs[-1] / ours[-1])
    expected = np.load(folder / f"{name}.npz")
    differences = [np.abs(arrays[key] - expected[key]) for key in arrays]
    same_gaps = all((np.isnan(arrays[key]) == np.isnan(expected[key])).all() for key in arrays)
    largest = max(float(np.nanmax(difference)) for difference in differences)
    is_float32 = getattr(CASES[name], "dtype", "float64") == "float32"
    is_good = same_gaps and largest <= (FLOAT32_BOUND if is_float32 else BOUNDS[type(CASES[name])])
    line = (
        f"{name:20s} {largest:12.1e} {statistics.median(theirs):12.3f} {statistics.median(ours):10.4f} "
        f"{statistics.median(ratios):8.1f}x {repeats:4d}  {'ok' if is_good else 'DIFFERS'}"
    )
    return line, is_good


def main():
    """Compare the cases named on the command line, or all but the large ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"any of: {', '.join(CASES)}")
    parser.add_argument("--python", default=".venv-reference/bin/python", help="interpreter of the reference")
    parser.add_argument("--out", default="out/reference", help="folder for the reference's results")
    parser.add_argument("--large", action="store_true", help="also cases that take over ten minutes")
    parser.add_argument("--repeats", type=int, default=5, help="paired runs of each small case")
    options = parser.parse_args()
    names = options.cases or [name for name in CASES if options.large or name not in LARGE]
    folder = Path(options.out).resolve()
    environment = {**os.environ, "BS_INSTALL_DEPENDENCIES": "no", "TQDM_DISABLE": "1"}
    worker = subprocess.Popen(
        [options.python, str(HERE / "reference.py"), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    print(f"{'case':20s} {'max |diff|':>12s} {'reference s':>12s} {'ours s':>10s} {'ratio':>9s} runs")
    all_good = True
    for name in names:
        is_slow = name.startswith(("it_", "ceiling_it", "behavior_public"))
        repeats = 1 if name in LARGE else min(3, options.repeats) if is_slow else options.repeats
        line, is_good = compare(name, worker, folder, repeats)
        all_good &= is_good
        print(line, flush=True)
    worker.stdin.close()
    worker.wait()
    sys.exit(0 if all_good else 1)


if __name__ == "__main__":
    main()
