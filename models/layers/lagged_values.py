"""Earlier values of a sequence beside each of its rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data.errors import UnfitForData
from data.schema import InputSchema


def lags_of(schema: InputSchema, wanted: Sequence[int], where: str) -> list[int]:
    """Lags in rows, rising: those that are wanted, else 1 and the seasons that a window holds.

    Of a season s that is s - 1, s and s + 1 rows. A window holds what lies within its history, and in a
    sequence task within the sequence. Raises UnfitForData for a lag that no window holds.
    """
    longest = _longest(schema)
    if not wanted:
        seasons = {season + beside for season in schema.seasonality for beside in (-1, 0, 1)}
        return [1, *sorted(lag for lag in seasons if 1 < lag <= longest)]
    outside = [lag for lag in wanted if not 1 <= lag <= max(1, longest)]
    if outside:
        raise UnfitForData(
            f"{where}: found {outside[0]}, expected 1 to the {longest} rows that a window holds"
        )
    return sorted(set(wanted))


def season_of(schema: InputSchema) -> int:
    """The main season in rows; 1 without one, or with one that no window holds."""
    season = schema.seasonality[0] if schema.seasonality else 1
    return season if season <= _longest(schema) else 1


def lagged(values: Tensor, lags: Sequence[int]) -> Tensor:
    """(B, R, K) -> (B, R, lags * K): the values so many rows earlier, by lag, then target; 0 before row 0."""
    longest, rows = max(lags), values.shape[1]
    padded = nn.functional.pad(values, (0, 0, longest, 0))
    return torch.cat([padded[:, longest - lag : longest - lag + rows] for lag in lags], dim=-1)


def last_known(values: Tensor, known: Tensor) -> Tensor:
    """(B, R, K), (B, R) bool -> (B, R, K): of the last known row up to each, 0 before the first one."""
    row = torch.arange(values.shape[1], device=values.device)
    last = torch.where(known, row, -1).cummax(dim=1).values[:, :, None]
    return values.gather(1, last.clamp(min=0).expand_as(values)).masked_fill(last < 0, 0.0)


def newest_known(values: Tensor, known: Tensor, period: int = 1) -> tuple[Tensor, Tensor]:
    """The newest known row of each phase: values (B, period, K), 0 where there is none, and (B, period) bool.

    values: (B, R, K); known: (B, R) bool; row t has the phase t % period, so with a period of 1 there is one
    phase, whose newest known row is the last known one of all.
    """
    row = torch.where(known, torch.arange(known.shape[1], device=known.device), -1)
    padded = nn.functional.pad(row, (0, -row.shape[1] % period), value=-1)
    newest = padded.unflatten(1, (-1, period)).amax(1)  # (B, period)
    found = newest >= 0
    taken = values.gather(1, newest.clamp(min=0)[:, :, None].expand(-1, -1, values.shape[2]))
    return taken.masked_fill(~found[:, :, None], 0.0), found


def _longest(schema: InputSchema) -> int:
    return schema.context or schema.length - 1
