"""JANET (van der Westhuizen and Lasenby 2018, "The unreasonable effectiveness of the forget gate", arXiv
1804.04849): an LSTM with the forget gate alone.

    s_t = W_f x_t + U_f h_{t-1} + b_f
    h_t = sigmoid(s_t) . h_{t-1} + (1 - sigmoid(s_t - beta)) . tanh(W_c x_t + U_c h_{t-1} + b_c)

The cell is the output (c = h), what is forgotten makes room for what is written (i = 1 - f), and beta, 1 in
the paper, lets a little more be written than was forgotten. Half the parameters of an LSTM. The paper starts
its forget gates by chrono initialisation, here `chrono`.

It runs as a loop over rows in plain torch: the inputs of all rows in one product, then one product a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.mixers.base import MIXERS
from models.mixers.chrono import keeping_bias
from models.mixers.janet_recurrence import janet_recurrence
from models.mixers.layered import Layered, LayeredConfig


class JANETCell(nn.Module):
    """One layer in one direction."""

    def __init__(self, width: int, config: Any) -> None:
        super().__init__()
        self.beta = float(config.beta)
        self.input = nn.Linear(width, 2 * config.hidden)  # W and b of forget gate and candidate
        self.recurrent = nn.Parameter(torch.empty(2 * config.hidden, config.hidden))  # U of both
        for gate in self.input.weight.data.split(config.hidden):
            nn.init.xavier_uniform_(gate)
        for gate in self.recurrent.data.split(config.hidden):
            nn.init.orthogonal_(gate)
        keeping = keeping_bias(config.hidden, config.forget_bias, config.chrono)
        self.input.bias.data = torch.cat([keeping, torch.zeros(config.hidden)])

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """inputs: (B, L, width), state: (B, H) -> (B, L, H)."""
        mapped = self.input(inputs.transpose(0, 1))  # (L, B, 2 H), all rows in one product
        # Sums over many rows want float32, whatever autocast made of the product.
        mapped = mapped.to(self.recurrent.dtype)
        return janet_recurrence(mapped, self.recurrent, state.to(mapped.dtype), self.beta).transpose(0, 1)


@MIXERS.register("janet")
class JANET(Layered):
    """Layers of JANET cells; the state is h."""

    @dataclass(frozen=True)
    class Config(LayeredConfig):
        """Settings with their defaults."""

        forget_bias: float = 1.0
        chrono: int = 0  # T_max, the longest dependency expected, in rows; 0: forget_bias instead
        beta: float = 1.0  # how much more is written than was forgotten

    def make_cell(self, inputs: int) -> nn.Module:
        return JANETCell(inputs, self.config)
