"""Operations on flat rows that never cross the border between two series.

All functions take `values` (R,) and `offsets` (S + 1,) as in `Panel` and give (R,). Running operations go
over runs of neighbouring series of equal length, each reshaped to (series, length): one run when all
series are equally long, one series at a time in the worst case. A series' result never depends on its
neighbours, not even in the last bit, which a running sum over all rows with its starts subtracted would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np


def runs(offsets: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(first row, end row, length) of neighbouring series of equal length; empty series are left out."""
    lengths = np.diff(offsets)
    if not len(lengths):
        return
    changes = np.flatnonzero(np.diff(lengths)) + 1
    bounds = np.concatenate([[0], changes, [len(lengths)]])
    firsts, ends = offsets[bounds[:-1]].tolist(), offsets[bounds[1:]].tolist()
    for first, end, length in zip(firsts, ends, lengths[bounds[:-1]].tolist(), strict=True):
        if length:
            yield first, end, length


def blockwise(
    values: np.ndarray,
    offsets: np.ndarray,
    operation: Callable[[np.ndarray, np.ndarray], object],
    dtype: np.dtype | type | None = None,
) -> np.ndarray:
    """(R,) array that `operation(block, out)` fills run by run; both are (series, length) views."""
    values = np.ascontiguousarray(values)
    out = np.empty(len(values), dtype=dtype or values.dtype)
    for first, end, length in runs(offsets):
        operation(values[first:end].reshape(-1, length), out[first:end].reshape(-1, length))
    return out


def spread(per_series: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(S,) -> (R,): a value of each series on all of its rows."""
    return np.repeat(per_series, np.diff(offsets))


def position(offsets: np.ndarray) -> np.ndarray:
    """(R,) int64: rows since the start of the series."""
    return np.arange(offsets[-1]) - spread(offsets[:-1], offsets)


def shift(values: np.ndarray, offsets: np.ndarray, steps: int, fill: float) -> np.ndarray:
    """The value `steps` rows earlier (later where negative) in the same series, `fill` beyond its border."""
    out = np.empty_like(values)
    if steps == 0:
        out[:] = values
        return out
    count = min(abs(steps), len(values))
    if steps > 0:
        out[count:] = values[: len(values) - count]
    else:
        out[: len(values) - count] = values[count:]
    out[border_rows(offsets, steps)] = fill
    return out


def border_rows(offsets: np.ndarray, steps: int) -> np.ndarray:
    """Rows whose neighbour `steps` earlier (later) is in another series: the first (last) of each one."""
    count = np.minimum(abs(steps), np.diff(offsets))
    first = offsets[:-1] if steps > 0 else offsets[1:] - count
    before = np.cumsum(count) - count
    return np.arange(count.sum()) + np.repeat(first - before, count)


def cumulative_sum(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum of the series' rows up to and with this one, in float64; a missing value adds nothing."""
    return blockwise(
        _without_missing(values),
        offsets,
        lambda block, out: np.cumsum(block, axis=1, dtype=np.float64, out=out),
        np.float64,
    )


def cumulative_maximum(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Largest of the series' rows up to and with this one; missing values are passed over."""
    return blockwise(values, offsets, lambda block, out: np.fmax.accumulate(block, axis=1, out=out))


def cumulative_minimum(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Smallest of the series' rows up to and with this one; missing values are passed over."""
    return blockwise(values, offsets, lambda block, out: np.fmin.accumulate(block, axis=1, out=out))


def whole_series(values: np.ndarray, offsets: np.ndarray, statistic: str) -> np.ndarray:
    """(S,) mean, max, min or std of all rows of each series; NaN where it has no value."""
    out = np.full(len(offsets) - 1, np.nan, dtype=values.dtype)
    missing = bool(np.isnan(values).any())
    filled = np.flatnonzero(np.diff(offsets))
    done = 0
    for first, end, length in runs(offsets):
        block = values[first:end].reshape(-1, length)
        out[filled[done : done + len(block)]] = _reduce(block, statistic, missing)
        done += len(block)
    return out


def _reduce(block: np.ndarray, statistic: str, missing: bool) -> np.ndarray:
    if statistic == "max":
        return np.fmax.reduce(block, axis=1) if missing else block.max(axis=1)
    if statistic == "min":
        return np.fmin.reduce(block, axis=1) if missing else block.min(axis=1)
    count = (~np.isnan(block)).sum(axis=1) if missing else block.shape[1]
    known = np.nan_to_num(block, nan=0.0) if missing else block
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = known.sum(axis=1, dtype=np.float64) / count
        if statistic == "mean":
            return mean
        assert statistic == "std"
        squares = np.nan_to_num((block - mean[:, None]) ** 2, nan=0.0).sum(axis=1)
        return np.sqrt(squares / count)


def first_value(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(S,) the first value of each series that is not missing; 0 where there is none."""
    rows = np.flatnonzero(~np.isnan(values))
    found = np.searchsorted(rows, offsets[:-1])
    out = np.zeros(len(offsets) - 1, dtype=np.float64)
    has = found < len(rows)
    has[has] = rows[found[has]] < offsets[1:][has]
    out[has] = values[rows[found[has]]]
    return out


def rows_since(event: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(R,) int64: rows since the last row of the series where `event` ((R,) bool), 0 on it; -1: none yet."""
    row = np.arange(len(event))
    # Row numbers only grow, so that one accumulation over all series cannot mix them up.
    last = np.maximum.accumulate(np.where(event, row, -1)) if len(event) else row
    return np.where(last >= spread(offsets[:-1], offsets), row - last, -1)


def rows_until(event: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(R,) int64: rows to the next row of the series where `event`, 0 on it; -1: none to come."""
    mirrored = offsets[-1] - offsets[::-1]
    return rows_since(event[::-1], mirrored)[::-1]


def _without_missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    missing = np.isnan(values)
    return np.where(missing, values.dtype.type(0), values) if missing.any() else values
