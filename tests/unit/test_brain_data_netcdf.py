"""Reading recordings and choices: every layout gives the same numbers, every fault is named."""

import importlib.util
import itertools
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from vvscale.brain.recordings.netcdf import _boxes, read_neural, read_trials
from vvscale.errors import DataError, MissingDataError, UsageError

spec = importlib.util.spec_from_file_location("brain_files", Path(__file__).parent / "brain_files.py")
brain_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(brain_files)

text, write = brain_files.text, brain_files.write_netcdf
P, Q, T = 12, 5, 6


def recording(dtype=np.float64, n_bins=T, **changes):
    """Return 4 images x 3 repetitions, 5 neuroids, bins of 10 ms from 0."""
    rng = np.random.default_rng(0)
    coords = {
        "image_id": ("presentation", text(["c", "a", "d", "b"] * 3)),
        "repetition": ("presentation", np.repeat(np.arange(3), 4)),
        "neuroid_id": ("neuroid", text("vwxyz")),
        "region": ("neuroid", text(["IT", "V4", "IT", "V4", "IT"])),
        "time_bin_start": ("time_bin", 10 * np.arange(n_bins)),
        "time_bin_end": ("time_bin", 10 * np.arange(1, n_bins + 1)),
    }
    coords |= changes
    values = rng.standard_normal((P, Q, n_bins)).astype(dtype)
    kept = {name: value for name, value in coords.items() if value is not None}
    return xr.DataArray(values, dims=("presentation", "neuroid", "time_bin"), coords=kept)


def read(path, region="IT", time_bin=(10, 40), **options):
    return read_neural(path, assembly_id="made-up", region=region, time_bin=time_bin, **options)


@pytest.mark.parametrize("order", list(itertools.permutations(("presentation", "neuroid", "time_bin"))))
def test_dimensions_may_come_in_any_order(tmp_path, order):
    data = recording()
    write(tmp_path / "a.nc", data.transpose(*order))
    expected = data.values[:, [0, 2, 4], 1:4].mean(-1)
    np.testing.assert_allclose(read(tmp_path / "a.nc").responses, expected, rtol=1e-14)


@pytest.mark.parametrize("block_bytes", [1, 100, 1000, 10**9])
@pytest.mark.parametrize("encoding", [{}, {"zlib": True, "chunksizes": (5, 2, 4)}, {"zlib": True, "complevel": 9}])
def test_neither_blocks_nor_chunks_change_a_number(tmp_path, encoding, block_bytes):
    data = recording()
    write(tmp_path / "a.nc", data, **encoding)
    expected = data.values[:, [1, 3], 1:4].mean(-1)
    got = read(tmp_path / "a.nc", region="V4", block_bytes=block_bytes)
    np.testing.assert_allclose(got.responses, expected, rtol=1e-14)
    assert got.neuroid_id.tolist() == ["w", "y"]


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    chunks=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    n_values=st.integers(1, 200),
)
def test_boxes_cover_an_array_once_and_follow_its_chunks(shape, chunks, n_values):
    seen = np.zeros(shape, int)
    chunks = [min(chunk, side) for chunk, side in zip(chunks, shape, strict=False)]
    for box in _boxes(shape, chunks, n_values):
        seen[box] += 1
        assert all(side.start % chunk == 0 for side, chunk in zip(box, chunks, strict=True))
        assert seen[box].size <= max(n_values, np.prod(chunks))
    assert (seen == 1).all()


def test_memory_stays_bounded(tmp_path):
    n_bins = 300
    rng = np.random.default_rng(0)
    data = recording(n_bins=n_bins)
    large = xr.DataArray(
        rng.random((40, 400, n_bins)),
        dims=("neuroid", "presentation", "time_bin"),
        coords={
            "image_id": ("presentation", text(f"image{n}" for n in range(400))),
            "repetition": ("presentation", np.zeros(400, int)),
            "neuroid_id": ("neuroid", np.arange(40)),
            "region": ("neuroid", text(["IT"] * 40)),
            "time_bin_start": data["time_bin_start"],
            "time_bin_end": data["time_bin_end"],
        },
    )
    write(tmp_path / "a.nc", large, zlib=True, chunksizes=(10, 50, 300))
    tracemalloc.start()
    got = read(tmp_path / "a.nc", time_bin=(0, 3000), block_bytes=2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(got.responses, large.mean("time_bin").values.T, rtol=1e-13)
    assert peak < large.nbytes / 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8])
def test_one_bin_keeps_float32(tmp_path, dtype):
    data = recording(dtype, n_bins=1)
    write(tmp_path / "a.nc", data)
    got = read(tmp_path / "a.nc", time_bin=(0, 10)).responses
    assert got.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(got, data.values[:, [0, 2, 4], 0])


def test_a_window_that_is_a_bin_is_preferred_to_bins_inside(tmp_path):
    data = recording(n_bins=3).assign_coords(
        time_bin_start=("time_bin", [10, 10, 20]), time_bin_end=("time_bin", [20, 30, 30])
    )
    write(tmp_path / "a.nc", data)
    got = read(tmp_path / "a.nc", time_bin=(10, 30))
    np.testing.assert_array_equal(got.responses, data.values[:, [0, 2, 4], 1])


def test_levels_of_an_index_are_flat_coordinates(tmp_path):
    data = recording().set_index(
        presentation=["image_id", "repetition"],
        neuroid=["neuroid_id", "region"],
        time_bin=["time_bin_start", "time_bin_end"],
    )
    write(tmp_path / "a.nc", data)
    got = read(tmp_path / "a.nc")
    assert got.stimulus_id.tolist() == ["c", "a", "d", "b"] * 3
    assert got.mean.index.tolist() == ["a", "b", "c", "d"]


def test_a_trailing_underscore_belongs_to_the_file(tmp_path):
    data = recording().rename(image_id="image_id_", region="region_", time_bin_start="time_bin_start_")
    write(tmp_path / "a.nc", data)
    assert read(tmp_path / "a.nc").stimulus_id.tolist() == ["c", "a", "d", "b"] * 3


def test_stimulus_id_goes_before_image_id_and_numbers_become_text(tmp_path):
    data = recording(stimulus_id=("presentation", np.tile([3, 1, 4, 2], 3)))
    write(tmp_path / "a.nc", data)
    assert read(tmp_path / "a.nc").stimulus_id.tolist() == ["3", "1", "4", "2"] * 3


def test_text_of_fixed_width_is_read_as_text(tmp_path):
    data = recording(image_id=("presentation", np.array([b"c", b"a", b"d", b"b"] * 3, "S1")))
    write(tmp_path / "a.nc", data)
    assert read(tmp_path / "a.nc").stimulus_id.tolist() == ["c", "a", "d", "b"] * 3


def nan_at(values, row):
    values = np.asarray(values, float)
    values[row] = np.nan
    return values


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (
            recording(region=None),
            MissingDataError,
            "no coordinate 'region' for the dimension 'neuroid'; it has neuroid_id",
        ),
        (recording(image_id=None), MissingDataError, "no coordinate 'image_id' for .*it has repetition"),
        (recording(neuroid_id=None), MissingDataError, "no coordinate 'neuroid_id'"),
        (recording(time_bin_end=None), MissingDataError, "no coordinate 'time_bin_end'.*Did you mean 'time_bin_start'"),
        (recording(region=("neuroid", text(["V1"] * 5))), MissingDataError, "no neuroid of region 'IT'; it has V1"),
        (
            recording(repetition=("presentation", nan_at(np.repeat(np.arange(3), 4), 7))),
            MissingDataError,
            "'repetition' in .* at presentation 7",
        ),
        (
            recording(noise=("presentation", nan_at(np.zeros(12), 2))),
            DataError,
            "'noise' in .* differs between presentations of image 'd'",
        ),
        (
            recording(image_id=("presentation", text(["c", "", "d", "b"] * 3))),
            MissingDataError,
            "'image_id' .* at presentation 1 .*3 such",
        ),
        (
            recording(session=("presentation", np.arange(12))),
            DataError,
            "'session' .* differs between presentations of image 'c'",
        ),
        (recording(neuroid_id=("neuroid", text("vvvvv"))), DataError, "neuroid_id 'v' more than once"),
        (
            recording(time_bin_start=("time_bin", np.arange(6) * 10 + 1)),
            MissingDataError,
            "do not make up 10 to 40 ms .*has 6: 1-10",
        ),
        (recording(n_bins=3), MissingDataError, "do not make up 10 to 40 ms"),
        (recording(np.complex64), DataError, "type .*compound|complex"),
        (recording(bool), DataError, "of type bool"),
        (
            recording().isel(neuroid=0, drop=True),
            MissingDataError,
            "has 0 arrays with the dimensions presentation, neuroid, time_bin",
        ),
        (recording() * np.nan, DataError, "has no response at all"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:h5netcdf")
def test_a_fault_of_the_file_is_named(tmp_path, data, kind, text):
    if data.dtype.kind == "c":
        data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", invalid_netcdf=True)
    else:
        write(tmp_path / "a.nc", data)
    with pytest.raises(kind, match=text):
        read(tmp_path / "a.nc")


def test_gaps_and_overlaps_between_bins_are_refused(tmp_path):
    data = recording()
    write(tmp_path / "gap.nc", data.isel(time_bin=[0, 1, 3, 4]))
    write(tmp_path / "overlap.nc", data.isel(time_bin=[0, 1, 1, 2, 3]))
    for name in ("gap.nc", "overlap.nc"):
        with pytest.raises(MissingDataError, match="without gap or overlap"):
            read(tmp_path / name)


@pytest.mark.parametrize("reader", [read, read_trials])
def test_files_that_cannot_be_read_are_refused(tmp_path, reader):
    write(tmp_path / "a.nc", recording())
    whole = (tmp_path / "a.nc").read_bytes()
    for name, content in {"cut.nc": whole[:-900], "text.nc": b"image_id,score\n", "empty.nc": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"Cannot read .*{name}.* as NetCDF"):
            reader(tmp_path / name)
    with pytest.raises(MissingDataError, match="There is no file"):
        reader(tmp_path / "none.nc")


@pytest.mark.parametrize("offset", [0.3, 0.6, 0.9])
def test_a_damaged_block_is_an_error_and_not_numbers(tmp_path, offset):
    data = recording(n_bins=500)
    write(tmp_path / "a.nc", data, zlib=True, chunksizes=(12, 5, 500))
    content = bytearray((tmp_path / "a.nc").read_bytes())
    at = int(len(content) * offset)
    content[at : at + 200] = bytes(200)
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(DataError):
        read(tmp_path / "a.nc", time_bin=(0, 5000))


def test_other_coordinates_may_be_empty(tmp_path):
    write(tmp_path / "a.nc", recording(remark=("presentation", text([""] * 12))))
    assert len(read(tmp_path / "a.nc").responses) == 12


@pytest.mark.parametrize("package", ["xarray", "h5netcdf", "h5py"])
def test_a_missing_package_is_named_with_what_installs_it(tmp_path, monkeypatch, package):
    write(tmp_path / "a.nc", recording())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs the package '{package}'.*pip install 'vvscale\[score\]'"):
        read(tmp_path / "a.nc")


def choices(tmp_path, drop=(), **changes):
    columns = {
        "image_id": text(["b", "a", "b", "a"]),
        "sample_obj": text(["dog", "cat", "dog", "cat"]),
        "dist_obj": text(["cat", "dog", "cat", "dog"]),
        "choice": text(["dog", "cat", "cat", "cat"]),
        "truth": text(["dog", "cat", "dog", "cat"]),
    }
    columns |= changes
    coords = {name: ("presentation", column) for name, column in columns.items() if name not in drop}
    write(tmp_path / "a.nc", xr.DataArray(columns["choice"], dims=("presentation",), coords=coords))
    return read_trials(tmp_path / "a.nc")


@pytest.mark.parametrize("drop", [(), ("choice",), ("truth",)])
def test_the_array_stands_in_for_the_choice_and_the_sample_for_the_truth(tmp_path, drop):
    trials = choices(tmp_path, drop)
    assert trials.objects[trials.choice].tolist() == ["dog", "cat", "cat", "cat"]
    assert trials.objects[trials.truth].tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("changes", "kind", "match"),
    [
        ({"drop": ("dist_obj",)}, MissingDataError, "no coordinate 'dist_obj'.*it has choice, image_id"),
        ({"drop": ("image_id",)}, MissingDataError, "no coordinate 'image_id'"),
        ({"dist_obj": text(["cat", "", "cat", "dog"])}, MissingDataError, "'dist_obj' .* at presentation 1"),
        ({"truth": text(["dog", "cat", "cat", "cat"])}, DataError, "Image 'b' shows 'dog' in its first trial"),
    ],
)
def test_a_fault_of_choices_is_named(tmp_path, changes, kind, match):
    with pytest.raises(kind, match=match):
        choices(tmp_path, **changes)
