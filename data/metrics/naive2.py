"""Naive2, the yardstick of M4's OWA: the last value, seasonally adjusted where a test finds a season.

Makridakis, Spiliotis and Assimakopoulos (2020), "The M4 Competition: 100,000 time series and 61
forecasting methods"; the test and the classical decomposition are those of the organisers' benchmark.
"""

from __future__ import annotations

import numpy as np

from data.metrics.table import Floats, MetricTable

#: Two-sided 90 % quantile of the normal distribution, as the organisers round it.
_CRITICAL = 1.645


def is_seasonal(values: Floats, seasonality: int) -> bool:
    """The 90 % test of the autocorrelation at lag m against its Bartlett limit, on (n,) values.

    Seasonal where |r_m| > 1.645 sqrt((1 + 2 sum_{k<m} r_k^2) / n); never with fewer than three seasons.
    """
    count = len(values)
    if seasonality < 2 or count < 3 * seasonality:
        return False
    centred = values - values.mean()
    variance = centred @ centred
    if variance == 0:
        return False
    r = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, seasonality + 1)]) / variance
    limit = _CRITICAL * np.sqrt((1 + 2 * (r[:-1] ** 2).sum()) / count)
    return bool(abs(r[-1]) > limit)


def seasonal_indices(values: Floats, seasonality: int) -> Floats:
    """(m,) multiplicative indices of classical decomposition, index i for rows i, i+m, ...; their mean is 1.

    Rows over their centred moving average of one season, averaged by phase. Not finite where the moving
    average is 0.
    """
    kernel = (
        np.ones(seasonality) if seasonality % 2 else np.concatenate([[0.5], np.ones(seasonality - 1), [0.5]])
    )
    trend = np.convolve(values, kernel / seasonality, "valid")
    half = len(kernel) // 2
    ratio = np.full(len(values), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio[half : half + len(trend)] = values[half : half + len(trend)] / trend
    phase = np.arange(len(values)) % seasonality
    inner = slice(half, half + len(trend))
    total = np.bincount(phase[inner], ratio[inner], seasonality)
    index = total / np.bincount(phase[inner], minlength=seasonality)
    with np.errstate(divide="ignore", invalid="ignore"):
        normalised: Floats = index / index.mean()
    return normalised


def naive2_season(past: Floats, seasonality: int) -> Floats:
    """(m, K): the next season by Naive2 from (n, K) past rows; step h of a forecast is row (h - 1) mod m.

    Missing values repeat the one before. Where the indices cannot be had (a moving average of 0) the
    last value is repeated, as for a series without a season. NaN for a target without any value.
    """
    season = np.full((seasonality, past.shape[1]), np.nan)
    for target, column in enumerate(past.T):
        known = np.flatnonzero(np.isfinite(column))
        if len(known) == 0:
            continue
        latest = known[np.searchsorted(known, np.arange(known[0], len(column)), side="right") - 1]
        values = column[latest]
        season[:, target] = values[-1]
        if is_seasonal(values, seasonality):
            index = seasonal_indices(values, seasonality)
            phase = len(values) + np.arange(seasonality)
            last = index[(len(values) - 1) % seasonality]
            if np.isfinite(index).all() and last != 0:
                season[:, target] = values[-1] / last * index[phase % seasonality]
    return season


def naive2(table: MetricTable, seasonality: int) -> Floats:
    """(N, K): Naive2's prediction of every row of a table, each from the history before its origin."""
    assert table.history is not None
    assert (table.step >= 1).all(), "steps of the horizon count from 1"
    forecasts = table.forecasts()
    season = table.history.each(
        ("naive2", seasonality), forecasts, lambda past: naive2_season(past, seasonality)
    )  # (G, m, K)
    return season[forecasts.code, (table.step - 1) % seasonality]
