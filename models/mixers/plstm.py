"""pLSTM (Chien et al. 2021, "Slower is better: revisiting the forgetting mechanism in LSTM for slower
information decay", arXiv 2105.05944): an LSTM that forgets by a power law of the time since its last reset.

Equations and a version that reads like them: models/kernels/reference.py. With the reset gate closed, what
was read L rows ago keeps ((D_0 + 1) / (D_0 + L + 1))^p of its weight, a power law; an LSTM's constant gate
keeps f^L. With a constant reset r > 0, f tends to about (1 - r)^p, so beyond about 1 / r rows it is an
exponential again: how the reset gate starts decides how long the memory is at the start of training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from data.configure import one_of
from data.errors import InputError
from models.kernels.plstm import KERNELS, plstm
from models.mixers.base import MIXERS
from models.mixers.chrono import keeping_bias
from models.mixers.layered import Layered, LayeredConfig

#: Raw powers are drawn so that p = sigmoid(raw) is uniform; this keeps them finite.
EDGE = 1e-3


class PLSTMCell(nn.Module):
    """One layer in one direction; the state is (h, c, D).

    Weights and biases start from U(-1/sqrt(H), 1/sqrt(H)) and p from U(0, 1), as the authors'. So r starts
    near 1/2 and the memory is short; with `chrono` = T_max the reset gate's bias is -log U(1, T_max - 1), so
    that a unit resets every T rows, T spread evenly up to T_max (after Tallec and Ollivier 2018). Which of
    the two learns sooner hangs on the task: benchmarks/probes.py.
    With `largest_power` p starts from U(0, largest_power). It is learnt through an unbounded parameter,
    `raw_power`.
    """

    def __init__(self, width: int, config: Any) -> None:
        super().__init__()
        self.kernel = config.kernel
        units, rows = config.hidden, config.gates * config.hidden
        edge = 1.0 / math.sqrt(units)
        self.weight = nn.Parameter(torch.empty(rows, width).uniform_(-edge, edge))
        self.recurrent = nn.Parameter(torch.empty(rows, units).uniform_(-edge, edge))
        self.bias = nn.Parameter(torch.empty(rows).uniform_(-edge, edge))
        power = config.largest_power * torch.empty(units).uniform_(EDGE, 1.0 - EDGE)
        self.raw_power = nn.Parameter(torch.logit(power))
        if config.chrono:
            self.bias.data[:units] = -keeping_bias(units, 0.0, config.chrono)

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor, clock: Tensor) -> Tensor:
        """inputs: (B, L, width), states: (B, H) -> (B, L, H).

        `clock` is any number: D_0 = elu(clock) is above -1, 0 at 0 and there of slope 1, so that static
        metadata can move it from the start. D_0 > -1 is all that is needed: (1 - r) (D_0 + 1) > 0.
        """
        arguments = (self.weight, self.recurrent, self.bias, self.raw_power.sigmoid())
        return plstm(inputs, hidden, cell, elu(clock), *arguments, kernel=self.kernel)[0]


@MIXERS.register("plstm")
class PLSTM(Layered):
    """Layers of pLSTM cells: three gates as published, or four with an input gate of its own."""

    kinds = 3

    @dataclass(frozen=True)
    class Config(LayeredConfig):
        """Settings with their defaults."""

        gates: int = 3  # 3: i = 1 - f, the paper's; 4: a free input gate
        chrono: int = 0  # T_max of the reset gate's start, in rows; 0: the authors' start
        largest_power: float = 1.0  # p starts between 0 and this
        kernel: str = "auto"  # auto, reference, torch, numba, triton

    def __init__(self, width: int, config: Any) -> None:
        if config.gates not in (3, 4):
            raise InputError(f"gates={config.gates}; expected 3 or 4")
        one_of(config.kernel, KERNELS, "kernel", "kernel")
        super().__init__(width, config)

    def make_cell(self, inputs: int) -> nn.Module:
        return PLSTMCell(inputs, self.config)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=4, gates=4, kernel="torch", chrono=12),
            cls.Config(
                hidden=4,
                bidirectional=True,
                residual=True,
                layer_norm=True,
                largest_power=0.3,
            ),
        ]
