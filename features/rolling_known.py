"""Rolling statistics of known columns, looking back or to both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose, known_numbers, positive
from features.rolling_statistics import rolling

STATISTICS = ("mean", "std", "min", "max")


@FEATURES.register("rolling_known")
@dataclass(frozen=True)
class RollingKnown(Feature):
    """`statistics` over `windows` rows that end at the row, or have it in their middle where `centred`
    (of an even window the longer half lies before). Windows are cut at the series' border."""

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    windows: tuple[int, ...] = (5,)  # rows
    statistics: tuple[str, ...] = ("mean", "std")
    centred: bool = False

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.rolling_known"
        choose(f"{where}.statistics", "statistic", self.statistics, STATISTICS)
        positive(where, "windows", self.windows)
        kind = "centred" if self.centred else "rolling"
        return tuple(
            Column(f"{name}.{kind}_{statistic}_{window}")
            for name, _ in known_numbers(competition, panel, self.inputs, where)
            for window in self.windows
            for statistic in self.statistics
        )

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for _, value in known_numbers(competition, panel, self.inputs, "features.rolling_known"):
            for window in self.windows:
                before, after = (window // 2, (window - 1) // 2) if self.centred else (window - 1, 0)
                for statistic in self.statistics:
                    yield rolling(value, panel.offsets, statistic, before, after)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if not competition.columns.known_real:
            return None
        return {"windows": [2, 5], "statistics": list(STATISTICS), "centred": competition.task == "sequence"}
