"""What a preparation did, as a value and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vvscale.core.jsonable import Result
from vvscale.data.manifest import REPORT


@dataclass(frozen=True)
class Prepared(Result):
    """What a preparation did, or would do.

    Attributes
    ----------
    folder
        Of the data set.
    did
        "prepared", "found" (it was there, made from the same files) or "planned".
    layout
        How the source was read.
    n_train, n_val, n_classes
        Counts.
    n_bytes
        Of the pixels; an estimate where only planned.
    seconds
        How long it took; an estimate where only planned.
    digests
        Of the two stores, by split; empty where only planned.
    report
        What was odd: corrupt, converted and duplicate images.
    """

    folder: Path
    did: str
    layout: str
    n_train: int
    n_val: int
    n_classes: int
    n_bytes: int
    seconds: float
    digests: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Say in words what was done and what was odd."""
        is_plan = self.did == "planned"
        counts = f"{self.n_train:,} + {self.n_val:,} images of {self.n_classes:,} classes (layout {self.layout})"
        about = "about " if is_plan else ""
        said = {"planned": "would hold", "found": "was prepared before:", "prepared": "holds"}[self.did]
        lines = [f"{self.folder} {said} {counts}, {about}{self.n_bytes / 1e9:.2f} GB"]
        if self.did != "found":
            lines.append(f"{'estimated time' if is_plan else 'time'}: {about}{self.seconds / 60:.1f} min")
        for name, text in _SAID.items():
            rows = self.report.get(name) or []
            if rows:
                shown = "; ".join(_shown(row) for row in rows[:3]) + ("; ..." if len(rows) > 3 else "")
                lines.append(f"{len(rows):,} {text}: {shown}")
        strays = self.report.get("files_left_out")
        if strays:
            n_files = self.report["n_files_left_out"]
            lines.append(f"{n_files:,} files are no images by their suffix, or links back: {', '.join(strays[:6])}")
        oddities = self.report.get("oddities")
        if oddities:
            lines.append("converted or smaller: " + ", ".join(f"{n:,} {kind}" for kind, n in oddities.items()))
        if not is_plan:
            lines.append(f"all of it: {self.folder / REPORT}")
        return lines


_SAID = {
    "corrupt": "images cannot be decoded",
    "duplicates_across_splits": "images are in both splits",
    "duplicates_of_two_classes": "images are in several classes",
    "duplicates": "images are there more than once",
    "classes_left_out": "classes were left out",
    "classes_without_val": "classes have no image for evaluation",
}


def _shown(row: Any) -> str:
    if isinstance(row, dict):
        return f"{row['path']} ({row['reason']})"
    return " = ".join(row) if isinstance(row, list) else str(row)
