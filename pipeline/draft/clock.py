"""Which column is the time, how its dates are written, and what the step between rows is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.draft.tables import DraftTables, contiguous, is_text, is_whole

TIME_NAMES = (
    "date",
    "datetime",
    "timestamp",
    "time",
    "ds",
    "day",
    "week",
    "month",
    "hour",
    "year",
    "period",
    "dt",
)
STEP_NAMES = (
    "time_step",
    "timestep",
    "time",
    "step",
    "t",
    "ds",
    "d",
    "index",
    "time_idx",
    "hour",
    "day",
    "week",
)

#: Formats that are tried on text and on whole numbers, ISO 8601 aside.
FORMATS = (
    "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M", "%Y%m%d%H", "%d-%b-%Y", "%b %Y",
)  # fmt: skip

#: frequency: (seasonal periods in rows, horizon). Horizons are those of the M4 competition
#: (Makridakis, Spiliotis and Assimakopoulos, 2020), a day's worth for finer steps.
SEASONS: dict[str, tuple[list[int], int]] = {
    "D": ([7], 14),
    "B": ([5], 10),
    "h": ([24, 168], 48),
    "W": ([52], 13),
    "MS": ([12], 18),
    "ME": ([12], 18),
    "QS": ([4], 8),
    "QE": ([4], 8),
    "YS": ([], 6),
    "YE": ([], 6),
}
_WEEKS_OF_YEAR, _WEEKS_AHEAD = 52, SEASONS["W"][1]


@dataclass(frozen=True)
class Clock:
    """The time column and what is known of it; `others` are columns that were considered too."""

    column: str
    dated: bool
    date_format: str | None = None
    frequency: str | None = None
    regular: float = 1.0  # share of steps between neighbouring dates that are the usual one
    others: tuple[str, ...] = ()
    also_format: str | None = None  # another format that reads every value


def find_dates(tables: DraftTables, excluded: set[str]) -> list[Clock]:
    """Columns that hold dates in every row, the likeliest first."""
    shared = [name for name in tables.train.columns if name not in excluded and tables.shared(name)]
    found = []
    for name in shared:
        values = tables.both(name)
        if values.isna().any():
            continue
        if pd.api.types.is_datetime64_any_dtype(values):
            found.append(_dated(name, values, None, None))
        elif is_text(values) or (is_whole(values) and _named(name, TIME_NAMES)):
            uniques = pd.Series(values.unique()).astype(str)
            tried = FORMATS if is_whole(values) else ("ISO8601", *FORMATS)
            formats = [form for form in tried if _reads(uniques, form)]
            if formats:
                found.append(_best_format(name, uniques, formats))
    return sorted(
        found, key=lambda clock: (not _named(clock.column, TIME_NAMES), -tables.both(clock.column).nunique())
    )


def find_steps(tables: DraftTables, excluded: set[str]) -> tuple[str, Clock] | None:
    """(group column, clock) where rows of a group stand together and a number counts them; else None."""
    table = tables.train
    shared = [name for name in table.columns if name not in excluded and tables.shared(name)]
    for group in sorted(
        (name for name in shared if contiguous(table[name])), key=lambda name: -table[name].nunique()
    ):
        code = pd.factorize(table[group], use_na_sentinel=False)[0]
        same = np.diff(code) == 0
        rising = []
        for name in shared:
            if name == group or not pd.api.types.is_numeric_dtype(table[name]):
                continue
            step = np.diff(table[name].to_numpy(dtype=float))
            if same.any() and np.all(step[same] > 0) and np.any(step[~same] <= 0):
                rising.append(name)
        if rising:
            rising.sort(key=lambda name: not _named(name, STEP_NAMES))
            return group, Clock(rising[0], dated=False, others=tuple(rising[1:]))
    return None


def parse(values: pd.Series, clock: Clock) -> pd.Series:
    """A time column's values as dates, or as numbers where it is not dated."""
    if not clock.dated:
        return values.astype(float)
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None) if values.dt.tz is not None else values
    code, uniques = pd.factorize(values)
    dates = pd.to_datetime(pd.Series(uniques).astype(str), format=clock.date_format or "ISO8601")
    return pd.Series(dates.to_numpy()[code])


def _dated(name: str, values: pd.Series, form: str | None, also: str | None) -> Clock:
    dates = pd.DatetimeIndex(pd.Series(values.unique())).sort_values()
    frequency, regular = _frequency(dates.tz_localize(None) if dates.tz is not None else dates)
    return Clock(name, True, form, frequency, regular, also_format=also)


def _best_format(name: str, uniques: pd.Series, formats: list[str]) -> Clock:
    """Of the formats that read every value, the one whose dates are spaced most regularly."""
    clocks = [
        _dated(name, pd.to_datetime(uniques, format=form), None if form == "ISO8601" else form, None)
        for form in formats
    ]
    best = max(range(len(clocks)), key=lambda index: (round(clocks[index].regular, 3), -index))
    others = [form for index, form in enumerate(formats) if index != best and formats[best] != "ISO8601"]
    chosen = clocks[best]
    return Clock(
        name, True, chosen.date_format, chosen.frequency, chosen.regular, (), others[0] if others else None
    )


def _reads(uniques: pd.Series, form: str) -> bool:
    if pd.to_datetime(uniques.iloc[:50], format=form, errors="coerce").isna().any():
        return False
    return not bool(pd.to_datetime(uniques, format=form, errors="coerce").isna().any())


def _frequency(dates: pd.DatetimeIndex) -> tuple[str | None, float]:
    """(pandas alias, share of neighbouring dates that are one step apart); None where no step is usual."""
    if len(dates) < 3:
        return None, 0.0
    gaps = np.diff(dates.to_numpy().astype("datetime64[s]").astype(np.int64))
    values, counts = np.unique(gaps, return_counts=True)
    usual, share = int(values[counts.argmax()]), float(counts.max() / len(gaps))
    day = 86_400
    if usual >= 28 * day:
        months = _long_frequency(dates, gaps)
        if months[0] is not None or usual % (7 * day):
            return months  # else 28 days between most dates: no calendar month, but four weeks
    if usual == day and not np.isin(dates.dayofweek.to_numpy(), (5, 6)).any() and len(dates) > 10:
        within = np.isin(gaps, (day, 3 * day)).mean()
        return "B", float(within)
    if share < 0.5:
        return None, share
    if usual % (7 * day) == 0:
        weekday = dates[-1].day_name()[:3].upper()
        return (f"W-{weekday}" if usual == 7 * day else f"{usual // (7 * day)}W-{weekday}"), share
    for seconds, alias in ((day, "D"), (3600, "h"), (60, "min"), (1, "s")):
        if usual % seconds == 0:
            count = usual // seconds
            return (alias if count == 1 else f"{count}{alias}"), share
    return None, share


def _long_frequency(dates: pd.DatetimeIndex, gaps: np.ndarray) -> tuple[str | None, float]:
    """Months, quarters and years, whose steps differ in length."""
    days = np.median(gaps) / 86_400
    start = bool(dates.is_month_start.mean() > 0.9)
    end = bool(dates.is_month_end.mean() > 0.9)
    if not start and not end:
        return None, 0.0
    side = "S" if start else "E"
    for length, alias in ((28, "M"), (88, "Q"), (360, "Y")):
        if length <= days <= length * 1.12:
            share = float(((gaps / 86_400 >= length) & (gaps / 86_400 <= length * 1.12)).mean())
            month = dates[-1].strftime("%b").upper()
            anchor = f"-{month}" if alias != "M" else ""
            return f"{alias}{side}{anchor}", share
    return None, 0.0


def seasons(frequency: str | None, rows: int) -> tuple[list[int], int]:
    """(seasonal periods in rows that fit at least twice into `rows`, horizon) of a frequency."""
    if frequency is None:
        return [], max(1, rows // 10)
    base = frequency.partition("-")[0]
    if base in SEASONS:
        periods, horizon = SEASONS[base]
    else:
        periods, horizon = _seasons_of_step(pd.tseries.frequencies.to_offset(base), rows)
    return [period for period in periods if 2 * period <= rows], max(1, min(horizon, rows // 4))


def _seasons_of_step(step: pd.offsets.BaseOffset | None, rows: int) -> tuple[list[int], int]:
    """(seasonal periods in rows, horizon) of steps of some weeks, or of which a day has some."""
    if isinstance(step, pd.offsets.Week):
        year, part = divmod(_WEEKS_OF_YEAR, step.n)
        return [year] if part == 0 and year > 1 else [], max(1, _WEEKS_AHEAD // step.n)
    # A Tick has a length in nanoseconds; other offsets raise when they are asked for it.
    daily = int(86_400e9 // step.nanos) if isinstance(step, pd.offsets.Tick) else 0
    return ([daily, 7 * daily], daily) if daily >= 2 else ([], max(1, rows // 10))


def _named(name: str, names: tuple[str, ...]) -> bool:
    """Whether a column's name is one of `names`, or ends or begins with one (order_date, date_id)."""
    lower = name.lower()
    return lower in names or any(lower.endswith(f"_{word}") or lower.startswith(f"{word}_") for word in names)
