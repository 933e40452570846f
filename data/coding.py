"""Raw values to what a panel holds: categories as codes, reals as float64, names in natural order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def text_of(value: Any) -> str:
    """The one text of a raw value: 0, 0.0, "0" and "0.0" are the same category; dates are ISO."""
    if isinstance(value, str):
        text = value.strip()
        return text[: text.index(".")] if re.fullmatch(r"-?\d+\.0+", text) else text
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, pd.Timestamp | np.datetime64):
        stamp = pd.Timestamp(value)
        return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat(sep=" ")
    return str(value)


def stamp_texts(stamps: pd.Series) -> np.ndarray:
    """(N,) str of dates, all in one form: with a time of day where any of them has one; '' where missing."""
    codes, uniques = pd.factorize(stamps)
    texts = [text_of(value) for value in uniques]
    if any(len(text) > len("2020-01-31") for text in texts):
        texts = [pd.Timestamp(value).isoformat(sep=" ") for value in uniques]
    return np.array([*texts, ""], dtype=object)[codes]


def natural_key(text: str) -> tuple[Any, ...]:
    """Sort key: numbers by value before names; H2 before H10."""
    try:
        return (0, float(text), text)
    except ValueError:
        parts = re.split(r"(\d+)", text)
        return (1, tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts), text)


def natural_order(texts: Iterable[str]) -> list[str]:
    """Sorted by `natural_key`."""
    return sorted(texts, key=natural_key)


def text_codes(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """(N,) int64 codes into the returned texts, -1 where missing; texts are unique."""
    codes, uniques = pd.factorize(values)
    texts = [text_of(value) for value in uniques]
    number: dict[str, int] = {}
    merged = np.array([number.setdefault(text, len(number)) for text in texts] + [-1], dtype=np.int64)
    return merged[codes], list(number)


class Coded:
    """One categorical column as codes: 0 = missing or not seen, else 1 + index in `categories`."""

    def __init__(self, values: pd.Series, seen: np.ndarray, more: Sequence[Any] = ()) -> None:
        """values: (N,) raw; seen: (N,) bool, rows that make categories; more: further known values."""
        codes, texts = text_codes(values)
        counted = np.zeros(len(texts) + 1, dtype=bool)
        counted[codes[seen]] = True
        known = {text for text, there in zip(texts, counted, strict=False) if there}
        known |= {text_of(value) for value in more if not pd.isna(value)}
        self.categories = natural_order(known)
        number = {text: index + 1 for index, text in enumerate(self.categories)}
        table = np.array([number.get(text, 0) for text in texts] + [0], dtype=np.int32)
        self.code = table[codes]  # (N,) int32
        self.missing = codes == -1  # (N,) bool
        lost = (self.code == 0) & ~self.missing
        self.unseen = int(lost.sum())
        self.unseen_example = texts[int(codes[int(np.argmax(lost))])] if self.unseen else ""


class NotReal(ValueError):
    """A value that is no finite number of float32's range: `row` (position), `found` and `expected`."""

    def __init__(self, row: int, found: Any, expected: str) -> None:
        super().__init__(f"row {row}: {found!r} is not {expected}")
        self.row, self.found, self.expected = row, found, expected


def real(values: pd.Series) -> np.ndarray:
    """(N,) float64, NaN where missing. Raises NotReal at the first value that is no finite number."""
    if values.dtype.kind in "biuf":
        array = values.to_numpy(dtype=np.float64)
    elif values.dtype.kind == "M":
        raise NotReal(0, values.iloc[0], "a number")
    else:
        numbers = pd.to_numeric(values, errors="coerce")
        lost = (numbers.isna() & values.notna()).to_numpy()
        if lost.any():
            row = int(np.argmax(lost))
            raise NotReal(row, values.iloc[row], "a number")
        array = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    wild = np.abs(array) > _FLOAT32_MAX  # NaN compares false
    if wild.any():
        row = int(np.argmax(wild))
        raise NotReal(row, float(array[row]), "a finite number that float32 can hold")
    return array
