"""Inner products between images, which are all that the metrics of this package need from a layer.

A layer of p features enters every regression here only through the (n_images, n_images) matrix of inner
products of its centred features. That matrix is a sum over features, so features can arrive in blocks and be
forgotten, and one matrix serves all splits, all regions that share the images, ridge, similarity and the
behavioural readout.

Arrays are NumPy's on the CPU and PyTorch's on a device; the code is the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vvscale.brain.metrics.centring import Centring, exact_float32, zeros
from vvscale.errors import ConfigError, DataError, ShapeError

# Shape legend: N images, p features, A any number of rows.

Precision = Literal["float64", "float32"]

BLOCK_FEATURES = 4096
"""Features multiplied at once: wide enough for full speed, narrow enough to bound the memory of a copy."""

_ROUNDING = 1e-26
"""Share of the sum of squares that the rounding of means leaves behind at most."""

_LEFT = {"float64": 1e-12, "float32": 1e-5}
"""Share of the terms of a difference that the products' rounding leaves behind at most, by their precision."""


@dataclass(frozen=True, eq=False)
class Gram:
    """Inner products of the centred features of N images.

    Attributes
    ----------
    n_images, n_features
        Shape of the features, N and p.
    matrix
        (N, N) float64, rows and columns sum to zero. None when ``factor`` is kept instead.
    factor
        (N, p) float64 centred features themselves, kept when p is so small that multiplying twice by them
        costs less than multiplying once by the matrix. None otherwise.
    is_standardized
        Whether each feature was divided by its standard deviation over the images.
    level
        (N,) float64, what centring took out: products of the features as they are, are the matrix + level_i + level_j.
        None where only centred products are known.
    totals
        (N,) float64 sums over the features of each image, as they are; None where only centred products are known.
    precision
        Type of the products that were summed.
    """

    n_images: int
    n_features: int
    matrix: Any = None
    factor: Any = None
    is_standardized: bool = False
    level: Any = None
    totals: Any = None
    precision: Precision = "float64"

    @classmethod
    def from_features(
        cls,
        features: Any,
        *,
        precision: Precision = "float64",
        device: str | None = None,
        standardize: bool = False,
        scaled_by: np.ndarray | None = None,
        image_names: Sequence[Any] | np.ndarray | None = None,
    ) -> Gram:
        """Compute the inner products of a whole layer.

        Parameters
        ----------
        features
            (N, p) finite numbers, any float or integer type, in any unit.
        precision
            Type of the products; their sums are always float64. ``"float32"`` is about twice as fast and moves single
            correlations by 1e-6, with few images by up to 1e-5.
        device
            None for NumPy on the CPU, else a PyTorch device such as ``"cuda"``.
        standardize
            Divide each feature by its standard deviation; constant features stay zero.
        scaled_by
            (N,) bool, the images that the standard deviations are of; None for all.
        image_names
            (N,) labels of the images, for messages.

        Raises
        ------
        ShapeError
            The features are not a table of at least two images and one feature.
        DataError
            A feature is NaN or infinite, or no feature varies.

        Examples
        --------
        >>> Gram.from_features([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]).dense()
        array([[ 2., -2.],
               [-2.,  2.]])
        """
        if not hasattr(features, "shape"):
            features = np.asarray(features)
        if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] < 1:
            raise ShapeError(
                f"Features have shape {tuple(features.shape)}; expected (n_images, n_features) with at "
                "least 2 images and 1 feature. Flatten each image's activations to one row first."
            )
        n_images, n_features = features.shape
        # Two products with the factor cost 4 N p, one with the matrix 2 N N, and the matrix must be made first.
        keep_factor = 2 * n_features <= n_images
        total = GramAccumulator(
            n_images, precision=precision, device=device, standardize=standardize, scaled_by=scaled_by,
            image_names=image_names,
        )  # fmt: skip
        if keep_factor:
            centring = total.centring
            factor = centring.exact(features)
            made = cls(
                n_images, n_features, None, factor, standardize, level=centring.level + centring.shift,
                totals=centring.totals,
            )  # fmt: skip
            return made._alive(centring.offset)
        for start in range(0, n_features, BLOCK_FEATURES):
            total.add(features[:, start : start + BLOCK_FEATURES])
        return total.gram()

    @classmethod
    def from_products(
        cls,
        products: Any,
        n_features: int,
        *,
        is_standardized: bool = False,
        level: Any = None,
        totals: Any = None,
        precision: Precision = "float64",
        overwrite: bool = False,
    ) -> Gram:
        """Take inner products that were summed elsewhere, of features with or without their means.

        Parameters
        ----------
        products
            (N, N) symmetric float64. Taking large means out here costs digits that taking them out of the
            features does not: with float64 products none that matter, with float32 products most of them.
        n_features
            How many features were summed.
        is_standardized
            Whether each was divided by its standard deviation.
        level, totals, precision
            As of :class:`Gram`, for these products.
        overwrite
            Whether the table may be changed and kept, which spares a second one.

        Raises
        ------
        DataError
            No feature varies between images.
        """
        # Both directions: rounding of means would otherwise leak into every split.
        squares, mean = float(products.trace()), products.mean(0)
        if overwrite:
            products -= mean
        else:
            products = products - mean
        rest = products.mean(1)
        products -= rest[:, None]
        if level is not None:
            level = level + (mean + rest) / 2
        kept = cls(len(products), n_features, products, None, is_standardized, level, totals, precision)
        return kept._alive(squares)

    @property
    def device(self) -> Any:
        """The PyTorch device that holds the numbers, or None for NumPy."""
        held = self.factor if self.matrix is None else self.matrix
        return None if isinstance(held, np.ndarray) else held.device

    def dot(self, rows: Any) -> Any:
        """Multiply (A, N) rows by the matrix: (A, N)."""
        if self.matrix is None:
            return (rows @ self.factor) @ self.factor.T
        return rows @ self.matrix

    def take(self, images: Any) -> Gram:
        """Return the inner products of these images, in this order, centred anew.

        Parameters
        ----------
        images
            Row numbers, (n,) integers; standardised features stay scaled by all images.
        """
        if isinstance(images, np.ndarray) and np.array_equal(images, np.arange(self.n_images)):
            return self
        images = images if hasattr(images, "shape") else np.asarray(images)
        level, totals = (None if held is None else held[images] for held in (self.level, self.totals))
        if self.matrix is None:
            factor = self.factor[images]
            mean = factor.mean(0)
            if level is not None:
                level = level + factor @ mean - (mean**2).sum() / 2
            kept = replace(self, n_images=len(factor), factor=factor - mean, level=level, totals=totals)
            return kept._alive(float((factor**2).sum()))
        # One gather: rows first would copy the whole width.
        products = self.matrix[images[:, None], images]
        return Gram.from_products(
            products, self.n_features, is_standardized=self.is_standardized, level=level, totals=totals,
            precision=self.precision, overwrite=True,
        )  # fmt: skip

    def trace(self) -> float:
        """Return the sum of squares of the centred features."""
        return float((self.factor**2).sum() if self.matrix is None else self.matrix.trace())

    def dense(self) -> Any:
        """Return the (N, N) matrix."""
        return self.factor @ self.factor.T if self.matrix is None else self.matrix

    def plain(self) -> Any:
        """Return the (N, N) inner products of the features as they are, without their means taken out.

        An image whose features are all 0 has products of exactly 0.
        """
        if self.level is None:
            raise DataError(
                "These inner products are of centred features only; dissimilarities need them of the features as they "
                "are. Make them with Gram.from_features or GramAccumulator."
            )
        products = self.dense() + self.level[:, None]
        products += self.level
        is_zero = products.diagonal() <= self.rounding()
        products[is_zero] = 0.0
        products[:, is_zero] = 0.0
        return products

    def rounding(self) -> Any:
        """Return (N,) what rounding may leave of the square of an image whose features as they are cancel."""
        squares = (self.factor**2).sum(1) if self.matrix is None else self.matrix.diagonal()
        return _LEFT[self.precision] * (squares + 2 * abs(self.level))

    def _alive(self, squares: float) -> Gram:
        """Return itself, or raise if what varies is rounding, given the sum of squares with means in."""
        if not self.trace() > _ROUNDING * squares:
            raise DataError(
                f"None of the {self.n_features} features differs between images, so nothing can be predicted from "
                "them. The layer is dead, or its activations were overwritten in place after they were recorded."
            )
        return self


class GramAccumulator:
    """The sum of inner products over blocks of features, so that no layer has to be held whole.

    Parameters
    ----------
    n_images
        Rows of every block.
    precision, device, standardize, scaled_by, image_names
        As in :meth:`Gram.from_features`.

    Examples
    --------
    >>> total = GramAccumulator(2)
    >>> total.add([[1.0], [3.0]])
    >>> total.add([[0.0, 2.0], [0.0, 0.0]])
    >>> total.gram().matrix
    array([[ 2., -2.],
           [-2.,  2.]])
    """

    def __init__(
        self,
        n_images: int,
        *,
        precision: Precision = "float64",
        device: str | None = None,
        standardize: bool = False,
        scaled_by: np.ndarray | None = None,
        image_names: Sequence[Any] | np.ndarray | None = None,
    ) -> None:
        if precision not in ("float64", "float32"):
            raise ConfigError(f"Unknown precision '{precision}'. Expected 'float64' or 'float32'.")
        self._precision: Precision = precision
        self._device = device
        self._is_standardized = standardize
        self.centring = Centring(
            n_images, device=device, standardize=standardize, scaled_by=scaled_by, image_names=image_names
        )
        self._sum = zeros(n_images, n_images, device=device)
        self._products = np.empty(0, np.float32)

    def add(self, block: Any) -> None:
        """Add a block of features.

        Parameters
        ----------
        block
            (N, any number) features; for float32 products give at most a few thousand at a time.

        Raises
        ------
        ShapeError, DataError
            The block has another number of rows, or holds NaN or infinity.
        """
        if not hasattr(block, "shape"):
            block = np.asarray(block)
        if block.ndim != 2 or block.shape[0] != len(self._sum):
            raise ShapeError(
                f"A block of features has shape {tuple(block.shape)}; expected ({len(self._sum)}, "
                "n_features), one row per image in the order of the responses."
            )
        if self._device is None and self._precision == "float32" and block.dtype == np.float32:
            narrow, _ = self.centring.narrow(block)
            self._sum += np.matmul(narrow, narrow.T, out=self._table())
            return
        centred = self.centring.exact(block)
        with exact_float32(self._device):
            if self._device is None:
                narrow = centred.astype(self._precision, copy=False)
                self._sum += narrow @ narrow.T
            else:
                import torch

                narrow = centred.to(getattr(torch, self._precision))
                self._sum += (narrow @ narrow.T).to(self._sum.dtype)

    def add_with_scaled(
        self, block: np.ndarray, other: GramAccumulator, factor: np.ndarray, shift: np.ndarray, places: int
    ) -> None:
        """Add a block, and to another sum the same features times ``factor`` plus ``shift``: one product serves both.

        Parameters
        ----------
        block
            (N, w) float32; both sums are of float32 products on the CPU and not standardised.
        other
            The other sum.
        factor, shift
            (w / places,) float32, of each stretch of ``places`` features.
        places
            Features that share a factor; w is a multiple of it.

        Examples
        --------
        >>> conv, norm = GramAccumulator(2, precision="float32"), GramAccumulator(2, precision="float32")
        >>> block = np.array([[1.0, 0.0], [3.0, 0.0]], np.float32)
        >>> conv.add_with_scaled(block, norm, np.full(1, 2, np.float32), np.zeros(1, np.float32), places=2)
        >>> conv.gram().trace(), norm.gram().trace()
        (2.0, 8.0)
        """
        narrow, mean = self.centring.narrow(block)
        wide = np.repeat(factor, places)
        other.centring.keep_scaled(narrow, mean, wide, np.repeat(shift, places))
        for stretch, scale in enumerate(factor):
            part = narrow[:, stretch * places : (stretch + 1) * places]
            products = np.matmul(part, part.T, out=self._table())
            self._sum += products
            products *= scale * scale
            other._sum += products

    def gram(self) -> Gram:
        """Return the inner products of all features added so far, in the table that they were summed in.

        Raises
        ------
        DataError
            No feature varies between images, or they are so large that products overflow.
        """
        centring = self.centring
        if not math.isfinite(float(self._sum.trace())):
            raise DataError(
                f"Inner products of {centring.n_features} features overflow {self._precision}. Expected activations of "
                "at most about 1e18. The model has probably overflowed at this layer."
            )
        centring.free()
        self._products = np.empty(0, np.float32)
        kept = Gram.from_products(
            self._sum, centring.n_features, is_standardized=self._is_standardized,
            level=centring.level + centring.shift, totals=centring.totals, precision=self._precision, overwrite=True,
        )  # fmt: skip
        centring.level = kept.level - centring.shift
        return kept._alive(centring.offset)

    def _table(self) -> np.ndarray:
        """Return the memory of one block's products, the same each time: fresh memory costs more than arithmetic."""
        if not self._products.size:
            self._products = np.empty(self._sum.shape, np.float32)
        return self._products
