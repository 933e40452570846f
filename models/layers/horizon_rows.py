"""The rows from each window's origin on as windows of their own, and back: for decoders."""

from __future__ import annotations

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.transfer import largest_difference


def longest_horizon(batch: SequenceBatch) -> int:
    """Rows from the origin on of the window that has most of them."""
    return largest_difference(batch.length, batch.origin)


def from_origin(values: Tensor, origin: Tensor, count: int) -> Tensor:
    """(B, L, width) -> (B, count, width): row j is row origin + j; behind the last row, that one again."""
    row = origin[:, None] + torch.arange(count, device=origin.device)
    index = row.clamp(max=values.shape[1] - 1)[:, :, None].expand(-1, -1, values.shape[2])
    return values.gather(1, index)


def to_rows(values: Tensor, batch: SequenceBatch) -> Tensor:
    """(B, count, width) from the origin on -> (B, L, width): 0 before the origin and in padding."""
    row = torch.arange(batch.rows, device=values.device) - batch.origin[:, None]
    index = row.clamp(0, values.shape[1] - 1)[:, :, None].expand(-1, -1, values.shape[2])
    return values.gather(1, index).masked_fill(~(batch.used() & (row >= 0))[:, :, None], 0.0)
