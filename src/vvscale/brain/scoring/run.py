"""Score models by name, from options to rows: what the command line does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.catalogue import resolve_benchmarks, with_design, with_metrics
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.mapping.benchmark import with_subsets
from vvscale.brain.mapping.fixed import with_fixed_test
from vvscale.brain.mapping.subset import subsets
from vvscale.brain.recordings.stimulus_files import images_in
from vvscale.brain.scoring.cache import ScoreCache
from vvscale.brain.scoring.compare_rows import refuse_drift
from vvscale.brain.scoring.features import read_features, score_features
from vvscale.brain.scoring.layers import (
    LayerCommitment,
    check_commitment_path,
    committed_layers,
    layers_gokce2026,
    read_commitment,
)
from vvscale.brain.scoring.options import ScoreOptions
from vvscale.brain.scoring.plan import Recording, estimate_seconds, plan_work
from vvscale.brain.scoring.results import ModelScores
from vvscale.brain.scoring.session import Session
from vvscale.brain.scoring.tuned import refuse_tuned_images
from vvscale.core.inputs.plain import refuse_own_input
from vvscale.errors import (
    ConfigError,
    DataError,
    MissingDataError,
    ShapeError,
    UsageError,
    VvscaleNote,
    VvscaleWarning,
    shell_words,
)
from vvscale.models import LoadedModel, load_model, model_cost, model_record
from vvscale.scores import ScoreStore, load_scores

Watch = Callable[[str, int], AbstractContextManager[Callable[[str], None]]]

Model = tuple[nn.Module, Mapping[str, Any]]
"""A module and its record."""
Layers = str | Sequence[str] | Mapping[str, str] | LayerCommitment


def unwatched(what: str, total: int) -> AbstractContextManager[Callable[[str], None]]:
    """Report nothing."""
    return nullcontext(lambda name: None)


@dataclass(frozen=True, eq=False)
class Scored:
    """One model's outcome.

    Attributes
    ----------
    model_id, scores
        The model, and what it scored.
    rows
        Rows of the score table.
    path
        The part of the store that holds them.
    commitment
        The best layer of each region.
    n_compared
        Earlier rows that these are equal to.
    """

    model_id: str
    scores: ModelScores
    rows: pd.DataFrame
    path: Path | None
    commitment: LayerCommitment
    n_compared: int


def run_scores(
    models: Sequence[str], options: ScoreOptions | None = None, /, *, watch: Watch = unwatched, **fields: Any
) -> Iterator[Scored]:
    """Score one model after another, storing the rows of each at once.

    Parameters
    ----------
    models
        As :func:`vvscale.models.load_model` takes them.
    options, fields
        A :class:`ScoreOptions`, its fields as keywords, or both.
    watch
        Makes a context in which each step is reported, from a model's name and its number of steps.

    Raises
    ------
    DataError
        A layer that was asked for by name, or by commitment, has no score; the rows of the others are stored.
    RunError
        Scores differ from those expected; the new rows are in the cache and not in the store.
    """
    options = _checked(models, ScoreOptions.of(options, **fields))
    # A file that is not there should not be found out after an hour.
    expected = None if options.expect is None else load_scores(str(options.expect))
    benchmarks = benchmarks_of(options)
    runs = _of_models(models, options, benchmarks, watch) if models else _of_features(options, benchmarks, watch)
    for scores, record in runs:
        model_id = str(record["row"]["model_id"])
        rows = scores.rows(record["row"], epoch=record.get("epoch"))
        n_compared = 0
        if expected is not None:
            lost = [one.layer for one in scores.failures]
            n_compared = refuse_drift(rows, expected, lost=lost, tolerance=options.tolerance)
        path = None if options.out is None else ScoreStore(options.out).append(rows)
        best = scores.best(model=model_id, needs_all=options.commit is not None)
        if options.commit is not None:
            best.save(options.commit)
        yield Scored(model_id, scores, rows, path, best, n_compared)
        if models and scores.failures and "all" not in options.layers:
            raise DataError(
                f"{len(scores.failures)} of the layers asked for have no score; the other rows are stored in "
                f"'{options.out}'. {scores.failures[0].reason}"
            )


def benchmarks_of(options: ScoreOptions) -> list[Benchmark]:
    """Load the benchmarks, as the options want them scored."""
    return _as_wanted(resolve_benchmarks(options.on, formula=options.formula), options)


def _as_wanted(benchmarks: list[Benchmark], options: ScoreOptions) -> list[Benchmark]:
    """Return benchmarks with the metrics, design and test images asked for, or their parts where mapping curves are."""
    if options.metric:
        benchmarks = [made for one in benchmarks for made in with_metrics(one, options.metric)]
    if options.design is not None:
        benchmarks = [with_design(one, options.design) for one in benchmarks]
    if options.fixed_test is not None:
        share = options.fixed_test
        benchmarks = [with_fixed_test(one, share) if isinstance(one, NeuralBenchmark) else one for one in benchmarks]
    samples = [part for text in options.mapping_samples for part in text.split(",") if part.strip()]
    if not (samples or options.mapping_neuroids or options.mapping_repetitions):
        return benchmarks
    return with_subsets(
        benchmarks,
        subsets(
            samples or ["100%"],
            seeds=options.mapping_seeds,
            neuroids=options.mapping_neuroids,
            repetitions=options.mapping_repetitions,
        ),
    )


def _of_models(
    models: Sequence[str], options: ScoreOptions, benchmarks: Sequence[Benchmark], watch: Watch
) -> Iterator[tuple[ModelScores, Mapping[str, Any]]]:
    for ref in models:
        session, record = _session(options, _load(ref, options), benchmarks, ref, options.layers)
        recordings = session.plan()
        with watch(str(record["row"]["model_id"]), sum(one.n_steps for one in recordings)) as advance:
            scores = session.run(recordings, progress=advance)
        yield scores, record


def _of_features(
    options: ScoreOptions, benchmarks: Sequence[Benchmark], watch: Watch
) -> Iterator[tuple[ModelScores, Mapping[str, Any]]]:
    assert options.features is not None
    features = read_features(options.features, options.stimulus_ids, name=options.name or "")
    with watch(features.name, len(features.layers) * len(benchmarks)) as advance:
        scores = score_features(
            features,
            benchmarks=benchmarks,
            resamples=options.resamples,
            seed=options.seed,
            device=options.array_device,
            progress=advance,
        )
    yield scores, {"row": {"model_id": features.name}}


def score_model(
    model: str | Path | nn.Module | LoadedModel,
    on: str | Benchmark | Sequence[str | Benchmark] = "simulated",
    *,
    layers: Layers = "committed",
    options: ScoreOptions | None = None,
    progress: Callable[[str], None] | None = None,
    **fields: Any,
) -> ModelScores:
    """Score a model on benchmarks; nothing is stored but the cache of finished scores.

    Parameters
    ----------
    model
        A name, as :func:`vvscale.load_model` takes it; what that returns; or any network that maps
        ``(n, channels, height, width)`` images to anything.
    on
        Benchmarks, regions, ``"simulated"``, ``"simulated-digits"``, own ones as ``file.py``, or benchmark objects.
    layers
        ``"committed"``, the published layer of each region; ``"all"``; names and patterns, each scored on every
        benchmark; or region -> layer.
    options, fields
        A :class:`ScoreOptions`, its fields as keywords, or both: ``image_size``, ``resamples``, ``device``, ``memory``,
        ``cache`` and the others of ``vvscale score --help``.
    progress
        Called with a word for each batch and each layer that is done.

    Returns
    -------
    ModelScores
        A score per layer and benchmark; layers that have none are among its failures.

    Raises
    ------
    UnknownNameError, ConfigError
        A name or an option is wrong.
    MissingDataError
        No layers were published for this model: choose ``layers``.
    DataError
        No layer has a score on any benchmark.

    Examples
    --------
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    >>> scores = score_model(network, "simulated.V1-pls", layers="all", image_size=32, resamples=10, cache="none")
    >>> scores.table()["layer"].tolist()  # the last has fewer features than the metric needs
    ['0', '1']
    """
    options = ScoreOptions.of(options, **fields)
    wanted = [on] if isinstance(on, str) or not isinstance(on, Sequence) else on
    benchmarks = [
        benchmark
        for one in wanted
        for benchmark in (resolve_benchmarks(one, formula=options.formula) if isinstance(one, str) else [one])
    ]
    benchmarks = _as_wanted(benchmarks, options)
    session, record = _session(options, _model(model, options), benchmarks, str(model)[:40], layers)
    return replace(session.run(progress=progress), record=record)


def plan_scores(models: Sequence[str], options: ScoreOptions) -> Iterator[dict[str, Any]]:
    """Say what scoring would take, one row per model and stimulus set; nothing but two images is run."""
    options = _checked(models, options)
    if options.expect is not None:
        load_scores(str(options.expect))
    if options.features is not None:
        raise UsageError("Features need no model and no plan; leave `dry_run` out.")
    benchmarks = benchmarks_of(options)
    for ref in models:
        session, record = _session(options, _load(ref, options), benchmarks, ref, options.layers)
        recordings = session.plan()
        model_id = record["row"]["model_id"]
        if not recordings:
            yield {"model_id": model_id, "stimuli": "none", "n_forward": 0, "n_scores": 0, "n_cached": session.n_cached}
        for one in recordings:
            yield {"model_id": model_id, "n_cached": session.n_cached, **_plan_row(session, one)}


def _plan_row(session: Session, recording: Recording) -> dict[str, Any]:
    budget = recording.budget
    least, widest = budget.least()
    holdings = [one.holding for one in recording.passes]
    return {
        "stimuli": session.work.stimuli[recording.stimuli].identifier,
        "n_images": budget.n_images,
        "n_forward": recording.n_forward,
        "n_layers": len(budget.seen.layers),
        "n_recorded": len(budget.seen.recorded()),
        "n_scores": len(recording.pairs),
        "widest": widest,
        "memory": least + max(one.memory_bytes for one in holdings),
        "scratch": max(one.disk_bytes for one in holdings),
        "seconds": estimate_seconds(session.work, recording, session.seconds_per_image),
    }


def _checked(models: Sequence[str], options: ScoreOptions) -> ScoreOptions:
    if options.features is not None and models:
        raise UsageError(
            f"`features` are scored instead of a model, and '{models[0]}' was named; give one or the other."
        )
    if options.stimulus_ids is not None and options.features is None:
        raise UsageError("`stimulus_ids` are the labels of `features`, and none were given.")
    if not models and options.features is None:
        raise UsageError("No model was named; expected at least one, such as 'untrained:resnet18'.")
    for what in ("name", "commit", "layers_table"):
        if getattr(options, what) is not None and len(models) > 1:
            raise ConfigError(f"`{what}` is of one model, and {len(models)} were named; score them one by one.")
    if options.out is not None and options.out.is_file():
        raise UsageError(f"Cannot store rows in '{options.out}': it is a file. Expected the folder of a score store.")
    # Written last: what is wrong with them should not be found out after an hour.
    if options.commit is not None:
        check_commitment_path(options.commit)
    for path in (options.commit, options.layers_table):
        if path is not None and path.is_dir():
            raise UsageError(f"Cannot write '{path}': there is a folder of that name. Give the name of a file.")
        if path is not None:
            refuse_own_input(path, options.features, options.stimulus_ids, options.expect, *options.on)
    return options


def _session(
    options: ScoreOptions, model: Model, benchmarks: Sequence[Benchmark], ref: str, layers: Layers
) -> tuple[Session, Mapping[str, Any]]:
    module, record = model
    refuse_tuned_images(record, benchmarks)
    images = None if options.projection_images is None else images_of_folder(options.projection_images)
    work = plan_work(
        module,
        benchmarks=benchmarks,
        layers=_layers(layers, module, record, ref, benchmarks),
        preprocessing=_preprocessing(options, record),
        projection_images=images,
        options=options,
    )
    cache = None if options.cache == "none" else ScoreCache(keep_products=options.cache == "products")
    return Session(work, cache), record


def _model(model: str | Path | nn.Module | LoadedModel, options: ScoreOptions) -> Model:
    if isinstance(model, nn.Module):
        built_as = getattr(model, "built_as", None)
        row = {"model_id": built_as[0] if built_as else type(model).__name__}
        record = model_record(model, row=row) if built_as else {"row": row}
        return _named(LoadedModel(model, record), "", options)
    if isinstance(model, LoadedModel):
        return _named(model, "model", options)
    return _load(str(model), options)


def _load(ref: str, options: ScoreOptions) -> Model:
    loaded = load_model(ref, arch=options.arch)
    if loaded.note:
        warnings.warn(loaded.note, VvscaleWarning if loaded.is_doubtful else VvscaleNote, stacklevel=4)
    return _named(loaded, ref, options)


def _named(model: LoadedModel, fallback: str, options: ScoreOptions) -> Model:
    row = {**model.record.get("row", {})}
    row["model_id"] = options.name or row.get("model_id") or fallback
    if options.image_size is not None and row.get("n_params") is None:
        # It has not said for which images it is made; what depends on their values cannot be counted.
        with suppress(ShapeError):
            row |= model_cost(model.module, image_size=options.image_size).columns()
    return model.module, {**model.record, "row": row}


def _preprocessing(options: ScoreOptions, record: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing.from_record(
        options.preprocessing, record.get("preprocessing", {}), image_size=options.image_size,
        visual_degrees=options.degrees,
    )  # fmt: skip


def _layers(
    layers: Layers, module: nn.Module, record: Mapping[str, Any], ref: str, benchmarks: Sequence[Benchmark]
) -> Layers:
    if isinstance(layers, Mapping | LayerCommitment):
        return layers
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    one = names[0] if len(names) == 1 else ""
    if one == "committed":
        try:
            return committed_layers(module, record)
        except MissingDataError as error:
            raise MissingDataError(
                f"{error} Next: `vvscale score {shell_words(ref)} --layers all --commit layers.toml` chooses them by "
                'score, then `layers="layers.toml"`.'
            ) from error
    if one == "gokce2026":
        return layers_gokce2026(benchmarks, module, record)
    if one.endswith((".toml", ".json")):
        return read_commitment(one)
    if "committed" in names:
        raise ConfigError('`layers="committed"` stands alone: it names one layer per region, the others are for all.')
    return names


def images_of_folder(folder: str | Path) -> StimulusSet:
    """Return the images of a folder, sorted by name, as a stimulus set."""
    folder = Path(folder)
    paths = images_in(folder)
    index = pd.Index([str(path.relative_to(folder)) for path in paths], name="stimulus_id")
    return StimulusSet(folder.name, pd.DataFrame(index=index), 8.0, paths=tuple(paths))
