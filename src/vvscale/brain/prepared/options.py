"""Options of ``vvscale prepare-brain``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vvscale.core.options import Options, option


@dataclass(frozen=True, kw_only=True)
class PrepareBrainOptions(Options):
    """What is kept of the raw files of a data set."""

    preset: Literal["sound", "gokce2026"] = option(
        "sound",
        "sound (default): thresholds of the data sets' own authors, both hemispheres, all subjects; gokce2026: what "
        "the 2026 study did, with its quirks.",
    )
    subjects: tuple[str, ...] = option((), "Subjects; all by default.")
    rois: tuple[str, ...] = option((), "Regions of the fMRI sets; all by default.")
    min_reliability: float | None = option(
        None, "TVSD: least mean correlation of test repetitions of an electrode.", at_least=-1, at_most=1
    )
    min_ceiling: float | None = option(
        None,
        "fMRI and the two Brain-Score sets: least noise ceiling of a unit.",
        unit="percent",
        at_least=0,
        at_most=100,
    )

    @property
    def changes(self) -> tuple[tuple[str, float], ...]:
        """Settings that differ from the preset."""
        given = {"min_reliability": self.min_reliability, "min_ceiling": self.min_ceiling}
        return tuple((name, value) for name, value in given.items() if value is not None)
