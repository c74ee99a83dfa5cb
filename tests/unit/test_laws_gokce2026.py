"""Curve fits of the 2026 study: read from tables of its form with known laws, in its form and in ours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from vvscale.errors import MissingDataError, ShapeError, UnknownNameError
from vvscale.laws.gokce2026.curves import curve_names, fit_curves
from vvscale.laws.gokce2026.published_form import GRID, PublishedForm, fit_published_form
from vvscale.scores.gokce2026 import read_results

SETS = {"tvsd": ("V1", "V4"), "things_meg": ("occipital",)}


def pretraining(*, limit: float = 0.4, noise: float = 0.002) -> pd.DataFrame:
    """Networks of several families on two sets, two regions and two subjects; misalignment follows a known law."""
    rng = np.random.default_rng(0)
    rows = []
    for family, flop in (("ResNet", 4e9), ("ResNetFlex", 1e9), ("ViT", 9e9)):
        for size in (1, 2):
            for n_samples in (1e3, 1e4, 1e5, 1.3e6):
                compute = flop * size * n_samples
                loss = limit + 0.5 * (compute / 1e12) ** -0.3
                for benchmark, regions in SETS.items():
                    for region in regions:
                        for subject, offset in (("one", 0.02), ("two", -0.02)):
                            score = 1 - loss + offset + noise * rng.standard_normal()
                            rows.append((f"{family}-{size}-{n_samples:g}", f"{family}-{size}", family, n_samples,
                                         flop * size, compute, benchmark, region, subject, score))  # fmt: skip
    names = ["model_id", "backbone_arch", "backbone_arch_family", "pretraining_n_samples", "backbone_flops",
             "pretraining_total_flops_estimate", "benchmark_name", "roi", "subject", "pearsonr_nc"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=names)
    frame["backbone_n_params"] = frame["backbone_flops"] / 100
    frame["pretraining_samples_per_class"] = np.where(frame["pretraining_n_samples"] > 1e6, 0, 10)
    return frame.assign(
        backbone_source="spvvs", is_selfsupervised_learning=False, is_adversarially_finetuned=False,
        layer_name="layer3", n_epochs=100,
    )  # fmt: skip


def mapping() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        ("deit_small", "tvsd", region, subject, n, n / 200, probe, seed,
         1 - (limit + 2.0 * n**-0.4 + 0.001 * rng.standard_normal()))
        for probe, limit in (("linear_individual", 0.3), ("attention_shared", 0.2))
        for n in (100, 300, 1000, 3000, 20_000)
        for seed in (0, 1, 2)
        for region in ("V1", "IT")
        for subject in ("one", "two")
    ]  # fmt: skip
    names = ["model_id", "benchmark_name", "roi", "subject", "fitting_samples", "data_pct", "probe_type", "seed",
             "pearsonr_nc"]  # fmt: skip
    return pd.DataFrame(rows, columns=names).assign(layer_name="blocks.6", backbone_arch_family="ViT")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gokce2026")
    made = {}
    for name, frame in (("pretraining", pretraining()), ("mapping", mapping())):
        frame.to_parquet(folder / f"{name}.parquet")
        made[name] = read_results(folder / f"{name}.parquet")
    return made


@pytest.mark.parametrize("is_shifted", [False, True])
def test_their_form_is_theirs_and_finds_a_law_without_noise(is_shifted):
    x = np.logspace(0, 5, 9)
    y = 0.3 + 0.8 * (x + (10.0 if is_shifted else 0.0)) ** -0.4
    grid = {**GRID, "a": GRID["a"][::5], "alpha": (0.5, 1.0)}
    found = fit_published_form(x, y, is_shifted=is_shifted, delta=1e-3, grid=grid)
    assert found.n_starts == (100 if is_shifted else 20)
    assert np.prod([len(starts) for starts in GRID.values()]) == 750
    assert found.params["E"] == pytest.approx(0.3, abs=2e-3)
    assert found.alpha == pytest.approx(0.4, abs=0.02)
    np.testing.assert_allclose(found.predict(x), y, rtol=2e-3)


def test_it_is_the_best_of_scipys_bfgs_from_some_starts():
    rng = np.random.default_rng(0)
    x = np.logspace(0, 4, 7)
    y = (0.2 + x**-0.3) * np.exp(0.05 * rng.standard_normal(7))

    def objective(p):
        rest = np.abs(np.logaddexp(p[1] - p[2] * np.log(x), p[0]) - np.log(y))
        return np.where(rest <= 1e-3, rest**2 / 2, 1e-3 * (rest - 5e-4)).sum()

    starts = [(e, a, alpha) for e in GRID["e"][::2] for a in GRID["a"][::5] for alpha in (0.5, 1.0)]
    losses = [minimize(objective, start, method="BFGS").fun for start in starts]
    found = fit_published_form(x, y, is_shifted=False, delta=1e-3)
    assert found.loss <= min(losses) * (1 + 1e-3)
    predicted = np.exp(np.logaddexp(found.a - found.alpha * np.log(x), found.e))
    np.testing.assert_allclose(found.predict(x), predicted, rtol=1e-12)
    assert objective((found.e, found.a, found.alpha)) == pytest.approx(found.loss, rel=1e-12)


def test_a_limit_of_one_is_called_an_extrapolation():
    far = PublishedForm(-50.0, 0.0, 0.1, None, 0.0, 150, 0)
    near = PublishedForm(-5.0, 0.0, 0.1, None, 0.0, 150, 0)
    assert (far.has_no_limit, near.has_no_limit) == (True, False)


def test_curves_are_named_by_kind_group_and_set(tables):
    names = curve_names(tables=tables)
    assert len(names) == 3 * 3 * 3 + 2 - 0, "three kinds, average and two families, two sets and their average"
    assert curve_names("icml2026:parameters/average/*", tables=tables) == [
        f"icml2026:parameters/average/{one}" for one in ("things_meg", "tvsd", "average")
    ]
    [curve] = fit_curves("icml2026:parameters/average/average", tables=tables)
    assert curve.ours.n == 6, "one point per network trained on all images"
    assert curve.resampled is None


def test_the_mapping_of_each_readout_has_its_known_limit(tables):
    found = {one.name: one for one in fit_curves("icml2026:mapping", tables=tables, resamples=50)}
    assert set(found) == {f"icml2026:mapping/{one}/tvsd" for one in ("linear_individual", "attention_shared")}
    for name, limit in (("linear_individual", 0.3), ("attention_shared", 0.2)):
        curve = found[f"icml2026:mapping/{name}/tvsd"]
        assert curve.ours.n == 5 * 3, "a flat mean over subjects and regions, a point per size and seed"
        assert curve.theirs.params["E"] == pytest.approx(limit, abs=0.01)
        assert curve.ours.params["E"] == pytest.approx(limit, abs=0.01)
        assert curve.ours.loss <= curve.theirs.loss * (1 + 1e-6), "the same objective, at least as well minimised"
        assert curve.resampled is not None
        assert curve.resampled.resamples.unit == "mapping_seed"
    row = curve.row()
    assert row["n"] == 15
    assert row["low"] <= row["E"] <= row["high"]


def test_points_above_one_are_left_out_by_name(tables):
    frame = tables["mapping"].copy()
    high = (frame["mapping_samples"] == 20_000) & (frame["mapping_seed"] == 1)
    frame.loc[high, "score"] = 1.02
    [curve] = fit_curves("icml2026:mapping/attention_shared/tvsd", tables={"mapping": frame})
    assert curve.ours.n == 14
    assert [len(names) for names in curve.excluded.values()] == [1]
    assert "score of 1 or more" in curve.notes[0]


def test_averages_are_over_subjects_first_and_flex_families_are_merged(tables):
    frame = tables["pretraining"]
    full = frame["samples_per_class"] == 0
    # A subject that was not scored in one region must not weigh less in the mean of that region.
    lacks = (frame["subject"] == "two") & (frame["region"] == "V1") & (frame["model_id"] == "ViT-1-1.3e+06")
    [curve] = fit_curves("icml2026:parameters/average/tvsd", tables={"pretraining": frame[full & ~lacks]})
    points = curve.ours.problem.frame.set_index("model_id")
    one = frame[(frame["model_id"] == "ViT-1-1.3e+06") & (frame["benchmark_id"] == "tvsd") & ~lacks]
    expected = np.mean([one[one["region"] == region]["score"].mean() for region in ("V1", "V4")])
    assert points.loc["ViT-1-1.3e+06", "score"] == pytest.approx(expected, abs=1e-12)
    assert len(points) == 6, "ResNetFlex counts as a ResNet, and is left out of the curves of images alone"


def test_compute_is_as_they_count_or_as_we_do(tmp_path):
    path = tmp_path / "pretraining.parquet"
    pretraining().to_parquet(path)
    theirs, ours = (read_results(path, compute=one) for one in ("forward", "training"))
    assert (ours["train_flop"] == 300 * theirs["train_flop"]).all()


def test_what_is_not_there_is_said(tables):
    with pytest.raises(UnknownNameError, match="icml2026:computer"):
        fit_curves("icml2026:computer", tables=tables)
    with pytest.raises(MissingDataError, match="no column 'probe_type'"):
        fit_curves("icml2026:mapping", tables={"mapping": tables["mapping"].drop(columns="probe_type")})
    few = tables["mapping"][tables["mapping"]["mapping_samples"] > 3000]
    with pytest.raises(ShapeError, match="3 points; expected at least 4"):
        fit_curves("icml2026:mapping", tables={"mapping": few})


def test_the_command_line_shows_theirs_beside_ours(tables, tmp_path, capsys):
    import json

    from vvscale.cli import main

    path = tmp_path / "mapping_results.parquet"
    mapping().to_parquet(path)
    names = ["icml2026:mapping/attention_shared/*", "--scores", str(path), "--out", str(tmp_path / "out")]
    assert main(["reproduce", *names, "--resamples", "20"]) == 0
    out = capsys.readouterr().out
    assert "icml2026:mapping/attention_shared/tvsd" in out
    [fit] = json.loads((tmp_path / "out" / "curves.json").read_text())
    assert fit["theirs"]["n_starts"] == 150
    assert fit["intervals"]["unit"] == "mapping_seed"
    assert main(["reproduce", "icml2026:compute", "compute_neuro"]) == 2
    assert "one paper at a time" in capsys.readouterr().err
