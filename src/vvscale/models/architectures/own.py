"""Networks of the user: registered in Python, offered by an installed package, or named as ``file.py:NAME``.

They are built, measured, trained, scored and put on a study's axes by their name like any other. What runs in other
processes (the workers of a study) must find them too: there, use a file or an installed package.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vvscale.core.registry import Registry
from vvscale.core.userfile import call_user_code, load_user_file, split_ref
from vvscale.errors import UsageError, unknown_name
from vvscale.models.architectures.configs import Architecture, OwnConfig

if TYPE_CHECKING:
    from torch import nn

    from vvscale.models.architectures.families import ModelOptions

REGISTERED: Registry[Architecture] = Registry("architecture")
"""Networks of ``register_architecture``, and of the entry points ``vvscale.architecture`` of installed packages."""

USUAL_SIZE = 224
"""Side of ImageNet's usual images, for networks that do not say what they are made for."""


def architecture_of_file(ref: str) -> Architecture:
    """Return the network ``file.py:NAME``.

    ``NAME`` is registered by the file, or is a function, a class or a module at its top level. A function or class is
    called as ``register_architecture`` says; its default of ``image_size`` is the size it is made for. A file that has
    one network needs no name.

    Raises
    ------
    UnknownNameError, UsageError, MissingDataError
        There is no such file, or no such network in it.
    """
    path, name = split_ref(ref)
    offered = load_user_file(path, "model")
    if name in REGISTERED:
        return REGISTERED[name]
    from torch import nn

    networks = [key for key, value in offered.items() if isinstance(value, nn.Module)]
    if not name and len(networks) == 1:
        name = networks[0]
    if name not in offered:
        hint = "Expected file.py:NAME, where NAME is a torch.nn.Module, or a function or class that makes one."
        raise unknown_name(f"network of {path}", name, networks or offered, hint)
    one = offered[name]
    if not isinstance(one, nn.Module) and not callable(one):
        raise UsageError(f"'{name}' in '{path}' is a {type(one).__name__}; expected a network or what makes one.")
    build = (lambda: copy.deepcopy(one)) if isinstance(one, nn.Module) else one
    return describe(f"{path}:{name}", build, name, _size_of(one))


def describe(
    name: str, build: Callable[..., Any], family: str, image_size: int, readout_layer: str = "", head_layer: str = ""
) -> Architecture:
    """Return what is known of a network of the user."""
    return Architecture(
        name=name,
        family=family,
        parent_family=family,
        image_size=image_size,
        # The share of the image that the usual crop of 224 out of 256 leaves.
        resize=round(image_size * 256 / 224),
        readout_layer=readout_layer,
        head_layer=head_layer,
        drop_path=0.0,
        config=OwnConfig(build, family, readout_layer, head_layer),
    )


def _size_of(build: Any) -> int:
    return _declared_size(build) or USUAL_SIZE


def _declared_size(build: Any) -> int | None:
    try:
        default = inspect.signature(build).parameters["image_size"].default
    except (KeyError, TypeError, ValueError):
        return None
    return default if isinstance(default, int) else None


def says_its_size(known: Architecture) -> bool:
    """Whether it is known for which images a network is made, so that its cost can be measured; not of some files."""
    config = known.config
    return ".py:" not in known.name or not isinstance(config, OwnConfig) or _declared_size(config.build) is not None


def build_own(name: str, config: OwnConfig, options: ModelOptions) -> nn.Module:
    """Build a network of the user, with those of the options that it takes."""
    from torch import nn

    loses_head = options.n_classes == 0 and bool(config.head_layer)
    offered = {
        "n_classes": 1 if loses_head else options.n_classes,
        "image_size": options.image_size,
        "in_channels": options.in_channels,
    }
    try:
        taken = inspect.signature(config.build).parameters
    except (TypeError, ValueError):
        taken = {}
    takes_all = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    given = {key: value for key, value in offered.items() if takes_all or key in taken}
    path = split_ref(name)[0] if ".py:" in name else None
    module = call_user_code(lambda: config.build(**given), f"Building the network '{name}'", path)
    if not isinstance(module, nn.Module):
        raise UsageError(f"'{name}' gives a {type(module).__name__}; expected a torch.nn.Module.")
    if loses_head:
        module.set_submodule(config.head_layer, nn.Identity())
    return module
