"""An LSTM that squashes by softplus instead of tanh, as Keras's LSTM(units, activation="softplus").

    i_t, f_t, o_t = sigmoid(W x_t + U h_{t-1} + b)        gates
    g_t = softplus(W_g x_t + U_g h_{t-1} + b_g)           candidate
    c_t = f_t . c_{t-1} + i_t . g_t
    h_t = o_t . softplus(c_t)

Nothing in it is below zero and nothing is bounded: a cell forgets or grows. It stands here because a widely
read experiment on the memory of LSTMs was made with it ("How long dependencies can LSTM & T-CNN really
remember?", code in github.com/dwipam/medium-3, lstm.py). Keras's start: Xavier for the inputs, orthogonal for
the recurrence, zero biases but 1 for the forget gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.mixers.base import MIXERS
from models.mixers.layered import Layered, LayeredConfig


class SoftplusLSTMCell(nn.Module):
    """One layer in one direction; gates stand as i, f, o, g."""

    def __init__(self, width: int, config: Any) -> None:
        super().__init__()
        units = config.hidden
        self.input = nn.Linear(width, 4 * units)  # W and b
        self.recurrent = nn.Parameter(torch.empty(4 * units, units))  # U
        for gate in self.input.weight.data.split(units):
            nn.init.xavier_uniform_(gate)
        for gate in self.recurrent.data.split(units):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(self.input.bias)
        self.input.bias.data[units : 2 * units] = config.forget_bias

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        """inputs: (B, L, width), states: (B, H) -> (B, L, H)."""
        mapped = self.input(inputs.transpose(0, 1)).to(self.recurrent.dtype)  # (L, B, 4 H)
        states = (hidden.to(mapped.dtype), cell.to(mapped.dtype))
        return softplus_recurrence(mapped, self.recurrent, *states).transpose(0, 1)


@MIXERS.register("softplus_lstm")
class SoftplusLSTM(Layered):
    """Layers of cells that squash by softplus; the state is (h, c)."""

    kinds = 2

    @dataclass(frozen=True)
    class Config(LayeredConfig):
        """Settings with their defaults."""

        forget_bias: float = 1.0

    def make_cell(self, inputs: int) -> nn.Module:
        return SoftplusLSTMCell(inputs, self.config)


def softplus_recurrence(inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
    """(L, B, H): h of every row.

    inputs: (L, B, 4 H), W x_t + b of i, f, o and g; weight: (4 H, H), U; hidden and cell: (B, H), the initial
    state. Differentiable once, in all four, which are of one type.
    """
    shown: Tensor = _Recurrence.apply(inputs, weight, hidden, cell)
    return shown


class _Recurrence(torch.autograd.Function):
    """One product a row and pass; autograd of the plain loop takes four times as long."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        rows, width = len(inputs), hidden.shape[1]
        before = torch.empty_like(inputs)  # of gates and candidate
        gates = torch.empty_like(inputs)
        shown = inputs.new_empty(rows + 1, *hidden.shape)
        cells = inputs.new_empty(rows + 1, *cell.shape)
        squashed = torch.empty_like(shown)
        shown[0], cells[0] = hidden, cell
        transposed = weight.t()
        for row in range(rows):
            torch.addmm(inputs[row], shown[row], transposed, out=before[row])
            torch.sigmoid(before[row], out=gates[row])
            gates[row, :, 3 * width :] = softplus(before[row, :, 3 * width :])
            keep_in, forget, out, candidate = gates[row].split(width, 1)
            torch.mul(forget, cells[row], out=cells[row + 1])
            cells[row + 1].addcmul_(keep_in, candidate)
            squashed[row + 1] = softplus(cells[row + 1])
            torch.mul(out, squashed[row + 1], out=shown[row + 1])
        ctx.save_for_backward(weight, before, gates, shown, cells, squashed)
        return shown[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight, before, gates, shown, cells, squashed = ctx.saved_tensors
        width = shown.shape[2]
        keep_in, forget, out, candidate = gates.split(width, 2)
        # Of all rows at once: dc_t / d(i, f, g) before they are squashed, dh_t / do_t, dh_t / dc_t.
        by_cell = torch.cat(
            [
                candidate * keep_in * (1 - keep_in),
                cells[:-1] * forget * (1 - forget),
                keep_in * before[..., 3 * width :].sigmoid(),
            ],
            dim=2,
        ).unflatten(2, (3, width))
        by_out = squashed[1:] * out * (1 - out)
        by_shown = out * cells[1:].sigmoid()
        of_gates = torch.empty_like(gates).unflatten(2, (4, width))
        of_hidden, of_cell = torch.zeros_like(shown[0]), torch.zeros_like(cells[0])
        for row in range(len(gradient) - 1, -1, -1):
            total = gradient[row] + of_hidden
            of_cell = torch.addcmul(of_cell, total, by_shown[row])  # dloss / dc_t
            changes = by_cell[row] * of_cell[:, None]
            of_gates[row, :, :2], of_gates[row, :, 3] = changes[:, :2], changes[:, 2]
            torch.mul(total, by_out[row], out=of_gates[row, :, 2])
            of_hidden = of_gates[row].flatten(1) @ weight
            of_cell = of_cell * forget[row]
        flat = of_gates.flatten(2)
        of_weight = flat.flatten(0, 1).t() @ shown[:-1].flatten(0, 1)
        return flat, of_weight, of_hidden, of_cell
