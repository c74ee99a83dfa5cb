"""Placement on the screen: the reference's rule, its rounding, and its counts of grey pixels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vvscale.brain import Preprocessing, StimulusSet
from vvscale.brain.inputs.screen import GRAY, as_rgb, open_stimulus, place_on_screen
from vvscale.data.prepare.decode import UnreadableError, decode, read_header
from vvscale.errors import DataError, MissingDataError, ShapeError


def noise(width, height):
    # Never exactly grey, so that grey pixels are those of the canvas.
    return Image.fromarray(np.random.default_rng(0).integers(0, 128, (height, width, 3)).astype(np.uint8))


def stimulus_set(pixels=None, paths=(), degrees=4.0):
    n = len(paths) if pixels is None else len(pixels)
    table = pd.DataFrame(index=[f"image{number}" for number in range(n)])
    return StimulusSet("made-up", table, degrees=degrees, pixels=pixels, paths=tuple(paths))


def test_equal_angles_leave_the_image_as_it_is():
    image = noise(5, 5)
    assert place_on_screen(image, source_degrees=8, target_degrees=8) is image


def test_a_smaller_image_stands_in_the_middle_of_grey():
    placed = np.asarray(place_on_screen(noise(320, 320), source_degrees=4, target_degrees=8))
    assert placed.shape == (640, 640, 3)
    np.testing.assert_array_equal(placed[160:480, 160:480], np.asarray(noise(320, 320)))
    outside = np.ones((640, 640), bool)
    outside[160:480, 160:480] = False
    assert (placed[outside] == GRAY).all()


def test_the_references_numbers_for_its_own_image_size(tmp_path):
    image = noise(1855, 1855)
    assert place_on_screen(image, source_degrees=10, target_degrees=8).size == (1484, 1484)
    assert place_on_screen(image, source_degrees=10, target_degrees=12).size == (2226, 2226)
    canvas = place_on_screen(image, source_degrees=8, target_degrees=10)
    assert (np.asarray(canvas) == GRAY).all(-1).sum() == 2319**2 - 1855**2
    # The reference expects .11658 of a JPEG file, where blocks at the border of the image are not quite grey.
    canvas.save(tmp_path / "canvas.jpg")
    saved = np.asarray(Image.open(tmp_path / "canvas.jpg"))
    is_gray = (saved == GRAY).all(-1)
    assert is_gray.sum() / saved.size == pytest.approx(0.11658, abs=1e-3)
    assert is_gray[48, 48]


# The reference's tests expect these shares of grey pixels (per value of the image) for one image of each public set:
# how many grey pixels the image has, of those how many in the middle 3/4, its size and angle, and the shares at 14
# and at 6 degrees.
@pytest.mark.parametrize(
    ("n_gray", "n_central", "size", "degrees", "at_14", "at_6"),
    [
        (31756, 31756, 320, 4, 0.314561, 0.23113),
        (15787, 509, 256, 8, 0.25071, 0.00460),
        (223, 107, 256, 8, 0.22486, 0.00097),
    ],
)
def test_shares_of_grey_are_the_references(n_gray, n_central, size, degrees, at_14, at_6):
    pixels = np.zeros((size, size, 3), np.uint8)
    is_central = np.zeros((size, size), bool)
    is_central[size // 8 : size - size // 8, size // 8 : size - size // 8] = True
    for where, n in ((is_central, n_central), (~is_central, n_gray - n_central)):
        rows, columns = np.nonzero(where)
        pixels[rows[:n], columns[:n]] = GRAY
    for target, share in ((14, at_14), (6, at_6)):
        placed = np.asarray(place_on_screen(Image.fromarray(pixels), source_degrees=degrees, target_degrees=target))
        assert (placed == GRAY).all(-1).sum() / placed.size == pytest.approx(share, abs=1e-5)


def test_a_larger_image_loses_its_rim():
    image = noise(10, 7)
    cropped = np.asarray(place_on_screen(image, source_degrees=8, target_degrees=4))
    # 7 x 0.5 = 3.5 and (7 - 4) / 2 = 1.5 both round to even.
    np.testing.assert_array_equal(cropped, np.asarray(image)[2:6, 2:7])


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    source=st.floats(1, 20),
    target=st.floats(1, 20),
)
def test_size_and_place_are_numpys_rounding(size, source, target):
    ratio = target / source
    expected = np.round(ratio * np.array(size)).astype(int)
    image = Image.new("RGB", size, (255, 0, 0))
    if (expected < 1).any():
        with pytest.raises(DataError, match="nothing left"):
            place_on_screen(image, source_degrees=source, target_degrees=target)
        return
    placed = place_on_screen(image, source_degrees=source, target_degrees=target)
    assert placed.size == tuple(expected)
    is_red = (np.asarray(placed) == (255, 0, 0)).all(-1)
    if ratio > 1:
        left, top = np.round((expected - size) / 2).astype(int)
        canvas = np.zeros((expected[1], expected[0]), bool)
        canvas[top : top + size[1], left : left + size[0]] = True
        np.testing.assert_array_equal(is_red, canvas)
    else:
        assert is_red.all()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "RGB"])
def test_every_mode_becomes_rgb_as_pasting_makes_it(mode):
    image = noise(9, 6).convert(mode)
    canvas = Image.new("RGB", image.size)
    canvas.paste(image)
    np.testing.assert_array_equal(np.asarray(as_rgb(image)), np.asarray(canvas))


def test_transparency_is_ignored():
    image = Image.new("RGBA", (3, 3), (10, 20, 30, 0))
    assert (np.asarray(as_rgb(image)) == (10, 20, 30)).all()


def test_files_and_pixels_are_placed_alike(tmp_path):
    image = noise(32, 32)
    image.save(tmp_path / "image.png")
    rule = Preprocessing(image_size=48)
    from_file = rule.batch(stimulus_set(paths=[tmp_path / "image.png"]), [0])
    in_memory = rule.batch(stimulus_set(pixels=np.asarray(image)[None]), [0])
    np.testing.assert_array_equal(from_file, in_memory)
    other = rule.batch(stimulus_set(pixels=np.asarray(image)[None], degrees=8.0), [0])
    assert not np.array_equal(in_memory, other)


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (b"no image", DataError, "Cannot read the image .* of stimulus 'image0' of 'made-up'"),
        (None, MissingDataError, "of stimulus 'image0' of 'made-up' is not there"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(tmp_path, content, kind, text):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind, match=text):
        Preprocessing().batch(stimulus_set(paths=[path]), [0])


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_truncated_image_is_refused(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    noise(64, 64).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=f"image.{suffix}"):
        open_stimulus(stimulus_set(paths=[path]), 0)


def test_an_image_that_claims_to_be_huge_is_refused(tmp_path):
    path = tmp_path / "image.gif"
    noise(8, 8).save(path)
    content = bytearray(path.read_bytes())
    content[6:10] = b"\xff" * 4
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"image\.gif.*exceeds limit"):
        open_stimulus(stimulus_set(paths=[path]), 0)


def test_sixteen_bits_become_eight_and_unknown_ranges_are_refused(tmp_path):
    """They once became white, and numbers with a fraction black."""
    ramp = np.linspace(0, 65535, 12).astype(np.uint16).reshape(3, 4)
    for suffix in ("png", "tif"):
        Image.fromarray(ramp).save(tmp_path / f"wide.{suffix}")
        shown = as_rgb(open_stimulus(stimulus_set(paths=[tmp_path / f"wide.{suffix}"]), 0))
        np.testing.assert_array_equal(np.asarray(shown)[..., 1], ramp >> 8)
    Image.fromarray((ramp >> 4).astype(np.uint16)).save(tmp_path / "camera.png")
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray((ramp.astype(np.int64) * 4).astype(np.int32)).save(tmp_path / "int.tif")
    for name, text in {"camera.png": "at most 4095", "float.tif": "floating-point", "int.tif": "32-bit"}.items():
        with pytest.raises(DataError, match=rf"{name}.*{text}.*8 bits"):
            open_stimulus(stimulus_set(paths=[tmp_path / name]), 0)


def test_pixels_in_memory_are_bytes():
    with pytest.raises(ShapeError, match="pixels of uint16; expected uint8"):
        stimulus_set(pixels=np.zeros((1, 2, 2, 3), np.uint16))


def test_a_jpeg_that_is_placed_is_compressed_again_as_in_the_reference(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "a.png"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / name)
    for name, is_same in (("a.jpg", False), ("a.png", True)):
        stimuli = StimulusSet("one", pd.DataFrame(index=["a"]), 4.0, paths=(tmp_path / name,))
        shown = Preprocessing(image_size=80, visual_degrees=8.0, mean=(0, 0, 0), std=(1, 1, 1)).batch(stimuli, [0])
        # What the reference does: place, save under the same name, open again.
        with Image.open(tmp_path / name) as image:
            placed = place_on_screen(image, source_degrees=4, target_degrees=8)
        placed.save(tmp_path / f"placed-{name}")
        with Image.open(tmp_path / f"placed-{name}") as again:
            expected = np.asarray(again.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(shown[0], expected, atol=1e-6)
        assert np.array_equal(np.asarray(placed), np.asarray(Image.open(tmp_path / f"placed-{name}"))) == is_same
    # At its own angle a file is opened as it is.
    own = Preprocessing(image_size=40, visual_degrees=4.0, mean=(0, 0, 0), std=(1, 1, 1))
    stimuli = StimulusSet("one", pd.DataFrame(index=["a"]), 4.0, paths=(tmp_path / "a.jpg",))
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(own.batch(stimuli, [0])[0], expected, atol=1e-6)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n0 0 8 8 rectfill\nshowpage\n%%EOF\n"


def test_no_other_program_is_started_to_read_an_image(tmp_path):
    """Pillow would hand PostScript under the name of a picture to Ghostscript."""
    (tmp_path / "a.png").write_bytes(POSTSCRIPT)
    with pytest.raises(DataError, match=r"Cannot read the image .*a\.png.*cannot identify"):
        open_stimulus(stimulus_set(paths=[tmp_path / "a.png"]), 0)
    with pytest.raises(UnreadableError, match="not an image file"):
        read_header(tmp_path, "a.png", 0)
    with pytest.raises(UnreadableError, match="not an image file"):
        decode(POSTSCRIPT, 0)
