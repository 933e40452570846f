"""Small tensors on their way to a GPU, and what is known of them there, without waiting for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, which is in the CPU's memory, on `device`.

    A copy from ordinary memory waits until the GPU has done all that it was told before; one from pinned
    memory is one more thing that it is told.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def with_known(tensor: Tensor, values: np.ndarray) -> Tensor:
    """`tensor` (N,), with its values to be looked at on the CPU by `smallest` and `largest`."""
    assert len(values) == len(tensor)
    tensor.known = values  # type: ignore[attr-defined]
    return tensor


def smallest(tensor: Tensor) -> int:
    """The smallest of (N,) whole numbers, N > 0; the device is asked only where nobody knows."""
    known = _known(tensor)
    return int(tensor.min()) if known is None else int(known.min())


def largest(tensor: Tensor) -> int:
    """The largest of (N,) whole numbers, N > 0; the device is asked only where nobody knows."""
    known = _known(tensor)
    return int(tensor.max()) if known is None else int(known.max())


def largest_difference(first: Tensor, second: Tensor) -> int:
    """The largest of first - second, (N,) whole numbers, N > 0."""
    here, there = _known(first), _known(second)
    return int((first - second).max()) if here is None or there is None else int((here - there).max())


def on_cpu(tensor: Tensor) -> Tensor:
    """(N,) in the CPU's memory; the device is asked only where nobody knows."""
    known = _known(tensor)
    return tensor.cpu() if known is None else torch.from_numpy(known)


def lessened(tensor: Tensor, by: int, least: int) -> Tensor:
    """(N,) whole numbers less `by`, at least `least`, and what is known of them."""
    known, less = _known(tensor), (tensor - by).clamp(min=least)
    return less if known is None else with_known(less, np.maximum(known - by, least))


def part(tensor: Tensor, first: int, end: int) -> Tensor:
    """tensor[first:end], and what is known of it."""
    known = _known(tensor)
    cut = tensor[first:end]
    return cut if known is None else with_known(cut, known[first:end])


def _known(tensor: Tensor) -> np.ndarray | None:
    # A compiled graph cannot look at what hangs on a tensor; it breaks where the device is asked anyway.
    return None if torch.compiler.is_compiling() else getattr(tensor, "known", None)
