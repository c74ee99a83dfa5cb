"""Train a network on, for its task and for recordings at once, and say what that gained and cost.

    loss = task_weight * cross-entropy + neural_weight * sum over subjects and regions of the neural loss

The neural loss is between responses and what frozen ridge readouts predict from the layers that were committed before
tuning. Normalisation layers keep the statistics that the readouts were fitted with. Every batch is a function of seed
and step, so that a run that was stopped ends with the same bits on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from vvscale.brain.activations.hooks import hooks
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.keys import weights_digest
from vvscale.brain.scoring.session import score_layers
from vvscale.core.files import write_json
from vvscale.core.hashing import digest_of
from vvscale.core.jsonable import Result
from vvscale.errors import ConfigError, DivergedError, StoppedError, UsageError
from vvscale.train.compute.schedule import cosine
from vvscale.train.compute.state import load_state, save_state
from vvscale.train.neural.decoders import (
    Decoder,
    NeuralTarget,
    features_of,
    layers_of,
    linear_cka,
    targets_of,
)
from vvscale.train.neural.digests import refuse_trained_images
from vvscale.train.neural.lora import adapt, merge
from vvscale.train.neural.options import FineTuneOptions
from vvscale.train.neural.task import Task
from vvscale.train.neural.transfer import BESIDE

_RESAMPLES = 100


@dataclass(frozen=True, eq=False)
class FineTuned(Result):
    """What fine-tuning gave.

    Attributes
    ----------
    network
        After tuning, in evaluation mode.
    rows
        One row per benchmark: score before and after, gain, accuracy before and after, and how it was tuned.
    n_updates, n_images
        Updates of the weights, and training images of the recordings that were used.
    """

    network: nn.Module = field(repr=False)
    rows: pd.DataFrame
    n_updates: int
    n_images: int

    def table(self) -> pd.DataFrame:
        """Return the rows."""
        return self.rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"n_updates": self.n_updates, "n_images": self.n_images, "rows": self.rows.to_dict("records")}


def fine_tune(
    network: nn.Module,
    *,
    source: Sequence[NeuralBenchmark],
    layers: Mapping[str, str],
    preprocessing: Preprocessing,
    out: str | Path,
    task: Task | None = None,
    test: Sequence[NeuralBenchmark] = (),
    options: FineTuneOptions | None = None,
    **fields: Any,
) -> FineTuned:
    """Fine-tune a network on recordings; rerun to resume.

    Parameters
    ----------
    network
        Trained; it is changed in place.
    source
        Benchmarks of one stimulus set with fixed test images, whose training images are tuned on.
    layers
        Region or benchmark_id -> layer.
    preprocessing
        From stimuli to the network's input.
    out
        Folder of the state and the result.
    task
        What the network was trained for; without it the loss of the task is left out and no accuracy is known.
    test
        Further benchmarks to score before and after: of other recordings, for transfer.
    options, fields
        A :class:`FineTuneOptions`, its fields as keywords, or both.

    Returns
    -------
    FineTuned
        With fresh readouts for every score, fitted after tuning on the training images alone.

    Raises
    ------
    UsageError, ConfigError
        No recordings, test images that are not fixed, or no layer for a region.
    DataError
        A test image is among the training images.
    DivergedError
        The loss became NaN or infinite.
    """
    committed = layers_of([*source, *test], layers)
    refuse_trained_images(source, test)
    tuning = _Tuning(network, source, committed, preprocessing, Path(out), task, FineTuneOptions.of(options, **fields))
    before = _scores(network, [*source, *test], committed, preprocessing)
    accuracy_before = None if task is None else task.accuracy(network)
    tuning.run()
    network.eval()
    after = _scores(network, [*source, *test], committed, preprocessing)
    accuracy_after = None if task is None else task.accuracy(network)
    rows = pd.DataFrame(
        {
            "benchmark_id": before["benchmark_id"],
            "region": before["region"],
            "layer": before["layer"],
            "is_source": [one.benchmark_id in {s.benchmark_id for s in source} for one in [*source, *test]],
            "score_before": before["score"],
            "score": after["score"],
            "gain": after["score"] - before["score"],
        }
    )
    for name, value in (
        ("accuracy_before", accuracy_before), ("accuracy", accuracy_after), *tuning.columns().items(),
        ("seed", tuning.options.seed),
    ):  # fmt: skip
        rows[name] = value
    found = FineTuned(network, rows, tuning.n_updates, tuning.n_images)
    write_json(Path(out) / "result.json", found.to_dict())
    return found


def tune(
    network: nn.Module,
    *,
    source: Sequence[NeuralBenchmark],
    layers: Mapping[str, str],
    preprocessing: Preprocessing,
    out: str | Path,
    task: Task | None = None,
    stop: Callable[[], bool] = lambda: False,
    options: FineTuneOptions | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Fine-tune a network and score nothing; rerun to resume.

    Parameters
    ----------
    network, source, layers, preprocessing, out, task, options, fields
        As of :func:`fine_tune`.
    stop
        True once the state should be saved and ``StoppedError`` raised.

    Returns
    -------
    dict
        Columns of the score table that say how it was tuned.
    """
    committed = layers_of(source, layers)
    tuning = _Tuning(network, source, committed, preprocessing, Path(out), task, FineTuneOptions.of(options, **fields))
    tuning.run(stop)
    network.eval()
    return tuning.columns()


class _Tuning:
    """The loop, its state, and what each batch is."""

    def __init__(
        self, network: nn.Module, source: Sequence[NeuralBenchmark], layers: Mapping[str, str],
        preprocessing: Preprocessing, out: Path, task: Task | None, options: FineTuneOptions,
    ) -> None:  # fmt: skip
        if not source:
            raise UsageError("No recordings were given to tune to.")
        if len({id(one.stimuli) for one in source}) > 1:
            raise UsageError("The recordings to tune to must share one stimulus set; tune to one set at a time.")
        targets = [one for bench in source for one in targets_of(bench, layers[bench.benchmark_id])]
        refuse_trained_images(source, source)
        given = [weights_digest(network), *(one.data_digest() for one in source), preprocessing.digest()]
        self._network, self._stimuli, self._preprocessing = network, source[0].stimuli, preprocessing
        self._source = source
        self._task, self.options, self._out = task, options, out
        self._targets = targets
        self._device = next(network.parameters()).device
        # The images that any subject saw, of which a nested part is used.
        images = np.unique(np.concatenate([one.rows for one in targets]))
        order = np.random.default_rng(options.seed).permutation(len(images))
        self.n_images = int(len(images) * options.fraction / 100)
        if self.n_images < 2:
            raise ConfigError(
                f"`fraction` {options.fraction:g} percent of {len(images)} training images is {self.n_images}; "
                "expected at least 2."
            )
        self._images = np.sort(images[order[: self.n_images]])
        self._per_epoch = math.ceil(self.n_images / options.neural_batch)
        self.n_updates = options.updates or options.epochs * self._per_epoch
        self._digest = digest_of(
            [
                {**options.to_dict(), "save_seconds": 0},
                [[one.name, one.layer] for one in targets],
                self.n_updates,
                *given,
            ]
        )

    def columns(self) -> dict[str, Any]:
        """Return columns of the score table that say how the network is tuned."""
        options = self.options
        return {
            "finetune": options.neural_loss,
            "finetune_on": BESIDE.join(one.benchmark_id for one in self._source),
            "finetune_control": options.control,
            "finetune_fraction": options.fraction,
            "finetune_updates": self.n_updates,
            "finetune_samples": self.n_images,
            "lora_rank": options.lora_rank,
        }

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Tune, or resume; the network then has plain weights."""
        options = self.options
        self._decoders = self._fit_decoders()
        self._responses = [self._by_row(one) for one in self._targets]
        parameters = (
            adapt(self._network, options.lora_rank, options.lora_alpha)
            if options.lora_rank
            else [one for one in self._network.parameters() if one.requires_grad]
        )
        optimizer = torch.optim.AdamW(parameters, lr=options.lr, betas=(0.9, 0.999), weight_decay=options.weight_decay)
        first, saved = self._restore(optimizer), time.monotonic()
        self._network.train()
        for module in self._network.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.eval()
        tasks = None if self._task is None else self._task.batches(first)
        for step in range(first, self.n_updates):
            torch.manual_seed((options.seed << 32) + step)
            for group in optimizer.param_groups:
                group["lr"] = self._rate(step)
            loss = self._loss(step, tasks)
            if not torch.isfinite(loss):
                raise DivergedError(
                    f"The loss of fine-tuning became {loss.item()} at update {step}. Lower `lr` or `neural_weight`."
                )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if time.monotonic() - saved >= options.save_seconds or step + 1 == self.n_updates:
                self._save(step + 1, optimizer)
                saved = time.monotonic()
            elif stop():
                self._save(step + 1, optimizer)
                raise StoppedError("Stopped as asked; rerun to resume.")
        merge(self._network)

    def _loss(self, step: int, tasks: Iterator[tuple[torch.Tensor, torch.Tensor]] | None) -> torch.Tensor:
        options = self.options
        loss = torch.zeros((), device=self._device)
        is_joint = options.batches == "joint"
        if tasks is not None and options.task_weight and (is_joint or step % 2 == 0):
            images, labels = next(tasks)
            loss = loss + options.task_weight * F.cross_entropy(self._network(images), labels)
        if options.neural_weight and (is_joint or tasks is None or step % 2 == 1):
            loss = loss + options.neural_weight * self._neural_loss(step)
        return loss

    def _neural_loss(self, step: int) -> torch.Tensor:
        rows = self._batch(step)
        images = torch.as_tensor(self._preprocessing.batch(self._stimuli, rows)).to(self._device)
        seen: dict[str, torch.Tensor] = {}
        layers = list(dict.fromkeys(one.layer for one in self._targets))
        # Copied when seen: the next layer may write over it in place.
        with hooks(self._network, layers, lambda layer, output: seen.update({layer: output.flatten(1).clone()})):
            self._network(images)
        total = torch.zeros((), device=self._device)
        for target, decoder, table in zip(self._targets, self._decoders, self._responses, strict=True):
            responses = table[torch.as_tensor(rows)]
            known = ~torch.isnan(responses).any(1)  # a subject may not have seen every image of a batch
            if known.sum() < 2:
                continue
            features, responses = seen[target.layer][known], responses[known]
            if self.options.neural_loss == "mse":
                total = total + F.mse_loss(decoder(features), responses)
                continue
            away = 1 - linear_cka(features, responses)
            total = total + (torch.log(away + 1e-8) if self.options.neural_loss == "log-cka" else away)
        return total

    def _batch(self, step: int) -> np.ndarray:
        """Return the rows of a batch: the next of a fresh order of the images for each pass."""
        epoch, number = divmod(step, self._per_epoch)
        order = np.random.default_rng((self.options.seed, epoch)).permutation(self.n_images)
        size = self.options.neural_batch
        return self._images[order[number * size : (number + 1) * size]]

    def _rate(self, step: int) -> float:
        options = self.options
        warmup = min(round(options.warmup_epochs * self._per_epoch), self.n_updates // 2)
        if step < warmup:
            return options.lr * (step + 1) / warmup
        done = (step - warmup) / max(self.n_updates - warmup, 1)
        return cosine(options.lr, options.lr_min, done)

    def _fit_decoders(self) -> list[Decoder]:
        """Fit the readouts on all training images that are used, before anything is tuned."""
        layers = list(dict.fromkeys(one.layer for one in self._targets))
        found = []
        if self.options.neural_loss != "mse":
            return [Decoder(np.zeros((1, 1)), np.zeros(1)) for _ in self._targets]
        features = features_of(self._network, layers, self._stimuli, self._images, self._preprocessing)
        for target in self._targets:
            is_used = np.isin(target.rows, self._images)
            rows = np.searchsorted(self._images, target.rows[is_used])
            found.append(Decoder.fitted(features[target.layer][rows], target.responses[is_used]).to(self._device))
        return found

    def _by_row(self, target: NeuralTarget) -> torch.Tensor:
        """Return (n_stimuli, q) responses by row of the stimulus set, NaN where there are none."""
        responses = target.responses
        if self.options.control == "shuffled":
            responses = responses[np.random.default_rng((self.options.seed, 1)).permutation(len(responses))]
        table = np.full((len(self._stimuli), responses.shape[1]), np.nan, dtype=np.float32)
        table[target.rows] = responses
        return torch.as_tensor(table, device=self._device)

    def _save(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        state = {"network": self._network.state_dict(), "optimizer": optimizer.state_dict()}
        save_state(self._out, self._digest, {"step": step, **state})

    def _restore(self, optimizer: torch.optim.Optimizer) -> int:
        state = load_state(self._out, self._digest, self._device, what="fine-tuning")
        if state is None:
            return 0
        self._network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def _scores(
    network: nn.Module, benchmarks: Sequence[NeuralBenchmark], layers: Mapping[str, str], preprocessing: Preprocessing
) -> pd.DataFrame:
    """Score the committed layers with fresh readouts, in the order of the benchmarks."""
    tables = [
        score_layers(
            network, benchmarks=[one], layers=[layers[one.benchmark_id]], preprocessing=preprocessing,
            resamples=_RESAMPLES,
        ).table()
        for one in benchmarks
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)
