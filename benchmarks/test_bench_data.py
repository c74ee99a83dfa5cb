"""Images per second of one thread at 224 pixels, beside torchvision's pipeline on the same images in the same run.

Both take a random resized crop and a flip of images of 256 x 341 pixels and normalise them. Ours cuts a batch out of
a flat store, in memory or mapped; torchvision's works image by image on Pillow, from pixels that are decoded already
or from JPEG. Then the small images of the embedded study, and the cost of making a store.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from vvscale.data import Augmentation, ImageStore, Loader, load_dataset, open_store, prepare_images

BATCH = 64
RECIPES = {
    "crop and flip": Augmentation(image_size=224),
    "3-Augment": Augmentation(image_size=224, three_augment=True, color_jitter=0.3, mixup=0.8, cutmix=1.0),
    "RandAugment": Augmentation(
        image_size=224, rand_augment="rand-m9-mstd0.5-inc1", erasing=0.25, mixup=0.8, cutmix=1.0
    ),
    "SimCLR": Augmentation(
        image_size=224, color_jitter=(0.8, 0.8, 0.8, 0.2), color_jitter_p=0.8, grayscale=0.2, blur=0.5
    ),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory):
    """A folder of 64 JPEGs of 375 x 500 pixels and one to evaluate on."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("jpegs")
    for k in range(BATCH + 1):
        folder = root / ("train" if k < BATCH else "val") / "a"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg", quality=90)
    return root


@pytest.fixture(scope="module")
def folder(jpegs, tmp_path_factory):
    out = tmp_path_factory.mktemp("store")
    prepare_images(jpegs, out=out)
    return out


def batches(loader):
    """Return a function that makes the next batch, epoch after epoch."""

    def forever():
        epoch = 0
        while True:
            yield from loader.epoch(epoch)
            epoch += 1

    made = forever()
    return lambda: next(made)


def rate(benchmark, n=BATCH):
    benchmark.extra_info["images_per_second"] = round(n / benchmark.stats.stats.median)
    print(f"  {benchmark.name}: {n / benchmark.stats.stats.median:,.0f} images/s")


@pytest.mark.parametrize("by", ["vvscale", "vvscale, mapped", "torchvision", "torchvision from JPEG"])
def test_crop_and_flip(benchmark, folder, jpegs, by):
    benchmark.group = f"crop, flip and normalise {BATCH} images to 224"
    if by.startswith("vvscale"):
        residency = "map" if "mapped" in by else "device"
        store = open_store(folder / "train")
        step = batches(Loader(store, transform=RECIPES["crop and flip"], batch_size=BATCH, residency=residency))
    else:
        step = with_torchvision(folder, jpegs, from_jpeg="JPEG" in by)
    result = benchmark.pedantic(step, rounds=10, iterations=1, warmup_rounds=2)
    assert len(result if isinstance(result, torch.Tensor) else result.images) == BATCH
    rate(benchmark)


def with_torchvision(folder, jpegs, *, from_jpeg):
    change = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    store = open_store(folder / "train")
    pictures = [Image.fromarray(np.array(store.image(i))) for i in range(BATCH)]
    files = [path.read_bytes() for path in sorted((jpegs / "train" / "a").iterdir())]

    def step():
        images = (Image.open(io.BytesIO(data)).convert("RGB") for data in files) if from_jpeg else pictures
        return torch.stack([change(image) for image in images])

    return step


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(benchmark, folder, recipe):
    benchmark.group = f"{BATCH} images to 224"
    step = batches(Loader(open_store(folder / "train"), transform=RECIPES[recipe], batch_size=BATCH))
    benchmark.pedantic(step, rounds=5, iterations=1, warmup_rounds=1)
    rate(benchmark)


@pytest.mark.parametrize("side", [8, 16])
def test_small_images(benchmark, side):
    benchmark.group = f"{BATCH} digits of {side} pixels, shifted"
    store = load_dataset(f"digits:{side}").train
    augmentation = Augmentation(image_size=side, scale=None, hflip=0, shift=1)
    benchmark(batches(Loader(store, transform=augmentation, batch_size=BATCH, drop_last=True)))
    rate(benchmark)


def test_preparing(benchmark, jpegs, tmp_path):
    benchmark.group = "JPEG of 375 x 500 pixels to a store, one process"
    numbers = iter(range(1000))
    step = lambda: prepare_images(jpegs, out=tmp_path / str(next(numbers)), workers=1)  # noqa: E731
    benchmark.pedantic(step, rounds=4, iterations=1, warmup_rounds=1)
    rate(benchmark, BATCH + 1)


def test_opening_a_large_store(benchmark, tmp_path):
    """A million images: what a training run pays before its first batch."""
    from vvscale.data.subsets import balanced_subset

    labels = np.arange(1_000_000) % 1000
    store = ImageStore(
        buffer=np.zeros(3, np.uint8),
        offsets=np.zeros(len(labels), np.int64),
        sizes=np.ones((len(labels), 2), np.int64),
        labels=labels,
        class_names=tuple(map(str, range(1000))),
    )
    benchmark.group = "a million images"
    benchmark.pedantic(lambda: balanced_subset(store, samples_per_class=100, seed=0), rounds=3, iterations=1)
