"""How fast devices train, for estimates before anything ran."""

from __future__ import annotations

from types import MappingProxyType

from vvscale.study.graph.kinds import Rates

_ALL = (
    Rates("cpu", 1.5e10, 12_000, task_seconds=0.3, score_seconds=1.5, source="one core, narrow networks, measured"),
    Rates(
        "a100", 5.9e13, 20_000, 4.0, 0.2, 10.0, "ResNet-18 in 88 epochs at 10,000 images/s (published), 19 % of peak"
    ),
    Rates("h100", 1.2e14, 40_000, 4.0, 0.1, 8.0, "estimate: the A100's x 1.85 (published ratio) with compiled kernels"),
    Rates("h200", 1.3e14, 40_000, 4.0, 0.1, 8.0, "estimate: as h100, memory-bound parts faster"),
)
RATES = MappingProxyType({rates.device: rates for rates in _ALL})
"""Device -> rates of one worker that has it for itself."""
