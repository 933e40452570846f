"""The (seasonal) naive forecast inside a window, for networks that learn what is to be added to it."""

from __future__ import annotations

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.layers.lagged_values import newest_known

KINDS = ("none", "last", "seasonal")


class Naive:
    """Scaled values (B, L, K) from the rows before the origin; 0 before the origin itself.

    last      the last row before the origin
    seasonal  the row one main season (`schema.seasonality[0]`) earlier, as often as needed to get before
              the origin; the last row where the window does not reach that far back

    Of rows whose targets are known and judged: behind a closed day stands the last day that was open, or the
    one a season before. 0 where the window has none.

    Raises InputError where the schema has no past targets: there is nothing to repeat in a sequence task.
    """

    def __init__(self, schema: InputSchema, kind: str) -> None:
        self.columns = schema.reals("past_target")
        if len(self.columns) != schema.targets:
            raise InputError(f"add_last={kind} needs past targets, which only horizon tasks have")
        self.season = schema.seasonality[0] if kind == "seasonal" and schema.seasonality else 1

    def __call__(self, batch: SequenceBatch) -> Tensor:
        past = batch.real[:, :, self.columns]  # (B, L, K)
        counted = batch.counted_past()
        value, found = newest_known(past, counted, self.season)  # (B, season, K)
        if self.season > 1:
            last, _ = newest_known(past, counted)
            value = torch.where(found[:, :, None], value, last)
        phase = torch.arange(batch.rows, device=past.device) % self.season
        return value[:, phase].masked_fill(batch.past()[:, :, None], 0.0)
