"""Scores of vision models against recordings from the primate ventral stream and human choices.

The metrics here take arrays: features of a layer, responses, choices. They reproduce the numbers of
Brain-Score, named in each function's Source, from inner products of images, which makes them fast enough for
every layer of every model.

Importing this package loads no submodule; the public names below are resolved on first use. It must not
import training or laws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

if TYPE_CHECKING:
    from vvscale.brain.activations.record import record as record
    from vvscale.brain.behavior.decisions import Decisions as Decisions
    from vvscale.brain.behavior.i2n import BehavioralConsistency as BehavioralConsistency
    from vvscale.brain.behavior.i2n import behavioral_consistency as behavioral_consistency
    from vvscale.brain.behavior.i2n import i2n as i2n
    from vvscale.brain.behavior.readout import Readout as Readout
    from vvscale.brain.behavior.readout import fit_readout as fit_readout
    from vvscale.brain.behavior.readout import readout_probabilities as readout_probabilities
    from vvscale.brain.behavior.trials import Trials as Trials
    from vvscale.brain.behavior.triplets import Triplets as Triplets
    from vvscale.brain.benchmarks.behavior import BehavioralBenchmark as BehavioralBenchmark
    from vvscale.brain.benchmarks.benchmark import Benchmark as Benchmark
    from vvscale.brain.benchmarks.benchmark import BenchmarkResult as BenchmarkResult
    from vvscale.brain.benchmarks.check import ContractReport as ContractReport
    from vvscale.brain.benchmarks.check import check_benchmark as check_benchmark
    from vvscale.brain.benchmarks.described import read_benchmark as read_benchmark
    from vvscale.brain.benchmarks.design import KFold as KFold
    from vvscale.brain.benchmarks.design import RandomSplits as RandomSplits
    from vvscale.brain.benchmarks.design import TrainTest as TrainTest
    from vvscale.brain.benchmarks.neural import NeuralBenchmark as NeuralBenchmark
    from vvscale.brain.benchmarks.tasks import DecisionBenchmark as DecisionBenchmark
    from vvscale.brain.benchmarks.tasks import TripletBenchmark as TripletBenchmark
    from vvscale.brain.catalogue import BenchmarkInfo as BenchmarkInfo
    from vvscale.brain.catalogue import benchmark_ids as benchmark_ids
    from vvscale.brain.catalogue import list_benchmarks as list_benchmarks
    from vvscale.brain.catalogue import load_benchmark as load_benchmark
    from vvscale.brain.catalogue import resolve_benchmarks as resolve_benchmarks
    from vvscale.brain.ceilings.ceiling import Ceiling as Ceiling
    from vvscale.brain.ceilings.ceiling import internal_consistency as internal_consistency
    from vvscale.brain.ceilings.ceiling import rdm_noise_ceiling as rdm_noise_ceiling
    from vvscale.brain.ceilings.ceiling import variance_ceiling as variance_ceiling
    from vvscale.brain.ceilings.rules import NoCeiling as NoCeiling
    from vvscale.brain.ceilings.rules import RdmNoise as RdmNoise
    from vvscale.brain.ceilings.rules import Shipped as Shipped
    from vvscale.brain.ceilings.rules import SplitHalf as SplitHalf
    from vvscale.brain.ceilings.rules import Variance as Variance
    from vvscale.brain.ceilings.score import Score as Score
    from vvscale.brain.ceilings.score import behavioral_score as behavioral_score
    from vvscale.brain.ceilings.score import ceiled_score as ceiled_score
    from vvscale.brain.ceilings.score import neural_score as neural_score
    from vvscale.brain.inputs.preprocess import Preprocessing as Preprocessing
    from vvscale.brain.inputs.stimuli import StimulusSet as StimulusSet
    from vvscale.brain.metrics.cka import CKA as CKA
    from vvscale.brain.metrics.cka import BiasedCKA as BiasedCKA
    from vvscale.brain.metrics.cka import centred_kernel_alignment as centred_kernel_alignment
    from vvscale.brain.metrics.gram import Gram as Gram
    from vvscale.brain.metrics.gram import GramAccumulator as GramAccumulator
    from vvscale.brain.metrics.metric import Metric as Metric
    from vvscale.brain.metrics.metric import Target as Target
    from vvscale.brain.metrics.outcome import Predictivity as Predictivity
    from vvscale.brain.metrics.pls import PLS as PLS
    from vvscale.brain.metrics.pls import linear_predictivity as linear_predictivity
    from vvscale.brain.metrics.predicted import Predicted as Predicted
    from vvscale.brain.metrics.ridge import Ridge as Ridge
    from vvscale.brain.metrics.ridge import RidgeCV as RidgeCV
    from vvscale.brain.metrics.ridge import ridge_predictivity as ridge_predictivity
    from vvscale.brain.metrics.rsa import RSA as RSA
    from vvscale.brain.metrics.rsa import representational_similarity as representational_similarity
    from vvscale.brain.metrics.splits import stratified_splits as stratified_splits
    from vvscale.brain.recordings.assembly import Assembly as Assembly
    from vvscale.brain.recordings.assembly import Rdms as Rdms
    from vvscale.brain.scoring.brainscore_adapter import brainscore_model as brainscore_model
    from vvscale.brain.scoring.cache import ScoreCache as ScoreCache
    from vvscale.brain.scoring.features import Features as Features
    from vvscale.brain.scoring.features import read_features as read_features
    from vvscale.brain.scoring.features import score_features as score_features
    from vvscale.brain.scoring.layers import LayerCommitment as LayerCommitment
    from vvscale.brain.scoring.layers import committed_layers as committed_layers
    from vvscale.brain.scoring.layers import default_layers as default_layers
    from vvscale.brain.scoring.layers import read_commitment as read_commitment
    from vvscale.brain.scoring.layers import select_layers as select_layers
    from vvscale.brain.scoring.options import ScoreOptions as ScoreOptions
    from vvscale.brain.scoring.results import ModelScores as ModelScores
    from vvscale.brain.scoring.run import score_model as score_model
    from vvscale.brain.scoring.session import score_layers as score_layers
    from vvscale.brain.simulated.stream import SimulatedStream as SimulatedStream
    from vvscale.brain.simulated.stream import simulate as simulate
    from vvscale.brain.simulated.worlds import DIGITS as DIGITS
    from vvscale.brain.simulated.worlds import SHAPES as SHAPES
    from vvscale.brain.simulated.worlds import Scenes as Scenes
    from vvscale.brain.simulated.worlds import World as World

__getattr__, __dir__ = lazy(__name__)
