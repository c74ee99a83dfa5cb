"""Alignment while a network is trained: each evaluation is scored on benchmarks, and the rows kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.brain import resolve_benchmarks, score_layers
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.errors import ConfigError
from vvscale.scores import ScoreStore

if TYPE_CHECKING:
    from torch import nn

    from vvscale.train.progress import Progress


class Scorer:
    """A watcher that scores the network at evaluations and appends the rows to a store.

    The best layer of each region is what goes into the log; all layers go into the store.

    Parameters
    ----------
    on
        Benchmarks, as :func:`vvscale.brain.resolve_benchmarks` takes them.
    every
        At every so many-th evaluation, and at the last.
    store
        Folder of the score store.
    device
        As in :func:`vvscale.train.train`.
    layers
        As :func:`vvscale.brain.score_layers` takes them.
    resamples
        Resamples for the intervals of each score.

    Raises
    ------
    ConfigError
        ``every`` is below 1.
    """

    def __init__(
        self,
        on: Sequence[str],
        *,
        every: int = 1,
        store: str | Path,
        device: str = "cpu",
        layers: str | Sequence[str] = "all",
        resamples: int = 200,
    ) -> None:
        if every < 1:
            raise ConfigError(f"`every` is {every}; expected 1 for every evaluation, or more.")
        # Loaded now: a name that is wrong should not be found out after the first epochs.
        self._benchmarks = resolve_benchmarks(tuple(on))
        self._every, self._store, self._layers = every, ScoreStore(store), layers
        self._device = "cuda" if device.startswith("cuda") else "cpu"
        self._resamples = resamples

    def on_step(self, progress: Progress) -> None:
        """Do nothing: evaluations are enough."""

    def on_evaluation(self, line: dict[str, Any], network: nn.Module, record: dict[str, Any]) -> dict[str, Any]:
        """Score the network and return the best score of each region."""
        # By the position in the whole run, which does not depend on where it was stopped.
        if line["evaluation"] % self._every and line["evaluation"] < line["n_evaluations"]:
            return {}
        scores = score_layers(
            network,
            benchmarks=self._benchmarks,
            layers=self._layers,
            preprocessing=Preprocessing.from_record("brainscore", record["preprocessing"]),
            device=self._device,
            resamples=self._resamples,
        )
        self._store.append(scores.rows(record["row"], epoch=record["epoch"]))
        table = scores.table()
        best = table.groupby("region")["score"].max()
        return {f"score_{region}": float(score) for region, score in best.items()}
