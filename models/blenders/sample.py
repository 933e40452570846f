"""Fewer out-of-fold rows to fit weights on: whole forecasts, so that every metric keeps its sense."""

from __future__ import annotations

import numpy as np

from models.blenders.base import BlendData


def sample_forecasts(data: BlendData, most_rows: int) -> BlendData:
    """About `most_rows` rows: all rows of (series, origin) pairs drawn at random, always the same."""
    rows = len(data.asked)
    if rows <= most_rows:
        return data
    pair = np.stack([data.asked.series, data.asked.origin])
    width = int(pair[1].max()) + 1
    _, forecast = np.unique(pair[0] * width + pair[1], return_inverse=True)
    length = np.bincount(forecast)
    drawn = np.random.default_rng(0).permutation(len(length))
    kept = drawn[: max(1, int(np.searchsorted(np.cumsum(length[drawn]), most_rows, side="right")))]
    chosen = np.zeros(len(length), dtype=bool)
    chosen[kept] = True
    return data.take(chosen[forecast])
