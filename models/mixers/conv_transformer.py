"""Blocks of a convolution, attention among what it found, and the convolution's transpose, around a skip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from data.errors import InputError
from data.transfer import lessened
from models.layers.transformer_encoder import EncoderLayer, check_heads, rows_to_look_at
from models.mixers.base import MIXERS, Mixer, rows_in_use


class ConvolutionTransformerBlock(nn.Module):
    """y = LayerNorm(x + conv^T(encoder(conv(x)))).

    The convolution is not padded: n rows give n - k + 1 places, and its transpose turns them into n rows
    again. A window shorter than the kernel has one place, at which zeros stand for the rows that it lacks.
    """

    def __init__(self, hidden: int, kernel: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.convolution = nn.Conv1d(hidden, hidden, kernel)
        self.encoder = EncoderLayer(hidden, heads, feedforward, dropout)
        self.transpose = nn.ConvTranspose1d(hidden, hidden, kernel)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, hidden: Tensor, length: Tensor) -> Tensor:
        """(B, L, hidden), (B,) -> (B, L, hidden)."""
        rows = hidden.shape[1]
        shown = hidden.masked_fill(~rows_in_use(hidden, length), 0.0).transpose(1, 2)
        shown = nn.functional.pad(shown, (0, max(0, self.kernel - rows)))
        places = self.convolution(shown).transpose(1, 2)  # (B, max(L, k) - k + 1, hidden)
        count = lessened(length, self.kernel - 1, 1)  # of the places that see rows in use only
        mixed = self.encoder(places, rows_to_look_at(count, places.shape[1]))
        mixed = mixed.masked_fill(~rows_in_use(mixed, count), 0.0).transpose(1, 2)
        restored = self.transpose(mixed).transpose(1, 2)[:, :rows]
        normed: Tensor = self.norm(hidden + restored)
        return normed


@MIXERS.register("conv_transformer")
class ConvolutionTransformer(Mixer):
    """One block for each kernel, as in the ventilator competition's first place (2021, model B).

    There the encoder layer has its norms behind; here, as everywhere in this project, in front. Positions
    are not added: what stands before (a recurrent layer) and the convolutions tell rows apart.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64
        kernels: list[int] = field(default_factory=lambda: [5, 3, 1])  # of the blocks, in turn
        heads: int = 4  # must divide hidden
        feedforward: int = 0  # width between the encoder's two maps; 0: four times hidden
        dropout: float = 0.0

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        if not config.kernels or min(config.kernels) < 1:
            raise InputError(f"kernels: {list(config.kernels)}; expected at least one, each at least 1")
        hidden = config.hidden
        check_heads(hidden, config.heads)
        self.width_out = hidden
        self.project = nn.Linear(width, hidden) if width != hidden else nn.Identity()
        self.blocks = nn.ModuleList(
            ConvolutionTransformerBlock(
                hidden, kernel, config.heads, config.feedforward or 4 * hidden, config.dropout
            )
            for kernel in config.kernels
        )

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        hidden = self.project(hidden)
        for block in self.blocks:
            hidden = block(hidden, length)
        return hidden

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, kernels=[3, 1], heads=2, feedforward=10)

    @classmethod
    def variants(cls) -> list[Any]:
        # Kernels longer than some of the windows, and than all of them.
        return [cls.small(), cls.Config(hidden=7, kernels=[6, 14], heads=1)]
