"""Static metadata: one value for each series, from joined tables or from columns that are constant in it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.coding import Coded, text_codes
from data.competition import Competition
from data.errors import InputError
from data.notes import note_unseen
from data.row_order import RowOrder
from data.rows import Rows


def static_frame(
    rows: Rows, order: RowOrder, competition: Competition
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """(S, columns) codes and reals, and the categories of the coded ones.

    A series takes the one value that its rows have; rows without a value do not count. Raises InputError
    for a series with two values.
    """
    columns: dict[str, np.ndarray] = {}
    categories: dict[str, list[str]] = {}
    series = np.repeat(np.arange(len(order.series_name)), np.diff(order.offsets))
    real_rows = order.source >= 0
    for name in [*competition.columns.static_categorical, *competition.columns.static_real]:
        chosen = _one_row_each(rows, order, name, series[real_rows], order.source[real_rows])
        if name in competition.columns.static_categorical:
            coded = Coded(rows.frame[name], rows.train, rows.vocabulary.get(name, ()))
            note_unseen(rows, name, coded)
            categories[name] = coded.categories
            columns[name] = np.where(chosen >= 0, coded.code[chosen], 0).astype(np.int32)
            missing = chosen < 0
        else:
            values = rows.real(name)[chosen]
            values[chosen < 0] = np.nan
            columns[name] = values
            missing = np.isnan(values)
        if missing.any():
            example = order.series_name[int(np.argmax(missing))]
            rows.notes.append(f"{name}: {int(missing.sum())} series without a value (first: {example})")
    return pd.DataFrame(columns, index=pd.RangeIndex(len(order.series_name)), copy=False), categories


def _one_row_each(
    rows: Rows, order: RowOrder, name: str, series: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """(S,) a row of each series that has its value of column `name`, -1 where no row has one."""
    codes, texts = text_codes(rows.frame[name])
    codes = codes[source]
    there = codes >= 0
    series, source, codes = series[there], source[there], codes[there]
    chosen = np.full(len(order.series_name), -1, dtype=np.int64)
    if not len(series):
        return chosen
    starts = np.flatnonzero(np.concatenate([[True], series[1:] != series[:-1]]))
    chosen[series[starts]] = source[starts]
    changes = np.flatnonzero((series[1:] == series[:-1]) & (codes[1:] != codes[:-1]))
    if len(changes):
        at = int(changes[0])
        raise InputError(
            f"{rows.place(int(source[at + 1]))}: static column {name!r} is not constant in series"
            f" {order.series_name[series[at]]}: found {texts[codes[at + 1]]!r} after {texts[codes[at]]!r}"
        )
    return chosen
