"""Rows that are asked where the competition has no test file: the horizon after each series' end."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from data.calendar_grid import BadTime, clock_of, parse_time, zone_of
from data.coding import text_codes, text_of
from data.competition import Competition
from data.errors import InputError
from data.raw_tables import RawTables
from data.tables import missing_columns


def with_asked_rows(tables: RawTables) -> RawTables:
    """The same tables, with a generated test table where there is none.

    Each series gets `horizon` rows after its last one: columns of series and time, written as in the
    training file. Raises InputError where the competition does not say how.
    """
    competition = tables.competition
    if tables.test is not None:
        return tables
    if competition.task != "horizon" or competition.horizon is None or competition.time is None:
        raise InputError(
            f"competition {competition.name}: without a test file (files.test: null) it needs task: horizon,"
            f" a horizon and a time column"
        )
    train, file = tables.train, tables.name("train")
    missing_columns(train, [*competition.series, competition.time], file)
    dated = competition.frequency is not None or competition.date_format is not None
    try:
        times = parse_time(train[competition.time], competition.date_format, dated)
        clock = clock_of(times, competition.frequency, f"competition {competition.name}, frequency")
        if not clock.regular:
            raise InputError(
                f"competition {competition.name}: without a test file the times to be asked need a frequency"
            )
        step = clock.steps(times)
    except BadTime as bad:
        raise InputError(
            f"{file}: row {bad.row + 1}: column {competition.time!r}: found {text_of(bad.found)!r},"
            f" expected {bad.expected}"
        ) from None
    last = _last_rows(train, competition, step)
    asked = np.repeat(step[last], competition.horizon) + np.tile(
        np.arange(1, competition.horizon + 1), len(last)
    )
    stamps = clock.timestamps(asked)
    columns = {
        name: train[name].to_numpy()[np.repeat(last, competition.horizon)] for name in competition.series
    }
    columns[competition.time] = (
        asked if stamps is None else _written(stamps, train[competition.time], competition)
    )
    name = f"{competition.horizon} asked rows after {file}"
    return replace(tables, test=pd.DataFrame(columns), files={**tables.files, "test": name})


def _last_rows(train: pd.DataFrame, competition: Competition, step: np.ndarray) -> np.ndarray:
    """The row of each series with its largest step, series in order of appearance."""
    combined = np.zeros(len(train), dtype=np.int64)
    for name in competition.series:
        codes, texts = text_codes(train[name])
        combined = combined * (len(texts) + 1) + codes
    order = np.lexsort((step, pd.factorize(combined)[0]))
    group = pd.factorize(combined)[0][order]
    return order[np.flatnonzero(np.concatenate([group[1:] != group[:-1], [True]]))]


def _written(stamps: np.ndarray, like: pd.Series, competition: Competition) -> pd.DatetimeIndex | np.ndarray:
    """Dates (in UTC where they have a zone) in the form in which the training file has them."""
    dates = pd.DatetimeIndex(stamps)
    if isinstance(like.dtype, pd.DatetimeTZDtype):
        return dates.tz_localize("UTC").tz_convert(like.dtype.tz)
    if like.dtype.kind == "M":
        return stamps
    example = text_of(like.iloc[0])
    zone = zone_of(example, competition.date_format)
    if zone:
        dates = dates.tz_localize("UTC").tz_convert(zone)
    if competition.date_format:
        return dates.strftime(competition.date_format).to_numpy(dtype=object)
    form = {4: "%Y", 7: "%Y-%m", 10: "%Y-%m-%d", 16: "%Y-%m-%d %H:%M"}
    suffix = re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", example) if zone else None
    shown = example[: suffix.start()] if suffix else example
    text = form.get(len(shown), "%Y-%m-%d %H:%M:%S") + (suffix.group() if suffix else "")
    return dates.strftime(text.replace(" ", "T") if "T" in example else text).to_numpy(dtype=object)
