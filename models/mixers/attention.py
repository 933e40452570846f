"""Self-attention: every row looks at every other (or, causal, at those before it) in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from models.layers.positions import Learned, make_positions
from models.layers.transformer_encoder import TransformerEncoder, check_heads, rows_to_look_at
from models.mixers.base import MIXERS, Mixer, rows_in_use


@MIXERS.register("attention")
class Attention(Mixer):
    """A projection to `hidden`, positions, and transformer encoder layers with norms in front.

    Attention by itself does not know the order of rows. A mixer knows a row's number, not the window's
    origin; networks that know it add their positions themselves and ask for `positions: none` here.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64
        heads: int = 4  # must divide hidden
        layers: int = 2
        feedforward: int = 0  # width between the two maps after attention; 0: four times hidden
        dropout: float = 0.0
        causal: bool = False
        positions: str = "sinusoidal"  # sinusoidal, learned, time2vec, none; by the row's number
        max_rows: int = 1024  # of a window: the table of learned positions, the unit of time2vec
        components: int = 16  # sines of time2vec

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        hidden = config.hidden
        check_heads(hidden, config.heads)
        self.causal = config.causal
        self.width_out = hidden
        self.project = nn.Linear(width, hidden) if width != hidden else nn.Identity()
        self.positions = make_positions(
            config.positions, hidden, config.max_rows, components=config.components
        )
        self.encoder = TransformerEncoder(
            hidden,
            config.heads,
            config.layers,
            config.feedforward or 4 * hidden,
            config.dropout,
            config.causal,
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        """See Mixer. Raises InputError for more rows than learned positions have been made for."""
        encoded: Tensor = self.encoder(self._placed(hidden, length), rows_to_look_at(length, hidden.shape[1]))
        return encoded

    def last_row(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        encoded: Tensor = self.encoder.last_row(self._placed(hidden, length))
        return encoded

    def _placed(self, hidden: Tensor, length: Tensor) -> Tensor:
        """What the layers read: (B, L, width) -> (B, L, hidden)."""
        rows = hidden.shape[1]
        # A row that is masked has no weight, but zero times what is not finite would still be felt.
        mixed = self.project(hidden.masked_fill(~rows_in_use(hidden, length), 0.0))
        if self.positions is not None:
            if isinstance(self.positions, Learned) and rows > self.config.max_rows:
                raise InputError(
                    f"attention.max_rows: a window has {rows} rows, learned positions"
                    f" {self.config.max_rows}; raise max_rows to {rows} or take positions=sinusoidal"
                )
            step = torch.arange(rows, device=hidden.device)
            mixed = mixed + self.positions(step, step)
        placed: Tensor = self.dropout(mixed)
        return placed

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, heads=2, layers=1, feedforward=12)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=6, heads=3, layers=2, causal=True, positions="learned", max_rows=12),
            cls.Config(hidden=6, heads=2, layers=1, positions="time2vec", max_rows=12, components=3),
            cls.Config(hidden=7, heads=1, layers=1, positions="none"),
        ]
