"""Images: data sets as flat stores, balanced subsets, and batches that are augmented on the device.

Importing this package loads no submodule; the public names below are resolved on first use. It must not import
models, training or brain.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.data.augment.counter import uniforms
    from vvscale.data.augment.settings import Augmentation, Evaluation
    from vvscale.data.dataset import Dataset, load_dataset
    from vvscale.data.loader import Batch, Loader
    from vvscale.data.manifest import open_store, verify
    from vvscale.data.prepare.prepare import prepare_images
    from vvscale.data.prepare.result import Prepared
    from vvscale.data.store import ImageStore
    from vvscale.data.subsets import Subset, balanced_subset

_HOME_OF = {
    "Augmentation": "augment.settings",
    "Batch": "loader",
    "Dataset": "dataset",
    "Evaluation": "augment.settings",
    "ImageStore": "store",
    "Loader": "loader",
    "Prepared": "prepare.result",
    "Subset": "subsets",
    "balanced_subset": "subsets",
    "load_dataset": "dataset",
    "open_store": "manifest",
    "prepare_images": "prepare.prepare",
    "uniforms": "augment.counter",
    "verify": "manifest",
}

__all__ = [
    "Augmentation",
    "Batch",
    "Dataset",
    "Evaluation",
    "ImageStore",
    "Loader",
    "Prepared",
    "Subset",
    "balanced_subset",
    "load_dataset",
    "open_store",
    "prepare_images",
    "uniforms",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.data.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.data' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
