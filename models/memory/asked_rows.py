"""Which rows of a window are asked how far back they look."""

from __future__ import annotations

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.configure import one_of
from data.schema import InputSchema

WHICH = ("auto", "first", "last", "spread")


def asked_rows(batch: SequenceBatch, schema: InputSchema, count: int = 1, which: str = "auto") -> Tensor:
    """(B, count) int64: rows of each window that are predicted and judged, -1 where it has fewer.

    which: `first`, `last` or `spread` over them; `auto` is `last` in sequence tasks, where the last row has
    the most behind it, and `first` in horizon tasks, where the first row of the horizon stands beside the
    history. Of a window without a judged row (a test window) all rows that want a prediction count.
    """
    one_of(which, WHICH, "which", "rows asked for memory")
    if which == "auto":
        which = "last" if schema.context == 0 else "first"
    judged = batch.asked & (batch.weight > 0)
    judged = torch.where(judged.any(1, keepdim=True), judged, batch.asked)
    in_order = torch.argsort((~judged).int(), dim=1, stable=True)  # judged rows first
    known = judged.sum(1, keepdim=True)  # (B, 1)
    step = torch.arange(count, device=known.device)[None, :]
    if which == "spread":
        rank = torch.where(known < count, step, ((step + 0.5) * known / count).long())
    else:
        rank = step.expand(len(known), -1) if which == "first" else known - 1 - step
    there = (rank >= 0) & (rank < known)
    row = in_order.gather(1, rank.clamp(0, batch.rows - 1))
    return torch.where(there, row, -1)


def shown_inputs(batch: SequenceBatch, schema: InputSchema) -> tuple[Tensor, Tensor]:
    """(B, L, F) and (B, L, C) bool: real and categorical inputs that hold something, by their reach.

    Padding holds nothing, and a past-only column nothing from the origin on: what would follow from a change
    there says nothing about the data.
    """
    step = torch.arange(batch.rows, device=batch.origin.device) - batch.origin[:, None] + 1  # 1: origin
    shown = []
    for reaches in schema.reaches():
        reach = [2**40 if one is None else one for one in reaches]
        limit = torch.tensor(reach, dtype=torch.int64, device=step.device)
        shown.append((limit >= step[:, :, None]) & batch.used()[:, :, None])
    return shown[0], shown[1]
