"""A benchmark that a TOML file describes is the benchmark that Python would make of the same arrays."""

import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vvscale.brain import PLS, KFold, NeuralBenchmark, RidgeCV, load_benchmark
from vvscale.cache import held
from vvscale.errors import ConfigError, DataError, MissingDataError, UnknownNameError

N, Q, R = 24, 5, 4
TOP = 'benchmark_id = "Lab.IT"\nregion = "IT"\nstratify_by = "kind"\n'
STIMULI = '[stimuli]\nimages = "images"\ntable = "stimuli.csv"\ndegrees = 5\n'
ASSEMBLY = '[assembly]\nresponses = "responses.npy"\naxes = ["neuroid", "image", "repetition"]\n'


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    names = [f"im{number:02d}" for number in range(N)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
    kinds = [f"kind{number % 3}" for number in range(N)]
    table = pd.DataFrame({"stimulus_id": names, "filename": [f"{name}.png" for name in names], "kind": kinds})
    table.to_csv(tmp_path / "stimuli.csv", index=False)
    signal = rng.standard_normal((Q, N, 1)) + 0.3 * rng.standard_normal((Q, N, R))
    signal[2, 3, 1] = np.nan
    np.save(tmp_path / "responses.npy", signal)
    np.save(tmp_path / "means.npy", np.nanmean(signal, 2).T)
    np.save(tmp_path / "percent.npy", np.linspace(20, 95, Q))
    (tmp_path / "order.txt").write_text("\n".join(names[::-1]))
    return tmp_path


def described(folder, text):
    (folder / "lab.toml").write_text(text)
    return load_benchmark(str(folder / "lab.toml"))


def test_it_is_the_benchmark_that_python_makes(folder):
    made = described(folder, TOP + STIMULI + ASSEMBLY)
    assert (made.benchmark_id, made.version, made.region, made.metric, made.formula) == (
        "Lab.IT", 1, "IT", PLS(), "r^2/c")  # fmt: skip
    cube = np.load(folder / "responses.npy")
    np.testing.assert_allclose(made.assembly.mean.to_numpy(), np.nanmean(cube, 2).T)
    assert made.stimuli.degrees == 5
    assert made.strata().tolist() == [f"kind{number % 3}" for number in range(N)]
    features = np.random.default_rng(1).standard_normal((N, 40))
    other = NeuralBenchmark("other", 1, made.stimuli, made.assembly, "kind", metric=PLS(4), min_ceiling=0.5)
    text = TOP + "min_ceiling = 0.5\n" + STIMULI + ASSEMBLY + '[metric]\nname = "pls"\nn_components = 4\n'
    ours, theirs = (one.score(features, resamples=5).score for one in (described(folder, text), other))
    assert (ours.score, ours.raw_score, ours.ceiling) == (theirs.score, theirs.raw_score, theirs.ceiling)
    assert ours.rule == theirs.rule == "split-half ceiling; scores above 1 kept"


def test_metric_design_and_ceiling_are_names_or_tables(folder):
    choices = '[metric]\nname = "ridge-cv"\nalphas = [1.0, 10.0]\n[design]\nname = "k-fold"\nn_folds = 4\n'
    made = described(folder, TOP + 'ceiling = "variance"\n' + STIMULI + ASSEMBLY + choices)
    assert (made.metric, made.design, made.ceiling.name) == (RidgeCV((1.0, 10.0)), KFold(4), "variance")
    means = '[assembly]\nresponses = "means.npy"\nceilings = "percent.npy"\npercent = true\nimages = "order.txt"\n'
    made = described(folder, TOP + 'ceiling = "shipped"\n' + STIMULI + means)
    np.testing.assert_allclose(made.parts[0].ceiling.r[0], np.linspace(0.2, 0.95, Q))
    np.testing.assert_allclose(made.assembly.mean.to_numpy(), np.load(folder / "means.npy")[::-1])


def test_an_archive_leaves_the_folder_it_was_packed_from_alone(folder, own_cache):
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for path in (folder / "images").iterdir():
            archive.write(path, path.name)
    (folder / "images" / "im00.png").write_bytes(b"my own version")
    (folder / "images" / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    text = TOP + STIMULI.replace('"images"', '"images.zip"') + ASSEMBLY
    made = described(folder, text)
    assert {path.parents[1] for path in made.stimuli.paths} == {own_cache / "unpacked"}
    assert described(folder, text).stimuli.digest() == made.stimuli.digest()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        **before, folder / "lab.toml": text.encode()
    }  # fmt: skip
    held_there = [one for one in held() if one.name.startswith("unpacked/images-")]
    assert [(one.state, one.path) for one in held_there] == [("unpacked", made.stimuli.paths[0].parent)]
    held_there[0].remove()
    assert list((own_cache / "unpacked").iterdir()) == []


def test_rows_that_go_by_names_with_two_orders_are_refused(folder):
    """Sorted as text 10 comes before 2, and a program that wrote the responses probably counted."""
    table = pd.read_csv(folder / "stimuli.csv")
    for number, name in enumerate(table["filename"]):
        (folder / "images" / name).rename(folder / "images" / f"{number}.png")
    alone = TOP.replace('stratify_by = "kind"\n', "") + STIMULI.replace('table = "stimuli.csv"\n', "")
    with pytest.raises(ConfigError, match=r"as text '10' is number 3, by numbers '2' is.*one stimulus_id per line"):
        described(folder, alone + ASSEMBLY)
    (folder / "order.txt").write_text("\n".join(map(str, range(N))))
    made = described(folder, alone + ASSEMBLY + 'images = "order.txt"\n')
    np.testing.assert_allclose(made.assembly.mean.loc["10"], np.nanmean(np.load(folder / "responses.npy"), 2)[:, 10])


def test_several_assemblies_are_several_subjects(folder):
    second = ASSEMBLY.replace("[assembly]", '[[assembly]]\nname = "b"')
    text = TOP + STIMULI + ASSEMBLY.replace("[assembly]", '[[assembly]]\nname = "a"') + second
    assert [one.assembly_id for one in described(folder, text).assembly] == ["a", "b"]


def test_a_folder_alone_says_the_images(folder):
    (folder / "images" / "._im00.png").write_bytes(b"what a Mac adds")
    made = described(folder, TOP.replace('stratify_by = "kind"\n', "") + STIMULI.replace('table = "stimuli.csv"\n', "")
                     + ASSEMBLY)  # fmt: skip
    assert made.stimuli.stimulus_id.tolist() == [f"im{number:02d}" for number in range(N)]


@pytest.mark.parametrize(
    ("text", "kind", "match"),
    [
        ("benchmark_id = ", ConfigError, "is not valid TOML"),
        (STIMULI, ConfigError, "has no 'benchmark_id'"),
        (TOP + "formla = 'r'\n" + STIMULI + ASSEMBLY, ConfigError, "Unknown key 'formla' .*Did you mean 'formula'"),
        (TOP + STIMULI + "tables = 1\n" + ASSEMBLY, ConfigError, r"Unknown key 'tables' of \[stimuli\]"),
        (TOP + STIMULI + ASSEMBLY + "metrik = 1", ConfigError, r"Unknown key 'metrik' of \[assembly\]"),
        (TOP + 'metric = "plz"\n' + STIMULI + ASSEMBLY, UnknownNameError, "Unknown metric 'plz'. Did you mean 'pls'"),
        (TOP + STIMULI + ASSEMBLY + "[metric]\nname = 'pls'\nalpha = 2", ConfigError, "'pls' has no setting 'alpha'"),
        (TOP + STIMULI + ASSEMBLY + "[metric]\nalpha = 2", ConfigError, r"\[metric\] in .* has no 'name'"),
        (TOP + STIMULI.replace("degrees = 5", ""), ConfigError, "has no 'assembly'"),
        (TOP + STIMULI.replace("degrees = 5", "") + ASSEMBLY, ConfigError, "needs 'images'.* and 'degrees'"),
        (TOP + STIMULI.replace('"images"', '"pictures"') + ASSEMBLY, MissingDataError, "no folder or archive"),
        (TOP + STIMULI + ASSEMBLY.replace("responses.npy", "lost.npy"), MissingDataError, "no file '.*lost.npy'"),
        (TOP + STIMULI + ASSEMBLY.replace("responses.npy", "stimuli.csv"), DataError, "Cannot read 'stimuli.csv'"),
        (TOP + STIMULI + ASSEMBLY.replace('"neuroid", "image"', '"image", "neuroid"'), DataError, "are of 5 images"),
        (TOP + STIMULI + ASSEMBLY.replace('"neuroid"', '"cell"'), ConfigError, r"has axes \['cell', 'image'"),
        (TOP + 'ceiling = "shipped"\n' + STIMULI + ASSEMBLY, DataError, "0 shipped ceilings for 5 neuroids"),
    ],
)
def test_what_is_wrong_is_named(folder, text, kind, match):
    with pytest.raises(kind, match=match):
        described(folder, text).score(np.zeros((N, 30)) + np.arange(N)[:, None])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"no file '.*none.toml'"):
        load_benchmark(str(tmp_path / "none.toml"))


def test_an_image_whose_name_no_file_can_have_is_named(folder):
    table = pd.read_csv(folder / "stimuli.csv")
    table.loc[3, "filename"] = f"{'a' * 300}.png"
    table.to_csv(folder / "stimuli.csv", index=False)
    path = folder / "lab.toml"
    path.write_text(TOP + STIMULI + ASSEMBLY + 'images = "order.txt"\n')
    with pytest.raises(DataError, match=r"Cannot reach '.*File name too long"):
        load_benchmark(str(path))


def test_the_digest_covers_what_is_read(folder):
    first = described(folder, TOP + STIMULI + ASSEMBLY).data_digest()
    np.save(folder / "responses.npy", np.load(folder / "responses.npy") * 2)
    assert described(folder, TOP + STIMULI + ASSEMBLY).data_digest() != first


def test_an_archive_of_several_arrays_needs_the_name_of_one(folder):
    np.savez(folder / "two.npz", ours=np.load(folder / "responses.npy"), theirs=np.zeros((Q, N, R)))
    with h5py.File(folder / "two.h5", "w") as file:
        file["monkey/ours"], file["theirs"] = np.load(folder / "responses.npy"), np.zeros((Q, N, R))
    for name, array in (("two.npz", "ours"), ("two.h5", "monkey/ours")):
        with pytest.raises(ConfigError, match=f"'{name}' holds 2 arrays; name one, such as '{name}:{array}'"):
            described(folder, TOP + STIMULI + ASSEMBLY.replace("responses.npy", name))
        made = described(folder, TOP + STIMULI + ASSEMBLY.replace("responses.npy", f"{name}:{array}"))
        expected = described(folder, TOP + STIMULI + ASSEMBLY)
        np.testing.assert_array_equal(made.assembly.responses, expected.assembly.responses)
        with pytest.raises(MissingDataError, match=f"'{name}' has no array 'hers'; it has .*theirs"):
            described(folder, TOP + STIMULI + ASSEMBLY.replace("responses.npy", f"{name}:hers"))


@pytest.mark.parametrize(
    ("text", "key"),
    [('responses = "r.nc"\naxes = ["image", "neuroid"]', "axes"),
     ('responses = "r.nc"\nimages = "order.txt"', "images"),
     ('responses = "responses.npy"\ntime_bin = [70, 170]', "time_bin"),
     ('responses = "means.npy"\npercent = true', "percent")],
)  # fmt: skip
def test_a_key_that_means_nothing_for_such_a_file_is_refused(folder, text, key):
    with pytest.raises(ConfigError, match=f"'{key}'"):
        described(folder, TOP + STIMULI + "[assembly]\n" + text + "\n")
