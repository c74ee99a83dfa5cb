"""How a scoring fits into memory and disk, decided before it starts.

Everything here is arithmetic on shapes: the decision is made first and can be shown without acting on it.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from vvscale.brain.activations.projection import Projection
from vvscale.brain.activations.record import Layer, Probe
from vvscale.brain.activations.storage import ITEM, Holding, free_disk, plan_holding
from vvscale.brain.metrics.gram import BLOCK_FEATURES
from vvscale.brain.metrics.metric import MOST_TABLES
from vvscale.errors import ConfigError, OutOfMemoryError

# Shape legend: N images, p features.

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?\s*$", re.IGNORECASE)

_KEPT = {-3: 2**30, -1: 2**31 - 1, -8: 1}
_USUAL = {-3: 2**25, -1: 2**26, -8: 8 * (os.cpu_count() or 1)}
"""glibc's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX: what is mapped by itself, from when free memory goes back
to the system, and into how many heaps memory is divided; in all but the first, large memory is mapped by itself always.
The usual ones are those at which a process that uses large memory arrives by itself."""

_BLOCKS = 3
"""(N, w) blocks at one time: as read, centred, and the one being multiplied."""

_OUTPUTS = 4
"""Outputs of the size of the largest layer that a forward pass keeps at one time, working space included."""

_MODELS = 2
"""Batches that go through the model at one time: while one computes, what the other showed is written down."""

_INPUTS = 4
"""Batches of images waiting for the model, with what decoding takes."""


@dataclass(frozen=True)
class Pass:
    """One pass of a stimulus set through the model.

    Attributes
    ----------
    layers
        The layers recorded or derived in this pass, in the model's order.
    holding
        Where their activations lie.
    """

    layers: tuple[str, ...]
    holding: Holding


def parse_memory(text: str | int | float) -> int:
    """Return bytes.

    Examples
    --------
    >>> parse_memory("4GB"), parse_memory("512MiB")
    (4000000000, 536870912)
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text > 0:
        return int(text)
    match = _SIZE.match(str(text))
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"Cannot read the memory '{text}'; expected a size such as 4GB, 512MB or 8GiB.")
    return int(float(match[1]) * _UNITS[(match[2] or "").upper()])


def resident_memory() -> int:
    """Return the bytes of memory that this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return peak_memory()
    import resource

    return pages * resource.getpagesize()


def peak_memory() -> int:
    """Return the most bytes of memory that this process ever held."""
    try:
        # The kernel's own mark of this program; that of getrusage begins with the size of the process that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):  # not Linux
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@dataclass(frozen=True)
class Budget:
    """What a scoring may take and what it records, from which follow its passes and what is worked on at one time.

    Attributes
    ----------
    memory, resident
        Bytes allowed to the process, and taken already.
    n_images, n_fitted
        Images of the stimulus set, and further ones that a projection is fitted on.
    n_pixels
        Numbers of one preprocessed image.
    batch_size
        Images of a batch.
    seen, projection
        What the layers are, and how their features become fewer.
    n_tables
        (N, N) tables of float64 at the worst moment of the metrics.
    threads
        Layers that are worked on at one time where memory allows.
    """

    memory: int
    resident: int
    n_images: int
    n_fitted: int
    n_pixels: int
    batch_size: int
    seen: Probe = field(repr=False)
    projection: Projection = field(default_factory=Projection)
    n_tables: int = MOST_TABLES
    threads: int = 1

    def least(self) -> tuple[int, str]:
        """Return the bytes needed whatever is kept on disk, and the layer that decides it."""
        forward = self.batch_size * ITEM * _INPUTS * self.n_pixels + self._outputs
        products = self._metrics
        if self.projection.kind == "pca":
            products += 8 * self.n_fitted * (self._n_rows + self.n_fitted)
        return self.resident + max(forward, products), self._widest.name

    def check(self) -> None:
        """Raise unless a forward pass and the products of one layer fit into the memory allowed.

        The batch is not made smaller silently: it changes the last digits of a model's activations.

        Raises
        ------
        OutOfMemoryError
            They do not fit; the message says what is needed and for which layer.
        """
        least, layer = self.least()
        if least <= self.memory:
            return
        smaller = self
        while smaller.batch_size > 1 and smaller.least()[0] > self.memory:
            smaller = replace(smaller, batch_size=smaller.batch_size // 2)
        fits = smaller.least()[0] <= self.memory
        raise OutOfMemoryError(
            f"Layer '{layer}' ({self.seen.layers[layer].n_features:,} features of {self.n_images} images) does not fit "
            f"into a memory of {self.memory / 1e9:.2f} GB: at least {least / 1e9:.2f} GB are needed in batches of "
            f"{self.batch_size}, of which the process holds {self.resident / 1e9:.2f} GB already. "
            f"{f'Pass `batch_size={smaller.batch_size}`, or raise' if fits else 'Raise'} `memory` to "
            f"{1.1 * least / 1e9:.1f}GB."
        )

    def passes(self, scratch: Path, *, max_passes: int = 1) -> tuple[Pass, ...]:
        """Divide layers into as few passes as memory and disk allow.

        Raises
        ------
        OutOfMemoryError
            Memory and scratch space together are too small for ``max_passes``.
        """
        room, disk = self.memory - self.least()[0], free_disk(scratch)
        # Threads at work are worth more than activations in memory.
        each, more = self._metrics, self._following
        working = max(self.threads * (each + more) - each, (min(self.threads, _MODELS) - 1) * self._outputs)
        room -= working if working <= room else 0
        families = self.seen.families()
        kept = {name: self.projection.n_kept(self.seen.layers[name].n_features) for name in families}

        def plan(names: Iterable[str]) -> Holding:
            return plan_holding(self._n_rows, {name: kept[name] for name in names}, room)

        groups: list[list[str]] = [[]]
        for name in families:
            if groups[-1] and plan([*groups[-1], name]).disk_bytes > disk:
                groups.append([])
            groups[-1].append(name)
        made = [
            Pass(self.seen.members({one for name in names for one in families[name]}), plan(names)) for names in groups
        ]
        worst = max(one.holding.disk_bytes for one in made)
        if len(made) > max_passes or worst > disk:
            whole = plan(families)
            advice = f"allow {len(made)} forward passes per image with `max_passes={len(made)}`, "
            raise OutOfMemoryError(
                f"Activations of {len(kept)} layers of {self._n_rows} images need {whole.disk_bytes / 1e9:.1f} GB of "
                f"scratch space besides {whole.memory_bytes / 1e9:.1f} GB of memory, and '{scratch}' has "
                f"{disk / 1e9:.1f} GB free; the widest layer is '{max(kept, key=lambda one: kept[one])}'. Choose "
                f"another folder with `scratch`, {advice if worst <= disk else ''}raise `memory`, score fewer layers, "
                'or use `projection="sparse-1000"`.'
            )
        return tuple(made)

    def n_models_at_once(self, holding: Holding, threads: int) -> int:
        """Return how many batches may go through the model at one time, each with its share of ``threads``."""
        return max(1, min(threads, _MODELS, 1 + self._room(holding) // self._outputs))

    def n_at_once(self, holding: Holding) -> tuple[int, bool]:
        """Return how many recorded layers may be worked on at one time, and whether each with all that follow from it.

        At least 1 and at most ``threads``; what follows from a layer waits for its own turn where it would take the
        room of another thread.
        """
        each, more, room = self._metrics, self._following, self._room(holding)
        threads = min(self.threads, len(self.seen.families()))
        alone = max(1, min(threads, 1 + max(0, room) // each))
        together = min(threads, 1 + (room - more) // (each + more)) if room >= more else 0
        return alone, together == alone

    def _room(self, holding: Holding) -> int:
        """Return the bytes that are left beside one layer at work and what is held in memory."""
        return self.memory - self.least()[0] - holding.memory_bytes

    @property
    def _n_rows(self) -> int:
        return self.n_images + self.n_fitted

    @property
    def _widest(self) -> Layer:
        return max(self.seen.distinct().values(), key=lambda layer: layer.n_features)

    @property
    def _outputs(self) -> int:
        """Bytes that the outputs of a batch take in a forward pass."""
        return self.batch_size * ITEM * _OUTPUTS * self._widest.n_features

    @property
    def _block(self) -> int:
        """Bytes of one block of features, all images."""
        return self._n_rows * min(BLOCK_FEATURES, self.projection.n_kept(self._widest.n_features)) * ITEM

    @property
    def _metrics(self) -> int:
        """Bytes that the products and metrics of one layer take."""
        return self.n_tables * self.n_images**2 * 8 + _BLOCKS * self._block

    @property
    def _following(self) -> int:
        """Bytes of all layers that follow from one: of each a sum in float64, a product in float32 and two blocks."""
        n_more = max(map(len, self.seen.families().values())) - 1
        return n_more * (self.n_images**2 * (8 + ITEM) + 2 * self._block)


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Let the outputs of a batch lie where those of the batch before lay.

    glibc maps large memory anew whenever it is asked for and the system clears every page of it, which takes a third of
    the time of a forward pass on a CPU. Elsewhere nothing is changed.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt = getattr(libc, "mallopt", None)  # other C libraries have none
    if libc is None or mallopt is None:
        yield
        return
    for name, value in _KEPT.items():
        mallopt(name, value)
    try:
        yield
    finally:
        for name, value in _USUAL.items():
            mallopt(name, value)
        libc.malloc_trim(0)


@contextmanager
def naming_memory() -> Iterator[None]:
    """Turn what Python and PyTorch say about memory into an error that says what to do."""
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemoryError(
            f"The machine or device ran out of memory: {str(error).splitlines()[0] if str(error) else 'no message'}. "
            "Scores made so far are in the cache. Pass a smaller `batch_size` or `memory` and run the same command "
            "again; it goes on with the layers that are left."
        ) from error
