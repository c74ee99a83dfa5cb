"""The five public benchmarks: which recordings and images they are of, and how their values are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vvscale.brain.benchmark import Benchmark
from vvscale.errors import MissingDataError


@dataclass(frozen=True)
class PublicBenchmark:
    """One public benchmark, before its data are loaded."""

    benchmark_id: str
    region: str
    metric: str
    formula: str
    n_images: int
    n_targets: int
    version: int
    degrees: float
    aliases: tuple[str, ...] = ()

    def state(self) -> str:
        """Say whether its files are cached."""
        return "absent"

    def load(self) -> Benchmark:
        """Return the benchmark, downloading what is not cached."""
        raise MissingDataError(f"The data of '{self.benchmark_id}' are not here; the loader is being built.")


PUBLIC: Mapping[str, PublicBenchmark] = MappingProxyType(
    {
        one.benchmark_id: one
        for one in (
            PublicBenchmark("FreemanZiemba2013public.V1-pls", "V1", "pls", "r^2/c", 135, 102, 1, 4),
            PublicBenchmark("FreemanZiemba2013public.V2-pls", "V2", "pls", "r^2/c", 135, 103, 1, 4),
            PublicBenchmark("MajajHong2015public.V4-pls", "V4", "pls", "r^2/c", 3200, 88, 4, 8),
            PublicBenchmark("MajajHong2015public.IT-pls", "IT", "pls", "r^2/c", 3200, 168, 4, 8),
            PublicBenchmark("Rajalingham2018public-i2n", "behavior", "i2n", "r/sqrt(c)", 2160, 24, 2, 8),
        )
    }
)
"""Name -> benchmark."""
