"""The readouts of the 2026 multimodal study: cross-attention over tokens, and baselines fed with the same tokens.

    t   = LayerNorm(Linear(tokens)) + positions                    (B, T, d)
    q   = queries, learned                                         (n_queries, d)
    q   = q + Dropout(attention(LayerNorm(q), t, t)); q = 2 q      the study's block without a feed-forward layer
    h   = flatten(LayerNorm(q))                                    (B, n_queries * d)
    y_s = Linear_s(h)                                              one head per subject

A trunk is everything before the heads. ``shared`` subjects have one trunk, ``individual`` ones a trunk each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from vvscale.errors import ConfigError, ShapeError
from vvscale.train.readouts.options import KINDS

# Shape legend: B images, T tokens, C channels, d width of the trunk, u units of a subject.

Kind = Literal["attention-shared", "attention-individual", "low-rank", "mlp"]

WIDTH, N_QUERIES, N_HEADS = 384, 16, 16
_MAX_TOKENS, _BASE = 4096, 1e4
_LOW_RANK = 5330  # above the width, so that it is low-rank by the pooled width alone
_MLP_HIDDEN = 91


def tokens_of(activations: torch.Tensor) -> torch.Tensor:
    """Return (B, T, C) tokens of a layer's output: a vector, tokens as they are, or a map's places.

    Examples
    --------
    >>> tokens_of(torch.zeros(2, 8, 3, 3)).shape
    torch.Size([2, 9, 8])
    """
    if activations.ndim == 2:
        return activations[:, None]
    if activations.ndim == 3:
        return activations
    if activations.ndim == 4:
        return activations.flatten(2).transpose(1, 2)
    raise ShapeError(f"A layer gives {tuple(activations.shape)}; expected (B, C), (B, T, C) or (B, C, H, W).")


def positions(n_tokens: int, width: int) -> torch.Tensor:
    """Return (T, d) sines and cosines of places, as transformers have them."""
    if n_tokens > _MAX_TOKENS:
        raise ShapeError(f"A layer has {n_tokens} tokens; expected at most {_MAX_TOKENS}.")
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(_BASE) / width))
    angles = torch.arange(n_tokens)[:, None] * rates
    table = torch.zeros(n_tokens, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(angles), torch.cos(angles)[:, : width // 2]
    return table


class _Tokens(nn.Module):
    """Tokens projected, normalised and placed: what all readouts begin with."""

    def __init__(self, n_channels: int, width: int) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(n_channels, width), nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, T, d)."""
        placed = self.norm(self.project(tokens))
        return placed + positions(tokens.shape[1], placed.shape[2]).to(placed)


class AttentionTrunk(nn.Module):
    """Learned queries that look at the tokens once."""

    def __init__(self, n_channels: int, *, width: int, n_queries: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        if width % n_heads:
            raise ConfigError(f"The width {width} of a readout is no multiple of its {n_heads} heads.")
        self.tokens = _Tokens(n_channels, width)
        self.queries = nn.Parameter(0.02 * torch.randn(n_queries, width))
        self.query_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, n_heads, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.n_out = n_queries * width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, n_queries * d)."""
        placed = self.tokens(tokens)
        queries = self.queries.expand(len(tokens), -1, -1)
        seen, _ = self.attention(self.query_norm(queries), placed, placed, need_weights=False)
        queries = queries + self.dropout(seen)
        # The study's block adds its missing feed-forward layer as an identity, which doubles the queries.
        return self.norm(2 * queries).flatten(1)


class MLPTrunk(nn.Module):
    """A narrow hidden layer of the mean token."""

    def __init__(self, n_channels: int, *, width: int, n_queries: int, dropout: float) -> None:
        super().__init__()
        self.tokens, self.norm = _Tokens(n_channels, width), nn.LayerNorm(width)
        self.n_out = n_queries * width
        self.layers = nn.Sequential(
            nn.Linear(width, _MLP_HIDDEN), nn.GELU(), nn.Dropout(dropout), nn.Linear(_MLP_HIDDEN, self.n_out)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, n_queries * d)."""
        return self.layers(self.norm(self.tokens(tokens).mean(1)))


class MeanTrunk(nn.Module):
    """The mean token."""

    def __init__(self, n_channels: int, *, width: int) -> None:
        super().__init__()
        self.tokens, self.n_out = _Tokens(n_channels, width), width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, d)."""
        return self.tokens(tokens).mean(1)


class TokenReadout(nn.Module):
    """A readout of one region for several subjects.

    Parameters
    ----------
    kind
        One of :data:`vvscale.train.readouts.options.KINDS`.
    n_channels
        C of the tokens.
    units
        Subject -> number of units; a subject without units must be left out.
    dropout, width, n_queries, n_heads
        Of the trunk.

    Raises
    ------
    ConfigError
        No subject, one without units, or no such kind.

    Examples
    --------
    >>> readout = TokenReadout("attention-shared", 8, {"a": 3, "b": 5}, dropout=0.0)
    >>> readout(torch.zeros(2, 4, 8), "b").shape
    torch.Size([2, 5])
    """

    def __init__(
        self, kind: Kind, n_channels: int, units: Mapping[str, int], *, dropout: float, width: int = WIDTH,
        n_queries: int = N_QUERIES, n_heads: int = N_HEADS,
    ) -> None:  # fmt: skip
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(f"There is no readout '{kind}'; expected one of {', '.join(KINDS)}.")
        empty = [subject for subject, n_units in units.items() if n_units < 1]
        if not units or empty:
            raise ConfigError(
                f"The subject '{empty[0]}' has no units to read out; leave it out."
                if empty
                else "No subject was given."
            )
        self.kind, self._names = kind, {subject: f"s{number}" for number, subject in enumerate(units)}

        def trunk() -> AttentionTrunk | MLPTrunk | MeanTrunk:
            if kind == "mlp":
                return MLPTrunk(n_channels, width=width, n_queries=n_queries, dropout=dropout)
            if kind == "low-rank":
                return MeanTrunk(n_channels, width=width)
            return AttentionTrunk(n_channels, width=width, n_queries=n_queries, n_heads=n_heads, dropout=dropout)

        is_shared = kind != "attention-individual"
        self.trunks = nn.ModuleDict({name: trunk() for name in (["all"] if is_shared else self._names.values())})
        first: Any = next(iter(self.trunks.values()))
        n_out = int(first.n_out)
        self.heads = nn.ModuleDict()
        for subject, n_units in units.items():
            head: nn.Module = nn.Linear(n_out, n_units)
            if kind == "low-rank":
                head = nn.Sequential(nn.Linear(n_out, _LOW_RANK, bias=False), nn.Linear(_LOW_RANK, n_units))
            self.heads[self._names[subject]] = head
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, tokens: torch.Tensor, subject: str) -> torch.Tensor:
        """Return (B, u) predictions of a subject's responses from (B, T, C) tokens."""
        name = self._names[subject]
        trunk = self.trunks[name if name in self.trunks else "all"]
        return self.heads[name](trunk(tokens))

    @property
    def n_params(self) -> int:
        """Trained parameters."""
        return sum(one.numel() for one in self.parameters())


def linear_params(n_features: int, units: Mapping[str, int]) -> int:
    """Return the parameters of a linear readout of all features, as the study counts: (features + 1) x all units.

    Examples
    --------
    >>> linear_params(30_000, {"monkeyF": 400, "monkeyN": 342})
    22260742
    """
    return (n_features + 1) * sum(units.values())
