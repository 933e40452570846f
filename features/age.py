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
from features.within_series import position

OUTPUTS = ("series", "logarithm", "calendar")


@FEATURES.register("age")
@dataclass(frozen=True)
class Age(Feature):
    """series      rows since the start of the series
    logarithm   log(1 + those rows)
    calendar    steps since the first row of any series, for effects that all series share

    Never divided by a length: that would tell the end of the series.
    """

    outputs: tuple[str, ...] = ("series",)

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        choose("features.age.outputs", "output", self.outputs, OUTPUTS)
        return tuple(Column(f"age.{output}") for output in self.outputs)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for output in self.outputs:
            if output == "calendar":
                yield panel.time - (panel.time.min() if panel.rows else 0)
            else:
                rows = position(panel.offsets)
                yield rows if output == "series" else np.log1p(rows)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"outputs": list(OUTPUTS)}
