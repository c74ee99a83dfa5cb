"""The five public benchmarks: of which recordings and images they are, and where those lie.

The files are data: their table below says what is downloaded and which hash it must have, and a loader takes any
such table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vvscale.brain.benchmarks.behavior import BehavioralBenchmark
from vvscale.brain.benchmarks.benchmark import Benchmark, Downloadable
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.recordings.netcdf import read_neural, read_trials
from vvscale.brain.recordings.stimulus_files import read_stimulus_set
from vvscale.core.download import RemoteFile

COLLECTION = "brainscore"
"""The folder of these files in the cache and in a mirror."""

_HOST = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore"


@dataclass(frozen=True)
class PublicData:
    """Recordings or choices together with the images they were made with.

    Attributes
    ----------
    data_id, stimulus_set_id
        Names of the recordings and of the stimulus set.
    assembly, table, archive
        Names of the NetCDF file, of the CSV file of labels and of the zip archive of images.
    degrees
        Visual angle of an image.
    time_bin
        Window of the responses in ms; None for choices.
    stratify_by
        The label that splits balance; for choices, the label that observers chose between.
    """

    data_id: str
    stimulus_set_id: str
    assembly: str
    table: str
    archive: str
    degrees: float
    time_bin: tuple[int, int] | None
    stratify_by: str

    @property
    def files(self) -> tuple[str, str, str]:
        """Names of all files."""
        return self.assembly, self.table, self.archive


_TEXTURES = PublicData(
    "FreemanZiemba2013.public",
    "FreemanZiemba2013.aperture-public",
    "assy_movshon_FreemanZiemba2013_public.nc",
    "stimulus_FreemanZiemba2013_aperture-public.csv",
    "stimulus_FreemanZiemba2013_aperture-public.zip",
    4.0,
    (50, 200),
    "texture_type",
)
_OBJECTS = PublicData(
    "MajajHong2015.public",
    "hvm-public",
    "assy_dicarlo_MajajHong2015_public.nc",
    "stimulus_hvm-public.csv",
    "stimulus_hvm-public.zip",
    8.0,
    (70, 170),
    "object_name",
)
_CHOICES = PublicData(
    "Rajalingham2018.public",
    "objectome.public",
    "assy_dicarlo_Rajalingham2018_public.nc",
    "stimulus_objectome_public.csv",
    "stimulus_objectome_public.zip",
    8.0,
    None,
    "image_label",
)


def _remote(name: str, version: str, sha1: str, meaning: str) -> RemoteFile:
    address = f"{_HOST}/{name}?versionId={version}"
    return RemoteFile(name, COLLECTION, address, "sha1", sha1, meaning, "vvscale fetch benchmarks")


FILES: Mapping[str, RemoteFile] = MappingProxyType(
    {
        name: _remote(name, version, sha1, meaning)
        for name, version, sha1, meaning in (
            (
                _TEXTURES.assembly,
                "W2vx7jdh9utZdVumHHarXa4L1zOrA8Fd",
                "761c08f796db4e342555cdb60eef23a4f19ead43",
                "responses of V1 and V2 to textures",
            ),
            (_TEXTURES.table, "null", "194c9b301a4e3e9cff02481d4c19b39331d52660", "labels of 135 textures"),
            (_TEXTURES.archive, "null", "3a6fec1fc28c212882d6833e267ea8654d289611", "images of 135 textures"),
            (
                _OBJECTS.assembly,
                "null",
                "13d28ca0ce88ee550b54db3004374ae19096e9b9",
                "responses of V4 and IT to objects",
            ),
            (_OBJECTS.table, "null", "5ca7a3da00d8e9c694a9cd725df5ba0ad6d735af", "labels of 3200 scenes"),
            (_OBJECTS.archive, "null", "8aa44e038d7b551efa8077467622f9d48d72e473", "images of 3200 scenes"),
            (_CHOICES.assembly, "null", "34c6a8b6f7c523589c1861e4123232e5f7c7df4c", "585,511 choices of observers"),
            (_CHOICES.table, "null", "47884e17106a3be471d6481279cab33889b80850", "labels of 2160 scenes"),
            (_CHOICES.archive, "null", "064f2955f98e63867755fee2e3ead8cddf6bfab8", "images of 2160 scenes"),
        )
    }
)
"""File name -> where it lies and which hash it has."""


@dataclass(frozen=True)
class PublicBenchmark(Downloadable):
    """One public benchmark, before its data are loaded.

    Attributes
    ----------
    benchmark_id, version, region, metric, formula, n_images, n_targets
        As of a benchmark; ``pls`` is linear predictivity.
    data
        What it is made from.
    aliases
        Other names that the reference and the published tables have for it.
    remote
        Where its files lie and which hashes they have; None for the public ones, :data:`FILES`.
    """

    benchmark_id: str
    version: int
    region: str
    metric: str
    formula: str
    n_images: int | None
    n_targets: int | None
    data: PublicData
    aliases: tuple[str, ...] = ()
    remote: Mapping[str, RemoteFile] | None = None

    def files(self) -> list[RemoteFile]:
        """Return the records of its files: recordings, labels and images."""
        return [(FILES if self.remote is None else self.remote)[name] for name in self.data.files]

    def stimuli(self) -> StimulusSet:
        """Return its stimulus set, downloaded and unpacked unless that was done before."""
        _, table, archive = self.files()
        return read_stimulus_set(
            table.fetch(), archive.fetch(), identifier=self.data.stimulus_set_id, degrees=self.data.degrees
        )

    def load(self) -> Benchmark:
        """Return the benchmark; as :meth:`Downloadable.load`."""
        stimuli = self.stimuli()
        assembly = self.files()[0].fetch()
        if self.data.time_bin is None:
            trials = read_trials(assembly)
            return BehavioralBenchmark(self.benchmark_id, self.version, stimuli, trials, self.data.stratify_by)
        responses = read_neural(
            assembly, assembly_id=self.data.data_id, region=self.region, time_bin=self.data.time_bin
        )
        return NeuralBenchmark(
            self.benchmark_id, self.version, stimuli, responses, self.data.stratify_by, formula=self.formula
        )


def _neural(region: str, n_images: int, n_targets: int, version: int, data: PublicData, lab: str) -> PublicBenchmark:
    author = data.data_id.removesuffix(".public")
    name = f"{author}public.{region}-pls"
    aliases = (f"{author}.{region}.public-pls", f"{lab}.{name}")
    return PublicBenchmark(name, version, region, "pls", "r^2/c", n_images, n_targets, data, aliases)


PUBLIC: Mapping[str, PublicBenchmark] = MappingProxyType(
    {
        one.benchmark_id: one
        for one in (
            _neural("V1", 135, 102, 1, _TEXTURES, "movshon"),
            _neural("V2", 135, 103, 1, _TEXTURES, "movshon"),
            _neural("V4", 3200, 88, 4, _OBJECTS, "dicarlo"),
            _neural("IT", 3200, 168, 4, _OBJECTS, "dicarlo"),
            # The reference calls this one as its private sibling, so that name is no alias.
            PublicBenchmark(
                "Rajalingham2018public-i2n",
                2,
                "behavior",
                "i2n",
                "r/sqrt(c)",
                2160,
                24,
                _CHOICES,
                ("dicarlo.Rajalingham2018public-i2n",),
            ),
        )
    }
)
"""Name -> benchmark, in the order of the ventral stream."""


def unpacked_folders() -> list[Path]:
    """Return where the archives of images are unpacked to."""
    return [file.path.with_suffix("") for file in FILES.values() if file.name.endswith(".zip")]
