"""h_t = a_t h_{t-1} + b_t for all t: the recurrence that need not be done row by row.

Time is cut into blocks of about sqrt(L) rows. All blocks run side by side, each from zero, beside the
products of their a; then what each block hands on is carried through the blocks: 2 sqrt(L) steps instead of
L, for three times the work. On a GPU, where a step costs a launch, that is what runs. On a CPU a step over
(B, H) keeps a core busy by itself, so there all rows are one block.

There is no division and no logarithm: with |a| <= 1 nothing overflows, and a product that underflows is
rightly zero. A scan in log space (Heinsen 2023, arXiv 2311.06281; appendix B of Feng et al. 2024) takes
differences of cumulated log a, which lose digits as they grow with L, and is for positive h only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def linear_scan(decay: Tensor, value: Tensor, initial: Tensor, block: int | None = None) -> Tensor:
    """(B, L, H): h_t = decay_t h_{t-1} + value_t, with h_{-1} = initial (B, H).

    block: rows of a block; None: all of them on a CPU, else sqrt(L). Differentiable once, in all three. The
    gradient is the same recurrence backwards, g_t = dh_t + decay_{t+1} g_{t+1}: only decays and h are kept.
    """
    rows = value.shape[1]
    size = block or (rows if value.device.type == "cpu" else math.isqrt(rows))
    scanned: Tensor = _LinearScan.apply(decay, value, initial, max(1, min(size, rows)))
    return scanned


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, value: Tensor, initial: Tensor, block: int) -> Tensor:
        first = value[:, :1] + decay[:, :1] * initial[:, None]
        hidden = _scan(decay, torch.cat([first, value[:, 1:]], dim=1), block)
        ctx.save_for_backward(decay, hidden, initial)
        ctx.block = block
        return hidden

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        decay, hidden, initial = ctx.saved_tensors
        total = _scan(decay, gradient, ctx.block, backwards=True)
        of_decay = torch.empty_like(hidden)
        torch.mul(total[:, 0], initial, out=of_decay[:, 0])
        torch.mul(total[:, 1:], hidden[:, :-1], out=of_decay[:, 1:])
        return of_decay, total, total[:, 0] * decay[:, 0], None


def _scan(decay: Tensor, value: Tensor, block: int, backwards: bool = False) -> Tensor:
    """h_0 = value_0, h_t = value_t + decay_t h_{t-1}; backwards: h_t = value_t + decay_{t+1} h_{t+1}."""
    rows = value.shape[1]
    if block == rows:
        hidden = torch.empty_like(value)
        order = range(rows - 1, -1, -1) if backwards else range(rows)
        before = order[0]
        hidden[:, before] = value[:, before]
        for row in order[1:]:
            # Forwards a row is reached by its own decay, backwards by that of the row after it.
            passed = decay[:, before if backwards else row]
            torch.addcmul(value[:, row], passed, hidden[:, before], out=hidden[:, row])
            before = row
        return hidden
    if backwards:
        following = torch.cat([decay[:, :1], decay[:, 1:].flip(1)], dim=1)
        return _scan(following, value.flip(1), block).flip(1)
    return _in_blocks(decay, value, block)


def _in_blocks(decay: Tensor, value: Tensor, block: int) -> Tensor:
    windows, rows, width = value.shape
    blocks = -(-rows // block)
    missing = (0, 0, 0, blocks * block - rows)
    decay, value = (
        torch.nn.functional.pad(part, missing).reshape(windows, blocks, block, width)
        for part in (decay, value)
    )
    hidden = torch.empty_like(value)  # of each block as if it started from zero
    hidden[:, :, 0] = value[:, :, 0]
    for row in range(1, block):
        torch.addcmul(value[:, :, row], decay[:, :, row], hidden[:, :, row - 1], out=hidden[:, :, row])
    product = decay.cumprod(2)  # of the decays of a block up to a row
    for index in range(1, blocks):
        hidden[:, index].addcmul_(product[:, index], hidden[:, index - 1, -1:])
    return hidden.reshape(windows, blocks * block, width)[:, :rows]
