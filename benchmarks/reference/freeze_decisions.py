"""Freeze the reference's error consistency and accuracy of seeded decisions; for its own environment.

.venv-reference/bin/python benchmarks/reference/freeze_decisions.py > tests/oracle/data/decisions.json
"""

import json
import warnings

import numpy as np

warnings.simplefilter("ignore")

from brainscore_core.supported_data_standards.brainio.assemblies import BehavioralAssembly  # noqa: E402
from brainscore_vision.metrics.accuracy.metric import Accuracy  # noqa: E402
from brainscore_vision.metrics.error_consistency.metric import ErrorConsistency  # noqa: E402

N, S, CATEGORIES = 120, 4, np.array(["bear", "bird", "boat", "car"])


def decisions():
    """Return (N,) truth, conditions, the model's choice, and (S, N) choices of observers, all numbers."""
    rng = np.random.default_rng(21)
    truth, condition = rng.integers(0, 4, N), np.arange(N) % 3
    hard = rng.random(N)
    wrong = (truth + rng.integers(1, 4, (S + 1, N))) % 4
    choices = np.where(rng.random((S + 1, N)) < 0.35 + 0.6 * hard, truth, wrong)
    return truth, condition, choices[0], choices[1:]


def main():
    """Print the numbers."""
    truth, condition, model, observers = decisions()
    names = [f"im{number:03d}" for number in range(N)]

    def coords(repeats):
        return {
            "stimulus_id": ("presentation", np.tile(names, repeats)),
            "truth": ("presentation", np.tile(CATEGORIES[truth], repeats)),
            "condition": ("presentation", np.tile(condition, repeats)),
        }

    source = BehavioralAssembly(CATEGORIES[model], coords=coords(1), dims=["presentation"])
    subject = {"subject": ("presentation", np.repeat([f"s{number}" for number in range(S)], N))}
    target = BehavioralAssembly(CATEGORIES[observers].ravel(), coords={**coords(S), **subject}, dims=["presentation"])
    metric = ErrorConsistency()
    print(json.dumps({
        "consistency": float(metric(source, target)),
        "ceiling": float(metric.ceiling(target)),
        "accuracy": float(Accuracy()(CATEGORIES[model], CATEGORIES[truth])),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
