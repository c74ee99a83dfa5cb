"""Images: data sets as flat stores, balanced subsets, and batches that are augmented on the device.

Importing this package loads no submodule; the public names below are resolved on first use. It must not import
models, training or brain.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.data.counter import uniforms
    from vvscale.data.dataset import Dataset, load_dataset
    from vvscale.data.ingest import prepare
    from vvscale.data.loader import Batch, Loader
    from vvscale.data.outcome import Prepared
    from vvscale.data.prepared import open_store, verify
    from vvscale.data.store import ImageStore
    from vvscale.data.subsets import Subset, balanced_subset
    from vvscale.data.transform import Augmentation, Evaluation

_HOME_OF = {
    "Augmentation": "transform",
    "Batch": "loader",
    "Dataset": "dataset",
    "Evaluation": "transform",
    "ImageStore": "store",
    "Loader": "loader",
    "Prepared": "outcome",
    "Subset": "subsets",
    "balanced_subset": "subsets",
    "load_dataset": "dataset",
    "open_store": "prepared",
    "prepare": "ingest",
    "uniforms": "counter",
    "verify": "prepared",
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
    "prepare",
    "uniforms",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.data.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.data' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
