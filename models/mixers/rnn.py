"""RNN, GRU and LSTM: stacked, bidirectional, with an initial state of its own a layer and direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from data.transfer import smallest
from models.mixers.base import MIXERS, Mixer
from models.mixers.chrono import keeping_bias
from models.mixers.fused_layer import run_and_carry, run_recurrent
from models.mixers.layered import LayeredConfig


class Recurrent(Mixer):
    """Layers of one kind of cell; subclasses name the cell.

    Starting values: Xavier for the inputs, orthogonal for the recurrence (both gate by gate), zero biases.
    """

    cell: ClassVar[Any]  # nn.RNN, nn.GRU or nn.LSTM
    kinds: ClassVar[int] = 1  # states a layer and direction: h, or h and c

    @dataclass(frozen=True)
    class Config(LayeredConfig):
        """Settings with their defaults."""

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        self.causal = self.carries = not config.bidirectional
        self.directions = 2 if config.bidirectional else 1
        self.width_out = config.hidden * self.directions
        # Residual and normalised layers stand one by one, plain ones in one fused call.
        self.separate = config.residual or config.layer_norm
        widths = [width] + [self.width_out] * (config.layers - 1) if self.separate else [width]
        self.blocks = nn.ModuleList(
            self.cell(
                block_width,
                config.hidden,
                1 if self.separate else config.layers,
                dropout=0.0 if self.separate or config.layers == 1 else config.dropout,
                bidirectional=config.bidirectional,
                batch_first=True,
            )
            for block_width in widths
        )
        self.shortcuts = nn.ModuleList(
            nn.Linear(block_width, self.width_out, bias=False)
            if block_width != self.width_out
            else nn.Identity()
            for block_width in (widths if config.residual else [])
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(self.width_out) for _ in (widths if config.layer_norm else [])
        )
        self.dropout = nn.Dropout(config.dropout if self.separate else 0.0)
        for block in self.blocks:
            self._start(block)

    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.config.hidden,)] * (self.config.layers * self.directions * self.kinds)

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        # Only the backward direction has to know where a window ends: what comes after a row cannot reach
        # it otherwise.
        even = self.directions == 1 or smallest(length) == hidden.shape[1]
        states = self._stacked(state, hidden)
        per_block = states[0].shape[0] // len(self.blocks)
        for index, block in enumerate(self.blocks):
            own = [kind[index * per_block : (index + 1) * per_block] for kind in states]
            mixed = run_recurrent(block, hidden, length, own, even)  # (B, L, width_out)
            hidden = self.joined(index, hidden, mixed)
        return hidden

    def carry(
        self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        assert self.directions == 1
        even = smallest(length) == hidden.shape[1]
        ended = []  # of each block, a (layers of the block, B, hidden) tensor for each kind
        initial = self._stacked(state, hidden)
        per_block = initial[0].shape[0] // len(self.blocks)
        for index, block in enumerate(self.blocks):
            own = [kind[index * per_block : (index + 1) * per_block] for kind in initial]
            mixed, last = run_and_carry(block, hidden, length, own, even)
            ended.append(last)
            hidden = self.joined(index, hidden, mixed)
        stacked = [torch.cat([last[kind] for last in ended]) for kind in range(self.kinds)]
        return hidden, [kind[layer] for layer in range(self.config.layers) for kind in stacked]

    def joined(self, index: int, hidden: Tensor, mixed: Tensor) -> Tensor:
        """A block's output with what stands around it: dropout, the shortcut, the norm."""
        if self.separate:
            mixed = self.dropout(mixed)
        if self.config.residual:
            mixed = mixed + self.shortcuts[index](hidden)
        joined: Tensor = self.norms[index](mixed) if self.config.layer_norm else mixed
        return joined

    def _stacked(self, state: Sequence[Tensor] | None, hidden: Tensor) -> list[Tensor]:
        """A (layers * directions, B, hidden) tensor for each kind of state."""
        if state is None:
            count = self.config.layers * self.directions
            return [hidden.new_zeros(count, hidden.shape[0], self.config.hidden)] * self.kinds
        assert len(state) == len(self.state_shapes())
        return [torch.stack(list(state[kind :: self.kinds])).to(hidden.dtype) for kind in range(self.kinds)]

    def _start(self, block: nn.Module) -> None:
        for name, parameter in block.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
                continue
            for gate in parameter.data.split(self.config.hidden):
                (nn.init.xavier_uniform_ if name.startswith("weight_ih") else nn.init.orthogonal_)(gate)

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=6, layers=2)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=5, layers=2, bidirectional=True),
            cls.Config(hidden=4, layers=3, bidirectional=True, residual=True, layer_norm=True),
        ]


class Gated(Recurrent):
    """Cells with a gate that keeps the past, f of an LSTM and z of a GRU, whose bias has a start of its own.

    That start is `keeping_bias` (models/mixers/chrono.py), with `chrono` minus it for an LSTM's input gate.
    PyTorch has two bias vectors; it is their sum that counts, so one of them stays at zero.
    """

    keep_gate: ClassVar[int]
    input_gate: ClassVar[int | None] = None

    @dataclass(frozen=True)
    class Config(Recurrent.Config):
        """Settings with their defaults."""

        forget_bias: float = 1.0
        chrono: int = 0  # T_max, the longest dependency expected, in rows; 0: forget_bias instead

    def _start(self, block: nn.Module) -> None:
        super()._start(block)
        for name, parameter in block.named_parameters():
            if name.startswith("bias_ih"):
                bias = keeping_bias(self.config.hidden, self.config.forget_bias, self.config.chrono)
                gates = parameter.data.view(-1, self.config.hidden)
                gates[self.keep_gate] = bias
                if self.config.chrono and self.input_gate is not None:
                    gates[self.input_gate] = -bias


@MIXERS.register("rnn")
class RNN(Recurrent):
    """Elman 1990, "Finding structure in time": h_t = tanh(W x_t + U h_{t-1} + b); the state is h."""

    cell = nn.RNN


@MIXERS.register("gru")
class GRU(Gated):
    """Cho et al. 2014, with the reset gate after the recurrence; the state is h.

    r_t, z_t = sigmoid(W x_t + U h_{t-1} + b); n_t = tanh(W_n x_t + b_n + r_t (U_n h_{t-1} + c_n));
    h_t = (1 - z_t) n_t + z_t h_{t-1}.
    """

    cell = nn.GRU
    keep_gate = 1  # PyTorch's order: r, z, n, with h' = (1 - z) n + z h


@MIXERS.register("lstm")
class LSTM(Gated):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; the state is (h, c).

    Equations, and a version that reads like them, in models/mixers/reference_lstm.py.
    """

    cell = nn.LSTM
    keep_gate = 1  # PyTorch's order: i, f, g, o
    input_gate = 0
    kinds = 2
