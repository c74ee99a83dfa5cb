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
    from vvscale.brain.activations import record
    from vvscale.brain.assembly import Assembly, StimulusSet
    from vvscale.brain.behavior import BehavioralConsistency, behavioral_consistency, i2n
    from vvscale.brain.benchmark import BehavioralBenchmark, BenchmarkResult, NeuralBenchmark
    from vvscale.brain.brainscore import brainscore_model
    from vvscale.brain.catalogue import (
        BenchmarkInfo,
        benchmark_ids,
        list_benchmarks,
        load_benchmark,
        resolve_benchmarks,
    )
    from vvscale.brain.ceiling import Ceiling, internal_consistency
    from vvscale.brain.contract import ContractReport, check_benchmark
    from vvscale.brain.gram import Gram, GramAccumulator
    from vvscale.brain.layers import LayerCommitment, committed_layers, default_layers, read_commitment, select_layers
    from vvscale.brain.options import ScoringOptions
    from vvscale.brain.pls import Predictivity, linear_predictivity
    from vvscale.brain.preprocess import Preprocessing
    from vvscale.brain.readout import Readout, fit_readout, readout_probabilities
    from vvscale.brain.results import ModelScores
    from vvscale.brain.ridge import ridge_predictivity
    from vvscale.brain.rsa import representational_similarity
    from vvscale.brain.score import Score, behavioral_score, ceiled_score, neural_score
    from vvscale.brain.score_cache import ScoreCache
    from vvscale.brain.session import score_model
    from vvscale.brain.simulated import SimulatedStream, simulate
    from vvscale.brain.splits import stratified_splits
    from vvscale.brain.trials import Trials
    from vvscale.brain.worlds import DIGITS, SHAPES, Scenes, World

_HOME_OF = {
    "DIGITS": "worlds",
    "SHAPES": "worlds",
    "Assembly": "assembly",
    "BehavioralBenchmark": "benchmark",
    "BehavioralConsistency": "behavior",
    "BenchmarkInfo": "catalogue",
    "BenchmarkResult": "benchmark",
    "Ceiling": "ceiling",
    "ContractReport": "contract",
    "Gram": "gram",
    "GramAccumulator": "gram",
    "LayerCommitment": "layers",
    "ModelScores": "results",
    "NeuralBenchmark": "benchmark",
    "Predictivity": "pls",
    "Preprocessing": "preprocess",
    "Readout": "readout",
    "Scenes": "worlds",
    "Score": "score",
    "ScoreCache": "score_cache",
    "ScoringOptions": "options",
    "SimulatedStream": "simulated",
    "StimulusSet": "assembly",
    "Trials": "trials",
    "World": "worlds",
    "behavioral_consistency": "behavior",
    "behavioral_score": "score",
    "benchmark_ids": "catalogue",
    "brainscore_model": "brainscore",
    "ceiled_score": "score",
    "check_benchmark": "contract",
    "committed_layers": "layers",
    "default_layers": "layers",
    "fit_readout": "readout",
    "i2n": "behavior",
    "internal_consistency": "ceiling",
    "linear_predictivity": "pls",
    "list_benchmarks": "catalogue",
    "load_benchmark": "catalogue",
    "neural_score": "score",
    "read_commitment": "layers",
    "readout_probabilities": "readout",
    "record": "activations",
    "representational_similarity": "rsa",
    "resolve_benchmarks": "catalogue",
    "ridge_predictivity": "ridge",
    "score_model": "session",
    "select_layers": "layers",
    "simulate": "simulated",
    "stratified_splits": "splits",
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
