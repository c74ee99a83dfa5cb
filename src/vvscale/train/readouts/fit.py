"""Train a readout on the tokens of a layer and score it on the benchmark's own test images; rerun to resume."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vvscale.brain.activations.hooks import evaluating, hooks
from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.ceilings.score import Score
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import row_order
from vvscale.brain.metrics.centring import zscored
from vvscale.brain.metrics.outcome import judge
from vvscale.core.hashing import digest_of
from vvscale.core.options import SEED
from vvscale.errors import DivergedError, UsageError
from vvscale.train.compute.state import load_state, save_state
from vvscale.train.readouts.models import TokenReadout, linear_params, tokens_of
from vvscale.train.readouts.options import ReadoutOptions

# Shape legend: N images of the stimulus set, T tokens, C channels, u units.

_BATCH_FORWARD = 64


@dataclass(frozen=True, eq=False)
class ReadoutScore:
    """A trained readout and its score.

    Attributes
    ----------
    readout
        In evaluation mode.
    score
        On the test images, by the benchmark's formula.
    n_params, n_params_linear
        Parameters of the readout, and of a linear one of all features.
    row
        Columns of the score table.
    """

    readout: TokenReadout = field(repr=False)
    score: Score
    n_params: int
    n_params_linear: int
    row: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the row."""
        return dict(self.row)


def record_tokens(
    network: nn.Module, layer: str, benchmark: NeuralBenchmark, preprocessing: Preprocessing, device: str = "cpu"
) -> torch.Tensor:
    """Return (N, T, C) float16 tokens of a layer for all images of a benchmark's stimulus set, on the CPU."""
    held: list[torch.Tensor] = []
    network.to(device)
    with (
        evaluating(network),
        hooks(network, [layer], lambda _, output: held.append(tokens_of(output.detach()).to("cpu", torch.float16))),
        torch.no_grad(),
    ):
        for start in range(0, len(benchmark.stimuli), _BATCH_FORWARD):
            rows = range(start, min(start + _BATCH_FORWARD, len(benchmark.stimuli)))
            network(torch.as_tensor(preprocessing.batch(benchmark.stimuli, rows)).to(device))
    return torch.cat(held)


def train_readout(
    tokens: torch.Tensor,
    benchmark: NeuralBenchmark,
    *,
    out: str | Path,
    layer: str = "",
    device: str = "cpu",
    options: ReadoutOptions | None = None,
    **fields: Any,
) -> ReadoutScore:
    """Train a readout for all subjects of a benchmark and score it.

    Parameters
    ----------
    tokens
        (N, T, C) of the benchmark's stimuli in their order, such as :func:`record_tokens` gives.
    benchmark
        With fixed test images; one assembly per subject.
    out
        Folder of the state.
    layer
        Name of the layer, for the row.
    device
        Where to train.
    options, fields
        A :class:`ReadoutOptions`, its fields as keywords, or both.

    Raises
    ------
    UsageError, ConfigError
        The test images are not fixed, a subject has no units, or the folder holds another readout.
    DivergedError
        The loss became NaN or infinite.
    """
    options = ReadoutOptions.of(options, **fields).for_set(benchmark.benchmark_id.split(".")[0])
    assert options.dropout is not None
    if not isinstance(benchmark.design, TrainTest):
        raise UsageError(f"'{benchmark.benchmark_id}' has no fixed test images; use design='train-test'.")
    subjects = {part.subjects[0].assembly_id: part for part in benchmark.parts}
    units = {name: part.target.responses.shape[1] for name, part in subjects.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        readout = TokenReadout(
            options.kind, tokens.shape[2], units, dropout=options.dropout, width=options.width,  # type: ignore[arg-type]
            n_queries=options.n_queries, n_heads=options.n_heads,
        ).to(device)  # fmt: skip
        rows = {
            name: row_order(benchmark.stimuli.stimulus_id, part.images, "The stimuli")
            for name, part in subjects.items()
        }
        trained = {
            name: (rows[name][part.target.is_train[0]], zscored(part.target.responses[part.target.is_train[0]]))
            for name, part in subjects.items()
        }
        _train(readout, tokens, trained, options, Path(out), device, benchmark.data_digest())
    outcomes = []
    for name, part in subjects.items():
        rest = rows[name][~part.target.is_train[0]]
        outcomes.append(judge([_predict(readout, tokens, rest, name, device)], part.target, aggregate="mean"))
    score = benchmark.judged(outcomes, [part.ceiling for part in benchmark.parts], resamples=1000, seed=SEED).score
    n_features = tokens.shape[1] * tokens.shape[2]
    row = {
        "benchmark_id": benchmark.benchmark_id, "region": benchmark.region, "layer": layer, "score": score.score,
        "score_low": score.low, "score_high": score.high, "raw_score": score.raw_score, "ceiling": score.ceiling,
        "score_formula": score.formula, "readout": options.kind, "n_readout_params": readout.n_params,
        "n_linear_params": linear_params(n_features, units), "seed": options.seed,
    }  # fmt: skip
    return ReadoutScore(readout, score, readout.n_params, linear_params(n_features, units), row)


def _train(
    readout: TokenReadout, tokens: torch.Tensor, trained: Mapping[str, tuple[np.ndarray, np.ndarray]],
    options: ReadoutOptions, out: Path, device: str, data_digest: str,
) -> None:  # fmt: skip
    """Train epoch by epoch: subjects in random order, all batches of one subject before the next."""
    epochs, lr = options.epochs, options.lr
    assert epochs is not None
    assert lr is not None
    optimizer = torch.optim.AdamW(readout.parameters(), lr=lr, weight_decay=options.weight_decay)
    shown = hashlib.sha256(tokens.numpy(force=True).tobytes()).hexdigest()
    digest = digest_of(
        [{**options.to_dict(), "save_seconds": 0}, list(trained), list(tokens.shape), shown, data_digest]
    )
    first, saved = _restore(out, digest, readout, optimizer, device), time.monotonic()
    names = list(trained)
    for epoch in range(first, epochs):
        readout.train()
        torch.manual_seed((options.seed << 20) + epoch)
        rng = np.random.default_rng((options.seed, epoch))
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * lr * (1 + math.cos(math.pi * epoch / epochs))
        for number in rng.permutation(len(names)):
            rows, responses = trained[names[number]]
            order = rng.permutation(len(rows))
            for start in range(0, len(order), options.batch_size):
                chosen = order[start : start + options.batch_size]
                images = tokens[torch.as_tensor(rows[chosen])].to(device, torch.float32)
                wanted = torch.as_tensor(responses[chosen], dtype=torch.float32, device=device)
                with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=device.startswith("cuda")):
                    predicted = readout(images, names[number])
                loss = F.mse_loss(predicted.float(), wanted)
                if not torch.isfinite(loss):
                    raise DivergedError(f"The loss of a readout became {loss.item()} in epoch {epoch}. Lower `lr`.")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(readout.parameters(), options.clip_norm)
                optimizer.step()
        if time.monotonic() - saved >= options.save_seconds or epoch + 1 == epochs:
            state = {"readout": readout.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(out, digest, {"epoch": epoch + 1, **state})
            saved = time.monotonic()
    readout.eval()


def _restore(out: Path, digest: str, readout: nn.Module, optimizer: torch.optim.Optimizer, device: str) -> int:
    state = load_state(out, digest, device, what="readout")
    if state is None:
        return 0
    readout.load_state_dict(state["readout"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])


def _predict(readout: TokenReadout, tokens: torch.Tensor, rows: np.ndarray, subject: str, device: str) -> np.ndarray:
    readout.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), _BATCH_FORWARD):
            images = tokens[torch.as_tensor(rows[start : start + _BATCH_FORWARD])].to(device, torch.float32)
            parts.append(readout(images, subject).double().cpu().numpy())
    return np.concatenate(parts)
