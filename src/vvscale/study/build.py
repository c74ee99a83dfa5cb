"""From a resolved study to its graph.

train -> (layers) -> (fine-tune) -> score -> table -> fit -> (forecast) -> figures -> report. One task scores a network
with mappings of all sizes, since they come out of one pass over the images.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from vvscale.core.config import from_table
from vvscale.core.hashing import code_digest
from vvscale.core.userfile import is_user_file, split_ref
from vvscale.errors import ConfigError
from vvscale.study.estimate import Cost, Rates
from vvscale.study.graph.graph import Graph
from vvscale.study.spec.axes import SEEDS_PER_MASTER, Run, matches
from vvscale.study.spec.resolve import Resolved, forecast_run, n_images_of
from vvscale.study.spec.schema import DiagnosticsSpec, ForecastSpec
from vvscale.study.tasks.registry import versions
from vvscale.study.tasks.rows import ACCURACY_ERROR
from vvscale.train.neural.options import UNTUNED

_NOOP_SECONDS = 0.002


def build_graph(resolved: Resolved, rates: Rates) -> Graph:
    """Return all tasks of a study; the rates give the expected durations, which order the work."""
    if resolved.spec.diagnostics is not None:
        return diagnostic_graph(resolved.spec.diagnostics)
    return _Study(resolved, rates).graph()


def diagnostic_graph(spec: DiagnosticsSpec) -> Graph:
    """Return a graph of tasks that do nothing of use."""
    graph = Graph(versions())
    ends = []
    for number in range(spec.chains):
        if spec.seconds:
            params = {"value": number, "seconds": spec.seconds}
            first = graph.add("sleep", params, label=f"sleep {number}", seconds=spec.seconds)
        else:
            first = graph.add("noop", {"value": number}, label=f"noop {number}", seconds=_NOOP_SECONDS)
        label = f"noop after {number}"
        ends.append(graph.add("noop", {"value": 1}, inputs={"of": first}, label=label, seconds=_NOOP_SECONDS))
    if spec.ranks:
        ends.append(graph.add("ranks", {}, label="ranks", seconds=10.0))
    graph.add("collect", {}, inputs={"values": tuple(ends)}, label="collect", publish={"values.json": "values.json"})
    return graph


def run_cost(resolved: Resolved, run: Run) -> dict[str, float]:
    """Return what one training run costs: samples_seen, n_epochs, n_params, train_flop, n_kept weights."""
    from vvscale.train.compute.schedule import log_epochs
    from vvscale.train.recipe import Recipe

    info = resolved.datasets[run.dataset]
    recipe = from_table(Recipe, resolved.recipes[run.recipe, run.changes], f"the recipe '{run.recipe}'")
    of, length = resolved.cost(run), recipe.length(n_images_of(run, info))
    return {
        "samples_seen": float(length.samples_seen),
        "n_epochs": float(length.n_epochs),
        "n_params": of["n_params"],
        "train_flop": 3 * of["forward_flop"] * recipe.passes_per_image * length.samples_seen,
        "n_kept": float(len(log_epochs(length.n_epochs, recipe.checkpoints_per_decade)) + 1),
    }


class _Study:
    """Adds the tasks of one study to a graph."""

    def __init__(self, resolved: Resolved, rates: Rates) -> None:
        self._resolved = resolved
        self._spec = resolved.spec
        self._rates = rates
        self._graph = Graph(versions())
        self._codes: dict[str, str] = {}
        self._datasets = {name: {"name": name, "digest": info.digest} for name, info in resolved.datasets.items()}

        layers = self._spec.score.layers
        self._score_params = {
            "benchmarks": resolved.benchmarks,
            "layers": dict(layers) if isinstance(layers, Mapping) else layers,
            "options": dict(self._spec.score.options),
        }

    def graph(self) -> Graph:
        trained = {run: self._train(run) for run in self._resolved.runs}
        chosen = self._layers(trained) if self._spec.score.layers == "select" else {}
        checkpoints = () if self._spec.score.epochs == "last" else self._spec.score.epochs
        scored = []
        for network, sizes in self._networks().items():
            layers = chosen.get((network.arch, network.dataset))
            weights = {"train": trained[network.training]}
            if network.finetune != UNTUNED:
                weights = {"tuned": self._fine_tune(network, weights, layers)}
            epochs = [*checkpoints, None] if network.finetune == UNTUNED else [None]
            scored += [self._score(network, weights, layers, epoch, sizes) for epoch in epochs]
        scored += [self._score_model(model) for model in self._spec.score.models]
        store, publish = {"store": self._spec.report.store}, {"scores.parquet": "scores.parquet"}
        table = self._add("table", store, {"scores": tuple(scored)}, "score table", publish=publish)
        fits = [self._fit(dataclasses.asdict(law), table) for law in self._spec.laws]
        forecasts = [self._forecast(self._spec.forecast, table)] if self._spec.forecast else []
        self._show(table, fits, forecasts)
        return self._graph

    def _add(
        self,
        kind: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any],
        label: str,
        *,
        cost: Cost | None = None,
        publish: Mapping[str, str] | None = None,
    ) -> str:
        codes = {ref: self._code_of(ref) for ref in sorted(_user_files(params))}
        params = {**params, "code": codes} if codes else params
        return self._graph.add(kind, params, inputs=inputs, label=label, publish=publish, **(cost or {}))

    def _code_of(self, ref: str) -> str:
        """Return the digest of a user's file: when it changes, so does what it made."""
        if ref not in self._codes:
            path, _ = split_ref(ref)
            self._codes[ref] = code_digest(path) if path.is_file() else ""
        return self._codes[ref]

    def _train(self, run: Run) -> str:
        values = dataclasses.asdict(run)
        spec = {"model": values.pop("arch"), **{k: v for k, v in values.items() if k not in _NOT_OF_RUN}}
        params = {
            "run": spec,
            "dataset": self._datasets[run.dataset],
            "recipe": self._resolved.recipes[run.recipe, run.changes],
        }
        return self._add("train", params, {}, run.label, cost=self._rates.training(run_cost(self._resolved, run)))

    def _layers(self, trained: Mapping[Run, str]) -> dict[tuple[str, str], str]:
        """Add the selection of layers on one reference run per architecture and data set."""
        wanted = dict(self._spec.score.reference)
        candidates: dict[tuple[str, str], list[Run]] = {}
        for run in trained:
            candidates.setdefault((run.arch, run.dataset), []).append(run)
        chosen = {}
        for (arch, dataset), runs in candidates.items():
            fitting = [run for run in runs if matches(run, wanted)]
            if not fitting:
                raise ConfigError(
                    f"No run of {arch} on {dataset} is the reference {wanted} that selects layers. Correct 'reference' "
                    "of [score], or add that run to the axes."
                )
            # As in the study: all images, the first seed; without such a run the most images.
            reference = min(fitting, key=lambda run: (-(run.samples_per_class or math.inf), run.seed))
            params = {"benchmarks": self._resolved.select_on, "options": dict(self._spec.score.options), "model": arch}
            inputs, label = {"train": trained[reference]}, f"layers of {arch} on {dataset}"
            chosen[arch, dataset] = self._add("layers", params, inputs, label, cost=self._scoring(reference))
        return chosen

    def _networks(self) -> dict[Run, list[str]]:
        """Return each network that is scored, with the sizes of its mappings."""
        found: dict[Run, list[str]] = {}
        for point in self._resolved.points:
            sizes = found.setdefault(point.network, [])
            if point.mapping_samples is not None:
                sizes.append(str(point.mapping_samples))
        return found

    def _fine_tune(self, run: Run, weights: Mapping[str, str], chosen: str | None) -> str:
        way = self._spec.finetune[run.finetune]
        options = {key: value for key, value in dataclasses.asdict(way).items() if key not in ("on", "layers")}
        params = {
            "name": run.finetune,
            "on": self._resolved.tuned_to[run.finetune],
            "layers": way.layers or self._score_params["layers"],
            "fixed_test": self._spec.score.options.get("fixed_test"),
            "options": {**options, "seed": run.seed, "fraction": run.finetune_fraction},
            "arch": run.arch,
            "dataset": self._datasets[run.dataset],
        }
        inputs = {**weights, "layers": chosen} if chosen is not None and not way.layers else weights
        cost = self._rates.tuning(self._resolved.cost(run), options)
        return self._add("fine-tune", params, inputs, run.label, cost=cost)

    def _score(
        self, run: Run, weights: Mapping[str, str], chosen: str | None, epoch: int | None, sizes: list[str]
    ) -> str:
        params = {**self._score_params, "epoch": epoch}
        if sizes:
            params["options"] = {**params["options"], "mapping_samples": sizes}
        inputs = weights if chosen is None else {**weights, "layers": chosen}
        label = run.label if epoch is None else f"{run.label} epoch {epoch}"
        return self._add("score", params, inputs, label, cost=self._scoring(run))

    def _scoring(self, run: Run) -> Cost:
        return self._rates.scoring(self._resolved.cost(run)["forward_flop"])

    def _score_model(self, model: str) -> str:
        params = {**self._score_params, "epoch": None, "model": model}
        return self._add("score", params, {}, model, cost=self._rates.scoring(0.0))

    def _fit(self, law: dict[str, Any], table: str) -> str:
        name = law["name"]
        cost, publish = {"seconds": 2.0, "n_bytes": 1e6}, {".": f"fits/{name}"}
        return self._add("fit", {"law": law}, {"table": table}, f"law {name}", cost=cost, publish=publish)

    def _forecast(self, wanted: ForecastSpec, table: str) -> str:
        like = forecast_run(self._spec, self._resolved.runs)
        candidates = [{"arch": arch, **self._resolved.cost(like, arch)} for arch in wanted.arch]
        seeds = [seed + SEEDS_PER_MASTER * self._spec.seed for seed in wanted.seed]
        law = next(law for law in self._spec.laws if law.name == wanted.law)
        params = {
            "forecast": {**dataclasses.asdict(wanted), "seed": seeds},
            "law": dataclasses.asdict(law),
            "candidates": candidates,
            "run": {k: v for k, v in dataclasses.asdict(like).items() if k not in _NOT_OF_FORECAST},
            "dataset": self._datasets[like.dataset],
            "recipe": self._resolved.recipes[like.recipe, like.changes],
        }
        if law.y != ACCURACY_ERROR:
            if self._spec.score.layers == "select":
                raise ConfigError(
                    "[forecast] of alignment scores networks that the study does not select layers for. Give 'layers' "
                    'of [score] as a table or as "committed".'
                )
            params |= self._score_params
        cost = self._rates.training({
            "train_flop": wanted.budget * len(seeds),
            "samples_seen": wanted.budget * len(seeds) / (3 * candidates[0]["forward_flop"]),
            "n_epochs": float(len(seeds)),
            "n_params": max(one["n_params"] for one in candidates),
            "n_kept": float(len(seeds)),
        })  # fmt: skip
        publish = {"forecast.json": "forecast.json"}
        return self._add("forecast", params, {"table": table}, "forecast", cost=cost, publish=publish)

    def _show(self, table: str, fits: list[str], forecasts: list[str]) -> None:
        inputs: dict[str, Any] = {"table": table, "fits": tuple(fits), "forecasts": tuple(forecasts)}
        if self._spec.report.figures:
            names = {"names": list(self._spec.report.figures)}
            cost, publish = {"seconds": 20.0, "n_bytes": 1e7}, {".": "figures"}
            drawn = self._add("figures", names, {"table": table}, "figures", cost=cost, publish=publish)
            inputs = {**inputs, "figures": drawn}
        title = self._spec.report.title or self._spec.summary or self._spec.name
        cost, publish = {"seconds": 20.0, "n_bytes": 3e6}, {"report.html": "report.html"}
        self._add("report", {"title": title}, inputs, "report", cost=cost, publish=publish)


def _user_files(value: Any) -> set[str]:
    """Return all references to Python files of one's own in plain values."""
    if isinstance(value, str):
        return {value} if is_user_file(value) else set()
    if isinstance(value, Mapping):
        return set().union(*map(_user_files, value.values()))
    return set().union(*map(_user_files, value)) if isinstance(value, (list, tuple)) else set()


_NOT_OF_RUN = {"dataset", "recipe", "changes", "finetune", "finetune_fraction", "mapping_samples"}
_NOT_OF_FORECAST = {*_NOT_OF_RUN, "arch", "samples_per_class", "seed"}
