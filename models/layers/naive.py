"""The (seasonal) naive forecast inside a window, for networks that learn what is to be added to it."""

from __future__ import annotations

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema

KINDS = ("none", "last", "seasonal")


class Naive:
    """Scaled values (B, L, K) from the rows before the origin; 0 before the origin itself.

    last      the row before the origin
    seasonal  the row one main season (`schema.seasonality[0]`) earlier, as often as needed to get before
              the origin; the last row where the window does not reach that far back
    Raises InputError where the schema has no past targets: there is nothing to repeat in a sequence task.
    """

    def __init__(self, schema: InputSchema, kind: str) -> None:
        self.columns = schema.reals("past_target")
        if len(self.columns) != schema.targets:
            raise InputError(f"add_last={kind} needs past targets, which only horizon tasks have")
        self.season = schema.seasonality[0] if kind == "seasonal" and schema.seasonality else 1

    def __call__(self, batch: SequenceBatch) -> Tensor:
        past = batch.real[:, :, self.columns]  # (B, L, K)
        step = torch.arange(batch.rows, device=past.device)[None, :] - batch.origin[:, None]  # (B, L)
        row = batch.origin[:, None] - self.season + step % self.season
        row = torch.where(row >= 0, row, batch.origin[:, None] - 1)
        known = (step >= 0) & (row >= 0)
        index = row.clamp(min=0)[:, :, None].expand_as(past)
        return past.gather(1, index).masked_fill(~known[:, :, None], 0.0)
