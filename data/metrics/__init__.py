"""Metrics by name: one family a file, found through METRICS; `make_metric` is the way in.

A metric scores a `MetricTable`: aligned rows of truth and prediction in the target's original units.
A new one is a frozen dataclass in a file of this folder whose fields are its settings, or the user's
own function named as `python:my/metric.py:function`.
"""

from data.metrics.base import (
    LOSS_HINTS,
    METRICS,
    Metric,
    UndefinedScore,
    make_metric,
    metric_labels,
    reads_quantiles,
)
from data.metrics.table import MetricTable, SeriesHistory

__all__ = [
    "LOSS_HINTS",
    "METRICS",
    "Metric",
    "MetricTable",
    "SeriesHistory",
    "UndefinedScore",
    "make_metric",
    "metric_labels",
    "reads_quantiles",
]
