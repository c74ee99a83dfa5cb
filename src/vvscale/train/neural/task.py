"""What a network was trained for: batches for fine-tuning, and its accuracy on held-out images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vvscale.errors import ConfigError
from vvscale.train.build import build_job
from vvscale.train.compute.evaluate import evaluate
from vvscale.train.compute.ranks import Ranks
from vvscale.train.defaults import plan_run
from vvscale.train.records import evaluation_batches
from vvscale.train.run_folder import RunFolder
from vvscale.train.step import Job, Options


@dataclass(frozen=True, eq=False)
class Task:
    """Images with labels, as the network saw them when it was trained.

    Attributes
    ----------
    job
        What trains on them; its network is the one to tune.
    """

    job: Job

    @classmethod
    def load(cls, model: str, start: str, data: str, *, out: Path, seed: int, batch_size: int, device: str) -> Task:
        """Load a trained network and the images of its task.

        Parameters
        ----------
        model, start
            Architecture, and the weights as :func:`vvscale.models.load_model` takes them.
        data
            Embedded data set, or the folder of a prepared one.
        out
            Folder for what the network and its images are known by.
        seed, batch_size, device
            Of the batches.
        """
        changes: dict[str, Any] = {"batch_size": batch_size, "fits_batch": True}
        spec = plan_run(model, data, start=start, seed=seed, changes=changes)
        job = build_job(spec, Ranks(0, 1, torch.device(device)), Options(compile=False, bf16=False), RunFolder(out))
        if not job.has_classifier:
            raise ConfigError(f"The recipe '{spec.recipe.name}' trains without labels; fine-tuning needs a classifier.")
        return cls(job)

    @property
    def network(self) -> nn.Module:
        """The network, with its weights."""
        return self.job.network

    def batches(self, start: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (images, labels) for ever, from batch ``start`` on, epoch after epoch in a fresh order."""
        epoch, skipped = divmod(start, len(self.job.loader))
        while True:
            for batch in self.job.loader.epoch(epoch, start=skipped):
                images = batch.images if isinstance(batch.images, torch.Tensor) else batch.images[0]
                yield images, batch.labels
            epoch, skipped = epoch + 1, 0

    def accuracy(self, network: nn.Module) -> float:
        """Return top-1 accuracy on the held-out images, 0 to 1."""
        return evaluate(network, evaluation_batches(self.job, self.job.dataset.val), self.job.here).accuracy
