"""The history of one series before one origin, whole and without gaps, as a statistical model wants it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from data.panel import Panel


def history_before(
    panel: Panel, series: int, origin: int, target: int, period: int, newest: int | None = None
) -> np.ndarray:
    """(n,) float64 original units: rows from the series' first known value to the origin; (0,) if none.

    Known is what is there, finite and judged (weight > 0): where a shop is closed says nothing about its
    sales. A series none of whose rows is judged is taken as it is. Gaps are filled by `fill_gaps`.

    newest: rows that the caller looks at; where the last ones are known, only those are read and returned.
    """
    if newest is not None and origin - newest >= panel.offsets[series]:
        last = slice(int(origin) - newest, int(origin))
        values = panel.target[last, target].astype(np.float64)
        if (np.isfinite(values) & panel.present[last] & (panel.weight[last] > 0)).all():
            return values
    rows = slice(int(panel.offsets[series]), int(origin))
    values = panel.target[rows, target].astype(np.float64)
    finite = np.isfinite(values) & panel.present[rows]
    judged = finite & (panel.weight[rows] > 0)
    values[~(judged if judged.any() else finite)] = np.nan
    known = np.flatnonzero(np.isfinite(values))
    return fill_gaps(values[known[0] :], period) if len(known) else values[:0]


def fill_gaps(values: np.ndarray, period: int) -> np.ndarray:
    """(n,) with each missing value replaced by the newest known one before it in its phase of the season.

    Without one before it: the next one in its phase. A phase that is never known (a weekday on which a shop
    is always closed) is interpolated between its neighbours. At least one value must be known.
    """
    count = len(values)
    seasons = -(-count // period)
    flat = np.full(seasons * period, np.nan)
    flat[:count] = values
    grid = flat.reshape(seasons, period)
    for order in (slice(None), slice(None, None, -1)):  # forwards, then what is left backwards
        some = grid[order]
        newest = np.maximum.accumulate(np.where(np.isfinite(some), np.arange(seasons)[:, None], -1), axis=0)
        some[:] = np.where(newest >= 0, np.take_along_axis(some, np.maximum(newest, 0), 0), np.nan)
    filled = flat[:count]
    known = np.flatnonzero(np.isfinite(filled))
    return np.asarray(np.interp(np.arange(count), known, filled[known]))


def repeat_season(history: np.ndarray, horizon: int, period: int) -> np.ndarray:
    """(horizon,) the seasonal naive forecast of a history without gaps; zeros where there is none."""
    if not len(history):
        return np.zeros(horizon)
    season = history[-min(period, len(history)) :]
    if len(season) < period:  # phases that were never seen repeat the newest value
        season = np.concatenate([np.full(period - len(season), history[-1]), season])
    return np.asarray(np.resize(season, horizon))


def naive_spread(history: np.ndarray, horizon: int, period: int) -> np.ndarray:
    """(horizon,) standard deviation of the seasonal naive forecast's errors: sigma * sqrt(k + 1).

    sigma is that of the changes from season to season, k the whole seasons before the step (Hyndman &
    Athanasopoulos, FPP3, table 5.2). 0 where the history is no longer than a season.
    """
    change = history[period:] - history[:-period]
    sigma = float(np.sqrt(np.mean(np.square(change)))) if len(change) else 0.0
    return np.asarray(sigma * np.sqrt(np.arange(horizon) // period + 1.0))


def seasonal_naive(history: np.ndarray, horizon: int, period: int, quantile: Sequence[float]) -> np.ndarray:
    """(horizon, 1 + Q) the seasonal naive forecast, and its quantiles by normal errors of `naive_spread`."""
    point = repeat_season(history, horizon, period)
    spread = naive_spread(history, horizon, period)
    return np.stack([point, *(point + NormalDist().inv_cdf(q) * spread for q in quantile)], axis=1)
