"""In what order rows stand in the panel, and where the calendar has gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from data.calendar_grid import BadTime, Clock, clock_of
from data.coding import natural_order, text_codes, text_of
from data.competition import Competition
from data.errors import InputError
from data.rows import Rows

Value = TypeVar("Value")

_MOST_GAPS = 20  # inserted rows per row beyond which the frequency is not what the file has


@dataclass(frozen=True)
class RowOrder:
    """Panel row r is row source[r] of `Rows`, or a gap (-1)."""

    offsets: np.ndarray  # (S + 1,) int64
    series_name: np.ndarray  # (S,) str
    source: np.ndarray  # (R,) int64
    time: np.ndarray  # (R,) int64
    timestamp: np.ndarray | None  # (R,) datetime64[ns]

    def take(self, values: np.ndarray, gap: object) -> np.ndarray:
        """(R, ...) values of the rows in panel order, `gap` where there is none."""
        taken = values[self.source]
        inserted = self.source < 0
        if inserted.any():
            taken[inserted] = gap
        return taken

    def first_rows(self, values: np.ndarray) -> np.ndarray:
        """(S, ...) values at the first row of each series (never a gap)."""
        return values[self.source[self.offsets[:-1]]]


def order_rows(rows: Rows, competition: Competition) -> RowOrder:
    """Sort by series and time, and insert the rows that a regular calendar lacks.

    Raises InputError for a time that is no time or off the calendar, two rows of one series
    and time, a series of a sequence task in both files, and asked rows without history in a horizon task.
    """
    series, names = series_codes(rows, competition)
    times = rows.time(competition)
    where = f"competition {competition.name}, frequency"
    sequence = competition.task == "sequence"
    clock = Clock("position") if sequence else clock_of(times, competition.frequency, where)
    count = len(series)
    step = None
    if clock.regular:
        assert times is not None
        try:
            step = clock.steps(times)
        except BadTime as bad:
            raise InputError(
                f"{rows.place(bad.row)}: column {competition.time!r}: found {bad.found!r},"
                f" expected {bad.expected}"
            ) from None
    order = _sorted(series, times if step is None else step)
    lengths = np.bincount(series, minlength=len(names))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if times is not None:
        _check_doubled(rows, competition, series[order], times[order], order)
    if sequence:
        _check_apart(rows, names, series)
    else:
        _check_history(rows, names, offsets, order)
    if step is None:
        position = np.arange(count) - np.repeat(offsets[:-1], lengths)
        stamp = times[order] if times is not None and times.dtype.kind == "M" else None
        return RowOrder(offsets, names, order, position, stamp)
    step = step[order]
    first, last = step[offsets[:-1]], step[offsets[1:] - 1]
    full = last - first + 1
    if full.sum() == count:
        return RowOrder(offsets, names, order, step, clock.timestamps(step))
    if full.sum() > _MOST_GAPS * count + 1000:
        raise InputError(
            f"{where}: {full.sum()} steps of {competition.frequency or '1'} between first and last rows,"
            f" but only {count} rows; the frequency (or the time column) is not that of the files"
        )
    grid = np.concatenate([[0], np.cumsum(full)]).astype(np.int64)
    source = np.full(int(full.sum()), -1, dtype=np.int64)
    source[np.repeat(grid[:-1] - first, lengths) + step] = order
    whole = np.arange(len(source)) + np.repeat(first - grid[:-1], full)
    short = full > lengths
    example = names[int(np.argmax(full - lengths))]
    rows.notes.append(
        f"{int(full.sum()) - count} rows are missing in the calendar of {int(short.sum())} series (most in"
        f" {example}); they are inserted with weight 0"
    )
    return RowOrder(grid, names, source, whole, clock.timestamps(whole))


def series_codes(rows: Rows, competition: Competition) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int64 series of each row, and (S,) names in natural order."""
    combined: np.ndarray | None = None
    labels = np.array([competition.name], dtype=object)
    for name in competition.series:
        codes, texts = text_codes(rows.frame[name])
        if combined is None:
            combined, labels = codes, np.array(texts, dtype=object)
            continue
        combined, pairs = pd.factorize(combined * len(texts) + codes)
        left, right = np.divmod(pairs, len(texts))
        labels = labels[left] + competition.row_id_separator + np.array(texts, dtype=object)[right]
    if combined is None:
        combined = np.zeros(len(rows.frame), dtype=np.int64)
    rank = {name: index for index, name in enumerate(natural_order(labels))}
    if len(rank) < len(labels):
        return combined, labels  # two keys that only the separator makes alike: keep the order of the file
    place = np.array([rank[name] for name in labels], dtype=np.int64)
    return place[combined], np.array(sorted(labels, key=rank.__getitem__), dtype=object)


def _sorted(series: np.ndarray, time: np.ndarray | None) -> np.ndarray:
    """(N,) row numbers sorted by series and time; the file's order where they are equal."""
    if time is None:
        return np.argsort(series, kind="stable")
    ahead = series[1:] > series[:-1]
    if (ahead | ((series[1:] == series[:-1]) & (time[1:] >= time[:-1]))).all():
        return np.arange(len(series))
    return np.lexsort((time, series))


def _check_doubled(
    rows: Rows, competition: Competition, series: np.ndarray, times: np.ndarray, order: np.ndarray
) -> None:
    doubled = (series[1:] == series[:-1]) & (times[1:] == times[:-1])
    if doubled.any():
        at = int(np.argmax(doubled))
        first, second = sorted((int(order[at]), int(order[at + 1])))
        names = [*competition.series, *([competition.time] if competition.time else [])]
        key = ", ".join(f"{name}={text_of(rows.frame[name].iloc[second])}" for name in names)
        raise InputError(
            f"{rows.place(second)}: {key} stands twice, first in {rows.place(first)}; expected one row for"
            f" each series and time"
        )


def _check_apart(rows: Rows, names: np.ndarray, series: np.ndarray) -> None:
    both = np.intersect1d(series[: rows.train_count], series[rows.train_count :])
    if len(both):
        row = int(np.argmax(series == both[0]))
        other = rows.train_count + int(np.argmax(series[rows.train_count :] == both[0]))
        raise InputError(
            f"{rows.place(other)}: series {names[both[0]]} is in the training file too ({rows.place(row)});"
            f" in a sequence task a group is asked as a whole ({len(both)} such series)"
        )


def _check_history(rows: Rows, names: np.ndarray, offsets: np.ndarray, order: np.ndarray) -> None:
    first = order[offsets[:-1]]
    bare = first >= rows.train_count
    if bare.any():
        at = int(np.argmax(bare))
        raise InputError(
            f"{rows.place(int(first[at]))}: series {names[at]} has no row in {rows.train_file} before its"
            f" first asked row, so it has no history to forecast from ({int(bare.sum())} such series)"
        )
