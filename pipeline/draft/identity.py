"""Which columns are predicted, and which make a row's id, from what train, test and sample share."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
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
_SAMPLED_ROWS = 20  # about so many rows of the test file are looked at before all of them are
_MOST_TRIES = 200_000  # beginnings of the first row's id: a second at most
_MOST_COMPOSITIONS = 20  # that fit the sampled rows and are compared with the whole sample


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
    for columns, separator in itertools.islice(_compositions(written, values), _MOST_COMPOSITIONS):
        if set(_joined(written, columns, separator)) == values:
            reason = f"the sample's {own} ({wanted.iloc[0]}) is composed of them"
            return list(columns), reason, separator, own
    raise InputError(
        f"sample={tables.paths['sample']}: column {own!r} (first value {wanted.iloc[0]!r}) is neither a "
        f"column of the test file nor composed of up to {_MOST_ID_COLUMNS} of its columns "
        f"{', '.join(candidates)}"
    )


def _compositions(written: pd.DataFrame, ids: set[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(columns, separator) by which sampled rows of text have one of the ids, the fewest columns first.

    Compositions of the first row are put together column by column, and only those with which an id begins
    are gone on with: there are millions over 40 columns. Ends after _MOST_TRIES of them all the same.
    """
    first, *others = written.iloc[:: max(1, len(written) // _SAMPLED_ROWS)].to_dict("records")
    ordered = sorted(text for text in ids if isinstance(text, str))
    begun = {separator: [((name,), first[name]) for name in first] for separator in SEPARATORS}
    tries = 0
    for _, separator in itertools.product(range(1, _MOST_ID_COLUMNS), SEPARATORS):
        longer = []
        for (columns, text), name in itertools.product(begun[separator], first):
            if name in columns:
                continue
            tries += 1
            if tries > _MOST_TRIES:
                return
            joined = text + separator + first[name]
            if _begins(joined, ordered):
                longer.append(((*columns, name), joined))
        begun[separator] = longer
        for columns, text in longer:
            if text in ids and all(separator.join(row[name] for name in columns) in ids for row in others):
                yield columns, separator


def _begins(text: str, ordered: list[str]) -> bool:
    """Whether one of the sorted texts begins with `text`."""
    place = bisect.bisect_left(ordered, text)
    return place < len(ordered) and ordered[place].startswith(text)


def _joined(table: pd.DataFrame, columns: tuple[str, ...], separator: str) -> pd.Series:
    joined = table[columns[0]]
    for name in columns[1:]:
        joined = joined + separator + table[name]
    return joined


def _numeric(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) and not values.isna().all()


def _rank(name: str) -> int:
    return TARGET_NAMES.index(name.lower())
