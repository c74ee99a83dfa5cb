"""Prepare a data set: from public raw files to one HDF5 file, subject by subject, resumable.

Each subject becomes a part of its own beside the result and is kept when the run breaks off; rerun to resume. The
result appears when all parts are there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import vvscale
from vvscale.brain.prepared.layout import SPLITS, PreparedFile, PreparedWriter, write_prepared
from vvscale.brain.prepared.sets import BrainSet, PrepareBrainOptions, brain_set
from vvscale.core.files import remove_inside
from vvscale.core.hashing import digest_of
from vvscale.core.hdf5 import open_hdf5
from vvscale.core.jsonable import jsonable
from vvscale.errors import DataError, MissingDataError, VvscaleWarning

# Plain numbers for a plan: one pass of a disk, and a connection of 100 Mbit/s.
_READ_BYTES_PER_SECOND = 100e6
_DOWNLOAD_BYTES_PER_SECOND = 12.5e6

_BEST_BY = "occipital_parietal"


@dataclass(frozen=True)
class PreparePlan:
    """What preparing a data set takes, one row per subject.

    Attributes
    ----------
    handle, source
        The data set and where its raw files are offered.
    rows
        subject, n_files, n_missing, first_missing, bytes (at hand), bytes_missing (about), state.
    """

    handle: str
    source: str
    rows: tuple[dict[str, Any], ...]
    memory_bytes: int
    notes: tuple[str, ...] = field(default=())

    @property
    def n_bytes(self) -> int:
        """Bytes of raw files at hand that are still to be read."""
        return sum(row["bytes"] for row in self.rows if row["state"] != "prepared")

    @property
    def n_bytes_missing(self) -> int:
        """Bytes of raw files that are not at hand, about."""
        return sum(row["bytes_missing"] for row in self.rows)

    @property
    def hours_to_read(self) -> float:
        """Hours to read the raw files once at 100 MB/s."""
        return self.n_bytes / _READ_BYTES_PER_SECOND / 3600

    @property
    def hours_to_download(self) -> float:
        """Hours to download what is missing at 100 Mbit/s."""
        return self.n_bytes_missing / _DOWNLOAD_BYTES_PER_SECOND / 3600

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "handle": self.handle,
            "source": self.source,
            "subjects": [dict(row) for row in self.rows],
            "bytes": self.n_bytes,
            "bytes_missing": self.n_bytes_missing,
            "hours_to_read": self.hours_to_read,
            "hours_to_download": self.hours_to_download,
            "memory_bytes": self.memory_bytes,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Job:
    """One preparation, checked before anything is read.

    Parameters
    ----------
    name
        Handle or label of the data set.
    raw
        Folder of raw files, laid out as their host does.
    out
        Folder of the result, ``<handle>.h5``.
    options
        What is kept.

    Raises
    ------
    UsageError, UnknownNameError
        There is no such data set, or it has no such subject, region or setting.
    """

    name: str
    raw: Path
    out: Path
    options: PrepareBrainOptions = field(default_factory=PrepareBrainOptions)

    def __post_init__(self) -> None:
        _ = self.settings

    @cached_property
    def brain_set(self) -> BrainSet:
        """The data set."""
        return brain_set(self.name)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings of the reader."""
        return self.brain_set.settings(self.options)

    @property
    def path(self) -> Path:
        """The result."""
        return self.out / f"{self.brain_set.handle}.h5"

    @property
    def parts(self) -> Path:
        """Folder of finished subjects."""
        return self.out / f".{self.brain_set.handle}.parts"

    @property
    def chosen(self) -> tuple[str, ...]:
        """Subjects to prepare."""
        return self.options.subjects or self.brain_set.subjects

    def digest(self, subject: str) -> str:
        """Return what a part depends on: settings, version, and sizes and times of the raw files."""
        files = [path for path in self._files(subject) if path.is_file()]
        stats = [(str(path.relative_to(self.raw)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return digest_of([self.brain_set.handle, subject, jsonable(self.settings), vvscale.__version__, stats])

    def plan(self) -> PreparePlan:
        """Say what is at hand, what is missing and how long it takes; nothing is read but sizes."""
        rows = []
        for subject in self.chosen:
            files = self._files(subject)
            missing = [path for path in files if not path.is_file()]
            n_bytes = sum(path.stat().st_size for path in files if path.is_file())
            lacking = max(0, self.brain_set.bytes_per_subject - n_bytes) if missing else 0
            rows.append(
                {
                    "subject": subject,
                    "n_files": len(files),
                    "n_missing": len(missing),
                    "first_missing": str(missing[0].relative_to(self.raw)) if missing else "",
                    "bytes": n_bytes,
                    "bytes_missing": lacking,
                    "state": "prepared" if self.is_done(subject) else "missing" if missing else "ready",
                }
            )
        notes = []
        if self.options.preset == "gokce2026" and self.brain_set.quirks:
            notes.append(f"The preset gokce2026 {self.brain_set.quirks}.")
        if self.brain_set.needs_neuro:
            notes.append("Reading needs the extra neuro: pip install 'vvscale[neuro]'.")
        return PreparePlan(
            self.brain_set.handle, self.brain_set.source, tuple(rows), self.brain_set.memory_bytes, tuple(notes)
        )

    def is_done(self, subject: str) -> bool:
        """Whether a part is there that depends on exactly what is here now."""
        path = self.parts / f"{subject}.h5"
        if not path.is_file():
            return False
        try:
            with open_hdf5(path) as file:
                return file.attrs.get("digest") == self.digest(subject)
        except OSError:
            return False

    def _files(self, subject: str) -> list[Path]:
        return self.brain_set.load_reader().raw_files(self.raw, subject)


def prepare_brain(job: Job, *, progress: Callable[[str], None] | None = None) -> PreparedFile:
    """Prepare a data set.

    Parameters
    ----------
    job
        What to prepare, from where and to where.
    progress
        Called with the name of each subject that is done.

    Returns
    -------
    PreparedFile
        The result.

    Raises
    ------
    MissingDataError
        A raw file is absent; it is named before anything is read.
    DataError
        A raw file is not what it should be.
    """
    lacking = [row for row in job.plan().rows if row["state"] == "missing"]
    if lacking:
        first = lacking[0]
        raise MissingDataError(
            f"{first['n_missing']} raw files of {first['subject']} are not in '{job.raw}', first "
            f"'{first['first_missing']}' ({len(lacking)} of {len(job.chosen)} subjects lack files). Source: "
            f"{job.brain_set.source}. Give `subjects` to prepare those at hand."
        )
    for subject in job.chosen:
        if not job.is_done(subject):
            _prepare_subject(job, subject)
        if progress is not None:
            progress(subject)
    kept = _kept(job)
    with write_prepared(job.path) as writer:
        _merge(job, kept, writer)
    remove_inside(job.out, job.parts.name)
    return PreparedFile.open(job.path)


def _prepare_subject(job: Job, subject: str) -> None:
    reader = job.brain_set.load_reader()
    with write_prepared(job.parts / f"{subject}.h5") as writer:
        for split in SPLITS:
            writer.stimulus_ids(split, reader.stimulus_ids(job.raw, split, subject), subject)
        reader.read_subject(job.raw, subject, writer, **job.settings)
        writer.digest(job.digest(subject))


def _kept(job: Job) -> tuple[str, ...]:
    """Return the subjects of the result: the preset gokce2026 may keep those with the highest ceilings alone."""
    n_best = job.brain_set.n_best if job.options.preset == "gokce2026" else None
    if n_best is None or len(job.chosen) <= n_best:
        return job.chosen
    means = {}
    for subject in job.chosen:
        means[subject] = PreparedFile.open(job.parts / f"{subject}.h5").reliability(subject, _BEST_BY).mean()
    best = sorted(means, key=lambda subject: -means[subject])[:n_best]
    return tuple(subject for subject in job.chosen if subject in best)


def _merge(job: Job, subjects: Sequence[str], writer: PreparedWriter) -> None:
    parts = {subject: PreparedFile.open(job.parts / f"{subject}.h5") for subject in subjects}
    empty = [subject for subject, part in parts.items() if not part.subjects]
    if 0 < len(empty) < len(parts):
        warnings.warn(
            f"No unit of {', '.join(empty)} of '{job.brain_set.handle}' passed the thresholds; prepared without. Lower "
            "the threshold to keep some.",
            VvscaleWarning,
            stacklevel=3,
        )
    has_own = job.brain_set.has_own_stimuli
    for split in SPLITS:
        ids = {subject: part.stimulus_ids(split, subject) for subject, part in parts.items()}
        first = subjects[0]
        for subject in subjects:
            if has_own:
                writer.stimulus_ids(split, ids[subject].astype(np.int32), subject)
            elif not np.array_equal(ids[subject], ids[first]):
                raise DataError(
                    f"{first} and {subject} saw other {split} images; '{job.brain_set.handle}' has one list for all. "
                    "Likely cause: raw files of two releases."
                )
        if not has_own:
            writer.stimulus_ids(split, ids[first])
    for subject in subjects:
        writer.copy(job.parts / f"{subject}.h5", subject)
    writer.finish(
        {
            "handle": job.brain_set.handle,
            "label": job.brain_set.label,
            "modality": job.brain_set.modality,
            "preset": job.options.preset,
            "settings": jsonable(job.settings),
            "subjects_prepared": list(job.chosen),
            "stimulus_set": job.brain_set.stimulus_set,
            "code_version": vvscale.__version__,
        },
        **({"subject_specific_stimulus_set": True} if has_own else {}),
    )
