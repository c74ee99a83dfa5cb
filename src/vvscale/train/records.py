"""What the log, the weights' record and the score table say about a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vvscale.data import Batch, ImageStore, Loader
from vvscale.models import architecture, save_weights
from vvscale.train.compute.evaluate import evaluate, nearest_neighbors
from vvscale.train.progress import Progress
from vvscale.train.step import Job

_EVALUATION_BATCH = 256


def evaluate_run(job: Job, progress: Progress, train_loss: float) -> dict[str, Any]:
    """Evaluate the network on held-out images and return one line of the log.

    Networks without a classifier are judged by nearest neighbours among the training images, at the end only.
    """
    line: dict[str, Any] = {
        "step": progress.step,
        "epoch": progress.epoch,
        "samples_seen": progress.samples_seen,
        "seconds": round(progress.seconds, 3),
        "train_loss": train_loss,
        "lr": job.optimizer.param_groups[0]["lr"],
    }
    val = evaluation_batches(job, job.dataset.val)
    if job.has_classifier:
        found = evaluate(job.evaluated, val, job.here, autocast=bool(job.options.bf16))
    elif progress.step == progress.n_steps:
        known = evaluation_batches(job, job.dataset.train, is_shared=False)
        found = nearest_neighbors(job.evaluated, known, val, job.here, n_classes=job.dataset.train.n_classes)
    else:
        return line
    return line | {"accuracy": found.accuracy, "loss": found.loss, "n_evaluated": found.n_images}


def evaluation_batches(job: Job, store: ImageStore, *, is_shared: bool = True) -> Iterator[Batch]:
    """Yield a store's images in evaluation form; training stores give the run's subset.

    Parameters
    ----------
    job
        The run.
    store
        Held-out or training images.
    is_shared
        Whether this process gets its share only.
    """
    index = job.subset.index if store is job.dataset.train else None
    loader = Loader(
        store,
        index,
        transform=job.evaluation,
        batch_size=_EVALUATION_BATCH,
        device=str(job.here.device),
        residency=job.options.residency,
        rank=job.here.rank if is_shared else 0,
        world_size=job.here.world_size if is_shared else 1,
        shuffle=False,
    )
    return loader.epoch(0)


def row_of(job: Job, progress: Progress, line: dict[str, Any]) -> dict[str, Any]:
    """Return the model-level columns of the score table.

    ``train_flop`` counts every pass of the objective (two views, attacks, crops), and ``samples_seen`` what was
    really seen; for supervised runs that keep their last batch these are the published conventions.
    """
    spec, recipe = job.spec, job.recipe
    known = architecture(spec.model)
    return {
        "model_id": spec.model_id,
        "arch": spec.model,
        "family": known.family,
        "parent_family": known.parent_family,
        "dataset": spec.dataset_name,
        "seed": spec.seed,
        "samples_per_class": spec.samples_per_class,
        "n_samples": len(job.subset.index),
        "n_epochs": progress.epoch,
        "samples_seen": progress.samples_seen,
        "n_params": job.cost.n_params,
        "forward_mac": job.cost.forward_mac,
        "forward_flop": job.cost.forward_flop,
        "train_flop": 3 * job.cost.forward_flop * recipe.passes_per_image * progress.samples_seen,
        "accuracy": line.get("accuracy"),
        "is_pretrained": False,
        "is_random": False,
        "is_ssl": recipe.objective in {"simclr", "dino"},
        "ssl_method": recipe.objective if recipe.objective in {"simclr", "dino"} else None,
        "is_ablation": False,
        "is_open_clip": False,
        "is_adv": recipe.attack is not None,
        "adv_method": None if recipe.attack is None else recipe.attack.method,
        "recipe": recipe.name,
    }


def record_of(job: Job, progress: Progress, line: dict[str, Any], *, weights: str) -> dict[str, Any]:
    """Return what is written beside weights: how to build the network, and what it is."""
    evaluation = job.evaluation
    return {
        "model": job.spec.model,
        "model_options": job.model_options,
        "row": row_of(job, progress, line),
        "epoch": progress.epoch,
        "step": progress.step,
        "preprocessing": {
            "image_size": evaluation.image_size,
            "resize": evaluation.resize,
            "mean": list(evaluation.mean),
            "std": list(evaluation.std),
        },
        "weights": weights,
        "source": {"run": job.spec.digest(), "subset": job.subset.digest, "data": job.dataset.train.digest},
    }


def export(job: Job, progress: Progress, line: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write the network that is evaluated, and where that is an average the plain one beside it."""
    kind = "plain" if job.average is None else "ema"
    record = record_of(job, progress, line, weights=kind)
    save_weights(path, job.evaluated, record)
    if job.average is not None:
        plain = path.with_name(f"{path.stem}-plain{path.suffix}")
        save_weights(plain, job.network, record_of(job, progress, line, weights="plain"))
    return record
