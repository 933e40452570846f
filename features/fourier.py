"""Sines and cosines of given periods, so that a model need not learn what a year or a week is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.calendar import dates
from features.reading import positive

DAYS = {"daily": 1.0, "weekly": 7.0, "monthly": 365.2425 / 12, "yearly": 365.2425}


@FEATURES.register("fourier")
@dataclass(frozen=True)
class Fourier(Feature):
    """sin(2 pi k t / period) and cos(2 pi k t / period) for k = 1 .. order, as long as 2 k <= period.

    periods: in rows (t is the time index), or daily, weekly, monthly, yearly (t is the timestamp);
    []: the competition's seasonality.
    """

    periods: tuple[float | str, ...] = ()
    order: int = 3

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        return tuple(
            Column(f"fourier.{title}.{function}_{k}", scaled=False)
            for title, _, terms in self._periods(competition, panel)
            for k, function in terms
        )

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for title, period, terms in self._periods(competition, panel):
            turns = panel.time / period
            if title in DAYS:
                nanoseconds = (
                    np.asarray(dates(panel, "features.fourier").values)
                    .astype("datetime64[ns]")
                    .astype(np.int64)
                )
                turns = nanoseconds / (86_400e9 * DAYS[title])
            for k, function in terms:
                yield (np.sin if function == "sin" else np.cos)(2 * np.pi * ((k * turns) % 1.0))

    def _periods(
        self, competition: Competition, panel: Panel
    ) -> list[tuple[str, float, list[tuple[int, str]]]]:
        """(name, rows, [(k, sin or cos), ...]) of each period."""
        where = "features.fourier"
        positive(where, "order", (self.order,))
        chosen = self.periods or tuple(competition.seasonality)
        if not chosen:
            raise InputError(f"{where}.periods: found none, and the competition has no seasonality")
        found = []
        for period in chosen:
            if isinstance(period, str):
                if period not in DAYS:
                    raise unknown("period", period, DAYS, f"{where}.periods")
                dates(panel, f"{where}.periods")
                terms = [(k, function) for k in range(1, self.order + 1) for function in ("sin", "cos")]
                found.append((period, 1.0, terms))
                continue
            positive(where, "periods", (period,), 2)
            # Beyond half the period the terms repeat, and the sine of exactly half of it is zero.
            terms = [
                (k, function)
                for k in range(1, self.order + 1)
                for function in ("sin", "cos")
                if 2 * k < period or (2 * k == period and function == "cos")
            ]
            found.append((f"{period:g}", float(period), terms))
        return found

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"periods": [7, 4.5] if competition.task == "sequence" else [7, "yearly"], "order": 2}
