"""A GPU gives the numbers, boxes and batches of a CPU, and every residency the same on it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vvscale.data import Augmentation, Evaluation, ImageStore, Loader, uniforms  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

FULL = {
    "rand_augment": "rand-m9-mstd0.5-inc1",
    "color_jitter": (0.4, 0.4, 0.2, 0.1),
    "grayscale": 0.2,
    "solarize": 0.2,
    "erasing": 0.5,
    "mixup": 0.8,
    "cutmix": 1.0,
}


@pytest.fixture(scope="module")
def store() -> ImageStore:
    rng = np.random.default_rng(0)
    sizes = rng.integers(200, 400, (96, 2))
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return ImageStore.from_arrays(images, np.arange(96) % 7)


def batches(store, transform, **options):
    loader = Loader(store, transform=transform, batch_size=40, seed=1, **options)
    return [batch for epoch in range(2) for batch in loader.epoch(epoch)]


def test_numbers_are_the_same():
    index = torch.randint(0, 2**40, (5000,))
    for seed, epoch, stream in ((0, 0, 0), (2**63, -5, 12345)):
        cpu, gpu = (uniforms(seed, epoch, index.to(device), 30, stream=stream) for device in ("cpu", "cuda"))
        assert torch.equal(cpu, gpu.cpu())


@pytest.mark.parametrize(
    "transform",
    [
        Augmentation(image_size=224),
        Augmentation(image_size=64, scale=None, shift=3),
        Augmentation(image_size=96, antialias=True),
        Evaluation(image_size=224, resize=256),
        Evaluation(image_size=224, resize=256, rule="short-side", antialias=True),
    ],
    ids=["crop", "shift", "antialias", "squash", "short side"],
)
def test_geometry_is_that_of_the_cpu_within_a_level(store, transform):
    # A level is 1 / (255 std), at most 0.0175; antialiased ones may differ by two.
    tolerance = (2 if transform.antialias else 1) / 255 / min(transform.std) + 1e-5
    for cpu, gpu in zip(batches(store, transform), batches(store, transform, device="cuda"), strict=True):
        assert gpu.images.is_cuda
        assert gpu.images.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(gpu.images.cpu(), cpu.images, rtol=0, atol=tolerance)
        assert torch.equal(gpu.labels.cpu(), cpu.labels)
        assert torch.equal(gpu.index.cpu(), cpu.index)


def test_colours_are_those_of_the_cpu_to_the_bit(store):
    """From the same bytes: whole images that are not resized."""
    square = ImageStore.from_arrays([store.image(i)[:200, :200] for i in range(96)], store.labels)
    transform = Augmentation(image_size=200, scale=None, **{**FULL, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0})
    for cpu, gpu in zip(batches(square, transform), batches(square, transform, device="cuda"), strict=True):
        torch.testing.assert_close(gpu.images.cpu(), cpu.images, rtol=0, atol=1e-5)


def test_mixing_and_erasing_are_those_of_the_cpu(store):
    square = ImageStore.from_arrays([store.image(i)[:200, :200] for i in range(96)], store.labels)
    transform = Augmentation(image_size=200, scale=None, erasing=0.5, mixup=0.8, cutmix=1.0)
    for cpu, gpu in zip(batches(square, transform), batches(square, transform, device="cuda"), strict=True):
        # The noise goes through the inverse of the normal distribution, whose tails differ in the last digits.
        torch.testing.assert_close(gpu.images.cpu(), cpu.images, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(gpu.targets.cpu(), cpu.targets)


@pytest.mark.parametrize("options", [{}, FULL, {"blur": 0.5, "three_augment": True}])
def test_residencies_give_the_same_batches(store, tmp_path, options):
    path = tmp_path / "images.bin"
    path.write_bytes(store.buffer.tobytes())
    buffer = np.memmap(path, np.uint8, mode="c")
    mapped = ImageStore(buffer, store.offsets, store.sizes, store.labels, store.class_names)
    transform = Augmentation(image_size=224, **options)
    expected = batches(store, transform, device="cuda", residency="device")
    for residency in ("host", "map"):
        for batch, other in zip(expected, batches(mapped, transform, device="cuda", residency=residency), strict=True):
            assert torch.equal(batch.images, other.images)
            assert torch.equal(batch.index, other.index)


def test_auto_leaves_room(store, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 10**9))
    transform = Evaluation(image_size=8)
    assert Loader(store, transform=transform, batch_size=8, device="cuda").residency == "host"
