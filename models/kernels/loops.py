"""The fast path of recurrent cells on a CPU: the loop over rows is compiled, the batch split over threads.

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
from models.kernels.gemm import ROWS, add_products, multiply, packed
from models.kernels.gradients import Gradients
from models.kernels.lstm_cell import backward_softplus, backward_tanh, forward_softplus, forward_tanh
from models.kernels.plstm_cell import backward_3, backward_4, forward_3, forward_4
from models.kernels.team import Job, bounds, next_part, parts_of
from models.kernels.vectors import WIDTH


class Cell(NamedTuple):
    """What is computed between the products."""

    number: int  # in compiled code
    gates: int
    clock: bool  # whether it has a clock and powers, as pLSTM


PLSTM = {3: Cell(0, 3, True), 4: Cell(1, 4, True)}  # by the number of gates
LSTM, SOFTPLUS_LSTM = Cell(2, 4, False), Cell(3, 4, False)

#: Vectors of a weight gradient's columns that are worth a thread of their own.
COLUMNS = 3


def _forward(job: Any) -> None:
    """All steps of a part of the batch; without `kept`, gates, cell and clock have one row."""
    side, gates, cell, clock, weight, power = job[2], job[3], job[4], job[5], job[6], job[7]
    batch, steps, width, units, columns, count = job[8], job[9], job[10], job[11], job[12], job[13]
    cell_number, kept = job[14], job[15] == 1
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
                if cell_number == 0:
                    forward_3(arguments)
                elif cell_number == 1:
                    forward_4(arguments)
                elif cell_number == 2:
                    forward_tanh(arguments)
                else:
                    forward_softplus(arguments)


def _backward(job: Any) -> None:
    """A part of the batch, from the last step to the first; each part has a row of d_power of its own."""
    gates, cell, clock, d_output, d_side = job[2], job[3], job[4], job[5], job[6]
    d_cell, d_clock, d_power, weight, power = job[7], job[8], job[9], job[10], job[11]
    batch, steps, width, units, columns, cell_number = job[12], job[13], job[14], job[15], job[16], job[17]
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
                if cell_number == 0:
                    backward_3(arguments)
                elif cell_number == 1:
                    backward_4(arguments)
                elif cell_number == 2:
                    backward_tanh(arguments)
                else:
                    backward_softplus(arguments)
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

    gates: int
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

    kind: Cell
    sizes: Sizes
    side: Tensor  # (B, L + 1, width)
    gates: Tensor  # (B, L + 1, G units) activations; the last row is zero
    cell: Tensor  # (B, L + 1, units): before row t
    clock: Tensor | None


def forward(
    kind: Cell,
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    clock: Tensor | None,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    power: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Kept | None]:
    """As `plstm_reference`, float32; with `keep` also what `backward` needs. h is a view of `side`.

    clock and power: None for a cell that has none, as is the clock after the last row then.
    """
    batch, steps, width = inputs.shape
    units = _padded(hidden.shape[1])
    sizes = Sizes(kind.gates, hidden.shape[1], units, width)
    columns = sizes.gates * units
    side = torch.empty(batch, steps + 1, sizes.width)
    side[:, :steps, units : units + width] = inputs
    side[:, steps, units:] = 0.0
    side[:, :steps, units + width] = 1.0
    side[:, :, sizes.read :] = 0.0
    side[:, 0, :units] = _wide(hidden, units)
    held = steps + 1 if keep else 1
    new = take if keep else torch.empty
    gates, cells = new(batch, held, columns), new(batch, held, units)
    cells[:, 0] = _wide(cell, units)
    clocks = raised = None
    if clock is not None and power is not None:
        clocks = new(batch, held, units)
        clocks[:, 0] = _wide(clock, units)
        raised = _wide(power, units).contiguous()
    if keep:
        gates[:, steps] = 0.0
    panels = packed(_joined(weight, recurrent, bias, sizes)[: sizes.read].detach().numpy())
    _forward_job.run(
        parts_of(batch, ROWS),
        *_addresses(side, gates, cells, clocks, panels, raised),
        *(batch, steps, sizes.width, units, columns, sizes.read, kind.number, keep),
    )
    own = sizes.hidden
    ended = [None if one is None else one[:, -1, :own] for one in (cells, clocks)]
    kept = None
    if keep:
        ended = [None if one is None else one.clone() for one in ended]
        kept = Kept(kind, sizes, side, gates, cells, clocks)
    last_cell, last_clock = ended
    assert last_cell is not None
    return side[:, 1:, :own], last_cell, last_clock, kept


def backward(
    kept: Kept,
    d_output: Tensor,
    d_cell: Tensor,
    d_clock: Tensor | None,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    power: Tensor | None,
) -> Gradients:
    """From the gradients of the results; the activations in `kept` are overwritten and given back."""
    sizes = kept.sizes
    batch, steps = d_output.shape[:2]
    units, own, columns = sizes.units, sizes.hidden, sizes.gates * sizes.units
    width = _padded(units + sizes.inputs)
    d_side = take(batch, steps + 1, width)
    d_side[:, steps] = 0.0
    both = _joined(weight, recurrent, bias, sizes)  # (width, G units)
    back = both[: units + sizes.inputs].T
    panels = packed(pad(back, (0, width - units - sizes.inputs)).contiguous().detach().numpy())
    d_output, d_cell = _wide(d_output, units).contiguous(), _own(d_cell, units)
    parts = parts_of(batch, ROWS)
    d_power = raised = None
    if d_clock is not None and power is not None:
        d_clock, raised, d_power = (
            _own(d_clock, units),
            _wide(power, units).contiguous(),
            torch.zeros(parts, units),
        )
    _backward_job.run(
        parts,
        *_addresses(
            kept.gates, kept.cell, kept.clock, d_output, d_side, d_cell, d_clock, d_power, panels, raised
        ),
        *(batch, steps, width, units, columns, kept.kind.number),
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
        None if d_clock is None else d_clock[:, :own],
        by_gate[units : units + sizes.inputs].permute(1, 2, 0).flatten(0, 1),
        by_gate[:own].permute(1, 2, 0).flatten(0, 1),
        by_gate[units + sizes.inputs].flatten(),
        None if d_power is None else d_power.sum(0)[:own],
    )
    give_back(kept.gates, kept.cell, d_side, *([] if kept.clock is None else [kept.clock]))
    return gradients


def _padded(columns: int) -> int:
    return -(-columns // WIDTH) * WIDTH


def _wide(tensor: Tensor, units: int) -> Tensor:
    """(..., H) -> (..., units), zeros behind."""
    return tensor if tensor.shape[-1] == units else pad(tensor, (0, units - tensor.shape[-1]))


def _own(tensor: Tensor, units: int) -> Tensor:
    """`_wide`, to be written over."""
    return _wide(tensor, units).clone(memory_format=torch.contiguous_format)


def _joined(weight: Tensor, recurrent: Tensor, bias: Tensor, sizes: Sizes) -> Tensor:
    """(width, G units): rows as the columns of [h, x, 1], columns gate by gate."""
    both = torch.zeros(sizes.width, sizes.gates, sizes.units)
    own, units = sizes.hidden, sizes.units
    both[:own, :, :own] = recurrent.T.unflatten(1, (sizes.gates, own))
    both[units : units + sizes.inputs, :, :own] = weight.T.unflatten(1, (sizes.gates, own))
    both[units + sizes.inputs, :, :own] = bias.unflatten(0, (sizes.gates, own))
    return both.flatten(1)


def _addresses(*arrays: Tensor | np.ndarray | None) -> list[int]:
    """Of their first numbers, 0 for what a cell has not; the caller keeps the arrays alive."""
    found = []
    for array in arrays:
        if array is None:
            found.append(0)
        elif isinstance(array, Tensor):
            assert array.is_contiguous()
            assert array.dtype == torch.float32
            found.append(array.data_ptr())
        else:
            found.append(array.ctypes.data)
    return found
