"""SimCLR: two views of an image should be nearer to each other than to any other image of the batch.

Source: Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020,
equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from vvscale.errors import ConfigError
from vvscale.train.compute.ranks import gather_with_gradient
from vvscale.train.objectives.precision import widened


@dataclass(frozen=True)
class SimCLR:
    """Settings of SimCLR.

    Attributes
    ----------
    temperature
        Divides similarities; above 0.
    hidden, dim
        Widths of the projection head: features -> hidden -> dim.
    """

    temperature: float = 0.5
    hidden: int = 2048
    dim: int = 128

    def __post_init__(self) -> None:
        if self.temperature <= 0 or min(self.hidden, self.dim) < 1:
            raise ConfigError(
                f"SimCLR has `temperature={self.temperature}`, `hidden={self.hidden}`, `dim={self.dim}`; expected "
                "numbers above 0."
            )


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the normalised, temperature-scaled cross-entropy over a batch of pairs.

    Parameters
    ----------
    first, second
        (B, dim) projections of two views of the same images, of any length. With several processes each
        gives its own share; negatives come from all of them.
    temperature
        Above 0.

    Returns
    -------
    scalar
        Mean over this process's 2 B views.
    """
    local = torch.cat((F.normalize(first, dim=1), F.normalize(second, dim=1)))  # (2B, dim)
    everyone, offset = gather_with_gradient(local)
    similarity = widened(local @ everyone.T) / temperature  # (2B, 2B of all processes)
    n_views = len(local)
    own = torch.arange(n_views, device=local.device)
    similarity[own, own + offset] = -torch.inf
    partner = (own + n_views // 2) % n_views + offset
    return F.cross_entropy(similarity, partner)


class SimCLRObjective(nn.Module):
    """The backbone without its classifier, and a projection head of two layers.

    Parameters
    ----------
    backbone
        Images -> (B, n_features).
    n_features
        Width of the backbone's output.
    settings
        Of the head and the loss.
    """

    needs_whole_batch = True

    def __init__(self, backbone: nn.Module, n_features: int, settings: SimCLR) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.Linear(n_features, settings.hidden), nn.ReLU(inplace=True), nn.Linear(settings.hidden, settings.dim)
        )
        self.temperature = settings.temperature

    def forward(self, views: tuple[torch.Tensor, ...], targets: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss of a batch of two views, each (B, C, H, W); labels are not used."""
        n_images = len(views[0])
        # One pass over both views: their batch statistics are shared, as in the reference.
        projected = self.head(self.backbone(torch.cat(tuple(views))))
        return nt_xent(projected[:n_images], projected[n_images:], self.temperature)
