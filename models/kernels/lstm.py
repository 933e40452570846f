"""One layer of an LSTM in one direction by the compiled loops of a CPU (models/kernels/loops.py).

nn.LSTM, which oneDNN runs there, takes longer, the most where layers are small, and at any size where there
is no AVX-512: `python -m benchmarks.recurrent`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.kernels import plstm
from models.kernels.layer import run_passes


def compiled_loops_run(*tensors: Tensor) -> bool:
    """Whether all are float32 on a CPU where loops can be compiled, and no autocast wants another type."""
    if torch.is_autocast_enabled("cpu"):
        return False
    return all(plstm.choose_kernel("auto", one.device, one.dtype)[0] == "numba" for one in tensors)


@torch.compiler.disable
def compiled_lstm(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    squash: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """(h of every row (B, L, H), c after the last one (B, H)).

    inputs: (B, L, I); hidden and cell: (B, H), the state before row 0. weight: (4 H, I), recurrent: (4 H, H),
    bias: (4 H,), gates in PyTorch's order i, f, g, o; with squash="softplus" in the order o, i, f, g.
    Differentiable once. Only where `compiled_loops_run`.
    """
    output, last = run_passes(_PASSES[squash], 3, inputs, hidden, cell, weight, recurrent, bias)
    return output, last


class _Passes(NamedTuple):
    softplus: bool

    def forward(
        self,
        inputs: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight: Tensor,
        recurrent: Tensor,
        bias: Tensor,
        keep: bool,
    ) -> tuple[Tensor, Tensor, object]:
        from models.kernels import loops  # compiles; compiled_loops_run has said that it can be imported

        kind = loops.SOFTPLUS_LSTM if self.softplus else loops.LSTM
        output, last, _, kept = loops.forward(
            kind, inputs, hidden, cell, None, weight, recurrent, bias, None, keep
        )
        return output, last, kept

    def backward(
        self, kept: object, d_output: Tensor, d_cell: Tensor, weight: Tensor, recurrent: Tensor, bias: Tensor
    ) -> tuple[Tensor, ...]:
        from models.kernels import loops

        assert isinstance(kept, loops.Kept)
        found = loops.backward(kept, d_output, d_cell, None, weight, recurrent, bias, None)
        return found.inputs, found.hidden, found.cell, found.weight, found.recurrent, found.bias


_PASSES = {"tanh": _Passes(False), "softplus": _Passes(True)}
