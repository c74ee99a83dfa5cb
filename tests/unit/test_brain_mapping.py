"""Mapping curves: subsets by the study's rule, equal to separate fits, from the same pass and products."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from torch import nn

from vvscale.brain import load_benchmark, score_layers, simulate
from vvscale.brain.benchmarks.benchmark import score_together
from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.mapping.benchmark import MappingBenchmark, with_subsets
from vvscale.brain.mapping.subset import Amount, Subset, subsets
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.nipals import cross_validate
from vvscale.brain.metrics.pls import PLS
from vvscale.brain.metrics.ridge import Ridge as OurRidge
from vvscale.brain.metrics.ridge import RidgeCV as OurRidgeCV
from vvscale.brain.scoring.features import Features, score_features
from vvscale.errors import ConfigError, DataError, ShapeError, UsageError

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def stream():
    return simulate(images_per_object=20, n_neuroids=12, n_repetitions=6)


@pytest.fixture(scope="module")
def whole(stream):
    return dataclasses.replace(stream.benchmark("IT"), metric=OurRidge(3.0))


@pytest.fixture(scope="module")
def features(whole):
    """Features that the responses can be read from, and much that they cannot."""
    mean = whole.assembly.mean.loc[whole.stimuli.stimulus_id].to_numpy()
    other = rng.standard_normal((len(mean), 40)) @ rng.standard_normal((40, 300))
    return mean @ rng.standard_normal((12, 300)) + other + rng.standard_normal((len(mean), 300))


def test_amounts():
    assert Amount.parse("1.5 %").of(1000) == 15
    assert Amount.parse("29%").of(100) == 28 or Amount.parse("29%").of(100) == 29
    assert Amount.parse(7).of(3) == 7
    for bad in ("0%", "101%", "-3", "x", "0", "1.5"):
        with pytest.raises(ConfigError, match="share such as 10%"):
            Amount.parse(bad)
    with pytest.raises(UsageError, match="mapping_seeds"):
        subsets(["10%"], seeds=0)


def test_subsets_are_nested_and_by_the_rule_of_the_study():
    train = np.arange(100, 300)
    rows = [set(Subset(Amount.parse(f"{p}%"), seed=4).rows(train, 200)) for p in (1, 10, 50, 100)]
    assert [len(one) for one in rows] == [2, 20, 100, 200]
    assert rows[0] < rows[1] < rows[2] < rows[3]
    assert rows[1] == set(train[np.random.default_rng(4).permutation(200)[:20]])
    assert len(subsets(["10%", "100%"], seeds=3)) == 4, "everything is one subset whatever the seed"
    assert len(subsets(["100%"], seeds=3, neuroids=[5, 10])) == 6


@pytest.mark.parametrize("metric", [OurRidge(3.0), OurRidgeCV((0.1, 1.0, 10.0, 100.0)), PLS(5)])
@pytest.mark.parametrize("percent", ["15%", "60%"])
def test_a_part_equals_a_separate_fit(whole, features, metric, percent):
    benchmark = dataclasses.replace(whole, metric=metric)
    part = MappingBenchmark(benchmark, Subset(Amount.parse(percent), seed=1))
    got = part.score(Gram.from_features(features))
    [of_all] = benchmark.parts
    r = []
    order = [list(whole.stimuli.stimulus_id).index(one) for one in of_all.images]
    X = features[order]
    for train, test in zip(of_all.target.is_train, of_all.target.is_test, strict=True):
        rows = np.flatnonzero(train)
        n = int(len(rows) * float(percent[:-1]) / 100)
        rows = np.sort(rows[np.random.default_rng(1).permutation(len(rows))[:n]])
        Y = of_all.target.responses
        if isinstance(metric, PLS):
            used = np.isin(np.arange(len(Y)), rows)
            [found], _ = cross_validate(Gram.from_features(X), Y, used[None], 5)
            predicted = found[test[~used]]
        else:
            fit = Ridge(3.0) if isinstance(metric, OurRidge) else RidgeCV(metric.alphas)
            predicted = fit.fit(X[rows], Y[rows]).predict(X[test])
        r.append([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, Y[test].T, strict=True)])
    np.testing.assert_allclose(got.detail.r, r, atol=1e-8)
    assert got.score.raw_score == pytest.approx(np.median(r, axis=1).mean(), abs=1e-8)
    assert np.isnan(got.score.low), "the spread over seeds says how sure it is"
    assert got.benchmark_id == whole.benchmark_id
    assert got.mapping == {"mapping_samples": n, "mapping_seed": 1}


def test_the_end_of_the_curve_is_the_score_itself(whole, features):
    end = MappingBenchmark(whole, Subset())
    got, expected = end.score(features, resamples=20), whole.score(features, resamples=20)
    assert got.score == expected.score
    assert got.mapping["mapping_samples"] == whole.parts[0].target.is_train.sum(1).min()
    almost = MappingBenchmark(whole, Subset(Amount(number=end.n_samples)))
    assert almost.score(features).score.score == pytest.approx(expected.score.score, abs=1e-12)


def test_neuroids_and_repetitions_are_axes_too(whole, features):
    fewer = MappingBenchmark(whole, Subset(seed=2, neuroids=5))
    chosen = np.sort(np.random.default_rng(2).permutation(12)[:5])
    expected = whole.score(features, resamples=0).detail.r[:, chosen]
    np.testing.assert_allclose(fewer.score(features).detail.r, expected, atol=1e-10)
    curve = [
        np.mean(
            [MappingBenchmark(whole, Subset(seed=s, repetitions=k)).score(features).score.raw_score for s in range(4)]
        )
        for k in (1, 6)
    ]
    assert curve[0] < curve[1]
    full = MappingBenchmark(whole, Subset(repetitions=6)).score(features).score.raw_score
    assert full == pytest.approx(whole.score(features, resamples=0).score.raw_score, abs=1e-10)


def test_fixed_test_images_stay(whole, features):
    table = whole.stimuli.table.assign(split=["test" if n % 5 == 0 else "train" for n in range(len(whole.stimuli))])
    fixed = dataclasses.replace(
        whole, stimuli=dataclasses.replace(whole.stimuli, table=table), design=TrainTest(), stratify_by=None
    )
    part = MappingBenchmark(fixed, Subset(Amount.parse("25%"), seed=3))
    detail = part.score(features).detail
    assert detail.is_train.sum() == 32
    assert detail.is_test.sum() == 32
    assert not (detail.is_train & detail.is_test).any()


def test_what_cannot_be_fitted_is_refused_by_name(whole, stream):
    pls = dataclasses.replace(whole, metric=PLS(25))
    with pytest.raises(ShapeError, match="5% of 144 training images is 7; the metric 'pls' needs at least 26"):
        MappingBenchmark(pls, Subset(Amount.parse("5%"))).refuse_unscorable()
    with pytest.raises(ShapeError, match="there are fewer"):
        MappingBenchmark(whole, Subset(Amount.parse("1000"))).refuse_unscorable()
    with pytest.raises(ShapeError, match="`mapping_neuroids` 13 of 12"):
        MappingBenchmark(whole, Subset(neuroids=13)).refuse_unscorable()
    with pytest.raises(ShapeError, match="`mapping_repetitions` 7"):
        MappingBenchmark(whole, Subset(repetitions=7)).refuse_unscorable()
    with pytest.raises(UsageError, match="fits nothing"):
        MappingBenchmark(dataclasses.replace(whole, metric="cka"), Subset())
    assert len(with_subsets([whole, stream.benchmark("behavior")], subsets(["10%", "100%"], seeds=2))) == 4


def test_one_pass_gives_the_curves_of_all_layers(whole, tmp_path):
    from vvscale.brain import Preprocessing, ScoreCache

    model = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 30))
    parts = with_subsets([whole], subsets(["20%", "50%", "100%"], seeds=2))
    cache = ScoreCache(tmp_path)
    options = {"preprocessing": Preprocessing(image_size=32), "resamples": 10, "cache": cache}
    scores = score_layers(model, benchmarks=parts, **options)
    assert scores.usage.n_forward == len(whole.stimuli)
    rows = scores.rows({"model_id": "m"})
    assert len(rows) == 4 * 5
    assert set(rows["benchmark_id"]) == {whole.benchmark_id}
    assert rows["data_digest"].notna().all()
    assert rows["mapping_samples"].unique().tolist() == [28, 72, 144]
    assert rows.groupby("mapping_samples")["mapping_seed"].nunique().tolist() == [2, 2, 1]
    assert len(scores.best(model="m").layers) == 1
    again = score_layers(model, benchmarks=parts, **options)
    assert again.usage.n_cached == 20
    assert again.usage.n_forward == 0
    assert again.table()["score"].tolist() == scores.table()["score"].tolist()


@pytest.mark.parametrize("percent", ["20%", "60%"])
def test_seeds_of_one_size_are_fitted_together_and_score_as_they_do_alone(whole, features, percent, monkeypatch):
    pls = dataclasses.replace(whole, metric=PLS(5))
    parts = with_subsets([pls], subsets([percent], seeds=9))
    assert len({one.group for one in parts}) == 1
    gram = Gram.from_features(features)
    alone = [one.score(gram) for one in parts]
    fits = counting(monkeypatch)
    together = score_together(parts, gram)
    assert fits == {"20%": [30, 30, 30], "60%": [45, 45]}[percent], "as many as memory is for, in equal turns"
    for one, of_one in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.detail.r, of_one.detail.r, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(one.detail.is_train, of_one.detail.is_train)
        assert one.score.raw_score == pytest.approx(of_one.score.raw_score, abs=1e-10)
        assert one.mapping == of_one.mapping
    assert len({one.score.raw_score for one in together}) == 9


def counting(monkeypatch):
    """Note how many splits each fit by partial least squares is of."""
    import vvscale.brain.metrics.pls as pls

    fits = []
    for name in ("cross_validate", "cross_validate_parts"):
        used = getattr(pls, name)

        def fit(gram, responses, is_train, *rest, used=used):
            fits.append(len(is_train))
            return used(gram, responses, is_train, *rest)

        monkeypatch.setattr(pls, name, fit)
    return fits


def test_what_differs_between_seeds_or_shares_no_work_is_scored_alone(whole):
    pls = dataclasses.replace(whole, metric=PLS(5))
    for benchmark, options in ((pls, {"neuroids": [5]}), (pls, {"repetitions": [2]}), (whole, {}), (pls, {})):
        parts = with_subsets([benchmark], subsets(["50%"], seeds=3, **options))
        assert len({one.group for one in parts}) == (1 if benchmark is pls and not options else 3)
    other = dataclasses.replace(pls, benchmark_id="other")
    sizes = with_subsets([pls, other], subsets(["20%", "50%", "100%"], seeds=3))
    assert len({one.group for one in sizes}) == 2 * 3


def test_what_is_wrong_with_one_part_says_nothing_about_the_others(whole, features):
    """Of a part whose training images are all alike nothing can be fitted."""
    pls = dataclasses.replace(whole, metric=PLS(5))
    parts = with_subsets([pls], subsets(["10%"], seeds=3))
    fitted = PLS.measure

    def measure(self, features, target):
        if (target.is_train[:, None] == parts[1]._is_train(pls.parts[0])).all(-1).any():
            raise DataError("nothing differs")
        return fitted(self, features, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PLS, "measure", measure)
        found = score_together(parts, Gram.from_features(features))
    assert isinstance(found[1], DataError)
    assert "nothing differs" in str(found[1])
    assert [one.mapping["mapping_seed"] for one in (found[0], found[2])] == [0, 2]


def test_curves_of_feature_files_are_those_of_the_benchmark(whole, features):
    pls = dataclasses.replace(whole, metric=PLS(5))
    parts = with_subsets([pls], subsets(["20%", "100%"], seeds=2))
    table = Features.of({"a": features, "b": features[:, :200]}, stimulus_id=whole.stimuli.stimulus_id)
    rows = score_features(table, benchmarks=parts, resamples=10).rows({"model_id": "m"})
    assert len(rows) == 2 * 3
    assert set(rows["data_digest"]) == {whole.data_digest()}
    of_a = rows[(rows["layer"] == "a") & (rows["mapping_samples"] == 28)].set_index("mapping_seed")["raw_score"]
    for part in parts[:2]:
        assert of_a[part.subset.seed] == pytest.approx(part.score(features).score.raw_score, abs=1e-10)


@pytest.mark.parametrize("percent", [("10%", "100%")])
def test_a_curve_of_the_real_session(mirror, percent):
    session = dataclasses.replace(load_benchmark("cowley2023"), metric=OurRidge(1e3))
    X = rng.standard_normal((640, 20)) @ rng.standard_normal((20, 900)) + rng.standard_normal((640, 900))
    scored = [MappingBenchmark(session, one).score(X) for one in subsets(percent, seeds=1)]
    assert [one.mapping["mapping_samples"] for one in scored] == [57, 576]
