"""A network with weights, from any place that one can name, with a record that says what it is.

gokce2025:resnet18_imagenet_full          a published model, its last epoch
gokce2025:resnet18_imagenet_full@10       an earlier one
runs/a, runs/a/weights.safetensors        what vvscale train wrote
mine.pth, mine.safetensors                what another program wrote, of a known architecture
timm:NAME, torchvision:NAME               pretrained weights of a library
untrained:resnet18@3, resnet18            weights as drawn, seed 3 or 0
nets.py:NAME                              one of the user, as it stands or with weights as drawn, seed 0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from vvscale.core.download import Progress
from vvscale.core.hashing import hash_of
from vvscale.core.userfile import is_user_file
from vvscale.errors import ConfigError, DataError, MissingDataError, UsageError, shell_words
from vvscale.models.architectures.build import build_model, build_to_load
from vvscale.models.architectures.families import ModelOptions
from vvscale.models.architectures.names import LIBRARIES, architecture
from vvscale.models.architectures.own import says_its_size
from vvscale.models.foreign import SUFFIXES as FOREIGN_SUFFIXES
from vvscale.models.foreign import is_foreign, load_foreign
from vvscale.models.published.checkpoints import (
    COLLECTION,
    Kind,
    fetch_weights,
    find_checkpoint,
    published_row,
    read_ref,
)
from vvscale.models.weights import WEIGHTS_NAME, load_state, load_weights, model_record
from vvscale.scores import load_scores


@dataclass(frozen=True)
class LoadedModel:
    """A network in evaluation mode, and its record.

    Attributes
    ----------
    module
        On the CPU.
    record
        As of ``model_record``: model, model_options, row (of the score table), epoch, preprocessing,
        weights, source.
    note
        One line on what a user should know before using it, or empty: that it is untrained though its name does not
        say so, or which tensors of another program's file were read.
    is_doubtful
        Whether the note is a warning: weights as drawn, or not all tensors of the network and the file.
    """

    module: nn.Module
    record: Mapping[str, Any]
    note: str = ""
    is_doubtful: bool = False


def load_model(
    ref: str | Path, *, arch: str | None = None, ema: bool | None = None, progress: Progress | None = None
) -> LoadedModel:
    """Load a network with its weights.

    Parameters
    ----------
    ref
        ``gokce2025:MODEL_ID[@EPOCH]``, a file of weights (.safetensors, .pt, .pth) or the folder of a run,
        ``timm:NAME``, ``torchvision:NAME``, ``untrained:NAME[@SEED]``, ``file.py:NAME``, or the name of an
        architecture (untrained, seed 0).
    arch
        Architecture of a checkpoint that another program wrote, a name for ``build_model``; None = the published
        one whose tensors these are.
    ema
        Averaged or plain weights; None = for published models those that the study scored, else those there.
    progress
        Called with the bytes of a download as they come, and their number.

    Raises
    ------
    UnknownNameError
        Nothing is called so.
    MissingDataError
        The file, checkpoint or kind of weights is not there or cannot be had.
    DataError
        The file is damaged or not what it should be.

    Examples
    --------
    >>> load_model("untrained:resnetflex-w2-d1-1-1@3").record["row"]["model_id"]
    'resnetflex-w2-d1-1-1_untrained_seed-3'
    """
    text = str(ref)
    if is_user_file(text):
        _refuse_ema(text, ema)
        return _own(text)
    kind, colon, rest = text.partition(":")
    if kind == COLLECTION and colon:
        return _published(rest, ema, progress)
    if isinstance(ref, Path) or (not colon and _is_path(text)):
        return _from_foreign(Path(ref), arch, ema) if is_foreign(Path(ref)) else _from_file(Path(ref), ema)
    if arch is not None:
        raise ConfigError(f"'{text}' says what network it is; `arch` is for checkpoints that other programs wrote.")
    _refuse_ema(text, ema)
    if kind in LIBRARIES and colon:
        return _from_library(text)
    if kind == "untrained" and colon:
        return _untrained(*_read_untrained(text))
    untrained = _untrained(text, 0)
    note = (
        f"{text} is untrained: its weights are as drawn with seed 0. Trained ones: gokce2025:MODEL_ID, timm:NAME, "
        f"torchvision:NAME, a run's folder or a file; untrained:{text} says that it is meant."
    )
    return replace(untrained, note=note, is_doubtful=True)


def check_model(ref: str) -> None:
    """Refuse what names no network, without fetching weights or building it.

    Parameters
    ----------
    ref
        As of ``load_model``.

    Raises
    ------
    UnknownNameError, ConfigError
        Nothing is called so.
    MissingDataError
        The file, or the checkpoint of this epoch, is not there.

    Examples
    --------
    >>> check_model("untrained:resnet18@3")
    """
    kind, colon, rest = ref.partition(":")
    if kind == COLLECTION and colon and not is_user_file(ref):
        _check_published(rest)
    elif not is_user_file(ref) and not colon and _is_path(ref):
        if not (Path(ref).is_file() or (Path(ref) / WEIGHTS_NAME).is_file()):
            raise MissingDataError(
                f"There are no weights in '{ref}'. Expected a file, or the folder of a run with a {WEIGHTS_NAME}; "
                "check the path."
            )
    elif kind == "untrained" and colon and not is_user_file(ref):
        architecture(_read_untrained(ref)[0])
    else:
        architecture(ref)


def _check_published(text: str) -> None:
    model_id, epoch = read_ref(text)
    table = load_scores(COLLECTION)
    if (table["is_pretrained"] & (table["model_id"] == model_id)).any():
        architecture(_library_ref(model_id))
    else:
        find_checkpoint(model_id, epoch)


def _read_untrained(text: str) -> tuple[str, int]:
    """Take ``untrained:NAME[@SEED]`` apart."""
    rest = text.removeprefix("untrained:")
    name, at, seed = rest.rpartition("@")
    if at and not seed.isdigit():
        raise ConfigError(f"The seed in '{text}' is '{seed}'; expected a whole number, such as 'untrained:{name}@3'.")
    return (name, int(seed)) if at else (rest, 0)


def _is_path(text: str) -> bool:
    if text.lower().endswith(FOREIGN_SUFFIXES) or "/" in text or "\\" in text or (Path(text) / WEIGHTS_NAME).is_file():
        return True
    # Any other folder is meant only where no architecture is called so.
    return Path(text).is_dir() and not _is_architecture(text)


def _is_architecture(text: str) -> bool:
    try:
        architecture(text)
    except UsageError:
        return False
    return True


def _from_file(path: Path, ema: bool | None) -> LoadedModel:
    state, record = load_weights(path)
    if ema is not None and record["weights"] != _kind(ema):
        raise MissingDataError(
            f"'{path}' holds {record['weights']} weights, and {_kind(ema)} ones were asked for. Next: leave ema out, "
            "or name the file of the others."
        )
    module = build_to_load(record["model"], **_options(path, record).to_dict())
    load_state(module, state, where=f"'{path}'")
    return LoadedModel(module.eval(), record)


def _from_foreign(path: Path, arch: str | None, ema: bool | None) -> LoadedModel:
    fitted = load_foreign(path, arch=arch, ema=ema)
    row = {"model_id": path.name.partition(".")[0], "is_random": False}
    source = {"file": path.name, "sha256": hash_of(path)}
    record = _described(fitted.module, fitted.name, row, source, "ema" if fitted.weights == "ema" else "plain")
    return LoadedModel(fitted.module, record, fitted.note, is_doubtful=fitted.is_partial)


def _options(path: Path, record: Mapping[str, Any]) -> ModelOptions:
    try:
        return ModelOptions(**record["model_options"])
    except TypeError as error:
        raise DataError(
            f"The record of '{path}' has model_options that cannot be read: {record['model_options']}. Expected the "
            f"options of build_model. Likely cause: a record of another version of vvscale, or one that was edited."
        ) from error


def _published(text: str, ema: bool | None, progress: Progress | None) -> LoadedModel:
    model_id, epoch = read_ref(text)
    table = load_scores(COLLECTION)
    rows = table[(table["model_id"] == model_id) & table["is_pretrained"]]
    if len(rows):
        _refuse_ema(text, ema)
        return _from_library(_library_ref(model_id), row=published_row(rows.iloc[0]))
    checkpoint = find_checkpoint(model_id, epoch)
    kinds = fetch_weights(checkpoint, progress=progress)
    kind = checkpoint.scored_kind if ema is None else _kind(ema)
    if kind not in kinds:
        raise MissingDataError(
            f"The checkpoint of '{model_id}' at epoch {checkpoint.epoch} holds {' and '.join(kinds)} weights, no "
            f"{kind} ones. Next: ema={kind == 'plain'}."
        )
    return _from_file(checkpoint.weights_path(kind), None)


def _library_ref(model_id: str) -> str:
    """Return where the weights of a published model that others trained come from."""
    if model_id.endswith("_imagenet_pretrained"):
        return f"torchvision:{model_id.removesuffix('_imagenet_pretrained')}"
    if model_id.startswith("Model-"):
        raise MissingDataError(
            f"'{model_id}' was published by LAION for open_clip, which vvscale does not use. Its scores are in the "
            f"table: vvscale show {shell_words(model_id)}."
        )
    return f"timm:{model_id.removesuffix('_nc-5000').replace(':', '.')}"


def _from_library(ref: str, *, row: Mapping[str, Any] | None = None) -> LoadedModel:
    module = build_model(ref, pretrained=True)
    own = {"model_id": ref, "is_pretrained": True, "is_random": False}
    record = model_record(module, row=row or own, source={"library": ref})
    return LoadedModel(module.eval(), record)


def _own(ref: str) -> LoadedModel:
    module = build_model(ref, seed=0)
    record = _described(module, ref, {"model_id": architecture(ref).family}, {"file": ref}, "plain")
    return LoadedModel(module.eval(), record)


def _described(
    module: nn.Module, name: str, row: Mapping[str, Any], source: Mapping[str, Any], weights: Kind
) -> Mapping[str, Any]:
    """Return a record, without cost where it depends on the size of images that nobody has said."""
    if not says_its_size(architecture(name)):
        return {"row": row, "weights": weights, "source": source}
    return model_record(module, row=row, weights=weights, source=source)


def _untrained(name: str, seed: int) -> LoadedModel:
    known = architecture(name)
    module = build_model(name, seed=seed)
    row = {
        "model_id": f"{known.name}_untrained_seed-{seed}",
        "seed": seed,
        "n_epochs": 0,
        "samples_seen": 0,
        "is_random": True,
        "is_pretrained": False,
    }
    return LoadedModel(module.eval(), model_record(module, row=row, source={"seed": seed}))


def _kind(ema: bool) -> Kind:
    return "ema" if ema else "plain"


def _refuse_ema(ref: str, ema: bool | None) -> None:
    if ema is not None:
        raise ConfigError(f"'{ref}' has one kind of weights only; ema chooses between those of a trained model.")
