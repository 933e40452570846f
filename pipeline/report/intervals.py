"""The interval around the forecasts that are drawn, and how much of the truth it holds.

The outermost quantiles of the blend, where members predict quantiles. Elsewhere out-of-fold errors make it,
as in split conformal prediction (Lei et al. 2018): with E the errors truth - forecast of rows that no model
had seen, in units of the mean |forecast| of their window, the interval of a forecast of size s is forecast +
s times the 10 % and 90 % quantiles of E among rows of about the same step. Rows out of fold get theirs from
the other folds alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.scoring import Asked
from pipeline.report.material import Forecasts, Material, Who
from submissions.posts.base import Forecast

LEVEL = 0.8
STEPS = 8  # groups of steps, of about as many rows each
LEAST_ROWS = 50  # of a group
MOST_SERIES = 300  # whose errors are looked at


@dataclass(frozen=True)
class Interval:
    """Of N rows."""

    low: np.ndarray  # (N, K)
    high: np.ndarray
    level: float  # share of the truth that it should hold
    coverage: float  # share of the truth of judged rows that it holds
    source: str  # quantiles, errors


def interval_of(material: Material, forecasts: Forecasts, who: Who) -> Interval | None:
    """Around the forecasts of `who`; None where nothing is known about their errors."""
    if who != material.blend:
        return None
    if forecasts.quantiles is not None and len(forecasts.levels) > 1:
        low, high = forecasts.quantiles[:, :, 0], forecasts.quantiles[:, :, -1]
        return _judged(forecasts, low, high, forecasts.levels[-1] - forecasts.levels[0], "quantiles")
    oof = material.oof
    if oof is None:
        return None
    value = forecasts.value[who]
    if forecasts.part == "oof":
        folds = np.unique(oof.asked.fold)
        parts = [(oof.asked.fold == fold, oof.asked.fold != fold) for fold in folds]
    else:
        parts = [(np.ones(len(value), dtype=bool), _sampled(oof.asked.series))]
    low, high = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    for rows, seen in parts:
        errors = _errors(material, oof, who, seen, forecasts.part != "oof")
        if errors is None:
            return None
        low[rows], high[rows] = _around(forecasts.asked.take(rows), value[rows], *errors)
    if (oof.asked.truth[oof.judged] >= 0).all():
        low = np.maximum(low, np.minimum(value, 0.0))
    return _judged(forecasts, low, high, LEVEL, "errors")


def _sampled(series: np.ndarray) -> np.ndarray:
    """(N,) rows of a sample of the series: post-processing may take its time."""
    names = np.unique(series)
    if len(names) > MOST_SERIES:
        names = np.random.default_rng(0).permutation(names)[:MOST_SERIES]
    return np.isin(series, names)


def _errors(
    material: Material, oof: Forecasts, who: Who, seen: np.ndarray, post: bool
) -> tuple[Asked, np.ndarray] | None:
    """Judged rows of those that are `seen` and what was forecast for them; None where they are too few."""
    asked, value = oof.asked.take(seen), oof.value[who][seen]
    if post:
        value = material.after_post(asked, Forecast(value)).point
    judged = asked.weight > 0
    return None if judged.sum() < LEAST_ROWS else (asked.take(judged), value[judged])


def _around(
    asked: Asked, value: np.ndarray, seen: Asked, predicted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of `value` by the errors of `predicted`."""
    size = _size(seen, predicted)
    error = np.divide(seen.truth - predicted, size, out=np.zeros_like(predicted), where=size > 0)
    edges = np.unique(np.quantile(seen.step, np.linspace(0, 1, STEPS + 1)[1:-1]))
    group, group_of_row = np.searchsorted(edges, seen.step), np.searchsorted(edges, asked.step)
    ends = np.empty((2, *value.shape))
    for number in range(len(edges) + 1):
        rows = group == number
        known = error[rows] if rows.sum() >= LEAST_ROWS else error
        quantiles = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        ends[:, group_of_row == number] = quantiles[:, None]
    size = _size(asked, value)
    return value + size * ends[0], value + size * ends[1]


def _size(asked: Asked, value: np.ndarray) -> np.ndarray:
    """(N, K) mean |forecast| of the rows of the same window."""
    _, window = np.unique(np.stack([asked.series, asked.origin]), axis=1, return_inverse=True)
    window = window.reshape(-1)
    rows = np.bincount(window)
    columns = [(np.bincount(window, np.abs(column)) / rows)[window] for column in value.T]
    return np.stack(columns, axis=1)


def _judged(forecasts: Forecasts, low: np.ndarray, high: np.ndarray, level: float, source: str) -> Interval:
    judged = forecasts.judged
    truth = forecasts.asked.truth[judged]
    inside = (low[judged] <= truth) & (truth <= high[judged])
    return Interval(low, high, level, float(inside.mean()) if len(truth) else float("nan"), source)
