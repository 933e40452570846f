"""What a row reads in an autoregressive network: its own inputs, and the targets of rows before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.embedding import InputEmbedding
from models.layers.lagged_values import lagged, lags_of, last_known, season_of


class AutoregressiveInputs(nn.Module):
    """[embedded inputs, z_{t-lag} for each lag, 1 for each lag that lies in the window]: `width` in all.

    Row t must not see its own target before the origin, since it has none to see after it: the columns of
    past targets are left out of the inputs, and stand there only as the rows before. add_last: see `level`.
    Raises InputError, naming `where`, for a lag that no window holds.
    """

    lag: Tensor  # (lags,)

    def __init__(
        self, schema: InputSchema, width: int, lags: Sequence[int], add_last: str, where: str
    ) -> None:
        super().__init__()
        self.lags = lags_of(schema, lags, where)
        self.season = {"none": None, "last": 1, "seasonal": season_of(schema)}[add_last]
        if self.season is not None:
            self.lags = sorted({1, self.season, *self.lags})
        self.register_buffer("lag", torch.tensor(self.lags), persistent=False)
        self.targets = schema.targets
        self.past_target = schema.reals("past_target")  # none in a sequence task
        self.other = [index for index in range(len(schema.real)) if index not in self.past_target]
        without = schema._replace(
            real=tuple(schema.real[index] for index in self.other),
            real_role=tuple(schema.real_role[index] for index in self.other),
            real_reach=tuple(schema.real_reach[index] for index in self.other) if schema.real_reach else (),
        )
        self.embedding = InputEmbedding(without, width)
        self.width = width + len(self.lags) * (schema.targets + 1)

    def embedded(self, batch: SequenceBatch) -> Tensor:
        """(B, L, .)."""
        embedded: Tensor = self.embedding(batch._replace(real=batch.real[:, :, self.other]))
        return embedded

    def known(self, batch: SequenceBatch) -> Tensor:
        """(B, L, K) scaled targets of the rows before the origin, 0 from it on and where they are missing.

        With `add_last` any of them may be a level: rows that do not count then stand at the last one before
        them that does, 0 where there is none.
        """
        if not self.past_target:
            return batch.real.new_zeros(len(batch.length), batch.rows, self.targets)
        value = batch.real[:, :, self.past_target]
        if self.season is not None:
            value = last_known(value, batch.counted_past())
        return value.masked_fill(~batch.past()[:, :, None], 0.0)

    def forward(self, rows: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the first R rows of windows: embedded (B, R, .), scaled targets (B, R, K) -> as `of_rows`."""
        number = torch.arange(rows.shape[1], device=rows.device)[None, :]
        return self.of_rows(rows, lagged(value, self.lags), number)

    def of_rows(self, rows: Tensor, before: Tensor, number: Tensor) -> tuple[Tensor, Tensor | None]:
        """Inputs (B, R, width) and levels (B, R, K), None without `add_last`.

        before: (B, R, lags * K), by lag, then target; number: of the rows in their window, (B or 1, R). The
        level is the value one row or one season before; the row before, where the window does not hold that.
        """
        there = number[:, :, None] >= self.lag
        inputs = torch.cat([rows, before, there.to(rows.dtype).expand(*rows.shape[:2], -1)], dim=-1)
        if self.season is None:
            return inputs, None
        each = before.unflatten(-1, (len(self.lags), -1))
        season = each[:, :, self.lags.index(self.season)]
        return inputs, torch.where((number >= self.season)[:, :, None], season, each[:, :, 0])
