"""Data sets whose raw files need other libraries (mne, nibabel, xarray): small files of their formats, prepared."""

import h5py
import numpy as np
import pandas as pd
import pytest

from vvscale.brain.ceilings.percent import nsd_ceiling_percent
from vvscale.brain.prepared.brainscore import FREEMAN_ZIEMBA, MAJAJ_HONG
from vvscale.brain.prepared.nsd import REGIONS
from vvscale.brain.prepared.prepare import Job, prepare_brain
from vvscale.brain.prepared.sets import PrepareBrainOptions
from vvscale.errors import MissingDataError

rng = np.random.default_rng(0)

# mne 1.13 calls pandas in a way that pandas 3 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


# THINGS-MEG


@pytest.fixture(scope="module")
def meg_raw(tmp_path_factory):
    mne = pytest.importorskip("mne")
    raw = tmp_path_factory.mktemp("meg")
    images = [("exp", n, f"images_meg/aardvark/aardvark_{n:02d}b.jpg") for n in (1, 2, 3, 4)]
    images += [("test", n, f"images_test_meg/bow1_{n:02d}s.jpg") for n in (5, 6, 7) for _ in range(3)]
    images += [("catch", 99, "images_catch_meg/catch.jpg")]
    order = rng.permutation(len(images))
    metadata = pd.DataFrame([images[one] for one in order], columns=["trial_type", "things_image_nr", "image_path"])
    names = ["MLO11", "MRO11", "MZO01", "MLP11", "MRC11"]
    data = 1e-13 * rng.standard_normal((len(order), len(names), 281))
    info = mne.create_info(names, 200.0, "mag")
    events = np.column_stack([np.arange(len(order)) * 400, np.zeros(len(order), int), np.ones(len(order), int)])
    epochs = mne.EpochsArray(data, info, events, tmin=-0.1, metadata=metadata, verbose="error")
    # So small a split size makes continuation parts, which the reader must find.
    epochs.save(raw / "preprocessed_P1-epo.fif", split_size="2MB", verbose="error")
    return raw, metadata, epochs


@pytest.mark.parametrize(("preset", "n_occipital"), [("sound", 3), ("gokce2026", 1)])
def test_meg_epochs_become_responses_at_100_hz(meg_raw, tmp_path, preset, n_occipital):
    raw, metadata, epochs = meg_raw
    read = prepare_brain(Job("things_meg", raw, tmp_path, PrepareBrainOptions(preset=preset, subjects=("P1",))))
    assert read.stimulus_ids("train", "P1").tolist() == [f"aardvark/aardvark_{n:02d}b.jpg" for n in (1, 2, 3, 4)]
    n_times = 130
    assert read.n_units("P1", "occipital") == n_occipital * n_times
    rows = np.flatnonzero(metadata["things_image_nr"] == 6)
    expected = (
        epochs[rows].copy().load_data().resample(100.0, verbose="error").crop(0, 1.29, verbose="error").get_data()
    )
    got = read.responses("test", "P1", "whole_brain").reshape(3, 5, n_times)[1]
    np.testing.assert_allclose(got, expected.mean(0), rtol=1e-3, atol=1e-16)


# THINGS-EEG1


def brainvision(folder, subject, data, onsets, rate):
    """Write a recording: a header, marks, and 32-bit numbers of one channel after the other."""
    n_channels = len(data)
    stem = f"{subject}_task-rsvp_eeg"
    data.T.astype("<f4").tofile(folder / f"{stem}.eeg")
    channels = "\n".join(f"Ch{n + 1}={name},,1,µV" for n, name in enumerate(("O1", "P1", "Fz")[:n_channels]))
    (folder / f"{stem}.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={stem}.eeg\nMarkerFile={stem}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={n_channels}\nSamplingInterval={int(1e6 / rate)}\n\n[Binary Infos]\n"
        f"BinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n{channels}\n", encoding="utf-8",
    )  # fmt: skip
    marks = "\n".join(f"Mk{n + 1}=Event,E  1,{onset + 1},1,0" for n, onset in enumerate(onsets))
    (folder / f"{stem}.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={stem}.eeg\n\n[Marker Infos]\n{marks}\n", encoding="utf-8",
    )  # fmt: skip


def test_eeg1_recordings_become_epochs_in_the_order_of_the_images(tmp_path):
    pytest.importorskip("mne")
    folder = tmp_path / "raw" / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    rate, n_events = 500, 10
    onsets = 2000 + 500 * np.arange(n_events)
    # Each event evokes a wave of its own height in O1, so that responses tell their order.
    data = 0.01 * rng.standard_normal((3, onsets[-1] + 2000))
    wave = np.sin(np.linspace(0, np.pi, 100))
    heights = 5.0 + np.arange(n_events)
    for onset, height in zip(onsets, heights, strict=True):
        data[0, onset + 50 : onset + 150] += height * wave
    brainvision(folder, "sub-01", data, onsets, rate)
    stim = [f"stimuli\\object{n}\\object{n}_01s.jpg" for n in (3, 1, 2, 0)] + [
        "test\\bow1_01s.jpg",
        "test\\cow_02s.jpg",
    ] * 3
    pd.DataFrame(
        {
            "stimnumber": [3, 1, 2, 0, *[-1] * 6],
            "teststimnumber": [-1] * 4 + [0, 1] * 3,
            "stim": stim,
        }
    ).to_csv(folder / "sub-01_task-rsvp_events.tsv", sep="\t", index=False)
    read = prepare_brain(
        Job("things_eeg1", tmp_path / "raw", tmp_path / "out", PrepareBrainOptions(subjects=("sub-01",)))
    )
    assert read.stimulus_ids("train", "sub-01").tolist() == [f"object{n}/object{n}_01s.jpg" for n in range(4)]
    assert read.stimulus_ids("test", "sub-01").tolist() == ["bow1/bow1_01s.jpg", "cow/cow_02s.jpg"]
    assert set(read.rois) == {"occipital", "parietal", "frontal", "central", "occipital_parietal", "whole_brain"}
    peaks = read.responses("train", "sub-01", "occipital").max(axis=1)
    assert np.argsort(peaks).tolist() == [3, 1, 2, 0]
    # Events 3, 1, 2, 0 were images 0, 1, 2, 3; three quarters stay after averaging over four electrodes.
    np.testing.assert_allclose(peaks / heights[[3, 1, 2, 0]], 0.75, rtol=0.1)


# NSD


@pytest.fixture
def nsd_raw(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    raw = tmp_path / "raw"
    shape, n_sessions, n_trials = (4, 3, 2), 2, 12
    betas = raw / "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR"
    rois = raw / "nsddata/ppdata/subj01/func1pt8mm/roi"
    table = raw / "nsddata/experiments/nsd"
    for folder in (betas, rois, table):
        folder.mkdir(parents=True)
    stored = rng.integers(-3000, 3000, (n_sessions, n_trials, *shape)).astype(np.int16)
    for number, session in enumerate(stored):
        with h5py.File(betas / f"betas_session{number + 1:02d}.hdf5", "w") as file:
            file["betas"] = session.transpose(0, 3, 2, 1)  # (trials, Z, Y, X)
    ncsnr = rng.uniform(0.3, 1.0, shape).astype(np.float32)
    ncsnr[0, 0, 0] = np.nan

    def save(path, volume):
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)

    save(betas / "ncsnr.nii.gz", ncsnr)
    labels = rng.integers(0, 8, shape).astype(np.int16)
    for name in {one for one, _ in REGIONS.values() if one}:
        save(rois / f"{name}.nii.gz", labels if name == "prf-visualrois" else np.ones(shape, np.int16))
    # Eight images, three trials each; the last of image 7 falls outside of the sessions at hand.
    trials = rng.permutation(n_sessions * n_trials) + 1
    stimuli = pd.DataFrame({"nsdId": range(10), "shared1000": [n in (1, 5) for n in range(10)]})
    for rep in range(3):
        stimuli[f"subject1_rep{rep}"] = [int(trials[3 * n + rep]) if n < 8 else 0 for n in range(10)]
    stimuli.loc[7, "subject1_rep2"] = 30000
    stimuli.to_csv(table / "nsd_stim_info_merged.csv")
    return raw, stored, ncsnr, labels, stimuli


def test_nsd_betas_are_zscored_by_session_and_averaged_by_image(nsd_raw, tmp_path):
    raw, stored, ncsnr, labels, stimuli = nsd_raw
    read = prepare_brain(
        Job("NSD-fMRI", raw, tmp_path / "out", PrepareBrainOptions(preset="gokce2026", subjects=("subj01",)))
    )
    assert read.has_own_stimuli
    assert read.stimulus_ids("test", "subj01").tolist() == ["1", "5"]
    assert read.stimulus_ids("train", "subj01").tolist() == ["0", "2", "3", "4", "6", "7"]
    percent = nsd_ceiling_percent(ncsnr)
    chosen = (labels == 2) & (percent > 10)
    np.testing.assert_allclose(read.reliability("subj01", "V1d"), percent[chosen] / 100, rtol=1e-6)
    z = stored.astype(float) / 300
    z = ((z - z.mean(1, keepdims=True)) / z.std(1, ddof=1, keepdims=True)).reshape(-1, *stored.shape[2:])
    for split, image in (("train", 7), ("test", 5)):
        shown = [stimuli.loc[image, f"subject1_rep{rep}"] - 1 for rep in range(3)]
        expected = z[[one for one in shown if one < len(z)]].mean(0)[chosen]
        row = read.stimulus_ids(split, "subj01").tolist().index(str(image))
        np.testing.assert_allclose(read.responses(split, "subj01", "V1d")[row], expected, rtol=1e-4, atol=1e-5)
    assert read.n_units("subj01", "whole_brain") == int((percent > 10).sum())


def test_nsd_sessions_at_hand_need_not_be_the_first(nsd_raw, tmp_path):
    raw, stored, ncsnr, labels, stimuli = nsd_raw
    next(raw.rglob("betas_session01.hdf5")).unlink()
    read = prepare_brain(
        Job("NSD-fMRI", raw, tmp_path / "out", PrepareBrainOptions(preset="gokce2026", subjects=("subj01",)))
    )
    chosen = (labels == 2) & (nsd_ceiling_percent(ncsnr) > 10)
    z = stored[1].astype(float) / 300
    z = (z - z.mean(0)) / z.std(0, ddof=1)
    trials = stimuli.set_index("nsdId")[[f"subject1_rep{rep}" for rep in range(3)]] - 1 - len(z)
    seen = trials.where((trials >= 0) & (trials < len(z))).dropna(how="all")
    for split in ("train", "test"):
        names = [str(one) for one in seen.index if (one in (1, 5)) == (split == "test")]
        assert read.stimulus_ids(split, "subj01").tolist() == names
        expected = [z[seen.loc[int(one)].dropna().astype(int)].mean(0)[chosen] for one in names]
        np.testing.assert_allclose(read.responses(split, "subj01", "V1d"), expected, rtol=1e-4, atol=1e-5)


def test_nsd_betas_under_another_name_are_refused(nsd_raw, tmp_path):
    raw, *_ = nsd_raw
    with h5py.File(next(raw.rglob("betas_session02.hdf5")), "a") as file:
        file.move("betas", "data")
    with pytest.raises(MissingDataError, match="has no array 'betas' of trials x Z x Y x X; it has data"):
        prepare_brain(Job("NSD-fMRI", raw, tmp_path / "out", PrepareBrainOptions(subjects=("subj01",))))


def test_nsd_without_sessions_is_said(nsd_raw, tmp_path):
    raw, *_ = nsd_raw
    for path in raw.rglob("betas_session*"):
        path.unlink()
    with pytest.raises(MissingDataError, match="betas_session"):
        prepare_brain(Job("NSD-fMRI", raw, tmp_path / "out", PrepareBrainOptions(subjects=("subj01",))))


# MajajHong2015 and FreemanZiemba2013


def assembly(path, regions, names, n_images, n_repeats, time_bins):
    import xarray as xr

    images = [f"{n:03x}" for n in range(n_images)]
    signal = rng.standard_normal((n_images, len(names)))
    shown = np.tile(np.arange(n_images), n_repeats)
    data = signal[shown] + 0.3 * rng.standard_normal((len(shown), len(names)))
    data[:, 0] = signal[shown, 0] * (-1.0) ** np.repeat(np.arange(n_repeats), n_images)  # repetitions disagree
    starts, ends = zip(*time_bins, strict=True)
    array = xr.DataArray(
        np.repeat(data[:, :, None], len(time_bins), axis=2).astype(np.float32),
        dims=("presentation", "neuroid", "time_bin"),
        coords={
            "image_id": ("presentation", np.array(images)[shown]),
            "repetition": ("presentation", np.repeat(np.arange(n_repeats), n_images)),
            "neuroid_id": ("neuroid", names),
            "region": ("neuroid", regions),
            "time_bin_start": ("time_bin", list(starts)),
            "time_bin_end": ("time_bin", list(ends)),
        },
        name="x",
    )
    array.to_netcdf(path, engine="h5netcdf")
    return images, data, shown


def test_the_two_macaque_sets_are_split_once_and_by_monkey(tmp_path):
    from sklearn.model_selection import train_test_split

    names = [f"{monkey}_{n}" for monkey in ("Chabo", "Tito") for n in range(6)]
    regions = ["IT", "IT", "IT", "V4", "V4", "V4"] * 2
    images, data, shown = assembly(tmp_path / MAJAJ_HONG.assembly, regions, names, 40, 5, [(70, 170)])
    category = [f"category {n % 4}" for n in range(40)]
    pd.DataFrame({"image_id": images, "category_name": category, "filename": images}).to_csv(
        tmp_path / MAJAJ_HONG.table, index=False
    )
    read = prepare_brain(Job("bs_mh", tmp_path, tmp_path / "out"))
    _, test = train_test_split(images, test_size=0.1, random_state=42, stratify=category)
    assert read.stimulus_ids("test", "Tito").tolist() == sorted(test)
    assert len(read.stimulus_ids("train", "Tito")) == 36
    assert read.subjects == ("Chabo", "Tito")
    assert read.n_units("Chabo", "IT") == 2, "the neuroid without signal is below 10 percent"
    assert read.n_units("Tito", "IT") == 3
    expected = np.stack([data[shown == images.index(one)][:, 9:12].mean(0) for one in sorted(test)])
    np.testing.assert_allclose(read.responses("test", "Tito", "V4"), expected, rtol=1e-5, atol=1e-6)
    assert (read.reliability("Tito", "V4") > 0.9).all()


def test_the_texture_set_pools_its_monkeys(tmp_path):
    bins = [(n, n + 1) for n in range(50, 200)]
    images, *_ = assembly(tmp_path / FREEMAN_ZIEMBA.assembly, ["V1", "V1", "V2"], ["1", "2", "3"], 20, 4, bins)
    pd.DataFrame({"image_id": images, "texture_type": ["noise", "texture"] * 10, "filename": images}).to_csv(
        tmp_path / FREEMAN_ZIEMBA.table, index=False
    )
    read = prepare_brain(Job("bs_fz", tmp_path, tmp_path / "out"))
    assert read.subjects == ("monkeys",)
    assert read.n_units("monkeys", "V1") == 1
    assert len(read.stimulus_ids("test", "monkeys")) == 2
