"""Freeze what the reference says of the recordings in ``assemblies.py``; for its own environment.

    .venv-reference/bin/python benchmarks/reference/freeze_assemblies.py > tests/oracle/data/assemblies.json

Each variation is written by the reference's packaging, read by its loader with a stimulus set merged in, averaged over
repetitions, and scored with its metrics and its ceiling.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import pandas as pd

os.environ["BS_INSTALL_DEPENDENCIES"] = "no"
warnings.simplefilter("ignore")

from assemblies import IGNORED, OBJECTS, VARIATIONS, features, stimulus_ids  # noqa: E402
from brainscore_core.supported_data_standards.brainio.assemblies import (  # noqa: E402
    NeuroidAssembly,
    StimulusMergeAssemblyLoader,
)
from brainscore_core.supported_data_standards.brainio.packaging import write_netcdf  # noqa: E402
from brainscore_vision import load_ceiling, load_metric  # noqa: E402
from brainscore_vision.benchmark_helpers.neural_common import average_repetition  # noqa: E402

METRICS = ("pls", "ridge", "rdm", "cka", "cka_biased")


def score(name, folder):
    """Return the numbers of one variation."""
    data = VARIATIONS[name]().drop_vars(IGNORED.get(name, ()))
    path = Path(folder) / f"{name}.nc"
    if name == "netcdf3":
        data.to_dataset(name="data").to_netcdf(path, format="NETCDF3_64BIT")
    else:
        write_netcdf(NeuroidAssembly(data), path)
    stimuli = pd.DataFrame({"stimulus_id": stimulus_ids(name), "object_name": OBJECTS})
    loader = StimulusMergeAssemblyLoader(NeuroidAssembly, path, stimulus_set_identifier="s", stimulus_set=stimuli)
    assembly = loader.load().load()
    if name == "seconds":
        start, end = assembly["time_bin_start"].values, assembly["time_bin_end"].values
        assembly = assembly[{"time_bin": (start > 0.0699) & (end < 0.1701)}].mean("time_bin")
    elif "time_bin" in assembly.dims:
        assembly = assembly.squeeze("time_bin")
    assembly = assembly.transpose("presentation", "neuroid")
    mean = average_repetition(assembly)
    made = {"images": [str(one) for one in mean["stimulus_id"].values]}
    if name != "no_repetition":
        made["ceiling"] = float(load_ceiling("internal_consistency")(assembly))
    source = NeuroidAssembly(
        features(),
        coords={
            "stimulus_id": ("presentation", stimulus_ids(name)),
            "object_name": ("presentation", OBJECTS),
            "neuroid_id": ("neuroid", [f"unit{number:03d}" for number in range(features().shape[1])]),
            "layer": ("neuroid", ["layer"] * features().shape[1]),
        },
        dims=["presentation", "neuroid"],
    )
    for metric in METRICS:
        is_fitted = metric in ("pls", "ridge")
        options = {"crossvalidation_kwargs": {"stratification_coord": "object_name"}} if is_fitted else {}
        made[metric] = float(load_metric(metric, **options)(source, mean))
    return made


def main():
    """Print the numbers of every variation."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        found = {name: score(name, folder) for name in VARIATIONS}
    json.dump(found, sys.stdout, indent=1)


main()
