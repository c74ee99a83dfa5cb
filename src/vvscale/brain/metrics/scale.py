"""Scales of features, the place of a number that is not finite, and the precision of products on a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from vvscale.errors import DataError


def feature_scale(centred: Any, mean: Any, scaled_by: np.ndarray | None = None) -> Any:
    """Return what features are divided by: their standard deviation, or 1 where that is rounding of the mean.

    Parameters
    ----------
    centred, mean
        (N, p) features less their means, and (p,) the means.
    scaled_by
        (N,) bool, the images that the standard deviations are of; None for all.

    Source
    ------
    sklearn/preprocessing/_data.py, _is_constant_feature.
    """
    if scaled_by is None:
        return scale_of((centred**2).mean(0), mean, len(centred))
    rows = centred[scaled_by]
    own = rows.mean(0)
    return scale_of(((rows - own) ** 2).mean(0), mean + own, len(rows))


def scale_of(variance: Any, mean: Any, n_images: int) -> Any:
    """Return the roots of variances of so many images, or 1 where a variance is rounding of the mean."""
    rounding = n_images * float(np.finfo(np.float64).eps)
    scale = variance**0.5
    scale[variance <= rounding * variance + (rounding * mean) ** 2] = 1.0
    return scale


def zscored(table: np.ndarray) -> np.ndarray:
    """Return (N, q) columns with zero mean and unit spread over the rows; zero where a column does not vary."""
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def not_finite(block: Any, offset: int, image_names: Sequence[Any] | np.ndarray | None) -> DataError:
    """Return the error that names the first number of a block that is not finite."""
    table = np.asarray(block.cpu() if hasattr(block, "cpu") else block)
    image, feature = (int(index) for index in np.argwhere(~np.isfinite(table))[0])
    name = "" if image_names is None else f" '{image_names[image]}', row"
    return DataError(
        f"Features hold {table[image, feature]} at image{name} {image}, feature {feature + offset} (both counted "
        "from 0). Expected finite numbers. The model has probably overflowed or was trained to NaN at this "
        "layer."
    )


@contextmanager
def exact_float32(device: str | None) -> Iterator[None]:
    """Switch off TF32, whose ten-bit products move a correlation by 5e-4."""
    if device is None:
        yield
        return
    import torch

    before = cast(str, torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
