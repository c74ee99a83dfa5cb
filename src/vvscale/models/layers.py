"""Layers by name: those a network has, and what the names in the published commitments mean on it.

A layer is named by its path in the network, as in ``named_modules``. Self-supervised networks were published
inside a wrapper, whose prefix their layer names still carry; two of them name children by position.
"""

from __future__ import annotations

from torch import nn

from vvscale.errors import unknown_name

WRAPPERS = ("_orig_mod.", "module.", "teacher_backbone.", "student_backbone.", "backbone.")
"""Prefixes of torch.compile, of data-parallel training, of DINO and of SimCLR."""


def layer_names(module: nn.Module) -> list[str]:
    """List the layers of a network, in the order in which they were defined.

    Containers are layers too: ``layer4``, ``layer4.0`` and ``layer4.0.conv1`` are three of them.
    """
    return [name for name, _ in module.named_modules() if name]


def resolve_layer(module: nn.Module, name: str) -> str:
    """Find the layer that a name of the commitments means on a network.

    Parameters
    ----------
    module
        The network itself, without a wrapper.
    name
        A layer, or its name with the prefix of a wrapper: ``teacher_backbone.avgpool``, or ``backbone.8``
        for the ninth child.

    Returns
    -------
    str
        One of ``layer_names(module)``.

    Raises
    ------
    UnknownNameError
        The network has no such layer; the message offers the nearest.
    """
    known = layer_names(module)
    bare = unwrapped(name)
    for candidate in (name, bare, named_child(module, bare)):
        if candidate in known:
            return candidate
    kind = f"layer of {_title(module)}"
    raise unknown_name(kind, name, known, f"It has {len(known)} layers, from '{known[0]}' to '{known[-1]}'.")


def unwrapped(name: str) -> str:
    """Return a name without the prefixes of wrappers.

    Examples
    --------
    >>> unwrapped("_orig_mod.module.backbone.layer1.0.relu")
    'layer1.0.relu'
    """
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def named_child(module: nn.Module, name: str) -> str:
    """Return a name whose first part counts the children of ``module`` with that child's own name."""
    first, dot, rest = name.partition(".")
    children = [child for child, _ in module.named_children()]
    if first in children or not first.isdigit() or int(first) >= len(children):
        return name
    return children[int(first)] + dot + rest


def _title(module: nn.Module) -> str:
    built_as = getattr(module, "built_as", None)
    return built_as[0] if built_as else type(module).__name__
