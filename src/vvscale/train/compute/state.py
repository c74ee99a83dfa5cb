"""The state of a loop in one file: whole, its own, and checked before it is used."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vvscale.core.files import write_bytes
from vvscale.errors import ConfigError, VvscaleWarning
from vvscale.train.compute.file_names import STATE

# A SHA-256 in hexadecimal stands before the bytes that it is of.
_N_DIGITS = 64


def save_state(folder: Path, of: str, state: Mapping[str, Any]) -> None:
    """Write what is needed to resume.

    Parameters
    ----------
    folder
        Of the loop.
    of
        Digest of all that the loop does and of what it is given.
    state
        Tensors and plain values.
    """
    held = io.BytesIO()
    torch.save({"of": of, **state}, held)
    content = held.getvalue()
    write_bytes(folder / STATE, hashlib.sha256(content).hexdigest().encode() + content)


def load_state(folder: Path, of: str, device: str | torch.device, *, what: str) -> dict[str, Any] | None:
    """Return the state to resume from; None if there is none, or a damaged one, which is set aside with a warning.

    Parameters
    ----------
    folder, of
        As of :func:`save_state`.
    device
        Where its tensors go.
    what
        Names the loop in messages.

    Raises
    ------
    ConfigError
        The state is of a loop that does something else or was given something else.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[_N_DIGITS:]).hexdigest().encode() != content[:_N_DIGITS]:
        aside = path.with_name(f"{STATE}.damaged")
        path.replace(aside)
        text = (
            f"'{path}' is damaged or of an earlier version. It was set aside as '{aside.name}'; the {what} begins anew."
        )
        warnings.warn(text, VvscaleWarning, stacklevel=2)
        return None
    state = torch.load(io.BytesIO(content[_N_DIGITS:]), map_location=device, weights_only=True)
    if state["of"] != of:
        raise ConfigError(
            f"'{path}' is of another {what}: its options, its data or the network it starts from differ. Give another "
            "`out`, or remove this file."
        )
    return state
