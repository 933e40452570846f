"""How far a row is from the start: a trend that does not tell where the series ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose
from features.within_series import position, spread

OUTPUTS = ("series", "logarithm", "calendar")


@FEATURES.register("age")
@dataclass(frozen=True)
class Age(Feature):
    """series      rows since the start of the series, as it was fitted on: a history may be cut off since
    logarithm   log(1 + those rows)
    calendar    steps since the first row of any series, for effects that all series share

    Never divided by a length: that would tell the end of the series.
    """

    outputs: tuple[str, ...] = ("series",)

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        choose("features.age.outputs", "output", self.outputs, OUTPUTS)
        return tuple(Column(f"age.{output}") for output in self.outputs)

    def reference(self, competition: Competition, panel: Panel) -> dict[str, np.ndarray]:
        """start (S,) int64: the time of each series' first row; first (1,) int64: the earliest of all."""
        first = panel.time.min(keepdims=True) if panel.rows else np.zeros(1, dtype=np.int64)
        return {"start": _start(panel), "first": first}

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        number, start = panel.series_when_fitted(), _start(panel)
        then = np.where(number >= 0, parameters["start"][np.maximum(number, 0)], start)
        rows = position(panel.offsets) + spread(start - then, panel.offsets)
        for output in self.outputs:
            if output == "calendar":
                yield panel.time - parameters["first"]
            else:
                # A history may also begin earlier than before.
                yield rows if output == "series" else np.log1p(np.maximum(rows, 0))

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"outputs": list(OUTPUTS)}


def _start(panel: Panel) -> np.ndarray:
    """(S,) int64: the time of each series' first row."""
    if not panel.rows:
        return np.zeros(panel.series, dtype=np.int64)
    return panel.time[np.minimum(panel.offsets[:-1], panel.rows - 1)]
