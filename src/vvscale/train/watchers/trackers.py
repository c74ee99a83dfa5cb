"""Copies of a run's log for TensorBoard and Weights & Biases; the log in the run's folder stays the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.errors import MissingDataError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from vvscale.train.progress import Progress
    from vvscale.train.spec import RunSpec


class Tracker:
    """A watcher that passes the numbers of every evaluation on.

    Parameters
    ----------
    write
        Takes a step and numbers by name.
    """

    def __init__(self, write: Callable[[int, Mapping[str, float]], object]) -> None:
        self._write = write

    def on_step(self, progress: Progress) -> None:
        """Do nothing: evaluations are enough."""

    def on_evaluation(self, line: dict[str, Any], network: nn.Module, record: dict[str, Any]) -> dict[str, Any]:
        """Pass on the numbers of a line of the log."""
        numbers = {name: float(value) for name, value in line.items() if isinstance(value, int | float)}
        self._write(line["step"], numbers)
        return {}


@contextmanager
def tracker(name: str, spec: RunSpec, folder: Path) -> Iterator[Tracker]:
    """Open a tracker by name.

    Parameters
    ----------
    name
        ``"tensorboard"`` or ``"wandb"``.
    spec, folder
        The run, and where it lies; TensorBoard writes into the folder.

    Raises
    ------
    UnknownNameError
        There is no such tracker.
    MissingDataError
        Its package is not installed.
    """
    openers = {"tensorboard": _tensorboard, "wandb": _wandb}
    if name not in openers:
        raise unknown_name("tracker", name, openers)
    try:
        opened = openers[name](spec, folder)
    except ImportError as error:
        raise MissingDataError(
            f"The tracker '{name}' needs a package that is not installed: {error}. Next: "
            "pip install 'vvscale[tracking]'."
        ) from error
    with opened as write:
        yield Tracker(write)


@contextmanager
def _tensorboard(spec: RunSpec, folder: Path) -> Iterator[Callable[[int, Mapping[str, float]], object]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(step: int, numbers: Mapping[str, float]) -> None:
        for key, value in numbers.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()


@contextmanager
def _wandb(spec: RunSpec, folder: Path) -> Iterator[Callable[[int, Mapping[str, float]], object]]:
    import wandb

    # One id per run: a resumed run appends to the same record.
    run = wandb.init(
        project="vvscale",
        name=spec.model_id,
        id=spec.digest()[:16],
        resume="allow",
        dir=str(folder),
        config={**spec.to_dict(), "recipe": spec.recipe.to_dict()},
    )
    try:
        yield lambda step, numbers: run.log(dict(numbers), step=step)
    finally:
        run.finish()
