"""Exponential smoothing as a module: of a batch, with trained coefficients of every series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.layers.exponential_smoothing import (
    Seasonality,
    repeated,
    smooth,
    starting_factors,
    starting_level,
    weighted_mean,
)

#: Where smoothing coefficients and trust in a window's own seasonal factors start, before the sigmoid.
START_RATE, START_TRUST = -1.0, 0.0

#: Relative to the mean: what a value must be above to be told from zero.
ZERO = 1e-6


@dataclass(frozen=True)
class SmoothingSettings:
    """Settings of the smoothing, as every network that begins with one has them."""

    floor: float = 0.05  # least value over the window's mean in the multiplicative kind
    zeros: bool = False  # whether the smoothing takes zeros for values like others
    series_rate: float = 10.0  # how much faster than weights the coefficients of the smoothing learn


class Decomposition(NamedTuple):
    """N = B * K series of a batch, window by window, on its L rows."""

    value: Tensor  # (N, L) coordinate (logarithm, or value) of y; any number where not known
    known: Tensor  # (N, L) bool
    level: Tensor  # (N, L) coordinate of l_t
    seasonal: list[Tensor]  # (N, L) a period: coordinate of s_k,t
    base: Tensor  # (N, L) l_T with all s_k,t: from the origin on the forecast of the smoothing
    shift: Tensor  # (N,) base - shift is in the scaled units of the batch


class SeriesSmoothing(nn.Module):
    """Exponential smoothing with coefficients c = sigmoid(start + rate * (shared + own)).

    `own` is the series' row of a table, 0 for one that was not seen in training. Through `rate` they learn
    faster than weights: of each there are few examples. In every window a seasonality starts from its factors
    over the window's own history, drawn towards neutral by 1 - trust, which is a coefficient too. (Smyl 2020
    has trained starting factors of every series; windows here start anywhere in a series.)

    Multiplicative: a window with values below `floor` of its mean is lifted by a constant to be smoothed and
    let down again after, so that the kind turns into the additive one the further values are from positive.
    Missing values, and zeros unless `zeros` is set, teach the smoothing nothing.
    """

    start: Tensor

    def __init__(
        self, schema: InputSchema, periods: tuple[int, ...], kind: Seasonality, settings: SmoothingSettings
    ) -> None:
        super().__init__()
        self.kind = kind
        self.periods = periods
        self.settings = settings
        self.targets = schema.targets
        self.column = schema.reals("past_target")
        # Columns that say where an input has gaps. Which one is the target's hangs on the other columns: one
        # serves all inputs with the same gaps.
        self.missing = [index for index, name in enumerate(schema.real) if name.startswith("missing.")]
        start = [START_RATE] * (1 + len(periods)) + [START_TRUST] * len(periods)
        self.register_buffer("start", torch.tensor(start), persistent=False)
        self.shared = nn.Parameter(torch.zeros(schema.targets * len(start)))
        self.own = nn.Embedding(schema.series, schema.targets * len(start))
        nn.init.zeros_(self.own.weight)

    def coefficients(self, series: Tensor) -> Tensor:
        """(B,) series, -1 if not seen -> (B * K, 1 + 2 periods): rates of level and seasons, then trusts."""
        own = self.own(series.clamp(min=0)) * (series >= 0)[:, None]
        moved = (self.shared + own).view(len(series) * self.targets, -1)
        return torch.sigmoid(self.start + self.settings.series_rate * moved).clamp(1e-4, 1.0 - 1e-4)

    def forward(self, batch: SequenceBatch) -> Decomposition:
        """Smooth the rows before the origin; level and seasons go on from there unchanged."""
        values, known, shift = self._values(batch)
        end = batch.origin.repeat_interleave(self.targets)
        coefficient = self.coefficients(batch.series)
        rates, trusts = coefficient.tensor_split([1 + len(self.periods)], dim=1)
        kind = self.kind
        bare = values
        starting: list[Tensor] = []
        for place, period in enumerate(self.periods):
            factors = starting_factors(bare, known, end, period, kind)
            starting.append(kind.neutral + trusts[:, place : place + 1] * (factors - kind.neutral))
            bare = kind.remove(bare, repeated(starting[-1], values.shape[1]))
        first = min(self.periods, default=1)
        level = starting_level(bare, known, first, kind.neutral)
        smoothed = smooth(values, known, level, starting, rates[:, 0], rates[:, 1:].unbind(1), kind)
        base = smoothed.level[:, -1:].expand_as(values)
        for factors in smoothed.seasonal:
            base = kind.join(base, factors)
        seasonal = [kind.coordinate(factors) for factors in smoothed.seasonal]
        return Decomposition(
            kind.coordinate(values), known, kind.coordinate(smoothed.level), seasonal, base, shift
        )

    def _values(self, batch: SequenceBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Values to smooth (N, L), which of them are known (N, L), and shift (N,)."""
        # Not even what is not finite in the padding is felt, by zero times it.
        past = batch.real[:, :, self.column].float().masked_fill(~batch.past()[:, :, None], 0.0)  # (B, L, K)
        offset = (batch.location / batch.scale).float()  # past + offset: the target over its scale
        value = past + offset[:, None, :]
        known = batch.past()[:, :, None].expand_as(past)
        if self.missing:
            gap = (batch.real[:, :, self.missing] != 0).any(2, keepdim=True)
            known = known & ~(gap & (past == 0))  # what is missing is filled with 0 when a window is cut
        size = weighted_mean(value.abs(), known.to(value.dtype), 1, 1.0)  # (B, K)
        if not self.settings.zeros:
            known = known & (value.abs() > ZERO * size[:, None, :])
            size = weighted_mean(value.abs(), known.to(value.dtype), 1, 1.0)
        if self.kind.multiplicative:
            lowest = value.masked_fill(~known, torch.inf).amin(1)
            lift = (self.settings.floor * size - lowest).clamp(min=0.0)
            value = torch.where(known, value + lift[:, None, :], size[:, None, :])
            shift = lift + offset
        else:
            value, shift = past.masked_fill(~known, 0.0), torch.zeros_like(offset)
        return value.transpose(1, 2).flatten(0, 1), known.transpose(1, 2).flatten(0, 1), shift.flatten()
