"""Layers that the 2026 study committed to the regions of its eight data sets: ``--layers gokce2026``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import nn

from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.prepared.sets import SETS
from vvscale.brain.scoring.layers import LayerCommitment, resolve_name
from vvscale.errors import MissingDataError
from vvscale.scores.gokce2026 import commitments, committed_layer

NAME = "gokce2026"

_PUBLIC: Mapping[str, str] = MappingProxyType({"FreemanZiemba2013": "bs_fz", "MajajHong2015": "bs_mh"})
"""How the public benchmarks of the study's two Brain-Score sets begin -> handle."""


def data_set_of(benchmark: Benchmark) -> str:
    """Return the handle of the data set that a benchmark is of.

    Raises
    ------
    MissingDataError
        It is none of the study's.
    """
    for handle in SETS:
        if benchmark.row_id.startswith(f"{handle}."):
            return handle
    for begins, handle in _PUBLIC.items():
        if benchmark.row_id.startswith(begins):
            return handle
    raise MissingDataError(
        f"'{benchmark.row_id}' is of no data set of the 2026 study, so no layer was committed to it; its sets are "
        f'{", ".join(SETS)}. Choose layers by score: `layers="all"` with `commit`.'
    )


def published_layers(benchmarks: Sequence[Benchmark], module: nn.Module, record: Mapping[str, Any]) -> LayerCommitment:
    """Return the committed layer of each benchmark.

    Parameters
    ----------
    benchmarks
        Of the study's data sets.
    module, record
        The model, in which names of layers are resolved, and its record. The model_id of its rows is looked up, then
        the full-data ImageNet model of its architecture, as the study commits one model for all of its sizes.

    Raises
    ------
    MissingDataError
        Neither was published, or a benchmark is of another data set.
    UnknownNameError
        The model has no commitment for a region.
    """
    row = record.get("row", {})
    arch = str(row.get("arch") or record.get("model") or "")
    model_id = str(row.get("model_id", ""))
    candidates = [model_id, model_id.removesuffix("_seed-0"), f"{arch}_imagenet_full", f"{arch}_imagenet_full_seed-0"]
    held = commitments()
    model = next((one for one in candidates if one in held), None)
    if model is None:
        raise MissingDataError(
            f"The 2026 study committed no layers of '{model_id or arch}'; it has {len(held)} models, such as "
            f"{', '.join(list(held)[:4])}. `vvscale ls scores --table gokce2026:commitments` lists them."
        )
    layers, scores = {}, {}
    for benchmark in benchmarks:
        found = committed_layer(model, data_set_of(benchmark), benchmark.region)
        layers[benchmark.row_id] = resolve_name(module, found.layer)
        scores[benchmark.row_id] = found.score
    return LayerCommitment(layers, model, f"published commitment of {model} by the 2026 study", scores)
