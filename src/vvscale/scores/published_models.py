"""The published checkpoints and commitments: where weights lie, and which layer stands for which region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from vvscale.core.jsonable import parse_json
from vvscale.errors import MissingDataError, did_you_mean
from vvscale.scores.published import fetch
from vvscale.scores.read import load_table
from vvscale.scores.schema import NEURAL, REGIONS

# CORnet-S has one area per region by design, so nothing was committed; source: study, commitments.
_CORNET_S = MappingProxyType({**{region: f"{region}.output" for region in NEURAL}, "behavior": "decoder.avgpool"})
_COMMITTED_ARCHITECTURE_GAPS = ("resnetflexfilters_wr-4-1-2-4-0", "resnetflexfilters_wr-4-1-2-4-1")


def load_checkpoints() -> pd.DataFrame:
    """Load the published list of checkpoints.

    Returns
    -------
    pandas.DataFrame, (10751, 7)
        model_id, epoch, arch, family, is_latest, checkpoint_url, checkpoint_path. 530 rows have no arch and
        57 models no row with ``is_latest``; both are left as published, since ids do not tell either
        reliably.
    """
    table = load_table(fetch("checkpoint-list"), sep=",", decimal=".")
    return table.rename(columns={"arch_family": "family"})[
        [
            "model_id",
            "epoch",
            "arch",
            "family",
            "is_latest",
            "checkpoint_url",
            "checkpoint_path",
        ]
    ]


def load_commitments() -> pd.DataFrame:
    """Load the published commitments of layers to regions.

    Returns
    -------
    pandas.DataFrame, (1840, 6)
        arch (as published, in mixed case), dataset, is_pretrained, seed, region, layer; for ``behavior``
        the layer is the one that the readout is trained on.
    """
    published: dict[str, dict[str, dict[str, Any]]] = parse_json(fetch("commitments").read_text())
    rows = [
        (arch, dataset, how == "pretrained", int(seed.removeprefix("seed-")), region, layer)
        for arch, by_data in published.items()
        for data, by_seed in by_data.items()
        for dataset, _, how in [data.rpartition("_")]
        for seed, entry in by_seed.items()
        for region, layer in {
            **entry["region2layer"],
            "behavior": entry["behavioral_readout_layer"],
        }.items()
    ]
    return pd.DataFrame(rows, columns=["arch", "dataset", "is_pretrained", "seed", "region", "layer"])


@dataclass(frozen=True)
class Commitment:
    """Which layer of an architecture stands for which region.

    Attributes
    ----------
    arch, dataset
        The network whose scores decided it.
    layers
        region -> layer, for all five regions.
    """

    arch: str
    dataset: str
    layers: Mapping[str, str]


def commitment(arch: str, dataset: str | None = None, *, seed: int = 0, is_pretrained: bool = False) -> Commitment:
    """Look up the published commitment of an architecture.

    Parameters
    ----------
    arch
        As in the score table; case does not matter. Pretrained timm models are published under their full
        name.
    dataset
        Training data set; may be left out where an architecture has one commitment only.
    seed
        Seed of the model that decided.
    is_pretrained
        Whether the weights were published by others.

    Raises
    ------
    MissingDataError
        None was published for this combination; the message says which there are.
    """
    if arch.lower() == "cornet_s":
        return Commitment("cornet_s", dataset or "any", _CORNET_S)
    table = load_commitments()
    of_arch = table[table["arch"].str.lower() == arch.lower()]
    if of_arch.empty:
        why = (
            " None was published for the two widest ResNetFlex."
            if arch.lower() in _COMMITTED_ARCHITECTURE_GAPS
            else did_you_mean(arch, table["arch"].unique())
        )
        raise MissingDataError(
            f"No commitment was published for the architecture '{arch}'.{why} Commit layers yourself; "
            f"{table['arch'].nunique()} architectures have one."
        )
    chosen = of_arch[(of_arch["seed"] == seed) & (of_arch["is_pretrained"] == is_pretrained)]
    if dataset is not None:
        chosen = chosen[chosen["dataset"] == dataset]
    if len(chosen) != len(REGIONS):
        raise _no_single_commitment(of_arch, arch, dataset, seed, is_pretrained)
    first = chosen.iloc[0]
    layers = dict(zip(chosen["region"], chosen["layer"], strict=True))
    return Commitment(first["arch"], first["dataset"], MappingProxyType(layers))


def _no_single_commitment(
    of_arch: pd.DataFrame, arch: str, dataset: str | None, seed: int, is_pretrained: bool
) -> MissingDataError:
    known = of_arch[["dataset", "is_pretrained", "seed"]].drop_duplicates()
    listed = ", ".join(
        f"{row.dataset} ({'pretrained, ' if row.is_pretrained else ''}seed {row.seed})" for row in known.itertuples()
    )
    why = " None was published for infimnist." if dataset == "infimnist" else ""
    asked = f"dataset {dataset}" if dataset else "no dataset named"
    return MissingDataError(
        f"No single commitment of '{arch}' for {asked}, seed "
        f"{seed}{', pretrained' if is_pretrained else ''}.{why} Published for this architecture: {listed}. "
        "The study uses the one of the full data, seed 0."
    )
