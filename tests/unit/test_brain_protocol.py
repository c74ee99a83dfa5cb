"""A benchmark is stimuli, assembly, metric, design and ceiling: each combination says what it does, on the row too."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vvscale.brain import (
    PLS,
    Assembly,
    Gram,
    KFold,
    NeuralBenchmark,
    Rdms,
    Ridge,
    RidgeCV,
    Shipped,
    StimulusSet,
    TrainTest,
    Variance,
    record,
    score_layers,
    simulate,
)
from vvscale.brain.benchmarks.design import design_by_name
from vvscale.brain.ceilings.ceiling import (
    internal_consistency,
    rdm_noise_ceiling,
    variance_ceiling,
)
from vvscale.brain.ceilings.rules import ceiling_by_name
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.metrics.metric import metric_by_name
from vvscale.brain.metrics.splits import Splits
from vvscale.errors import ConfigError, DataError, ShapeError, UnknownNameError, UsageError

N, Q, R = 60, 12, 6


def recordings(seed=0, noise=1.0, n_neuroids=Q):
    """Return (R, N, q) responses that share a signal with the features, some neuroids noisier than others."""
    rng = np.random.default_rng(seed)
    signal = features() @ rng.standard_normal((30, n_neuroids)) / 5
    return signal + noise * np.linspace(0.5, 6, n_neuroids) * rng.standard_normal((R, N, n_neuroids))


def features():
    return np.random.default_rng(99).standard_normal((N, 30))


IDS = [f"im{number:03d}" for number in range(N)]
TABLE = pd.DataFrame({"kind": [f"k{number % 3}" for number in range(N)],
                      "split": ["test" if number % 5 == 0 else "train" for number in range(N)]}, index=IDS)  # fmt: skip
STIMULI = StimulusSet("s", TABLE, 8.0, np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8))


def assembly(seed=0, name="a", **options):
    cube = recordings(seed, **options)
    return Assembly.from_cube(name, "IT", cube, IDS, [f"{name}-{number}" for number in range(cube.shape[2])])


def benchmark(given=None, **fields):
    fields = {"stratify_by": "kind", "metric": PLS(5), **fields}
    return NeuralBenchmark("Made.IT", 1, STIMULI, given or assembly(), **fields)


def test_subjects_are_scored_apart_and_averaged():
    both = (assembly(0, "a"), assembly(1, "b", n_neuroids=7))
    apart = [benchmark(one).score(features(), resamples=20).score for one in both]
    together = benchmark(both).score(features(), resamples=20)
    for name in ("score", "raw_score", "ceiling"):
        assert getattr(together.score, name) == pytest.approx(np.mean([getattr(one, name) for one in apart]))
    assert together.score.rule == "split-half ceiling; mean over 2 subjects; scores above 1 kept"
    assert together.detail.r.shape == (10, Q + 7)
    assert together.score.low < together.score.score < together.score.high
    assert together.score.raw_error == pytest.approx(np.hypot(*[one.raw_error for one in apart]) / 2)
    assert together.detail.to_dict()["subjects"][1]["raw_score"] == apart[1].raw_score


def test_unreliable_neuroids_are_left_out_of_score_and_ceiling():
    whole = benchmark(metric=Ridge(10.0, "mean"))
    own = whole.parts[0].ceiling.by_neuroid
    least = float(np.sort(own)[4]) + 1e-6
    made = replace(whole, min_ceiling=least)
    kept = own >= least
    assert made.rule == f"split-half ceiling; 5 of {Q} neuroids below {least:g} left out; scores above 1 kept"
    every = assembly()
    some = replace(every, responses=every.responses[:, kept], neuroid_id=every.neuroid_id[kept])
    by_hand = benchmark(some, metric=Ridge(10.0, "mean"))
    assert made.score(features(), resamples=3).score.raw_score == pytest.approx(
        by_hand.score(features(), resamples=3).score.raw_score, abs=1e-12
    )
    assert made.noise_ceiling == pytest.approx(by_hand.noise_ceiling, abs=1e-12)
    with pytest.raises(DataError, match="None of the 12 neuroids of 'a' has a ceiling of 2 or more"):
        _ = replace(whole, min_ceiling=2.0).noise_ceiling
    with pytest.raises(UsageError, match="`min_ceiling` needs a ceiling for each neuroid"):
        _ = replace(whole, ceiling=0.5, min_ceiling=0.1).parts[0].target


@pytest.mark.parametrize("formula", ["mean(r/sqrt(c))", "median(r^2/c)", "mean(r/c)"])
def test_each_neuroid_may_be_related_to_its_own_ceiling(formula):
    reliability = np.linspace(0.2, 0.9, Q)
    made = benchmark(replace(assembly(), reliability=reliability), ceiling="shipped", formula=formula,
                     design=TrainTest(), metric=Ridge(10.0, "mean"))  # fmt: skip
    r = made.measure(features())[0].r[0]
    expected = {
        "mean(r/sqrt(c))": np.mean(r / np.sqrt(reliability)),
        "median(r^2/c)": np.median(r**2 / reliability),
        "mean(r/c)": np.mean(r / reliability),
    }[formula]
    score = made.score(features(), resamples=50).score
    assert score.score == pytest.approx(expected, abs=1e-12)
    assert score.low < score.score < score.high
    assert score.ceiling == pytest.approx(reliability.mean())


def test_a_neuroid_without_signal_is_left_out_by_name_or_explodes_where_that_is_asked_for():
    reliability = np.r_[0.0, np.full(Q - 1, 0.8)]
    given = replace(assembly(), reliability=reliability)
    made = benchmark(given, ceiling="shipped", formula="mean(r/sqrt(c))", metric=Ridge(10.0, "mean"))
    score = made.score(features(), resamples=3).score
    assert score.rule == "shipped ceiling; 1 neuroids with a ceiling of 0 or less left out; scores above 1 kept"
    assert score.score == pytest.approx(np.mean(made.measure(features())[0].r[:, 1:].mean(0)) / np.sqrt(0.8))
    loose = replace(made, epsilon=1e-6).score(features(), resamples=3).score
    assert abs(loose.score - score.score) > 1
    assert loose.rule == "shipped ceiling; 1e-06 added to ceilings; scores above 1 kept"
    none = replace(made, assembly=replace(given, reliability=np.zeros(Q)))
    with pytest.raises(DataError, match="The ceiling is 0; expected a number above 0"):
        none.score(features(), resamples=3)


def test_scores_above_one_are_kept_or_clipped_as_the_row_says():
    made = benchmark(ceiling=0.05, metric=Ridge(1.0))
    kept = made.score(features(), resamples=30).score
    assert kept.score > 1
    clipped = replace(made, above_one="clip").score(features(), resamples=30).score
    assert clipped.score == clipped.high == 1.0
    assert clipped.rule == "shipped ceiling; scores above 1 clipped"
    with pytest.raises(UnknownNameError, match="Unknown rule for scores above 1 'cut'"):
        replace(made, above_one="cut").score(features(), resamples=3)


def test_fixed_images_train_and_test_and_the_ceiling_is_of_the_test():
    made = benchmark(design="train-test", ceiling="variance", metric=RidgeCV((1.0, 10.0, 100.0)))
    [outcome] = made.measure(features())
    assert outcome.is_test.tolist() == [(TABLE["split"] == "test").tolist()]
    tested = assembly().of_images(TABLE.index[TABLE["split"] == "test"])
    expected = variance_ceiling(tested.responses, stimulus_id=tested.stimulus_id, repetition=tested.repetition)
    assert made.noise_ceiling == pytest.approx(expected.ceiling)
    similar = replace(made, metric="cka", ceiling=None, formula=None)
    rows = np.flatnonzero(TABLE["split"] == "test")
    alone = benchmark(tested, metric="cka", stratify_by=None)
    found = similar.score(features(), resamples=3).score
    assert found.raw_score == pytest.approx(alone.measure(features())[0].raw_score, abs=1e-12)
    assert (found.formula, found.rule, len(rows)) == ("r", "no ceiling", 12)


def test_every_image_tests_once_in_folds():
    made = benchmark(design=KFold(6), stratify_by=None)
    is_test = made.measure(features())[0].is_test
    assert is_test.shape == (6, N)
    assert (is_test.sum(0) == 1).all()
    assert np.flatnonzero(is_test[0]).tolist() == list(range(10))
    stratified = benchmark(design=KFold(5, seed=1)).measure(features())[0].is_test
    assert all(pd.Series(TABLE["kind"].to_numpy()[fold]).value_counts().eq(4).all() for fold in stratified)


class Few:
    """Fewer training images than do not test."""

    name = "few"

    def splits(self, images, strata, stimuli):
        number = np.arange(len(images))
        return Splits((number < 30)[None], (number >= 50)[None])


def test_a_split_may_leave_images_unused():
    made = benchmark(design=Few(), metric=Ridge(10.0))
    [outcome] = made.measure(features())
    assert outcome.predictions[0].shape == (10, Q)
    table = assembly().mean.to_numpy()
    from sklearn.linear_model import Ridge as TheirRidge

    expected = TheirRidge(10.0).fit(features()[:30], table[:30]).predict(features()[50:])
    np.testing.assert_allclose(outcome.predictions[0], expected, atol=1e-9)


def test_dissimilarities_of_subjects_have_a_noise_ceiling_together():
    subjects = tuple(assembly(seed, f"m{seed}") for seed in range(3))
    made = benchmark(subjects, metric="rsa")
    rdms = np.stack([1 - np.corrcoef(one.mean.to_numpy()) for one in subjects])
    assert (made.ceiling.name, made.formula) == ("rdm-noise", "r/c")
    assert made.noise_ceiling == pytest.approx(rdm_noise_ceiling(rdms)[1])
    given = NeuralBenchmark("Made.rdm", 1, STIMULI, Rdms("r", "IT", rdms, np.array(IDS)), metric="rsa")
    a, b = (one.score(features(), resamples=5).score for one in (made, given))
    assert (a.score, a.raw_score) == pytest.approx((b.score, b.raw_score))
    assert given.n_targets == 3
    with pytest.raises(UsageError, match="expected metric='rsa'"):
        replace(given, metric="cka")


def test_the_variance_ceiling_has_its_closed_form():
    cube = recordings()
    args = {"stimulus_id": np.tile(IDS, R), "repetition": np.repeat(np.arange(R), N)}
    rows = cube.reshape(-1, Q)
    z = (cube - cube.mean(1, keepdims=True)) / cube.std(1, keepdims=True)
    noise = z.var(0, ddof=1).mean(0)
    signal = np.maximum(0, 1 - noise)
    snr = signal / np.maximum(noise, 1e-12)
    np.testing.assert_allclose(variance_ceiling(rows, **args).r[0], snr / (snr + 1 / R), atol=1e-14)
    # Both estimate the same reliability.
    halves = internal_consistency(rows, **args).by_neuroid
    np.testing.assert_allclose(variance_ceiling(rows, **args).r[0], halves, atol=0.12)
    with pytest.raises(DataError, match="incomplete in repetition"):
        variance_ceiling(rows[1:], stimulus_id=args["stimulus_id"][1:], repetition=args["repetition"][1:])
    twice = {name: np.append(labels, labels[3]) for name, labels in args.items()}
    with pytest.raises(DataError, match=f"image '{IDS[3]}' was shown 2 times in repetition '0'"):
        variance_ceiling(np.vstack((rows, rows[3])), **twice)


def test_missing_responses_are_left_out_of_means_and_halves():
    cube = recordings()
    cube[2, 7, 3] = np.nan
    made = Assembly.from_cube("a", "IT", cube, IDS, list(range(Q)))
    np.testing.assert_allclose(made.mean.to_numpy(), np.nanmean(cube, 0))
    cube[:, 7, 3] = np.nan
    with pytest.raises(DataError, match="Neuroid '3' of 'a' has no response to image 'im007'"):
        _ = Assembly.from_cube("a", "IT", cube, IDS, list(range(Q))).mean


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.flat = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()
        self.fc = nn.Linear(4 * 36, 20)

    def forward(self, x):
        return self.fc(self.flat(self.relu(self.conv(x))))


class Itself:
    """A metric of one's own that needs the features themselves."""

    name, needs = "own", "features"

    def measure(self, table, target):
        return PLS(3).measure(Gram.from_features(table), target)


def test_all_metrics_come_out_of_one_pass_over_the_images():
    torch.manual_seed(0)
    net, given = Net(), assembly()
    stream = simulate(images_per_object=10, n_repetitions=4, n_neuroids=6)
    metrics = [PLS(3), Ridge(10.0), RidgeCV((1.0, 10.0)), "rsa", "cka", "cka-biased", Itself()]
    made = [replace(benchmark(given), benchmark_id=f"b{number}", metric=metric, ceiling=None, formula=None)
            for number, metric in enumerate(metrics)]  # fmt: skip
    pre = Preprocessing(image_size=8)
    scores = score_layers(net, benchmarks=made, layers="all", preprocessing=pre, resamples=3)
    assert scores.usage.n_forward == N
    assert not scores.failures
    images = pre.batch(STIMULI, range(N))
    recorded = record(net, [images], ["conv", "relu", "flat", "fc"])
    for one in scores.scores:
        index = int(one.benchmark_id[1:])
        direct = made[index].score(recorded[one.layer].astype(np.float64), resamples=3).score
        assert one.score.raw_score == pytest.approx(direct.raw_score, abs=1e-6), (one.layer, metrics[index])
    rows = scores.rows({"model_id": "m"})
    assert set(rows["ceiling_rule"]) == {"split-half ceiling; scores above 1 kept", "no ceiling"}
    assert rows.loc[rows["benchmark_id"] == "b2", "metric_note"].notna().any()
    # A readout of behaviour takes part in a pass of its own stimuli.
    both = score_layers(net, benchmarks=[stream.benchmark("V1"), stream.benchmark("behavior")], layers=["fc"],
                        preprocessing=pre, resamples=3)  # fmt: skip
    assert both.usage.n_forward == 80


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: metric_by_name("plz"), UnknownNameError, "Unknown metric 'plz'. Did you mean 'pls'"),
        (lambda: metric_by_name("pls", components=3), ConfigError, "The metric 'pls' has no setting 'components'"),
        (lambda: metric_by_name(3), UsageError, "Got 3 as a metric"),
        (lambda: metric_by_name(PLS), UsageError, "as a metric; expected one of pls"),
        (lambda: design_by_name("kfold"), UnknownNameError, "Unknown design 'kfold'. Did you mean 'k-fold'"),
        (lambda: design_by_name(3), UsageError, "Got 3 as a design"),
        (lambda: ceiling_by_name("split_half"), UnknownNameError, "Did you mean 'split-half'"),
        (lambda: ceiling_by_name(Variance), UsageError, "as a ceiling"),
        (lambda: ceiling_by_name(80), DataError, "Shipped ceilings reach 80"),
        (lambda: benchmark(ceiling=Shipped((0.1, 0.2))).noise_ceiling, ShapeError, "2 shipped ceilings for 12"),
        (lambda: benchmark(ceiling="rdm-noise").noise_ceiling, UsageError, "is of dissimilarities of several"),
        (lambda: RidgeCV(()), ConfigError, "at least one"),
        (lambda: benchmark(design=TrainTest(test="never")).parts[0].target, ShapeError, "0 of 60 images are test"),
        (lambda: benchmark(design=TrainTest(test_ids=("x",))).parts[0].target, DataError, "first 'x'"),
        (lambda: benchmark((assembly(), replace(assembly(), region="V4"))), UsageError, "expected one"),
        (lambda: Rdms("r", "IT", np.zeros((2, 3, 4)), np.array(["a"])), ShapeError, "n_subjects"),
    ],
)
def test_what_is_no_metric_design_or_ceiling_is_named(make, kind, text):
    with pytest.raises(kind, match=text):
        make()
