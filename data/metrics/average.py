"""Averages that count a forecast once, however many rows it has: the M competitions' way."""

from __future__ import annotations

import numpy as np

from data.metrics.base import UndefinedScore
from data.metrics.table import Floats, Forecasts, MetricTable


def within_forecasts(table: MetricTable, values: Floats, forecasts: Forecasts) -> tuple[Floats, Floats]:
    """((G, K) mean of `values` (N, K) in each forecast under the rows' weights, (G,) weight of the forecast).

    A forecast weighs what its judged rows weigh on average: leaving rows out does not make it count
    less, a series declared twice as important counts twice.
    """
    groups = len(forecasts.series)
    total = np.bincount(forecasts.code, table.weight, groups)
    sums = [np.bincount(forecasts.code, table.weight * column, groups) for column in values.T]
    return np.stack(sums, axis=1) / total[:, None], total / np.bincount(forecasts.code, minlength=groups)


def across_forecasts(values: Floats, weight: Floats, undefined: str = "no forecast can be scored") -> float:
    """Weighted mean of (G, K) values over forecasts, then over targets, without those that are not finite.

    Raises UndefinedScore with the reason `undefined` if none is left.
    """
    scores = []
    for column in values.T:
        counts = np.isfinite(column)
        if counts.any():
            scores.append(np.average(column[counts], weights=weight[counts]))
    if not scores:
        raise UndefinedScore(undefined)
    return float(np.mean(scores))


def over_forecasts(table: MetricTable, values: Floats) -> float:
    """The mean over forecasts of the mean of (N, K) values within each."""
    return across_forecasts(*within_forecasts(table, values, table.forecasts()))
