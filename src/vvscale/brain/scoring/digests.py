"""What keys of caches are made of: digests of models, benchmarks and of the code of this package.

A key must change with everything that a score depends on: the weights, attributes, hooks and code of the model, the
data, metric, design and ceiling of the benchmark, and the code that scores.
"""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

import vvscale
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.scoring.keys import Keys, Unkeyable
from vvscale.core.hashing import digest_of, source_digest

# What a change in these files does to scores is not known in advance, so any change counts.
_CODE = Path(__file__).parents[1]

# Kept by PyTorch in every module, and keyed through the weights, the parts or the hooks.
_KEPT = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training"}
_HOOKS = {"_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
          "_forward_pre_hooks_with_kwargs"}  # fmt: skip
# Hooks of training and of state dictionaries change no activation.
_OTHER_HOOKS = "_hooks"


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
    """Return the SHA-256 of a model: its weights, structure, attributes, hooks and code.

    Two models may share their weights and compute different things with them.

    Raises
    ------
    Unkeyable
        A part of it cannot be told from another: its scores must not be cached.
    """
    import torch

    parts = [weights_digest(module), repr(module)]
    keys = Keys()
    for name, one in module.named_modules(remove_duplicate=False):
        if isinstance(one, torch.jit.ScriptModule):
            parts.append(f"{name} {one.code if hasattr(one, 'forward') else ''}")
            continue
        parts.append(f"{name} {keys.of(type(one))}")
        for attribute, value in sorted(vars(one).items()):
            if attribute in _KEPT or (_OTHER_HOOKS in attribute and attribute not in _HOOKS):
                continue
            # Handles number hooks in the order of the whole process; the functions are what counts.
            held = list(value.values()) if attribute in _HOOKS else value
            try:
                parts.append(f"{attribute} {keys.of(held)}")
            except Unkeyable as error:
                place = f"the layer '{name}'" if name else "the model"
                raise Unkeyable(f"'{attribute}' of {place} holds {error}") from None
        for buffer in sorted(one._non_persistent_buffers_set):
            parts.append(f"{buffer} {keys.of(one._buffers[buffer])}")
    return digest_of(parts)


def benchmark_digest(benchmark: Benchmark, data_digest: str) -> str:
    """Return the SHA-256 of a benchmark: the digest of its data, its settings, and the code of its classes.

    Raises
    ------
    Unkeyable
        A part of it, such as a metric of one's own, cannot be told from another.
    """
    keys = Keys()
    settings = [keys.of(type(benchmark))]
    fields = dataclasses.fields(benchmark) if dataclasses.is_dataclass(benchmark) else ()
    names = [one.name for one in fields] or sorted(vars(benchmark))
    for name in names:
        value = getattr(benchmark, name)
        # The data are in their own digest, which does not read every image again.
        if isinstance(value, Benchmark):
            settings.append(name + benchmark_digest(value, data_digest))
        elif name not in ("stimuli", "assembly", "trials") and not name.startswith("_"):
            settings.append(name + keys.of(value))
    return digest_of([data_digest, settings])


@cache
def code_digest() -> str:
    """Return the SHA-256 of the code that makes scores, and of the version of PyTorch that runs models."""
    import torch

    return hashlib.sha256(f"{vvscale.__version__} {torch.__version__} {source_digest(_CODE)}".encode()).hexdigest()


def _bytes() -> Any:
    import torch

    return torch.uint8
