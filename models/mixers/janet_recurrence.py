"""JANET's recurrence with a backward written by hand: one GEMM a row in each direction of the pass.

Autograd of the plain loop keeps some ten tensors a row and adds up the weight's gradient row by row; here
gates and states lie in three blocks, and the weight's gradient is one GEMM at the end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def janet_recurrence(inputs: Tensor, weight: Tensor, initial: Tensor, beta: float) -> Tensor:
    """(L, B, H): h of every row.

    inputs: (L, B, 2 H), W x_t + b of forget gate and candidate; weight: (2 H, H), U of both; initial: (B, H).

        s_t, u_t = inputs_t + U h_{t-1}
        h_t = sigmoid(s_t) . h_{t-1} + (1 - sigmoid(s_t - beta)) . tanh(u_t)

    Differentiable once, in all three tensors, which are of one type.
    """
    hidden: Tensor = _Recurrence.apply(inputs, weight, initial, beta)
    return hidden


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, initial: Tensor, beta: float) -> Tensor:
        rows, width = len(inputs), initial.shape[1]
        gates = torch.empty_like(inputs)  # forget gate beside candidate
        written = torch.empty_like(inputs[..., :width])  # 1 - sigmoid(s - beta)
        hidden = inputs.new_empty(rows + 1, *initial.shape)
        hidden[0] = initial
        transposed = weight.t()
        for row in range(rows):
            torch.addmm(inputs[row], hidden[row], transposed, out=gates[row])
            forget, candidate = gates[row, :, :width], gates[row, :, width:]
            torch.sigmoid(beta - forget, out=written[row])
            forget.sigmoid_()
            candidate.tanh_()
            torch.mul(forget, hidden[row], out=hidden[row + 1])
            hidden[row + 1].addcmul_(written[row], candidate)
        ctx.save_for_backward(weight, gates, written, hidden)
        return hidden[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        weight, gates, written, hidden = ctx.saved_tensors
        rows, windows, width = gradient.shape
        forget, candidate = gates[..., :width], gates[..., width:]
        # dh_t / d(s_t, u_t), of all rows at once
        by_gate = torch.empty_like(gates).view(rows, windows, 2, width)
        by_gate[:, :, 0] = forget * (1 - forget) * hidden[:-1] - written * (1 - written) * candidate
        by_gate[:, :, 1] = written * (1 - candidate * candidate)
        carried = torch.zeros_like(gradient[0])
        for row in range(rows - 1, -1, -1):
            total = gradient[row] + carried  # dloss / dh_t
            by_gate[row] *= total[:, None]
            carried = torch.addmm(forget[row] * total, by_gate[row].flatten(1), weight)
        by_gate = by_gate.flatten(2)  # now dloss / d(s_t, u_t): (L, B, 2 H)
        of_weight = by_gate.flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)
        return by_gate, of_weight, carried, None
