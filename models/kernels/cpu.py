"""The fast path on a CPU: the whole loop over rows is compiled, the batch is split over threads.

[h_{t-1}, x_t, 1] of a row stand side by side, so one product gives all gates with input, recurrence and bias,
one product a row takes the gradients back to h_{t-1} and x_t, and one over all rows gives the gradients of
all weights. Nothing is added up across threads but p's gradient, in their order: the result is the same for
any number of them, and for p the same for the same number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from models.kernels.cell import backward_3, backward_4, forward_3, forward_4
from models.kernels.compiled import compiled
from models.kernels.gemm import ROWS, add_products, multiply, packed
from models.kernels.gradients import Gradients
from models.kernels.vectors import WIDTH


@compiled
def _run_forward(side, gates, cell, clock, weight, power, count, first, last, four, kept):  # type: ignore[no-untyped-def]
    """Rows `first` to `last` of the batch, all steps; without `kept` gates, cell and clock have one row."""
    steps, width = side.shape[1] - 1, side.shape[2]
    units, columns = power.shape[0], gates.shape[2]
    held = gates.shape[1]
    for step in range(steps):
        now, after = (step, step + 1) if kept else (0, 0)
        left = side.ctypes.data + 4 * (first * (steps + 1) + step) * width
        into = gates.ctypes.data + 4 * (first * held + now) * columns
        multiply(
            into, held * columns, left, (steps + 1) * width, weight.ctypes.data, last - first, columns, count
        )
        for b in range(first, last):
            before = 4 * (b * held + now) * units
            behind = 4 * (b * held + after) * units
            arguments = (
                gates.ctypes.data + 4 * (b * held + now) * columns,
                cell.ctypes.data + before,
                clock.ctypes.data + before,
                cell.ctypes.data + behind,
                clock.ctypes.data + behind,
                side.ctypes.data + 4 * (b * (steps + 1) + step + 1) * width,
                power.ctypes.data,
                units,
            )
            if four:
                forward_4(arguments)
            else:
                forward_3(arguments)


@compiled
def _run_backward(  # type: ignore[no-untyped-def]
    gates, cell, clock, d_output, d_side, d_cell, d_clock, d_power, weight, power, first, last, four
):
    """Rows `first` to `last` of the batch, from the last step to the first; d_power is this thread's own."""
    steps, units, columns = gates.shape[1] - 1, power.shape[0], gates.shape[2]
    width = d_side.shape[2]
    for back in range(steps):
        step = steps - 1 - back
        for b in range(first, last):
            place = b * (steps + 1) + step
            arguments = (
                gates.ctypes.data + 4 * place * columns,
                cell.ctypes.data + 4 * place * units,
                clock.ctypes.data + 4 * place * units,
                cell.ctypes.data + 4 * (place + 1) * units,
                clock.ctypes.data + 4 * (place + 1) * units,
                d_output.ctypes.data + 4 * (b * steps + step) * units,
                d_side.ctypes.data + 4 * (place + 1) * width,
                d_cell.ctypes.data + 4 * b * units,
                d_clock.ctypes.data + 4 * b * units,
                power.ctypes.data,
                d_power.ctypes.data,
                units,
            )
            if four:
                backward_4(arguments)
            else:
                backward_3(arguments)
        left = gates.ctypes.data + 4 * (first * (steps + 1) + step) * columns
        into = d_side.ctypes.data + 4 * (first * (steps + 1) + step) * width
        row = (steps + 1) * width
        multiply(into, row, left, (steps + 1) * columns, weight.ctypes.data, last - first, width, columns)


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
    side = torch.empty(batch, steps + 1, sizes.width)
    side[:, :steps, units : units + width] = inputs
    side[:, steps, units:] = 0.0
    side[:, :steps, units + width] = 1.0
    side[:, :, sizes.read :] = 0.0
    side[:, 0, :units] = _wide(hidden, units)
    held = steps + 1 if keep else 1
    gates = torch.empty(batch, held, sizes.gates * units)
    cells, clocks = torch.empty(batch, held, units), torch.empty(batch, held, units)
    cells[:, 0], clocks[:, 0] = _wide(cell, units), _wide(clock, units)
    if keep:
        gates[:, steps] = 0.0
    columns = packed(_numpy(_joined(weight, recurrent, bias, sizes)[: sizes.read]))
    arrays = [_numpy(tensor) for tensor in (side, gates, cells, clocks)]
    raised = _numpy(_wide(power, units))
    four = sizes.gates == 4
    _in_threads(
        lambda first, last, thread: _run_forward(
            *arrays, columns, raised, sizes.read, first, last, four, keep
        ),
        batch,
    )
    kept = Kept(sizes, side, gates, cells, clocks) if keep else None
    own = sizes.hidden
    return side[:, 1:, :own], cells[:, -1, :own], clocks[:, -1, :own], kept


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
    """From the gradients of the three results; the activations in `kept` are overwritten."""
    sizes = kept.sizes
    batch, steps = d_output.shape[:2]
    units, own = sizes.units, sizes.hidden
    width = _padded(units + sizes.inputs)
    d_side = torch.empty(batch, steps + 1, width)
    d_side[:, steps] = 0.0
    both = _joined(weight, recurrent, bias, sizes)  # (width, G units)
    back = packed(_numpy(pad(both[: units + sizes.inputs].T, (0, width - units - sizes.inputs)).contiguous()))
    d_cell, d_clock = _wide(d_cell, units).clone(), _wide(d_clock, units).clone()
    d_output = _wide(d_output, units).contiguous()
    threads = len(_chunks(batch))
    d_power = torch.zeros(threads, units)
    arrays = [
        _numpy(tensor) for tensor in (kept.gates, kept.cell, kept.clock, d_output, d_side, d_cell, d_clock)
    ]
    power_of_thread, raised = _numpy(d_power), _numpy(_wide(power, units))
    four = sizes.gates == 4
    _in_threads(
        lambda first, last, thread: _run_backward(
            *arrays, power_of_thread[thread], back, raised, first, last, four
        ),
        batch,
    )
    d_weight = torch.zeros(sizes.width, sizes.gates * units)
    into = _numpy(d_weight)
    left, right = _numpy(kept.side.flatten(0, 1)), _numpy(kept.gates.flatten(0, 1))
    _in_threads(
        lambda first, last, thread: add_products(into, left, right, first * WIDTH, last * WIDTH),
        sizes.gates * units // WIDTH,
        least=3,
    )
    by_gate = d_weight.unflatten(1, (sizes.gates, units))[:, :, :own]  # (width, G, H)
    return Gradients(
        d_side[:, :steps, units : units + sizes.inputs],
        d_side[:, 0, :own],
        d_cell[:, :own],
        d_clock[:, :own],
        by_gate[units : units + sizes.inputs].permute(1, 2, 0).flatten(0, 1),
        by_gate[:own].permute(1, 2, 0).flatten(0, 1),
        by_gate[units + sizes.inputs].flatten(),
        d_power.sum(0)[:own],
    )


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


def _numpy(tensor: Tensor) -> np.ndarray:
    assert tensor.is_contiguous()
    return tensor.detach().numpy()


def _chunks(count: int, least: int = ROWS) -> list[tuple[int, int]]:
    """(first, last) for each of torch's threads, none of fewer than `least`."""
    threads = max(1, min(torch.get_num_threads(), count // least))
    bounds = [round(count * part / threads) for part in range(threads + 1)]
    return list(itertools.pairwise(bounds))


def _in_threads(work: Callable[[int, int, int], Any], count: int, least: int = ROWS) -> None:
    chunks = _chunks(count, least)
    if len(chunks) == 1:
        work(0, count, 0)
        return
    pool = _pool(len(chunks))
    waiting = [pool.submit(work, first, last, thread) for thread, (first, last) in enumerate(chunks)]
    for each in waiting:
        each.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="plstm")
