"""Batches in an order, and with changes, that are pure functions of (seed, epoch, image).

Nothing is carried from one batch to the next, so an epoch can be entered at any batch and shared among any number of
ranks: batches are cut from one global order and each rank takes its contiguous share of every batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vvscale.core.devices import find_device
from vvscale.data.augment.apply import Draws, apply_transform, flips, normalised, shifts, windows
from vvscale.data.augment.counter import permutation
from vvscale.data.augment.mixup import apply_mix, draw_mix, mix_targets
from vvscale.data.augment.settings import Augmentation, Evaluation, Transform
from vvscale.data.residency import Residency, Source
from vvscale.data.store import ImageStore
from vvscale.data.subsets import Subset
from vvscale.errors import ConfigError, DataError

# Small images are normalised once and kept, mirrored too, where that takes no more than this.
_TABLE_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class Batch:
    """What one rank gets of one global batch.

    Attributes
    ----------
    images
        (B, 3, H, W) float32, normalised; a tuple of such for several views.
    labels
        (B,) int64.
    index
        (B,) int64, positions in the store.
    targets
        (B, n_classes) float32, shares of the classes, where images are mixed; None otherwise.
    n_global
        Images of the global batch, over all ranks.
    """

    images: Tensor | tuple[Tensor, ...]
    labels: Tensor
    index: Tensor
    targets: Tensor | None
    n_global: int


class Loader:
    """Batches of a subset of a store, augmented on the device.

    Parameters
    ----------
    store
        The images.
    index
        (n,) positions in the store, a subset, or None for all images.
    transform
        What to do to each image; several transforms make one view each.
    batch_size
        Images per global batch, over all ranks.
    seed
        Of the order and of the augmentation.
    device
        Where batches are made, ``cpu`` or ``cuda``.
    residency
        Where the images are meanwhile; see :class:`vvscale.data.residency.Source`. Batches do not depend on it.
    rank, world_size
        Which share of each batch this process takes.
    shuffle
        Whether each epoch has an order of its own; otherwise that of ``index``.
    drop_last
        Whether a last, smaller batch is left out.
    n_views
        How many times one transform is applied to each image.
    repeats
        Repeated augmentation: each image is so many times in one batch, and an epoch has as many images as ever, of
        which a share 1/repeats are different ones.

    Raises
    ------
    ConfigError
        Options out of range or in contradiction; no GPU where one is asked for.
    DataError
        There is no image, or none is left by ``drop_last``.
    OutOfMemoryError
        As in :class:`vvscale.data.residency.Source`.

    Examples
    --------
    >>> from vvscale.data import Augmentation, load_dataset
    >>> digits = load_dataset("digits")
    >>> augmentation = Augmentation(image_size=8, scale=None, hflip=0, shift=1)
    >>> loader = Loader(digits.train, transform=augmentation, batch_size=64)
    >>> len(loader), next(loader.epoch(0)).images.shape
    (18, torch.Size([64, 3, 8, 8]))
    """

    def __init__(
        self,
        store: ImageStore,
        index: np.ndarray | Subset | None = None,
        *,
        transform: Transform | Sequence[Transform],
        batch_size: int,
        seed: int = 0,
        device: str | torch.device = "cpu",
        residency: Residency = "auto",
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        drop_last: bool = False,
        n_views: int = 1,
        repeats: int = 1,
    ) -> None:
        self.store = store
        positions = index.index if isinstance(index, Subset) else index
        self.index = np.arange(store.n_images) if positions is None else np.asarray(positions, dtype=np.int64)
        self.transforms = (
            (transform,) * n_views if isinstance(transform, Augmentation | Evaluation) else tuple(transform)
        )
        self.batch_size, self.seed, self.shuffle, self.drop_last = batch_size, seed, shuffle, drop_last
        self.rank, self.world_size, self.repeats = rank, world_size, repeats
        _check(self, n_views)
        self.device = find_device(device)
        self.source = Source(store, self.index, device=self.device, residency=residency)
        self._index = torch.from_numpy(self.index)
        self._labels = torch.from_numpy(store.labels[self.index])

    @property
    def residency(self) -> Residency:
        """Where the images are."""
        return self.source.residency

    @property
    def mixes(self) -> bool:
        """Whether batches have soft targets."""
        return isinstance(self.transforms[0], Augmentation) and self.transforms[0].mixes

    def __len__(self) -> int:
        n = len(self.index)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch, from batch ``start`` on.

        Closing the iterator, or leaving it to be collected, ends its thread.
        """
        rows, copies = self._order(epoch)
        shares = [self._share(batch, len(rows)) for batch in range(start, len(self))]
        if self._table is not None:
            yield from self._from_table(epoch, start, rows, copies, shares)
            return
        located = self.source.locate(rows[first:last] for first, last in shares)
        try:
            for batch, ((first, last), place) in enumerate(zip(shares, located, strict=True), start):
                own, copy = rows[first:last], copies[first:last]
                views = tuple(
                    apply_transform(transform, *place, Draws(self.seed, epoch, self._index[own], copy, view))
                    for view, transform in enumerate(self.transforms)
                )
                yield self._batch(epoch, batch, own, views)
        finally:
            located.close()

    def _order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Return rows of the subset (n,) in the order of an epoch, and how often each has been before."""
        n = len(self.index)
        rows = permutation(self.seed, epoch, n) if self.shuffle else torch.arange(n)
        if self.repeats == 1:
            return rows, torch.zeros_like(rows)
        copies = torch.arange(self.repeats).repeat(n)[:n]
        rows = rows.repeat_interleave(self.repeats)[:n]
        # Copies of an image are kept apart within their batch, for neighbours are mixed.
        apart = (torch.arange(n) // self.batch_size * self.repeats + copies).argsort(stable=True)
        return rows[apart], copies[apart]

    def _share(self, batch: int, n: int) -> tuple[int, int]:
        """Return where this rank's share of a batch begins and ends in the order of the epoch."""
        first = batch * self.batch_size
        size = min(self.batch_size, n - first)
        # Pairs that are mixed stay together.
        unit = 2 if self.mixes else 1
        units = -(-size // unit)
        bounds = (min(size, unit * (units * rank // self.world_size)) for rank in (self.rank, self.rank + 1))
        begin, end = bounds
        return first + begin, first + end

    def _batch(self, epoch: int, batch: int, rows: Tensor, views: tuple[Tensor, ...]) -> Batch:
        labels = self._labels[rows].to(self.device, non_blocking=True)
        targets = None
        transform = self.transforms[0]
        if isinstance(transform, Augmentation) and transform.mixes:
            mix = draw_mix(transform, seed=self.seed, epoch=epoch, batch=batch)
            views = (apply_mix(views[0], mix),)
            targets = mix_targets(labels, self.store.n_classes, mix)
        images = views[0] if len(views) == 1 else views
        n_global = min(self.batch_size, len(self.index) - batch * self.batch_size)
        return Batch(images, labels, self._index[rows].to(self.device, non_blocking=True), targets, n_global)

    @cached_property
    def _table(self) -> Tensor | None:
        """(2n, 3, H + 2 shift, W + 2 shift) float32: small images, ready to be shifted, then their mirror images."""
        transform = self.transforms[0]
        sizes, side = self.source.sizes, transform.image_size
        if len(self.transforms) > 1 or not (sizes == side).all():
            return None
        if isinstance(transform, Augmentation) and (not transform.is_geometric or transform.erasing):
            return None
        if isinstance(transform, Evaluation) and transform.side != side:
            return None
        shift = transform.shift if isinstance(transform, Augmentation) else 0
        n_bytes = 2 * len(sizes) * 3 * (side + 2 * shift) ** 2 * 4
        if not self.source.is_resident or n_bytes > _TABLE_BYTES:
            return None
        pixels = np.stack([self.store.image(position) for position in self.index.tolist()])
        images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
        images = functional.pad(torch.cat([images, images.flip(-1)]), (shift,) * 4)
        return normalised(images, transform).contiguous()

    def _from_table(
        self, epoch: int, start: int, rows: Tensor, copies: Tensor, shares: list[tuple[int, int]]
    ) -> Iterator[Batch]:
        """Yield batches by indexing alone: what is drawn is drawn for the whole epoch at once."""
        table, transform = self._table, self.transforms[0]
        if table is None or not shares:
            return
        where = rows.to(self.device)
        moved = None
        if isinstance(transform, Augmentation):
            draws = Draws(self.seed, epoch, self._index[rows], copies)
            where = where + (flips(transform, draws) * len(rows)).to(self.device)
            if transform.shift:
                moved = windows(table, transform.shift), *shifts(transform, draws).to(self.device).unbind(1)
        for batch, (first, last) in enumerate(shares, start):
            own = slice(first, last)
            if moved is None:
                images = table[where[own]]
            else:
                shown, y, x = moved
                images = shown[where[own], :, y[own], x[own]]
            yield self._batch(epoch, batch, rows[first:last], (images,))


def _check(loader: Loader, n_views: int) -> None:
    """Refuse options that contradict each other or the data."""
    n, size, world = len(loader.index), loader.batch_size, loader.world_size
    transforms = loader.transforms
    at_least_one = {"batch_size": size, "world_size": world, "n_views": n_views, "repeats": loader.repeats}
    for name, value in at_least_one.items():
        if value < 1:
            raise ConfigError(f"Loader: {name} is {value}; expected a whole number of at least 1.")
    if not 0 <= loader.rank < world:
        raise ConfigError(f"Loader: rank is {loader.rank}; expected 0..{world - 1} for a world_size of {world}.")
    if not transforms or (n_views > 1 and len(set(map(id, transforms))) > 1):
        raise ConfigError("Loader: expected one transform, with n_views, or one transform per view.")
    if len(transforms) > 1 and any(isinstance(t, Augmentation) and t.mixes for t in transforms):
        raise ConfigError("Loader: mixup and cutmix need one view per image; set both to 0 or n_views to 1.")
    if not n:
        raise DataError(f"No image of '{loader.store.name}' was chosen; expected at least one.")
    if loader.index.ndim != 1 or loader.index.min() < 0 or loader.index.max() >= loader.store.n_images:
        raise DataError(
            f"The index of the subset reaches {loader.index.max()}, but '{loader.store.name}' has "
            f"{loader.store.n_images} images. It was probably drawn from another data set; draw it anew."
        )
    if loader.drop_last and size > n:
        raise DataError(
            f"With drop_last and a batch size of {size} nothing is left of {n} images. Use a batch size of at most "
            f"{n}, or drop_last=False to train on what there is."
        )
    last = size if loader.drop_last or n % size == 0 else n % size
    parts = -(-last // 2) if loader.mixes else last
    if parts < world:
        raise ConfigError(
            f"The last batch has {last} images{' (pairs to mix stay together)' if loader.mixes else ''}, too few for "
            f"{world} ranks. Use fewer ranks, another batch size, or drop_last=True."
        )
