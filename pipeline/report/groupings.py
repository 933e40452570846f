"""Ways to group asked rows, for errors by group: static columns of series, calendar, season."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.report.material import Forecasts, Material

MOST_STATICS = 4
MOST_CATEGORIES = 12
MOST_PHASES = 200  # of a season
LEAST_DATES = 8


@dataclass(frozen=True)
class Grouping:
    """Labels of rows, for one figure."""

    title: str
    label: np.ndarray  # (N,) int64 code
    words: Mapping[int, str] = field(default_factory=dict)  # of codes; empty: they are numbers on an axis
    dates: Mapping[int, pd.Timestamp] = field(default_factory=dict)  # of codes that are days


def groupings(material: Material, forecasts: Forecasts) -> list[Grouping]:
    """Those that have at least two groups among the judged rows."""
    found = [*_statics(material, forecasts), *_calendar(material, forecasts)]
    return [one for one in found if len(np.unique(one.label[forecasts.judged])) > 1]


def _statics(material: Material, forecasts: Forecasts) -> list[Grouping]:
    panel, asked = material.prepared.panel, forecasts.asked
    found: list[Grouping] = []
    for name in panel.static.columns:
        words = panel.categories.get(name)
        if words is None or len(found) == MOST_STATICS:
            continue
        code = panel.static[name].to_numpy(dtype=np.int64)[asked.series]
        if 2 <= len(np.unique(code[forecasts.judged])) <= MOST_CATEGORIES:
            found.append(Grouping(name, code, {0: "(missing)", **dict(enumerate(words, start=1))}))
    return found


def _calendar(material: Material, forecasts: Forecasts) -> list[Grouping]:
    """By what the distance of two rows can tell apart; without dates, by the row of the season."""
    panel, asked, competition = material.prepared.panel, forecasts.asked, material.prepared.competition
    if competition.task != "horizon":
        return []
    if panel.timestamp is None:
        season = next((one for one in competition.seasonality if 1 < one <= MOST_PHASES), None)
        if season is None:
            return []
        return [Grouping(f"row of the season of {season}", panel.time[asked.row_id] % season)]
    stamps = pd.DatetimeIndex(panel.timestamp[asked.row_id])
    frequency = (competition.frequency or "").lstrip("0123456789").lower()
    found = []
    if frequency in ("h", "min", "t", "s", "15min", "30min"):
        found.append(Grouping("hour of the day", stamps.hour.to_numpy(dtype=np.int64)))
    if frequency in ("d", "h", "min", "t", "s"):
        weekday = stamps.dayofweek.to_numpy(dtype=np.int64)
        found.append(Grouping("day of the week", weekday, dict(enumerate(calendar.day_abbr))))
    if frequency in ("ms", "me", "m", "w") or frequency.startswith("w-"):
        month = stamps.month.to_numpy(dtype=np.int64)
        found.append(Grouping("month", month, dict(enumerate(calendar.month_abbr))))
    day, names = pd.factorize(stamps.normalize(), sort=True)
    if len(names) >= LEAST_DATES and len(np.unique(asked.origin - panel.offsets[asked.series])) > 1:
        # With one origin for all series this is the error by step again.
        found.append(Grouping("date", day.astype(np.int64), dates=dict(enumerate(pd.DatetimeIndex(names)))))
    return found
