"""The seeded inputs and frozen numbers of the comparison with the reference implementation."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def load_cases():
    if "reference_cases" not in sys.modules:
        path = ROOT / "benchmarks" / "reference" / "cases.py"
        spec = importlib.util.spec_from_file_location("reference_cases", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["reference_cases"] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules["reference_cases"]


def load_frozen(name):
    frozen = json.loads((Path(__file__).parent / "data" / f"{name}.json").read_text())
    return {key: np.array(value, dtype=float) for key, value in frozen.items()}
