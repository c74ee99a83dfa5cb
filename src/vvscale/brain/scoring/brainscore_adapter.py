"""Any model as a Brain-Score model, for those who want the reference itself to score it.

The reference is never a dependency: its pins exclude this package's, so this module asks for it only when it is
used, and imports nothing of this package that the reference's environment lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from vvscale.brain.activations.hooks import find_module, part_of
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.scoring.keys import Unkeyable, model_digest, weights_digest
from vvscale.brain.scoring.layers import resolve_name
from vvscale.core.hashing import digest_of
from vvscale.errors import ConfigError, MissingDataError


def brainscore_model(
    module: nn.Module, *, identifier: str, layers: Mapping[str, str], preprocessing: Preprocessing | None = None
) -> Any:
    """Wrap a model for Brain-Score.

    Parameters
    ----------
    module
        Any model that takes one (B, channels, height, width) tensor.
    identifier
        Name of the model. Brain-Score keeps activations under it, so a digest of the weights and the preprocessing
        is appended: other weights never get the activations of these.
    layers
        Region -> layer for V1, V2, V4 and IT, and ``behavior`` for the readout; such as
        :attr:`LayerCommitment.layers`.
    preprocessing
        As for :func:`vvscale.brain.score_layers`; by default the reference's own rule at 224 pixels.

    Returns
    -------
    brainscore_vision.model_helpers.brain_transformation.ModelCommitment
        Ready for ``brainscore_vision.load_benchmark(...)(model)``.

    Raises
    ------
    MissingDataError
        Brain-Score is not installed; the message says how to have it.
    ConfigError
        No layer was given.
    UnknownNameError
        The model has no such layer.
    """
    if not layers:
        raise ConfigError("No layer was given; expected region -> layer, such as LayerCommitment.layers.")
    # Now, and not after an hour of the reference's own work.
    layers = {region: resolve_name(module, layer) for region, layer in layers.items()}
    commitment, wrapper = _brainscore()
    preprocessing = preprocessing or Preprocessing()
    try:
        digest = model_digest(module)
    except Unkeyable:
        digest = weights_digest(module)
    name = f"{identifier}-{digest_of([digest, preprocessing.digest()])[:8]}"

    def preprocess(paths: Sequence[str]) -> np.ndarray:
        # Brain-Score has placed the images on the screen of the model already.
        index = pd.Index([str(number) for number in range(len(paths))])
        stimuli = StimulusSet(
            "brainscore", pd.DataFrame(index=index), preprocessing.visual_degrees, paths=tuple(map(Path, paths))
        )
        return preprocessing.batch(stimuli, range(len(paths)))

    class Wrapper(wrapper):
        """Copies an activation when it is seen, on the CPU as on a GPU, and finds parts of outputs by name."""

        def get_layer(self, layer_name: str) -> nn.Module:
            return find_module(module, layer_name)[0]

        def register_hook(self, layer: nn.Module, layer_name: str, target_dict: dict[str, np.ndarray]) -> Any:
            parts = find_module(module, layer_name)[1]

            def keep(_layer: nn.Module, _inputs: Any, output: Any) -> None:
                output = part_of(output, parts, layer_name)
                # Without the copy, an activation in place changes what was recorded before it on the CPU.
                target_dict[layer_name] = output.detach().cpu().numpy().copy()

            return layer.register_forward_hook(keep)

    regions = {region: layer for region, layer in layers.items() if region != "behavior"}
    return commitment(
        identifier=name,
        activations_model=Wrapper(identifier=name, model=module.eval(), preprocessing=preprocess),
        layers=list(dict.fromkeys(layers.values())),
        behavioral_readout_layer=layers.get("behavior"),
        region_layer_map=regions,
        visual_degrees=preprocessing.visual_degrees,
    )


def _brainscore() -> tuple[Any, Any]:
    try:
        wrapper = import_module("brainscore_vision.model_helpers.activations.pytorch").PytorchWrapper
        commitment = import_module("brainscore_vision.model_helpers.brain_transformation").ModelCommitment
    except ImportError as error:
        raise MissingDataError(
            f"Brain-Score cannot be imported here: {error}. It needs numpy < 2 and so an environment of its own: "
            "'python -m venv brainscore; brainscore/bin/pip install brainscore_vision', then "
            "'brainscore/bin/pip install --no-deps vvscale', and run this there. 'vvscale score' gives the same "
            "numbers without it."
        ) from error
    return commitment, wrapper
