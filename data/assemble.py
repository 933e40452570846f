"""Train and test rows as one table: filled, joined with the further files, with derived columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.calendar_grid import in_utc
from data.coding import text_codes, text_of
from data.competition import Competition
from data.errors import InputError, unknown
from data.expression import check_expression, evaluate_values
from data.joined_tables import join_table, joined_columns
from data.needed_columns import check_needed, raw_columns, role_columns, unread_columns
from data.raw_tables import RawTables, id_columns
from data.rows import Rows
from data.tables import missing_columns

_NUMBERS = str.maketrans("biuf", "ffff")  # kinds of dtypes, to one of them all


def assemble(tables: RawTables) -> Rows:
    """All rows with every column that the competition needs.

    Raises InputError for a missing or extra column, a missing key of a series, a key without a joined row,
    a derived known column that reads the target.
    """
    competition, train, test = tables.competition, tables.train, tables.test
    assert test is not None, "rows to be asked are made before"
    needed = raw_columns(competition)
    joined = joined_columns(tables)
    keys = [*competition.series, *([competition.time] if competition.time else [])]
    missing_columns(train, [*keys, *competition.target], tables.name("train"))
    missing_columns(
        test, [*keys, *(name for name in id_columns(competition) if name not in keys)], tables.name("test")
    )
    check_needed(tables, needed, joined)
    unread = unread_columns(tables, needed)
    identity = id_columns(competition)
    wanted = dict.fromkeys([*keys, *competition.target, *identity, *needed])
    parts = [part[[name for name in wanted if name in part.columns]] for part in (train, test)]
    columns = {}
    for name in wanted:
        if any(name in part.columns for part in parts):
            columns[name] = _stacked([part.get(name) for part in parts], [len(part) for part in parts])
    rows = Rows(
        pd.DataFrame(columns, copy=False),
        train_count=len(train),
        train_file=tables.name("train"),
        test_file=tables.name("test"),
        has_identity=(set(identity) <= set(train.columns), True),
        notes=list(tables.notes),
    )
    if unread:
        rows.notes.append(f"{rows.train_file}: no role, so not read by any model: {', '.join(unread)}")
    _fill(rows, competition)
    for name in competition.series:
        missing = rows.frame[name].isna().to_numpy()
        if missing.any():
            row = int(np.argmax(missing))
            raise InputError(f"{rows.place(row)}: column {name!r}: the key of the series is missing")
    for join, table in zip(competition.joins, tables.joins, strict=True):
        join_table(rows, join, table, tables.name(join.file), competition, needed)
    _fill(rows, competition, late=True)
    _derive(rows, competition)
    return rows


def _stacked(parts: list[pd.Series | None], lengths: list[int]) -> pd.Series:
    """Train and test values of one column; those of different kinds are stacked as texts."""
    there = [in_utc(part) for part in parts if part is not None]
    kinds = {part.dtype.kind.translate(_NUMBERS) for part in there if part.notna().any()}
    if len(kinds) == 2:
        there = [_as_text(part) for part in there]
    filled = iter(there)
    whole = []
    for part, length in zip(parts, lengths, strict=True):
        if part is not None:
            whole.append(next(filled))
        else:
            kind = there[0].dtype
            gap = "float64" if kind.kind in "biuf" else kind if kind.kind == "M" else object
            empty = pd.NaT if kind.kind == "M" else np.nan
            whole.append(pd.Series(np.full(length, empty, dtype=object), dtype=gap))
    return pd.concat(whole, ignore_index=True)


def _as_text(part: pd.Series) -> pd.Series:
    if part.dtype.kind not in "biufM":
        return part.astype(object)
    codes, texts = text_codes(part)
    return pd.Series(np.array([*texts, None], dtype=object)[codes])


def _fill(rows: Rows, competition: Competition, late: bool = False) -> None:
    """Put declared constants where values are missing; `late`: those of columns that joins brought."""
    for name, constant in competition.fill.items():
        if name not in rows.frame.columns:
            if late:
                raise unknown("column", name, rows.frame.columns, f"competition {competition.name}, fill")
            continue
        missing = rows.frame[name].isna()
        if name in competition.target:
            missing &= rows.train  # the target of asked rows stays unknown
        if missing.any():
            first = rows.place(int(np.argmax(missing.to_numpy())))
            value = constant if rows.frame[name].dtype.kind in "biuf" else text_of(constant)
            rows.frame[name] = rows.frame[name].mask(missing, value)
            rows.notes.append(
                f"{name}: {int(missing.sum())} missing values filled with {constant} (first: {first})"
            )


def _derive(rows: Rows, competition: Competition) -> None:
    past = [*competition.columns.past_real, *competition.columns.past_categorical]
    rows.hidden = {*competition.target, *past}
    roles = role_columns(competition)
    for name, text in competition.derive.items():
        where = f"competition {competition.name}, derive.{name}"
        if name in rows.frame.columns:
            raise InputError(f"{where}: a column {name!r} is there already")
        reads = check_expression(text, rows.frame.columns, where)
        secret = [column for column in reads if column in rows.hidden]
        if secret and not roles.get(name, "past").startswith("past"):
            raise InputError(
                f"{where}: it reads {secret[0]!r}, which is not known ahead,"
                f" so its role cannot be {roles[name]}"
            )
        if secret:
            rows.hidden.add(name)
        rows.frame[name] = evaluate_values(text, rows.frame, where)
