"""Adversarial training: classify images after an attacker has moved every pixel a little.

Sources: FFGSM is Wong, Rice & Kolter, "Fast is better than free", ICLR 2020, algorithm 3; PGD is Madry et al.,
"Towards deep learning models resistant to adversarial attacks", ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from vvscale.errors import ConfigError
from vvscale.train.compute.evaluate import fixed


@dataclass(frozen=True)
class Attack:
    """An attack on images with pixels in [0, 1].

    Attributes
    ----------
    method
        ``"ffgsm"``: one signed step from a random place; ``"pgd-linf"``, ``"pgd-l2"``: several projected steps.
    eps
        Radius of the ball that the image stays in, above 0.
    alpha
        Length of a step, above 0.
    steps
        Number of steps; 1 for ffgsm.
    """

    method: Literal["ffgsm", "pgd-linf", "pgd-l2"] = "ffgsm"
    eps: float = 1 / 255
    alpha: float = 1.25 / 255
    steps: int = 1

    def __post_init__(self) -> None:
        if self.eps <= 0 or self.alpha <= 0 or self.steps < 1 or (self.method == "ffgsm" and self.steps != 1):
            raise ConfigError(
                f"The attack {self.method} has `eps={self.eps}`, `alpha={self.alpha}`, `steps={self.steps}`; expected "
                "all above 0, and one step for ffgsm."
            )


def perturb(
    images: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    attack: Attack,
    *,
    start: torch.Tensor,
) -> torch.Tensor:
    """Return attacked images.

    Parameters
    ----------
    images
        (B, C, H, W) in [0, 1].
    loss
        Of images, summed or averaged over the batch; it is increased.
    attack
        What to do.
    start
        (B, C, H, W) first displacement, within the ball.

    Returns
    -------
    (B, C, H, W), in [0, 1] and within ``eps`` of ``images``.
    """
    adversarial = (images + start).clamp(0, 1)
    for _ in range(attack.steps):
        adversarial = adversarial.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(adversarial), adversarial)
        adversarial = adversarial.detach()
        if attack.method == "pgd-l2":
            moved = adversarial + attack.alpha * slope / _norms(slope)
            displacement = moved - images
            displacement = displacement * (attack.eps / _norms(displacement)).clamp(max=1)
        else:
            moved = adversarial + attack.alpha * slope.sign()
            displacement = (moved - images).clamp(-attack.eps, attack.eps)
        adversarial = (images + displacement).clamp(0, 1)
    return adversarial.detach()


def random_start(images: torch.Tensor, attack: Attack) -> torch.Tensor:
    """Return a random displacement within the ball, of the shape of the images.

    Uniform in each pixel for the cube; for the l2 ball a normal direction with a uniform radius.
    """
    if attack.method == "pgd-l2":
        direction = torch.randn_like(images)
        radius = torch.rand((len(images), 1, 1, 1), device=images.device, dtype=images.dtype)
        return direction / _norms(direction) * radius * attack.eps
    return torch.empty_like(images).uniform_(-attack.eps, attack.eps)


def _norms(table: torch.Tensor) -> torch.Tensor:
    return table.flatten(1).norm(dim=1).clamp(min=1e-10).view(-1, 1, 1, 1)


class AdversarialObjective(nn.Module):
    """A classifier and the attack on it.

    Parameters
    ----------
    model
        Normalised images -> (B, n_classes).
    criterion
        (logits, targets) -> scalar.
    attack
        In pixels of [0, 1].
    mean, std
        The normalisation of the images, per channel.
    """

    needs_whole_batch = False
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        attack: Attack,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion
        self.attack = attack
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, views: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        """Return the loss on attacked images."""
        (images,) = views
        pixels = (images * self.std + self.mean).clamp(0, 1)

        def loss(candidates: torch.Tensor) -> torch.Tensor:
            return self.criterion(self.model((candidates - self.mean) / self.std), targets)

        # As at test time: half-made images must leave no trace in batch statistics.
        with fixed(self.model):
            attacked = perturb(pixels, loss, self.attack, start=random_start(pixels, self.attack))
        return loss(attacked)
