"""Scores of features that were computed elsewhere, without a model: arrays, files of other tools, datasets.

A source of features is a mapping from layer to an array with one row per image, and one label per row. Files of
thingsvision, rsatoolbox and of the 2026 multimodal study are read as they are.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

import numpy as np

from vvscale.brain.activations.memory import peak_memory
from vvscale.brain.benchmarks.benchmark import Benchmark, score_together
from vvscale.brain.metrics.checks import arrays_digest
from vvscale.brain.scoring.plan import refuse_unscorable
from vvscale.brain.scoring.results import LayerFailure, LayerScore, ModelScores, Usage
from vvscale.core.hdf5 import datasets_in, open_hdf5
from vvscale.core.inputs.arrays import plain_arrays
from vvscale.core.inputs.plain import plain_file
from vvscale.core.options import SEED
from vvscale.data.prepare.sources.lists import read_labels
from vvscale.errors import ConfigError, DataError, MissingDataError, ShapeError, UsageError, VvscaleError

# Shape legend: N images, p features.

ID_NAMES = ("stimulus_id", "stimulus_ids", "ids", "image_id", "file_names", "filenames")
"""What the labels of the rows may be called inside a file; the first that is there is used."""

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Features:
    """Features of one or more layers for a list of images.

    Attributes
    ----------
    name
        Of the model or file they are from.
    layers
        Layer -> (N, p) numbers; an array of more dimensions is flattened per image.
    stimulus_id
        (N,) which image each row is of.
    """

    name: str
    layers: Mapping[str, np.ndarray] = field(repr=False)
    stimulus_id: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise MissingDataError(f"The features '{self.name}' have no layer; expected at least one array.")
        ids = np.asarray(self.stimulus_id)
        if len(set(ids.tolist())) < len(ids):
            twice = next(one for one in ids.tolist() if ids.tolist().count(one) > 1)
            raise DataError(f"The features '{self.name}' have two rows of the image '{twice}'; expected one per image.")
        flat = {}
        for layer, table in self.layers.items():
            if table.ndim < 2 or len(table) != len(ids):
                raise ShapeError(
                    f"Layer '{layer}' of the features '{self.name}' has shape {table.shape}; expected {len(ids)} rows, "
                    "one for each stimulus_id, of at least one feature."
                )
            if table.dtype.kind not in "fiub":
                raise DataError(
                    f"Layer '{layer}' of the features '{self.name}' is of type {table.dtype}; expected real numbers. "
                    "Of complex ones take the real and the imaginary part, or the size, as features."
                )
            flat[layer] = table.reshape(len(table), -1)
        object.__setattr__(self, "layers", flat)
        object.__setattr__(self, "stimulus_id", ids)

    @classmethod
    def of(cls, source: Any, *, stimulus_id: Sequence[Any] | None = None, name: str = "features") -> Features:
        """Take an array, a mapping of arrays, or what other libraries hold features in.

        Parameters
        ----------
        source
            (N, p) array; layer -> array; or an object with ``measurements`` and ``obs_descriptors``, such as a
            ``Dataset`` of rsatoolbox.
        stimulus_id
            (N,) labels of the rows; taken from ``obs_descriptors`` where there are some.
        name
            Of the model, and of the layer where the source names none.

        Examples
        --------
        >>> Features.of(np.ones((2, 3)), stimulus_id=["a", "b"]).layers["features"].shape
        (2, 3)
        """
        if hasattr(source, "measurements"):
            descriptors = source.obs_descriptors
            stimulus_id = _first(descriptors, f"The dataset '{name}'") if stimulus_id is None else stimulus_id
            source = source.measurements
        layers = source if isinstance(source, Mapping) else {name: source}
        if stimulus_id is None:
            raise UsageError("Features need `stimulus_id`, one label per row in the order of the rows.")
        return cls(name, {key: np.asarray(table) for key, table in layers.items()}, np.asarray(stimulus_id))

    def rows_for(self, stimulus_id: np.ndarray) -> np.ndarray:
        """Return (N,) the labels of the rows in the words of a stimulus set.

        Where no label is a stimulus_id but the file names are paths of the images, their names without folder and
        ending are compared.
        """
        known = set(np.asarray(stimulus_id).tolist())
        if known.isdisjoint(self.stimulus_id.tolist()):
            stems = [_stem(one) for one in self.stimulus_id.tolist()]
            if not known.isdisjoint(stems):
                return np.asarray(stems)
        return self.stimulus_id

    def digest(self) -> str:
        """Return the SHA-256 of the features and their labels."""
        tables = {f"layer {layer}": np.asarray(table) for layer, table in self.layers.items()}
        return arrays_digest(self.name, stimulus_id=self.stimulus_id, **tables)


def read_features(path: str | Path, stimulus_ids: str | Path | None = None, *, name: str = "") -> Features:
    """Read features from a file.

    Parameters
    ----------
    path
        ``.npy``: one layer, named as the file. ``.npz``: one layer per array. ``.h5``: one layer per dataset below
        ``features/``, or ``measurements`` as rsatoolbox writes it, or every dataset at the top.
    stimulus_ids
        Text file with one label per line, or ``.npy``, in the order of the rows; needed where the file has none.
        thingsvision writes ``file_names.txt`` beside its features.
    name
        Of the model; that of the file by default.

    Raises
    ------
    MissingDataError
        There is no such file, no layer in it, or no labels.
    DataError
        A file cannot be read.
    ConfigError
        The ending of the file is not known.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"Features in '{path}': expected a name that ends in {', '.join(SUFFIXES)}.")
    plain_file(path)
    try:
        with plain_arrays(path):
            layers, ids = (_read_numpy if path.suffix in (".npy", ".npz") else _read_hdf5)(path)
        if stimulus_ids is not None:
            with plain_arrays(stimulus_ids):
                ids = _read_ids(plain_file(stimulus_ids))
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no file '{error.filename or path}'; check the path.") from error
    except VvscaleError:
        raise
    except Exception as error:  # a damaged file breaks the libraries' readers in ways of their own
        raise DataError(f"Cannot read features from '{path}': {type(error).__name__}: {error}.") from error
    if ids is None:
        raise MissingDataError(
            f"'{path}' does not say which image each row is of. Give `stimulus_ids`, a text file with one label per "
            f"line in the order of the rows, or put an array {' or '.join(ID_NAMES[:3])} into the file."
        )
    return Features(name or path.stem, layers, ids)


def _read_numpy(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    held = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
    if isinstance(held, np.ndarray):
        return {path.stem: held}, None
    with held:
        tables = {key: held[key] for key in held.files}
    found = next((key for key in ID_NAMES if key in tables), None)
    ids = None if found is None else tables.pop(found)
    return tables, ids


def _read_hdf5(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    with open_hdf5(path) as file:
        datasets = datasets_in(file)
        labels = {PurePath(key).name: one for key, one in datasets.items() if one.ndim == 1}
        found = next((labels[key] for key in ID_NAMES if key in labels), None)
        ids = None if found is None else np.array([_text(one) for one in found[()].tolist()])
        below = {key.removeprefix("features/"): key for key in datasets if key.startswith("features/")}
        if not below:
            below = {key: key for key, one in datasets.items() if "/" not in key and one.ndim >= 2}
        # rsatoolbox has one table per file, and its name says nothing.
        named = {path.stem if layer == "measurements" else layer: key for layer, key in below.items()}
        return {layer: datasets[key][()] for layer, key in named.items()}, ids


def _read_ids(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    return np.array(read_labels(path))


def _first(table: Mapping[str, Any], what: str) -> Any:
    found = next((name for name in ID_NAMES if name in table), None)
    if found is None:
        raise MissingDataError(
            f"{what} says nothing of the images; it has {', '.join(map(str, table)) or 'no descriptors'}. Give "
            "`stimulus_id`, or a descriptor of that name."
        )
    return table[found]


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _stem(label: Any) -> str:
    # thingsvision writes paths of the machine it ran on, which may be Windows.
    return PureWindowsPath(str(label)).stem


def score_features(
    features: Features,
    *,
    benchmarks: Sequence[Benchmark],
    resamples: int = 1000,
    seed: int = SEED,
    device: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> ModelScores:
    """Score every layer of some features on every benchmark.

    Parameters
    ----------
    features
        Of at least the images that the benchmarks need; other images are left out.
    benchmarks
        As :func:`vvscale.brain.resolve_benchmarks` gives, or own ones.
    resamples, seed, device
        Bootstrap draws for the intervals and state of their generator; where to compute, None for NumPy.
    progress
        Called with the name of each layer that is done.

    Returns
    -------
    ModelScores
        A score per layer and benchmark; layers that have none are among its failures.

    Raises
    ------
    MissingDataError
        An image of a benchmark has no row.
    DataError
        No layer has a score on any benchmark.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> benchmark = simulate(images_per_object=10, n_neuroids=10).benchmark("V1")
    >>> pixels = benchmark.stimuli.pixels.reshape(len(benchmark.stimuli), -1).astype(float)
    >>> pixels = Features.of(pixels, stimulus_id=benchmark.stimuli.stimulus_id, name="pixels")
    >>> score_features(pixels, benchmarks=[benchmark], resamples=10).table()["layer"].tolist()
    ['pixels']
    """
    start = time.perf_counter()
    refuse_unscorable(benchmarks)
    scores, failures = [], []
    groups: dict[Any, list[Benchmark]] = defaultdict(list)
    for benchmark in benchmarks:
        groups[benchmark.group].append(benchmark)
    for group in groups.values():
        rows = features.rows_for(group[0].stimuli.stimulus_id)
        for layer, table in features.layers.items():
            results = score_together(group, table, stimulus_id=rows, device=device, resamples=resamples, seed=seed)
            for benchmark, result in zip(group, results, strict=True):
                name = benchmark.benchmark_id
                if isinstance(result, MissingDataError):
                    raise result  # of the images, which are the same for all layers
                if isinstance(result, DataError):
                    failures.append(LayerFailure.of(layer, name, result))
                else:
                    scores.append(LayerScore.of(layer, table.shape[1], result))
                if progress is not None:
                    progress(layer)
    if not scores:
        raise DataError(f"None of the {len(failures)} layers and benchmarks gave a score. {failures[0].reason}")
    seconds = {"total": time.perf_counter() - start}
    digest = features.digest()
    return ModelScores(
        scores=tuple(scores),
        failures=tuple(failures),
        provenance={
            "run_id": arrays_digest("features", digest=[digest], seed=[seed], resamples=[resamples])[:16],
            "weights_digest": digest,
            "preprocessing": "features",
            "preprocessing_digest": digest,
            "projection": "none",
            "device": device or "cpu",
            "batch_size": None,
        },
        data_digests={name: one.data_digest() for name, one in {one.row_id: one for one in benchmarks}.items()},
        usage=Usage(0, 0, 0, seconds, peak_memory(), 0),
    )
