"""The two rules of preprocessing against the libraries that define them: torchvision on PIL, and OpenCV."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from vvscale.brain import Preprocessing, StimulusSet
from vvscale.brain.inputs.preprocess import IMAGENET_MEAN, IMAGENET_STD, resize_without_antialias
from vvscale.errors import ConfigError, UnknownNameError

rng = np.random.default_rng(0)
SIZES = [(320, 320), (256, 256), (64, 64), (301, 457), (1, 1), (2, 300), (640, 640)]


def stimuli(tmp_path, image, degrees=8.0, name="image.png"):
    image.save(tmp_path / name)
    return StimulusSet("made-up", pd.DataFrame(index=["image"]), degrees=degrees, paths=(tmp_path / name,))


def picture(height, width, mode="RGB"):
    smooth = rng.integers(0, 256, (max(height // 8, 1), max(width // 8, 1), 3)).astype(np.uint8)
    return Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize("size", SIZES)
def test_brainscore_is_torchvision_on_pil(tmp_path, size, mode):
    image = picture(*size, mode)
    canvas = Image.new("RGB", image.size)
    canvas.paste(image)
    reference = transforms.Compose(
        [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )(canvas)
    got = Preprocessing("brainscore").batch(stimuli(tmp_path, image), [0])
    assert got.dtype == np.float32
    assert got.shape == (1, 3, 224, 224)
    np.testing.assert_array_equal(got[0], reference.numpy())


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", SIZES)
def test_gokce2025_is_opencv_without_antialias(tmp_path, size, mode):
    image = picture(*size, mode)
    resized = cv2.resize(np.array(image.convert("RGB")), (256, 256), interpolation=cv2.INTER_LINEAR)
    scaled = resized[16:240, 16:240].astype(np.float32)
    scaled -= np.array(IMAGENET_MEAN, np.float32) * 255
    scaled *= 1 / (np.array(IMAGENET_STD, np.float32) * 255)
    got = Preprocessing("gokce2025").batch(stimuli(tmp_path, image), [0])
    np.testing.assert_allclose(got[0], scaled.transpose(2, 0, 1), atol=1e-6)


# Every pair of sizes has its own fixed-point weights, so many are tried.
@given(st.integers(1, 300), st.integers(1, 300), st.integers(2, 280), st.integers(0, 2**32 - 1))
def test_the_fixed_point_numbers_are_opencvs(height, width, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    expected = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_without_antialias(pixels, size), expected)
    crop = max(1, size - 3)
    low = (size - crop) // 2
    part = expected[low : low + crop, low : low + crop]
    np.testing.assert_array_equal(resize_without_antialias(pixels, size, crop), part)


def test_the_study_sees_less_of_the_canvas_than_the_reference(tmp_path):
    shown = stimuli(tmp_path, Image.new("RGB", (320, 320), (255, 255, 255)), degrees=4.0)
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    gray = ((128 / 255 - mean) / std).astype(np.float32)[:, None, None]
    shares = {
        name: float(np.isclose(Preprocessing(name).batch(shown, [0])[0], gray, atol=1e-6).all(0).mean())
        for name in ("brainscore", "gokce2025")
    }
    # A quarter of the canvas is the image; the study cuts 1/16 of it off each side.
    assert shares["brainscore"] == pytest.approx(0.75, abs=0.01)
    assert shares["gokce2025"] == pytest.approx(1 - (128 / 224) ** 2, abs=0.01)


@pytest.mark.parametrize("name", ["brainscore", "gokce2025"])
def test_rows_come_in_the_order_asked_for_from_threads_and_pickles(name):
    pixels = rng.integers(0, 256, (6, 40, 50, 3)).astype(np.uint8)
    table = pd.DataFrame(index=[f"image{number}" for number in range(6)])
    shown, rule = StimulusSet("made-up", table, degrees=8.0, pixels=pixels), Preprocessing(name, image_size=32)
    whole = rule.batch(shown, range(6))
    np.testing.assert_array_equal(rule.batch(shown, [4, 0, 4]), whole[[4, 0, 4]])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(rule)).batch(pickle.loads(pickle.dumps(shown)), [1]), whole[1:2]
    )
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda row: rule.batch(shown, [row]), range(6)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert rule.batch(shown, []).shape == (0, 3, 32, 32)


def test_a_digest_changes_with_every_setting():
    plain = Preprocessing("gokce2025")
    others = [
        Preprocessing("brainscore"),
        replace(plain, image_size=192),
        replace(plain, resize=288),
        replace(plain, mean=(0.5, 0.5, 0.5)),
        replace(plain, std=(0.5, 0.5, 0.5)),
        replace(plain, visual_degrees=7.0),
    ]
    assert len({one.digest() for one in (plain, *others)}) == 7
    assert plain.digest() == Preprocessing("gokce2025").digest()


def test_settings_of_a_model_are_taken_from_its_record():
    record = {"image_size": 160, "resize": 176, "mean": [0.5] * 3, "std": [0.25] * 3}
    study = Preprocessing.from_record("gokce2025", record)
    assert (study.image_size, study.resize, study.mean, study.std) == (160, 176, (0.5,) * 3, (0.25,) * 3)
    reference = Preprocessing.from_record("brainscore", record, visual_degrees=6)
    assert (reference.image_size, reference.resize, reference.visual_degrees) == (160, None, 6)
    assert Preprocessing.from_record("gokce2025", {"image_size": 224}) == Preprocessing("gokce2025")
    assert Preprocessing.from_record("gokce2025", {}) == Preprocessing("gokce2025")
    smaller = Preprocessing.from_record("gokce2025", {"image_size": 224, "resize": 300}, image_size=112)
    assert (smaller.image_size, smaller.resize) == (112, 128)
    pixels = np.full((1, 8, 8, 3), 255, np.uint8)
    shown = StimulusSet("white", pd.DataFrame(index=["white"]), degrees=8.0, pixels=pixels)
    assert (study.batch(shown, [0]) == 2).all()


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"name": "brainscor"}, UnknownNameError, "Did you mean 'brainscore'"),
        ({"image_size": 0}, ConfigError, "image_size=0"),
        ({"visual_degrees": 0}, ConfigError, "visual_degrees=0"),
        ({"visual_degrees": float("nan")}, ConfigError, "visual_degrees=nan"),
        ({"mean": (0.5, 0.5)}, ConfigError, "mean"),
        ({"mean": (0.5, 0.5, float("inf"))}, ConfigError, "mean"),
        ({"std": (0.5, 0.0, 0.5)}, ConfigError, "above 0"),
        ({"resize": 256}, ConfigError, "straight to image_size"),
        ({"name": "gokce2025", "resize": 200}, ConfigError, "below image_size=224"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, kind, text):
    with pytest.raises(kind, match=text):
        Preprocessing(**settings)


def test_a_model_takes_the_batch_as_it_is():
    pixels = rng.integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    shown = StimulusSet("made-up", pd.DataFrame(index=["a", "b"]), degrees=8.0, pixels=pixels)
    tensor = torch.from_numpy(Preprocessing(image_size=16).batch(shown, [0, 1]))
    assert torch.nn.Conv2d(3, 2, 3)(tensor).shape == (2, 2, 14, 14)
