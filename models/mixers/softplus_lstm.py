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

from models.kernels.lstm import compiled_loops_run, compiled_lstm
from models.mixers.base import MIXERS
from models.mixers.layered import Layered, LayeredConfig

_softplus: Any = torch._C._nn.softplus  # torch.nn.functional's takes no `out`


class SoftplusLSTMCell(nn.Module):
    """One layer in one direction; gates stand as o, i, f, g."""

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
        self.input.bias.data[2 * units : 3 * units] = config.forget_bias

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        """inputs: (B, L, width), states: (B, H) -> (B, L, H)."""
        if compiled_loops_run(inputs, hidden, cell, self.recurrent):
            weights = (self.input.weight, self.recurrent, self.input.bias)
            return compiled_lstm(inputs, hidden, cell, *weights, squash="softplus")[0]
        rows = inputs.permute(1, 2, 0)
        weight, bias = self.input.weight.expand(len(rows), -1, -1), self.input.bias[:, None]
        mapped = torch.baddbmm(bias, weight, rows).to(self.recurrent.dtype)  # (L, 4 H, B)
        states = (hidden.to(mapped.dtype).t(), cell.to(mapped.dtype).t())
        return softplus_recurrence(mapped, self.recurrent, *states).permute(2, 0, 1)


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
    """(L, H, B): h of every row; windows stand last, so that each gate of a row is one piece of memory.

    inputs: (L, 4 H, B), W x_t + b of o, i, f and g; weight: (4 H, H), U; hidden and cell: (H, B), the initial
    state. Differentiable once, in all four, which are of one type.
    """
    shown: Tensor = _Recurrence.apply(inputs, weight, hidden, cell)
    return shown


class _Recurrence(torch.autograd.Function):
    """Seven operations a row forward, six backward: in small layers their number is what takes the time."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        rows, units = len(inputs), len(hidden)
        before = inputs.clone(memory_format=torch.contiguous_format)  # of gates and candidate
        gates = torch.empty_like(before)
        shown = before.new_empty(rows + 1, *hidden.shape)
        cells, squashed = torch.empty_like(shown), torch.empty_like(shown)
        shown[0], cells[0] = hidden, cell
        opened, candidates = before[:, : 3 * units].unbind(), before[:, 3 * units :].unbind()
        gated, candidate = gates[:, : 3 * units].unbind(), gates[:, 3 * units :].unbind()
        out, enter, forget, _ = (one.unbind() for one in gates.split(units, 1))
        h, c, s, totals = shown.unbind(), cells.unbind(), squashed.unbind(), before.unbind()
        for row in range(rows):
            totals[row].addmm_(weight, h[row])
            torch.sigmoid(opened[row], out=gated[row])
            _softplus(candidates[row], out=candidate[row])
            torch.mul(forget[row], c[row], out=c[row + 1])
            c[row + 1].addcmul_(enter[row], candidate[row])
            _softplus(c[row + 1], out=s[row + 1])
            torch.mul(out[row], s[row + 1], out=h[row + 1])
        ctx.save_for_backward(weight, before, gates, shown, cells, squashed)
        return shown[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight, before, gates, shown, cells, squashed = ctx.saved_tensors
        units = shown.shape[1]
        out, enter, forget, candidate = gates.split(units, 1)
        # Of all rows at once: dc_t / d(i, f, g) before they are squashed, dh_t / do_t, dh_t / dc_t.
        by_cell = gates.new_empty(len(gates), 3, *cells.shape[1:])
        torch.mul(candidate * enter, 1 - enter, out=by_cell[:, 0])
        torch.mul(cells[:-1] * forget, 1 - forget, out=by_cell[:, 1])
        torch.mul(enter, before[:, 3 * units :].sigmoid(), out=by_cell[:, 2])
        by_out = (squashed[1:] * out * (1 - out)).unbind()
        by_shown = (out * cells[1:].sigmoid()).unbind()
        of_gates = torch.empty_like(gates)
        of_out = of_gates[:, :units].unbind()
        of_others = of_gates[:, units:].unflatten(1, (3, units)).unbind()
        of_all, kept, given = of_gates.unbind(), forget.unbind(), gradient.contiguous().unbind()
        by_others = by_cell.unbind()
        of_hidden, of_cell = torch.zeros_like(shown[0]), torch.zeros_like(cells[0])
        transposed = weight.t()
        for row in range(len(gradient) - 1, -1, -1):
            total = of_hidden.add_(given[row])
            of_cell.addcmul_(total, by_shown[row])  # dloss / dc_t
            torch.mul(by_others[row], of_cell, out=of_others[row])
            torch.mul(total, by_out[row], out=of_out[row])
            torch.mm(transposed, of_all[row], out=of_hidden)
            of_cell.mul_(kept[row])
        of_weight = torch.bmm(of_gates, shown[:-1].transpose(1, 2)).sum(0)
        return of_gates, of_weight, of_hidden, of_cell
