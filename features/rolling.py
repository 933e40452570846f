"""Rolling statistics of targets and past-only columns over rows that end some rows ago."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose, horizon_rows, past_column, past_inputs, past_values, positive
from features.rolling_statistics import STATISTICS, rolling
from features.within_series import shift


@FEATURES.register("rolling")
@dataclass(frozen=True)
class Rolling(Feature):
    """`statistics` over the `windows` rows that end at t - lag, in transformed units; the reach is the lag.

    ewm is a mean whose weights halve every window / 2 rows. lags: rows; []: the horizon.
    least: fewer values in a window give a missing value. counted: leave out rows of weight 0.
    """

    version: ClassVar[int] = 2

    inputs: tuple[str, ...] = ()  # targets and past-only reals; []: the targets
    windows: tuple[int, ...] = (7, 28)  # rows
    statistics: tuple[str, ...] = ("mean", "std")
    lags: tuple[int, ...] = ()
    least: int = 1
    counted: bool = True

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.rolling"
        choose(f"{where}.statistics", "statistic", self.statistics, STATISTICS)
        for setting in ("windows", "lags"):
            positive(where, setting, getattr(self, setting))
        found: list[Column] = []
        for past in past_inputs(competition, panel, self.inputs, where):
            for window in self.windows:
                for statistic in self.statistics:
                    for lag in self._lags(competition, panel):
                        title = f"{statistic}_{window}"
                        found.append(past_column(past, title, lag, difference=statistic == "std"))
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for past in past_inputs(competition, panel, self.inputs, "features.rolling"):
            value = past_values(competition, panel, past, self.counted)
            for window in self.windows:
                for statistic in self.statistics:
                    rolled = rolling(value, panel.offsets, statistic, window - 1, least=self.least)
                    for lag in self._lags(competition, panel):
                        yield shift(rolled, panel.offsets, lag, np.nan)

    def _lags(self, competition: Competition, panel: Panel) -> tuple[int, ...]:
        return self.lags or (horizon_rows(competition, panel, "features.rolling.lags"),)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if competition.task != "horizon":
            return None
        inputs = [*competition.target, *competition.columns.past_real]
        return {"inputs": inputs, "windows": [3, 6], "statistics": list(STATISTICS), "lags": [2, 5]}
