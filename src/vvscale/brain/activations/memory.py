"""How a scoring fits into memory and disk, decided before it starts.

Everything here is arithmetic on shapes: the decision is made first and can be shown without acting on it.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vvscale.brain.activations.projection import Projection
from vvscale.brain.activations.record import Probe
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


@dataclass(frozen=True)
class Sizes:
    """What the arithmetic starts from.

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
    n_tables: int = MOST_TABLES
    threads: int = 1


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


def least_memory(sizes: Sizes, seen: Probe, projection: Projection) -> tuple[int, str]:
    """Return the bytes needed whatever is kept on disk, and the layer that decides it."""
    layers = seen.distinct()
    widest = max(layers.values(), key=lambda layer: layer.n_features)
    forward = sizes.batch_size * ITEM * _INPUTS * sizes.n_pixels + _outputs(sizes, seen)
    n_rows = sizes.n_images + sizes.n_fitted
    block = n_rows * min(BLOCK_FEATURES, projection.n_kept(widest.n_features)) * ITEM
    products = sizes.n_tables * sizes.n_images**2 * 8 + _BLOCKS * block
    if projection.kind == "pca":
        products += 8 * sizes.n_fitted * (n_rows + sizes.n_fitted)
    return sizes.resident + max(forward, products), widest.name


def n_models_at_once(sizes: Sizes, seen: Probe, projection: Projection, holding: Holding, threads: int) -> int:
    """Return how many batches may go through the model at one time, each with its share of ``threads``."""
    room = sizes.memory - least_memory(sizes, seen, projection)[0] - holding.memory_bytes
    return max(1, min(threads, _MODELS, 1 + room // _outputs(sizes, seen)))


def _outputs(sizes: Sizes, seen: Probe) -> int:
    """Return the bytes that the outputs of a batch take in a forward pass."""
    return sizes.batch_size * ITEM * _OUTPUTS * max(layer.n_features for layer in seen.distinct().values())


def n_at_once(sizes: Sizes, seen: Probe, projection: Projection, holding: Holding) -> tuple[int, bool]:
    """Return how many recorded layers may be worked on at one time, and whether each with all that follow from it.

    At least 1 and at most ``sizes.threads``; what follows from a layer waits for its own turn where it would take the
    room of another thread.
    """
    each, more = _working_memory(sizes, seen, projection)
    threads = min(sizes.threads, len(seen.families()))
    room = sizes.memory - least_memory(sizes, seen, projection)[0] - holding.memory_bytes
    alone = max(1, min(threads, 1 + max(0, room) // each))
    together = min(threads, 1 + (room - more) // (each + more)) if room >= more else 0
    return alone, together == alone


def _working_memory(sizes: Sizes, seen: Probe, projection: Projection) -> tuple[int, int]:
    """Return the bytes that one more layer takes at one time, and those of all layers that follow from one."""
    widest = max(projection.n_kept(layer.n_features) for layer in seen.distinct().values())
    block = (sizes.n_images + sizes.n_fitted) * min(BLOCK_FEATURES, widest) * ITEM
    each = sizes.n_tables * sizes.n_images**2 * 8 + _BLOCKS * block
    # A sum in float64, a product in float32 and two blocks of every layer more.
    n_more = max(map(len, seen.families().values())) - 1
    return each, n_more * (sizes.n_images**2 * (8 + ITEM) + 2 * block)


def check_memory(sizes: Sizes, seen: Probe, projection: Projection) -> None:
    """Raise unless a forward pass and the products of one layer fit into the memory allowed.

    The batch is not made smaller silently: it changes the last digits of a model's activations.

    Raises
    ------
    OutOfMemoryError
        They do not fit; the message says what is needed and for which layer.
    """
    least, layer = least_memory(sizes, seen, projection)
    if least <= sizes.memory:
        return
    batch = sizes.batch_size
    while batch > 1 and least_memory(replace(sizes, batch_size=batch), seen, projection)[0] > sizes.memory:
        batch //= 2
    fits = least_memory(replace(sizes, batch_size=batch), seen, projection)[0] <= sizes.memory
    raise OutOfMemoryError(
        f"Layer '{layer}' ({seen.layers[layer].n_features:,} features of {sizes.n_images} images) does not fit into a "
        f"memory of {sizes.memory / 1e9:.2f} GB: at least {least / 1e9:.2f} GB are needed in batches of "
        f"{sizes.batch_size}, of which the process holds {sizes.resident / 1e9:.2f} GB already. "
        f"{f'Pass `batch_size={batch}`, or raise' if fits else 'Raise'} `memory` to {1.1 * least / 1e9:.1f}GB."
    )


def plan_passes(
    sizes: Sizes, seen: Probe, projection: Projection, scratch: Path, *, max_passes: int = 1
) -> tuple[Pass, ...]:
    """Divide layers into as few passes as memory and disk allow.

    Raises
    ------
    OutOfMemoryError
        Memory and scratch space together are too small for ``max_passes``.
    """
    room = sizes.memory - least_memory(sizes, seen, projection)[0]
    # Threads at work are worth more than activations in memory.
    each, more = _working_memory(sizes, seen, projection)
    working = max(sizes.threads * (each + more) - each, (min(sizes.threads, _MODELS) - 1) * _outputs(sizes, seen))
    room -= working if working <= room else 0
    disk = free_disk(scratch)
    n_rows = sizes.n_images + sizes.n_fitted
    families = seen.families()
    kept = {name: projection.n_kept(seen.layers[name].n_features) for name in families}
    passes: list[list[str]] = [[]]
    for name in families:
        if passes[-1] and not _fits({one: kept[one] for one in [*passes[-1], name]}, n_rows, room, disk):
            passes.append([])
        passes[-1].append(name)
    made = [
        Pass(
            _members(seen, {layer for name in names for layer in families[name]}),
            plan_holding(n_rows, {name: kept[name] for name in names}, room),
        )
        for names in passes
    ]
    worst = max(made, key=lambda one: one.holding.disk_bytes)
    if len(made) > max_passes or worst.holding.disk_bytes > disk:
        whole = plan_holding(n_rows, kept, room)
        advice = f"allow {len(made)} forward passes per image with `max_passes={len(made)}`, "
        raise OutOfMemoryError(
            f"Activations of {len(kept)} layers of {n_rows} images need {whole.disk_bytes / 1e9:.1f} GB of scratch "
            f"space besides {whole.memory_bytes / 1e9:.1f} GB of memory, and '{scratch}' has {disk / 1e9:.1f} GB free; "
            f"the widest layer is '{max(kept, key=lambda one: kept[one])}'. Choose another folder with `scratch`, "
            f"{advice if worst.holding.disk_bytes <= disk else ''}raise `memory`, score fewer layers, or use "
            '`projection="sparse-1000"`.'
        )
    return tuple(made)


def _members(seen: Probe, distinct: set[str]) -> tuple[str, ...]:
    """Return distinct layers and those that are the same tensor, in the model's order."""
    return tuple(name for name, layer in seen.layers.items() if (layer.same_as or name) in distinct)


def _fits(n_features: Mapping[str, int], n_rows: int, room: int, disk: int) -> bool:
    return plan_holding(n_rows, n_features, room).disk_bytes <= disk


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
