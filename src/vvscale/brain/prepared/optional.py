"""Libraries of the extra ``neuro``, which only some raw files need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vvscale.errors import MissingDataError


def import_mne() -> Any:
    """Return mne, which reads MEG and EEG recordings, or say how to install it."""
    return _import("mne", "MEG and EEG recordings")


def import_nibabel() -> Any:
    """Return nibabel, which reads volumes of the brain, or say how to install it."""
    return _import("nibabel", "volumes of the brain")


def _import(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDataError(
            f"Reading {what} needs the package {name}, which is not installed. Next: pip install 'vvscale[neuro]'."
        ) from error
