"""Each operation against the library it stands for, with the same parameters given.

Operations on bytes are Pillow's to the last bit. What is resampled or convolved differs in rounding alone; each
tolerance says how much.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from timm.data import auto_augment, mixup, random_erasing
from torchvision import transforms

from vvscale.data import Augmentation, Evaluation
from vvscale.data.augment import color
from vvscale.data.augment import rand_augment as ra
from vvscale.data.augment.crops import Boxes, evaluation_boxes, random_boxes
from vvscale.data.augment.erase import erasing_boxes
from vvscale.data.augment.mixup import Mix, apply_mix, cut_box, draw_mix, mix_targets
from vvscale.data.augment.resize import cut, gather

N = 6


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """(6, 3, 40, 52) uint8: smooth colours, noise, few values, one value, extremes, a gradient."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (N, 40, 52, 3), dtype=np.uint8)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 3) for image in noise])
    pictures = noise.copy()
    pictures[0] = smooth[0]
    pictures[2] = 100 + noise[2] // 64
    pictures[3] = 77
    pictures[4] = np.where(noise[4] > 127, 255, 0)
    pictures[5] = np.linspace(0, 255, 52)[None, :, None]
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def as_pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def as_tensor(pictures: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)


def pil_hue(picture: Image.Image, shift: float) -> Image.Image:
    return TF.adjust_hue(picture, shift)


FACTORS = [0.1, 0.55, 0.9, 1.0, 1.37, 1.9]
ENHANCERS = {
    "brightness": (color.brightness, lambda p, f: ImageEnhance.Brightness(p).enhance(f)),
    "contrast": (color.contrast, lambda p, f: ImageEnhance.Contrast(p).enhance(f)),
    "saturation": (color.saturation, lambda p, f: ImageEnhance.Color(p).enhance(f)),
    "sharpness": (color.sharpness, lambda p, f: ImageEnhance.Sharpness(p).enhance(f)),
    "hue": (lambda x, f: color.hue(x, (f - 1) / 2), lambda p, f: TF.adjust_hue(p, (f - 1) / 2)),
}


@pytest.mark.parametrize("name", ENHANCERS)
@pytest.mark.parametrize("shift", range(N))
def test_factors_are_those_of_pillow_to_the_bit(images, name, shift):
    ours, theirs = ENHANCERS[name]
    factors = FACTORS[shift:] + FACTORS[:shift]
    expected = [theirs(as_pil(image), factor) for image, factor in zip(images, factors, strict=True)]
    torch.testing.assert_close(
        ours(images, torch.tensor(factors, dtype=torch.float64)), as_tensor(expected), rtol=0, atol=0
    )


def test_every_hue_is_that_of_pillow():
    # All (r, g) for many b: each colour's way to HSV and back.
    levels = torch.arange(0, 256, dtype=torch.uint8)
    planes = [
        torch.stack(torch.broadcast_tensors(levels[:, None], levels, torch.tensor(b, dtype=torch.uint8)))
        for b in range(0, 256, 17)
    ]
    pixels = torch.stack(planes)
    for shift in (0.0, 0.1, -0.3, 0.5):
        expected = as_tensor([TF.adjust_hue(as_pil(plane), shift) for plane in pixels])
        torch.testing.assert_close(color.hue(pixels, torch.full((len(pixels),), shift)), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (color.grayscale, lambda p: TF.to_grayscale(p, 3)),
        (color.solarize, ImageOps.solarize),
        (color.equalize, ImageOps.equalize),
        (color.autocontrast, ImageOps.autocontrast),
    ],
    ids=["grayscale", "solarize", "equalize", "autocontrast"],
)
def test_fixed_operations_are_those_of_pillow_to_the_bit(images, ours, theirs):
    expected = as_tensor([theirs(as_pil(image)) for image in images])
    torch.testing.assert_close(ours(images), expected, rtol=0, atol=0)


LEVELS = [0.0, 2.4, 5.0, 7.6, 9.0, 10.0]


@pytest.mark.parametrize("name", list(ra.OPERATIONS))
@pytest.mark.parametrize("is_negative", [False, True])
@pytest.mark.parametrize("shift", [0, 3])
def test_rand_augment_operations_are_those_of_timm_to_the_bit(images, monkeypatch, name, is_negative, shift):
    levels = LEVELS[shift:] + LEVELS[:shift]
    monkeypatch.setattr(auto_augment, "_randomly_negate", lambda value: -value if is_negative else value)
    full_name = (
        name
        if name in auto_augment.NAME_TO_OP and name in auto_augment._RAND_INCREASING_TRANSFORMS
        else name + "Increasing"
    )
    assert full_name in auto_augment._RAND_INCREASING_TRANSFORMS
    fill = (124, 116, 104)
    expected = []
    for image, level in zip(images, levels, strict=True):
        if name == "Posterize" and level == 10:
            # No bit is kept; recent versions of Pillow refuse what older ones made black.
            expected.append(Image.new("RGB", (52, 40)))
            continue
        op = auto_augment.AugmentOp(
            full_name, prob=1.0, magnitude=level, hparams={"img_mean": fill, "interpolation": Image.Resampling.BILINEAR}
        )
        expected.append(op(as_pil(image)))
    levels = torch.tensor(levels, dtype=torch.float64)
    amount = ra.amount_of(name, levels, torch.full((N,), is_negative))
    torch.testing.assert_close(ra.OPERATIONS[name](images, amount, fill), as_tensor(expected), rtol=0, atol=0)


def test_rand_augment_has_the_operations_of_timm():
    ours = set(ra.OPERATIONS)
    assert {name.removesuffix("Increasing") for name in auto_augment._RAND_INCREASING_TRANSFORMS} == ours


def test_rand_augment_as_a_whole_is_as_strong_as_timms(images):
    # Mean change of 400 copies of two pictures; the standard error of each mean is about 1.5 levels.
    n = 400
    ours_of, theirs_of = [], []
    timm_ra = auto_augment.rand_augment_transform(
        "rand-m9-mstd0.5-inc1",
        {"img_mean": (124, 116, 104), "interpolation": Image.Resampling.BILINEAR, "translate_const": 1},
    )
    import random

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - timm draws from the global generator
    generator = torch.Generator().manual_seed(0)
    for image in images[:2]:
        batch = image.expand(n, -1, -1, -1)
        changed = ra.rand_augment(batch, "rand-m9-mstd0.5-inc1", lambda k: torch.rand(n, k, generator=generator))
        ours_of.append((changed.float() - batch.float()).abs().mean((1, 2, 3)))
        theirs = as_tensor([timm_ra(as_pil(image)) for _ in range(n)])
        theirs_of.append((theirs.float() - batch.float()).abs().mean((1, 2, 3)))
    for ours, theirs in zip(ours_of, theirs_of, strict=True):
        error = math.sqrt((ours.var() + theirs.var()) / n)
        assert abs(ours.mean() - theirs.mean()) < 3 * error
        # A quarter of the images is untouched by both draws.
        assert abs((ours == 0).float().mean() - (theirs == 0).float().mean()) < 3 * math.sqrt(2 * 0.25 * 0.75 / n)


def test_blur_is_the_gaussian_of_torchvision(images):
    sigma = torch.tensor([0.1, 0.5, 1.0, 1.3, 1.7, 2.0])
    ours = color.blur(images, sigma)
    for image, blurred, width in zip(images, ours, sigma.tolist(), strict=True):
        expected = TF.gaussian_blur(image, 17, width)
        # Both round a float32 sum to bytes: a tie may fall either way.
        assert (blurred.int() - expected.int()).abs().max() <= 1
        assert (blurred != expected).float().mean() < 1e-3


def test_blur_is_near_the_boxes_of_pillow(images):
    # Pillow approximates the Gaussian by three box blurs and repeats the border instead of mirroring it.
    for width in (0.5, 1.0, 2.0):
        blurred = color.blur(images[:1], torch.tensor([width]))[0]
        expected = as_tensor([as_pil(images[0]).filter(ImageFilter.GaussianBlur(width))])[0]
        difference = (blurred.int() - expected.int()).abs()[:, 6:-6, 6:-6].float()
        assert difference.mean() < 1.0


def test_jitter_is_that_of_torchvision_in_any_order(images):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.rand(N, 8, generator=generator)
    strengths = (0.4, 0.4, 0.2, 0.1)
    ours = color.jitter(images, strengths, numbers)
    change = [TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue]
    for image, changed, row in zip(images, ours, numbers.double(), strict=True):
        picture = as_pil(image)
        for op in row[4:8].argsort().tolist():
            strength = strengths[op]
            low, high = (-strength, strength) if op == 3 else (1 - strength, 1 + strength)
            picture = change[op](picture, low + (high - low) * row[op].item())
        torch.testing.assert_close(changed, as_tensor([picture])[0], rtol=0, atol=0)


# --- geometry ---------------------------------------------------------------------------------------------------


def ragged(
    rng: np.random.Generator, sizes: list[tuple[int, int]]
) -> tuple[list[np.ndarray], torch.Tensor, torch.Tensor, torch.Tensor]:
    pictures = [cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), dtype=np.uint8), (0, 0), 2) for size in sizes]
    flat = torch.from_numpy(np.concatenate([picture.ravel() for picture in pictures]))
    n_bytes = torch.tensor([picture.size for picture in pictures])
    return pictures, flat, n_bytes.cumsum(0) - n_bytes, torch.tensor(sizes)


SIZES = [(60, 80), (100, 64), (256, 300), (64, 64), (31, 97)]


@pytest.fixture(scope="module")
def crops():
    """Random crops of ragged images to 48 pixels, some mirrored, and the boxes."""
    pictures, flat, offsets, sizes = ragged(np.random.default_rng(1), SIZES * 4)
    numbers = torch.rand(len(sizes), 22, generator=torch.Generator().manual_seed(2))
    boxes = random_boxes(sizes, Augmentation(image_size=48), numbers, torch.arange(len(sizes)) % 2 == 1)
    return pictures, flat, offsets, sizes, boxes


@pytest.mark.parametrize("how", [cut, gather])
def test_crops_are_those_of_opencv_within_a_level(crops, how):
    pictures, flat, offsets, sizes, boxes = crops
    ours = how(flat, offsets, sizes, boxes, 48)
    assert ours.shape == (len(sizes), 3, 48, 48)
    for picture, cropped, (top, left, h, w), flip in zip(pictures, ours, boxes.box.tolist(), boxes.flip, strict=True):
        expected = cv2.resize(picture[top : top + h, left : left + w], (48, 48), interpolation=cv2.INTER_LINEAR)
        expected = expected[:, ::-1] if flip else expected
        difference = np.abs(cropped.permute(1, 2, 0).numpy().astype(int) - expected)
        # OpenCV works with shares of 1/2048, torch on bytes with 16 bits and in two rounded passes.
        assert difference.max() <= 1
        assert difference.mean() < 0.3


def test_gathering_is_interpolation(crops):
    pictures, flat, offsets, sizes, boxes = crops
    ours = gather(flat, offsets, sizes, boxes, 48)
    for picture, cropped, (top, left, h, w), flip in zip(pictures, ours, boxes.box.tolist(), boxes.flip, strict=True):
        box = torch.from_numpy(picture[top : top + h, left : left + w]).permute(2, 0, 1)[None].float()
        expected = torch.nn.functional.interpolate(box, size=(48, 48), mode="bilinear")[0]
        expected = expected.flip(-1) if flip else expected
        # Half a level of rounding, and float32 on the way.
        assert (cropped.float() - expected).abs().max() < 0.5 + 1e-3


def test_antialiased_crops_are_those_of_pillow_within_two_levels(crops):
    pictures, flat, offsets, sizes, boxes = crops
    ours = cut(flat, offsets, sizes, boxes, 48, antialias=True)
    for picture, cropped, (top, left, h, w), flip in zip(pictures, ours, boxes.box.tolist(), boxes.flip, strict=True):
        expected = TF.resized_crop(Image.fromarray(picture), top, left, h, w, [48, 48])
        expected = TF.hflip(expected) if flip else expected
        difference = np.abs(cropped.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected).astype(int))
        assert difference.max() <= 2
        assert difference.mean() < 0.1


def test_crop_boxes_are_distributed_as_torchvisions():
    from scipy.stats import ks_2samp

    n = 3000
    for height, width in ((375, 500), (256, 1024), (300, 300)):
        sizes = torch.tensor([[height, width]]).repeat(n, 1)
        numbers = torch.rand(n, 22, generator=torch.Generator().manual_seed(0))
        ours = random_boxes(sizes, Augmentation(image_size=224), numbers, torch.zeros(n, dtype=torch.bool)).box.numpy()
        torch.manual_seed(0)
        picture = torch.empty(3, height, width, dtype=torch.uint8)
        get = transforms.RandomResizedCrop.get_params
        theirs = np.array([get(picture, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
        for column in range(4):
            # The least p of twelve comparisons of equal distributions.
            assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_crop_boxes_fall_back_as_torchvisions():
    # No box of these proportions fits: every try fails.
    for size in ((4, 400), (400, 4), (1, 90)):
        boxes = random_boxes(
            torch.tensor([size]), Augmentation(image_size=8, scale=(1.0, 1.0)), torch.rand(1, 22), torch.tensor([False])
        )
        expected = transforms.RandomResizedCrop.get_params(torch.empty(3, *size), [1.0, 1.0], [3 / 4, 4 / 3])
        assert boxes.box[0].tolist() == list(expected)


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (240, 255), (288, 288)])
def test_the_studys_evaluation_is_opencvs_squash(size, resize):
    pictures, flat, offsets, sizes = ragged(np.random.default_rng(3), [(256, 341), (300, 256), (100, 90), (256, 256)])
    boxes = evaluation_boxes(sizes, Evaluation(image_size=size, resize=resize))
    for how in (cut, gather):
        ours = how(flat, offsets, sizes, boxes, size)
        for picture, shown in zip(pictures, ours, strict=True):
            squashed = cv2.resize(picture, (resize, resize), interpolation=cv2.INTER_LINEAR).astype(int)
            margin = (resize - size) // 2
            expected = squashed[margin : margin + size, margin : margin + size]
            difference = np.abs(shown.permute(1, 2, 0).numpy() - expected)
            assert difference.max() <= 1
            assert difference.mean() < 0.3


@pytest.mark.parametrize(("size", "resize"), [(48, 56), (49, 56), (50, 57)])
def test_the_usual_evaluation_is_torchvisions(size, resize):
    shapes = [(60, 80), (101, 64), (256, 300), (40, 30), (57, 57)]
    pictures, flat, offsets, sizes = ragged(np.random.default_rng(4), shapes)
    evaluation = Evaluation(image_size=size, resize=resize, rule="short-side", antialias=True)
    ours = cut(flat, offsets, sizes, evaluation_boxes(sizes, evaluation), size, antialias=True)
    theirs = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(size)])
    for picture, shown in zip(pictures, ours, strict=True):
        expected = np.asarray(theirs(Image.fromarray(picture))).astype(int)
        # Bytes between the two passes: a level's difference in the first can add to one in the second.
        difference = np.abs(shown.permute(1, 2, 0).numpy() - expected)
        assert difference.max() <= 2
        assert difference.mean() < 0.05


def test_whole_boxes_are_copied_exactly():
    pictures, flat, offsets, sizes = ragged(np.random.default_rng(5), [(32, 32)] * 3)
    zero = torch.zeros_like(sizes)
    boxes = Boxes(torch.cat([zero, sizes], 1), sizes, zero, torch.tensor([False, True, False]))
    for how in (cut, gather):
        ours = how(flat, offsets, sizes, boxes, 32).permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(ours, [pictures[0], pictures[1][:, ::-1], pictures[2]])


# --- mixing and erasing -----------------------------------------------------------------------------------------


def test_cut_boxes_are_timms(monkeypatch):
    for share in (0.0, 0.03, 0.5, 0.77, 0.999):
        for centre in ((0.0, 0.0), (0.5, 0.25), (0.99, 0.6)):
            drawn = iter(int(c * 48) for c in centre)
            monkeypatch.setattr(mixup.np.random, "randint", lambda *a, drawn=drawn, **k: next(drawn))
            box, corrected = mixup.cutmix_bbox_and_lam((2, 3, 48, 48), share)
            ours = cut_box(share, 48, centre)
            assert ours.box == tuple(int(edge) for edge in box)
            assert ours.share == pytest.approx(corrected, abs=1e-12)


@pytest.mark.parametrize("kind", [{"mixup_alpha": 0.8}, {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}])
def test_mixing_is_timms(monkeypatch, kind):
    # timm mixes the first with the last; a batch of two has one pair in either order.
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 3, 16, 16, generator=generator), torch.tensor([1, 3])
    is_cutmix = "cutmix_alpha" in kind
    ours = cut_box(0.4, 16, (0.5, 0.3)) if is_cutmix else Mix(0.4)
    theirs = mixup.Mixup(**kind, label_smoothing=0.0, num_classes=5)
    monkeypatch.setattr(theirs, "_params_per_batch", lambda: (0.4, is_cutmix))
    drawn = iter([int(0.5 * 16), int(0.3 * 16)])
    monkeypatch.setattr(mixup.np.random, "randint", lambda *a, **k: next(drawn))
    expected, targets = theirs(images.clone(), labels)
    torch.testing.assert_close(apply_mix(images, ours), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(mix_targets(labels, 5, ours), targets, rtol=0, atol=1e-6)


def test_mixing_shares_are_distributed_as_timms():
    from scipy.stats import ks_2samp

    n = 2000
    for ours, theirs in (
        (Augmentation(image_size=64, mixup=0.8), mixup.Mixup(mixup_alpha=0.8)),
        (Augmentation(image_size=64, cutmix=1.0), mixup.Mixup(mixup_alpha=0.0, cutmix_alpha=1.0)),
        (Augmentation(image_size=64, mixup=0.8, cutmix=1.0), mixup.Mixup(mixup_alpha=0.8, cutmix_alpha=1.0)),
    ):
        np.random.seed(0)  # noqa: NPY002 - timm draws from the global generator
        drawn = [draw_mix(ours, seed=0, epoch=k // 50, batch=k % 50) for k in range(n)]
        params = [theirs._params_per_batch() for _ in range(n)]
        expected = [mixup.cutmix_bbox_and_lam((2, 3, 64, 64), lam)[1] if is_cut else lam for lam, is_cut in params]
        assert ks_2samp([mix.share for mix in drawn], expected).pvalue > 1e-3
        n_cut, n_cut_expected = sum(mix.box is not None for mix in drawn), sum(is_cut for _, is_cut in params)
        assert abs(n_cut - n_cut_expected) < 4 * math.sqrt(2 * n * 0.25)


def test_erased_boxes_are_distributed_as_timms():
    import random

    from scipy.stats import ks_2samp

    n, size = 2500, 64
    rows, boxes = erasing_boxes(size, 0.25, torch.rand(n, 41, generator=torch.Generator().manual_seed(0)))
    random.seed(0)
    theirs = random_erasing.RandomErasing(probability=0.25, device="cpu")
    erased = []
    for _ in range(n):
        image = torch.ones(3, size, size)
        theirs._erase(image, 3, size, size, image.dtype)
        where = (image[0] == 0).nonzero()
        if len(where):
            top, left = where.min(0).values.tolist()
            bottom, right = where.max(0).values.tolist()
            erased.append((top, left, bottom - top + 1, right - left + 1))
    assert abs(len(rows) - len(erased)) < 4 * math.sqrt(2 * n * 0.25 * 0.75)
    for column in range(4):
        assert ks_2samp(boxes[:, column].numpy(), np.array(erased)[:, column]).pvalue > 1e-3
