"""In which units squared errors stand in for a metric: its own, shares of the truth, the series' own size."""

from __future__ import annotations

import numpy as np

from models.blenders.base import BlendData


def divisors(data: BlendData) -> list[np.ndarray]:
    """(N, K) each, 0 where a row has no such unit: 1 (RMSE), |truth| (RMSPE and MAPE), the mean |truth| of
    the row's series (MASE and other scaled errors)."""
    size = np.abs(data.truth)
    _, series = np.unique(data.asked.series, return_inverse=True)
    rows = np.bincount(series)
    typical = np.stack([(np.bincount(series, column) / rows)[series] for column in size.T], axis=1)
    return [np.ones_like(size), size, typical]


def series_parts(data: BlendData, count: int) -> np.ndarray:
    """(N,) 0 .. count - 1: the series dealt out at random, always alike; of fewer series, their rows."""
    names, series = np.unique(data.asked.series, return_inverse=True)
    if len(names) < count:
        series, names = np.arange(len(data.asked)), np.arange(len(data.asked))
    part = np.random.default_rng(0).permutation(len(names)) % count
    return part[series]
