"""The 2026 study's published numbers: commitments as a set, result tables of the form of its data set."""

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import DataError, MissingDataError, UnknownNameError
from vvscale.scores import SETS, load_scores, model_table
from vvscale.scores.gokce2026 import committed_layer, load_results, read_results


def results(**changes):
    """A table of the columns of the public data set."""
    rows = [
        (model, benchmark, roi, subject)
        for model in ("deit_small_imagenet_full_seed-0", "resnet18_imagenet_full")
        for benchmark, roi in (("tvsd", "V4"), ("things_meg", "occipital"))
        for subject in ("one", "two")
    ]
    frame = pd.DataFrame(rows, columns=["model_id", "benchmark_name", "roi", "subject"])
    frame["layer_name"] = "layer3.0"
    frame["backbone_arch"] = "x"
    frame["backbone_flops"], frame["pretraining_n_samples"] = 4e9, 1_281_167
    frame["pretraining_total_flops_estimate"] = 4e9 * 1_281_167
    frame["backbone_n_params"] = 1e7
    frame["pearsonr_nc"] = np.linspace(0.3, 1.1, len(frame))
    frame["rsa_c_test"] = 0.2
    return frame.assign(**changes)


def write(tmp_path, frame, name="pretraining_results_with_metadata.parquet"):
    (tmp_path / "gokce2026").mkdir(exist_ok=True)
    path = tmp_path / "gokce2026" / name
    frame.to_parquet(path)
    return path


def test_a_result_table_is_read_in_our_words(tmp_path, monkeypatch):
    path = write(tmp_path, results())
    frame = read_results(path)
    assert {"benchmark_id", "region", "layer", "arch", "forward_flop", "n_samples", "train_flop"} <= set(frame)
    assert frame["score"].max() == 1.1, "scores above 1 are kept"
    assert (frame["train_flop"] == frame["pretraining_total_flops_estimate"]).all()
    assert (read_results(path, metric="rsa_c_test")["score"] == 0.2).all()
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path))
    loaded = load_scores("gokce2026:pretraining")
    assert SETS["gokce2026:pretraining"].state == "cached"
    assert len(loaded) == 8
    assert set(loaded["region"]) == {"V4", "occipital"}
    subjects = loaded[loaded["subject"] == "one"]
    assert model_table(subjects, ["V4", "occipital"]).frame["model_id"].tolist()[0].startswith("deit")


def test_compute_is_what_was_asked_for(tmp_path):
    path = write(tmp_path, results(n_epochs=100))
    frame = read_results(path, compute="training")
    assert (frame["train_flop"] == 300 * frame["pretraining_total_flops_estimate"]).all()
    with pytest.raises(MissingDataError, match="n_epochs"):
        read_results(write(tmp_path, results()), compute="training")
    with pytest.raises(UnknownNameError, match="forward"):
        read_results(path, compute="both")


def test_rows_of_a_mapping_table_are_told_apart(tmp_path):
    frames = [
        results(fitting_samples=n, data_pct=n / 10, seed=seed, probe_type="linear_individual")
        for n in (10, 100)
        for seed in (0, 1)
    ]
    path = write(tmp_path, pd.concat(frames), "mapping_results.parquet")
    frame = load_scores(read_results(path))
    assert frame.groupby(["mapping_samples", "mapping_seed"]).size().tolist() == [8, 8, 8, 8]
    with pytest.raises(DataError, match="repeats an earlier one"):
        read_results(write(tmp_path, pd.concat([frames[0], frames[0]]), "mapping_results.parquet"))


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingDataError, match="huggingface"):
        load_scores("gokce2026:mapping")
    with pytest.raises(UnknownNameError, match="pretraining"):
        load_results("pretrainings")
    with pytest.raises(MissingDataError, match="rsa_c_test"):
        read_results(write(tmp_path, results()), metric="cka_c_test")


def test_the_commitments_are_a_published_set(mirror):
    frame = load_scores("gokce2026:commitments")
    assert frame["model_id"].nunique() == 85
    assert frame["benchmark_id"].nunique() == 8
    # Medians over models, computed from the published file.
    median = frame.groupby(["benchmark_id", "region"])["score"].median()
    for handle, region, expected in (
        ("bs_mh", "V4", 0.732), ("bs_mh", "IT", 0.674), ("tvsd", "V1", 0.594), ("tvsd", "IT", 0.501),
        ("nsd_func1pt8mm_individualROIs", "nsdgeneral", 0.654), ("things_meg", "occipital", 0.186),
    ):  # fmt: skip
        assert median[handle, region] == pytest.approx(expected, abs=5e-4)
    assert committed_layer("resnet50_imagenet_full", "tvsd", "V4").layer == "layer3.1"
    with pytest.raises(UnknownNameError, match="resnet50_imagenet_full"):
        committed_layer("resnet50_imagenet_ful", "tvsd", "V4")
    with pytest.raises(UnknownNameError, match="V4"):
        committed_layer("resnet50_imagenet_full", "tvsd", "V5")
