"""Options of ``vvscale study``, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vvscale.core.config import parse_changes
from vvscale.core.options import Options, option


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Options):
    """Where a study lies, how many work on it, and what differs from its file."""

    out: Path | None = option(None, "Its folder. Default: out/NAME, or the folder that was named.")
    workers: int | None = option(
        None, "Workers at once; by default one per core or GPU, and 16 on a cluster.", at_least=1
    )
    changes: tuple[str, ...] = option(
        (),
        "KEY=VALUE in place of what the file says, such as engine.per_gpu=4 or 'axes.seed=[0,1]'. Repeatable.",
        flag="--set",
        check=parse_changes,
    )

    @property
    def spec_changes(self) -> dict[str, Any]:
        """Dotted keys of the study's file and their values."""
        asked = {"engine.workers": self.workers, "engine.device": getattr(self, "device", None)}
        return {**parse_changes(self.changes), **{key: value for key, value in asked.items() if value is not None}}


@dataclass(frozen=True, kw_only=True)
class StudyPlanOptions(StudyOptions):
    """What a plan assumes."""

    device: str | None = option(None, "Device to assume: cpu, a100, h100, h200.")


@dataclass(frozen=True, kw_only=True)
class StudyRunOptions(StudyOptions):
    """How a study is run."""

    verify: bool = option(
        False, "Read every finished output and compare its digest, not only those whose size or time changed."
    )
    submit: bool = option(
        False, "Put the run itself into the scheduler's queue and return; `vvscale study status` watches it."
    )
