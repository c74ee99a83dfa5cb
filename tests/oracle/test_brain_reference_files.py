"""Files that the reference can write read to the reference's scores: brainscore_vision 2.4.2, frozen.

`benchmarks/reference/freeze_assemblies.py` writes the numbers, from the recordings that are made here again.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.brain import NeuralBenchmark, StimulusSet
from vvscale.brain.recordings.netcdf import read_neural
from vvscale.errors import DataError, MissingDataError

ROOT = Path(__file__).parents[2]
FROZEN = json.loads((Path(__file__).parent / "data" / "assemblies.json").read_text())
METRICS = {"pls": "pls", "ridge": "ridge", "rdm": "rsa", "cka": "cka", "cka_biased": "cka-biased"}


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


assemblies = load("reference_assemblies", ROOT / "benchmarks" / "reference" / "assemblies.py")
brain_files = load("brain_files", ROOT / "tests" / "unit" / "brain_files.py")


@pytest.fixture
def written(tmp_path):
    def write(name):
        path, data = tmp_path / f"{name}.nc", assemblies.VARIATIONS[name]()
        if name == "netcdf3":
            data.to_dataset(name="data").to_netcdf(path, engine="scipy")
        else:
            brain_files.write_netcdf(path, data, zlib=True, complevel=9)
        return path

    return write


def read(path, name, **options):
    options = {"ignore": ("session",) if name == "session" else (), **options}
    return read_neural(path, assembly_id="made-up", region="IT", time_bin=(70, 170), **options)


def benchmark(assembly, name, metric):
    ids = [str(one) for one in assemblies.stimulus_ids(name)]
    table = pd.DataFrame({"object_name": assemblies.OBJECTS}, index=ids)
    stimuli = StimulusSet("s", table, 8.0, np.zeros((len(ids), 2, 2, 3), np.uint8))
    return NeuralBenchmark("Made.IT", 1, stimuli, assembly, "object_name", metric=metric)


@pytest.mark.parametrize("name", FROZEN)
def test_every_variation_reads_to_the_score_of_the_reference(written, name):
    assembly, frozen = read(written(name), name), FROZEN[name]
    assert assembly.images.tolist() == frozen["images"]
    for theirs, ours in METRICS.items():
        [outcome] = benchmark(assembly, name, ours).measure(assemblies.features())
        assert outcome.raw_score == pytest.approx(frozen[theirs], abs=1e-7), theirs
    if "ceiling" in frozen:
        assert benchmark(assembly, name, "pls").noise_ceiling == pytest.approx(frozen["ceiling"], abs=1e-9)


def test_a_session_that_tells_images_apart_is_refused_with_the_way_out(written):
    with pytest.raises(DataError, match=r"'session' .* Pass `ignore=\['session'\]`"):
        read(written("session"), "session", ignore=())


def test_recordings_without_repetitions_have_no_split_half_ceiling(written):
    made = benchmark(read(written("no_repetition"), "no_repetition"), "no_repetition", "pls")
    with pytest.raises(DataError, match="ceiling='none'"):
        _ = made.noise_ceiling


def test_neuroids_of_several_animals_keep_both_labels(written):
    assembly = read(written("animals"), "animals")
    assert assembly.neuroid_id.tolist() == [f"monkey{number // 4}.{number % 4}" for number in range(8)]


def test_several_bins_want_a_window(written):
    with pytest.raises(MissingDataError, match="20 time bins; name the window"):
        read_neural(written("seconds"), assembly_id="made-up", region="IT")
    assert read_neural(written("plain"), assembly_id="made-up", region="IT").mean.shape == (48, 8)


def test_strata_follow_the_order_of_the_images(written):
    assembly = read(written("number_first"), "number_first")
    made = benchmark(assembly, "number_first", "pls")
    expected = [assemblies.OBJECTS[assemblies.IMAGES.index(image)] for image in assembly.images]
    assert made.strata().tolist() == expected
