"""Rows and time since a 0/1 column last switched (a valve that opens, a shop that closes)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import known_inputs, known_numbers, numbers
from features.within_series import position, rows_since, shift


@FEATURES.register("since_switch")
@dataclass(frozen=True)
class SinceSwitch(Feature):
    """Rows since each input last changed its value, counted from the series' start before the first change.

    time: known column that holds the time: adds the time passed since then, in its units.
    """

    inputs: tuple[str, ...] = ()  # known columns, usually of 0 and 1; []: all known reals
    time: str | None = None

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.since_switch"
        found: list[Column] = []
        if self.time is not None:
            known_inputs(competition, panel, (self.time,), f"{where}.time")
            numbers(panel, self.time, f"{where}.time")
        for name, _ in known_numbers(competition, panel, self.inputs, where):
            found.append(Column(f"{name}.rows_since_switch"))
            if self.time is not None:
                found.append(Column(f"{name}.time_since_switch"))
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        offsets = panel.offsets
        time = None if self.time is None else numbers(panel, self.time)
        for _, value in known_numbers(competition, panel, self.inputs, "features.since_switch"):
            before = shift(value, offsets, 1, np.nan)
            switched = (value != before) & ~np.isnan(value) & ~np.isnan(before)
            since = rows_since(switched, offsets)
            since = np.where(since < 0, position(offsets), since)
            yield since
            if time is not None:
                yield time - time[np.arange(panel.rows) - since]

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if not competition.columns.known_real:
            return None
        return {"time": competition.time if competition.time in competition.columns.known_real else None}
