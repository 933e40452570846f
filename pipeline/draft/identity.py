"""Which columns are predicted, and which make a row's id, from what train, test and sample share."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pandas as pd

from data.errors import InputError
from pipeline.draft.tables import DraftTables

TARGET_NAMES = (
    "target", "y", "value", "sales", "demand", "weekly_sales", "unit_sales", "quantity", "count", "amount",
    "price", "revenue", "load", "consumption", "traffic", "visitors", "pressure", "label",
)  # fmt: skip
_PLAIN_NAMES = TARGET_NAMES[:7]
SEPARATORS = ("_", "-", "|", ":", " ", "/", "")
_MOST_ID_COLUMNS = 4


@dataclass(frozen=True)
class Identity:
    """Target and id columns; `submission_*` where the sample calls them otherwise, else None and []."""

    target: list[str]
    target_reason: str
    row_id: list[str]
    row_id_reason: str
    separator: str = "_"
    submission_row_id: str | None = None
    submission_target: tuple[str, ...] = ()


def identify(tables: DraftTables) -> Identity:
    """Raises InputError where no column can be the target, or the sample fits nothing."""
    target, reason, renamed = _target(tables)
    if tables.sample is None:
        return Identity(target, reason, *_id_without_sample(tables, target))
    id_columns = [name for name in tables.sample.columns if name not in (renamed or target)]
    row_id, why, separator, own = _id_of_sample(tables, id_columns)
    return Identity(target, reason, row_id, why, separator, own, tuple(renamed))


def _target(tables: DraftTables) -> tuple[list[str], str, list[str]]:
    """(targets, reason, the sample's names for them where they differ)."""
    train, test, sample = tables.train, tables.test, tables.sample
    in_test = {name for name in test.columns if tables.shared(name)} if test is not None else set()
    only = [name for name in train.columns if name not in in_test and _numeric(train[name])]
    if test is not None and sample is not None:
        both = [name for name in only if name in sample.columns]
        if both:
            return both, "in the training file and the sample, with no value in the test file", []
    if test is None and sample is not None:
        shared = [name for name in sample.columns if name in train.columns and _numeric(train[name])]
        best = [name for name in shared if name.lower() in TARGET_NAMES] or shared[-1:]
        if best:
            return best, "in the training file and the sample, where it looks like a prediction", []
    if test is not None and not any(name.lower() in TARGET_NAMES for name in only):
        # a test file that holds the truth: only the plainest names, since a price may be known ahead
        only = [
            name for name in train.columns if _numeric(train[name]) and name.lower() in _PLAIN_NAMES
        ] or only
    if not only:
        raise InputError(
            f"train={tables.paths['train']}: no numeric column that the test file lacks, so none can be "
            f"the target; found {', '.join(map(str, train.columns))}"
        )
    named = sorted((name for name in only if name.lower() in TARGET_NAMES), key=_rank)
    best = named[:1] or only[-1:]
    if test is None:
        reason = "numeric"
    else:
        words = "in the test file too" if best[0] in in_test else "with no value in the test file"
        reason = f"numeric, {words}"
    reason += ", and its name is usual for a target" if named else ", and the last such column"
    others = [name for name in only if name not in best]
    if others:
        reason += f"; considered too: {', '.join(others[:8])}"
    if sample is None:
        return best, reason, []
    known = in_test | set(train.columns)
    renamed = [name for name in sample.columns[1:] if name not in known][: len(best)] or list(
        sample.columns[-1:]
    )
    return best, f"{reason} (the sample calls it {', '.join(renamed)})", renamed


def _id_without_sample(tables: DraftTables, target: list[str]) -> tuple[list[str], str]:
    if tables.test is None:
        return [], "no sample and no test file: ids are made of the series and time columns"
    for name in tables.test.columns:
        if name.lower() in ("id", "row_id", "rowid") and tables.test[name].is_unique:
            return [name], "unique in the test file, and called an id"
    return [], "no sample: ids are made of the series and time columns"


def _id_of_sample(tables: DraftTables, names: list[str]) -> tuple[list[str], str, str, str | None]:
    """(row id columns, reason, separator, the sample's own name for the id or None)."""
    sample, test = tables.sample, tables.test
    assert sample is not None
    table, which = (tables.train, "train") if test is None else (test, "test")
    if not names:
        raise InputError(f"sample={tables.paths['sample']}: no id column beside the predictions")
    if all(name in table.columns for name in names):
        return names, f"the sample's id, found in the {which} file", "_", None
    if len(names) > 1 or test is None:
        raise InputError(
            f"sample={tables.paths['sample']}: the id columns {', '.join(names)} are not in the {which} "
            f"file, which has {', '.join(map(str, table.columns))}"
        )
    own = names[0]
    wanted = tables.text("sample", [own])[own]
    candidates = [name for name in test.columns if test[name].notna().all()]
    written = tables.text("test", candidates)
    for name in candidates:
        if len(written) == len(wanted) and set(written[name]) == set(wanted) and written[name].is_unique:
            return [name], f"holds the values of the sample's {own}", "_", own
    values = set(wanted)
    head = written.iloc[:20]
    for count in range(2, min(_MOST_ID_COLUMNS, len(candidates)) + 1):
        for separator in SEPARATORS:
            for columns in itertools.permutations(candidates, count):
                if not set(_joined(head, columns, separator)) <= values:
                    continue
                if set(_joined(written, columns, separator)) == values:
                    example = wanted.iloc[0]
                    reason = f"the sample's {own} ({example}) is composed of them"
                    return list(columns), reason, separator, own
    raise InputError(
        f"sample={tables.paths['sample']}: column {own!r} (first value {wanted.iloc[0]!r}) is neither a "
        f"column of the test file nor composed of its columns {', '.join(candidates)}"
    )


def _joined(table: pd.DataFrame, columns: tuple[str, ...], separator: str) -> pd.Series:
    joined = table[columns[0]]
    for name in columns[1:]:
        joined = joined + separator + table[name]
    return joined


def _numeric(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) and not values.isna().all()


def _rank(name: str) -> int:
    return TARGET_NAMES.index(name.lower())
