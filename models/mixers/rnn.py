"""RNN, GRU and LSTM: stacked, bidirectional, with an initial state of its own for each layer and direction.

What runs is PyTorch's fused layer. Backwards means backwards from the last row in use, not from the end of
the padding. For windows of unequal length that is packing on a GPU; on a CPU packing is slow (it leaves
oneDNN's kernel), so each direction runs over rows that are reversed by a gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from data.errors import InputError
from models.mixers.base import MIXERS, Mixer


class Recurrent(Mixer):
    """Layers of one kind of cell; subclasses name the cell.

    Starting values: Xavier for the inputs, orthogonal for the recurrence (both gate by gate), zero biases,
    except the gate that keeps the past (f of an LSTM, z of a GRU): `forget_bias`, or with `chrono` the
    logarithm of U(1, T_max - 1), and in an LSTM minus that for the input gate (Tallec and Ollivier 2018,
    "Can recurrent neural networks warp time?"). PyTorch has two bias vectors; it is their sum that counts.
    """

    cell: ClassVar[Any]  # nn.RNN, nn.GRU or nn.LSTM
    gates: ClassVar[int]
    keep_gate: ClassVar[int | None] = None
    input_gate: ClassVar[int | None] = None
    kinds: ClassVar[int] = 1  # states a layer and direction: h, or h and c

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # units of each direction
        layers: int = 2
        bidirectional: bool = False
        dropout: float = 0.0  # between layers; with residual or layer_norm: on each layer's output
        residual: bool = False  # each layer is added to its input (projected where the width differs)
        layer_norm: bool = False  # over the features, after each layer
        forget_bias: float = 1.0
        chrono: int = 0  # T_max, the longest dependency expected, in rows; 0: forget_bias instead

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        if config.chrono and (self.keep_gate is None or config.chrono < 3):
            raise InputError(
                f"chrono={config.chrono} needs a cell with gates (lstm, gru) and at least 3 rows"
            )
        self.causal = not config.bidirectional
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
        even = self.directions == 1 or bool((length == hidden.shape[1]).all())
        states = self._stacked(state, hidden)
        per_block = states[0].shape[0] // len(self.blocks)
        for index, block in enumerate(self.blocks):
            own = [kind[index * per_block : (index + 1) * per_block] for kind in states]
            mixed = run_recurrent(block, hidden, length, own, even)  # (B, L, width_out)
            if self.separate:
                mixed = self.dropout(mixed)
            if self.config.residual:
                mixed = mixed + self.shortcuts[index](hidden)
            hidden = self.norms[index](mixed) if self.config.layer_norm else mixed
        return hidden

    def _stacked(self, state: Sequence[Tensor] | None, hidden: Tensor) -> list[Tensor]:
        """A (layers * directions, B, hidden) tensor for each kind of state."""
        if state is None:
            count = self.config.layers * self.directions
            return [hidden.new_zeros(count, hidden.shape[0], self.config.hidden)] * self.kinds
        assert len(state) == len(self.state_shapes())
        return [torch.stack(list(state[kind :: self.kinds])).to(hidden.dtype) for kind in range(self.kinds)]

    def _start(self, block: nn.Module) -> None:
        hidden = self.config.hidden
        for name, parameter in block.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
                continue
            for gate in parameter.data.split(hidden):
                (nn.init.xavier_uniform_ if name.startswith("weight_ih") else nn.init.orthogonal_)(gate)
        if self.keep_gate is None:
            return
        for name, parameter in block.named_parameters():
            if not name.startswith("bias_ih"):
                continue
            bias = torch.full((hidden,), self.config.forget_bias)
            if self.config.chrono:
                bias = torch.empty(hidden).uniform_(1.0, self.config.chrono - 1.0).log()
            gates = parameter.data.view(self.gates, hidden)
            gates[self.keep_gate] = bias
            if self.config.chrono and self.input_gate is not None:
                gates[self.input_gate] = -bias

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


def run_recurrent(
    block: Any, hidden: Tensor, length: Tensor, state: list[Tensor], even: bool, packed: bool | None = None
) -> Tensor:
    """(B, L, directions * hidden): one fused module over windows that may differ in length.

    state: (layers * directions, B, hidden) for each kind. even: no window is padded, or it does not matter.
    packed: how padded ones run; None: packed on a GPU, else each direction by itself.
    """
    if hidden.is_cuda and torch.is_autocast_enabled("cuda"):
        # Autocast would run cuDNN's recurrent layers in float16, whatever type it was told, and float16 needs
        # its losses scaled; in float32 their products still use the tensor cores (TF32).
        with torch.autocast("cuda", enabled=False):
            single = [kind.float() for kind in state]
            return run_recurrent(block, hidden.float(), length, single, even, packed)
    initial = tuple(state) if len(state) > 1 else state[0]
    if even:
        mixed: Tensor = block(hidden, initial)[0]
        return mixed
    if hidden.is_cuda if packed is None else packed:
        sequence = pack_padded_sequence(
            hidden, length.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        return pad_packed_sequence(
            block(sequence, initial)[0], batch_first=True, total_length=hidden.shape[1]
        )[0]
    return _by_direction(block, hidden, length, state)


def _by_direction(block: Any, hidden: Tensor, length: Tensor, state: list[Tensor]) -> Tensor:
    """Layer by layer, the backward direction over rows reversed within `length`."""
    step = torch.arange(hidden.shape[1], device=hidden.device)
    last = length[:, None] - 1
    mirror = torch.where(step <= last, last - step, step)[:, :, None]  # (B, L, 1), its own inverse
    run: Any = {nn.LSTM: torch.lstm, nn.GRU: torch.gru, nn.RNN: torch.rnn_tanh}[type(block)]
    for layer in range(block.num_layers):
        if layer and block.dropout:
            hidden = nn.functional.dropout(hidden, block.dropout, block.training)
        mixed = []
        for direction, suffix in enumerate(("", "_reverse")):
            weights = [
                getattr(block, f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            own = [kind[2 * layer + direction : 2 * layer + direction + 1].contiguous() for kind in state]
            rows = hidden.gather(1, mirror.expand(-1, -1, hidden.shape[2])) if direction else hidden
            # input, state, weights, has_biases, layers, dropout, train, bidirectional, batch_first
            output = run(
                rows,
                tuple(own) if len(own) > 1 else own[0],
                weights,
                True,
                1,
                0.0,
                block.training,
                False,
                True,
            )[0]
            mixed.append(output.gather(1, mirror.expand(-1, -1, output.shape[2])) if direction else output)
        hidden = torch.cat(mixed, dim=2)
    return hidden


@MIXERS.register("rnn")
class RNN(Recurrent):
    """Elman's network with tanh."""

    cell = nn.RNN
    gates = 1


@MIXERS.register("gru")
class GRU(Recurrent):
    """Cho et al. 2014; the state is h."""

    cell = nn.GRU
    gates = 3
    keep_gate = 1  # PyTorch's order: r, z, n, with h' = (1 - z) n + z h


@MIXERS.register("lstm")
class LSTM(Recurrent):
    """Hochreiter and Schmidhuber 1997 with forget gate; the state is (h, c)."""

    cell = nn.LSTM
    gates = 4
    keep_gate = 1  # PyTorch's order: i, f, g, o
    input_gate = 0
    kinds = 2
