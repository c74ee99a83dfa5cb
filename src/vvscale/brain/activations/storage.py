"""Activations of many layers for all images of a stimulus set, in memory as far as allowed, else on disk.

Inner products need every pair of images, so a layer's activations must be kept until the last image was seen.
They lie in blocks of features, each a contiguous (N, w) table: a batch of images writes one stretch per block,
and the products read one block at a time. Scratch files have no name, so the system takes them back whenever
the process ends, killed or not.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vvscale.brain.metrics.gram import BLOCK_FEATURES
from vvscale.core.files import make_folder, write_at
from vvscale.errors import DataError, OutOfMemoryError

# Shape legend: N images, b images of a batch, p features, w features of a block.

ITEM = 4
"""Bytes of a number: activations are kept as float32."""

_SPARE_DISK = 1 << 30


@dataclass(frozen=True)
class Holding:
    """Where each layer's activations will lie.

    Attributes
    ----------
    n_images
        Images N of the stimulus set.
    in_memory, on_disk
        Bytes by layer.
    """

    n_images: int
    in_memory: Mapping[str, int]
    on_disk: Mapping[str, int]

    @property
    def memory_bytes(self) -> int:
        """Bytes held in memory."""
        return sum(self.in_memory.values())

    @property
    def disk_bytes(self) -> int:
        """Bytes held in scratch files."""
        return sum(self.on_disk.values())


def plan_holding(n_images: int, n_features: Mapping[str, int], memory: int) -> Holding:
    """Decide which layers stay in memory: the smallest first, as many as fit.

    Parameters
    ----------
    n_images
        Images of the stimulus set.
    n_features
        Features by layer.
    memory
        Bytes allowed.

    Examples
    --------
    >>> plan_holding(10, {"wide": 1000, "narrow": 10}, memory=1000).on_disk
    {'wide': 40000}
    """
    in_memory: dict[str, int] = {}
    for name in sorted(n_features, key=lambda one: n_features[one]):
        size = n_images * n_features[name] * ITEM
        if sum(in_memory.values()) + size > memory:
            break
        in_memory[name] = size
    on_disk = {name: n_images * p * ITEM for name, p in n_features.items() if name not in in_memory}
    return Holding(n_images, in_memory, on_disk)


def free_disk(folder: Path) -> int:
    """Return the bytes that scratch files may take in a folder, a little left over."""
    return max(0, shutil.disk_usage(make_folder(folder)).free - _SPARE_DISK)


def block_width(places: int) -> int:
    """Return how many features make a block, of channels with so many features: whole channels, or an equal part.

    Examples
    --------
    >>> block_width(1), block_width(3136), block_width(12544)
    (4096, 3136, 3136)
    """
    if places <= BLOCK_FEATURES:
        return places * (BLOCK_FEATURES // places)
    n_parts = next(n for n in range(-(-places // BLOCK_FEATURES), places + 1) if places % n == 0)
    # A prime number of places would make blocks of one feature.
    return places // n_parts if places // n_parts > BLOCK_FEATURES // 4 else BLOCK_FEATURES


class HeldActivations:
    """Activations of several layers for N images; a context that gives everything back when left.

    Parameters
    ----------
    holding
        Where each layer lies.
    n_features
        Features by layer.
    scratch
        Folder for scratch files; created.
    places
        Features of one channel by layer: no block cuts a channel other than into equal parts. 1 where not given.

    Examples
    --------
    >>> with HeldActivations(plan_holding(2, {"a": 3}, memory=0), {"a": 3}, Path(tempfile.mkdtemp())) as held:
    ...     held.put("a", 0, np.arange(6).reshape(2, 3))
    ...     [block.tolist() for block in held.blocks("a")]
    [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    """

    def __init__(
        self, holding: Holding, n_features: Mapping[str, int], scratch: Path, places: Mapping[str, int] | None = None
    ) -> None:
        self._n_images = holding.n_images
        self._n_features = dict(n_features)
        self._places = dict(places or {})
        self._arrays: dict[str, list[np.ndarray]] = {}
        self._files: dict[str, IO[bytes]] = {}
        try:
            self._allocate(holding, scratch)
        except BaseException:
            self.close()
            raise

    def _allocate(self, holding: Holding, scratch: Path) -> None:
        for name in holding.in_memory:
            widths = [stop - start for start, stop in self._bounds(name)]
            self._arrays[name] = [np.empty((self._n_images, width), dtype=np.float32) for width in widths]
        if not holding.on_disk:
            return
        free = free_disk(scratch)
        if holding.disk_bytes > free:
            raise OutOfMemoryError(
                f"{len(holding.on_disk)} layers of {self._n_images} images need {holding.disk_bytes / 1e9:.1f} GB of "
                f"scratch space and '{scratch}' has {free / 1e9:.1f} GB free. Choose another folder with `scratch`, "
                "raise `memory`, allow more passes with `max_passes`, score fewer layers, or use "
                '`projection="sparse-1000"`.'
            )
        for name in holding.on_disk:
            self._files[name] = tempfile.TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115 (closed by close)

    def __enter__(self) -> HeldActivations:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def put(self, layer: str, start: int, rows: Any) -> None:
        """Copy (b, p) activations of the images from ``start`` on; several threads may put different images."""
        rows = np.asarray(rows, dtype=np.float32)
        if layer in self._arrays:
            for block, (first, stop) in zip(self._arrays[layer], self._bounds(layer), strict=True):
                block[start : start + len(rows)] = rows[:, first:stop]
            return
        file = self._files[layer].fileno()
        try:
            for first, stop in self._bounds(layer):
                stretch = np.ascontiguousarray(rows[:, first:stop])
                write_at(file, stretch.data.cast("B"), (self._n_images * first + start * (stop - first)) * ITEM)
        except OSError as error:
            raise DataError(
                f"Cannot write the activations of layer '{layer}' to scratch space: {error.strerror}. Another program "
                "may have filled the disk; nothing was left behind. Free some space or choose another `scratch`, "
                "then run the same command again."
            ) from error

    def blocks(self, layer: str) -> Iterator[np.ndarray]:
        """Yield the (N, w) blocks of a layer, in the order of the features; a block is valid until the next."""
        if layer in self._arrays:
            yield from self._arrays[layer]
            return
        file = self._files[layer].fileno()
        memory = np.empty(0, np.float32)
        for first, stop in self._bounds(layer):
            # The same memory for every block: fresh memory costs the system as much as reading.
            size = self._n_images * (stop - first)
            if memory.size < size:
                memory = np.empty(size, np.float32)
            block = memory[:size].reshape(self._n_images, stop - first)
            _read_whole(file, block, self._n_images * first * ITEM)
            yield block

    def drop(self, layer: str) -> None:
        """Give back the memory or disk space of a layer."""
        self._arrays.pop(layer, None)
        file = self._files.pop(layer, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Give back everything."""
        self._arrays.clear()
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _bounds(self, layer: str) -> list[tuple[int, int]]:
        p, width = self._n_features[layer], block_width(self._places.get(layer, 1))
        return [(first, min(first + width, p)) for first in range(0, p, width)]


def _read_whole(file: int, table: np.ndarray, offset: int) -> None:
    view = table.data.cast("B")
    while view:
        n = os.preadv(file, [view], offset)
        if n == 0:
            raise DataError("A scratch file ended early; expected every activation that was recorded. Run it again.")
        view, offset = view[n:], offset + n
