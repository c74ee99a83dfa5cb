"""One training step: the images, network, objective and optimiser of a run, what a step does with them, its state.

Nothing here depends on how far the run is; :mod:`vvscale.train.loop` moves it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vvscale.data import Batch, Dataset, Evaluation, Loader, Subset
from vvscale.data.residency import Residency
from vvscale.errors import ConfigError
from vvscale.models import Cost
from vvscale.train.compute.ema import WeightAverage
from vvscale.train.compute.optimizer import set_rates
from vvscale.train.compute.ranks import Ranks
from vvscale.train.recipe import Recipe
from vvscale.train.spec import RunSpec


@dataclass(frozen=True)
class Options:
    """How to compute, which must not change what is computed but for rounding.

    Attributes
    ----------
    micro_batch
        Most images per process that pass through the network at once; None for the whole share.
    compile
        Whether the network is compiled; None for on CUDA.
    bf16
        Whether matrices are multiplied in bfloat16; None for on CUDA.
    residency
        Where the images are kept while training, as :class:`vvscale.data.Loader` takes it.
    """

    micro_batch: int | None = None
    compile: bool | None = None
    bf16: bool | None = None
    residency: Residency = "auto"

    def on(self, device: torch.device) -> Options:
        """Return the options with defaults for a device filled in."""
        is_cuda = device.type == "cuda"
        return dataclasses.replace(
            self,
            compile=is_cuda if self.compile is None else self.compile,
            bf16=is_cuda if self.bf16 is None else self.bf16,
        )


@dataclass
class Job:
    """Everything that trains together.

    Attributes
    ----------
    spec, options, here
        What, how, and where.
    dataset, subset
        All images, and those that are trained on.
    loader, evaluation
        Training batches of this process, and how images are shown when it is evaluated.
    network
        What is evaluated and scored: images -> class scores, or features without a classifier.
    objective, runner
        The loss as a module, and the same as it is called: joined over processes.
    optimizer, average
        Updates, and the weight average or None.
    cost, model_options
        What the architecture costs, and how to build the network again.
    """

    spec: RunSpec
    options: Options
    here: Ranks
    dataset: Dataset
    subset: Subset
    loader: Loader
    evaluation: Evaluation
    network: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    cost: Cost
    model_options: dict[str, Any]
    runner: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        if self.here.world_size > 1:
            ids = [self.here.device] if self.here.device.type == "cuda" else None
            self.runner = DistributedDataParallel(self.objective, device_ids=ids)
        else:
            self.runner = self.objective

    @property
    def recipe(self) -> Recipe:
        """How to train."""
        return self.spec.recipe

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the subset."""
        return len(self.loader)

    @property
    def n_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.recipe.schedule.n_steps(self.steps_per_epoch)

    @property
    def n_epochs(self) -> int:
        """Passes over the subset, the last one possibly in part."""
        return -(-self.n_steps // self.steps_per_epoch)

    @property
    def has_classifier(self) -> bool:
        """Whether the network gives class scores, and not features."""
        return self.model_options["n_classes"] > 0

    @property
    def evaluated(self) -> nn.Module:
        """The network that is looked at: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def step(self, batch: Batch, step: int) -> torch.Tensor:
        """Make one optimiser step on a global batch and return its mean loss in this process."""
        schedule, settings = self.recipe.schedule, self.recipe.optimizer
        set_rates(
            self.optimizer,
            lr=schedule.learning_rate(step, self.steps_per_epoch, settings.lr),
            weight_decay=schedule.weight_decay(step, self.steps_per_epoch, settings.weight_decay),
        )
        # Dropped blocks and attacks draw from PyTorch's generator; seeding it by the step makes them a pure
        # function of seed and step, so that nothing has to be kept to resume.
        seed = ((self.spec.seed << 40) + (step << 10) + self.here.rank) % 2**63
        torch.default_generator.manual_seed(seed)
        if self.here.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        epochs_done = step / self.steps_per_epoch
        self._tell("before_step", epochs_done)
        total = torch.zeros((), device=self.here.device)
        parts = list(self._parts(batch))
        for number, (views, targets, share) in enumerate(parts):
            with self._without_sync(number + 1 < len(parts)), self._autocast():
                loss = self.runner(views, targets) * share
            loss.backward()
            total += loss.detach()
        self._tell("before_update", epochs_done)
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.objective.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._tell("after_update", (step + 1) / self.n_steps, self.here)
        if self.average is not None:
            self.average.update(self.network, step + 1)
        return total

    def _parts(self, batch: Batch) -> Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor, float]]:
        """Yield what passes through the network at once: views, targets, and the weight of its mean loss."""
        views = batch.images if isinstance(batch.images, tuple) else (batch.images,)
        # Processes whose shares differ in size are averaged by size.
        weight = self.here.world_size / batch.n_global
        targets = batch.labels if batch.targets is None else batch.targets
        n_images = len(targets)
        size = min(self.options.micro_batch or n_images, n_images)
        if size < n_images and getattr(self.objective, "needs_whole_batch", False):
            raise ConfigError(
                f"The objective {self.recipe.objective} compares all images of a batch, so that {n_images} images "
                f"cannot be cut into parts of {size}. Leave out `micro_batch`, use more processes, or "
                "lower `batch_size`."
            )
        if self.here.device.type == "cuda":
            views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        for start in range(0, n_images, size):
            stop = min(start + size, n_images)
            yield tuple(view[start:stop] for view in views), targets[start:stop], (stop - start) * weight

    def _without_sync(self, is_partial: bool) -> Any:
        wrapped = isinstance(self.runner, DistributedDataParallel)
        return self.runner.no_sync() if wrapped and is_partial else nullcontext()  # pyright: ignore[reportCallIssue]

    def _autocast(self) -> Any:
        return torch.autocast(self.here.device.type, torch.bfloat16) if self.options.bf16 else nullcontext()

    def _tell(self, moment: str, *values: Any) -> None:
        """Tell the objective of a moment of the step, if it wants to know."""
        listener = getattr(self.objective, moment, None)
        if listener is not None:
            listener(*values)

    def state(self) -> dict[str, Any]:
        """Return what changes while training."""
        return {
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
