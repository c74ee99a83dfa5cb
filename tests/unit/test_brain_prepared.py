"""Data sets of the 2026 study: raw files of exactly their formats, prepared, and read back."""

import json
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest

from vvscale.brain.ceilings.percent import nsd_ceiling_percent, variance_ceiling_percent
from vvscale.brain.prepared import tvsd
from vvscale.brain.prepared.benchmark import prepared_benchmark
from vvscale.brain.prepared.layout import PreparedFile, write_prepared
from vvscale.brain.prepared.prepare import Job, prepare_brain
from vvscale.brain.prepared.raw_files import read_dict, things_id
from vvscale.brain.prepared.sets import SETS, PrepareBrainOptions, brain_set
from vvscale.errors import ConfigError, DataError, MissingDataError, UnknownNameError, UsageError, VvscaleWarning

rng = np.random.default_rng(0)
TRAIN = [f"aardvark/aardvark_{n:02d}b.jpg" for n in range(1, 9)]
TEST = [f"bow1/bow1_{n:02d}s.jpg" for n in range(1, 7)]


def ceiling_by_hand(x):
    """The definition, unit by unit."""
    found = []
    for unit in range(x.shape[2]):
        z = np.stack([(x[:, r, unit] - x[:, r, unit].mean()) / x[:, r, unit].std() for r in range(x.shape[1])], axis=1)
        noise = np.mean([np.var(row, ddof=1) for row in z])
        snr = max(0, 1 - noise) / max(noise, 1e-12)
        found.append(100 * snr / (snr + 1 / x.shape[1]))
    return np.array(found)


def test_the_variance_ceiling_is_its_definition():
    x = rng.standard_normal((20, 1, 5)) * [0, 0.3, 1, 3, 30] + rng.standard_normal((20, 4, 5))
    np.testing.assert_allclose(variance_ceiling_percent(x), ceiling_by_hand(x), rtol=1e-12)
    assert variance_ceiling_percent(np.ones((5, 3, 1))) == 0
    np.testing.assert_allclose(nsd_ceiling_percent(np.array([0.5])), 100 * 0.25 / (0.25 + 1 / 3))


def test_a_prepared_file_is_read_as_the_study_lays_it_out(tmp_path):
    path = tmp_path / "things_meg.h5"
    with h5py.File(path, "w") as file:  # as the study writes it, not by our writer
        file["train/stimulus_ids"], file["test/stimulus_ids"] = TRAIN, TEST
        train, test = rng.standard_normal((8, 3, 4)), rng.standard_normal((6, 3, 4))
        file["train/neural_data/P1/occipital"], file["test/neural_data/P1/occipital"] = train, test
        file["noise_ceilings/P1/occipital"] = np.full((3, 4), 25.0)
        file.attrs["metadata"] = json.dumps({"handle": "things_meg"})
        file.attrs["subjects"], file.attrs["rois"], file.attrs["max_nc"] = json.dumps(["P1"]), ["occipital"], 100
    read = PreparedFile.open(path)
    assert (read.handle, read.subjects, read.rois) == ("things_meg", ("P1",), ("occipital",))
    assert read.n_units("P1", "occipital") == 12
    np.testing.assert_allclose(read.responses("train", "P1", "occipital"), train.reshape(8, 12), rtol=1e-6)
    np.testing.assert_array_equal(read.reliability("P1", "occipital"), np.full(12, 0.25))
    assert read.stimulus_ids("test", "P1").tolist() == TEST
    with pytest.raises(UnknownNameError, match="P1"):
        read.responses("test", "P2", "occipital")


def test_a_file_without_the_layout_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="prepare-brain"):
        PreparedFile.open(tmp_path / "none.h5")
    (tmp_path / "x.h5").write_bytes(b"no")
    with pytest.raises(DataError, match="HDF5"):
        PreparedFile.open(tmp_path / "x.h5")
    h5py.File(tmp_path / "y.h5", "w").close()
    with pytest.raises(MissingDataError, match="train/neural_data"):
        PreparedFile.open(tmp_path / "y.h5")
    with pytest.raises(DataError, match="No unit"), write_prepared(tmp_path / "z.h5") as writer:
        writer.finish({})
    assert not (tmp_path / "z.h5").exists()


def test_names_of_images_are_those_of_all_sets():
    assert things_id("object_images\\aardvark\\aardvark_01b.jpg") == "aardvark/aardvark_01b.jpg"
    assert things_id("00012_wine_glass/wine_glass_03s.jpg") == "wine_glass/wine_glass_03s.jpg"
    with pytest.raises(DataError, match="concept_NNx"):
        things_id("image.jpg")


# TVSD


def matlab_struct(file, name, paths):
    """Write the paths of a struct of images as MATLAB 7.3 does: references to character codes."""
    file.create_dataset(f"{name}/things_path", (len(paths), 1), dtype=h5py.ref_dtype)
    for number, path in enumerate(paths):
        codes = file.create_dataset(f"#refs#/{name}{number}", data=np.array([[ord(one)] for one in path], np.uint16))
        file[f"{name}/things_path"][number, 0] = codes.ref


@pytest.fixture
def tvsd_raw(tmp_path):
    raw = tmp_path / "raw"
    held = {}
    for monkey in ("monkeyF", "monkeyN"):
        (raw / monkey / "_logs").mkdir(parents=True)
        signal = rng.standard_normal((6, 1, 1024))
        repeats = signal + 0.5 * rng.standard_normal((6, 4, 1024))
        reliability = rng.uniform(0, 0.6, (3, 1024))
        reliability[:, :5] = [[0.05], [0.1], [0.15]]  # mean exactly 0.1
        held[monkey] = {
            "train_MUA": rng.standard_normal((8, 1024)),
            "test_MUA": repeats.mean(axis=1),
            "test_MUA_reps": repeats.swapaxes(0, 1),  # HDF5 sees (repetitions, images, electrodes)
            "reliab": reliability,
        }
        with h5py.File(raw / monkey / "THINGS_normMUA.mat", "w") as file:
            for name, table in held[monkey].items():
                file[name] = table
    with h5py.File(raw / tvsd.IMAGES, "w") as file:
        for split, ids in (("train", TRAIN), ("test", TEST)):
            matlab_struct(file, f"{split}_imgs", [one.replace("/", "\\") for one in ids])
    return raw, held


@pytest.mark.parametrize(("preset", "least"), [("sound", 0.3), ("gokce2026", 0.1)])
def test_tvsd_regions_differ_between_monkeys_and_thresholds_between_presets(tvsd_raw, tmp_path, preset, least):
    raw, held = tvsd_raw
    read = prepare_brain(Job("tvsd", raw, tmp_path / "out", PrepareBrainOptions(preset=preset)))
    assert read.metadata["preset"] == preset
    assert read.stimulus_ids("train", "monkeyF").tolist() == TRAIN
    for monkey, region, first, end in (
        ("monkeyF", "IT", 512, 832),
        ("monkeyN", "IT", 768, 1024),
        ("monkeyN", "V1", 0, 512),
    ):
        kept = first + np.flatnonzero(held[monkey]["reliab"].mean(0)[first:end] >= least)
        np.testing.assert_allclose(
            read.responses("train", monkey, region), held[monkey]["train_MUA"][:, kept], rtol=1e-6
        )
        repeats = held[monkey]["test_MUA_reps"].swapaxes(0, 1)[:, :, kept]
        np.testing.assert_allclose(read.reliability(monkey, region), ceiling_by_hand(repeats) / 100, rtol=1e-9)


def test_tvsd_saved_with_matlab_axes_is_the_same(tvsd_raw, tmp_path):
    raw, held = tvsd_raw
    first = prepare_brain(Job("tvsd", raw, tmp_path / "out"))
    with h5py.File(raw / "monkeyF" / "THINGS_normMUA.mat", "w") as file:
        for name, table in held["monkeyF"].items():
            file[name] = table.transpose(2, 1, 0) if table.ndim == 3 else table.T
    again = prepare_brain(Job("tvsd", raw, tmp_path / "again"))
    for region in ("V1", "V4", "IT"):
        np.testing.assert_array_equal(
            first.responses("test", "monkeyF", region), again.responses("test", "monkeyF", region)
        )
        np.testing.assert_array_equal(first.reliability("monkeyF", region), again.reliability("monkeyF", region))


def test_preparing_resumes_with_the_subjects_that_are_left(tvsd_raw, tmp_path, monkeypatch):
    raw, _ = tvsd_raw
    job = Job("tvsd", raw, tmp_path / "out")
    read = tvsd.read_subject

    def breaks(raw, subject, writer, **settings):
        if subject == "monkeyN":
            raise KeyboardInterrupt
        read(raw, subject, writer, **settings)

    monkeypatch.setattr(tvsd, "read_subject", breaks)
    with pytest.raises(KeyboardInterrupt):
        prepare_brain(job)
    assert [row["state"] for row in job.plan().rows] == ["prepared", "ready"]
    assert not job.path.exists()
    seen = []
    monkeypatch.setattr(
        tvsd, "read_subject", lambda raw, subject, *a, **k: (seen.append(subject), read(raw, subject, *a, **k))
    )
    prepare_brain(job)
    assert seen == ["monkeyN"]
    assert not job.parts.exists()


def test_a_plan_states_bytes_and_hours_and_what_is_missing(tmp_path):
    plan = Job("T-fMRI", tmp_path, tmp_path / "out").plan()
    assert plan.n_bytes == 0
    assert plan.n_bytes_missing == pytest.approx(42_955_087_212, abs=3)
    assert plan.hours_to_download == pytest.approx(42_955_087_212 / 12.5e6 / 3600, rel=1e-6)
    assert plan.rows[0]["first_missing"] == "betas_csv/sub-01_ResponseData.h5"
    with pytest.raises(MissingDataError, match="20492835"):
        prepare_brain(Job("things_fmri", tmp_path, tmp_path / "out"))
    notes = Job("things_meg", tmp_path, tmp_path / "out", PrepareBrainOptions(preset="gokce2026")).plan().notes
    assert "left hemisphere" in notes[0]


def test_what_is_asked_for_is_checked_first(tmp_path):
    with pytest.raises(UnknownNameError, match=r"TVSD-EP|tvsd"):
        Job("tvds", tmp_path, tmp_path).plan()
    with pytest.raises(UnknownNameError, match="monkeyN"):
        Job("tvsd", tmp_path, tmp_path, PrepareBrainOptions(subjects=("monkeyX",)))
    with pytest.raises(ConfigError, match="gokce2026"):
        Job("tvsd", tmp_path, tmp_path, PrepareBrainOptions(preset="ours"))
    with pytest.raises(UsageError, match="all its regions"):
        Job("tvsd", tmp_path, tmp_path, PrepareBrainOptions(rois=("V1",)))
    with pytest.raises(UsageError, match="min_ceiling"):
        Job("tvsd", tmp_path, tmp_path, PrepareBrainOptions(min_ceiling=3))
    with pytest.raises(UnknownNameError, match="V9"):
        Job("things_fmri", tmp_path, tmp_path, PrepareBrainOptions(rois=("V9",)))
    assert len(SETS) == 8
    assert brain_set("NSD-fMRI").has_own_stimuli


# THINGS-fMRI


@pytest.fixture
def fmri_raw(tmp_path):
    folder = tmp_path / "raw" / "betas_csv"
    folder.mkdir(parents=True)
    stimuli = [(name.split("/")[1], "train", 0) for name in TRAIN] + [
        (name.split("/")[1], "test", r) for name in TEST for r in range(3)
    ]
    order = rng.permutation(len(stimuli))
    trials = pd.DataFrame(
        [(stimuli[one][1], 1, stimuli[one][0], number) for number, one in enumerate(order)],
        columns=["trial_type", "session", "stimulus", "trial_id"],
    )
    voxels = pd.DataFrame({"voxel_id": range(10), "nc_testset": [5.0, 10, 11, 20, 29, 31, 40, 50, 60, 70]})
    for name in ("V1", "V2", "V3", "hV4", "VO1", "VO2", "LO1 (prf)", "LO2 (prf)", "TO1", "TO2", "V3a", "V3b", "IT"):
        voxels[name] = 0
    for name in ("EBA", "FFA", "OFA", "PPA", "RSC", "TOS", "LOC"):
        voxels[f"l{name}"] = voxels[f"r{name}"] = 0
    for name in ("TE1p", "TE2p", "FFC", "VVC", "VMV2", "VMV3", "PHA1", "PHA2", "PHA3"):
        voxels[f"glasser-{name}"] = 0
    voxels.loc[[1, 2, 5, 6], "hV4"] = 1
    voxels.loc[[3, 7], "glasser-FFC"] = voxels.loc[[8], "glasser-PHA3"] = 1
    betas = rng.standard_normal((10, len(trials)))
    for subject in ("sub-01", "sub-02", "sub-03"):
        trials.to_csv(folder / f"{subject}_StimulusMetadata.csv", index=False)
        voxels.to_csv(folder / f"{subject}_VoxelMetadata.csv", index=False)
        with h5py.File(folder / f"{subject}_ResponseData.h5", "w") as file:  # a pandas store of fixed format
            file["ResponseData/block0_values"] = betas
            file["ResponseData/block1_values"] = np.arange(10)[:, None]
    return tmp_path / "raw", trials, betas


def test_things_fmri_tables(fmri_raw, tmp_path):
    raw, trials, betas = fmri_raw
    read = prepare_brain(
        Job("things_fmri", raw, tmp_path / "out", PrepareBrainOptions(preset="gokce2026", subjects=("sub-01",)))
    )
    assert read.stimulus_ids("test", "sub-01").tolist() == TEST
    assert read.n_units("sub-01", "V4") == 3, "voxel 1 has a ceiling of 10 percent, which is not above"
    assert read.n_units("sub-01", "IT_glasser") == 3
    assert read.n_units("sub-01", "whole_brain") == 8
    expected = np.stack([betas[6, trials.index[(trials["stimulus"] == name.split("/")[1])]].mean() for name in TEST])
    got = read.responses("test", "sub-01", "V4")[:, 2]
    np.testing.assert_allclose(got, (expected - expected.mean()) / expected.std(), rtol=1e-5)
    np.testing.assert_array_equal(read.reliability("sub-01", "V4"), [0.11, 0.31, 0.40])
    sound = prepare_brain(
        Job("things_fmri", raw, tmp_path / "sound", PrepareBrainOptions(subjects=("sub-01",), rois=("V4",)))
    )
    assert sound.n_units("sub-01", "V4") == 2
    assert not sound.has("sub-01", "whole_brain")


def test_a_subject_whose_units_all_fail_the_threshold_does_not_stop_the_others(fmri_raw, tmp_path):
    raw, *_ = fmri_raw
    path = raw / "betas_csv" / "sub-02_VoxelMetadata.csv"
    pd.read_csv(path).assign(nc_testset=1.0).to_csv(path, index=False)
    job = Job("things_fmri", raw, tmp_path / "out", PrepareBrainOptions(rois=("V4",)))
    with pytest.warns(VvscaleWarning, match="No unit of sub-02 of 'things_fmri'"):
        read = prepare_brain(job)
    assert read.subjects == ("sub-01", "sub-03")
    strict = PrepareBrainOptions(min_ceiling=99, rois=("V4",), subjects=("sub-01",))
    with pytest.raises(DataError, match="No unit of any subject"):
        prepare_brain(Job("things_fmri", raw, tmp_path / "no", strict))


@pytest.mark.parametrize(
    ("table", "column"),
    [("VoxelMetadata", "nc_testset"), ("VoxelMetadata", "hV4"), ("StimulusMetadata", "trial_type"),
     ("StimulusMetadata", "stimulus"), ("StimulusMetadata", "trial_id")],
)  # fmt: skip
def test_things_fmri_tables_of_another_release_are_refused_by_the_column(fmri_raw, tmp_path, table, column):
    raw, *_ = fmri_raw
    path = raw / "betas_csv" / f"sub-01_{table}.csv"
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(MissingDataError, match=f"has no column '{column}'"):
        prepare_brain(
            Job("things_fmri", raw, tmp_path / "out", PrepareBrainOptions(subjects=("sub-01",), rois=("V4",)))
        )


def test_an_image_that_trains_one_subject_and_tests_another_is_refused(tmp_path):
    path = tmp_path / "lab.h5"
    with write_prepared(path) as writer:
        for subject, splits in {"a": ([0, 1, 2], [3, 4]), "b": ([0, 1, 3], [2, 4])}.items():
            for split, ids in zip(("train", "test"), splits, strict=True):
                writer.stimulus_ids(split, np.array(ids), subject)
                writer.responses(split, subject, "IT", (len(ids), 2))[...] = 1.0
            writer.ceiling(subject, "IT", np.array([50.0, 60.0]))
        writer.finish({"preset": "sound"})
    with pytest.raises(DataError, match=r"'3' of .* trains and tests"):
        prepared_benchmark(path, "IT")


# THINGS-EEG2


@pytest.mark.parametrize("encoding", ["pickle", "array"])
def test_things_eeg2_in_both_encodings(tmp_path, encoding):
    raw = tmp_path / "raw"
    (raw / "sub-01").mkdir(parents=True)
    times = np.linspace(-0.2, 0.79, 100)
    names = ["Pz", "O1", "Oz", "PO7"]
    held = {}

    def save(path, value):
        if encoding == "array":
            np.save(path, value)
        else:
            path.write_bytes(pickle.dumps(value))

    for split, n_images, n_repeats in (("training", 8, 4), ("test", 6, 5)):
        held[split] = rng.standard_normal((n_images, n_repeats, 4, 100))
        save(
            raw / "sub-01" / f"preprocessed_eeg_{split}.npy",
            {"preprocessed_eeg_data": held[split], "ch_names": names, "times": times},
        )
    save(raw / "image_metadata.npy", {
        "train_img_files": [one.split("/")[1] for one in TRAIN], "test_img_files": [one.split("/")[1] for one in TEST],
        "train_img_concepts": ["00001_aardvark"] * 8, "test_img_concepts": ["00002_bow1"] * 6,
    })  # fmt: skip
    read = prepare_brain(Job("things_eeg2", raw, tmp_path / "out", PrepareBrainOptions(subjects=("sub-01",))))
    assert set(read.rois) == {"occipital", "parietal", "occipital_parietal", "whole_brain"}
    assert read.stimulus_ids("train", "sub-01").tolist() == TRAIN
    expected = held["training"][:, :, [1, 2]][..., 20:].mean(1).reshape(8, -1)
    np.testing.assert_allclose(read.responses("train", "sub-01", "occipital"), expected, rtol=1e-5, atol=1e-6)
    assert read.n_units("sub-01", "whole_brain") == 4 * 80


def test_a_pickle_that_could_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    for name, value in (("a.npy", pickle.dumps({"x": Evil()})), ("b.npy", pickle.dumps([1]))):
        (tmp_path / name).write_bytes(value)
        with pytest.raises(DataError, match=r"builtins.print|holds a list"):
            read_dict(tmp_path / name)
    np.save(tmp_path / "c.npy", np.arange(3))
    with pytest.raises(DataError, match="shape"):
        read_dict(tmp_path / "c.npy")
    with pytest.raises(MissingDataError):
        read_dict(tmp_path / "d.npy")


# Benchmarks


@pytest.fixture
def prepared(tmp_path):
    """A prepared file of two subjects whose first region follows a visible property of the images."""
    from PIL import Image

    ids = {"train": [f"a/a_{n:02d}b.jpg" for n in range(60)], "test": [f"b/b_{n:02d}s.jpg" for n in range(20)]}
    folder = tmp_path / "object_images"
    level = {}
    for name in [*ids["train"], *ids["test"]]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        level[name] = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(np.kron(level[name], np.ones((8, 8, 1), np.uint8))).save(folder / name, quality=95)
    with write_prepared(tmp_path / "tvsd.h5") as writer:
        for split, names in ids.items():
            writer.stimulus_ids(split, names)
        for monkey in ("monkeyF", "monkeyN"):
            weights = rng.standard_normal((48, 5)) / 500
            for split, names in ids.items():
                seen = np.stack([level[name].ravel() for name in names]).astype(float)
                noise = 0.1 * rng.standard_normal((len(names), 5))
                writer.responses(split, monkey, "V4", (len(names), 5))[...] = seen @ weights + noise
                if monkey == "monkeyF":
                    writer.responses(split, monkey, "IT", (len(names), 0))
            writer.ceiling(monkey, "V4", np.array([81.0, 81, 81, 81, 64]))
            if monkey == "monkeyF":
                writer.ceiling(monkey, "IT", np.array([]))
        writer.finish({"preset": "sound", "stimulus_set": "object_images"})
    return tmp_path / "tvsd.h5"


def test_a_prepared_file_is_a_benchmark_per_region_of_all_subjects(prepared):
    from sklearn.linear_model import RidgeCV as Sklearn

    from vvscale.brain import benchmark_ids, load_benchmark
    from vvscale.brain.metrics.ridge import ALPHAS

    assert benchmark_ids(str(prepared)) == [f"{prepared}:V4"], "a region without units is none"
    benchmark = load_benchmark(f"{prepared}:V4")
    assert benchmark.benchmark_id == "tvsd.V4-ridge-cv"
    assert benchmark.n_targets == 10
    pixels = np.stack([np.asarray(image_at(path)).reshape(-1)[::29] for path in benchmark.stimuli.paths]).astype(float)
    got = benchmark.score(pixels, resamples=10)
    expected = []
    read = PreparedFile.open(prepared)
    for monkey in read.subjects:
        fit = Sklearn(ALPHAS).fit(pixels[:60], read.responses("train", monkey, "V4").astype(float))
        test = read.responses("test", monkey, "V4")
        predicted = fit.predict(pixels[60:])
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, test.T, strict=True)]
        expected.append(np.mean(r / np.sqrt(read.reliability(monkey, "V4"))))
    assert got.score.score == pytest.approx(np.mean(expected), abs=1e-7)
    assert got.score.score > 0.5


def image_at(path):
    from PIL import Image

    return Image.open(path)


def test_what_a_prepared_benchmark_lacks_is_said(prepared, tmp_path):
    from vvscale.brain import load_benchmark
    from vvscale.brain.prepared.benchmark import prepared_benchmark

    with pytest.raises(UnknownNameError, match="V5"):
        load_benchmark(f"{prepared}:V5")
    with pytest.raises(MissingDataError, match="monkeyF, monkeyN"):
        load_benchmark(f"{prepared}:IT")
    with pytest.raises(UnknownNameError, match="monkeyF"):
        prepared_benchmark(prepared, "V4", subjects=("monkeyX",))
    next((tmp_path / "object_images" / "b").iterdir()).unlink()
    with pytest.raises(MissingDataError, match="1 of the 80 images"):
        load_benchmark(f"{prepared}:V4")


def test_a_prepared_file_is_scored_from_the_command_line_with_its_mapping_curve(
    prepared, tmp_path, capsys, monkeypatch
):
    from vvscale.cli import main
    from vvscale.scores import ScoreStore

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\ntorch.manual_seed(0)\n"
        "net = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 49, 30))\n"
    )
    arguments = ["score", "net.py:net", "--on", "tvsd.h5", "--layers", "all", "--image-size", "32", "--resamples", "20"]
    assert main([*arguments, "--mapping-samples", "10%,50%,100%", "--mapping-seeds", "2", "--metric", "ridge-cv"]) == 0
    out, err = capsys.readouterr()
    assert "tvsd.V4-ridge-cv" in out, err
    rows = ScoreStore("scores").read()
    assert len(rows) == 4 * 5
    assert set(rows["mapping_samples"]) == {6, 30, 60}
    assert rows["region"].unique().tolist() == ["V4"]
