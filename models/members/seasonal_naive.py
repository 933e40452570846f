"""Seasonal naive: each row repeats the newest value of its own phase (Hyndman & Athanasopoulos, FPP3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from data.errors import InputError
from data.folds import Origins
from data.origin_table import asked_rows
from data.predictions import prediction_table
from models.members.base import MEMBERS, FitTask, Member


@MEMBERS.register("seasonal_naive")
class SeasonalNaive(Member):
    """y_hat[t] = y[t - m * ceil(h / m)], the last known value in the same phase of the season."""

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        period: int | None = None  # rows of a season; null: the competition's first, 1 if it has none

    version: ClassVar[int] = 2
    cost: ClassVar[int] = 0
    tasks: ClassVar[tuple[str, ...]] = ("horizon",)
    uses_features: ClassVar[bool] = False
    reads_fit: ClassVar[tuple[str, ...] | None] = ()
    reads_windows: ClassVar[tuple[str, ...] | None] = ()
    every_seed: ClassVar[bool] = False
    config: Config

    def fit(self, task: FitTask) -> None:
        """Nothing to learn."""
        if self.config.period is not None and self.config.period < 1:
            raise InputError(f"seasonal_naive.period: found {self.config.period}, expected at least 1 row")

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        period = self.config.period or next(iter(task.competition.seasonality), 1)
        number, row = asked_rows(task.inputs, asked)
        origin = asked.row[number]
        newest = row - period * -(-(row - origin + 1) // period)
        first = task.panel.offsets[asked.series[number]]
        known = newest >= first
        target = task.panel.target
        # Without a value in its phase a row repeats the newest one before that; if there is none, the newest
        # before the origin; in a series without any history, 0.
        filled = _last_known(target, task.panel.offsets)
        before = np.where((origin > first)[:, None], filled[origin - 1], np.nan)
        value = np.where(known[:, None], filled[np.where(known, newest, first)], np.nan)
        value = np.where(np.isfinite(value), value, before)
        return prediction_table(row, origin, np.nan_to_num(value, nan=0.0))


def _last_known(target: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(R, K) each row's newest finite target up to itself within its series; NaN where there is none."""
    filled = np.empty_like(target)
    begin = np.repeat(offsets[:-1], np.diff(offsets))
    for index in range(target.shape[1]):
        finite = np.isfinite(target[:, index])
        last = np.maximum.accumulate(np.where(finite, np.arange(len(target)), -1))
        filled[:, index] = np.where(last >= begin, target[np.maximum(last, 0), index], np.nan)
    return filled
