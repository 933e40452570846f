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
    """A part of a date: `of` gives `lowest` .. `lowest` + `size` - 1; `size` 0 (years): without end."""

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
    category: categories instead of reals; a year that the panel fitted on does not have is 0, as if missing.
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
                size = PARTS[name].size or int(np.ptp(_years(date)) + 1)
                found.append(Column(f"calendar.{name}.category", "category", size=size + 1))
            else:
                found.append(Column(f"calendar.{name}", scaled=not PARTS[name].size))
        return tuple(found)

    def reference(self, competition: Competition, panel: Panel) -> dict[str, np.ndarray]:
        """year (2,) int64: the first and the last."""
        return {"year": _years(dates(panel, "features.calendar"))}

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        first, last = parameters["year"].tolist()
        for name in self.parts or default_parts(panel):
            value, size = part_values(panel, name, "features.calendar"), PARTS[name].size
            code = value - (PARTS[name].lowest if size else first)
            if self.category:
                yield code + 1 if size else np.where((value >= first) & (value <= last), code + 1, 0)
            else:
                yield 2.0 * code / (size - 1) - 1.0 if size else code

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


def part_values(panel: Panel, name: str, where: str) -> np.ndarray:
    """(R,) int64 one part as people count it: years as 2015, months from 1."""
    return np.asarray(PARTS[name].of(dates(panel, where)), dtype=np.int64)


def part_codes(panel: Panel, name: str, where: str) -> tuple[np.ndarray, int]:
    """(R,) int64 codes 0 .. size - 1 of one part, and size; years from the panel's first."""
    part, value = PARTS[name], part_values(panel, name, where)
    if part.size:
        return value - part.lowest, part.size
    code = value - value.min() if len(value) else value
    return code, int(code.max(initial=0)) + 1


def _years(date: pd.DatetimeIndex) -> np.ndarray:
    """(2,) int64: the first and the last."""
    return np.array([date.year.min(), date.year.max()] if len(date) else [0, 0], dtype=np.int64)


def default_parts(panel: Panel) -> tuple[str, ...]:
    """Parts that say something at the panel's frequency, which the first long series tells."""
    assert panel.timestamp is not None
    first = int(np.argmax(np.diff(panel.offsets) > 1))
    rows = panel.timestamp[panel.offsets[first] : panel.offsets[first + 1]]
    steps = np.diff(rows.astype("datetime64[ns]").astype(np.int64)) / 86_400e9
    days = float(np.median(steps)) if len(steps) else 1.0
    return next(parts for most, parts in BY_STEP if days <= most)
