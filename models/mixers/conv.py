"""Convolution blocks: local patterns before, between or after mixers with a long memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.mixers.base import MIXERS, Mixer, rows_in_use


class ConvolutionBlock(nn.Module):
    """x + W silu(conv(norm(x))): normalised over features, mixed along rows, then across features."""

    def __init__(self, hidden: int, kernel: int, depthwise: bool, causal: bool, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.convolution = nn.Conv1d(hidden, hidden, kernel, groups=hidden if depthwise else 1)
        self.across = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        behind = kernel - 1 if causal else (kernel - 1) // 2
        self.pad = (behind, kernel - 1 - behind)

    def forward(self, hidden: Tensor, unused: Tensor) -> Tensor:
        """hidden: (B, L, hidden), unused: (B, L, 1) bool, True in padding."""
        shown = self.norm(hidden).masked_fill(unused, 0.0).transpose(1, 2)  # (B, hidden, L)
        mixed = self.convolution(nn.functional.pad(shown, self.pad)).transpose(1, 2)
        return hidden + self.dropout(self.across(nn.functional.silu(mixed)))


@MIXERS.register("conv")
class Convolution(Mixer):
    """A projection to `hidden` channels and residual convolution blocks."""

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # channels
        layers: int = 1
        kernel: int = 5
        depthwise: bool = False  # one filter a channel instead of one a pair of channels
        causal: bool = False
        dropout: float = 0.0

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        self.causal = config.causal
        self.width_out = config.hidden
        self.project = nn.Linear(width, config.hidden) if width != config.hidden else nn.Identity()
        self.blocks = nn.ModuleList(
            ConvolutionBlock(config.hidden, config.kernel, config.depthwise, config.causal, config.dropout)
            for _ in range(config.layers)
        )

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        unused = ~rows_in_use(hidden, length)
        hidden = self.project(hidden)
        for block in self.blocks:
            hidden = block(hidden, unused)
        return hidden

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, layers=2, kernel=3)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=6, kernel=4, depthwise=True),
            cls.Config(hidden=5, kernel=3, causal=True),
        ]
