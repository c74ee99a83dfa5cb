"""Checkpoints that other programs wrote: found in their wrappers, matched to an architecture, and said in one line.

A file may hold the weights themselves or a training state around them (``state_dict``, ``model``, ...), and each name
may carry the prefix of a wrapper (``module.``, ``backbone.``). What fits is found by names and shapes, not guessed
from the file's name. Nothing in a file is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError
from vvscale.models.architectures.build import build_model, build_skeleton
from vvscale.models.architectures.names import PUBLISHED, architecture
from vvscale.models.unpickle import read_checkpoint
from vvscale.models.weights import State, likely_architectures

TORCH_SUFFIXES = (".pt", ".pth", ".tar", ".ckpt", ".bin", ".pkl")
SUFFIXES = (*TORCH_SUFFIXES, ".safetensors")

# What training programs call the weights, and their average; the first that is there is taken.
_WEIGHTS = (
    "state_dict",
    "model_state_dict",
    "model",
    "state",
    "network",
    "net",
    "module",
    "student",
    "weights",
    "params",
)
_AVERAGES = ("model_ema", "model_ema_state_dict", "state_dict_ema", "ema_state_dict", "ema", "teacher")
# How deep a wrapper is looked into: {"state": {"model": {...}}} is two.
_DEPTH = 3
# Counters that no output depends on in evaluation mode; old files lack them.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Fitted:
    """A network with the weights of a file.

    Attributes
    ----------
    module
        In evaluation mode.
    name
        Its architecture.
    weights
        "plain" or "ema".
    note
        One line: how many tensors were read from where, and which were not.
    is_partial
        Whether a tensor of the network is not in the file, or one of the file is not used.
    """

    module: nn.Module
    name: str
    weights: str
    note: str
    is_partial: bool


def is_foreign(path: Path) -> bool:
    """Whether a path names a file of weights without a record of ours beside it."""
    if path.suffix.lower() == ".safetensors":
        return path.is_file() and not path.with_suffix(".json").is_file()
    return path.suffix.lower() in TORCH_SUFFIXES


def load_foreign(path: Path, *, arch: str | None = None, ema: bool | None = None) -> Fitted:
    """Read a checkpoint into a network.

    Parameters
    ----------
    path
        A file that torch.save or safetensors wrote.
    arch
        The network, a name for ``build_model``; None = the published architecture whose tensors these are.
    ema
        Averaged or plain weights; None = plain ones where there are any.

    Raises
    ------
    MissingDataError
        There is no such file, or it has no weights of this kind.
    DataError
        It is damaged, holds no tensors, or wants to run something.
    ShapeError
        Its tensors are not those of the architecture.
    ConfigError
        Nothing says what network it is of.
    """
    state, place, kind = read_state(path, ema=ema)
    if arch is None:
        arch = _recognised(path, state)
    module = _module(arch, state)
    expected = module.state_dict()
    prefix = _prefix(state, expected)
    held = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    absent = [key for key in expected if key not in held and not key.endswith(_COUNTER)]
    misshaped = [key for key in expected if key in held and held[key].shape != expected[key].shape]
    _refuse_other(path, arch, state, expected, held, absent, misshaped)
    fitting = {key: held[key].to(expected[key].dtype) for key in expected if key in held}
    module.load_state_dict(fitting, strict=False)
    note = f"{path.name}: {len(fitting)} of {len(expected)} tensors of {arch} read from {place}"
    note += f", without the prefix '{prefix}'" if prefix else ""
    unused = [key for key in state if key.removeprefix(prefix) not in expected]
    for keys, text in ((absent, "not in the file, left as drawn"), (unused, "in the file and not used")):
        if keys:
            note += f"; {text}: {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
    return Fitted(module.eval(), arch, kind, f"{note}.", is_partial=bool(absent or unused))


def read_state(path: Path, *, ema: bool | None = None) -> tuple[dict[str, Tensor], str, str]:
    """Return the weights in a file, where in it they were, and whether they are "plain" or "ema"."""
    if path.suffix.lower() == ".safetensors":
        try:
            return load_file(path), "the file", "plain"
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(f"'{path}' cannot be read as safetensors: {error}. Copy or fetch it again.") from error
    payload = read_checkpoint(path)
    found = {kind: next(_states(payload, names), None) for kind, names in (("plain", _WEIGHTS), ("ema", _AVERAGES))}
    wanted = [kind for kind, is_ema in (("plain", False), ("ema", True)) if ema is None or ema == is_ema]
    for kind in wanted:
        if (held := found[kind]) is not None:
            return *held, kind
    held = ", ".join(map(str, list(payload)[:8])) if isinstance(payload, Mapping) else type(payload).__name__
    other = next((kind for kind in found if found[kind] is not None), None)
    raise MissingDataError(
        f"'{path}' holds no {'' if len(wanted) > 1 else f'{wanted[0]} '}weights: expected tensors by name, alone or "
        f"under {', '.join(_WEIGHTS[:4])}, ...; got {held or 'nothing'}."
        + (f" It has {other} ones: `ema={other == 'ema'}`." if other else "")
    )


def _states(payload: Any, names: tuple[str, ...]) -> Iterator[tuple[dict[str, Tensor], str]]:
    """Yield the tables of tensors in a training state, and the keys that lead there."""
    waiting: list[tuple[Any, tuple[str, ...]]] = [(payload, ())]
    while waiting:
        value, path = waiting.pop(0)
        if not isinstance(value, Mapping):
            continue
        tensors = {key: one for key, one in value.items() if isinstance(key, str) and isinstance(one, Tensor)}
        is_named = names is _WEIGHTS if not path else any(key in names for key in path)
        if is_named and len(tensors) > len(value) / 2:
            yield tensors, ".".join(path) or "the file"
        if len(path) < _DEPTH:
            known = [key for key in (*_WEIGHTS, *_AVERAGES) if key in value]
            waiting += [(value[key], (*path, key)) for key in known if key in names or not _is_average(key)]


def _is_average(key: str) -> bool:
    return key in _AVERAGES


def _recognised(path: Path, state: State) -> str:
    for prefix in ("", *_prefixes(state)):
        likely = likely_architectures({key.removeprefix(prefix): one for key, one in state.items()})
        if likely:
            return likely[0]
    raise ConfigError(
        f"Nothing says what network the weights in '{path}' ({len(state)} tensors, from '{next(iter(state))}') are "
        "of. Name it with `arch`, such as `arch=resnet50`, `arch=timm:vit_base_patch16_224` or "
        "`arch=torchvision:resnet50`; 'vvscale ls architectures' lists names. For a network of your own name "
        "the class or function that builds it, `arch=file.py:NAME`."
    )


def _module(arch: str, state: State) -> nn.Module:
    """Build a network with as many classes as a file's classifier has."""
    known = architecture(arch)
    shapes = {key: tuple(one.shape) for key, one in build_skeleton(arch).state_dict().items()}
    prefix = _prefix(state, build_skeleton(arch).state_dict())
    n_classes = {
        int(state[prefix + key].shape[0])
        for key, shape in shapes.items()
        if prefix + key in state
        and shape[:1] == (_IMAGENET_CLASSES,)
        and tuple(state[prefix + key].shape[1:]) == shape[1:]
        and state[prefix + key].ndim
    }
    n = n_classes.pop() if len(n_classes) == 1 else _IMAGENET_CLASSES
    return build_model(known.name, n_classes=n, seed=0)


_IMAGENET_CLASSES = 1000


def _prefixes(state: State) -> list[str]:
    """Return what all or many names begin with, the most frequent first."""
    counts: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        counts.update(".".join(parts[:n]) + "." for n in range(1, min(len(parts), _DEPTH + 1)))
    return [prefix for prefix, n in counts.most_common(50) if n > 1]


def _prefix(state: State, expected: State) -> str:
    """Return the prefix without which the most tensors have the names and shapes of a network."""

    def n_fitting(prefix: str) -> int:
        return sum(prefix + key in state and state[prefix + key].shape == one.shape for key, one in expected.items())

    return max(("", *_prefixes(state)), key=n_fitting)


def _refuse_other(
    path: Path, arch: str, state: State, expected: State, held: State, absent: list[str], misshaped: list[str]
) -> None:
    """Refuse a file of another network; only a classifier may be lacking, since networks are scored without it."""
    body = [key for key in absent if not _is_head(key, arch, expected)]
    if not body and not misshaped:
        return
    likely = [name for name in likely_architectures(held) if name != arch] if arch in PUBLISHED else []
    details = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for keys, what in ((body, "are not in the file"), (misshaped, "have another shape there"))
        if keys
    ]
    raise ShapeError(
        f"The weights in '{path}' are not those of {arch}: of its {len(expected)} tensors {'; '.join(details)}. The "
        f"file has {len(state)}, such as '{next(iter(state))}'. Likely cause: "
        + (
            f"they are of {' or '.join(likely)}."
            if likely
            else "another architecture, width or image size; `arch` names it."
        )
    )


def _is_head(key: str, arch: str, expected: State) -> bool:
    known = architecture(arch)
    if known.head_layer:
        return key.startswith(f"{known.head_layer}.")
    # Of a library's network the classifier is the last of the tensors.
    return key.rpartition(".")[0] == list(expected)[-1].rpartition(".")[0]
