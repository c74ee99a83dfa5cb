"""Features that were computed elsewhere: files of several tools, labels of rows, and their scores."""

import types
from dataclasses import replace

import h5py
import numpy as np
import pytest

from vvscale.brain import simulate
from vvscale.brain.scoring.features import Features, read_features, score_features
from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError, UsageError

rng = np.random.default_rng(0)
IDS = [f"image{number}" for number in range(6)]
TABLE = rng.standard_normal((6, 4))


def test_an_npy_file_is_one_layer_and_its_labels_are_lines(tmp_path):
    np.save(tmp_path / "features.npy", TABLE.reshape(6, 2, 2))
    (tmp_path / "file_names.txt").write_text("\n".join(f"C:\\images\\{name}.jpg" for name in IDS) + "\n")
    read = read_features(tmp_path / "features.npy", tmp_path / "file_names.txt", name="clip")
    assert read.name == "clip"
    np.testing.assert_array_equal(read.layers["features"], TABLE)
    assert read.rows_for(np.array(IDS)).tolist() == IDS, "thingsvision writes paths"
    assert read.rows_for(read.stimulus_id).tolist() == read.stimulus_id.tolist()


def test_an_npz_file_has_a_layer_per_array(tmp_path):
    np.savez(tmp_path / "two.npz", conv=TABLE, fc=TABLE[:, :2], stimulus_id=IDS)
    read = read_features(tmp_path / "two.npz")
    assert list(read.layers) == ["conv", "fc"]
    assert read.stimulus_id.tolist() == IDS


@pytest.mark.parametrize("layout", ["study", "flat", "rsatoolbox"])
def test_hdf5_files_of_three_layouts(tmp_path, layout):
    path = tmp_path / f"{layout}.h5"
    with h5py.File(path, "w") as file:
        if layout == "study":
            file["features/layer1-0"] = TABLE.astype(np.float16)
            file["ids"] = IDS
        elif layout == "flat":
            file["fc"], file["stimulus_id"] = TABLE, IDS
        else:  # as Dataset.save of rsatoolbox 0.3.2 writes it
            file.create_group("channel_descriptors")
            file["measurements"] = TABLE
            file["obs_descriptors/stimulus_id"] = np.array(IDS, dtype="S6")
    [(layer, table)] = read_features(path).layers.items()
    assert layer == {"study": "layer1-0", "flat": "fc", "rsatoolbox": "rsatoolbox"}[layout]
    np.testing.assert_allclose(table, TABLE, atol=2e-3 if layout == "study" else 0)
    assert read_features(path).stimulus_id.tolist() == IDS


def test_a_dataset_object_brings_its_own_labels():
    dataset = types.SimpleNamespace(measurements=TABLE, obs_descriptors={"stimulus_id": IDS})
    assert Features.of(dataset).stimulus_id.tolist() == IDS
    dataset.obs_descriptors = {"session": IDS}
    with pytest.raises(MissingDataError, match="it has session"):
        Features.of(dataset)


def test_what_is_wrong_is_said_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"\.npy, \.npz"):
        read_features(tmp_path / "x.csv")
    with pytest.raises(MissingDataError, match="no file"):
        read_features(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="Cannot read"):
        read_features(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", TABLE)
    with pytest.raises(MissingDataError, match="which image each row is of"):
        read_features(tmp_path / "x.npy")
    with pytest.raises(ShapeError, match="expected 5 rows"):
        Features.of(TABLE, stimulus_id=IDS[:5])
    with pytest.raises(DataError, match="two rows of the image 'image0'"):
        Features.of(TABLE, stimulus_id=[*IDS[:5], "image0"])
    with pytest.raises(UsageError, match="stimulus_id"):
        Features.of(TABLE)
    with pytest.raises(MissingDataError, match="no layer"):
        Features.of({}, stimulus_id=IDS)


@pytest.fixture(scope="module")
def v1():
    return simulate(images_per_object=10, n_neuroids=10).benchmark("V1")


def test_scores_are_those_of_the_benchmark_whatever_the_order_of_rows(v1):
    ids = v1.stimuli.stimulus_id
    pixels = v1.stimuli.pixels.reshape(len(ids), -1).astype(np.float32)
    expected = v1.score(pixels, resamples=20)
    order = rng.permutation(len(ids))
    more = np.append(ids[order], "another image")
    features = Features.of(
        {"pixels": np.vstack([pixels[order], pixels[:1]]), "dead": np.ones((len(more), 30))},
        stimulus_id=more,
        name="me",
    )
    scores = score_features(features, benchmarks=[v1], resamples=20)
    [row] = scores.rows({"model_id": "me"}).to_dict("records")
    assert row["layer"] == "pixels"
    assert row["score"] == pytest.approx(expected.score.score, abs=1e-12)
    assert row["preprocessing"] == "features"
    [failure] = scores.failures
    assert failure.layer == "dead"
    with pytest.raises(MissingDataError, match="lack 1 of"):
        score_features(Features.of(pixels[1:], stimulus_id=ids[1:]), benchmarks=[v1])


def test_benchmarks_are_checked_before_features_are_scored():
    stream = simulate(images_per_object=10, n_neuroids=10)
    benchmark = stream.benchmark("V1")
    features = Features.of(np.ones((len(stream.stimuli), 3)), stimulus_id=stream.stimuli.stimulus_id)
    with pytest.raises(UsageError, match="No benchmark was given"):
        score_features(features, benchmarks=[])
    with pytest.raises(UsageError, match="given twice"):
        score_features(features, benchmarks=[benchmark, benchmark])
    silent = replace(benchmark, stratify_by="nothing")
    with pytest.raises(MissingDataError, match="cannot score any model"):
        score_features(features, benchmarks=[silent])
