"""Networks by name or of one's own: built, measured, and loaded from files, published checkpoints or libraries.

``build_model`` makes a network, ``model_cost`` its size on the published axes, ``load_model`` one with weights.

Importing this package loads no submodule; the public names below are resolved on first use. It must not
import data, training or the brain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.models.architectures.build import build_model as build_model
    from vvscale.models.architectures.configs import Architecture as Architecture
    from vvscale.models.architectures.names import architecture as architecture
    from vvscale.models.architectures.names import list_models as list_models
    from vvscale.models.architectures.register import register_architecture as register_architecture
    from vvscale.models.cost import Cost as Cost
    from vvscale.models.cost import model_cost as model_cost
    from vvscale.models.layers import layer_names as layer_names
    from vvscale.models.layers import resolve_layer as resolve_layer
    from vvscale.models.load import LoadedModel as LoadedModel
    from vvscale.models.load import load_model as load_model
    from vvscale.models.published.checkpoints import Checkpoint as Checkpoint
    from vvscale.models.published.checkpoints import fetch_weights as fetch_weights
    from vvscale.models.published.checkpoints import find_checkpoint as find_checkpoint
    from vvscale.models.weights import load_state as load_state
    from vvscale.models.weights import load_weights as load_weights
    from vvscale.models.weights import model_record as model_record
    from vvscale.models.weights import save_weights as save_weights

__getattr__, __dir__ = lazy(__name__)
