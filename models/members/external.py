"""A teammate's predictions: out-of-fold, local and test CSVs, read by row id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.calendar_grid import in_utc
from data.errors import InputError, RowsNotGiven, nearest
from data.folds import Origins
from data.origin_table import asked_rows
from data.panel import Panel
from data.predictions import prediction_table
from models.members.base import MEMBERS, FitTask, Member

#: In a fit's folder: what the test file says, so that it goes where the fit goes (into a pack).
KEPT = "given.parquet"
#: Its columns for rows that the file names by their numbers, which are those of one panel only.
LASTING = ("panel.series", "panel.time", "panel.id")


@MEMBERS.register("external")
class External(Member):
    """Looks predictions up in CSV files; nothing is fitted.

    Each file has the target columns (in original units) and says which row is meant: by `row_id` (the panel's
    row number, as our own parquet files have it), by the competition's id column (where that is called row_id
    too and the asked rows have ids, it is what is meant), or by the series and time columns. Where several
    cut-offs ask the same row, a column `fold` says which one the line is for.

    What the test file says is kept with the fit, and looked up there when other test rows are forecast.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        oof: str | None = None  # CSV of out-of-fold predictions
        local: str | None = None  # CSV of predictions for the local hold-out
        test: str | None = None  # CSV of predictions for the test rows

    version: ClassVar[int] = 2  # a fit keeps the test file's rows
    cost: ClassVar[int] = 0
    uses_features: ClassVar[bool] = False
    reads_fit: ClassVar[tuple[str, ...] | None] = ()
    reads_windows: ClassVar[tuple[str, ...] | None] = ()
    every_seed: ClassVar[bool] = False
    config: Config

    @classmethod
    def files(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(settings[part]) for part in ("oof", "local", "test") if settings.get(part))

    def fit(self, task: FitTask) -> None:
        for part in ("oof", "test"):
            self._file(part)

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        kept = task.folder / KEPT
        there = part == "test" and kept.exists()
        file = Path(str(self.config.test)) if there else self._file(part)  # what the user calls it
        number, row = asked_rows(task.inputs, asked)
        table = _read(task, kept if there else file, file)
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
        table = table[key + targets].assign(
            **{name: pd.to_numeric(table[name], errors="coerce") for name in targets}
        )
        if part == "test" and not there:
            _keep(task.panel, table, kept, _by_row(task, table, row))
        value = wanted.merge(table, on=key, how="left")[targets].to_numpy(dtype=np.float64)
        bad = ~np.isfinite(value).all(1)
        if bad.any():
            missing = wanted.loc[bad, key].iloc[0].to_dict()
            count = f"{int(bad.sum())} of {len(bad)}"
            raise RowsNotGiven(f"{file}: {count} asked rows have no finite prediction, first {missing}")
        return prediction_table(row, asked.row[number], value)

    def _file(self, part: str) -> Path:
        name = getattr(self.config, part)
        if not name or not Path(name).is_file():
            raise RowsNotGiven(f"member external: {part}={name} is not a file")
        return Path(name)


def _official(task: FitTask) -> str:
    """Name of the competition's id column."""
    return task.competition.submission.row_id or next(iter(task.competition.row_id), "row_id")


def _read(task: FitTask, lies: Path, file: Path) -> pd.DataFrame:
    """The table, with ids and names of series as they are written (007 and NA are no number and no gap)."""
    names = (_official(task), *task.competition.series)
    try:
        if lies.suffix == ".parquet":
            return pd.read_parquet(lies)
        return pd.read_csv(lies, converters=dict.fromkeys(names, str))
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


def _has_ids(task: FitTask, table: pd.DataFrame, row: np.ndarray) -> bool:
    return _official(task) in table.columns and bool((task.panel.official_id[row] != "").all())


def _by_row(task: FitTask, table: pd.DataFrame, row: np.ndarray) -> bool:
    """Whether `row_id` is the number of a row in the panel, and not the competition's id."""
    if "row_id" not in table.columns:
        return False
    return _official(task) != "row_id" or "origin" in table.columns or not _has_ids(task, table, row)


def _keep(panel: Panel, table: pd.DataFrame, target: Path, by_row: bool) -> None:
    """Write the test file's table, with rows named in a way that holds in other panels too."""
    if by_row:
        table = table[table["row_id"].isin(np.arange(panel.rows))].reset_index(drop=True)
        names = _lasting_names(panel, table.pop("row_id").to_numpy(dtype=np.int64))
        table = pd.concat([names, table], axis=1)
    aside = target.with_name(f".{target.name}")
    table.to_parquet(aside, index=False)
    os.replace(aside, target)


def _lasting_names(panel: Panel, row: np.ndarray) -> pd.DataFrame:
    """Series, time and id of rows of the panel."""
    owner = np.searchsorted(panel.offsets, row, side="right") - 1
    time = panel.time if panel.timestamp is None else panel.timestamp.astype("datetime64[ns]")
    values = (panel.series_name[owner].astype(str), time[row], panel.official_id[row].astype(str))
    return pd.DataFrame(dict(zip(LASTING, values, strict=True)))


def _key(task: FitTask, table: pd.DataFrame, row: np.ndarray, file: Path) -> tuple[list[str], pd.DataFrame]:
    """Key columns of the file, brought to common types in place, and the same columns of the asked rows."""
    panel, competition, official = task.panel, task.competition, _official(task)
    if set(LASTING) <= set(table.columns):
        return [*LASTING], _lasting_names(panel, row)
    if _by_row(task, table, row):
        if panel.fitted_series is not None:
            raise RowsNotGiven(f"{file}: row_id means the rows that were fitted on, and other rows are asked")
        table["row_id"] = pd.to_numeric(table["row_id"], errors="coerce")
        return ["row_id"], pd.DataFrame({"row_id": row})
    if _has_ids(task, table, row):
        table[official] = table[official].astype(str)
        return [official], pd.DataFrame({official: panel.official_id[row].astype(str)})
    needed = [*competition.series, str(competition.time)]
    if all(name in table.columns for name in needed) and len(competition.series) == 1:
        series, time = competition.series[0], str(competition.time)
        table[series] = table[series].astype(str)
        owner = np.searchsorted(panel.offsets, row, side="right") - 1
        wanted = pd.DataFrame({series: panel.series_name[owner].astype(str)})
        if panel.timestamp is None:
            wanted[time] = panel.time[row]
            return [series, time], wanted
        wanted[time] = panel.timestamp[row].astype("datetime64[ns]")
        try:
            dates = pd.to_datetime(table[time], format=competition.date_format or "ISO8601", utc=True)
            table[time] = in_utc(dates).astype("datetime64[ns]")
        except ValueError as error:
            raise InputError(f"{file}: column {time!r}: {error}") from None
        return [series, time], wanted
    raise InputError(
        f"{file}: no column says which row is meant; expected row_id, {official}, or {needed};"
        f" found {list(table.columns)}"
    )
