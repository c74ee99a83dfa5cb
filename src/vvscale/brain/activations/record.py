"""What the layers of a model say about images, seen while the model runs.

A model runs once per image for any number of layers. Forward hooks copy an activation at the moment they see
it, since the next layer may overwrite it in place; of a module that is called several times in one pass the last
call counts, as in the reference. This module knows nothing of benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vvscale.brain.activations.derived import can_derive
from vvscale.brain.activations.forward import forward
from vvscale.brain.activations.hooks import describe, evaluating, find_module, hooks, parts_of
from vvscale.brain.activations.steadiness import unsteady_layers
from vvscale.errors import DataError, MissingDataError, ShapeError

# Shape legend: B images of a batch, N images in all, p features of a layer.

PROBED_IMAGES = 2
"""Images of the first, discarded pass: two tell the dimension that counts images from one of length one."""


@dataclass(frozen=True)
class Layer:
    """One layer of a model, as a first pass showed it.

    Attributes
    ----------
    name
        Dotted name of the module, with ``[0]`` or ``[key]`` behind it for one part of a tuple or dictionary.
    shape
        Of one image's activation, () for a single number.
    n_calls
        How often the module is called in one forward pass; the last call counts.
    same_as
        An earlier layer whose activation is the very same tensor, or None.
    derived_from
        An earlier layer whose activation, fed number by number to this module, gives this one; or None.
    """

    name: str
    shape: tuple[int, ...]
    n_calls: int = 1
    same_as: str | None = None
    derived_from: str | None = None

    @property
    def n_features(self) -> int:
        """Numbers per image."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Probe:
    """What a first pass showed.

    Attributes
    ----------
    layers
        By name, in the order asked for.
    refused
        For each layer that cannot be recorded, why.
    """

    layers: Mapping[str, Layer]
    refused: Mapping[str, str]

    def distinct(self) -> dict[str, Layer]:
        """Return the layers that are not the same tensor as an earlier one."""
        return {name: layer for name, layer in self.layers.items() if layer.same_as is None}

    def recorded(self) -> dict[str, Layer]:
        """Return the layers that must be recorded, from which the others follow."""
        return {name: layer for name, layer in self.distinct().items() if layer.derived_from is None}

    def families(self) -> dict[str, list[str]]:
        """Return for each recorded layer the distinct layers that follow from it, itself first."""
        home: dict[str, str] = {}
        families: dict[str, list[str]] = {name: [] for name in self.recorded()}
        for name, layer in self.distinct().items():
            home[name] = name if layer.derived_from is None else home[layer.derived_from]
            families[home[name]].append(name)
        return families

    def members(self, distinct: Container[str]) -> tuple[str, ...]:
        """Return some distinct layers and those that are the same tensor, in the model's order."""
        return tuple(name for name, layer in self.layers.items() if (layer.same_as or name) in distinct)

    def underived(self) -> Probe:
        """Return the same layers, all but identical ones to be recorded."""
        kept = {name: replace(layer, derived_from=None) for name, layer in self.layers.items()}
        return Probe(kept, self.refused)

    def without(self, reasons: Mapping[str, str]) -> Probe:
        """Return the same, with some layers refused for the reasons given."""
        kept = self.only(name for name in self.layers if name not in reasons)
        return Probe(kept.layers, {**self.refused, **reasons})

    def only(self, names: Iterable[str]) -> Probe:
        """Return what concerns some layers; a layer whose source is not among them stands for itself."""
        kept: dict[str, Layer] = {}
        first: dict[str, str] = {}
        for name in names:
            layer = self.layers[name]
            tensor = layer.same_as or name
            twin = first.setdefault(tensor, name)
            source = first.get(self.layers[tensor].derived_from or "")
            kept[name] = replace(
                layer, same_as=None if twin == name else twin, derived_from=source if twin == name else None
            )
        return Probe(kept, {})


def record(
    module: nn.Module, batches: Iterable[Any], layers: Sequence[str], *, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Record layers over batches of images, in memory.

    Parameters
    ----------
    module
        Any model that takes one (B, channels, height, width) tensor; it is run in evaluation mode and left in
        the mode it was in.
    batches
        (B, channels, height, width) float32 arrays or tensors, preprocessed; the first is also used to probe.
    layers
        Names of modules.
    device
        Where the model runs.

    Returns
    -------
    dict
        For each layer (N, p) float32, each image's activation in C order.

    Raises
    ------
    UnknownNameError
        The model has no such module.
    MissingDataError
        There is no image.
    ShapeError
        A layer is never called, gives something other than one tensor with a row per image, or changes shape.
    DataError
        An activation depends on chance or on the other images of its batch.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(inplace=True))
    >>> found = record(model, [np.ones((5, 1, 2, 2), np.float32)], ["1", "2"])
    >>> found["2"].shape, bool((found["2"] == np.maximum(found["1"], 0)).all())
    ((5, 3), True)
    """
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise MissingDataError("There is no image to record; expected at least one batch.")
    # A batch of one cannot tell the dimension of images, so it is shown twice.
    shown = first[:PROBED_IMAGES] if len(first) >= PROBED_IMAGES else _tensor_batch([first[0]] * PROBED_IMAGES)
    seen = probe(module, layers, shown, device=device)
    if seen.refused:
        raise ShapeError(next(iter(seen.refused.values())))
    unsteady = unsteady_layers(module, layers, shown, device=device)
    if unsteady:
        raise DataError(next(iter(unsteady.values())))
    distinct = seen.distinct()
    parts: dict[str, list[np.ndarray]] = {name: [] for name in distinct}

    def keep(layer: str, _start: int, rows: Tensor) -> None:
        parts[layer].append(rows.to("cpu", torch.float32, copy=True).numpy())

    with Recorder(module, distinct, keep, device=device) as recorder:
        recorder.run(first)
        for batch in iterator:
            recorder.run(batch)
    tables = {name: np.concatenate(rows) for name, rows in parts.items()}
    return {name: tables[layer.same_as or name] for name, layer in seen.layers.items()}


def probe(module: nn.Module, layers: Sequence[str], images: Any, *, device: str = "cpu") -> Probe:
    """Run a few images through the model and see what each layer gives.

    Layers that cannot be recorded are named with their reason, so that they do not stand in the way of the
    others.

    Parameters
    ----------
    module, layers, device
        As in :func:`record`.
    images
        (B, channels, height, width) float32, at least two images.
    """
    names = list(dict.fromkeys(layers))
    # Holding on to every tensor keeps the memory of one from being given to another.
    calls: dict[str, list[_State]] = {name: [] for name in names}
    inputs: dict[str, list[_State]] = {name: [] for name in names}
    with (
        evaluating(module),
        hooks(
            module,
            names,
            lambda name, output: calls[name].append(_state(output)),
            lambda name, first: inputs[name].append(_state(first)),
        ),
    ):
        forward(module, images, device)
    found: dict[str, Layer] = {}
    refused: dict[str, str] = {}
    last: dict[str, _State] = {}
    for name in names:
        if not calls[name]:
            refused[name] = (
                f"Layer '{name}' is never called in a forward pass, so it has no activation. It may only serve in "
                "training, or be used through its weights; name the module around it instead."
            )
            continue
        state = calls[name][-1]
        try:
            shape = _row_shape(name, state[0], len(images))
        except ShapeError as error:
            refused[name] = str(error)
            continue
        twin = _find(last, state)
        source = None
        if twin is None and len(inputs[name]) == 1 and can_derive(find_module(module, name)[0]):
            source = _find(last, inputs[name][0])
            source = source if source and found[source].shape == shape else None
        found[name] = Layer(name, shape, len(calls[name]), twin, source)
        if twin is None:
            last[name] = state
    return Probe(found, refused)


_State = tuple[Any, int]


def _state(value: Any) -> _State:
    """Return a tensor and how often it was written to so far: what is needed to know its content again."""
    return value, value._version if isinstance(value, Tensor) else 0


def _find(states: Mapping[str, _State], wanted: _State) -> str | None:
    return next((name for name, (held, at) in states.items() if held is wanted[0] and at == wanted[1]), None)


class Recorder:
    """Runs a model and hands over each layer's activations as (B, p) rows, while hooks are in place.

    Parameters
    ----------
    module, device
        As in :func:`record`.
    layers
        What a probe of the same model showed of the layers to record.
    keep
        Called with the name of each layer, the number of the batch's first image and the (B, p) rows, once per batch.
        The rows are the model's own memory: copy them before returning.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Mapping[str, Layer],
        keep: Callable[[str, int, Tensor], None],
        *,
        device: str = "cpu",
    ) -> None:
        self._module = module
        self._layers = dict(layers)
        self._keep = keep
        self._device = device
        self._n_calls: dict[str, int] = {}
        self._start = self._n_images = 0
        self._watching = ExitStack()
        self.n_forward = 0

    def __enter__(self) -> Recorder:
        with ExitStack() as stack:
            stack.enter_context(evaluating(self._module))
            stack.enter_context(hooks(self._module, list(self._layers), self._see))
            self._watching = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._watching.close()

    def run(self, images: Any, start: int = 0) -> None:
        """Run one batch of (B, channels, height, width) images, of which ``start`` numbers the first."""
        self._n_calls = dict.fromkeys(self._layers, 0)
        self._start, self._n_images = start, len(images)
        forward(self._module, images, self._device)
        self.n_forward += self._n_images
        for name, layer in self._layers.items():
            if self._n_calls[name] != layer.n_calls:
                raise ShapeError(
                    f"Layer '{name}' was called {self._n_calls[name]} times in this forward pass and {layer.n_calls} "
                    "times before; expected the same calls for all images. A model whose path depends on the "
                    "image cannot be recorded at this layer; leave it out."
                )

    def _see(self, name: str, output: Any) -> None:
        layer = self._layers[name]
        self._n_calls[name] += 1
        if self._n_calls[name] != layer.n_calls:
            return
        shape = _row_shape(name, output, self._n_images)
        if shape != layer.shape:
            raise ShapeError(
                f"Layer '{name}' gives {shape} numbers for these images and gave {layer.shape} before; expected the "
                "same shape for every image. Resize all images to one size, or leave this layer out."
            )
        self._keep(name, self._start, output.reshape(self._n_images, -1))


def _tensor_batch(images: Sequence[Any]) -> Tensor:
    return torch.stack([torch.as_tensor(image) for image in images])


def _row_shape(name: str, output: Any, n_images: int) -> tuple[int, ...]:
    """Return the shape of one image's activation, or say why the output has none."""
    if not isinstance(output, Tensor):
        parts = parts_of(output)
        advice = f"Name one part of it, '{name}[{parts[0]}]'" if parts else "Name another layer"
        raise ShapeError(
            f"Layer '{name}' gives {describe(output)}; expected one tensor with a row per image. {advice}."
        )
    if output.is_complex():
        raise ShapeError(f"Layer '{name}' gives complex numbers; expected real ones. Name another layer.")
    if output.ndim == 0 or output.shape[0] != n_images:
        raise ShapeError(
            f"Layer '{name}' gives a tensor of shape {tuple(output.shape)} for {n_images} images; expected the first "
            "dimension to count images. It may work on windows or put tokens first; name the module around it."
        )
    if output.numel() == 0:
        raise ShapeError(f"Layer '{name}' gives an empty tensor of shape {tuple(output.shape)}.")
    return tuple(output.shape[1:])
