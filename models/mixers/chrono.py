"""How long a gate remembers at the start of training: a constant bias, or one drawn for long dependencies."""

from __future__ import annotations

import torch
from torch import Tensor

from data.errors import InputError


def keeping_bias(units: int, forget_bias: float, chrono: int) -> Tensor:
    """(units,) bias of the gate that keeps the past: `forget_bias`, or with `chrono` log U(1, T_max - 1).

    A gate of bias b forgets 1 - sigmoid(b) a row, so log(T - 1) is a memory of T rows: with T_max = `chrono`
    the units' memories are spread evenly from 2 to T_max rows (chrono initialisation: Tallec and Ollivier
    2018, "Can recurrent neural networks warp time?"). An input gate of its own gets minus that. A constant of
    1 is from Jozefowicz, Zaremba and Sutskever 2015, after Gers et al. 2000.
    Raises InputError for a T_max below 3.
    """
    if chrono == 0:
        return torch.full((units,), float(forget_bias))
    if chrono < 3:
        raise InputError(f"chrono={chrono}; expected 0 (off) or a longest dependency of at least 3 rows")
    return torch.empty(units).uniform_(1.0, chrono - 1.0).log()
