"""What a run costs before it runs: parameters, FLOP, memory, hours, bytes on the disk."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from vvscale.core.jsonable import Result
from vvscale.data import load_dataset
from vvscale.models import build_model
from vvscale.models.architectures.names import Stem
from vvscale.train.build import (
    batch_of,
    build_network,
    build_objective,
    choose_subset,
    cost_of,
    evaluation_of,
    start_from,
    transforms_of,
)
from vvscale.train.compute.ranks import ranks
from vvscale.train.compute.schedule import log_epochs
from vvscale.train.recipe import REFERENCE_SIZE
from vvscale.train.spec import RunSpec

_PROBE_BATCH = {"cpu": 8, "cuda": 64}
_PROBE_SECONDS = 2.0
_FLOAT = 4
# Beside each weight: its gradient, and what the optimiser keeps.
_COPIES = {"sgd": 3, "lars": 3, "adamw": 4}


@dataclass(frozen=True)
class Estimate(Result):
    """What a run costs.

    Attributes
    ----------
    model, n_params, n_params_actual
        Name, and parameters as the score table counts them and as built.
    n_images, n_steps, n_epochs, samples_seen
        Size of the subset, and length of the run.
    forward_flop, train_flop
        Of one image, and of the whole run.
    memory_bytes
        Weights, gradients, optimiser and activations of one batch; an estimate from the sizes of all outputs.
    images_per_second
        Measured on the device for a few steps with images that are already there.
    hours
        At that rate.
    disk_bytes
        Weights kept, and the largest state to resume from.
    device
        Where it was measured.
    start
        What was read of the weights that it starts from.
    """

    model: str
    n_params: float
    n_params_actual: float
    n_images: int
    n_steps: int
    n_epochs: int
    samples_seen: int
    forward_flop: float
    train_flop: float
    memory_bytes: float
    images_per_second: float
    hours: float
    disk_bytes: float
    device: str
    start: str | None = None

    def lines(self) -> list[tuple[str, str]]:
        """Return the quantities as people read them."""
        return [
            ("parameters, as in the tables", f"{self.n_params:,.0f}"),
            ("parameters, as built", f"{self.n_params_actual:,.0f}"),
            ("training images", f"{self.n_images:,}"),
            ("epochs", f"{self.n_epochs:,}"),
            ("steps", f"{self.n_steps:,}"),
            ("images seen", f"{self.samples_seen:,}"),
            ("FLOP, one image forward", f"{self.forward_flop:.3g}"),
            ("FLOP, whole run", f"{self.train_flop:.3g}"),
            ("memory", f"{self.memory_bytes / 1e9:.2f} GB"),
            (f"images/s on {self.device}, measured", f"{self.images_per_second:,.0f}"),
            ("hours", f"{self.hours:.3g}"),
            ("disk", f"{self.disk_bytes / 1e6:,.1f} MB"),
            *([("starts from", self.start)] if self.start else []),
        ]


def estimate(spec: RunSpec, *, device: str = "auto", micro_batch: int | None = None) -> Estimate:
    """Work out what a run costs; the rate is measured for about two seconds on the device.

    Parameters
    ----------
    spec
        The run.
    device
        As in :func:`vvscale.train.train`.
    micro_batch
        Most images that pass through the network at once.

    Raises
    ------
    ConfigError, DataError
        The spec does not allow the run.
    """
    recipe = spec.recipe
    dataset = load_dataset(spec.dataset)
    n_images = len(choose_subset(spec, dataset).index)
    evaluation = evaluation_of(spec, dataset)
    # What the run would refuse is refused here.
    transforms_of(recipe, evaluation)
    batch = batch_of(spec, n_images)
    length, passes = recipe.length(n_images), recipe.passes_per_image
    of = cost_of(spec, dataset, evaluation.image_size)
    copies = _COPIES[recipe.optimizer.name] + (recipe.ema is not None)
    outputs = (
        activation_elements(spec.model, evaluation.image_size, spec.stem) * min(micro_batch or batch, batch) * passes
    )
    start = None
    if spec.start is not None:
        network, _ = build_network(dataclasses.replace(spec, start=None), dataset, evaluation.image_size)
        start = start_from(spec.start, spec.model, network)
    rate, where = measure_rate(spec, device)
    kept = len(log_epochs(length.n_epochs, recipe.checkpoints_per_decade)) + 1
    weights = of.n_params_actual * _FLOAT
    return Estimate(
        model=spec.model,
        n_params=of.n_params,
        n_params_actual=of.n_params_actual,
        n_images=n_images,
        n_steps=length.n_steps,
        n_epochs=length.n_epochs,
        samples_seen=length.samples_seen,
        forward_flop=of.forward_flop,
        train_flop=3 * of.forward_flop * passes * length.samples_seen,
        memory_bytes=copies * weights + outputs * (2 if where.startswith("cuda") else _FLOAT),
        images_per_second=rate,
        hours=length.samples_seen / rate / 3600,
        disk_bytes=weights * (kept * (1 + (recipe.ema is not None)) + copies),
        device=where,
        start=start,
    )


def activation_elements(model: str, image_size: int, stem: Stem = "auto") -> int:
    """Return how many numbers the layers of a network put out for one image; no memory is used for them."""
    with torch.device("meta"):
        network = build_model(model, image_size=image_size, stem=stem)
        sizes: list[int] = []
        for module in network.modules():
            if not list(module.children()):
                module.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.numel()))
        network.eval()(torch.zeros(1, 3, image_size, image_size))
    return sum(sizes)


def measure_rate(spec: RunSpec, device: str) -> tuple[float, str]:
    """Train on made-up images for a moment; return images per second and the device."""
    dataset = load_dataset(spec.dataset)
    evaluation = evaluation_of(spec, dataset)
    size = evaluation.image_size
    with ranks(device) as here:
        if here.device.type == "cpu":
            torch.set_num_threads(1)
        network, _ = build_network(dataclasses.replace(spec, start=None), dataset, size)
        objective = build_objective(spec.recipe, network, evaluation).to(here.device)
        n = min(_PROBE_BATCH[here.device.type], spec.recipe.batch_size)
        n_views = max(len(spec.recipe.views), 1)
        sizes = [round(view.image_size * size / REFERENCE_SIZE) for view in spec.recipe.views] or [size] * n_views
        views = tuple(torch.randn(n, 3, side, side, device=here.device) for side in sizes)
        labels = torch.arange(n, device=here.device) % dataset.train.n_classes
        is_cuda = here.device.type == "cuda"

        def step() -> None:
            with torch.autocast("cuda", torch.bfloat16, enabled=is_cuda):
                loss = objective(views, labels)
            loss.backward()
            objective.zero_grad(set_to_none=True)
            if is_cuda:
                torch.cuda.synchronize()

        step()  # the first one allocates
        n_steps, started = 0, time.perf_counter()
        while n_steps < 2 or time.perf_counter() - started < _PROBE_SECONDS:
            step()
            n_steps += 1
        return n * n_steps / (time.perf_counter() - started), str(here.device)
