"""Score models by name, from request to rows: what the command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from torch import nn

from vvscale.brain.activations.memory import least_memory
from vvscale.brain.activations.projection import Projection
from vvscale.brain.benchmarks.assembly import StimulusSet
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.stimulus_files import IMAGE_SUFFIXES
from vvscale.brain.catalogue import resolve_benchmarks
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.cache import ScoreCache
from vvscale.brain.scoring.compare_rows import TOLERANCE, refuse_drift
from vvscale.brain.scoring.estimate import estimate_seconds
from vvscale.brain.scoring.layers import LayerCommitment, committed_layers, read_commitment
from vvscale.brain.scoring.options import ScoringOptions
from vvscale.brain.scoring.results import ModelScores
from vvscale.brain.scoring.session import Recording, Session
from vvscale.brain.scoring.work import plan_work
from vvscale.core.userfile import is_own_model, load_own_model
from vvscale.errors import ConfigError, DataError, MissingDataError, UsageError
from vvscale.scores import ScoreStore, load_scores

Watch = Callable[[str, int], AbstractContextManager[Callable[[str], None]]]

DEFAULT_IMAGE_SIZE = 224


@dataclass(frozen=True)
class ScoreRequest:
    """Which models, on what, and how.

    Attributes
    ----------
    models
        As :func:`vvscale.models.load_model` takes them, or ``file.py:NAME``.
    on
        Benchmarks, regions, ``simulated``, ``simulated-digits``, or own ones as ``file.py``.
    layers
        ``committed``; a .toml or .json file of layers; ``all``; names and patterns.
    preprocessing, image_size, visual_degrees
        The rule, and what it is applied with; None takes the model's own size.
    projection, projection_images
        How features become fewer, and a folder of images for principal components.
    formula
        Of neural scores; None takes each benchmark's own.
    memory, device, batch_size, n_resamples, seed, scratch, max_passes, n_workers, n_threads
        As of :class:`ScoringOptions`.
    cache
        ``scores``, ``products`` to keep inner products too, or ``none``.
    name
        model_id of the rows; None takes that of the model's record.
    expect, tolerance
        A file of earlier rows that the new ones must equal, and how closely.
    out
        Folder of the score store.
    commit
        File to write the best layer per region to.
    """

    models: tuple[str, ...]
    on: tuple[str, ...] = ("simulated",)
    layers: tuple[str, ...] = ("committed",)
    preprocessing: str = "brainscore"
    image_size: int | None = None
    visual_degrees: float = 8.0
    projection: str = "none"
    projection_images: Path | None = None
    formula: str | None = None
    memory: str = "4GB"
    device: str = "cpu"
    batch_size: int = 64
    n_resamples: int = 1000
    seed: int = 0
    scratch: Path | None = None
    max_passes: int = 1
    n_workers: int = 1
    n_threads: int | None = None
    cache: Literal["scores", "products", "none"] = "scores"
    name: str | None = None
    expect: Path | None = None
    tolerance: float = TOLERANCE
    out: Path = Path("scores")
    commit: Path | None = None

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("No model was named; expected at least one, such as 'vvscale score resnet18'.")
        for what in ("name", "commit"):
            if getattr(self, what) is not None and len(self.models) > 1:
                raise ConfigError(
                    f"--{what} is of one model, and {len(self.models)} were named; score them one by one."
                )


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
    path: Path
    commitment: LayerCommitment
    n_compared: int


def run_scores(request: ScoreRequest, *, watch: Watch) -> Iterator[Scored]:
    """Score one model after another, storing the rows of each at once.

    Raises
    ------
    DataError
        A layer that was asked for by name, or by commitment, has no score; the rows of the others are stored.
    RunError
        Scores differ from those expected; the new rows are in the cache and not in the store.
    """
    # A file that is not there should not be found out after an hour.
    expected = None if request.expect is None else load_scores(str(request.expect))
    benchmarks = resolve_benchmarks(request.on, formula=request.formula)
    for ref in request.models:
        session, record = _session(request, ref, benchmarks)
        model_id = str(record["row"]["model_id"])
        recordings = session.plan()
        with watch(model_id, sum(one.n_steps for one in recordings)) as advance:
            scores = session.run(recordings, progress=advance)
        rows = scores.rows(record["row"], epoch=record.get("epoch"))
        n_compared = 0
        if expected is not None:
            lost = [one.layer for one in scores.failures]
            n_compared = refuse_drift(rows, expected, lost=lost, tolerance=request.tolerance)
        path = ScoreStore(request.out).append(rows)
        best = scores.best(model=model_id, needs_all=request.commit is not None)
        if request.commit is not None:
            best.save(request.commit)
        yield Scored(model_id, scores, rows, path, best, n_compared)
        if scores.failures and "all" not in request.layers:
            raise DataError(
                f"{len(scores.failures)} of the layers asked for have no score; the other rows are stored in "
                f"'{request.out}'. {scores.failures[0].reason}"
            )


def plan_scores(request: ScoreRequest) -> Iterator[dict[str, Any]]:
    """Say what scoring would take, one row per model and stimulus set; nothing but two images is run."""
    benchmarks = resolve_benchmarks(request.on, formula=request.formula)
    for ref in request.models:
        session, record = _session(request, ref, benchmarks)
        recordings = session.plan()
        model_id = record["row"]["model_id"]
        if not recordings:
            yield {"model_id": model_id, "stimuli": "none", "n_forward": 0, "n_scores": 0, "n_cached": session.n_cached}
        for one in recordings:
            yield {"model_id": model_id, "n_cached": session.n_cached, **_plan_row(session, one)}


def _plan_row(session: Session, recording: Recording) -> dict[str, Any]:
    seen, sizes = recording.seen, recording.sizes
    least, widest = least_memory(sizes, seen, session.work.options.projection)
    holdings = [one.holding for one in recording.passes]
    return {
        "stimuli": session.work.stimuli[recording.stimuli].identifier,
        "n_images": sizes.n_images,
        "n_forward": recording.n_forward,
        "n_layers": len(seen.layers),
        "n_recorded": len(seen.recorded()),
        "n_scores": len(recording.pairs),
        "widest": widest,
        "memory": least + max(one.memory_bytes for one in holdings),
        "scratch": max(one.disk_bytes for one in holdings),
        "seconds": estimate_seconds(session, recording),
    }


def _session(request: ScoreRequest, ref: str, benchmarks: list[Benchmark]) -> tuple[Session, Mapping[str, Any]]:
    module, record = _load(ref, request)
    options = _options(request, record)
    work = plan_work(module, benchmarks=benchmarks, layers=_layers(request, module, record, ref), options=options)
    cache = None if request.cache == "none" else ScoreCache(keep_products=request.cache == "products")
    return Session(work, cache), record


def _load(ref: str, request: ScoreRequest) -> tuple[nn.Module, dict[str, Any]]:
    if is_own_model(ref):
        module, record = load_own_model(ref)
    else:
        from vvscale.models import load_model

        loaded = load_model(ref)
        module, record = loaded.module, loaded.record
    row = {**record.get("row", {})}
    row["model_id"] = request.name or row.get("model_id") or ref
    return module, {**record, "row": row}


def _options(request: ScoreRequest, record: Mapping[str, Any]) -> ScoringOptions:
    own = {"image_size": DEFAULT_IMAGE_SIZE, **record.get("preprocessing", {})}
    if request.image_size is not None:
        own |= {"image_size": request.image_size, "resize": None}
    images = None if request.projection_images is None else images_of_folder(request.projection_images)
    return ScoringOptions(
        preprocessing=Preprocessing.from_record(request.preprocessing, own, visual_degrees=request.visual_degrees),
        projection=Projection.parse(request.projection),
        projection_images=images,
        memory=request.memory,
        device=request.device,
        batch_size=request.batch_size,
        n_resamples=request.n_resamples,
        seed=request.seed,
        scratch=request.scratch,
        max_passes=request.max_passes,
        n_workers=request.n_workers,
        n_threads=request.n_threads,
    )


def _layers(
    request: ScoreRequest, module: nn.Module, record: Mapping[str, Any], ref: str
) -> LayerCommitment | tuple[str, ...]:
    names = request.layers
    one = names[0] if len(names) == 1 else ""
    if one == "committed":
        try:
            return committed_layers(module, record)
        except MissingDataError as error:
            raise MissingDataError(
                f"{error} Next: 'vvscale score {ref} --layers all --commit layers.toml' chooses them by score, then "
                "'--layers layers.toml'."
            ) from error
    if one.endswith((".toml", ".json")):
        return read_commitment(one)
    if "committed" in names:
        raise ConfigError("--layers committed stands alone: it names one layer per region, the others are for all.")
    return names


def images_of_folder(folder: str | Path) -> StimulusSet:
    """Return the images of a folder, sorted by name, as a stimulus set."""
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise MissingDataError(f"There are no images in '{folder}'; expected files such as .png or .jpg.")
    index = pd.Index([str(path.relative_to(folder)) for path in paths], name="stimulus_id")
    return StimulusSet(folder.name, pd.DataFrame(index=index), 8.0, paths=tuple(paths))
