"""The LSTM written out, equation by equation: what the fast layers are held to, and where one reads them up.

Hochreiter and Schmidhuber 1997 ("Long short-term memory") with the forget gate of Gers, Schmidhuber and
Cummins 2000 ("Learning to forget"), tanh as both squashing functions and no peepholes, as nn.LSTM has it. For
each row x_t, with . elementwise and h_{-1}, c_{-1} the initial state:

    i_t = sigmoid(W_i x_t + U_i h_{t-1} + b_i)            input gate: what is written
    f_t = sigmoid(W_f x_t + U_f h_{t-1} + b_f)            forget gate: what is kept
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)               candidate
    o_t = sigmoid(W_o x_t + U_o h_{t-1} + b_o)            output gate: what is shown
    c_t = f_t . c_{t-1} + i_t . g_t                       the cell: a sum whose terms fade by f
    h_t = o_t . tanh(c_t)

The backward direction is the same from the last row in use to the first. It is slow, a Python loop over rows;
for work there is the mixer `lstm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.mixers.base import MIXERS, Mixer

GATES = ("i", "f", "g", "o")  # PyTorch's order


class ReferenceCell(nn.Module):
    """One layer in one direction: W (inputs, H), U (H, H) and b (H,) for each of the four gates."""

    def __init__(self, width: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.input = nn.ModuleDict({gate: nn.Linear(width, hidden) for gate in GATES})  # W and b
        self.recurrent = nn.ModuleDict({gate: nn.Linear(hidden, hidden, bias=False) for gate in GATES})  # U
        for gate in GATES:
            nn.init.xavier_uniform_(self.input[gate].weight)  # type: ignore[arg-type]
            nn.init.orthogonal_(self.recurrent[gate].weight)  # type: ignore[arg-type]
            nn.init.constant_(self.input[gate].bias, forget_bias if gate == "f" else 0.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, inputs), h and c: (B, H) of the row before -> h and c of this row."""
        before = {gate: self.input[gate](x) + self.recurrent[gate](h) for gate in GATES}
        i, f, o = (torch.sigmoid(before[gate]) for gate in ("i", "f", "o"))
        c = f * c + i * torch.tanh(before["g"])
        return o * torch.tanh(c), c


@MIXERS.register("lstm_reference")
class ReferenceLSTM(Mixer):
    """Layers of reference cells, in one direction or both; states stand as in the mixer `lstm`."""

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # units of each direction
        layers: int = 1
        bidirectional: bool = False
        forget_bias: float = 1.0

    def __init__(self, width: int, config: Any) -> None:
        super().__init__(width, config)
        self.causal = not config.bidirectional
        self.directions = 2 if config.bidirectional else 1
        self.width_out = config.hidden * self.directions
        self.layers = nn.ModuleList(
            nn.ModuleList(
                ReferenceCell(self.width_out if layer else width, config.hidden, config.forget_bias)
                for _ in range(self.directions)
            )
            for layer in range(config.layers)
        )

    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.config.hidden,)] * (2 * self.directions * self.config.layers)

    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        zero = hidden.new_zeros(hidden.shape[0], self.config.hidden)
        initial = iter(state if state is not None else [zero] * len(self.state_shapes()))
        for layer in self.layers:
            both = []
            cells: Any = layer
            for direction, cell in enumerate(cells):
                h, c = next(initial), next(initial)
                both.append(run(cell, hidden, length, h, c, backwards=direction == 1))
            hidden = torch.cat(both, dim=2)  # (B, L, directions * H)
        return hidden

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=4)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=3, layers=2, bidirectional=True)]


def run(cell: nn.Module, x: Tensor, length: Tensor, h: Tensor, c: Tensor, backwards: bool) -> Tensor:
    """(B, L, H): h of every row. In padding the state stands still: backwards starts at the last in use."""
    rows = range(x.shape[1])
    shown: dict[int, Tensor] = {}
    for t in reversed(rows) if backwards else rows:
        used = (t < length)[:, None]
        new_h, new_c = cell(x[:, t], h, c)
        h, c = torch.where(used, new_h, h), torch.where(used, new_c, c)
        shown[t] = h
    return torch.stack([shown[t] for t in rows], dim=1)
