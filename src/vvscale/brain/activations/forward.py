"""One forward pass over a batch of images, with errors that say what the model could not do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vvscale.errors import DataError, VvscaleError


def forward(module: nn.Module, images: Any, device: str) -> None:
    """Run a model on a batch of (B, channels, height, width) images, which are left as they are.

    Raises
    ------
    DataError
        The model cannot take such a batch.
    MemoryError
        There is not enough memory.
    """
    batch = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
    # A network computes with the numbers of its first parameter that has a fraction.
    dtype = next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)
    try:
        # A copy, since a model may start with an activation in place, which would change the caller's images.
        module(batch.to(device, dtype, copy=True))
    except (VvscaleError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # code of any kind runs here
        text = (str(error) or "no message").splitlines()[0]
        if "allocate memory" in text:  # what PyTorch says on the CPU
            raise MemoryError(text) from error
        n, channels, height, width = batch.shape if batch.ndim == 4 else (len(batch), "?", "?", "?")
        raise DataError(
            f"The model failed on a batch of {n} images of {height} x {width} pixels, {channels} channels: "
            f"{type(error).__name__}: {text}. Likely cause: it is made for images of another size; `image_size` sets "
            "that. Else its forward needs more than one tensor (images, channels, height, width)."
        ) from error
