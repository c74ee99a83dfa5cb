"""The published tables: every trap in them, and that no value a law of the study uses was changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import MissingDataError, VvscaleWarning
from vvscale.scores import (
    REGIONS,
    Not,
    commitment,
    drop_missing,
    load_checkpoints,
    load_commitments,
    load_scores,
    model_table,
    published,
    published_notes,
    select,
)

FLAGS = {f"is_{flag}": False for flag in ("pretrained", "random", "ssl", "adv", "ablation")}
PRETRAINED_FAMILIES = [
    "ConvNeXt",
    "DaVit",
    "EfficientNet",
    "EfficientViT-B",
    "FastViT",
    "LeViT",
    "MaxxViT",
    "MobileViT",
    "ResNet",
    "ViT",
]


@pytest.fixture(scope="module")
def raw(mirror: Path) -> pd.DataFrame:
    """The published file as pandas reads it, untouched by this package."""
    return pd.read_csv(mirror / "gokce2025" / "benchmark_scores.csv")


@pytest.fixture(scope="module")
def raw_trajectories(mirror: Path) -> pd.DataFrame:
    return pd.read_csv(mirror / "gokce2025" / "benchmark_scores_ckpts.csv")


@pytest.fixture(scope="module")
def trajectories(mirror: Path) -> pd.DataFrame:
    return load_scores("gokce2025:checkpoints")


@pytest.fixture
def models(gokce2025: pd.DataFrame) -> pd.DataFrame:
    return model_table(gokce2025, "behavior").frame


@pytest.fixture(scope="module")
def notes(mirror: Path) -> dict[str, tuple[int, int]]:
    return {note.name: (note.n_rows, len(note.model_ids)) for note in published_notes("gokce2025")}


def same(ours: pd.Series, published_values: pd.Series) -> bool:
    """Equal to the last bit, missing where missing."""
    return ours.reset_index(drop=True).equals(published_values.reset_index(drop=True).astype(ours.dtype))


# --- nothing is lost, and what the laws use is as published ---


def test_every_row_and_column_is_there(gokce2025: pd.DataFrame, raw: pd.DataFrame):
    assert len(gokce2025) == len(raw) == 993 * 5
    assert same(gokce2025["model_id"], raw["model_id"])
    # benchmark_id as published only numbers benchmark_name; parent_family is derived.
    assert len(gokce2025.columns) == len(raw.columns) - 1 + 1
    names = {
        "benchmark_name": "benchmark_id",
        "arch_family": "family",
        "macs": "forward_mac",
        "flops": "forward_flop",
    }
    for published_name in [
        "score",
        "n_params",
        "dataset",
        "seed",
        "samples_per_class",
        "checkpoint_url",
        *names,
        *FLAGS,
    ]:
        assert same(gokce2025[names.get(published_name, published_name)], raw[published_name]), published_name


def test_only_pretrained_models_lose_values(gokce2025: pd.DataFrame, raw: pd.DataFrame):
    others = ~raw["is_pretrained"]
    for ours, theirs in [
        ("train_flop", "total_flops"),
        ("samples_seen", "n_samples_seen"),
        ("n_samples", "n_samples"),
        ("n_epochs", "n_epochs"),
    ]:
        assert same(gokce2025[ours][others], raw[theirs][others]), ours
        assert gokce2025[ours][~others].isna().all()
    ours, theirs = gokce2025["accuracy"], raw["acc"]
    assert same(ours[theirs != 0], theirs[theirs != 0])


def test_averages_are_those_of_the_study(gokce2025: pd.DataFrame, raw: pd.DataFrame):
    table = model_table(gokce2025)
    expected = raw.groupby("model_id")["score"].mean().drop(table.excluded["no score in V2"])
    assert table.frame["model_id"].tolist() == expected.index.tolist()
    np.testing.assert_allclose(table.frame["score"], expected, rtol=1e-15, atol=1e-17)


@pytest.mark.parametrize(
    ("conditions", "n"),
    [
        ({"dataset": ["imagenet", "ecoset"], **FLAGS}, 620),
        ({**FLAGS}, 656),
        ({"dataset": ["imagenet", "ecoset"], **FLAGS, "samples_per_class": 0}, 191),
        ({"is_ssl": True, "ssl_method": "simclr", "dataset": "imagenet", "family": "ResNet"}, 35),
        ({"dataset": ["imagenet", "ecoset"], **FLAGS, "parent_family": "ResNet"}, 217),
        ({"dataset": ["imagenet", "ecoset"], **FLAGS, "parent_family": "EfficientNet"}, 87),
        ({"dataset": ["imagenet", "ecoset"], **FLAGS, "parent_family": "ConvNeXt"}, 128),
        ({"dataset": ["imagenet", "ecoset"], **FLAGS, "parent_family": "ViT"}, 128),
        ({"dataset": "imagenet21kP", **FLAGS}, 11),
        ({"dataset": "infimnist", **FLAGS}, 7),
    ],
)
def test_numbers_of_models_in_the_named_laws(gokce2025: pd.DataFrame, conditions: dict, n: int):
    frame = select(model_table(gokce2025).frame, **conditions)
    assert len(frame) == n
    columns = ["train_flop", "n_params", "samples_seen"]
    kept, excluded = drop_missing(frame, columns)
    assert len(kept) == n, excluded
    assert (kept[columns] > 0).all(axis=None)


def test_numbers_of_models_in_the_pretrained_law(gokce2025: pd.DataFrame):
    frame = select(model_table(gokce2025).frame, is_pretrained=True, family=PRETRAINED_FAMILIES)
    kept, excluded = drop_missing(frame, ["dataset", "n_params"])
    assert len(kept) == 136
    assert {reason: len(ids) for reason, ids in excluded.items()} == {
        "dataset is missing": 8,
        "n_params is missing": 11,
    }


# --- the traps, numbered as in the study's facts ---


def test_trap_1_missing_v2_and_negative_behavior(gokce2025: pd.DataFrame, notes: dict):
    missing = gokce2025[gokce2025["score"].isna()]
    assert set(missing["region"]) == {"V2"}
    assert set(missing["arch"]) == {"efficientnet_b1", "efficientnet_b2"}
    assert missing["is_random"].all()
    assert model_table(gokce2025).excluded == {"no score in V2": sorted(missing["model_id"])}
    assert len(model_table(gokce2025, "behavior").frame) == 993
    negative = gokce2025[gokce2025["score"] < 0]
    assert set(negative["region"]) == {"behavior"}
    assert negative["score"].min() == pytest.approx(-0.0813, abs=1e-4)
    assert notes["score_missing"] == (6, 6)
    assert notes["score_negative"] == (108, 108)


def test_trap_2_missing_sizes(models: pd.DataFrame, notes: dict):
    assert models[["n_params", "forward_mac", "forward_flop"]].isna().sum().tolist() == [47, 47, 47]
    assert notes["size_missing"] == (235, 47)
    # 95 as published; of the 182 pretrained ones now all are missing, 20 of which had been.
    assert models["train_flop"].isna().sum() == 95 + 162
    assert models[~models["is_pretrained"]]["train_flop"].isna().sum() == 75
    assert models[models["is_random"]]["train_flop"].isna().all()
    assert notes["untrained"] == (240, 48)


def test_trap_2_train_flop_is_as_defined(gokce2025: pd.DataFrame):
    known = gokce2025.dropna(subset="train_flop")
    assert (known["train_flop"] == 3 * known["forward_flop"] * known["samples_seen"]).all()


def test_trap_3_accuracy(models: pd.DataFrame, notes: dict):
    assert models["accuracy"].isna().sum() == 234 + 35
    assert not (models["accuracy"] == 0).any()
    assert notes["accuracy_placeholder"] == (175, 35)
    assert notes["accuracy_missing"] == (1170, 234)
    simclr = select(models, ssl_method="simclr", family="ResNet")
    assert simclr["accuracy"].isna().all()
    assert len(simclr) == 35


def test_trap_4_missing_dataset(models: pd.DataFrame, notes: dict):
    assert set(models[models["dataset"].isna()]["family"]) == {"EfficientViT-B"}
    assert notes["dataset_missing"] == (40, 8)


def test_trap_5_pretrained_placeholders(models: pd.DataFrame, raw: pd.DataFrame, notes: dict):
    assert set(raw[raw["is_pretrained"]]["n_samples"]) == {1_300_000}
    assert not (models["n_samples"] == 1_300_000).any()
    assert notes["pretrained_placeholders"] == (910, 182)


def test_trap_6_epoch_300_is_told(gokce2025: pd.DataFrame, trajectories: pd.DataFrame):
    note = next(note for note in published_notes("gokce2025") if note.name == "epoch_300")
    assert len(note.model_ids) == 4
    by = ["model_id", "region"]
    last = select(trajectories, model_id=list(note.model_ids), epoch=300).set_index(by)["score"]
    rows = select(gokce2025, model_id=list(note.model_ids))
    pd.testing.assert_series_equal(rows.set_index(by)["score"].sort_index(), last.sort_index(), check_exact=True)
    assert set(rows["n_epochs"]) == {100}, "kept as published"
    assert "epoch 300" in note.reason


def test_trap_7_adversarial(models: pd.DataFrame, notes: dict):
    adversarial = models[models["is_adv"]]
    assert notes["adversarial_fine_tuning"] == (175, 35)
    assert notes["adversarial_extra"] == (45, 9)
    assert adversarial["n_epochs"].value_counts().to_dict() == {10: 35, 100: 9}


def test_trap_8_second_scorings_are_told_and_can_be_left_out(
    gokce2025: pd.DataFrame, models: pd.DataFrame, notes: dict
):
    assert notes["random_projection"] == (210, 42)
    assert notes["second_scoring"] == (55, 11)
    assert len(select(models, model_id=Not("*_nc-5000"))) == 993 - 42
    note = next(note for note in published_notes("gokce2025") if note.name == "second_scoring")
    firsts = [name.removesuffix("_nc-5000").replace(":", ".") for name in note.model_ids]
    sizes = models.set_index("model_id")["n_params"]
    assert sizes[firsts].tolist() == sizes[list(note.model_ids)].tolist()


def test_trap_9_ids_without_seed(models: pd.DataFrame, notes: dict):
    without = models[~models["model_id"].str.contains("_seed-")]
    core = select(without, **FLAGS)
    assert notes["id_without_seed"] == (125, 25)
    assert len(core) == 25
    assert set(core["seed"]) == {0}
    assert set(core["samples_per_class"]) == {0}


def test_trap_10_names(gokce2025: pd.DataFrame, models: pd.DataFrame, notes: dict):
    assert gokce2025["region"].value_counts().to_dict() == dict.fromkeys(REGIONS, 993)
    supervised = select(models, arch=["deit_tiny", "deit_small", "deit_base", "deit_large"])
    self_supervised = select(models, arch=["vit_small", "vit_base"])
    assert set(supervised["family"]) == set(self_supervised["family"]) == {"ViT"}
    assert not supervised["is_ssl"].any()
    assert self_supervised["is_ssl"].sum() == 3
    timm = select(models, family="timm")
    assert timm["is_ablation"].sum() == 24
    assert set(timm[~timm["is_ablation"]]["arch"].str[:10]) == {"convnextv2"}
    assert notes["family_timm"] == (190, 38)
    assert notes["ablation_200_epochs"] == (20, 4)


def test_trap_11_trajectories(trajectories: pd.DataFrame, raw_trajectories: pd.DataFrame, gokce2025: pd.DataFrame):
    assert len(trajectories) == len(raw_trajectories) == 6450
    assert same(trajectories["score"], raw_trajectories["score"])
    assert same(trajectories["epoch"], raw_trajectories["epochs"])
    known = trajectories["train_flop"].notna()
    assert known.sum() == 6450 - 480
    expected = 3 * trajectories["forward_flop"] * trajectories["samples_seen"]
    assert (trajectories["train_flop"] == expected)[known].all()
    np.testing.assert_allclose(trajectories["train_flop"], 3 * raw_trajectories["total_flops"], rtol=1e-15)
    assert trajectories["checkpoint_url"].isin(load_checkpoints()["checkpoint_url"]).all()
    notes = {note.name: note for note in published_notes("gokce2025:checkpoints")}
    assert notes["train_flop_factor"].n_rows == 5970
    assert notes["checkpoint_suffix"].n_rows == 6450
    assert len(notes["size_missing"].model_ids) == 3
    # The flagged models, and no others, end somewhere else than the main table.
    last = trajectories[trajectories["epoch"] == trajectories.groupby("model_id")["epoch"].transform("max")]
    both = last.merge(gokce2025, on=["model_id", "region"], suffixes=("", "_main"))
    differing = both[both["score"] != both["score_main"]]["model_id"].unique()
    assert set(differing) == set(notes["other_commitments"].model_ids)


def test_trap_11_same_training_same_flop(trajectories: pd.DataFrame, models: pd.DataFrame):
    last = select(trajectories, model_id="resnet50_imagenet_full", epoch=100, region="V1")
    assert last["train_flop"].item() == select(models, model_id="resnet50_imagenet_full")["train_flop"].item()


def test_trap_12_checkpoint_list(mirror: Path, models: pd.DataFrame):
    listed = load_checkpoints()
    assert listed.shape == (10751, 7)
    assert listed["model_id"].nunique() == 811
    assert (~listed.groupby("model_id")["is_latest"].any()).sum() == 57
    assert listed["arch"].isna().sum() == 530
    assert not listed.duplicated(["model_id", "epoch"]).any()
    unlisted = models[~models["checkpoint_url"].isin(listed["checkpoint_url"])]
    told = [
        note for note in published_notes("gokce2025") if "checkpoint_url" in note.columns and note.name != "epoch_300"
    ]
    assert set(unlisted["model_id"]) == {name for note in told for name in note.model_ids}
    assert len(unlisted) == 239


def test_trap_13_commitments(mirror: Path):
    table = load_commitments()
    assert len(table) == 368 * 5
    assert table["arch"].nunique() == 278
    assert not table.isna().any(axis=None)
    got = commitment("resnet18", "imagenet")
    assert dict(got.layers) == {
        "V1": "layer1.0.bn1",
        "V2": "layer3.0.conv2",
        "V4": "layer2.0.bn2",
        "IT": "layer4.0.bn1",
        "behavior": "avgpool",
    }
    assert got.arch == "ResNet18"
    assert commitment("deit_small", "ecoset").arch == "DeiT_Small"
    assert commitment("convnext_small.fb_in22k", is_pretrained=True).dataset == "unknown"
    cornet = commitment("cornet_s", "imagenet").layers
    assert [cornet[region] for region in REGIONS] == [
        "V1.output",
        "V2.output",
        "V4.output",
        "IT.output",
        "decoder.avgpool",
    ]
    with pytest.raises(
        MissingDataError,
        match=r"'resnet18' for dataset infimnist.*None was published for infimnist.*imagenet \(seed 0\)",
    ):
        commitment("resnet18", "infimnist")
    with pytest.raises(MissingDataError, match="None was published for the two widest ResNetFlex"):
        commitment("resnetflexfilters_wr-4-1-2-4-0", "imagenet")
    assert commitment("resnetflexfilters_wr-4-1-2-4-2", "imagenet")
    with pytest.raises(MissingDataError, match="Did you mean 'ResNet18'"):
        commitment("resnt18", "imagenet")
    with pytest.raises(MissingDataError, match="no dataset named"):
        commitment("resnet18")


def test_every_core_architecture_has_a_commitment_or_a_reason(gokce2025: pd.DataFrame):
    core = select(gokce2025, dataset=["imagenet", "ecoset"], **FLAGS)
    lacking = []
    for arch, dataset in core[["arch", "dataset"]].drop_duplicates().itertuples(index=False):
        try:
            assert set(commitment(arch, dataset).layers) == set(REGIONS)
        except MissingDataError:
            lacking.append(arch)
    assert set(lacking) == {"resnetflexfilters_wr-4-1-2-4-0", "resnetflexfilters_wr-4-1-2-4-1"}


def test_private_scores(mirror: Path, models: pd.DataFrame):
    table = load_scores("gokce2025:private")
    wide = pd.read_csv(mirror / "gokce2025" / "benchmark_scores_brainscore.csv", dtype=str, keep_default_na=False)
    cells = wide.set_index("model_id").stack()
    assert len(cells) == 28 * 154
    assert len(table) == (cells != "").sum()
    unreadable = table[table["score"].isna()]
    assert len(unreadable) == (cells == "X").sum() == 22
    assert set(unreadable["benchmark_id"]) == {"Kar2019-ost"}
    expected = pd.to_numeric(cells[(cells != "") & (cells != "X")])
    got = table.dropna(subset="score").set_index(["model_id", "benchmark_id"])["score"]
    assert got.to_dict() == expected.to_dict()
    assert set(table["model_id"]) <= set(models["model_id"])
    (note,) = published_notes("gokce2025:private")
    assert (note.n_rows, len(note.model_ids)) == (22, 22)


# --- the border holds whichever way the file comes in ---


def test_a_published_file_under_any_name_is_that_set(mirror: Path, gokce2025: pd.DataFrame, tmp_path: Path):
    copy = tmp_path / "renamed.csv"
    copy.write_bytes((mirror / "gokce2025" / "benchmark_scores.csv").read_bytes())
    pd.testing.assert_frame_equal(load_scores(copy), gokce2025, check_exact=True)


def test_an_edited_trajectory_file_warns_of_its_flop(raw_trajectories: pd.DataFrame):
    with pytest.warns(VvscaleWarning, match="In 5970 rows"):
        load_scores(raw_trajectories)


def test_known_hashes_are_those_of_the_files(mirror: Path):
    for key, file in published.FILES.items():
        assert published.identify(mirror / "gokce2025" / file.name) == key


def test_a_truncated_copy_is_refused(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "gokce2025").mkdir()
    content = (mirror / "gokce2025" / "benchmark_scores.csv").read_bytes()
    (tmp_path / "gokce2025" / "benchmark_scores.csv").write_bytes(content[: len(content) // 2])
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    from vvscale.errors import DigestError

    with pytest.raises(DigestError, match=r"benchmark_scores\.csv.*got sha256.*expected 3c902d13"):
        load_scores("gokce2025")


def test_a_note_corrects_or_only_tells(mirror: Path):
    from vvscale.scores import SETS

    for chosen in SETS.values():
        names = [note.name for note in chosen.notes]
        assert len(names) == len(set(names))
        for note in chosen.notes:
            assert (note.fix is not None) == (note.treatment == "corrected"), note.name
        try:
            notes = published_notes(chosen.name)
        except MissingDataError:
            # Its tables are put there by hand; those of gokce2025 are always at the mirror.
            assert chosen.name.startswith("gokce2026:")
            continue
        for applied in notes:
            assert applied.n_rows > 0, f"{applied.name} concerns nothing"
            assert applied.to_dict()["n_models"] == len(applied.model_ids)
