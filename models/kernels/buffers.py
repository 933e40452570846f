"""Memory that the next call takes over from the last one.

A large tensor is fresh memory from the system each time, and its first touch costs a page fault for every
4 KiB: for pLSTM's activations as much as its arithmetic. What one backward pass is done with, the next
forward pass fills anew.
"""

from __future__ import annotations

import math
from threading import Lock

import torch
from torch import Tensor

#: Bytes that may lie idle; the oldest go first.
LIMIT = 2**28

_idle: list[Tensor] = []  # flat, float32; the newest last
_lock = Lock()


def take(*shape: int) -> Tensor:
    """A contiguous float32 tensor of that shape, with anything in it."""
    count = math.prod(shape)
    with _lock:
        for place in reversed(range(len(_idle))):
            if count <= _idle[place].numel() <= 2 * count:
                return _idle.pop(place)[:count].view(shape)
    return torch.empty(shape)


def give_back(*tensors: Tensor) -> None:
    """What `take` gave and nobody will read again."""
    with _lock:
        for tensor in tensors:
            count = tensor.untyped_storage().nbytes() // tensor.element_size()
            _idle.append(tensor.detach().as_strided((count,), (1,), 0))
        while sum(4 * one.numel() for one in _idle) > LIMIT:
            _idle.pop(0)
