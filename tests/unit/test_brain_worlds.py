"""Worlds of the simulated stream: that of shapes stays as it was, that of digits rewards knowledge of digits."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from vvscale.brain import DIGITS, SHAPES, Preprocessing, Scenes, World, score_layers, simulate
from vvscale.brain.simulated.stream import NOISE
from vvscale.brain.simulated.worlds import SIZE, WORLDS
from vvscale.data import load_dataset
from vvscale.errors import UsageError

NEURAL = ["V1", "V2", "V4", "IT"]
SMALL = {"images_per_object": 3, "n_objects": 3, "n_repetitions": 2}

# Of a small stream of shapes: its images' digest, and the first numbers of everything made from them.
SHAPES_PIXELS = "69bc52e0ae7e9f6cbe881be9f1d5c34a44ffdff5d190a613a6ed64d4609050ad"
SHAPES_RESPONSES = {
    "V1": [-2.141890435, -3.480072498, 0.640726771],
    "V2": [2.176392378, -3.198366905, -1.132254995],
    "V4": [1.997124536, 0.429458444, 1.091569305],
    "IT": [4.29212451, -3.549530612, -0.95500491],
}
SHAPES_PROBABILITIES = [0.587888621, 0.141386954, 0.171688739, 0.099035687]
SHAPES_TRIALS = ([3, 20, 12, 7, 8], [3, 0, 1, 3, 0])


@pytest.fixture(scope="module")
def stream():
    return simulate(DIGITS)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def generating(stream, region):
    return stream.features["IT" if region == "behavior" else region]


def test_the_stream_of_shapes_is_what_it_was():
    made = simulate(seed=3, n_objects=4, images_per_object=10, n_neuroids=7, n_repetitions=3, trials_per_pair=4)
    assert hashlib.sha256(made.stimuli.pixels.tobytes()).hexdigest() == SHAPES_PIXELS
    for region, expected in SHAPES_RESPONSES.items():
        np.testing.assert_allclose(made.benchmark(region).assembly.responses[0, :3], expected, rtol=1e-6)
    np.testing.assert_allclose(made.probabilities.to_numpy()[0], SHAPES_PROBABILITIES, rtol=1e-6)
    trials = made.benchmark("behavior").trials
    assert (trials.image[:5].tolist(), trials.choice[:5].tolist()) == SHAPES_TRIALS


@pytest.mark.parametrize("region", [*NEURAL, "behavior"])
def test_the_generating_features_score_at_the_ceiling_and_shuffled_ones_at_zero(stream, region):
    features = generating(stream, region)
    benchmark = stream.benchmark(region)
    assert benchmark.score(features, resamples=1).score.score == pytest.approx(1, abs=0.04)
    shuffled = np.random.default_rng(0).permutation(features)
    assert abs(benchmark.score(shuffled, resamples=1).score.raw_score) < 0.1


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_ceilings_are_what_the_noise_implies(noise):
    made = simulate(DIGITS, images_per_object=20, n_neuroids=40, noise=noise)
    for region in NEURAL:
        assert made.expected_ceiling[region] == pytest.approx(1 / (1 + (noise * NOISE[region]) ** 2 / 20))
        assert made.benchmark(region).noise_ceiling == pytest.approx(made.expected_ceiling[region], abs=0.04)


def test_every_name_says_that_it_is_simulated(stream):
    assert stream.stimuli.is_simulated
    assert stream.stimuli.identifier == "simulated-digits"
    assert list(stream.benchmarks) == [
        f"simulated-digits.{name}" for name in ("V1-pls", "V2-pls", "V4-pls", "IT-pls", "behavior-i2n")
    ]
    assert [one.assembly.assembly_id for one in map(stream.benchmark, NEURAL)] == [
        f"simulated-digits.{region}" for region in NEURAL
    ]
    assert stream.benchmark("IT").score(stream.features["IT"], resamples=1).to_dict()["is_simulated"]
    assert list(WORLDS) == ["simulated", "simulated-digits"]


def test_a_seed_fixes_the_stream_and_trials_do_not_change_images():
    first, again, more, other = (
        simulate(DIGITS, **SMALL, **changed) for changed in ({}, {}, {"trials_per_pair": 30}, {"seed": 1})
    )
    assert first.stimuli.digest() == again.stimuli.digest() == more.stimuli.digest() != other.stimuli.digest()
    for name, benchmark in first.benchmarks.items():
        assert benchmark.data_digest() == again.benchmarks[name].data_digest() != other.benchmarks[name].data_digest()
    assert first.benchmark("IT").data_digest() == more.benchmark("IT").data_digest()


def test_no_image_shown_is_trained_on(stream, digits):
    table = stream.stimuli.table
    shown = table["held_out_image"].to_numpy()
    assert len(np.unique(shown)) == len(stream.stimuli) == 400
    assert (table["object_name"] == [f"digit{label}" for label in digits.val.labels[shown]]).all()
    trained_on = {digits.train.image(row).tobytes() for row in range(len(digits.train))}
    assert not trained_on & {digits.val.image(row).tobytes() for row in shown}
    # The label tells the truth: more often than 1 in 40, no other image of the digit is more like what is drawn.
    source = np.stack([digits.val.image(row)[..., 0] for row in shown]).reshape(400, -1)
    drawn = stream.stimuli.pixels[..., 0].reshape(400, 8, SIZE // 8, 8, SIZE // 8).mean((2, 4)).reshape(400, -1)
    alike = np.corrcoef(drawn, source)[:400, 400:]
    same_digit = table["object_name"].to_numpy()[:, None] == table["object_name"].to_numpy()
    assert (np.where(same_digit, alike, -1).argmax(1) == np.arange(400)).mean() > 0.3


def test_it_knows_nearly_every_digit():
    scenes = DIGITS.draw(np.random.default_rng(5), 10, 40)
    assert scenes.known.shape == (400, 14)
    assert 0.9 < (scenes.known[:, :10].argmax(1) == scenes.object_of).mean() < 1
    np.testing.assert_allclose(scenes.known.std(0), [0.5] * 10 + [0.2] * 4)
    assert scenes.luminance.min() >= 0
    assert 0.9 < scenes.luminance.max() <= 1


def test_knowing_digits_better_raises_it_and_behaviour_and_not_v1(stream, tmp_path):
    from vvscale.models import load_model
    from vvscale.train import RunSpec, load_recipe, train

    layers = {"V1": "conv1", "V2": "layer1", "V4": "layer2", "IT": "layer3", "behavior": "avgpool"}
    scores, accuracy = {}, {}
    for n in (1, 100):
        spec = RunSpec("resnetflex-w12-d1-1-1", "digits", load_recipe("tiny"), samples_per_class=n, seed=1)
        accuracy[n] = train(spec, out=tmp_path / str(n), device="cpu").accuracy
        loaded = load_model(str(tmp_path / str(n)))
        made = score_layers(
            loaded.module,
            benchmarks=list(stream.benchmarks.values()),
            layers=layers,
            preprocessing=Preprocessing.from_record("brainscore", loaded.record["preprocessing"]),
            resamples=1,
        )
        scores[n] = made.table().set_index("region")["score"]
    assert accuracy[100] > accuracy[1] + 0.2
    gained = scores[100] - scores[1]
    assert abs(gained["V1"]) < 0.03
    assert gained["IT"] > 0.1
    assert gained["behavior"] > 0.1


def test_few_images_leave_an_observer_without_preferences():
    made = simulate(n_objects=4, images_per_object=5, n_repetitions=2)
    of_shown = np.sort(made.probabilities.to_numpy(), axis=1)
    np.testing.assert_allclose(of_shown, np.tile([1, 1, 1, np.exp(1.5)], (20, 1)) / (3 + np.exp(1.5)))


def test_a_world_of_ones_own():
    def stripes(rng, n_objects, images_per_object):
        object_of = np.tile(np.arange(n_objects), images_per_object)
        phase = rng.uniform(0, 2 * np.pi, len(object_of))
        x = np.linspace(0, 4 * np.pi, SIZE)
        luminance = np.stack(
            [
                np.broadcast_to(0.5 + 0.5 * np.sin((1 + k) * x + p), (SIZE, SIZE))
                for k, p in zip(object_of, phase, strict=True)
            ]
        )
        names = np.array(["wide", "xnarrow"])[object_of]
        known = np.column_stack((object_of, np.cos(phase), np.sin(phase)))
        return Scenes(luminance, object_of, known, {"object_name": names})

    made = simulate(World("stripes", stripes, 2), images_per_object=10, n_repetitions=4)
    assert made.benchmark("IT").benchmark_id == "stripes.IT-pls"
    assert made.stimuli.stimulus_id[0] == "stripes00000"
    assert made.probabilities.columns.tolist() == ["wide", "xnarrow"]


@pytest.mark.parametrize(
    ("world", "changed", "text"),
    [
        (DIGITS, {"n_objects": 11}, "Got n_objects=11 and images_per_object=40; expected at most 10 digits"),
        (DIGITS, {"images_per_object": 71}, "and 70 images of each, which are all that no network trains on"),
        (DIGITS, {"n_objects": 1}, "at least 2 objects"),
        (SHAPES, {"n_objects": 0}, "at least 2 objects"),
    ],
)
def test_a_world_that_cannot_be_is_refused(world, changed, text):
    with pytest.raises(UsageError, match=text):
        simulate(world, **changed)


def test_a_stream_is_the_same_bits_whatever_the_number_of_threads():
    digests = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads):
            digests.append([one.data_digest() for one in simulate(DIGITS).benchmarks.values()])
    assert digests[0] == digests[1] == digests[2]
