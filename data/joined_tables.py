"""Further files joined to the rows by key, many rows to one."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from data.calendar_grid import BadTime, parse_time
from data.coding import natural_order, text_codes, text_of
from data.competition import Competition, Join
from data.errors import InputError, nearest
from data.raw_tables import RawTables
from data.rows import Rows
from data.tables import missing_columns


def joined_columns(tables: RawTables) -> dict[str, str]:
    """column: the file that a join brings it from. InputError for a column that the file lacks."""
    found: dict[str, str] = {}
    for join, table in zip(tables.competition.joins, tables.joins, strict=True):
        if join.optional and join.columns is None:
            raise InputError(
                f"competition {tables.competition.name}: joins {join.file}: an optional file needs `columns`"
            )
        if table is not None:
            missing_columns(table, [*join.key, *(join.columns or [])], tables.name(join.file))
        names = join.columns or (
            [] if table is None else [name for name in table.columns if name not in join.key]
        )
        for name in names:
            if name in found:
                raise InputError(
                    f"{join.file}: column {name!r} is in {found[name]} too; name the columns to join under"
                    f" joins.columns"
                )
            found[name] = join.file
    return found


def join_table(
    rows: Rows,
    join: Join,
    table: pd.DataFrame | None,
    file: str,
    competition: Competition,
    needed: Collection[str],
) -> None:
    """Add the needed columns of one file to the rows, in place; table=None: an optional file that is absent.

    Raises InputError for a key that stands twice in the file, and for a series that it does not have.
    """
    on, columns = join.key, join.columns
    if table is None:
        for name in columns or []:
            rows.frame[name] = np.full(len(rows.frame), np.nan)
        rows.notes.append(f"{file}: not there (optional); {', '.join(columns or [])} are missing everywhere")
        return
    if not on:
        raise InputError(f"competition {competition.name}: joins {file}: `key` names no column")
    try:
        mine, theirs = _keys(rows.frame, table, on, competition)
    except BadTime as bad:
        raise InputError(
            f"{file} or {rows.train_file}: column {competition.time!r}, row {bad.row + 1}:"
            f" found {bad.found!r}, expected {bad.expected}"
        ) from None
    doubled = pd.Series(theirs).duplicated().to_numpy()
    if doubled.any():
        row = int(np.argmax(doubled))
        key = ", ".join(f"{name}={text_of(table[name].iloc[row])}" for name in on)
        raise InputError(f"{file}: row {row + 1}: {key} stands twice; expected one row per {' + '.join(on)}")
    place = pd.Index(theirs).get_indexer(pd.Index(mine))
    lost = place < 0
    if lost.any():
        row = int(np.argmax(lost))
        key = ", ".join(f"{name}={text_of(rows.frame[name].iloc[row])}" for name in on)
        if set(on) <= set(competition.series):
            near = nearest(
                text_of(rows.frame[on[0]].iloc[row]), natural_order(map(text_of, table[on[0]])), count=1
            )
            hint = f"; nearest there: {near[0]!r}" if near else ""
            raise InputError(f"{rows.place(row)}: {key} is not in {file}{hint} ({int(lost.sum())} rows)")
        rows.notes.append(f"{file}: {int(lost.sum())} rows have no match, first {rows.place(row)} ({key})")
    for name in columns or [name for name in table.columns if name not in on]:
        if name in needed:
            rows.frame[name] = table[name].take(np.maximum(place, 0)).reset_index(drop=True).where(~lost)
            rows.vocabulary[name] = list(table[name].dropna().unique())


def _keys(
    frame: pd.DataFrame, table: pd.DataFrame, on: list[str], competition: Competition
) -> tuple[np.ndarray, np.ndarray]:
    """Integer keys of the rows and of the table, equal where all key columns are."""
    mine, theirs = np.zeros(len(frame), dtype=np.int64), np.zeros(len(table), dtype=np.int64)
    for name in on:
        both = pd.concat(
            [_key_text(frame[name], name, competition), _key_text(table[name], name, competition)]
        )
        codes, uniques = pd.factorize(both)
        both_codes = np.concatenate([mine, theirs]) * (len(uniques) + 1) + codes + 1
        combined, _ = pd.factorize(both_codes)
        mine, theirs = combined[: len(frame)], combined[len(frame) :]
    return mine, theirs


def _key_text(values: pd.Series, name: str, competition: Competition) -> pd.Series:
    if name == competition.time and values.dtype.kind != "M" and competition.date_format:
        values = pd.Series(parse_time(values, competition.date_format, True))
    codes, texts = text_codes(values)
    return pd.Series(np.array([*texts, None], dtype=object)[codes])
