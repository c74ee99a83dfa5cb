"""What scoring a model gives: per layer and benchmark a score, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import vvscale
from vvscale.brain.benchmarks.benchmark import BenchmarkResult
from vvscale.brain.ceilings.score import Score
from vvscale.brain.scoring.layers import LayerCommitment, select_layers
from vvscale.core.jsonable import jsonable
from vvscale.errors import ConfigError


@dataclass(frozen=True, eq=False)
class LayerScore:
    """One layer on one benchmark.

    Attributes
    ----------
    layer, n_features
        Name, and numbers per image that were regressed on.
    benchmark_id, version, region, is_simulated
        Of the benchmark.
    score
        Raw and ceiled, with intervals and the formula.
    r
        (n_splits, n_neuroids) correlations, or (n_repetitions, 1) of behaviour; NaN where there is none.
    mapping
        Which part of the recordings the mapping was fitted on, as columns of rows; empty for all of them.
    """

    layer: str
    n_features: int
    benchmark_id: str
    version: int
    region: str
    is_simulated: bool
    score: Score
    r: np.ndarray = field(repr=False)
    mapping: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, layer: str, n_features: int, result: BenchmarkResult) -> LayerScore:
        """Keep what a benchmark said about a layer, without the predictions."""
        r = np.asarray(result.detail.r, dtype=np.float64)
        return cls(
            layer,
            n_features,
            result.benchmark_id,
            result.version,
            result.region,
            result.is_simulated,
            result.score,
            r.reshape(len(r), -1),
            dict(result.mapping),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; NaN becomes None."""
        return jsonable({**self._head(), "mapping": self.mapping, "score": self.score.to_dict(), "r": self.r})

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> LayerScore:
        """Read what :meth:`to_dict` gives, exactly."""
        score: dict[str, Any] = {name: np.nan if value is None else value for name, value in held["score"].items()}
        r = np.array([[np.nan if value is None else value for value in row] for row in held["r"]], dtype=np.float64)
        return cls(**{**held, "score": Score(**score), "r": r})

    def row(self) -> dict[str, Any]:
        """Return one flat row in the words of the score table."""
        head = self._head()
        version = head.pop("version")
        return {
            **head,
            **self.mapping,
            "benchmark_version": version,
            "score": self.score.score,
            "score_low": self.score.low,
            "score_high": self.score.high,
            "raw_score": self.score.raw_score,
            "raw_error": self.score.raw_error,
            "ceiling": self.score.ceiling,
            "score_formula": self.score.formula,
            "ceiling_rule": self.score.rule or None,
            "metric_note": self.score.note or None,
        }

    def _head(self) -> dict[str, Any]:
        names = ("layer", "n_features", "benchmark_id", "version", "region", "is_simulated")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class LayerFailure:
    """A layer without a score.

    Attributes
    ----------
    layer, benchmark_id
        Which; the benchmark is "" where the layer cannot be scored on any.
    reason
        What failed, in one paragraph.
    """

    layer: str
    benchmark_id: str
    reason: str

    @classmethod
    def of(cls, layer: str, benchmark_id: str, error: Exception) -> LayerFailure:
        """Say why a layer has no score on a benchmark, or on any."""
        on = f" on '{benchmark_id}'" if benchmark_id else ""
        return cls(layer, benchmark_id, f"Layer '{layer}'{on}: {error}")


@dataclass(frozen=True)
class Usage:
    """What scoring took.

    Attributes
    ----------
    n_forward, n_probe
        Images that went through the model: to be recorded, and before that to see shapes.
    n_cached
        Scores that were taken from the cache.
    seconds
        Wall time by stage: decode (waiting for images), forward, products, metrics, total.
    peak_memory, scratch
        Bytes: largest resident size of the process so far, and largest amount of scratch files at one time.
    """

    n_forward: int
    n_probe: int
    n_cached: int
    seconds: Mapping[str, float]
    peak_memory: int
    scratch: int


@dataclass(frozen=True, eq=False)
class ModelScores:
    """A model's scores, layer by layer.

    Attributes
    ----------
    scores
        One entry per layer and benchmark.
    failures
        Layers that have no score, with reasons.
    provenance
        What the scores were made with: weights_digest, preprocessing, preprocessing_digest, projection, device,
        batch_size, run_id.
    data_digests
        benchmark_id -> SHA-256 of its data.
    usage
        What it took.
    record
        Of the model, where known: ``row``, its columns of the score table, and ``epoch``.
    """

    scores: tuple[LayerScore, ...]
    failures: tuple[LayerFailure, ...]
    provenance: Mapping[str, Any]
    data_digests: Mapping[str, str] = field(repr=False)
    usage: Usage = field(repr=False)
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def table(self) -> pd.DataFrame:
        """Return one row per layer and benchmark, in the order of the benchmarks and of the model's layers."""
        return pd.DataFrame([one.row() for one in self.scores])

    def rows(self, record_row: Mapping[str, Any] | None = None, *, epoch: int | None = None) -> pd.DataFrame:
        """Return rows for the score table.

        Parameters
        ----------
        record_row
            Columns that belong to the model, at least model_id; by default those of the record.
        epoch
            Epoch of the weights; by default that of the record, where known.

        Raises
        ------
        ConfigError
            There is no model_id.
        """
        if record_row is None and epoch is None:
            epoch = self.record.get("epoch")
        row: Mapping[str, Any] = self.record.get("row", {}) if record_row is None else record_row
        if not row.get("model_id"):
            raise ConfigError("The model has no model_id; every row needs one. Name it with `name`, or in the record.")
        rows = self.table()
        for number, (name, value) in enumerate(row.items()):
            rows.insert(number, name, value)
        if epoch is not None:
            rows["epoch"] = epoch
        rows["data_digest"] = rows["benchmark_id"].map(self.data_digests)
        rows["code_version"] = vvscale.__version__
        for name in ("run_id", "weights_digest", "preprocessing", "preprocessing_digest", "projection"):
            rows[name] = self.provenance[name]
        return rows

    def best(self, *, model: str = "", needs_all: bool = True) -> LayerCommitment:
        """Commit the best layer to each region, by :func:`vvscale.brain.select_layers`; of a mapping curve its end."""
        return select_layers(whole_rows(self.table()), model=model, needs_all=needs_all)

    def neuroids(self, layer: str, benchmark_id: str) -> np.ndarray:
        """Return the (n_splits, n_neuroids) correlations of a layer on a benchmark."""
        found = next((one for one in self.scores if (one.layer, one.benchmark_id) == (layer, benchmark_id)), None)
        if found is None:
            raise ConfigError(f"Layer '{layer}' has no score on '{benchmark_id}' here.")
        return found.r

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "scores": [jsonable(one.row()) for one in self.scores],
            "failures": [vars(one) for one in self.failures],
            "provenance": dict(self.provenance),
            "data_digests": dict(self.data_digests),
            "usage": {**vars(self.usage), "seconds": dict(self.usage.seconds)},
        }

    def _repr_html_(self) -> str:
        caption = f"{len(self.scores)} scores, {len(self.failures)} layers without"
        return f"<p>{caption}</p>{self.table().to_html(max_rows=20)}"


def whole_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were fitted on the most images of each benchmark; of a table without mappings all.

    Examples
    --------
    >>> table = pd.DataFrame({"benchmark_id": ["a", "a", "b"], "mapping_samples": [10, 100, 50]})
    >>> whole_rows(table)["mapping_samples"].tolist()
    [100, 50]
    """
    if "mapping_samples" not in table:
        return table
    is_part = pd.Series(False, index=table.index)
    for name in ("mapping_neuroids", "mapping_repetitions"):
        if name in table:
            is_part |= table[name].notna()
    rest = table if is_part.all() else table[~is_part]
    most = rest.groupby("benchmark_id")["mapping_samples"].transform("max")
    return rest[(rest["mapping_samples"] == most) | rest["mapping_samples"].isna()]
