"""The same phase of the season in its last few rounds: the same hour of the last days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose, horizon_rows, past_column, past_inputs, past_values, positive
from features.rolling_statistics import median_of_last_axis
from features.within_series import shift

STATISTICS = ("mean", "median", "std")


@FEATURES.register("seasonal")
@dataclass(frozen=True)
class Seasonal(Feature):
    """`statistics` of y_{t-r}, y_{t-r-m}, ... (`rounds` of them) in transformed units, where m is the
    season and r its first multiple that is at least `lag`; the reach is r.

    seasons: rows; []: the competition's seasonality. lag: null: the horizon.
    """

    version: ClassVar[int] = 2

    inputs: tuple[str, ...] = ()  # targets and past-only reals; []: the targets
    seasons: tuple[int, ...] = ()
    rounds: int = 4
    statistics: tuple[str, ...] = ("mean",)
    lag: int | None = None
    counted: bool = True

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.seasonal"
        choose(f"{where}.statistics", "statistic", self.statistics, STATISTICS)
        positive(where, "rounds", (self.rounds,))
        found: list[Column] = []
        for past in past_inputs(competition, panel, self.inputs, where):
            for season, reach in self._seasons(competition, panel):
                for statistic in self.statistics:
                    title = f"seasonal_{statistic}_{season}x{self.rounds}"
                    found.append(past_column(past, title, reach, difference=statistic == "std"))
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for past in past_inputs(competition, panel, self.inputs, "features.seasonal"):
            value = past_values(competition, panel, past, self.counted)
            for season, reach in self._seasons(competition, panel):
                rounds = np.stack(
                    [shift(value, panel.offsets, reach + k * season, np.nan) for k in range(self.rounds)],
                    axis=-1,
                )
                for statistic in self.statistics:
                    yield over_last_axis(rounds, statistic)

    def _seasons(self, competition: Competition, panel: Panel) -> list[tuple[int, int]]:
        """(season, reach) pairs."""
        where = "features.seasonal"
        seasons = self.seasons or tuple(competition.seasonality)
        if not seasons:
            raise InputError(f"{where}.seasons: found none, and the competition has no seasonality")
        positive(where, "seasons", seasons)
        lag = horizon_rows(competition, panel, f"{where}.lag") if self.lag is None else self.lag
        positive(where, "lag", (lag,))
        return [(season, -(-lag // season) * season) for season in seasons]

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if competition.task != "horizon":
            return None
        return {"seasons": [3, 7], "rounds": 3, "statistics": list(STATISTICS), "lag": 4}


def over_last_axis(values: np.ndarray, statistic: str) -> np.ndarray:
    """mean, median or std (divided by the number of values) without the missing values."""
    if statistic == "median":
        return median_of_last_axis(values)
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=-1) / count
        if statistic == "mean":
            return np.asarray(mean)
        square = np.where(known, values - mean[..., None], 0.0) ** 2
        return np.asarray(np.sqrt(square.sum(axis=-1) / count))
