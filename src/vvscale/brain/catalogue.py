"""Every benchmark by name: the public five, sessions of V4, simulated ones, those of installed packages, own files.

A name stands for one benchmark, a region for the public one of that region, ``public``, ``simulated`` or
``simulated-digits`` for five, and ``cowley2023-test`` for the authors' test sessions.
Asking what there is loads no data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vvscale.brain.benchmarks.benchmark import Benchmark, Downloadable
from vvscale.brain.benchmarks.cowley2023 import COLLECTION, DEFAULT_SESSION, SESSIONS, TESTED, CowleySession
from vvscale.brain.benchmarks.described import read_benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.benchmarks.public import PUBLIC
from vvscale.brain.mapping.benchmark import fits
from vvscale.brain.metrics.metric import metric_by_name
from vvscale.brain.prepared.benchmark import prepared_benchmark, prepared_regions
from vvscale.brain.simulated.stream import IMAGES_PER_OBJECT, N_NEUROIDS, SimulatedStream, simulate
from vvscale.brain.simulated.worlds import WORLDS, World
from vvscale.core.registry import Registry
from vvscale.core.userfile import call_user_code, is_user_file, load_user_file, split_ref
from vvscale.errors import UsageError, unknown_name

BENCHMARKS: Registry[Any] = Registry("benchmark", "'vvscale ls benchmarks' lists all; own ones are named file.py:NAME.")
"""Name -> what makes the benchmark.

A package adds its own under the entry-point group ``vvscale.benchmark``: a benchmark, or a function without
arguments that returns one.
"""

SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{one.region: (benchmark_id,) for benchmark_id, one in PUBLIC.items()},
        "public": tuple(PUBLIC),
        **{name: tuple(f"{name}.{one.region}-{one.metric}" for one in PUBLIC.values()) for name in WORLDS},
        f"{COLLECTION}-test": tuple(SESSIONS[name].benchmark_id for name in TESTED),
        f"{COLLECTION}-all": tuple(one.benchmark_id for one in SESSIONS.values()),
    }
)
"""A word for one or several benchmarks -> their names."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        **{alias: benchmark_id for benchmark_id, one in PUBLIC.items() for alias in one.aliases},
        **{f"{name}-i2n": f"{name}.behavior-i2n" for name in WORLDS},
        **{f"{COLLECTION}.{name}": one.benchmark_id for name, one in SESSIONS.items()},
        # One word for the session that is quickest to fetch: the example of real data everywhere.
        COLLECTION: SESSIONS[DEFAULT_SESSION].benchmark_id,
    }
)
"""Other names in use -> our name."""


@dataclass(frozen=True)
class BenchmarkInfo:
    """What is known of a benchmark without loading it.

    Attributes
    ----------
    benchmark_id, region, metric, formula
        As on the rows of scores; None where only loading would tell.
    n_images, n_targets
        Images, and neuroids or objects; None where only loading would tell.
    is_simulated
        Whether nothing was recorded.
    state
        ``cached``, ``absent`` (it can be fetched), ``made`` (the package makes it) or ``installed`` (another
        package offers it).
    """

    benchmark_id: str
    region: str | None = None
    n_images: int | None = None
    n_targets: int | None = None
    metric: str | None = None
    formula: str | None = None
    is_simulated: bool = False
    state: str = "installed"


def list_benchmarks() -> list[BenchmarkInfo]:
    """Return what is known of every named benchmark, loading none; of the sessions of V4, the tested ones.

    Examples
    --------
    >>> [one.region for one in list_benchmarks() if one.benchmark_id.startswith("simulated.")]
    ['V1', 'V2', 'V4', 'IT', 'behavior']
    """
    return [
        _info(benchmark_id, entry)
        for benchmark_id, entry in BENCHMARKS.items()
        if not isinstance(entry, CowleySession) or entry.session in TESTED
    ]


def downloadable(names: str | Iterable[str]) -> list[Downloadable]:
    """Return the benchmarks that the names stand for, as far as to fetch their files.

    Raises
    ------
    UsageError
        One of them has no files to fetch.
    """
    found = []
    for name in benchmark_ids(names):
        entry = None if is_user_file(name) or _is_prepared(name) or _is_described(name) else BENCHMARKS[name]
        if not isinstance(entry, Downloadable):
            raise UsageError(
                f"'{name}' has no files to fetch; those have {', '.join(PUBLIC)}, {COLLECTION}, {COLLECTION}-test and "
                f"{COLLECTION}-all."
            )
        found.append(entry)
    return found


def benchmark_ids(names: str | Iterable[str]) -> list[str]:
    """Turn names, regions and words for several benchmarks into names of single ones, each once, in order.

    Parameters
    ----------
    names
        One or several of: a name as listed; a region, for the public benchmark of it; ``public``,
        ``simulated`` or ``simulated-digits``; ``file.py`` or ``file.py:NAME``; ``file.toml``, which describes a
        benchmark beside its arrays; a prepared file of recordings, ``file.h5`` or ``file.h5:REGION,REGION``.

    Raises
    ------
    UnknownNameError
        A name is none of these.

    Examples
    --------
    >>> benchmark_ids(["V1", "simulated"])[:2]
    ['FreemanZiemba2013public.V1-pls', 'simulated.V1-pls']
    """
    found: dict[str, None] = {}
    for name in [names] if isinstance(names, str) else names:
        if _is_prepared(name):
            found |= dict.fromkeys(_regions_in(name))
        elif _is_described(name):
            found[name] = None
        elif is_user_file(name):
            found |= dict.fromkeys(_ids_in_file(name))
        elif name in SETS:
            found |= dict.fromkeys(SETS[name])
        else:
            found[_known(name)] = None
    return list(found)


def load_benchmark(benchmark_id: str, *, formula: str | None = None) -> Benchmark:
    """Load one benchmark; what it needs is downloaded unless it is cached.

    Parameters
    ----------
    benchmark_id
        What stands for one benchmark in :func:`benchmark_ids`.
    formula
        How neural scores relate to the ceiling: ``"r^2/c"``, the reference's since January 2026, or
        ``"(r/c)^2"``, that of the published tables. None takes the benchmark's own. Behavioural benchmarks keep
        theirs, which never changed.

    Raises
    ------
    UnknownNameError
        There is no such benchmark or formula.
    UsageError
        The name stands for several benchmarks, or an own file gives something else.
    DataError
        Its data cannot be had, or are not what they should be.

    Examples
    --------
    >>> load_benchmark("simulated.V1-pls").region
    'V1'
    """
    found = benchmark_ids(benchmark_id)
    if len(found) > 1:
        raise UsageError(f"'{benchmark_id}' stands for {len(found)} benchmarks; name one: {', '.join(found)}.")
    name = found[0]
    if _is_prepared(name):
        path, _, roi = name.rpartition(".h5:")
        benchmark: Benchmark = prepared_benchmark(f"{path}.h5", roi)
    elif _is_described(name):
        benchmark = read_benchmark(name)
    elif is_user_file(name):
        benchmark = _from_file(name)
    else:
        benchmark = _made(BENCHMARKS[name], f"The entry point '{name}' of the group 'vvscale.benchmark'")
    if formula is not None and isinstance(benchmark, NeuralBenchmark):
        benchmark = replace(benchmark, formula=formula)
    return benchmark


def resolve_benchmarks(names: str | Iterable[str], *, formula: str | None = None) -> list[Benchmark]:
    """Load every benchmark that the names stand for, as :func:`benchmark_ids` and :func:`load_benchmark`.

    Examples
    --------
    >>> [benchmark.region for benchmark in resolve_benchmarks("simulated")]
    ['V1', 'V2', 'V4', 'IT', 'behavior']
    """
    return [load_benchmark(benchmark_id, formula=formula) for benchmark_id in benchmark_ids(names)]


def with_metrics(benchmark: Benchmark, metrics: Iterable[str]) -> list[Benchmark]:
    """Return a neural benchmark once for each metric, named after it; others as they are.

    Where a metric is not the benchmark's own and fits nothing, the ceiling and formula are those usual for it.

    Examples
    --------
    >>> [one.benchmark_id for one in with_metrics(load_benchmark("simulated.V1-pls"), ["pls", "cka"])]
    ['simulated.V1-pls', 'simulated.V1-cka']
    """
    if not isinstance(benchmark, NeuralBenchmark):
        return [benchmark]
    found: list[Benchmark] = []
    own = benchmark.metric_name
    for name in dict.fromkeys(metrics):
        metric = metric_by_name(name)
        if name == own:
            found.append(benchmark)
            continue
        usual: dict[str, Any] = {} if fits(metric) else {"ceiling": None, "formula": None}
        renamed = f"{benchmark.benchmark_id.removesuffix(f'-{own}')}-{name}"
        found.append(replace(benchmark, benchmark_id=renamed, metric=metric, **usual))
    return found


def with_design(benchmark: Benchmark, design: str) -> Benchmark:
    """Return a neural benchmark with another design, named after it; others, and those that have it, as they are.

    Examples
    --------
    >>> with_design(load_benchmark("simulated.V1-pls"), "k-fold").benchmark_id
    'simulated.V1-pls-k-fold'
    """
    if not isinstance(benchmark, NeuralBenchmark) or benchmark.design.name == design:
        return benchmark
    return replace(benchmark, benchmark_id=f"{benchmark.benchmark_id}-{design}", design=design)


@lru_cache(maxsize=len(WORLDS))
def simulated_stream(world: World) -> SimulatedStream:
    """Return the simulated stream of a world's named benchmarks, made once per process."""
    return simulate(world)


@dataclass(frozen=True)
class _Simulated:
    """What makes a named benchmark of a world."""

    world: World
    benchmark_id: str

    def __call__(self) -> Benchmark:
        return simulated_stream(self.world).benchmarks[self.benchmark_id]


for _id, _one in PUBLIC.items():
    BENCHMARKS.add(_id, _one)
for _world in WORLDS.values():
    for _id in SETS[_world.name]:
        BENCHMARKS.add(_id, _Simulated(_world, _id))
for _session in SESSIONS.values():
    BENCHMARKS.add(_session.benchmark_id, _session)


def _known(name: str) -> str:
    name = ALIASES.get(name, name)
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, [*BENCHMARKS, *SETS], BENCHMARKS.hint)
    return name


def _info(benchmark_id: str, entry: Any) -> BenchmarkInfo:
    if isinstance(entry, Downloadable):
        return BenchmarkInfo(
            benchmark_id,
            entry.region,
            entry.n_images,
            entry.n_targets,
            entry.metric,
            entry.formula,
            False,
            entry.state(),
        )
    if isinstance(entry, _Simulated):
        region, _, metric = benchmark_id.removeprefix(f"{entry.world.name}.").rpartition("-")
        public = PUBLIC[SETS[region][0]]
        n_targets = entry.world.n_objects if region == "behavior" else N_NEUROIDS
        n_images = entry.world.n_objects * IMAGES_PER_OBJECT
        return BenchmarkInfo(benchmark_id, region, n_images, n_targets, metric, public.formula, True, "made")
    if isinstance(entry, Benchmark):
        return BenchmarkInfo(
            benchmark_id,
            entry.region,
            len(entry.stimuli),
            entry.n_targets,
            entry.metric_name,
            entry.formula,
            entry.stimuli.is_simulated,
        )
    return BenchmarkInfo(benchmark_id)


def _made(entry: Any, what: str, path: Path | None = None) -> Benchmark:
    """Return a benchmark that is given as itself or as a function without arguments."""
    made = entry.load() if isinstance(entry, Downloadable) else entry
    if callable(made):
        made = call_user_code(made, what, path)
    if not isinstance(made, Benchmark):
        raise UsageError(
            f"{what} gives a {type(made).__name__}; expected a NeuralBenchmark or BehavioralBenchmark, or a function "
            "without arguments that returns one. docs/benchmark-contract.md shows both."
        )
    return made


def _is_described(name: str) -> bool:
    return name.endswith(".toml")


def _is_prepared(name: str) -> bool:
    return name.endswith(".h5") or ".h5:" in name


def _regions_in(name: str) -> list[str]:
    """Return a name per region: those named after the file, or all."""
    path, separator, rois = name.rpartition(".h5:")
    if not separator:
        return [f"{name}:{roi}" for roi in prepared_regions(name)]
    found = [f"{path}.h5:{roi}" for roi in rois.split(",") if roi]
    if not found:
        raise UsageError(f"'{name}' names no region; expected such as '{path}.h5:V4', or '{path}.h5' for all.")
    return found


def _ids_in_file(name: str) -> list[str]:
    path, attribute = split_ref(name)
    if attribute:
        return [name]
    found = [key for key, value in load_user_file(path, "benchmark").items() if isinstance(value, Benchmark)]
    if not found:
        raise UsageError(
            f"'{path}' defines no benchmark. Expected at least one NeuralBenchmark or BehavioralBenchmark at its top "
            f"level; a function that makes one is named as '{path}:NAME'. docs/benchmark-contract.md shows both."
        )
    return [f"{path}:{key}" for key in found]


def _from_file(name: str) -> Benchmark:
    path, attribute = split_ref(name)
    defined = load_user_file(path, "benchmark")
    if attribute in defined:
        return _made(defined[attribute], f"'{attribute}' in '{path}'", path)
    by_id = {value.benchmark_id: value for value in defined.values() if isinstance(value, Benchmark)}
    if attribute in by_id:
        return by_id[attribute]
    offered = [key for key, value in defined.items() if isinstance(value, Benchmark)]
    raise unknown_name(f"benchmark of {path}", attribute, [*offered, *by_id] or defined)
