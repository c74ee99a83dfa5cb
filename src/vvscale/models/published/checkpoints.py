"""The study's published checkpoints: where they lie, fetched once, and turned into safetensors with a record.

A checkpoint is a training state of Composer, several times larger than the weights; what is kept is the
weights, as trained and averaged where both are there. ``VVSCALE_MIRROR`` and ``VVSCALE_CACHE`` apply as for
the published tables.

Source: Gokce & Schrimpf (2025), model_checkpoints.csv, benchmark_scores.csv and the loader published with
them (averaged weights for ConvNeXt and ViT, the teacher of DINO).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from torch import Tensor, nn

from vvscale.core.download import MIRROR_VARIABLE, Progress, alone, download
from vvscale.core.files import remove_inside
from vvscale.core.hashing import hash_of
from vvscale.errors import ConfigError, DataError, DigestError, MissingDataError, unknown_name
from vvscale.models.architectures.build import build_to_load
from vvscale.models.architectures.configs import LibraryConfig
from vvscale.models.architectures.names import architecture
from vvscale.models.layers import named_child, unwrapped
from vvscale.models.published.local_files import COLLECTION, downloads_folder, weights_folder
from vvscale.models.unpickle import check_content, read_checkpoint
from vvscale.models.weights import State, load_state, model_record, save_weights
from vvscale.scores import COLUMNS, load_checkpoints, load_scores
from vvscale.scores.gokce2025 import SCORES_NOTES

Kind = Literal["plain", "ema"]

# What a checkpoint calls each kind of weights.
_STATES: dict[Kind, str] = {"plain": "model", "ema": "model_ema_state_dict"}
# The part of a self-supervised network that is scored: DINO's teacher, SimCLR's backbone.
_BACKBONES = ("teacher_backbone.", "backbone.")
_EPOCH_300 = next(note for note in SCORES_NOTES if note.name == "epoch_300")
_ID = re.compile(
    r"(?:adv_|simclr_|dino_)?(?P<arch>.+?)_(?P<dataset>imagenet|ecoset|webvision|inaturalist|places365|infimnist)"
)


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint.

    Attributes
    ----------
    model_id, epoch
        As published.
    model
        The network, a name for ``build_model``.
    url
        Where it lies; in the mirror if one is set.
    row
        Model-level columns of its published scores, counted up to this epoch; fewer of them where the model
        was not scored.
    """

    model_id: str
    epoch: int
    model: str
    url: str
    row: Mapping[str, Any]

    @property
    def download_path(self) -> Path:
        """Where the checkpoint is downloaded to, until it has been converted."""
        return downloads_folder() / self.model_id / f"ep{self.epoch}.pt"

    def weights_path(self, kind: Kind) -> Path:
        """Where its converted weights are kept."""
        suffix = "-ema" if kind == "ema" else ""
        return weights_folder() / self.model_id / f"ep{self.epoch}{suffix}.safetensors"

    @property
    def cached(self) -> tuple[Kind, ...]:
        """The kinds of weights that are in the cache: all that the checkpoint holds, or none."""
        there: list[Kind] = [kind for kind in _STATES if _is_pair(self.weights_path(kind))]
        # The plain weights are written last.
        return tuple(there) if "plain" in there else ()

    @property
    def scored_kind(self) -> Kind:
        """The weights that the study scored: averaged for ConvNeXt and supervised transformers."""
        return "ema" if self.model.startswith(("convnext", "deit")) else "plain"


def read_ref(text: str) -> tuple[str, int | None]:
    """Take ``MODEL_ID[@EPOCH]`` apart.

    Raises
    ------
    ConfigError
        What follows the ``@`` is not a number.

    Examples
    --------
    >>> read_ref("resnet18_imagenet_full@10")
    ('resnet18_imagenet_full', 10)
    """
    model_id, at, epoch = text.rpartition("@")
    if not at:
        return text, None
    if not epoch.isdigit():
        raise ConfigError(f"The epoch in '{text}' is '{epoch}'; expected a whole number, such as '{model_id}@100'.")
    return model_id, int(epoch)


def find_checkpoint(model_id: str, epoch: int | None = None) -> Checkpoint:
    """Look up a published checkpoint.

    Parameters
    ----------
    model_id
        As in the score table or the list of checkpoints.
    epoch
        None = the one that the study scored, as a rule the last.

    Raises
    ------
    UnknownNameError
        There is no such model.
    MissingDataError
        It has no checkpoint of this epoch; the message lists those that it has. Or it was trained by others.
    """
    listed = load_checkpoints()
    scored = load_scores(COLLECTION).drop_duplicates("model_id")
    of_list, of_scores = listed[listed["model_id"] == model_id], scored[scored["model_id"] == model_id]
    if of_list.empty and of_scores.empty:
        hint = "'vvscale ls models' lists the models of the study."
        raise unknown_name("published model", model_id, [*listed["model_id"].unique(), *scored["model_id"]], hint)
    row = {} if of_scores.empty else published_row(of_scores.iloc[0])
    if row.get("is_pretrained"):
        raise MissingDataError(
            f"'{model_id}' was trained by others, and the study published no checkpoint of it. "
            f"Next: load_model('{COLLECTION}:{model_id}'), which loads it from the library it came from."
        )
    urls = {int(epoch): str(url) for epoch, url in of_list[["epoch", "checkpoint_url"]].to_numpy()}
    if not urls:
        # Untrained and a few adversarial models: the address stands only beside their scores.
        url = str(row["checkpoint_url"])
        urls = {int(url.rpartition("/ep")[2].partition(".")[0]): url}
    last = _scored_epoch(of_list, urls)
    chosen = last if epoch is None else epoch
    if chosen not in urls:
        raise MissingDataError(
            f"'{model_id}' has no checkpoint of epoch {chosen}. Published: {_ranges(sorted(urls))}. "
            f"Next: {COLLECTION}:{model_id}@{last}."
        )
    arch = row.get("arch") or next(iter(of_list["arch"].dropna()), None)
    url = urls[chosen]
    return Checkpoint(model_id, chosen, _network(model_id, arch), _mirrored(url), _counted(row, chosen, url))


def _scored_epoch(of_list: pd.DataFrame, epochs: Iterable[int]) -> int:
    latest = of_list.loc[of_list["is_latest"], "epoch"].to_list()
    # Marked as of epoch 100, but scored at 300: see the note.
    is_later = len(of_list) > 0 and _EPOCH_300.rows(of_list).any()
    return int(latest[0]) if latest and not is_later else max(epochs)


def published_row(row: pd.Series) -> dict[str, Any]:
    """Return the model-level columns of a row of the published scores as plain values, None for missing."""
    columns = [name for name, column in COLUMNS.items() if column.level == "model" and name in row.index]
    return {name: None if pd.isna(row[name]) else row[name] for name in columns}


def _counted(row: Mapping[str, Any], epoch: int, url: str) -> dict[str, Any]:
    """Return the row with what depends on the epoch counted up to it."""
    if not row or row["is_random"] or epoch == row["n_epochs"]:
        return {**row, "checkpoint_url": url}
    samples_seen = row["n_samples"] * epoch
    train_flop = row["forward_flop"] and 3 * row["forward_flop"] * samples_seen
    changed = {"n_epochs": epoch, "samples_seen": samples_seen, "train_flop": train_flop, "accuracy": None}
    return {**row, **changed, "checkpoint_url": url}


def _network(model_id: str, arch: str | None) -> str:
    """Return the name of the network behind a published model; ablations are ResNets under names of their own."""
    found = _ID.match(model_id)
    name = arch or (found["arch"] if found else model_id)
    name = re.sub(r"^(resnet\d+)-.*", r"\1", name)
    return f"torchvision:{name}" if name == "vit_b_16" else name


def _mirrored(url: str) -> str:
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    return f"{mirror}/{COLLECTION}/checkpoints/{url.partition('/checkpoints/')[2]}" if mirror else url


def _ranges(epochs: list[int]) -> str:
    shown = [str(epoch) for epoch in epochs]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-3:]])


def fetch_weights(checkpoint: Checkpoint, *, progress: Progress | None = None) -> tuple[Kind, ...]:
    """Download and convert a checkpoint unless it is in the cache already.

    Returns
    -------
    tuple of str
        The kinds of weights it holds, now in the cache at ``checkpoint.weights_path(kind)``.

    Raises
    ------
    MissingDataError, DataError
        See ``download`` and ``convert``. An incomplete download is kept and continued next time.
    """
    if checkpoint.cached:
        return checkpoint.cached
    path = checkpoint.download_path
    with alone(path):
        # Another process may have done it while this one waited.
        if not checkpoint.cached:
            if not path.is_file():
                download(checkpoint.url, path, progress=progress)
            try:
                convert(checkpoint, path)
            except DigestError:
                # A damaged download would be found again by the next try; a refused one is kept to look at.
                remove_inside(downloads_folder(), path)
                raise
            remove_inside(downloads_folder(), path)
    return checkpoint.cached


def convert(checkpoint: Checkpoint, path: Path) -> None:
    """Turn a downloaded checkpoint into safetensors and records in the cache, one pair per kind of weights.

    Raises
    ------
    DigestError
        It is damaged.
    DataError
        It wants to run code, or is not a training state of Composer.
    ShapeError
        Its weights are of another network than its name says.
    """
    check_content(path)
    payload = read_checkpoint(path)
    trained = payload.get("state") if isinstance(payload, dict) else None
    if not isinstance(trained, dict) or not isinstance(trained.get("model"), dict):
        keys = ", ".join(map(str, payload)) if isinstance(payload, dict) else type(payload).__name__
        raise DataError(
            f"'{path}' is not a checkpoint of the study: expected a training state of Composer with the weights under "
            f"'state', 'model'; got {keys or 'nothing'}. Likely cause: another file under this name."
        )
    source = {"url": checkpoint.url, "sha256": hash_of(path)}
    # The plain weights come last, as ``cached`` expects.
    for kind in ("ema", "plain"):
        state = trained.get(_STATES[kind])
        if state is None:
            continue
        module = _loaded(checkpoint, state)
        record = model_record(module, row=checkpoint.row, epoch=checkpoint.epoch, weights=kind, source=source)
        record["row"]["model_id"] = checkpoint.model_id
        save_weights(checkpoint.weights_path(kind), module, record)


def _loaded(checkpoint: Checkpoint, state: State) -> nn.Module:
    bare = bare_state(state)
    known = architecture(checkpoint.model)
    head = f"{known.head_layer}.weight"
    n_classes = bare[head].shape[0] if head in bare else 0
    if isinstance(known.config, LibraryConfig):
        # The few of these are ImageNet classifiers.
        n_classes = 1000
    module = build_to_load(checkpoint.model, n_classes=n_classes)
    named = {named_child(module, key): tensor for key, tensor in bare.items()}
    load_state(module, named, where=f"checkpoint {checkpoint.model_id}, epoch {checkpoint.epoch},")
    return module


def _is_pair(path: Path) -> bool:
    return path.is_file() and path.with_suffix(".json").is_file()


def bare_state(state: State) -> dict[str, Tensor]:
    """Return the weights of the network that is scored, without wrappers and the parts that only training needs."""
    plain = {_without_plain_wrappers(key): tensor for key, tensor in state.items()}
    backbone = next((prefix for prefix in _BACKBONES if any(key.startswith(prefix) for key in plain)), "")
    return {unwrapped(key): tensor for key, tensor in plain.items() if key.startswith(backbone)}


def _without_plain_wrappers(key: str) -> str:
    while key.startswith(("_orig_mod.", "module.")):
        key = key.partition(".")[2]
    return key
