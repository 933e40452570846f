"""Seasonal naive: each row repeats the newest value of its own phase (Hyndman & Athanasopoulos, FPP3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from data.folds import Origins
from data.origin_table import asked_rows
from data.predictions import prediction_table
from data.scaling import forward_transform, inverse_transform
from models.members.base import MEMBERS, FitTask, Member
from models.members.local_history import history_before, repeat_season, seasonal_naive


@MEMBERS.register("seasonal_naive")
class SeasonalNaive(Member):
    """y_hat[t] = y[t - m * ceil(h / m)], the last known value in the same phase of the season (section 5.2).

    h is 1 for the first row after the origin. Rows that are missing or not judged (closed days) are filled
    from their phase before (models.members.local_history); a series without any history gets 0. Quantiles
    are those of normal errors in transformed units, of the spread sigma * sqrt(k + 1) (table 5.2).
    """

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        period: int | None = None  # rows of a season; null: the competition's first, 1 if it has none

    version: ClassVar[int] = 3
    cost: ClassVar[int] = 0
    tasks: ClassVar[tuple[str, ...]] = ("horizon",)
    uses_features: ClassVar[bool] = False
    predicts_quantiles: ClassVar[bool] = True
    reads_fit: ClassVar[tuple[str, ...] | None] = ()
    reads_windows: ClassVar[tuple[str, ...] | None] = ()
    every_seed: ClassVar[bool] = False
    config: Config

    def fit(self, task: FitTask) -> None:
        """Nothing to learn."""

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        panel, schema = task.panel, task.inputs.schema
        period = self.config.period or next(iter(task.competition.seasonality), 1)
        scale, targets = task.competition.target_transform, panel.target.shape[1]
        value = np.zeros((len(asked.row), targets, schema.horizon, 1 + len(schema.quantile)))
        for place, (series, origin) in enumerate(zip(asked.series, asked.row, strict=True)):
            for target in range(targets):
                # Quantiles need the whole history, a season is enough for the point.
                newest = None if schema.quantile else period
                history = history_before(panel, int(series), int(origin), target, period, newest)
                found = seasonal_naive(
                    forward_transform(scale, history), schema.horizon, period, schema.quantile
                )
                value[place, target] = inverse_transform(scale, found)
                value[place, target, :, 0] = repeat_season(history, schema.horizon, period)  # to the bit
        number, row = asked_rows(task.inputs, asked)
        origin = asked.row[number]
        return prediction_table(row, origin, value[number, :, row - origin], schema.quantile)
