"""A teammate's predictions: out-of-fold, local and test CSVs, read by row id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from data.errors import InputError, nearest
from data.folds import Origins
from data.origin_table import asked_rows
from data.predictions import prediction_table
from models.members.base import MEMBERS, FitTask, Member


@MEMBERS.register("external")
class External(Member):
    """Looks predictions up in CSV files; nothing is fitted.

    Each file has the target columns (in original units) and says which row is meant: by `row_id` (the panel's
    row number, as our own parquet files have it), by the competition's id column, or by the series and time
    columns. Where several cut-offs ask the same row, a column `fold` says which one the line is for.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        oof: str | None = None  # CSV of out-of-fold predictions
        local: str | None = None  # CSV of predictions for the local hold-out
        test: str | None = None  # CSV of predictions for the test rows

    cost: ClassVar[int] = 0
    uses_features: ClassVar[bool] = False
    reads_fit: ClassVar[tuple[str, ...] | None] = ()
    reads_windows: ClassVar[tuple[str, ...] | None] = ()
    every_seed: ClassVar[bool] = False
    config: Config

    def fit(self, task: FitTask) -> None:
        for part in ("oof", "test"):
            self._file(part)

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        file = self._file(part)
        number, row = asked_rows(task.inputs, asked)
        table = _read(file)
        targets = _target_columns(task, table, file)
        if "fold" in table.columns and part == "oof":
            table = table.loc[table["fold"] == task.fold.index]
        key, wanted = _key(task, table, row, file)
        doubled = table.duplicated(key)
        if doubled.any():
            first = table.loc[doubled, key].iloc[0].to_dict()
            raise InputError(
                f"{file}: {first} stands there twice" + ("" if part != "oof" else "; add a column 'fold'")
            )
        found = wanted.merge(table[key + targets], on=key, how="left")
        value = found[targets].to_numpy(dtype=np.float64)
        bad = ~np.isfinite(value).all(1)
        if bad.any():
            missing = wanted.loc[bad, key].iloc[0].to_dict()
            count = f"{int(bad.sum())} of {len(bad)}"
            raise InputError(f"{file}: {count} asked rows have no finite prediction, first {missing}")
        return prediction_table(row, asked.row[number], value)

    def _file(self, part: str) -> Path:
        name = getattr(self.config, part)
        if not name or not Path(name).is_file():
            raise InputError(f"member external: {part}={name} is not a file")
        return Path(name)


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None


def _target_columns(task: FitTask, table: pd.DataFrame, file: Path) -> list[str]:
    names = list(task.competition.submission.target) or list(task.panel.target_name)
    if len(names) == 1 and names[0] not in table.columns and "value" in table.columns:
        return ["value"]
    for name in names:
        if name not in table.columns:
            raise InputError(
                f"{file}: column {name!r} is missing; found {list(table.columns)};"
                f" nearest {nearest(name, table.columns)}"
            )
    return names


def _key(task: FitTask, table: pd.DataFrame, row: np.ndarray, file: Path) -> tuple[list[str], pd.DataFrame]:
    """Key columns of the file, brought to common types in place, and the same columns of the asked rows."""
    panel, competition = task.panel, task.competition
    if "row_id" in table.columns:
        return ["row_id"], pd.DataFrame({"row_id": row})
    official = competition.submission.row_id or next(iter(competition.row_id), "row_id")
    if official in table.columns and (panel.official_id[row] != "").all():
        table[official] = table[official].astype(str)
        return [official], pd.DataFrame({official: panel.official_id[row].astype(str)})
    needed = [*competition.series, str(competition.time)]
    if all(name in table.columns for name in needed) and len(competition.series) == 1:
        series, time = competition.series[0], str(competition.time)
        table[series] = table[series].astype(str)
        wanted = pd.DataFrame(
            {series: panel.series_name[np.searchsorted(panel.offsets, row, side="right") - 1]}
        )
        wanted[series] = wanted[series].astype(str)
        if panel.timestamp is None:
            wanted[time] = panel.time[row]
        else:
            table[time] = pd.to_datetime(table[time]).astype("datetime64[ns]")
            wanted[time] = panel.timestamp[row].astype("datetime64[ns]")
        return [series, time], wanted
    raise InputError(
        f"{file}: no column says which row is meant; expected row_id, {official}, or {needed};"
        f" found {list(table.columns)}"
    )
