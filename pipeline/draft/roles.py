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
    in_test = None if tables.test is None else set(tables.test.columns)
    for name in tables.train.columns:
        if name in spoken_for:
            continue
        values = tables.both(name)
        ignored = _why_ignored(values)
        if ignored:
            roles.put("ignored", name, ignored)
            continue
        suffix, kind = _kind(values)
        shared = in_test is None or name in in_test
        if series and shared and constant_within(tables.train[name], group):
            roles.put(f"static{suffix}", name, f"one value in each series; {kind}")
        elif in_test is None:
            roles.put(
                f"past{suffix}",
                name,
                f"no test file shows it: known_{suffix[1:]} if it is known ahead; {kind}",
            )
        elif name in in_test:
            roles.put(f"known{suffix}", name, f"in the test file too; {kind}")
        elif task == "sequence":
            roles.put("ignored", name, "not in the test file, and groups are predicted whole")
        else:
            roles.put(f"past{suffix}", name, f"not in the test file; {kind}")
    for name in tables.test.columns if tables.test is not None else ():
        if name not in tables.train.columns and name not in spoken_for:
            roles.put("ignored", name, "in the test file only")
    return roles


def _why_ignored(values: pd.Series) -> str:
    """Why a column is of no use as it stands; '' where it is."""
    distinct = values.nunique()
    if values.isna().all():
        return "empty"
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
