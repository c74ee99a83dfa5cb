"""Every figure of the published table against plain pandas and numpy on the published files themselves."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from vvscale.figures.base.fits import Fits
from vvscale.figures.base.open_tables import open_source
from vvscale.figures.drawing.files import save
from vvscale.figures.gallery import in_order, make
from vvscale.figures.general.plateau import plateau_panel
from vvscale.figures.options import DrawOptions
from vvscale.laws.gokce2025.experiments import EXPERIMENTS
from vvscale.scores.published import fetch

REGIONS = {"V1": "V1", "V2": "V2", "V4": "V4", "IT": "IT", "behavior": "Behavioral"}
FLAGS = ["is_pretrained", "is_random", "is_ssl", "is_adv", "is_ablation"]
PARENTS = {"ResNetFlex": "ResNet", "ConvNeXtFlex": "ConvNeXt", "ViTFlex": "ViT"}
GROUP_1 = ["ResNet", "EfficientNet", "CORnet-S", "AlexNet"]
GROUP_2 = ["ConvNeXt", "ViT"]
FAMILIES = ["ResNet", "EfficientNet", "ConvNeXt", "ViT"]


@pytest.fixture(scope="module")
def fits(mirror, tmp_path_factory):
    return Fits(open_source(), n_resamples=0, folder=tmp_path_factory.mktemp("fits"))


@pytest.fixture(scope="module")
def wide(mirror):
    """The published main table, one row per model and one column per region, without our own code."""
    raw = pd.read_csv(fetch("scores"))
    by_region = raw.pivot_table(index="model_id", columns="region", values="score", dropna=False)
    made = raw.drop_duplicates("model_id").set_index("model_id").join(by_region)
    made["parent"] = made["arch_family"].replace(PARENTS)
    made["neural"] = made[["V1", "V2", "V4", "IT"]].mean(axis=1, skipna=False)
    made["all"] = made[list(REGIONS.values())].mean(axis=1, skipna=False)
    return made.rename(columns={"Behavioral": "behavior"})


@pytest.fixture(scope="module")
def core(wide):
    return wide[~wide[FLAGS].any(axis=1) & wide["dataset"].isin(["imagenet", "ecoset"])]


@pytest.fixture(scope="module")
def tables(fits, tmp_path_factory):
    """What each figure's csv says, read back from the file."""
    folder, made = tmp_path_factory.mktemp("csv"), {}

    def read(name):
        if name not in made:
            (path,) = save(make(name, fits), folder, formats=["csv"])
            made[name] = pd.read_csv(io.BytesIO(path.read_bytes()), keep_default_na=False, na_values=[""])
        return made[name]

    return read


@pytest.fixture(scope="module")
def of_core(fits):
    """A general figure of the rows that the ICML paper's fits use."""

    def made(name, **options):
        return make(name, fits, DrawOptions(where=("preset=gokce2025",), **options)).table()

    return made


def points(table, series=None, panel="a"):
    chosen = table[(table["mark"] == "point") & (table["panel"] == panel)]
    return chosen if series is None else chosen[chosen["series"] == series]


def assert_points(drawn, expected, x, y):
    """Every model of ``expected``, and no other, at its own x and y."""
    drawn = drawn.set_index("model_id")
    assert sorted(drawn.index) == sorted(expected.index)
    expected = expected.loc[drawn.index]
    np.testing.assert_allclose(drawn["x"], expected[x], rtol=1e-12)
    np.testing.assert_allclose(drawn["y"], expected[y], rtol=1e-12, atol=1e-15)


def without_small_transformers(frame):
    small = frame["parent"].isin(GROUP_2) & ~frame["samples_per_class"].isin([0, 300])
    return frame[~small]


def test_every_figure_can_be_made(fits, tables):
    assert len(in_order()) == 42
    # The published table has one layer per model and benchmark.
    for name in set(in_order()) - {"layers"}:
        table = tables(name)
        assert len(table) > 0
        assert set(table["mark"]) <= {"point", "mean", "bar", "line", "curve", "rule", "area", "label"}


def test_ccn_figures(core, tables):
    chosen = core[core["parent"].isin(GROUP_1)]
    assert len(chosen) == 364
    assert_points(points(tables("ccn-1")), chosen, "total_flops", "all")
    for dataset in ("imagenet", "ecoset"):
        own = chosen[chosen["dataset"] == dataset]
        assert_points(points(tables("ccn-2a"), dataset), own, "n_samples_seen", "all")
    assert_points(points(tables("ccn-2b")), chosen[chosen["samples_per_class"] == 0], "n_params", "all")
    assert_points(points(tables("ccn-2c")), chosen, "total_flops", "all")
    for region in REGIONS:
        assert_points(points(tables("ccn-2d"), region), chosen, "total_flops", region)
    for name in ("ccn-1", "ccn-2c"):
        sizes = points(tables(name)).set_index("model_id")
        np.testing.assert_allclose(sizes["size"], chosen.loc[sizes.index, "n_params"])
        np.testing.assert_allclose(sizes["shade"], chosen.loc[sizes.index, "n_samples_seen"])
    assert set(tables("ccn-2c").query("mark == 'curve'")["series"]) == {"all", "optimal path"}


def test_both_targets_against_compute(core, tables):
    assert len(core) == 620
    for target in ("neural", "behavior"):
        assert_points(points(tables("icml-1b"), target), core, "total_flops", target)


@pytest.mark.parametrize(("name", "target"), [("icml-2a", "neural"), ("icml-2b", "behavior")])
def test_families(core, tables, name, target):
    counts = {"ResNet": 217, "EfficientNet": 87, "ConvNeXt": 128, "ViT": 128}
    for family in FAMILIES:
        chosen = core[core["parent"] == family]
        assert len(chosen) == counts[family]
        assert_points(points(tables(name), family), chosen, "total_flops", target)


def test_parameters(core, wide, tables):
    chosen = core[core["samples_per_class"] == 0]
    assert len(chosen) == 191
    assert_points(points(tables("icml-2c")), chosen, "n_params", "all")
    families = [*FAMILIES, "DaVit", "EfficientViT-B", "FastViT", "LeViT", "MaxxViT", "MobileViT"]
    pretrained = wide[wide["is_pretrained"] & wide["parent"].isin(families) & wide["dataset"].notna()]
    pretrained = pretrained.dropna(subset=["n_params"])
    assert len(pretrained) == 136
    assert_points(points(tables("icml-S2")), pretrained, "n_params", "all")


def test_data_sets_carry_their_own_labels(wide, tables):
    controlled = without_small_transformers(wide[~wide[FLAGS].any(axis=1)])
    counts = {
        "imagenet": 221, "ecoset": 223, "imagenet21kP": 11, "webvisionP": 5, "inaturalist": 4, "places365": 4,
        "infimnist": 7,
    }  # fmt: skip
    for dataset, n in counts.items():
        chosen = controlled[controlled["dataset"] == dataset]
        assert len(chosen) == n
        assert_points(points(tables("icml-3a"), dataset), chosen, "n_samples_seen", "all")


def test_means_by_family(core, tables):
    drawn = tables("icml-3b")
    drawn = drawn[drawn["mark"] == "mean"]
    expected = core.groupby(["parent", "dataset", "samples_per_class", "n_samples_seen"])["all"].agg(["mean", "size"])
    assert len(drawn) == len(expected)
    for (family, dataset, images, seen), row in expected.iterrows():
        label = f"{dataset}, {images:g} per class"
        one = drawn[(drawn["series"] == family) & (drawn["x"] == seen) & (drawn["label"] == label)]
        assert len(one) == 1
        assert one["y"].iloc[0] == pytest.approx(row["mean"], rel=1e-12)
        assert one["n"].iloc[0] == row["size"]


def test_allocation(core, tables):
    chosen = without_small_transformers(core)
    assert len(chosen) == 444
    assert_points(points(tables("icml-4a")), chosen, "total_flops", "all")


def test_contours_of_any_rows(core, of_core):
    drawn = points(of_core("contours")).set_index("model_id")
    assert sorted(drawn.index) == sorted(core.index)
    np.testing.assert_allclose(drawn["y"], core.loc[drawn.index, "n_samples_seen"])
    np.testing.assert_allclose(drawn["shade"], core.loc[drawn.index, "all"], rtol=1e-12)


def test_optimal_path_beats_its_neighbours_and_does_not_invert_g(fits):
    """At 1e18 FLOP the study's inverted G gives N 5.12e6; the optimum is 4.47e6."""
    law = fits.curve(EXPERIMENTS["compute_chinchilla"])
    path = law.path
    n_at = np.exp(np.interp(np.log(1e18), np.log(law.x), np.log(path["n_params"])))
    assert n_at == pytest.approx(4.47e6, rel=3e-3)
    raw = law.facts["raw"]
    best = raw["E"] + raw["A"] * path["n_params"] ** -raw["alpha"] + raw["B"] * path["samples_seen"] ** -raw["beta"]
    np.testing.assert_allclose(law.y, 1 - best, rtol=1e-12)
    for factor in (0.9, 1.1):
        n = path["n_params"] * factor
        d = np.asarray(law.cost.samples(law.x, n))
        assert (raw["E"] + raw["A"] * n ** -raw["alpha"] + raw["B"] * d ** -raw["beta"] > best).all()


def test_family_and_size_lines(core, tables):
    table = tables("icml-4b")
    assert_points(points(table), core, "total_flops", "all")
    lines = table[table["mark"] == "line"]
    one = core[(core["arch"] == "resnet18") & (core["dataset"] == "ecoset")].groupby("total_flops")["all"].mean()
    drawn = lines[lines["group"] == "resnet18 ecoset"]
    np.testing.assert_allclose(drawn["x"], one.index)
    np.testing.assert_allclose(drawn["y"], one, rtol=1e-12)


def test_regions_by_group(core, tables):
    for panel, families, n in (("a", GROUP_1, 364), ("b", GROUP_2, 256)):
        chosen = core[core["parent"].isin(families)]
        assert len(chosen) == n
        for region in REGIONS:
            assert_points(points(tables("icml-5a"), region, panel), chosen, "total_flops", region)


def test_gain_is_what_the_laws_add_from_1e17_to_1e18(fits, tables):
    """The paper's text: higher areas gain more, behaviour most. In A 10^-alpha, A has units, so that it is no gain."""
    bars = tables("icml-5b").set_index("series")
    for region in ("V1", "IT", "behavior"):
        params = EXPERIMENTS[f"region_{region.lower()}_group1"].fit(fits.source.tables).params
        at = [params["A"] * (x / 1e13) ** -params["alpha"] for x in (1e17, 1e18)]
        assert bars.loc[region, "y"] == pytest.approx(at[0] - at[1], rel=1e-9)
    assert bars["y"].reindex(list(REGIONS)).is_monotonic_increasing


def test_correlations_with_accuracy(core, tables):
    published = {"V1": 0.500, "V2": 0.774, "V4": 0.792, "IT": 0.868, "behavior": 0.964}
    bars = tables("icml-6c").set_index("series")
    for region, value in published.items():
        r = np.corrcoef(core["acc"], core[region])[0, 1]
        assert bars.loc[region, "y"] == pytest.approx(r, rel=1e-12)
        assert round(r, 3) == value
        assert bars.loc[region, "n"] == 620


@pytest.mark.parametrize(("name", "target"), [("icml-6a", "neural"), ("icml-6b", "behavior")])
def test_accuracy(core, tables, name, target):
    table = tables(name)
    assert_points(points(table), core, "acc", target)
    slope, at_zero = np.polyfit(core["acc"], core[target], 1)
    line = table[table["mark"] == "line"]
    np.testing.assert_allclose(line["y"], at_zero + slope * line["x"], rtol=1e-9)


def test_simclr(wide, tables):
    chosen = wide[wide["is_ssl"] & (wide["ssl_method"] == "simclr") & (wide["parent"] == "ResNet")]
    assert len(chosen) == 35
    for panel, target in (("a", "neural"), ("b", "behavior")):
        assert_points(points(tables("icml-7a"), "simclr", panel), chosen, "total_flops", target)
    for region in REGIONS:
        assert_points(points(tables("icml-S6"), region), chosen, "total_flops", region)


def test_adversarial_models_count_what_they_started_from(wide, tables):
    tuned = wide[wide["is_adv"] & (wide["n_epochs"] == 10)].copy()
    assert len(tuned) == 35
    base = wide.loc[[f"{arch}_imagenet_full" for arch in tuned["arch"]], "total_flops"].to_numpy()
    tuned["whole"] = tuned["total_flops"] + base
    for panel, target in (("a", "neural"), ("b", "behavior")):
        assert_points(points(tables("icml-7b"), "adversarial", panel), tuned, "whole", target)


@pytest.fixture(scope="module")
def epochs(mirror):
    raw = pd.read_csv(fetch("checkpoints"))
    keys = ["model_id", "epochs"]
    wide = raw.pivot_table(index=keys, columns="region", values="score").rename(columns={"Behavioral": "behavior"})
    wide["all"] = wide[list(REGIONS)].mean(axis=1)
    columns = ["model_id", "arch_family", "dataset", "arch", "is_ssl", "ssl_method"]
    return wide.reset_index().merge(raw[columns].drop_duplicates("model_id"), on="model_id")


@pytest.mark.parametrize(
    ("name", "panels"), [("icml-7c", {"a": "all"}), ("icml-S3", dict(zip("abcde", REGIONS, strict=True)))]
)
def test_trajectories_by_family(epochs, tables, name, panels):
    chosen = epochs[~epochs["is_ssl"] & epochs["dataset"].isin(["imagenet", "ecoset"])]
    for panel, region in panels.items():
        drawn = tables(name)
        drawn = drawn[drawn["panel"] == panel]
        for family in FAMILIES:
            part = chosen[chosen["arch_family"] == family].groupby("epochs")[region].agg(["mean", "size"])
            part = part[part["size"] == part["size"].max()]
            line = drawn[drawn["series"] == family]
            np.testing.assert_array_equal(line["x"], part.index)
            np.testing.assert_allclose(line["y"], part["mean"], rtol=1e-10)
            np.testing.assert_array_equal(line["n"], part["size"])


def test_objectives_during_training(epochs, tables):
    ids = {
        "a": {"supervised": "resnet50_imagenet_full", "simclr": "simclr_resnet50_imagenet_full_seed-0",
              "dino": "dino_resnet50_imagenet_full_seed-0"},
        "b": {"supervised": "deit_small_imagenet_full_seed-0", "simclr": "simclr_vit_small_imagenet_full_seed-0",
              "dino": "dino_vit_small_imagenet_full_seed-0"},
    }  # fmt: skip
    table = tables("icml-7d")
    for panel, by_objective in ids.items():
        for objective, model_id in by_objective.items():
            expected = epochs[epochs["model_id"] == model_id].sort_values("epochs")
            line = table[(table["panel"] == panel) & (table["series"] == objective)]
            np.testing.assert_array_equal(line["x"], expected["epochs"])
            np.testing.assert_allclose(line["y"], expected["all"], rtol=1e-10)


def test_public_against_private(wide, tables, fits):
    private = pd.read_csv(fetch("private")).set_index("model_id")
    benchmarks = [
        "FreemanZiemba2013.V1-pls", "FreemanZiemba2013.V2-pls", "MajajHong2015.V4-pls", "MajajHong2015.IT-pls",
        "Rajalingham2018-i2n",
    ]  # fmt: skip
    r2 = {}
    for panel, region, benchmark in zip("abcde", REGIONS, benchmarks, strict=True):
        other = pd.to_numeric(private[benchmark], errors="coerce")
        both = pd.DataFrame({region: wide[region], "private": other}).dropna()
        assert len(both) == 28
        assert_points(points(tables("icml-S1"), panel=panel), both, region, "private")
        r2[region] = np.corrcoef(both[region], both["private"])[0, 1] ** 2
    assert round(r2["V1"], 3) == 0.974
    assert round(r2["IT"], 3) == 0.996
    said = [panel.text[0] for panel in make("icml-S1", fits).panels]
    assert said[:5] == [rf"$R^2$ = {value:.3f}" for value in r2.values()]
    assert len(said) == 6, "the mean of the five stands beside them"


def test_untrained_against_trained(wide, core, tables):
    untrained = wide[wide["is_random"]]
    trained = core[(core["samples_per_class"] == 0) & core["arch"].isin(untrained["arch"])]
    assert (len(untrained), untrained["arch"].nunique()) == (48, 16)
    table = tables("icml-S4")
    for panel, family in zip("abcd", FAMILIES, strict=True):
        for state, frame in (("untrained", untrained), ("trained", trained)):
            drawn = table[(table["panel"] == panel) & (table["series"] == state)].set_index("category")
            part = frame[frame["parent"] == family]
            for region in REGIONS:
                one = drawn.loc["Behaviour" if region == "behavior" else region]
                assert one["y"] == pytest.approx(part[region].mean(), rel=1e-10)
                assert one["n"] == part[region].notna().sum()
    efficient = table[(table["panel"] == "b") & (table["series"] == "untrained")].set_index("category")
    assert efficient["n"].to_dict() == {"V1": 9, "V2": 3, "V4": 9, "IT": 9, "Behaviour": 9}


def test_objectives_per_region(wide, tables):
    full = wide[(wide["dataset"] == "imagenet") & (wide["samples_per_class"] == 0)]
    full = full[~full[["is_pretrained", "is_random", "is_adv", "is_ablation"]].any(axis=1)]
    full = full.assign(objective=full["ssl_method"].where(full["is_ssl"]).fillna("supervised"))
    table = tables("icml-S5")
    for panel, archs in (("a", ["resnet50"]), ("b", ["deit_small", "vit_small"])):
        part = full[full["arch"].isin(archs)]
        assert len(part) == 5
        for objective, models in part.groupby("objective"):
            drawn = table[(table["panel"] == panel) & (table["series"] == objective)].set_index("category")
            for region in REGIONS:
                value = drawn.loc["Behaviour" if region == "behavior" else region, "y"]
                assert value == pytest.approx(models[region].mean(), rel=1e-10)


def test_residuals_are_scores_minus_the_published_law(wide, core, of_core, tables):
    table = of_core("residuals", y="neural")
    drawn = points(table).set_index("model_id")
    assert sorted(drawn.index) == sorted(core.index)
    law = 1 - (0.522677169 + 0.549114313 * (core["total_flops"] / 1e13) ** -0.156928523)
    np.testing.assert_allclose(drawn["y"], (core["neural"] - law)[drawn.index], atol=2e-7)
    groups = table[(table["panel"] == "b") & (table["mark"] == "mean")].set_index("category")
    resnets = drawn[core.loc[drawn.index, "parent"] == "ResNet"]
    assert groups.loc[f"ResNet ({len(resnets)})", "x"] == pytest.approx(resnets["y"].mean(), rel=1e-10)
    # Without a condition every model trained here is shown, fine-tunes at their whole compute.
    everything = points(tables("residuals")).set_index("model_id")
    assert len(everything) == 727
    tuned = wide.loc[everything.index, "is_adv"]
    assert (everything["x"][tuned] > 10 * wide.loc[everything.index, "total_flops"][tuned]).mean() > 0.5
    np.testing.assert_allclose(everything["x"][~tuned], wide.loc[everything.index, "total_flops"][~tuned])


def test_accuracy_is_that_of_the_data_set_with_most_networks(wide, tables):
    drawn = points(tables("accuracy")).set_index("model_id")
    other = ["is_pretrained", "is_random", "is_ssl", "is_adv", "is_ablation"]
    told = wide[~wide[other].any(axis=1) & (wide["acc"] > 0)]
    told = told.dropna(subset=["n_params", "n_samples"])
    dataset = told["dataset"].value_counts().index[0]
    chosen = told[told["dataset"] == dataset]
    chosen = chosen[chosen["n_samples"].isin(chosen["n_samples"].value_counts().index[:8])]
    assert set(drawn.index) == set(chosen.index)
    np.testing.assert_allclose(drawn["y"], 1 - chosen.loc[drawn.index, "acc"], rtol=1e-12)
    np.testing.assert_allclose(drawn["x"], chosen.loc[drawn.index, "n_params"], rtol=1e-12)


def test_horizon_of_the_naive_forecast(core, of_core):
    table = of_core("horizon")
    for panel, target in (("a", "neural"), ("b", "behavior")):
        for horizon in (1.0, 2.0):
            known = core["total_flops"] <= core["total_flops"].max() / 10**horizon
            train, test = core[known], core[~known]
            tenth = train[train["total_flops"] >= train["total_flops"].quantile(0.9)]
            rmse = np.sqrt(((test[target] - tenth[target].mean()) ** 2).mean())
            line = table[(table["panel"] == panel) & (table["series"] == "mean of top tenth")].set_index("x")
            assert line.loc[horizon, "y"] == pytest.approx(rmse, rel=1e-9)
            assert line.loc[horizon, "n"] == len(test)


def test_plateau_profiles(fits, of_core):
    """Neural has an upper limit since dependence counts as it inflates the variance of E (4.8 times), not of a mean."""
    table = of_core("plateau")
    joint = plateau_panel(fits, fits.question(EXPERIMENTS["compute_chinchilla"]), "c", "Mean").rows.assign(panel="c")
    table = pd.concat([table, joint])
    for panel, best, has_limit in (("a", 0.4773, True), ("b", 1.0, False), ("c", 0.4828, True)):
        part = table[table["panel"] == panel]
        found = part[part["series"] == "best fit"]["x"].iloc[0]
        assert found == pytest.approx(best, abs=2e-4)
        profile = part[part["series"] == "profile"].sort_values("x")
        limit = part[part["series"] == "dependent rows"]["y"].iloc[0]
        assert (profile["y"].iloc[-1] > limit) == has_limit
        assert profile["y"].min() > -1e-6
        # The mark of the best fit lies on the profile.
        assert 0.0 in profile.loc[profile["x"] == found, "y"].tolist()


def test_notes_say_where_the_published_figure_was_wrong(fits):
    said = {name: " ".join(make(name, fits).notes) for name in ("icml-1b", "icml-3a", "icml-4a", "icml-5b", "icml-6c")}
    assert "bound 0" in said["icml-1b"]
    assert "swapped" in said["icml-3a"]
    assert "14.6 %" in said["icml-4a"]
    assert "those of a mean" in said["icml-5b"]
    assert "those of a mean" in said["icml-6c"]


@pytest.mark.slow
def test_the_whole_report_is_one_small_file_without_addresses(fits, tmp_path):
    from vvscale.figures.report.report import write_report

    made = write_report(tmp_path / "report.html", fits, n_workers=1)
    assert (made.n_models, len(made.figures), dict(made.lacking)) == (993, 33, {})
    assert made.n_bytes == made.path.stat().st_size < 3_000_000
    page = made.path.read_text()
    # Nothing is loaded from elsewhere: no element that fetches has an address of the outside.
    assert not re.search(r"<(?:script|link|img|iframe|source|object)[^>]+(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "@import" not in page
    assert "url(http" not in page
