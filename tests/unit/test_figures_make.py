"""Figures from small tables: what is drawn, what is refused and in which words."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import ConfigError, DataError, MissingDataError, UnknownNameError, UsageError
from vvscale.figures import citations
from vvscale.figures.base.fine_tunes import at_whole_compute
from vvscale.figures.base.fits import Fits
from vvscale.figures.base.open_tables import open_source
from vvscale.figures.drawing import style
from vvscale.figures.drawing.draw import draw
from vvscale.figures.drawing.files import render, save
from vvscale.figures.drawing.values import ADDED, COLUMNS
from vvscale.figures.gallery import FIGURES, draw_all, in_order, make, matching
from vvscale.figures.report.page_data import models_frame, pack_models
from vvscale.laws.gokce2025.experiments import CONTROLLED

REGIONS = {"V1": 0.1, "V2": 0.2, "V4": 0.35, "IT": 0.3, "behavior": 0.2}
ARCHS = {
    "resnet18": ("ResNet", 11.7e6), "resnet34": ("ResNet", 21.8e6), "resnet50": ("ResNet", 25.6e6),
    "resnet101": ("ResNet", 44.5e6), "efficientnet_b0": ("EfficientNet", 5.3e6), "alexnet": ("AlexNet", 61.1e6),
    "convnext_tiny": ("ConvNeXt", 28.6e6), "convnext_small": ("ConvNeXt", 50.2e6), "deit_tiny": ("ViT", 5.7e6),
    "deit_small": ("ViT", 22.1e6), "resnet152": ("ResNet", 60.2e6), "efficientnet_b1": ("EfficientNet", 7.8e6),
}  # fmt: skip


def lab_table(seed=0, epochs=False):
    """A table as a lab's own scoring would write it: controlled models with noise around a law."""
    rng = np.random.default_rng(seed)
    rows = []
    for arch, (family, n_params) in ARCHS.items():
        for images in (1, 10, 100, 0):
            n_samples = 1000 * images or 1_281_167
            model = {
                "model_id": f"{arch}_{images}", "arch": arch, "family": family, "dataset": "imagenet", "seed": 0,
                "samples_per_class": images, "n_samples": n_samples, "n_epochs": 100, "samples_seen": 100 * n_samples,
                "n_params": n_params, "train_flop": 6 * n_params * 100.0 * n_samples,
                "accuracy": 0.02 + 0.1 * np.log10(n_samples), "is_pretrained": False, "is_random": False,
                "is_ssl": False, "is_adv": False, "is_ablation": False,
            }  # fmt: skip
            noise = rng.normal(0, 0.01)
            for region, level in REGIONS.items():
                for epoch in (1, 10, 100) if epochs else (100,):
                    gain = 0.03 * np.log10(model["train_flop"] / 1e15) * (0.5 + 0.25 * np.log10(epoch))
                    score = level + gain + noise + rng.normal(0, 0.005)
                    place = {"region": region, "benchmark_id": f"lab.{region}", "epoch": epoch}
                    rows.append({**model, **place, "score": score})
    table = pd.DataFrame(rows)
    return table if epochs else table.drop(columns="epoch")


@pytest.fixture(scope="module")
def lab():
    return lab_table()


@pytest.fixture(scope="module")
def fits_of(tmp_path_factory):
    """Fits of a table; all of this module share what they keep, since it goes by content."""
    shared = tmp_path_factory.mktemp("fits")

    def build(table, add=(), n_resamples=0, folder=shared):
        return Fits(open_source(table, add=add), n_resamples=n_resamples, folder=folder)

    return build


def test_every_name_is_as_in_the_paper():
    assert in_order() == [
        "compute", "parameters", "samples", "scatter", "regions", "allocation", "contours", "residuals", "horizon",
        "plateau", "objectives", "learning", "accuracy", "layers", "ccn-1", "ccn-2a", "ccn-2b", "ccn-2c", "ccn-2d",
        "icml-1b", "icml-2a", "icml-2b", "icml-2c",
        "icml-3a", "icml-3b", "icml-4a", "icml-4b", "icml-5a", "icml-5b", "icml-6a", "icml-6b",
        "icml-6c", "icml-7a", "icml-7b", "icml-7c", "icml-7d", "icml-S1", "icml-S2", "icml-S3",
        "icml-S4", "icml-S5", "icml-S6",
    ]  # fmt: skip
    assert matching(["icml-7*"]) == ["icml-7a", "icml-7b", "icml-7c", "icml-7d"]
    with pytest.raises(UnknownNameError, match=r"Unknown figure 'icml-7e'. Did you mean 'icml-7\w'"):
        matching(["icml-7e"])


def test_a_figure_is_one_tidy_table_in_every_file(lab, fits_of, tmp_path):
    data = make("icml-1b", fits_of(lab))
    table = data.table()
    assert tuple(table.columns) == COLUMNS
    assert data.panels[0].n == 48
    paths = {path.suffix: path for path in save(data, tmp_path, provenance={"seed": 42})}
    assert set(paths) == {".pdf", ".svg", ".png", ".csv", ".json"}
    read = pd.read_csv(paths[".csv"])
    np.testing.assert_array_equal(read["y"], table["y"])
    document = json.loads(paths[".json"].read_text())
    assert len(document["rows"]) == len(table)
    assert document["panels"][0]["n"] == 48
    assert document["panels"][0]["fits"][0]["name"] == "compute_neuro"
    assert document["provenance"]["seed"] == 42
    assert b"/Type3" not in paths[".pdf"].read_bytes(), "fonts are outlines that can be selected"
    assert b"FontFile2" in paths[".pdf"].read_bytes(), "fonts are embedded"
    assert "<text" in paths[".svg"].read_text()


def test_drawing_is_deterministic_and_leaves_matplotlib_alone(lab, fits_of):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    data = make("icml-6c", fits_of(lab))
    one, other = draw(data), draw(data)
    for kind in ("svg", "pdf", "png"):
        assert render(one, kind) == render(other, kind)
    assert dict(mpl.rcParams) == before


def test_n_and_units_stand_on_each_panel(lab, fits_of):
    for name in ("icml-5a", "icml-6c"):
        data = make(name, fits_of(lab))
        canvas = draw(data)
        axes = [each for each in canvas.axes if each.get_title(loc="left")]
        assert len(axes) == len(data.panels)
        for each, panel in zip(axes, data.panels, strict=True):
            assert each.get_title(loc="right") == f"n = {panel.n}"
            assert each.get_ylabel()
            # Categories are their own names.
            assert panel.x.scale == "category" or re.search(r"\(.+\)", each.get_xlabel())


def test_looks_are_told_apart_by_colour_and_marker():
    names = ["mine", "yours", "ResNet", "theirs"]
    looks = [style.look(name, names) for name in names]
    assert len(set(looks)) == 4
    families = ["ResNet", "EfficientNet", "ConvNeXt", "ViT", "AlexNet", "CORnet-S"]
    assert len({style.look(name)[0] for name in families}) == len({style.look(name)[1] for name in families}) == 6


def test_unidentified_fits_are_faded_and_labelled(lab, fits_of):
    fits = fits_of(lab, n_resamples=20)
    data = make("icml-1b", fits)
    for series in data.panels[0].series:
        law = next(fit for fit in data.panels[0].fits if series.name in (fit["name"].replace("neuro", "neural")))
        assert series.is_faded == (not law["is_identified"])
        assert ("not identified" in series.label) == series.is_faded
        assert any(law["verdict"] in note for note in data.notes) == series.is_faded
    assert any(series.is_faded for series in data.panels[0].series)


def test_few_points_have_no_band(lab, fits_of):
    few = lab[lab["arch"].isin(["resnet18", "resnet50"])]
    data = make("icml-3a", fits_of(few, n_resamples=10))
    curve = data.panels[0].rows.query("mark == 'curve'")
    assert curve["low"].isna().all()
    assert (curve["status"] == "unidentified").all()
    assert "too few points" in data.panels[0].series[0].label
    assert any("left out" in note and "ecoset" in note for note in data.notes)


def test_a_fit_is_made_once_and_again_when_its_rows_change(lab, fits_of, tmp_path):
    from vvscale.laws.gokce2025.experiments import EXPERIMENTS

    folder = tmp_path / "fits"
    one = EXPERIMENTS["compute_neuro"]
    first = fits_of(lab, folder=folder).curve(one)
    kept = sorted(folder.iterdir())
    assert len(kept) == 1
    again = fits_of(lab, folder=folder).curve(one)
    np.testing.assert_array_equal(first.y, again.y)
    assert first.facts == again.facts
    assert sorted(folder.iterdir()) == kept
    # Under another name it is the same law.
    asked = fits_of(lab, folder=folder).question(one)
    other = fits_of(lab, folder=folder).curve(replace(asked, name="another"))
    assert other.facts == {**first.facts, "name": "another"}
    assert sorted(folder.iterdir()) == kept
    changed = lab.copy()
    changed.loc[changed.index[0], "score"] += 1e-9
    fits_of(changed, folder=folder).curve(one)
    fits_of(lab, n_resamples=5, folder=folder).curve(one)
    assert len(list(folder.iterdir())) == 3
    kept[0].write_text("{ damaged")
    np.testing.assert_array_equal(fits_of(lab, folder=folder).curve(one).y, first.y)


def test_models_are_laid_over(lab, fits_of, tmp_path):
    mine = lab_table(seed=1)
    mine = mine[mine["arch"].isin(["deit_tiny"])].assign(model_id="mine_" + mine["model_id"])
    path = tmp_path / "mine.parquet"
    mine.to_parquet(path)
    fits = fits_of(lab, add=[path])
    data = make("icml-5a", fits)
    assert [(panel.rows["layer"] == ADDED).sum() for panel in data.panels] == [0, 20], "a ViT belongs to group 2"
    data = make("icml-1b", fits)
    added = data.table().query("layer == 'added'")
    assert set(added["series"]) == {"mine.parquet: Neural", "mine.parquet: Behaviour"}
    assert sorted(added["model_id"].unique()) == sorted(mine["model_id"].unique())
    assert "mine.parquet" in fits.source.digests
    base = make("icml-1b", fits_of(lab)).panels[0].fits
    assert [fit["params"] for fit in data.panels[0].fits] == [fit["params"] for fit in base], (
        "laws stay the table's own"
    )
    lacking = fits_of(lab, add=[mine.drop(columns="train_flop")])
    assert any("is not laid over" in note for note in make("icml-1b", lacking).notes)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("icml-1b", "train_flop"), ("icml-2a", "parent_family"), ("icml-2c", "n_params"),
        ("icml-2c", "samples_per_class"),
        ("icml-3b", "samples_seen"), ("icml-4b", "arch"), ("icml-6c", "accuracy"), ("icml-S4", "arch"),
    ],
)  # fmt: skip
def test_what_is_lacking_is_named(lab, fits_of, name, column):
    lacking = lab.drop(columns=[column] if column != "parent_family" else ["family"])
    with pytest.raises(MissingDataError, match=rf"Figure '{name}' needs .*{column}"):
        make(name, fits_of(lacking))


# One for each way in which a figure is made.
KINDS = (
    "ccn-2a", "icml-1b", "icml-3a", "icml-4a", "icml-4b", "icml-6a", "icml-6c", "icml-7b", "icml-7d", "icml-S4",
    "icml-S5", "accuracy", "contours", "residuals",
)  # fmt: skip


@pytest.mark.parametrize(
    "column",
    ["arch", "family", "dataset", "samples_per_class", "samples_seen", "n_params", "train_flop", "accuracy", "region",
     "is_ssl", "n_epochs", "seed"],
)  # fmt: skip
def test_no_column_is_taken_for_granted(lab, fits_of, column):
    """Whatever one column a table lacks, a figure is made or says what it needs."""
    small = lab[lab["arch"].isin(["resnet18", "resnet50", "alexnet", "deit_small", "convnext_tiny"])]
    fits = fits_of(small.drop(columns=column))
    for name in KINDS:
        try:
            assert len(make(name, fits).table())
        except MissingDataError as error:
            refusal = str(error)
            assert refusal.startswith(f"Figure '{name}' needs "), refusal


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("icml-S6", "no models with is_ssl true"), ("icml-7b", "no models with is_adv true"),
        ("icml-S2", "is_pretrained true"), ("icml-S4", "is_random true"), ("icml-7c", "one epoch per model"),
        ("icml-S1", "published models only"), ("icml-S5", "several objectives"),
    ],
)  # fmt: skip
def test_missing_models_are_named(lab, fits_of, name, words):
    with pytest.raises(MissingDataError, match=words):
        make(name, fits_of(lab))


def test_a_lab_with_other_data_sets_is_drawn_too(lab, fits_of):
    data = make("icml-1b", fits_of(lab.assign(dataset="digits")))
    assert data.panels[0].n == 48


def test_epochs_of_ones_own_table_are_trajectories(fits_of):
    table = lab_table(epochs=True)
    fits = fits_of(table)
    assert make("icml-1b", fits).panels[0].n == 48, "the last epoch stands for the model"
    line = make("icml-7c", fits).table().query("series == 'ViT'")
    expected = table[table["family"] == "ViT"].groupby("epoch")["score"].mean()
    np.testing.assert_array_equal(line["x"], expected.index)
    np.testing.assert_allclose(line["y"], expected, rtol=1e-12)


def test_rows_that_disagree_about_a_model_are_refused_once(lab):
    lab = lab.copy()
    lab.loc[0, "n_params"] *= 2
    with pytest.raises(DataError, match="disagree about n_params"):
        open_source(lab)


def test_drawing_many_goes_on_where_one_cannot(lab, fits_of, tmp_path):
    drawn = draw_all(["icml-6c", "icml-S1"], fits_of(lab), tmp_path / "out", formats=["csv"], n_workers=1)
    assert [bool(one.lacking) for one in drawn] == [False, True]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["icml-6c.csv"]
    with pytest.raises(UsageError, match="at least 1, got 0"):
        draw_all(["icml-6c"], fits_of(lab), tmp_path, n_workers=0)
    with pytest.raises(ConfigError, match=r"Unknown format 'pgn'\. Did you mean 'png'"):
        draw_all(["icml-6c"], fits_of(lab), tmp_path, formats=["pgn"])


def test_every_row_of_a_fine_tune_stands_at_the_compute_of_both_trainings():
    """A table without regions may have several rows of a model."""
    of = {"arch": "a", "dataset": "d", "samples_per_class": 0}
    models = pd.DataFrame(
        [
            {"model_id": "base", "n_epochs": 100, "train_flop": 5.0, "is_adv": False},
            {"model_id": "tuned", "n_epochs": 10, "train_flop": 1.0, "is_adv": True},
            {"model_id": "as long", "n_epochs": 100, "train_flop": 9.0, "is_adv": True},
        ]
    ).assign(**of, **{flag: False for flag in CONTROLLED if flag != "is_adv"})
    twice = pd.concat([models, models], ignore_index=True)
    whole, unknown = at_whole_compute(twice, twice)
    assert whole["train_flop"].tolist() == [5.0, 6.0, 5.0, 6.0]
    assert unknown == ["as long"]


def test_packed_models_keep_every_digit(lab):
    frame = models_frame(open_source(lab))
    packed = json.loads(json.dumps(pack_models(frame)))
    assert packed["n"] == 48
    np.testing.assert_array_equal(packed["columns"]["IT"], frame["IT"])
    names, codes = packed["columns"]["arch"]["names"], packed["columns"]["arch"]["codes"]
    assert [names[code] for code in codes] == frame["arch"].tolist()
    np.testing.assert_allclose(frame["all"], frame[list(REGIONS)].mean(axis=1))


def test_entries_are_whole_and_every_key_has_one():
    entries = citations.entries()
    for key, text in entries.items():
        assert re.fullmatch(rf"@\w+{{{key},\n(  \w+ = {{.+}},\n)+}}", text), key
        assert text.count("{") == text.count("}")
        assert "title = " in text
        assert "year = " in text
    keys = {key for values in citations.BY_VALUE.values() for of_value in values.values() for key in of_value}
    keys |= {*citations.STUDY, *citations.BRAIN_SCORE, *(key for one in FIGURES.values() for key in one.cites)}
    assert keys <= set(entries)
    assert keys == set(entries), "nothing that is never cited"


def test_a_table_of_little_compute_draws_what_it_can(lab, fits_of, tmp_path):
    """One figure that a table does not allow takes no other with it."""
    middle = lab["train_flop"].median()
    narrow = lab[lab["train_flop"].between(middle / 3, middle * 3)]
    drawn = draw_all(in_order(), fits_of(narrow), tmp_path, formats=("csv",), n_workers=1)
    lacking = {one.name: one.lacking for one in drawn if one.lacking}
    assert "decades of train_flop, expected more than" in lacking["horizon"]
    assert len(drawn) - len(lacking) > 5
