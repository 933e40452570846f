"""The fast path on a CPU: the whole loop over rows is compiled, the batch is split over threads.

[h_{t-1}, x_t, 1] of a row stand side by side, so one product gives all gates with input, recurrence and bias,
one product a row takes the gradients back to h_{t-1} and x_t, and one over all rows gives the gradients of
all weights. Nothing is added up across threads but p's gradient, in their order: the result is the same for
any number of them, and for p the same for the same number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from models.kernels.buffers import give_back, take
from models.kernels.cell import backward_3, backward_4, forward_3, forward_4
from models.kernels.gemm import ROWS, add_products, multiply, packed
from models.kernels.gradients import Gradients
from models.kernels.team import Job, bounds, next_part, parts_of
from models.kernels.vectors import WIDTH

#: Vectors of a weight gradient's columns that are worth a thread of their own.
COLUMNS = 3


def _forward(job: Any) -> None:
    """All steps of a part of the batch; without `kept`, gates, cell and clock have one row."""
    side, gates, cell, clock, weight, power = job[2], job[3], job[4], job[5], job[6], job[7]
    batch, steps, width, units, columns, count = job[8], job[9], job[10], job[11], job[12], job[13]
    four, kept = job[14] == 4, job[15] == 1
    held = steps + 1 if kept else 1
    while True:
        part = next_part(job)
        if part < 0:
            return
        first, last = bounds(batch, part, job[1])
        for step in range(steps):
            now, after = (step, step + 1) if kept else (0, 0)
            left = side + 4 * (first * (steps + 1) + step) * width
            into = gates + 4 * (first * held + now) * columns
            multiply(into, held * columns, left, (steps + 1) * width, weight, last - first, columns, count)
            for b in range(first, last):
                before = 4 * (b * held + now) * units
                behind = 4 * (b * held + after) * units
                arguments = (
                    gates + 4 * (b * held + now) * columns,
                    cell + before,
                    clock + before,
                    cell + behind,
                    clock + behind,
                    side + 4 * (b * (steps + 1) + step + 1) * width,
                    power,
                    units,
                )
                if four:
                    forward_4(arguments)
                else:
                    forward_3(arguments)


def _backward(job: Any) -> None:
    """A part of the batch, from the last step to the first; each part has a row of d_power of its own."""
    gates, cell, clock, d_output, d_side = job[2], job[3], job[4], job[5], job[6]
    d_cell, d_clock, d_power, weight, power = job[7], job[8], job[9], job[10], job[11]
    batch, steps, width, units, columns, four = job[12], job[13], job[14], job[15], job[16], job[17] == 4
    while True:
        part = next_part(job)
        if part < 0:
            return
        first, last = bounds(batch, part, job[1])
        for back in range(steps):
            step = steps - 1 - back
            for b in range(first, last):
                place = b * (steps + 1) + step
                arguments = (
                    gates + 4 * place * columns,
                    cell + 4 * place * units,
                    clock + 4 * place * units,
                    cell + 4 * (place + 1) * units,
                    clock + 4 * (place + 1) * units,
                    d_output + 4 * (b * steps + step) * units,
                    d_side + 4 * (place + 1) * width,
                    d_cell + 4 * b * units,
                    d_clock + 4 * b * units,
                    power,
                    d_power + 4 * part * units,
                    units,
                )
                if four:
                    backward_4(arguments)
                else:
                    backward_3(arguments)
            left = gates + 4 * (first * (steps + 1) + step) * columns
            into = d_side + 4 * (first * (steps + 1) + step) * width
            row = (steps + 1) * width
            multiply(into, row, left, (steps + 1) * columns, weight, last - first, width, columns)


def _weights(job: Any) -> None:
    """A part of the columns of all weights' gradients."""
    into, left, right, rows, height, columns = job[2], job[3], job[4], job[5], job[6], job[7]
    while True:
        part = next_part(job)
        if part < 0:
            return
        first, last = bounds(columns // WIDTH, part, job[1])
        add_products(into, left, right, rows, height, columns, first * WIDTH, last * WIDTH)


_forward_job, _backward_job, _weights_job = Job(_forward), Job(_backward), Job(_weights)


class Sizes(NamedTuple):
    """How the arrays are laid out: units and columns are padded to whole vectors."""

    gates: int  # 3 or 4
    hidden: int
    units: int  # hidden, padded
    inputs: int

    @property
    def read(self) -> int:
        """Columns of [h, x, 1] that a product reads."""
        return self.units + self.inputs + 1

    @property
    def width(self) -> int:
        """... padded."""
        return _padded(self.read)


class Kept(NamedTuple):
    """What the backward pass reads, with L + 1 rows: row t of `side` is [h before row t, x of row t, 1]."""

    sizes: Sizes
    side: Tensor  # (B, L + 1, width)
    gates: Tensor  # (B, L + 1, G units) activations; the last row is zero
    cell: Tensor  # (B, L + 1, units): before row t
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
    """As `plstm_reference`, float32; with `keep` also what `backward` needs. h is a view of `side`."""
    batch, steps, width = inputs.shape
    units = _padded(hidden.shape[1])
    sizes = Sizes(bias.shape[0] // hidden.shape[1], hidden.shape[1], units, width)
    columns = sizes.gates * units
    side = torch.empty(batch, steps + 1, sizes.width)
    side[:, :steps, units : units + width] = inputs
    side[:, steps, units:] = 0.0
    side[:, :steps, units + width] = 1.0
    side[:, :, sizes.read :] = 0.0
    side[:, 0, :units] = _wide(hidden, units)
    held = steps + 1 if keep else 1
    new = take if keep else torch.empty
    gates, cells, clocks = (new(batch, held, size) for size in (columns, units, units))
    cells[:, 0], clocks[:, 0] = _wide(cell, units), _wide(clock, units)
    if keep:
        gates[:, steps] = 0.0
    panels = packed(_joined(weight, recurrent, bias, sizes)[: sizes.read].detach().numpy())
    raised = _wide(power, units).contiguous()
    _forward_job.run(
        parts_of(batch, ROWS),
        *_addresses(side, gates, cells, clocks, panels, raised),
        *(batch, steps, sizes.width, units, columns, sizes.read, sizes.gates, keep),
    )
    own = sizes.hidden
    last_cell, last_clock = cells[:, -1, :own], clocks[:, -1, :own]
    if not keep:
        return side[:, 1:, :own], last_cell, last_clock, None
    kept = Kept(sizes, side, gates, cells, clocks)
    return side[:, 1:, :own], last_cell.clone(), last_clock.clone(), kept


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
    """From the gradients of the three results; the activations in `kept` are overwritten and given back."""
    sizes = kept.sizes
    batch, steps = d_output.shape[:2]
    units, own, columns = sizes.units, sizes.hidden, sizes.gates * sizes.units
    width = _padded(units + sizes.inputs)
    d_side = take(batch, steps + 1, width)
    d_side[:, steps] = 0.0
    both = _joined(weight, recurrent, bias, sizes)  # (width, G units)
    back = both[: units + sizes.inputs].T
    panels = packed(pad(back, (0, width - units - sizes.inputs)).contiguous().detach().numpy())
    d_cell, d_clock = (
        _wide(one, units).clone(memory_format=torch.contiguous_format) for one in (d_cell, d_clock)
    )
    d_output, raised = _wide(d_output, units).contiguous(), _wide(power, units).contiguous()
    parts = parts_of(batch, ROWS)
    d_power = torch.zeros(parts, units)
    _backward_job.run(
        parts,
        *_addresses(
            kept.gates, kept.cell, kept.clock, d_output, d_side, d_cell, d_clock, d_power, panels, raised
        ),
        *(batch, steps, width, units, columns, sizes.gates),
    )
    d_weight = torch.zeros(sizes.width, columns)
    _weights_job.run(
        parts_of(columns // WIDTH, COLUMNS),
        *_addresses(d_weight, kept.side, kept.gates),
        *(batch * (steps + 1), sizes.width, columns),
    )
    by_gate = d_weight.unflatten(1, (sizes.gates, units))[:, :, :own]  # (width, G, H)
    gradients = Gradients(
        d_side[:, :steps, units : units + sizes.inputs].clone(memory_format=torch.contiguous_format),
        d_side[:, 0, :own].clone(memory_format=torch.contiguous_format),
        d_cell[:, :own],
        d_clock[:, :own],
        by_gate[units : units + sizes.inputs].permute(1, 2, 0).flatten(0, 1),
        by_gate[:own].permute(1, 2, 0).flatten(0, 1),
        by_gate[units + sizes.inputs].flatten(),
        d_power.sum(0)[:own],
    )
    give_back(kept.gates, kept.cell, kept.clock, d_side)
    return gradients


def _padded(columns: int) -> int:
    return -(-columns // WIDTH) * WIDTH


def _wide(tensor: Tensor, units: int) -> Tensor:
    """(..., H) -> (..., units), zeros behind."""
    return tensor if tensor.shape[-1] == units else pad(tensor, (0, units - tensor.shape[-1]))


def _joined(weight: Tensor, recurrent: Tensor, bias: Tensor, sizes: Sizes) -> Tensor:
    """(width, G units): rows as the columns of [h, x, 1], columns gate by gate."""
    both = torch.zeros(sizes.width, sizes.gates, sizes.units)
    own, units = sizes.hidden, sizes.units
    both[:own, :, :own] = recurrent.T.unflatten(1, (sizes.gates, own))
    both[units : units + sizes.inputs, :, :own] = weight.T.unflatten(1, (sizes.gates, own))
    both[units + sizes.inputs, :, :own] = bias.unflatten(0, (sizes.gates, own))
    return both.flatten(1)


def _addresses(*arrays: Tensor | np.ndarray) -> list[int]:
    """Of their first numbers; the caller keeps the arrays alive."""
    found = []
    for array in arrays:
        if isinstance(array, Tensor):
            assert array.is_contiguous()
            assert array.dtype == torch.float32
            found.append(array.data_ptr())
        else:
            found.append(array.ctypes.data)
    return found
