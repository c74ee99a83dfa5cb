"""Packages that are installed with an extra only, and the command that installs what is missing."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from vvscale.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Module -> extras that bring it, the smallest first.
EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "torch": ("models", "train", "score", "study"), "torchvision": ("models", "train", "score", "study"),
        "timm": ("models", "train", "score", "study"), "safetensors": ("models", "train", "score", "study"),
        "PIL": ("models", "train", "score", "study"), "requests": ("models",),
        "sklearn": ("forecast", "train", "score", "study"), "h5py": ("score",), "h5netcdf": ("score",),
        "xarray": ("score",), "threadpoolctl": ("score",), "nibabel": ("neuro",), "mne": ("neuro",),
        "matplotlib": ("figures", "study"), "vl_convert": ("figures", "study"), "parsl": ("study",),
        "tensorboard": ("tracking",), "wandb": ("tracking",),
    }
)  # fmt: skip


def missing_extra(error: ImportError, wanted: str = "") -> UsageError | None:
    """Return what to say of a module that is not installed; None if no extra brings it.

    Parameters
    ----------
    error
        Of the failed import.
    wanted
        Extra that the user's request belongs to, named if it brings the module.

    Examples
    --------
    >>> print(missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch"), "score"))
    This needs the package 'torch', which is not installed. Next: pip install 'vvscale[score]'
    """
    module = (error.name or "").split(".")[0]
    extras = EXTRAS.get(module)
    if extras is None:
        return None
    extra = wanted if wanted in extras else extras[0]
    return UsageError(
        f"This needs the package '{module}', which is not installed. Next: pip install 'vvscale[{extra}]'"
    )
