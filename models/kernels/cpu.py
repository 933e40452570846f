"""pLSTM by the compiled loops of a CPU (models/kernels/loops.py)."""

from __future__ import annotations

from torch import Tensor

from models.kernels import loops
from models.kernels.gradients import Gradients
from models.kernels.loops import Kept


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
    """As `plstm_reference`, float32; with `keep` also what `backward` needs."""
    kind = loops.PLSTM[bias.shape[0] // hidden.shape[1]]
    states = (inputs, hidden, cell, clock)
    output, cell, last, kept = loops.forward(kind, *states, weight, recurrent, bias, power, keep)
    assert last is not None
    return output, cell, last, kept


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
    return loops.backward(kept, d_output, d_cell, d_clock, weight, recurrent, bias, power)
