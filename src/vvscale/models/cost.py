"""Cost of a network by running it on no data: parameters and operations, on the axes of the published table.

The network runs on torch's meta device, which computes shapes and nothing else, so that the largest takes a
fraction of a second and no memory. The published convention counts, for one image and one forward pass in
training mode,

    convolution, linear, matrix product    multiply-adds
    batch, layer, group norm               5 per element (4 without weights)
    adaptive average pooling               1 per element
    everything else                        nothing

so it leaves out activations, additions, max-pooling, and the two products of an attention that is computed
in one piece (queries with keys, weights with values). It is kept as it is, since the published axes are made
of it; ``forward_flop_full`` adds the products of attention.

Source: Gokce & Schrimpf (2025), columns n_params and macs; the convention is that of fvcore 0.1.5
(FlopCountAnalysis), reproduced exactly.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vvscale.core.jsonable import Result
from vvscale.errors import ShapeError
from vvscale.models.architectures.build import build_skeleton
from vvscale.models.architectures.families import ModelOptions
from vvscale.models.architectures.names import architecture

# Batch norm in training mode refuses a single value per channel, so two images are run and halved.
_BATCH = 2


@dataclass(frozen=True)
class Cost(Result):
    """Size of a network and of one forward pass of one image.

    Attributes
    ----------
    n_params
        Trainable parameters with a classifier of ``head_classes`` classes (published: 1000); N in the laws.
    n_params_actual
        Trainable parameters of the network as it is.
    forward_mac
        Multiply-adds in the published convention, with a classifier of ``head_classes`` classes.
    forward_flop
        2 x ``forward_mac``, as published.
    forward_flop_full
        The same with the products of attention, at 2 FLOP per multiply-add.
    head_classes
        Classes that the classifier is counted with.
    image_size
        Side of the image, in pixels.
    """

    n_params: int
    n_params_actual: int
    forward_mac: int
    forward_flop: int
    forward_flop_full: int
    head_classes: int
    image_size: int

    def columns(self) -> dict[str, int]:
        """Return what a row of the score table has of it."""
        return {"n_params": self.n_params, "forward_mac": self.forward_mac, "forward_flop": self.forward_flop}


def model_cost(
    name_or_module: str | nn.Module,
    *,
    n_classes: int = 1000,
    image_size: int | None = None,
    in_channels: int = 3,
    stem: Literal["auto", "published", "small"] = "auto",
    head_classes: int | None = 1000,
) -> Cost:
    """Measure what a network costs.

    Parameters
    ----------
    name_or_module
        A name as of ``build_model``, or a network; one that ``build_model`` made is measured as it was built.
    n_classes, image_size, in_channels, stem
        As of ``build_model``; for a network of other origin ``image_size`` (224) and ``in_channels`` say what
        to run it on.
    head_classes
        Classes that ``n_params`` and ``forward_*`` count the classifier with: 1000 as published, whatever the
        data set; None = the actual number. A network of unknown origin is counted as it is.

    Raises
    ------
    ShapeError
        The network does not run on images of this size.

    Examples
    --------
    >>> one = model_cost("resnet18")
    >>> one.n_params, one.forward_mac
    (11689512, 1826516992)
    """
    if isinstance(name_or_module, nn.Module):
        built_as: tuple[str, ModelOptions] | None = getattr(name_or_module, "built_as", None)
        if built_as is None:
            return _of_module(name_or_module, image_size or 224, in_channels)
        name, options = built_as
        chosen = (options.n_classes, image_size or options.image_size, options.in_channels, options.stem)
    else:
        name = architecture(name_or_module).name
        chosen = (n_classes, image_size, in_channels, stem)
    return _of_name(name, *chosen, head_classes=head_classes)


@lru_cache(maxsize=512)
def _of_name(
    name: str,
    n_classes: int,
    image_size: int | None,
    in_channels: int,
    stem: Literal["auto", "published", "small"],
    *,
    head_classes: int | None,
) -> Cost:
    head = n_classes if head_classes is None else head_classes
    size = image_size or architecture(name).image_size
    shape = {"image_size": size, "in_channels": in_channels, "stem": stem}
    module = build_skeleton(name, n_classes=head, **shape)
    actual = module if n_classes == head else build_skeleton(name, n_classes=n_classes, **shape)
    counts = count_operations(module, image_size=size, in_channels=in_channels)
    return _cost(counts, n_params=_n_params(module), n_params_actual=_n_params(actual), head=head, size=size)


def _of_module(module: nn.Module, image_size: int, in_channels: int) -> Cost:
    counts = count_operations(module, image_size=image_size, in_channels=in_channels)
    n_params = _n_params(module)
    return _cost(counts, n_params=n_params, n_params_actual=n_params, head=0, size=image_size)


def _cost(counts: Counter[str], *, n_params: int, n_params_actual: int, head: int, size: int) -> Cost:
    attention = counts["scaled_dot_product_attention"]
    macs = counts.total() - attention
    return Cost(n_params, n_params_actual, macs, 2 * macs, 2 * (macs + attention), head, size)


def _n_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_operations(module: nn.Module, *, image_size: int, in_channels: int = 3) -> Counter[str]:
    """Count the operations of one image by kind, multiply-adds in the convention above.

    The network itself is left alone: a copy without data is run.

    Returns
    -------
    collections.Counter
        Name of the function -> count; ``scaled_dot_product_attention`` holds the products of attention, which
        the published convention leaves out.
    """
    ghost = _without_data(module).train()
    images = torch.empty(_BATCH, in_channels, image_size, image_size, device="meta")
    counter = _CountOperations()
    try:
        with torch.no_grad(), counter:
            ghost(images)
    except (RuntimeError, ValueError, AssertionError, NotImplementedError) as error:
        raise ShapeError(
            f"Cannot count the operations of {type(module).__name__} on images of {in_channels} x {image_size} x "
            f"{image_size}: {error} Expected a network that takes such images and whose course does not depend on "
            "their values. Likely cause: another image_size or in_channels than it was built for."
        ) from error
    return Counter({name: count // _BATCH for name, count in counter.counts.items()})


def _without_data(module: nn.Module) -> nn.Module:
    # deepcopy takes what its memo holds for a copy, so no tensor of the network is ever duplicated.
    memo: dict[int, Any] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        ghost = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(ghost, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else ghost
    return copy.deepcopy(module, memo)


class _CountOperations(TorchFunctionMode):
    """Counts the functions of ``_RULES`` as they are called; what these call inside is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        # A norm keeps the shape, and on the meta device there is nothing else to compute.
        result = args[0] if name in _NORMS and args else func(*args, **kwargs)
        if name in _RULES:
            self.counts[name] += _RULES[name](args, kwargs, result)
        return result


def _convolution(args: Any, kwargs: Any, result: Tensor) -> int:
    weight = _argument(args, kwargs, 1, "weight")
    return result.shape[0] * weight.numel() * math.prod(result.shape[2:])


def _linear(args: Any, kwargs: Any, result: Tensor) -> int:
    return _argument(args, kwargs, 0, "input").numel() * result.shape[-1]


def _norm(weight_index: int) -> Callable[[Any, Any, Tensor], int]:
    def count(args: Any, kwargs: Any, result: Tensor) -> int:
        return result.numel() * (4 if _argument(args, kwargs, weight_index, "weight") is None else 5)

    return count


def _pooling(args: Any, kwargs: Any, result: Tensor) -> int:
    return _argument(args, kwargs, 0, "input").numel()


def _attention(args: Any, kwargs: Any, result: Tensor) -> int:
    queries, keys = _argument(args, kwargs, 0, "query"), _argument(args, kwargs, 1, "key")
    # One product gives the weights, (queries, keys), the other applies them to the values.
    return queries.numel() * keys.shape[-2] + result.numel() * keys.shape[-2]


def _multihead(args: Any, kwargs: Any, result: Any) -> int:
    # torch's own attention layer: projections in and out of self-attention, (length, batch, width).
    queries = _argument(args, kwargs, 0, "query")
    return 4 * queries.numel() * queries.shape[-1]


def _argument(args: Any, kwargs: Any, index: int, name: str) -> Any:
    return args[index] if len(args) > index else kwargs.get(name)


_NORMS = {"batch_norm": 3, "layer_norm": 2, "group_norm": 2}  # name -> where its weight stands
_RULES: dict[str, Callable[[Any, Any, Any], int]] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "linear": _linear,
    "matmul": _linear,
    "__matmul__": _linear,
    "bmm": _linear,
    **{name: _norm(weight_index) for name, weight_index in _NORMS.items()},
    "adaptive_avg_pool2d": _pooling,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multihead,
}
