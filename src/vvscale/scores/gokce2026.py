"""The published numbers of the 2026 multimodal study: layer commitments with their scores, and the four result tables.

The commitments (85 models, 8 data sets, MIT licence) are fetched and checked. The result tables are Parquet files of a
public data set whose hashes are not known here: a downloaded file is read from its path or from the cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from vvscale.core.download import MIRROR_VARIABLE, RemoteFile, cache_folder
from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, MissingDataError, unknown_name
from vvscale.scores.read import load_table

COLLECTION = "gokce2026"

LAYER_COMMITMENTS = RemoteFile(
    "layer_commitments.json",
    COLLECTION,
    "https://raw.githubusercontent.com/epflneuroailab/multimodal-brain-scaling/main/configs/evaluation/layer_commitment/"
    "layer_commitments.json",
    "sha256",
    "1685700ab18f6cbfca8b5e884c0d455c794225d249def5cd13140e8302c774fa",
    "layers of 85 models committed to the regions of 8 data sets",
    "vvscale ls scores --table gokce2026:commitments",
)

_TABLES_HOST = "https://huggingface.co/datasets/epfl-neuroai/multimodal-brain-scaling/resolve/main/data"

TABLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "pretraining": ("pretraining_results_with_metadata.parquet", "models x data sets x regions x subjects"),
        "layers": ("layer_search_results.parquet", "every layer of the models, cross-validated"),
        "finetuning": ("finetuning_results.parquet", "models after neural fine-tuning"),
        "mapping": ("mapping_results.parquet", "readouts fitted on shares of the training images"),
    }
)
"""Table -> file of the public data set, and what it holds."""

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "benchmark_name": "benchmark_id",
        "roi": "region",
        "layer_name": "layer",
        "backbone_arch": "arch",
        "backbone_arch_family": "family",
        "backbone_n_params": "n_params",
        "backbone_macs": "forward_mac",
        "backbone_flops": "forward_flop",
        "pretraining_dataset": "dataset",
        "pretraining_n_samples": "n_samples",
        "pretraining_samples_per_class": "samples_per_class",
        "fitting_samples": "mapping_samples",
        "task_evaluation_acc": "accuracy",
        "is_selfsupervised_learning": "is_ssl",
        "is_adversarially_finetuned": "is_adv",
        "noise_ceiling": "ceiling",
    }
)
"""Column of the published tables -> ours; ``seed`` is that of the mapping or the fine-tuning."""

Metric = Literal[
    "pearsonr_nc", "pearsonr", "r2", "evs", "mae", "mse", "approx_exp_var", "approx_exp_var_nc", "cv_score",
    "rsa_c_train", "rsa_c_test", "rsa_ve_train", "rsa_ve_test", "cka_c_train", "cka_c_test", "cka_ve_train",
    "cka_ve_test",
]  # fmt: skip

COMPUTE: Mapping[str, str] = MappingProxyType(
    {
        "forward": "n_samples x forward_flop, as the 2026 study counts: neither epochs nor the backward pass",
        "training": "3 x forward_flop x n_samples x n_epochs, as everywhere else here",
    }
)
"""Definition of the compute of pretraining -> what it is."""


@dataclass(frozen=True)
class CommittedLayer:
    """The layer of a model that stands for a region of a data set.

    Attributes
    ----------
    layer
        Name in the model.
    position
        Depth in the model, from 0 to 1.
    score
        Cross-validated correlation relative to the ceiling, on training images; low where those were shown once.
    """

    layer: str
    position: float
    score: float


@lru_cache(maxsize=1)
def commitments() -> Mapping[str, Mapping[str, Mapping[str, CommittedLayer]]]:
    """Return model -> data set -> region -> committed layer, downloaded unless cached.

    Raises
    ------
    MissingDataError, DigestError
        The file can be had neither from the cache nor from its host, or is another one.
    """
    held: dict[str, Any] = parse_json(LAYER_COMMITMENTS.fetch().read_text(encoding="utf-8"))
    return {
        model: {
            handle: {
                roi: CommittedLayer(one["layer_name"], float(one["layer_position_normalized"]), float(one["score"]))
                for roi, one in rois.items()
            }
            for handle, rois in sets.items()
        }
        for model, sets in held.items()
        if model != "config"
    }


def committed_layer(model: str, handle: str, region: str) -> CommittedLayer:
    """Return the layer of a model that is committed to a region of a data set.

    Parameters
    ----------
    model
        Name of the model as published, such as ``resnet50_imagenet_full``.
    handle, region
        Data set and region, such as ``tvsd`` and ``V4``.

    Raises
    ------
    UnknownNameError
        The model, data set or region is not among the published ones.
    """
    held = commitments()
    for what, name, known in (("model", model, held), ("data set", handle, held.get(model, {}))):
        if name not in known:
            raise unknown_name(f"{what} of the commitments of gokce2026", name, known)
    regions = held[model][handle]
    if region not in regions:
        raise unknown_name(f"region of {handle}", region, regions)
    return regions[region]


def commitment_scores() -> pd.DataFrame:
    """Return the cross-validated scores of the commitments, one row per model, data set and region."""
    rows = [
        (model, handle, region, one.layer, one.score, one.position)
        for model, sets in commitments().items()
        for handle, regions in sets.items()
        for region, one in regions.items()
    ]
    names = ["model_id", "benchmark_id", "region", "layer", "score", "layer_position"]
    frame = pd.DataFrame(rows, columns=names)
    frame["score_formula"] = "cross-validated mean(r/sqrt(c)) on training images"
    frame["benchmark_id"] = frame["benchmark_id"].astype(str)
    return frame


def read_results(
    path: str | Path, *, metric: Metric = "pearsonr_nc", compute: Literal["forward", "training"] = "forward"
) -> pd.DataFrame:
    """Read one of the published result tables in our words.

    Parameters
    ----------
    path
        .parquet or .csv file.
    metric
        The column that becomes ``score``; the others are kept under their names.
    compute
        Definition of ``train_flop``, a key of :data:`COMPUTE`.

    Returns
    -------
    pandas.DataFrame
        Columns as :data:`NAMES`; the published amount of compute stays as ``pretraining_total_flops_estimate``. Scores
        above 1 are kept: a law of the misalignment must leave them out by name, where the study's fit failed without a
        message.

    Raises
    ------
    MissingDataError
        A column that is needed is absent.
    DataError
        Two rows are the same by what tells rows apart.
    """
    frame = load_table(path, sep=",", decimal=".")
    if metric not in frame:
        offered = [name for name in get_args(Metric) if name in frame]
        raise MissingDataError(f"'{path}' has no column '{metric}'; metrics there are {', '.join(offered) or 'none'}.")
    frame = frame.rename(columns={old: new for old, new in NAMES.items() if old in frame and new not in frame})
    if "mapping_samples" in frame and "seed" in frame:
        frame = frame.rename(columns={"seed": "mapping_seed"})
    frame["score"] = frame[metric].astype(np.float64)
    if {"forward_flop", "n_samples"} <= set(frame):
        frame["train_flop"] = _compute(frame, compute, str(path))
    return _told_apart(frame, str(path))


def load_results(
    table: str, *, metric: Metric = "pearsonr_nc", compute: Literal["forward", "training"] = "forward"
) -> pd.DataFrame:
    """Read a result table from the mirror or the cache.

    Raises
    ------
    UnknownNameError
        There is no such table.
    MissingDataError
        It is at neither place; the message says where it is offered and where to put it.
    """
    if table not in TABLES:
        raise unknown_name("table of gokce2026", table, TABLES)
    name, meaning = TABLES[table]
    found = _table_path(table)
    if found is not None:
        return read_results(found, metric=metric, compute=compute)
    raise MissingDataError(
        f"'{name}' ({meaning}) is not in {' or '.join(repr(str(one)) for one in _folders())}. It is offered at "
        f"{_TABLES_HOST}/{name}; download it and put it there, or read it from its path with "
        "vvscale.scores.gokce2026.read_results."
    )


def state(set_name: str) -> str:
    """Say whether the file of a set named ``gokce2026:...`` is at hand."""
    table = set_name.partition(":")[2]
    if table == "commitments":
        return LAYER_COMMITMENTS.state()
    return "absent" if _table_path(table) is None else "cached"


def _folders() -> list[Path]:
    return [Path(one) / COLLECTION for one in (os.environ.get(MIRROR_VARIABLE, ""), cache_folder()) if str(one)]


def _table_path(table: str) -> Path | None:
    return next((one / TABLES[table][0] for one in _folders() if (one / TABLES[table][0]).is_file()), None)


def _compute(frame: pd.DataFrame, definition: str, where: str) -> pd.Series:
    forward = frame["forward_flop"] * frame["n_samples"]
    if definition == "forward":
        return forward
    if definition not in COMPUTE:
        raise unknown_name("definition of compute", definition, COMPUTE)
    if "n_epochs" not in frame:
        raise MissingDataError(f"'{where}' has no column 'n_epochs', which compute=\"training\" needs.")
    return 3 * forward * frame["n_epochs"]


def _told_apart(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Give rows of different readouts and fine-tunings a run_id, and refuse copies."""
    tells = ["exp_type", "finetuning_dataset", "data_pct", "seed", "probe_type", "probe_subj_config", "probe_name",
             "random_shuffle", "lora_rank", "proj_dim", "proj_type"]  # fmt: skip
    tells = [name for name in tells if name in frame and name != "mapping_seed"]
    if tells and "run_id" not in frame:
        frame["run_id"] = frame[tells].astype(str).agg("/".join, axis=1)
    key = [one for one in ("model_id", "benchmark_id", "region", "subject", "layer", "run_id", "mapping_samples",
                           "mapping_seed") if one in frame]  # fmt: skip
    repeated = frame.duplicated(key)
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise DataError(
            f"Row {row + 1} of '{where}' repeats an earlier one by {', '.join(key)}; expected one row each, since "
            "copies would count twice in a fit."
        )
    return frame
