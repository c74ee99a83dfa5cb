"""Which layers are scored, and which layer stands for which region.

Layers are named one by one, by pattern, or all that make sense. A commitment says which layer stands for each
region; it is looked up in those of the ICML 2025 study (``committed``) or of the 2026 one (``gokce2026``), read from
a file, or chosen by score.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from torch import nn

from vvscale.brain.activations.hooks import find_module
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.prepared.sets import SETS
from vvscale.core.config import parse_toml
from vvscale.core.files import write_bytes, write_json
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import parse_json
from vvscale.errors import ConfigError, DataError, MissingDataError, UnknownNameError, did_you_mean, unknown_name
from vvscale.scores import REGIONS

FORMAT = "vvscale-layers-1"

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_KEYS = ("format", "model", "decided_by", "layers")

_PUBLIC: Mapping[str, str] = MappingProxyType({"FreemanZiemba2013": "bs_fz", "MajajHong2015": "bs_mh"})
"""How the public benchmarks of the study's two Brain-Score sets begin -> handle."""


@dataclass(frozen=True)
class LayerCommitment:
    """Which layer stands for which region.

    Attributes
    ----------
    layers
        Region, or benchmark_id where regions of several recordings have one name -> name of a layer; for ``behavior``
        the layer that the readout is fitted on.
    model
        The model whose scores decided, or "".
    decided_by
        How: the benchmarks, or the published commitment.
    scores
        Region -> score of its layer, where known.
    """

    layers: Mapping[str, str]
    model: str = ""
    decided_by: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for region in self.layers:
            # Recordings have regions of many names; a known one in another spelling is a mistake.
            if region not in REGIONS and region.casefold() in {one.casefold() for one in REGIONS}:
                raise unknown_name("region", region, REGIONS)
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def table(self) -> pd.DataFrame:
        """Return one row per region."""
        rows = [(region, layer, self.scores.get(region)) for region, layer in self.layers.items()]
        return pd.DataFrame(rows, columns=["region", "layer", "score"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they are written to files."""
        return {"format": FORMAT, "model": self.model, "decided_by": self.decided_by, "layers": dict(self.layers)}

    def save(self, path: str | Path) -> None:
        """Write a .json or .toml file that :func:`read_commitment` reads."""
        path = check_commitment_path(path)
        if path.suffix == ".json":
            write_json(path, self.to_dict())
        else:
            write_bytes(path, _as_toml(self.to_dict()).encode())


def check_commitment_path(path: str | Path) -> Path:
    """Return the path of a file for layers, or refuse one of another format."""
    path = Path(path)
    if path.suffix not in (".json", ".toml"):
        raise ConfigError(f"Cannot write layers to '{path}': expected a name that ends in .toml or .json.")
    return path


def default_layers(module: nn.Module) -> list[str]:
    """Return the layers of a model that make sense to score, in the order of the model.

    Every module except the model itself, containers (``Sequential`` and lists: they give what their last part
    gives), and modules that pass their input on (``Dropout``; ``Identity``, also a library's own). For a ResNet-18
    these are 60: the 52 convolutions, normalisations, activations, poolings and the classifier, and its 8 blocks.

    Examples
    --------
    >>> default_layers(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Dropout())))
    ['0', '1.0']
    """
    return [
        name for name, one in module.named_modules() if name and type(one) not in _CONTAINERS and not _passes_on(one)
    ]


def _passes_on(module: nn.Module) -> bool:
    """Whether a module gives its input; libraries have an Identity of their own."""
    is_plain = not list(module.children()) and not module.state_dict()
    return type(module) in _PASSING or (type(module).__name__ == "Identity" and is_plain)


def choose_layers(module: nn.Module, names: str | Sequence[str]) -> list[str]:
    """Turn names and patterns into names of layers, each once.

    Parameters
    ----------
    module
        The model.
    names
        ``"all"`` for :func:`default_layers`; names; patterns with ``*`` such as ``layer4.*``, which match the
        default layers.

    Raises
    ------
    UnknownNameError
        The model has no such layer, or a pattern matches none.
    """
    default = default_layers(module)
    chosen: dict[str, None] = {}
    for name in [names] if isinstance(names, str) else names:
        if name == "all":
            chosen |= dict.fromkeys(default)
        elif "*" in name or "?" in name:
            found = [layer for layer in default if fnmatchcase(layer, name)]
            if not found:
                raise UnknownNameError(
                    f"No layer matches '{name}'. The model has {len(default)}, such as {', '.join(default[:6])}."
                )
            chosen |= dict.fromkeys(found)
        else:
            chosen[resolve_name(module, name)] = None
    if not chosen:
        raise ConfigError("No layer was asked for; expected at least one name, or 'all'.")
    return list(chosen)


def resolve_name(module: nn.Module, name: str) -> str:
    """Return the name of a layer in this model: names of the study's wrappers are understood."""
    try:
        find_module(module, name)
    except UnknownNameError:
        from vvscale.models import resolve_layer

        return resolve_layer(module, name)
    return name


def committed_layers(module: nn.Module, record: Mapping[str, Any]) -> LayerCommitment:
    """Look up the published commitment of a model.

    Parameters
    ----------
    module
        The model; names of layers are resolved in it.
    record
        Of its weights: ``model``, and under ``row`` dataset and is_pretrained.

    Raises
    ------
    MissingDataError
        None was published for this architecture and data set.
    """
    from vvscale.scores import commitment

    row = record.get("row", {})
    arch = row.get("arch") or record.get("model")
    if not arch:
        raise MissingDataError(
            "The model has no architecture name, so no published commitment can be looked up. Name the layers, or "
            "give a file of layers."
        )
    dataset, is_pretrained = row.get("dataset"), bool(row.get("is_pretrained", False))
    try:
        found = commitment(arch, dataset, is_pretrained=is_pretrained)
        note = ""
    except MissingDataError as error:
        # The study commits on one full-data model per architecture; its ImageNet one serves where there is none.
        try:
            found = commitment(arch, "imagenet")
        except MissingDataError:
            raise error from None
        note = f", for want of one for {'pretrained ' if is_pretrained else ''}{dataset or 'unnamed data'}"
    layers = {region: resolve_name(module, layer) for region, layer in found.layers.items()}
    return LayerCommitment(layers, found.arch, f"published commitment of {found.arch} on {found.dataset}{note}")


def layers_gokce2026(benchmarks: Sequence[Benchmark], module: nn.Module, record: Mapping[str, Any]) -> LayerCommitment:
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
    from vvscale.scores.gokce2026 import commitments, committed_layer

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
        found = committed_layer(model, _data_set_of(benchmark), benchmark.region)
        layers[benchmark.row_id] = resolve_name(module, found.layer)
        scores[benchmark.row_id] = found.score
    return LayerCommitment(layers, model, f"published commitment of {model} by the 2026 study", scores)


def _data_set_of(benchmark: Benchmark) -> str:
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


def select_layers(scores: pd.DataFrame, *, model: str = "", needs_all: bool = True) -> LayerCommitment:
    """Commit the best layer to each region.

    Parameters
    ----------
    scores
        Columns region, layer, score, raw_score and benchmark_id, such as :meth:`ModelScores.table` gives. A
        region with several benchmarks is decided by their mean.
    model
        Name of the model.
    needs_all
        Whether a region without a score is an error; otherwise it is left out.

    Returns
    -------
    LayerCommitment
        The layer of the best score per region; the first in the model's order among equals. Squared formulas
        turn negative correlations into high scores, so a layer with a negative raw score is never chosen while
        another has a positive one.

    Raises
    ------
    DataError
        A region has no score, and ``needs_all`` is set.
    """
    layers: dict[str, str] = {}
    best: dict[str, float] = {}
    present = scores["region"].dropna().unique().tolist()
    for region in [*(one for one in REGIONS if one in present), *(one for one in present if one not in REGIONS)]:
        of_region = scores[scores["region"] == region]
        mean = of_region.groupby("layer", sort=False)[["score", "raw_score"]].mean().dropna()
        if mean.empty and not needs_all:
            continue
        if mean.empty:
            raise DataError(
                f"No layer has a score in {region}, so none can be committed to it. Likely cause: the layers asked for "
                "have fewer independent features than the metric takes components, as where units are dead. Score "
                "other `layers`."
            )
        agreeing = mean[mean["raw_score"] > 0]
        chosen = (agreeing if len(agreeing) else mean)["score"]
        layers[region], best[region] = str(chosen.idxmax()), float(chosen.max())
    names = ", ".join(sorted(scores["benchmark_id"].unique())) if "benchmark_id" in scores else "scores"
    return LayerCommitment(layers, model, f"best score on {names}", best)


def read_commitment(path: str | Path) -> LayerCommitment:
    """Read a file of layers, .toml or .json.

    Raises
    ------
    MissingDataError
        There is no such file.
    ConfigError
        It is not what :meth:`LayerCommitment.save` writes; unknown keys are refused.
    """
    path = Path(path)
    try:
        text = plain_file(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingDataError(
            f"Cannot read the layers '{path}': {error}. Expected a .toml or .json file as 'vvscale score --commit' "
            "writes it."
        ) from error
    try:
        held = parse_json(text) if path.suffix == ".json" else parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"'{path}' is not valid {path.suffix.lstrip('.').upper() or 'TOML'}: {error}.") from error
    if not isinstance(held, dict) or not isinstance(held.get("layers"), dict):
        raise ConfigError(f"'{path}' has no table 'layers'; expected region = \"layer\" lines below [layers].")
    for key in held:
        if key not in _KEYS:
            raise ConfigError(f"Unknown key '{key}' in '{path}'.{did_you_mean(key, _KEYS)} Known: {', '.join(_KEYS)}.")
    if held.get("format", FORMAT) != FORMAT:
        raise ConfigError(f"'{path}' has the format '{held['format']}'; expected '{FORMAT}'.")
    for region, layer in held["layers"].items():
        if not isinstance(layer, str) or not layer:
            raise ConfigError(f"'{path}' commits {layer!r} to {region}; expected the name of a layer.")
    return LayerCommitment(held["layers"], str(held.get("model", "")), str(held.get("decided_by", "")))


def readout_layer(module: nn.Module) -> str:
    """Return the layer that the behavioural readout is fitted on where nothing says otherwise.

    It is the reference's default with the study's choice of layers: the last but one, whose features the
    classifier reads, which is the last layer in the model's order that is not the classifier.
    """
    names = default_layers(module)
    modules = dict(module.named_modules())
    linear = [name for name in names if isinstance(modules[name], nn.Linear)]
    before = names[: names.index(linear[-1])] if linear and linear[-1] == names[-1] else names
    return before[-1] if before else names[-1]


def _as_toml(held: Mapping[str, Any]) -> str:
    # JSON's strings are TOML's basic strings.
    lines = [f"{key} = {json.dumps(value)}" for key, value in held.items() if key != "layers"]
    lines += ["", "[layers]", *(f"{_key(region)} = {json.dumps(layer)}" for region, layer in held["layers"].items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    is_bare = name.replace("_", "").replace("-", "").isalnum() and name.isascii()
    return name if is_bare else json.dumps(name)
