"""Errors in units of a naive forecast's error on the series' own past: MASE, RMSSE.

Hyndman and Koehler (2006), "Another look at measures of forecast accuracy"; M4 and M5 competitors' guides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data.metrics.average import across_forecasts, within_forecasts
from data.metrics.base import METRICS, Metric, require_count
from data.metrics.table import Floats, Forecasts, MetricTable, SeriesHistory


def absolute_scale(past: Floats, lag: int) -> Floats:
    """(K,) mean |y_t - y_{t-lag}| over (n, K) known past rows; NaN if there is none or it is 0."""
    return _mean_or_nan(np.abs(past[lag:] - past[:-lag]))


def squared_scale(past: Floats, lag: int, trim_leading_zeros: bool) -> Floats:
    """(K,) mean (y_t - y_{t-lag})^2; M5 starts each series at its first value other than 0. NaN as above."""
    scales = []
    for column in past.T:
        if trim_leading_zeros:
            sold = np.flatnonzero(np.nan_to_num(column))
            column = column[sold[0] :] if len(sold) else column[:0]
        scales.append(_mean_or_nan((column[lag:] - column[:-lag])[:, None] ** 2)[0])
    return np.array(scales)


def _mean_or_nan(values: Floats) -> Floats:
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    mean: Floats = np.divide(
        total, count, out=np.full(values.shape[1], np.nan), where=(count > 0) & (total > 0)
    )
    return mean


def absolute_scales(history: SeriesHistory, forecasts: Forecasts, lag: int) -> Floats:
    """(G, K) `absolute_scale` as of each forecast's origin."""
    return history.each(("absolute_scale", lag), forecasts, lambda past: absolute_scale(past, lag))


@METRICS.register("mase")
@dataclass(frozen=True)
class MASE(Metric):
    """M4's MASE: a forecast's mean |y - f| over the mean |y_t - y_{t-m}| before it, then over forecasts.

    `seasonality` m is the history's unless set. A series that is too short for a seasonal difference or
    never changed has no scale and is left out.
    """

    seasonality: int | None = None
    name: ClassVar[str] = "mase"
    loss_hint: ClassVar[str] = "l1"
    scale_free: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("history", "series", "origin")

    def __post_init__(self) -> None:
        if self.seasonality is not None:
            require_count(self, "seasonality", self.seasonality)

    def compute(self, table: MetricTable) -> float:
        assert table.history is not None
        lag, forecasts = self.seasonality or table.history.seasonality, table.forecasts()
        error, weight = within_forecasts(table, np.abs(table.truth - table.prediction), forecasts)
        return across_forecasts(
            error / absolute_scales(table.history, forecasts, lag),
            weight,
            f"metric {self.name!r}: no series has a past that is longer than {lag} rows and changes",
        )


@METRICS.register("rmsse")
@dataclass(frozen=True)
class RMSSE(Metric):
    """M5's RMSSE: the root of (a forecast's mean (y - f)^2 over the mean (y_t - y_{t-m})^2 before it).

    Then the mean over forecasts. m is 1 unless `seasonality` is set; the past starts at the first value
    other than 0 unless `trim_leading_zeros` is false. Series without a scale are left out.
    """

    seasonality: int = 1
    trim_leading_zeros: bool = True
    name: ClassVar[str] = "rmsse"
    loss_hint: ClassVar[str] = "l2"
    scale_free: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("history", "series", "origin")

    def __post_init__(self) -> None:
        require_count(self, "seasonality", self.seasonality)

    def compute(self, table: MetricTable) -> float:
        assert table.history is not None
        forecasts, lag, trim = table.forecasts(), self.seasonality, self.trim_leading_zeros
        error, weight = within_forecasts(table, (table.truth - table.prediction) ** 2, forecasts)
        scale = table.history.each(
            ("squared_scale", lag, trim), forecasts, lambda past: squared_scale(past, lag, trim)
        )
        reason = f"metric {self.name!r}: no series has a past that is longer than {lag} rows and changes"
        return across_forecasts(np.sqrt(error / scale), weight, reason)
