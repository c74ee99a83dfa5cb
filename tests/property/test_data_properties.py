"""The counter-based numbers, and what must hold for any data set, batch size and world size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from vvscale.data import Augmentation, Evaluation, ImageStore, Loader, balanced_subset, uniforms
from vvscale.data.augment import counter
from vvscale.data.augment.crops import evaluation_boxes, random_boxes
from vvscale.data.augment.mixup import neighbours

INTEGERS = st.integers(-(2**63), 2**64 - 1)


@given(INTEGERS, INTEGERS, st.lists(st.integers(0, 2**40), min_size=1, max_size=9), st.integers(1, 5))
def test_tensors_arrays_and_plain_numbers_are_mixed_alike(seed, epoch, index, n):
    index = torch.tensor(index)
    key = counter.mix(counter.mix(seed & counter._MASK) ^ (epoch & counter._MASK))
    rows = counter._mix_tensor(counter._mix_tensor(index ^ counter._signed(key)) ^ 7)
    steps = torch.arange(n) * counter._signed(counter._STEP)
    expected = counter._mix_tensor(rows[:, None] + steps)
    hashes = counter.hashes(seed, epoch, index, n, stream=7)
    assert torch.equal(hashes, expected)
    plain = [counter.mix(int(row) & counter._MASK) for row in rows]
    assert [int(value) & counter._MASK for value in hashes[:, 0]] == plain


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 40), st.integers(1, 6))
def test_numbers_depend_on_their_own_row_and_column_alone(seed, epoch, n_rows, n):
    index = torch.randperm(1000)[:n_rows]
    stream = torch.arange(n_rows) % 3
    numbers = uniforms(seed, epoch, index, n, stream=stream)
    assert numbers.dtype == torch.float32
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    row = n_rows // 2
    alone = uniforms(seed, epoch, index[row : row + 1], n + 2, stream=int(stream[row]))
    assert torch.equal(alone[0, :n], numbers[row])


def test_numbers_are_those_written_down():
    numbers = uniforms(3, 5, torch.tensor([0, 1, 10**9]), 2, stream=4)
    expected = [
        [0.68871009349823, 0.7964065670967102],
        [0.5356156229972839, 0.5350593328475952],
        [0.9109694361686707, 0.7189239263534546],
    ]
    torch.testing.assert_close(numbers, torch.tensor(expected), rtol=0, atol=0)
    assert counter.uniform(3, 5, 7, 0) == 0.4983448905257333


def sequence(along: str) -> torch.Tensor:
    """A long sequence along one argument, the others fixed."""
    many, five = torch.arange(40000), torch.tensor([5])
    if along == "index":
        return uniforms(0, 0, many, 1)[:, 0]
    if along == "draw":
        return uniforms(0, 0, five, 40000)[0]
    if along == "stream":
        return uniforms(0, 0, torch.zeros_like(many), 1, stream=many)[:, 0]
    if along == "epoch":
        return torch.cat([uniforms(0, epoch, five, 1)[:, 0] for epoch in range(8000)])
    if along == "seed":
        return torch.cat([uniforms(seed, 0, five, 1)[:, 0] for seed in range(8000)])
    return torch.tensor([counter.uniform(0, 0, k, 0) for k in range(8000)])


@pytest.mark.parametrize("along", ["index", "draw", "stream", "epoch", "seed", "plain"])
def test_numbers_are_uniform_and_independent(along):
    values = sequence(along).double().numpy()
    n = len(values)
    assert kstest(values, "uniform").pvalue > 1e-3
    # Pairs of neighbours fill the square evenly: lags 1, 2 and 64.
    for lag in (1, 2, 64):
        counts = np.histogram2d(values[:-lag], values[lag:], bins=16, range=[[0, 1]] * 2)[0]
        expected = (n - lag) / 256
        assert chi2.sf(((counts - expected) ** 2 / expected).sum(), 255) > 1e-4
    # So do the lowest bits of the 24.
    low = (values * 2**24).astype(np.int64) % 16
    counts = np.bincount(low, minlength=16)
    assert chi2.sf(((counts - n / 16) ** 2 / (n / 16)).sum(), 15) > 1e-4


def test_arguments_that_are_close_have_unrelated_numbers():
    index = torch.arange(20000)
    columns = [
        uniforms(seed, epoch, index, 2, stream=stream) for seed in (0, 1) for epoch in (0, 1) for stream in (0, 1)
    ]
    correlation = np.corrcoef(torch.cat(columns, 1).T.double().numpy())
    off = np.abs(correlation - np.eye(len(correlation)))
    assert off.max() < 4.5 / np.sqrt(20000)


def test_orders_are_permutations_and_evenly_so():
    n = 6
    firsts, lasts = [], []
    for epoch in range(3000):
        order = counter.permutation(0, epoch, n)
        assert sorted(order.tolist()) == list(range(n))
        firsts.append(int(order[0]))
        lasts.append(int(order[-1]))
    pairs = np.zeros((n, n))
    np.add.at(pairs, (firsts, lasts), 1)
    off = ~np.eye(n, dtype=bool)
    expected = 3000 / off.sum()
    assert (pairs[~off] == 0).all()
    assert chi2.sf(((pairs[off] - expected) ** 2 / expected).sum(), off.sum() - 1) > 1e-3


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 17),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_ranks_together_see_what_one_sees(n, batch_size, world_size, repeats, mixes, drop_last, start):
    images = np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    store = ImageStore.from_arrays(images, np.arange(n) % 3, class_names="abc")
    transform = Augmentation(image_size=2, scale=None, mixup=0.5 * mixes)
    last = n % batch_size or batch_size
    if drop_last and batch_size > n:
        return
    smallest = batch_size if drop_last else last
    if (-(-smallest // 2) if mixes else smallest) < world_size:
        return

    def batches(rank, world):
        options = {"transform": transform, "batch_size": batch_size, "repeats": repeats, "drop_last": drop_last}
        return list(Loader(store, rank=rank, world_size=world, **options).epoch(1, start=start))

    whole = batches(0, 1)
    shares = [batches(rank, world_size) for rank in range(world_size)]
    assert len(whole) == max(0, (n // batch_size if drop_last else -(-n // batch_size)) - start)
    for number, batch in enumerate(whole):
        for name in ("index", "images", "targets") if mixes else ("index", "images"):
            joined = torch.cat([getattr(share[number], name) for share in shares])
            assert torch.equal(joined, getattr(batch, name))
        sizes = [len(share[number].index) for share in shares]
        assert max(sizes) - min(sizes) <= (2 if mixes else 1)
    if start == 0 and repeats == 1 and not drop_last:
        assert sorted(torch.cat([batch.index for batch in whole]).tolist()) == list(range(n))


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 64), st.integers(0, 2**31))
def test_crops_lie_within_their_images(height, width, size, seed):
    sizes = torch.tensor([[height, width]]).repeat(4, 1)
    numbers = uniforms(seed, 0, torch.arange(4), 22)
    numbers[0], numbers[1] = 0.0, 1 - 2**-24
    boxes = random_boxes(sizes, Augmentation(image_size=size), numbers, torch.zeros(4, dtype=torch.bool)).box
    top, left, h, w = boxes.unbind(1)
    assert (torch.stack([top, left]) >= 0).all()
    assert (torch.stack([h, w]) >= 1).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 64), st.integers(0, 40))
def test_evaluation_shows_the_centre(height, width, size, more):
    sizes = torch.tensor([[height, width]])
    for rule in ("squash", "short-side"):
        boxes = evaluation_boxes(sizes, Evaluation(image_size=size, resize=size + more, rule=rule))
        margin = boxes.stretched - size - 2 * boxes.window
        assert (boxes.window >= 0).all()
        assert (boxes.window + size <= boxes.stretched).all()
        assert (margin.abs() <= 1).all()


@given(st.integers(1, 50))
def test_neighbours_are_mutual(n):
    pairs = neighbours(n)
    assert torch.equal(pairs[pairs], torch.arange(n))


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.integers(0, 100),
    st.sampled_from(["uniform", "nested", "published"]),
)
def test_subsets_are_balanced(sizes, seed, rule):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    n = min(sizes)
    subset = balanced_subset(labels, samples_per_class=n, seed=seed, rule=rule)
    assert np.bincount(labels[subset.index]).tolist() == [n] * len(sizes)
    assert (np.diff(subset.index) > 0).all()
    assert subset.digest == balanced_subset(labels, samples_per_class=n, seed=seed, rule=rule).digest
