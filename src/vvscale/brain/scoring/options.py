"""How a model is scored, as one checked value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vvscale.brain.activations.memory import parse_memory
from vvscale.brain.activations.projection import Projection
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.errors import ConfigError


@dataclass(frozen=True)
class ScoringOptions:
    """How a model is scored.

    Attributes
    ----------
    preprocessing
        From stimuli to the model's input.
    projection, projection_images
        How features become fewer, and the images that principal components are fitted on.
    memory
        Bytes that the whole process may take, or a text such as ``"4GB"``.
    device
        Where the model and the products run, such as ``"cpu"`` or ``"cuda"``.
    batch_size
        Images per forward pass at most; halved where memory demands.
    n_resamples, seed
        Bootstrap draws for the intervals and state of their generator.
    scratch
        Folder for activations that do not fit into memory; None for ``scratch`` beside the downloaded files.
    max_passes
        How often an image may go through the model where disk and memory are too small for one pass.
    n_workers
        Threads that decode images ahead.
    n_threads
        Threads of the inner products; None leaves them as the environment has them.
    """

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    projection: Projection = field(default_factory=Projection)
    projection_images: StimulusSet | None = None
    memory: int | str = "4GB"
    device: str = "cpu"
    batch_size: int = 64
    n_resamples: int = 1000
    seed: int = 0
    scratch: Path | None = None
    max_passes: int = 1
    n_workers: int = 1
    n_threads: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", parse_memory(self.memory))
        if isinstance(self.projection, str):
            object.__setattr__(self, "projection", Projection.parse(self.projection))
        for name in ("batch_size", "n_resamples", "max_passes", "n_workers"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ConfigError(f"Got {name}={value!r}; expected a whole number of at least 1.")
        if self.n_threads is not None and self.n_threads < 1:
            raise ConfigError(f"Got n_threads={self.n_threads}; expected at least 1, or None.")
        if self.projection.kind == "pca" and self.projection_images is None:
            raise ConfigError(
                "Principal components are fitted on images of their own (the study: 1000 of the ImageNet validation "
                "set), and none were given. Give a folder with --projection-images, or use --projection sparse-1000."
            )
        if self.device != "cpu":
            _refuse_absent_device(self.device)

    @property
    def memory_bytes(self) -> int:
        """Bytes allowed."""
        return int(self.memory)

    @property
    def scratch_folder(self) -> Path:
        """Where activations go that do not fit into memory."""
        from vvscale.core.download import cache_folder

        return cache_folder() / "scratch" if self.scratch is None else Path(self.scratch)


def _refuse_absent_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The device '{device}' cannot be used: {str(error).splitlines()[0]}. Expected 'cpu', or 'cuda' on a "
            "machine with a GPU that PyTorch sees. Next: vvscale doctor, or --device cpu."
        ) from error
