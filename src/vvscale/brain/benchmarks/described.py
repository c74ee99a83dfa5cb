"""A benchmark that a TOML file describes, beside its arrays and images.

    benchmark_id = "Lab2026.IT"       version = 1          region = "IT"
    stratify_by = "category"          formula = "r^2/c"    min_ceiling = 0.1

    [stimuli]                         # images in a folder, or the archive of a table
    images = "images"                 # folder; or "images.zip" with the table
    table = "stimuli.csv"             # columns stimulus_id (or image_id), filename, and labels; optional with a folder
    degrees = 8.0

    [assembly]                        # one table, or [[assembly]] once for each subject
    responses = "responses.npy"       # .npy, .csv, .npz or .h5 (:NAME of one of several); or .nc of the reference
    axes = ["neuroid", "image", "repetition"]
    images = "order.txt"              # stimulus_id of the rows, one a line; by default the order of the stimuli
    ceilings = "reliability.npy"      # for ceiling = "shipped"

    [metric]                          # or metric = "ridge-cv"
    name = "ridge-cv"
    alphas = [1.0, 10.0, 100.0]

``[design]`` and ``[ceiling]`` likewise. Paths are relative to the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.benchmarks.design import design_by_name
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.ceilings.rules import ceiling_by_name
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.metric import metric_by_name
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.recordings.netcdf import read_neural
from vvscale.brain.recordings.stimulus_files import (
    ID_COLUMNS,
    images_in,
    labelled_files,
    read_stimulus_set,
    unpacked_folder,
)
from vvscale.core.config import convert, read_toml
from vvscale.core.hdf5 import datasets_in, open_hdf5
from vvscale.core.inputs.arrays import plain_arrays
from vvscale.core.inputs.plain import reachable
from vvscale.data.prepare.sources.lists import read_labels
from vvscale.errors import ConfigError, DataError, MissingDataError, VvscaleError, did_you_mean
from vvscale.scores.read import load_table

# Shape legend: R repetitions, N images, q neuroids.

AXES = ("repetition", "image", "neuroid")
_NUMBERS = re.compile(r"([0-9]+)")

# Key -> type of its value; object is left to what reads it.
_TOP: Mapping[str, Any] = MappingProxyType(
    {"benchmark_id": str, "version": int, "region": str, "stratify_by": str, "formula": str, "min_ceiling": float,
     "epsilon": float, "above_one": str, "stimuli": object, "assembly": object, "metric": object, "design": object,
     "ceiling": object}
)  # fmt: skip
_STIMULI: Mapping[str, Any] = MappingProxyType({"images": str, "table": str, "degrees": float, "identifier": str})
_ASSEMBLY: Mapping[str, Any] = MappingProxyType(
    {"responses": str, "axes": tuple[str, ...], "images": str, "ceilings": str, "neuroids": str, "name": str,
     "time_bin": tuple[float, float], "ignore": tuple[str, ...], "percent": bool}
)  # fmt: skip


_OF_ARRAYS = ("axes", "images", "neuroids")
_OF_NETCDF = ("time_bin", "ignore")


@reachable()
def read_benchmark(path: str | Path) -> NeuralBenchmark:
    """Read a benchmark that a TOML file describes.

    Parameters
    ----------
    path
        The file, as the text of this module shows.

    Raises
    ------
    MissingDataError
        A file that is named is not there.
    ConfigError
        The file is no TOML, or has a key that means nothing.
    DataError, ShapeError
        Arrays and images do not belong together.
    """
    path = Path(path)
    held = read_toml(path)
    _refuse_other_keys(held, _TOP, path, "")
    for name in ("benchmark_id", "region", "stimuli", "assembly"):
        if name not in held:
            raise ConfigError(
                f"'{path}' has no '{name}'; expected {', '.join(list(_TOP)[:3])} and the tables below them."
            )
    stimuli = _stimuli(held["stimuli"], path, str(held["benchmark_id"]))
    subjects = held["assembly"] if isinstance(held["assembly"], list) else [held["assembly"]]
    if "table" not in held["stimuli"]:
        _refuse_unsaid_order(stimuli, subjects, path)
    assemblies = tuple(
        _assembly(one, path, stimuli, str(held["region"]), f"{held['benchmark_id']}.{number}")
        for number, one in enumerate(subjects)
    )
    makers = {"metric": metric_by_name, "design": design_by_name, "ceiling": ceiling_by_name}
    chosen = {name: _named(held[name], make, path, name) for name, make in makers.items() if name in held}
    given = {name: held[name] for name in ("stratify_by", "formula", "min_ceiling", "epsilon", "above_one")
             if name in held}  # fmt: skip
    return NeuralBenchmark(
        str(held["benchmark_id"]),
        int(held.get("version", 1)),
        stimuli,
        assemblies[0] if len(assemblies) == 1 else assemblies,
        **given,
        **chosen,
    )


def _refuse_other_keys(held: Mapping[str, Any], known: Mapping[str, Any], path: Path, table: str) -> None:
    """Refuse a table with a key that is not known or a value of another type."""
    if not isinstance(held, Mapping):
        raise ConfigError(f"'{table}' in '{path}' is no table; expected [{table}] with {', '.join(known)}.")
    for key, value in held.items():
        where = f" of [{table}]" if table else ""
        if key in known and known[key] is not object:
            convert(known[key], value, f"'{key}'{where} in '{path}'")
        elif key not in known:
            raise ConfigError(
                f"Unknown key '{key}'{where} in '{path}'.{did_you_mean(key, known)} Known: {', '.join(known)}."
            )


def _named(held: Any, make: Any, path: Path, what: str) -> Any:
    """Return a metric, design or ceiling from its name, or from a table with its name and settings."""
    if not isinstance(held, Mapping):
        return make(held)
    if "name" not in held:
        raise ConfigError(f"[{what}] in '{path}' has no 'name'.")
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in held.items() if key != "name"}
    return make(held["name"], **settings)


def _stimuli(held: Mapping[str, Any], path: Path, benchmark_id: str) -> StimulusSet:
    _refuse_other_keys(held, _STIMULI, path, "stimuli")
    if "images" not in held or "degrees" not in held:
        raise ConfigError(
            f"[stimuli] in '{path}' needs 'images', a folder or archive, and 'degrees', the visual angle of an image."
        )
    images, degrees = path.parent / held["images"], float(held["degrees"])
    identifier = str(held.get("identifier", benchmark_id))
    table = None if "table" not in held else path.parent / held["table"]
    if images.suffix == ".zip":
        if table is None:
            raise ConfigError(f"[stimuli] in '{path}' names an archive; name its 'table' too.")
        return read_stimulus_set(table, images, identifier=identifier, degrees=degrees, folder=unpacked_folder(images))
    if not images.is_dir():
        raise MissingDataError(f"There is no folder or archive of images '{images}', which '{path}' names.")
    if table is None:
        paths = images_in(images, "*")
        index = pd.Index([one.stem for one in paths], name="stimulus_id")
        return StimulusSet(identifier, pd.DataFrame(index=index), degrees, paths=tuple(paths))
    labels = labelled_files(load_table(table, text=(*ID_COLUMNS, "filename")), table)
    paths = [images / one for one in labels["filename"]]
    absent = [one for one in paths if not one.is_file()]
    if absent:
        raise MissingDataError(f"{len(absent)} of the images that '{table}' names are not there, first '{absent[0]}'.")
    return StimulusSet(identifier, labels.drop(columns="filename"), degrees, paths=tuple(paths))


def _refuse_unsaid_order(stimuli: StimulusSet, subjects: list[Any], path: Path) -> None:
    """Refuse rows of responses whose images go by the names of files that two programs would sort in two ways."""
    names = stimuli.stimulus_id.tolist()
    by_number = sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in _NUMBERS.split(name)])
    for held in subjects:
        says = isinstance(held, Mapping) and ("images" in held or str(held.get("responses", "")).endswith(".nc"))
        if by_number != names and not says:
            at = next(n for n, (one, other) in enumerate(zip(names, by_number, strict=True)) if one != other)
            raise ConfigError(
                f"Nothing in '{path}' says which image each row of responses is of, and names of files have two "
                f"orders: as text '{names[at]}' is number {at + 1}, by numbers '{by_number[at]}' is. Name the order in "
                "[assembly] images, a text file with one stimulus_id per line, or the images in a [stimuli] table."
            )


def _assembly(held: Mapping[str, Any], path: Path, stimuli: StimulusSet, region: str, usual: str) -> Assembly:
    _refuse_other_keys(held, _ASSEMBLY, path, "assembly")
    if "responses" not in held:
        raise ConfigError(f"[assembly] in '{path}' has no 'responses', the file of the recordings.")
    name, file = str(held.get("name", usual)), str(held["responses"])
    is_netcdf = file.endswith(".nc")
    for key in _OF_ARRAYS if is_netcdf else _OF_NETCDF:
        if key in held:
            kind = "an array" if is_netcdf else "a .nc file"
            raise ConfigError(f"[assembly] in '{path}' has '{key}', which describes {kind}; '{file}' is none.")
    made = (_from_netcdf if is_netcdf else _from_array)(held, path, stimuli, region, name)
    if "ceilings" not in held:
        if "percent" in held:
            raise ConfigError(f"[assembly] in '{path}' has 'percent', the unit of 'ceilings', and no 'ceilings'.")
        return made
    reliability = np.ravel(_read_array(path.parent, str(held["ceilings"])))
    return replace(made, reliability=reliability / 100 if held.get("percent", False) else reliability)


def _from_netcdf(held: Mapping[str, Any], path: Path, stimuli: StimulusSet, region: str, name: str) -> Assembly:
    window = held.get("time_bin")
    return read_neural(
        path.parent / held["responses"],
        assembly_id=name,
        region=region,
        time_bin=None if window is None else (window[0], window[1]),
        ignore=tuple(held.get("ignore", ())),
    )


def _from_array(held: Mapping[str, Any], path: Path, stimuli: StimulusSet, region: str, name: str) -> Assembly:
    file = str(held["responses"])
    images = stimuli.stimulus_id
    if "images" in held:
        images = np.array(read_labels(path.parent / held["images"]), dtype=object)
    cube = _cube(_read_array(path.parent, file), held.get("axes"), path)
    if cube.shape[1] != len(images):
        raise DataError(
            f"The responses '{file}' are of {cube.shape[1]} images, and there are {len(images)} labels for them; name "
            "the order of the images in [assembly] images, or the axes in [assembly] axes."
        )
    neuroids = [f"{name}-{number}" for number in range(cube.shape[2])]
    if "neuroids" in held:
        neuroids = read_labels(path.parent / held["neuroids"])
    return Assembly.from_cube(name, region, cube, list(images), neuroids)


def _cube(table: np.ndarray, axes: Any, path: Path) -> np.ndarray:
    """Return (R, N, q) responses from an array with named axes; without names, images x neuroids x repetitions."""
    usual = ("image", "neuroid", "repetition")[: table.ndim]
    names = tuple(axes) if axes is not None else usual
    if sorted(names) not in (sorted(AXES), sorted(AXES[1:])) or len(names) != table.ndim:
        raise ConfigError(
            f"[assembly] in '{path}' has axes {list(names)} for an array of {table.ndim} dimensions; expected each of "
            "image, neuroid and repetition once, or image and neuroid."
        )
    if "repetition" not in names:
        table, names = table[None], ("repetition", *names)
    return table.transpose([names.index(axis) for axis in AXES])


def _read_array(folder: Path, name: str) -> np.ndarray:
    """Read ``file.npy``, ``file.npz:NAME``, ``file.h5:NAME`` or ``file.csv``."""
    file, _, key = name.partition(":")
    path = folder / file
    if not path.is_file():
        raise MissingDataError(f"There is no file '{path}'; check the path.")
    try:
        if path.suffix == ".npy":
            with plain_arrays(path):
                return np.load(path, allow_pickle=False)
        if path.suffix == ".npz":
            with plain_arrays(path), np.load(path, allow_pickle=False) as arrays:
                return arrays[_chosen(file, key, arrays.files)]
        if path.suffix in (".h5", ".hdf5"):
            with open_hdf5(path) as held:
                return np.asarray(held[_chosen(file, key.strip("/"), list(datasets_in(held)))])
        if path.suffix == ".csv":
            return pd.read_csv(path, header=None).to_numpy(np.float64)
    except VvscaleError:
        raise
    except Exception as error:  # a library for each format, which may fail in any way on a damaged file
        raise DataError(f"Cannot read '{name}' in '{folder}': {str(error) or type(error).__name__}.") from error
    raise ConfigError(f"Cannot read '{name}': expected .npy, .npz:NAME, .h5:NAME, .csv or .nc.")


def _chosen(file: str, key: str, names: list[str]) -> str:
    """Return the name of an array in a file that may hold several; the only one needs no name."""
    if key and key not in names:
        raise MissingDataError(
            f"'{file}' has no array '{key}'; it has {', '.join(names) or 'none'}.{did_you_mean(key, names)}"
        )
    if not key and len(names) != 1:
        such = f"; name one, such as '{file}:{names[0]}'" if names else ""
        raise ConfigError(f"'{file}' holds {len(names)} arrays{such}.")
    return key or names[0]
