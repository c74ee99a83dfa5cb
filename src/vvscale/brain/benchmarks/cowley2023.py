"""Recordings of macaque V4 that anyone can fetch in seconds: the sessions of Cowley et al. (2023).

Each session is a benchmark of its own: its neurons, its images. The authors' public repository holds, per session, a
zip archive of images and one array of spike counts; both are checked by the git blob ids of a fixed commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd

from vvscale.brain.benchmarks.benchmark import Downloadable
from vvscale.brain.benchmarks.cowley2023_files import BLOBS
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.recordings.assembly import Assembly
from vvscale.brain.recordings.stimulus_files import unpack_images
from vvscale.core.download import RemoteFile
from vvscale.errors import DataError, shell_words

# Shape legend: q neurons, N images, R repeats at most, P presentations.

COLLECTION = "cowley2023"
"""The folder of these files in the cache and in a mirror."""

_COMMIT = "f4552ad9d34a466ebc66658f72a08a8e5038f1cf"
_HOST = f"https://raw.githubusercontent.com/cowleygroup/V4_compact_models/{_COMMIT}/data_V4_responses"

# The repository does not say how wide an image stood on the screen. The default field of view of a model is 8 degrees,
# so with 8 here the images fill it and nothing is padded.
DEGREES = 8.0

BLOCK = 80
"""Images of one stratum: training and test images come from all parts of the session's list alike."""

DEFAULT_SESSION = "210325"

TESTED: Mapping[str, tuple[str, int, int]] = MappingProxyType(
    {
        "190923": ("WE", 33, 1200),
        "201025": ("PE", 89, 1200),
        "210225": ("PE", 55, 1200),
        "210325": ("PE", 50, 640),
        "211022": ("RA", 42, 1600),
    }
)
"""The authors' test sessions -> animal, number of neurons, number of images."""


@dataclass(frozen=True)
class CowleySession(Downloadable):
    """One session, before its data are loaded.

    Attributes
    ----------
    session
        Date of the recording, YYMMDD.
    """

    region: ClassVar[str] = "V4"  # type: ignore[misc]
    metric: ClassVar[str] = "pls"  # type: ignore[misc]
    formula: ClassVar[str] = "r^2/c"  # type: ignore[misc]

    session: str

    @property
    def benchmark_id(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Name of the benchmark."""
        return f"{COLLECTION}.{self.session}-pls"

    @property
    def n_images(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Images shown, where known without the file."""
        return TESTED[self.session][2] if self.session in TESTED else None

    @property
    def n_targets(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Neurons, where known without the file."""
        return TESTED[self.session][1] if self.session in TESTED else None

    def files(self) -> list[RemoteFile]:
        """Return the records of its two files, the images and the responses."""
        images, responses = BLOBS[self.session]
        command = f"vvscale fetch benchmarks {shell_words(f'{COLLECTION}.{self.session}')}"
        return [
            RemoteFile(name, COLLECTION, f"{_HOST}/{folder}/{name}", "git-blob", blob, meaning, command)
            for name, folder, blob, meaning in (
                (f"images_{self.session}.zip", "images", images, f"images of session {self.session}"),
                (f"responses_{self.session}.npy", "responses_raw", responses, f"responses of session {self.session}"),
            )
        ]

    def stimuli(self) -> StimulusSet:
        """Return the images in the order of the responses, downloaded and unpacked unless that was done before."""
        paths = unpack_images(self.files()[0].fetch())
        index = pd.Index([path.stem for path in paths], name="stimulus_id")
        labels = pd.DataFrame({"block": np.arange(len(paths)) // BLOCK}, index=index)
        return StimulusSet(f"{COLLECTION}.{self.session}", labels, DEGREES, paths=tuple(paths))

    def load(self) -> NeuralBenchmark:
        """Return the benchmark; as :meth:`Downloadable.load`."""
        stimuli = self.stimuli()
        assembly = read_session(self.files()[1].fetch(), stimuli.stimulus_id, assembly_id=stimuli.identifier)
        return NeuralBenchmark(self.benchmark_id, 1, stimuli, assembly, "block", formula=self.formula)


def read_session(path: Path, stimulus_id: np.ndarray, *, assembly_id: str) -> Assembly:
    """Read the responses of a session.

    Parameters
    ----------
    path
        .npy file of (q, N, R) spike counts; NaN in all neurons where an image was shown fewer than R times.
    stimulus_id
        (N,) names of the images in the order of the file.
    assembly_id
        Name of the recordings.

    Returns
    -------
    Assembly
        One row per presentation that took place: (P, q) spike counts in 100 ms.

    Raises
    ------
    DataError
        The file is no such array, or is of another number of images.
    """
    try:
        counts = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"Cannot read the responses '{path}': {error}. Expected a .npy file; fetch it again."
        ) from error
    if counts.ndim != 3 or counts.shape[1] != len(stimulus_id):
        raise DataError(
            f"The responses '{path}' have shape {counts.shape}; expected (neurons, {len(stimulus_id)} images, "
            "repeats), one column per image of the archive. Likely cause: files of two sessions."
        )
    was_shown = ~np.isnan(counts).all(0)  # (N, R)
    image, repeat = np.nonzero(was_shown)
    return Assembly(
        assembly_id=assembly_id,
        region=CowleySession.region,
        responses=np.ascontiguousarray(counts[:, image, repeat].T),
        stimulus_id=np.asarray(stimulus_id)[image],
        repetition=repeat,
        neuroid_id=np.array([f"{assembly_id}.{number:03d}" for number in range(len(counts))]),
    )


SESSIONS: Mapping[str, CowleySession] = MappingProxyType({name: CowleySession(name) for name in BLOBS})
"""Session -> benchmark before loading, for every session with images."""
