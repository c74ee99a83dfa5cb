"""One way to read the name of a device; torch is imported when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.errors import ConfigError

if TYPE_CHECKING:
    import torch


def find_device(name: str | torch.device, *, local_rank: int = 0) -> torch.device:
    """Return a device, or say that there is none.

    Parameters
    ----------
    name
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:NUMBER``.
    local_rank
        Number of the GPU that ``cuda`` alone means.

    Raises
    ------
    ConfigError
        The name is none of these, or there is no such GPU.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if n_gpus else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"Unknown device '{name}'. Expected auto, cpu, cuda or cuda:NUMBER.") from error
    if device.type != "cuda":
        return device
    number = local_rank if device.index is None else device.index
    if number >= n_gpus:
        raise ConfigError(
            f"The device '{name}' asks for GPU {number}, and PyTorch sees {n_gpus} on this machine. Likely causes: no "
            "GPU here, a driver that PyTorch cannot use, CUDA_VISIBLE_DEVICES, or more processes than GPUs. Next: "
            '`vvscale doctor` shows what there is, or use `device="cpu"`.'
        )
    return torch.device("cuda", number)
