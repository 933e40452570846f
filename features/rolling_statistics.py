"""Statistics over windows of rows inside a series: sums by running sums, extremes by doubling.

`before` and `after` count rows on each side of the row; a window is cut at the border of its series.
Missing values are passed over; a window with fewer than `least` values gives NaN.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.within_series import cumulative_sum, first_value, runs, shift, spread

STATISTICS = ("mean", "std", "min", "max", "median", "ewm")

#: Values that the median sorts at a time, so that its windows take little memory.
VALUES_AT_ONCE = 4_000_000


def rolling(
    values: np.ndarray,
    offsets: np.ndarray,
    statistic: str,
    before: int,
    after: int = 0,
    least: int = 1,
) -> np.ndarray:
    """(R,) `statistic` over rows t - before .. t + after of the series of each row t.

    std divides by the number of values. ewm is a mean whose weights halve every (before + 1) / 2 rows and
    reach back to the start of the series; it and the median look back only (after = 0).
    """
    assert statistic in STATISTICS
    if statistic in ("min", "max"):
        out = _extreme(values, offsets, statistic, before, after)
    elif statistic in ("median", "ewm"):
        assert after == 0
        out = _ewm(values, offsets, before + 1) if statistic == "ewm" else _median(values, offsets, before)
    else:
        out = _moment(values, offsets, statistic, before, after)
    if least > 1:
        known = ~np.isnan(values)
        out[window_sum(known.astype(np.float32), offsets, before, after) < least] = np.nan
    return out


def window_sum(values: np.ndarray, offsets: np.ndarray, before: int, after: int) -> np.ndarray:
    """(R,) float64: sum over rows t - before .. t + after of the series; a missing value adds nothing."""
    total = cumulative_sum(values, offsets)
    earlier = shift(total, offsets, before + 1, 0.0)
    if after > 0:
        last = np.minimum(np.arange(len(values)) + after, spread(offsets[1:] - 1, offsets))
        total = total[last]
    return total - earlier


def _moment(values: np.ndarray, offsets: np.ndarray, statistic: str, before: int, after: int) -> np.ndarray:
    known = ~np.isnan(values)
    # Centred on the first value of the series, so that squares of large levels do not eat up the digits;
    # that value lies before every row that has one, so no row hears of its future.
    centre = spread(first_value(values, offsets), offsets)
    centred = values - centre
    count = window_sum(known.astype(np.float32), offsets, before, after)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = window_sum(centred, offsets, before, after) / count
        if statistic == "mean":
            return mean + centre
        square = window_sum(centred**2, offsets, before, after) / count
    return np.sqrt(np.maximum(square - mean**2, 0.0))


def _extreme(values: np.ndarray, offsets: np.ndarray, statistic: str, before: int, after: int) -> np.ndarray:
    larger = np.fmax if statistic == "max" else np.fmin
    out = _doubling(values, offsets, larger, before + 1, 1)
    return larger(out, _doubling(values, offsets, larger, after + 1, -1)) if after else out


def _doubling(
    values: np.ndarray, offsets: np.ndarray, larger: np.ufunc, window: int, direction: int
) -> np.ndarray:
    """Extreme of `window` rows from this one backwards (direction 1) or forwards (-1), in log2 steps."""
    covered, out = 1, values
    while covered < window:
        step = min(covered, window - covered)
        out = larger(out, shift(out, offsets, direction * step, np.nan))
        covered += step
    return out.copy() if out is values else out


def _median(values: np.ndarray, offsets: np.ndarray, before: int) -> np.ndarray:
    window = before + 1
    out = np.empty(len(values), dtype=np.float64)
    for first, end, length in runs(offsets):
        block = values[first:end].reshape(-1, length)
        filled = out[first:end].reshape(-1, length)
        series_at_once = max(1, VALUES_AT_ONCE // (length * window))
        rows_at_once = max(1, VALUES_AT_ONCE // window)
        for top in range(0, len(block), series_at_once):
            part = block[top : top + series_at_once]
            padded = np.pad(part, ((0, 0), (before, 0)), constant_values=np.nan)
            windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)
            for left in range(0, length, rows_at_once):
                filled[top : top + series_at_once, left : left + rows_at_once] = median_of_last_axis(
                    windows[:, left : left + rows_at_once]
                )
    return out


def median_of_last_axis(values: np.ndarray) -> np.ndarray:
    """Median over the last axis without the missing values; NaN where all are missing."""
    ordered = np.sort(values, axis=-1)  # NaN stands last
    count = (~np.isnan(ordered)).sum(axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1), axis=-1)
    middle: np.ndarray = np.where(count > 0, (low + high) / 2, np.nan)[..., 0]
    return middle


def _ewm(values: np.ndarray, offsets: np.ndarray, window: int) -> np.ndarray:
    out = np.empty(len(values), dtype=np.float64)
    for first, end, length in runs(offsets):
        table = pd.DataFrame(values[first:end].reshape(-1, length).T.astype(np.float64))
        out[first:end] = table.ewm(halflife=window / 2).mean().to_numpy().T.reshape(-1)
    return out
