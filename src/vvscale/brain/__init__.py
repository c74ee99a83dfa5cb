"""Scores of vision models against recordings from the primate ventral stream and human choices.

The metrics here take arrays: features of a layer, responses, choices. They reproduce the numbers of
Brain-Score, named in each function's Source, from inner products of images, which makes them fast enough for
every layer of every model.

Importing this package loads no submodule; the public names below are resolved on first use. It must not
import training or laws.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vvscale.brain.activations.record import record
    from vvscale.brain.behavior.i2n import BehavioralConsistency, behavioral_consistency, i2n
    from vvscale.brain.behavior.readout import Readout, fit_readout, readout_probabilities
    from vvscale.brain.behavior.trials import Trials
    from vvscale.brain.benchmarks.assembly import Assembly, StimulusSet
    from vvscale.brain.benchmarks.benchmark import BehavioralBenchmark, BenchmarkResult, NeuralBenchmark
    from vvscale.brain.benchmarks.check import ContractReport, check_benchmark
    from vvscale.brain.catalogue import (
        BenchmarkInfo,
        benchmark_ids,
        list_benchmarks,
        load_benchmark,
        resolve_benchmarks,
    )
    from vvscale.brain.ceilings.ceiling import Ceiling, internal_consistency
    from vvscale.brain.ceilings.score import Score, behavioral_score, ceiled_score, neural_score
    from vvscale.brain.inputs.preprocess import Preprocessing
    from vvscale.brain.metrics.gram import Gram, GramAccumulator
    from vvscale.brain.metrics.pls import Predictivity, linear_predictivity
    from vvscale.brain.metrics.ridge import ridge_predictivity
    from vvscale.brain.metrics.rsa import representational_similarity
    from vvscale.brain.metrics.splits import stratified_splits
    from vvscale.brain.scoring.brainscore_adapter import brainscore_model
    from vvscale.brain.scoring.cache import ScoreCache
    from vvscale.brain.scoring.layers import (
        LayerCommitment,
        committed_layers,
        default_layers,
        read_commitment,
        select_layers,
    )
    from vvscale.brain.scoring.options import ScoringOptions
    from vvscale.brain.scoring.results import ModelScores
    from vvscale.brain.scoring.session import score_model
    from vvscale.brain.simulated.stream import SimulatedStream, simulate
    from vvscale.brain.simulated.worlds import DIGITS, SHAPES, Scenes, World

_HOME_OF = {
    "DIGITS": "simulated.worlds",
    "SHAPES": "simulated.worlds",
    "Assembly": "benchmarks.assembly",
    "BehavioralBenchmark": "benchmarks.behavior",
    "BehavioralConsistency": "behavior.i2n",
    "BenchmarkInfo": "catalogue",
    "BenchmarkResult": "benchmarks.benchmark",
    "Ceiling": "ceilings.ceiling",
    "ContractReport": "benchmarks.check",
    "Gram": "metrics.gram",
    "GramAccumulator": "metrics.gram",
    "LayerCommitment": "scoring.layers",
    "ModelScores": "scoring.results",
    "NeuralBenchmark": "benchmarks.neural",
    "Predictivity": "metrics.predictivity",
    "Preprocessing": "inputs.preprocess",
    "Readout": "behavior.readout",
    "Scenes": "simulated.worlds",
    "Score": "ceilings.score",
    "ScoreCache": "scoring.cache",
    "ScoringOptions": "scoring.options",
    "SimulatedStream": "simulated.stream",
    "StimulusSet": "inputs.stimuli",
    "Trials": "behavior.trials",
    "World": "simulated.worlds",
    "behavioral_consistency": "behavior.i2n",
    "behavioral_score": "ceilings.score",
    "benchmark_ids": "catalogue",
    "brainscore_model": "scoring.brainscore_adapter",
    "ceiled_score": "ceilings.score",
    "check_benchmark": "benchmarks.check",
    "committed_layers": "scoring.layers",
    "default_layers": "scoring.layers",
    "fit_readout": "behavior.readout",
    "i2n": "behavior.i2n",
    "internal_consistency": "ceilings.ceiling",
    "linear_predictivity": "metrics.pls",
    "list_benchmarks": "catalogue",
    "load_benchmark": "catalogue",
    "neural_score": "ceilings.score",
    "read_commitment": "scoring.layers",
    "readout_probabilities": "behavior.readout",
    "record": "activations.record",
    "representational_similarity": "metrics.rsa",
    "resolve_benchmarks": "catalogue",
    "ridge_predictivity": "metrics.ridge",
    "score_model": "scoring.session",
    "select_layers": "scoring.layers",
    "simulate": "simulated.stream",
    "stratified_splits": "metrics.splits",
}

__all__ = [
    "DIGITS",
    "SHAPES",
    "Assembly",
    "BehavioralBenchmark",
    "BehavioralConsistency",
    "BenchmarkInfo",
    "BenchmarkResult",
    "Ceiling",
    "ContractReport",
    "Gram",
    "GramAccumulator",
    "LayerCommitment",
    "ModelScores",
    "NeuralBenchmark",
    "Predictivity",
    "Preprocessing",
    "Readout",
    "Scenes",
    "Score",
    "ScoreCache",
    "ScoringOptions",
    "SimulatedStream",
    "StimulusSet",
    "Trials",
    "World",
    "behavioral_consistency",
    "behavioral_score",
    "benchmark_ids",
    "brainscore_model",
    "ceiled_score",
    "check_benchmark",
    "committed_layers",
    "default_layers",
    "fit_readout",
    "i2n",
    "internal_consistency",
    "linear_predictivity",
    "list_benchmarks",
    "load_benchmark",
    "neural_score",
    "read_commitment",
    "readout_probabilities",
    "record",
    "representational_similarity",
    "resolve_benchmarks",
    "ridge_predictivity",
    "score_model",
    "select_layers",
    "simulate",
    "stratified_splits",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"vvscale.brain.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vvscale.brain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
