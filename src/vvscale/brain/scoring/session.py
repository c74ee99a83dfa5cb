"""Score a model: one forward pass per image, then one layer after another.

A stimulus set goes through the model once, for all layers and all benchmarks that share it. Then each layer's
inner products are made, handed to every benchmark, and forgotten. A finished score goes into the cache at once,
so that a run that was killed goes on with the layers that are left.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from vvscale.brain.activations.families import are_summed, family_products
from vvscale.brain.activations.hooks import evaluating
from vvscale.brain.activations.memory import Pass, naming_memory, peak_memory, reusing_memory
from vvscale.brain.activations.parallel import replicas, run_each
from vvscale.brain.activations.products import layer_blocks, layer_products
from vvscale.brain.activations.record import PROBED_IMAGES, Probe, Recorder, probe
from vvscale.brain.activations.steadiness import unsteady_layers
from vvscale.brain.activations.storage import HeldActivations, Holding
from vvscale.brain.benchmarks.benchmark import Benchmark, score_together
from vvscale.brain.inputs.batches import image_batches
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.gram import Gram
from vvscale.brain.metrics.metric import Needs
from vvscale.brain.scoring.cache import ScoreCache
from vvscale.brain.scoring.layers import LayerCommitment
from vvscale.brain.scoring.options import ScoringOptions
from vvscale.brain.scoring.plan import Pair, Recording, Work, plan_recording, plan_work
from vvscale.brain.scoring.results import LayerFailure, LayerScore, ModelScores, Usage
from vvscale.errors import DataError

Progress = Callable[[str], None]


def score_layers(
    module: nn.Module,
    *,
    benchmarks: Sequence[Benchmark],
    layers: str | Sequence[str] | Mapping[str, str] | LayerCommitment = "all",
    preprocessing: Preprocessing | None = None,
    projection_images: StimulusSet | None = None,
    options: ScoringOptions | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> ModelScores:
    """Score layers of a model on benchmarks.

    Parameters
    ----------
    module
        Any model that takes one (B, channels, height, width) tensor; it is moved to the device.
    benchmarks
        As :func:`vvscale.brain.resolve_benchmarks` gives, or own ones.
    layers
        ``"all"``, names and patterns, each scored on every benchmark; or which layer stands for which region.
    preprocessing
        From stimuli to the model's input; by default that of the reference at 224 pixels.
    projection_images
        Images that principal components are fitted on.
    options, settings
        A :class:`ScoringOptions`, its fields as keywords, or both.
    cache
        Where finished scores are kept and looked up; None for nowhere.
    progress
        Called with a word for each batch and each layer that is done.

    Returns
    -------
    ModelScores
        A score per layer and benchmark; layers that have none are among its failures.

    Raises
    ------
    OutOfMemoryError
        The memory allowed is too small for a layer, or disk and memory for one pass.
    DataError
        No layer has a score on any benchmark, or a benchmark does not hold together.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> from vvscale.brain.inputs.preprocess import Preprocessing
    >>> stream = simulate(images_per_object=10, n_neuroids=10)
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 30))
    >>> scores = score_layers(
    ...     model, benchmarks=[stream.benchmark("V1")], preprocessing=Preprocessing(image_size=32), resamples=10
    ... )
    >>> scores.table()["layer"].tolist(), scores.usage.n_forward
    (['0', '1', '2', '3'], 80)
    """
    work = plan_work(
        module,
        benchmarks=benchmarks,
        layers=layers,
        preprocessing=preprocessing or Preprocessing(),
        projection_images=projection_images,
        options=ScoringOptions.of(options, **settings),
    )
    return Session(work, cache).run(progress=progress)


class Session:
    """One scoring of one model; planned and run once.

    Parameters
    ----------
    work, cache
        What to score, and where finished scores are kept.
    """

    def __init__(self, work: Work, cache: ScoreCache | None = None) -> None:
        self.work = work
        self._options = work.options
        self._projection = work.options.how_projected
        self._cache = cache
        self._advance: Progress = lambda name: None
        self._lock, self._at_once, self._as_families = threading.Lock(), 1, False
        self._scores: dict[tuple[str, str], LayerScore] = {}
        self._failures: list[LayerFailure] = []
        self._seconds: dict[str, float] = defaultdict(float)
        self._n_forward = self._n_probe = self._scratch = self.n_cached = 0
        self._seen: Probe | None = None
        self._shown = np.zeros((0, 0, 0, 0), np.float32)
        self.seconds_per_image = 0.0

    def plan(self) -> list[Recording]:
        """Look up what is known, see what the model gives, and decide how the rest is recorded.

        Scores found in the cache are kept; layers that cannot be recorded become failures.
        """
        start = time.perf_counter()
        missing = self._look_up(self.work.pairs)
        recordings = []
        for stimuli in dict.fromkeys(self.work.stimuli_of[pair.benchmark.benchmark_id] for pair in missing):
            of_set = [pair for pair in missing if self.work.stimuli_of[pair.benchmark.benchmark_id] == stimuli]
            seen = self._probe(stimuli)
            # An entry of the cache is put together in memory.
            n_more = 3 if self._cache is not None and self._cache.keep_products else 0
            n_pixels = self._shown[0].size
            recordings.append(plan_recording(self.work, stimuli, of_set, seen, n_pixels, n_more=n_more))
        self._seconds["plan"] = self._seconds["total"] = time.perf_counter() - start
        return [one for one in recordings if one.pairs]

    def run(self, recordings: Sequence[Recording] | None = None, *, progress: Progress | None = None) -> ModelScores:
        """Make the scores; ``recordings`` is the plan, if it was made before."""
        recordings = self.plan() if recordings is None else recordings
        start = time.perf_counter()
        told = progress or self._advance

        def advance(name: str) -> None:
            with self._lock:  # layers are done on several threads, and what is called counts
                told(name)

        self._advance = advance
        with evaluating(self.work.module), naming_memory(), reusing_memory():
            for recording in recordings:
                for one in recording.passes:
                    self._run_pass(recording, one)
        if not self._scores:
            first = self._failures[0]
            raise DataError(
                f"None of the {len(self.work.pairs)} layers and benchmarks gave a score. The first: {first.reason}"
            )
        self._seconds["total"] += time.perf_counter() - start
        return self._result()

    def _look_up(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Take scores from the cache, or make them from inner products that it holds; return the rest."""
        if self._cache is None:
            return list(pairs)
        missing = []
        for pair in pairs:
            score = self._cache.score(self.work.score_key(pair))
            if score is None:
                missing.append(pair)
            else:
                self._scores[pair.layer, pair.benchmark.benchmark_id] = score
                self.n_cached += 1
        if not self._cache.keep_products:
            return missing
        return [pair for pair in missing if not self._score_cached_products(pair)]

    def _score_cached_products(self, pair: Pair) -> bool:
        assert self._cache is not None
        stimuli = self.work.stimuli_of[pair.benchmark.benchmark_id]
        key = self.work.products_key(pair.layer, stimuli, pair.benchmark.needs)
        gram = self._cache.products(key)
        if gram is not None:
            self._score([[pair]], gram)
        return gram is not None

    def _probe(self, stimuli: str) -> Probe:
        """See what the layers give; every stimulus set has the same shape after preprocessing."""
        if self._seen is None:
            rows = [number % len(self.work.stimuli[stimuli]) for number in range(PROBED_IMAGES)]
            images = self._shown = self.work.preprocessing.batch(self.work.stimuli[stimuli], rows)
            self.work.module.to(self._options.device)
            order = dict.fromkeys(pair.layer for pair in self.work.pairs)
            start = time.perf_counter()
            seen = probe(self.work.module, list(order), images, device=self._options.device)
            self.seconds_per_image = (time.perf_counter() - start) / len(images)
            unsteady = unsteady_layers(self.work.module, list(seen.layers), images, device=self._options.device)
            self._seen = seen.without(unsteady)
            self._n_probe += 3 * len(images)
            self._failures += [LayerFailure(layer, "", reason) for layer, reason in self._seen.refused.items()]
        return self._seen

    def _run_pass(self, recording: Recording, one: Pass) -> None:
        seen = recording.budget.seen.only(one.layers)
        kept = {name: self._projection.n_kept(layer.n_features) for name, layer in seen.recorded().items()}
        self._scratch = max(self._scratch, one.holding.disk_bytes)
        # Features that were projected while recording have no channels any more.
        places = {
            name: max(1, int(np.prod(layer.shape[1:], dtype=np.int64)))
            for name, layer in seen.recorded().items()
            if kept[name] == layer.n_features
        }
        with HeldActivations(one.holding, kept, self._options.scratch_folder, places) as held:
            self._record(recording, seen, held, one.holding)
            families = seen.families()

            def score(_worker: int, source: str) -> None:
                for name, made in self._products(recording, seen, held, families[source]):
                    self._score_layer(recording, seen, name, made)
                held.drop(source)

            self._at_once, is_room = recording.budget.n_at_once(one.holding)
            self._as_families = is_room and self._options.array_device is None
            run_each(score, families, range(self._at_once))

    def _record(self, recording: Recording, seen: Probe, held: HeldActivations, holding: Holding) -> None:
        layers, device = seen.recorded(), self._options.device
        threads = torch.get_num_threads() if device == "cpu" else 1
        n_models = recording.budget.n_models_at_once(holding, threads)
        models = replicas(self.work.module, layers, self._shown, n_models)
        self._n_probe += len(self._shown) * len(models) * (len(models) > 1)

        def keep(layer: str, start: int, rows: torch.Tensor) -> None:
            held.put(layer, start, self._projection.at_recording(rows.to("cpu", torch.float32).numpy()))

        def record(recorder: Recorder, batch: tuple[int, np.ndarray]) -> None:
            with self._timed("forward"), torch.no_grad():  # which threads do not inherit
                recorder.run(batch[1], batch[0])
            self._advance("images")

        with ExitStack() as hooked:
            recorders = [hooked.enter_context(Recorder(model, layers, keep, device=device)) for model in models]
            run_each(record, self._batches(recording), recorders, threads=threads // len(models))
        self._n_forward += sum(one.n_forward for one in recorders)

    def _batches(self, recording: Recording) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the batches of the stimulus set and of the images of a projection, each with its first row."""
        first = 0
        for stimuli in filter(None, (self.work.stimuli[recording.stimuli], self.work.projection_images)):
            batches = image_batches(
                stimuli,
                self.work.preprocessing,
                batch_size=recording.budget.batch_size,
                n_workers=self._options.workers,
            )
            while True:
                with self._timed("decode"):
                    images = next(batches, None)
                if images is None:
                    break
                yield first, images
                first += len(images)

    def _products(
        self, recording: Recording, seen: Probe, held: HeldActivations, names: Sequence[str]
    ) -> Iterator[tuple[str, dict[Needs, Any] | DataError]]:
        """Yield what benchmarks need of a recorded layer and of those that follow from it, or why there is none."""
        needs = {name: {pair.benchmark.needs for pair in _pairs(recording, seen, name)[1]} for name in names}
        image_names = self.work.stimuli[recording.stimuli].stimulus_id
        n_threads = self._options.threads if self._at_once == 1 else None
        sums = [are_summed(seen.layers[name], needs[name], self._projection, len(image_names)) for name in names]
        if self._as_families and len(names) > 1 and all(sums):
            with self._timed("products"), threadpool_limits(n_threads, user_api="blas"):
                made = family_products(
                    held.blocks(names[0]), self.work.module, seen.layers, names, needs=needs, image_names=image_names
                )
            for name in names:
                yield name, made.pop(name)
            return
        for name in names:
            try:
                with self._timed("products"), threadpool_limits(n_threads, user_api="blas"):
                    one = layer_products(
                        lambda name=name: layer_blocks(held, self.work.module, seen.layers, name),
                        seen.layers[name],
                        needs=needs[name],
                        projection=self._projection,
                        image_names=image_names,
                        device=self._options.array_device,
                        n_fitted=recording.budget.n_fitted,
                    )
            except DataError as error:
                one = error
            yield name, one

    def _score_layer(self, recording: Recording, seen: Probe, name: str, made: dict[Needs, Any] | DataError) -> None:
        names, pairs = _pairs(recording, seen, name)
        if isinstance(made, DataError):
            self._failures += [LayerFailure.of(one, "", made) for one in names]
            return
        if self._cache is not None:
            for needs, gram in made.items():
                if isinstance(gram, Gram):
                    self._cache.put_products(self.work.products_key(name, recording.stimuli, needs), gram)
        groups: dict[Any, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
        for pair in pairs:
            groups[pair.benchmark.group][pair.benchmark.benchmark_id].append(pair)
        for group in groups.values():
            alike = list(group.values())
            self._score(alike, made[alike[0][0].benchmark.needs])
        self._advance(name)

    def _score(self, group: Sequence[Sequence[Pair]], features: Any) -> None:
        """Score one layer on each benchmark of a group; layers that are the same tensor get the same score."""
        options = self._options
        with self._timed("metrics"):
            results = score_together(
                [alike[0].benchmark for alike in group],
                features,
                device=options.array_device,
                resamples=options.resamples,
                seed=options.seed,
            )
        n_features = features.n_features if isinstance(features, Gram) else features.shape[1]
        for pair, result in ((one, result) for alike, result in zip(group, results, strict=True) for one in alike):
            layer, benchmark = pair.layer, pair.benchmark.benchmark_id
            if isinstance(result, DataError):
                self._failures.append(LayerFailure.of(layer, benchmark, result))
                continue
            score = self._scores[layer, benchmark] = LayerScore.of(layer, n_features, result)
            if self._cache is not None:
                self._cache.put_score(self.work.score_key(pair), score)

    def _result(self) -> ModelScores:
        options, work = self._options, self.work
        keys = [(pair.layer, pair.benchmark.benchmark_id) for pair in work.pairs]
        order = {layer: number for number, layer in enumerate(dict.fromkeys(pair.layer for pair in work.pairs))}
        return ModelScores(
            scores=tuple(self._scores[key] for key in keys if key in self._scores),
            # Layers that are done at one time fail in any order.
            failures=tuple(sorted(self._failures, key=lambda one: order.get(one.layer, -1))),
            provenance={
                "run_id": work.run_id,
                "weights_digest": work.weights,
                "preprocessing": work.preprocessing.name,
                "image_size": work.preprocessing.image_size,
                "preprocessing_digest": work.preprocessing.digest(),
                "projection": options.projection,
                "device": options.device,
                "batch_size": options.batch_size,
            },
            data_digests={pair.benchmark.row_id: work.data_digests[pair.benchmark.benchmark_id] for pair in work.pairs},
            usage=Usage(
                n_forward=self._n_forward,
                n_probe=self._n_probe,
                n_cached=self.n_cached,
                seconds=dict(self._seconds),
                peak_memory=peak_memory(),
                scratch=self._scratch,
            ),
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] += time.perf_counter() - start


def _pairs(recording: Recording, seen: Probe, name: str) -> tuple[list[str], list[Pair]]:
    """Return a layer with those that are the same tensor, and what is to be scored of them."""
    names = [name, *(other for other, layer in seen.layers.items() if layer.same_as == name)]
    return names, [pair for pair in recording.pairs if pair.layer in names]
