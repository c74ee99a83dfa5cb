"""DINO: a student learns to say of small crops what its own slow average says of large ones.

Source: Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021, algorithm 1 and
appendix C.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from vvscale.errors import ConfigError
from vvscale.train.compute.ranks import Ranks
from vvscale.train.compute.schedule import cosine
from vvscale.train.objectives.precision import widened


@dataclass(frozen=True)
class DINO:
    """Settings of DINO.

    Attributes
    ----------
    dim, hidden, bottleneck
        Widths of the head: features -> hidden -> hidden -> bottleneck -> dim.
    student_temperature, teacher_temperature
        Divide the outputs; above 0.
    warmup_teacher_temperature, warmup_teacher_epochs
        The teacher's temperature rises linearly from the first to ``teacher_temperature`` over so many epochs.
    teacher_momentum
        Share of the teacher kept per step at the start, in [0, 1); reaches 1 by a cosine at the end.
    center_momentum
        Share of the centre kept per step, in [0, 1).
    frozen_epochs
        Epochs in which the last layer of the head stays as it is.
    """

    dim: int = 65536
    hidden: int = 2048
    bottleneck: int = 256
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    warmup_teacher_temperature: float = 0.04
    warmup_teacher_epochs: float = 0.0
    teacher_momentum: float = 0.9995
    center_momentum: float = 0.9
    frozen_epochs: int = 1

    def __post_init__(self) -> None:
        temperatures = (self.student_temperature, self.teacher_temperature, self.warmup_teacher_temperature)
        if min(temperatures) <= 0 or not (0 <= self.teacher_momentum < 1 and 0 <= self.center_momentum < 1):
            raise ConfigError(
                f"DINO has temperatures {temperatures} and momenta {self.teacher_momentum}, {self.center_momentum}; "
                "expected temperatures above 0 and momenta in [0, 1)."
            )
        if min(self.dim, self.hidden, self.bottleneck) < 1 or self.frozen_epochs < 0:
            raise ConfigError("DINO has a width below 1 or negative `frozen_epochs`; expected whole numbers.")


def dino_loss(
    student: torch.Tensor, teacher: torch.Tensor, center: torch.Tensor, settings: DINO, temperature: float
) -> torch.Tensor:
    """Return the cross-entropy between the teacher's view of each global crop and the student's of all others.

    Parameters
    ----------
    student
        (n_crops, B, dim) outputs, the two global crops first.
    teacher
        (2, B, dim) outputs for the global crops.
    center
        (dim,) running mean of the teacher's outputs.
    settings, temperature
        Of the student, and the teacher's temperature at this step.
    """
    log_p = F.log_softmax(widened(student) / settings.student_temperature, dim=-1)
    q = F.softmax((widened(teacher) - center) / temperature, dim=-1).detach()
    # The sum over classes, for every pair of a teacher's and another student's crop.
    agreement = torch.einsum("tbk,sbk->ts", q, log_p) / student.shape[1]
    is_other = ~torch.eye(len(q), len(log_p), dtype=torch.bool, device=student.device)
    return -agreement[is_other].mean()


class DINOHead(nn.Module):
    """Three layers to a bottleneck, which is normalised and compared with prototypes."""

    def __init__(self, n_features: int, settings: DINO) -> None:
        super().__init__()
        hidden = settings.hidden
        self.mlp = nn.Sequential(
            nn.Linear(n_features, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, settings.bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes: nn.Module = weight_norm(nn.Linear(settings.bottleneck, settings.dim, bias=False))
        # Prototypes have length 1 and only turn.
        length = self.prototypes.get_parameter("parametrizations.weight.original0")
        length.data.fill_(1.0)
        length.requires_grad = False

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (B, n_features) to (B, dim)."""
        return self.prototypes(F.normalize(self.mlp(features), dim=-1))


class DINOObjective(nn.Module):
    """Student and teacher, each a backbone with a head.

    Parameters
    ----------
    backbone
        Images of any size -> (B, n_features).
    n_features
        Width of the backbone's output.
    settings
        Of the heads and the loss.
    """

    needs_whole_batch = False
    center: torch.Tensor

    def __init__(self, backbone: nn.Module, n_features: int, settings: DINO) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = backbone
        self.head = DINOHead(n_features, settings)
        self.teacher_backbone = copy.deepcopy(backbone).requires_grad_(False)
        self.teacher_head = copy.deepcopy(self.head).requires_grad_(False)
        self.register_buffer("center", torch.zeros(settings.dim))
        self.temperature = settings.warmup_teacher_temperature
        self._seen = (torch.zeros(settings.dim), 0)

    def forward(self, views: tuple[torch.Tensor, ...], targets: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss of a batch of crops, two global ones first; labels are not used."""
        n_images = len(views[0])
        with torch.no_grad():
            teacher = self.teacher_head(self.teacher_backbone(torch.cat(views[:2]))).view(2, n_images, -1)
        # Crops of one size go through the backbone together.
        features = [self.backbone(torch.cat(views[:2]))]
        if len(views) > 2:
            features.append(self.backbone(torch.cat(views[2:])))
        student = self.head(torch.cat(features)).view(len(views), n_images, -1)
        total, n_rows = self._seen
        rows = widened(teacher.detach()).sum((0, 1))
        self._seen = total.to(rows) + rows, n_rows + 2 * n_images
        return dino_loss(student, teacher, self.center, self.settings, self.temperature)

    def before_step(self, epochs_done: float) -> None:
        """Set what depends on the place in the run, before the forward passes of a step."""
        s = self.settings
        rise = min(epochs_done / s.warmup_teacher_epochs, 1.0) if s.warmup_teacher_epochs else 1.0
        self.temperature = s.warmup_teacher_temperature + rise * (s.teacher_temperature - s.warmup_teacher_temperature)

    def before_update(self, epochs_done: float) -> None:
        """Drop the gradient of the last layer while it is frozen."""
        if epochs_done < self.settings.frozen_epochs:
            for parameter in self.head.prototypes.parameters():
                parameter.grad = None

    @torch.no_grad()
    def after_update(self, done: float, ranks: Ranks) -> None:
        """Move teacher and centre after the part ``done`` in [0, 1] of the run."""
        keep = cosine(self.settings.teacher_momentum, 1.0, done)
        for mine, theirs in ((self.teacher_backbone, self.backbone), (self.teacher_head, self.head)):
            for slow, fast in zip(mine.parameters(), theirs.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
            # Batch statistics are the teacher's own: its forward passes are in training mode, as in the reference.
        total, n_rows = self._seen
        mean = ranks.mean(total / max(n_rows, 1))
        self.center.lerp_(mean, 1 - self.settings.center_momentum)
        self._seen = torch.zeros_like(total), 0
