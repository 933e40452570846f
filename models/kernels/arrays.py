"""pLSTM in plain torch with a backward pass of its own: on any device, in any floating type.

The inputs of all rows are one product, the weights' gradients another one. What a row's gradient is made of
besides the two carried ones (of c and D) does not depend on later rows, so it is worked out for all rows at
once; the loop that is left has nine small steps and one product a row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.kernels.gradients import Gradients
from models.kernels.reference import EPSILON


class Kept(NamedTuple):
    """What the backward pass reads; rows first, L of them (cell and clock: L + 1, before each row)."""

    inputs: Tensor  # (L, B, I)
    hidden: Tensor  # (L, B, H): before each row
    gates: Tensor  # (L, B, G H) activations
    cell: Tensor  # (L + 1, B, H)
    clock: Tensor


def forward(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    clock: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    power: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Kept | None]:
    """As `plstm_reference`; with `keep` also what `backward` needs."""
    steps, units = inputs.shape[1], hidden.shape[1]
    rows = inputs.transpose(0, 1).contiguous()
    gates = torch.addmm(bias, rows.flatten(0, 1), weight.T).unflatten(0, (steps, -1))  # (L, B, G H)
    hiddens = hidden.new_empty(steps + 1, *hidden.shape)
    hiddens[0] = hidden
    held = steps + 1 if keep else 1
    cells, clocks = cell.new_empty(held, *cell.shape), clock.new_empty(held, *clock.shape)
    cells[0], clocks[0] = cell, clock
    turned = recurrent.T.contiguous()
    four = bias.shape[0] == 4 * units
    for step in range(steps):
        now, after = (step, step + 1) if keep else (0, 0)
        total = gates[step].addmm_(hiddens[step], turned)
        leak = total[:, :units].neg().sigmoid_()  # 1 - r, where r is near 1 too
        squashed = total[:, : 2 * units].sigmoid_()
        reset, output = squashed[:, :units], squashed[:, units:]
        candidate = total[:, 2 * units : 3 * units].tanh_()
        clock = torch.addcmul(EPSILON * reset, leak, clocks[now] + 1.0, out=clocks[after])
        lost = _lost(clock, power)
        if four:
            entering = total[:, 3 * units :].sigmoid_()
            kept_cell = torch.addcmul(cells[now], lost, cells[now])
            cell = torch.addcmul(kept_cell, entering, candidate, out=cells[after])
        else:
            cell = torch.addcmul(cells[now], lost, cells[now] - candidate, out=cells[after])
        torch.mul(output, cell.tanh(), out=hiddens[step + 1])
    kept = Kept(rows, hiddens[:-1], gates, cells, clocks) if keep else None
    return hiddens[1:].transpose(0, 1), cells[-1].clone(), clocks[-1].clone(), kept


def _lost(clock: Tensor, power: Tensor) -> Tensor:
    """f - 1 = y^p - 1 with 1 - y = (1 - eps) / (D + 1): accurate for large D too."""
    return ((EPSILON - 1.0) / (clock + 1.0)).log1p_().mul_(power).expm1_()


def backward(
    kept: Kept,
    d_output: Tensor,
    d_cell: Tensor,
    d_clock: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    power: Tensor,
) -> Gradients:
    """From the gradients of the three results."""
    units = recurrent.shape[1]
    parts = kept.gates.split(units, dim=2)
    reset, output, candidate = parts[:3]
    shown = kept.cell[1:].tanh()
    old, clock, before = kept.clock[:-1], kept.clock[1:], kept.cell[:-1]
    below_one = (1.0 - EPSILON) / (clock + 1.0)
    logarithm = torch.log1p(-below_one)
    lost = torch.expm1(logarithm * power)
    f = lost + 1.0
    to_cell = output * (1.0 - shown * shown)  # of dh
    to_output = shown * output * (1.0 - output)  # of dh
    to_reset = (EPSILON - 1.0 - old) * reset * (1.0 - reset)  # of dD
    leak = 1.0 - reset  # of dD
    change = 1.0 - candidate * candidate
    if len(parts) == 4:
        entering = parts[3]
        to_candidate = entering * change
        to_entering = candidate * entering * (1.0 - entering)
        to_logarithm = before * f
    else:
        to_candidate = -lost * change
        to_logarithm = (before - candidate) * f
    to_clock = power * below_one / (clock + EPSILON)  # of d log y^p
    d_logarithm = torch.empty_like(f)
    d_gates = torch.empty_like(kept.gates)
    d_hidden = torch.zeros_like(d_cell)
    d_cell, d_clock = d_cell.clone(), d_clock.clone()
    rows = d_output.transpose(0, 1)
    for step in range(len(rows) - 1, -1, -1):
        reset_part, output_part, candidate_part, *more = d_gates[step].split(units, dim=1)
        d_hidden = d_hidden + rows[step]
        d_cell.addcmul_(d_hidden, to_cell[step])
        torch.mul(d_hidden, to_output[step], out=output_part)
        torch.mul(d_cell, to_candidate[step], out=candidate_part)
        if more:
            torch.mul(d_cell, to_entering[step], out=more[0])
        torch.mul(d_cell, to_logarithm[step], out=d_logarithm[step])
        d_clock.addcmul_(d_logarithm[step], to_clock[step])
        torch.mul(d_clock, to_reset[step], out=reset_part)
        d_cell.mul_(f[step])
        d_clock.mul_(leak[step])
        d_hidden = d_gates[step] @ recurrent
    flat = d_gates.flatten(0, 1)
    return Gradients(
        (flat @ weight).unflatten(0, (len(rows), -1)).transpose(0, 1),
        d_hidden,
        d_cell,
        d_clock,
        flat.T @ kept.inputs.flatten(0, 1),
        flat.T @ kept.hidden.flatten(0, 1),
        flat.sum(0),
        (d_logarithm * logarithm).sum((0, 1)),
    )
