"""Which modules can be watched: wrappers are taken off, and what cannot be watched is refused by name."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from vvscale.errors import ConfigError

_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def accepted(module: nn.Module) -> nn.Module:
    """Return the network itself, without the wrappers of data-parallel training and of torch.compile.

    Raises
    ------
    ConfigError
        Its layers cannot be watched: it is scripted, has no submodule, or has parameters without values.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3))
    >>> accepted(nn.DataParallel(network)) is network
    True
    """
    while True:
        if isinstance(module, _PARALLEL):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            break
    scripted = next((name for name, one in module.named_modules() if isinstance(one, torch.jit.ScriptModule)), None)
    if scripted is not None:
        raise ConfigError(
            f"{f'The part {scripted!r} of the model' if scripted else 'The model'} is scripted (torch.jit), and the "
            "layers of a scripted module cannot be watched. Give the module that it was made from."
        )
    tensors = [*module.named_parameters(), *module.named_buffers()]
    lazy = [name for name, one in tensors if isinstance(one, UninitializedParameter | UninitializedBuffer)]
    if lazy:
        raise ConfigError(
            f"The model has {len(lazy)} lazy parameters, such as '{lazy[0]}', which get their shape in a first forward "
            "pass. Run it once where it is built: model(torch.zeros(1, 3, 224, 224))."
        )
    empty = [name for name, one in tensors if one.is_meta]
    if empty:
        raise ConfigError(
            f"The model has {len(empty)} parameters without values (on the meta device), such as '{empty[0]}'. Load "
            "its weights with load_state_dict(..., assign=True), or build it on the CPU."
        )
    if not any(True for _ in module.children()):
        raise ConfigError(
            f"The model, a {type(module).__name__}, has no submodules, so that there is no layer to watch. Build it "
            "from modules, or wrap it: torch.nn.Sequential(model) has the layer '0'."
        )
    return module
