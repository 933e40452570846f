"""Base of arima, ets, theta and mstl: statsforecast's model, fitted anew to each series at each origin.

Such a model has nothing to learn from other series or from the training part as a whole. `fit` therefore
checks and no more; the work is done in `predict`, origin by origin, on the rows before that origin alone.
What is done is on disk at once (models/members/forecast_log.py), so that a killed job goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import OutOfTime, unknown
from data.folds import Origins
from data.origin_table import asked_rows
from data.predictions import prediction_table
from data.scaling import TRANSFORMS, forward_transform, inverse_transform
from models.members.base import FitTask, Member, check_installed
from models.members.forecast_log import ForecastLog, LocalForecast
from models.members.local_history import history_before, seasonal_naive

LOG = "forecasts.bin"
FALLBACKS = "fallbacks.csv"

#: Why a series is forecast by its last season instead ("" where it is not); REFUSED with what was said.
NO_HISTORY, SHORT, CONSTANT = "no history", "too short", "constant"
REFUSED, NOT_FINITE = "refused by statsforecast", "forecast not finite"
FAR_OUT = "forecast far out of the series' range"

#: A forecast that leaves the range of its history by more than so many times that range is not believed, and
#: quantiles are cut there. A horizon longer than the history may go as many times farther.
RANGES_BEYOND = 3.0

#: Errors that say something of the installation or of our call, never of a series: they are not caught.
OUR_ERRORS = (ImportError, MemoryError, TypeError, AttributeError, NameError)


@dataclass(frozen=True)
class LocalConfig:
    """Settings that all local statistical models share."""

    period: int | None = None  # rows of a season; null: the competition's first, 1 if it has none
    rows: int | None = None  # newest rows of a history that are looked at; null: all
    target_transform: str | None = None  # none, log1p, log, sqrt; null: the competition's


class StatisticalMember(Member):
    """Subclasses name the statsforecast model.

    A history without gaps is made by `models.members.local_history`. Series without history, shorter than
    the model needs, constant, or refused by statsforecast get the seasonal naive forecast, and so do those
    whose forecast explodes; they are counted in the progress and listed in `fallbacks.csv`. Quantiles are
    statsforecast's interval bounds, the median is the point. Nothing is random, and no forecast depends on
    `fit.threads`.
    """

    version: ClassVar[int] = 2
    kind: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("horizon",)
    uses_features: ClassVar[bool] = False
    predicts_quantiles: ClassVar[bool] = True
    every_seed: ClassVar[bool] = False
    reads_fit: ClassVar[tuple[str, ...] | None] = ("threads",)
    reads_windows: ClassVar[tuple[str, ...] | None] = ()
    needs: ClassVar[tuple[str, str] | None] = ("statsforecast", "statistical")
    config: Any

    @abstractmethod
    def model(self, period: int) -> Any:
        """A fresh statsforecast model for a season of `period` rows."""

    def least_rows(self, period: int) -> int:
        """Rows that a history must have for the model."""
        return 2 * period + 3

    def check(self, competition: Competition, place: str) -> None:
        name = self.config.target_transform
        if name is not None and name not in TRANSFORMS:
            raise unknown("target_transform", name, TRANSFORMS, f"{place}.target_transform")

    def fit(self, task: FitTask) -> None:
        """Nothing is learnt; says what is wrong before hours are spent."""
        check_installed(type(self), self.kind)
        self.check(task.competition, f"member.{self.kind}")
        _mind(task, 0, len(task.fold.asked.row))

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        check_installed(type(self), self.kind)
        config, panel, horizon = self.config, task.panel, task.inputs.schema.horizon
        quantile, targets = task.inputs.schema.quantile, panel.target.shape[1]
        period = config.period or next(iter(task.competition.seasonality), 1)
        scale = config.target_transform or task.competition.target_transform
        log = ForecastLog(
            task.folder / LOG,
            f"{self.kind} {self.version} {config} {task.competition.seasonality} {scale} {quantile}",
            horizon,
            1 + len(quantile),
        )
        forecast_of = partial(
            self.forecast,
            horizon=horizon,
            period=period,
            quantile=quantile,
            seasonality=tuple(task.competition.seasonality),
        )
        histories = [
            forward_transform(scale, history_before(panel, int(series), int(origin), target, period))
            for series, origin in zip(asked.series, asked.row, strict=True)
            for target in range(targets)
        ]
        keys = [log.key(history) for history in histories]
        new = {key: history for key, history in zip(keys, histories, strict=True) if log.get(key) is None}
        done, total = len(keys) - len(new), len(keys)
        fallbacks = 0
        for key, found in zip(new, _mapped(forecast_of, new.values(), task.fit.threads), strict=True):
            log.add(key, found)
            done, fallbacks = done + 1, fallbacks + bool(found.reason)
            aside = f", {fallbacks} by their last season" if fallbacks else ""
            task.progress(done / total, f"{part}: series {done}/{total}{aside}")
            _mind(task, done, total)
        made = [log.get(key) for key in keys]
        assert all(forecast is not None for forecast in made)
        found_all: list[LocalForecast] = [forecast for forecast in made if forecast is not None]
        self._list_fallbacks(task, asked, part, found_all)
        number, row = asked_rows(task.inputs, asked)
        origin = asked.row[number]
        dense = np.stack([forecast.value for forecast in found_all])
        dense = dense.reshape(-1, targets, horizon, 1 + len(quantile))
        value = inverse_transform(scale, dense[number, :, row - origin])  # (N, K, 1 + Q)
        return prediction_table(row, origin, value, quantile)

    def forecast(
        self,
        history: np.ndarray,
        horizon: int,
        period: int,
        quantile: tuple[float, ...],
        seasonality: tuple[int, ...],
    ) -> LocalForecast:
        """Forecast of one history without gaps, transformed units; by its last season where need be."""
        recent = history if self.config.rows is None else history[-self.config.rows :]
        reason = NO_HISTORY if not len(history) else ""
        if not reason and len(recent) < self.least_rows(1):
            reason = SHORT
        if not reason and np.ptp(recent) <= 1e-9 * np.abs(recent).max():
            reason = CONSTANT
        if not reason:
            model = self.model_for(recent, period, seasonality)
            level = sorted({round(abs(200 * q - 100), 6) for q in quantile if q != 0.5})
            found = None
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    found = model.forecast(y=recent, h=horizon, level=level or None)
                except OUR_ERRORS:
                    raise
                except Exception as error:  # statsforecast raises bare ones; the series is counted and listed
                    reason = f"{REFUSED}: {error}"
            if found is not None:
                value = np.stack([found[name] for name in _names(quantile)], axis=1)
                low, high = _believed(history, horizon)
                if not np.isfinite(value).all():
                    reason = NOT_FINITE
                elif value[:, 0].min() < low or value[:, 0].max() > high:
                    reason = FAR_OUT
                else:
                    return LocalForecast(_uncrossed(value.clip(low, high), quantile))
        return LocalForecast(seasonal_naive(history, horizon, period, quantile), reason)

    def model_for(self, recent: np.ndarray, period: int, seasonality: tuple[int, ...]) -> Any:
        """The model for this history; without a season where the history does not hold two of them."""
        return self.model(period if len(recent) >= self.least_rows(period) else 1)

    def _list_fallbacks(self, task: FitTask, asked: Origins, part: str, found: list[LocalForecast]) -> None:
        targets = task.panel.target.shape[1]
        lines = [
            {
                "part": part,
                "series": task.panel.series_name[asked.series[index // targets]],
                "origin": int(asked.row[index // targets]),
                "target": task.panel.target_name[index % targets],
                "reason": forecast.reason,
            }
            for index, forecast in enumerate(found)
            if forecast.reason
        ]
        file = task.folder / FALLBACKS
        if lines:
            table = pd.DataFrame(lines)
            if file.exists():
                before = pd.read_csv(file, dtype={"series": str}, keep_default_na=False)
                table = pd.concat([before[before["part"] != part], table], ignore_index=True)
            table.to_csv(file, index=False)
            task.progress(1.0, f"{len(lines)} of {len(found)} series by their last season ({FALLBACKS})")


def _mind(task: FitTask, done: int, total: int) -> None:
    if task.deadline is not None and time.monotonic() > task.deadline and done < total:
        raise OutOfTime(f"after {done} of {total} series")


def _names(quantile: tuple[float, ...]) -> list[str]:
    """statsforecast's names of the point and of the quantiles: bounds of central intervals, in percent."""
    names = ["mean"]
    for q in quantile:
        side = "hi" if q > 0.5 else "lo"
        names.append("mean" if q == 0.5 else f"{side}-{round(abs(200 * q - 100), 6)}")
    return names


def _believed(history: np.ndarray, horizon: int) -> tuple[float, float]:
    """The range that is believed of a forecast: multiplicative trends, and variances more so, can explode."""
    low, high = float(history.min()), float(history.max())
    beyond = RANGES_BEYOND * (high - low) * max(1.0, horizon / len(history))
    return low - beyond, high + beyond


def _uncrossed(value: np.ndarray, quantile: tuple[float, ...]) -> np.ndarray:
    """Quantiles in order, with the point as their median: simulated ones may lie on its other side."""
    point, level = value[:, :1], np.array(quantile)
    ordered = np.sort(value[:, 1:], axis=1)
    sided = np.where(level < 0.5, np.minimum(ordered, point), np.maximum(ordered, point))
    return np.concatenate([point, np.where(level == 0.5, point, sided)], axis=1)


def _mapped(forecast: Any, histories: Iterable[np.ndarray], threads: int) -> Iterator[LocalForecast]:
    """Forecasts in the order of the histories; with more threads than one, in as many processes."""
    if threads == 1:
        yield from map(forecast, histories)
        return
    pool = ProcessPoolExecutor(
        threads, mp_context=multiprocessing.get_context("spawn"), initializer=_die_with_parent
    )
    try:
        yield from pool.map(forecast, histories)
    finally:
        pool.shutdown(cancel_futures=True)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
