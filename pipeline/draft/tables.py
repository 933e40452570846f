"""The tables that a draft is made from, and facts about their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data.errors import InputError
from data.expression import check_expression
from data.tables import read_path

FEW_VALUES = 12  # whole-number columns with at most so many values are taken as categories
FREE_TEXT = 1000  # text columns with more values than that are taken as free text


@dataclass(frozen=True)
class DraftTables:
    """The files as read, in their order; `paths` by train, test, sample."""

    train: pd.DataFrame
    test: pd.DataFrame | None
    sample: pd.DataFrame | None
    paths: Mapping[str, Path | None]

    def text(self, table: str, columns: Sequence[str]) -> pd.DataFrame:
        """Columns of a file read again as they are written there."""
        path = self.paths[table]
        assert path is not None
        return read_path(path, text=columns)[list(columns)]

    def shared(self, column: str) -> bool:
        """Whether asked rows can have a column of train: no test file is there, or it has a value of it."""
        return self.test is None or (column in self.test and bool(self.test[column].notna().any()))

    def both(self, column: str) -> pd.Series:
        """A column's values in train and, where it is there, test."""
        parts = [table[column] for table in (self.train, self.test) if table is not None and column in table]
        return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def is_text(values: pd.Series) -> bool:
    """Whether a column holds strings."""
    return not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_datetime64_any_dtype(values)


def is_whole(values: pd.Series) -> bool:
    """Whether a column holds whole numbers only (NaN aside)."""
    if pd.api.types.is_integer_dtype(values) or pd.api.types.is_bool_dtype(values):
        return True
    if not pd.api.types.is_float_dtype(values):
        return False
    numbers = values.dropna().to_numpy()
    return bool(len(numbers)) and bool(np.all(np.mod(numbers, 1) == 0))


def nameable(column: str) -> bool:
    """Whether an expression can name a column. They have no quotes, so `is open` and `class` are none."""
    try:
        return column.isidentifier() and check_expression(column, None) == (column,)
    except InputError:
        return False


def codes_of(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(N,) int64: the group of each row by `columns`; one group where there are none."""
    if not columns:
        return np.zeros(len(table), dtype=np.int64)
    code = np.zeros(len(table), dtype=np.int64)
    for column in columns:
        part, uniques = pd.factorize(table[column], use_na_sentinel=False)
        code = code * (len(uniques) + 1) + part
    return np.asarray(pd.factorize(code)[0], dtype=np.int64)


def constant_within(values: pd.Series, group: np.ndarray) -> bool:
    """Whether a column has one value in every group (missing counts as a value)."""
    code = pd.factorize(values, use_na_sentinel=False)[0]
    first = np.full(int(group.max()) + 1, -1, dtype=np.int64)
    first[group[::-1]] = code[::-1]
    return bool(np.all(first[group] == code))


def contiguous(values: pd.Series) -> bool:
    """Whether equal values stand together in the file, in at least two blocks of two rows on average."""
    code, uniques = pd.factorize(values, use_na_sentinel=False)
    blocks = int(np.count_nonzero(np.diff(code))) + 1
    return blocks == len(uniques) and len(uniques) >= 2 and len(code) >= 2 * len(uniques)
