"""How far a run is, and who wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn


@dataclass
class Progress:
    """How far a run is.

    Attributes
    ----------
    step, n_steps
        Optimiser steps done, and of the whole run.
    epoch, batch
        Passes done, and batches done of the next one.
    samples_seen
        Training images passed through the network by all processes.
    seconds
        Time in the loop, over all pieces of the run.
    loss_sum, n_losses
        Sum of the losses of the steps since the last evaluation, in this process, and their number.
    """

    step: int = 0
    n_steps: int = 0
    epoch: int = 0
    batch: int = 0
    samples_seen: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    n_losses: int = 0


class Watcher(Protocol):
    """Something that follows a run: a progress bar, a tracker of experiments, a scorer of checkpoints."""

    def on_step(self, progress: Progress) -> None:
        """Hear of every optimiser step; must be quick."""

    def on_evaluation(self, line: dict[str, Any], network: nn.Module, record: dict[str, Any]) -> dict[str, Any]:
        """Hear of every evaluation during training.

        Parameters
        ----------
        line
            What will be written to the log; ``evaluation`` is its position, from 1, among ``n_evaluations`` of the
            whole run.
        network, record
            The network that was evaluated, and its record as it would be written beside weights.

        Returns
        -------
        dict
            What to add to the line.
        """
        ...
