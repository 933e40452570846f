"""Running sums of known columns, and their integral over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose, known_inputs, known_numbers, numbers
from features.within_series import cumulative_sum, shift

OUTPUTS = ("sum", "integral", "trapezoid")
NANOSECONDS_PER_DAY = 86_400e9


@FEATURES.register("cumulative")
@dataclass(frozen=True)
class Cumulative(Feature):
    """For each input x, over the rows of the series up to and with this one; missing values add nothing.

    sum        sum of x_i
    integral   sum of x_i (time_i - time_{i-1}): exact where x is held constant up to time_i
    trapezoid  sum of (x_i + x_{i-1}) / 2 (time_i - time_{i-1})

    time: known column that holds the time, in any unit; null: the competition's time column where it is a
    known real, else the timestamp in days, else rows.
    """

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    outputs: tuple[str, ...] = ("sum",)
    time: str | None = None

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.cumulative"
        inputs = [name for name, _ in known_numbers(competition, panel, self.inputs, where)]
        choose(f"{where}.outputs", "output", self.outputs, OUTPUTS)
        if self.time is not None:
            known_inputs(competition, panel, (self.time,), f"{where}.time")
            numbers(panel, self.time, f"{where}.time")
        if not self.outputs:
            raise InputError(f"{where}.outputs: found none, expected some of {', '.join(OUTPUTS)}")
        return tuple(Column(f"{name}.cumulative_{output}") for name in inputs for output in self.outputs)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        offsets = panel.offsets
        elapsed: np.ndarray | None = None
        if set(self.outputs) - {"sum"}:
            time = self._time(competition, panel)
            elapsed = time - shift(time, offsets, 1, np.nan)  # NaN on the first row: nothing has passed
        for _, value in known_numbers(competition, panel, self.inputs, "features.cumulative"):
            for output in self.outputs:
                if output == "sum":
                    yield cumulative_sum(value, offsets)
                    continue
                assert elapsed is not None
                height = value if output == "integral" else (value + shift(value, offsets, 1, np.nan)) / 2
                yield cumulative_sum(height * elapsed, offsets)

    def _time(self, competition: Competition, panel: Panel) -> np.ndarray:
        name = self.time
        if name is None and competition.time in competition.columns.known_real:
            name = competition.time
        if name is not None:
            return numbers(panel, name, "features.cumulative.time")
        if panel.timestamp is not None:
            nanoseconds = panel.timestamp.astype("datetime64[ns]").astype(np.int64)
            return (nanoseconds - nanoseconds.min(initial=0)) / NANOSECONDS_PER_DAY
        return panel.time.astype(np.float64)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"outputs": list(OUTPUTS)} if competition.columns.known_real else None
