"""Means and scales taken out of blocks of features, on the CPU or a device, and what that took out.

From what was taken out it can be put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from vvscale.errors import DataError

# Shape legend: N images, w features of a block.


class Centring:
    """Centres blocks of features over the images, scales them if asked, and keeps sums of what was taken out.

    Parameters
    ----------
    n_images
        Rows of every block, N.
    device, standardize, scaled_by, image_names
        As in :meth:`vvscale.brain.metrics.gram.Gram.from_features`.

    Attributes
    ----------
    n_features
        Features seen so far.
    offset
        Sum of squares of the means over images and features.
    level
        (N,) products of the centred rows with the means.
    totals
        (N,) sums of the features as they are.
    """

    def __init__(
        self,
        n_images: int,
        *,
        device: str | None = None,
        standardize: bool = False,
        scaled_by: np.ndarray | None = None,
        image_names: Sequence[Any] | np.ndarray | None = None,
    ) -> None:
        self._n_images, self._device, self._image_names = n_images, device, image_names
        self._standardize, self._scaled_by = standardize, scaled_by
        self._rows = np.empty(0, np.float32)
        self.n_features, self.offset = 0, 0.0
        self.level, self.totals = (zeros(n_images, device=device) for _ in range(2))

    @property
    def shift(self) -> float:
        """What the squares of the means add to the level of each image."""
        return self.offset / (2 * self._n_images)

    def exact(self, block: Any) -> Any:
        """Return the next block as float64 with zero means."""
        if self._device is None:
            block = np.asarray(block, dtype=np.float64)
            is_finite = np.isfinite(block).all()
        else:
            import torch  # only for a device

            block = torch.as_tensor(block, device=self._device).to(torch.float64)
            is_finite = bool(torch.isfinite(block).all())
        if not is_finite:
            raise not_finite(block, self.n_features, self._image_names)
        self.n_features += block.shape[1]
        mean = block.mean(0)
        block = block - mean
        if self._standardize:
            scale = feature_scale(block, mean, self._scaled_by)
            block, mean = block / scale, mean / scale
        self._keep_means(block, mean)
        return block

    def narrow(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a float32 block less its means, and the means, in a third of the time and memory of :meth:`exact`.

        A mean rounded to float32 moves a feature of all images alike, which the final centring takes out. Blocks are
        written into the same memory each time: fresh memory costs the system more than the arithmetic.
        """
        n_images, width = block.shape
        if self._rows.size < block.size:
            self._rows = np.empty(block.size, np.float32)
        mean = np.ones(n_images, np.float32) @ block / np.float32(n_images)
        if not np.isfinite(mean).all():  # a sum is finite only if every term is, unless it overflows float32
            mean = block.mean(0, dtype=np.float64).astype(np.float32)
            if not np.isfinite(mean).all():
                raise not_finite(block, self.n_features, self._image_names)
        self.n_features += width
        centred = np.subtract(block, mean, out=self._rows[: block.size].reshape(block.shape))
        if self._standardize:
            rows, own = centred, np.float32(0.0)
            if self._scaled_by is not None:
                rows = centred[self._scaled_by]
                own = rows.mean(0, dtype=np.float64).astype(np.float32)
                rows = rows - own
            variance = np.einsum("np,np->p", rows, rows, dtype=np.float64) / len(rows)
            scale = scale_of(variance, (mean + own).astype(np.float64), len(rows))
            centred *= (1.0 / scale).astype(np.float32)
            mean = (mean / scale).astype(np.float32)
        self._keep_means(centred, mean)
        return centred, mean

    def keep_scaled(self, centred: np.ndarray, mean: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> None:
        """Remember a block that is ``factor`` times another, which is centred already, plus ``shift``, each (w,)."""
        own = factor * mean + shift
        self.n_features += len(mean)
        self.offset += float(len(centred) * (own.astype(np.float64) ** 2).sum())
        sums = centred @ np.stack((factor * own, factor), 1)
        self.level += sums[:, 0]
        self.totals += sums[:, 1] + own.sum(dtype=np.float64)

    def _keep_means(self, centred: Any, mean: Any) -> None:
        """Remember what centring took out of a block: it costs one column more in the products."""
        wide = mean.astype(np.float64) if self._device is None else mean
        self.offset += float(len(centred) * (wide**2).sum())
        if self._device is None:
            # Both sums in one walk over the block.
            sums = centred @ np.stack((mean, np.ones_like(mean)), 1)
            self.level += sums[:, 0]
            self.totals += sums[:, 1] + wide.sum()
        else:
            self.level += centred @ mean
            self.totals += centred.sum(1) + wide.sum()

    def free(self) -> None:
        """Give back the memory of blocks."""
        self._rows = np.empty(0, np.float32)


def zeros(*shape: int, device: str | None) -> Any:
    """Return float64 zeros, of NumPy or on a device."""
    if device is None:
        return np.zeros(shape)
    import torch  # only for a device

    return torch.zeros(shape, dtype=torch.float64, device=device)


def as_numpy(table: Any) -> np.ndarray:
    """Return a table as NumPy's, copied from the device where it is on one."""
    return np.asarray(table.cpu() if hasattr(table, "cpu") else table)


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
    table = as_numpy(block)
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
