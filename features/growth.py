"""How the recent level stands to the level one season (usually a year) before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import horizon_rows, past_column, past_inputs, past_values, positive
from features.rolling_statistics import rolling
from features.within_series import shift


@FEATURES.register("growth")
@dataclass(frozen=True)
class Growth(Feature):
    """Mean of the `windows` rows that end at t - lag, minus the mean of as many rows that end `season`
    rows before those. In transformed units: the logarithm of a ratio where the target is logged.
    The reach is the lag. lag: null: the horizon.
    """

    version: ClassVar[int] = 2

    inputs: tuple[str, ...] = ()  # targets and past-only reals; []: the targets
    windows: tuple[int, ...] = (28,)
    season: int = 364  # rows: 52 weeks of days, so that weekdays meet weekdays
    lag: int | None = None
    counted: bool = True

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.growth"
        positive(where, "windows", self.windows)
        positive(where, "season", (self.season,))
        lag = self._lag(competition, panel)
        return tuple(
            past_column(past, f"growth_{window}_over_{self.season}", lag, difference=True)
            for past in past_inputs(competition, panel, self.inputs, where)
            for window in self.windows
        )

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        lag = self._lag(competition, panel)
        for past in past_inputs(competition, panel, self.inputs, "features.growth"):
            value = past_values(competition, panel, past, self.counted)
            for window in self.windows:
                level = shift(rolling(value, panel.offsets, "mean", window - 1), panel.offsets, lag, np.nan)
                yield level - shift(level, panel.offsets, self.season, np.nan)

    def _lag(self, competition: Competition, panel: Panel) -> int:
        lag = horizon_rows(competition, panel, "features.growth.lag") if self.lag is None else self.lag
        positive("features.growth", "lag", (lag,))
        return lag

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"windows": [3, 5], "season": 7, "lag": 2} if competition.task == "horizon" else None
