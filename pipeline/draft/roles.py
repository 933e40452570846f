"""What each remaining column is: static, known in the future or past only, category or number."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pipeline.draft.clock import Clock
from pipeline.draft.identity import Identity
from pipeline.draft.tables import (
    FEW_VALUES,
    FREE_TEXT,
    DraftTables,
    codes_of,
    constant_within,
    is_text,
    is_whole,
)

ROLES = (
    "static_categorical",
    "static_real",
    "known_categorical",
    "known_real",
    "past_categorical",
    "past_real",
    "ignored",
)

#: A column that at least this share of training rows has, and of asked rows less than this part of it, is
#: hidden from asked rows. What few rows have (the name of a holiday) may be rare there by chance.
_MOSTLY = 0.5


@dataclass
class Roles:
    """Column names by role, and the reason for each column."""

    columns: dict[str, list[str]]
    reasons: dict[str, str]

    def put(self, role: str, name: str, reason: str) -> None:
        """Give a column its role."""
        self.columns[role].append(name)
        self.reasons[name] = reason


def assign_roles(
    tables: DraftTables, identity: Identity, clock: Clock | None, series: list[str], task: str
) -> Roles:
    """A role for every column of train and test that is no id, series, time or target."""
    roles = Roles({role: [] for role in ROLES}, {})
    spoken_for = {*identity.row_id, *identity.target, *series, *([clock.column] if clock else [])}
    group = codes_of(tables.train, series)
    for name in tables.train.columns:
        if name in spoken_for:
            continue
        values = tables.both(name) if tables.shared(name) else tables.train[name]
        ignored = "empty in the training file" if tables.train[name].isna().all() else _why_ignored(values)
        if ignored:
            roles.put("ignored", name, ignored)
            continue
        suffix, kind = _kind(values)
        hidden = _why_hidden(tables, name)
        there = tables.test is None or name in tables.test
        fixed = bool(series) and there and constant_within(tables.train[name], group)
        if fixed and (task == "horizon" or not hidden):  # hidden or not, a series' history shows its value
            although = f", although {hidden}" if hidden else ""
            roles.put(f"static{suffix}", name, f"one value in each series{although}; {kind}")
        elif tables.test is None:
            roles.put(
                f"past{suffix}",
                name,
                f"no test file shows it: known_{suffix[1:]} if it is known ahead; {kind}",
            )
        elif not hidden:
            roles.put(f"known{suffix}", name, f"in the test file too; {kind}")
        elif task == "sequence":
            roles.put("ignored", name, f"{hidden}, and groups are predicted whole")
        else:
            otherwise = f"; known{suffix} if a blank says that nothing happens" if there else ""
            roles.put(f"past{suffix}", name, f"{hidden}{otherwise}; {kind}")
    for name in tables.test.columns if tables.test is not None else ():
        if name not in tables.train.columns and name not in spoken_for:
            roles.put("ignored", name, "in the test file only")
    return roles


def _why_hidden(tables: DraftTables, name: str) -> str:
    """Why asked rows do not show a column of train, or hardly do; '' where they do, or no file tells.

    Training rows have its values all the same. Were it taken as known, folds and hold-out would show models
    what the asked rows lack, and score better than the submission.
    """
    if tables.test is None:
        return ""
    if name not in tables.test:
        return "not in the test file"
    if not tables.shared(name):
        return "empty in the test file"
    usual, asked = (float(table[name].notna().mean()) for table in (tables.train, tables.test))
    if usual >= _MOSTLY and asked < _MOSTLY * usual:
        return (
            f"missing in {1 - asked:.0%} of the test file's rows, in {1 - usual:.0%} of the training file's"
        )
    return ""


def _why_ignored(values: pd.Series) -> str:
    """Why a column is of no use as it stands; '' where it is."""
    distinct = values.nunique()
    if distinct == 1 and not values.isna().any():
        return "the same value everywhere"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "a second date column: `derive` can turn it into a number"
    if is_text(values) and distinct > FREE_TEXT:
        return f"text of {distinct} different values"
    return ""


def _kind(values: pd.Series) -> tuple[str, str]:
    """('_categorical' or '_real', why)."""
    distinct = values.nunique()
    if is_text(values):
        return "_categorical", f"text of {distinct} values"
    if is_whole(values) and distinct == 2:
        return "_real", f"a flag, {values.min():g} or {values.max():g}"
    if is_whole(values) and distinct <= FEW_VALUES:
        return "_categorical", f"whole numbers of {distinct} values (a real if their order matters)"
    return "_real", f"numbers, {values.min():g} to {values.max():g}"
