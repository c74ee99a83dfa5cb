"""Supervised classification, and the losses of the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from vvscale.errors import ConfigError
from vvscale.train.objectives.precision import widened


@dataclass(frozen=True)
class Loss:
    """A loss of class scores.

    Attributes
    ----------
    name
        ``"cross_entropy"`` over classes, or ``"binary_cross_entropy"`` of each class against all others.
    label_smoothing
        Part of the target spread over all classes, in [0, 1).
    target_threshold
        For the binary loss: targets above it count as 1 and others as 0; None keeps soft targets.
    """

    name: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    label_smoothing: float = 0.0
    target_threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"`label_smoothing` is {self.label_smoothing}; expected a number in [0, 1).")
        if self.target_threshold is not None and self.name != "binary_cross_entropy":
            raise ConfigError("A `target_threshold` belongs to binary_cross_entropy; leave it out of cross_entropy.")


class Criterion(nn.Module):
    """A loss as a module: (B, n_classes) scores and labels or soft targets to the mean over the batch."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss for (B,) int64 labels or (B, n_classes) soft targets."""
        scores = widened(scores)
        if self.loss.name == "cross_entropy":
            return F.cross_entropy(scores, targets, label_smoothing=self.loss.label_smoothing)
        n_classes = scores.shape[1]
        soft = (targets if targets.ndim == 2 else F.one_hot(targets, n_classes)).to(scores.dtype)
        smoothing = self.loss.label_smoothing
        soft = soft * (1 - smoothing) + smoothing / n_classes
        if self.loss.target_threshold is not None:
            soft = (soft > self.loss.target_threshold).to(scores.dtype)
        return F.binary_cross_entropy_with_logits(scores, soft)


class SupervisedObjective(nn.Module):
    """A classifier and its loss.

    Parameters
    ----------
    model
        Images -> (B, n_classes).
    criterion
        (scores, targets) -> scalar.
    """

    needs_whole_batch = False

    def __init__(self, model: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion

    def forward(self, views: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch."""
        (images,) = views
        return self.criterion(self.model(images), targets)
