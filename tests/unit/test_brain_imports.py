import subprocess
import sys

import pytest

import vvscale.brain

EXPORTED = [
    "Assembly", "BehavioralBenchmark", "BehavioralConsistency", "Benchmark", "BenchmarkInfo", "BenchmarkResult",
    "BiasedCKA", "CKA", "Ceiling", "ContractReport", "DIGITS", "DecisionBenchmark", "Decisions", "Features", "Gram",
    "GramAccumulator", "KFold", "LayerCommitment", "Metric", "ModelScores", "NeuralBenchmark", "NoCeiling", "PLS",
    "Predicted", "Predictivity", "Preprocessing", "RSA", "RandomSplits", "RdmNoise", "Rdms", "Readout", "Ridge",
    "RidgeCV", "SHAPES", "Scenes", "Score", "ScoreCache", "ScoreOptions", "Shipped", "SimulatedStream", "SplitHalf",
    "StimulusSet", "Target", "TrainTest", "Trials", "TripletBenchmark", "Triplets", "Variance", "World",
    "behavioral_consistency", "behavioral_score", "benchmark_ids", "brainscore_model", "ceiled_score",
    "centred_kernel_alignment", "check_benchmark", "committed_layers", "default_layers", "fit_readout", "i2n",
    "internal_consistency", "linear_predictivity", "list_benchmarks", "load_benchmark", "neural_score",
    "rdm_noise_ceiling", "read_benchmark", "read_commitment", "read_features", "readout_probabilities", "record",
    "representational_similarity", "resolve_benchmarks", "ridge_predictivity", "score_features", "score_layers",
    "score_model", "select_layers", "simulate", "stratified_splits", "variance_ceiling",
]  # fmt: skip
"""What users import. A name that goes breaks their code: it stays, or the changelog says what takes its place."""


def test_no_exported_name_goes():
    assert sorted(vvscale.brain.__all__) == EXPORTED


def test_public_names_are_found_and_unknown_ones_are_not():
    assert all(getattr(vvscale.brain, name) for name in vvscale.brain.__all__)
    assert set(vvscale.brain.__all__) <= set(dir(vvscale.brain))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vvscale.brain.nothing  # noqa: B018


def test_scoring_on_the_cpu_loads_no_torch():
    code = (
        "import sys, vvscale.brain; assert 'numpy' not in sys.modules; import numpy as np; from "
        "vvscale.brain import linear_predictivity; X = np.random.default_rng(0).standard_normal((40, 30)); "
        "linear_predictivity(X, X[:, :2], stratify=None); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
