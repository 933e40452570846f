"""Folds as a CSV that a team shares: one line for each fold, series and origin that it asks.

Columns: fold, series (its name), asked_from (row of the series, counted from 0), train_rows (rows of that
series the fold may fit on). A series that a fold does not ask is listed with asked_from empty; one that it
asks from several rows on stands on as many lines.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import InputError, nearest
from data.folds import Fold, Origins
from data.panel import Panel
from data.splitters.base import SPLITTERS

COLUMNS = ["fold", "series", "asked_from", "train_rows"]


def export_folds(folds: tuple[Fold, ...], panel: Panel, file: Path) -> None:
    """Write the folds; `folds: {kind: file, file: ...}` reads them back."""
    begin, tables = panel.offsets[:-1], []
    for fold in folds:
        unasked = np.setdiff1d(np.arange(panel.series), fold.asked.series)
        series = np.concatenate([fold.asked.series, unasked])
        row = np.concatenate([fold.asked.row - begin[fold.asked.series], np.full(len(unasked), -1)])
        order = np.lexsort((row, series))
        series, row = series[order], row[order]
        table = pd.DataFrame(
            {
                "fold": fold.index,
                "series": panel.series_name[series],
                "asked_from": pd.array(np.where(row < 0, 0, row), dtype="Int64"),
                "train_rows": (fold.train_end - begin)[series],
            }
        )
        table.loc[row < 0, "asked_from"] = pd.NA
        tables.append(table)
    aside = file.with_name(f".{file.name}.partial")
    pd.concat(tables).to_csv(aside, index=False)
    aside.replace(file)


@SPLITTERS.register("file")
def from_file(competition: Competition, panel: Panel, end: np.ndarray, horizon: int) -> list[Fold]:
    """Folds from `folds.file`. Raises InputError for unknown series and for rows not open to folds."""
    name = competition.folds.file
    if name is None or not Path(name).is_file():
        raise InputError(f"competition.folds.file: {name} is not a file")
    table = _read(name)
    number = {str(series): index for index, series in enumerate(panel.series_name)}
    unknown = [series for series in table["series"] if series not in number]
    if unknown:
        raise InputError(
            f"{name}: series {unknown[0]!r} is not in the competition; nearest: {nearest(unknown[0], number)}"
        )
    begin, folds = panel.offsets[:-1], []
    for position, (index, part) in enumerate(table.groupby("fold")):
        series = part["series"].map(number).to_numpy()
        asked_from, train_rows = (part[column].fillna(-1).to_numpy() for column in COLUMNS[2:])
        if len(np.unique(np.stack([series, asked_from], 1), axis=0)) != len(series):
            raise InputError(f"{name}: fold {index} lists a series twice from the same row on")
        if len(np.unique(np.stack([series, train_rows], 1), axis=0)) != len(np.unique(series)):
            raise InputError(f"{name}: fold {index} gives a series two numbers of train_rows")
        train_end = begin.copy()
        train_end[series] = begin[series] + train_rows.astype(np.int64)
        row = begin[series] + part["asked_from"].fillna(-1).to_numpy(dtype=np.int64)
        asked = part["asked_from"].notna().to_numpy()
        for bad in np.flatnonzero((train_end > end) | (train_end < begin)):
            raise InputError(
                f"{name}: fold {index}, series {panel.series_name[bad]!r}: train_rows"
                f" {train_end[bad] - begin[bad]} where 0 to {end[bad] - begin[bad]} rows are open to folds"
            )
        # In a sequence task a group is asked whole; else there is history, and the horizon is open to folds.
        sequence = competition.task == "sequence"
        lowest = begin[series] if sequence else np.maximum(train_end, begin + 1)[series]
        highest = begin[series] if sequence else (end - horizon)[series]
        wrong = asked & ((row < lowest) | (row > highest) | (row < train_end[series]) | (row >= end[series]))
        for at in np.flatnonzero(wrong):
            first, last = lowest[at] - begin[series[at]], highest[at] - begin[series[at]]
            raise InputError(
                f"{name}: fold {index}, series {panel.series_name[series[at]]!r}: asked_from"
                f" {row[at] - begin[series[at]]}; expected {first} to {last} (not below train_rows,"
                f" {horizon} rows asked at once, {(end - begin)[series[at]]} open to folds)"
            )
        order = np.lexsort((row[asked], series[asked]))
        origins = Origins(series[asked][order], row[asked][order])
        folds.append(
            Fold(position, f"fold{position}", f"fold {index} of {Path(name).name}", train_end, origins)
        )
    return folds


def _read(name: str) -> pd.DataFrame:
    """The table with whole numbers. Names of series are text as it is written: NA is a name."""
    try:
        table = pd.read_csv(name, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: cannot be read: {error}") from None
    for column in COLUMNS:
        if column not in table.columns:
            raise InputError(f"{name}: column {column!r} is missing; expected {', '.join(COLUMNS)}")
    for column in ("fold", "asked_from", "train_rows"):
        given = table[column] != "" if column == "asked_from" else np.ones(len(table), dtype=bool)
        numbers = pd.to_numeric(table[column], errors="coerce")
        bad = (given & ~((numbers >= 0) & (numbers < 2**31))) | (numbers % 1 > 0)
        if bad.any():
            line = int(np.argmax(bad))
            raise InputError(
                f"{name}: line {line + 2}: column {column!r}: found {table[column].iloc[line]!r}, expected a"
                " whole number from 0 on"
            )
        table[column] = numbers
    return table
