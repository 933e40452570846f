"""What expressions can call, and how they compare: numbers, texts and dates of raw columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from data.calendar_grid import in_utc

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _dates(values: Any) -> pd.DatetimeIndex:
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return pd.DatetimeIndex(array)
    codes, texts = pd.factorize(array)
    if len(texts) and not isinstance(texts[0], str):
        raise TypeError("it is no date")
    dates = in_utc(pd.to_datetime(pd.Series(texts), utc=True))  # as the clock has them
    return pd.DatetimeIndex(dates.reindex(codes))


def _contains(texts: Any, parts: Any) -> np.ndarray:
    frame = pd.DataFrame({"text": texts, "part": parts})
    pairs = frame.drop_duplicates()
    held = [
        bool(pd.notna(text) and pd.notna(part) and str(part) in str(text))
        for text, part in zip(pairs["text"], pairs["part"], strict=True)
    ]
    return frame.merge(pairs.assign(held=held), on=["text", "part"], how="left")["held"].to_numpy(dtype=bool)


def _month_name(dates: Any) -> np.ndarray:
    months = np.nan_to_num(_float(_dates(dates).month)).astype(np.int64)
    return np.asarray((None, *_MONTHS), dtype=object)[months]


def _float(values: Any) -> Any:
    return np.asarray(values, dtype=np.float64)


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*(_float(value) for value in values))

    return call


#: name: (number of arguments, function over arrays). `isna` gives truth and is treated apart.
FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "isna": (1, pd.isna),
    "year": (1, lambda date: _float(_dates(date).year)),
    "month": (1, lambda date: _float(_dates(date).month)),
    "day": (1, lambda date: _float(_dates(date).day)),
    "dayofyear": (1, lambda date: _float(_dates(date).dayofyear)),
    "weekday": (1, lambda date: _float(_dates(date).dayofweek)),  # Monday = 0
    "hour": (1, lambda date: _float(_dates(date).hour)),
    "month_name": (1, _month_name),  # Jan, Feb, ...
    "contains": (2, _contains),  # contains(text, part)
    "abs": (1, _quiet(np.abs)),
    "floor": (1, _quiet(np.floor)),
    "sqrt": (1, _quiet(np.sqrt)),
    "log": (1, _quiet(np.log)),
    "log1p": (1, _quiet(np.log1p)),
    "min": (2, _quiet(np.minimum)),
    "max": (2, _quiet(np.maximum)),
    "clip": (3, _quiet(np.clip)),  # clip(x, low, high)
    "where": (3, np.where),  # where(condition, a, b)
}


def _is_text(content: Any) -> bool:
    return np.asarray(content).dtype.kind in "OUS"


class NoDateError(ValueError):
    """A text that a date is compared with is none."""


def alike(first: Any, second: Any) -> tuple[Any, Any]:
    """Dates are compared with texts as dates. Raises NoDateError for a text that is none."""
    if np.asarray(first).dtype.kind == "M" and isinstance(second, str):
        return first, _date(second)
    if np.asarray(second).dtype.kind == "M" and isinstance(first, str):
        return _date(first), second
    return first, second


def _date(text: str) -> np.datetime64:
    try:
        return np.datetime64(text)
    except ValueError:
        raise NoDateError(f"found {text!r}, expected a date as 2020-12-31") from None


def equal(first: Any, second: Any) -> Any:
    """Equality; a number and a text are equal if the text is the number's (`StateHoliday == 0` finds "0")."""
    first, second = alike(first, second)
    dated = "M" in (np.asarray(first).dtype.kind, np.asarray(second).dtype.kind)
    if _is_text(first) != _is_text(second) and not dated:
        first, second = _as_text(first), _as_text(second)
    return np.asarray(np.asarray(first) == np.asarray(second), dtype=bool)


def _as_text(content: Any) -> Any:
    array = np.asarray(content)
    if array.dtype.kind in "OUS":
        return array.astype(object)
    if array.dtype.kind == "f" and np.all(np.mod(array[np.isfinite(array)], 1) == 0):
        texts = np.array([f"{value:.0f}" for value in np.atleast_1d(array)], dtype=object)
    else:
        texts = np.array([str(value) for value in np.atleast_1d(array)], dtype=object)
    return texts[0] if array.ndim == 0 else texts
