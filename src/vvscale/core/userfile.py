"""A user's own model from one Python file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vvscale.errors import MissingDataError, UsageError, VvscaleError, did_you_mean


def is_own_model(ref: str) -> bool:
    """Whether a reference names a model in a file: ``file.py:NAME``."""
    return ".py:" in ref or ref.endswith(".py")


def load_own_model(ref: str) -> tuple[nn.Module, Mapping[str, Any]]:
    """Load ``file.py:NAME``: a module, or a function without arguments that returns one.

    Returns
    -------
    module, record
        The record has ``row`` with the model_id ``NAME``, and nothing else.

    Raises
    ------
    MissingDataError
        There is no such file.
    UsageError
        The file fails, or does not define such a model.
    """
    stem, _, name = ref.partition(".py")
    path, name = Path(f"{stem}.py"), name.removeprefix(":")
    if not path.is_file():
        raise MissingDataError(f"There is no file '{path}' to load a model from; check the path of '{ref}'.")
    spec = importlib.util.spec_from_file_location(f"vvscale_own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    held = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = held
    try:
        spec.loader.exec_module(held)
        offered = [key for key, value in vars(held).items() if isinstance(value, nn.Module)]
        name = name or (offered[0] if len(offered) == 1 else "")
        if not hasattr(held, name):
            raise UsageError(
                f"'{path}' defines no model '{name}'.{did_you_mean(name, vars(held))} Expected file.py:NAME, where "
                "NAME is a torch.nn.Module or a function without arguments that returns one."
            )
        made = getattr(held, name)
        module = made if isinstance(made, nn.Module) else made()
    except VvscaleError:
        raise
    except Exception as error:  # code of any kind runs here
        raise UsageError(
            f"Loading the model '{ref}' failed: {type(error).__name__}: {error}. Correct the file; --debug shows the "
            "whole traceback."
        ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"'{name}' in '{path}' gives a {type(module).__name__}; expected a torch.nn.Module.")
    return module, {"row": {"model_id": name}}
