"""Rows of train and test as one table: filled, joined with the further files, with derived columns.

Row i is row i of the training file, then those of the test file; nothing is sorted or coded yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from data.calendar_grid import BadTime, parse_time
from data.coding import NotReal, natural_order, real, text_codes, text_of
from data.competition import Competition
from data.errors import InputError, nearest, unknown
from data.expression import check_expression, evaluate_values
from data.raw_tables import RawTables, id_columns
from data.tables import missing_columns


@dataclass
class Rows:
    """N rows; `vocabulary` has the values that a joined column takes in its own file."""

    frame: pd.DataFrame
    train_count: int
    train_file: str
    test_file: str
    has_identity: tuple[bool, bool]  # whether the training and the test rows have the id columns
    vocabulary: dict[str, list[Any]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # targets and derived columns that read them
    notes: list[str] = field(default_factory=list)

    @property
    def train(self) -> np.ndarray:
        """(N,) bool: rows of the training file."""
        return np.arange(len(self.frame)) < self.train_count

    def place(self, row: int) -> str:
        """File and row (the first row of data is 1), for messages."""
        if row < self.train_count:
            return f"{self.train_file}: row {row + 1}"
        return f"{self.test_file}: row {row - self.train_count + 1}"

    def real(self, name: str) -> np.ndarray:
        """(N,) float64 of a column, NaN where missing. InputError for what is no finite number."""
        try:
            return real(self.frame[name])
        except NotReal as bad:
            raise InputError(
                f"{self.place(bad.row)}: column {name!r}: found {bad.found!r}, expected {bad.expected}"
            ) from None

    def time(self, competition: Competition) -> np.ndarray | None:
        """(N,) parsed times, or None without a time column. InputError for what is no time."""
        if competition.time is None:
            return None
        dated = competition.frequency is not None or competition.date_format is not None
        try:
            return parse_time(self.frame[competition.time], competition.date_format, dated)
        except BadTime as bad:
            raise InputError(
                f"{self.place(bad.row)}: column {competition.time!r}: found {text_of(bad.found)!r},"
                f" expected {bad.expected}"
            ) from None


def role_columns(competition: Competition) -> dict[str, str]:
    """column: role, over all roles but `ignored`. InputError for a column with two roles."""
    roles: dict[str, str] = {}
    for role in ("static_categorical", "static_real", "known_categorical", "known_real",
                 "past_categorical", "past_real"):  # fmt: skip
        for name in getattr(competition.columns, role):
            if name in roles:
                raise InputError(
                    f"competition {competition.name}: column {name!r} has two roles, {roles[name]} and"
                    f" {role}; derive a second column for one of them"
                )
            if name in competition.target:
                raise InputError(
                    f"competition {competition.name}: the target {name!r} cannot have role {role}"
                )
            roles[name] = role
    return roles


def post_expressions(competition: Competition) -> list[str]:
    """The `where` expressions of post-processing."""
    found = [post.settings.get("where") for post in competition.post]
    return [str(expression) for expression in found if expression]


def raw_columns(competition: Competition) -> dict[str, str]:
    """column: what it is needed for; columns of the files or of joins, derived ones resolved."""
    needed = {name: f"columns.{role}" for name, role in role_columns(competition).items()}
    expressions = {"judged": competition.judged, **{f"derive.{k}": v for k, v in competition.derive.items()}}
    expressions |= {f"post where {text!r}": text for text in post_expressions(competition)}
    for where, text in expressions.items():
        if text:
            for name in check_expression(text, None, f"competition {competition.name}, {where}"):
                needed.setdefault(name, where)
    if competition.weight:
        needed.setdefault(competition.weight, "weight")
    for name in competition.fill:
        needed.setdefault(name, f"fill.{name}")
    for join in competition.joins:
        for name in join.key:
            needed.setdefault(name, f"joins {join.file}")
    return {name: why for name, why in needed.items() if name not in competition.derive}


def assemble(tables: RawTables) -> Rows:
    """All rows with every column that the competition needs.

    Raises InputError for a missing or extra column, a key without a joined row, a derived known column
    that reads the target.
    """
    competition, train, test = tables.competition, tables.train, tables.test
    assert test is not None, "rows to be asked are made before"
    needed = raw_columns(competition)
    joined = _joined_columns(tables)
    keys = [*competition.series, *([competition.time] if competition.time else [])]
    missing_columns(train, [*keys, *competition.target], tables.name("train"))
    missing_columns(
        test, [*keys, *(name for name in id_columns(competition) if name not in keys)], tables.name("test")
    )
    _check_needed(tables, needed, joined)
    _check_extra(tables, needed)
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
    _fill(rows, competition)
    for join, table in zip(competition.joins, tables.joins, strict=True):
        _join(rows, join.key, join.columns, table, tables.name(join.file), competition, joined)
    _fill(rows, competition, late=True)
    _derive(rows, competition)
    return rows


def _stacked(parts: list[pd.Series | None], lengths: list[int]) -> pd.Series:
    """Train and test values of one column; numbers and texts are stacked as texts."""
    there = [part for part in parts if part is not None]
    kinds = {part.dtype.kind in "biuf" for part in there if part.notna().any()}
    if len(kinds) == 2 and not any(part.dtype.kind == "M" for part in there):
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
    if part.dtype.kind not in "biuf":
        return part.astype(object)
    codes, texts = text_codes(part)
    return pd.Series(np.array([*texts, None], dtype=object)[codes])


def _joined_columns(tables: RawTables) -> dict[str, str]:
    """column: the file that a join brings it from."""
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
            found[name] = join.file
    return found


def _check_needed(tables: RawTables, needed: dict[str, str], joined: dict[str, str]) -> None:
    competition = tables.competition
    assert tables.test is not None
    past = {*competition.columns.past_real, *competition.columns.past_categorical, *competition.target}
    static = {*competition.columns.static_real, *competition.columns.static_categorical}
    for name, why in needed.items():
        if name in joined:
            clash = [table for table in ("train", "test") if name in getattr(tables, table).columns]
            if clash:
                raise InputError(
                    f"{joined[name]}: column {name!r} is in {tables.name(clash[0])} too;"
                    f" name the columns to join under joins.columns"
                )
            continue
        for part, frame in (("train", tables.train), ("test", tables.test)):
            if name in frame.columns or (part == "test" and _may_lack(name, why, past, static, competition)):
                continue
            there = [*frame.columns, *joined, *(competition.derive if why.startswith("columns") else ())]
            near = nearest(name, there)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise InputError(
                f"{tables.name(part)}: column {name!r} ({why}) is missing; {hint}"
                f"found columns {', '.join(frame.columns[:20])}"
            )


def _may_lack(name: str, why: str, past: set[str], static: set[str], competition: Competition) -> bool:
    """Whether the test file may be without a column."""
    if name in past or why == "weight" or why.startswith("derive."):
        return True
    return competition.task == "horizon" and name in static


def _check_extra(tables: RawTables, needed: dict[str, str]) -> None:
    competition = tables.competition
    assert tables.test is not None
    files = (tables.train.columns, tables.test.columns)
    known = {
        *needed,
        *competition.target,
        *competition.series,
        *id_columns(competition),
        *competition.columns.ignored,
    }
    known |= {competition.time or "", competition.submission.row_id or ""}
    for part, here, other in (("test", files[1], files[0]), ("train", files[0], files[1])):
        for name in here:
            if name not in known and name not in other:
                there = tables.name("train" if part == "test" else "test")
                near = nearest(name, [*known - {""}], count=1)
                hint = f" (nearest declared: {near[0]!r})" if near else ""
                raise InputError(
                    f"{tables.name(part)}: extra column {name!r}: it is not in {there} and has no role{hint};"
                    f" give it one or list it under columns.ignored"
                )


def _fill(rows: Rows, competition: Competition, late: bool = False) -> None:
    """Put declared constants where values are missing; `late`: those of columns that joins brought."""
    for name, constant in competition.fill.items():
        if name not in rows.frame.columns:
            if late:
                raise unknown("column", name, rows.frame.columns, f"competition {competition.name}, fill")
            continue
        missing = rows.frame[name].isna()
        if missing.any():
            first = rows.place(int(np.argmax(missing.to_numpy())))
            value = constant if rows.frame[name].dtype.kind in "biuf" else text_of(constant)
            rows.frame[name] = rows.frame[name].fillna(value)
            rows.notes.append(
                f"{name}: {int(missing.sum())} missing values filled with {constant} (first: {first})"
            )


def _join(
    rows: Rows,
    on: list[str],
    columns: list[str] | None,
    table: pd.DataFrame | None,
    file: str,
    competition: Competition,
    joined: dict[str, str],
) -> None:
    if table is None:
        for name in columns or []:
            rows.frame[name] = np.full(len(rows.frame), np.nan)
        rows.notes.append(f"{file}: not there (optional); {', '.join(columns or [])} are missing everywhere")
        return
    if not on:
        raise InputError(f"competition {competition.name}: joins {file}: `key` names no column")
    mine, theirs = _keys(rows.frame, table, on, competition)
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
    for name in table.columns:
        if joined.get(name) and name not in on and name not in rows.frame.columns:
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
        both_codes = np.concatenate([mine, theirs]) * (len(uniques) + 1) + codes
        combined, _ = pd.factorize(both_codes)
        mine, theirs = combined[: len(frame)], combined[len(frame) :]
    return mine, theirs


def _key_text(values: pd.Series, name: str, competition: Competition) -> pd.Series:
    if name == competition.time and values.dtype.kind != "M" and competition.date_format:
        return pd.Series(pd.DatetimeIndex(parse_time(values, competition.date_format, True)).astype(str))
    codes, texts = text_codes(values)
    return pd.Series(np.array([*texts, None], dtype=object)[codes])


def _derive(rows: Rows, competition: Competition) -> None:
    hidden = {*competition.target, *competition.columns.past_real, *competition.columns.past_categorical}
    rows.hidden = set(competition.target)
    roles = role_columns(competition)
    for name, text in competition.derive.items():
        where = f"competition {competition.name}, derive.{name}"
        if name in rows.frame.columns:
            raise InputError(f"{where}: a column {name!r} is there already")
        reads = check_expression(text, rows.frame.columns, where)
        secret = [column for column in reads if column in hidden]
        if secret and not roles.get(name, "past").startswith("past"):
            raise InputError(
                f"{where}: it reads {secret[0]!r}, which is not known ahead,"
                f" so its role cannot be {roles[name]}"
            )
        if secret:
            hidden.add(name)
            rows.hidden.add(name)
        rows.frame[name] = evaluate_values(text, rows.frame, where)
