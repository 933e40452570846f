"""What every kernel's backward pass gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Gradients(NamedTuple):
    """Of the arguments of `plstm_reference`, in their order."""

    inputs: Tensor  # (B, L, I)
    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)
    clock: Tensor | None  # (B, H); None, as power, of a cell that has none
    weight: Tensor  # (G H, I)
    recurrent: Tensor  # (G H, H)
    bias: Tensor  # (G H,)
    power: Tensor | None  # (H,)
