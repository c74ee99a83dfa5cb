"""How good a network is: top-1 accuracy of a classifier, or of nearest neighbours among its features."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from vvscale.train.compute.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vvscale.data import Batch


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation on held-out images gives.

    Attributes
    ----------
    accuracy
        Top-1, 0 to 1.
    loss
        Mean cross-entropy in nats, or None for nearest neighbours.
    n_images
        How many were looked at.
    """

    accuracy: float
    loss: float | None
    n_images: int


@contextmanager
def fixed(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and back: what passes through leaves no trace in batch statistics."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """Put a module into evaluation mode, without gradients, and back."""
    with fixed(module), torch.inference_mode():
        yield module


def evaluate(module: nn.Module, batches: Iterable[Batch], here: Ranks, *, autocast: bool = False) -> Evaluation:
    """Evaluate a classifier on all batches of all processes.

    Parameters
    ----------
    module
        Images (B, C, H, W) -> (B, n_classes).
    batches
        This process's share.
    here
        This process.
    autocast
        Whether to compute in bfloat16.
    """
    totals = torch.zeros(3, dtype=torch.float64, device=here.device)
    with evaluating(module), torch.autocast(here.device.type, torch.bfloat16, enabled=autocast):
        for batch in batches:
            scores = module(batch.images).float()
            right = (scores.argmax(1) == batch.labels).sum()
            loss = F.cross_entropy(scores, batch.labels, reduction="sum")
            totals += torch.stack((right, loss, torch.tensor(len(batch.labels), device=here.device))).double()
    n_right, loss, n_images = here.sum(totals).tolist()
    return Evaluation(n_right / max(n_images, 1), loss / max(n_images, 1), int(n_images))


def nearest_neighbors(
    backbone: nn.Module,
    known: Iterable[Batch],
    asked: Iterable[Batch],
    here: Ranks,
    *,
    n_classes: int,
    n_neighbors: int = 20,
    temperature: float = 0.07,
) -> Evaluation:
    """Classify images by the weighted vote of their nearest neighbours among training images.

    Parameters
    ----------
    backbone
        Images -> (B, n_features).
    known, asked
        All training images in evaluation form, and this process's share of the held-out ones.
    here
        This process.
    n_classes, n_neighbors, temperature
        Number of classes, of votes, and what divides the cosine of a vote.

    Source
    ------
    Wu et al., "Unsupervised feature learning via non-parametric instance discrimination", CVPR 2018, section 3.4.
    """
    totals = torch.zeros(2, dtype=torch.float64, device=here.device)
    with evaluating(backbone):
        pairs = [(F.normalize(backbone(batch.images).float(), dim=1), batch.labels) for batch in known]
        bank, labels = (torch.cat(part) for part in zip(*pairs, strict=True))
        n_votes = min(n_neighbors, len(bank))
        for batch in asked:
            cosines = F.normalize(backbone(batch.images).float(), dim=1) @ bank.T
            nearest, index = cosines.topk(n_votes, dim=1)
            votes = F.one_hot(labels[index], n_classes) * (nearest / temperature).exp()[..., None]
            right = (votes.sum(1).argmax(1) == batch.labels).sum()
            totals += torch.stack((right, torch.tensor(len(batch.labels), device=here.device))).double()
    n_right, n_images = here.sum(totals).tolist()
    return Evaluation(n_right / max(n_images, 1), None, int(n_images))
