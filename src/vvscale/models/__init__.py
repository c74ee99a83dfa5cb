"""Networks of the study: built by name, measured, and loaded from files, published checkpoints or libraries.

``build_model`` makes a network, ``model_cost`` its size on the published axes, ``load_model`` one with weights.

Importing this package loads no submodule; the public names below are resolved on first use. It must not
import data, training or the brain.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.models.architectures.build import build_model
    from vvscale.models.architectures.names import Architecture, architecture, list_models
    from vvscale.models.cost import Cost, model_cost
    from vvscale.models.layers import layer_names, resolve_layer
    from vvscale.models.load import LoadedModel, load_model
    from vvscale.models.published.checkpoints import Checkpoint, fetch_weights, find_checkpoint
    from vvscale.models.weights import load_state, load_weights, model_record, save_weights

_HOME_OF = {
    "Architecture": "architectures.names",
    "Checkpoint": "published.checkpoints",
    "Cost": "cost",
    "LoadedModel": "load",
    "architecture": "architectures.names",
    "build_model": "architectures.build",
    "model_cost": "cost",
    "fetch_weights": "published.checkpoints",
    "find_checkpoint": "published.checkpoints",
    "layer_names": "layers",
    "list_models": "architectures.names",
    "load_model": "load",
    "load_state": "weights",
    "load_weights": "weights",
    "model_record": "weights",
    "resolve_layer": "layers",
    "save_weights": "weights",
}

__all__ = [
    "Architecture",
    "Checkpoint",
    "Cost",
    "LoadedModel",
    "architecture",
    "build_model",
    "fetch_weights",
    "find_checkpoint",
    "layer_names",
    "list_models",
    "load_model",
    "load_state",
    "load_weights",
    "model_cost",
    "model_record",
    "resolve_layer",
    "save_weights",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.models.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.models' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
