"""pLSTM in plain torch with a backward pass of its own: on any device, in any floating type.

The inputs of all rows are one product, the weights' gradients another one. What a row's gradient is made of
besides the carried ones (of h, c and D) does not depend on later rows, so it is worked out for CHUNK rows at
once, which the processor's cache holds; the loop that is left has nine small steps and one product a row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.kernels.gradients import Gradients
from models.kernels.reference import EPSILON

#: Rows whose factors are worked out at once in the backward pass.
CHUNK = 8


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
    units, steps = recurrent.shape[1], len(kept.gates)
    d_gates = torch.empty_like(kept.gates)
    d_hidden, d_power = torch.zeros_like(d_cell), torch.zeros_like(power)
    d_cell, d_clock = d_cell.clone(), d_clock.clone()
    rows = d_output.transpose(0, 1)
    for first in range((steps - 1) // CHUNK * CHUNK, -1, -CHUNK):
        last = min(first + CHUNK, steps)
        of = _factors(kept, first, last, power, units)
        d_logarithm = torch.empty_like(of.f)
        for step in range(last - 1, first - 1, -1):
            reset_part, output_part, candidate_part, *entering_part = d_gates[step].split(units, dim=1)
            place = step - first
            d_hidden = d_hidden + rows[step]
            d_cell.addcmul_(d_hidden, of.cell[place])
            torch.mul(d_hidden, of.output[place], out=output_part)
            torch.mul(d_cell, of.candidate[place], out=candidate_part)
            if of.entering is not None:
                torch.mul(d_cell, of.entering[place], out=entering_part[0])
            torch.mul(d_cell, of.logarithm[place], out=d_logarithm[place])
            d_clock.addcmul_(d_logarithm[place], of.clock[place])
            torch.mul(d_clock, of.reset[place], out=reset_part)
            d_cell.mul_(of.f[place])
            d_clock.mul_(of.leak[place])
            d_hidden = d_gates[step] @ recurrent
        d_power += d_logarithm.mul_(of.log_y).sum((0, 1))
    flat = d_gates.flatten(0, 1)
    return Gradients(
        (flat @ weight).unflatten(0, (steps, -1)).transpose(0, 1),
        d_hidden,
        d_cell,
        d_clock,
        flat.T @ kept.inputs.flatten(0, 1),
        flat.T @ kept.hidden.flatten(0, 1),
        flat.sum(0),
        d_power,
    )


class _Factors(NamedTuple):
    """(rows, B, H) each: what a gradient is multiplied with on its way back."""

    cell: Tensor  # of dh, to dc
    output: Tensor  # of dh, to the output gate's pre-activation
    candidate: Tensor  # of dc, to the candidate's
    entering: Tensor | None  # of dc, to the input gate's
    logarithm: Tensor  # of dc, to p log y
    clock: Tensor  # of p log y, to dD
    reset: Tensor  # of dD, to the reset gate's
    f: Tensor  # of dc, to the row before
    leak: Tensor  # of dD, to the row before
    log_y: Tensor  # of p log y, to dp


def _factors(kept: Kept, first: int, last: int, power: Tensor, units: int) -> _Factors:
    reset, output, candidate, *more = kept.gates[first:last].split(units, dim=2)
    after, old = slice(first + 1, last + 1), kept.clock[first:last]
    clock, before = kept.clock[after], kept.cell[first:last]
    shown = kept.cell[after].tanh()
    below_one = (1.0 - EPSILON) / (clock + 1.0)
    log_y = torch.log1p(-below_one)
    lost = torch.expm1(log_y * power)
    f = lost + 1.0
    leak = 1.0 - reset
    change = 1.0 - candidate * candidate
    entering = more[0] if more else -lost
    return _Factors(
        cell=output * (1.0 - shown * shown),
        output=shown * output * (1.0 - output),
        candidate=entering * change,
        entering=candidate * entering * (1.0 - entering) if more else None,
        logarithm=(before if more else before - candidate) * f,
        clock=power * below_one / (clock + EPSILON),
        reset=(EPSILON - 1.0 - old) * reset * leak,
        f=f,
        leak=leak,
        log_y=log_y,
    )
