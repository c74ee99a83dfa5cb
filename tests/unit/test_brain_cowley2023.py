"""Sessions of macaque V4: fetched by git blob id, read from their two files, scored as one benchmark each."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from vvscale.brain import benchmark_ids, list_benchmarks
from vvscale.brain.benchmarks import cowley2023
from vvscale.brain.benchmarks.cowley2023 import SESSIONS, TESTED, read_session
from vvscale.brain.catalogue import downloadable
from vvscale.cli import main
from vvscale.core.hashing import hash_of
from vvscale.errors import DataError, DigestError, MissingDataError, UsageError

SESSION = "210325"
N_IMAGES, N_NEURONS, N_REPEATS = 160, 4, 3


def blob_id(content):
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A mirror with one small session of the same form; returns counts as stored."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(5, (N_NEURONS, N_IMAGES, N_REPEATS)).astype(float)
    counts[:, ::2, -1] = np.nan  # every second image was shown once less
    folder = tmp_path / "mirror" / "cowley2023"
    folder.mkdir(parents=True)
    np.save(folder / f"responses_{SESSION}.npy", counts)
    with zipfile.ZipFile(folder / f"images_{SESSION}.zip", "w") as archive:
        for number in reversed(range(N_IMAGES)):  # the order of the archive must not matter
            held = io.BytesIO()
            Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(held, "JPEG")
            archive.writestr(f"image{number + 1:04d}.jpg", held.getvalue())
        archive.writestr("__MACOSX/._image0001.jpg", b"no image")
    blobs = tuple(
        blob_id((folder / name).read_bytes()) for name in (f"images_{SESSION}.zip", f"responses_{SESSION}.npy")
    )
    monkeypatch.setattr(cowley2023, "BLOBS", {SESSION: blobs})
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    return counts, folder


def test_words_stand_for_one_session_the_tested_ones_or_all():
    assert benchmark_ids("cowley2023") == ["cowley2023.210325-pls"]
    assert benchmark_ids("cowley2023.190923") == ["cowley2023.190923-pls"]
    assert benchmark_ids("cowley2023-test") == [f"cowley2023.{name}-pls" for name in TESTED]
    assert len(benchmark_ids("cowley2023-all")) == 45
    listed = [one for one in list_benchmarks() if one.benchmark_id.startswith("cowley")]
    assert {one.benchmark_id: one.n_images for one in listed}["cowley2023.211022-pls"] == 1600
    assert len(listed) == 5


def test_a_session_is_fetched_and_read_presentation_by_presentation(files):
    counts, _ = files
    benchmark = SESSIONS[SESSION].load()
    assert SESSIONS[SESSION].state() == "cached"
    assert len(benchmark.stimuli) == N_IMAGES
    assert benchmark.stimuli.stimulus_id[[0, -1]].tolist() == ["image0001", "image0160"]
    assert benchmark.strata().tolist() == [0] * 80 + [1] * 80
    assert benchmark.assembly.responses.shape == (N_IMAGES * N_REPEATS - N_IMAGES // 2, N_NEURONS)
    np.testing.assert_array_equal(benchmark.assembly.mean.to_numpy(), np.nanmean(counts, axis=2).T)
    assert np.asarray(Image.open(benchmark.stimuli.paths[41]))[0, 0, 0] == 41


def test_a_damaged_file_is_refused_and_leaves_nothing(files, tmp_path):
    _, folder = files
    path = folder / f"responses_{SESSION}.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DigestError, match="git-blob"):
        SESSIONS[SESSION].load()
    # The lock of the download stays: another process may be waiting for it.
    assert not [one for one in (tmp_path / "cache" / "cowley2023").glob("*.npy*") if one.suffix != ".lock"]


def test_a_damaged_copy_in_the_cache_is_fetched_again(files):
    file = SESSIONS[SESSION].files()[1]
    path = file.fetch()
    path.write_bytes(b"cut")
    assert file.state() == "damaged"
    assert hash_of(file.fetch(), "git-blob") == file.digest


def test_responses_of_another_session_are_refused(files):
    _, folder = files
    with pytest.raises(DataError, match="files of two sessions"):
        read_session(folder / f"responses_{SESSION}.npy", np.arange(7), assembly_id="x")


def test_fetching_says_what_it_did_and_resumes(files, capsys):
    assert main(["fetch", "benchmarks", "cowley2023"]) == 0
    out = capsys.readouterr().out
    assert f"responses_{SESSION}.npy: downloaded" in out
    assert "160 images unpacked" in out
    assert "vvscale score MODEL --on cowley2023.210325-pls" in out
    assert main(["fetch", "benchmarks", "cowley2023"]) == 0
    assert f"responses_{SESSION}.npy: cached" in capsys.readouterr().out


def test_what_has_no_files_says_which_have():
    with pytest.raises(UsageError, match="cowley2023-test"):
        downloadable("simulated")


@pytest.fixture
def real_session():
    """The real session, from the mirror or the network."""
    try:
        return SESSIONS[SESSION].load()
    except MissingDataError as error:
        pytest.skip(f"neither mirror nor network has the session: {error}")


def test_the_ceiling_of_the_real_session_is_that_of_the_reference(mirror, real_session):
    # brainscore_vision 2.4.2 on files packaged by its own functions.
    assert real_session.noise_ceiling == pytest.approx(0.7594612410432184, abs=1e-14)
    assert real_session.assembly.mean.shape == (640, 50)
