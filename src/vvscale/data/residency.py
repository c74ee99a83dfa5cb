"""Where the pixels of a subset are while a model is trained: on the device, in memory, or on the disk.

Every residency hands over the same bytes, so a batch does not depend on it. Images of a prepared data set are
compared with their digests when they are first read, so that no changed pixel is trained on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from vvscale.core.processes import available_cores, free_memory
from vvscale.data.store import ImageStore
from vvscale.errors import OutOfMemoryError, unknown_name

T = TypeVar("T")
Residency = Literal["auto", "device", "host", "map"]
Located = tuple[Tensor, Tensor, Tensor]
"""Buffer on the device, offsets (B,) and sizes (B, 2) on the CPU."""

# Of the memory that is free, the share that data may take; the rest is the model's.
_HEADROOM = 0.5
_COPIED_AT_ONCE = 1 << 28
_THREAD = "vvscale-prefetch"


class Source:
    """The images of a subset, ready to be cut.

    Parameters
    ----------
    store
        Where they come from.
    index
        (n,) int64, which.
    device
        Where batches are needed.
    residency
        "device": all on the device. "host": all in memory, sent batch by batch. "map": read from the store as they
        are needed, by a thread that is a few batches ahead. "auto": the first of these for which there is room.

    Raises
    ------
    OutOfMemoryError
        There is not enough memory where the residency needs it.
    DigestError
        An image is not the one that was prepared; for "map" this is raised when it is first read.
    """

    def __init__(self, store: ImageStore, index: np.ndarray, *, device: torch.device, residency: Residency) -> None:
        if residency not in get_args(Residency):
            raise unknown_name("residency", str(residency), get_args(Residency))
        self.device = device
        self._store, self._positions = store, index
        self.sizes = torch.from_numpy(store.sizes[index])
        self._n_bytes = store.n_bytes[index]
        self.residency: Residency = residency
        if residency == "auto":
            self.residency = choose_residency(store, int(self._n_bytes.sum()), device)
        self._buffer, self._offsets = torch.from_numpy(store.buffer), store.offsets[index]
        if self.residency != "map":
            self._load(device if self.residency == "device" else torch.device("cpu"), store)

    @property
    def is_resident(self) -> bool:
        """Whether batches are cut straight from one buffer on the device."""
        return self.residency == "device"

    def locate(self, batches: Iterable[Tensor]) -> Generator[Located]:
        """Yield where the images of each batch of rows (B,) are; a thread works ahead unless all is resident."""
        if self.is_resident:
            offsets = torch.from_numpy(self._offsets)
            return ((self._buffer, offsets[rows], self.sizes[rows]) for rows in batches)
        return ahead(self._staged(rows.numpy()) for rows in batches)

    def _staged(self, rows: np.ndarray) -> Located:
        """Copy the images of one batch side by side and send them to the device."""
        offsets, ends = _laid_out(self._n_bytes[rows])
        on_gpu = self.device.type == "cuda"
        staged = torch.empty(int(ends[-1]) if len(ends) else 0, dtype=torch.uint8, pin_memory=on_gpu)
        _copy_runs(self._buffer.numpy(), self._offsets[rows], self._n_bytes[rows], staged.numpy())
        if self.residency == "map":
            self._store.check_pixels(self._positions[rows], staged.numpy())
        sizes = self.sizes[torch.from_numpy(rows)]
        return staged.to(self.device, non_blocking=True), torch.from_numpy(offsets), sizes

    def _load(self, device: torch.device, store: ImageStore) -> None:
        """Bring the subset's images, and no others, to a device."""
        if device.type == "cpu" and not isinstance(store.buffer, np.memmap):
            return
        offsets, ends = _laid_out(self._n_bytes)
        try:
            loaded = torch.empty(int(ends[-1]), dtype=torch.uint8, device=device)
        except RuntimeError as error:
            raise OutOfMemoryError(
                f"The images need {ends[-1] / 1e9:.1f} GB, which '{device}' does not have free. Use residency 'map' "
                "or 'auto', or fewer samples per class."
            ) from error
        for rows in _groups(self._n_bytes):
            first, last = int(offsets[rows[0]]), int(ends[rows[-1]])
            part = loaded[first:last] if device.type == "cpu" else torch.empty(last - first, dtype=torch.uint8)
            _copy_runs(store.buffer, self._offsets[rows], self._n_bytes[rows], part.numpy())
            store.check_pixels(self._positions[rows], part.numpy(), n_threads=available_cores())
            if device.type != "cpu":
                loaded[first:last].copy_(part)
        self._buffer, self._offsets = loaded, offsets


def choose_residency(store: ImageStore, n_bytes: int, device: torch.device) -> Residency:
    """Return where ``n_bytes`` of a store's images fit, with room left for the model."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if n_bytes <= _HEADROOM * free:
            return "device"
        in_memory: Residency = "host"
    else:
        in_memory = "device"
    if not isinstance(store.buffer, np.memmap) or n_bytes <= _HEADROOM * free_memory():
        return in_memory
    return "map"


def ahead(items: Iterable[T], *, depth: int = 2) -> Generator[T]:
    """Yield items that a thread makes up to ``depth`` ahead; its errors are raised here.

    The thread ends when the items do, or when this iterator is closed.
    """
    queue: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
    stop = Event()

    def put(item: T | None, error: BaseException | None) -> bool:
        while not stop.is_set():
            try:
                queue.put((item, error), timeout=0.1)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001 - raised again by the reader
            put(None, error)

    thread = Thread(target=work, name=_THREAD, daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]
    finally:
        stop.set()
        with suppress(Empty):
            # Room for a put that is waiting: the thread sees the stop at once.
            queue.get_nowait()
        thread.join()


def _laid_out(n_bytes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and ends of images side by side."""
    ends = np.cumsum(n_bytes)
    return ends - n_bytes, ends


def _groups(n_bytes: np.ndarray) -> list[np.ndarray]:
    """Return rows in groups of about the bytes that are copied at once."""
    group = (np.cumsum(n_bytes) - n_bytes) // _COPIED_AT_ONCE
    return np.split(np.arange(len(n_bytes)), np.flatnonzero(np.diff(group)) + 1)


def _copy_runs(buffer: np.ndarray, offsets: np.ndarray, n_bytes: np.ndarray, target: np.ndarray) -> None:
    """Copy images side by side, neighbours of the buffer in one piece."""
    breaks = np.flatnonzero(offsets[1:] != offsets[:-1] + n_bytes[:-1]) + 1
    starts = np.concatenate([[0], breaks]) if len(offsets) else breaks
    at = 0
    for start, length in zip(offsets[starts].tolist(), np.add.reduceat(n_bytes, starts).tolist(), strict=True):
        target[at : at + length] = buffer[start : start + length]
        at += length
