"""What the target was on earlier rows of the same series that look alike: same weekday, same promotion."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.errors import unknown
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.calendar import PARTS, part_codes, part_values
from features.reading import (
    choose,
    codes,
    horizon_rows,
    is_category,
    key_codes,
    known_inputs,
    numbers,
    past_column,
    past_inputs,
    past_values,
    positive,
)
from features.seasonal import over_last_axis
from features.within_series import cumulative_sum, spread

STATISTICS = ("mean", "median", "std")

#: Values that a statistic of the last n rows gathers at a time.
VALUES_AT_ONCE = 4_000_000


@FEATURES.register("keyed_history")
@dataclass(frozen=True)
class KeyedHistory(Feature):
    """`statistics` of the target over rows up to t - lag of the same series with row t's values in `keys`,
    in transformed units. Only rows of weight > 0 whose target is known count. The reach is the lag.

    keys: known columns, or parts of the date (day_of_week, hour, ...: see `features.calendar`).
    last: only the last n such rows; null: all of them. lag: null: the horizon.
    least: fewer rows give a missing value.
    """

    version: ClassVar[int] = 2

    keys: tuple[str, ...]
    inputs: tuple[str, ...] = ()  # targets and past-only reals; []: the targets
    statistics: tuple[str, ...] = ("median",)
    last: int | None = None
    lag: int | None = None
    least: int = 1

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.keyed_history"
        choose(f"{where}.statistics", "statistic", self.statistics, STATISTICS)
        positive(where, "least", (self.least,))
        if self.last is not None:
            positive(where, "last", (self.last,))
        for name in self.keys:
            check_key(competition, panel, name, f"{where}.keys")
        lag = self._lag(competition, panel)
        title = "_x_".join(self.keys) or "series"
        rows = "" if self.last is None else f"_last_{self.last}"
        return tuple(
            past_column(past, f"{statistic}_by_{title}{rows}", lag, difference=statistic == "std")
            for past in past_inputs(competition, panel, self.inputs, where)
            for statistic in self.statistics
        )

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        lag = self._lag(competition, panel)
        group = combined_codes(competition, panel, self.keys)
        for past in past_inputs(competition, panel, self.inputs, "features.keyed_history"):
            value = past_values(competition, panel, past, counted=True)
            history = _History(value, group, panel.offsets, lag)
            for statistic in self.statistics:
                found = history.last(statistic, self.last) if self.last else history.all(statistic)
                yield np.where(history.end - history.start >= self.least, found, np.nan)

    def _lag(self, competition: Competition, panel: Panel) -> int:
        where = "features.keyed_history"
        lag = horizon_rows(competition, panel, f"{where}.lag") if self.lag is None else self.lag
        positive(where, "lag", (lag,))
        return lag

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if competition.task != "horizon":
            return None
        keys = ["is_weekend", *competition.columns.known_categorical[:1]]
        return {"keys": keys, "statistics": list(STATISTICS), "lag": 3}


class _History:
    """Counted rows sorted by (series and key, row); row t's history is `start[t]:end[t]` of them."""

    def __init__(self, value: np.ndarray, group: np.ndarray, offsets: np.ndarray, lag: int) -> None:
        rows = len(value)
        series = spread(np.arange(len(offsets) - 1), offsets)
        group = series * (int(group.max(initial=0)) + 1) + group
        counted = np.flatnonzero(~np.isnan(value))
        ordered = counted[np.argsort(group[counted], kind="stable")]
        self.value = value[ordered]
        place = group[ordered] * rows + ordered  # grows; group * rows is where the group starts
        # The last row that may be read; where it lies before the series, that is before its group too,
        # for the rows of a group are rows of its series.
        readable = np.maximum(np.arange(rows) - lag, -1)
        self.start = np.searchsorted(place, group * rows)
        self.end = np.maximum(np.searchsorted(place, group * rows + readable, side="right"), self.start)
        sizes = np.flatnonzero(np.diff(group[ordered], prepend=-1))
        self.borders = np.append(sizes, len(ordered))

    def all(self, statistic: str) -> np.ndarray:
        """(R,) over the whole history of each row; any number where it is empty."""
        if not len(self.value):
            return np.full(len(self.start), np.nan)
        last = np.maximum(self.end - 1, 0)
        if statistic == "median":
            return _running_median(self.value, self.borders)[last]
        count = np.maximum(self.end - self.start, 1)
        centre = spread(self.value[self.borders[:-1]], self.borders)
        total = cumulative_sum(self.value - centre, self.borders)
        mean = total[last] / count
        if statistic == "mean":
            return mean + centre[last]
        square = cumulative_sum((self.value - centre) ** 2, self.borders)[last] / count
        return np.asarray(np.sqrt(np.maximum(square - mean**2, 0.0)))

    def last(self, statistic: str, most: int) -> np.ndarray:
        """(R,) over the last `most` rows of each history; NaN where it is empty."""
        out = np.full(len(self.start), np.nan)
        if not len(self.value):
            return out
        rows_at_once = max(1, VALUES_AT_ONCE // most)
        for first in range(0, len(out), rows_at_once):
            part = slice(first, first + rows_at_once)
            index = self.end[part, None] - 1 - np.arange(most)
            held = np.where(index >= self.start[part, None], self.value[np.maximum(index, 0)], np.nan)
            out[part] = over_last_axis(held, statistic)
        return out


def _running_median(value: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """(N,) median of the values of the same group up to and with each one."""
    out = np.empty(len(value))
    for first, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        ordered: list[float] = []
        for index, number in enumerate(value[first:end].tolist()):
            insort(ordered, number)
            middle = index // 2
            out[first + index] = (ordered[middle] + ordered[index - middle]) / 2
    return out


def check_key(competition: Competition, panel: Panel, name: str, where: str) -> None:
    """Raise InputError unless `name` is a known column or a part of the panel's dates."""
    if name in panel.frame or name in panel.static or name in panel.target_name:
        known_inputs(competition, panel, (name,), where)
    elif name in PARTS:
        part_codes(panel, name, where)
    else:
        raise unknown("key", name, [*panel.frame.columns, *panel.static.columns, *PARTS], where)


def key_values(panel: Panel, name: str, where: str) -> np.ndarray:
    """(R,) what a key that `check_key` has passed is on each row: equal in all panels of the same codes."""
    if name not in panel.frame and name not in panel.static:
        return part_values(panel, name, where)
    return codes(panel, name, where)[0] if is_category(panel, name) else numbers(panel, name, where)


def combined_codes(competition: Competition, panel: Panel, keys: tuple[str, ...]) -> np.ndarray:
    """(R,) int64: equal on rows of this panel that have equal values in all of `keys`."""
    combined = np.zeros(panel.rows, dtype=np.int64)
    largest = 1
    for name in keys:
        own = name in panel.frame or name in panel.static
        code, size = key_codes(panel, name) if own else part_codes(panel, name, "features.keyed_history")
        combined = combined * size + code
        largest *= size
        if largest > 2**31:  # many keys: number the combinations that are there
            distinct, combined = np.unique(combined, return_inverse=True)
            largest = len(distinct)
    return combined
