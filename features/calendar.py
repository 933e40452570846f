"""Parts of the date and the time of day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose


class Part(NamedTuple):
    """A part of a date: `of` gives `lowest` .. `lowest` + `size` - 1; `size` 0: as many as the panel has."""

    of: Callable[[pd.DatetimeIndex], Any]
    lowest: int
    size: int


PARTS: dict[str, Part] = {
    "minute": Part(lambda date: date.minute, 0, 60),
    "hour": Part(lambda date: date.hour, 0, 24),
    "day_of_week": Part(lambda date: date.dayofweek, 0, 7),
    "is_weekend": Part(lambda date: date.dayofweek >= 5, 0, 2),
    "day": Part(lambda date: date.day, 1, 31),
    "is_month_start": Part(lambda date: date.is_month_start, 0, 2),
    "is_month_end": Part(lambda date: date.is_month_end, 0, 2),
    "week": Part(lambda date: date.isocalendar().week, 1, 53),
    "month": Part(lambda date: date.month, 1, 12),
    "quarter": Part(lambda date: date.quarter, 1, 4),
    "day_of_year": Part(lambda date: date.dayofyear, 1, 366),
    "year": Part(lambda date: date.year, 0, 0),
}

_DATE = ("day", "week", "month", "quarter", "day_of_year", "year")
#: Parts worth having where rows are at most so many days apart, the first that fits.
BY_STEP: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.04, ("minute", "hour", "day_of_week", *_DATE)),
    (0.99, ("hour", "day_of_week", *_DATE)),
    (6.9, ("day_of_week", "is_month_start", "is_month_end", *_DATE)),
    (27.9, ("week", "month", "quarter", "year")),
    (89.0, ("month", "quarter", "year")),
    (300.0, ("quarter", "year")),
    (np.inf, ("year",)),
)


@FEATURES.register("calendar")
@dataclass(frozen=True)
class Calendar(Feature):
    """Parts of each row's timestamp, from -1 (lowest) to 1 (highest), the year as years since the first.

    parts: names in `PARTS`; []: those that say something at the panel's frequency.
    category: categories instead of reals.
    """

    parts: tuple[str, ...] = ()
    category: bool = False

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.calendar"
        choose(f"{where}.parts", "part", self.parts, tuple(PARTS))
        date = dates(panel, where)
        found: list[Column] = []
        for name in self.parts or default_parts(panel):
            if self.category:
                size = PARTS[name].size or int(date.year.max() - date.year.min() + 1)
                found.append(Column(f"calendar.{name}.category", "category", size=size + 1))
            else:
                found.append(Column(f"calendar.{name}", scaled=not PARTS[name].size))
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for name in self.parts or default_parts(panel):
            code, size = part_codes(panel, name, "features.calendar")
            if self.category:
                yield code + 1
            else:
                yield 2.0 * code / (size - 1) - 1.0 if PARTS[name].size else code

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {} if competition.frequency is not None else None


def dates(panel: Panel, where: str) -> pd.DatetimeIndex:
    """(R,) timestamps; InputError where the panel's time is no date."""
    if panel.timestamp is None:
        raise InputError(
            f"{where}: the time column holds no dates; for steps without dates use fourier or "
            "competition.seasonality"
        )
    return pd.DatetimeIndex(panel.timestamp)


def part_codes(panel: Panel, name: str, where: str) -> tuple[np.ndarray, int]:
    """(R,) int64 codes 0 .. size - 1 of one part, and size."""
    part = PARTS[name]
    code = np.asarray(part.of(dates(panel, where)), dtype=np.int64)
    if part.size:
        return code - part.lowest, part.size
    code = code - code.min() if len(code) else code
    return code, int(code.max(initial=0)) + 1


def default_parts(panel: Panel) -> tuple[str, ...]:
    """Parts that say something at the panel's frequency, which the first long series tells."""
    assert panel.timestamp is not None
    first = int(np.argmax(np.diff(panel.offsets) > 1))
    rows = panel.timestamp[panel.offsets[first] : panel.offsets[first + 1]]
    steps = np.diff(rows.astype("datetime64[ns]").astype(np.int64)) / 86_400e9
    days = float(np.median(steps)) if len(steps) else 1.0
    return next(parts for most, parts in BY_STEP if days <= most)
