"""Run the reference implementation; for its own environment, started by ``compare.py``.

Reads names of cases from standard input, one per line, and answers each with one line of JSON: seconds of the
metric alone, without imports and without building its inputs, and the file that holds the result.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from cases import CASES, METRICS, Behavior, Pls


def run(name):
    """Return the result's arrays and the seconds taken."""
    case = CASES[name]
    if isinstance(case, Pls):
        return run_pls(case)
    return run_behavior(case) if isinstance(case, Behavior) else run_ceiling(case)


def run_pls(case):
    """Score with the metric 'pls' and return its split x neuroid table."""
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision import load_metric

    features, responses, strata = case.make()
    presentation = {
        "stimulus_id": ("presentation", [f"image{index:05d}" for index in range(case.n_images)]),
        "object_name": ("presentation", strata),
    }

    def assembly(values, prefix):
        names = [f"{prefix}{index:06d}" for index in range(values.shape[1])]
        neuroid = {"neuroid_id": ("neuroid", names), "region": ("neuroid", ["IT"] * len(names))}
        return NeuroidAssembly(values, coords={**presentation, **neuroid}, dims=["presentation", "neuroid"])

    source, target = assembly(features, "unit"), assembly(responses, "site")
    metric = load_metric("pls")
    start = time.perf_counter()
    score = metric(source, target)
    seconds = time.perf_counter() - start
    raw = score.raw.transpose("split", "neuroid").values
    return {"r": raw, "raw_score": float(score), "error": float(score.attrs["error"])}, seconds


def run_ceiling(case):
    """Return the internal consistency's split x neuroid table."""
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision import load_ceiling

    responses, image, repetition = case.make()
    coords = {
        "stimulus_id": ("presentation", image),
        "object_name": ("presentation", image),
        "repetition": ("presentation", repetition),
        "neuroid_id": ("neuroid", [f"site{index:06d}" for index in range(case.n_neuroids)]),
        "region": ("neuroid", ["IT"] * case.n_neuroids),
    }
    assembly = NeuroidAssembly(responses, coords=coords, dims=["presentation", "neuroid"])
    ceiler = load_ceiling("internal_consistency")
    start = time.perf_counter()
    score = ceiler(assembly)
    seconds = time.perf_counter() - start
    raw = score.raw.transpose("split", "neuroid").values
    return {"r": raw, "ceiling": float(score), "error": float(score.attrs["error"])}, seconds


def run_behavior(case):
    """Return scores and ceilings of each repetition; only i2n at full size, where the others take as long."""
    from brainscore_core.supported_data_standards.brainio.assemblies import BehavioralAssembly
    from brainscore_vision.metrics.i1i2 import metric as i1i2

    values, names, objects, trials = case.make()
    probabilities = BehavioralAssembly(
        values,
        coords={
            "stimulus_id": ("presentation", names),
            "object_name": ("presentation", names),
            "choice": objects,
        },
        dims=["presentation", "choice"],
    )
    coords = {name: ("presentation", column) for name, column in trials.items() if name != "choice"}
    target = BehavioralAssembly(trials["choice"], coords=coords, dims=["presentation"])
    result, total = {}, 0.0
    for name in METRICS if case.n_trials < 100_000 else ["i2n"]:
        metric = getattr(i1i2, name.capitalize())()
        start = time.perf_counter()
        score, ceiling = metric(probabilities, target), metric.ceiling(target, skipna=True)
        total += time.perf_counter() - start
        result[f"{name}.r"] = score.raw.values
        result[f"{name}.ceiling_r"] = ceiling.raw.values
        result[f"{name}.summary"] = [float(score), float(score.attrs["error"]), float(ceiling)]
    return result, total


def main():
    """Answer one line of JSON for each name on standard input."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # plugins print while they load
    for line in sys.stdin:
        name = line.strip()
        arrays, seconds = run(name)
        np.savez(folder / f"{name}.npz", **arrays)
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
