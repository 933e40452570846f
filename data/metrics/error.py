"""Metrics of the error itself, by scikit-learn: MAE, MSE, RMSE, RMSLE, R2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.metrics import (
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
    root_mean_squared_log_error,
)

from data.errors import InputError
from data.metrics.base import METRICS, Metric, UndefinedScore
from data.metrics.table import MetricTable


@METRICS.register("mae")
@dataclass(frozen=True)
class MAE(Metric):
    """Mean absolute error, sum w |y - f| / sum w."""

    name: ClassVar[str] = "mae"
    loss_hint: ClassVar[str] = "l1"

    def compute(self, table: MetricTable) -> float:
        return float(mean_absolute_error(table.truth, table.prediction, sample_weight=table.weight))


@METRICS.register("wmae")
@dataclass(frozen=True)
class WMAE(MAE):
    """Weighted mean absolute error, Walmart's name for MAE under the weights that a competition declares."""

    name: ClassVar[str] = "wmae"


@METRICS.register("mse")
@dataclass(frozen=True)
class MSE(Metric):
    """Mean squared error."""

    name: ClassVar[str] = "mse"
    loss_hint: ClassVar[str] = "l2"

    def compute(self, table: MetricTable) -> float:
        return float(mean_squared_error(table.truth, table.prediction, sample_weight=table.weight))


@METRICS.register("rmse")
@dataclass(frozen=True)
class RMSE(Metric):
    """Root mean squared error; over several targets the mean of their RMSEs (Kaggle's MCRMSE)."""

    name: ClassVar[str] = "rmse"
    loss_hint: ClassVar[str] = "l2"

    def compute(self, table: MetricTable) -> float:
        return float(root_mean_squared_error(table.truth, table.prediction, sample_weight=table.weight))


@METRICS.register("rmsle")
@dataclass(frozen=True)
class RMSLE(Metric):
    """Root mean squared error of log(1 + y); predictions below 0 count as 0, a truth below 0 is refused."""

    name: ClassVar[str] = "rmsle"
    loss_hint: ClassVar[str] = "rmsle"

    def compute(self, table: MetricTable) -> float:
        if (table.truth < 0).any():
            raise InputError(f"metric 'rmsle': the target has values below 0 (least: {table.truth.min():g})")
        prediction = np.maximum(table.prediction, 0.0)
        return float(root_mean_squared_log_error(table.truth, prediction, sample_weight=table.weight))


@METRICS.register("r2")
@dataclass(frozen=True)
class R2(Metric):
    """Coefficient of determination: 1 is perfect, 0 is the mean of the truth; needs two judged rows."""

    name: ClassVar[str] = "r2"
    greater_is_better: ClassVar[bool] = True
    loss_hint: ClassVar[str] = "l2"
    scale_free: ClassVar[bool] = True

    def compute(self, table: MetricTable) -> float:
        if len(table.truth) < 2:
            raise UndefinedScore("metric 'r2' needs at least two judged rows")
        return float(r2_score(table.truth, table.prediction, sample_weight=table.weight))
