"""Exponential smoothing of windows: a level and any number of seasonalities, fast and with gradients.

For each window and row t, with periods m_k; "/" and "*" in the multiplicative kind (Smyl 2020, "A hybrid
method of exponential smoothing and recurrent neural networks for time series forecasting", IJF 36, who has
one or two seasonalities and no trend: that is the network's), "-" and "+" in the additive one:

    l_t           = a   y_t / prod_k s_k,t                + (1 - a)   l_{t-1}
    s_k,{t + m_k} = b_k y_t / (l_t prod_{j != k} s_j,t)   + (1 - b_k) s_k,t

A row that is not known changes nothing: l_t = l_{t-1} and s_k,{t + m_k} = s_k,t. So level and seasonalities
run on over the horizon, where they are the forecast.

The recursion is not run row by row. For as many rows as the shortest season has, all seasonal factors are
known beforehand, so that the level is a linear recursion, l = W x + w l_0, with weights that do not depend on
the data: one small product for each such block of rows, and all factors of the block are renewed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

#: Rows in a block, at most: the weights of a block of n rows are an n x n matrix for each window.
LONGEST_BLOCK = 32

#: The logarithm of less than this is not taken.
LEAST = 1e-9


@dataclass(frozen=True)
class Seasonality:
    """How seasonal factors act on a level, and the coordinate in which that is a sum."""

    multiplicative: bool

    @property
    def neutral(self) -> float:
        """The factor that changes nothing."""
        return 1.0 if self.multiplicative else 0.0

    def join(self, level: Tensor, factor: Tensor) -> Tensor:
        """What a factor makes of a level."""
        return level * factor if self.multiplicative else level + factor

    def remove(self, value: Tensor, factor: Tensor) -> Tensor:
        """The inverse of `join`: the value without the factor."""
        return value / factor if self.multiplicative else value - factor

    def coordinate(self, value: Tensor) -> Tensor:
        """The logarithm, or the value itself: there `remove` is a difference."""
        return value.clamp(min=LEAST).log() if self.multiplicative else value


class Smoothed(NamedTuple):
    """Level and seasonal factors on every row of N windows."""

    level: Tensor  # (N, L) after the row has been seen; from the last known row on it stands still
    seasonal: list[Tensor]  # (N, L) a period: in force on the row, before the row has been seen


def smooth(
    values: Tensor,
    known: Tensor,
    level: Tensor,
    seasonal: Sequence[Tensor],
    level_rate: Tensor,
    seasonal_rate: Sequence[Tensor],
    kind: Seasonality,
) -> Smoothed:
    """Run the recursion over values (N, L); those that are not `known` (N, L) need only be valid numbers.

    level: (N,) before the first row; seasonal: an (N, m_k) tensor a period, the factors in force on the first
    m_k rows. level_rate, seasonal_rate: (N,) smoothing coefficients above 0 and below 1. Values, level and
    factors are above 0 in the multiplicative kind.
    """
    rows = values.shape[1]
    block = min([LONGEST_BLOCK, *(factors.shape[1] for factors in seasonal)])
    padding = -rows % block
    values = torch.nn.functional.pad(values, (0, padding), value=1.0).unflatten(1, (-1, block))
    seen = torch.nn.functional.pad(known, (0, padding)).unflatten(1, (-1, block)).to(values.dtype)
    weight, carried = _level_weights(seen * level_rate[:, None, None])
    rates = [seen * rate[:, None, None] for rate in seasonal_rate]  # (N, blocks, block) each
    rings = list(seasonal)  # (N, m_k): factors of the next m_k rows
    levels: list[Tensor] = []
    in_force: list[list[Tensor]] = [[] for _ in rings]
    for index in range(values.shape[1]):
        now = [ring[:, :block] for ring in rings]
        bare = values[:, index]
        for factors in now:
            bare = kind.remove(bare, factors)
        smoothed = (weight[:, index] @ bare[:, :, None])[:, :, 0] + carried[:, index] * level[:, None]
        level = smoothed[:, -1]
        levels.append(smoothed)
        remainder = kind.remove(bare, smoothed)  # y_t / (l_t prod_j s_j): joined with s_k it is what s_k sees
        for place, (ring, factors) in enumerate(zip(rings, now, strict=True)):
            renewed = torch.lerp(factors, kind.join(remainder, factors), rates[place][:, index])
            rings[place] = torch.cat([ring[:, block:], renewed], dim=1)
            in_force[place].append(factors)
    return Smoothed(
        torch.cat(levels, dim=1)[:, :rows],
        [torch.cat(factors, dim=1)[:, :rows] for factors in in_force],
    )


def _level_weights(rate: Tensor) -> tuple[Tensor, Tensor]:
    """Of the level's recursion in each block: W (N, blocks, n, n) and w (N, blocks, n), rate (N, blocks, n).

    W_tj = a_j prod_{j < i <= t} (1 - a_i) for j <= t, else 0; w_t = prod_{i <= t} (1 - a_i).
    """
    steps = torch.arange(rate.shape[-1], device=rate.device)
    later = steps[:, None] < steps[None, :]
    # A running sum as a product: cumsum on a GPU is refused by deterministic fits in some releases of torch.
    total = torch.log1p(-rate) @ (~later).to(rate.dtype).T  # log w
    exponent = (total[..., :, None] - total[..., None, :]).masked_fill(later, -torch.inf)
    return exponent.exp() * rate[..., None, :], total.exp()


def starting_factors(values: Tensor, known: Tensor, end: Tensor, period: int, kind: Seasonality) -> Tensor:
    """(N, m) factors of one period: each phase against its season's mean, averaged over the window's seasons.

    values, known: (N, L); end: (N,) rows of history. Only whole seasons before `end` are looked at, counted
    from the window's first row, and in them the known rows. A phase that has none is neutral.
    """
    seasons = _by_season(values, period)  # (N, seasons, m)
    counted = _by_season(known, period).to(values.dtype)
    last = torch.arange(1, seasons.shape[1] + 1, device=values.device) * period
    counted = counted * (last[None, :] <= end[:, None])[:, :, None]
    mean = weighted_mean(seasons, counted, 2, kind.neutral)
    return weighted_mean(kind.remove(seasons, mean[:, :, None]), counted, 1, kind.neutral)


def starting_level(bare: Tensor, known: Tensor, rows: int, otherwise: float) -> Tensor:
    """(N,) mean of the known ones among the first `rows` values without season; of all of them if none is."""
    weight = known.to(bare.dtype)
    every = weighted_mean(bare, weight, 1, otherwise)
    first = weight[:, :rows].sum(1) > 0
    return torch.where(first, weighted_mean(bare[:, :rows], weight[:, :rows], 1, otherwise), every)


def repeated(factors: Tensor, rows: int) -> Tensor:
    """(N, m) factors -> (N, rows), season after season."""
    return factors.repeat(1, -(-rows // factors.shape[1]))[:, :rows]


def _by_season(values: Tensor, period: int) -> Tensor:
    padding = -values.shape[1] % period
    return torch.nn.functional.pad(values, (0, padding)).unflatten(1, (-1, period))


def weighted_mean(values: Tensor, weight: Tensor, dim: int, otherwise: float) -> Tensor:
    """Mean along `dim` of what has weight 1 (else 0); `otherwise` where nothing has."""
    total = weight.sum(dim)
    mean = (values * weight).sum(dim) / total.clamp(min=1.0)
    return torch.where(total > 0, mean, otherwise)
