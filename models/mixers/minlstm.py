"""minLSTM (Feng et al. 2024, "Were RNNs all we needed?", arXiv 2410.01201): gates that do not see the state.

Section 3.2 and appendix B, for each row x_t:

    f_t = sigmoid(W_f x_t + b_f),  i_t = sigmoid(W_i x_t + b_i)
    f'_t = f_t / (f_t + i_t),  i'_t = i_t / (f_t + i_t)                 they sum to one
    h_t = f'_t . h_{t-1} + i'_t . g(W_h x_t + b_h)

g(v) is v + 0.5 for v >= 0 and sigmoid(v) below (the paper's positive form, made for its scan in log space),
or v itself with positive=false. The state enters by g too, h_{-1} = g(state), so that the zero state is g(0).
The gates need no h_{t-1}: all rows are done by one scan (models/mixers/linear_scan.py, which says why it is
not in log space) instead of a loop with a matrix product a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from models.mixers.base import MIXERS
from models.mixers.chrono import keeping_bias
from models.mixers.layered import Layered, LayeredConfig
from models.mixers.linear_scan import linear_scan


def positive(value: Tensor) -> Tensor:
    """g: v + 0.5 for v >= 0, sigmoid(v) below; it is continuous, rises, and is above zero."""
    return torch.where(value >= 0, value + 0.5, torch.sigmoid(value))


class MinLSTMCell(nn.Module):
    """One layer in one direction."""

    def __init__(self, width: int, config: Any) -> None:
        super().__init__()
        self.positive = config.positive
        self.gates = nn.Linear(width, 3 * config.hidden)  # f, i, candidate
        for gate in self.gates.weight.data.split(config.hidden):
            nn.init.xavier_uniform_(gate)
        keeping = keeping_bias(config.hidden, config.forget_bias, config.chrono)
        writing = -keeping if config.chrono else torch.zeros(config.hidden)
        self.gates.bias.data = torch.cat([keeping, writing, torch.zeros(config.hidden)])

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """inputs: (B, L, width), state: (B, H) -> (B, L, H)."""
        gates = self.gates(inputs)
        # In bfloat16 a gate could not come closer to one than 1 - 2^-8, a memory of 256 rows.
        gates = gates.to(self.gates.weight.dtype)
        forget, write, candidate = gates.chunk(3, dim=-1)
        # f / (f + i) = sigmoid(log f - log i), which neither divides by zero nor loses small gates.
        difference = logsigmoid(forget) - logsigmoid(write)
        state = state.to(gates.dtype)
        if self.positive:
            candidate, state = positive(candidate), positive(state)
        return linear_scan(torch.sigmoid(difference), torch.sigmoid(-difference) * candidate, state)


@MIXERS.register("minlstm")
class MinLSTM(Layered):
    """Layers of minLSTM cells; the state is h before g. Deep ones want `residual` and `layer_norm`."""

    @dataclass(frozen=True)
    class Config(LayeredConfig):
        """Settings with their defaults."""

        forget_bias: float = 1.0
        chrono: int = 0  # T_max, the longest dependency expected, in rows; 0: forget_bias instead
        positive: bool = True  # states by g, always above zero; False: plain linear candidates

    def make_cell(self, inputs: int) -> nn.Module:
        return MinLSTMCell(inputs, self.config)

    @classmethod
    def variants(cls) -> list[Any]:
        return [*super().variants(), cls.Config(hidden=4, layers=1, chrono=20, positive=False)]
