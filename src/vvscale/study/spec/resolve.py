"""From the names in a study's file to what they mean here: recipes in full, digests of images and benchmarks, costs.

Everything that changes a result enters the resolved study; where things lie on this machine does not. What is absent
is noted, so that a study can be planned where it cannot be run.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vvscale.errors import ConfigError, MissingDataError, unknown_name
from vvscale.study.graph.graph import canonical, sha256
from vvscale.study.spec.axes import Run, matches
from vvscale.study.spec.schema import StudySpec
from vvscale.train.neural.options import UNTUNED


@dataclass(frozen=True)
class DatasetInfo:
    """A data set as it lies here: digest of its images and labels, None where they are absent; training images.

    ``side``: of images that all have one size, in pixels, else None; ``place``: path or embedded name.
    """

    digest: str | None
    n_classes: int
    n_images: int
    side: int | None = None
    place: str = ""


@dataclass(frozen=True)
class Resolved:
    """A study whose names all mean something.

    Attributes
    ----------
    points, runs
        All points of the axes, and the training runs that they need.
    recipes
        Name and changes -> all settings.
    datasets
        By name.
    benchmarks, select_on
        Id and digest of those to score, and of those that layers are selected on.
    tuned_to
        Way to fine-tune -> id and digest of the benchmarks that it tunes to.
    absent
        What a run would lack here, in words.
    """

    spec: StudySpec
    points: list[Run]
    runs: list[Run]
    recipes: dict[tuple[str, tuple[tuple[str, Any], ...]], dict[str, Any]]
    datasets: dict[str, DatasetInfo]
    benchmarks: list[dict[str, str]]
    select_on: list[dict[str, str]]
    tuned_to: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def cost(self, run: Run, arch: str | None = None) -> dict[str, float]:
        """Return n_params and forward_flop of a run's network, or of another architecture in its place."""
        return network_cost(*setting(arch or run.arch, run, self.datasets[run.dataset]))

    def to_dict(self) -> dict[str, Any]:
        """Return everything that changes a result, and a digest of it."""
        spec = self.spec.to_dict()
        # Where and how fast it runs does not change what comes out.
        del spec["engine"]
        content = {
            "spec": spec,
            "recipes": {canonical([name, changes]): recipe for (name, changes), recipe in self.recipes.items()},
            "dataset_digests": {name: info.digest for name, info in self.datasets.items()},
            "benchmarks": self.benchmarks,
            "select_on": self.select_on,
        }
        if self.tuned_to:
            content["tuned_to"] = self.tuned_to
        digest = sha256(canonical(content))
        return {
            "name": self.spec.name,
            "digest": digest,
            "datasets": {name: info.place for name, info in self.datasets.items()},
            "engine": dataclasses.asdict(self.spec.engine),
            "n_runs": len(self.runs),
            **content,
        }


def resolve(spec: StudySpec) -> Resolved:
    """Look up everything that a study names.

    Raises
    ------
    UnknownNameError
        A recipe or benchmark that nobody knows.
    ConfigError
        A data set is absent and its size is not given either, so that not even a plan can be made.
    """
    points, absent = spec.runs(), []
    runs = list(dict.fromkeys(point.training for point in points))
    datasets = {name: _dataset(spec, name, absent) for name in dict.fromkeys(run.dataset for run in runs)}
    recipes = {key: _recipe(spec, *key) for key in dict.fromkeys((run.recipe, run.changes) for run in runs)}
    wanted = bool(runs or spec.score.models)
    tuned_to = {}
    for name in dict.fromkeys(point.finetune for point in points):
        if name == UNTUNED:
            continue
        if name not in spec.finetune:
            raise unknown_name(
                "way to fine-tune", name, [UNTUNED, *spec.finetune], f"Describe it in [finetune.{name}]."
            )
        tuned_to[name] = _benchmarks(spec.finetune[name].on, absent)
    return Resolved(
        spec=spec,
        points=points,
        runs=runs,
        recipes=recipes,
        datasets=datasets,
        benchmarks=_benchmarks(spec.score.benchmarks, absent) if wanted else [],
        select_on=_benchmarks(spec.score.select_on or spec.score.benchmarks, absent) if wanted else [],
        tuned_to=tuned_to,
        absent=absent,
    )


def forecast_run(spec: StudySpec, runs: list[Run]) -> Run:
    """Return the run that those of the forecast are like in all but network, images and seed."""
    assert spec.forecast is not None
    like = next((run for run in runs if matches(run, spec.forecast.like)), None)
    if like is None:
        raise ConfigError(f"No run of the study is like {dict(spec.forecast.like)}. Correct 'like' of [forecast].")
    return like


def n_images_of(run: Run, dataset: DatasetInfo) -> int:
    """Return how many images a run is trained on."""
    wanted = run.samples_per_class * dataset.n_classes
    return min(wanted, dataset.n_images) if wanted else dataset.n_images


def setting(arch: str, run: Run, dataset: DatasetInfo) -> tuple[str, int | None, int | None]:
    """Return architecture, image size and classes of the head of a network in runs like this one; None as published.

    As in the published tables, all heads count as 1000 classes; networks for small images can be smaller than such a
    head and count with their own.
    """
    return arch, run.image_size or dataset.side, dataset.n_classes if dataset.side is not None else None


def recipe_settings(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a recipe, by name or file, as plain values."""
    from vvscale.train import load_recipe

    return load_recipe(name, changes).to_dict()


def read_dataset(place: str) -> DatasetInfo:
    """Return what lies in a folder of images, or under an embedded name; MissingDataError if nothing does."""
    from vvscale.data import load_dataset

    store = load_dataset(place).train
    sides = {int(side) for side in set(store.sizes.ravel().tolist())} if store.n_images < 100_000 else set()
    side = sides.pop() if len(sides) == 1 else None
    return DatasetInfo(store.digest, store.n_classes, store.n_images, side if side and side <= 64 else None)


def benchmark_digests(names: tuple[str, ...]) -> list[dict[str, str]]:
    """Return name and digest of benchmarks; for one's own file the name that loads it is not the id within."""
    from vvscale.brain.catalogue import benchmark_ids, load_benchmark

    return [{"id": name, "digest": load_benchmark(name).data_digest()} for name in benchmark_ids(names)]


@cache
def network_cost(arch: str, image_size: int | None, n_classes: int | None) -> dict[str, float]:
    """Return n_params and forward_flop of a network; see :func:`setting`."""
    from vvscale.models import model_cost

    own = {} if n_classes is None else {"n_classes": n_classes, "head_classes": None}
    of = model_cost(arch, image_size=image_size, **own)
    return {"n_params": float(of.n_params), "forward_flop": float(of.forward_flop)}


def _place(spec: StudySpec, name: str) -> str:
    """Return the path or embedded name of a data set."""
    declared = spec.datasets.get(name)
    if declared is not None and declared.path is not None:
        path = Path(os.path.expandvars(declared.path)).expanduser()
        beside = Path(spec.source).parent / path
        return str(beside if not path.is_absolute() and beside.exists() else path)
    root = os.environ.get("VVSCALE_DATA")
    return str(Path(root) / name) if root and (Path(root) / name).is_dir() else name


def _dataset(spec: StudySpec, name: str, absent: list[str]) -> DatasetInfo:
    place = _place(spec, name)
    try:
        return dataclasses.replace(read_dataset(place), place=place)
    except MissingDataError as error:
        declared = spec.datasets.get(name)
        if declared is None or declared.n_classes is None or declared.n_images is None:
            raise ConfigError(
                f"The data set '{name}' is not here and its size is unknown: {error} To plan without it, give "
                f"n_classes and n_images in [datasets.{name}]."
            ) from error
        absent.append(f"the data set '{name}': {error}")
        return DatasetInfo(None, declared.n_classes, declared.n_images, place=place)


def _benchmarks(names: tuple[str, ...], absent: list[str]) -> list[dict[str, str]]:
    try:
        return benchmark_digests(names)
    except MissingDataError as error:
        words = f"the benchmarks {', '.join(names)}: {error}"
        if words not in absent:
            absent.append(words)
        return [{"id": name, "digest": ""} for name in names]


def _recipe(spec: StudySpec, name: str, changes: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    declared = spec.recipes.get(name)
    if declared is None:
        return recipe_settings(name, dict(changes))
    base = declared.based_on
    if base.endswith(".toml"):
        base = str(Path(spec.source).parent / base)
    return {**recipe_settings(base, {**declared.changes, **dict(changes)}), "name": name}
