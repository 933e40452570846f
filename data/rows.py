"""Rows of train and test as one table of raw values that knows the place of each in its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from data.calendar_grid import BadTime, parse_time, zone_of
from data.coding import NotReal, real, text_of
from data.competition import Competition
from data.errors import InputError


@dataclass
class Rows:
    """N rows: those of the training file in its order, then those of the test file.

    `vocabulary` has the values that a joined column takes in its own file.
    """

    frame: pd.DataFrame
    train_count: int
    train_file: str
    test_file: str
    has_identity: tuple[bool, bool]  # whether the training and the test rows have the id columns
    vocabulary: dict[str, list[Any]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # not known ahead: target, past-only, derived from these
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
        values = self.frame[competition.time]
        try:
            times = parse_time(values, competition.date_format, dated)
        except BadTime as bad:
            raise InputError(
                f"{self.place(bad.row)}: column {competition.time!r}: found {text_of(bad.found)!r},"
                f" expected {bad.expected}"
            ) from None
        if times.dtype.kind == "M" and isinstance(values.iloc[0], str):  # times of an id are read as text
            zone = zone_of(text_of(values.iloc[0]), competition.date_format)
            if zone:
                self.notes.append(f"column {competition.time!r}: times with a zone ({zone}) are read as UTC")
        return times
