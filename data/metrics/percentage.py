"""Metrics of the relative error: MAPE and RMSPE (fractions), sMAPE (percent, as M4 prints it)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.metrics import mean_absolute_percentage_error

from data.metrics.average import over_forecasts
from data.metrics.base import METRICS, Metric, UndefinedScore, require_choice
from data.metrics.table import Floats, MetricTable


class RelativeError(Metric):
    """Relative to the truth, so rows whose truth is 0 are left out, target by target."""

    scale_free: ClassVar[bool] = True

    @abstractmethod
    def of_target(self, truth: Floats, prediction: Floats, weight: Floats) -> float:
        """The score of one target; all (n,), no truth is 0."""

    def compute(self, table: MetricTable) -> float:
        scores = []
        for truth, prediction in zip(table.truth.T, table.prediction.T, strict=True):
            counts = truth != 0
            if counts.any():
                scores.append(self.of_target(truth[counts], prediction[counts], table.weight[counts]))
        if not scores:
            raise UndefinedScore(f"metric {self.name!r}: the truth is 0 in every judged row")
        return float(np.mean(scores))


@METRICS.register("mape")
@dataclass(frozen=True)
class MAPE(RelativeError):
    """Mean of |y - f| / |y| over rows with y other than 0, as a fraction (0.1 is ten percent)."""

    name: ClassVar[str] = "mape"
    loss_hint: ClassVar[str] = "mape"

    def of_target(self, truth: Floats, prediction: Floats, weight: Floats) -> float:
        return float(mean_absolute_percentage_error(truth, prediction, sample_weight=weight))


@METRICS.register("rmspe")
@dataclass(frozen=True)
class RMSPE(RelativeError):
    """Root mean squared (y - f) / y over rows with y other than 0, as a fraction: Rossmann's metric."""

    name: ClassVar[str] = "rmspe"
    loss_hint: ClassVar[str] = "rmspe"

    def of_target(self, truth: Floats, prediction: Floats, weight: Floats) -> float:
        return float(np.sqrt(np.average(((truth - prediction) / truth) ** 2, weights=weight)))


def symmetric_percentage_error(truth: Floats, prediction: Floats) -> Floats:
    """200 |y - f| / (|y| + |f|), elementwise; 0 where both are 0."""
    size = np.abs(truth) + np.abs(prediction)
    error: Floats = np.divide(
        200.0 * np.abs(truth - prediction), size, out=np.zeros_like(size), where=size > 0
    )
    return error


@METRICS.register("smape")
@dataclass(frozen=True)
class SMAPE(Metric):
    """M4's sMAPE, 0..200: mean of 200 |y - f| / (|y| + |f|) in each forecast, then over the forecasts.

    `average: rows` takes one mean over all rows instead (Kaggle's form). The two differ only where
    forecasts have different numbers of judged rows, or rows different weights.
    """

    average: str = "series"
    name: ClassVar[str] = "smape"
    loss_hint: ClassVar[str] = "smape"
    scale_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_choice(self, "average", self.average, ("series", "rows"))

    def compute(self, table: MetricTable) -> float:
        error = symmetric_percentage_error(table.truth, table.prediction)
        if self.average == "rows":
            return float(np.average(error, axis=0, weights=table.weight).mean())
        return over_forecasts(table, error)
