"""What a metric reads: aligned rows of truth and prediction, and the past of each series for scaled metrics.

N rows, K targets, Q quantiles, S series, R rows of history. Everything is in the target's original units.
A *forecast* is one (series, origin) pair: the rows that were predicted together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SeriesHistory:
    """The true values of every series, in time order: scales of MASE and WRMSSE and Naive2 come from it.

    The panel's offsets and raw targets are one as they stand. A forecast reads the rows of its series
    before its origin and no later one, so whole series may be given and several cut-offs share a history.
    """

    offsets: Integers  # (S+1,): series s has rows offsets[s]..offsets[s+1]
    values: Floats  # (R, K); NaN where missing
    seasonality: int = 1  # rows in a season, for lagged scales and Naive2
    derived: dict[Hashable, Any] = field(default_factory=dict, repr=False)  # what `once` remembers

    def __post_init__(self) -> None:
        assert self.offsets.ndim == 1, self.offsets.shape
        assert self.values.ndim == 2, self.values.shape
        assert (self.offsets[0], self.offsets[-1]) == (0, len(self.values)), "offsets do not span the values"
        assert self.seasonality >= 1, self.seasonality

    @classmethod
    def of(cls, series: list[ArrayLike], seasonality: int = 1) -> SeriesHistory:
        """From one array (rows,) or (rows, K) a series."""
        parts = [_column(values) for values in series]
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return cls(offsets, np.concatenate(parts), seasonality)

    @property
    def length(self) -> Integers:
        """(S,) rows of each series."""
        return np.diff(self.offsets)

    def before(self, series: int, origin: int) -> Floats:
        """(n, K): the rows of a series before an origin (what the M competitions call the insample)."""
        start, end = int(self.offsets[series]), int(self.offsets[series + 1])
        assert start <= origin <= end, f"series {series} has rows {start} to {end}, the origin is {origin}"
        return self.values[start:origin]

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """`compute()`, remembered under `key`: many members are scored against one history."""
        if key not in self.derived:
            self.derived[key] = compute()
        return self.derived[key]

    def each(self, key: Hashable, forecasts: Forecasts, compute: Callable[[Floats], Floats]) -> Floats:
        """(G, ...): `compute(rows before the origin)` of each forecast, remembered under `key`."""
        results = []
        for series, origin in zip(forecasts.series.tolist(), forecasts.origin.tolist(), strict=True):
            past = self.before(series, origin)
            results.append(self.once((key, series, origin), functools.partial(compute, past)))
        return np.stack(results)


class Forecasts(NamedTuple):
    """The distinct (series, origin) pairs of a table, sorted, and which of them each row belongs to."""

    code: Integers  # (N,) index into the two below
    series: Integers  # (G,)
    origin: Integers  # (G,)


@dataclass(frozen=True, eq=False)
class MetricTable:
    """N aligned rows; `MetricTable.of` fills in what a metric does not need."""

    truth: Floats  # (N, K); NaN only where the weight is 0
    prediction: Floats  # (N, K)
    weight: Floats  # (N,) >= 0; rows of weight 0 never count
    series: Integers  # (N,) index of the series, as in `history`
    step: Integers  # (N,) 1-based step of the horizon
    origin: Integers  # (N,) the row of the history (of the panel) at which the forecast starts
    quantiles: Floats = field(default_factory=lambda: np.empty(0))  # (Q,) in (0, 1)
    quantile_prediction: Floats | None = None  # (N, K, Q)
    history: SeriesHistory | None = None

    def __post_init__(self) -> None:
        rows = len(self.truth)
        assert self.truth.ndim == 2, self.truth.shape
        assert self.truth.shape == self.prediction.shape, (self.truth.shape, self.prediction.shape)
        for name in ("weight", "series", "step", "origin"):
            assert getattr(self, name).shape == (rows,), (
                f"{name} has shape {getattr(self, name).shape}, not ({rows},)"
            )
        if self.quantile_prediction is not None:
            assert self.quantile_prediction.shape == (*self.truth.shape, len(self.quantiles))

    @classmethod
    def of(
        cls,
        truth: ArrayLike,
        prediction: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        series: ArrayLike | None = None,
        step: ArrayLike | None = None,
        origin: ArrayLike | None = None,
        quantiles: ArrayLike = (),
        quantile_prediction: ArrayLike | None = None,
        history: SeriesHistory | None = None,
    ) -> MetricTable:
        """A table from arrays of one or two dimensions. Left out: weight 1, one series, step 1, origin 0."""
        true = _column(truth)
        rows = len(true)
        return cls(
            true,
            _column(prediction),
            np.ones(rows) if weight is None else np.asarray(weight, np.float64),
            np.zeros(rows, np.int64) if series is None else np.asarray(series, np.int64),
            np.ones(rows, np.int64) if step is None else np.asarray(step, np.int64),
            np.zeros(rows, np.int64) if origin is None else np.asarray(origin, np.int64),
            np.asarray(quantiles, np.float64),
            None if quantile_prediction is None else np.asarray(quantile_prediction, np.float64),
            history,
        )

    def take(self, index: NDArray[Any]) -> MetricTable:
        """The rows `index` (positions or a bool mask); the history stays whole."""
        quantile = self.quantile_prediction
        return replace(
            self,
            truth=self.truth[index],
            prediction=self.prediction[index],
            weight=self.weight[index],
            series=self.series[index],
            step=self.step[index],
            origin=self.origin[index],
            quantile_prediction=None if quantile is None else quantile[index],
        )

    def judged(self) -> MetricTable:
        """The rows of weight above 0.

        Raises ValueError where one of them has a truth or prediction that is not finite, or a weight
        is negative or not finite: that is a fault of the caller, not of a user's file.
        """
        if not np.isfinite(self.weight).all() or (self.weight < 0).any():
            raise ValueError("a weight is negative or not finite")
        counts = self.weight > 0
        rows = self if counts.all() else self.take(counts)
        for name in ("truth", "prediction", "quantile_prediction"):
            values = getattr(rows, name)
            if values is not None and not np.isfinite(values).all():
                bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
                position = int(np.flatnonzero(counts)[bad[0]])
                raise ValueError(
                    f"{name} is not finite in {len(bad)} judged rows, the first at position {position}"
                )
        return rows

    def forecasts(self) -> Forecasts:
        """The (series, origin) pairs of the rows. O(N) where the pairs are dense, else one sort."""
        if len(self.series) == 0:
            empty = np.empty(0, np.int64)
            return Forecasts(empty, empty, empty)
        # Origins count through the whole panel; from each series' first one on they are small and dense.
        series = self.series - self.series.min()
        first = np.full(int(series.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, series, self.origin)
        later = self.origin - first[series]
        width = int(later.max()) + 1
        key = series * width + later
        if int(key.max()) < 4 * len(key) + 1024:
            present = np.bincount(key) > 0
            unique = np.flatnonzero(present)
            code = (np.cumsum(present) - 1)[key]
        else:
            unique, code = np.unique(key, return_inverse=True)
        series, later = unique // width, unique % width
        return Forecasts(code, series + self.series.min(), later + first[series])


def _column(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    return array[:, None] if array.ndim == 1 else array
