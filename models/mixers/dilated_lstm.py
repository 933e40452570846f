"""Dilated LSTM layers in blocks with a shortcut, as the recurrent part of ES-RNN has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from data.errors import InputError
from models.mixers.base import MIXERS, Mixer
from models.mixers.rnn import LSTM


@MIXERS.register("dilated_lstm")
class DilatedLSTM(Mixer):
    """Layers whose state comes from `dilation` rows back: h_t, c_t = LSTM(x_t, h_{t-d}, c_{t-d}).

    Chang et al. 2017, "Dilated recurrent neural networks", equation 1. A block is a list of dilations, one a
    layer; its input is added to its output, as in Smyl 2020, "A hybrid method of exponential smoothing and
    recurrent neural networks for time series forecasting", with [[1, 4], [24, 168]] for hourly series. Inputs
    of another width than `hidden` are projected first.

    A layer of dilation d is d independent chains of every d-th row, so it runs as one LSTM over windows that
    are d times as many and as short. Each chain starts from the layer's initial state (h, c).
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 40
        dilations: list[list[int]] = field(default_factory=lambda: [[1, 2], [4, 8]])  # by block, then layer
        dropout: float = 0.0  # on each block's output, before its input is added
        forget_bias: float = 1.0

    causal = True

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        blocks = [list(block) for block in config.dilations]
        if not blocks or any(not block or min(block) < 1 for block in blocks):
            raise InputError(
                f"dilated_lstm.dilations={blocks}: expected blocks of dilations, such as [[1, 4], [24]]"
            )
        self.width_out = config.hidden
        self.blocks = blocks
        self.project = nn.Linear(width, config.hidden) if width != config.hidden else nn.Identity()
        layer = LSTM.Config(hidden=config.hidden, layers=1, forget_bias=config.forget_bias)
        self.layers = nn.ModuleList(LSTM(config.hidden, layer) for block in blocks for _ in block)
        self.dropout = nn.Dropout(config.dropout)

    def state_shapes(self) -> list[tuple[int, ...]]:
        return [shape for layer in self.layers for shape in layer.state_shapes()]  # type: ignore[operator]

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        # Padding stands at the end and every layer only looks back, so `length` changes no row in use.
        hidden = self.project(hidden)
        layers = iter(self.layers)
        each = LSTM.kinds
        place = 0
        for block in self.blocks:
            mixed = hidden
            for dilation in block:
                own = None if state is None else state[place : place + each]
                mixed = _dilated(next(layers), mixed, dilation, own)
                place += each
            hidden = hidden + self.dropout(mixed)
        return hidden

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, dilations=[[1, 3], [5]])

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=7, dilations=[[2, 40]])]


def _dilated(layer: nn.Module, hidden: Tensor, dilation: int, state: Sequence[Tensor] | None) -> Tensor:
    """(B, L, width) through one layer whose rows are `dilation` apart."""
    windows, rows, _ = hidden.shape
    dilation = min(dilation, rows)  # beyond that every row is a chain of its own
    padded = nn.functional.pad(hidden, (0, 0, 0, -rows % dilation))
    chains = padded.unflatten(1, (-1, dilation)).transpose(1, 2).flatten(0, 1)  # (B d, L / d, width)
    started = None if state is None else [kind.repeat_interleave(dilation, dim=0) for kind in state]
    length = hidden.new_full((len(chains),), chains.shape[1]).long()
    mixed: Tensor = layer(chains, length, started)
    return mixed.unflatten(0, (windows, dilation)).transpose(1, 2).flatten(1, 2)[:, :rows]
