"""OWA, M4's overall weighted average: sMAPE and MASE, each in units of Naive2's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from data.metrics.base import METRICS, Metric, UndefinedScore, require_count
from data.metrics.naive2 import naive2
from data.metrics.percentage import SMAPE
from data.metrics.scaled import MASE
from data.metrics.table import MetricTable


@METRICS.register("owa")
@dataclass(frozen=True)
class OWA(Metric):
    """(sMAPE / sMAPE of Naive2 + MASE / MASE of Naive2) / 2, over the same rows; 1 is Naive2.

    `seasonality` is the history's unless set. Forecasts whose series has no value before the origin,
    which Naive2 cannot predict, are left out.
    """

    seasonality: int | None = None
    name: ClassVar[str] = "owa"
    loss_hint: ClassVar[str] = "l1"
    scale_free: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("history", "series", "origin", "step")

    def __post_init__(self) -> None:
        if self.seasonality is not None:
            require_count(self, "seasonality", self.seasonality)

    def compute(self, table: MetricTable) -> float:
        assert table.history is not None
        yardstick = naive2(table, self.seasonality or table.history.seasonality)
        predictable = np.flatnonzero(np.isfinite(yardstick).all(axis=1))
        if len(predictable) == 0:
            raise UndefinedScore("metric 'owa': no series has a past for Naive2 to start from")
        rows, yardstick = table.take(predictable), yardstick[predictable]
        naive = replace(rows, prediction=yardstick)
        ratios = []
        for metric in (SMAPE(), MASE(self.seasonality)):
            base = metric.compute(naive)
            if base == 0:
                raise UndefinedScore(
                    f"metric 'owa': Naive2 has no error, so {metric.name} has no ratio to it"
                )
            ratios.append(metric.compute(rows) / base)
        return sum(ratios) / len(ratios)
