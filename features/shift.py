"""Lags and leads of known columns: what they are a few rows earlier or later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import codes, is_category, known_inputs, numbers, positive
from features.within_series import shift


@FEATURES.register("shift")
@dataclass(frozen=True)
class Shift(Feature):
    """x_{t-k} for each k of `lags` and x_{t+k} for each k of `leads`; categoricals stay categorical.

    fill: what stands beyond the series' border; null: missing.
    """

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    lags: tuple[int, ...] = (1, 2, 3, 4)
    leads: tuple[int, ...] = (1, 2, 3, 4)
    fill: float | None = 0.0

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.shift"
        positive(where, "lags", self.lags)
        positive(where, "leads", self.leads)
        found: list[Column] = []
        for name in known_inputs(competition, panel, self.inputs, where):
            for step in self._steps():
                column = Column(f"{name}.{'lag' if step > 0 else 'lead'}_{abs(step)}")
                if is_category(panel, name):
                    column = column._replace(kind="category", size=len(panel.categories[name]) + 1)
                found.append(column)
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        fill = np.nan if self.fill is None else self.fill
        for name in known_inputs(competition, panel, self.inputs, "features.shift"):
            category = is_category(panel, name)
            value = codes(panel, name)[0] if category else numbers(panel, name)
            for step in self._steps():
                yield shift(value, panel.offsets, step, 0 if category else fill)

    def _steps(self) -> tuple[int, ...]:
        return (*self.lags, *(-lead for lead in self.leads))

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        names = [*competition.columns.known_real, *competition.columns.known_categorical]
        return {"inputs": names, "lags": [1, 3], "leads": [2]} if names else None
