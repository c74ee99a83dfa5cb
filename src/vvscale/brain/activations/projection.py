"""Fewer features on request: 1000 principal components or random directions per layer, as the study used.

Layers with no more features than that are left as they are. Every row names its projection, since scores differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import linalg

from vvscale.errors import ConfigError, unknown_name

# Shape legend: N images, p features, w features of a block, k components, F images that components are fitted on.


_NAME = re.compile(r"^(?P<kind>sparse|gaussian|pca)-(?P<n>[1-9]\d*)$")
_RANK = 1e-9


@dataclass(frozen=True)
class Projection:
    """How features become fewer.

    Attributes
    ----------
    kind
        ``none``; ``sparse``, one random direction in about sqrt(p) features each, applied while recording, so that
        activations need not be kept; ``gaussian``, dense random directions; ``pca``, principal components of the
        layer over images of their own.
    n_components
        How many remain; 0 for ``none``.
    seed
        Of the random directions.
    """

    kind: str = "none"
    n_components: int = 0
    seed: int = 0

    @classmethod
    def parse(cls, text: str, *, seed: int = 0) -> Projection:
        """Read ``none``, ``sparse-1000``, ``gaussian-1000`` or ``pca-1000``; any number.

        Examples
        --------
        >>> Projection.parse("sparse-1000").n_components
        1000
        """
        if text == "none":
            return cls()
        match = _NAME.match(text)
        if match is None:
            hint = "The number, from 1, is how many features a layer keeps; any other is as good."
            raise unknown_name("projection", text, ["none", "sparse-1000", "gaussian-1000", "pca-1000"], hint)
        return cls(match["kind"], int(match["n"]), seed if match["kind"] != "pca" else 0)

    def __str__(self) -> str:
        """Return the name that goes into rows."""
        if self.kind == "none":
            return "none"
        return f"{self.kind}-{self.n_components}" + (f"-seed-{self.seed}" if self.seed else "")

    def shrinks(self, n_features: int) -> bool:
        """Whether a layer of so many features is projected at all."""
        return self.kind != "none" and n_features > self.n_components

    def n_kept(self, n_features: int) -> int:
        """Return how many features must be kept while recording."""
        return self.n_components if self.kind == "sparse" and self.shrinks(n_features) else n_features

    def at_recording(self, rows: np.ndarray) -> np.ndarray:
        """Project (b, p) activations of a batch, where this is done while recording."""
        if self.kind != "sparse" or not self.shrinks(rows.shape[1]):
            return rows
        directions = _sparse_directions(rows.shape[1], self.n_components, self.seed)
        return np.ascontiguousarray((directions @ rows.T).T, dtype=np.float32)

    def of_blocks(self, blocks: Iterable[np.ndarray], n_features: int, n_fitted: int = 0) -> np.ndarray | None:
        """Project what was kept, block by block.

        Parameters
        ----------
        blocks
            (N + F, w) float32 blocks of features; the last F rows are the images that components are fitted on.
        n_features, n_fitted
            p, and F.

        Returns
        -------
        numpy.ndarray or None
            (N, k) float64; None where blocks stay as they are.
        """
        if self.kind in {"none", "sparse"} or not self.shrinks(n_features):
            return None
        if self.kind == "gaussian":
            return self._gaussian(blocks)
        return self._components(blocks, n_fitted)

    def _gaussian(self, blocks: Iterable[np.ndarray]) -> np.ndarray:
        total: Any = 0.0
        for number, block in enumerate(blocks):
            rng = np.random.Generator(np.random.Philox(key=(self.seed << 32) + number))
            directions = rng.standard_normal((block.shape[1], self.n_components), dtype=np.float32)
            total = total + (block @ directions).astype(np.float64)
        return total / np.sqrt(self.n_components)

    def _components(self, blocks: Iterable[np.ndarray], n_fitted: int) -> np.ndarray:
        """Project on principal components through inner products, since p x k directions would not fit."""
        if n_fitted < 2:
            raise ConfigError(
                "Principal components need images to be fitted on, got fewer than 2; the study used 1000 of the "
                'ImageNet validation set. Give a folder with `projection_images`, or use `projection="sparse-1000"`.'
            )
        among: Any = 0.0
        across: Any = 0.0
        for block in blocks:
            mean = block[-n_fitted:].mean(0, dtype=np.float64).astype(np.float32)
            centred = block - mean
            fitted = centred[-n_fitted:]
            among = among + (fitted @ fitted.T).astype(np.float64)
            across = across + (centred[:-n_fitted] @ fitted.T).astype(np.float64)
        among = among - among.mean(0)
        values, vectors = linalg.eigh(among - among.mean(1)[:, None])
        kept = np.flatnonzero(values > _RANK * values[-1])[::-1][: self.n_components]
        # Rows of the cross products are shifted alike by the mean of the fitted images.
        across = across - across.mean(1)[:, None]
        return across @ (vectors[:, kept] / np.sqrt(values[kept]))


@lru_cache(maxsize=256)
def _sparse_directions(n_features: int, n_components: int, seed: int) -> Any:
    from sklearn.random_projection import SparseRandomProjection

    # scikit-learn's hint says that only 'auto' is text and forgets the numbers.
    shape: Any = n_components
    made = SparseRandomProjection(shape, random_state=seed).fit(np.zeros((1, n_features), dtype=np.float32))
    return made.components_.astype(np.float32)
