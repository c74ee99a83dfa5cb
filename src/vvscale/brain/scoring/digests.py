"""What tells two scorings apart: the digests that keys of caches are made of.

A key must change with everything that a score depends on: the weights and the code of the model, the data and
metric of the benchmark, and the code of this package.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

import vvscale
from vvscale.brain.benchmarks.benchmark import Benchmark, NeuralBenchmark
from vvscale.core.hashing import digest_of, source_digest

# What a change in these files does to scores is not known in advance, so any change counts.
_CODE = Path(__file__).parents[1]


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a model's parameters and buffers: names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name, value in module.state_dict().items():
        held = value.detach().cpu().contiguous() if hasattr(value, "detach") else value
        total.update(f"{name} {getattr(held, 'dtype', type(held))} {tuple(getattr(held, 'shape', ()))}\n".encode())
        # Seen as bytes, since NumPy has no bfloat16.
        total.update(held.reshape(-1).view(_bytes()).numpy() if hasattr(held, "detach") else repr(held).encode())
    return total.hexdigest()


def model_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a model: its weights, its structure, and the code of its classes.

    Two models may share their weights and compute different things with them.
    """
    total = hashlib.sha256(weights_digest(module).encode())
    total.update(repr(module).encode())
    for kind in sorted({type(one) for one in module.modules()}, key=lambda kind: (kind.__module__, kind.__qualname__)):
        total.update(_code_of(kind).encode())
    return total.hexdigest()


def benchmark_digest(benchmark: Benchmark, data_digest: str) -> str:
    """Return the SHA-256 of a benchmark: the digest of its data, and its settings."""
    settings: list[Any] = [benchmark.benchmark_id, benchmark.version, benchmark.region, benchmark.formula]
    if isinstance(benchmark, NeuralBenchmark):
        settings += [benchmark.stratify_by, benchmark.n_components]
    else:
        settings += [benchmark.label, benchmark.metric]
    return digest_of([data_digest, settings])


@cache
def code_digest() -> str:
    """Return the SHA-256 of the code that makes scores, and of the version of PyTorch that runs models."""
    import torch

    return hashlib.sha256(f"{vvscale.__version__} {torch.__version__} {source_digest(_CODE)}".encode()).hexdigest()


def _bytes() -> Any:
    import torch

    return torch.uint8


@cache
def _code_of(kind: type) -> str:
    """Return the source of a class and its bases as far as they are not PyTorch's, whose version counts instead."""
    own = [base for base in kind.__mro__ if base.__module__.split(".")[0] not in {"torch", "builtins"}]
    return "".join(f"{base.__module__}.{base.__qualname__}\n{_source(base)}" for base in own)


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # defined at a prompt or by exec
        functions = [value for value in vars(kind).values() if inspect.isfunction(value)]
        return "".join(f"{one.__qualname__} {one.__code__.co_code.hex()} {one.__code__.co_names}" for one in functions)
