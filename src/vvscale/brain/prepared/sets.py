"""The eight data sets of the 2026 multimodal study: who and what was recorded, where the raw files lie, and presets.

A preset says what is kept. ``sound``, the default, takes the thresholds of the data sets' own authors and of
Brain-Score, sensors of both hemispheres and all subjects. ``gokce2026`` is what the 2026 study did, with its quirks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

from vvscale.core.options import Options, option
from vvscale.errors import UsageError, unknown_name

_THINGS_IMAGES = "object_images"


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


@dataclass(frozen=True)
class BrainSet:
    """One data set.

    Attributes
    ----------
    handle
        Name, and stem of the prepared file.
    label, modality
        As the 2026 study calls it; what was recorded.
    subjects
        Who was recorded.
    stimulus_set
        Name of its stimulus set, as layer commitments have it.
    source
        Where the raw files are offered.
    bytes_per_subject
        Of the raw files, where only part of them is at hand: from their shapes, or as their host states.
    reader
        Module of this folder, or ``module:NAME`` of an object in it, with raw_files, read_subject and stimulus_ids.
    presets
        Preset -> settings of the reader.
    quirks
        What the preset ``gokce2026`` does that a user should know.
    memory_bytes
        What preparing one subject holds at most, about.
    needs_neuro
        Whether the extra ``neuro`` is needed.
    has_own_stimuli
        Whether subjects saw other images.
    n_best
        How many subjects the preset ``gokce2026`` keeps, or None for all.
    """

    handle: str
    label: str
    modality: str
    subjects: tuple[str, ...]
    stimulus_set: str
    source: str
    bytes_per_subject: int
    reader: str
    presets: Mapping[str, Mapping[str, Any]]
    quirks: str = ""
    memory_bytes: int = 1_000_000_000
    needs_neuro: bool = False
    has_own_stimuli: bool = False
    n_best: int | None = None

    def load_reader(self) -> Any:
        """Return what reads its raw files."""
        module, _, name = self.reader.partition(":")
        held = import_module(f"vvscale.brain.prepared.{module}")
        return getattr(held, name) if name else held

    def settings(self, options: PrepareBrainOptions) -> dict[str, Any]:
        """Return the settings of the reader: those of the preset, with what the options change.

        Raises
        ------
        UnknownNameError
            The set has no such subject or region.
        UsageError
            The set has no such setting.
        """
        for subject in options.subjects:
            if subject not in self.subjects:
                raise unknown_name("subject", subject, self.subjects)
        made = dict(self.presets[options.preset])
        for name in ("min_reliability", "min_ceiling"):
            value = getattr(options, name)
            if value is not None and name not in made:
                raise UsageError(f"'{self.handle}' is prepared without `{name}`; leave it out.")
            if value is not None:
                made[name] = value
        if not options.rois:
            return made
        known = getattr(self.load_reader(), "REGIONS", None)
        if known is None:
            raise UsageError(f"'{self.handle}' is prepared with all its regions; leave `rois` out.")
        for roi in options.rois:
            if roi not in known:
                raise unknown_name("region", roi, known)
        return {**made, "rois": options.rois}


def _both(name: str, sound: Any, study: Any) -> dict[str, dict[str, Any]]:
    return {"sound": {name: sound}, "gokce2026": {name: study}}


_NOTHING: dict[str, dict[str, Any]] = {"sound": {}, "gokce2026": {}}

SETS: Mapping[str, BrainSet] = MappingProxyType(
    {
        one.handle: one
        for one in (
            BrainSet(
                "bs_fz", "FZ-EP", "macaque single units", ("monkeys",), "FreemanZiemba2013.aperture-public",
                "vvscale fetch benchmarks V1 V2", 1_300_000_000, "brainscore:FREEMAN_ZIEMBA",
                _both("min_ceiling", 10.0, 10.0),
            ),
            BrainSet(
                "bs_mh", "MH-EP", "macaque multi-unit activity", ("Chabo", "Tito"), "hvm-public",
                "vvscale fetch benchmarks V4 IT", 152_000_000, "brainscore:MAJAJ_HONG",
                _both("min_ceiling", 10.0, 10.0), memory_bytes=2_500_000_000,
            ),
            BrainSet(
                "tvsd", "TVSD-EP", "macaque multi-unit activity", ("monkeyF", "monkeyN"), _THINGS_IMAGES,
                "https://gin.g-node.org/paolo_papale/TVSD", 212_000_000, "tvsd", _both("min_reliability", 0.3, 0.1),
                "keeps electrodes from a mean correlation of repetitions of 0.1, not 0.3", 1_500_000_000,
            ),
            BrainSet(
                "things_fmri", "T-fMRI", "3T fMRI", ("sub-01", "sub-02", "sub-03"), _THINGS_IMAGES,
                "Figshare+, article 20492835 (betas_csv.zip)", 42_955_087_212 // 3,
                "things_fmri", _both("min_ceiling", 30.0, 10.0), "keeps voxels from a ceiling of 10 percent, not 30",
            ),
            BrainSet(
                "nsd_func1pt8mm_individualROIs", "NSD-fMRI", "7T fMRI", tuple(f"subj{n:02d}" for n in range(1, 9)),
                "nsd_stimuli", "s3://natural-scenes-dataset (terms of use)", 40 * 750 * 81 * 104 * 83 * 2, "nsd",
                _both("min_ceiling", 30.0, 10.0),
                "keeps voxels from a ceiling of 10 percent, not 30; ceilings are of three repetitions for every image",
                3_000_000_000, needs_neuro=True, has_own_stimuli=True,
            ),
            BrainSet(
                "things_meg", "T-MEG", "MEG", ("P1", "P2", "P3", "P4"), _THINGS_IMAGES,
                "OpenNeuro ds004212 (derivatives/preprocessed)", 27_048 * 271 * 281 * 4,
                "things_meg", _both("left_only", sound=False, study=True), "takes sensors of the left hemisphere alone",
                4_000_000_000, needs_neuro=True,
            ),
            BrainSet(
                "things_eeg1", "T-EEG1", "EEG", tuple(f"sub-{n:02d}" for n in range(1, 51)), _THINGS_IMAGES,
                "OpenNeuro ds003825", 900_000_000, "things_eeg1", _NOTHING,
                "takes the ten subjects with the highest ceilings of the test images: chosen on the test set",
                4_000_000_000, needs_neuro=True, n_best=10,
            ),
            BrainSet(
                "things_eeg2", "T-EEG2", "EEG", tuple(f"sub-{n:02d}" for n in range(1, 11)), _THINGS_IMAGES,
                "OSF, the preprocessed data of THINGS-EEG2", (16_540 * 4 + 200 * 80) * 17 * 100 * 8, "things_eeg2",
                _NOTHING, "took 63 channels from raw files; here the 17 whitened ones are read",
                3_000_000_000,
            ),
        )
    }
)  # fmt: skip
"""Handle -> data set."""


def brain_set(name: str) -> BrainSet:
    """Return a data set by its handle or label.

    Examples
    --------
    >>> brain_set("T-EEG2").handle
    'things_eeg2'
    """
    for one in SETS.values():
        if name in (one.handle, one.label):
            return one
    raise unknown_name("data set", name, SETS, "'vvscale prepare-brain' lists them with their sources.")
