"""LSTM layers with a feed-forward part, a skip and a norm around each, as transformers have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.mixers.base import MIXERS, Mixer
from models.mixers.rnn import LSTM


class FeedForward(nn.Module):
    """W_2 relu(W_1 x + b_1) + b_2 with dropout before each map."""

    def __init__(self, width: int, inner: int, width_out: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., width) -> (..., width_out)."""
        inner = self.widen(self.dropout(hidden)).relu()
        narrowed: Tensor = self.narrow(self.dropout(inner))
        return narrowed


@MIXERS.register("residual_lstm")
class ResidualLSTM(Mixer):
    """y = LayerNorm(x + W_2 relu(W_1 BiLSTM(x))), `layers` times.

    A block of the ventilator competition's first place (2021, model B). Every layer and direction has its
    initial state (h, c), in the order of the mixer `lstm`.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # units of each direction, and width of the output
        layers: int = 1  # blocks
        feedforward: int = 0  # width between the two maps; 0: four times hidden
        bidirectional: bool = True
        dropout: float = 0.0

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        hidden = config.hidden
        self.causal = not config.bidirectional
        self.width_out = hidden
        self.project = nn.Linear(width, hidden) if width != hidden else nn.Identity()
        recurrent = LSTM.Config(hidden=hidden, layers=1, bidirectional=config.bidirectional)
        self.recurrent = nn.ModuleList(LSTM(hidden, recurrent) for _ in range(config.layers))
        inner = config.feedforward or 4 * hidden
        both = hidden * (2 if config.bidirectional else 1)
        self.feedforward = nn.ModuleList(
            FeedForward(both, inner, hidden, config.dropout) for _ in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(config.layers))

    def state_shapes(self) -> list[tuple[int, ...]]:
        return [shape for layer in self.recurrent for shape in layer.state_shapes()]  # type: ignore[operator]

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        hidden = self.project(hidden)
        each = len(self.state_shapes()) // len(self.recurrent)
        for index, layer in enumerate(self.recurrent):
            own = None if state is None else state[index * each : (index + 1) * each]
            mixed = self.feedforward[index](layer(hidden, length, own))
            hidden = self.norms[index](hidden + mixed)
        return hidden

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, layers=2, feedforward=10)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=7, layers=1, bidirectional=False)]
