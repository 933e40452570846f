"""Differences of known columns to earlier and later rows, and of higher order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import known_numbers, positive
from features.within_series import border_rows, shift


@FEATURES.register("difference")
@dataclass(frozen=True)
class Difference(Feature):
    """x_t - x_{t-k} for each k of `lags`, x_t - x_{t+k} for each k of `leads`, and the n-th difference
    (the difference of the (n-1)-th to the row before) for each n of `orders`.

    fill: where a row that is read lies beyond the series' border; null: missing.
    """

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    lags: tuple[int, ...] = (1, 2, 3, 4)
    leads: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()
    fill: float | None = 0.0

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.difference"
        for setting in ("lags", "leads", "orders"):
            positive(where, setting, getattr(self, setting))
        found: list[Column] = []
        for name, _ in known_numbers(competition, panel, self.inputs, where):
            found += [Column(f"{name}.difference_{lag}") for lag in self.lags]
            found += [Column(f"{name}.difference_ahead_{lead}") for lead in self.leads]
            found += [Column(f"{name}.difference_order_{order}") for order in self.orders]
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        offsets = panel.offsets
        for _, value in known_numbers(competition, panel, self.inputs, "features.difference"):
            for step in (*self.lags, *(-lead for lead in self.leads)):
                change = value - shift(value, offsets, step, np.nan)
                if self.fill is not None:
                    change[border_rows(offsets, step)] = self.fill
                yield change
            for order in self.orders:
                change = value
                for _ in range(order):
                    change = change - shift(change, offsets, 1, np.nan)
                if self.fill is not None:
                    change[border_rows(offsets, order)] = self.fill
                yield change

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"lags": [1, 2], "leads": [1], "orders": [2]} if competition.columns.known_real else None
