from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vvscale.brain import Gram
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.simulated.stream import NOISE, simulate
from vvscale.errors import DataError, MissingDataError, ShapeError, UnknownNameError, UsageError

NEURAL = ["V1", "V2", "V4", "IT"]


@pytest.fixture(scope="module")
def stream():
    return simulate(n_neuroids=40)


def generating(stream, region):
    return stream.features["IT" if region == "behavior" else region]


@pytest.mark.parametrize("region", [*NEURAL, "behavior"])
def test_the_generating_features_score_at_the_ceiling(stream, region):
    result = stream.benchmark(region).score(generating(stream, region), resamples=200)
    assert result.score.score == pytest.approx(1, abs=0.04)
    assert result.score.low < result.score.score < result.score.high


@pytest.mark.parametrize("region", [*NEURAL, "behavior"])
def test_shuffled_images_score_at_zero(stream, region):
    shuffled = np.random.default_rng(0).permutation(generating(stream, region))
    assert abs(stream.benchmark(region).score(shuffled, resamples=20).score.raw_score) < 0.1


@pytest.mark.parametrize("region", NEURAL)
def test_each_region_is_predicted_best_by_its_own_features(stream, region):
    benchmark = stream.benchmark(region)
    scores = {name: benchmark.score(table, resamples=1).score.score for name, table in stream.features.items()}
    assert max(scores, key=scores.get) == region


def test_more_noise_lowers_the_ceiling_as_theory_says(stream):
    loud = simulate(n_neuroids=40, noise=2.0)
    for region in NEURAL:
        quiet_ceiling, loud_ceiling = (made.benchmark(region).noise_ceiling for made in (stream, loud))
        assert quiet_ceiling == pytest.approx(stream.expected_ceiling[region], abs=0.02)
        assert loud_ceiling == pytest.approx(loud.expected_ceiling[region], abs=0.03)
        assert loud_ceiling < quiet_ceiling - 0.1
        assert loud.expected_ceiling[region] == pytest.approx(1 / (1 + (2 * NOISE[region]) ** 2 / 20))


def test_everything_simulated_says_so(stream):
    assert stream.stimuli.is_simulated
    assert all(name.startswith("simulated.") for name in stream.benchmarks)
    row = stream.benchmark("V4").score(stream.features["V4"], resamples=1).to_dict()
    assert row["is_simulated"]
    assert row["benchmark_id"] == "simulated.V4-pls"
    assert row["region"] == "V4"
    assert row["formula"] == "r^2/c"


def test_a_seed_fixes_the_stream_and_trials_do_not_change_images():
    small = {"images_per_object": 3, "n_objects": 3, "n_repetitions": 2}
    first, again, other = simulate(**small), simulate(**small), simulate(**small, seed=1)
    more = simulate(**small, trials_per_pair=30)
    assert first.stimuli.digest() == again.stimuli.digest() == more.stimuli.digest() != other.stimuli.digest()
    for region in NEURAL:
        a, b = (made.benchmark(region).assembly.responses for made in (first, more))
        np.testing.assert_array_equal(a, b)


def test_a_stream_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match="at least 2 objects"):
        simulate(n_objects=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'V1'"):
        simulate(images_per_object=2, n_repetitions=2).benchmark("v1")


@pytest.mark.parametrize("region", ["V4", "behavior"])
def test_rows_are_found_by_stimulus_id(stream, region):
    benchmark, table = stream.benchmark(region), generating(stream, region)
    expected = benchmark.score(table, resamples=1).score.raw_score
    order = np.random.default_rng(0).permutation(len(table))
    more = np.concatenate((table[order], np.zeros((1, table.shape[1]))))
    names = [*stream.stimuli.stimulus_id[order], "another image"]
    given = benchmark.score(more, stimulus_id=names, resamples=1).score.raw_score
    assert given == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n_features", [25, 400])
@pytest.mark.parametrize("region", ["V4", "behavior"])
def test_a_gram_serves_in_place_of_features(stream, region, n_features):
    benchmark, table = stream.benchmark(region), generating(stream, region)
    table = table @ np.random.default_rng(0).standard_normal((table.shape[1], n_features))
    expected = benchmark.score(table, resamples=1).score.raw_score
    order = np.random.default_rng(0).permutation(len(table))
    gram = Gram.from_features(table[order], standardize=benchmark.needs.kind == "standardized")
    names = stream.stimuli.stimulus_id[order]
    given = benchmark.score(gram, stimulus_id=names, resamples=1).score.raw_score
    assert given == pytest.approx(expected, abs=1e-6)


def test_the_readout_refuses_features_in_their_own_units(stream):
    with pytest.raises(DataError, match="standardize=True"):
        stream.benchmark("behavior").score(Gram.from_features(stream.features["IT"]))


def test_a_part_of_a_gram_is_that_of_the_part():
    features = np.random.default_rng(0).standard_normal((20, 15)) + 3
    for table in (features, features[:, :6]):
        part = Gram.from_features(table).take([3, 1, 9, 12])
        np.testing.assert_allclose(part.dense(), Gram.from_features(table[[3, 1, 9, 12]]).dense(), atol=1e-10)
        assert part.n_images == 4


def test_errors_of_alignment_name_the_image(stream):
    benchmark, table = stream.benchmark("V1"), stream.features["V1"]
    names = stream.stimuli.stimulus_id.copy()
    with pytest.raises(ShapeError, match=f"features of {len(table) - 1} images and {len(table)} labels"):
        benchmark.score(table[1:])
    with pytest.raises(MissingDataError, match="lack 1 of the 320 images needed, first 'simulated00000'"):
        benchmark.score(table[1:], stimulus_id=names[1:])
    names[5] = names[4]
    with pytest.raises(DataError, match="'simulated00004' more than once"):
        benchmark.score(table, stimulus_id=names)
    with pytest.raises(MissingDataError, match="no label 'texture_type'; it has object_name"):
        replace(benchmark, stratify_by="texture_type").score(table)


def assembly(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "assembly_id": "made-up",
        "region": "V1",
        "responses": rng.standard_normal((6, 2)),
        "stimulus_id": np.array(["b", "a", "b", "a", "b", "c"]),
        "repetition": np.array([0, 0, 1, 1, 2, 0]),
        "neuroid_id": np.array(["n1", "n2"]),
    }
    return Assembly(**{**fields, **changes})


def test_an_assembly_averages_repetitions_sorted_by_image():
    made = assembly()
    expected = pd.DataFrame(made.responses, columns=made.neuroid_id).groupby(made.stimulus_id).mean()
    pd.testing.assert_frame_equal(made.mean, expected, check_names=False)
    assert made.mean.index.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"repetition": np.zeros(5)}, ShapeError, "5 labels 'repetition' for 6 presentations"),
        ({"neuroid_id": np.array(["n1"])}, ShapeError, "1 labels 'neuroid_id' for 2 neuroids"),
        ({"neuroid_id": np.array(["n1", "n1"])}, DataError, "neuroid_id 'n1' more than once"),
        ({"responses": np.full((6, 2), np.nan)}, DataError, "has no response at all"),
    ],
)
def test_an_assembly_that_does_not_fit_together_is_refused(changes, kind, text):
    with pytest.raises(kind, match=text):
        assembly(**changes)


def stimuli(tmp_path, content=b"pixels", **changes):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    table = pd.DataFrame({"object_name": ["cat"]}, index=["image"])
    return StimulusSet(**{"identifier": "set", "table": table, "degrees": 8.0, "paths": (path,), **changes})


def test_a_digest_changes_with_every_input(tmp_path):
    plain = stimuli(tmp_path).digest()
    assert plain == stimuli(tmp_path).digest()
    others = [
        stimuli(tmp_path, degrees=4.0).digest(),
        stimuli(tmp_path, identifier="other").digest(),
        stimuli(tmp_path, table=pd.DataFrame({"object_name": ["dog"]}, index=["image"])).digest(),
        stimuli(tmp_path, paths=(), pixels=np.zeros((1, 2, 2, 3), np.uint8)).digest(),
        stimuli(tmp_path, paths=(), pixels=np.ones((1, 2, 2, 3), np.uint8)).digest(),
        stimuli(tmp_path, paths=(), pixels=np.ones((1, 1, 4, 3), np.uint8)).digest(),
        stimuli(tmp_path, content=b"other pixels").digest(),
    ]
    assert len({plain, *others}) == 8


def test_a_stimulus_set_that_does_not_fit_together_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="0 images and 1 rows"):
        stimuli(tmp_path, paths=())
    twice = pd.DataFrame({"object_name": ["cat", "cat"]}, index=["image", "image"])
    with pytest.raises(DataError, match="stimulus_id 'image' more than once"):
        stimuli(tmp_path, table=twice)
