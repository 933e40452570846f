"""The fast path on an NVIDIA GPU: a product and one fused Triton kernel a row, recorded as a CUDA graph.

The inputs' products are one GEMM before the loop, the weights' gradients GEMMs after it. The loop itself is
2 L launches, too short each for Python to keep the device busy: it is recorded once for a shape and played
back. A recording works on buffers of its own, so what goes in and comes out is copied; the recordings of the
last few shapes are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.arrays import Kept
from models.kernels.gradients import Gradients
from models.kernels.reference import EPSILON

#: Units of one program of a fused kernel.
BLOCK = 1024

#: Shapes whose recordings are kept, each with buffers as large as the activations of a layer.
SHAPES_KEPT = 8


@triton.jit
def _tanh(x):  # type: ignore[no-untyped-def]
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def _retention(clock, power, epsilon: tl.constexpr):  # type: ignore[no-untyped-def]
    """1 - y, log y and f - 1; series where the first is small and where the last is, else they cancel."""
    below_one = (1.0 - epsilon) / (clock + 1.0)
    u = below_one
    near_one = -u * (1.0 + u * (0.5 + u * (0.33333333 + u * (0.25 + u * (0.2 + u * 0.16666667)))))
    log_y = tl.where(u < 0.05, near_one, tl.log((clock + epsilon) / (clock + 1.0)))
    e = power * log_y
    small = e * (1.0 + e * (0.5 + e * (0.16666667 + e * (0.041666667 + e * 0.0083333333))))
    return below_one, log_y, tl.where(e > -0.05, small, tl.exp(e) - 1.0)


@triton.jit
def _forward_row(  # type: ignore[no-untyped-def]
    gates, cell_before, clock_before, cell, clock, hidden, power,
    units, total, epsilon: tl.constexpr, four: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One row of the batch's windows: pre-activations become activations, the state moves on."""
    place = tl.program_id(0) * block + tl.arange(0, block)
    used = place < total
    unit = place % units
    columns = 4 * units if four else 3 * units
    own = gates + (place // units) * columns + unit
    closed = tl.load(own, mask=used, other=0.0)
    reset, leak = tl.sigmoid(closed), tl.sigmoid(-closed)
    output = tl.sigmoid(tl.load(own + units, mask=used, other=0.0))
    candidate = _tanh(tl.load(own + 2 * units, mask=used, other=0.0))
    now = epsilon * reset + leak * (tl.load(clock_before + place, mask=used, other=0.0) + 1.0)
    _, _, lost = _retention(now, tl.load(power + unit, mask=used, other=0.5), epsilon)
    before = tl.load(cell_before + place, mask=used, other=0.0)
    if four:
        entering = tl.sigmoid(tl.load(own + 3 * units, mask=used, other=0.0))
        tl.store(own + 3 * units, entering, mask=used)
        written = before + lost * before + entering * candidate
    else:
        written = before + lost * (before - candidate)
    tl.store(own, reset, mask=used)
    tl.store(own + units, output, mask=used)
    tl.store(own + 2 * units, candidate, mask=used)
    tl.store(cell + place, written, mask=used)
    tl.store(clock + place, now, mask=used)
    tl.store(hidden + place, output * _tanh(written), mask=used)


@triton.jit
def _backward_row(  # type: ignore[no-untyped-def]
    gates, cell_before, clock_before, cell, clock, d_output, d_hidden, d_cell, d_clock, power, d_power,
    units, total, epsilon: tl.constexpr, four: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Activations become the gradients of the pre-activations; d_cell and d_clock are carried back."""
    place = tl.program_id(0) * block + tl.arange(0, block)
    used = place < total
    unit = place % units
    columns = 4 * units if four else 3 * units
    own = gates + (place // units) * columns + unit
    reset = tl.load(own, mask=used, other=0.0)
    output = tl.load(own + units, mask=used, other=0.0)
    candidate = tl.load(own + 2 * units, mask=used, other=0.0)
    old = tl.load(clock_before + place, mask=used, other=0.0)
    now = tl.load(clock + place, mask=used, other=0.0)
    before = tl.load(cell_before + place, mask=used, other=0.0)
    shown = _tanh(tl.load(cell + place, mask=used, other=0.0))
    own_power = tl.load(power + unit, mask=used, other=0.5)
    below_one, log_y, lost = _retention(now, own_power, epsilon)
    kept = lost + 1.0
    to_hidden = tl.load(d_output + place, mask=used, other=0.0) + tl.load(
        d_hidden + place, mask=used, other=0.0
    )
    to_cell = tl.load(d_cell + place, mask=used, other=0.0) + to_hidden * output * (1.0 - shown * shown)
    if four:
        entering = tl.load(own + 3 * units, mask=used, other=0.0)
        tl.store(own + 3 * units, to_cell * candidate * entering * (1.0 - entering), mask=used)
        to_log = to_cell * before * kept
    else:
        entering = -lost
        to_log = to_cell * (before - candidate) * kept
    tl.store(d_power + place, tl.load(d_power + place, mask=used, other=0.0) + to_log * log_y, mask=used)
    to_clock = tl.load(d_clock + place, mask=used, other=0.0)
    to_clock += to_log * own_power * below_one / (now + epsilon)
    tl.store(own, to_clock * (epsilon - 1.0 - old) * reset * (1.0 - reset), mask=used)
    tl.store(own + units, to_hidden * shown * output * (1.0 - output), mask=used)
    tl.store(own + 2 * units, to_cell * entering * (1.0 - candidate * candidate), mask=used)
    tl.store(d_cell + place, to_cell * kept, mask=used)
    tl.store(d_clock + place, to_clock * (1.0 - reset), mask=used)


class _Buffers(NamedTuple):
    """What a recording reads and writes; rows first."""

    gates: Tensor  # (L, B, G H)
    hidden: Tensor  # (L + 1, B, H)
    cell: Tensor  # (L + 1, B, H)
    clock: Tensor  # (L + 1, B, H)
    recurrent: Tensor  # (G H, H)
    power: Tensor  # (H,)
    d_output: Tensor  # (L, B, H)
    d_hidden: Tensor  # (B, H)
    d_cell: Tensor  # (B, H)
    d_clock: Tensor  # (B, H)
    d_power: Tensor  # (B, H)


class _Loops(NamedTuple):
    """The loops over all rows of one shape, ready to be played."""

    buffers: _Buffers
    forward: Callable[[], None]
    backward: Callable[[], None]


@lru_cache(SHAPES_KEPT)
# Kept for later callers: what inference mode makes for a prediction, a fit could not write to.
@torch.inference_mode(False)
def _loops(rows: int, batch: int, units: int, gates: int, device: torch.device) -> _Loops:
    def empty(*shape: int) -> Tensor:
        return torch.zeros(*shape, device=device)

    state, one = (rows + 1, batch, units), (batch, units)
    of = _Buffers(
        gates=empty(rows, batch, gates * units),
        hidden=empty(*state),
        cell=empty(*state),
        clock=empty(*state),
        recurrent=empty(gates * units, units),
        power=empty(units),
        d_output=empty(rows, batch, units),
        d_hidden=empty(*one),
        d_cell=empty(*one),
        d_clock=empty(*one),
        d_power=empty(*one),
    )
    total = batch * units
    grid = (triton.cdiv(total, BLOCK),)
    settings = {"epsilon": EPSILON, "four": gates == 4, "block": BLOCK}

    def forward() -> None:
        for row in range(rows):
            of.gates[row].addmm_(of.hidden[row], of.recurrent.T)
            before = (of.cell[row], of.clock[row])
            after = (of.cell[row + 1], of.clock[row + 1], of.hidden[row + 1])
            _forward_row[grid](of.gates[row], *before, *after, of.power, units, total, **settings)

    def backward() -> None:
        for row in range(rows - 1, -1, -1):
            kept = (of.cell[row], of.clock[row], of.cell[row + 1], of.clock[row + 1])
            carried = (of.d_output[row], of.d_hidden, of.d_cell, of.d_clock, of.power, of.d_power)
            _backward_row[grid](of.gates[row], *kept, *carried, units, total, **settings)
            torch.mm(of.gates[row], of.recurrent, out=of.d_hidden)

    return _Loops(of, _recorded(forward, device), _recorded(backward, device))


def _recorded(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`work` as one launch. Elsewhere than on a GPU (Triton's interpreter) it is what it is."""
    if device.type != "cuda":
        return work
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):  # compiles the kernels, and lets the BLAS library take its workspace
        work()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        work()
    return graph.replay


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
    batch, rows, _ = inputs.shape
    units = hidden.shape[1]
    loops = _loops(rows, batch, units, bias.shape[0] // units, inputs.device)
    of = loops.buffers
    by_row = inputs.transpose(0, 1).contiguous()
    torch.addmm(bias, by_row.flatten(0, 1), weight.T, out=of.gates.view(rows * batch, -1))
    for buffer, value in zip((of.hidden, of.cell, of.clock), (hidden, cell, clock), strict=True):
        buffer[0].copy_(value)
    of.recurrent.copy_(recurrent)
    of.power.copy_(power)
    loops.forward()
    shown = of.hidden.clone()
    kept = None
    if keep:
        kept = Kept(by_row, shown[:-1], of.gates.clone(), of.cell.clone(), of.clock.clone())
    return shown[1:].transpose(0, 1), of.cell[-1].clone(), of.clock[-1].clone(), kept


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
    rows, batch, columns = kept.gates.shape
    units = recurrent.shape[1]
    loops = _loops(rows, batch, units, columns // units, kept.gates.device)
    of = loops.buffers
    given = (kept.gates, kept.cell, kept.clock, recurrent, power, d_output.transpose(0, 1), d_cell, d_clock)
    buffers = (of.gates, of.cell, of.clock, of.recurrent, of.power, of.d_output, of.d_cell, of.d_clock)
    for buffer, value in zip(buffers, given, strict=True):
        buffer.copy_(value)
    of.d_hidden.zero_()
    of.d_power.zero_()
    loops.backward()
    flat = of.gates.flatten(0, 1)
    return Gradients(
        (flat @ weight).unflatten(0, (rows, batch)).transpose(0, 1),
        of.d_hidden.clone(),
        of.d_cell.clone(),
        of.d_clock.clone(),
        flat.T @ kept.inputs.flatten(0, 1),
        flat.T @ kept.hidden.flatten(0, 1),
        flat.sum(0),
        of.d_power.sum(0),
    )
