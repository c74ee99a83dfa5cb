"""MajajHong2015 and FreemanZiemba2013 of Brain-Score, split once into training and test images.

Raw files: the public NetCDF assembly and the table of stimuli, as ``vvscale fetch benchmarks`` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.ceilings.percent import variance_ceiling_percent
from vvscale.brain.prepared.layout import PreparedWriter
from vvscale.brain.prepared.raw_files import read_table
from vvscale.brain.recordings.netcdf import read_neural
from vvscale.errors import DataError, MissingDataError

# Shape legend: N images, R repetitions, q neuroids.


@dataclass(frozen=True)
class SplitAssembly:
    """How one assembly is split.

    Attributes
    ----------
    assembly, table
        Names of the NetCDF file and of the table of stimuli.
    regions, window
        Regions recorded, and the window in ms that responses are averaged over.
    stratify_by
        Label of the stimuli whose shares both splits keep.
    """

    assembly: str
    table: str
    regions: tuple[str, ...]
    window: tuple[int, int]
    stratify_by: str

    # What the 2026 study splits with.
    test_size: float = 0.1
    seed: int = 42

    def raw_files(self, raw: Path, subject: str) -> list[Path]:
        """Return the raw files."""
        return [raw / self.assembly, raw / self.table]

    def read_subject(self, raw: Path, subject: str, writer: PreparedWriter, *, min_ceiling: float, **_: Any) -> None:
        """Write one monkey, or ``monkeys`` for all together: neuroids of at least this ceiling, over all images."""
        images = {split: self.stimulus_ids(raw, split, subject) for split in ("train", "test")}
        for region in self.regions:
            held = read_neural(raw / self.assembly, assembly_id=self.assembly, region=region, time_bin=self.window)
            names = np.asarray(held.neuroid_id).astype(str)
            # Neuroids are named after their animal: Chabo_L_M_5_9.
            chosen = np.array([subject == "monkeys" or name.startswith(f"{subject}_") for name in names])
            percent = _ceilings(held, chosen) if chosen.any() else np.empty(0)
            kept = percent >= min_ceiling
            if not kept.any():
                continue
            mean = held.mean.loc[:, np.asarray(held.neuroid_id)[chosen][kept]]
            mean.index = mean.index.astype(str)
            for split, ids in images.items():
                writer.responses(split, subject, region, (len(ids), int(kept.sum())))[...] = mean.loc[ids].to_numpy()
            writer.ceiling(subject, region, percent[kept])

    def stimulus_ids(self, raw: Path, split: str, subject: str) -> np.ndarray:
        """Return the images of a split, sorted by name."""
        from sklearn.model_selection import train_test_split

        table = read_table(raw / self.table, self.stratify_by)
        name = "stimulus_id" if "stimulus_id" in table else "image_id"
        if name not in table:
            raise MissingDataError(f"'{raw / self.table}' has no column stimulus_id or image_id.")
        table = table.sort_values(name)
        train, test = train_test_split(
            table[name].astype(str).to_numpy(), test_size=self.test_size, random_state=self.seed,
            stratify=table[self.stratify_by],
        )  # fmt: skip
        return np.sort(train if split == "train" else test)


def _ceilings(held: Any, chosen: np.ndarray) -> np.ndarray:
    """Return (q,) variance ceilings in percent over all images; images shown less often than others lack the rest."""
    image_of, images = pd.factorize(np.asarray(held.stimulus_id), sort=True)
    order = np.lexsort((np.asarray(held.repetition), image_of))
    n_least = int(np.bincount(image_of).min())
    if n_least < 2:
        raise DataError("An image was shown once only; a variance ceiling needs repetitions.")
    # The first repetitions of every image, as many as all have: a table without holes.
    rank = np.arange(len(order)) - np.searchsorted(image_of[order], image_of[order])
    rows = order[rank < n_least].reshape(len(images), n_least)
    return variance_ceiling_percent(held.responses[rows][:, :, chosen])


MAJAJ_HONG = SplitAssembly(
    "assy_dicarlo_MajajHong2015_public.nc", "stimulus_hvm-public.csv", ("V4", "IT"), (70, 170), "category_name"
)
FREEMAN_ZIEMBA = SplitAssembly(
    "assy_movshon_FreemanZiemba2013_public.nc",
    "stimulus_FreemanZiemba2013_aperture-public.csv",
    ("V1", "V2"),
    (50, 200),
    "texture_type",
)
