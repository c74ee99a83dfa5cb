"""The public benchmarks from small files of their formats, through the real loader and a mirror."""

import functools
import http.server
import importlib.util
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from vvscale.brain import Preprocessing, Trials
from vvscale.brain.benchmarks.public import FILES, PUBLIC
from vvscale.errors import DigestError, MissingDataError

spec = importlib.util.spec_from_file_location("brain_files", Path(__file__).parent / "brain_files.py")
brain_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brain_files)

IDS = {one.region: name for name, one in PUBLIC.items()}


class Mirror:
    """Files of one mirror, and the table of their hashes."""

    def __init__(self, root, monkeypatch):
        self.folder = brain_files.mirror_folder(root / "mirror")
        self.cache = root / "cache"
        monkeypatch.setenv("VVSCALE_MIRROR", str(root / "mirror"))
        monkeypatch.setenv("VVSCALE_CACHE", str(self.cache))

    @property
    def files(self):
        return brain_files.catalogue(self.folder)

    def load(self, region):
        return replace(PUBLIC[IDS[region]], remote=self.files).load()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    return Mirror(tmp_path, monkeypatch)


def averaged_by_the_reference(data: xr.DataArray, region: str) -> pd.DataFrame:
    """Average as the reference does: over presentations that agree in all coordinates but the repetition."""
    chosen = data.isel(neuroid=np.flatnonzero(data["region"].values == region))
    if chosen.sizes["time_bin"] > 1:
        inside = (chosen["time_bin_start"].values >= 50) & (chosen["time_bin_end"].values <= 200)
        assert inside.sum() == 150
        chosen = chosen.isel(time_bin=np.flatnonzero(inside)).mean("time_bin")
    chosen = chosen.squeeze("time_bin", drop=True) if "time_bin" in chosen.dims else chosen
    chosen = chosen.transpose("presentation", "neuroid")
    keys = [
        name
        for name, one in chosen.coords.items()
        if one.dims == ("presentation",) and name not in {"repetition", "presentation"}
    ]
    keys.sort(key=lambda name: name != "image_id")
    index = pd.MultiIndex.from_arrays([chosen[name].values for name in keys])
    frame = pd.DataFrame(chosen.values, index=index, columns=chosen["neuroid_id"].values)
    mean = frame.groupby(level=list(range(len(keys)))).mean()
    return mean.set_axis(mean.index.get_level_values(0), axis=0)


@pytest.mark.parametrize("region", ["V1", "V2", "V4", "IT"])
def test_recordings_are_averaged_as_the_reference_does(mirror, region):
    data = (brain_files.textures if region in {"V1", "V2"} else brain_files.objects)(mirror.folder)
    benchmark = mirror.load(region)
    expected = averaged_by_the_reference(data, region)
    mean = benchmark.assembly.mean
    assert mean.index.tolist() == expected.index.tolist() == sorted(expected.index)
    assert (
        mean.columns.tolist()
        == expected.columns.tolist()
        == data["neuroid_id"].values[data["region"] == region].tolist()
    )
    np.testing.assert_allclose(mean.to_numpy(), expected.to_numpy(), rtol=1e-6, atol=1e-6)
    if region in {"V1", "V2"}:
        np.testing.assert_allclose(mean.to_numpy(), expected.to_numpy(), rtol=1e-14)
    assert benchmark.assembly.responses.dtype == (np.float64 if region in {"V1", "V2"} else np.float32)


def test_presentations_stay_in_the_order_of_the_file(mirror):
    data = brain_files.objects(mirror.folder)
    assembly = mirror.load("IT").assembly
    is_it = data["region"].values == "IT"
    np.testing.assert_array_equal(assembly.responses, data.values[:, is_it, 0])
    np.testing.assert_array_equal(assembly.stimulus_id, data["stimulus_id"].values)
    np.testing.assert_array_equal(assembly.repetition, data["repetition"].values)


@pytest.mark.parametrize(
    ("region", "version", "formula", "degrees", "stimulus_set", "by"),
    [
        ("V1", 1, "r^2/c", 4, "FreemanZiemba2013.aperture-public", "texture_type"),
        ("V2", 1, "r^2/c", 4, "FreemanZiemba2013.aperture-public", "texture_type"),
        ("V4", 4, "r^2/c", 8, "hvm-public", "object_name"),
        ("IT", 4, "r^2/c", 8, "hvm-public", "object_name"),
        ("behavior", 2, "r/sqrt(c)", 8, "objectome.public", "image_label"),
    ],
)
def test_each_is_what_the_reference_says(mirror, region, version, formula, degrees, stimulus_set, by):
    brain_files.textures(mirror.folder)
    brain_files.objects(mirror.folder)
    brain_files.choices(mirror.folder)
    benchmark = mirror.load(region)
    assert benchmark.region == region
    assert benchmark.benchmark_id == IDS[region]
    assert (benchmark.version, benchmark.formula) == (version, formula)
    assert (benchmark.stimuli.identifier, benchmark.stimuli.degrees) == (stimulus_set, degrees)
    assert (benchmark.label if region == "behavior" else benchmark.stratify_by) == by
    assert not benchmark.stimuli.is_simulated
    assert Preprocessing(image_size=8).batch(benchmark.stimuli, [0, 1]).shape == (2, 3, 8, 8)


def test_choices_are_those_of_the_file(mirror):
    table = brain_files.choices(mirror.folder)
    trials = mirror.load("behavior").trials
    expected = Trials.from_table(table.rename(columns={"image_id": "stimulus_id"}))
    for name in ("stimulus_id", "objects", "truth", "image", "sample", "distractor", "choice"):
        np.testing.assert_array_equal(getattr(trials, name), getattr(expected, name), err_msg=name)
    assert trials.digest() == expected.digest()


@pytest.mark.parametrize("region", ["V1", "IT", "behavior"])
def test_scores_come_out_at_the_end(mirror, region):
    brain_files.textures(mirror.folder, n=100)
    brain_files.objects(mirror.folder)
    brain_files.choices(mirror.folder)
    benchmark = mirror.load(region)
    features = np.random.default_rng(0).standard_normal((len(benchmark.stimuli), 50))
    row = benchmark.score(features, resamples=5).to_dict()
    assert np.isfinite(row["score"])
    assert row["formula"] == benchmark.formula
    assert row["version"] == PUBLIC[IDS[region]].version


def test_stimuli_carry_the_labels_of_the_table(mirror):
    brain_files.objects(mirror.folder)
    stimuli = mirror.load("V4").stimuli
    table = pd.read_csv(mirror.folder / "stimulus_hvm-public.csv", index_col="stimulus_id")
    assert stimuli.stimulus_id.tolist() == table.index.tolist()
    assert stimuli.labels("object_name").tolist() == table["object_name"].tolist()
    assert stimuli.table["rxy"].tolist() == table["rxy"].tolist()
    assert [path.name for path in stimuli.paths] == table["filename"].tolist()
    assert all(path.is_relative_to(mirror.cache) for path in stimuli.paths)


def test_the_second_time_needs_no_mirror(mirror):
    brain_files.objects(mirror.folder)
    files = mirror.files
    first = replace(PUBLIC[IDS["V4"]], remote=files).load()
    for path in mirror.folder.iterdir():
        path.unlink()
    assert replace(PUBLIC[IDS["V4"]], remote=files).load().data_digest() == first.data_digest()
    assert replace(PUBLIC[IDS["IT"]], remote=files).state() == "cached"


def test_a_digest_of_the_data_changes_with_every_part(mirror, tmp_path, monkeypatch):
    brain_files.objects(mirror.folder)
    digests = {mirror.load("V4").data_digest(), mirror.load("IT").data_digest()}
    for number, change in enumerate((brain_files.textures, lambda folder: brain_files.objects(folder, seed=5))):
        other = Mirror(tmp_path / str(number), monkeypatch)
        change(other.folder)
        digests.add(other.load("V1" if number == 0 else "V4").data_digest())
    assert len(digests) == 4


def test_another_file_than_the_published_is_refused(mirror):
    brain_files.objects(mirror.folder)
    files = mirror.files
    with (mirror.folder / "stimulus_hvm-public.csv").open("a") as table:
        table.write("\n")
    with pytest.raises(DigestError, match=r"stimulus_hvm-public.csv: got sha1 .* expected .*vvscale fetch benchmarks"):
        replace(PUBLIC[IDS["V4"]], remote=files).load()
    assert not (mirror.cache / "brainscore" / "stimulus_hvm-public.csv").exists()


def test_without_files_it_says_how_to_get_them(mirror):
    with pytest.raises(MissingDataError, match=r"the mirror does not hold this file.*unset VVSCALE_MIRROR"):
        PUBLIC[IDS["V1"]].load()


def test_files_that_do_not_belong_together_are_refused(mirror):
    brain_files.objects(mirror.folder)
    pictures = brain_files.images(48, seed=9)
    brain_files.write_stimuli(mirror.folder, brain_files.OBJECTS[1], pictures, {"object_name": "a"}, "stimulus_id")
    with pytest.raises(MissingDataError, match=r"recordings of 48 images that its stimulus set 'hvm-public' lacks"):
        mirror.load("IT")


def test_the_published_addresses_and_hashes_are_complete():
    assert len(FILES) == 9
    assert {name for one in PUBLIC.values() for name in one.data.files} == set(FILES)
    for name, file in FILES.items():
        assert file.address.startswith(
            f"https://brainscore-storage.s3.amazonaws.com/brainio-brainscore/{name}?versionId="
        )
        assert len(bytes.fromhex(file.digest)) == 20
    assert len({file.digest for file in FILES.values()}) == 9


def test_a_damaged_cache_is_replaced(mirror):
    brain_files.objects(mirror.folder)
    files = mirror.files
    expected = replace(PUBLIC[IDS["V4"]], remote=files).load().data_digest()
    cached = mirror.cache / "brainscore"
    (cached / "assy_dicarlo_MajajHong2015_public.nc").write_bytes(b"half")
    image = next((cached / "stimulus_hvm-public").iterdir())
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    assert replace(PUBLIC[IDS["V4"]], remote=files).load().data_digest() == expected


def test_what_cannot_be_replaced_is_refused_and_kept(mirror):
    brain_files.objects(mirror.folder)
    files = mirror.files
    replace(PUBLIC[IDS["V4"]], remote=files).load()
    damaged = mirror.cache / "brainscore" / "assy_dicarlo_MajajHong2015_public.nc"
    for folder in (mirror.folder, mirror.cache / "brainscore"):
        (folder / damaged.name).write_bytes(b"half")
    with pytest.raises(DigestError, match="4 bytes"):
        replace(PUBLIC[IDS["V4"]], remote=files).load()
    assert damaged.read_bytes() == b"half"


def test_a_download_tells_how_far_it_is(mirror, monkeypatch):
    brain_files.objects(mirror.folder)
    file = mirror.files["stimulus_hvm-public.zip"]
    size = (mirror.folder / file.name).stat().st_size

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):  # noqa: A002
            pass

    handler = functools.partial(Quiet, directory=str(mirror.folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("VVSCALE_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        seen = []
        file.fetch(lambda done, total: seen.append((done, total)))
        server.shutdown()
        thread.join()
    assert seen[-1] == (size, size)
    assert all(done <= total == size for done, total in seen)
    assert file.state() == "cached"
