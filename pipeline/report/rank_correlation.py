"""Spearman's rank correlation of a handful of pairs, and what chance alone would make of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

#: Up to so many pairs all their orders are gone through, else a sample of them.
MOST_ORDERED = 8
ORDERS = 20_000
#: Fewer pairs than this are too few for an interval by resampling them.
LEAST_RESAMPLED = 8
RESAMPLES = 2_000
LEVEL = 0.95


@dataclass(frozen=True)
class RankCorrelation:
    """Of n pairs; an order is one of the n! ways to pair them, all alike likely where nothing is related."""

    pairs: int
    rho: float  # 1: the larger the one, the larger the other; ties share their ranks
    chance: float  # share of the orders whose |rho| is at least as large: the two-sided p-value
    least_chance: float  # the same of the largest |rho| that these ranks can have
    by_chance: float  # |rho| that 95 % of the orders stay within
    interval: tuple[float, float] | None  # 95 %, by resampling pairs; None: too few for it

    @property
    def enough(self) -> bool:
        """Whether so few pairs could show anything."""
        return self.least_chance <= 1 - LEVEL

    @property
    def clear(self) -> bool:
        """Whether chance alone rarely gives as much."""
        return self.chance <= 1 - LEVEL


def rank_correlation(first: np.ndarray, second: np.ndarray) -> RankCorrelation | None:
    """Of (n,) against (n,); None for fewer than three pairs, or where one is the same everywhere."""
    one, other = rankdata(first), rankdata(second)
    count = len(one)
    if count < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    generator = np.random.default_rng(0)
    if count <= MOST_ORDERED:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        orders = np.argsort(generator.random((ORDERS, count)), axis=1)
        orders[0] = np.arange(count)  # the one that was found is possible, too
    rho = float(_correlations(one[None], other[None])[0])
    by_order = np.abs(_correlations(one[orders], other[None]))
    return RankCorrelation(
        pairs=count,
        rho=rho,
        chance=float((by_order >= abs(rho) - 1e-9).mean()),
        least_chance=_least_chance(one, other),
        by_chance=float(np.quantile(by_order, LEVEL, method="inverted_cdf")),
        interval=_interval(first, second, generator) if count >= LEAST_RESAMPLED else None,
    )


def _least_chance(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the n! orders that reach the largest |rho| of these ranks, ties among them.

    That one pairs them in order or in the order turned round, whichever has the larger |rho|. Pairs of equal
    `other` may change places and reach it still, and so may pairs of equal `one`.
    """
    there = np.sort(other)
    ways = [np.sort(one), np.sort(one)[::-1]]
    sizes = [abs(float(_correlations(way[None], there[None])[0])) for way in ways]
    reaching = sum(
        _orders_of(way, there) for way, size in zip(ways, sizes, strict=True) if size > max(sizes) - 1e-9
    )
    return reaching / math.factorial(len(one))


def _orders_of(one: np.ndarray, other: np.ndarray) -> int:
    """How many of the n! orders of `one` have the sum of products with `other` that these sorted ranks have.

    Where `other` is the same, any order of the values of `one` there will do: g! / (product of m_v!) of them,
    m_v of each value; and equal ones (t_v of them in all) stand for each other in t_v! ways.
    """
    count = math.prod(math.factorial(size) for size in np.unique(one, return_counts=True)[1])
    for value in np.unique(other):
        group = one[other == value]
        alike = math.prod(math.factorial(size) for size in np.unique(group, return_counts=True)[1])
        count *= math.factorial(len(group)) // alike
    return count


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,) Pearson's, row by row; NaN where one is constant."""
    first = first - first.mean(1, keepdims=True)
    second = second - second.mean(1, keepdims=True)
    size = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return np.asarray((first * second).sum(1) / np.where(size > 0, size, np.nan))


def _interval(first: np.ndarray, second: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    """Percentiles over samples of the pairs, with replacement; samples of equal values say nothing."""
    chosen = generator.integers(0, len(first), (RESAMPLES, len(first)))
    rho = _correlations(rankdata(first[chosen], axis=1), rankdata(second[chosen], axis=1))
    low, high = np.nanquantile(rho, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
