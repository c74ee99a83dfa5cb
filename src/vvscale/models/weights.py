"""Weights on disk: one safetensors file, and beside it a JSON record that says what they are.

The record holds everything that is needed to build the network again and to write its rows of the score
table; it also holds the sha256 of the weights and of its own content, which are checked whenever they are read.
Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vvscale.core.files import write_json, write_whole
from vvscale.core.hashing import hash_of
from vvscale.core.jsonable import SEAL, jsonable, parse_json, seal_holds, sealed
from vvscale.errors import ConfigError, DataError, DigestError, MissingDataError, ShapeError
from vvscale.models.architectures.build import build_skeleton
from vvscale.models.architectures.configs import LibraryConfig
from vvscale.models.architectures.families import ModelOptions
from vvscale.models.architectures.library import IMAGENET_MEAN, IMAGENET_STD, library_family, library_preprocessing
from vvscale.models.architectures.names import PUBLISHED, architecture
from vvscale.models.cost import model_cost

FORMAT = "vvscale-weights-2"
_UNSEALED_FORMAT = "vvscale-weights-1"
"""Records of earlier versions: the same keys without a digest of their own."""
WEIGHTS_NAME = "weights.safetensors"

State = Mapping[str, Tensor]
Record = dict[str, Any]


def model_record(
    module: nn.Module,
    *,
    row: Mapping[str, Any] | None = None,
    epoch: int = 0,
    weights: Literal["plain", "ema"] = "plain",
    preprocessing: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
) -> Record:
    """Describe a network and its weights.

    Parameters
    ----------
    module
        As ``build_model`` or ``load_model`` returned it.
    row
        Model-level columns of the score table; unless missing, they win over what is measured here (arch,
        family, parent_family, n_params, forward_mac, forward_flop). NaN is stored as null.
    epoch
        Epoch of the weights.
    weights
        As trained, or their exponential moving average.
    preprocessing
        image_size and resize in pixels, mean and std for images of 0 to 1; None = the architecture's own.
    source
        Where the weights come from: url, sha256.

    Returns
    -------
    dict
        Plain values: model, model_options, row, epoch, preprocessing, weights, source.

    Raises
    ------
    ConfigError
        The network was not made by ``build_model``, so that nothing could build it again.
    """
    name, options = _built_as(module)
    known = architecture(name)
    size = model_cost(module)
    is_library = isinstance(known.config, LibraryConfig)
    measured = {
        "model_id": name,
        "arch": name,
        "family": library_family(module) if is_library else known.family,
        "parent_family": library_family(module) if is_library else known.parent_family,
        **size.columns(),
    }
    given = {column: jsonable(value) for column, value in (row or {}).items()}
    return {
        "model": name,
        "model_options": options.to_dict(),
        "row": given | {column: value for column, value in measured.items() if given.get(column) is None},
        "epoch": epoch,
        "preprocessing": dict(preprocessing or default_preprocessing(module)),
        "weights": weights,
        "source": dict(source or {}),
    }


def default_preprocessing(module: nn.Module) -> dict[str, Any]:
    """Return how images are prepared for a network of ``build_model`` unless told otherwise.

    Returns
    -------
    dict
        image_size and resize in pixels, mean and std for images of 0 to 1.
    """
    name, options = _built_as(module)
    known = architecture(name)
    colours: Mapping[str, Any] = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    if isinstance(known.config, LibraryConfig):
        colours = library_preprocessing(known.config)
    return {
        "image_size": options.image_size,
        # Another image size keeps the share of the image that the crop leaves.
        "resize": round(options.image_size * known.resize / known.image_size),
        "mean": list(colours["mean"]),
        "std": list(colours["std"]),
    }


def _built_as(module: nn.Module) -> tuple[str, ModelOptions]:
    built_as: tuple[str, ModelOptions] | None = getattr(module, "built_as", None)
    if built_as is None:
        raise ConfigError(
            f"This {type(module).__name__} was not made by build_model, so no record could build it again. Next: build "
            "it by name, and load its state with load_state; 'vvscale ls architectures' lists the names."
        )
    return built_as


def save_weights(path: Path | str, module_or_state: nn.Module | State, record: Mapping[str, Any]) -> Record:
    """Write weights and their record, both whole or neither.

    Parameters
    ----------
    path
        Ends in ``.safetensors``; the record gets the same name with ``.json``.
    module_or_state
        A network or its state_dict, on any device.
    record
        As of ``model_record``; ``format``, ``sha256`` and ``content_sha256`` are added.

    Returns
    -------
    dict
        The record as written.

    Raises
    ------
    UsageError
        The name has another ending, or the folder cannot be written to.
    DataError
        The disk is full.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ConfigError(f"Weights are written as safetensors, got '{path.name}'. Expected a name.safetensors.")
    state = module_or_state.state_dict() if isinstance(module_or_state, nn.Module) else module_or_state
    tensors = _separate({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()})
    with write_whole(path) as part:
        _save(tensors, part)
        written = sealed({**record, "format": FORMAT, "sha256": hash_of(part)})
        write_json(path.with_suffix(".json"), written)
    return written


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory with an earlier one, which safetensors does not write."""
    seen: set[int] = set()
    for key, tensor in tensors.items():
        where = tensor.untyped_storage().data_ptr()
        if where in seen:
            tensors[key] = tensor.clone()
        seen.add(where)
    return tensors


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        # The library turns what the operating system says into text.
        raise OSError(_errno_in(str(error)), str(error)) from error


def _errno_in(text: str) -> int | None:
    _, found, code = text.partition("os error ")
    return int(code.partition(")")[0]) if found else None


def load_weights(path: Path | str) -> tuple[dict[str, Tensor], Record]:
    """Read weights and their record, and check that they belong together.

    Parameters
    ----------
    path
        The ``.safetensors`` file, or a folder that holds ``weights.safetensors``.

    Returns
    -------
    state : dict of torch.Tensor
        On the CPU.
    record : dict
        As of ``model_record``, with ``format`` and ``sha256``.

    Raises
    ------
    MissingDataError
        One of the two files is not there.
    DigestError
        The weights are not those that the record was written for.
    DataError
        A file is damaged or of another format.
    """
    path = Path(path)
    if path.is_dir():
        path = path / WEIGHTS_NAME
    record = _read_record(path)
    got = hash_of(path)
    if got != record["sha256"]:
        raise DigestError(
            f"'{path}' does not hold the weights that '{path.with_suffix('.json').name}' describes: got sha256 {got} "
            f"({path.stat().st_size} bytes), expected {record['sha256']}. Likely cause: an interrupted copy, or files "
            "of two runs side by side. Next: copy both files again, or train or fetch them again."
        )
    try:
        return load_file(path), record
    except SafetensorError as error:
        raise DataError(
            f"'{path}' cannot be read as safetensors: {error}. Expected weights as written by save_weights."
        ) from error


def _read_record(path: Path) -> Record:
    record_path = path.with_suffix(".json")
    for file in (path, record_path):
        if not file.is_file():
            raise MissingDataError(
                f"There is no file '{file}'. Expected weights (.safetensors) and their record (.json) side by side, as "
                "save_weights and vvscale train write them. Likely cause: another path, or a run that has not finished."
            )
    try:
        record = parse_json(record_path.read_text())
    except ValueError as error:
        raise DataError(f"'{record_path}' is not JSON: {error}. Expected the record of '{path.name}'.") from error
    found = record.get("format") if isinstance(record, dict) else type(record).__name__
    if found not in {FORMAT, _UNSEALED_FORMAT}:
        raise DataError(
            f"'{record_path}' is not a record of weights: format {found!r}, expected '{FORMAT}'. Likely cause: a file "
            "of another program, or of another version of vvscale."
        )
    absent = {"model", "model_options", "row", "preprocessing", "weights", "sha256"} - record.keys()
    if absent:
        raise DataError(f"The record '{record_path}' lacks {', '.join(sorted(absent))}. Likely cause: it was edited.")
    if found == FORMAT and not seal_holds(record):
        raise DigestError(
            f"The record '{record_path}' is not what was written: its content does not have the digest under '{SEAL}'. "
            "Likely cause: it was edited, or the disk or a copy damaged it. Next: copy both files again, or train or "
            "fetch them again."
        )
    return record


def load_state(module: nn.Module, state: State, *, where: str = "the checkpoint") -> None:
    """Load a state into a network; all keys and shapes must fit. A network without memory takes the tensors over.

    Raises
    ------
    ShapeError
        They do not; the message names the keys and, where it can, the architecture that they belong to.
    """
    expected = module.state_dict()
    absent = [key for key in expected if key not in state]
    surplus = [key for key in state if key not in expected]
    misshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    if not (absent or surplus or misshaped):
        # A skeleton has no memory to copy to.
        is_skeleton = any(tensor.is_meta for tensor in expected.values())
        module.load_state_dict(dict(state), assign=is_skeleton)
        return
    built_as = getattr(module, "built_as", None)
    found = "; ".join(
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in (("missing", absent), ("unexpected", surplus), ("of another shape", misshaped))
        if keys
    )
    raise ShapeError(
        f"Cannot load {where} into {built_as[0] if built_as else type(module).__name__}: of {len(expected)} tensors, "
        f"{found}. {_likely_cause(module, state)}"
    )


def _likely_cause(module: nn.Module, state: State) -> str:
    built_as = getattr(module, "built_as", None)
    likely = likely_architectures(state)
    if built_as and built_as[0] in likely:
        return "Likely cause: the same architecture with another number of classes, image size or stem."
    if likely:
        return f"Likely cause: it is a checkpoint of another architecture, {' or '.join(likely)}."
    return "Likely cause: it is a checkpoint of another architecture; none of the published ones has these shapes."


def likely_architectures(state: State) -> list[str]:
    """Return the published architectures whose tensors are these, up to the number of classes."""
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    # The name of the classifier tells the family and saves building the others; without one all are candidates.
    named = [one for one in PUBLISHED.values() if f"{one.head_layer}.weight" in shapes]
    return [
        one.name
        for one in named or PUBLISHED.values()
        if _body(_shapes(one.name), one.head_layer) == _body(shapes, one.head_layer)
    ]


def _body(shapes: Mapping[str, tuple[int, ...]], head: str) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in shapes.items() if not key.startswith(f"{head}.")}


@lru_cache(maxsize=128)
def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in build_skeleton(name).state_dict().items()}
