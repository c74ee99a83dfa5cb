"""Benchmarks from a prepared file: fixed training and test images, ridge regression, the ceilings of the file.

A region is one benchmark of all subjects that have it: each is scored apart, then their mean is taken. Images lie
beside the file, in a folder or archive named after the stimulus set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.benchmarks.public import PUBLIC
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.ridge import ALPHAS, RidgeCV
from vvscale.brain.prepared.layout import SPLITS, PreparedFile
from vvscale.brain.prepared.sets import SETS
from vvscale.brain.recordings.assembly import Assembly
from vvscale.core.files import whole_folder
from vvscale.core.hdf5 import open_hdf5
from vvscale.errors import DataError, MissingDataError, unknown_name

# Shape legend: N images, u units.

# The 2026 study shows whole images to models, whatever angle they had, so they fill the default field of view.
DEGREES = 8.0

# sqrt(0.01) is a correlation of 0.1: entries of MEG and EEG below it are left out, as the study does.
_MIN_RELIABILITY = {"MEG": 0.01, "EEG": 0.01}

STUDY_ALPHAS = tuple(np.logspace(1, 7, 10).tolist())
"""Penalties of the 2026 study; the default here reaches down to 0.01."""

STUDY_EPSILON = 1e-6
"""What the 2026 study adds to reliabilities, which makes units without signal explode."""

_NSD_IMAGES = "nsd_stimuli.hdf5"


def prepared_regions(path: str | Path) -> list[str]:
    """Return the regions of a prepared file that have units.

    Raises
    ------
    MissingDataError
        There is none, or no such file.
    """
    file = PreparedFile.open(path)
    found = [roi for roi in file.rois if any(file.has(subject, roi) for subject in file.subjects)]
    if not found:
        raise MissingDataError(f"No subject of '{path}' has units in any region. Prepare it with a lower threshold.")
    return found


def prepared_benchmark(
    path: str | Path, roi: str, *, images: Path | None = None, subjects: Sequence[str] = ()
) -> NeuralBenchmark:
    """Return the benchmark of one region.

    Parameters
    ----------
    path
        Prepared file, ``<handle>.h5``.
    roi
        Region, one of the file's.
    images
        Folder of the images, or the archive of NSD; None for that beside the file.
    subjects
        Which subjects; all by default. One without units in the region is left out, and named where all are.

    Raises
    ------
    UnknownNameError
        There is no such region or subject.
    MissingDataError
        No subject has units in it, or images are absent.
    """
    file = PreparedFile.open(path)
    if roi not in file.rois:
        raise unknown_name(f"region of {file.handle}", roi, file.rois)
    for subject in subjects:
        if subject not in file.subjects:
            raise unknown_name(f"subject of {file.handle}", subject, file.subjects)
    chosen = tuple(subjects) or file.subjects
    with_units = [subject for subject in chosen if file.has(subject, roi)]
    if not with_units:
        raise MissingDataError(
            f"None of the subjects {', '.join(chosen)} of '{file.path}' has units in {roi}: none passed the threshold. "
            "Choose another region, or prepare with a lower threshold."
        )
    is_study = file.metadata.get("preset") == "gokce2026"
    known = SETS.get(file.handle)
    modality = known.modality if known else str(file.metadata.get("modality", ""))
    return NeuralBenchmark(
        benchmark_id=f"{file.handle}.{roi}-ridge-cv",
        version=1,
        stimuli=_stimuli(file, with_units, images),
        assembly=tuple(_assembly(file, subject, roi) for subject in with_units),
        metric=RidgeCV(STUDY_ALPHAS if is_study else ALPHAS, aggregate="mean"),
        design=TrainTest(),
        ceiling="shipped",
        formula="mean(r/sqrt(c))",
        epsilon=STUDY_EPSILON if is_study else 0.0,
        min_ceiling=_MIN_RELIABILITY.get(modality),
    )


def _assembly(file: PreparedFile, subject: str, roi: str) -> Assembly:
    ids = np.concatenate([file.stimulus_ids(split, subject) for split in SPLITS]).astype(object)
    responses = np.concatenate([file.responses(split, subject, roi) for split in SPLITS])
    return Assembly(
        assembly_id=f"{file.handle}.{subject}",
        region=roi,
        responses=responses,
        stimulus_id=ids,
        repetition=np.zeros(len(ids), dtype=int),
        neuroid_id=np.array([f"{subject}.{roi}.{number}" for number in range(responses.shape[1])]),
        # The study's subsets of training images are drawn over the order of the file.
        image_order=ids,
        reliability=file.reliability(subject, roi),
    )


def _stimuli(file: PreparedFile, subjects: Sequence[str], images: Path | None) -> StimulusSet:
    """Return the images of all subjects, each once, with the label ``split``."""
    split_of: dict[str, str] = {}
    for split in SPLITS:
        for subject in subjects:
            for one in file.stimulus_ids(split, subject).tolist():
                if split_of.setdefault(one, split) != split:
                    raise DataError(
                        f"The image '{one}' of '{file.path}' trains and tests; expected each in one split, the same "
                        "for all subjects."
                    )
    ids = list(split_of)
    index = pd.Index(ids, name="stimulus_id", dtype=object)
    table = pd.DataFrame({"split": list(split_of.values())}, index=index)
    name = SETS[file.handle].stimulus_set if file.handle in SETS else str(file.metadata.get("stimulus_set", "images"))
    public = next((one for one in PUBLIC.values() if one.data.stimulus_set_id == name), None)
    if public is not None and images is None:
        given = public.stimuli()
        path_of = dict(zip(given.stimulus_id.tolist(), given.paths, strict=True))
        paths = [path_of.get(one) for one in ids]
        folder: Any = given.identifier
    else:
        folder = images or file.path.parent / (_NSD_IMAGES if file.has_own_stimuli else name)
        if file.has_own_stimuli and not Path(folder).is_dir():
            folder = _unpacked_nsd(Path(folder), ids)
        paths = [_image_path(Path(folder), one) for one in ids]
    absent = [one for one, path in zip(ids, paths, strict=True) if path is None or not path.is_file()]
    if absent:
        raise MissingDataError(
            f"{len(absent)} of the {len(ids)} images of '{file.path}' are not in '{folder}', first '{absent[0]}'. Put "
            "the images of the data set there, or give `images`."
        )
    return StimulusSet(f"{file.handle}.{name}", table, DEGREES, paths=tuple(path for path in paths if path is not None))


def _image_path(folder: Path, stimulus_id: str) -> Path:
    # Images of NSD have numbers for names.
    return folder / (f"{int(stimulus_id):05d}.png" if stimulus_id.isdigit() else stimulus_id)


def _unpacked_nsd(archive: Path, ids: Sequence[str]) -> Path:
    """Write the images that are needed from NSD's archive into a folder beside it, once."""
    from PIL import Image

    folder = archive.with_suffix("")
    if all(_image_path(folder, one).is_file() for one in ids):
        return folder
    if not archive.is_file():
        raise MissingDataError(
            f"There is no '{archive}' with the images of NSD (nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5); put it "
            "there, or give `images`."
        )
    with open_hdf5(archive) as file, whole_folder(folder) as part:
        bricks: Any = file["imgBrick"]
        for one in sorted(ids, key=int):
            Image.fromarray(bricks[int(one)]).save(_image_path(part, one))
    return folder
