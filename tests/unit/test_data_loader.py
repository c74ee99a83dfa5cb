"""Batches: their order, shares, residencies and what they refuse."""

# ruff: noqa: NPY002 - the global generator is what is tested
from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as TF

from vvscale.data import Augmentation, Evaluation, ImageStore, Loader, balanced_subset, load_dataset
from vvscale.data import residency as source_module
from vvscale.data.augment.apply import Draws, apply_transform
from vvscale.data.residency import ahead
from vvscale.errors import ConfigError, DataError, OutOfMemoryError, UnknownNameError

FULL = {
    "image_size": 20,
    "rand_augment": "rand-m9-mstd0.5-inc1",
    "color_jitter": (0.4, 0.4, 0.2, 0.1),
    "grayscale": 0.2,
    "blur": 0.5,
    "solarize": 0.2,
    "erasing": 0.5,
}


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def ragged() -> ImageStore:
    """37 images of different sizes and 5 classes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(18, 40, (37, 2))
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return ImageStore.from_arrays(images, np.arange(37) % 5, name="ragged")


@pytest.fixture
def mapped(ragged, tmp_path) -> ImageStore:
    """The same images in a file, with gaps and in another order."""
    order = np.random.default_rng(1).permutation(37)
    path, offsets, at = tmp_path / "images.bin", np.zeros(37, np.int64), 0
    with path.open("wb") as file:
        for position in order:
            file.seek(at)
            file.write(ragged.image(position).tobytes())
            offsets[position] = at
            at += int(ragged.n_bytes[position]) + 3 * (position % 3)
    buffer = np.memmap(path, np.uint8, mode="c")
    return ImageStore(buffer, offsets, ragged.sizes, ragged.labels, ragged.class_names, "mapped")


def same(first, second) -> bool:
    """Whether two sequences of batches are the same, bit for bit."""
    first, second = list(first), list(second)
    pairs = zip(first, second, strict=True)
    return all(
        all(torch.equal(x, y) for x, y in zip(views(a), views(b), strict=True))
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.index, b.index)
        and ((a.targets is None and b.targets is None) or torch.equal(a.targets, b.targets))
        for a, b in pairs
    )


def views(batch):
    return batch.images if isinstance(batch.images, tuple) else (batch.images,)


def test_an_epoch_shows_each_image_once(digits):
    subset = balanced_subset(digits.train, samples_per_class=7, seed=0)
    loader = Loader(digits.train, subset, transform=Augmentation(image_size=8, scale=None, shift=1), batch_size=32)
    batches = list(loader.epoch(3))
    assert [len(batch.labels) for batch in batches] == [32, 32, 6]
    assert len(loader) == 3
    seen = torch.cat([batch.index for batch in batches])
    assert sorted(seen.tolist()) == subset.index.tolist()
    assert torch.equal(torch.cat([batch.labels for batch in batches]), torch.from_numpy(digits.train.labels)[seen])
    assert all(batch.images.dtype == torch.float32 and batch.targets is None for batch in batches)
    assert [batch.n_global for batch in batches] == [32, 32, 6]


def test_epochs_and_seeds_have_their_own_order_and_changes(digits):
    def first(seed, epoch):
        return next(Loader(digits.train, transform=Augmentation(image_size=8), batch_size=64, seed=seed).epoch(epoch))

    base = first(0, 0)
    assert same([base], [first(0, 0)])
    for other in (first(0, 1), first(1, 0)):
        assert not torch.equal(base.index, other.index)
        assert not torch.equal(base.images, other.images)


def test_without_shuffle_the_order_is_that_of_the_index(digits):
    index = np.array([5, 3, 900, 4])
    loader = Loader(digits.train, index, transform=Evaluation(image_size=8), batch_size=3, shuffle=False)
    assert torch.cat([batch.index for batch in loader.epoch(0)]).tolist() == index.tolist()
    expected = TF.normalize(TF.to_tensor(digits.train.image(900)), loader.transforms[0].mean, loader.transforms[0].std)
    torch.testing.assert_close(next(loader.epoch(0)).images[2], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", [0, 1, 4, 5])
@pytest.mark.parametrize("options", [{"image_size": 8, "scale": None, "shift": 1}, {"image_size": 12, "mixup": 0.8}])
def test_an_epoch_can_be_entered_anywhere(digits, start, options):
    loader = Loader(digits.val, transform=Augmentation(**options), batch_size=150, seed=3)
    assert same(list(loader.epoch(2))[start:], loader.epoch(2, start=start))


def test_an_image_is_changed_alike_in_any_subset_and_batch_size(ragged):
    transform = Augmentation(**FULL)
    images = {}
    for index, size in ((np.arange(37), 37), (np.array([30, 2, 11]), 2)):
        for batch in Loader(ragged, index, transform=transform, batch_size=size, seed=1).epoch(5):
            for position, image in zip(batch.index.tolist(), batch.images, strict=True):
                if position in images:
                    torch.testing.assert_close(image, images[position], rtol=0, atol=0)
                images[position] = image
    assert len(images) == 37


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("options", [{}, {"mixup": 0.8, "cutmix": 1.0}])
def test_ranks_share_the_batches_of_one(ragged, world_size, options):
    def batches(**share):
        transform = Augmentation(image_size=16, **options)
        return list(Loader(ragged, transform=transform, batch_size=15, seed=4, **share).epoch(1))

    whole = batches()
    ranks = [batches(rank=rank, world_size=world_size) for rank in range(world_size)]
    for number, batch in enumerate(whole):
        parts = [rank[number] for rank in ranks]
        for name in ("images", "labels", "index", "targets"):
            if getattr(batch, name) is not None:
                joined = torch.cat([getattr(part, name) for part in parts])
                torch.testing.assert_close(joined, getattr(batch, name), rtol=0, atol=0)
        assert {part.n_global for part in parts} == {len(batch.labels)}


def test_an_even_batch_is_shared_evenly(digits):
    for mixup in (0.0, 0.8):
        transform = Augmentation(image_size=8, scale=None, mixup=mixup)
        sizes = [
            len(next(Loader(digits.train, transform=transform, batch_size=64, rank=r, world_size=4).epoch(0)).labels)
            for r in range(4)
        ]
        assert sizes == [16] * 4


@pytest.mark.parametrize("options", [FULL, {"image_size": 16}, {"image_size": 24, "scale": None, "shift": 2}])
@pytest.mark.parametrize("subset", [None, [3, 4, 5, 30, 36, 0]])
def test_residencies_give_the_same_batches(ragged, mapped, options, subset):
    def batches(store, residency):
        index = None if subset is None else np.array(subset)
        loader = Loader(store, index, transform=Augmentation(**options), batch_size=8, residency=residency)
        return [batch for epoch in range(2) for batch in loader.epoch(epoch)]

    expected = batches(ragged, "device")
    assert same(expected, batches(ragged, "map"))
    for residency in ("device", "host", "map", "auto"):
        assert same(expected, batches(mapped, residency))


def test_auto_takes_what_fits(mapped, ragged, monkeypatch):
    def residency(store):
        return Loader(store, transform=Evaluation(image_size=8), batch_size=8).residency

    assert residency(mapped) == "device"
    monkeypatch.setattr(source_module, "free_memory", lambda: 1000.0)
    assert residency(mapped) == "map"
    # What is in memory already takes no more.
    assert residency(ragged) == "device"


def test_no_memory_is_told(mapped, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(source_module.torch, "empty", refuse)
    with pytest.raises(OutOfMemoryError, match=r"The images need 0\.0 GB, which 'cpu' does not have free"):
        Loader(mapped, transform=Evaluation(image_size=8), batch_size=8, residency="device")


def test_the_table_of_small_images_gives_what_the_long_way_gives(digits):
    for options in ({}, {"shift": 2, "hflip": 0.5}, {"hflip": 0.5, "mixup": 0.3}):
        transform = Augmentation(**{"image_size": 8, "scale": None, "hflip": 0.0, **options})
        loader = Loader(digits.val, transform=transform, batch_size=100, seed=5)
        assert loader._table is not None
        fast = list(loader.epoch(2))
        loader.__dict__["_table"] = None
        assert same(fast, loader.epoch(2))


def test_flips_and_shifts_are_those_of_torchvision(digits):
    transform = Augmentation(image_size=8, scale=None, shift=2)
    loader = Loader(digits.val, np.arange(250), transform=transform, batch_size=250)
    batch = next(loader.epoch(0))
    seen = set()
    for image, position in zip(batch.images, batch.index.tolist(), strict=True):
        original = torch.from_numpy(digits.val.image(position)).permute(2, 0, 1)
        for flip in (False, True):
            padded = TF.pad(TF.hflip(original) if flip else original, [2, 2, 2, 2])
            for y in range(5):
                for x in range(5):
                    expected = TF.normalize(TF.crop(padded, y, x, 8, 8) / 255, transform.mean, transform.std)
                    if torch.allclose(image, expected, atol=1e-5):
                        seen.add((flip, y, x))
    assert len(seen) == 50


def test_views_differ_and_have_their_own_sizes(ragged):
    large, small = Augmentation(image_size=24, scale=(0.4, 1.0)), Augmentation(image_size=12, scale=(0.05, 0.4))
    batch = next(Loader(ragged, transform=[large, large, small, small, small], batch_size=10).epoch(0))
    assert [view.shape[-1] for view in batch.images] == [24, 24, 12, 12, 12]
    assert not torch.equal(batch.images[0], batch.images[1])
    assert not torch.equal(batch.images[2], batch.images[4])
    twice = next(Loader(ragged, transform=large, n_views=2, batch_size=10).epoch(0))
    assert torch.equal(twice.images[1], batch.images[1])


@pytest.mark.parametrize("repeats", [2, 3])
def test_repeats_show_an_image_several_times_in_one_batch(ragged, repeats):
    transform = Augmentation(image_size=16, mixup=0.8)
    loader = Loader(ragged, transform=transform, batch_size=12, repeats=repeats, seed=2)
    batches = list(loader.epoch(0))
    # As many images as ever, of which a share are different ones.
    assert sum(len(batch.labels) for batch in batches) == 37
    assert len({i for batch in batches for i in batch.index.tolist()}) == -(-37 // repeats)
    for batch in batches[:-1]:
        counts = np.unique(batch.index.numpy(), return_counts=True)[1]
        assert set(counts.tolist()) == {repeats}
        # Nobody is mixed with itself.
        assert (batch.index[::2] != batch.index[1::2]).all()
    plain = Loader(ragged, transform=Augmentation(image_size=16), batch_size=12, repeats=repeats, seed=2)
    first = next(plain.epoch(0))
    twins = (first.index == first.index[0]).nonzero()[:, 0]
    assert not torch.equal(first.images[twins[0]], first.images[twins[1]])


def test_targets_are_shares_of_the_two_labels(ragged):
    for batch in Loader(ragged, transform=Augmentation(image_size=16, cutmix=1.0), batch_size=8).epoch(0):
        assert batch.targets.shape == (len(batch.labels), 5)
        torch.testing.assert_close(batch.targets.sum(1), torch.ones(len(batch.labels)))
        own = batch.targets.gather(1, batch.labels[:, None])
        assert (own > 0).all() or batch.targets.max() == 1
    # The last image of an odd batch has no partner.
    assert batch.targets[-1].max() == pytest.approx(1)


def test_drop_last(ragged):
    loader = Loader(ragged, transform=Evaluation(image_size=8), batch_size=10, drop_last=True)
    assert [len(batch.labels) for batch in loader.epoch(0)] == [10, 10, 10]
    assert len(loader) == 3


def test_draws_do_not_touch_the_global_generators(ragged):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    list(Loader(ragged, transform=Augmentation(**FULL), batch_size=10).epoch(0))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


def test_erasing_writes_standard_noise(ragged):
    index = torch.arange(37)
    draws = Draws(0, 0, index, torch.zeros_like(index))
    place = torch.from_numpy(ragged.buffer), torch.from_numpy(ragged.offsets), torch.from_numpy(ragged.sizes)
    plain = apply_transform(Augmentation(image_size=32), *place, draws)
    erased = apply_transform(Augmentation(image_size=32, erasing=1.0), *place, draws)
    blank = apply_transform(Augmentation(image_size=32, erasing=1.0, erasing_mode="const"), *place, draws)
    changed = plain != erased
    noise = erased[changed]
    assert 0.1 < changed.float().mean() < 0.25
    assert abs(noise.mean()) < 4 / len(noise) ** 0.5
    assert abs(noise.std() - 1) < 4 / (2 * len(noise)) ** 0.5
    assert (blank[changed] == 0).all()


def threads() -> int:
    return sum(thread.name == "vvscale-prefetch" for thread in threading.enumerate())


def test_the_thread_ends_with_the_epoch_or_before(mapped):
    loader = Loader(mapped, transform=Evaluation(image_size=8), batch_size=2, residency="map")
    epoch = loader.epoch(0)
    next(epoch)
    assert threads() == 1
    epoch.close()
    assert threads() == 0
    list(loader.epoch(0))
    assert threads() == 0


def test_errors_of_the_thread_are_raised(mapped, monkeypatch):
    def fail(*args):
        raise OSError("the disk went away")

    loader = Loader(mapped, transform=Evaluation(image_size=8), batch_size=2, residency="map")
    monkeypatch.setattr(source_module, "_copy_runs", fail)
    with pytest.raises(OSError, match="the disk went away"):
        list(loader.epoch(0))
    assert threads() == 0


def test_ahead_keeps_the_order_and_does_not_run_away():
    made = []

    def items():
        for k in range(50):
            made.append(k)
            yield k

    numbers = ahead(items(), depth=2)
    assert next(numbers) == 0
    # Two wait in the queue, one more in the hand that puts.
    assert len(made) <= 4
    assert list(numbers) == list(range(1, 50))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"batch_size": 0}, ConfigError, r"batch_size is 0"),
        ({"repeats": 0}, ConfigError, r"repeats is 0"),
        ({"rank": 2, "world_size": 2}, ConfigError, r"rank is 2; expected 0\.\.1"),
        (
            {"batch_size": 1000, "drop_last": True},
            DataError,
            r"size of 1000 nothing is left of 700",
        ),
        ({"index": np.array([], dtype=int)}, DataError, r"No image of 'digits/val' was chosen"),
        ({"index": np.array([700])}, DataError, r"reaches 700, but 'digits/val' has 700 images"),
        ({"residency": "disk"}, UnknownNameError, r"Unknown residency 'disk'"),
        ({"device": "gpu"}, ConfigError, r"Unknown device 'gpu'"),
        ({"device": "cuda:9"}, ConfigError, r"'cuda:9' asks for GPU 9, and PyTorch sees \d+"),
        ({"transform": Augmentation(image_size=8, mixup=1.0), "n_views": 2}, ConfigError, r"need one view per image"),
        ({"transform": []}, ConfigError, r"expected one transform"),
        ({"batch_size": 699, "world_size": 2}, ConfigError, r"The last batch has 1 images, too few for 2 ranks"),
    ],
)
def test_bad_options(digits, options, error, text):
    options = {"transform": Evaluation(image_size=8), "batch_size": 10, **options}
    with pytest.raises(error, match=text):
        Loader(digits.val, **options)


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (Augmentation, {"image_size": 0}, r"`image_size` is 0; expected whole pixels"),
        (Augmentation, {"scale": (0.5, 0.2)}, r"`scale` is \(0\.5, 0\.2\)"),
        (Augmentation, {"scale": (0, 1)}, r"`scale` is \(0, 1\)"),
        (Augmentation, {"ratio": (1.0,)}, r"`ratio` is \(1\.0,\); expected two numbers"),
        (Augmentation, {"hflip": 1.5}, r"`hflip` is 1\.5; expected a probability"),
        (Augmentation, {"shift": 32}, r"`shift` is 32"),
        (Augmentation, {"color_jitter": (0.4, 0.4, 0.4, 0.6)}, r"at most 0\.5 for the hue"),
        (Augmentation, {"color_jitter": (0.4, 0.4)}, r"one number or four"),
        (Augmentation, {"mixup": -1}, r"`mixup` is -1"),
        (Augmentation, {"std": (0.0, 1.0, 1.0)}, r"`std` is .* above 0"),
        (Augmentation, {"erasing_mode": "noise"}, r"Unknown erasing mode 'noise'"),
        (Augmentation, {"rand_augment": "rand-m9"}, r"Cannot use the RandAugment 'rand-m9'"),
        (Augmentation, {"rand_augment": "rand-m11-inc1"}, r"m0\.\.m10"),
        (Evaluation, {"resize": 16}, r"`resize` is 16; expected at least `image_size`, 32"),
        (Evaluation, {"rule": "crop"}, r"Unknown rule of resizing 'crop'"),
    ],
)
def test_bad_transforms(kind, options, text):
    with pytest.raises((ConfigError, UnknownNameError), match=text):
        kind(**{"image_size": 32, **options})


def test_transforms_take_the_lists_of_toml():
    transform = Augmentation(image_size=32, scale=[0.2, 1.0], color_jitter=[0.1, 0.1, 0.1, 0.1], mean=[0, 0, 0])
    assert transform == Augmentation(image_size=32, scale=(0.2, 1.0), color_jitter=(0.1,) * 4, mean=(0, 0, 0))
    assert Augmentation(image_size=32, color_jitter=0.3).jitter == (0.3, 0.3, 0.3, 0.0)
