"""What known columns are on certain rows of the series, on all of its rows: how a breath begins, and ends."""

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
from features.reading import known_numbers
from features.within_series import spread


@FEATURES.register("at_row")
@dataclass(frozen=True)
class AtRow(Feature):
    """x at each of `rows`, counted from the series' start, or back from its end where negative (-1: the last
    one; sequence tasks, whose groups are given whole). Missing in series that are shorter.
    """

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    rows: tuple[int, ...] = (0,)

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.at_row"
        if competition.task != "sequence" and any(row < 0 for row in self.rows):
            # A series' end lies further ahead in the test part than it did in a training window.
            raise InputError(
                f"{where}.rows: found {min(self.rows)}, and the end of a series is known in sequence tasks"
                f" only; this is a {competition.task} task: expected 0 or more"
            )
        inputs = known_numbers(competition, panel, self.inputs, where)
        return tuple(Column(f"{name}.at_row_{row}") for name, _ in inputs for row in self.rows)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        length = np.diff(panel.offsets)
        for _, value in known_numbers(competition, panel, self.inputs, "features.at_row"):
            for row in self.rows:
                place = row if row >= 0 else length + row
                there = (place < length) & (np.asarray(place) >= 0)
                found = np.full(len(length), np.nan)
                found[there] = value[(panel.offsets[:-1] + place)[there]]
                yield spread(found, panel.offsets)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if not competition.columns.known_real:
            return None
        return {"rows": [0, 2, -1] if competition.task == "sequence" else [0, 2]}
