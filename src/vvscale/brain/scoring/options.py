"""Options of ``vvscale score``, of ``[score] options`` in a study, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vvscale.core.options import SEED, Options, option
from vvscale.errors import ConfigError

if TYPE_CHECKING:
    from vvscale.brain.activations.projection import Projection

_WHAT, _INPUT, _FEATURES, _COST, _KEEP = "What", "Images", "Scores", "Memory and speed", "Rows and files"
_MAPPING = "Mapping curves"

TOLERANCE = 1e-6
"""Difference from earlier rows that is none: products of another machine round differently by less."""


def _readable_memory(memory: int | str) -> None:
    from vvscale.brain.activations.memory import parse_memory

    parse_memory(memory)


def _readable_projection(projection: str) -> None:
    from vvscale.brain.activations.projection import Projection

    Projection.parse(projection)


def _some_amounts(texts: tuple[str, ...]) -> None:
    from vvscale.brain.mapping.subset import Amount

    for text in texts:
        amounts = [part for part in text.split(",") if part.strip()]
        if not amounts:
            raise ConfigError(f"`mapping_samples` is '{text}', without any amount; expected such as 1%,10%,100%.")
        for amount in amounts:
            try:
                Amount.parse(amount)
            except ConfigError as error:
                raise ConfigError(f"`mapping_samples`: {error}") from error


def _present_device(device: str) -> None:
    from vvscale.core.devices import find_device

    find_device(device)


@dataclass(frozen=True, kw_only=True)
class ScoringOptions(Options):
    """How layers are scored, whatever the model and the benchmarks."""

    projection: str = option(
        "none",
        "none, sparse-1000, gaussian-1000 or pca-1000 (any number): fewer features per layer.",
        group=_FEATURES,
        check=_readable_projection,
    )
    resamples: int = option(1000, "Resamples for the intervals.", at_least=1, group=_FEATURES)
    seed: int = option(SEED, "Seed of the resamples.", at_least=0, group=_FEATURES)
    memory: int | str = option(
        "4GB", "Memory that the process may take, such as 4GB or 512MiB.", group=_COST, check=_readable_memory
    )
    device: str = option("cpu", "cpu or cuda.", group=_COST, check=_present_device)
    batch_size: int = option(
        64, "Images per forward pass at most; halved where memory demands.", at_least=1, group=_COST
    )
    scratch: Path | None = option(
        None,
        "Folder for activations that do not fit into memory; by default beside the downloaded files.",
        group=_COST,
    )
    max_passes: int = option(
        1,
        "How often an image may go through the model where disk and memory are too small for once.",
        at_least=1,
        group=_COST,
    )
    workers: int = option(1, "Threads that decode images ahead.", at_least=1, group=_COST)
    threads: int | None = option(
        None, "Threads of the matrix products; by default as the environment says.", at_least=1, group=_COST
    )

    @property
    def memory_bytes(self) -> int:
        """Bytes allowed."""
        from vvscale.brain.activations.memory import parse_memory

        return parse_memory(self.memory)

    @property
    def array_device(self) -> str | None:
        """Where products and metrics are computed: a PyTorch device, or None for NumPy."""
        return None if self.device == "cpu" else self.device

    @property
    def scratch_folder(self) -> Path:
        """Where activations go that do not fit into memory."""
        from vvscale.core.download import cache_folder

        return cache_folder() / "scratch" if self.scratch is None else self.scratch

    @property
    def how_projected(self) -> Projection:
        """The projection as a value."""
        from vvscale.brain.activations.projection import Projection

        return Projection.parse(self.projection)


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(ScoringOptions):
    """How models are scored by name, and what is done with the rows."""

    on: tuple[str, ...] = option(
        ("simulated",),
        "Benchmarks as in `vvscale ls benchmarks`, regions (V1 V2 V4 IT behavior: the public five), simulated "
        "(default) or simulated-digits, which need no download, or own ones as file.py.",
        group=_WHAT,
    )
    layers: tuple[str, ...] = option(
        ("committed",),
        "committed (default): the published layer of each region; gokce2026: that of the 2026 study for its data sets; "
        "a .toml or .json file; all; or names and patterns "
        "such as 'layer4.*', each on every benchmark.",
        group=_WHAT,
    )
    features: Path | None = option(
        None,
        "Features that were computed elsewhere, .npy, .npz or .h5, instead of a model; each array is a layer.",
        group=_WHAT,
    )
    stimulus_ids: Path | None = option(
        None,
        "Which image each row of the features is of: text, one label per line, where the file itself does not say.",
        group=_WHAT,
    )
    preprocessing: Literal["brainscore", "gokce2025"] = option(
        "brainscore", "brainscore (resize with antialias) or gokce2025 (256 without, then the centre).", group=_INPUT
    )
    image_size: int | None = option(
        None, "Input size; the model's own by default.", unit="pixels", at_least=1, at_most=8192, group=_INPUT
    )
    degrees: float = option(8.0, "Visual angle of the model's field of view.", unit="degrees", above=0, group=_INPUT)
    projection_images: Path | None = option(
        None, "Folder of images that principal components are fitted on.", group=_FEATURES
    )
    formula: Literal["r^2/c", "(r/c)^2"] | None = option(
        None,
        "Of neural scores: r^2/c (the reference since January 2026) or (r/c)^2 (the published tables).",
        group=_FEATURES,
    )
    metric: tuple[str, ...] = option(
        (),
        "pls, ridge, ridge-cv, rsa, cka or cka-biased, one or several, in place of each neural benchmark's own.",
        group=_FEATURES,
    )
    design: Literal["splits", "k-fold", "train-test"] | None = option(
        None,
        "splits (random, the reference's), k-fold (each image tests once) or train-test (images whose label 'split' is "
        "'test'), in place of each neural benchmark's own.",
        group=_FEATURES,
    )
    fixed_test: float | None = option(
        None,
        "Share of the images that tests, drawn once, for recordings whose design draws them anew; what is scored after "
        "`vvscale fine-tune` needs it.",
        above=0,
        at_most=0.9,
        group=_FEATURES,
    )
    mapping_samples: tuple[str, ...] = option(
        (),
        "Shares or numbers of training images that the mapping is fitted on, such as 1%,10%,100%: a row for each.",
        group=_MAPPING,
        check=_some_amounts,
    )
    mapping_seeds: int = option(
        3, "Random subsets of each size; those of one seed are nested.", at_least=1, group=_MAPPING
    )
    mapping_neuroids: tuple[int, ...] = option((), "Numbers of neuroids that are scored.", at_least=1, group=_MAPPING)
    mapping_repetitions: tuple[int, ...] = option(
        (), "Numbers of repetitions that training responses are averaged over.", at_least=1, group=_MAPPING
    )
    cache: Literal["scores", "products", "none"] = option(
        "scores", "scores: keep finished scores; products: inner products too; none.", group=_COST
    )
    arch: str | None = option(
        None,
        "Architecture of a checkpoint that another program wrote (.pt, .pth, .safetensors): a name of `vvscale ls "
        "architectures`, timm:NAME, torchvision:NAME, or file.py:NAME of your own; by default the published one whose "
        "tensors these are.",
        group=_WHAT,
    )
    name: str | None = option(None, "model_id of the rows.", group=_KEEP)
    expect: Path | None = option(
        None, "Earlier rows (file or store) that the new ones must equal; exit code 4 if they do not.", group=_KEEP
    )
    tolerance: float = option(TOLERANCE, "Largest difference from the earlier rows.", at_least=0, group=_KEEP)
    out: Path | None = option(Path("scores"), "Folder of the score store that rows are appended to.", group=_KEEP)
    layers_table: Path | None = option(
        None, "CSV file for the scores of every layer, as `vvscale figure layers` draws them.", group=_KEEP
    )
    commit: Path | None = option(None, "File (.toml or .json) for the best layer of each region.", group=_KEEP)
