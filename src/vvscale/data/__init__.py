"""Images: data sets as flat stores, balanced subsets, and batches that are augmented on the device.

A data set needs no code: ``vvscale prepare`` reads folders, lists and shards. A new layout of files is added in
``prepare/sources/layouts.py``. Images are resized in ``prepare/decode.py`` once, then in ``augment/resize.py``.

Importing this package loads no submodule; the public names below are resolved on first use. It must not import
models, training or brain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.data.augment.counter import uniforms as uniforms
    from vvscale.data.augment.settings import Augmentation as Augmentation
    from vvscale.data.augment.settings import Evaluation as Evaluation
    from vvscale.data.dataset import Dataset as Dataset
    from vvscale.data.dataset import load_dataset as load_dataset
    from vvscale.data.loader import Batch as Batch
    from vvscale.data.loader import Loader as Loader
    from vvscale.data.manifest import open_store as open_store
    from vvscale.data.manifest import verify as verify
    from vvscale.data.prepare.prepare import prepare_images as prepare_images
    from vvscale.data.prepare.result import Prepared as Prepared
    from vvscale.data.store import ImageStore as ImageStore
    from vvscale.data.subsets import Subset as Subset
    from vvscale.data.subsets import balanced_subset as balanced_subset

__getattr__, __dir__ = lazy(__name__)
