"""Times of rows as whole steps: dates on the grid of a frequency, or whole numbers, or positions.

A regular clock numbers the steps from the earliest row of all series, so that equal dates are equal steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from data.coding import text_of
from data.errors import InputError

_OLD_ALIASES = {"M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "H": "h", "T": "min", "S": "s", "BM": "BME"}
_LARGEST_GRID = 50_000_000


class BadTime(ValueError):
    """A value that is no time: `row` (position), `found` and `expected`."""

    def __init__(self, row: int, found: Any, expected: str) -> None:
        super().__init__(f"row {row}: {found!r} is not {expected}")
        self.row, self.found, self.expected = row, found, expected


def parse_time(values: pd.Series, date_format: str | None, dated: bool) -> np.ndarray:
    """(N,) datetime64[ns], int64 (whole numbers) or float64.

    Text is read as ISO 8601 dates or by `date_format`; text that is all numbers is taken as numbers unless
    `dated` (a frequency or a format is declared). Times with a zone become UTC. Raises BadTime.
    """
    missing = values.isna().to_numpy()
    if missing.any():
        raise BadTime(int(np.argmax(missing)), "nothing", "a time")
    if values.dtype.kind == "M":
        return in_utc(values).to_numpy().astype("datetime64[ns]")
    if values.dtype.kind in "iuf" and date_format is None:
        if dated:
            expected = "a date; whole numbers need date_format (as %Y%m%d), or frequency: null"
            raise BadTime(0, values.iloc[0], expected)
        return _whole(values.to_numpy())
    codes, uniques = pd.factorize(values)
    texts = pd.Series([text_of(value) for value in uniques], dtype=object)
    if date_format is None and not dated:
        numbers = pd.to_numeric(texts, errors="coerce")
        if numbers.notna().all():
            return _whole(numbers.to_numpy()[codes])
    dates = in_utc(pd.to_datetime(texts, format=date_format or "ISO8601", errors="coerce", utc=True))
    if dates.isna().any():
        lost = int(np.argmax(dates.isna().to_numpy()))
        how = (
            f"the date_format {date_format}"
            if date_format
            else "an ISO date (2015-07-31); else give date_format"
        )
        raise BadTime(int(np.argmax(codes == lost)), uniques[lost], f"a date as in {how}")
    return dates.to_numpy().astype("datetime64[ns]")[codes]


def in_utc(values: pd.Series) -> pd.Series:
    """(N,) dates with a zone as UTC, which has no hour twice, without one; other values as they are."""
    return values.dt.tz_convert(None) if isinstance(values.dtype, pd.DatetimeTZDtype) else values


def zone_of(text: str, date_format: str | None) -> tzinfo | None:
    """The zone that stands in a date as text; None where there is none, or the text is no date."""
    date = pd.to_datetime(text, format=date_format or "ISO8601", errors="coerce")
    return None if pd.isna(date) else date.tzinfo


def _whole(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        whole = np.isfinite(numbers) & (np.mod(numbers, 1) == 0)
    if not np.isfinite(numbers).all():
        raise BadTime(
            int(np.argmax(~np.isfinite(numbers))), numbers[~np.isfinite(numbers)][0], "a finite time"
        )
    return numbers.astype(np.int64) if whole.all() else numbers.astype(np.float64)


def offset_of(frequency: str, where: str = "frequency") -> pd.offsets.BaseOffset:
    """The pandas offset of an alias, older ones (M, H, T) too. Raises InputError for an unknown one."""
    text = str(frequency).strip()
    for name in (_OLD_ALIASES.get(text, text), text):
        try:
            offset = to_offset(name)
        except ValueError:
            continue
        if offset is not None:
            return offset
    raise InputError(
        f"{where}: unknown frequency {frequency!r}; use a pandas offset: D, h, 15min, W, MS, ME, QS, B, ..."
    )


@dataclass(frozen=True)
class Clock:
    """What the steps of the rows mean."""

    kind: str  # grid: dates of a frequency; whole: the numbers of the file; position: rows in order
    grid: pd.DatetimeIndex | None = None
    offset: pd.offsets.BaseOffset | None = None

    @property
    def regular(self) -> bool:
        """Whether rows can be missing between two rows."""
        return self.kind != "position"

    def steps(self, times: np.ndarray) -> np.ndarray:
        """(N,) int64 steps. Raises BadTime for a date that is not on the grid."""
        if self.kind == "whole":
            return times.astype(np.int64)
        assert self.grid is not None
        grid = self.grid.to_numpy().astype("datetime64[ns]")
        place = np.searchsorted(grid, times)
        off = grid[np.minimum(place, len(grid) - 1)] != times
        if off.any():
            row = int(np.argmax(off))
            assert self.offset is not None
            raise BadTime(row, text_of(times[row]), f"on the calendar of frequency {self.offset.freqstr}")
        return place.astype(np.int64)

    def timestamps(self, steps: np.ndarray) -> np.ndarray | None:
        """(N,) datetime64[ns] of steps on the grid, or beyond its end; None where steps are no dates."""
        if self.kind != "grid":
            return None
        assert self.grid is not None
        grid = self.grid
        ahead = int(steps.max(initial=0)) - len(grid) + 1
        if ahead > 0:
            grid = pd.date_range(grid[0], periods=len(grid) + ahead, freq=self.offset)
        return grid.to_numpy().astype("datetime64[ns]")[steps]


def clock_of(times: np.ndarray | None, frequency: str | None, where: str) -> Clock:
    """The clock of all rows' times (as from `parse_time`; None: there is no time column)."""
    dates = times is not None and times.dtype.kind == "M"
    if times is None or (frequency is None and (dates or times.dtype.kind == "f")):
        return Clock("position")
    if frequency is None:
        return Clock("whole")
    offset = offset_of(frequency, where)
    first, last = pd.Timestamp(times.min()), pd.Timestamp(times.max())
    if frequency.strip() == "W":
        offset = pd.offsets.Week(weekday=first.weekday())
    near = first + offset
    size = (last - first) / max(near - first, pd.Timedelta(1, "ns"))
    if size > _LARGEST_GRID:
        raise InputError(f"{where}: {size:.0f} steps of {frequency} from {first} to {last} are too many")
    grid = pd.date_range(first, last, freq=offset)
    if len(grid) == 0:
        grid = pd.DatetimeIndex([first])
    return Clock("grid", grid, offset)
