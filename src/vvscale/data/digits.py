"""The embedded data set: scikit-learn's handwritten digits, small enough to train on in seconds.

1,797 grey images of 8 x 8 pixels with 17 levels, here RGB bytes, 70 images of each class held out for evaluation.
"""

from __future__ import annotations

import numpy as np

from vvscale.data.store import ImageStore
from vvscale.errors import ConfigError

N_VAL_PER_CLASS = 70
# The split is part of the data set's definition and has nothing to do with any run's seed.
_SPLIT_SEED = 20241105
_SIDE = 8
_LEVELS = 16


def load_digits(side: int = _SIDE) -> tuple[ImageStore, ImageStore]:
    """Return (train, val): 1,097 and 700 images of ``side`` x ``side`` pixels.

    Parameters
    ----------
    side
        A multiple of 8. Each pixel becomes a square of equal pixels, so that no information is made up and every
        size holds the same images.

    Raises
    ------
    ConfigError
        ``side`` is not a multiple of 8 within 8..256.
    """
    if side % _SIDE or not _SIDE <= side <= 256:
        raise ConfigError(f"The digits cannot be {side} pixels wide. Expected a multiple of 8 up to 256: 'digits:16'.")
    from sklearn import datasets

    pixels, target = datasets.load_digits(return_X_y=True)
    # Levels 0..16 become 0..255.
    grey = np.rint(np.asarray(pixels).reshape(-1, _SIDE, _SIDE) * (255 / _LEVELS)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=3)
    images = images.repeat(side // _SIDE, axis=1).repeat(side // _SIDE, axis=2)
    labels = np.asarray(target).astype(np.int64)
    shuffled = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    held_out = np.sort(np.concatenate([shuffled[labels[shuffled] == k][:N_VAL_PER_CLASS] for k in range(10)]))
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    name = "digits" if side == _SIDE else f"digits:{side}"
    names = [str(k) for k in range(10)]

    def part(rows: np.ndarray, split: str) -> ImageStore:
        return ImageStore.from_arrays(images[rows], labels[rows], class_names=names, name=f"{name}/{split}")

    return part(kept, "train"), part(held_out, "val")
