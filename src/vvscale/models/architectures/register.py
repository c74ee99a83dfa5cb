"""Add a network of one's own to those that are known by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from vvscale.errors import ConfigError, UsageError
from vvscale.models.architectures.configs import Architecture
from vvscale.models.architectures.names import PUBLISHED
from vvscale.models.architectures.own import REGISTERED, USUAL_SIZE, describe


def register_architecture(
    name: str,
    build: Callable[..., nn.Module],
    *,
    family: str | None = None,
    image_size: int = USUAL_SIZE,
    readout_layer: str = "",
    head_layer: str = "",
) -> Architecture:
    """Make a network known by a name, so that it can be built, measured, trained and scored like any other.

    Parameters
    ----------
    name
        Letters, digits, ``_``, ``-`` and ``.``; no name that is taken.
    build
        Returns the network, a ``torch.nn.Module`` that maps ``(n, in_channels, image_size, image_size)`` to
        ``(n, n_classes)``. It is called with those of the keywords ``n_classes``, ``image_size`` and ``in_channels``
        that it takes.
    family
        Family in the score table; by default the name.
    image_size
        Side of the images it is made for, in pixels.
    readout_layer
        The layer that a readout of behaviour is trained on.
    head_layer
        The classifier, which is taken off where a network without one is asked for.

    Returns
    -------
    Architecture
        What is known of it. A package offers it to every process by naming this value as an entry point of the group
        ``vvscale.architecture``.

    Raises
    ------
    UsageError, ConfigError
        The name is taken, or is none.

    Examples
    --------
    >>> from torch import nn
    >>> def tiny(n_classes=10, in_channels=3):
    ...     return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ...                          nn.Linear(4, n_classes))
    >>> register_architecture("tiny-example", tiny, family="Tiny", image_size=16).family
    'Tiny'
    >>> from vvscale.models import build_model, model_cost
    >>> build_model("tiny-example", n_classes=5, seed=0)[3].out_features
    5
    """
    if not name or not name.replace("_", "").replace("-", "").replace(".", "").isalnum() or name.endswith(".py"):
        raise ConfigError(f"Got the name '{name}' for a network; expected letters, digits, '_', '-' and '.'.")
    if name in PUBLISHED:
        raise UsageError(f"The network '{name}' is built in; give yours another name.")
    return REGISTERED.add(name, describe(name, build, family or name, image_size, readout_layer, head_layer))
