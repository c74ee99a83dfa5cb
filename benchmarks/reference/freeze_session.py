"""Freeze what the reference says of a real session; for its own environment.

    .venv-reference/bin/python benchmarks/reference/freeze_session.py RESPONSES.npy > tests/oracle/data/session.json

Each metric, ceiling and design of the reference that ours has too.
"""

import json
import os
import sys
import warnings

import numpy as np

os.environ["BS_INSTALL_DEPENDENCIES"] = "no"
warnings.simplefilter("ignore")

from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly  # noqa: E402
from brainscore_vision import load_ceiling, load_metric  # noqa: E402
from brainscore_vision.benchmark_helpers.neural_common import average_repetition  # noqa: E402
from session import GRID, features, is_test, read  # noqa: E402


def assembly(table, images, strata, repetition=None, prefix="n"):
    """Return a table of presentations with the coordinates that metrics ask for."""
    coords = {
        "stimulus_id": ("presentation", images),
        "object_name": ("presentation", strata),
        "neuroid_id": ("neuroid", [f"{prefix}{number:03d}" for number in range(table.shape[1])]),
        "region": ("neuroid", ["V4"] * table.shape[1]),
    }
    if repetition is not None:
        coords["repetition"] = ("presentation", repetition)
    return NeuroidAssembly(table, coords=coords, dims=["presentation", "neuroid"])


def main():
    """Print the numbers."""
    counts, images, strata = read(sys.argv[1])
    n_repetitions, n = counts.shape[:2]
    rows = counts.reshape(-1, counts.shape[2])
    kept = ~np.isnan(rows).all(1)
    presentations = assembly(
        rows[kept], np.tile(images, n_repetitions)[kept], np.tile(strata, n_repetitions)[kept],
        np.repeat(np.arange(n_repetitions), n)[kept],
    )  # fmt: skip
    mean = average_repetition(presentations)
    source = assembly(features(counts), images, strata, prefix="u")
    found = {"ceiling": float(load_ceiling("internal_consistency")(presentations))}
    for name in ("pls", "ridge", "rdm", "cka", "cka_biased"):
        is_fitted = name in ("pls", "ridge")
        options = {"crossvalidation_kwargs": {"stratification_coord": "object_name"}} if is_fitted else {}
        found[name] = float(load_metric(name, **options)(source, mean))
    test = is_test(n)
    tested = presentations[{"presentation": np.isin(presentations["stimulus_id"].values, np.array(images)[test])}]
    found["ceiling_test"] = float(load_ceiling("internal_consistency")(tested))
    for name in ("pls_split", "ridge_split", "ridgecv_split", "dual_ridgecv_split"):
        options = {"alphas": list(GRID)} if "ridgecv" in name else {}
        metric = load_metric(name)
        if options:
            metric.regression._regression.alphas = options["alphas"]
        score = metric(
            source_train=source[{"presentation": ~test}], target_train=mean[{"presentation": ~test}],
            source_test=source[{"presentation": test}], target_test=mean[{"presentation": test}],
        )  # fmt: skip
        found[name] = float(score)
    print(json.dumps(found))


main()
